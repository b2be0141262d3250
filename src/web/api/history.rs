//! The audit: what happened in the Account.

use super::wire::{Part, Query, cursor, read_cursor};
use crate::model::Doc;
use crate::web::audit::Audit;
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

/// A part of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    /// Newest first. May be fewer than were asked for, even none, though there are more: a search for rare ones is gone on with
    /// by `next`.
    items: Vec<EventView>,
    /// The `cursor` of the next part; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What happened in the Account, newest first. For admins.
#[utoipa::path(get, path = "/api/v1/history", tag = "events", params(HistoryFilter), responses((status = 200, body = History)))]
pub(super) async fn history(
    At(state): At<State>,
    caller: Caller,
    Query(filter): Query<HistoryFilter>,
) -> Result<Json<History>, WebError> {
    caller.admin(Scope::Read)?;
    let part = Part { limit: filter.limit, cursor: filter.cursor.clone() };
    let limit = part.limit()?;
    let before = part.cursor.as_deref().map(read_cursor).transpose()?.map(|(id, _)| id);
    let prefix = format!("event::{}::", caller.person.account);
    let before = before.map(|id| format!("{prefix}{id}")).unwrap_or_default();
    let audit = Audit::of(&state, &caller.person).await?;
    let (docs, next) = audit.newest(&before, limit, |doc| filter.fits(doc)).await?;
    let items = docs.iter().filter_map(|doc| EventView::of(&doc.id, &doc.body)).collect();
    let next = next.as_deref().and_then(|id| id.strip_prefix(&prefix));
    Ok(Json(History { items, next: next.map(|id| cursor(&(id.to_owned(), String::new()))) }))
}

impl HistoryFilter {
    fn fits(&self, doc: &Doc<Value>) -> bool {
        let text = |name: &str| doc.body.get(name).and_then(Value::as_str).unwrap_or_default();
        let about = text("lease").strip_prefix("lease::").unwrap_or(text("lease"));
        let lease = self.lease.as_ref().is_none_or(|lease| lease == about);
        lease && (self.acts != Some(true) || !text("act").is_empty() || !text("by").is_empty())
    }
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
