//! Tables and properties of `reconcile`.

use super::{Reconciled, Scan, reconcile};
use crate::model::{AccountId, AwsId, Facts, Region, Resource, ResourceId, ResourceState, Time};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const START: i64 = 1_000_000;

fn facts(state: ResourceState, tagged: bool) -> Facts {
    let tags = tagged.then(|| ("owner".to_owned(), "lin".to_owned()));
    Facts {
        state,
        instance_type: "t3.large".to_owned(),
        name: String::new(),
        tags: tags.into_iter().collect(),
        key_name: None,
        launch_time: None,
        lifecycle: None,
        spot_request: None,
        spot_type: None,
        root_device: "ebs".to_owned(),
        vpc_id: None,
        image_id: None,
        managed_by: None,
        platform: None,
        volumes: Vec::new(),
        group: None,
        member_of: None,
    }
}

fn scan(ids: impl IntoIterator<Item = usize>, facts: &Facts) -> Scan {
    Scan {
        account: AccountId::parse("bigdb").unwrap(),
        aws_id: AwsId::parse("111122223333").unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        found: ids.into_iter().map(|id| (name(id), facts.clone())).collect::<BTreeMap<_, _>>(),
        groups_read: true,
        confirmed_absent: BTreeSet::new(),
        agreed: false,
    }
}

fn name(id: usize) -> ResourceId {
    ResourceId::parse(&format!("i-{id:04x}")).unwrap()
}

fn running() -> Facts {
    facts(ResourceState::Running, true)
}

/// Applies a scan as the detector does; the names of the events that it gives, or the pause.
fn apply(known: &mut BTreeMap<ResourceId, Resource>, scan: &Scan, at: i64) -> Result<Vec<String>, usize> {
    let list: Vec<_> = known.values().cloned().collect();
    match reconcile(&list, scan, Time::from_unix(START + at)) {
        Reconciled::Paused { missing, .. } => Err(missing.len()),
        Reconciled::Changes(changes) => {
            let mut told = Vec::new();
            for change in changes {
                told.extend(
                    change.event.map(|event| format!("{} {}", event.keys()[0].resource_id, event.detail.event_name)),
                );
                known.insert(change.resource.key.resource_id.clone(), change.resource);
            }
            Ok(told)
        }
    }
}

#[test]
fn a_new_instance_is_told_once() {
    let mut known = BTreeMap::new();
    assert_eq!(apply(&mut known, &scan([1], &running()), 0), Ok(vec!["i-0001 InstanceSeen".to_owned()]));
    assert_eq!(apply(&mut known, &scan([1], &running()), 60), Ok(vec![]));
}

#[test]
fn a_changed_tag_or_state_is_told() {
    let mut known = BTreeMap::new();
    apply(&mut known, &scan([1], &running()), 0).unwrap();
    let stopped = scan([1], &facts(ResourceState::Stopped, true));
    assert_eq!(apply(&mut known, &stopped, 60), Ok(vec!["i-0001 InstanceChanged".to_owned()]));
    let bare = scan([1], &facts(ResourceState::Stopped, false));
    assert_eq!(apply(&mut known, &bare, 120), Ok(vec!["i-0001 InstanceChanged".to_owned()]));
}

#[test]
fn terminated_is_gone_at_once_and_one_never_seen_alive_is_nothing() {
    let mut known = BTreeMap::new();
    apply(&mut known, &scan([1], &running()), 0).unwrap();
    let over = scan([1, 2], &facts(ResourceState::Terminated, true));
    assert_eq!(apply(&mut known, &over, 60), Ok(vec!["i-0001 InstanceGone".to_owned()]));
    assert_eq!(apply(&mut known, &over, 120), Ok(vec![]));
}

#[test]
fn one_missing_scan_never_means_gone_and_three_within_ten_minutes_neither() {
    let mut known = BTreeMap::new();
    apply(&mut known, &scan([1, 2], &running()), 0).unwrap();
    for at in [60, 120, 180, 240] {
        assert_eq!(apply(&mut known, &scan([2], &running()), at), Ok(vec![]), "at {at}");
    }
    assert_eq!(apply(&mut known, &scan([2], &running()), 660), Ok(vec!["i-0001 InstanceGone".to_owned()]));
}

#[test]
fn two_scans_far_apart_are_not_enough() {
    let mut known = BTreeMap::new();
    apply(&mut known, &scan([1, 2], &running()), 0).unwrap();
    assert_eq!(apply(&mut known, &scan([2], &running()), 60), Ok(vec![]));
    assert_eq!(apply(&mut known, &scan([2], &running()), 6_000), Ok(vec![]));
    assert_eq!(apply(&mut known, &scan([2], &running()), 6_060), Ok(vec!["i-0001 InstanceGone".to_owned()]));
}

#[test]
fn missing_since_a_time_to_come_by_a_clock_that_was_set_back_is_missing_since_now() {
    let mut known = BTreeMap::new();
    let year = 365 * 86_400;
    apply(&mut known, &scan([1, 2], &running()), year).unwrap();
    assert_eq!(apply(&mut known, &scan([2], &running()), year), Ok(vec![]));
    for at in [60, 120] {
        assert_eq!(apply(&mut known, &scan([2], &running()), at), Ok(vec![]), "at {at}");
    }
    assert_eq!(apply(&mut known, &scan([2], &running()), 660), Ok(vec!["i-0001 InstanceGone".to_owned()]));
}

#[test]
fn one_that_comes_back_starts_anew() {
    let mut known = BTreeMap::new();
    apply(&mut known, &scan([1, 2], &running()), 0).unwrap();
    apply(&mut known, &scan([2], &running()), 60).unwrap();
    assert_eq!(apply(&mut known, &scan([1, 2], &running()), 120), Ok(vec!["i-0001 InstanceChanged".to_owned()]));
    assert_eq!(known[&name(1)].missing, None);
}

#[test]
fn a_drop_pauses_and_changes_nothing_until_it_is_confirmed() {
    let mut known = BTreeMap::new();
    apply(&mut known, &scan(0..30, &running()), 0).unwrap();
    let before = known.clone();
    let mut half = scan(0..15, &running());
    assert_eq!(apply(&mut known, &half, 60), Err(15));
    assert_eq!(known, before);
    half.confirmed_absent = (15..30).map(name).collect();
    assert_eq!(apply(&mut known, &half, 120), Ok(vec![]));
    assert_eq!(known[&name(20)].missing.unwrap().scans, 1);
}

#[test]
fn the_drop_guard_starts_above_ten_and_above_thirty_percent() {
    for (all, left, paused) in [(11, 1, false), (11, 0, true), (40, 28, false), (40, 27, true), (10, 0, false)] {
        let mut known = BTreeMap::new();
        apply(&mut known, &scan(0..all, &running()), 0).unwrap();
        let said = apply(&mut known, &scan(0..left, &running()), 60);
        assert_eq!(said.is_err(), paused, "{all} to {left}");
    }
}

#[test]
fn tags_that_vanish_from_many_at_once_pause_too() {
    let mut known = BTreeMap::new();
    apply(&mut known, &scan(0..30, &running()), 0).unwrap();
    let before = known.clone();
    assert_eq!(apply(&mut known, &scan(0..30, &facts(ResourceState::Running, false)), 60), Err(30));
    assert_eq!(known, before);
}

proptest! {
    #[test]
    fn nothing_is_gone_before_three_scans_and_ten_minutes_lacked_it(
        scans in prop::collection::vec((prop::collection::btree_set(0_usize..6, 0..6), 1_i64..400), 1..25),
    ) {
        let mut known = BTreeMap::new();
        apply(&mut known, &scan(0..6, &running()), 0).unwrap();
        let mut lacked: BTreeMap<usize, (u32, i64)> = BTreeMap::new();
        let mut at = 0;
        for (ids, step) in scans {
            at += step;
            for id in 0..6 {
                if ids.contains(&id) { lacked.remove(&id); } else { lacked.entry(id).or_insert((0, at)).0 += 1; }
            }
            for told in apply(&mut known, &scan(ids, &running()), at).unwrap() {
                if let Some(id) = told.strip_suffix(" InstanceGone") {
                    let id = usize::from_str_radix(&id[2..], 16).unwrap();
                    let (times, since) = lacked[&id];
                    prop_assert!(times >= 3 && at - since >= 600, "{} after {} scans and {} s", told, times, at - since);
                }
            }
        }
    }

    /// A scan that sees what is known changes nothing, and in whatever order documents come, the same follows.
    #[test]
    fn the_same_scan_again_changes_nothing_and_order_does_not_matter(
        first in prop::collection::btree_set(0_usize..60, 0..60), second in prop::collection::btree_set(0_usize..60, 0..60),
        turn in 0_usize..60,
    ) {
        let mut known = BTreeMap::new();
        apply(&mut known, &scan(first.clone(), &running()), 0).unwrap();
        prop_assert_eq!(apply(&mut known, &scan(first, &running()), 60), Ok(vec![]));
        let mut turned: Vec<_> = known.values().cloned().collect();
        let list = turned.clone();
        let by = turn.min(turned.len());
        turned.rotate_left(by);
        let scan = scan(second, &running());
        let now = Time::from_unix(START + 120);
        let (one, two) = (reconcile(&list, &scan, now), reconcile(&turned, &scan, now));
        match (one, two) {
            (Reconciled::Changes(one), Reconciled::Changes(two)) => {
                let sorted = |mut all: Vec<crate::reactor::Change>| {
                    all.sort_by_key(|change| change.resource.key.key());
                    all
                };
                prop_assert_eq!(sorted(one), sorted(two));
            }
            (Reconciled::Paused { missing: one, .. }, Reconciled::Paused { missing: two, .. }) => {
                prop_assert_eq!(one.into_iter().collect::<BTreeSet<_>>(), two.into_iter().collect());
            }
            _ => prop_assert!(false, "the order decides"),
        }
    }
}

#[test]
fn groups_that_were_not_read_are_neither_missing_nor_hidden_behind_many_instances() {
    let group = |number: usize| ResourceId::parse(&format!("asg-{number:036x}")).unwrap();
    let mut all = scan(0..200, &running());
    all.found.extend((0..12).map(|number| (group(number), running())));
    let Reconciled::Changes(changes) = reconcile(&[], &all, Time::from_unix(0)) else { panic!("paused") };
    let known: Vec<Resource> = changes.into_iter().map(|change| change.resource).collect();
    assert_eq!(known.iter().filter(|it| it.kind == "auto_scaling_group").count(), 12);
    let mut unread = scan(0..200, &running());
    unread.groups_read = false;
    assert_eq!(reconcile(&known, &unread, Time::from_unix(60)), Reconciled::Changes(vec![]));
    // All groups gone at once are a drop, however many instances there are.
    let none = scan(0..200, &running());
    let Reconciled::Paused { reason, missing } = reconcile(&known, &none, Time::from_unix(60)) else {
        panic!("believed")
    };
    assert!(reason.contains("12 of 12 known groups") && missing.len() == 12, "{reason}");
}
