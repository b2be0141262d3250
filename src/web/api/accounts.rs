//! AWS accounts, and pauses of them.

use super::wire::{Body, based_on, etag, one as reply, stale};
use crate::model::{AwsAccount, AwsId, Doc, Pause};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError, edit, pauses};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// An AWS account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AwsAccountView {
    /// Its 12 digits.
    id: String,
    /// For `If-Match`.
    etag: String,
    name: String,
    /// Empty: every enabled one.
    regions: Vec<String>,
    /// What an admin wants: `observe`, `notify`, `stop` or `terminate`.
    stage: String,
    /// What is in force: a rise counts only once the service took note of it.
    effective_stage: String,
    disabled: bool,
    /// Whether zerocloud writes tags, from stage notify on.
    write_tags: bool,
}

fn no_account() -> WebError {
    WebError::NotFound("there is no such AWS account, or you may not see it".to_owned())
}

fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).unwrap_or_default().as_str().unwrap_or_default().to_owned()
}

impl AwsAccountView {
    fn of(doc: Doc<Value>) -> Option<AwsAccountView> {
        let account: AwsAccount = serde_json::from_value(doc.body).ok()?;
        let (effective_stage, write_tags) = (word(account.effective_stage()), account.writes_tags());
        Some(AwsAccountView {
            id: account.aws_id.to_string(),
            etag: etag(&doc.rev.unwrap_or_default()),
            name: account.name,
            regions: account.regions.iter().map(ToString::to_string).collect(),
            stage: word(account.stage),
            effective_stage,
            disabled: account.disabled,
            write_tags,
        })
    }
}

async fn read(state: &State, caller: &Caller, aws_id: &str) -> Result<Doc<Value>, WebError> {
    let aws_id = AwsId::parse(aws_id).map_err(|_| no_account())?;
    let id = format!("aws_account::{}::{aws_id}", caller.person.account);
    edit::read(state, &caller.person, &id).await?.ok_or_else(no_account)
}

/// The Account's AWS accounts.
#[utoipa::path(get, path = "/api/v1/aws-accounts", tag = "aws accounts", responses((status = 200, body = [AwsAccountView])))]
pub(super) async fn list(At(state): At<State>, caller: Caller) -> Result<Json<Vec<AwsAccountView>>, WebError> {
    caller.admin(Scope::Read)?;
    let session = caller.person.session(&state).await?;
    let docs = state.store.prefix_as(&session, &format!("aws_account::{}::", caller.person.account)).await?;
    Ok(Json(docs.into_iter().filter_map(AwsAccountView::of).collect()))
}

/// One AWS account.
#[utoipa::path(get, path = "/api/v1/aws-accounts/{aws_id}", tag = "aws accounts", params(("aws_id" = String, Path)),
    responses((status = 200, body = AwsAccountView, headers(("ETag" = String))), (status = 304, description = "As it was")))]
pub(super) async fn one(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    caller.admin(Scope::Read)?;
    let doc = read(&state, &caller, &aws_id).await?;
    let rev = doc.rev.clone().unwrap_or_default();
    Ok(reply(&headers, &rev, AwsAccountView::of(doc).ok_or_else(no_account)?))
}

/// What may be changed; what is left out stays.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AwsAccountEdit {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regions: Option<Vec<String>>,
    /// One step up at a time, any number down.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    /// Neither polled nor acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<bool>,
    /// Whether zerocloud writes `zerocloud:lease`, `zerocloud:expires` and the owner's tag, from stage notify on.
    #[serde(skip_serializing_if = "Option::is_none")]
    write_tags: Option<bool>,
}

/// Edits an AWS account.
#[utoipa::path(patch, path = "/api/v1/aws-accounts/{aws_id}", tag = "aws accounts", request_body = AwsAccountEdit,
    params(("aws_id" = String, Path), ("If-Match" = String, Header)), responses((status = 200, body = AwsAccountView)))]
pub(super) async fn edit(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
    headers: HeaderMap,
    Body(edit): Body<AwsAccountEdit>,
) -> Result<Response, WebError> {
    caller.admin(Scope::Admin)?;
    let named = edit.regions.iter().flatten().map(|region| crate::model::Region::parse(region));
    let named: Vec<_> = named.collect::<Result<_, _>>().map_err(|why| WebError::Invalid(why.to_string()))?;
    let mut doc = read(&state, &caller, &aws_id).await?;
    let rev = based_on(&headers)?;
    if let Some(account) =
        doc.body["aws_id"].as_str().and_then(|id| AwsId::parse(id).ok()).filter(|_| !named.is_empty())
    {
        // As the page does: one that AWS does not know is refused.
        state.connections.get()?.check_regions(&caller.person.account, &account, &named).await?;
    }
    let changes = serde_json::to_value(&edit).map_err(|why| WebError::Internal(why.into()))?;
    for (name, value) in changes.as_object().into_iter().flatten() {
        doc.body[name] = value.clone();
    }
    doc.body["updated_by"] = caller.person.gateway_name().into();
    let session = caller.person.session(&state).await?;
    state.store.put_as(&session, &doc.id, &doc.body, Some(&rev)).await.map_err(stale)?;
    let doc = read(&state, &caller, &aws_id).await?;
    let rev = doc.rev.clone().unwrap_or_default();
    Ok(reply(&HeaderMap::new(), &rev, AwsAccountView::of(doc).ok_or_else(no_account)?))
}

/// A pause that is in force: no end starts there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PauseView {
    /// `account`, or an AWS account's 12 digits.
    scope: String,
    reason: String,
    by: String,
    since: String,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPause {
    /// Shown to everybody whose lease is held.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// The AWS account that a scope names; `None` for the whole Account.
fn scope_of(scope: &str) -> Result<Option<AwsId>, WebError> {
    if scope == "account" {
        return Ok(None);
    }
    let unknown = |_| WebError::NotFound("a pause is of the account, or of an AWS account by its id".to_owned());
    AwsId::parse(scope).map(Some).map_err(unknown)
}

/// The pauses that are in force.
#[utoipa::path(get, path = "/api/v1/pauses", tag = "aws accounts", responses((status = 200, body = [PauseView])))]
pub(super) async fn pauses(At(state): At<State>, caller: Caller) -> Result<Json<Vec<PauseView>>, WebError> {
    caller.admin(Scope::Read)?;
    let session = caller.person.session(&state).await?;
    let prefix = format!("pause::{}", caller.person.account);
    let (docs, now) = (state.store.prefix_as(&session, &prefix).await?, state.clock.now());
    let views = docs.into_iter().filter_map(|doc| {
        let rest = doc.id.strip_prefix(&prefix)?;
        let scope = if rest.is_empty() { "account" } else { rest.strip_prefix("::")? }.to_owned();
        let pause: Pause = serde_json::from_value(doc.body).ok()?;
        pauses::is_in_force(&pause, now).then(|| PauseView {
            scope,
            reason: pause.reason,
            by: pause.by,
            since: pause.since.to_string(),
        })
    });
    Ok(Json(views.collect()))
}

/// Lets no end start in the Account (`account`) or in one AWS account (its id). Again, it only changes the reason.
#[utoipa::path(put, path = "/api/v1/pauses/{scope}", tag = "aws accounts", request_body = NewPause,
    params(("scope" = String, Path)), responses((status = 200, body = PauseView)))]
pub(super) async fn pause(
    At(state): At<State>,
    caller: Caller,
    Path(scope): Path<String>,
    Body(new): Body<NewPause>,
) -> Result<Json<PauseView>, WebError> {
    caller.admin(Scope::Admin)?;
    let aws_id = scope_of(&scope)?;
    if let Some(aws_id) = &aws_id {
        read(&state, &caller, aws_id.as_str()).await?;
    }
    let (person, reason) = (&caller.person, new.reason.trim().to_owned());
    let since = pauses::begin(&state, person, aws_id.as_ref().map(AwsId::as_str), &reason).await?;
    Ok(Json(PauseView { scope, reason, by: person.gateway_name(), since: since.to_string() }))
}

/// Lifts a pause. What is overdue ends only after its owner had the minimum notice again.
#[utoipa::path(delete, path = "/api/v1/pauses/{scope}", tag = "aws accounts", params(("scope" = String, Path)),
    responses((status = 204, description = "Lifted, or not paused")))]
pub(super) async fn resume(
    At(state): At<State>,
    caller: Caller,
    Path(scope): Path<String>,
) -> Result<StatusCode, WebError> {
    caller.admin(Scope::Admin)?;
    let aws_id = scope_of(&scope)?;
    pauses::lift(&state, &caller.person, aws_id.as_ref().map(AwsId::as_str)).await?;
    Ok(StatusCode::NO_CONTENT)
}
