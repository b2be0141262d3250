//! Exemption rules: what a tag, a VPC, an image or a name picks out does not end until a day, for a reason.

use super::wire::{Body, based_on, etag, one as reply, stale_edit};
use crate::model::{ExemptionRule, LeaseKey, Time};
use crate::web::admin::office::Admin;
use crate::web::admin::preview::Preview;
use crate::web::exemptions::{Change, Wanted, document, holds, readable};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExemptionView {
    id: String,
    /// For `If-Match`: of all rules together, which stand in one document.
    etag: String,
    /// `tag`, `vpc`, `image` or `name`
    by: String,
    /// The tag; empty for the others.
    key: String,
    /// What must stand there, in any case; `*` is any text.
    value: String,
    reason: String,
    until: String,
    made_by: String,
    made_at: String,
    /// It is over.
    over: bool,
    /// How many leases it picks out.
    holds: usize,
}

impl ExemptionView {
    fn of(admin: &Admin, rev: &str, rule: ExemptionRule) -> ExemptionView {
        ExemptionView {
            holds: holds(admin, &rule),
            etag: etag(rev),
            by: rule.by.as_str().to_owned(),
            over: rule.until <= admin.now(),
            id: rule.id,
            key: rule.key,
            value: rule.value,
            reason: rule.reason,
            until: rule.until.to_string(),
            made_by: rule.made_by,
            made_at: rule.made_at.to_string(),
        }
    }
}

/// What a rule is to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewExemption {
    /// `tag`, `vpc`, `image` or `name`
    by: String,
    /// The tag, for `tag`.
    #[serde(default)]
    key: String,
    /// What must stand there, in any case; `*` is any text.
    #[schema(min_length = 1, max_length = 255)]
    value: String,
    #[schema(min_length = 1, max_length = 400)]
    reason: String,
    /// When it ends by itself.
    until: String,
}

impl NewExemption {
    fn check(&self, admin: &Admin) -> Result<ExemptionRule, WebError> {
        let wanted = Wanted {
            by: &self.by,
            key: &self.key,
            value: &self.value,
            reason: &self.reason,
            until: Time::parse(&self.until).ok(),
        };
        wanted.check(admin).map_err(|mistakes| WebError::Invalid(mistakes.join(" ")))
    }
}

fn admin(state: State, caller: Caller, scope: Scope) -> Result<Admin, WebError> {
    caller.admin(scope)?;
    Admin::new(state, caller.person)
}

async fn find(admin: &Admin, id: &str) -> Result<(ExemptionView, String), WebError> {
    let doc = document(admin).await?;
    let rule = readable(&doc).find(|rule| rule.id == id);
    let rule = rule.ok_or_else(|| WebError::NotFound("there is no such rule".to_owned()))?;
    let rev = doc.rev.unwrap_or_default();
    Ok((ExemptionView::of(admin, &rev, rule), rev))
}

/// The Account's rules.
#[utoipa::path(get, path = "/api/v1/exemptions", tag = "policies", responses((status = 200, body = [ExemptionView])))]
pub(super) async fn list(At(state): At<State>, caller: Caller) -> Result<Json<Vec<ExemptionView>>, WebError> {
    let admin = admin(state, caller, Scope::Read)?;
    let doc = document(&admin).await?;
    let rev = doc.rev.clone().unwrap_or_default();
    Ok(Json(readable(&doc).map(|rule| ExemptionView::of(&admin, &rev, rule)).collect()))
}

/// One rule.
#[utoipa::path(get, path = "/api/v1/exemptions/{id}", tag = "policies", params(("id" = String, Path)),
    responses((status = 200, body = ExemptionView, headers(("ETag" = String))), (status = 304, description = "As it was")))]
pub(super) async fn one(
    At(state): At<State>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let admin = admin(state, caller, Scope::Read)?;
    let (view, rev) = find(&admin, &id).await?;
    Ok(reply(&headers, &rev, view))
}

/// Makes a rule. It counts at once; what it picks out is held, and ends after it only when its owner had notice again.
#[utoipa::path(post, path = "/api/v1/exemptions", tag = "policies", request_body = NewExemption,
    responses((status = 201, body = ExemptionView)))]
pub(super) async fn add(
    At(state): At<State>,
    caller: Caller,
    Body(new): Body<NewExemption>,
) -> Result<Response, WebError> {
    let admin = admin(state, caller, Scope::Admin)?;
    let rule = new.check(&admin)?;
    let id = rule.id.clone();
    Change::Add(rule).make(&admin, None).await?;
    let (view, _) = find(&admin, &id).await?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// Changes a rule as a whole; it keeps its id, and its maker is then the caller.
#[utoipa::path(put, path = "/api/v1/exemptions/{id}", tag = "policies", request_body = NewExemption,
    params(("id" = String, Path), ("If-Match" = String, Header)), responses((status = 200, body = ExemptionView)))]
pub(super) async fn change(
    At(state): At<State>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(new): Body<NewExemption>,
) -> Result<Response, WebError> {
    let admin = admin(state, caller, Scope::Admin)?;
    let rule = new.check(&admin)?;
    find(&admin, &id).await?;
    let rev = based_on(&headers)?;
    Change::Replace(id.clone(), rule).make(&admin, Some(&rev)).await.map_err(stale_edit)?;
    let (view, rev) = find(&admin, &id).await?;
    Ok(reply(&HeaderMap::new(), &rev, view))
}

/// Ends a rule. With `If-Match` only while no rule changed since.
#[utoipa::path(delete, path = "/api/v1/exemptions/{id}", tag = "policies",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)), responses((status = 204, description = "Ended")))]
pub(super) async fn end(
    At(state): At<State>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    let admin = admin(state, caller, Scope::Admin)?;
    let rev = headers.contains_key(header::IF_MATCH).then(|| based_on(&headers)).transpose()?;
    Change::End(id).make(&admin, rev.as_deref()).await.map_err(stale_edit)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A change of the rules that is thought of: a new one, one in the place of another, or one that ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExemptionTrial {
    /// The new rule; left out where one ends.
    rule: Option<NewExemption>,
    /// The rule that it replaces, or that ends.
    replaces: Option<String>,
}

/// What a change of the rules would alter.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExemptionForecast {
    /// The leases that the new rule picks out: `{aws_id}::{region}::{resource_id}`.
    #[schema(value_type = Vec<String>)]
    picks: Vec<LeaseKey>,
    preview: Preview,
}

/// What a change of the rules would alter, lease by lease; changes nothing. The forecast is that of the page.
#[utoipa::path(post, path = "/api/v1/exemptions/preview", tag = "policies", request_body = ExemptionTrial,
    responses((status = 200, body = ExemptionForecast)))]
pub(super) async fn preview(
    At(state): At<State>,
    caller: Caller,
    Body(trial): Body<ExemptionTrial>,
) -> Result<Json<ExemptionForecast>, WebError> {
    let admin = admin(state, caller, Scope::Read)?;
    let rule = trial.rule.as_ref().map(|rule| rule.check(&admin)).transpose()?;
    let change = match (rule, trial.replaces) {
        (Some(rule), None) => Change::Add(rule),
        (Some(rule), Some(id)) => Change::Replace(id, rule),
        (None, Some(id)) => Change::End(id),
        (None, None) => return Err(WebError::Invalid("say the new rule, or which one ends".to_owned())),
    };
    let (preview, picks) = change.preview(&admin).await?;
    Ok(Json(ExemptionForecast { picks: picks.iter().map(crate::model::Lease::key).collect(), preview }))
}
