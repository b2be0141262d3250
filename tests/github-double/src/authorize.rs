//! The page that asks who you are and whether the app may know it (GitHub docs, "Authorizing OAuth apps", step 1).

use crate::handle::{Code, Handle, Person};
use crate::page::{escape, hidden, page};
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    client_id: String,
    redirect_uri: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
    /// The person's number, or `deny`; only in the answer.
    #[serde(default)]
    person: String,
}

/// `GET /login/oauth/authorize`.
pub(crate) async fn ask(State(handle): State<Handle>, Query(wanted): Query<Wanted>) -> Response {
    if let Err(why) = check(&handle, &wanted) {
        return *why;
    }
    let mut fields = String::new();
    for (name, value) in [
        ("client_id", &wanted.client_id),
        ("redirect_uri", &wanted.redirect_uri),
        ("scope", &wanted.scope),
        ("state", &wanted.state),
        ("code_challenge", &wanted.code_challenge),
        ("code_challenge_method", &wanted.code_challenge_method),
    ] {
        fields.push_str(&hidden(name, value));
    }
    let people: Vec<String> = handle.world().people.values().map(button).collect();
    let people = people.concat();
    let form = format!(
        "<h1>Who are you?</h1><form method=\"post\" action=\"/login/oauth/authorize\">{fields}{people}\
         <button name=\"person\" value=\"deny\">Cancel</button></form>"
    );
    page("Sign in", &form).into_response()
}

fn button(person: &Person) -> String {
    let address = person.emails.first().map(|email| escape(&email.email)).unwrap_or_default();
    let (id, name, login) = (person.id, escape(&person.name), escape(&person.login));
    format!("<button name=\"person\" value=\"{id}\">{name} <small>@{login} · {address}</small></button>")
}

/// What the person said.
pub(crate) async fn answer(State(handle): State<Handle>, Form(wanted): Form<Wanted>) -> Response {
    if let Err(why) = check(&handle, &wanted) {
        return *why;
    }
    let mut answer = form_urlencoded::Serializer::new(String::new());
    let mut world = handle.world();
    match wanted.person.parse::<u64>().ok().filter(|id| world.people.contains_key(id)) {
        Some(person) => {
            let code = format!("{:020x}", rand::random::<u128>() >> 48);
            let challenge = (!wanted.code_challenge.is_empty()).then_some(wanted.code_challenge);
            let granted = Code { person, redirect_uri: wanted.redirect_uri.clone(), challenge, scope: wanted.scope };
            world.codes.insert(code.clone(), granted);
            answer.append_pair("code", &code);
        }
        None => {
            answer
                .append_pair("error", "access_denied")
                .append_pair("error_description", "The user has denied your application access.")
                .append_pair("error_uri", "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/#access-denied");
        }
    }
    answer.append_pair("state", &wanted.state);
    let join = if wanted.redirect_uri.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{}{join}{}", wanted.redirect_uri, answer.finish())).into_response()
}

/// GitHub shows a page of its own for an app that it does not know, and never redirects then.
fn check(handle: &Handle, wanted: &Wanted) -> Result<(), Box<Response>> {
    let known = wanted.client_id == handle.app().client_id;
    let challenged = wanted.code_challenge.is_empty() || wanted.code_challenge_method == "S256";
    if known && challenged && wanted.redirect_uri.starts_with("http") {
        return Ok(());
    }
    Err(Box::new((StatusCode::NOT_FOUND, page("Not found", "<h1>404</h1>")).into_response()))
}
