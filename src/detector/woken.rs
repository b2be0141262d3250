//! From an event to a lease without waiting for a poll: what events name is read by id, under the same rate as polling, and
//! goes the same path from there on. An event decides nothing; what EC2 says does. A read of a part only adds and updates
//! (SAFETY.md, invariant 6).

use super::Detector;
use super::waiting::{Batch, Hint, Place, Waiting};
use crate::model::{AwsAccount, AwsId, LeaseKey, Region, ResourceId, Told};
use crate::reactor::{Part, Scan, refresh};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

impl Detector {
    /// Looks at what events name, until shutdown. Waits for the first poll: only what polling reads is read here, and until
    /// then events gather in their channel.
    pub async fn woken(self, mut told: mpsc::Receiver<Told>, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut reports = self.reports.subscribe();
        let polled = async {
            self.index.caught_up().await;
            reports.wait_for(|report| report.at.is_some()).await.is_ok()
        };
        if shutdown.run_until_cancelled(polled).await != Some(true) {
            return Ok(());
        }
        let (mut waiting, mut looking) = (Waiting::default(), FuturesUnordered::new());
        loop {
            for (place, batch) in waiting.take(Instant::now()) {
                looking.push(self.look(place, batch));
            }
            let next = waiting.next();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some((place, left)) = looking.next() => waiting.done(&place, left, Instant::now()),
                event = told.recv() => match event {
                    Some(event) if self.polls(&event.account, &event.region) => waiting.add(event, Instant::now()),
                    Some(event) => {
                        tracing::debug!(aws_id = %event.account, region = %event.region, "an event of where nothing is polled");
                    }
                    None => return Ok(()),
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Whether a poll reads that region: others are no business of zerocloud's, whatever an event says.
    fn polls(&self, aws_id: &AwsId, region: &Region) -> bool {
        let directory = self.index.directory();
        let enabled = directory.aws_accounts.get(aws_id).filter(|account| !account.disabled);
        let polled = || self.reports.borrow().regions.contains_key(&(aws_id.clone(), Some(region.clone())));
        enabled.is_some_and(|account| account.regions.contains(region) || polled())
    }

    /// Reads what waits in a place; gives back what was not found, or not yet to be had.
    async fn look(&self, place: Place, batch: Batch) -> (Place, Vec<(ResourceId, Hint)>) {
        let directory = self.index.directory();
        let Some(account) = directory.aws_accounts.get(&place.0).filter(|account| !account.disabled) else {
            return (place, Vec::new());
        };
        // What a paused region shows is not believed until its scans agree.
        if directory.regions.get(&place).is_some_and(|state| state.state == "paused") {
            return (place, Vec::new());
        }
        let left = match self.try_look(account, &place.1, &batch).await {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(aws_id = %place.0, region = %place.1, error = format!("{error:#}"),
                    "what an event named could not be read; it is tried again");
                batch.hints.keys().cloned().collect()
            }
        };
        let mut hints = batch.hints;
        let left = left.into_iter().filter_map(|id| hints.remove_entry(&id)).collect();
        (place, left)
    }

    async fn try_look(
        &self,
        account: &AwsAccount,
        region: &Region,
        batch: &Batch,
    ) -> anyhow::Result<BTreeSet<ResourceId>> {
        let ids: Vec<ResourceId> = batch.hints.keys().cloned().collect();
        let key = |id: &ResourceId| LeaseKey {
            aws_id: account.aws_id.clone(),
            region: region.clone(),
            resource_id: id.clone(),
        };
        // Before EC2 is asked: a poll that writes meanwhile has read later, and its write must not be written over.
        let known = if batch.whole {
            self.index.resources(&account.aws_id, region)
        } else {
            self.index.resources_of(&ids.iter().map(key).collect::<Vec<_>>())
        };
        let mut found = if batch.whole {
            self.aws.scan(account, region).await?
        } else {
            self.aws.describe(account, region, &ids).await?.into_iter().collect()
        };
        let mut left: BTreeSet<ResourceId> = ids.into_iter().filter(|id| !found.contains_key(id)).collect();
        self.spot_types(account, region, &mut found, &known).await;
        self.volumes(account, region, &mut found, &known).await;
        let part = Part::of(Scan {
            account: account.account.clone(),
            aws_id: account.aws_id.clone(),
            region: region.clone(),
            found,
            groups_read: false,
            confirmed_absent: BTreeSet::new(),
            agreed: false,
        });
        let causes: BTreeMap<_, _> = batch.hints.iter().map(|(id, hint)| (id.clone(), (*hint.cause).clone())).collect();
        let bodies: Vec<_> = known.iter().map(|doc| doc.body.clone()).collect();
        let changes = refresh(&bodies, &part, &causes, self.clock.now());
        // Somebody else's newer write: looked at again once the index has it.
        left.extend(self.write(&known, changes).await?.into_iter().filter(|id| batch.hints.contains_key(id)));
        Ok(left)
    }
}
