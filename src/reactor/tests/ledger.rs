//! What really happened, kept apart from the documents: promises made to people, mails taken, machines started. The world
//! checks every end against it, so that a decision cannot be right by its own records alone.

use crate::model::{
    Doc, EvidenceSource, Lease, LeaseKey, Notice, NoticeKind, Outcome, Request, State, Time, UserId, Wish,
};
use crate::reactor::View;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// The last end that an answer promised, by lease.
    promises: BTreeMap<LeaseKey, Time>,
    /// Leases whose end a person asked for, and nothing since has taken that back.
    ends: BTreeSet<LeaseKey>,
    /// Machines that zerocloud stopped last, and nobody has started since.
    stopped: BTreeSet<LeaseKey>,
    /// When owner or admin were first told of an end, and the last end that a mail named; by lease, term, and whether it is
    /// the second end.
    told: BTreeMap<(LeaseKey, u32, bool), Told>,
    /// Who said "not mine" of what, by which evidence.
    refused: BTreeSet<(LeaseKey, UserId, String)>,
    /// How often each mail was taken.
    pub mails: BTreeMap<String, u32>,
    /// Mails whose receipt was lost: the process died between the mail service's answer and its record.
    pub lost_receipts: BTreeSet<String>,
}

/// What people were told of an end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// Since when they know.
    pub since: Time,
    /// The latest end that a mail named.
    pub end: Time,
}

impl Ledger {
    pub(super) fn promised(&self, key: &LeaseKey) -> Option<Time> {
        self.promises.get(key).copied()
    }

    pub(super) fn asked_end(&self, key: &LeaseKey) -> bool {
        self.ends.contains(key)
    }

    pub(super) fn stopped_by_us(&self, key: &LeaseKey) -> bool {
        self.stopped.contains(key)
    }

    pub(super) fn told(&self, key: &LeaseKey, term: u32, second: bool) -> Option<Told> {
        self.told.get(&(key.clone(), term, second)).copied()
    }

    pub(super) fn started(&mut self, key: &LeaseKey) {
        self.stopped.remove(key);
    }

    /// zerocloud stopped or terminated it: what was promised before is over.
    pub(super) fn ended(&mut self, key: &LeaseKey) {
        self.stopped.insert(key.clone());
        self.ends.remove(key);
        self.promises.remove(key);
    }

    pub(super) fn forget(&mut self, key: &LeaseKey) {
        self.ended(key);
        self.stopped.remove(key);
        self.told.retain(|(told, _, _), _| told != key);
        self.refused.retain(|(refused, _, _)| refused != key);
    }

    pub(super) fn answered(&mut self, doc: &Doc<Request>) {
        let answer = doc.body.answer.as_ref().unwrap();
        if answer.outcome == Outcome::Refused {
            return;
        }
        let key = doc.body.lease.clone();
        if matches!(doc.body.action, Wish::Renew | Wish::Revive)
            && let Some(until) = answer.until
        {
            let end = self.promises.entry(key).or_insert(until);
            *end = until.max(*end);
        }
    }

    /// The mail service took a mail that names the end as it stands on the lease; `told` when its reader counts.
    pub(super) fn mailed(&mut self, notice: &Notice, lease: Option<&Lease>, told: bool, now: Time) {
        let times = self.mails.entry(notice.id()).or_default();
        *times += 1;
        assert!(*times == 1 || self.lost_receipts.contains(&notice.id()), "sent twice at {now}: {notice:?}");
        let second = notice.kind == NoticeKind::Stopped;
        if told && (second || notice.kind.announces_end()) {
            let end = lease.filter(|lease| lease.term == notice.term).map_or(Time::MIN, |lease| lease.ends_at);
            let told = self.told.entry((notice.lease.clone(), notice.term, second)).or_insert(Told { since: now, end });
            told.end = told.end.max(end);
        }
    }

    /// Rules about a step from one lease to the next, whatever led to it.
    pub(super) fn saved(&mut self, view: &View, lease: &Lease, now: Time) {
        let Some(old) = &view.lease else {
            assert!(lease.expires_at > now && lease.owner.is_pending());
            return;
        };
        self.end_wishes(old, lease);
        let moved = old.owner != lease.owner
            || old.owner_evidence != lease.owner_evidence
            || old.granted_until != lease.granted_until
            || old.state != lease.state
            || old.end_action != lease.end_action
            || old.ends_at != lease.ends_at;
        assert!(lease.term == old.term || moved, "a new term for nothing: {old:?} {lease:?}");
        assert!(lease.term >= old.term && lease.term - old.term <= 24, "terms race: {old:?} {lease:?}");
        assert!(lease.refused.len() >= old.refused.len(), "a refusal was forgotten");
        self.owners(old, lease, view);
        let story = || lease.events.iter().rev().take(4).map(|line| line.what.clone()).collect::<Vec<_>>().join("; ");
        if lease.granted_until > old.granted_until {
            let causes = ["renewed", "revived", "started again", "mail begins", "within the limit", "first lease"];
            let story = lease.events.iter().map(|line| line.what.as_str()).collect::<Vec<_>>().join("; ");
            assert!(causes.iter().any(|cause| story.contains(cause)), "longer for no reason: {story}");
        }
        if lease.granted_until < old.granted_until && lease.state.is_renewable() && old.state.is_renewable() {
            let causes = ["asked for its end", "over the limit", "first lease", "started again"];
            assert!(causes.iter().any(|cause| story().contains(cause)), "shorter for no reason: {}", story());
        }
    }

    /// A wish for the end counts from its answer on the lease, until the lease is granted anew.
    fn end_wishes(&mut self, old: &Lease, lease: &Lease) {
        let wish = |lease: &Lease| lease.extra.get("marks").is_some_and(|marks| marks.get("wish").is_some());
        if wish(lease) && !wish(old) {
            let asked = lease.answered.iter().rev().any(|said| said.outcome == Outcome::Done);
            assert!(asked, "an end that nobody asked for: {lease:?}");
            self.ends.insert(lease.key());
            self.promises.remove(&lease.key());
        }
        if !wish(lease) && lease.state != State::Reaping {
            self.ends.remove(&lease.key());
        }
        if old.state.is_over() || lease.state.is_over() {
            self.promises.remove(&lease.key());
        }
    }

    /// Who owned it as a person keeps it, unless they or an admin said otherwise or they left; what somebody refused does
    /// not return to them by the same evidence.
    fn owners(&mut self, old: &Lease, lease: &Lease, view: &View) {
        for no in lease.refused.iter().skip(old.refused.len()) {
            self.refused.insert((lease.key(), no.user.clone(), format!("{:?} {}", no.source, no.value)));
        }
        if old.owner == lease.owner {
            return;
        }
        let by = &lease.owner_evidence;
        let evidence = format!("{:?} {}", by.source, by.value);
        // Who accepts it, or is given it by an admin, has it whatever they said before.
        assert!(
            by.source == EvidenceSource::Request
                || !self.refused.contains(&(lease.key(), lease.owner.clone(), evidence)),
            "it returned to {} by evidence that they refused: {lease:?}",
            lease.owner
        );
        let person = !old.owner.is_pending() && !format!("{:?}", old.owner_evidence.source).contains("Admin");
        let left = !view.users.iter().any(|user| user.user == old.owner);
        let agreed = lease
            .events
            .iter()
            .rev()
            .take(3)
            .any(|line| ["took it over", "not ", "an admin gave it"].iter().any(|word| line.what.contains(word)));
        assert!(!person || left || agreed, "taken from a person: {old:?} {lease:?}");
    }
}
