//! What many leases share, in memory: the small documents, where each lease stands, open requests, queued notices, ranks,
//! the rows of the views, and what cannot be read. Always behind the documents by a moment; whoever writes reads first.

mod members;

use super::Wake;
use super::directory::{self, Scope};
use super::document::{Document, passed_over, read};
use super::views::{View, ViewTable};
use crate::model::{
    AccountId, AwsId, Directory, Doc, EventKey, EvidenceSource, HoldKind, Lease, LeaseKey, Notice, NoticeStatus,
    Region, Request, Resource, ResourceChange, State, Time, UserId,
};
use crate::reactor::promised;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::watch;

/// Where a lease stands, as far as others need it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the lease of the same name")]
pub struct LeaseRow {
    pub key: LeaseKey,
    pub account: AccountId,
    pub owner: UserId,
    pub state: State,
    pub first_seen: Time,
    pub expires_at: Time,
    pub ends_at: Time,
    pub hold: Option<HoldKind>,
    pub offered_to: Option<UserId>,
    /// Its owner holds too many, so it is short until the rank falls.
    pub over_quota: bool,
    /// Seconds from what happened in AWS to this lease, where an event of AWS told of it.
    pub told_after: Option<i64>,
    /// Nobody, or an admin by default, owns it, and who launched it is not known.
    pub launcher_wanted: bool,
    /// Until when somebody may count on it, though it may come to be a group's that ends sooner.
    pub promised: Option<Time>,
}

impl LeaseRow {
    fn of(lease: &Lease) -> LeaseRow {
        let over_quota = lease.extra.get("marks").and_then(|marks| marks.get("over_quota"));
        LeaseRow {
            key: lease.key(),
            account: lease.account.clone(),
            owner: lease.owner.clone(),
            state: lease.state,
            first_seen: lease.first_seen,
            expires_at: lease.expires_at,
            ends_at: lease.ends_at,
            hold: lease.hold.as_ref().map(|hold| hold.kind),
            offered_to: lease.offered_to.clone(),
            over_quota: over_quota.is_some_and(|mark| !mark.is_null()),
            told_after: told_after(lease),
            launcher_wanted: launcher_wanted(lease),
            promised: promised(lease),
        }
    }

    /// Counts against `max_instances`.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Active | State::Expired | State::Reaping)
    }
}

/// By the two clocks; a lease is never older than its event.
fn told_after(lease: &Lease) -> Option<i64> {
    let cause = &lease.trigger;
    let text = |at: &str| cause.pointer(at).and_then(Value::as_str);
    let of_aws = text("/source") == Some("aws.ec2");
    let at = text("/detail/eventTime").filter(|_| of_aws).and_then(|at| Time::parse(at).ok())?;
    Some(lease.first_seen.seconds_since(at).max(0))
}

fn launcher_wanted(lease: &Lease) -> bool {
    let weak = matches!(lease.owner_evidence.source, EvidenceSource::Admin | EvidenceSource::None);
    let open = lease.kind == "instance" && !lease.state.is_over() && (weak || lease.owner.is_pending());
    open && !ResourceChange::records_launch(&lease.trigger)
}

type Owner = (AccountId, UserId);

#[derive(Debug, Default)]
struct Tables {
    directory: Arc<Directory>,
    leases: HashMap<LeaseKey, LeaseRow>,
    live: HashMap<Owner, BTreeSet<(Time, LeaseKey)>>,
    resources: BTreeMap<(AwsId, Region), HashMap<LeaseKey, Doc<Resource>>>,
    requests: HashMap<LeaseKey, BTreeMap<String, Doc<Request>>>,
    request_of: HashMap<String, LeaseKey>,
    notices: BTreeMap<String, Doc<Notice>>,
    views: ViewTable,
    unreadable: BTreeMap<String, String>,
    /// Of the last change that was taken in.
    seq: Option<String>,
}

/// The index. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Index {
    tables: Arc<RwLock<Tables>>,
    caught_up: watch::Sender<bool>,
}

impl Default for Index {
    fn default() -> Index {
        Index { tables: Arc::default(), caught_up: watch::Sender::new(false) }
    }
}

impl Index {
    /// Waits until every document that stood there at the start is in.
    pub async fn caught_up(&self) {
        let mut seen = self.caught_up.subscribe();
        // The sender lives in `self`, so this can only end by being true.
        let _ = seen.wait_for(|done| *done).await;
    }

    /// Whether they are; until then what is not in it may stand there all the same.
    pub(crate) fn is_caught_up(&self) -> bool {
        *self.caught_up.borrow()
    }

    pub(super) fn set_caught_up(&self) {
        self.caught_up.send_if_modified(|done| !std::mem::replace(done, true));
    }

    /// Up to where the feed was taken in; what comes after it is not in the index.
    pub fn seq(&self) -> String {
        self.read().seq.clone().unwrap_or_else(|| "0".to_owned())
    }

    pub(super) fn set_seq(&self, seq: String) {
        self.tables.write().unwrap_or_else(PoisonError::into_inner).seq = Some(seq);
    }

    /// Every small document.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.read().directory)
    }

    /// Where a lease stands.
    pub fn lease(&self, key: &LeaseKey) -> Option<LeaseRow> {
        self.read().leases.get(key).cloned()
    }

    /// Where all leases stand.
    pub fn lease_rows(&self) -> Vec<LeaseRow> {
        self.read().leases.values().cloned().collect()
    }

    /// The leases that somebody was offered and has not accepted.
    pub fn offered_to(&self, account: &AccountId, user: &UserId) -> Vec<LeaseKey> {
        let tables = self.read();
        let offered = |row: &&LeaseRow| row.offered_to.as_ref() == Some(user) && row.account == *account;
        tables.leases.values().filter(offered).map(|row| row.key.clone()).collect()
    }

    /// What the detector wrote last.
    pub fn resource(&self, key: &LeaseKey) -> Option<Resource> {
        let place = (key.aws_id.clone(), key.region.clone());
        self.read().resources.get(&place)?.get(key).map(|doc| doc.body.clone())
    }

    /// The leases of which it would be good to know who launched their instances.
    pub fn launcher_wanted(&self) -> Vec<LeaseKey> {
        let tables = self.read();
        tables.leases.values().filter(|row| row.launcher_wanted).map(|row| row.key.clone()).collect()
    }

    /// What is known of these, each with its revision.
    pub fn resources_of(&self, keys: &[LeaseKey]) -> Vec<Doc<Resource>> {
        let tables = self.read();
        let place = |key: &LeaseKey| (key.aws_id.clone(), key.region.clone());
        keys.iter().filter_map(|key| tables.resources.get(&place(key))?.get(key).cloned()).collect()
    }

    /// Everything known in a region, each with its revision.
    pub fn resources(&self, aws_id: &AwsId, region: &Region) -> Vec<Doc<Resource>> {
        let place = (aws_id.clone(), region.clone());
        self.read().resources.get(&place).map(|all| all.values().cloned().collect()).unwrap_or_default()
    }

    /// The regions in which anything is known.
    pub fn regions(&self) -> Vec<(AwsId, Region)> {
        self.read().resources.keys().cloned().collect()
    }

    /// Every lease that is not over, and every resource that should have one.
    pub fn keys(&self) -> BTreeSet<LeaseKey> {
        let tables = self.read();
        let leases = tables.leases.values().filter(|row| !row.state.is_over()).map(|row| row.key.clone());
        let resources = tables.resources.values().flat_map(HashMap::iter);
        let present = resources.filter(|(_, doc)| !doc.body.is_gone()).map(|(key, _)| key.clone());
        leases.chain(present).collect()
    }

    /// Requests about a lease that have no answer.
    pub fn requests(&self, key: &LeaseKey) -> Vec<Doc<Request>> {
        self.read().requests.get(key).map(|open| open.values().cloned().collect()).unwrap_or_default()
    }

    /// The notices that wait to be sent.
    pub fn notices_due(&self) -> Vec<Doc<Notice>> {
        self.read().notices.values().cloned().collect()
    }

    /// The place of a lease among its owner's live ones by (first seen, id), from 1; 0 when it is not among them. A group
    /// counts as many as it wishes for.
    pub fn rank(&self, account: &AccountId, owner: &UserId, key: &LeaseKey) -> u32 {
        let tables = self.read();
        let own = tables.live.get(&(account.clone(), owner.clone()));
        let Some(place) = own.and_then(|live| live.iter().position(|(_, other)| other == key)) else { return 0 };
        let weights = own.into_iter().flatten().map(|(_, other)| tables.weight(other));
        weights.take(place + 1).fold(0, u32::saturating_add).max(1)
    }

    /// Leases past their deadline, and expired ones whose owner has not been told: what a sweep looks at.
    pub fn overdue(&self, now: Time) -> BTreeSet<LeaseKey> {
        let tables = self.read();
        let now = now.to_string();
        let due = [View::PastDeadline, View::ExpiredUnnotified].map(|view| tables.views.until(view, &now));
        due.iter().flatten().filter_map(|id| LeaseKey::parse(id).ok()).collect()
    }

    /// The rows of a view, for whoever has no view service.
    pub fn view_rows(&self, view: View) -> Vec<(super::Emitted, String)> {
        self.read().views.rows(view).cloned().collect()
    }

    /// Documents that cannot be read, each with what is wrong with it.
    pub fn unreadable(&self) -> Vec<(String, String)> {
        self.read().unreadable.clone().into_iter().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a change in; says what it bears on. `doc` is `None` when the document is gone.
    pub(super) fn apply(&self, id: &str, doc: Option<&Value>) -> Vec<Wake> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if id.starts_with("lease::") {
            tables.views.apply(id, doc);
        }
        let rev = doc.and_then(|doc| doc.get("_rev")).and_then(Value::as_str);
        let read = doc.map(|doc| read(id, rev, doc)).transpose();
        match read {
            Ok(document) => {
                match document.as_ref().and_then(passed_over) {
                    Some(why) => tables.name(id, why),
                    None => drop(tables.unreadable.remove(id)),
                }
                let mended = tables.mended(id);
                let mut wakes = tables.put(id, document);
                wakes.extend(mended.filter(|_| wakes.is_empty()));
                wakes
            }
            Err(why) => {
                tables.name(id, why);
                tables.unreadable_now(id)
            }
        }
    }
}

impl Tables {
    /// Notes what is wrong with a document, and says so once.
    fn name(&mut self, id: &str, why: String) {
        tracing::warn!(id, why, "a document cannot be read as a whole; it is left alone");
        self.unreadable.insert(id.to_owned(), why);
    }

    fn put(&mut self, id: &str, document: Option<Document>) -> Vec<Wake> {
        match document {
            None => self.remove(id),
            Some(Document::Lease(lease)) => self.put_lease(LeaseRow::of(&lease)),
            Some(Document::Resource(doc)) => self.put_resource(doc),
            Some(Document::Request(doc)) => self.put_request(doc),
            Some(Document::Notice(doc)) => self.put_notice(doc),
            Some(Document::Callback(call)) if call.used.is_some() => vec![Wake::Called(call.lease)],
            Some(Document::Callback(_) | Document::Other) => Vec::new(),
            Some(small) => {
                // A region that was just paused is scanned again at its time: two scans at one moment would always agree.
                let accounts = match &small {
                    Document::AwsAccount(_) => true,
                    Document::Region(_, _, state) => state.resume == Some(true),
                    _ => false,
                };
                let scope = directory::put(Arc::make_mut(&mut self.directory), id, small);
                let mut wakes = if accounts { vec![Wake::Accounts] } else { Vec::new() };
                wakes.extend(scope.map(|scope| self.concerned(&scope)));
                wakes
            }
        }
    }

    fn remove(&mut self, id: &str) -> Vec<Wake> {
        if let Some(key) = lease_id(id) {
            return self.remove_lease(&key);
        }
        if let Some(scope) = directory::remove(Arc::make_mut(&mut self.directory), id) {
            return vec![self.concerned(&scope)];
        }
        if let Some(key) = id.strip_prefix("resource::").and_then(|rest| LeaseKey::parse(rest).ok()) {
            let place = (key.aws_id.clone(), key.region.clone());
            self.resources.get_mut(&place).map(|all| all.remove(&key));
            return vec![Wake::Leases(vec![key])];
        }
        self.notices.remove(id);
        self.remove_request(id);
        Vec::new()
    }

    /// A document that cannot be read says nothing any more, but for a resource: unknown is not gone (SAFETY.md,
    /// invariant 6), so what was seen last stays. A policy, a pause or a person that cannot be read stays in force too, and
    /// what they bear on is held: this memory ends with the process.
    fn unreadable_now(&mut self, id: &str) -> Vec<Wake> {
        match lease_id(id) {
            Some(key) => self.remove_lease(&key),
            None if id.starts_with("request::") || id.starts_with("notice::") => self.remove(id),
            // A key of which nothing is known lets nobody in.
            None if id.starts_with(EventKey::PREFIX) => self.remove(id),
            None => {
                let scope = directory::unreadable(Arc::make_mut(&mut self.directory), id);
                scope.map(|scope| self.concerned(&scope)).into_iter().collect()
            }
        }
    }

    fn mended(&mut self, id: &str) -> Option<Wake> {
        if !self.directory.unreadable.contains(id) {
            return None;
        }
        let scope = directory::mended(Arc::make_mut(&mut self.directory), id)?;
        Some(self.concerned(&scope))
    }

    fn put_lease(&mut self, row: LeaseRow) -> Vec<Wake> {
        let key = row.key.clone();
        let before = self.leases.insert(key.clone(), row.clone());
        let mut keys = vec![key.clone()];
        let stands = |row: &LeaseRow| (row.owner.clone(), row.account.clone(), row.state.is_over());
        if before.as_ref().map(stands) != Some(stands(&row)) {
            keys.extend(self.members(&key));
        }
        if before.as_ref().and_then(|before| before.promised) != row.promised {
            keys.extend(self.group_of(&key));
        }
        if let Some(before) = before {
            let moved = before.owner != row.owner || before.account != row.account || before.is_live() != row.is_live();
            if moved {
                self.leave(&before);
                keys.extend(self.waiting_for_room(&before));
            }
        }
        if row.is_live() {
            self.live.entry((row.account, row.owner)).or_default().insert((row.first_seen, key));
        }
        vec![Wake::Leases(keys)]
    }

    fn remove_lease(&mut self, key: &LeaseKey) -> Vec<Wake> {
        let mut keys = vec![key.clone()];
        if let Some(before) = self.leases.remove(key) {
            keys.extend(self.members(key));
            keys.extend(self.group_of(key));
            self.leave(&before);
            keys.extend(self.waiting_for_room(&before));
        }
        vec![Wake::Leases(keys)]
    }

    fn leave(&mut self, row: &LeaseRow) {
        let owner = (row.account.clone(), row.owner.clone());
        if let Some(live) = self.live.get_mut(&owner) {
            live.remove(&(row.first_seen, row.key.clone()));
            if live.is_empty() {
                self.live.remove(&owner);
            }
        }
    }

    /// The owner's leases that are short because there were too many.
    fn waiting_for_room(&self, left: &LeaseRow) -> Vec<LeaseKey> {
        let own = self.live.get(&(left.account.clone(), left.owner.clone())).into_iter().flatten();
        let short = own.filter(|(_, key)| self.leases.get(key).is_some_and(|row| row.over_quota));
        short.map(|(_, key)| key.clone()).collect()
    }

    fn put_resource(&mut self, doc: Doc<Resource>) -> Vec<Wake> {
        let key = doc.body.key.key();
        let place = (key.aws_id.clone(), key.region.clone());
        let weight = doc.body.weight();
        let before = self.resources.entry(place).or_default().insert(key.clone(), doc);
        let mut keys = vec![key.clone()];
        keys.extend(self.group_of(&key));
        if let Some(row) = before.filter(|before| before.body.weight() > weight).and_then(|_| self.leases.get(&key)) {
            keys.extend(self.waiting_for_room(row));
        }
        vec![Wake::Leases(keys)]
    }

    /// How many instances a lease counts as. What a group's lease stands for counts there.
    fn weight(&self, key: &LeaseKey) -> u32 {
        if key.resource_id.is_instance() {
            let group = self.group_of(key).and_then(|group| self.leases.get(&group));
            return u32::from(!group.is_some_and(LeaseRow::is_live));
        }
        let place = (key.aws_id.clone(), key.region.clone());
        let known = self.resources.get(&place).and_then(|all| all.get(key));
        known.map_or(1, |doc| doc.body.weight())
    }

    fn put_request(&mut self, doc: Doc<Request>) -> Vec<Wake> {
        self.remove_request(&doc.id);
        if doc.body.answer.is_some() {
            return Vec::new();
        }
        let key = doc.body.lease.clone();
        self.request_of.insert(doc.id.clone(), key.clone());
        self.requests.entry(key.clone()).or_default().insert(doc.id.clone(), doc);
        vec![Wake::Leases(vec![key])]
    }

    fn remove_request(&mut self, id: &str) {
        let Some(key) = self.request_of.remove(id) else { return };
        if let Some(open) = self.requests.get_mut(&key) {
            open.remove(id);
            if open.is_empty() {
                self.requests.remove(&key);
            }
        }
    }

    fn put_notice(&mut self, doc: Doc<Notice>) -> Vec<Wake> {
        if doc.body.status == NoticeStatus::Queued {
            self.notices.insert(doc.id.clone(), doc);
            return vec![Wake::Outbox];
        }
        self.notices.remove(&doc.id);
        vec![Wake::Leases(vec![doc.body.lease])]
    }

    /// The leases that a small document bears on.
    fn concerned(&self, scope: &Scope) -> Wake {
        let within = |row: &&LeaseRow| match scope {
            Scope::Everything => true,
            Scope::Account(account) => row.account == *account,
            Scope::AwsAccount(aws_id) => row.key.aws_id == *aws_id,
        };
        let live = self.leases.values().filter(|row| !row.state.is_over());
        Wake::Leases(live.filter(within).map(|row| row.key.clone()).collect())
    }
}

fn lease_id(id: &str) -> Option<LeaseKey> {
    id.strip_prefix("lease::").and_then(|rest| LeaseKey::parse(rest).ok())
}

#[cfg(test)]
mod tests;
