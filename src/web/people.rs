//! People of the Account, for admins: who is here, inviting, roles, and leavers.

use super::edit::{self, edit};
use super::form::Act;
use super::html::Desk;
use super::signin::admission;
use super::{State, WebError, roster};
use crate::model::{PolicyLayer, Role, User, UserId};
use crate::words::clean;
use axum::extract::Path;
use axum::response::Response;
use minijinja::context;
use serde_json::json;

type Is<T> = axum::extract::State<T>;

/// `GET /people`.
pub(super) async fn page(desk: Desk) -> Result<Response, WebError> {
    desk.person.admin()?;
    let (state, account) = (&desk.state, &desk.person.account);
    let session = desk.person.session(state).await?;
    let docs = state.store.prefix_as(&session, &format!("user::{account}::")).await?;
    let mut users: Vec<User> = docs.into_iter().filter_map(|doc| serde_json::from_value(doc.body).ok()).collect();
    users.sort_by_key(|user| (user.name.to_lowercase(), user.user.clone()));
    let rows = state.index.lease_rows();
    let directory = state.index.directory();
    let held = |user: &User| {
        rows.iter().filter(|row| row.account == *account && row.owner == user.user && !row.state.is_over()).count()
    };
    let limits = |user: &User| {
        let layer = directory.policies.get(&format!("policy::{account}::user::{}", user.user));
        layer.is_some_and(|layer| *layer != PolicyLayer::default())
    };
    let people: Vec<_> = users
        .iter()
        .map(|user| {
            context! {
                id => user.user.as_str(), name => clean(&user.name), email => clean(&user.email),
                admin => user.role == Role::Admin, login => user.github_login.as_deref().map(clean),
                known => admission::github_id(user).is_some(), leases => held(user), limits => limits(user),
                own => user.user == desk.person.user,
            }
        })
        .collect();
    let pattern = roster::pattern(state, account);
    desk.show("people", "People", "people.html", context! { people, pattern, origin => desk.site.origin })
}

/// `POST /people`: somebody new. They sign in with GitHub by this address.
pub(super) async fn invite(axum::extract::State(state): Is<State>, act: Act) -> Result<Response, WebError> {
    act.person.admin()?;
    let role = if act.fields.get("role") == "admin" { Role::Admin } else { Role::Dev };
    match roster::invite(&state, &act.person, act.fields.get("email"), act.fields.get("name"), role).await {
        Ok(user) => {
            let (email, origin) = (&user.email, &act.site.origin);
            let text = format!("{email} may come in: tell them to open {origin} and sign in with GitHub.");
            Ok(act.done("/people", &text))
        }
        Err(WebError::Invalid(why)) => Ok(act.failed("/people", &why)),
        Err(why) => Err(why),
    }
}

/// `POST /people/{user}/role`.
pub(super) async fn role(
    axum::extract::State(state): Is<State>,
    Path(user): Path<String>,
    act: Act,
) -> Result<Response, WebError> {
    act.person.admin()?;
    let id = document(&act, &user)?;
    let role = if act.fields.get("role") == "admin" { "admin" } else { "dev" };
    edit(&state, &act.person, &id, None, |body| drop(body.insert("role".to_owned(), json!(role)))).await?;
    Ok(act.done("/people", "Changed; it counts at once."))
}

/// `GET /people/{user}/leave`: what would become of it.
pub(super) async fn ask_leave(desk: Desk, Path(user): Path<String>) -> Result<Response, WebError> {
    desk.person.admin()?;
    let id = format!("user::{}::{}", desk.person.account, parse(&user)?);
    let doc = edit::read(&desk.state, &desk.person, &id).await?;
    let found: User = doc.and_then(|doc| serde_json::from_value(doc.body).ok()).ok_or_else(unknown)?;
    let rows = desk.state.index.lease_rows();
    let theirs = |row: &&crate::follower::LeaseRow| {
        row.account == found.account && row.owner == found.user && !row.state.is_over()
    };
    let leases = rows.iter().filter(theirs).count();
    let values = context! { id => found.user.as_str(), name => clean(&found.name), email => clean(&found.email), leases, own => found.user == desk.person.user };
    desk.show("people", "Remove somebody", "leave.html", values)
}

/// `POST /people/{user}/leave`.
pub(super) async fn leave(
    axum::extract::State(state): Is<State>,
    Path(user): Path<String>,
    act: Act,
) -> Result<Response, WebError> {
    act.person.admin()?;
    roster::remove(&state, &act.person, &parse(&user)?, None).await?;
    Ok(act.done("/people", "Removed. Their sessions ended; their leases pass to an admin, who is told."))
}

fn document(act: &Act, user: &str) -> Result<String, WebError> {
    Ok(format!("user::{}::{}", act.person.account, parse(user)?))
}

fn parse(user: &str) -> Result<UserId, WebError> {
    UserId::parse(user).map_err(|_| unknown())
}

fn unknown() -> WebError {
    WebError::NotFound("there is nobody here by that name".to_owned())
}
