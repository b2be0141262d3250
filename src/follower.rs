//! Stage: the `_changes` feed. Keeps the [`Index`] true to the documents and says which leases a change bears on. Decides
//! nothing and writes nothing.
//!
//! The index lives in memory, so the feed starts at the beginning whenever the process does; wakes begin when it has caught
//! up, and what they could have said before is said by the first sweep.

mod directory;
mod document;
mod index;
mod views;

pub use document::{Document, fault, read};
pub use index::{Index, LeaseRow};
pub use views::{Emitted, VIEWS, View, ViewTable, emitted};

use crate::model::LeaseKey;
use crate::store::{Change, Feed, Store, StoreError};
use futures_util::StreamExt as _;
use serde_json::Value;
use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a document that cannot be read is waited for between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// How much waits for whoever sees the feed beside the index, at most.
const KEPT: usize = 20_000;

/// What a change bears on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// These leases may be decided otherwise now.
    Leases(Vec<LeaseKey>),
    /// A notice waits to be sent.
    Outbox,
    /// An AWS account was added or changed.
    Accounts,
    /// The scheduler outside called for this lease.
    Called(LeaseKey),
}

/// What somebody else wants to see of the feed: from its beginning, in its order.
#[derive(Debug)]
pub enum Seen {
    /// A document as it stands now; nothing when it is gone.
    Changed(String, Option<Value>),
    /// What stood there at the start was all seen. Comes again now and then.
    CaughtUp,
}

/// Who wants to see it, and of which ids.
#[derive(Debug)]
pub struct Tap {
    /// Where it goes.
    pub to: mpsc::Sender<Seen>,
    /// Whether it is wanted.
    pub wants: fn(&str) -> bool,
}

/// What waits for a tap that is full: the feed never waits for it.
#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Seen>,
    lost: bool,
}

impl Waiting {
    fn push(&mut self, seen: Seen) {
        if matches!((&seen, self.queue.back()), (Seen::CaughtUp, Some(Seen::CaughtUp))) {
            return;
        }
        if self.queue.len() < KEPT {
            self.lost = false;
            return self.queue.push_back(seen);
        }
        // What is not seen now differs from what was seen last, and so is seen with the next change or start.
        if !std::mem::replace(&mut self.lost, true) {
            tracing::warn!("whoever sees the feed beside the index is far behind and misses something");
        }
    }

    /// Hands over one as soon as there is room; for ever while nothing waits. Gone, a tap takes nothing any more.
    async fn hand_over(&mut self, tap: Option<&Tap>) {
        let Some(tap) = tap.filter(|_| !self.queue.is_empty()) else { return std::future::pending().await };
        match tap.to.reserve().await {
            Ok(room) => {
                if let Some(seen) = self.queue.pop_front() {
                    room.send(seen);
                }
            }
            Err(_) => self.queue.clear(),
        }
    }
}

/// Follows the feed until shutdown.
pub async fn run(
    store: Store,
    index: Index,
    wakes: mpsc::Sender<Wake>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    run_seen(store, index, wakes, None, shutdown).await
}

/// The same while somebody else sees it, too.
pub async fn run_seen(
    store: Store,
    index: Index,
    wakes: mpsc::Sender<Wake>,
    tap: Option<Tap>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut feed = pin!(store.changes("0".to_owned()));
    let mut waiting = Waiting::default();
    loop {
        let item = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = waiting.hand_over(tap.as_ref()) => continue,
            item = feed.next() => item,
        };
        match item {
            None => return Ok(()),
            Some(Feed::CaughtUp) => {
                index.set_caught_up();
                if tap.is_some() {
                    waiting.push(Seen::CaughtUp);
                }
            }
            Some(Feed::Change(change)) => {
                let read = body(&store, &change);
                let Some(doc) = shutdown.run_until_cancelled(read).await else { return Ok(()) };
                let woken = index.apply(&change.id, doc.as_ref());
                index.set_seq(change.seq);
                if tap.as_ref().is_some_and(|tap| (tap.wants)(&change.id)) {
                    waiting.push(Seen::Changed(change.id, doc));
                }
                if !index.is_caught_up() {
                    continue;
                }
                for wake in woken {
                    tokio::select! {
                        () = shutdown.cancelled() => return Ok(()),
                        sent = wakes.send(wake) => if sent.is_err() { return Ok(()) },
                    }
                }
            }
        }
    }
}

/// The document of a change; `None` when it is gone. One that came without its document is read: only what the feed calls
/// deleted is (SAFETY.md, invariant 6).
async fn body(store: &Store, change: &Change) -> Option<Value> {
    if change.deleted || change.doc.is_some() {
        return change.doc.clone();
    }
    loop {
        match store.get::<Value>(&change.id).await {
            Ok(None) => return None,
            Ok(Some(mut doc)) => {
                if let Some(fields) = doc.body.as_object_mut() {
                    fields.extend(doc.rev.map(|rev| ("_rev".to_owned(), rev.into())));
                }
                return Some(doc.body);
            }
            Err(error) => {
                tracing::warn!(id = change.id, %error, "a change came without its document, which cannot be read yet");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Every document that cannot be read as a whole, with what is wrong with it; for whoever has no index.
pub async fn unreadable_documents(store: &Store) -> Result<Vec<(String, String)>, StoreError> {
    let docs = store.prefix("").await?;
    let found = docs.into_iter().filter_map(|doc| {
        let why = fault(&doc.id, doc.rev.as_deref(), &doc.body)?;
        Some((doc.id, why))
    });
    Ok(found.collect())
}
