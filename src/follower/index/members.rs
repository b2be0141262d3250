//! Which machines a group's lease stands for, and what they bring with them that bears on its end.

use super::{Index, Tables};
use crate::model::{LeaseKey, Resource};
use crate::reactor::{Cover, Covered};
use std::collections::BTreeSet;

impl Index {
    /// The live lease of the group that a resource is a member of.
    pub fn cover(&self, resource: &Resource) -> Option<Cover> {
        let key = resource.group_key()?;
        let tables = self.read();
        let row = tables.leases.get(&key).filter(|row| row.account == resource.account && !row.state.is_over())?;
        Some(Cover { owner: row.owner.clone(), key })
    }

    /// The machines that end with an Auto Scaling group: those that it lists, and those that name it, as in a warm pool. None
    /// of any other resource.
    pub fn covered(&self, group: &Resource) -> Vec<Covered> {
        let key = group.key.key();
        if !key.is_group() {
            return Vec::new();
        }
        let tables = self.read();
        let listed = group.facts.group.iter().flat_map(|group| &group.members);
        let listed = listed.map(|member| LeaseKey { resource_id: member.id.clone(), ..key.clone() });
        let keys: BTreeSet<LeaseKey> = listed.chain(tables.members(&key)).collect();
        let of = |key: LeaseKey| {
            let place = (key.aws_id.clone(), key.region.clone());
            let resource = tables.resources.get(&place)?.get(&key)?.body.clone();
            let row = tables.leases.get(&key).filter(|row| row.account == group.account);
            let promised = row.and_then(|row| Some((row.owner.clone(), row.promised?)));
            (!resource.is_gone()).then_some(Covered { resource, promised })
        };
        keys.into_iter().filter_map(of).collect()
    }
}

impl Tables {
    /// The members of a group or cluster: whether its lease stands for them has changed.
    pub(super) fn members(&self, key: &LeaseKey) -> Vec<LeaseKey> {
        if key.resource_id.is_instance() {
            return Vec::new();
        }
        let place = (key.aws_id.clone(), key.region.clone());
        let all = self.resources.get(&place).into_iter().flatten();
        let members = all.filter(|(_, doc)| doc.body.facts.member_of.as_ref() == Some(&key.resource_id));
        members.map(|(member, _)| member.clone()).collect()
    }

    /// The Auto Scaling group of a machine: what its members are bears on its end.
    pub(super) fn group_of(&self, key: &LeaseKey) -> Option<LeaseKey> {
        let place = (key.aws_id.clone(), key.region.clone());
        let group = self.resources.get(&place)?.get(key)?.body.group_key()?;
        group.is_group().then_some(group)
    }
}
