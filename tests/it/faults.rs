//! Faults around zerocloud that must stay where they are: a gateway that answers half or not at all, an AWS account that
//! does not answer.

use crate::app::{DEV, EAST, Setup, TEST, TestApp, after, double, key, owned_by};
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use ec2_double::{Fault, Rule, Service};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use zerocloud::clock::Clock;
use zerocloud::follower::{self, Index};
use zerocloud::leader;
use zerocloud::model::State;
use zerocloud::store::{Store, StoreConfig, StoreError};

/// A gateway of the test's own, and a client that has `timeout` for a call.
async fn pretend(routes: Router, timeout: Duration) -> Store {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let (public_url, admin_url, database) = (url.clone(), url, "zerocloud".to_owned());
    Store::new(&StoreConfig { public_url, admin_url, database, admin: None, timeout }).unwrap()
}

#[tokio::test]
async fn a_change_that_comes_without_its_document_is_no_deletion() {
    let pause = |reason: &str| json!({ "_id": "pause::all", "_rev": "2-b", "type": "pause", "reason": reason, "since": "2026-11-24T08:00:00Z" });
    let lines = format!(
        "{}\n{}\n\n",
        json!({ "seq": 1, "id": "pause::all", "doc": pause("old") }),
        json!({ "seq": 2, "id": "pause::all" })
    );
    let feed = post(move || async move {
        let lines = futures_util::stream::once(async move { Ok::<_, std::io::Error>(Bytes::from(lines)) });
        Body::from_stream(lines.chain(futures_util::stream::pending()))
    });
    let document = get(move |Path(_): Path<String>| async move { Json(pause("new")) });
    let routes = Router::new().route("/zerocloud/_changes", feed).route("/zerocloud/{id}", document);
    let store = pretend(routes, Duration::from_secs(10)).await;
    let (index, stop) = (Index::default(), CancellationToken::new());
    let (wakes, _heard) = mpsc::channel(16);
    let following = follower::run(store, index.clone(), wakes, stop.clone());
    let (ran, ()) = tokio::join!(following, async {
        index.caught_up().await;
        stop.cancel();
    });
    ran.unwrap();
    let directory = index.directory();
    let reasons: Vec<&str> = directory.pauses.values().map(|pause| pause.reason.as_str()).collect();
    assert_eq!(reasons, ["new"], "a pause was lifted that nobody lifted");
}

#[tokio::test]
async fn a_leader_whose_gateway_does_not_answer_gives_up_in_time() {
    let writes = Arc::new(AtomicU32::new(0));
    let seat = get(|| async { (StatusCode::NOT_FOUND, Json(json!({ "error": "not_found", "reason": "missing" }))) })
        .put(move || {
            let writes = Arc::clone(&writes);
            async move {
                if writes.fetch_add(1, Ordering::SeqCst) > 0 {
                    std::future::pending::<()>().await;
                }
                Json(json!({ "id": "leader", "ok": true, "rev": "1-a" }))
            }
        });
    let store = pretend(Router::new().route("/zerocloud/leader", seat), Duration::from_mins(10)).await;
    let leads = leader::lead(&store, "one", &Clock::system(), Duration::from_secs(1)).await;
    let kept = tokio::time::timeout(Duration::from_secs(30), leads.clone().keep(CancellationToken::new())).await;
    kept.expect("it never noticed").unwrap();
    assert!(leads.lost.is_cancelled() && !leads.is_leader());
}

#[tokio::test]
async fn a_missing_database_is_an_error_and_not_a_missing_document() {
    let folder = tempfile::tempdir().unwrap();
    let running = crate::gateway::Running::start(folder.path()).await;
    let found = running.client().get::<Value>("pause::all").await;
    assert!(
        !matches!(found, Ok(_) | Err(StoreError::NotFound { .. })),
        "no database was taken for no pause: {found:?}"
    );
    running.store().await;
    assert!(running.client().get::<Value>("pause::all").await.unwrap().is_none());
    running.stop().await;
}

#[tokio::test]
async fn an_aws_account_that_does_not_answer_keeps_nobody_waiting() {
    let double = double().await;
    let hang = double.handle().inject(Rule::new(Fault::Hang).service(Service::Sts).account(TEST));
    let app = TestApp::on(Setup::default(), double).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.state(&id, State::Active).await;
    assert!(app.aws.struck(hang) <= 1, "the others waited until it had failed");
    app.stop().await;
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_asked_ever_more_rarely() {
    let double = double().await;
    let refusal = Fault::Refuse { status: 403, code: "AccessDenied".to_owned(), message: "not authorized".to_owned() };
    let denied = double.handle().inject(Rule::new(refusal).service(Service::Sts).account(TEST));
    let app = TestApp::on(Setup::default(), double).await;
    app.polled(DEV, EAST, 10).await;
    assert!((1..=3).contains(&app.aws.struck(denied)), "asked {} times in ten sweeps", app.aws.struck(denied));
    app.stop().await;
}

#[tokio::test]
async fn a_region_that_cannot_be_read_is_not_asked_again_for_each_of_its_leases() {
    let app = TestApp::with(Setup::default(), |aws| {
        aws.at(DEV, EAST).seed(30, &owned_by("lin"));
    })
    .await;
    let other = app.aws.at(TEST, EAST).launch(&owned_by("max"));
    app.until("31 leases", || async { (app.leases().await.len() == 31).then_some(()) }).await;
    let refusal = Fault::Refuse { status: 403, code: "UnauthorizedOperation".to_owned(), message: "no".to_owned() };
    let denied = app.aws.inject(Rule::new(refusal).account(DEV).action("DescribeInstances").by_id());
    app.advance(130);
    app.owned(&other, "max").await;
    for _ in 0..5 {
        app.advance(6);
        app.polled(TEST, EAST, 1).await;
    }
    let asked = app.aws.struck(denied);
    assert!((1..=40).contains(&asked), "asked {asked} times about 30 leases within half a minute");
    let unjudged = app.leases().await.into_iter().filter(|lease| lease.owner.is_pending()).count();
    assert_eq!(unjudged, 30, "judged without a fresh read");
    app.aws.heal_all();
    app.until("all are Lin's", || async {
        app.advance(60);
        app.leases().await.iter().all(|lease| !lease.owner.is_pending()).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn spot_requests_that_may_not_be_read_cost_one_call_a_poll() {
    let spot = ec2_double::Spec { lifecycle: ec2_double::Lifecycle::SpotOneTime, ..owned_by("lin") };
    let double = double().await;
    double.handle().at(DEV, EAST).seed(20, &spot);
    let refusal = Fault::Refuse { status: 403, code: "UnauthorizedOperation".to_owned(), message: "no".to_owned() };
    let denied = double.handle().inject(Rule::new(refusal).account(DEV).action("DescribeSpotInstanceRequests"));
    let app = TestApp::on(Setup::default(), double).await;
    app.until("20 leases", || async { (app.leases().await.len() == 20).then_some(()) }).await;
    let scans = app.aws.calls().account(DEV).region(EAST).action("DescribeInstances").len();
    let asked = app.aws.struck(denied);
    assert!(asked as usize <= scans, "{asked} calls for {scans} scans");
    app.stop().await;
}

#[tokio::test]
async fn a_wish_about_a_lease_that_does_not_exist_is_answered() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let mut lease = app.state(&id, State::Active).await;
    lease.key = key(DEV, EAST, "i-0123456789abcdef0").into();
    let request = app.ask("lin", &lease, "renew", json!({})).await;
    let (outcome, reason) = app.answer(&request).await;
    assert!(outcome == "refused" && reason.contains("no such lease"), "{outcome}: {reason}");
    app.stop().await;
}

#[tokio::test]
async fn a_start_that_failed_is_tried_again_though_no_scan_has_seen_the_stop() {
    let once = Setup { poll: "0 0 0 1 1 *", ..Setup::default() };
    let app = TestApp::with(once, |aws| drop(aws.at(DEV, EAST).seed(1, &owned_by("lin")))).await;
    let lease = app.until("leased", || async { app.leases().await.pop() }).await;
    let id = lease.key.resource_id.to_string();
    let lease = app.settled(&id, "lin").await;
    app.clock.set(after(lease.ends_at, 5));
    app.state(&id, State::Stopped).await;
    app.aws.settle();
    // Something changes, so the lease is looked at.
    app.edit("account::bigdb", |doc| doc["name"] = json!("Big")).await;
    let lease = app.lease_where(&id, "known to be stopped", |lease| lease.summary.state == "stopped").await;
    let seen = app.store.get::<Value>(&lease.key().resource_doc_id()).await.unwrap().unwrap();
    assert_eq!(seen.body["facts"]["state"], "running", "the test is about a stop that no scan has seen");
    let full = Fault::Refuse {
        status: 400,
        code: "InstanceLimitExceeded".to_owned(),
        message: "not so many at a time".to_owned(),
    };
    let failed = app.aws.inject(Rule::new(full).action("StartInstances"));
    let revive = app.ask("lin", &lease, "revive", json!({})).await;
    assert_eq!(app.answer(&revive).await.0, "done");
    app.until("a start that failed", || async { (app.aws.struck(failed) > 0).then_some(()) }).await;
    app.aws.heal(failed);
    app.until("started after all", || async {
        app.advance(5);
        let started = !app.aws.calls().action("StartInstances").successful().is_empty();
        started.then_some(())
    })
    .await;
    app.stop().await;
}
