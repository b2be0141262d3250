//! The audit: one `event` document for each change of a lease, with cause, decision, reason and outcome. It records what
//! happened, never what was meant to (SAFETY.md). Its last lines stand on the lease too, so one that could not be written
//! is logged and not tried again.

use crate::model::{Doc, Lease, Time};
use crate::store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A change that stands.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The lease as it was saved.
    pub lease: &'a Lease,
    /// The revision it got.
    pub rev: &'a str,
    /// The event that made zerocloud look, whole; null when there is none.
    pub cause: &'a Value,
    /// Why, for people.
    pub reason: &'a str,
    /// `saved`, or what EC2 said.
    pub outcome: &'a str,
}

/// Writes it; kept for `retention` seconds. The id sorts by time and names the revision, so that nothing is told twice.
pub async fn record(store: &Store, entry: &Entry<'_>, now: Time, retention: i64) {
    let lease = entry.lease;
    let generation = entry.rev.split('-').next().unwrap_or_default();
    let body = json!({
        "account": lease.account, "lease": lease.key().lease_id(), "at": now, "cause": entry.cause,
        // Who edited the lease since the service last wrote it, if anybody did.
        "by": lease.extra.get("updated_by"),
        "decision": {
            "state": lease.state, "owner": lease.owner, "expires_at": lease.expires_at, "ends_at": lease.ends_at,
            "term": lease.term, "hold": lease.hold.as_ref().map(|hold| hold.kind),
        },
        "reason": entry.reason, "outcome": entry.outcome, "purge_at": now.plus(retention),
    });
    let id = format!("event::{}::{now}::{}::{generation}", lease.account, lease.key());
    match store.put("event", &Doc { id, rev: None, body }).await {
        Ok(_) | Err(StoreError::Conflict { .. }) => {}
        Err(error) => tracing::warn!(lease = %lease.key(), %error, "the audit has a gap here"),
    }
}

/// How long after it was announced a change is still that person's doing, seconds: longer than another copy takes to lead, whose
/// recorder sees it. What failed is tried again at once, or never.
const PROMPT: i64 = 300;

/// Who is about to do something to a document that will not say who did. It stands beside what the audit knows of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// Their name at the gateway.
    pub by: String,
    /// When they said so.
    pub at: Time,
    /// They remove it, and do not change it.
    pub removes: bool,
}

impl Announced {
    /// Whether this, seen now, is what they meant: who failed long ago has nothing to do with it.
    pub fn explains(&self, removed: bool, now: Time) -> bool {
        self.removes == removed && now.seconds_since(self.at) <= PROMPT
    }
}

/// Notes who is about to remove a document whose removals are recorded: a tombstone does not say. Right before the removal; one
/// that then does not happen is nobody's doing.
pub async fn about_to_remove(store: &Store, id: &str, by: &str, now: Time) {
    announce(store, id, Announced { by: by.to_owned(), at: now, removes: true }).await;
}

/// Notes for whom the service is about to change a document: what the service writes names nobody.
pub async fn about_to_change(store: &Store, id: &str, by: &str, now: Time) {
    announce(store, id, Announced { by: by.to_owned(), at: now, removes: false }).await;
}

async fn announce(store: &Store, id: &str, announced: Announced) {
    // The recorder writes there, too.
    let known = format!("known::{id}");
    let noted = store.change("known", &known, |known: &mut Value| {
        known["announced"] = json!(announced);
        true
    });
    if let Err(error) = noted.await {
        tracing::debug!(id, %error, "the audit will not say who it was");
    }
}
