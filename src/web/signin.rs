//! Signing in and out.

use super::form::{Act, Fields};
use super::html::{OpenDesk, append, local};
use super::session::{self, COOKIE};
use super::{State, WebError};
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

/// `GET /login`.
pub(super) async fn page(desk: OpenDesk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    let query = Fields::read(query.unwrap_or_default().as_bytes());
    let next = local(query.get("next"));
    if desk.person.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let github = desk.state.settings.github.as_ref().map(|github| github.base_url.clone());
    desk.show("Sign in", "login.html", context! { next, github })
}

/// `POST /logout`: everywhere, here and at the gateway.
pub(super) async fn out(
    axum::extract::State(state): axum::extract::State<State>,
    act: Act,
) -> Result<Response, WebError> {
    let ended = session::end_all(&state.store, &act.person.account, &act.person.user).await?;
    state.forget(&ended);
    let mut response = act.done("/login", "You are signed out, on every device.");
    append(&mut response, &act.site.set_cookie(COOKIE, "", 0));
    Ok(response)
}
