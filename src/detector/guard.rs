//! The drop guard (SAFETY.md, invariant 6): what is missing all at once is asked for by id; what cannot be confirmed pauses
//! the region until two scans agree or an admin resumes it. The region's document holds the state, so a restart forgets
//! nothing.

use super::Detector;
use crate::aws::AwsError;
use crate::model::{AwsAccount, Doc, Extra, Region, RegionState, ResourceId, Time};
use crate::reactor::Scan;
use crate::store::StoreError;
use sha2::{Digest as _, Sha256};

/// The field of the region's document that remembers the paused scan.
const SCAN: &str = "scan";

impl Detector {
    /// Asks EC2 for the instances that are missing (Auto Scaling never says of a group that it does not exist: two scans must
    /// agree), and the region's document whether the scan before said the same. An instance is
    /// believed gone only where EC2 says so of that very id. The inner error: EC2 could not be asked.
    pub(super) async fn confirm(
        &self,
        account: &AwsAccount,
        scan: &mut Scan,
        missing: &[ResourceId],
    ) -> anyhow::Result<Result<(), AwsError>> {
        let instances: Vec<ResourceId> = missing.iter().filter(|id| id.is_instance()).cloned().collect();
        let asked = match self.aws.ask(account, &scan.region, &instances).await {
            Ok(asked) => asked,
            Err(error) => return Ok(Err(error)),
        };
        scan.found.extend(asked.found);
        scan.confirmed_absent.extend(asked.unknown);
        let state = self.store.get::<RegionState>(&region_id(account, &scan.region)).await?;
        scan.agreed = state.is_some_and(|doc| {
            let paused = doc.body.state == "paused";
            let same = doc.body.extra.get(SCAN).and_then(|seen| seen.as_str()) == Some(digest(scan).as_str());
            paused && (same || doc.body.resume == Some(true))
        });
        Ok(Ok(()))
    }

    /// Pauses the region, or keeps it paused with this scan to be agreed with.
    pub(super) async fn pause(&self, account: &AwsAccount, scan: &Scan, reason: &str) -> anyhow::Result<()> {
        let digest = digest(scan);
        self.set_region(account, &scan.region, "paused", reason, |state| {
            state.extra.insert(SCAN.to_owned(), digest.as_str().into());
        })
        .await
    }

    pub(super) async fn mark_denied(&self, account: &AwsAccount, region: &Region, why: &str) -> anyhow::Result<()> {
        self.set_region(account, region, "denied", why, |_| ()).await
    }

    /// Its polls have failed since then.
    pub(super) async fn mark_unreadable(
        &self,
        account: &AwsAccount,
        region: &Region,
        since: Time,
        why: &str,
    ) -> anyhow::Result<()> {
        let why = format!("no poll could read it since {since}: {why}");
        self.set_region(account, region, "unreadable", &why, |_| ()).await
    }

    /// A region that was read as usual is no longer paused, denied or unreadable. Nothing is written for one that always was.
    pub(super) async fn mark_ok(&self, account: &AwsAccount, region: &Region) -> anyhow::Result<()> {
        let key = (account.aws_id.clone(), region.clone());
        let directory = self.index.directory();
        if directory.regions.get(&key).is_none_or(|state| state.state == "ok" && state.resume.is_none()) {
            return Ok(());
        }
        self.set_region(account, region, "ok", "", |state| {
            state.extra.remove(SCAN);
        })
        .await
    }

    /// Writes the region's document by compare-and-swap, unless it says so already. Since when is kept while the state is.
    async fn set_region(
        &self,
        account: &AwsAccount,
        region: &Region,
        state: &str,
        reason: &str,
        mark: impl Fn(&mut RegionState),
    ) -> anyhow::Result<()> {
        let id = region_id(account, region);
        let (rev, before) = match self.store.get::<RegionState>(&id).await {
            Ok(there) => there.map_or((None, None), |doc| (doc.rev, Some(doc.body))),
            Err(StoreError::Malformed { id, reason }) => {
                tracing::warn!(id, reason, "the region's document cannot be read; it is left alone");
                return Ok(());
            }
            Err(other) => return Err(other.into()),
        };
        let now = self.clock.now();
        let mut body = before.clone().unwrap_or_else(|| RegionState {
            account: account.account.clone(),
            state: String::new(),
            reason: String::new(),
            since: now,
            resume: None,
            extra: Extra::new(),
        });
        if body.state != state {
            state.clone_into(&mut body.state);
            body.since = now;
        }
        reason.clone_into(&mut body.reason);
        body.resume = None;
        mark(&mut body);
        if before.as_ref() == Some(&body) {
            return Ok(());
        }
        match self.store.put("region", &Doc { id, rev, body }).await {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }
}

fn region_id(account: &AwsAccount, region: &Region) -> String {
    format!("region::{}::{region}", account.aws_id)
}

/// What a scan saw, as far as the guard cares: which instances, and which of them have tags.
fn digest(scan: &Scan) -> String {
    let mut hash = Sha256::new();
    for (id, facts) in &scan.found {
        hash.update(id.as_str());
        hash.update(if facts.tags.is_empty() { "-" } else { "+" });
    }
    hex::encode(&hash.finalize()[..16])
}
