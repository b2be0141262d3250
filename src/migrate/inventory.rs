//! Which documents a side has and at which revision, tombstones included, kept up to date from its `_changes` feed. Holds
//! ids and revisions in memory, never bodies.

use super::side::{Side, SideError};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many changes one request asks for.
const PAGE: usize = 2_000;

/// The current revision of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) rev: String,
    pub(super) deleted: bool,
}

/// All documents of a side.
#[derive(Debug)]
pub(super) struct Inventory {
    pub(super) docs: BTreeMap<String, Current>,
    /// Where the feed goes on; opaque.
    since: Value,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    results: Vec<Entry>,
    last_seq: Value,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    rev: String,
}

impl Inventory {
    /// Nothing is known yet.
    pub(super) fn new() -> Inventory {
        Inventory { docs: BTreeMap::new(), since: json!("0") }
    }

    /// Reads on; says how many documents changed. `seen` is told how many are known.
    pub(super) async fn follow(&mut self, side: &Side, seen: impl Fn(usize)) -> Result<usize, SideError> {
        let (mut changed, mut limit) = (0, PAGE);
        loop {
            let page = page(side, &self.since, limit).await?;
            let (count, at) = (page.results.len(), page.last_seq);
            for entry in page.results {
                let Some(change) = entry.changes.into_iter().next() else { continue };
                // Principals are not documents.
                if entry.id.starts_with('_') {
                    continue;
                }
                let now = Current { rev: change.rev, deleted: entry.deleted };
                if self.docs.get(&entry.id) != Some(&now) {
                    self.docs.insert(entry.id, now);
                    changed += 1;
                }
            }
            seen(self.docs.len());
            if count < limit {
                self.since = at;
                return Ok(changed);
            }
            // A gateway that waits for a late sequence starts again behind it: only a larger page gets on.
            limit = if at == self.since { limit * 2 } else { PAGE };
            self.since = at;
        }
    }

    /// Live documents and tombstones.
    pub(super) fn counts(&self) -> (usize, usize) {
        let deleted = self.docs.values().filter(|doc| doc.deleted).count();
        (self.docs.len() - deleted, deleted)
    }
}

/// Whether the side has any document, tombstones included.
pub(super) async fn any(side: &Side) -> Result<bool, SideError> {
    let mut since = json!("0");
    loop {
        let page = page(side, &since, 10).await?;
        if page.results.iter().any(|entry| !entry.id.starts_with('_')) {
            return Ok(true);
        }
        if page.results.is_empty() || page.last_seq == since {
            return Ok(false);
        }
        since = page.last_seq;
    }
}

/// The current revision of one document.
pub(super) async fn one(side: &Side, id: &str) -> Result<Option<Current>, SideError> {
    let what = "reading one change";
    let body = json!({ "feed": "normal", "filter": "_doc_ids", "doc_ids": [id] });
    let bytes = side.call(side.send_json(Method::POST, &["_changes"], body.to_string()), what).await?;
    let page: Page = serde_json::from_slice(&bytes).map_err(|why| side.malformed(what, why))?;
    let mut found = None;
    for entry in page.results.into_iter().filter(|entry| entry.id == id) {
        let rev = entry.changes.into_iter().next().map(|change| change.rev);
        found = rev.map(|rev| Current { rev, deleted: entry.deleted });
    }
    Ok(found)
}

async fn page(side: &Side, since: &Value, limit: usize) -> Result<Page, SideError> {
    let what = "reading the list of changes";
    let body = json!({ "feed": "normal", "since": since, "limit": limit });
    let bytes = side.call(side.send_json(Method::POST, &["_changes"], body.to_string()), what).await?;
    serde_json::from_slice(&bytes).map_err(|why| side.malformed(what, why))
}
