//! A customer in memory: one Account, its people, one AWS account. Carries decisions out as the driver, the notifier and
//! the reaper do, and checks the invariants of SAFETY.md after every step. Faults are asked for by name.
//! Longer than other files because it stands for driver, notifier and people at once.

mod group;
mod reaper;

pub(super) use group::group_key;

use super::dice::Dice;
use super::ledger::Ledger;
use crate::model::{
    AccountId, Action, AwsAccount, Doc, Facts, GROUP_KIND, Lease, LeaseKey, Notice, NoticeStatus, Pause, Policy,
    PolicyLayer, RegionState, Request, Resource, ResourceState, Stage, StageAccepted, State, Time, User, UserId, Wish,
};
use crate::reactor::{Effect, ReapOutcome, View, decide};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The world.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub now: Time,
    pub start: Time,
    pub aws: AwsAccount,
    pub region: Option<RegionState>,
    pub layer: PolicyLayer,
    pub users: Vec<User>,
    pub pauses: Vec<Pause>,
    /// What EC2 has.
    pub machines: BTreeMap<LeaseKey, Facts>,
    /// What the detector wrote of it.
    pub resources: BTreeMap<LeaseKey, Resource>,
    pub leases: BTreeMap<LeaseKey, Lease>,
    pub notices: BTreeMap<String, Notice>,
    /// Ids of the notices that are queued.
    pub outbox: BTreeSet<String>,
    /// Requests without an answer, and with one.
    pub requests: BTreeMap<LeaseKey, BTreeMap<String, Doc<Request>>>,
    pub answered: BTreeMap<String, Doc<Request>>,
    /// Live leases by owner, in the order of their rank.
    ranks: BTreeMap<UserId, BTreeSet<(Time, LeaseKey)>>,
    /// What was done to machines: when, which, what.
    pub ends: Vec<(Time, LeaseKey, Action)>,
    /// Claims of the last hours.
    pub claims: Vec<Time>,
    /// Addresses that the mail service refuses.
    pub refuses: Vec<String>,
    /// The detector sees at once what is done to machines.
    pub sharp: bool,
    /// Something changed in EC2 since the last scan.
    pub stirred: bool,
    /// What goes wrong with the next end, or with the process.
    pub faults: Faults,
    /// Leases are looked at in an order of chance, and the process dies now and then.
    pub unruly: Option<Dice>,
    pub ledger: Ledger,
    groups: group::Groups,
}

/// What goes wrong next; each fault is used up when it happens.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// The process dies after so many further steps: a save or an effect.
    pub dies_in: Option<u32>,
    /// What EC2 says of the next end instead of doing it.
    pub outcome: Option<ReapOutcome>,
    /// The reaper dies after the next claim, before EC2 is asked; or after, before the outcome is saved.
    pub claim_dies: Option<ClaimDies>,
}

/// When a reaper dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimDies {
    Before,
    After,
}

/// How a look at a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// At rest until then.
    Rests(Option<Time>),
    /// The process died: everything in memory is lost.
    Died,
}

pub(super) fn key(number: u32) -> LeaseKey {
    LeaseKey::parse(&format!("111122223333::us-east-1::i-{number:04x}")).unwrap()
}

impl World {
    pub(super) fn new(stage: Stage) -> World {
        let start = Time::parse("2026-11-24T08:00:00Z").unwrap();
        let long_ago = start.plus(-30 * 86_400);
        let aws = json!({
            "account": "bigdb", "aws_id": "111122223333", "stage": stage, "connected_at": long_ago,
            "stage_accepted": {"stage": stage, "since": long_ago},
        });
        let users = json!([
            {"account": "bigdb", "user": "ada", "role": "admin", "email": "ada@bigdb.com"},
            {"account": "bigdb", "user": "lin", "role": "dev", "email": "lin@bigdb.com", "key_names": ["lin-laptop"]},
            {"account": "bigdb", "user": "max", "role": "dev", "email": "max@bigdb.com"},
        ]);
        World {
            now: start,
            start,
            aws: serde_json::from_value(aws).unwrap(),
            region: None,
            layer: PolicyLayer::default(),
            users: serde_json::from_value(users).unwrap(),
            pauses: Vec::new(),
            machines: BTreeMap::new(),
            resources: BTreeMap::new(),
            leases: BTreeMap::new(),
            notices: BTreeMap::new(),
            outbox: BTreeSet::new(),
            requests: BTreeMap::new(),
            answered: BTreeMap::new(),
            ranks: BTreeMap::new(),
            ends: Vec::new(),
            claims: Vec::new(),
            refuses: Vec::new(),
            sharp: true,
            stirred: false,
            faults: Faults::default(),
            unruly: None,
            ledger: Ledger::default(),
            groups: group::Groups::default(),
        }
    }

    /// An instance that starts now, or starts again; seen at once if the detector is sharp.
    pub(super) fn launch(&mut self, key: &LeaseKey, extra: &Value) {
        let mut facts =
            json!({"state": "running", "instance_type": "t3.large", "root_device": "ebs", "launch_time": self.now});
        facts.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.machines.insert(key.clone(), serde_json::from_value(facts).unwrap());
        self.ledger.started(key);
        self.see(key);
    }

    /// Somebody, or the reaper, changes an instance in AWS.
    pub(super) fn turn(&mut self, key: &LeaseKey, state: ResourceState) {
        if key.is_group() {
            return self.turn_group(key, state);
        }
        let now = self.now;
        let machine = self.machines.get_mut(key).unwrap();
        if state.is_up() && !machine.state.is_up() {
            machine.launch_time = Some(now);
            self.ledger.started(key);
        }
        self.machines.get_mut(key).unwrap().state = state;
        self.see(key);
    }

    fn see(&mut self, key: &LeaseKey) {
        self.stirred = true;
        if !self.sharp {
            return;
        }
        let (facts, now) = (self.machines[key].clone(), self.now);
        let resource = self.resources.entry(key.clone()).or_insert_with(|| {
            let resource = json!({
                "account": AccountId::parse("bigdb").unwrap(), "aws_id": key.aws_id, "region": key.region,
                "resource_id": key.resource_id, "kind": if key.is_group() { GROUP_KIND } else { "instance" }, "facts": facts, "owner": "pending",
                "first_seen": now,
            });
            serde_json::from_value(resource).unwrap()
        });
        resource.facts = facts;
    }

    /// The service takes note of a raised stage.
    pub(super) fn raise(&mut self, stage: Stage) {
        let before = self.aws.stage_accepted.map_or(Stage::Observe, |accepted| accepted.stage.min(self.aws.stage));
        self.aws.stage = stage;
        if stage > before {
            self.aws.stage_accepted = Some(StageAccepted { stage, since: self.now });
        }
    }

    pub(super) fn policy(&self) -> Policy {
        Policy::effective([&self.layer])
    }

    pub(super) fn lease(&self, key: &LeaseKey) -> &Lease {
        &self.leases[key]
    }

    pub(super) fn ask(&mut self, id: &str, user: &str, key: &LeaseKey, action: Wish, extra: &Value) {
        let mut body =
            json!({"account": "bigdb", "user": user, "lease": key.lease_id(), "action": action, "at": self.now});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let doc = Doc { id: id.to_owned(), rev: None, body: serde_json::from_value(body).unwrap() };
        self.requests.entry(key.clone()).or_default().insert(id.to_owned(), doc);
    }

    pub(super) fn answer(&self, id: &str) -> &crate::model::Answer {
        self.answered.get(id).and_then(|doc| doc.body.answer.as_ref()).unwrap_or_else(|| panic!("{id} has no answer"))
    }

    /// The notices of one term of a lease.
    fn notices_of(&self, key: &LeaseKey, term: u32) -> Vec<Notice> {
        let prefix = format!("notice::{key}::{term}::");
        let found = self.notices.range(prefix.clone()..).take_while(|(id, _)| id.starts_with(&prefix));
        found.map(|(_, notice)| notice.clone()).collect()
    }

    fn view(&self, key: &LeaseKey) -> View {
        let lease = self.leases.get(key).cloned();
        let term = lease.as_ref().map_or(0, |lease| lease.term);
        let policy = self.policy();
        View {
            rules: Vec::new(),
            resource: self.resources.get(key).cloned(),
            trigger: Value::Null,
            aws_account: Some(self.aws.clone()),
            region: self.region.clone(),
            account_policy: policy.clone(),
            unreadable: Vec::new(),
            policy,
            users: self.users.clone(),
            pauses: self.pauses.clone(),
            requests: self.requests.get(key).into_iter().flatten().map(|(_, doc)| doc.clone()).collect(),
            notices: self.notices_of(key, term),
            usage: lease.as_ref().map_or(0, |lease| self.rank(lease)),
            cover: self.resources.get(key).and_then(|resource| self.cover(resource)),
            members: self.resources.get(key).map(|resource| self.covered(resource)).unwrap_or_default(),
            lease,
        }
    }

    fn rank(&self, lease: &Lease) -> u32 {
        let Some(live) = self.ranks.get(&lease.owner) else { return 0 };
        let place = (lease.first_seen, lease.key());
        let lives = |state: State| matches!(state, State::Active | State::Expired | State::Reaping);
        let stands =
            |it: &Resource| it.group_key().and_then(|key| self.leases.get(&key)).is_some_and(|it| lives(it.state));
        let counts = |it: &Resource| if stands(it) { 0 } else { it.weight() };
        let weight = |(_, key): &(Time, LeaseKey)| self.resources.get(key).map_or(1, counts);
        if live.contains(&place) { live.range(..=place).map(weight).sum::<u32>().max(1) } else { 0 }
    }

    pub(super) fn save(&mut self, lease: Lease) {
        let live = |lease: &Lease| matches!(lease.state, State::Active | State::Expired | State::Reaping);
        let key = lease.key();
        if let Some(old) = self.leases.get(&key) {
            self.ranks.entry(old.owner.clone()).or_default().remove(&(old.first_seen, key.clone()));
        }
        if live(&lease) {
            self.ranks.entry(lease.owner.clone()).or_default().insert((lease.first_seen, key.clone()));
        }
        self.leases.insert(key, lease);
    }

    /// Decides about one lease until nothing changes.
    pub(super) fn look(&mut self, key: &LeaseKey) -> Looked {
        for _ in 0..60 {
            let view = self.view(key);
            let decision = decide(&view, self.now);
            let mut changed = decision.lease.is_some();
            if let Some(lease) = decision.lease {
                self.ledger.saved(&view, &lease, self.now);
                self.save(lease);
                if self.dies() {
                    return Looked::Died;
                }
            }
            for effect in decision.effects {
                changed |= self.perform(effect);
                if self.dies() {
                    return Looked::Died;
                }
            }
            self.check(key);
            if !changed {
                return Looked::Rests(decision.next);
            }
        }
        panic!("{key} never comes to rest: {:#?}", self.leases.get(key));
    }

    fn dies(&mut self) -> bool {
        let died = self.faults.dies_in == Some(0);
        self.faults.dies_in = if died { None } else { self.faults.dies_in.map(|left| left - 1) };
        died
    }

    fn perform(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Queue(notice) => {
                let id = notice.id();
                assert!(!self.notices.contains_key(&id), "{id} twice");
                self.outbox.insert(id.clone());
                self.notices.insert(id, notice);
                true
            }
            Effect::Answer(doc) => {
                self.requests.get_mut(&doc.body.lease).unwrap().remove(&doc.id).unwrap();
                self.ledger.answered(&doc);
                self.answered.insert(doc.id.clone(), doc);
                true
            }
            Effect::SaveResource(resource) => {
                self.resources.insert(resource.key.key(), resource);
                true
            }
            Effect::Start(key) if key.is_group() => self.wake(&key),
            Effect::Start(key) => {
                let down = self.machines[&key].state == ResourceState::Stopped;
                if down {
                    self.turn(&key, ResourceState::Running);
                }
                down && self.sharp
            }
            Effect::Due(due) => self.reap(&due),
        }
    }

    /// The mail service takes what is queued, but for addresses that it refuses.
    pub(super) fn send(&mut self) {
        for id in std::mem::take(&mut self.outbox) {
            let notice = self.notices.get_mut(&id).unwrap();
            if self.refuses.contains(&notice.address) {
                notice.status = NoticeStatus::Refused;
            } else {
                self.ledger.mailed(notice, self.leases.get(&notice.lease), true, self.now);
                notice.status = NoticeStatus::Accepted;
                notice.accepted_at = Some(self.now);
            }
        }
    }

    /// Invariants 3 and 6: what runs has a live lease; nothing is gone that is there.
    fn check(&self, key: &LeaseKey) {
        let (Some(resource), Some(lease)) = (self.resources.get(key), self.leases.get(key)) else { return };
        let there = self.machines.get(key);
        let runs = there.is_some_and(|machine| machine.state.is_up()) && resource.facts.state.is_up();
        if runs && resource.missing.is_none() {
            assert!(self.is_leased(resource), "{key} runs without a live lease");
        }
        if lease.state.is_over() {
            assert!(
                there.is_none_or(|machine| machine.state.is_ended()) || self.is_leased(resource),
                "{key} is there and its lease is {:?}",
                lease.state
            );
        }
    }

    /// Lets `seconds` pass as the service lives through them: every lease is looked at whenever it asked to be, mails go
    /// out at once.
    pub(super) fn pass(&mut self, seconds: i64) {
        let until = self.now.plus(seconds);
        loop {
            let mut next = until;
            let mut keys: Vec<_> = self.resources.keys().cloned().collect();
            if let Some(dice) = &mut self.unruly {
                dice.shuffle(&mut keys);
            }
            for key in keys {
                let soon = self.look_until_it_rests(&key);
                self.send();
                let again = self.look_until_it_rests(&key);
                for at in [soon, again].into_iter().flatten() {
                    next = next.min(at.max(self.now.plus(1)));
                }
            }
            if self.now >= until {
                return;
            }
            self.now = next;
        }
    }

    fn look_until_it_rests(&mut self, key: &LeaseKey) -> Option<Time> {
        loop {
            if let Some(dice) = &mut self.unruly {
                self.faults.dies_in = dice.percent(20).then(|| u32::try_from(dice.below(3)).unwrap());
            }
            if let Looked::Rests(next) = self.look(key) {
                self.faults.dies_in = None;
                return next;
            }
        }
    }

    /// The kinds of notices made, with who got them, in order of id.
    pub(super) fn told(&self, key: &LeaseKey) -> Vec<String> {
        let mut all: Vec<_> = self.notices.values().filter(|notice| notice.lease == *key).collect();
        all.sort_by_key(|notice| (notice.term, notice.due_at, notice.id()));
        all.into_iter().map(|notice| format!("{} {}", notice.user, notice.kind)).collect()
    }
}
