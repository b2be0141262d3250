//! Tables and properties of `refresh`.

use super::{Part, Resource, ResourceChange, Scan, refresh};
use crate::model::{AccountId, AwsId, Facts, Region, ResourceId, ResourceState, Time, Told, What};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn facts(state: ResourceState, tagged: bool) -> Facts {
    let tags = if tagged { json!({ "owner": "lin" }) } else { json!({}) };
    serde_json::from_value(json!({ "state": state, "tags": tags, "root_device": "ebs" })).unwrap()
}

fn name(id: usize) -> ResourceId {
    ResourceId::parse(&format!("i-{id:04x}")).unwrap()
}

fn part(found: impl IntoIterator<Item = (usize, Facts)>) -> Part {
    Part::of(Scan {
        account: AccountId::parse("bigdb").unwrap(),
        aws_id: AwsId::parse("111122223333").unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        found: found.into_iter().map(|(id, facts)| (name(id), facts)).collect(),
        groups_read: false,
        confirmed_absent: BTreeSet::new(),
        agreed: false,
    })
}

fn event(call: &str, ids: &[usize]) -> ResourceChange {
    let items: Vec<Value> = ids.iter().map(|id| json!({ "instanceId": name(*id) })).collect();
    let resources: Vec<Value> = ids.iter().map(|id| json!({ "resourceId": name(*id) })).collect();
    let told = Told::parse(&json!({
        "version": "0", "id": "e-1", "detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2",
        "account": "111122223333", "region": "us-east-1", "time": "2026-11-24T12:00:00Z", "detail": {
            "eventName": call, "eventSource": "ec2.amazonaws.com", "responseElements": { "instancesSet": { "items": items } },
            "requestParameters": { "resourcesSet": { "items": resources } },
            "userIdentity": { "type": "IAMUser", "userName": "lin" },
        },
    }));
    match told.unwrap().what {
        What::Instances(change) => *change,
        other => panic!("{other:?}"),
    }
}

fn causes(call: &str, ids: &[usize]) -> BTreeMap<ResourceId, ResourceChange> {
    ids.iter().map(|id| (name(*id), event(call, ids))).collect::<BTreeMap<_, _>>()
}

/// Applies it as the detector does; gives what was told: instance, event and its source.
fn apply(
    known: &mut BTreeMap<ResourceId, Resource>,
    part: &Part,
    causes: &BTreeMap<ResourceId, ResourceChange>,
) -> Vec<String> {
    let list: Vec<Resource> = known.values().cloned().collect();
    let mut told = Vec::new();
    for mut change in refresh(&list, part, causes, Time::from_unix(1_000_000)) {
        let id = change.resource.key.resource_id.clone();
        if let Some(event) = change.event {
            let keys: Vec<ResourceId> = event.keys().into_iter().map(|key| key.resource_id).collect();
            assert_eq!(keys, std::slice::from_ref(&id), "an event about one lease names another");
            told.push(format!("{id} {}", event.detail.event_name));
            if event.is_launch() || !known.contains_key(&id) {
                change.resource.extra.insert("event".to_owned(), serde_json::to_value(event).unwrap());
            }
        }
        known.insert(id, change.resource);
    }
    told
}

#[test]
fn a_launch_is_told_as_the_event_that_tells_of_it_and_once() {
    let mut known = BTreeMap::new();
    let (seen, launch) = (
        part([(1, facts(ResourceState::Pending, true)), (2, facts(ResourceState::Pending, true))]),
        causes("RunInstances", &[1, 2]),
    );
    assert_eq!(apply(&mut known, &seen, &launch), ["i-0001 RunInstances", "i-0002 RunInstances"]);
    assert!(apply(&mut known, &seen, &launch).is_empty(), "the same event again");
    assert!(apply(&mut known, &seen, &causes("StopInstances", &[1])).is_empty(), "an event that changed nothing");
}

#[test]
fn a_launch_that_is_heard_of_late_is_kept_with_what_polling_found() {
    let mut known = BTreeMap::new();
    let seen = part([(1, facts(ResourceState::Running, true))]);
    assert_eq!(apply(&mut known, &seen, &BTreeMap::new()), ["i-0001 InstanceSeen"]);
    assert_eq!(apply(&mut known, &seen, &causes("RunInstances", &[1])), ["i-0001 RunInstances"]);
    assert!(apply(&mut known, &seen, &causes("RunInstances", &[1])).is_empty());
    assert_eq!(known[&name(1)].extra["event"]["detail"]["userIdentity"]["userName"], "lin");
}

#[test]
fn what_ended_before_its_launch_was_heard_of_gets_no_lease() {
    let seen = part([(1, facts(ResourceState::Terminated, true))]);
    assert!(apply(&mut BTreeMap::new(), &seen, &causes("RunInstances", &[1])).is_empty());
}

#[test]
fn tags_that_are_all_gone_are_left_to_a_whole_scan() {
    let mut known = BTreeMap::new();
    apply(&mut known, &part([(1, facts(ResourceState::Running, true))]), &BTreeMap::new());
    let bare = part([(1, facts(ResourceState::Stopped, false))]);
    assert!(apply(&mut known, &bare, &causes("DeleteTags", &[1])).is_empty());
    assert_eq!(known[&name(1)].facts, facts(ResourceState::Running, true));
}

#[test]
fn what_a_group_or_a_cluster_runs_is_left_to_a_whole_scan() {
    let mut managed = facts(ResourceState::Running, true);
    managed.managed_by = Some(serde_json::from_value(json!({ "kind": "auto_scaling", "name": "workers" })).unwrap());
    let mut known = BTreeMap::new();
    assert!(apply(&mut known, &part([(1, managed.clone())]), &causes("RunInstances", &[1])).is_empty());
    apply(&mut known, &part([(1, facts(ResourceState::Running, true))]), &BTreeMap::new());
    let member = known.get_mut(&name(1)).unwrap();
    member.facts.member_of = Some(ResourceId::parse("asg-0123").unwrap());
    let before = known.clone();
    assert!(
        apply(&mut known, &part([(1, facts(ResourceState::Stopped, true))]), &causes("StopInstances", &[1])).is_empty()
    );
    assert_eq!(known, before);
}

proptest! {
    #[test]
    fn a_part_never_makes_anything_missing_and_touches_only_what_was_found(
        known in prop::collection::btree_map(0_usize..12, (0_usize..6, any::<bool>()), 0..12),
        found in prop::collection::btree_map(0_usize..12, (0_usize..6, any::<bool>()), 0..12),
        named in prop::collection::vec(0_usize..12, 0..6),
        call in prop_oneof![Just("RunInstances"), Just("TerminateInstances"), Just("DeleteTags")],
    ) {
        let mut there = BTreeMap::new();
        let of = |(id, (state, tagged)): (&usize, &(usize, bool))| (*id, facts(ResourceState::ALL[*state], *tagged));
        apply(&mut there, &part(known.iter().map(of)), &BTreeMap::new());
        let before = there.clone();
        apply(&mut there, &part(found.iter().map(of)), &causes(call, &named));
        for (id, resource) in &before {
            prop_assert!(there[id].missing.is_none());
            let found = found.iter().any(|(number, _)| name(*number) == *id);
            prop_assert!(found || there[id] == *resource, "{} was not found and changed", id);
        }
        for id in there.keys() {
            prop_assert!(before.contains_key(id) || found.keys().any(|number| name(*number) == *id));
        }
    }
}
