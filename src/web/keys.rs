//! Personal access tokens on the page of settings: made, shown once, revoked.

use super::form::Act;
use super::html::Desk;
use super::token::{self, Scope, Token};
use super::{State, WebError, once};
use crate::config::parse_duration;
use axum::extract::Path;
use axum::response::Response;
use minijinja::{Value, context};

type Is<T> = axum::extract::State<T>;

/// The scopes with what each allows.
pub(super) const SCOPES: [(Scope, &str, &str); 4] = [
    (Scope::Read, "read", "look at what you may see"),
    (Scope::Write, "write", "renew, end, hand over"),
    (Scope::Sync, "sync", "sync documents to a phone; takes read and write too, and for an admin admin"),
    (Scope::Admin, "admin", "what admins do"),
];
/// A year, in seconds.
const LONGEST: i64 = 366 * 86_400;

/// A person's tokens, for a template.
pub(super) async fn all(desk: &Desk) -> Result<Vec<Value>, WebError> {
    let own = token::list(&desk.state.store, &desk.person.account, &desk.person.user).await?;
    let shown = own.into_iter().map(|(id, doc)| {
        let words = SCOPES.iter().filter(|(scope, ..)| doc.body.scopes.contains(scope)).map(|(_, word, _)| *word);
        context! {
            id, name => crate::words::clean(&doc.body.name), scopes => words.collect::<Vec<_>>().join(", "),
            used => doc.body.used.map(crate::words::utc), expires => crate::words::utc(doc.body.expires),
        }
    });
    Ok(shown.collect())
}

/// `POST /settings/tokens`: shown this one time.
pub(super) async fn create(desk: Desk, act: Act) -> Result<Response, WebError> {
    let name: String = act.fields.get("name").chars().take(100).collect();
    let scopes: Vec<Scope> =
        SCOPES.iter().filter(|(_, word, _)| act.fields.has(word)).map(|(scope, ..)| *scope).collect();
    let ttl = parse_duration(act.fields.get("lasts")).ok().filter(|ttl| (60..=LONGEST).contains(ttl));
    let (false, false, Some(ttl)) = (name.is_empty(), scopes.is_empty(), ttl) else {
        return Ok(act
            .failed("/settings", "A token needs a name, at least one thing that it may do, and a time up to a year."));
    };
    let now = desk.state.clock.now();
    let made = Token::new((&act.person.account, &act.person.user), name.clone(), scopes, now, ttl);
    let form = ("/settings/tokens", act.fields.get("once"));
    let made = once::form(&desk.state, &act.person, form, token::create(&desk.state.store, &made)).await;
    let (_, secret) = made?;
    desk.show("settings", "Your new token", "token.html", context! { name, secret })
}

/// `POST /settings/tokens/{id}/revoke`.
pub(super) async fn revoke(
    axum::extract::State(state): Is<State>,
    Path(id): Path<String>,
    act: Act,
) -> Result<Response, WebError> {
    token::revoke(&state, &act.person.account, &act.person.user, &id).await?;
    Ok(act.done("/settings", "Revoked; it is of no use any more."))
}
