//! `/user` and `/user/emails` (GitHub REST API, version 2022-11-28), as far as a sign-in reads them.

use crate::handle::{Handle, Person};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// `GET /user`.
pub(crate) async fn user(State(handle): State<Handle>, headers: HeaderMap) -> Response {
    match caller(&handle, &headers) {
        Ok((person, _)) => {
            let url = format!("{}/api/v3/users/{}", handle.url, person.login);
            Json(json!({
                "login": person.login, "id": person.id, "node_id": "MDQ6VXNlcjE=", "url": url, "type": "User",
                "site_admin": false, "name": person.name, "company": null, "email": null, "bio": null,
            }))
            .into_response()
        }
        Err(failure) => *failure,
    }
}

/// `GET /user/emails`: needs the scope `user:email`.
pub(crate) async fn emails(State(handle): State<Handle>, headers: HeaderMap) -> Response {
    match caller(&handle, &headers) {
        Ok((person, scope)) if scope.split(',').any(|scope| matches!(scope, "user" | "user:email")) => {
            let all = person.emails.iter().map(|email| {
                let visibility = if email.primary { Value::from("private") } else { Value::Null };
                json!({
                    "email": email.email, "primary": email.primary, "verified": email.verified, "visibility": visibility,
                })
            });
            Json(all.collect::<Vec<_>>()).into_response()
        }
        Ok(_) => failure(StatusCode::NOT_FOUND, "Not Found"),
        Err(failure) => *failure,
    }
}

fn caller(handle: &Handle, headers: &HeaderMap) -> Result<(Person, String), Box<Response>> {
    if !headers.contains_key(header::USER_AGENT) {
        return Err(Box::new((StatusCode::FORBIDDEN, "Request forbidden by administrative rules.").into_response()));
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("token "));
    let world = handle.world();
    let known = token.and_then(|token| world.tokens.get(token));
    let found = known.and_then(|(id, scope)| Some((world.people.get(id)?.clone(), scope.clone())));
    found.ok_or_else(|| Box::new(failure(StatusCode::UNAUTHORIZED, "Bad credentials")))
}

fn failure(status: StatusCode, message: &str) -> Response {
    let body = json!({
        "message": message, "documentation_url": "https://docs.github.com/rest", "status": status.as_str(),
    });
    (status, Json(body)).into_response()
}
