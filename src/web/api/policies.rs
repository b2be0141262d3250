//! Policies: layers of the Account, of AWS accounts and of users, and what is in force.

use super::wire::{Body, Query, based_on, etag, one as reply, stale};
use crate::model::{AwsId, Policy, PolicyLayer, UserId};
use crate::store::StoreError;
use crate::web::mistakes::mistakes;
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError, edit};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// A layer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PolicyView {
    /// `account`, `aws:{aws_id}` or `user:{user}`
    id: String,
    /// For `If-Match`.
    etag: String,
    /// Only what it changes: names and values as in the documentation of policies; durations in seconds.
    #[schema(value_type = Object)]
    policy: Value,
}

/// The settings of a layer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyEdit {
    /// The whole layer: what is not named goes back to the layer below.
    #[schema(value_type = Object)]
    pub(super) policy: serde_json::Map<String, Value>,
}

pub(super) struct Layer {
    pub(super) id: String,
    kind: &'static str,
    pub(super) field: Option<(&'static str, String)>,
}

/// The document of a layer by its name in paths.
pub(super) fn layer(caller: &Caller, name: &str) -> Result<Layer, WebError> {
    let account = &caller.person.account;
    let none = || WebError::NotFound("a policy is account, aws:{aws_id} or user:{user}".to_owned());
    match name.split_once(':') {
        None if name == "account" => {
            Ok(Layer { id: format!("policy::{account}"), kind: "account_policy", field: None })
        }
        Some(("aws", id)) => {
            let id = AwsId::parse(id).map_err(|_| none())?;
            let field = Some(("aws_id", id.to_string()));
            Ok(Layer { id: format!("policy::{account}::aws::{id}"), kind: "aws_account_policy", field })
        }
        Some(("user", id)) => {
            let id = UserId::parse(id).map_err(|_| none())?;
            let field = Some(("user", id.to_string()));
            Ok(Layer { id: format!("policy::{account}::user::{id}"), kind: "user_policy", field })
        }
        _ => Err(none()),
    }
}

fn view(name: &str, rev: Option<&str>, body: &Value) -> PolicyView {
    let policy = body.get("policy").cloned().unwrap_or_else(|| json!({}));
    PolicyView { id: name.to_owned(), etag: etag(rev.unwrap_or_default()), policy }
}

/// Every layer that the caller may see.
#[utoipa::path(get, path = "/api/v1/policies", tag = "policies", responses((status = 200, body = [PolicyView])))]
pub(super) async fn list(At(state): At<State>, caller: Caller) -> Result<Json<Vec<PolicyView>>, WebError> {
    caller.may(Scope::Read)?;
    let session = caller.person.session(&state).await?;
    let prefix = format!("policy::{}", caller.person.account);
    let docs = state.store.prefix_as(&session, &prefix).await?;
    let views = docs.iter().filter_map(|doc| {
        let rest = doc.id.strip_prefix(&prefix)?;
        let name = match rest.strip_prefix("::").and_then(|rest| rest.split_once("::")) {
            Some((kind, id)) => format!("{kind}:{id}"),
            None if rest.is_empty() => "account".to_owned(),
            // An Account whose name begins like ours.
            None => return None,
        };
        Some(view(&name, doc.rev.as_deref(), &doc.body))
    });
    Ok(Json(views.collect()))
}

/// For whom and where.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// In this AWS account.
    aws_id: Option<String>,
    /// For this user; the caller when left out.
    user: Option<String>,
}

/// What is in force for a user in an AWS account: defaults, then the layers one over the other.
#[utoipa::path(get, path = "/api/v1/policies/effective", tag = "policies", params(Whose),
    responses((status = 200, body = Object)))]
pub(super) async fn effective(
    At(state): At<State>,
    caller: Caller,
    Query(whose): Query<Whose>,
) -> Result<Json<Policy>, WebError> {
    caller.may(Scope::Read)?;
    let user = whose.user.clone().unwrap_or_else(|| caller.person.user.to_string());
    let mut names = vec!["account".to_owned()];
    names.extend(whose.aws_id.map(|id| format!("aws:{id}")));
    names.push(format!("user:{user}"));
    let session = caller.person.session(&state).await?;
    let mut layers = Vec::new();
    for name in names {
        let id = layer(&caller, &name)?.id;
        match state.store.get_as(&session, &id).await {
            Ok(doc) => layers.extend(doc.and_then(|doc| {
                serde_json::from_value::<PolicyLayer>(doc.body.get("policy").cloned().unwrap_or_default()).ok()
            })),
            Err(StoreError::Refused { status: 403, .. }) if user != caller.person.user.as_str() => {
                return Err(WebError::Forbidden("another user's policy is for admins".to_owned()));
            }
            Err(StoreError::Refused { status: 403, .. }) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(Json(Policy::effective(&layers)))
}

/// One layer.
#[utoipa::path(get, path = "/api/v1/policies/{policy}", tag = "policies", params(("policy" = String, Path)),
    responses((status = 200, body = PolicyView, headers(("ETag" = String))), (status = 304, description = "As it was")))]
pub(super) async fn one(
    At(state): At<State>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    caller.may(Scope::Read)?;
    let layer = layer(&caller, &name)?;
    let doc = edit::read(&state, &caller.person, &layer.id).await?;
    let doc = doc.ok_or_else(|| WebError::NotFound("there is no such layer".to_owned()))?;
    let rev = doc.rev.clone().unwrap_or_default();
    Ok(reply(&headers, &rev, view(&name, Some(&rev), &doc.body)))
}

/// Replaces a layer: with `If-Match` one that is there, with `If-None-Match: *` one that is not. Running ends do not move.
#[utoipa::path(put, path = "/api/v1/policies/{policy}", tag = "policies", request_body = PolicyEdit,
    params(("policy" = String, Path), ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = PolicyView)))]
pub(super) async fn put(
    At(state): At<State>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(edit): Body<PolicyEdit>,
) -> Result<Response, WebError> {
    caller.admin(Scope::Admin)?;
    let layer = layer(&caller, &name)?;
    check(&state, &layer, &edit.policy)?;
    let new = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == "*");
    let rev = if new { None } else { Some(based_on(&headers)?) };
    is_there(&state, &caller, &layer).await?;
    let session = caller.person.session(&state).await?;
    let known = state.store.get_as(&session, &layer.id).await?;
    let fresh = || {
        let mut body = json!({ "type": layer.kind, "schema": 1, "account": caller.person.account });
        if let Some((field, value)) = &layer.field {
            body[*field] = value.as_str().into();
        }
        body
    };
    let mut body = known.map_or_else(fresh, |doc| doc.body);
    body["policy"] = Value::Object(edit.policy);
    body["updated_by"] = caller.person.gateway_name().into();
    let rev = state.store.put_as(&session, &layer.id, &body, rev.as_deref()).await.map_err(stale)?;
    Ok(reply(&HeaderMap::new(), &rev, view(&name, Some(&rev), &body)))
}

/// A layer is of somebody who is here, or of an AWS account of the Account: for anybody else it would be without effect.
async fn is_there(state: &State, caller: &Caller, layer: &Layer) -> Result<(), WebError> {
    let account = &caller.person.account;
    let (id, none) = match &layer.field {
        Some(("user", user)) => (format!("user::{account}::{user}"), "there is nobody by that name here"),
        Some((_, aws_id)) => (format!("aws_account::{account}::{aws_id}"), "there is no such AWS account here"),
        None => return Ok(()),
    };
    edit::read(state, &caller.person, &id).await?.map(drop).ok_or_else(|| WebError::NotFound(none.to_owned()))
}

/// Every setting is known and can be read: a misspelt one must not be silently without effect. And they do not contradict each other.
pub(super) fn check(state: &State, of: &Layer, policy: &serde_json::Map<String, Value>) -> Result<(), WebError> {
    let defaults = serde_json::to_value(Policy::default()).unwrap_or_default();
    if let Some(unknown) = policy.keys().find(|name| defaults.get(name.as_str()).is_none()) {
        return Err(WebError::Invalid(format!("{unknown} is not a setting")));
    }
    let layer: PolicyLayer =
        serde_json::from_value(Value::Object(policy.clone())).map_err(|why| WebError::Invalid(why.to_string()))?;
    if let Some(odd) = layer.unreadable().first() {
        return Err(WebError::Invalid(format!("{odd}, which cannot be read")));
    }
    let short = policy.iter().find(|(_, value)| value.as_i64().is_some_and(|seconds| seconds < 1));
    if let Some((name, value)) = short {
        return Err(WebError::Invalid(format!("{name} must be at least 1, and is {value}")));
    }
    let directory = state.index.directory();
    let account = of.field.as_ref().and(of.id.split("::").nth(1)).unwrap_or_default();
    let without = Policy::effective(directory.policies.get(&format!("policy::{account}")));
    let wrong = mistakes(&layer, &without);
    if wrong.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = wrong.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    Err(WebError::Invalid(told.join(". ")))
}

/// Removes the layer of a user or an AWS account; the layers below stand.
#[utoipa::path(delete, path = "/api/v1/policies/{policy}", tag = "policies",
    params(("policy" = String, Path), ("If-Match" = String, Header)), responses((status = 204, description = "Removed")))]
pub(super) async fn remove(
    At(state): At<State>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    caller.admin(Scope::Admin)?;
    let layer = layer(&caller, &name)?;
    let rev = based_on(&headers)?;
    let session = caller.person.session(&state).await?;
    crate::audit::about_to_remove(&state.store, &layer.id, &caller.person.gateway_name(), state.clock.now()).await;
    state.store.delete_as(&session, &layer.id, &rev).await.map_err(stale)?;
    Ok(StatusCode::NO_CONTENT)
}
