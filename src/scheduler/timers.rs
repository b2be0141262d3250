//! The seam: deadlines wake by a timer of this process, or by the call of a scheduler outside; never by both. In either case
//! the sweep finds what has passed.

use super::{Deadlines, Outside};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::OutsideSettings;
use crate::follower::Index;
use crate::model::{LeaseKey, OutsideState, Time};
use crate::store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Timers {
    deadlines: Deadlines,
    outside: Option<Outside>,
}

impl Timers {
    /// In this process, unless the configuration names a service.
    pub fn new(
        settings: Option<&OutsideSettings>,
        aws: &Aws,
        (store, index): (&Store, &Index),
        clock: &Clock,
    ) -> anyhow::Result<Timers> {
        let of = |settings| Outside::new(settings, aws, (store.clone(), index.clone()), clock.clone());
        let outside = settings.map(of).transpose()?;
        Ok(Timers { deadlines: Deadlines::default(), outside })
    }

    /// Sets a lease's deadline in the place of the one before; `None` takes it away.
    pub fn set(&self, key: &LeaseKey, at: Option<Time>) {
        self.deadlines.set(key, at);
        if let Some(outside) = &self.outside {
            outside.set(key, at);
        }
    }

    /// A scheduler outside called for this lease.
    pub fn called(&self, key: &LeaseKey) {
        if let Some(outside) = &self.outside {
            outside.called(key);
        }
    }

    /// What a sweep looks at because no timer of this process does.
    pub fn passed(&self, now: Time) -> Vec<LeaseKey> {
        if self.outside.is_some() { self.deadlines.take(now) } else { Vec::new() }
    }

    /// Hands on what is due, or sees to it that it is called for, until shutdown.
    pub async fn run(
        self,
        store: Store,
        clock: Clock,
        due: mpsc::Sender<LeaseKey>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        if let Some(outside) = self.outside {
            return outside.run(shutdown).await;
        }
        forget(&store).await;
        super::run(self.deadlines, clock, due, shutdown).await
    }
}

/// There is no service outside any more, so nothing is to be said of it.
async fn forget(store: &Store) {
    let found = store.get::<serde_json::Value>(OutsideState::ID).await;
    if let Some(rev) = found.ok().flatten().and_then(|doc| doc.rev)
        && let Err(why) = store.delete(OutsideState::ID, &rev).await
    {
        tracing::debug!(%why, "the scheduler of before is still told of");
    }
}
