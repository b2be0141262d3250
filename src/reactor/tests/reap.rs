//! The steps of an end on the lease itself, as tables: claimed, carried out, failed, held back.

use super::scene::{DAY, HOUR, Scene, noon, span};
use crate::model::{Action, Lease, Policy, State, StoppedBy, UserId};
use crate::reactor::{DueEnd, Effect, ReapOutcome, claim, paced, reaped};
use serde_json::json;

/// A name, what changes between the decision and the claim, and whether it is claimed.
type Row = (&'static str, fn(&mut Lease, &mut DueEnd), bool);

/// The end that a decision about the scene asks for.
fn due(scene: &Scene) -> DueEnd {
    let effects = scene.decide().effects;
    effects.into_iter().find_map(|effect| if let Effect::Due(due) = effect { Some(due) } else { None }).unwrap()
}

fn claimed() -> (Lease, DueEnd) {
    let mut scene = Scene::overdue();
    let end = due(&scene);
    (claim(scene.lease(), &end, noon()).unwrap(), end)
}

fn hold(kind: &str, review: i64) -> Option<crate::model::Hold> {
    let hold = json!({"kind": kind, "reason": "", "since": noon().plus(-DAY), "review_at": noon().plus(review)});
    serde_json::from_value(hold).unwrap()
}

#[test]
fn what_changed_since_the_decision_is_not_claimed() {
    let rows: &[Row] = &[
        ("nothing", |_, _| {}, true),
        (
            "renewed",
            |lease, _| {
                lease.term += 1;
                lease.state = State::Active;
            },
            false,
        ),
        ("renewed by an edit that is not judged yet", |lease, _| lease.expires_at = noon().plus(DAY), false),
        ("given to another by an admin's edit", |lease, _| lease.owner = UserId::parse("max").unwrap(), false),
        ("another term", |lease, _| lease.term += 1, false),
        ("another instance", |_, due| due.key.resource_id = crate::model::ResourceId::parse("i-0def").unwrap(), false),
        ("another Account", |_, due| due.account = crate::model::AccountId::parse("other").unwrap(), false),
        ("another action", |lease, _| lease.end_action = Action::Terminate, false),
        ("a later end", |lease, _| lease.ends_at = noon().plus(1), false),
        (
            "an end before the lease is over",
            |lease, _| {
                lease.expires_at = noon().plus(1);
                lease.granted_until = noon().plus(1);
            },
            false,
        ),
        (
            "exempted",
            |lease, _| {
                lease.exemption = serde_json::from_value(json!({"reason": "demo", "until": noon().plus(1)})).unwrap();
            },
            false,
        ),
        (
            "exempted until now",
            |lease, _| {
                lease.exemption = serde_json::from_value(json!({"reason": "demo", "until": noon()})).unwrap();
            },
            true,
        ),
        ("held by a pause", |lease, _| lease.hold = hold("pause", HOUR), false),
        ("held because nobody was told", |lease, _| lease.hold = hold("no_notice", HOUR), false),
        ("held by the pace", |lease, _| lease.hold = hold("pace", HOUR), true),
        ("held by protection", |lease, _| lease.hold = hold("protection", HOUR), false),
        ("held by protection, at the review", |lease, _| lease.hold = hold("protection", 0), true),
        ("claimed already", |lease, _| lease.state = State::Reaping, false),
        ("stopped already", |lease, _| lease.state = State::Stopped, false),
        ("gone", |lease, _| lease.state = State::Gone, false),
    ];
    for (name, change, expected) in rows {
        let mut scene = Scene::overdue();
        let mut end = due(&scene);
        change(scene.lease(), &mut end);
        assert_eq!(claim(scene.lease(), &end, noon()).is_some(), *expected, "{name}");
    }
}

#[test]
fn a_claim_is_taken_up_again_once_it_is_abandoned() {
    let (lease, end) = claimed();
    let again = DueEnd { resumes: true, ..end.clone() };
    assert!(claim(&lease, &again, noon().plus(119)).is_none());
    let taken = claim(&lease, &again, noon().plus(120)).unwrap();
    assert_eq!(taken.reap.as_ref().unwrap().claimed_at, noon().plus(120));
    assert!(claim(&lease, &end, noon().plus(120)).is_none(), "a claim that takes up nothing is a new one");
    // By a clock that was set back a day.
    assert!(claim(&lease, &again, noon().plus(-DAY)).is_some());
}

#[test]
fn what_was_stopped_waits_for_its_own_notice_and_what_was_terminated_goes() {
    let (lease, _) = claimed();
    let policy = Policy::default();
    let stopped = reaped(&lease, &ReapOutcome::Stopped, noon(), &policy);
    assert_eq!((stopped.state, stopped.stopped_by), (State::Stopped, Some(StoppedBy::Zerocloud)));
    assert_eq!((stopped.term, stopped.end_action, span(stopped.ends_at)), (3, Action::Terminate, "+7d".to_owned()));
    let over = reaped(&lease, &ReapOutcome::Terminated, noon(), &policy);
    assert_eq!((over.state, over.term, over.purge_at), (State::Terminated, 3, Some(noon().plus(policy.retention))));
    assert!(stopped.reap.is_none() && stopped.hold.is_none() && over.reap.is_none());
}

#[test]
fn an_outcome_changes_no_lease_that_runs_or_is_over() {
    for state in [State::Active, State::Terminated, State::Gone] {
        let (mut lease, _) = claimed();
        lease.state = state;
        for outcome in [ReapOutcome::Stopped, ReapOutcome::Terminated, ReapOutcome::Failed("x".into())] {
            assert_eq!(reaped(&lease, &outcome, noon(), &Policy::default()), lease, "{state:?} {outcome:?}");
        }
    }
}

/// Claims and fails `times` in a row, each as soon as it may; the waits between.
fn waits(outcome: &ReapOutcome, times: usize) -> (Lease, Vec<i64>) {
    let (mut lease, end) = claimed();
    let (mut now, mut waits) = (noon(), Vec::new());
    for _ in 0..times {
        lease = reaped(&lease, outcome, now, &Policy::default());
        waits.push(lease.ends_at.seconds_since(now));
        assert!(claim(&lease, &end, lease.ends_at.plus(-1)).is_none());
        now = lease.ends_at;
        lease = claim(&lease, &end, now).unwrap();
    }
    (reaped(&lease, outcome, now, &Policy::default()), waits)
}

#[test]
fn what_fails_is_tried_again_ever_more_rarely_and_told() {
    let (lease, waits) = waits(&ReapOutcome::Failed("throttled".into()), 12);
    assert_eq!(waits, [120, 240, 480, 960, 1_920, 3_840, 7_680, 15_360, 21_600, 21_600, 21_600, 21_600]);
    assert_eq!((lease.state, lease.term), (State::Expired, 2));
    assert_eq!(lease.reap.unwrap().error.as_deref(), Some("throttled"));
}

#[test]
fn what_keeps_changing_is_tried_ever_more_rarely_and_told_after_a_while() {
    let changed = ReapOutcome::Changed("its owner tag changed".into());
    let (once, first) = waits(&changed, 1);
    assert_eq!((first, once.reap.unwrap().error), (vec![120], None));
    let (often, all) = waits(&changed, 10);
    assert_eq!((all[1], all[9]), (240, 21_600));
    assert_eq!(often.reap.unwrap().error.as_deref(), Some("its owner tag changed"));
}

#[test]
fn protection_is_a_hold_since_the_first_time_and_comes_behind_what_was_not_tried() {
    let (lease, end) = claimed();
    let outcome = ReapOutcome::Protected("termination protection".into());
    let held = reaped(&lease, &outcome, noon(), &Policy::default());
    assert_eq!((held.state, held.reap.is_none()), (State::Expired, true));
    let review = held.hold.as_ref().unwrap().review_at;
    assert_eq!(span(review), "+6h");
    assert!(claim(&held, &end, review.plus(-1)).is_none());
    let again = reaped(&claim(&held, &end, review).unwrap(), &outcome, review, &Policy::default());
    assert_eq!(again.hold.as_ref().unwrap().since, noon());
    assert_eq!(again.hold.as_ref().unwrap().review_at, review.plus(6 * HOUR));
    let mut scene = Scene::overdue();
    *scene.lease() = again;
    scene.now = review.plus(6 * HOUR);
    assert_eq!(due(&scene).deadline, review.plus(6 * HOUR));
}

#[test]
fn the_pace_holds_only_what_is_due() {
    let mut scene = Scene::overdue();
    let held = paced(scene.lease(), noon());
    assert_eq!(held.hold.as_ref().map(|hold| (hold.kind.as_str(), hold.review_at)), Some(("pace", noon().plus(600))));
    assert_eq!(paced(&held, noon().plus(60)), held, "the same hold twice changes nothing");
    let mut renewed = Scene::active();
    assert_eq!(paced(renewed.lease(), noon()), *renewed.lease());
    for kind in ["pause", "exemption", "protection"] {
        scene.lease().hold = hold(kind, HOUR);
        assert_eq!(paced(scene.lease(), noon()), *scene.lease(), "{kind}");
    }
}

/// The ledger is what an end is allowed by, so what it needs stays, however short ended leases are kept.
#[test]
fn a_notice_stays_as_long_as_the_end_that_it_announces_needs_it() {
    let gone = |mut scene: Scene| {
        scene.view.policy.retention = 12 * HOUR;
        scene.view.notices.clear();
        scene.lease().notified = None;
        let effects = scene.decide().effects;
        let queued =
            effects.into_iter().filter_map(|effect| if let Effect::Queue(it) = effect { Some(it) } else { None });
        queued.map(|notice| format!("{} {}", notice.kind, span(notice.purge_at.unwrap()))).collect::<Vec<_>>()
    };
    let mut stopped = Scene::stopped();
    stopped.lease().ends_at = noon().plus(7 * DAY);
    assert_eq!(gone(stopped), ["stopped +8d12h"]);
    assert_eq!(gone(Scene::active()), ["first +2d14h"]);
    assert_eq!(gone(Scene::stopped())[0], "stopped +1d12h");
}
