//! Auto Scaling groups of the world in memory: members come and go with the sizes, and no machine says when it was launched.

use super::World;
use crate::model::{Facts, Group, Lease, LeaseKey, Member, Resource, ResourceId, ResourceState, Sizes, State};
use crate::reactor::{Cover, Covered, promised};
use serde_json::json;
use std::collections::BTreeMap;

/// What is true of groups, apart from the documents.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Groups {
    /// What each had when zerocloud put it to sleep.
    kept: BTreeMap<LeaseKey, Sizes>,
    serial: u32,
}

pub(in super::super) fn group_key(number: u32) -> LeaseKey {
    LeaseKey::parse(&format!("111122223333::us-east-1::asg-{number:08x}-0000-0000-0000-000000000000")).unwrap()
}

impl World {
    /// A group of two, with an owner tag.
    pub(in super::super) fn found(&mut self, number: u32, owner: &str) -> LeaseKey {
        let key = group_key(number);
        let facts = json!({
            "state": "running", "name": format!("group-{number}"), "tags": {"owner": owner},
            "group": {"sizes": {"min": 1, "desired": 2, "max": 4}, "members": []},
        });
        self.machines.insert(key.clone(), serde_json::from_value(facts).unwrap());
        self.see(&key);
        self.follow_sizes(&key);
        key
    }

    fn group(&mut self, key: &LeaseKey) -> &mut Group {
        self.machines.get_mut(key).unwrap().group.as_mut().unwrap()
    }

    /// Somebody, a scheduled action or the reaper changes a group.
    pub(super) fn turn_group(&mut self, key: &LeaseKey, state: ResourceState) {
        let (before, sizes) = (self.machines[key].state, self.machines[key].group.as_ref().unwrap().sizes);
        if state.is_up() && !before.is_up() {
            self.ledger.started(key);
            let grown = sizes.max + 1 + self.groups.serial % 3;
            self.group(key).sizes = Sizes { min: 1, desired: grown, max: grown + 2 };
        } else if !state.is_up() {
            self.group(key).sizes = Sizes::ASLEEP;
        }
        self.machines.get_mut(key).unwrap().state = state;
        self.follow_sizes(key);
    }

    /// The reaper has set sizes of zero.
    pub(super) fn slept(&mut self, key: &LeaseKey, sizes: Sizes) {
        self.groups.kept.insert(key.clone(), sizes);
    }

    /// The reaper gives a revived group what it had.
    pub(super) fn wake(&mut self, key: &LeaseKey) -> bool {
        let down = self.machines[key].state == ResourceState::Stopped;
        let lease = &self.leases[key];
        if let (true, Some(sizes)) = (down, lease.sizes) {
            assert_eq!(self.groups.kept.get(key), Some(&sizes), "revived with other sizes than it had: {lease:?}");
            self.turn_group(key, ResourceState::Running);
            self.group(key).sizes = sizes;
            self.follow_sizes(key);
            return self.sharp;
        }
        false
    }

    /// Auto Scaling launches and terminates members.
    fn follow_sizes(&mut self, key: &LeaseKey) {
        let wished = self.group(key).sizes.desired.min(2) as usize;
        let mut members = std::mem::take(&mut self.group(key).members);
        for gone in members.split_off(wished.min(members.len())) {
            let gone = LeaseKey { resource_id: gone.id, ..key.clone() };
            if self.machines.contains_key(&gone) {
                self.turn(&gone, ResourceState::Terminated);
            }
        }
        while members.len() < wished {
            self.groups.serial += 1;
            let id = ResourceId::parse(&format!("i-m{:06}", self.groups.serial)).unwrap();
            let name = self.machines[key].name.clone();
            let facts = json!({
                "tags": {"aws:autoscaling:groupName": name}, "member_of": key.resource_id,
                "managed_by": {"kind": "auto_scaling", "name": name},
            });
            self.launch(&LeaseKey { resource_id: id.clone(), ..key.clone() }, &facts);
            members.push(Member { id, state: "InService".into(), instance_type: "t3.large".into(), protected: false });
        }
        self.group(key).members = members;
        self.see(key);
    }

    /// As the index says it.
    pub(super) fn cover(&self, resource: &Resource) -> Option<Cover> {
        let key = resource.group_key()?;
        let lease = self.leases.get(&key).filter(|lease| !lease.state.is_over())?;
        Some(Cover { owner: lease.owner.clone(), key })
    }

    /// The same of its members.
    pub(super) fn covered(&self, group: &Resource) -> Vec<Covered> {
        let listed =
            |id: &ResourceId| group.facts.group.iter().any(|group| group.members.iter().any(|member| member.id == *id));
        let id = &group.key.resource_id;
        let named = |it: &&Resource| it.facts.member_of.as_ref() == Some(id) || listed(&it.key.resource_id);
        let members = self.resources.values().filter(|it| id.is_group() && !it.is_gone()).filter(named);
        let covered = members.map(|it| {
            let lease = self.leases.get(&it.key.key());
            let promised = lease.and_then(|lease| Some((lease.owner.clone(), promised(lease)?)));
            Covered { resource: it.clone(), promised }
        });
        covered.collect()
    }

    /// Whether a live lease stands for it, its own or that of its group; or is to in a moment.
    pub(in super::super) fn is_leased(&self, resource: &Resource) -> bool {
        let key = resource.key.key();
        let live = |key: &LeaseKey| self.leases.get(key).is_some_and(|lease| !lease.state.is_over());
        // What runs on though its group sleeps is shown as held, once there was time for it to go.
        let going = |lease: &Lease| lease.stopped_at.is_none_or(|at| self.now.seconds_since(at) <= 900);
        let stands = |lease: &Lease| !lease.state.is_over() && (lease.hold.is_some() || going(lease));
        let waits = resource.facts.member_of.is_some() && self.now.seconds_since(resource.first_seen).abs() <= 60;
        live(&key) || resource.group_key().and_then(|group| self.leases.get(&group)).is_some_and(stands) || waits
    }

    /// A group that is asleep is at its end.
    pub(in super::super) fn sleeps(&self, key: &LeaseKey) -> bool {
        key.is_group() && self.leases.get(key).is_some_and(|lease| lease.state == State::Stopped)
    }
}

/// The sizes that a group has.
pub(super) fn sizes(facts: &Facts) -> Option<Sizes> {
    facts.group.as_ref().map(|group| group.sizes)
}
