//! One region: scan and compare, which only reads; then write what changed and tell it.

use super::{Detector, Polled};
use crate::aws::AwsError;
use crate::model::{AwsAccount, Doc, Facts, LeaseKey, Region, Resource, ResourceId, Volume, trim_event};
use crate::reactor::{Change, Reconciled, Scan, assign_clusters, assign_members, reconcile};
use crate::store::StoreError;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Documents written with one call.
const BULK: usize = 500;

/// What a scan came to, before anything is written.
enum Compared {
    Changes { seen: usize, known: Vec<Doc<Resource>>, changes: Vec<Change>, groups: Option<String> },
    Paused { scan: Scan, reason: String },
    Denied(String),
}

impl Detector {
    /// Polls one region.
    pub(super) async fn region(&self, account: &AwsAccount, region: &Region) -> Polled {
        let polled = self.try_region(account, region).await;
        polled.unwrap_or_else(|error| Polled::Failed(format!("{error:#}")))
    }

    /// The instances of a region that would get a lease; reads only.
    pub(super) async fn unknown_in(&self, account: &AwsAccount, region: &Region) -> anyhow::Result<Vec<LeaseKey>> {
        let Compared::Changes { known, changes, .. } = self.compare(account, region).await? else {
            return Ok(Vec::new());
        };
        let known: BTreeSet<LeaseKey> = known.iter().map(|doc| doc.body.key.key()).collect();
        // Members have none: that of their group stands for them.
        let own = changes.iter().filter(|change| change.resource.facts.member_of.is_none());
        let keys = own.map(|change| change.resource.key.key());
        Ok(keys.filter(|key| !known.contains(key)).collect())
    }

    async fn try_region(&self, account: &AwsAccount, region: &Region) -> anyhow::Result<Polled> {
        match self.compare(account, region).await? {
            Compared::Denied(why) => {
                self.mark_denied(account, region, &why).await?;
                Ok(Polled::Denied(why))
            }
            Compared::Paused { scan, reason } => {
                self.pause(account, &scan, &reason).await?;
                Ok(Polled::Paused(reason))
            }
            Compared::Changes { seen, known, changes, groups } => {
                self.mark_ok(account, region).await?;
                let changed = changes.len();
                self.write(&known, changes).await?;
                Ok(Polled::Read { seen, changed, groups })
            }
        }
    }

    async fn compare(&self, account: &AwsAccount, region: &Region) -> anyhow::Result<Compared> {
        // What is known comes first: whatever an event writes during the scan is newer, and makes writing its result a conflict.
        let known = self.index.resources(&account.aws_id, region);
        let mut found = match self.aws.scan(account, region).await {
            Ok(found) => found,
            Err(error @ AwsError::DeniedByOrganization { .. }) => return Ok(Compared::Denied(error.to_string())),
            Err(other) => return Err(other.into()),
        };
        let seen = found.len();
        self.spot_types(account, region, &mut found, &known).await;
        self.volumes(account, region, &mut found, &known).await;
        let groups = self.aws.groups(account, region).await;
        let (groups_read, unread) = match groups {
            Ok(groups) => {
                found.extend(groups);
                (true, None)
            }
            // The scan failed for groups alone: a role that may not see them still sees its instances.
            Err(error) => (false, Some(error.to_string())),
        };
        let bodies: Vec<Resource> = known.iter().map(|doc| doc.body.clone()).collect();
        assign_members(&mut found, &bodies);
        assign_clusters(&mut found, &bodies);
        let mut scan = Scan {
            account: account.account.clone(),
            aws_id: account.aws_id.clone(),
            region: region.clone(),
            found,
            groups_read,
            confirmed_absent: BTreeSet::new(),
            agreed: false,
        };
        let now = self.clock.now();
        let mut reconciled = reconcile(&bodies, &scan, now);
        if let Reconciled::Paused { reason, missing } = &reconciled {
            if let Err(why) = self.confirm(account, &mut scan, missing).await? {
                let reason = format!("{reason}, and asking for them failed: {why}");
                return Ok(Compared::Paused { scan, reason });
            }
            assign_members(&mut scan.found, &bodies);
            assign_clusters(&mut scan.found, &bodies);
            reconciled = reconcile(&bodies, &scan, now);
        }
        Ok(match reconciled {
            Reconciled::Paused { reason, .. } => Compared::Paused { scan, reason },
            Reconciled::Changes(changes) => Compared::Changes { seen, known, changes, groups: unread },
        })
    }

    /// Whether a spot instance can be stopped, its request says. Each is asked for once; one that could not be asked for is
    /// asked for again by the next poll.
    pub(super) async fn spot_types(
        &self,
        account: &AwsAccount,
        region: &Region,
        found: &mut BTreeMap<ResourceId, Facts>,
        known: &[Doc<Resource>],
    ) {
        let known: BTreeMap<&ResourceId, &Facts> =
            known.iter().map(|doc| (&doc.body.key.resource_id, &doc.body.facts)).collect();
        for (id, facts) in found {
            if let Some(known) = known.get(id) {
                facts.keep_spot_type(known);
            }
            let Some(request) = facts.spot_request.as_deref().filter(|_| facts.spot_type.is_none()) else { continue };
            match self.aws.spot_type(account, region, request).await {
                Ok(kind) => facts.spot_type = kind,
                Err(error) => {
                    tracing::warn!(%error, instance = %id, "whether it can be stopped is not known");
                    let same_for_all = matches!(
                        error,
                        AwsError::Denied { .. }
                            | AwsError::DeniedByOrganization { .. }
                            | AwsError::Throttled { .. }
                            | AwsError::Unreachable { .. }
                    );
                    if same_for_all {
                        return;
                    }
                }
            }
        }
    }

    /// Size and kind of volumes that are new: what they cost, nothing else rests on it. One that could not be asked for is
    /// asked for again by the next poll.
    pub(super) async fn volumes(
        &self,
        account: &AwsAccount,
        region: &Region,
        found: &mut BTreeMap<ResourceId, Facts>,
        known: &[Doc<Resource>],
    ) {
        for doc in known {
            if let Some(facts) = found.get_mut(&doc.body.key.resource_id) {
                facts.keep_volumes(&doc.body.facts);
            }
        }
        let all = found.values_mut().flat_map(|facts| &mut facts.volumes);
        let mut unknown: BTreeMap<String, &mut Volume> =
            all.filter(|volume| volume.gib.is_none()).map(|volume| (volume.id.clone(), volume)).collect();
        if unknown.is_empty() {
            return;
        }
        let ids: Vec<String> = unknown.keys().cloned().collect();
        match self.aws.volumes(account, region, &ids).await {
            Ok(volumes) => {
                for volume in volumes {
                    unknown.remove(&volume.id).into_iter().for_each(|unknown| *unknown = volume.clone());
                }
            }
            Err(error) => tracing::debug!(%error, %region, "what these volumes cost is not known"),
        }
    }

    /// Writes the documents, then tells the changes that stand. A conflict is somebody's newer write; the next poll
    /// compares again. Gives those that met one.
    pub(super) async fn write(&self, known: &[Doc<Resource>], changes: Vec<Change>) -> anyhow::Result<Vec<ResourceId>> {
        let revs: BTreeMap<&str, Option<&str>> =
            known.iter().map(|doc| (doc.id.as_str(), doc.rev.as_deref())).collect();
        let mut conflicts = Vec::new();
        let mut waiting = changes.into_iter().peekable();
        while waiting.peek().is_some() {
            let some: Vec<Change> = waiting.by_ref().take(BULK).collect();
            let mut docs = Vec::new();
            for change in &some {
                let id = change.resource.key.key().resource_doc_id();
                let rev = revs.get(id.as_str()).copied().flatten().map(str::to_owned);
                let mut body = self.body(&change.resource)?;
                if let (Some(fields), Some(event)) = (body.as_object_mut(), &change.event)
                    && (rev.is_none() || event.is_launch())
                {
                    // The cause of the lease stands with what it is about: the event itself may get lost.
                    fields.insert("event".to_owned(), trim_event(event));
                }
                docs.push(("resource", Doc { id, rev, body }));
            }
            let written = self.store.put_many(docs).await?;
            for (change, row) in some.into_iter().zip(written) {
                match row {
                    Ok(_) => self.tell(change).await,
                    Err(StoreError::Conflict { .. }) => conflicts.push(change.resource.key.resource_id),
                    Err(error) => tracing::warn!(%error, "a resource was not written; the next poll tries again"),
                }
            }
        }
        Ok(conflicts)
    }

    /// What is gone is kept as long as its lease, then goes.
    fn body(&self, resource: &Resource) -> serde_json::Result<Value> {
        let mut body = serde_json::to_value(resource)?;
        let Some(fields) = body.as_object_mut() else { return Ok(body) };
        fields.remove("purge_at");
        if resource.is_gone() {
            let policy = self.index.directory().policy(&resource.account, &resource.key.aws_id, None);
            let purge_at = self.clock.now().plus(policy.retention);
            fields.insert("purge_at".to_owned(), serde_json::to_value(purge_at)?);
        }
        Ok(body)
    }

    async fn tell(&self, change: Change) {
        let Some(event) = change.event else { return };
        if self.changes.send(event).await.is_err() {
            // Only at shutdown; the documents stand, and the next start looks at all of them.
            tracing::debug!("nobody listens for changes any more");
        }
    }
}
