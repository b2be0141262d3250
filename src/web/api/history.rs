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
    /// `{aws_id}::{region}::{resource_id}`; empty for what an admin did that is not about one lease.
    lease: String,
    /// Then.
    owner: String,
    /// Then.
    state: String,
    /// What was changed, for what an admin did: `account`, `aws_account`, `user`, `policy`, `pause`, `region`, `hook`,
    /// `token` or `event_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<String>,
    /// Who did it, `{account}.{user}`; absent for the service, and for who wrote past the access rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// From what to what, for what an admin did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangeView>,
    reason: String,
    outcome: String,
}

/// One thing that an admin changed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ChangeView {
    /// Which setting.
    what: String,
    /// Null when it was not there.
    before: Value,
    /// Null when it is gone.
    after: Value,
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryFilter {
    /// About this lease.
    lease: Option<String>,
    /// Only what admins did, and what they edited.
    acts: Option<bool>,
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
    let fits = |event: &EventView| {
        let lease = filter.lease.as_ref().is_none_or(|lease| *lease == event.lease);
        lease && (filter.acts != Some(true) || event.act.is_some() || event.by.is_some())
    };
    let part = Part { limit: filter.limit, cursor: filter.cursor.clone() };
    page(all.filter(fits).collect(), &part, true, |event: &EventView| (event.id.clone(), String::new())).map(Json)
}

impl EventView {
    pub(super) fn of(id: &str, body: &Value) -> Option<EventView> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let none = Value::Null;
        let (lease, decision) = (text(body, "lease"), body.get("decision").unwrap_or(&none));
        let some = |name: &str| Some(text(body, name)).filter(|text| !text.is_empty());
        Some(EventView {
            id: id.splitn(3, "::").nth(2)?.to_owned(),
            at: text(body, "at"),
            lease: lease.strip_prefix("lease::").unwrap_or(&lease).to_owned(),
            owner: text(decision, "owner"),
            state: text(decision, "state"),
            act: some("act"),
            by: some("by"),
            changes: body.get("changes").and_then(|all| Vec::deserialize(all).ok()).unwrap_or_default(),
            reason: text(body, "reason"),
            outcome: text(body, "outcome"),
        })
    }
}
