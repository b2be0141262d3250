//! Clusters and fleets: what EKS, ECS, Batch, EMR, Karpenter, Beanstalk or a fleet runs has one lease together. It is held, for
//! somebody else decides about the instances; it has an owner, notices, a cost and a review date. AWS lists no such thing, so
//! it is put together from the instances of a scan.

use crate::model::{Facts, Group, ManagedBy, Member, Resource, ResourceId, ResourceState, Sizes};
use std::collections::BTreeMap;

/// Adds a cluster to `found` for all instances that have the same manager, and says of them and of its groups that they are its
/// members. To be called when they are assigned to their groups: a group may know better than its instances whose it is.
pub fn assign_clusters(found: &mut BTreeMap<ResourceId, Facts>, known: &[Resource]) {
    found.retain(|id, _| !id.is_cluster());
    let by_known: BTreeMap<&ResourceId, &Facts> = known.iter().map(|it| (&it.key.resource_id, &it.facts)).collect();
    name_managers(found, &by_known);
    let manager = |facts: &Facts| {
        let group = facts.member_of.as_ref().and_then(|group| found.get(group).or(by_known.get(group).copied()));
        let own = facts.managed_by.as_ref().filter(|by| !by.is_auto_scaling());
        own.or(group.and_then(|group| group.managed_by.as_ref())).cloned()
    };
    let mut clusters: BTreeMap<ResourceId, (ManagedBy, Vec<ResourceId>)> = BTreeMap::new();
    let mut groups = Vec::new();
    for (id, facts) in found.iter() {
        let Some(by) = manager(facts).filter(|_| !facts.state.is_ended()) else { continue };
        let Some(cluster) = ResourceId::of_cluster(&by.kind, &by.name) else { continue };
        if facts.group.is_some() {
            groups.push((cluster, id.clone()));
        } else {
            clusters.entry(cluster).or_insert_with(|| (by, Vec::new())).1.push(id.clone());
        }
    }
    let made: Vec<(ResourceId, Facts)> =
        clusters.iter().map(|(id, (by, members))| (id.clone(), together(by, members, found))).collect();
    let members = clusters.iter().flat_map(|(id, (_, members))| members.iter().map(move |member| (id, member)));
    // A group without instances belongs to a cluster that nobody sees: it keeps a lease of its own, held like the cluster's.
    for (cluster, member) in
        members.chain(groups.iter().filter(|(id, _)| clusters.contains_key(id)).map(|(a, b)| (a, b)))
    {
        if let Some(facts) = found.get_mut(member) {
            facts.member_of = Some(cluster.clone());
        }
    }
    found.extend(made);
}

/// A group's members may say whose it is though the group does not: EKS and others tag the machines alone where somebody else
/// made the group. With no member to ask, what was known of it stands.
fn name_managers(found: &mut BTreeMap<ResourceId, Facts>, known: &BTreeMap<&ResourceId, &Facts>) {
    let mut said: BTreeMap<ResourceId, Option<ManagedBy>> = BTreeMap::new();
    for facts in found.values().filter(|facts| facts.group.is_none() && !facts.state.is_ended()) {
        let Some(group) = &facts.member_of else { continue };
        let by = facts.managed_by.as_ref().filter(|by| !by.is_auto_scaling());
        let first = said.entry(group.clone()).or_default();
        *first = first.take().or_else(|| by.cloned());
    }
    for (id, facts) in found.iter_mut().filter(|(id, facts)| id.is_group() && facts.managed_by.is_none()) {
        let before = || known.get(id).and_then(|known| known.managed_by.clone());
        facts.managed_by = said.remove(id).unwrap_or_else(before);
    }
}

/// What is the same for all members is said of the cluster: an owner tag that all have names its owner.
fn together(by: &ManagedBy, members: &[ResourceId], found: &BTreeMap<ResourceId, Facts>) -> Facts {
    let all: Vec<(&ResourceId, &Facts)> = members.iter().filter_map(|id| Some((id, found.get(id)?))).collect();
    let up = all.iter().filter(|(_, facts)| facts.state.is_up()).count();
    let count = u32::try_from(up).unwrap_or(u32::MAX);
    let mut tags = all.first().map(|(_, facts)| facts.tags.clone()).unwrap_or_default();
    tags.retain(|key, value| all.iter().all(|(_, facts)| facts.tags.get(key) == Some(value)));
    let same = |of: &dyn Fn(&Facts) -> Option<String>| {
        let first = all.first().and_then(|(_, facts)| of(facts));
        first.filter(|first| all.iter().all(|(_, facts)| of(facts).as_ref() == Some(first)))
    };
    let members = all.iter().map(|(id, facts)| Member {
        id: (*id).clone(),
        state: facts.state.as_str().to_owned(),
        instance_type: facts.instance_type.clone(),
        protected: false,
    });
    Facts {
        state: if up > 0 { ResourceState::Running } else { ResourceState::Stopped },
        instance_type: same(&|facts| Some(facts.instance_type.clone())).unwrap_or_else(|| "several types".to_owned()),
        name: by.name.clone(),
        tags,
        key_name: same(&|facts| facts.key_name.clone()),
        launch_time: None,
        lifecycle: None,
        spot_request: None,
        spot_type: None,
        root_device: String::new(),
        vpc_id: same(&|facts| facts.vpc_id.clone()),
        image_id: None,
        managed_by: Some(by.clone()),
        platform: None,
        volumes: Vec::new(),
        group: Some(Group {
            sizes: Sizes { min: count, desired: count, max: count },
            members: members.collect(),
            suspended: Vec::new(),
            warm_pool: None,
        }),
        member_of: None,
    }
}
