//! Whole lives: announced, renewed or not, stopped, terminated; and what holds an end.

use crate::app::{DEV, EAST, Setup, TestApp, after, key, owned_by, tagged};
use ec2_double::{Fault, Lifecycle, RootDevice, Rule, Spec, State as Ec2};
use serde_json::json;
use zerocloud::model::{HoldKind, State, StoppedBy};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

fn ec2(app: &TestApp, id: &str) -> Ec2 {
    app.aws.instance(id).map_or(Ec2::Terminated, |instance| instance.state)
}

#[tokio::test]
async fn what_nobody_renews_is_announced_stopped_announced_and_terminated() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    assert_eq!(app.mails("lin@bigdb.example", &id).len(), 1);
    assert_eq!(lease.expires_at.seconds_since(lease.first_seen), 3 * DAY);
    app.clock.set(after(lease.expires_at, -DAY));
    app.mailed("lin@bigdb.example", &id, 2).await;
    app.clock.set(after(lease.expires_at, -HOUR));
    app.mailed("lin@bigdb.example", &id, 3).await;
    app.clock.set(lease.expires_at);
    app.state(&id, State::Expired).await;
    app.mailed("lin@bigdb.example", &id, 4).await;
    app.polled(DEV, EAST, 2).await;
    assert_eq!(ec2(&app, &id), Ec2::Running, "ended in its grace");
    app.clock.set(lease.ends_at);
    let stopped = app.state(&id, State::Stopped).await;
    assert_eq!(stopped.stopped_by, Some(StoppedBy::Zerocloud));
    assert!(matches!(ec2(&app, &id), Ec2::Stopping | Ec2::Stopped));
    let mails = app.mailed("lin@bigdb.example", &id, 5).await;
    let words = ["Yours until", "Ends ", "Ends ", "Lease over", "Stopped"];
    for (mail, word) in mails.iter().zip(words) {
        assert!(mail.subject.starts_with(word), "{}", mail.subject);
    }
    app.clock.set(after(stopped.ends_at, -1));
    app.polled(DEV, EAST, 2).await;
    assert_eq!(ec2(&app, &id), Ec2::Stopped);
    app.advance(2);
    app.state(&id, State::Terminated).await;
    assert!(matches!(ec2(&app, &id), Ec2::ShuttingDown | Ec2::Terminated));
    let acting = app.aws.calls().acting();
    let acts: Vec<_> = acting.iter().map(|call| (call.action.as_str(), call.ids.clone())).collect();
    let one = vec![id.clone()];
    assert_eq!(acts, [("StopInstances", one.clone()), ("TerminateInstances", one)], "one instance a call, each once");
    app.stop().await;
}

#[tokio::test]
async fn a_renewal_before_and_in_grace_counts_and_after_the_end_it_does_not() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let lease = app.settled(&id, "lin").await;
    let asked = app.clock.now().plus(5 * DAY);
    let request = app.ask("lin", &lease, "renew", json!({ "until": asked })).await;
    assert_eq!(app.answer(&request).await.0, "done");
    let lease = app.lease(&id).await.unwrap();
    assert_eq!(lease.expires_at, asked);
    app.clock.set(after(asked, 60));
    let lease = app.state(&id, State::Expired).await;
    let request = app.ask("lin", &lease, "renew", json!({})).await;
    assert_eq!(app.answer(&request).await.0, "done");
    let lease = app.state(&id, State::Active).await;
    assert_eq!(lease.expires_at, app.clock.now().plus(3 * DAY));
    app.clock.set(after(lease.ends_at, 2 * HOUR));
    app.lease_where(&id, "told that it is over, in its new term", |now| {
        now.notified.as_ref().is_some_and(|told| told.term == lease.term)
    })
    .await;
    app.advance(HOUR + 5);
    let lease = app.state(&id, State::Stopped).await;
    let late = app.ask("lin", &lease, "renew", json!({})).await;
    let (outcome, reason) = app.answer(&late).await;
    assert!(outcome == "refused" && reason.contains("revive"), "{outcome}: {reason}");
    let revive = app.ask("lin", &lease, "revive", json!({})).await;
    assert_eq!(app.answer(&revive).await.0, "done");
    app.until("runs again", || async { matches!(ec2(&app, &id), Ec2::Pending | Ec2::Running).then_some(()) }).await;
    app.state(&id, State::Active).await;
    app.stop().await;
}

#[tokio::test]
async fn an_edit_of_the_end_renews_within_its_limit_and_a_doubled_request_adds_nothing() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let lease = app.settled(&id, "lin").await;
    let session = app.session("lin").await;
    let doc_id = lease.key().lease_id();
    let mut seen = app.store.get_as(&session, &doc_id).await.unwrap().unwrap();
    let wanted = lease.expires_at.plus(DAY);
    seen.body["expires_at"] = json!(wanted);
    seen.body["updated_by"] = json!("bigdb.lin");
    app.store.put_as(&session, &doc_id, &seen.body, seen.rev.as_deref()).await.unwrap();
    let lease = app.lease_where(&id, "granted", |lease| lease.granted_until == wanted).await;
    assert_eq!(lease.expires_at, wanted);
    let mut seen = app.store.get_as(&session, &doc_id).await.unwrap().unwrap();
    seen.body["expires_at"] = json!(lease.max_expires_at.plus(1));
    seen.body["updated_by"] = json!("bigdb.lin");
    let beyond = app.store.put_as(&session, &doc_id, &seen.body, seen.rev.as_deref()).await;
    assert!(beyond.is_err(), "an edit beyond the limit was stored");
    // The same wish twice, and far too much: as far as the policy allows, once.
    let until = app.clock.now().plus(90 * DAY);
    let first = app.ask("lin", &lease, "renew", json!({ "until": until })).await;
    let again = app.ask("lin", &lease, "renew", json!({ "until": until })).await;
    app.answer(&first).await;
    app.answer(&again).await;
    let lease = app.lease(&id).await.unwrap();
    assert!(lease.expires_at <= app.clock.now().plus(7 * DAY), "{}", lease.expires_at);
    app.stop().await;
}

#[tokio::test]
async fn over_the_limit_a_lease_is_short_and_gets_its_time_back_when_the_rank_falls() {
    let app = TestApp::start(Setup::default().policy("max_instances", "2")).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
        app.lease_where(&id, "leased", |_| true).await;
        app.advance(1);
        ids.push(id);
    }
    app.advance(130);
    let short = app
        .lease_where(&ids[2], "short", |lease| {
            !lease.owner.is_pending() && lease.expires_at.seconds_since(app.clock.now()) <= HOUR
        })
        .await;
    for id in &ids[..2] {
        let lease = app.owned(id, "lin").await;
        assert!(lease.expires_at.seconds_since(app.clock.now()) > DAY, "{id} is within the limit");
    }
    app.until("owner and admin are told", || async {
        let both = ["lin@bigdb.example", "ada@bigdb.example"];
        both.iter().all(|who| !app.mails(who, &ids[2]).is_empty()).then_some(())
    })
    .await;
    app.aws.set_state(&ids[0], Ec2::Terminated);
    let back = app.lease_where(&ids[2], "long again", |lease| lease.expires_at > short.expires_at).await;
    assert!(back.expires_at.seconds_since(app.clock.now()) > DAY);
    app.stop().await;
}

#[tokio::test]
async fn protection_and_pause_and_stage_hold_an_end_visibly() {
    let app = TestApp::start(Setup::default()).await;
    let protected = app.aws.at(DEV, EAST).launch(&Spec { disable_api_stop: true, ..owned_by("lin") });
    let paused = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let lease = app.settled(&protected, "lin").await;
    app.settled(&paused, "lin").await;
    let pause = json!({ "account": "bigdb", "reason": "quarter end", "by": "operator", "since": app.clock.now() });
    let id = "pause::bigdb".to_owned();
    app.store.put("pause", &zerocloud::model::Doc { id: id.clone(), rev: None, body: pause }).await.unwrap();
    app.clock.set(after(lease.ends_at, 2 * HOUR));
    for instance in [&protected, &paused] {
        app.lease_where(instance, "held by the pause", |lease| {
            lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Pause)
        })
        .await;
    }
    let fresh = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let settled = app.settled(&fresh, "lin").await;
    let lin = app.sign_in("lin").await;
    for path in ["/leases".to_owned(), format!("/leases/{}", settled.key())] {
        let page = lin.get(&path).await;
        let words = page.words();
        assert!(words.contains("uarter end") && words.contains("No end starts while zerocloud is paused"), "{words}");
        assert!(!page.text.contains("/end\""), "{words}");
    }
    let resumed = app.clock.now();
    app.edit(&id, |doc| doc["resumed_at"] = json!(resumed)).await;
    app.lease_where(&paused, "not held any more", |lease| lease.hold.is_none()).await;
    app.polled(DEV, EAST, 2).await;
    assert_eq!(ec2(&app, &paused), Ec2::Running, "ended without min_notice after the pause");
    app.advance(HOUR + 10);
    app.state(&paused, State::Stopped).await;
    app.lease_where(&protected, "held by protection", |lease| {
        lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Protection)
    })
    .await;
    assert_eq!(ec2(&app, &protected), Ec2::Running);
    let (lin, path) = (app.sign_in("lin").await, format!("/leases/{}", lease.key()));
    let page = lin.get(&path).await;
    assert!(page.words().contains("can switch its protection off there"), "{}", page.words());
    assert!(page.words().contains("If that was lifted since, it is stopped within a minute"), "{}", page.words());
    let asked = lin.act(&format!("{path}/end"), &[]).await.words();
    assert!(asked.contains("looked at again now, and stopped if that was lifted"), "{asked}");
    app.lease_where(&protected, "held by protection again", |lease| {
        lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Protection)
    })
    .await;
    let mine = lin.get("/leases").await.words();
    assert!(mine.find("Held, until somebody changes that") > mine.find("My leases"), "{mine}");
    app.until("an admin is told", || async { (!app.mails("ada@bigdb.example", &protected).is_empty()).then_some(()) })
        .await;
    app.aws.protect_stop(&protected, false);
    lin.act(&format!("{path}/end"), &[]).await;
    app.state(&protected, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn a_raised_stage_gives_everybody_notice_first() {
    let app = TestApp::start(Setup::default().stage("observe").policy("stage_notice", "24h")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let lease = app.lease_where(&id, "leased", |_| true).await;
    app.advance(130);
    app.owned(&id, "lin").await;
    app.clock.set(after(lease.ends_at, 10 * DAY));
    app.lease_where(&id, "held by the stage", |lease| {
        lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Stage)
    })
    .await;
    assert!(app.aws.mails().is_empty(), "mail while observing");
    let raised = app.clock.now();
    app.edit(&format!("aws_account::bigdb::{DEV}"), |doc| doc["stage"] = json!("stop")).await;
    let lease = app.lease_where(&id, "a full lease", |lease| lease.expires_at > raised.plus(2 * DAY)).await;
    assert_eq!(lease.state, State::Active);
    app.lease_where(&id, "told", |lease| lease.notified.is_some()).await;
    app.clock.set(after(lease.ends_at, 5));
    app.state(&id, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn stopped_by_its_owner_no_end_runs_and_started_again_it_gets_a_new_lease() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.settled(&id, "lin").await;
    app.aws.set_state(&id, Ec2::Stopped);
    let lease = app.state(&id, State::Stopped).await;
    assert_eq!(lease.stopped_by, Some(StoppedBy::Other));
    app.advance(60 * DAY);
    app.polled(DEV, EAST, 2).await;
    assert_eq!(ec2(&app, &id), Ec2::Stopped, "an instance that its owner stopped was ended");
    app.aws.set_state(&id, Ec2::Running);
    let lease = app.state(&id, State::Active).await;
    assert_eq!(lease.expires_at, app.clock.now().plus(3 * DAY));
    app.lease_where(&id, "told again", |lease| lease.notified.as_ref().is_some_and(|told| told.term == lease.term))
        .await;
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_stopped_is_terminated_and_the_notice_says_so() {
    let app = TestApp::start(Setup::default()).await;
    let place = app.aws.at(DEV, EAST);
    let spot = place.launch(&Spec { lifecycle: Lifecycle::SpotOneTime, ..owned_by("lin") });
    let store = place.launch(&Spec { root_device: RootDevice::InstanceStore, ..owned_by("lin") });
    let persistent = place.launch(&Spec { lifecycle: Lifecycle::SpotPersistent, ..owned_by("lin") });
    for id in [&spot, &store, &persistent] {
        app.lease_where(id, "leased", |_| true).await;
    }
    app.advance(130);
    for id in [&spot, &store, &persistent] {
        app.lease_where(id, "told", |lease| lease.notified.is_some()).await;
    }
    let mails = app.mails("lin@bigdb.example", &spot);
    assert!(mails.iter().any(|mail| mail.text.contains("cannot be stopped") || mail.text.contains("is terminated")));
    let ends = app.lease(&spot).await.unwrap().ends_at;
    app.clock.set(after(ends, 10));
    app.state(&spot, State::Terminated).await;
    app.state(&store, State::Terminated).await;
    app.state(&persistent, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn no_more_ends_in_an_hour_than_the_policy_allows() {
    let setup = Setup::default().policy("max_reaps_per_hour", "3").policy("default_lease", "2h");
    let app = TestApp::with(setup, |aws| {
        aws.at(DEV, EAST).seed(8, &owned_by("lin"));
    })
    .await;
    app.until("8 leases", || async { (app.leases().await.len() == 8).then_some(()) }).await;
    app.advance(130);
    app.until("told", || async { app.leases().await.iter().all(|lease| lease.notified.is_some()).then_some(()) }).await;
    app.advance(4 * HOUR);
    let count = async |state: State| app.leases().await.iter().filter(|lease| lease.state == state).count();
    app.until("three are stopped", || async { (count(State::Stopped).await == 3).then_some(()) }).await;
    app.until("the others are held by the pace", || async {
        let held =
            |lease: &&zerocloud::model::Lease| lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Pace);
        (app.leases().await.iter().filter(held).count() == 5).then_some(())
    })
    .await;
    app.polled(DEV, EAST, 3).await;
    assert_eq!(app.aws.calls().action("StopInstances").len(), 3);
    app.advance(HOUR + 1);
    app.until("six are stopped", || async { (count(State::Stopped).await == 6).then_some(()) }).await;
    assert_eq!(app.aws.calls().action("StopInstances").len(), 6);
    app.stop().await;
}

#[tokio::test]
async fn a_renewal_that_lands_first_wins_over_the_reaper() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let lease = app.settled(&id, "lin").await;
    // While the reaper reads protection, which takes a while, the owner renews.
    app.aws.inject(Rule::new(Fault::Delay(1_500)).action("DescribeInstanceAttribute"));
    app.clock.set(lease.ends_at);
    app.until("the reaper reads", || async {
        (!app.aws.calls().action("DescribeInstanceAttribute").is_empty()).then_some(())
    })
    .await;
    let request = app.ask("lin", &lease, "renew", json!({})).await;
    let (outcome, _) = app.answer(&request).await;
    app.aws.heal_all();
    if outcome == "done" {
        app.state(&id, State::Active).await;
        app.polled(DEV, EAST, 2).await;
        assert_eq!(ec2(&app, &id), Ec2::Running, "a renewed lease was ended");
        assert!(app.aws.calls().acting().is_empty());
    }
    assert_eq!(outcome, "done", "the renewal came before the claim");
    app.stop().await;
}

#[tokio::test]
async fn end_now_ends_at_once_and_only_for_its_owner() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let lease = app.settled(&id, "lin").await;
    let other = app.ask("max", &lease, "end", json!({})).await;
    assert_eq!(app.answer(&other).await.0, "refused");
    let own = app.ask("lin", &lease, "end", json!({})).await;
    assert_eq!(app.answer(&own).await.0, "done");
    app.state(&id, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn not_mine_passes_on_and_sticks_and_handing_over_needs_acceptance() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&tagged(&[("owner", "lin")]));
    let lease = app.settled(&id, "lin").await;
    let request = app.ask("lin", &lease, "not_mine", json!({})).await;
    assert_eq!(app.answer(&request).await.0, "done");
    let lease = app.owned(&id, "ada").await;
    app.polled(DEV, EAST, 2).await;
    assert_eq!(app.lease(&id).await.unwrap().owner.as_str(), "ada", "the same evidence gave it back");
    let offer = app.ask("ada", &lease, "hand_over", json!({ "to": "max" })).await;
    assert_eq!(app.answer(&offer).await.0, "done");
    assert_eq!(app.lease(&id).await.unwrap().owner.as_str(), "ada");
    app.until("max is asked", || async { (!app.mails("max@bigdb.example", &id).is_empty()).then_some(()) }).await;
    let lease = app.lease(&id).await.unwrap();
    let accept = app.ask("max", &lease, "accept", json!({})).await;
    assert_eq!(app.answer(&accept).await.0, "done");
    app.owned(&id, "max").await;
    app.stop().await;
}

#[tokio::test]
async fn a_policy_changed_while_leases_run_moves_no_running_end() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let before = app.settled(&id, "lin").await;
    app.edit("policy::bigdb", |doc| doc["policy"]["default_lease"] = json!(600)).await;
    let new = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let lease = app.lease_where(&new, "leased", |_| true).await;
    assert_eq!(lease.expires_at.seconds_since(lease.first_seen), 600);
    let kept = app.lease(&id).await.unwrap();
    assert_eq!((kept.expires_at, kept.ends_at), (before.expires_at, before.ends_at));
    app.stop().await;
}

#[tokio::test]
async fn started_again_it_goes_on_where_it_was() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let lease = app.settled(&id, "lin").await;
    let app = app.restart(|setup| setup).await;
    app.clock.set(after(lease.ends_at, 5));
    app.state(&id, State::Stopped).await;
    assert_eq!(app.lease(&id).await.unwrap().key(), key(DEV, EAST, &id));
    app.stop().await;
}
