//! One lease with its story. Notices are read by the service, after the lease itself was read as the person.

use super::leases::LeaseView;
use crate::model::{LeaseKey, Notice, NoticeStatus};
use crate::web::{State, WebError};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A lease, what told of it first, and what was said about it to whom.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LeaseStory {
    #[serde(flatten)]
    pub(super) lease: LeaseView,
    /// What the lease began with: a scan, or an event of AWS with who launched it; null where nobody knows.
    #[schema(value_type = Option<Object>)]
    pub(super) trigger: Value,
    /// In their order; without those that were not true any more before they were sent.
    pub(super) notices: Vec<NoticeView>,
}

/// What somebody is told.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NoticeView {
    /// `first`, `warning-{seconds before}`, `expired`, `stopped`, `ended`, `offered` or `admin-{what}`
    kind: String,
    /// The user's id.
    to: String,
    /// `queued`, `accepted` (by the mail service), `refused` or `bounced`
    status: &'static str,
    due_at: String,
    /// When the mail service took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
}

/// Every notice about a lease.
pub(super) async fn notices(state: &State, key: &LeaseKey) -> Result<Vec<NoticeView>, WebError> {
    let docs = state.store.prefix(&format!("notice::{key}::")).await?.into_iter();
    let mut all: Vec<Notice> = docs.filter_map(|doc| serde_json::from_value(doc.body).ok()).collect();
    all.sort_by_key(|notice| (notice.due_at, notice.id()));
    Ok(all.iter().filter_map(view).collect())
}

fn view(notice: &Notice) -> Option<NoticeView> {
    let status = match notice.status {
        NoticeStatus::Queued => "queued",
        NoticeStatus::Accepted => "accepted",
        NoticeStatus::Refused => "refused",
        NoticeStatus::Bounced => "bounced",
        NoticeStatus::Obsolete => return None,
    };
    Some(NoticeView {
        kind: notice.kind.to_string(),
        to: notice.user.to_string(),
        status,
        due_at: notice.due_at.to_string(),
        accepted_at: notice.accepted_at.map(|at| at.to_string()),
    })
}
