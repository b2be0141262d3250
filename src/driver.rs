//! The driver: per event loads the view, decides, saves by compare-and-swap, hands the effects on. A conflict is an
//! ordinary branch: read and decide again. It decides nothing itself and deletes nothing.

mod live;
mod queue;
mod stages;
#[cfg(test)]
mod tests;

pub use live::LiveWorld;
pub use queue::{Look, Queue};
pub use stages::accept_stages;

use crate::clock::Clock;
use crate::failpoint::Failpoint;
use crate::model::{Doc, Lease, LeaseKey, Time};
use crate::reactor::{self, Effect, View};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A view and the revision of the lease in it, which a save must name.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the decision sees.
    pub view: View,
    /// `None` when there is no lease yet.
    pub rev: Option<String>,
}

/// What became of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It stands.
    Saved,
    /// Somebody else wrote first.
    Conflict,
}

/// What became of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Performed {
    /// A document changed: look again.
    Changed,
    /// It was so already, or it was handed on.
    Same,
}

/// A lease to save, with what led to it.
#[derive(Debug, Clone)]
pub struct Saving {
    /// The lease and the revision it was read at.
    pub lease: Doc<Lease>,
    /// The event that made zerocloud look; null when there is none.
    pub cause: Value,
    /// Why, for people.
    pub reason: String,
}

/// Documents and the world around them: live, or simulated.
pub trait World: Send + Sync {
    /// Everything that bears on a lease, freshly read; `None` when no document says anything about it.
    fn view(&self, key: &LeaseKey, trigger: &Value) -> impl Future<Output = anyhow::Result<Option<Loaded>>> + Send;
    /// Saves the lease by compare-and-swap, and records why.
    fn save(&self, saving: &Saving) -> impl Future<Output = anyhow::Result<Saved>> + Send;
    /// Carries one effect out. Idempotent.
    fn perform(&self, effect: &Effect) -> impl Future<Output = anyhow::Result<Performed>> + Send;
    /// Leases of one partition are decided one after another; the others side by side. One owner's leases are one.
    fn partition(&self, key: &LeaseKey) -> String;
}

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Nothing more to do until then, or until an event.
    Settled(Option<Time>),
    /// It did not come to rest, or something failed: look again soon.
    Again,
}

/// Conflicts and follow-up decisions of one look; past them the lease goes to the end of the queue.
const ROUNDS: u32 = 12;

/// Seconds until the next try after something failed, at first and at most; the wait doubles.
const RETRY: (i64, i64) = (5, 300);

/// Looks under way at a time.
const AT_ONCE: usize = 16;

/// Looks at one lease until a decision changes nothing.
pub async fn look<W: World>(world: &W, look: &Look, clock: &Clock, fail: &Failpoint) -> Looked {
    for _ in 0..ROUNDS {
        match round(world, look, clock, fail).await {
            Ok(Round::Rest(next)) => return Looked::Settled(next),
            Ok(Round::Moved) => {}
            Err(error) => {
                tracing::warn!(lease = %look.key, error = format!("{error:#}"), "a lease could not be judged");
                return Looked::Again;
            }
        }
    }
    tracing::warn!(lease = %look.key, "a lease did not come to rest; it is looked at again later");
    Looked::Again
}

enum Round {
    Moved,
    Rest(Option<Time>),
}

async fn round<W: World>(world: &W, look: &Look, clock: &Clock, fail: &Failpoint) -> anyhow::Result<Round> {
    // Before the view is read: what is to be read afresh by then has been.
    let now = clock.now();
    let Some(Loaded { view, rev }) = world.view(&look.key, &look.trigger).await? else {
        return Ok(Round::Rest(None));
    };
    let decision = reactor::decide(&view, now);
    let mut moved = false;
    if let Some(body) = decision.lease {
        let lease = Doc { id: look.key.lease_id(), rev, body };
        let saving = Saving { lease, cause: look.trigger.clone(), reason: decision.reason };
        if world.save(&saving).await? == Saved::Conflict {
            return Ok(Round::Moved);
        }
        fail.pass("save");
        moved = true;
    }
    let mut failed = None;
    for effect in &decision.effects {
        match world.perform(effect).await {
            Ok(done) => moved |= done == Performed::Changed,
            // One failing effect never stops the others; all are derived anew by the next look.
            Err(error) => failed = Some(error.context(effect.name())),
        }
        fail.pass(effect.name());
    }
    match (failed, moved) {
        (Some(error), _) => Err(error),
        (None, true) => Ok(Round::Moved),
        (None, false) => Ok(Round::Rest(decision.next)),
    }
}

/// Seconds to wait after a failure that follows `before` others in a row.
fn retry(before: u32) -> i64 {
    RETRY.1.min(RETRY.0 << before.min(10))
}

/// Takes looks from `looks`, waits for `ready` before the first decision (until then they only gather), and passes each
/// next time to `next`.
pub async fn run<W: World>(
    world: W,
    mut looks: mpsc::Receiver<Look>,
    ready: impl Future<Output = ()>,
    next: impl Fn(&LeaseKey, Option<Time>),
    clock: Clock,
    fail: Failpoint,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut queue = Queue::default();
    tokio::pin!(ready);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = &mut ready => break,
            Some(look) = looks.recv() => queue.push(look),
        }
    }
    let mut busy = HashSet::new();
    let mut failures: HashMap<LeaseKey, u32> = HashMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(one) =
                queue.pop(|key| !busy.contains(&key.to_string()) && !busy.contains(&world.partition(key)))
        {
            let held = [one.key.to_string(), world.partition(&one.key)];
            busy.extend(held.clone());
            let (world, clock, fail) = (&world, &clock, &fail);
            running.push(async move { (held, look(world, &one, clock, fail).await, one.key) });
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            more = looks.recv() => match more {
                Some(look) => queue.push(look),
                None => return Ok(()),
            },
            Some((held, looked, key)) = running.next() => {
                for one in held {
                    busy.remove(&one);
                }
                match looked {
                    Looked::Settled(at) => {
                        failures.remove(&key);
                        next(&key, at);
                    }
                    Looked::Again => {
                        let before = failures.entry(key.clone()).or_default();
                        next(&key, Some(clock.now().plus(retry(*before))));
                        *before = before.saturating_add(1);
                    }
                }
            }
        }
    }
}
