//! My settings: what a person decides for themselves.

use super::edit::{self, edit};
use super::form::Act;
use super::html::Desk;
use super::{State, WebError};
use crate::model::{User, UserId};
use crate::words::clean;
use axum::response::Response;
use minijinja::context;
use serde_json::{Value, json};

/// `GET /settings`.
pub(super) async fn page(desk: Desk) -> Result<Response, WebError> {
    let person = &desk.person;
    let id = format!("user::{}::{}", person.account, person.user);
    let doc = edit::read(&desk.state, person, &id).await?;
    let user: User = doc
        .and_then(|doc| serde_json::from_value(doc.body).ok())
        .ok_or_else(|| WebError::NotFound("your user document cannot be read; tell an admin".to_owned()))?;
    let delegate = user.extra.get("delegate").and_then(Value::as_str).unwrap_or_default().to_owned();
    let directory = desk.state.index.directory();
    let others: Vec<_> = directory
        .of(&person.account)
        .filter(|other| other.user != person.user)
        .map(|other| context! { id => other.user.as_str(), name => clean(&other.name) })
        .collect();
    let zones: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let values = context! {
        name => clean(&user.name), email => clean(&user.email), login => user.github_login.as_deref().map(clean),
        zone => user.time_zone.unwrap_or_default(), text => user.mail_format.as_deref() == Some("text"),
        tokens => super::keys::all(&desk).await?, scopes => scopes(person.is_admin()),
        delegate, others, zones, here => desk.zone().local(desk.state.clock.now()),
    };
    desk.show("settings", "My settings", "settings.html", values)
}

/// What tokens of that person may do, as the form names it.
fn scopes(admin: bool) -> Vec<(&'static str, &'static str)> {
    let all = super::keys::SCOPES.iter().filter(|(scope, ..)| admin || *scope != super::token::Scope::Admin);
    all.map(|(_, word, what)| (*word, *what)).collect()
}

/// `POST /settings`.
pub(super) async fn save(
    axum::extract::State(state): axum::extract::State<State>,
    act: Act,
) -> Result<Response, WebError> {
    let zone = act.fields.get("zone");
    if !zone.is_empty() && jiff::tz::TimeZone::get(zone).is_err() {
        return Ok(act.failed("/settings", "There is no such time zone; choose one such as Europe/London."));
    }
    let delegate = act.fields.get("delegate");
    if !delegate.is_empty() && UserId::parse(delegate).is_err() {
        return Ok(act.failed("/settings", "Choose somebody from the list."));
    }
    let format = if act.fields.get("format") == "text" { "text" } else { "html" };
    let id = format!("user::{}::{}", act.person.account, act.person.user);
    let or_none = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    edit(&state, &act.person, &id, None, |body| {
        body.insert("time_zone".to_owned(), or_none(zone));
        body.insert("mail_format".to_owned(), json!(format));
        body.insert("delegate".to_owned(), or_none(delegate));
    })
    .await?;
    Ok(act.done("/settings", "Saved."))
}
