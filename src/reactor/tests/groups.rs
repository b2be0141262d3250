//! Auto Scaling groups: put to sleep and never deleted, woken and revived; and members, which the group's lease stands for.

use super::scene::{DAY, HOUR, Scene, noon};
use super::table::stage;
use super::world::group_key;
use crate::model::{
    Action, Facts, HoldKind, LeaseKey, NoticeKind, Resource, ResourceId, ResourceState, Sizes, Stage, State, StoppedBy,
    Time, UserId, Wish,
};
use crate::reactor::{Cover, Covered, DueEnd, Effect, ReapOutcome, assign_clusters, assign_members, claim, reaped};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SIZES: Sizes = Sizes { min: 1, desired: 3, max: 5 };

fn due(scene: &Scene) -> Option<DueEnd> {
    scene.decide().effects.into_iter().find_map(|effect| match effect {
        Effect::Due(due) => Some(due),
        _ => None,
    })
}

#[test]
fn a_group_is_put_to_sleep_whatever_the_policy_says_and_nothing_ends_it_a_second_time() {
    let mut scene = Scene::overdue().grouped();
    scene.view.policy.expiry_action = Action::Terminate;
    let due = due(&scene).expect("nothing holds it");
    assert_eq!(due.action, Action::Stop);
    let now = scene.now;
    let claimed = claim(scene.lease(), &due, now).unwrap();
    let mut after = reaped(&claimed, &ReapOutcome::Stopped, scene.now, &scene.view.policy.clone());
    after.sizes = Some(SIZES);
    assert_eq!((after.state, after.end_action), (State::Stopped, Action::Stop));
    assert!(after.events.last().unwrap().what.starts_with("put to sleep"), "{:?}", after.events);
    *scene.lease() = after;
    scene.view.notices.clear();
    scene.scaled(Sizes::ASLEEP, ResourceState::Stopped);
    assert!(scene.outcome().contains("lin stopped"), "nobody was told: {}", scene.outcome());
    for days in [1, 7, 8, 100] {
        scene.now = noon().plus(days * DAY);
        for _ in 0..6 {
            let decision = scene.decide();
            let ends = decision.effects.iter().any(|effect| matches!(effect, Effect::Due(_)));
            assert!(!ends, "a second end after {days} days");
            scene.apply(decision);
        }
        assert_eq!(scene.lease().state, State::Stopped);
    }
    let terminate = DueEnd { action: Action::Terminate, term: scene.lease().term, ..due };
    let now = scene.now;
    assert_eq!(claim(scene.lease(), &terminate, now), None, "a group was claimed to be deleted");
}

#[test]
fn asleep_its_members_are_terminated_so_a_stage_that_only_stops_holds_a_group() {
    let mut scene = Scene::overdue().grouped();
    stage(&mut scene, Stage::Stop, -30 * DAY);
    assert!(due(&scene).is_none());
    let hold = scene.decide().lease.unwrap().hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Stage);
    assert!(hold.reason.contains("allows no termination"), "{}", hold.reason);
    scene.ask("lin", Wish::End, &json!({}));
    assert!(scene.outcome().contains("refused: this AWS account's stage does not allow"), "{}", scene.outcome());
    // What sleeps already is woken all the same.
    let mut asleep = Scene::asleep();
    stage(&mut asleep, Stage::Stop, -30 * DAY);
    asleep.ask("lin", Wish::Revive, &json!({}));
    assert!(asleep.decide().effects.contains(&Effect::Start(group_key(1))), "{}", asleep.outcome());
}

#[test]
fn nobody_can_ask_for_a_group_to_be_deleted() {
    for mut scene in [Scene::active().grouped(), Scene::asleep()] {
        scene.ask("ada", Wish::Terminate, &json!({}));
        assert!(scene.outcome().contains("refused: a group is put to sleep, never deleted"), "{}", scene.outcome());
    }
}

#[test]
fn what_was_seen_before_it_slept_does_not_count_as_woken_and_what_was_woken_has_a_lease_at_once() {
    let mut scene = Scene::asleep();
    scene.lease().stopped_at = Some(noon().plus(-60));
    scene.lease().summary.state = "running".into();
    scene.scaled(SIZES, ResourceState::Running);
    assert_eq!(scene.decide().lease.unwrap_or(scene.lease().clone()).state, State::Stopped, "an old scan woke it");
    // Its last members were on their way out when somebody gave it sizes again.
    for seen in ["stopping", "stopped"] {
        scene.lease().summary.state = seen.into();
        let woken = scene.decide().lease.unwrap();
        assert_eq!((woken.state, woken.expires_at), (State::Active, noon().plus(3 * DAY)), "{seen}");
        assert!(woken.sizes.is_none() && woken.notified.is_none());
        let told = scene.decide().effects;
        assert!(told.iter().any(|it| matches!(it, Effect::Queue(notice) if notice.kind == NoticeKind::First)));
    }
    // Nobody saw it asleep in between: it has a lease all the same.
    scene.lease().summary.state = "running".into();
    scene.now = noon().plus(2 * HOUR);
    assert_eq!(scene.decide().lease.unwrap().state, State::Active);
}

#[test]
fn only_sizes_that_zerocloud_took_are_given_back() {
    let mut scene = Scene::asleep();
    scene.ask("lin", Wish::Revive, &json!({}));
    let revived = scene.decide();
    assert!(revived.effects.iter().any(|effect| *effect == Effect::Start(group_key(1))));
    assert_eq!(revived.lease.unwrap().sizes, Some(SIZES), "they are needed until it runs");
    scene.lease().sizes = None;
    assert!(scene.outcome().contains("does not know its sizes"), "{}", scene.outcome());
}

#[test]
fn scaled_to_nothing_by_somebody_else_no_end_runs() {
    let mut scene = Scene::overdue().grouped();
    scene.scaled(Sizes { min: 0, desired: 0, max: 5 }, ResourceState::Stopping);
    assert!(due(&scene).is_none());
    scene.scaled(Sizes { min: 0, desired: 0, max: 5 }, ResourceState::Stopped);
    let lease = scene.decide().lease.unwrap();
    assert_eq!((lease.state, lease.stopped_by, lease.sizes), (State::Stopped, Some(StoppedBy::Other), None));
}

#[test]
fn members_that_run_on_though_their_group_sleeps_are_shown_and_told() {
    let mut scene = Scene::asleep();
    scene.scaled(Sizes::ASLEEP, ResourceState::Stopping);
    let member = json!({"id": "i-1", "state": "InService", "protected": true});
    let group = scene.resource().facts.group.as_mut().unwrap();
    group.members.push(serde_json::from_value(member).unwrap());
    let lease = scene.decide().lease.unwrap();
    let hold = lease.hold.clone().unwrap();
    assert_eq!(hold.kind, HoldKind::Protection);
    assert!(hold.reason.contains("1 members run on: 1 of its 1 members are protected"), "{}", hold.reason);
    *scene.lease() = lease;
    assert!(scene.outcome().contains("ada admin-protection"), "{}", scene.outcome());
    scene.scaled(Sizes::ASLEEP, ResourceState::Stopped);
    scene.resource().facts.group.as_mut().unwrap().members.clear();
    assert_eq!(scene.decide().lease.unwrap().hold, None);
}

fn member(scene: &mut Scene) -> Cover {
    let facts = &mut scene.resource().facts;
    facts.member_of = Some(group_key(1).resource_id);
    facts.managed_by = serde_json::from_value(json!({"kind": "auto_scaling", "name": "web"})).unwrap();
    Cover { key: group_key(1), owner: crate::model::UserId::parse("max").unwrap() }
}

#[test]
fn a_member_has_no_lease_of_its_own_while_its_groups_lives() {
    let mut scene = Scene::unknown();
    let cover = member(&mut scene);
    let waits = scene.decide();
    assert!(waits.lease.is_none() && waits.next == Some(noon().plus(60)), "it did not wait for its group's lease");
    scene.view.cover = Some(cover);
    assert_eq!(scene.outcome(), "| resource of max");
    // Its group never came to a lease, or has none any more.
    scene.view.cover = None;
    scene.now = noon().plus(60);
    assert_eq!(scene.decide().lease.unwrap().state, State::Active);
}

#[test]
fn a_members_lease_of_before_is_closed_and_opened_again_when_the_groups_is_over() {
    for (mut scene, promised) in [(Scene::active(), true), (Scene::overdue(), false), (Scene::stopped(), false)] {
        let cover = member(&mut scene);
        scene.view.cover = Some(cover.clone());
        if promised {
            // Its owner was told: it is kept as long, and no longer.
            let kept = scene.decide();
            assert_eq!(kept.lease.map_or(State::Active, |lease| lease.state), State::Active);
            assert!(kept.next.is_some_and(|next| next <= scene.lease().ends_at));
            scene.ask("lin", Wish::Renew, &json!({}));
            assert!(scene.outcome().contains("refused: the lease of its group stands for it"), "{}", scene.outcome());
            scene.view.requests.clear();
            scene.lease().expires_at = noon().plus(5 * DAY);
            let edited = scene.decide().lease.unwrap();
            assert_eq!(edited.expires_at, noon().plus(2 * DAY), "an edit made it longer than it was promised");
            scene.lease().expires_at = noon().plus(2 * DAY);
            scene.now = scene.lease().ends_at;
        }
        let closed = scene.decide();
        assert!(closed.effects.iter().all(|effect| matches!(effect, Effect::SaveResource(_))), "{:?}", closed.effects);
        let lease = closed.lease.clone().unwrap();
        assert_eq!((lease.state, lease.hold.clone()), (State::Gone, None));
        let story = &lease.events.last().unwrap().what;
        assert_eq!(story, "it belongs to the Auto Scaling group web, whose lease stands for it from now on");
        scene.apply(closed);
        assert_eq!(scene.decide().lease, None, "it does not rest");
        let up = scene.resource().facts.state.is_up();
        scene.view.cover = Some(Cover { key: group_key(2), ..cover });
        let again = scene.decide().lease.unwrap();
        assert_eq!(again.state, if up { State::Active } else { State::Stopped }, "another group's lease stood for it");
    }
}

#[test]
fn what_the_reaper_has_claimed_is_closed_only_when_it_has_let_go() {
    let mut scene = Scene::overdue();
    let due = due(&scene).unwrap();
    let now = scene.now;
    *scene.lease() = claim(scene.lease(), &due, now).unwrap();
    scene.view.cover = Some(member(&mut scene));
    assert_eq!(scene.decide().lease.map_or(State::Reaping, |lease| lease.state), State::Reaping);
    scene.now = noon().plus(HOUR);
    for _ in 0..4 {
        let decision = scene.decide();
        scene.apply(decision);
    }
    assert_eq!(scene.lease().state, State::Gone);
}

/// A machine of the group, with its own lease's owner and until when they were told that it lasts.
fn covered(id: &str, more: &Value, promised: Option<Time>) -> Covered {
    let mut resource = Scene::active().view.resource.unwrap();
    resource.key.resource_id = ResourceId::parse(id).unwrap();
    resource.facts = facts(more);
    resource.facts.member_of = Some(group_key(1).resource_id);
    Covered { resource, promised: promised.map(|until| (UserId::parse("max").unwrap(), until)) }
}

#[test]
fn a_group_ends_no_sooner_than_the_owners_of_its_members_were_told() {
    let mut scene = Scene::overdue().grouped();
    let promised = [Some(noon().plus(HOUR)), Some(noon().plus(DAY)), None];
    scene.view.members =
        promised.iter().enumerate().map(|(n, it)| covered(&format!("i-{n}"), &json!({}), *it)).collect();
    assert!(due(&scene).is_none());
    let held = scene.decide().lease.unwrap();
    let hold = held.hold.clone().unwrap();
    assert_eq!((hold.kind, hold.review_at), (HoldKind::Exemption, noon().plus(DAY)));
    assert!(
        hold.reason.contains("its member i-1 has a lease of its own, which max was told lasts until"),
        "{}",
        hold.reason
    );
    // Nor when its own owner asks for it, before or after.
    for user in ["lin", "ada"] {
        let mut asked = scene.clone();
        asked.ask(user, Wish::End, &json!({}));
        assert!(asked.outcome().contains("refused: its member i-1 has a lease"), "{}", asked.outcome());
    }
    scene.marks()["wish"] = json!({"by": "lin", "action": "stop", "at": noon().plus(-HOUR)});
    assert!(due(&scene).is_none(), "a wish for the group's end broke the promise of a member");
    scene.now = noon().plus(DAY);
    assert!(due(&scene).is_some(), "the promise is over: {}", scene.outcome());
}

#[test]
fn a_promise_outlives_a_change_of_owner_and_who_has_it_may_let_it_go() {
    let mut scene = Scene::active();
    scene.view.cover = Some(member(&mut scene));
    scene.lease().offered_to = Some(UserId::parse("max").unwrap());
    scene.ask("max", Wish::Accept, &json!({}));
    for _ in 0..4 {
        let decision = scene.decide();
        scene.apply(decision);
    }
    let kept = scene.lease().clone();
    assert_eq!((kept.owner.as_str(), kept.state), ("max", State::Active), "nobody was told, and it went");
    // Stopped, it is kept for an exemption's sake alone.
    let mut exempt = scene.clone();
    exempt.lease().exemption = serde_json::from_value(json!({"reason": "r", "until": noon().plus(9 * DAY)})).unwrap();
    exempt.resource().facts.state = ResourceState::Stopped;
    let stopped = exempt.decide();
    exempt.apply(stopped);
    assert_eq!(exempt.lease().state, State::Stopped);
    scene.view.requests.clear();
    scene.lease().answered.clear();
    scene.ask("max", Wish::End, &json!({}));
    assert!(scene.outcome().contains("its own lease is closed"), "{}", scene.outcome());
    let gone = scene.decide();
    assert!(!gone.effects.iter().any(|effect| matches!(effect, Effect::Due(_))), "it would be ended alone");
    assert_eq!(gone.lease.unwrap().state, State::Gone);
}

#[test]
fn a_rule_that_picks_a_member_holds_the_group_that_would_end_it() {
    let mut scene = Scene::overdue().grouped();
    let rule = json!({"id": "r1", "by": "tag", "key": "keep", "value": "*", "reason": "the build cache",
        "until": noon().plus(DAY), "made_at": noon().plus(-DAY)});
    scene.view.rules = vec![serde_json::from_value(rule).unwrap()];
    scene.view.members =
        vec![covered("i-1", &json!({}), None), covered("i-2", &json!({"tags": {"keep": "yes"}}), None)];
    assert!(due(&scene).is_none());
    let hold = scene.decide().lease.unwrap().hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Exemption);
    assert!(hold.reason.contains("its member i-2 is exempted by rule") && hold.reason.contains("the build cache"));
    // Who asks for the end of the group overrides it, as for one machine.
    scene.ask("lin", Wish::End, &json!({}));
    assert!(scene.outcome().contains("stop is due"), "{}", scene.outcome());
}

#[test]
fn machines_of_a_warm_pool_that_run_on_though_their_group_sleeps_are_shown() {
    let mut scene = Scene::asleep();
    let stopped = covered("i-1", &json!({"state": "stopped"}), None);
    scene.view.members = vec![stopped.clone()];
    assert_eq!(scene.decide().lease.unwrap_or(scene.lease().clone()).hold, None, "a warm pool that is stopped");
    scene.view.members = vec![stopped, covered("i-2", &json!({}), None)];
    let hold = scene.decide().lease.unwrap().hold.unwrap();
    assert!(hold.reason.contains("it is asleep, and 1 members run on"), "{}", hold.reason);
}

fn facts(more: &Value) -> Facts {
    let mut all = json!({"state": "running"});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

#[test]
fn members_are_assigned_by_the_groups_list_by_the_tag_and_by_what_is_known() {
    let id = |text: &str| ResourceId::parse(text).unwrap();
    let tag = |name: &str| facts(&json!({"tags": {"aws:autoscaling:groupName": name}}));
    let sizes = json!({"min": 0, "desired": 1, "max": 1});
    let listed = json!({"sizes": sizes, "members": [{"id": "i-listed", "state": "InService"}]});
    let mut known = Scene::active().grouped().view.resource.unwrap();
    known.facts.name = "known".into();
    let mut found: BTreeMap<ResourceId, Facts> = [
        (group_key(7).resource_id, facts(&json!({"name": "web", "group": listed}))),
        (id("i-listed"), facts(&json!({}))),
        (id("i-warm"), tag("web")),
        (id("i-known"), tag("known")),
        (id("i-other"), tag("nobody's")),
        (id("i-free"), facts(&json!({"member_of": "asg-old"}))),
    ]
    .into();
    assign_members(&mut found, &[known.clone()]);
    let of = |name: &str| found[&id(name)].member_of.clone();
    let (seven, one) = (Some(group_key(7).resource_id), Some(group_key(1).resource_id));
    assert_eq!(
        [of("i-listed"), of("i-warm"), of("i-known"), of("i-other"), of("i-free")],
        [seven.clone(), seven, one, None, None]
    );
    // One that is gone counts no more.
    known.facts.state = ResourceState::Terminated;
    assign_members(&mut found, &[known]);
    assert_eq!(found[&id("i-known")].member_of, None);
}

#[test]
fn a_group_is_keyed_like_an_instance() {
    let key = LeaseKey::parse(&group_key(1).to_string()).unwrap();
    assert!(key.is_group() && key.lease_id().starts_with("lease::111122223333::us-east-1::asg-"));
}

#[test]
fn what_a_cluster_runs_has_one_lease_together_that_is_held_and_names_its_owner() {
    let id = |text: &str| ResourceId::parse(text).unwrap();
    let node = |more: &Value| {
        let mut all = json!({"managed_by": {"kind": "eks", "name": "ci"}, "instance_type": "t3.large"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        facts(&all)
    };
    let sizes = json!({"min": 0, "desired": 1, "max": 1});
    let listed = json!({"sizes": sizes, "members": [{"id": "i-3", "state": "InService"}]});
    let eks = json!({"kind": "eks", "name": "ci"});
    let auto = json!({"kind": "auto_scaling", "name": "nodes"});
    let mut found: BTreeMap<ResourceId, Facts> = [
        (id("i-1"), node(&json!({"tags": {"owner": "lin", "n": "1"}}))),
        (id("i-2"), node(&json!({"tags": {"owner": "lin", "n": "2"}, "state": "stopped"}))),
        (id("i-3"), node(&json!({"tags": {"owner": "lin"}, "managed_by": auto.clone()}))),
        (id("i-4"), node(&json!({"state": "terminated"}))),
        (id("i-5"), facts(&json!({"managed_by": auto.clone()}))),
        (id("i-6"), facts(&json!({}))),
        (group_key(1).resource_id, facts(&json!({"name": "nodes", "managed_by": eks, "group": listed}))),
        (group_key(2).resource_id, facts(&json!({"name": "mine", "group": {"sizes": sizes}}))),
    ]
    .into();
    for _ in 0..2 {
        // Again on its own result, as after a question.
        assign_members(&mut found, &[]);
        assign_clusters(&mut found, &[]);
    }
    let cluster = ResourceId::of_cluster("eks", "ci").unwrap();
    let of = |name: &str| found[&id(name)].member_of.clone();
    assert_eq!(
        [of("i-1"), of("i-2"), of("i-3")],
        [Some(cluster.clone()), Some(cluster.clone()), Some(cluster.clone())]
    );
    assert_eq!([of("i-4"), of("i-5"), of("i-6")], [None, None, None]);
    assert_eq!(found[&group_key(1).resource_id].member_of, Some(cluster.clone()));
    assert_eq!(found[&group_key(2).resource_id].member_of, None);
    assert_eq!(found.keys().filter(|id| id.is_cluster()).count(), 1);
    let facts = &found[&cluster].clone();
    assert_eq!(
        (facts.state, facts.name.as_str(), facts.instance_type.as_str()),
        (ResourceState::Running, "ci", "t3.large")
    );
    assert_eq!(facts.tags, [("owner".to_owned(), "lin".to_owned())].into());
    assert_eq!((facts.group.as_ref().unwrap().sizes.desired, facts.group.as_ref().unwrap().members.len()), (2, 3));
    // Whatever its lease says, nothing ends it.

    let mut scene = Scene::overdue();
    scene.resource().key.resource_id = cluster.clone();
    scene.resource().facts = facts.clone();
    scene.lease().key.resource_id = cluster;
    let lease = scene.decide().lease.unwrap();
    assert_eq!(lease.hold.unwrap().kind, HoldKind::ManagedElsewhere);
    assert!(due(&scene).is_none());
}

#[test]
fn a_group_is_a_clusters_when_its_machines_alone_say_so_and_stays_so_while_it_has_none() {
    let id = |text: &str| ResourceId::parse(text).unwrap();
    let member = |by: &Value| facts(&json!({"tags": {"aws:autoscaling:groupName": "mine"}, "managed_by": by}));
    let (eks, auto) = (json!({"kind": "eks", "name": "ci"}), json!({"kind": "auto_scaling", "name": "mine"}));
    let sizes = json!({"min": 0, "desired": 1, "max": 1});
    let group = || (group_key(1).resource_id, facts(&json!({"name": "mine", "group": {"sizes": sizes}})));
    let assigned = |members: Vec<(ResourceId, Facts)>, known: &[Resource]| {
        let mut found: BTreeMap<ResourceId, Facts> = members.into_iter().chain([group()]).collect();
        assign_members(&mut found, known);
        assign_clusters(&mut found, known);
        found.remove(&group_key(1).resource_id).unwrap()
    };
    let theirs = assigned(vec![(id("i-1"), member(&auto)), (id("i-2"), member(&eks))], &[]);
    assert_eq!(theirs.managed_by.as_ref().map(|by| by.name.as_str()), Some("ci"));
    assert_eq!(theirs.member_of, ResourceId::of_cluster("eks", "ci"));
    let mut known = Scene::active().grouped().view.resource.unwrap();
    known.facts = theirs;
    let known = [known];
    assert!(assigned(vec![], &known).managed_by.is_some(), "with no machine to ask, it was taken for nobody's");
    assert_eq!(assigned(vec![(id("i-3"), member(&auto))], &known).managed_by, None);
}
