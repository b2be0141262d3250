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
use serde_json::Value;
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

/// Documents and the world around them: live, or simulated.
pub trait World: Send + Sync {
    /// Everything that bears on a lease, freshly read; `None` when no document says anything about it.
    fn view(
        &self,
        key: &LeaseKey,
        trigger: &Value,
    ) -> impl Future<Output = anyhow::Result<Option<Loaded>>> + Send;
    /// Saves the lease by compare-and-swap.
    fn save(&self, lease: &Doc<Lease>) -> impl Future<Output = anyhow::Result<Saved>> + Send;
    /// Carries one effect out. Idempotent.
    fn perform(&self, effect: &Effect) -> impl Future<Output = anyhow::Result<Performed>> + Send;
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

/// Seconds until the next try after something failed.
const RETRY: i64 = 5;

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

async fn round<W: World>(
    world: &W,
    look: &Look,
    clock: &Clock,
    fail: &Failpoint,
) -> anyhow::Result<Round> {
    let Some(Loaded { view, rev }) = world.view(&look.key, &look.trigger).await? else {
        return Ok(Round::Rest(None));
    };
    let decision = reactor::decide(&view, clock.now());
    let mut moved = false;
    if let Some(body) = decision.lease {
        let id = look.key.lease_id();
        let (state, owner, ends) = (body.state.as_str(), body.owner.clone(), body.expires_at);
        if world.save(&Doc { id, rev, body }).await? == Saved::Conflict {
            return Ok(Round::Moved);
        }
        tracing::info!(lease = %look.key, state, %owner, expires = %ends, reason = decision.reason, "lease saved");
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

/// Takes looks from `looks`, waits for `ready` before the first decision (until then they only gather), and passes each
/// next time to `deadlines`. One decision at a time, so one owner's run one after another.
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
    loop {
        while let Ok(look) = looks.try_recv() {
            queue.push(look);
        }
        let Some(one) = queue.pop() else {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                more = looks.recv() => match more {
                    Some(look) => queue.push(look),
                    None => return Ok(()),
                },
            }
            continue;
        };
        if shutdown.is_cancelled() {
            return Ok(());
        }
        match look(&world, &one, &clock, &fail).await {
            Looked::Settled(at) => next(&one.key, at),
            Looked::Again => next(&one.key, Some(clock.now().plus(RETRY))),
        }
    }
}
