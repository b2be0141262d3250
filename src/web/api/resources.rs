//! Resources: what AWS says of instances.

use super::leases::CostView;
use super::wire::{Page, Part, Query, page};
use crate::model::{Resource, ResourceState, Time};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError};
use axum::Json;
use axum::extract::State as At;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What AWS says of an instance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ResourceView {
    /// `{aws_id}::{region}::{resource_id}`; its lease has the same id.
    id: String,
    aws_id: String,
    region: String,
    resource_id: String,
    kind: String,
    name: String,
    instance_type: String,
    /// The Auto Scaling group whose lease stands for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    member_of: Option<String>,
    state: String,
    owner: String,
    first_seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    launch_time: Option<String>,
    tags: std::collections::BTreeMap<String, String>,
    cost: CostView,
}

/// Which resources.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ResourceFilter {
    /// Of this owner; `pending` are those without one.
    owner: Option<String>,
    /// Only those that run.
    running: Option<bool>,
    /// At most so many, 1 to 500; 100 when left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Resources that the caller may see: their own, an admin all.
#[utoipa::path(get, path = "/api/v1/resources", tag = "leases", params(ResourceFilter),
    responses((status = 200, body = Page<ResourceView>)))]
pub(super) async fn list(
    At(state): At<State>,
    caller: Caller,
    Query(filter): Query<ResourceFilter>,
) -> Result<Json<Page<ResourceView>>, WebError> {
    caller.may(Scope::Read)?;
    let session = caller.person.session(&state).await?;
    let docs = state.store.prefix_as(&session, "resource::").await?;
    let prices = state.prices().await?;
    let view = |resource: Resource| {
        let rate = crate::web::group::rate(&state.index, &prices, &resource);
        ResourceView {
            id: resource.key.key().to_string(),
            aws_id: resource.key.aws_id.to_string(),
            region: resource.key.region.to_string(),
            resource_id: resource.key.resource_id.to_string(),
            kind: resource.kind,
            name: resource.facts.name,
            instance_type: resource.facts.instance_type,
            member_of: resource.facts.member_of.as_ref().map(ToString::to_string),
            state: resource.facts.state.as_str().to_owned(),
            owner: resource.owner.to_string(),
            first_seen: resource.first_seen.to_string(),
            launch_time: resource.facts.launch_time.map(|at: Time| at.to_string()),
            tags: resource.facts.tags,
            cost: CostView { running_hour: rate.running, volumes_hour: rate.volumes },
        }
    };
    let fits = |resource: &Resource| {
        let up = matches!(resource.facts.state, ResourceState::Pending | ResourceState::Running);
        filter.owner.as_ref().is_none_or(|owner| owner == resource.owner.as_str())
            && filter.running.is_none_or(|wanted| wanted == up)
    };
    let all =
        docs.into_iter().filter_map(|doc| serde_json::from_value::<Resource>(doc.body).ok()).filter(fits).map(view);
    let part = Part { limit: filter.limit, cursor: filter.cursor.clone() };
    page(all.collect(), &part, false, |resource| (resource.id.clone(), String::new())).map(Json)
}
