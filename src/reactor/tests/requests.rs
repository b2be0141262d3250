//! People's wishes as tables: what is asked, and what is answered and done.
//! Longer than other files because each table is read as one: a row for each wish.

use super::scene::{DAY, HOUR, Scene, noon};
use super::table::{Row, check, pause, stage};
use crate::model::{NoticeStatus, Outcome, Policy, ResourceState, Stage, StoppedBy, UserId, Wish};
use crate::reactor::Effect;
use serde_json::json;

fn wish(scene: &mut Scene, action: &str, at: i64) {
    scene.marks()["wish"] = json!({"by": "lin", "action": action, "at": noon().plus(at)});
}

#[rustfmt::skip] // A row is a line where it can be.
const RENEWING: &[Row] = &[
    ("for as long as a lease is by default", |s| s.ask("lin", Wish::Renew, &json!({})),
     "term 3, until +3d, ends +3d1h | done: renewed until 2026-11-27T12:00:00Z until +3d"),
    ("as far as the policy allows", |s| s.ask("lin", Wish::Renew, &json!({"until": noon().plus(90 * DAY)})),
     "term 3, until +7d, ends +7d1h | done: renewed until 2026-12-01T12:00:00Z, as far as the policy allows until +7d"),
    ("to an end before the present one", |s| s.ask("lin", Wish::Renew, &json!({"until": noon().plus(DAY)})),
     "| done: it reaches that far already until +2d"),
    ("to a moment that passed", |s| s.ask("lin", Wish::Renew, &json!({"until": noon().plus(-1)})),
     "| refused: that time has passed until +2d"),
    ("by an admin", |s| s.ask("ada", Wish::Renew, &json!({})),
     "term 3, until +3d, ends +3d1h | done: renewed until 2026-11-27T12:00:00Z until +3d"),
    ("by somebody else", |s| s.ask("max", Wish::Renew, &json!({})),
     "| refused: only its owner or an admin may ask that"),
    ("by nobody", |s| s.ask("ghost", Wish::Renew, &json!({})), "| refused: nobody here by that name"),
    ("from another Account", |s| {
        s.ask("lin", Wish::Renew, &json!({"account": "other"}));
    }, "| refused: nobody here by that name"),
    ("about another lease", |s| {
        s.ask("lin", Wish::Renew, &json!({"lease": "lease::111122223333::us-east-1::i-0def"}));
    }, "|"),
    ("twice at once reaches as far as once", |s| {
        s.ask("lin", Wish::Renew, &json!({"until": noon().plus(4 * DAY)}));
        s.ask("lin", Wish::Renew, &json!({"until": noon().plus(4 * DAY)}));
    },
     "term 3, until +4d, ends +4d1h | done: renewed until 2026-11-28T12:00:00Z until +4d, \
     done: it reaches that far already until +4d"),
    ("past the most that all renewals may reach", |s| {
        s.view.policy.max_total = Some(2 * DAY);
        s.ask("lin", Wish::Renew, &json!({}));
    }, "| refused: the policy allows no later end until +2d"),
    ("over the limit of instances a short lease is all there is", |s| {
        s.view.policy.max_instances = Some(0);
        s.ask("lin", Wish::Renew, &json!({}));
    }, "| refused: the limit of instances (max_instances 0, and lin has more) allows no later end until +2d"),
    ("over the limit of instances and past all renewals it is the policy", |s| {
        s.view.policy.max_instances = Some(0);
        s.view.policy.max_total = Some(DAY);
        s.ask("lin", Wish::Renew, &json!({}));
    }, "| refused: the policy allows no later end until +2d"),
    ("by an edit", |s| s.lease().expires_at = noon().plus(5 * DAY), "term 3, ends +5d1h |"),
    ("by an edit beyond the policy", |s| s.lease().expires_at = noon().plus(50 * DAY),
     "term 3, until +7d, ends +7d1h |"),
    ("by an edit to an earlier end", |s| s.lease().expires_at = noon().plus(DAY), "until +2d |"),
    ("an edit together with the raise of a stage: the later end stands", |s| {
        stage(s, Stage::Stop, -HOUR);
        s.view.notices.clear();
        s.lease().notified = None;
        s.lease().expires_at = noon().plus(5 * DAY);
    }, "term 3, ends +5d1h | lin first"),
];

#[rustfmt::skip] // A row is a line where it can be.
const RENEWING_OVERDUE: &[Row] = &[
    ("while it is overdue", |s| s.ask("lin", Wish::Renew, &json!({})),
     "active, term 3, until +3d, ends +3d1h | done: renewed until 2026-11-27T12:00:00Z until +3d"),
    ("to a moment after its end that passed by now", |s| s.ask("lin", Wish::Renew, &json!({"until": noon().plus(-HOUR)})),
     "| refused: that time has passed until -2h, stop is due"),
    ("by an edit to such a moment", |s| s.lease().expires_at = noon().plus(-HOUR), "until -2h | stop is due"),
    ("past all renewals, which ended by now", |s| {
        s.view.policy.max_total = Some(DAY - HOUR);
        s.ask("lin", Wish::Renew, &json!({}));
    }, "| refused: the policy allows no later end until -2h, stop is due"),
    ("over the limit of instances: a short one, the rest is owed", |s| {
        s.view.policy.max_instances = Some(0);
        s.ask("lin", Wish::Renew, &json!({}));
    },
     "active, term 3, until +1h, ends +2h | \
     done: renewed until 2026-11-24T13:00:00Z, as far as the limit of instances (max_instances 0, and lin has more) allows until +1h, \
     lin warning-3600, ada admin-over_quota"),
];

#[rustfmt::skip] // A row is a line where it can be.
const RENEWING_STOPPED: &[Row] = &[
    ("what ended is revived, not renewed", |s| s.ask("lin", Wish::Renew, &json!({})),
     "| refused: it ended already; revive it instead, terminate is due"),
    ("an edit of what ended is put back", |s| s.lease().expires_at = noon().plus(DAY),
     "until -7d2h | terminate is due"),
];

#[test]
fn renewing() {
    check(Scene::active, RENEWING);
    check(Scene::overdue, RENEWING_OVERDUE);
    check(Scene::stopped, RENEWING_STOPPED);
}

const ENDED: &str = "expired, term 3, until +0, ends +0 | done: it will be stopped now until +0, stop is due";

#[rustfmt::skip] // A row is a line where it can be.
const ENDING: &[Row] = &[
    ("now", |s| s.ask("lin", Wish::End, &json!({})), ENDED),
    ("by an admin", |s| s.ask("ada", Wish::End, &json!({})), ENDED),
    ("twice is once", |s| {
        s.ask("lin", Wish::End, &json!({}));
        s.ask("lin", Wish::End, &json!({}));
    },
     "expired, term 3, until +0, ends +0 | done: it will be stopped now until +0, \
     done: it is being ended already until +0, stop is due"),
    ("for good", |s| s.ask("lin", Wish::Terminate, &json!({})),
     "expired, term 3, until +0, ends +0, to terminate | done: it will be terminated now until +0, terminate is due"),
    ("for good, which the stage does not allow", |s| {
        stage(s, Stage::Stop, -30 * DAY);
        s.ask("lin", Wish::Terminate, &json!({}));
    }, "| refused: this AWS account's stage does not allow it to be terminated until +2d"),
    ("what cannot be stopped is terminated, which needs the stage", |s| {
        s.spot("one-time");
        stage(s, Stage::Stop, -30 * DAY);
        s.ask("lin", Wish::End, &json!({}));
    }, "term 3, to terminate | refused: this AWS account's stage does not allow it to be terminated until +2d"),
    ("while paused", |s| {
        pause(s, &json!({}));
        s.ask("lin", Wish::End, &json!({}));
    }, "| refused: no end starts while zerocloud is paused: release week until +2d"),
    ("while paused until tomorrow", |s| {
        pause(s, &json!({"resumed_at": noon().plus(DAY)}));
        s.ask("lin", Wish::End, &json!({}));
    }, "| refused: no end starts while zerocloud is paused: release week until +2d"),
    ("what is exempted", |s| {
        s.lease().exemption =
            serde_json::from_value(json!({"reason": "demo", "until": noon().plus(DAY)})).unwrap();
        s.ask("lin", Wish::End, &json!({}));
    }, ENDED),
    ("what a cluster decides about", |s| {
        s.resource().facts.managed_by =
            serde_json::from_value(json!({"kind": "eks", "name": "ci"})).unwrap();
        s.ask("lin", Wish::End, &json!({}));
    }, "hold managed_elsewhere | refused: a group, cluster or fleet decides about it until +2d"),
    ("what nothing is known of lets its lease go, if an admin says so", |s| {
        s.view.resource = None;
        s.ask("ada", Wish::End, &json!({}));
    }, "gone, purge +90d | done: nothing is known of its instance; the lease is closed"),
    ("what nothing is known of, by its owner", |s| {
        s.view.resource = None;
        s.ask("lin", Wish::End, &json!({}));
    }, "| refused: nothing is known of its instance; an admin can close the lease until +2d"),
    ("asked offline before a renewal that was asked for later", |s| {
        s.marks()["wished_at"] = json!(noon().plus(-HOUR));
        s.ask("lin", Wish::End, &json!({"at": noon().plus(-2 * HOUR)}));
    },
     "| refused: it was renewed or started at 2026-11-24T11:00:00Z, after you asked at 2026-11-24T10:00:00Z; ask again until +2d"),
    ("asked offline after a renewal", |s| {
        s.marks()["wished_at"] = json!(noon().plus(-2 * HOUR));
        s.ask("lin", Wish::End, &json!({"at": noon().plus(-HOUR)}));
    }, ENDED),
    ("renewed and ended offline, in this order", |s| {
        s.ask("lin", Wish::Renew, &json!({"at": noon().plus(-2 * HOUR)}));
        s.ask("lin", Wish::End, &json!({"at": noon().plus(-HOUR)}));
    },
     "expired, term 4, until +0, ends +0 | done: renewed until 2026-11-27T12:00:00Z until +3d, \
     done: it will be stopped now until +0, stop is due"),
    ("ended and renewed offline, in this order, whatever came first", |s| {
        s.ask("lin", Wish::Renew, &json!({"at": noon().plus(-HOUR)}));
        s.ask("lin", Wish::End, &json!({"at": noon().plus(-2 * HOUR)}));
    },
     "term 4, until +3d, ends +3d1h | done: renewed until 2026-11-27T12:00:00Z until +3d, \
     done: it will be stopped now until +0"),
    ("without a date", |s| s.ask("lin", Wish::End, &json!({"at": null})), ENDED),
    ("without a date, and renewed before it came", |s| {
        s.marks()["wished_at"] = json!(noon().plus(-HOUR));
        s.ask("lin", Wish::End, &json!({"at": null}));
    },
     "| refused: it was renewed or started at 2026-11-24T11:00:00Z, and you do not say when you asked; ask again until +2d"),
];

#[rustfmt::skip] // A row is a line where it can be.
const ENDING_STOPPED: &[Row] = &[
    ("what is stopped already", |s| s.ask("lin", Wish::End, &json!({})),
     "| refused: it is stopped already; it can be terminated or revived, terminate is due"),
    ("what somebody else stopped, for good", |s| {
        s.lease().stopped_by = Some(StoppedBy::Other);
        s.ask("lin", Wish::Terminate, &json!({}));
    }, "term 3, ends +0 | done: it will be terminated now, terminate is due"),
];

#[test]
fn ending() {
    check(Scene::active, ENDING);
    check(Scene::stopped, ENDING_STOPPED);
}

#[rustfmt::skip] // A row is a line where it can be.
const ASKED: &[Row] = &[
    ("needs no notice", |_| {}, "| stop is due"),
    ("waits while the stage fell", |s| stage(s, Stage::Notify, -30 * DAY), "hold stage |"),
    ("waits a day after the stage was raised since", |s| stage(s, Stage::Stop, -60),
     "ends +23h59m | lin expired"),
    ("does not wait for a stage raised before", |s| stage(s, Stage::Stop, -2 * HOUR), "| stop is due"),
    ("waits while paused", |s| pause(s, &json!({})), "hold pause |"),
    ("waits the minimum notice after a pause lifted since", |s| pause(s, &json!({"resumed_at": noon().plus(-60)})),
     "ends +59m | lin expired"),
    ("does not wait for a pause lifted before", |s| pause(s, &json!({"resumed_at": noon().plus(-2 * HOUR)})),
     "| stop is due"),
    ("never becomes worse than was asked for", |s| s.spot("one-time"),
     "term 3, to terminate, hold no_notice | lin expired, ada expired, ada admin-no_notice"),
    ("is withdrawn by a renewal", |s| s.ask("lin", Wish::Renew, &json!({})),
     "active, term 3, until +3d, ends +3d1h | done: renewed until 2026-11-27T12:00:00Z until +3d"),
    ("is done when somebody else stopped it", |s| s.resource().facts.state = ResourceState::Stopped,
     "stopped, term 3, ends +7d, to terminate, stopped by other |"),
    ("gives time after it failed, and is announced", |s| {
        s.lease().ends_at = noon().plus(120);
        s.lease().reap = serde_json::from_value(
            json!({"action": "stop", "claimed_at": noon(), "attempts": 1, "error": "throttled"}),
        )
        .unwrap();
    }, "| lin expired, ada admin-failed"),
];

/// An end that a person asked for needs no notice, but what comes in its way later gives time again.
#[test]
fn an_end_that_was_asked_for() {
    let asked = || {
        let mut scene = Scene::overdue();
        scene.view.notices.clear();
        wish(&mut scene, "stop", -HOUR);
        scene
    };
    check(asked, ASKED);
}

#[rustfmt::skip] // A row is a line where it can be.
const REVIVING: &[Row] = &[
    ("what was stopped", |s| s.ask("lin", Wish::Revive, &json!({})), REVIVED),
    ("what somebody else stopped", |s| {
        s.lease().stopped_by = Some(StoppedBy::Other);
        s.ask("lin", Wish::Revive, &json!({}));
    }, REVIVED),
    ("with time left from before, to an earlier end: what was granted stands", |s| {
        s.lease().stopped_by = Some(StoppedBy::Other);
        s.lease().granted_until = noon().plus(5 * DAY);
        s.lease().expires_at = noon().plus(5 * DAY);
        s.ask("lin", Wish::Revive, &json!({"until": noon().plus(HOUR)}));
    }, "active, term 3, ends +5d1h, to stop | \
        done: it is being started, with a lease until 2026-11-29T12:00:00Z until +5d, start"),
    ("before anybody saw that it is stopped", |s| {
        s.lease().stopped_at = Some(noon().plus(-30));
        s.lease().ends_at = noon().plus(7 * DAY);
        s.lease().summary.state = "running".into();
        s.resource().facts.state = ResourceState::Running;
        s.ask("lin", Wish::Revive, &json!({}));
    }, REVIVED),
    ("what a cluster decides about", |s| {
        s.resource().facts.managed_by =
            serde_json::from_value(json!({"kind": "eks", "name": "ci"})).unwrap();
        s.ask("lin", Wish::Revive, &json!({}));
    }, "hold managed_elsewhere | refused: a group, cluster or fleet decides about it"),
    ("where the stage allows nothing", |s| {
        stage(s, Stage::Notify, -30 * DAY);
        s.ask("lin", Wish::Revive, &json!({}));
    }, "hold stage | refused: zerocloud may not start instances here"),
    ("past all renewals", |s| {
        s.view.policy.max_total = Some(DAY);
        s.ask("lin", Wish::Revive, &json!({}));
    }, "| refused: the policy allows no later end, terminate is due"),
];

#[rustfmt::skip] // A row is a line where it can be.
const STARTING: &[Row] = &[
    ("it is asked to start until it does", |_| {}, "| start"),
    ("the old look at it says that it runs: it is asked on", |s| {
        s.lease().summary.state = "running".into();
        s.resource().facts.state = ResourceState::Running;
    }, "| start"),
    ("it runs", |s| {
        s.resource().facts.state = ResourceState::Running;
        s.resource().facts.launch_time = Some(noon().plus(-30));
    }, "|"),
    ("it did not start within a quarter of an hour", |s| s.now = noon().plus(900),
     "stopped, term 3, ends +7d15m, to terminate, stopped by zerocloud | lin stopped"),
    ("asked in the future, by a clock that was set back", |s| {
        s.marks()["reviving"]["since"] = json!(noon().plus(DAY));
    }, "stopped, term 3, ends +7d, to terminate, stopped by zerocloud | lin stopped"),
];

#[test]
fn reviving() {
    check(Scene::stopped, REVIVING);
    let starting = || {
        let mut scene = Scene::active();
        scene.marks()["reviving"] = json!({"since": noon().plus(-60), "stopped_by": "zerocloud"});
        scene.lease().summary.state = "stopped".into();
        scene.resource().facts.state = ResourceState::Stopped;
        scene
    };
    check(starting, STARTING);
}

const REVIVED: &str = "active, term 3, until +3d, ends +3d1h, to stop | \
    done: it is being started, with a lease until 2026-11-27T12:00:00Z until +3d, start";

#[rustfmt::skip] // A row is a line where it can be.
const HANDING_OVER: &[Row] = &[
    ("to somebody", |s| s.ask("lin", Wish::HandOver, &json!({"to": "max"})),
     "offered to max | done: offered to max; it is theirs once they accept until +2d, max offered"),
    ("to nobody", |s| s.ask("lin", Wish::HandOver, &json!({"to": "ghost"})),
     "| refused: nobody here by that name to hand it to until +2d"),
    ("to oneself", |s| s.ask("lin", Wish::HandOver, &json!({"to": "lin"})),
     "| refused: it is theirs already until +2d"),
    ("accepted", |s| {
        s.lease().offered_to = Some(UserId::parse("max").unwrap());
        s.ask("max", Wish::Accept, &json!({}));
    }, "owner max, by request, term 3 | done: it is yours until +2d, resource of max"),
    ("accepted by another", |s| {
        s.lease().offered_to = Some(UserId::parse("max").unwrap());
        s.ask("ada", Wish::Accept, &json!({}));
    }, "| refused: it was not offered to you, max offered"),
    ("accepted when nothing was offered", |s| s.ask("max", Wish::Accept, &json!({})),
     "| refused: it was not offered to you"),
    ("said not to be theirs by an admin", |s| s.ask("ada", Wish::NotMine, &json!({})),
     "| refused: only its owner can say that it is not theirs until +2d"),
];

#[test]
fn handing_over() {
    check(Scene::active, HANDING_OVER);
}

/// Who, until when and why, once; and lifting it, too.
#[test]
fn the_story_tells_of_an_exemption_and_of_its_lifting_once() {
    let mut scene = Scene::active();
    let mut lines = |exemption: serde_json::Value, by: &str| {
        let lease = scene.lease();
        let known = lease.events.len();
        lease.exemption = serde_json::from_value(exemption).unwrap();
        lease.extra.insert("updated_by".into(), json!(by));
        for _ in 0..2 {
            let decision = scene.decide();
            scene.apply(decision);
        }
        scene.lease().events.iter().skip(known).map(|line| line.what.clone()).collect::<Vec<_>>()
    };
    let until = noon().plus(3 * DAY);
    let told = lines(json!({"reason": "the fair", "until": until}), "bigdb.ada");
    assert_eq!(told, [format!("ada exempted it until {until}: the fair")]);
    assert_eq!(lines(json!({"reason": "the fair", "until": until}), "bigdb.lin"), [""; 0]);
    let later = until.plus(DAY);
    let told = lines(json!({"reason": "the fair", "until": later}), "bigdb.max");
    assert_eq!(told, [format!("max exempted it until {later}: the fair")]);
    assert_eq!(lines(serde_json::Value::Null, "bigdb.ada"), ["ada lifted its exemption"]);
    assert_eq!(lines(json!({"reason": "long over", "until": noon()}), "bigdb.ada"), [""; 0]);
}

/// What is answered is never taken back: the rank of what is stopped is not known yet.
#[test]
fn reviving_promises_no_more_than_the_rank_may_allow() {
    for (rank, then) in
        [(1, "term 4, until +3d, ends +3d1h | start"), (2, "| lin warning-3600, ada admin-over_quota, start")]
    {
        let mut scene = Scene::stopped();
        scene.view.policy.max_instances = Some(1);
        scene.view.usage = 0;
        scene.ask("lin", Wish::Revive, &json!({}));
        let decision = scene.decide();
        let Some(crate::reactor::Effect::Answer(answer)) = decision.effects.first() else { panic!("no answer") };
        assert_eq!(answer.body.answer.as_ref().unwrap().until, Some(noon().plus(HOUR)));
        assert!(!decision.effects.iter().any(|effect| effect.name() == "queue"), "told before the rank is known");
        scene.apply(decision);
        scene.view.usage = rank;
        assert_eq!(scene.outcome(), then, "rank {rank}");
    }
}

/// What was promised before stands when it is stopped, revived or started again over the limit of instances.
#[test]
fn no_rank_shortens_what_was_promised_before() {
    let rows: [fn(&mut Scene); 3] = [
        |s| s.ask("lin", Wish::Revive, &json!({})),
        |s| s.resource().facts.state = ResourceState::Running,
        |s| {
            s.lease().state = crate::model::State::Active;
            s.resource().facts.state = ResourceState::Running;
            s.marks()["quota_due"] = json!(noon());
            s.marks()["wished_at"] = json!(noon());
        },
    ];
    for (row, change) in rows.into_iter().enumerate() {
        let mut scene = Scene::stopped();
        scene.lease().stopped_by = Some(StoppedBy::Other);
        scene.lease().granted_until = noon().plus(5 * HOUR);
        scene.lease().expires_at = noon().plus(5 * HOUR);
        scene.view.policy.max_instances = Some(1);
        scene.view.usage = 0;
        change(&mut scene);
        let decision = scene.decide();
        scene.apply(decision);
        for rank in [2, 2, 1] {
            scene.view.usage = rank;
            let decision = scene.decide();
            scene.apply(decision);
            let end = scene.lease().granted_until;
            assert!(end >= noon().plus(5 * HOUR), "row {row}, rank {rank}: {end}");
            assert!(rank > 1 || row == 2 || end == noon().plus(3 * DAY), "row {row}: not restored but {end}");
        }
    }
}

/// Nothing that is answered is judged again, however many come at once.
#[test]
fn every_wish_is_judged_once_however_many_come() {
    let mut scene = Scene::active();
    scene.ask("lin", Wish::HandOver, &json!({"to": "max", "at": noon().plus(-90)}));
    let first = scene.view.requests[0].clone();
    let decision = scene.decide();
    scene.apply(decision);
    // The write of its answer keeps failing, and many more come.
    scene.view.requests.push(first.clone());
    for number in 0..60 {
        scene.ask("lin", Wish::Renew, &json!({"until": noon().plus(DAY), "at": noon().plus(number)}));
    }
    let mut rounds = 0;
    while scene.view.requests.len() > 1 {
        let decision = scene.decide();
        scene.apply(decision);
        scene.view.requests.retain(|doc| doc.id != first.id);
        scene.view.requests.push(first.clone());
        assert!(scene.lease().answered.len() <= 20);
        rounds += 1;
        assert!(rounds < 10, "{} stay open", scene.view.requests.len());
    }
    let judged = scene.lease().events.iter().filter(|line| line.what.contains("offered to max")).count();
    let remembered = scene.lease().answered.iter().filter(|said| said.request == first.id).count();
    assert_eq!((judged, remembered), (0, 1), "judged again, or forgotten");
}

#[test]
fn an_offer_made_again_is_told_again_and_once() {
    let mut scene = Scene::active();
    let mut offer = |number: usize, to: &str, status: NoticeStatus| {
        scene.ask("lin", Wish::HandOver, &json!({"to": to}));
        scene.view.requests.last_mut().unwrap().id = format!("request::bigdb::lin::{number}");
        let decision = scene.decide();
        let told = decision.effects.iter().filter_map(|effect| match effect {
            Effect::Queue(notice) => Some(format!("{} {}", notice.user, notice.kind)),
            _ => None,
        });
        let told = told.collect::<Vec<_>>().join(", ");
        scene.apply(decision);
        scene.view.notices.iter_mut().for_each(|notice| notice.status = status);
        assert!(scene.decide().effects.is_empty(), "told twice");
        told
    };
    assert_eq!(offer(1, "max", NoticeStatus::Accepted), "max offered");
    assert_eq!(offer(2, "ada", NoticeStatus::Accepted), "ada offered-2");
    assert_eq!(offer(3, "max", NoticeStatus::Accepted), "max offered-3");
    assert_eq!(offer(4, "max", NoticeStatus::Obsolete), "", "it is offered to them already");
    assert_eq!(offer(5, "ada", NoticeStatus::Queued), "ada offered-4");
    assert_eq!(offer(6, "max", NoticeStatus::Queued), "", "what waits to be sent tells of it");
}

#[test]
fn the_limit_for_edits_is_the_policys_and_the_present_end_while_over_the_limit_of_instances() {
    let limit = |change: fn(&mut Scene)| {
        let mut scene = Scene::active();
        scene.lease().summary.name = "renamed".into();
        change(&mut scene);
        scene.decide().lease.unwrap().max_expires_at
    };
    assert_eq!(limit(|_| {}), noon().plus(7 * DAY));
    assert_eq!(limit(|s| s.view.policy.max_instances = Some(0)), noon().plus(2 * DAY));
    assert_eq!(limit(|s| s.view.policy.max_total = Some(DAY)), noon().plus(2 * DAY));
    assert_eq!(limit(|s| s.resource().facts.state = ResourceState::Stopped), noon().plus(2 * DAY));
    assert_eq!(limit(|s| s.view.policy = Policy { max_lease: 60, ..Policy::default() }), noon().plus(2 * DAY));
}

#[test]
fn the_wishes_of_strangers_are_answered_on_the_request_and_leave_the_lease_alone() {
    let mut scene = Scene::active();
    for action in [Wish::Renew, Wish::End, Wish::NotMine, Wish::Accept, Wish::Terminate] {
        scene.ask("max", action, &json!({}));
    }
    for number in 0..30 {
        scene.ask(&format!("ghost{number}"), Wish::Renew, &json!({}));
    }
    let decision = scene.decide();
    assert_eq!(decision.lease, None, "its story, its revision or its memory of answers is theirs to fill");
    let answers: Vec<_> = decision
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Answer(doc) => doc.body.answer.as_ref(),
            _ => None,
        })
        .collect();
    assert_eq!(answers.len(), 35, "each is answered");
    assert!(answers.iter().all(|answer| answer.outcome == Outcome::Refused && answer.until.is_none()));
}
