//! What a change of a policy or a stage would alter, before it is made: the forecasts of the pages.

use super::policies::{PolicyEdit, check, layer};
use super::wire::Body;
use crate::model::UserId;
use crate::web::admin::office::Admin;
use crate::web::admin::preview::Preview;
use crate::web::admin::{policy, stage};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError};
use axum::Json;
use axum::extract::{Path, State as At};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What a layer would alter if it were as the body says, lease by lease; changes nothing. Running ends do not move by a policy
/// alone; how far they can be renewed, and what is told when, does.
#[utoipa::path(post, path = "/api/v1/policies/{policy}/preview", tag = "policies", request_body = PolicyEdit,
    params(("policy" = String, Path)), responses((status = 200, body = Preview)))]
pub(super) async fn of_policy(
    At(state): At<State>,
    caller: Caller,
    Path(name): Path<String>,
    Body(edit): Body<PolicyEdit>,
) -> Result<Json<Preview>, WebError> {
    caller.admin(Scope::Read)?;
    let layer = layer(&caller, &name)?;
    check(&state, &layer, &edit.policy)?;
    let admin = Admin::new(state, caller.person)?;
    let aws_id = match &layer.field {
        Some(("aws_id", id)) => Some(admin.aws_account(id).await?.1.aws_id),
        Some((_, user)) => {
            known(&admin, user).await?;
            None
        }
        None => None,
    };
    let policy = Value::Object(edit.policy);
    let (preview, _) = policy::forecast(&admin, &layer.id, aws_id.as_ref(), &policy).await?;
    Ok(Json(preview))
}

async fn known(admin: &Admin, user: &str) -> Result<(), WebError> {
    let nobody = || WebError::NotFound("there is nobody by that name here".to_owned());
    let user = UserId::parse(user).map_err(|_| nobody())?;
    admin.find(&format!("user::{}::{user}", admin.person.account)).await?.map(drop).ok_or_else(nobody)
}

/// A stage that is thought of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StageTrial {
    /// `observe`, `notify`, `stop` or `terminate`
    stage: String,
}

/// What a stage would alter in an AWS account, lease by lease; changes nothing.
#[utoipa::path(post, path = "/api/v1/aws-accounts/{aws_id}/preview", tag = "aws accounts", request_body = StageTrial,
    params(("aws_id" = String, Path)), responses((status = 200, body = Preview)))]
pub(super) async fn of_stage(
    At(state): At<State>,
    caller: Caller,
    Path(aws_id): Path<String>,
    Body(trial): Body<StageTrial>,
) -> Result<Json<Preview>, WebError> {
    caller.admin(Scope::Read)?;
    let admin = Admin::new(state, caller.person)?;
    let (_, account) = admin.aws_account(&aws_id).await?;
    let to = stage::named(&trial.stage)?;
    let (preview, _) = stage::forecast(&admin, &account, to).await?;
    Ok(Json(preview))
}
