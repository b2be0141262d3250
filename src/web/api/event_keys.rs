//! Keys with which EventBridge posts what happens in an AWS account to `/hooks/aws/events`. For admins.

use super::wire::Body;
use crate::model::EventKey;
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError, event_keys};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key, without what it consists of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventKeyView {
    id: String,
    name: String,
    /// The AWS accounts whose events it may bring.
    accounts: Vec<String>,
    created: String,
    made_by: String,
    /// When it ends, once another has taken its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// When an event came with it, as far as the copy that answers knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<String>,
}

/// A new key, shown this one time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewEventKeyView {
    /// What EventBridge's connection sends in the header `x-zerocloud-key`. It cannot be shown again.
    key: String,
    #[serde(flatten)]
    about: EventKeyView,
}

/// What key is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEventKey {
    /// What it is for.
    #[schema(max_length = 100)]
    name: Option<String>,
    /// The AWS accounts whose events it may bring: several where they forward them to one bus. This one when left out.
    accounts: Option<Vec<String>>,
}

/// How to rotate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// Seconds for which the old key stays good, at most a week; a day when left out.
    #[schema(minimum = 0, maximum = 604_800)]
    overlap: Option<i64>,
}

fn view(state: &State, id: String, key: EventKey) -> EventKeyView {
    EventKeyView {
        used: state.inbox.used(&id).map(|at| at.to_string()),
        id,
        name: key.name,
        accounts: key.speaks_for.iter().map(ToString::to_string).collect(),
        created: key.created.to_string(),
        made_by: key.made_by.to_string(),
        expires: key.expires.map(|at| at.to_string()),
    }
}

fn shown(state: &State, made: event_keys::Made) -> NewEventKeyView {
    NewEventKeyView { key: made.secret, about: view(state, made.name, made.key) }
}

/// The keys of an AWS account.
#[utoipa::path(get, path = "/api/v1/aws-accounts/{aws_id}/event-keys", tag = "aws accounts", params(("aws_id" = String, Path)),
    responses((status = 200, body = [EventKeyView])))]
pub(super) async fn list(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
) -> Result<Json<Vec<EventKeyView>>, WebError> {
    caller.admin(Scope::Read)?;
    let keys = event_keys::list(&state, &caller.person, &aws_id).await?;
    Ok(Json(keys.into_iter().map(|(id, doc)| view(&state, id, doc.body)).collect()))
}

/// Makes a key. It is shown this one time.
#[utoipa::path(post, path = "/api/v1/aws-accounts/{aws_id}/event-keys", tag = "aws accounts", request_body = NewEventKey,
    params(("aws_id" = String, Path)), responses((status = 201, body = NewEventKeyView)))]
pub(super) async fn create(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
    Body(new): Body<NewEventKey>,
) -> Result<(StatusCode, Json<NewEventKeyView>), WebError> {
    caller.admin(Scope::Admin)?;
    let (about, accounts) = (new.name.unwrap_or_default(), new.accounts.unwrap_or_default());
    if about.chars().count() > 100 {
        return Err(WebError::Invalid("a key's name has at most 100 characters".to_owned()));
    }
    let made = event_keys::make(&state, &caller.person, &aws_id, &about, &accounts).await?;
    Ok((StatusCode::CREATED, Json(shown(&state, made))))
}

/// Makes a key in place of another, which stays good for a while.
#[utoipa::path(post, path = "/api/v1/aws-accounts/{aws_id}/event-keys/{id}/rotate", tag = "aws accounts", request_body = Rotation,
    params(("aws_id" = String, Path), ("id" = String, Path)), responses((status = 201, body = NewEventKeyView)))]
pub(super) async fn rotate(
    At(state): At<State>,
    caller: Caller,
    Path((aws_id, id)): Path<(String, String)>,
    Body(how): Body<Rotation>,
) -> Result<(StatusCode, Json<NewEventKeyView>), WebError> {
    caller.admin(Scope::Admin)?;
    let overlap = how.overlap.unwrap_or(event_keys::OVERLAP);
    let made = event_keys::rotate(&state, &caller.person, &aws_id, &id, overlap).await?;
    Ok((StatusCode::CREATED, Json(shown(&state, made))))
}

/// Revokes a key at once.
#[utoipa::path(delete, path = "/api/v1/aws-accounts/{aws_id}/event-keys/{id}", tag = "aws accounts",
    params(("aws_id" = String, Path), ("id" = String, Path)), responses((status = 204, description = "Revoked")))]
pub(super) async fn revoke(
    At(state): At<State>,
    caller: Caller,
    Path((aws_id, id)): Path<(String, String)>,
) -> Result<StatusCode, WebError> {
    caller.admin(Scope::Admin)?;
    event_keys::revoke(&state, &caller.person, &aws_id, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
