//! The decision about one lease as a table: how it stands, and what is changed and done. Longer than other files
//! because it is one table: a row for each sentence about a lease's life.

use super::scene::{DAY, HOUR, Scene, noon};
use super::table::{Row, check, exempt, held, lin_leaves, missing, pause, region, stage, tag};
use crate::model::{Action, NoticeKind, Notified, Policy, ResourceState, Stage, State, StoppedBy, UserId, Wish};
use serde_json::json;

#[rustfmt::skip] // A row is a line where it can be.
const RUNNING: &[Row] = &[
    ("nothing is due", |_| {}, "|"),
    ("a warning is due", |s| s.now = noon().plus(DAY), "| lin warning-86400"),
    ("the nearest warning overtakes those further off", |s| s.now = noon().plus(2 * DAY - 60),
     "| lin warning-3600"),
    ("past its end", |s| s.now = noon().plus(2 * DAY), "expired | lin expired"),
    ("its end long passed while nobody looked", |s| s.now = noon().plus(9 * DAY),
     "expired | lin expired, stop is due"),
    ("no notice at all was taken", |s| {
        s.view.notices.clear();
        s.lease().notified = None;
    }, "| lin first"),
    ("stopped by somebody else", |s| s.resource().facts.state = ResourceState::Stopped,
     "stopped, term 3, ends +7d, to terminate, stopped by other |"),
    ("stopping is waited out", |s| s.resource().facts.state = ResourceState::Stopping, "|"),
    ("terminated by somebody else", |s| s.resource().facts.state = ResourceState::Terminated,
     "gone, purge +90d |"),
    ("absent from three scans over ten minutes", |s| missing(s, 3, -700, -60), "gone, purge +90d |"),
    ("absent from three scans within ten minutes", |s| missing(s, 3, -599, 0), "|"),
    ("absent from two scans over an hour", |s| missing(s, 2, -HOUR, 0), "|"),
    ("one-time spot cannot be stopped, and says so", |s| s.spot("one-time"),
     "term 3, to terminate |"),
    ("instance store cannot be stopped", |s| s.resource().facts.root_device = "instance-store".into(),
     "term 3, to terminate |"),
    ("a spot request that turns out to be persistent can be stopped", |s| {
        s.spot("persistent");
        s.lease().end_action = Action::Terminate;
    }, "to stop |"),
    ("a policy of another action moves no running end", |s| s.view.policy.expiry_action = Action::Terminate,
     "|"),
    ("a shorter policy moves no running end", |s| {
        s.view.policy = Policy { default_lease: 60, max_lease: 60, grace: 1, ..Policy::default() };
    }, "|"),
    ("managed elsewhere", |s| {
        s.resource().facts.managed_by =
            serde_json::from_value(json!({"kind": "eks", "name": "ci"})).unwrap();
    }, "hold managed_elsewhere |"),
    ("a resource of another Account says nothing", |s| {
        s.resource().account = crate::model::AccountId::parse("other").unwrap();
        s.resource().facts.state = ResourceState::Terminated;
    }, "|"),
    ("observing sends no mail", |s| {
        stage(s, Stage::Observe, -2 * DAY);
        s.now = noon().plus(DAY);
    }, "|"),
];

#[test]
fn a_running_lease() {
    check(Scene::active, RUNNING);
}

#[test]
fn of_two_notices_taken_in_one_second_the_later_of_a_leases_life_is_noted() {
    let mut s = Scene::overdue();
    s.lease().notified = Some(Notified { term: 2, kind: NoticeKind::First, at: noon().plus(-2 * HOUR) });
    s.apply(s.decide());
    assert_eq!(s.lease().notified.as_ref().unwrap().kind, NoticeKind::Expired);
    let mut s = Scene::active();
    s.told("warning-3600", "lin", 0);
    s.told("warning-86400", "lin", 0);
    s.apply(s.decide());
    assert_eq!(s.lease().notified.as_ref().unwrap().kind, NoticeKind::Warning(3_600), "the nearer one comes later");
}

#[rustfmt::skip] // A row is a line where it can be.
const OVERDUE: &[Row] = &[
    ("nothing is in its way", |_| {}, "| stop is due"),
    ("within grace", |s| s.lease().ends_at = noon().plus(60), "|"),
    ("told less than the minimum before", |s| {
        s.view.notices.clear();
        s.told("first", "lin", -HOUR + 60);
        s.told("expired", "lin", -60);
    }, "ends +1m |"),
    ("nobody was told", |s| s.view.notices.clear(),
     "hold no_notice | lin expired, ada expired, ada admin-no_notice"),
    ("what was told belongs to another term", |s| s.lease().term = 3,
     "hold no_notice | lin expired, ada expired, ada admin-no_notice"),
    ("what was told came back", |s| s.view.notices.iter_mut().for_each(|n| n.status = crate::model::NoticeStatus::Bounced),
     "hold no_notice | ada expired, ada admin-no_notice, ada admin-unreachable"),
    ("only somebody who is neither owner nor admin was told", |s| {
        s.view.notices.iter_mut().for_each(|n| n.user = UserId::parse("max").unwrap());
    }, "hold no_notice | ada expired, ada admin-no_notice"),
    ("told in the future, by a clock that was set back", |s| {
        s.view.notices.iter_mut().for_each(|n| n.accepted_at = Some(noon().plus(DAY)));
    }, "hold no_notice | ada expired, ada admin-no_notice"),
    ("an admin was told in the owner's place", |s| {
        s.view.notices.clear();
        s.notice("expired", "lin", &json!({"status": "refused", "due_at": noon()}));
        s.told("expired", "ada", -HOUR);
        s.told("admin-unreachable", "ada", -HOUR);
    }, "| stop is due"),
    ("the stage allows no stop", |s| stage(s, Stage::Notify, -2 * DAY), "hold stage |"),
    ("held so long that the ledger of what was told is purged: nobody is told again", |s| {
        stage(s, Stage::Notify, -2 * DAY);
        held(s, "stage");
        s.view.notices.clear();
        s.lease().hold.as_mut().unwrap().reason = "the stage of its AWS account allows no stop".into();
    }, "|"),
    ("a rise of the stage that the service has not seen", |s| {
        stage(s, Stage::Notify, -2 * DAY);
        s.view.aws_account.as_mut().unwrap().stage = Stage::Terminate;
    }, "hold stage |"),
    ("the stage fell", |s| s.view.aws_account.as_mut().unwrap().stage = Stage::Notify, "hold stage |"),
    ("the stage was raised two hours ago", |s| stage(s, Stage::Stop, -2 * HOUR), "ends +22h |"),
    ("its AWS account is disabled", |s| s.view.aws_account.as_mut().unwrap().disabled = true, "hold stage |"),
    ("its AWS account cannot be read", |s| s.view.aws_account = None, "hold stage |"),
    ("its AWS account is another's", |s| {
        s.view.aws_account.as_mut().unwrap().account = crate::model::AccountId::parse("other").unwrap();
    }, "hold stage |"),
    ("paused", |s| pause(s, &json!({})), "hold pause |"),
    ("paused until tomorrow", |s| pause(s, &json!({"resumed_at": noon().plus(DAY)})), "hold pause |"),
    ("a pause was lifted between two looks", |s| pause(s, &json!({"resumed_at": noon().plus(-60)})),
     "ends +59m |"),
    ("a pause was lifted before the end was due", |s| pause(s, &json!({"resumed_at": noon().plus(-2 * HOUR)})),
     "| stop is due"),
    ("a pause that held it was lifted: its new end is announced", |s| {
        held(s, "pause");
        pause(s, &json!({"resumed_at": noon().plus(-60)}));
    }, "term 3, ends +1h, no hold | lin expired"),
    ("the stage that held it was raised: its new end is announced", |s| {
        held(s, "stage");
        stage(s, Stage::Stop, -60);
    }, "term 3, ends +23h59m, no hold | lin expired"),
    ("exempted", |s| exempt(s, 3 * DAY), "hold exemption |"),
    ("its exemption is over", |s| {
        exempt(s, 0);
        held(s, "exemption");
    }, "term 3, ends +1h, no hold | lin expired"),
    ("its region is paused", |s| region(s, "paused"), "hold region | ada admin-region"),
    ("its region is denied", |s| region(s, "denied"), "hold region | ada admin-region"),
    ("the last scan did not see it", |s| missing(s, 1, -60, -60), "|"),
    ("scans have not seen it for long", |s| missing(s, 2, -HOUR, -60), "hold region | ada admin-region"),
    ("nothing is known of the resource", |s| s.view.resource = None, "hold region | ada admin-region"),
    ("it is stopping: that passes", |s| {
        s.resource().facts.state = ResourceState::Stopping;
        s.lease().ends_at = noon().plus(-60);
    }, "|"),
    ("it has been stopping for long: that is shown", |s| s.resource().facts.state = ResourceState::Stopping,
     "hold region | ada admin-region"),
    ("managed elsewhere", |s| {
        s.resource().facts.managed_by =
            serde_json::from_value(json!({"kind": "eks", "name": "ci"})).unwrap();
    }, "hold managed_elsewhere |"),
    ("protected, before the review", |s| held(s, "protection"), "| ada admin-protection"),
    ("protected, at the review", |s| {
        held(s, "protection");
        s.now = noon().plus(HOUR);
    }, "| ada admin-protection, stop is due"),
    ("protected, to be reviewed in a year, by a clock that was set back", |s| {
    held(s, "protection");
    s.lease().hold.as_mut().unwrap().review_at = noon().plus(365 * DAY);
}, "| ada admin-protection, stop is due"),
("held by the pace", |s| held(s, "pace"), "| ada admin-pace, stop is due"),
    ("the clock was set back to before its end", |s| s.now = noon().plus(-3 * HOUR), "|"),
    ("a document says that the end is due before the lease is over", |s| {
        s.lease().expires_at = noon().plus(DAY);
        s.lease().granted_until = noon().plus(DAY);
    }, "|"),
    ("over the limit of instances no longer, and nothing is owed", |s| {
        s.lease().expires_at = noon().plus(-60);
        s.lease().granted_until = noon().plus(-60);
        s.marks()["over_quota"] = json!({"was": noon().plus(-120)});
        s.view.policy.max_instances = Some(1);
    }, "| stop is due"),
    ("over the limit of instances no longer: its time is given back", |s| {
        s.marks()["over_quota"] = json!({"was": noon().plus(DAY)});
        s.view.policy.max_instances = Some(1);
    }, "active, term 3, until +1d, ends +1d1h | lin warning-86400"),
];

#[test]
fn an_end_that_is_due() {
    check(Scene::overdue, OVERDUE);
}

#[rustfmt::skip] // A row is a line where it can be.
const STOPPED: &[Row] = &[
    ("terminated after a week", |_| {}, "| terminate is due"),
    ("before that", |s| s.lease().ends_at = noon().plus(60), "|"),
    ("told less than a day before", |s| {
        s.view.notices.clear();
        s.told("stopped", "lin", -20 * HOUR);
    }, "ends +4h |"),
    ("only told of its first end", |s| {
        s.view.notices.clear();
        s.told("expired", "lin", -7 * DAY);
    }, "hold no_notice | lin stopped, ada stopped, ada admin-no_notice"),
    ("the stage allows no termination", |s| stage(s, Stage::Stop, -30 * DAY), "hold stage |"),
    ("the stage was raised and it was held: it is announced anew", |s| {
        held(s, "stage");
        stage(s, Stage::Terminate, -60);
    }, "term 3, ends +1d, no hold | lin stopped"),
    ("stopped by somebody else", |s| s.lease().stopped_by = Some(StoppedBy::Other), "|"),
    ("still seen running a moment after the stop", |s| {
        s.lease().stopped_at = Some(noon().plus(-60));
        s.lease().ends_at = noon().plus(7 * DAY);
        s.lease().summary.state = "running".into();
        s.resource().facts.state = ResourceState::Running;
    }, "|"),
    ("still seen running because nobody could look for twenty minutes", |s| {
        s.lease().stopped_at = Some(noon().plus(-1_200));
        s.lease().ends_at = noon().plus(7 * DAY);
        s.lease().summary.state = "running".into();
        s.resource().facts.state = ResourceState::Running;
    }, "|"),
    ("the stop did nothing: it has run on for hours", |s| {
        s.lease().stopped_at = Some(noon().plus(-3 * HOUR));
        s.lease().ends_at = noon().plus(7 * DAY);
        s.lease().summary.state = "running".into();
        s.resource().facts.state = ResourceState::Running;
    }, "active, term 3, until +3d, ends +3d1h, to stop | lin first"),
    ("started again", |s| s.resource().facts.state = ResourceState::Running,
     "active, term 3, until +3d, ends +3d1h, to stop | lin first"),
    ("started again with more time left than a default lease: what was granted stands", |s| {
        s.lease().stopped_by = Some(StoppedBy::Other);
        s.lease().granted_until = noon().plus(5 * DAY);
        s.lease().expires_at = noon().plus(5 * DAY);
        s.resource().facts.state = ResourceState::Running;
    }, "active, term 3, ends +5d1h, to stop | lin first"),
    ("started again and stopped while nobody looked", |s| s.resource().facts.launch_time = Some(noon().plus(-DAY)),
     "term 3, ends +7d, stopped by other |"),
    ("gone", |s| s.resource().facts.state = ResourceState::Terminated, "gone, purge +90d |"),
    ("absent from three scans", |s| missing(s, 3, -700, -60), "gone, purge +90d |"),
    ("its owner left", lin_leaves, "owner ada, by admin, term 3 | resource of ada"),
];

#[test]
fn a_stopped_lease() {
    check(Scene::stopped, STOPPED);
}

/// What somebody else stopped is looked at when something happens to it, and not by the clock.
#[test]
fn what_waits_for_nothing_is_not_looked_at_again() {
    let mut scene = Scene::stopped();
    scene.lease().stopped_by = Some(StoppedBy::Other);
    scene.marks()["quota_due"] = json!(noon().plus(-HOUR));
    assert_eq!(scene.decide().next, None);
}

#[rustfmt::skip] // A row is a line where it can be.
const GONE: &[Row] = &[
    ("absent from scans", |_| {}, "|"),
    ("absent, seen running last", |s| s.resource().facts.state = ResourceState::Running, "|"),
    ("seen again, stopped", |s| s.resource().missing = None, "stopped, term 3, ends +7d, stopped by other |"),
    ("seen again, running", |s| {
        s.resource().missing = None;
        s.resource().facts.state = ResourceState::Running;
    }, "active, term 3, until +3d, ends +3d1h, to stop | lin first"),
    ("a wish comes too late", |s| s.ask("lin", Wish::Renew, &json!({})), "| refused: this lease is over"),
];

#[test]
fn what_is_gone_stays_gone_until_it_is_seen() {
    let gone = || {
        let mut scene = Scene::stopped();
        missing(&mut scene, 5, -2 * HOUR, -60);
        scene.lease().state = State::Gone;
        scene.lease().purge_at = Some(noon().plus(DAY));
        scene
    };
    check(gone, GONE);
}

fn claimed(scene: &mut Scene, at: i64) {
    scene.lease().reap.as_mut().unwrap().claimed_at = noon().plus(at);
}

#[rustfmt::skip] // A row is a line where it can be.
const CLAIMED: &[Row] = &[
    ("the reaper is at it", |_| {}, "|"),
    ("the reaper died", |s| claimed(s, -120), "| stop is due again"),
    ("claimed in the future, by a clock that was set back", |s| claimed(s, DAY), "| stop is due again"),
    ("claimed, and nothing says what", |s| s.lease().reap = None, "| stop is due again"),
    ("paused meanwhile, the reaper is at it", |s| pause(s, &json!({})), "|"),
    ("paused meanwhile, the reaper died", |s| {
        claimed(s, -120);
        pause(s, &json!({}));
    }, "expired, hold pause |"),
    ("managed elsewhere, the reaper died", |s| {
        claimed(s, -120);
        s.resource().facts.managed_by =
            serde_json::from_value(json!({"kind": "eks", "name": "ci"})).unwrap();
    }, "expired, hold managed_elsewhere |"),
    ("edited meanwhile, past the rules, the reaper died", |s| {
        claimed(s, -120);
        s.lease().expires_at = noon().plus(DAY);
    }, "active, term 3, ends +1d1h | lin warning-86400"),
    ("the stage was lowered and raised meanwhile, the reaper died", |s| {
    claimed(s, -2 * HOUR);
    stage(s, Stage::Stop, -HOUR);
}, "expired, ends +23h |"),
("a wish waits for the reaper", |s| s.ask("lin", Wish::Renew, &json!({})), "|"),
    ("gone meanwhile", |s| s.resource().facts.state = ResourceState::Terminated, "gone, purge +90d |"),
    ("terminated by us", |s| {
        s.lease().reap.as_mut().unwrap().action = Action::Terminate;
        s.resource().facts.state = ResourceState::Terminated;
    }, "terminated, purge +90d | lin ended"),
    ("its owner left: that waits too", lin_leaves, "| ada admin-unreachable"),
];

#[test]
fn a_claimed_lease() {
    let reaping = || {
        let mut scene = Scene::overdue();
        scene.lease().state = State::Reaping;
        scene.lease().reap = serde_json::from_value(json!({"action": "stop", "claimed_at": noon().plus(-60)})).unwrap();
        scene
    };
    check(reaping, CLAIMED);
}

/// A claim to terminate what zerocloud stopped is void once somebody started it, whatever they did with it since.
#[test]
fn a_start_during_a_claim_is_not_lost() {
    for (state, then) in [
        (ResourceState::Stopped, "stopped, term 3, ends +7d, stopped by other |"),
        (ResourceState::Running, "active, term 3, until +3d, ends +3d1h, to stop | lin first"),
    ] {
        let mut scene = Scene::stopped();
        scene.lease().state = State::Reaping;
        let reap = json!({"action": "terminate", "claimed_at": noon().plus(-60)});
        scene.lease().reap = serde_json::from_value(reap).unwrap();
        scene.resource().facts.state = state;
        scene.resource().facts.launch_time = Some(noon().plus(-HOUR));
        let decision = scene.decide();
        assert!(!decision.effects.iter().any(|effect| effect.name() == "due"), "the reaper is at it");
        scene.apply(decision);
        claimed(&mut scene, -120);
        assert_eq!(scene.outcome(), then, "{state:?}");
    }
}

#[rustfmt::skip] // A row is a line where it can be.
const NEW: &[Row] = &[
    ("a full default lease from now", |_| {},
     "active, owner pending, by none, term 1, until +3d, ends +3d1h, to stop, no hold |"),
    ("a tag asks for two days", |s| tag(s, "Lease", "2d"),
     "active, owner pending, by none, term 1, until +2d, ends +2d1h, to stop, no hold |"),
    ("a tag asks for more than the policy", |s| tag(s, "lease", "30d"),
     "active, owner pending, by none, term 1, until +7d, ends +7d1h, to stop, no hold |"),
    ("a tag that is no duration", |s| tag(s, "lease", "forever"),
     "active, owner pending, by none, term 1, until +3d, ends +3d1h, to stop, no hold |"),
    ("launched before the AWS account was connected: a tag shortens nothing", |s| {
        tag(s, "lease", "1h");
        s.resource().facts.launch_time = Some(noon().plus(-60 * DAY));
    }, "active, owner pending, by none, term 1, until +3d, ends +3d1h, to stop, no hold |"),
    ("found stopped", |s| s.resource().facts.state = ResourceState::Stopped,
     "stopped, owner pending, by none, term 1, until +3d, ends +3d1h, to stop, stopped by other, no hold |"),
    ("found terminated", |s| s.resource().facts.state = ResourceState::Terminated, "|"),
    ("found shutting down", |s| s.resource().facts.state = ResourceState::ShuttingDown, "|"),
    ("gone before anybody looked", |s| missing(s, 3, -700, 0), "|"),
    ("spot", |s| s.spot("one-time"),
     "active, owner pending, by none, term 1, until +3d, ends +3d1h, to terminate, no hold |"),
    ("a wish about what nobody knows", |s| {
        s.view.resource = None;
        s.ask("lin", Wish::End, &json!({}));
    }, "| refused: there is no such lease"),
];

#[test]
fn a_new_lease() {
    check(Scene::unknown, NEW);
}

#[test]
fn the_audit_tells_each_line_of_a_story_once() {
    let mut s = Scene::active();
    s.ask("lin", Wish::Renew, &json!({}));
    let renewed = s.decide();
    assert!(renewed.reason.contains("renewed until"), "{}", renewed.reason);
    s.apply(renewed);
    s.told("first", "lin", 60);
    s.now = noon().plus(120);
    let noted = s.decide();
    assert!(noted.lease.is_some(), "nothing was saved");
    assert_eq!(noted.reason, "active: the mail service took its notice (first)");
    s.apply(noted);
    s.resource().facts.name = "renamed".to_owned();
    assert_eq!(s.decide().reason, "active: brought up to date");
}
