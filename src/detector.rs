//! Stage: polls AWS, and reads between polls what events name. Every enabled AWS account and region is scanned whole; [`reconcile`](crate::reactor::reconcile) says what
//! changed; resource documents are written and each change is told as a `ResourceChange`. It knows nothing of leases.
//!
//! A scan that failed changes nothing (SAFETY.md, invariant 6); a failing region or AWS account never stops the others.

mod guard;
mod launches;
mod region;
mod unread;
mod waiting;
mod woken;

pub use unread::Unread;

use crate::aws::Aws;
use crate::clock::Clock;
use crate::follower::Index;
use crate::model::{AccountId, AwsAccount, AwsId, LeaseKey, Region, ResourceChange, Time};
use crate::store::Store;
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Regions scanned at a time; each has its own token bucket.
const AT_ONCE: usize = 16;

/// How one region was polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// All of it was read.
    Read {
        /// Instances that EC2 listed.
        seen: usize,
        /// Documents that changed.
        changed: usize,
        /// Why its Auto Scaling groups could not be read, if so: nothing about them was changed then.
        groups: Option<String>,
    },
    /// Too much was missing at once; nothing was changed.
    Paused(String),
    /// The organisation denies the region, or it is not enabled.
    Denied(String),
    /// It could not be read; nothing was changed.
    Failed(String),
}

/// How a poll went, by AWS account and region; an AWS account that could not be reached at all stands under `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// When it began.
    pub at: Option<Time>,
    /// How many polls there were since the start.
    pub polls: u64,
    /// By AWS account and region.
    pub regions: BTreeMap<(AwsId, Option<Region>), Polled>,
}

/// What the stage works with.
#[derive(Debug, Clone)]
pub struct Detector {
    /// EC2.
    pub aws: Aws,
    /// Documents.
    pub store: Store,
    /// What is known.
    pub index: Index,
    /// The time.
    pub clock: Clock,
    /// Where changes are told.
    pub changes: mpsc::Sender<ResourceChange>,
    /// The last poll's report.
    pub reports: watch::Sender<Report>,
    /// Since when regions cannot be read; begins anew with the process.
    pub unread: Unread,
}

impl Detector {
    /// One poll per wake, one after another, until shutdown. The first waits for the index: without it everything would
    /// look new.
    pub async fn run(self, wake: Arc<Notify>, shutdown: CancellationToken) -> anyhow::Result<()> {
        if shutdown.run_until_cancelled(self.index.caught_up()).await.is_none() {
            return Ok(());
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = wake.notified() => {}
            }
            // What a poll writes is written region by region, so it may be cut anywhere.
            if shutdown.run_until_cancelled(self.poll()).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Polls everything once.
    pub async fn poll(&self) {
        let at = self.clock.now();
        let (places, unlisted) = self.places(None).await;
        let mut regions = BTreeMap::new();
        for (aws_id, why) in unlisted {
            tracing::warn!(%aws_id, why, "the regions of an AWS account cannot be read");
            regions.insert((aws_id, None), Polled::Failed(why));
        }
        let polled = futures_util::stream::iter(places).map(|(account, region)| async move {
            let polled = self.region(&account, &region).await;
            ((account.aws_id, Some(region)), polled)
        });
        regions.extend(polled.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
        log(&regions);
        self.mark_unread(at, &regions).await;
        self.reports.send_modify(|report| *report = Report { at: Some(at), polls: report.polls + 1, regions });
    }

    /// Every instance that would get a lease if this were a poll, of one Account or of all, and every region that cannot be read;
    /// reads only.
    pub async fn unknown(&self, account: Option<&AccountId>) -> (Vec<LeaseKey>, Vec<(AwsId, String)>) {
        let (places, mut failures) = self.places(account).await;
        let read = futures_util::stream::iter(places).map(|(account, region)| async move {
            let found = self.unknown_in(&account, &region).await;
            found.map_err(|why| (account.aws_id, format!("{region}: {why:#}")))
        });
        let mut keys = Vec::new();
        for found in read.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
            match found {
                Ok(more) => keys.extend(more),
                Err(why) => failures.push(why),
            }
        }
        keys.sort();
        (keys, failures)
    }

    /// Every enabled AWS account, of one Account or of all, with each of its regions; and those whose regions cannot be listed.
    async fn places(&self, account: Option<&AccountId>) -> (Vec<(AwsAccount, Region)>, Vec<(AwsId, String)>) {
        let directory = self.index.directory();
        let enabled = directory.aws_accounts.values().filter(|aws| !aws.disabled);
        let wanted = enabled.filter(|aws| account.is_none_or(|account| aws.account == *account));
        // Side by side: one that does not answer keeps the others no longer than itself.
        let listed = futures_util::stream::iter(wanted.cloned().collect::<Vec<_>>()).map(|account| async move {
            let listed = self.regions(&account).await;
            (account, listed)
        });
        let (mut places, mut failures) = (Vec::new(), Vec::new());
        for (account, listed) in listed.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
            match listed {
                Ok(found) => places.extend(found.into_iter().map(|region| (account.clone(), region))),
                Err(why) => failures.push((account.aws_id.clone(), why)),
            }
        }
        (places, failures)
    }

    /// Those that the document names, else every enabled one, and wherever something is known already: a region that was
    /// taken off the list must not turn into unknown.
    async fn regions(&self, account: &AwsAccount) -> Result<Vec<Region>, String> {
        let mut regions = account.regions.clone();
        if regions.is_empty() {
            regions = self.aws.regions(account).await.map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
        }
        let known = self.index.regions().into_iter().filter(|(aws_id, _)| *aws_id == account.aws_id);
        regions.extend(known.map(|(_, region)| region));
        regions.sort();
        regions.dedup();
        Ok(regions)
    }
}

fn log(regions: &BTreeMap<(AwsId, Option<Region>), Polled>) {
    let (mut seen, mut changed) = (0, 0);
    for ((aws_id, region), polled) in regions {
        let region = region.as_ref().map_or("all", Region::as_str);
        match polled {
            Polled::Read { seen: more, changed: new, groups } => {
                if let Some(why) = groups {
                    tracing::debug!(%aws_id, region, why, "Auto Scaling groups could not be read; their members are held");
                }
                seen += more;
                changed += new;
            }
            Polled::Paused(why) => tracing::warn!(%aws_id, region, why, "a region is paused"),
            Polled::Denied(why) => tracing::debug!(%aws_id, region, why, "a region is denied"),
            Polled::Failed(why) => {
                tracing::warn!(%aws_id, region, why, "a region could not be read; nothing changes there");
            }
        }
    }
    tracing::debug!(seen, changed, regions = regions.len(), "polled");
}
