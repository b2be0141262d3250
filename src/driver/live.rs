//! The live world: fresh documents from the store, what many share from the follower's index, and hands for effects.

use super::{Loaded, Performed, Saved, Saving, World};
use crate::audit::{self, Entry};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::follower::Index;
use crate::model::{
    AccountId, AwsAccount, AwsId, Doc, Facts, Lease, LeaseKey, Notice, Region, Resource, ResourceChange, State, Time,
    UserId, trim_event,
};
use crate::reactor::{Effect, Known, View};
use crate::store::{Store, StoreError};
use anyhow::Context as _;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Store, index and the way to the reaper.
#[derive(Debug, Clone)]
pub struct LiveWorld {
    store: Store,
    index: Index,
    aws: Aws,
    clock: Clock,
    errands: Option<mpsc::Sender<Effect>>,
    silent: Silent,
}

/// Where EC2 could not be read, and until when it is not asked again.
type Silent = Arc<Mutex<HashMap<(AwsId, Region), Time>>>;

/// The field of a resource that holds the event which told of it first.
const EVENT: &str = "event";

/// Limit for the fresh read of tags: the queue waits meanwhile.
const FRESH_READ: Duration = Duration::from_secs(5);

/// Seconds for which a region that could not be read is not asked again for each of its leases: they would use up its
/// quota, and keep those of other AWS accounts waiting.
const SILENT: i64 = 30;

/// How often a resource document's owner is tried before the next look takes over.
const TRIES: u32 = 4;

impl LiveWorld {
    /// With `errands` it acts; without, as for `plan`, it only reads and refuses effects.
    pub fn new(store: Store, index: Index, aws: Aws, clock: Clock, errands: Option<mpsc::Sender<Effect>>) -> LiveWorld {
        LiveWorld { store, index, aws, clock, errands, silent: Silent::default() }
    }

    /// The lease, if there is one. The outer `None`: it cannot be read, is named and left alone; asking again would not
    /// help.
    async fn lease(&self, key: &LeaseKey) -> anyhow::Result<Option<Option<Doc<Lease>>>> {
        match self.store.get::<Lease>(&key.lease_id()).await {
            Err(error @ StoreError::Malformed { .. }) => {
                tracing::warn!(lease = %key, %error, "a lease cannot be read; it is left alone");
                Ok(None)
            }
            other => other.map(Some).context("reading the lease"),
        }
    }

    /// The resource: what the index has, or, where it has none yet, what stands in the store. A new resource's event may
    /// be quicker than the feed.
    async fn resource(&self, key: &LeaseKey) -> anyhow::Result<Option<Resource>> {
        if let Some(known) = self.index.resource(key) {
            return Ok(Some(known));
        }
        match self.store.get::<Resource>(&key.resource_doc_id()).await {
            Ok(found) => Ok(found.map(|doc| doc.body)),
            Err(error @ StoreError::Malformed { .. }) => {
                tracing::warn!(lease = %key, %error, "a resource cannot be read; its lease ends nothing");
                Ok(None)
            }
            Err(other) => Err(other).context("reading the resource"),
        }
    }

    /// Notices of one term. One that cannot be read is named and left alone; its 409 keeps it from being queued again.
    async fn notices(&self, key: &LeaseKey, term: u32) -> Result<Vec<Notice>, StoreError> {
        let docs = self.store.prefix(&format!("notice::{key}::{term}::")).await?;
        let read = docs.into_iter().filter_map(|doc| {
            serde_json::from_value(doc.body)
                .inspect_err(|why| tracing::warn!(id = doc.id, %why, "a notice cannot be read"))
                .ok()
        });
        Ok(read.collect())
    }

    /// Whether what was seen last must be read again before it is judged: tags when the owner is, and whether it runs when
    /// its lease says that it is stopped, or was and is being started again. A poll before our own stop must not pass for a
    /// start.
    fn is_doubtful(&self, lease: &Lease, seen: &Resource) -> bool {
        if lease.key.resource_id.is_cluster() {
            // Nothing in AWS can be asked for it.
            return false;
        }
        let settled = lease.owner.is_pending() && self.clock.now() >= lease.settle_at;
        let reviving =
            lease.extra.get("marks").and_then(|marks| marks.get("reviving")).is_some_and(|mark| !mark.is_null());
        settled || ((lease.state == State::Stopped || reviving) && seen.facts.state.is_up())
    }

    /// The resource as EC2 has it now. A failed read judges nobody (SAFETY.md,
    /// invariant 6); a resource that EC2 does not list keeps what was seen last.
    async fn fresh(&self, mut resource: Resource, account: &AccountId) -> anyhow::Result<Resource> {
        let key = resource.key.key();
        let directory = self.index.directory();
        // One that is disabled is not read (nor acted on): what was seen last counts.
        let Some(aws_account) = directory.aws_accounts.get(&key.aws_id).filter(|aws| !aws.disabled) else {
            return Ok(resource);
        };
        anyhow::ensure!(aws_account.account == *account, "AWS account {} belongs to another Account", key.aws_id);
        if let Some(mut facts) = self.read(aws_account, &key, &resource.facts.name).await? {
            facts.keep_spot_type(&resource.facts);
            // EC2 names a group, and only a scan says which one; and whose a group is, its members may say alone.
            facts.member_of.clone_from(&resource.facts.member_of);
            if key.is_group() && facts.managed_by.is_none() {
                facts.managed_by.clone_from(&resource.facts.managed_by);
            }
            resource.facts = facts;
        }
        Ok(resource)
    }

    async fn read(&self, account: &AwsAccount, key: &LeaseKey, name: &str) -> anyhow::Result<Option<Facts>> {
        let place = (key.aws_id.clone(), key.region.clone());
        let now = self.clock.now();
        let silent = |at: &Time| (1..=SILENT).contains(&at.seconds_since(now));
        anyhow::ensure!(!self.silent().get(&place).is_some_and(silent), "EC2 could not be read there a moment ago");
        let read = async {
            if key.is_group() {
                return self.aws.group(account, &key.region, &key.resource_id, name).await;
            }
            let found = self.aws.describe(account, &key.region, std::slice::from_ref(&key.resource_id)).await?;
            Ok(found.into_iter().find(|(id, _)| *id == key.resource_id).map(|(_, facts)| facts))
        };
        let read = tokio::time::timeout(FRESH_READ, read).await.context("EC2 did not answer in time");
        match read.and_then(|read| read.context("reading it before it is judged")) {
            Ok(found) => {
                self.silent().remove(&place);
                Ok(found)
            }
            Err(error) => {
                self.silent().insert(place, now.plus(SILENT));
                Err(error)
            }
        }
    }

    fn silent(&self) -> MutexGuard<'_, HashMap<(AwsId, Region), Time>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the resource document the lease's owner, and changes nothing else in it.
    async fn own(&self, key: &LeaseKey, owner: &UserId) -> anyhow::Result<Performed> {
        for _ in 0..TRIES {
            let Some(mut doc) = self.store.get::<Resource>(&key.resource_doc_id()).await? else {
                return Ok(Performed::Same);
            };
            if doc.body.owner == *owner {
                return Ok(Performed::Same);
            }
            doc.body.owner = owner.clone();
            match self.store.put("resource", &doc).await {
                Ok(_) => return Ok(Performed::Changed),
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        anyhow::bail!("the resource document kept changing")
    }

    fn hand_on(&self, errand: &Effect) -> anyhow::Result<Performed> {
        let errands = self.errands.as_ref().context("this world only reads")?;
        // A full or closed channel loses nothing: the sweep derives the errand again.
        if let Err(error) = errands.try_send(errand.clone()) {
            tracing::warn!(%error, "the reaper is busy; the sweep asks again");
        }
        Ok(Performed::Same)
    }
}

impl World for LiveWorld {
    async fn view(&self, key: &LeaseKey, trigger: &Value) -> anyhow::Result<Option<Loaded>> {
        let Some(lease) = self.lease(key).await? else {
            return Ok(None);
        };
        let mut resource = self.resource(key).await?;
        let directory = self.index.directory();
        let account = lease
            .as_ref()
            .map(|doc| &doc.body.account)
            .or(resource.as_ref().map(|resource| &resource.account))
            .cloned()
            // Nothing but a wish: it is answered all the same.
            .or_else(|| self.index.requests(key).into_iter().next().map(|doc| doc.body.account));
        let Some(account) = account else {
            return Ok(None);
        };
        if let Some(seen) = resource.take() {
            let doubtful = lease.as_ref().is_some_and(|doc| self.is_doubtful(&doc.body, &seen));
            resource = Some(if doubtful { self.fresh(seen, &account).await? } else { seen });
        }
        let (rev, lease) = lease.map_or((None, None), |doc| (doc.rev, Some(doc.body)));
        let notices = match &lease {
            Some(lease) => self.notices(key, lease.term).await?,
            None => Vec::new(),
        };
        let owner = lease.as_ref().map(|lease| &lease.owner).filter(|owner| !owner.is_pending());
        let known = Known {
            cover: resource.as_ref().and_then(|resource| self.index.cover(resource)),
            members: resource.as_ref().map(|resource| self.index.covered(resource)).unwrap_or_default(),
            trigger: trim(known_cause(trigger, resource.as_ref())),
            resource,
            requests: self.index.requests(key),
            notices,
            usage: owner.map_or(0, |owner| self.index.rank(&account, owner, key)),
            lease,
        };
        let view = View::assemble(&directory, &account, key, known);
        Ok(Some(Loaded { view, rev }))
    }

    async fn save(&self, saving: &Saving) -> anyhow::Result<Saved> {
        let lease = &saving.lease;
        let rev = match self.store.put("lease", lease).await {
            Ok(rev) => rev,
            Err(StoreError::Conflict { .. }) => return Ok(Saved::Conflict),
            Err(other) => return Err(other).context("saving the lease"),
        };
        let body = &lease.body;
        tracing::info!(lease = %body.key(), state = body.state.as_str(), owner = %body.owner, expires = %body.expires_at,
            reason = saving.reason, "lease saved");
        let retention = self.index.directory().policy(&body.account, &body.key.aws_id, None).retention;
        let entry = Entry { lease: body, rev: &rev, cause: &saving.cause, reason: &saving.reason, outcome: "saved" };
        audit::record(&self.store, &entry, self.clock.now(), retention).await;
        Ok(Saved::Saved)
    }

    fn partition(&self, key: &LeaseKey) -> String {
        let row = self.index.lease(key).filter(|row| !row.owner.is_pending());
        row.map_or_else(|| key.to_string(), |row| format!("{}.{}", row.account, row.owner))
    }

    async fn perform(&self, effect: &Effect) -> anyhow::Result<Performed> {
        let put = match effect {
            Effect::Queue(notice) => {
                let (id, body) = (notice.id(), notice.clone());
                self.store.put("notice", &Doc { id, rev: None, body }).await
            }
            Effect::Answer(request) => self.store.put("request", request).await,
            Effect::SaveResource(resource) => {
                return self.own(&resource.key.key(), &resource.owner).await;
            }
            // It alone calls EC2 to change something.
            Effect::Due(_) | Effect::Start(_) => return self.hand_on(effect),
        };
        match put {
            Ok(_) => Ok(Performed::Changed),
            Err(StoreError::Conflict { .. }) => Ok(Performed::Same),
            Err(other) => Err(other.into()),
        }
    }
}

/// The event that told of it, else the one that the detector left with the resource: an event may come after the feed.
fn known_cause<'a>(trigger: &'a Value, resource: Option<&'a Resource>) -> &'a Value {
    let is_change = trigger.get("detail").is_some();
    let left = resource.and_then(|resource| resource.extra.get(EVENT));
    left.filter(|_| !is_change).unwrap_or(trigger)
}

/// The event as it stands on a lease; the whole is in the audit.
fn trim(trigger: &Value) -> Value {
    match serde_json::from_value::<ResourceChange>(trigger.clone()) {
        Ok(event) => trim_event(&event),
        Err(_) => trigger.clone(),
    }
}
