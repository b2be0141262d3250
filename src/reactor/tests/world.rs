//! A customer in memory: one Account, its people, one AWS account. Carries decisions out as the driver, the notifier and
//! the reaper do, and checks the invariants of SAFETY.md after every step.

use crate::model::{
    AccountId, Action, AwsAccount, Doc, Facts, Lease, LeaseKey, Notice, NoticeStatus, Pause, Policy, PolicyLayer,
    Request, Resource, ResourceState, Stage, State, Time, User, Wish,
};
use crate::reactor::{Effect, ReapOutcome, View, claim, decide, reaped};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The world.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub now: Time,
    pub start: Time,
    pub aws: AwsAccount,
    pub layer: PolicyLayer,
    pub users: Vec<User>,
    pub pauses: Vec<Pause>,
    pub resources: BTreeMap<LeaseKey, Resource>,
    pub leases: BTreeMap<LeaseKey, Lease>,
    pub notices: BTreeMap<String, Notice>,
    pub requests: BTreeMap<String, Doc<Request>>,
    /// What was done to machines: when, which, what.
    pub ends: Vec<(Time, LeaseKey, Action)>,
    pub refuses: Vec<String>,
}

pub(super) fn key(number: u32) -> LeaseKey {
    LeaseKey::parse(&format!("111122223333::us-east-1::i-{number:04x}")).unwrap()
}

impl World {
    pub(super) fn new(stage: Stage) -> World {
        let start = Time::parse("2026-11-24T08:00:00Z").unwrap();
        let long_ago = start.plus(-30 * 86_400);
        let aws = json!({
            "account": "bigdb", "aws_id": "111122223333", "stage": stage,
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
            layer: PolicyLayer::default(),
            users: serde_json::from_value(users).unwrap(),
            pauses: Vec::new(),
            resources: BTreeMap::new(),
            leases: BTreeMap::new(),
            notices: BTreeMap::new(),
            requests: BTreeMap::new(),
            ends: Vec::new(),
            refuses: Vec::new(),
        }
    }

    /// An instance that the detector saw just now.
    pub(super) fn launch(&mut self, key: &LeaseKey, extra: &Value) {
        let mut facts =
            json!({"state": "running", "instance_type": "t3.large", "root_device": "ebs", "launch_time": self.now});
        facts.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let facts: Facts = serde_json::from_value(facts).unwrap();
        let account = AccountId::parse("bigdb").unwrap();
        let resource = json!({
            "account": account, "aws_id": key.aws_id, "region": key.region, "resource_id": key.resource_id,
            "kind": "instance", "facts": facts, "owner": "pending", "first_seen": self.now,
        });
        self.resources.insert(key.clone(), serde_json::from_value(resource).unwrap());
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
        self.requests.insert(id.to_owned(), doc);
    }

    pub(super) fn answer(&self, id: &str) -> &crate::model::Answer {
        self.requests[id].body.answer.as_ref().unwrap_or_else(|| panic!("{id} has no answer"))
    }

    fn view(&self, key: &LeaseKey) -> View {
        let lease = self.leases.get(key).cloned();
        let rank = lease.as_ref().map_or(0, |lease| self.rank(lease));
        let term = lease.as_ref().map_or(0, |lease| lease.term);
        View {
            resource: self.resources.get(key).cloned(),
            trigger: Value::Null,
            aws_account: Some(self.aws.clone()),
            region: None,
            policy: self.policy(),
            account_policy: self.policy(),
            users: self.users.clone(),
            pauses: self.pauses.clone(),
            requests: self.requests.values().filter(|doc| doc.body.answer.is_none()).cloned().collect(),
            notices: self.notices.values().filter(|n| n.lease == *key && n.term == term).cloned().collect(),
            usage: rank,
            lease,
        }
    }

    fn rank(&self, lease: &Lease) -> u32 {
        let live = |other: &&Lease| matches!(other.state, State::Active | State::Expired | State::Reaping);
        let ahead = self.leases.values().filter(live).filter(|other| other.owner == lease.owner);
        let place = ahead.filter(|other| (other.first_seen, other.key()) <= (lease.first_seen, lease.key())).count();
        if live(&lease) { u32::try_from(place).unwrap() } else { 0 }
    }

    /// Decides about one lease until nothing changes; what comes next by itself.
    pub(super) fn look(&mut self, key: &LeaseKey) -> Option<Time> {
        for _ in 0..40 {
            let decision = decide(&self.view(key), self.now);
            let mut changed = decision.lease.is_some();
            if let Some(lease) = decision.lease {
                self.leases.insert(key.clone(), lease);
            }
            for effect in decision.effects {
                changed |= self.perform(effect);
            }
            self.check(key);
            if !changed {
                return decision.next;
            }
        }
        panic!("{key} never comes to rest: {:#?}", self.leases.get(key));
    }

    fn perform(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Queue(notice) => {
                let id = notice.id();
                assert!(!self.notices.contains_key(&id), "{id} twice");
                self.notices.insert(id, notice);
                true
            }
            Effect::Answer(doc) => self.requests.insert(doc.id.clone(), doc.clone()) != Some(doc),
            Effect::SaveResource(resource) => {
                self.resources.insert(resource.key.key(), resource);
                true
            }
            Effect::Start(key) => {
                let now = self.now;
                let facts = &mut self.resources.get_mut(&key).unwrap().facts;
                facts.state = ResourceState::Running;
                facts.launch_time = Some(now);
                true
            }
            Effect::Due(due) => {
                let Some(claimed) = claim(&self.leases[&due.key], &due, self.now) else { return false };
                self.check_end(&claimed, due.action);
                let done = match due.action {
                    Action::Stop => (ResourceState::Stopped, ReapOutcome::Stopped),
                    Action::Terminate => (ResourceState::Terminated, ReapOutcome::Terminated),
                };
                self.resources.get_mut(&due.key).unwrap().facts.state = done.0;
                self.ends.push((self.now, due.key.clone(), due.action));
                let ended = reaped(&claimed, &done.1, self.now, &self.policy());
                self.leases.insert(due.key, ended);
                true
            }
        }
    }

    /// The mail service takes what is queued, but for addresses that it refuses.
    pub(super) fn send(&mut self) {
        for notice in self.notices.values_mut().filter(|notice| notice.status == NoticeStatus::Queued) {
            if self.refuses.contains(&notice.address) {
                notice.status = NoticeStatus::Refused;
            } else {
                notice.status = NoticeStatus::Accepted;
                notice.accepted_at = Some(self.now);
            }
        }
    }

    /// Invariants 1 and 2, at the moment of every end.
    fn check_end(&self, lease: &Lease, action: Action) {
        assert!(self.now >= lease.expires_at, "an early end of {lease:?}");
        assert!(self.pauses.iter().all(|pause| pause.resumed_at.is_some()), "an end while paused");
        let stage = if action == Action::Stop { Stage::Stop } else { Stage::Terminate };
        assert!(self.aws.effective_stage() >= stage, "an end that the stage forbids");
        let wished = self.requests.values().any(|doc| matches!(doc.body.action, Wish::End | Wish::Terminate));
        let policy = self.policy();
        let second = lease.stopped_at.is_some();
        let least = if second { policy.terminate_notice } else { policy.min_notice };
        let told = self.notices.values().any(|notice| {
            notice.lease == lease.key()
                && notice.term == lease.term
                && notice.accepted_at.is_some_and(|at| self.now.seconds_since(at) >= least)
        });
        assert!(told || wished, "an end without notice of {lease:?}");
    }

    /// Invariant 3: what runs has a live lease, and an overdue one carries a hold or a later end.
    fn check(&self, key: &LeaseKey) {
        let (Some(resource), Some(lease)) = (self.resources.get(key), self.leases.get(key)) else { return };
        if resource.facts.state.is_up() && resource.missing.is_none() {
            assert!(!lease.state.is_over(), "{key} runs without a live lease");
        }
        assert!(lease.expires_at >= lease.first_seen, "{key} ends before it begins");
    }

    /// Lets `seconds` pass as the service lives through them: every lease is looked at whenever it asked to be, mails go
    /// out at once.
    pub(super) fn pass(&mut self, seconds: i64) {
        let until = self.now.plus(seconds);
        loop {
            let mut next = until;
            let keys: Vec<_> = self.resources.keys().cloned().collect();
            for key in keys {
                let soon = self.look(&key);
                self.send();
                let again = self.look(&key);
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

    /// The kinds of notices made, with who got them, in order of id.
    pub(super) fn told(&self, key: &LeaseKey) -> Vec<String> {
        let mut all: Vec<_> = self.notices.values().filter(|notice| notice.lease == *key).collect();
        all.sort_by_key(|notice| (notice.term, notice.due_at, notice.id()));
        all.into_iter().map(|notice| format!("{} {}", notice.user, notice.kind)).collect()
    }
}
