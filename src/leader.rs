//! One copy acts, the others wait (SAFETY.md, invariant 4). The document `leader` names who leads; the leader renews it, and
//! one that was not renewed for `ttl` may be taken over. Every step is a compare-and-swap.
//!
//! Silence is measured with the waiter's own steady clock, by watching the revision: two machines need not agree on the
//! time of day.

use crate::clock::Clock;
use crate::model::{Doc, Extra, Time};
use crate::store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The document.
const DOCUMENT: &str = "leader";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Seat {
    /// Who leads; empty when the last leader left in good order.
    holder: String,
    /// The last renewal.
    beat: Time,
    /// Since when.
    since: Time,
    #[serde(flatten)]
    extra: Extra,
}

/// The right to act, until it is lost.
#[derive(Debug, Clone)]
pub struct Leadership {
    /// Cancelled when another copy may lead.
    pub lost: CancellationToken,
    store: Store,
    clock: Clock,
    ttl: Duration,
    seat: Arc<Mutex<Doc<Seat>>>,
    renewed: Arc<Mutex<Instant>>,
}

impl Leadership {
    /// Whether this copy may act now. Ends a fifth of `ttl` before another copy could take over, so that a call that
    /// starts now is answered before.
    pub fn is_leader(&self) -> bool {
        !self.lost.is_cancelled() && self.renewed_at().elapsed() < self.ttl * 4 / 5
    }

    fn renewed_at(&self) -> Instant {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews until shutdown, then leaves the seat free; or returns when it is lost.
    pub async fn keep(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        while shutdown.run_until_cancelled(tokio::time::sleep(self.ttl / 4)).await.is_some() {
            let begun = Instant::now();
            // A gateway that does not answer must not hide that the time is over.
            let beat = tokio::time::timeout(self.ttl, self.beat(None)).await;
            match beat.unwrap_or_else(|late| Err(StoreError::Unavailable { cause: late.into() })) {
                Ok(()) => *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = begun,
                Err(StoreError::Conflict { .. }) if self.is_ours().await => {}
                Err(error @ (StoreError::Conflict { .. } | StoreError::NotFound { .. })) => {
                    tracing::warn!(%error, "another copy took the lead");
                    self.lost.cancel();
                    return Ok(());
                }
                Err(error) => tracing::warn!(%error, "the lead could not be renewed"),
            }
            if self.renewed_at().elapsed() >= self.ttl {
                self.lost.cancel();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Leaves the seat free, so that the next copy need not wait.
    pub async fn leave(&self) {
        if !self.lost.is_cancelled()
            && let Err(error) = self.beat(Some(String::new())).await
        {
            tracing::debug!(%error, "the lead was not given back");
        }
    }

    async fn beat(&self, holder: Option<String>) -> Result<(), StoreError> {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seat.body.beat = self.clock.now();
        if let Some(holder) = holder {
            seat.body.holder = holder;
        }
        seat.rev = Some(self.store.put("leader", &seat).await?);
        *self.seat.lock().unwrap_or_else(PoisonError::into_inner) = seat;
        Ok(())
    }

    /// A renewal whose answer was lost made the conflict: the document still names us, so go on from there.
    async fn is_ours(&self) -> bool {
        let Ok(Some(there)) = self.store.get::<Seat>(DOCUMENT).await else { return false };
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = there.body.holder == seat.body.holder;
        if ours {
            *seat = there;
        }
        ours
    }
}

/// Waits until `me` leads. Says once who leads meanwhile.
pub async fn lead(store: &Store, me: &str, clock: &Clock, ttl: Duration) -> Leadership {
    let mut seen: Option<(Option<String>, Instant)> = None;
    let mut told = String::new();
    loop {
        match attempt(store, me, clock, ttl, &mut seen).await {
            Ok(Attempt::Lead(leadership)) => return *leadership,
            Ok(Attempt::Wait(holder)) if holder != told => {
                tracing::info!(
                    leader = holder,
                    me,
                    "another copy leads; this one waits and takes over when it is silent"
                );
                told = holder;
            }
            Ok(Attempt::Wait(_)) => {}
            Err(error) => tracing::warn!(%error, "who leads is not known; trying again"),
        }
        tokio::time::sleep((ttl / 8).min(Duration::from_secs(2))).await;
    }
}

enum Attempt {
    Lead(Box<Leadership>),
    Wait(String),
}

async fn attempt(
    store: &Store,
    me: &str,
    clock: &Clock,
    ttl: Duration,
    seen: &mut Option<(Option<String>, Instant)>,
) -> Result<Attempt, StoreError> {
    let there = store.get::<Seat>(DOCUMENT).await?;
    let begun = Instant::now();
    let mut next = Doc { id: DOCUMENT.to_owned(), rev: None, body: vacant(clock.now()) };
    if let Some(there) = there {
        let silent = match seen {
            Some((rev, since)) if *rev == there.rev => since.elapsed() >= ttl,
            _ => {
                *seen = Some((there.rev.clone(), begun));
                false
            }
        };
        if !silent && !there.body.holder.is_empty() {
            return Ok(Attempt::Wait(there.body.holder));
        }
        next.body.extra.clone_from(&there.body.extra);
        next.rev = there.rev;
    }
    next.body.holder = me.to_owned();
    match store.put("leader", &next).await {
        Ok(rev) => next.rev = Some(rev),
        Err(StoreError::Conflict { .. }) => return Ok(Attempt::Wait("a copy that was quicker".to_owned())),
        Err(other) => return Err(other),
    }
    Ok(Attempt::Lead(Box::new(Leadership {
        lost: CancellationToken::new(),
        store: store.clone(),
        clock: clock.clone(),
        ttl,
        seat: Arc::new(Mutex::new(next)),
        renewed: Arc::new(Mutex::new(begun)),
    })))
}

fn vacant(now: Time) -> Seat {
    let mut extra = Extra::new();
    // For people who look at it: every document says whose it is.
    extra.insert("account".to_owned(), "zerocloud".into());
    Seat { holder: String::new(), beat: now, since: now, extra }
}
