//! Connecting AWS accounts: begin, apply the template, verify; later another external id, or removal.

use super::wire::{Body, Query};
use crate::connect::{Access, Ends, Kind, Options, Report, Rotation};
use crate::model::{AwsId, Region};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How zerocloud gets into an AWS account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccessView {
    /// Its 12 digits.
    id: String,
    name: String,
    /// Empty: every enabled one.
    regions: Vec<String>,
    /// `false`: it was begun, and not verified yet.
    connected: bool,
    /// Absent in zerocloud's own AWS account, which needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    /// What the role's trust policy has to ask for; a new one while it is rotated. Absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// `begun`: the role has to take the new external id as well as the old one. `ending`: the new one is in use, and the role
    /// has to forget the old one. Absent when none is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<String>,
}

impl From<Access> for AccessView {
    fn from(access: Access) -> AccessView {
        AccessView {
            id: access.aws_id.to_string(),
            name: access.name,
            regions: access.regions.iter().map(ToString::to_string).collect(),
            connected: access.connected,
            role_arn: access.role_arn,
            external_id: access.external_id,
            rotation: access.rotation.map(|rotation| match rotation {
                Rotation::Begun => "begun".to_owned(),
                Rotation::Ending => "ending".to_owned(),
            }),
        }
    }
}

/// An AWS account to connect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAwsAccount {
    /// Its 12 digits.
    #[schema(pattern = "^[0-9]{12}$")]
    id: String,
    /// What people call it; its digits when left out.
    #[schema(max_length = 80)]
    name: Option<String>,
    /// Every enabled one when left out.
    #[serde(default)]
    regions: Vec<String>,
}

/// What the template is to grant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `cloudformation` (when left out), `terraform` or `cli`.
    kind: Option<String>,
    /// `none`, `stop` or `terminate`; what the stage needs when left out.
    ends: Option<String>,
    /// Whether zerocloud may write tags; as the AWS account is set when left out.
    tags: Option<bool>,
    /// `true`: the command that applies it, in its place; nothing for zerocloud's own AWS account.
    command: Option<bool>,
}

/// What is known of the role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Applied {
    /// Its ARN, when it is not the one that the template makes.
    role_arn: Option<String>,
}

fn named(aws_id: &str) -> Result<AwsId, WebError> {
    AwsId::parse(aws_id).map_err(|_| WebError::NotFound("there is no such AWS account here".to_owned()))
}

fn owner_tag(state: &State, caller: &Caller, aws_id: &AwsId) -> String {
    state.index.directory().policy(&caller.person.account, aws_id, None).owner_tag
}

/// Begins to connect an AWS account: makes the external id that its role is to ask for. Begun again, it keeps that.
#[utoipa::path(post, path = "/api/v1/aws-accounts", tag = "aws accounts", request_body = NewAwsAccount,
    responses((status = 201, body = AccessView)))]
pub(super) async fn begin(
    At(state): At<State>,
    caller: Caller,
    Body(new): Body<NewAwsAccount>,
) -> Result<(StatusCode, Json<AccessView>), WebError> {
    caller.admin(Scope::Admin)?;
    let invalid = |why: crate::model::BadId| WebError::Invalid(why.to_string());
    let aws_id = AwsId::parse(&new.id).map_err(invalid)?;
    let regions: Result<Vec<Region>, _> = new.regions.iter().map(|region| Region::parse(region)).collect();
    let name = new.name.unwrap_or_default();
    let connect = state.connections.get()?;
    let access = connect.begin(&caller.person.account, &aws_id, &name, regions.map_err(invalid)?).await?;
    Ok((StatusCode::CREATED, Json(access.into())))
}

/// Those that were begun and are not connected yet. Their external ids are shown one by one, to who may connect them.
#[utoipa::path(get, path = "/api/v1/aws-accounts/begun", tag = "aws accounts", responses((status = 200, body = [AccessView])))]
pub(super) async fn begun(At(state): At<State>, caller: Caller) -> Result<Json<Vec<AccessView>>, WebError> {
    caller.admin(Scope::Read)?;
    let begun = state.connections.get()?.begun(&caller.person.account).await?;
    let views = begun.into_iter().map(AccessView::from);
    Ok(Json(views.map(|view| AccessView { external_id: None, ..view }).collect()))
}

/// How zerocloud gets into one that is connected or begun.
#[utoipa::path(get, path = "/api/v1/aws-accounts/{aws_id}/access", tag = "aws accounts", params(("aws_id" = String, Path)),
    responses((status = 200, body = AccessView)))]
pub(super) async fn access(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
) -> Result<Json<AccessView>, WebError> {
    caller.admin(Scope::Admin)?;
    let access = state.connections.get()?.find(&caller.person.account, &named(&aws_id)?).await?;
    Ok(Json(access.into()))
}

/// The role to apply there, with zerocloud's own name and the external id in it; while that is rotated, with both.
#[utoipa::path(get, path = "/api/v1/aws-accounts/{aws_id}/template", tag = "aws accounts",
    params(("aws_id" = String, Path), Wanted), responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn template(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, WebError> {
    caller.admin(Scope::Admin)?;
    let aws_id = named(&aws_id)?;
    let kind = wanted.kind.as_deref().map_or(Some(Kind::CloudFormation), Kind::parse);
    let kind = kind.ok_or_else(|| WebError::Invalid("kind is cloudformation, terraform or cli".to_owned()))?;
    let ends = wanted
        .ends
        .as_deref()
        .map(|word| Ends::parse(word).ok_or_else(|| WebError::Invalid("ends is none, stop or terminate".to_owned())));
    let owner_tag = owner_tag(&state, &caller, &aws_id);
    let options = Options { ends: ends.transpose()?, tags: wanted.tags, owner_tag };
    let template = state.connections.get()?.template(&caller.person.account, &aws_id, kind, &options).await?;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    let text = if wanted.command == Some(true) { template.command } else { template.text };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Verifies that the role lets zerocloud in and nobody else, and what it may do. The first time that this is so and instances
/// can be seen it is connected, at stage observe; other permissions that are missing are told, and keep nothing. Nothing is
/// changed in AWS.
#[utoipa::path(post, path = "/api/v1/aws-accounts/{aws_id}/verify", tag = "aws accounts", request_body = Applied,
    params(("aws_id" = String, Path)), responses((status = 200, body = Report)))]
pub(super) async fn verify(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
    Body(applied): Body<Applied>,
) -> Result<Json<Report>, WebError> {
    caller.admin(Scope::Admin)?;
    let aws_id = named(&aws_id)?;
    let (connect, role, tag) =
        (state.connections.get()?, applied.role_arn.as_deref(), owner_tag(&state, &caller, &aws_id));
    Ok(Json(connect.verify(&caller.person.account, &aws_id, role, &tag, &caller.person.gateway_name()).await?))
}

/// Makes another external id beside the one in use. Apply the template, which then names both, and verify; apply it again, and
/// verify that the old one is refused.
#[utoipa::path(post, path = "/api/v1/aws-accounts/{aws_id}/rotate", tag = "aws accounts", params(("aws_id" = String, Path)),
    responses((status = 200, body = AccessView)))]
pub(super) async fn rotate(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
) -> Result<Json<AccessView>, WebError> {
    caller.admin(Scope::Admin)?;
    let access = state
        .connections
        .get()?
        .rotate(&caller.person.account, &named(&aws_id)?, &caller.person.gateway_name())
        .await?;
    Ok(Json(access.into()))
}

/// Removes one that is disabled, or drops one that was only begun. Nothing is ended in AWS.
#[utoipa::path(delete, path = "/api/v1/aws-accounts/{aws_id}", tag = "aws accounts", params(("aws_id" = String, Path)),
    responses((status = 204, description = "Removed")))]
pub(super) async fn remove(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
) -> Result<StatusCode, WebError> {
    caller.admin(Scope::Admin)?;
    state.connections.get()?.remove(&caller.person.account, &named(&aws_id)?, &caller.person.gateway_name()).await?;
    Ok(StatusCode::NO_CONTENT)
}
