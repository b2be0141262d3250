//! What recurs in the year: scans, some of a part only; rounds of the notifier, with mail that is slow, refused or taken
//! without a receipt; and the count of everything, with a clock that jumps.

use super::super::scene::{DAY, HOUR};
use super::{Event, Year};
use crate::model::{
    AccountId, Doc, LeaseKey, Notice, NoticeStatus, Region, ResourceId, Role, State, StoppedBy, Time, User,
};
use crate::reactor::{
    Digest, Reconciled, Scan, Standing, assign_clusters, assign_members, batch, leaves_at, reconcile,
};
use crate::words::Zone;
use std::collections::{BTreeMap, BTreeSet};

impl Year {
    /// A scan, sometimes of a part only. What lacked something is scanned again within minutes.
    pub(super) fn poll(&mut self) {
        let watched = !self.blind.is_empty() || self.world.resources.values().any(|known| known.missing.is_some());
        self.forget_some();
        // A scan that sees what the last one saw changes nothing: time is saved for the others.
        if self.world.stirred || watched || !self.blind.is_empty() {
            self.scan();
        }
        let missing = self.world.resources.values().any(|resource| resource.missing.is_some());
        let wait = if missing { 300 } else { self.dice.span(HOUR / 2, 3 * HOUR / 2) };
        self.after(wait, Event::Poll);
    }

    fn scan(&mut self) {
        self.world.stirred = !self.blind.is_empty();
        let mut found: BTreeMap<ResourceId, _> = self
            .world
            .machines
            .iter()
            .filter(|(key, _)| !self.blind.contains(*key))
            .map(|(key, facts)| (key.resource_id.clone(), facts.clone()))
            .collect();
        let known: Vec<_> = self.world.resources.values().cloned().collect();
        assign_members(&mut found, &known);
        assign_clusters(&mut found, &known);
        let scan = Scan {
            account: AccountId::parse("bigdb").unwrap(),
            aws_id: self.world.aws.aws_id.clone(),
            region: Region::parse("us-east-1").unwrap(),
            found,
            groups_read: true,
            confirmed_absent: BTreeSet::new(),
            agreed: false,
        };
        match reconcile(&known, &scan, self.world.now) {
            Reconciled::Changes(changes) => {
                for change in changes {
                    let key = change.resource.key.key();
                    self.world.resources.insert(key.clone(), change.resource);
                    if change.event.is_some() {
                        self.look(&key);
                    }
                }
            }
            Reconciled::Paused { reason, .. } => {
                let region = serde_json::json!({"account": "bigdb", "state": "paused", "reason": reason, "since": self.world.now});
                self.world.region = serde_json::from_value(region).unwrap();
                let hours = self.dice.span(HOUR, 12 * HOUR);
                self.after(hours, Event::RegionOpens);
            }
        }
    }

    /// No machine is out of sight for three scans in a row, as none is that exists.
    fn forget_some(&mut self) {
        if self.quiet || !self.blind.is_empty() {
            self.blind.clear();
            return;
        }
        let share = match self.dice.below(50) {
            0 => 80,
            1..=4 => 3,
            _ => return,
        };
        let keys: Vec<_> = self.world.machines.keys().cloned().collect();
        self.blind = keys.into_iter().filter(|_| self.dice.percent(share)).collect();
    }

    pub(super) fn wake_notifier(&mut self) {
        let waits = self.events.iter().any(|(_, _, event)| *event == Event::Mail);
        if !self.world.outbox.is_empty() && !waits {
            let wait = self.dice.span(2, 120);
            self.after(wait, Event::Mail);
        }
    }

    /// A round of the notifier: what is not true any more is dropped, the rest goes out in batches.
    pub(super) fn mail(&mut self) {
        let mut queued = Vec::new();
        for id in self.world.outbox.clone() {
            let notice = self.world.notices.get_mut(&id).unwrap();
            let lease = self.world.leases.get(&notice.lease);
            if lease.is_none_or(|lease| lease.term != notice.term) {
                notice.status = NoticeStatus::Obsolete;
                self.world.outbox.remove(&id);
            } else if lease.is_some_and(|lease| lease.state != State::Reaping) {
                queued.push(Doc { id, rev: None, body: notice.clone() });
            }
        }
        let mut concerned = BTreeSet::new();
        let outgoing = batch(&queued, |notice| self.leaves_at(notice), self.world.now);
        for mail in outgoing.mails {
            let down = self.real < self.silence || (!self.quiet && self.dice.percent(3));
            let lost = !self.quiet && self.dice.below(200) == 0;
            for doc in mail.notices {
                concerned.insert(doc.body.lease.clone());
                self.deliver(&doc, down, lost);
            }
        }
        for key in concerned {
            self.look(&key);
        }
        if !self.world.outbox.is_empty() {
            self.after(600, Event::Mail);
        }
    }

    /// As the notifier does.
    fn leaves_at(&self, notice: &Notice) -> Time {
        let reader = self.world.users.iter().find(|user| user.user == notice.user);
        let digest = reader.and_then(|user| {
            let zone = Zone::named(user.time_zone.as_deref()).rules();
            user.digest_hour().map(|hour| Digest { hour, zone })
        });
        let (Some(digest), Some(lease)) = (digest, self.world.leases.get(&notice.lease)) else { return self.world.now };
        let standing = Standing { expires_at: lease.expires_at, ends_at: lease.ends_at };
        leaves_at(notice, standing, &self.world.policy(), &digest, self.world.now)
    }

    fn deliver(&mut self, doc: &Doc<Notice>, down: bool, lost: bool) {
        let now = self.world.now;
        // A delegate's copy tells nobody.
        let told = |user: &User| user.user == doc.body.user && user.role == Role::Admin;
        let owner = self.world.leases.get(&doc.body.lease).map(|lease| lease.owner.clone());
        let told = owner == Some(doc.body.user.clone()) || self.world.users.iter().any(told);
        let refuses = self.world.refuses.contains(&doc.body.address);
        let notice = self.world.notices.get_mut(&doc.id).unwrap();
        if down {
            notice.attempts += 1;
            notice.retry_at = Some(now.plus(15 << notice.attempts.min(7)));
            return;
        }
        if refuses {
            notice.status = NoticeStatus::Refused;
            self.world.outbox.remove(&doc.id);
            return;
        }
        self.world.ledger.mailed(notice, self.world.leases.get(&notice.lease), told, now);
        if lost {
            self.world.ledger.lost_receipts.insert(doc.id.clone());
            return;
        }
        notice.status = NoticeStatus::Accepted;
        notice.accepted_at = Some(now);
        self.world.outbox.remove(&doc.id);
        if !self.quiet {
            let wait = self.dice.span(60, 20 * HOUR);
            self.after(wait, Event::Reads(doc.body.user.to_string(), doc.body.lease.clone(), doc.body.kind.clone()));
        }
    }

    /// Invariant 3, for everything at once; and what is over long enough goes.
    pub(super) fn count(&mut self) {
        let now = self.world.now;
        for (key, resource) in &self.world.resources {
            let runs = self.world.machines.get(key).is_some_and(|machine| machine.state.is_up());
            if runs && resource.facts.state.is_up() && resource.missing.is_none() {
                assert!(self.world.is_leased(resource), "{key} runs without a live lease");
            }
        }
        for lease in self.world.leases.values().filter(|lease| !lease.state.is_over()) {
            let late = |at: Time| now.seconds_since(at);
            assert!(!lease.owner.is_pending() || late(lease.settle_at) < 3_600, "nobody's: {lease:?}");
            let ours = lease.state == State::Stopped && lease.stopped_by == Some(StoppedBy::Zerocloud);
            let ours = ours && !lease.is_group();
            let ends = lease.state == State::Expired || ours;
            let overdue = ends && late(lease.ends_at.max(lease.expires_at)) > 900;
            let passing = self.world.resources[&lease.key()].missing.is_some();
            assert!(!overdue || lease.hold.is_some() || passing, "forgotten at {now}: {lease:?}");
            let reviewed = lease.hold.as_ref().is_none_or(|hold| late(hold.review_at) < 3_600);
            assert!(reviewed, "a hold that nobody reviews at {now}: {lease:?}");
            assert!(self.deadlines.contains_key(&lease.key()) || !ends, "nobody looks again at {lease:?}");
        }
        self.purge();
        if !self.quiet {
            self.turn_clock();
        }
        self.after(12 * HOUR, Event::Count);
    }

    fn purge(&mut self) {
        let now = self.world.now;
        let over: Vec<_> = self
            .world
            .leases
            .values()
            .filter(|lease| lease.purge_at.is_some_and(|at| at <= now))
            .map(crate::model::Lease::key)
            .collect();
        for key in over {
            self.world.leases.remove(&key);
            self.world.resources.remove(&key);
            self.world.machines.remove(&key);
            self.world.requests.remove(&key);
            self.world.ledger.forget(&key);
            self.set_deadline(&key, None);
        }
        let world = &mut self.world;
        // Members have no lease to go with.
        let gone = |key: &LeaseKey| world.resources.get(key).is_some_and(crate::model::Resource::is_gone);
        let members: Vec<_> =
            world.resources.keys().filter(|key| !world.leases.contains_key(key) && gone(key)).cloned().collect();
        for key in members {
            world.resources.remove(&key);
            world.machines.remove(&key);
        }
        let (outbox, leases) = (&world.outbox, &world.leases);
        world.notices.retain(|id, notice| {
            outbox.contains(id) || leases.get(&notice.lease).is_some_and(|lease| lease.term == notice.term)
        });
    }

    /// Now and then the clock jumps: ahead for hours, or back for minutes.
    fn turn_clock(&mut self) {
        match self.dice.below(40) {
            0 => self.clock_ahead += self.dice.span(HOUR, 30 * HOUR),
            1 => self.clock_ahead -= self.dice.span(1, 2 * HOUR),
            2 => self.silence = self.real.plus(self.dice.span(HOUR, 3 * DAY)),
            _ => return,
        }
        self.set_time(self.real);
    }
}
