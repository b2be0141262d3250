//! Events of an AWS account, on its page: where EventBridge posts them, and the keys that let them in, made here and shown once.

use super::super::{State, WebError, event_keys, once, session};
use super::desk::{AdminAct, AdminDesk};
use crate::model::AwsAccount;
use crate::words::clean;
use axum::extract::Path;
use axum::response::Response;
use minijinja::{Value, context};

/// What the section shows: a moment behind the documents, as all that pages know of the directory.
pub(super) fn section(desk: &AdminDesk, aws: &AwsAccount) -> Value {
    let now = desk.now();
    let directory = desk.state.index.directory();
    let own = directory
        .event_keys
        .iter()
        .filter(|(_, key)| key.account == desk.person.account && key.aws_id == aws.aws_id && key.is_good(now));
    let mut keys: Vec<_> = own.collect();
    keys.sort_by_key(|(name, key)| (key.created, (*name).clone()));
    let shown = keys.into_iter().map(|(name, key)| {
        let others = key.speaks_for.iter().filter(|id| **id != aws.aws_id).count();
        context! {
            id => name,
            name => clean(&key.name),
            made => desk.when(key.created),
            by => key.made_by.as_str(),
            others,
            accounts => key.speaks_for.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            expires => key.expires.map(|at| desk.when(at)),
            used => desk.state.inbox.used(name).map(|at| desk.when(at)),
        }
    });
    let keys: Vec<Value> = shown.collect();
    context! { keys, once => session::random(), endpoint => endpoint(&desk.state, &desk.site().origin), https => desk.site().https }
}

/// Where EventBridge posts to.
fn endpoint(state: &State, origin: &str) -> String {
    format!("{}/hooks/aws/events", state.settings.public_url.as_deref().unwrap_or(origin))
}

/// `POST /aws-accounts/{aws_id}/event-keys`: fields `name`, and `accounts`, apart by spaces. The key is shown this one time.
pub(super) async fn make(Path(aws_id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let desk = &act.desk;
    let named = act.fields.get("accounts").split([' ', ',', '\n', '\r', '\t']).filter(|id| !id.is_empty());
    let named: Vec<String> = named.map(str::to_owned).collect();
    let made = event_keys::make(&desk.state, &desk.person, &aws_id, act.fields.get("name"), &named);
    let form = (format!("{aws_id}/make"), act.fields.get("once"));
    let made = once::form(&desk.state, &desk.person, (&form.0, form.1), made).await;
    shown(desk, &aws_id, made, false)
}

/// `POST /aws-accounts/{aws_id}/event-keys/{id}/rotate`: the old key stays good for a day.
pub(super) async fn rotate(Path((aws_id, id)): Path<(String, String)>, act: AdminAct) -> Result<Response, WebError> {
    let desk = &act.desk;
    let made = event_keys::rotate(&desk.state, &desk.person, &aws_id, &id, event_keys::OVERLAP);
    let form = (format!("{aws_id}/rotate/{id}"), act.fields.get("once"));
    let made = once::form(&desk.state, &desk.person, (&form.0, form.1), made).await;
    shown(desk, &aws_id, made, true)
}

fn shown(
    desk: &AdminDesk,
    aws_id: &str,
    made: Result<event_keys::Made, WebError>,
    rotated: bool,
) -> Result<Response, WebError> {
    let made = match made {
        Ok(made) => made,
        Err(WebError::Invalid(why)) => return Ok(desk.failed(&format!("/aws-accounts/{aws_id}"), &why)),
        Err(other) => return Err(other),
    };
    let values = context! {
        aws_id, rotated,
        secret => made.secret,
        endpoint => endpoint(&desk.state, &desk.site().origin),
        accounts => made.key.speaks_for.iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    desk.show("aws", "The new event key", "event_key.html", values)
}

/// `POST /aws-accounts/{aws_id}/event-keys/{id}/revoke`.
pub(super) async fn revoke(Path((aws_id, id)): Path<(String, String)>, act: AdminAct) -> Result<Response, WebError> {
    let desk = &act.desk;
    event_keys::revoke(&desk.state, &desk.person, &aws_id, &id).await?;
    Ok(desk.done(&format!("/aws-accounts/{aws_id}"), "Revoked: events that come with it are refused."))
}
