//! The audit: what happened in the Account.

use super::wire::{Page, Part, Query, page};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError};
use axum::Json;
use axum::extract::State as At;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A line of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventView {
    id: String,
    at: String,
    /// `{aws_id}::{region}::{resource_id}`
    lease: String,
    owner: String,
    state: String,
    reason: String,
    outcome: String,
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryFilter {
    /// About this lease.
    lease: Option<String>,
    /// At most so many, 1 to 500; 100 when left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What happened in the Account, newest first. For admins.
#[utoipa::path(get, path = "/api/v1/history", tag = "events", params(HistoryFilter), responses((status = 200, body = Page<EventView>)))]
pub(super) async fn history(
    At(state): At<State>,
    caller: Caller,
    Query(filter): Query<HistoryFilter>,
) -> Result<Json<Page<EventView>>, WebError> {
    caller.admin(Scope::Read)?;
    let session = caller.person.session(&state).await?;
    let docs = state.store.prefix_as(&session, &format!("event::{}::", caller.person.account)).await?;
    let all = docs.into_iter().filter_map(|doc| EventView::of(&doc.id, &doc.body));
    let fits = |event: &EventView| filter.lease.as_ref().is_none_or(|lease| *lease == event.lease);
    let part = Part { limit: filter.limit, cursor: filter.cursor.clone() };
    page(all.filter(fits).collect(), &part, true, |event: &EventView| (event.id.clone(), String::new())).map(Json)
}

impl EventView {
    pub(super) fn of(id: &str, body: &Value) -> Option<EventView> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (lease, decision) = (text(body, "lease"), body.get("decision")?);
        Some(EventView {
            id: id.splitn(3, "::").nth(2)?.to_owned(),
            at: text(body, "at"),
            lease: lease.strip_prefix("lease::").unwrap_or(&lease).to_owned(),
            owner: text(decision, "owner"),
            state: text(decision, "state"),
            reason: text(body, "reason"),
            outcome: text(body, "outcome"),
        })
    }
}
