//! Leases as they may stand, and what their readers are told.

use super::{Ground, asked, way_out};
use crate::model::{Action, Lease, Policy, Stage, Time};
use crate::words::Zone;
use serde_json::{Value, json};

fn noon() -> Time {
    Time::parse("2026-11-24T12:00:00Z").unwrap()
}

fn lease(changes: &Value) -> Lease {
    let mut lease = json!({
        "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-0abc", "kind": "instance",
        "state": "expired", "owner": "lin", "first_seen": noon().plus(-86_400), "settle_at": noon().plus(-86_400), "term": 2,
        "owner_evidence": { "source": "tag", "value": "lin@bigdb.example", "at": noon() }, "end_action": "stop",
        "expires_at": noon().plus(-7_200), "granted_until": noon().plus(-7_200), "max_expires_at": noon(),
        "ends_at": noon().plus(-3_600),
    });
    for (field, value) in changes.as_object().unwrap() {
        lease[field] = value.clone();
    }
    serde_json::from_value(lease).unwrap()
}

fn hold(kind: &str) -> Value {
    json!({ "kind": kind, "reason": "termination protection", "since": noon().plus(-3_600), "review_at": noon().plus(3_600) })
}

fn stopped() -> Value {
    json!({ "state": "stopped", "stopped_at": noon().plus(-86_400), "stopped_by": "zerocloud", "end_action": "terminate" })
}

fn with(mut changes: Value, field: &str, value: Value) -> Value {
    changes[field] = value;
    changes
}

/// All that is said of it, in one line.
fn told(lease: &Lease, exempt: Option<Time>) -> String {
    told_as(lease, exempt, false)
}

fn told_as(lease: &Lease, exempt: Option<Time>, covered: bool) -> String {
    told_in(lease, exempt, covered, false)
}

fn told_in(lease: &Lease, exempt: Option<Time>, covered: bool, paused: bool) -> String {
    let asked = asked(lease);
    let by = asked.as_ref().map(|asked| asked.by.to_string());
    let policy = Policy::default();
    let ground = Ground {
        lease,
        action: lease.end_action,
        stage: Stage::Terminate,
        policy: &policy,
        exempt,
        covered,
        asked_by: by.as_deref(),
        paused,
        zone: &Zone::named(None),
        now: noon(),
    };
    let (leads, at) = ground.clock();
    let (word, tone) = ground.look();
    let (next, then) = ground.next();
    format!("{word}, {tone}: {leads} {at:?} {next} {}", then.unwrap_or_default())
}

#[test]
fn a_member_with_a_lease_of_its_own_ends_with_its_group_and_not_by_itself() {
    let kept = lease(&json!({ "state": "active", "expires_at": noon().plus(3_600), "ends_at": noon().plus(7_200) }));
    let words = told_as(&kept, None, true);
    assert!(words.contains("keeps the group from its end until Tue 24 Nov 2026, 14:00:00 UTC"), "{words}");
    assert!(words.starts_with("Running, good:  None") && words.contains("It ends with its group"), "{words}");
    let over = told_as(&lease(&json!({})), None, true);
    assert!(!over.contains("keeps the group") && !over.contains("If nobody renews"), "{over}");
}

#[test]
fn nothing_says_that_it_ends_while_a_hold_stands_and_a_passed_deadline_says_so() {
    for kind in ["protection", "pause", "no_notice", "pace", "exemption", "region"] {
        for (base, verb) in [(json!({}), "stopped"), (stopped(), "terminated")] {
            let told = told(&lease(&with(base, "hold", hold(kind))), None);
            for word in ["If nobody", "soon", "Ends in", "Terminated in", "Some("] {
                assert!(!told.contains(word), "{word} in {told}");
            }
            let passed = format!("It was to be {verb} at Tue 24 Nov 2026, 11:00:00 UTC. That passed:");
            assert!(told.contains(&passed) && told.contains("nothing ends it"), "{told}");
            assert_eq!(
                told.contains(way_out(&lease(&json!({})))),
                kind == "protection",
                "who can lift it is said: {told}"
            );
        }
    }
    let later = json!({ "state": "active", "expires_at": noon().plus(60), "ends_at": noon().plus(120), "hold": hold("managed_elsewhere") });
    let told = told(&lease(&later), None);
    assert!(told.starts_with("Running, good:  None No end runs: nothing ends it as long as"), "{told}");
}

#[test]
fn nothing_promises_an_end_while_ends_are_paused() {
    let active = json!({ "state": "active", "expires_at": noon().plus(60), "ends_at": noon().plus(120) });
    let paused = |changes: &Value| told_in(&lease(changes), None, false, true);
    let one = paused(&active);
    assert!(one.starts_with("Running, good: Its lease is over in Some("), "{one}");
    assert!(one.contains("if nobody renews it, it is stopped: not before Tue 24 Nov 2026, 12:02:00 UTC"), "{one}");
    for (changes, word) in [(json!({}), "Over, warn"), (stopped(), "Stopped, calm")] {
        let one = paused(&changes);
        assert!(one.starts_with(&format!("{word}:  None No end starts while")), "{one}");
        assert!(one.contains("after its owner had notice again") && !one.contains("soon"), "{one}");
    }
}

#[test]
fn an_end_that_was_asked_for_is_under_way_and_no_renewal_is_missed() {
    let wish = |action: &str| json!({ "wish": { "by": "lin", "action": action, "at": noon() } });
    let one = told(&lease(&json!({ "ends_at": noon(), "marks": wish("stop") })), None);
    assert!(one.starts_with("Ending now, bad:  None lin asked that it be stopped now."), "{one}");
    assert!(!one.contains("If nobody"), "{one}");
    let one = told(&lease(&with(stopped(), "marks", wish("terminate"))), None);
    assert!(one.contains("lin asked that it be terminated now.") && !one.contains("If nobody"), "{one}");
    let held = json!({ "ends_at": noon(), "marks": wish("stop"), "hold": hold("protection") });
    let one = told(&lease(&held), None);
    assert!(one.starts_with("Held, warn:") && one.contains("waits as long as the hold stands"), "{one}");
    assert!(asked(&lease(&json!({ "state": "terminated", "marks": wish("terminate") }))).is_none());
    assert_eq!(asked(&lease(&json!({ "marks": wish("stop") }))).unwrap().action, Action::Stop);
}

#[test]
fn an_exemption_that_reaches_further_than_the_lease_is_what_counts() {
    let active = json!({ "state": "active", "expires_at": noon().plus(3_600), "ends_at": noon().plus(7_200) });
    let one = told(&lease(&active), Some(noon().plus(86_400)));
    assert!(one.starts_with("Running, good:  None "), "{one}");
    assert!(one.contains("it is not stopped while it is exempt, until Wed 25 Nov 2026, 12:00:00 UTC"), "{one}");
    let one = told(&lease(&json!({})), Some(noon().plus(86_400)));
    assert!(one.starts_with("Exempt, good:  None ") && !one.contains("If nobody"), "{one}");
    let one = told(&lease(&stopped()), Some(noon().plus(86_400)));
    assert!(one.starts_with("Stopped, calm:  None It is not terminated while it is exempt, until Wed 25"), "{one}");
    let one = told(&lease(&active), Some(noon().plus(60)));
    assert!(one.contains("If nobody renews it, it is stopped at Tue 24 Nov 2026, 14:00:00 UTC, not before."), "{one}");
}
