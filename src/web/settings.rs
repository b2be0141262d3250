//! My settings: what a person decides for themselves.

use super::edit::{self, edit};
use super::form::Act;
use super::html::Desk;
use super::{State, WebError};
use crate::model::{Time, User, UserId};
use crate::words::{Zone, clean};
use axum::response::Response;
use jiff::tz::TimeZone;
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
    let now = desk.state.clock.now();
    let delegate = user.extra.get("delegate").and_then(Value::as_str).unwrap_or_default().to_owned();
    let zone = Zone::named(user.time_zone.as_deref()).rules();
    let last_day = user.delegate_until().map(|until| last_day(until, &zone));
    let directory = desk.state.index.directory();
    let others: Vec<_> = directory
        .of(&person.account)
        .filter(|other| other.user != person.user)
        .map(|other| context! { id => other.user.as_str(), name => clean(&other.name) })
        .collect();
    let zones: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let values = context! {
        name => clean(&user.name), email => clean(&user.email), login => user.github_login.as_deref().map(clean),
        zone => user.time_zone.as_deref().unwrap_or_default(), text => user.mail_format.as_deref() == Some("text"),
        tokens => super::keys::all(&desk).await?, scopes => scopes(person.is_admin()),
        once => super::session::random(),
        delegate, others, zones, here => desk.zone().local(now), digest => user.digest_hour(), last_day,
        stands_in => directory.stand_in(&person.account, &person.user, now).map(|user| clean(&user.name)),
    };
    desk.show("settings", "My settings", "settings.html", values)
}

/// What tokens of that person may do, as the form names it.
fn scopes(admin: bool) -> Vec<(&'static str, &'static str)> {
    let all = super::keys::SCOPES.iter().filter(|(scope, ..)| admin || *scope != super::token::Scope::Admin);
    all.map(|(_, word, what)| (*word, *what)).collect()
}

/// The last day of an absence that ends then, as a form wants it.
fn last_day(until: Time, zone: &TimeZone) -> String {
    until.plus(-1).timestamp().to_zoned_datetime(zone.clone()).date().to_string()
}

/// The end of that day in the person's zone; absent when there is no such day or it is over.
fn away_until(day: &str, zone: &str, now: Time) -> Option<Time> {
    let zone = Zone::named(Some(zone)).rules();
    let next = day.parse::<jiff::civil::Date>().ok()?.tomorrow().ok()?;
    let end = next.at(0, 0, 0, 0).to_zoned_datetime(zone).ok()?;
    Some(Time::from_unix(end.timestamp().as_second())).filter(|end| *end > now)
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
    let hour = act.fields.get("digest");
    let digest = match hour.parse::<u8>() {
        Ok(hour @ 0..24) => json!(hour),
        _ if hour.is_empty() => Value::Null,
        _ => return Ok(act.failed("/settings", "Choose an hour from the list.")),
    };
    let until = match away_until(act.fields.get("until"), zone, state.clock.now()) {
        _ if delegate.is_empty() => Value::Null,
        Some(until) => json!(until),
        None => return Ok(act.failed("/settings", "Say until which day you are away, from today on.")),
    };
    let format = if act.fields.get("format") == "text" { "text" } else { "html" };
    let id = format!("user::{}::{}", act.person.account, act.person.user);
    let or_none = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    edit(&state, &act.person, &id, None, |body| {
        body.insert("time_zone".to_owned(), or_none(zone));
        body.insert("mail_format".to_owned(), json!(format));
        body.insert("digest_hour".to_owned(), digest.clone());
        body.insert("delegate".to_owned(), or_none(delegate));
        body.insert("delegate_until".to_owned(), until.clone());
    })
    .await?;
    Ok(act.done("/settings", "Saved."))
}

#[cfg(test)]
mod tests {
    use super::{Zone, away_until, last_day};
    use crate::model::Time;

    #[test]
    fn away_until_a_day_is_until_its_end_where_the_person_is() {
        let now = Time::parse("2026-10-20T12:00:00Z").unwrap();
        let until = |day, zone| away_until(day, zone, now).map(|until| until.to_string());
        assert_eq!(until("2026-10-24", "Europe/Berlin").unwrap(), "2026-10-24T22:00:00Z");
        assert_eq!(until("2026-10-25", "Europe/Berlin").unwrap(), "2026-10-25T23:00:00Z", "summer time ended");
        assert_eq!(until("2026-10-24", "").unwrap(), "2026-10-25T00:00:00Z");
        for bad in ["", "Friday", "2026-10-19", "2026-02-30"] {
            assert_eq!(until(bad, "Europe/Berlin"), None, "{bad}");
        }
        let berlin = Zone::named(Some("Europe/Berlin")).rules();
        assert_eq!(last_day(Time::parse("2026-10-25T23:00:00Z").unwrap(), &berlin), "2026-10-25");
    }
}
