//! What the reaper reads afresh and goes by, whatever the index says; and what it does when it cannot read it.

use super::{Bench, DEV, EAST, claimed, put, soon, stopped};
use ec2_double::{Fault, Rule, State as Ec2};
use serde_json::{Value, json};
use zerocloud::model::{Action, Doc, HoldKind, State, Time};

/// Refuses a call for want of permission.
fn refuse(bench: &Bench, action: &str) {
    let message = "You are not authorized to perform this operation.".to_owned();
    let denied = Fault::Refuse { status: 403, code: "UnauthorizedOperation".to_owned(), message };
    bench.double.handle().inject(Rule::new(denied).action(action));
}

#[tokio::test]
async fn what_its_owner_stopped_a_moment_ago_is_not_terminated_either_unless_somebody_asks() {
    for (asked, acts) in [(false, 0), (true, 1)] {
        let bench = Bench::start(|lease, _| {
            lease["end_action"] = json!("terminate");
            if asked {
                lease["marks"] = json!({ "wish": { "by": "lin", "action": "terminate", "at": lease["ends_at"] } });
            }
        })
        .await;
        bench.double.handle().set_state(&bench.id, Ec2::Stopped);
        bench.end(Action::Terminate, false).await;
        assert_eq!(bench.acts(), acts, "asked: {asked}");
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_tag_that_exempts_it_since_it_was_seen_keeps_it() {
    for (rule, expected) in [(true, State::Expired), (false, State::Stopped)] {
        let bench = Bench::start(|_, _| ()).await;
        let rule = rule.then(|| {
            json!({
                "id": "r1", "by": "tag", "key": "keep", "value": "*", "reason": "the fair", "until": bench.now.plus(86_400),
                "made_by": "bigdb.ada", "made_at": bench.now,
            })
        });
        let mut account = bench.store.get::<Value>("account::bigdb").await.unwrap().unwrap();
        account.body["settings"] = json!({ "exemptions": rule.as_slice() });
        bench.store.put("account", &account).await.unwrap();
        bench.double.handle().tag(&bench.id, "keep", "yes");
        bench.end(Action::Stop, false).await;
        assert_eq!(bench.lease().await.state, expected);
        bench.stop().await;
    }
}

#[tokio::test]
async fn what_was_started_since_its_stop_is_not_terminated_though_the_index_knows_of_that_start() {
    let bench = Bench::start(|lease, resource| {
        stopped(lease, resource);
        lease["marks"] = json!({ "launched": "2026-01-01T00:00:00Z" });
        resource["facts"]["launch_time"] = json!("2099-01-01T00:00:00Z");
    })
    .await;
    bench.double.handle().set_state(&bench.id, Ec2::Stopped);
    bench.end(Action::Terminate, false).await;
    assert_eq!((bench.lease().await.state, bench.acts()), (State::Stopped, 0));
    bench.stop().await;
}

#[tokio::test]
async fn what_is_protected_from_being_stopped_is_not_terminated_either() {
    for (protected, state, hold) in
        [(true, State::Stopped, Some(HoldKind::Protection)), (false, State::Terminated, None)]
    {
        let bench = Bench::start(|lease, resource| {
            stopped(lease, resource);
            lease["marks"] = json!({ "launched": "2099-01-01T00:00:00Z" });
        })
        .await;
        let aws = bench.double.handle();
        aws.set_state(&bench.id, Ec2::Stopped);
        aws.protect_stop(&bench.id, protected);
        bench.end(Action::Terminate, false).await;
        let lease = bench.lease().await;
        assert_eq!((lease.state, lease.hold.map(|hold| hold.kind)), (state, hold));
        assert_eq!(bench.acts(), usize::from(!protected));
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_permission_that_is_missing_before_the_claim_is_told_on_the_lease_and_takes_no_place_for_ever() {
    let bench = Bench::start(|_, _| ()).await;
    refuse(&bench, "DescribeInstanceAttribute");
    bench.end(Action::Stop, false).await;
    let lease = bench.lease().await;
    let error = lease.reap.and_then(|reap| reap.error).unwrap_or_default();
    assert!(lease.state == State::Expired && error.contains("DescribeInstanceAttribute"), "{error}");
    assert!(lease.ends_at > bench.now && bench.acts() == 0, "it is tried again at once");
    bench.stop().await;
}

#[tokio::test]
async fn a_document_that_cannot_be_read_when_an_end_is_due_is_told_on_the_lease_once_it_goes_on() {
    for (overdue, told) in [(60, false), (1_200, true)] {
        let bench = Bench::start(|lease, _| {
            let due = Time::parse(lease["ends_at"].as_str().unwrap()).unwrap();
            lease["ends_at"] = json!(due.plus(60 - overdue));
        })
        .await;
        let broken = json!({ "account": "bigdb", "aws_id": DEV, "region": EAST, "state": 7 });
        put(&bench.store, "region", &format!("region::{DEV}::{EAST}"), broken).await;
        bench.end(Action::Stop, false).await;
        let lease = bench.lease().await;
        let error = lease.reap.and_then(|reap| reap.error);
        assert_eq!((lease.state, bench.acts()), (State::Expired, 0));
        assert_eq!(error.is_some_and(|error| error.contains("region")), told, "{overdue} s overdue");
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_claim_that_a_clock_made_which_ran_ahead_is_given_up_too() {
    let bench = Bench::start(|lease, _| {
        let at = Time::parse(lease["ends_at"].as_str().unwrap()).unwrap();
        claimed(lease, at.plus(7_200));
    })
    .await;
    bench.double.handle().inject(Rule::new(Fault::Throttle).action("StopInstances"));
    bench.end(Action::Stop, true).await;
    let lease = bench.lease().await;
    assert!(lease.state == State::Expired && lease.reap.unwrap().error.is_some(), "it stays claimed");
    assert_eq!(bench.double.handle().calls().action("StopInstances").len(), 1, "it was sent again without a look");
    bench.stop().await;
}

#[tokio::test]
async fn an_end_that_the_pace_holds_is_written_once() {
    let bench = Bench::start(|_, _| ()).await;
    let mut policy = bench.store.get::<Value>("policy::bigdb").await.unwrap().unwrap();
    policy.body["policy"] = json!({ "max_reaps_per_hour": 0 });
    bench.store.put("account_policy", &policy).await.unwrap();
    let account = zerocloud::model::AccountId::parse("bigdb").unwrap();
    let aws_id = zerocloud::model::AwsId::parse(DEV).unwrap();
    let limit = || bench.reaper.index.directory().policy(&account, &aws_id, None).max_reaps_per_hour;
    soon("the feed brings the policy", || limit() == 0).await;
    bench.end(Action::Stop, false).await;
    let held = bench.store.get::<Value>(&format!("lease::{DEV}::{EAST}::{}", bench.id)).await.unwrap().unwrap();
    assert_eq!(held.body["hold"]["kind"], "pace", "{}", held.body);
    for _ in 0..3 {
        bench.end(Action::Stop, false).await;
    }
    let now: Doc<Value> = bench.store.get(&held.id).await.unwrap().unwrap();
    assert_eq!(now.rev, held.rev, "it is written again at each look, for ever");
    assert_eq!(bench.store.prefix("event::").await.unwrap().len(), 1, "and so is the audit");
    bench.stop().await;
}
