//! Whole lives of leases.
//! Longer than other files because each life is a few lines of one story.

use super::dice::Dice;
use super::world::{World, key};
use crate::model::{
    Action, EvidenceSource, HoldKind, Outcome, Pause, ResourceState, Stage, StageAccepted, State, StoppedBy, Wish,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn mine() -> Value {
    json!({"tags": {"Owner": "lin@bigdb.com"}})
}

/// A world at `stage` with one instance of Lin's, two minutes and a look later.
fn settled(stage: Stage) -> World {
    let mut world = World::new(stage);
    world.launch(&key(1), &mine());
    world.pass(150);
    world
}

#[test]
fn a_lease_that_nobody_renews_is_announced_stopped_announced_and_terminated() {
    let mut world = settled(Stage::Terminate);
    let start = world.start;
    assert_eq!(world.lease(&key(1)).owner.as_str(), "lin");
    assert_eq!(world.lease(&key(1)).expires_at, start.plus(3 * DAY));
    world.pass(11 * DAY);
    assert_eq!(
        world.ends,
        [(start.plus(3 * DAY + HOUR), key(1), Action::Stop), (start.plus(10 * DAY + HOUR), key(1), Action::Terminate),]
    );
    assert_eq!(
        world.told(&key(1)),
        ["lin first", "lin warning-86400", "lin warning-3600", "lin expired", "lin stopped", "lin ended",]
    );
    assert_eq!(world.lease(&key(1)).state, State::Terminated);
}

#[test]
fn a_new_lease_is_pending_until_tags_have_settled() {
    let mut world = World::new(Stage::Stop);
    world.launch(&key(1), &json!({}));
    world.pass(60);
    assert!(world.lease(&key(1)).owner.is_pending());
    assert!(world.notices.is_empty());
    world.launch(&key(1), &mine());
    world.pass(120);
    assert_eq!(world.lease(&key(1)).owner.as_str(), "lin");
    assert_eq!(world.lease(&key(1)).owner_evidence.source, EvidenceSource::Tag);
}

#[test]
fn a_tag_added_late_takes_the_lease_from_an_admin_but_never_from_a_person() {
    let mut world = World::new(Stage::Stop);
    world.launch(&key(1), &json!({}));
    world.pass(300);
    assert_eq!(world.lease(&key(1)).owner.as_str(), "ada");
    world.launch(&key(1), &mine());
    world.pass(60);
    assert_eq!(world.lease(&key(1)).owner.as_str(), "lin");
    world.launch(&key(1), &json!({"tags": {"owner": "max@bigdb.com"}}));
    world.pass(60);
    assert_eq!(world.lease(&key(1)).owner.as_str(), "lin");
}

#[test]
fn stages_hold_what_they_do_not_allow() {
    for (stage, ends, mails) in [(Stage::Observe, 0, false), (Stage::Notify, 0, true), (Stage::Stop, 1, true)] {
        let mut world = settled(stage);
        world.pass(15 * DAY);
        assert_eq!((world.ends.len(), !world.notices.is_empty()), (ends, mails), "{stage:?}");
        assert_eq!(world.lease(&key(1)).hold.as_ref().map(|hold| hold.kind), Some(HoldKind::Stage), "{stage:?}");
    }
}

#[test]
fn a_renewal_before_in_and_after_grace() {
    for (at, outcome) in [(2 * DAY, Outcome::Done), (3 * DAY + HOUR / 2, Outcome::Done), (4 * DAY, Outcome::Refused)] {
        let mut world = settled(Stage::Stop);
        world.pass(at - 150);
        world.ask("request::bigdb::lin::1", "lin", &key(1), Wish::Renew, &json!({"until": world.now.plus(5 * DAY)}));
        world.pass(1);
        let answer = world.answer("request::bigdb::lin::1");
        assert_eq!(answer.outcome, outcome, "at {at}: {}", answer.reason);
        if outcome == Outcome::Done {
            assert_eq!(answer.until, Some(world.start.plus(at + 5 * DAY)));
            assert_eq!(world.lease(&key(1)).state, State::Active);
        }
    }
}

#[test]
fn a_renewal_reaches_seven_days_and_a_doubled_one_adds_nothing() {
    let mut world = settled(Stage::Stop);
    let until = json!({"until": world.now.plus(40 * DAY)});
    world.ask("request::bigdb::lin::1", "lin", &key(1), Wish::Renew, &until);
    world.pass(0);
    let end = world.lease(&key(1)).expires_at;
    assert_eq!(end, world.now.plus(7 * DAY));
    world.ask("request::bigdb::lin::2", "lin", &key(1), Wish::Renew, &until);
    world.pass(0);
    assert_eq!(world.lease(&key(1)).expires_at, end);
    assert_eq!(world.answer("request::bigdb::lin::2").until, Some(end));
}

#[test]
fn an_edit_of_the_end_is_a_wish_to_renew() {
    let mut world = settled(Stage::Stop);
    let end = world.now.plus(5 * DAY);
    world.leases.get_mut(&key(1)).unwrap().expires_at = end;
    world.pass(0);
    assert_eq!((world.lease(&key(1)).expires_at, world.lease(&key(1)).granted_until), (end, end));
    world.leases.get_mut(&key(1)).unwrap().expires_at = world.now;
    world.pass(0);
    assert_eq!(world.lease(&key(1)).expires_at, end, "an edit shortened the lease");
}

#[test]
fn another_persons_wish_is_refused() {
    let mut world = settled(Stage::Terminate);
    for (number, wish) in [Wish::Renew, Wish::End, Wish::Terminate, Wish::NotMine].into_iter().enumerate() {
        let id = format!("request::bigdb::max::{number}");
        world.ask(&id, "max", &key(1), wish, &json!({}));
        world.pass(0);
        assert_eq!(world.answer(&id).outcome, Outcome::Refused, "{wish:?}");
    }
    assert!(world.ends.is_empty());
}

#[test]
fn end_now_stops_at_once() {
    let mut world = settled(Stage::Stop);
    world.ask("request::bigdb::lin::1", "lin", &key(1), Wish::End, &json!({}));
    world.pass(5);
    assert_eq!(world.ends.len(), 1);
    assert_eq!(world.lease(&key(1)).state, State::Stopped);
    assert_eq!(world.answer("request::bigdb::lin::1").outcome, Outcome::Done);
}

#[test]
fn end_now_needs_the_stage() {
    let mut world = settled(Stage::Notify);
    world.ask("request::bigdb::lin::1", "lin", &key(1), Wish::End, &json!({}));
    world.pass(5);
    assert!(world.ends.is_empty());
}

#[test]
fn not_mine_sticks() {
    let mut world = settled(Stage::Stop);
    world.ask("request::bigdb::lin::1", "lin", &key(1), Wish::NotMine, &json!({}));
    world.pass(DAY);
    assert_eq!(world.lease(&key(1)).owner.as_str(), "ada");
    assert_eq!(world.lease(&key(1)).refused[0].user.as_str(), "lin");
}

#[test]
fn handing_over_needs_acceptance() {
    let mut world = settled(Stage::Stop);
    world.ask("request::bigdb::lin::1", "lin", &key(1), Wish::HandOver, &json!({"to": "max"}));
    world.pass(5);
    assert_eq!(world.lease(&key(1)).owner.as_str(), "lin");
    assert!(world.told(&key(1)).contains(&"max offered".to_owned()));
    world.ask("request::bigdb::max::2", "max", &key(1), Wish::Accept, &json!({}));
    world.pass(5);
    assert_eq!(world.lease(&key(1)).owner.as_str(), "max");
}

#[test]
fn a_stopped_lease_is_revived_and_started_again() {
    let mut world = settled(Stage::Stop);
    world.pass(4 * DAY);
    assert_eq!(world.lease(&key(1)).state, State::Stopped);
    world.ask("request::bigdb::lin::1", "lin", &key(1), Wish::Revive, &json!({}));
    world.pass(5);
    assert_eq!(world.lease(&key(1)).state, State::Active);
    assert_eq!(world.resources[&key(1)].facts.state, ResourceState::Running);
    assert!(world.lease(&key(1)).expires_at > world.now.plus(DAY));
}

#[test]
fn started_again_behind_our_back_is_a_new_lease_and_a_first_notice() {
    let mut world = settled(Stage::Terminate);
    world.pass(4 * DAY);
    world.launch(&key(1), &mine());
    let started = world.now;
    world.pass(60);
    assert_eq!(world.lease(&key(1)).state, State::Active);
    assert_eq!(world.lease(&key(1)).expires_at, started.plus(3 * DAY));
    assert_eq!(world.told(&key(1)).iter().filter(|told| *told == "lin first").count(), 2);
}

#[test]
fn what_its_owner_stopped_is_never_terminated() {
    let mut world = settled(Stage::Terminate);
    world.turn(&key(1), ResourceState::Stopped);
    world.pass(60 * DAY);
    assert!(world.ends.is_empty());
    assert_eq!(world.lease(&key(1)).stopped_by, Some(StoppedBy::Other));
}

#[test]
fn refused_mail_goes_to_admins_and_nothing_ends_while_nobody_can_be_told() {
    let mut world = World::new(Stage::Stop);
    world.refuses = vec!["lin@bigdb.com".into()];
    world.launch(&key(1), &mine());
    world.pass(4 * DAY);
    assert!(world.told(&key(1)).contains(&"ada admin-unreachable".to_owned()));
    assert_eq!(world.ends.len(), 1, "an admin was told");

    let mut silent = World::new(Stage::Stop);
    silent.refuses = vec!["lin@bigdb.com".into(), "ada@bigdb.com".into()];
    silent.launch(&key(1), &mine());
    silent.pass(10 * DAY);
    assert!(silent.ends.is_empty());
    assert_eq!(silent.lease(&key(1)).hold.as_ref().map(|hold| hold.kind), Some(HoldKind::NoNotice));
}

#[test]
fn a_pause_holds_and_what_is_overdue_gets_the_minimum_notice_afterwards() {
    let mut world = settled(Stage::Stop);
    let pause = json!({"reason": "release week", "by": "bigdb.ada", "since": world.now});
    world.pauses = vec![serde_json::from_value::<Pause>(pause).unwrap()];
    world.pass(5 * DAY);
    assert!(world.ends.is_empty());
    assert_eq!(world.lease(&key(1)).hold.as_ref().map(|hold| hold.kind), Some(HoldKind::Pause));
    let resumed = world.now;
    world.pauses[0].resumed_at = Some(resumed);
    world.pass(DAY);
    assert_eq!(world.ends.len(), 1);
    assert!(world.ends[0].0 >= resumed.plus(HOUR));
}

#[test]
fn raising_the_stage_ends_nothing_within_a_day() {
    let mut world = settled(Stage::Notify);
    world.pass(5 * DAY);
    world.aws.stage = Stage::Stop;
    world.aws.stage_accepted = Some(StageAccepted { stage: Stage::Stop, since: world.now });
    let raised = world.now;
    world.pass(3 * DAY);
    assert_eq!(world.ends.len(), 1);
    assert!(world.ends[0].0 >= raised.plus(DAY), "{:?}", world.ends);
}

#[test]
fn raising_observe_to_notify_gives_a_full_lease() {
    let mut world = settled(Stage::Observe);
    world.pass(5 * DAY);
    world.aws.stage = Stage::Notify;
    world.aws.stage_accepted = Some(StageAccepted { stage: Stage::Notify, since: world.now });
    world.pass(60);
    assert_eq!(world.lease(&key(1)).state, State::Active);
    assert!(world.lease(&key(1)).expires_at >= world.now.plus(3 * DAY - 60));
}

#[test]
fn an_instance_that_vanished_has_a_lease_that_is_gone_and_goes() {
    let mut world = settled(Stage::Stop);
    world.turn(&key(1), ResourceState::Terminated);
    world.pass(5);
    assert_eq!(world.lease(&key(1)).state, State::Gone);
    assert_eq!(world.lease(&key(1)).purge_at, Some(world.start.plus(150 + 90 * DAY)));
}

#[test]
fn over_the_limit_a_lease_is_short_and_restored_when_the_rank_falls() {
    let mut world = World::new(Stage::Stop);
    world.layer.max_instances = Some(Some(1));
    world.launch(&key(1), &mine());
    world.launch(&key(2), &mine());
    world.pass(150);
    assert_eq!(world.lease(&key(1)).expires_at, world.start.plus(3 * DAY));
    assert!(world.lease(&key(2)).expires_at <= world.now.plus(HOUR));
    assert_eq!(world.lease(&key(2)).max_expires_at, world.lease(&key(2)).expires_at);
    world.turn(&key(1), ResourceState::Terminated);
    world.pass(60);
    assert_eq!(world.lease(&key(2)).expires_at, world.start.plus(3 * DAY));
}

#[test]
fn an_owner_who_leaves_leaves_leases_to_an_admin_who_is_told() {
    let mut world = settled(Stage::Stop);
    world.users.retain(|user| user.user.as_str() != "lin");
    world.pass(60);
    assert_eq!(world.lease(&key(1)).owner.as_str(), "ada");
    assert!(world.told(&key(1)).contains(&"ada admin-owner_left".to_owned()));
}

#[test]
fn what_a_cluster_owns_is_held_and_never_ended() {
    let mut world = World::new(Stage::Terminate);
    world.launch(&key(1), &json!({"managed_by": {"kind": "eks", "name": "ci"}}));
    world.pass(20 * DAY);
    assert!(world.ends.is_empty());
    assert_eq!(world.lease(&key(1)).hold.as_ref().map(|hold| hold.kind), Some(HoldKind::ManagedElsewhere));
}

#[test]
fn a_one_time_spot_instance_cannot_be_stopped_so_its_end_says_terminate() {
    let mut world = World::new(Stage::Terminate);
    world.launch(&key(1), &json!({"lifecycle": "spot", "spot_type": "one-time", "tags": {"owner": "lin"}}));
    world.pass(150);
    assert_eq!(world.lease(&key(1)).end_action, Action::Terminate);
    world.pass(4 * DAY);
    assert_eq!(world.ends.iter().map(|end| end.2).collect::<Vec<_>>(), [Action::Terminate]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Looking more often, at other moments and in another order, and dying at any step, changes no end, no owner and no
    /// notice.
    #[test]
    fn the_order_and_number_of_events_do_not_matter(
        extra in prop::collection::vec((0_i64..12 * DAY, 0_u32..4), 0..40), seed in any::<u64>(),
    ) {
        let world = || {
            let mut world = World::new(Stage::Terminate);
            world.launch(&key(0), &mine());
            world.launch(&key(1), &json!({"key_name": "lin-laptop"}));
            world.launch(&key(2), &json!({"tags": {"owner": "nobody"}, "lifecycle": "spot", "spot_type": "one-time"}));
            world.launch(&key(3), &json!({"tags": {"owner": "max", "lease": "1d"}}));
            world
        };
        let (mut calm, mut busy) = (world(), world());
        calm.pass(12 * DAY);
        busy.unruly = Some(Dice::new(seed));
        let mut extra = extra;
        extra.sort_unstable();
        let end = busy.start.plus(12 * DAY);
        for (at, number) in extra {
            let wait = busy.start.plus(at).seconds_since(busy.now);
            busy.pass(wait.max(0));
            busy.look(&key(number));
        }
        let rest = end.seconds_since(busy.now);
        busy.pass(rest);
        let in_order = |world: &World| {
            let mut ends = world.ends.clone();
            ends.sort();
            ends
        };
        prop_assert_eq!(in_order(&calm), in_order(&busy));
        for number in 0..4 {
            prop_assert_eq!(&calm.lease(&key(number)).owner, &busy.lease(&key(number)).owner);
            prop_assert_eq!(calm.told(&key(number)), busy.told(&key(number)));
        }
    }
}
