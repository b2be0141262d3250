//! Who is let in: keys are made, rotated and revoked by admins, speak for the AWS accounts that they name, and stand nowhere but
//! in AWS.

use super::{Destination, event, http, sample, start, without_polls};
use crate::api::Program;
use crate::app::{DEV, EAST, TEST, TestApp, owned_by};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zerocloud::config::Config;
use zerocloud::follower::{self, Index};
use zerocloud::web;

/// A call of a person in a browser.
pub async fn call(app: &TestApp, user: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
    call_in(app, "bigdb", user, method, path, body).await
}

async fn call_in(app: &TestApp, account: &str, user: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let browser = app.sign_in_to(account, user).await;
    let csrf = browser.get("/leases").await.field("csrf");
    let cookie = format!("__Host-zerocloud={}", browser.cookie("__Host-zerocloud").unwrap());
    let request = http().request(method, format!("{}{path}", app.web)).header("cookie", cookie);
    let answer = request.header("x-csrf-token", csrf).json(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn only_a_key_that_speaks_for_the_events_account_is_let_in() {
    let app = start(without_polls().with_another()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let launch = event("run-instances", DEV, EAST, &[&id]);
    let mut wrong = to.key.clone();
    wrong.pop();
    wrong.push(if to.key.ends_with('A') { 'B' } else { 'A' });
    for key in ["", "guess", &wrong, "zce_0123456789abcdef_0123456789012345678901234567890123456789012", &to.key[4..]] {
        assert_eq!(Destination::with(&app, key).post(&launch).await, StatusCode::UNAUTHORIZED, "{key}");
    }
    let answer = http().post(&to.url).body(launch.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "no key at all");
    for other in [TEST, "999988887777"] {
        assert_eq!(to.post(&event("run-instances", other, EAST, &[&id])).await, StatusCode::FORBIDDEN, "{other}");
    }
    let mut inner = launch.clone();
    inner["account"] = TEST.into();
    assert_eq!(to.post(&inner).await, StatusCode::FORBIDDEN, "the envelope decides, not what is in it");
    app.stop().await;
}

#[tokio::test]
async fn what_is_malformed_or_too_large_is_refused_for_good() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let mut missing = sample("run-instances");
    missing.as_object_mut().unwrap().remove("detail");
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    for body in ["", "{", "null", "[]", "\u{0}", "{\"detail-type\": 7}", &missing.to_string(), &deep] {
        let start: String = body.chars().take(40).collect();
        assert_eq!(to.text(body).await, StatusCode::BAD_REQUEST, "{start}");
    }
    let mut large = event("run-instances", DEV, EAST, &["i-0123456789abcdef0"]);
    large["detail"]["note"] = "x".repeat(900_000).into();
    assert_eq!(to.post(&large).await, StatusCode::ACCEPTED, "EventBridge's largest");
    large["detail"]["note"] = "x".repeat(1_200_000).into();
    assert_eq!(to.post(&large).await, StatusCode::PAYLOAD_TOO_LARGE);
    let get = http().get(&to.url).header("x-zerocloud-key", &to.key).send().await.unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    app.stop().await;
}

/// Pages over that app's documents that know nothing of them yet, and where they are.
async fn started(app: &TestApp, index: &Index, stop: &CancellationToken, tasks: &mut JoinSet<()>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = Config::parse("mail: {from: a@b.c}\nweb: {}", |_| None).unwrap().web.unwrap();
    let polls = tokio::sync::watch::Sender::new(web::Polls::default()).subscribe();
    let state =
        web::State::new(app.store.clone(), index.clone(), app.clock.clone(), settings, polls, stop.clone()).unwrap();
    let stop = stop.clone();
    tasks.spawn(async move { web::run(listener, state, stop).await.unwrap() });
    url
}

#[tokio::test]
async fn a_copy_that_has_just_started_refuses_no_key_before_it_knows_them_all() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let (index, stop, mut tasks) = (Index::default(), CancellationToken::new(), JoinSet::new());
    let there = started(&app, &index, &stop, &mut tasks).await;
    let [good, wrong] = [&to.key, "guess"].map(|key| Destination {
        url: format!("{there}/hooks/aws/events"),
        key: key.to_owned(),
        http: http(),
    });
    // Of no concern, so that it needs nobody who leads.
    let event = sample("describe-instances");
    for _ in 0..3 {
        assert_eq!(good.post(&event).await, StatusCode::SERVICE_UNAVAILABLE, "EventBridge tries again");
        assert_eq!(wrong.post(&event).await, StatusCode::SERVICE_UNAVAILABLE, "nobody can tell yet");
    }
    let (wakes, mut unheard) = tokio::sync::mpsc::channel(1);
    let following = follower::run(app.store.clone(), index.clone(), wakes, stop.clone());
    tasks.spawn(async move { following.await.unwrap() });
    tasks.spawn(async move { while unheard.recv().await.is_some() {} });
    app.until("it takes events", || async {
        let status = good.post(&event).await;
        assert!(status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN, "{status} gives up");
        (status == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    assert_eq!(wrong.post(&event).await, StatusCode::UNAUTHORIZED);
    stop.cancel();
    tasks.join_all().await;
    app.stop().await;
}

#[tokio::test]
async fn who_tries_keys_is_slowed_down_and_who_has_one_is_not() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let guess = Destination::with(&app, "guess");
    let mut refused = StatusCode::UNAUTHORIZED;
    for _ in 0..1_000 {
        refused = guess.post(&json!({})).await;
        if refused != StatusCode::UNAUTHORIZED {
            break;
        }
    }
    assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
    let launch = event("run-instances", DEV, EAST, &["i-0123456789abcdef0"]);
    assert_eq!(to.post(&launch).await, StatusCode::ACCEPTED);
    app.stop().await;
}

#[tokio::test]
async fn a_key_is_shown_once_rotated_with_an_overlap_and_revoked_at_once() {
    let app = start(without_polls()).await;
    let old = Destination::of(&app, DEV, &[]).await;
    let launch = event("run-instances", DEV, EAST, &["i-0123456789abcdef0"]);
    let path = format!("/api/v1/aws-accounts/{DEV}/event-keys");
    let listed = call(&app, "ada", Method::GET, &path, &json!({})).await.1;
    let name = listed[0]["id"].as_str().unwrap().to_owned();
    let rotate = format!("{path}/{name}/rotate");
    let (status, made) = call(&app, "ada", Method::POST, &rotate, &json!({ "overlap": 3_600 })).await;
    assert_eq!(status, 201, "{made}");
    let new = Destination::with(&app, made["key"].as_str().unwrap());
    app.until("both count", || async { (new.post(&launch).await == StatusCode::ACCEPTED).then_some(()) }).await;
    assert_eq!(old.post(&launch).await, StatusCode::ACCEPTED);
    app.advance(3_601);
    assert_eq!(old.post(&launch).await, StatusCode::UNAUTHORIZED, "the old one is over");
    assert_eq!(new.post(&launch).await, StatusCode::ACCEPTED);
    // Neither the documents nor the list hold a key.
    let docs = app.store.prefix("event_key::").await.unwrap();
    let listed = call(&app, "ada", Method::GET, &path, &json!({})).await.1;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    for text in docs.iter().map(|doc| doc.body.to_string()).chain([listed.to_string()]) {
        assert!(!text.contains(&new.key) && !text.contains(&new.key[21..]) && !text.contains(&old.key), "{text}");
    }
    let revoke = format!("{path}/{}", made["id"].as_str().unwrap());
    assert_eq!(call(&app, "ada", Method::DELETE, &revoke, &json!({})).await.0, 204);
    app.until("revoked", || async { (new.post(&launch).await == StatusCode::UNAUTHORIZED).then_some(()) }).await;
    app.stop().await;
}

#[tokio::test]
async fn rotating_is_no_way_to_have_more_keys_than_there_may_be() {
    let app = start(without_polls()).await;
    let ada = Program::all(&app, "ada").await;
    let path = format!("aws-accounts/{DEV}/event-keys");
    let make = async || ada.send(Method::POST, &path, &[], Some(json!({}))).await;
    let rotate = async |name: &str| {
        let answer =
            ada.send(Method::POST, &format!("{path}/{name}/rotate"), &[], Some(json!({ "overlap": 60 }))).await;
        (answer.status, answer.body["id"].as_str().unwrap_or_default().to_owned())
    };
    let mut old = Vec::new();
    for _ in 0..10 {
        old.push(make().await.body["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(make().await.status, 422);
    let mut new = String::new();
    for name in &old {
        let (status, made) = rotate(name).await;
        assert_eq!(status, 201);
        assert_eq!(rotate(name).await.0, 422, "its place is taken");
        new = made;
    }
    assert_eq!(rotate(&new).await.0, 422, "twenty are good");
    assert_eq!(ada.get(&path).await.as_array().unwrap().len(), 20);
    app.advance(61);
    assert_eq!(rotate(&new).await.0, 201);
    app.stop().await;
}

#[tokio::test]
async fn the_keys_of_an_aws_account_go_with_it_for_whomever_they_speak() {
    let app = start(without_polls()).await;
    let stays = Destination::of(&app, TEST, &[]).await;
    let goes = Destination::of(&app, DEV, &[DEV, TEST]).await;
    let launch = event("run-instances", TEST, EAST, &["i-0123456789abcdef0"]);
    assert_eq!(goes.post(&launch).await, StatusCode::ACCEPTED);
    app.edit(&format!("aws_account::bigdb::{DEV}"), |doc| doc["disabled"] = true.into()).await;
    let removed = call(&app, "ada", Method::DELETE, &format!("/api/v1/aws-accounts/{DEV}"), &json!({})).await;
    assert_eq!(removed.0, 204, "{}", removed.1);
    assert!(app.store.prefix(&format!("event_key::bigdb::{DEV}")).await.unwrap().is_empty());
    app.until("its key is refused", || async { (goes.post(&launch).await == StatusCode::UNAUTHORIZED).then_some(()) })
        .await;
    assert_eq!(stays.post(&launch).await, StatusCode::ACCEPTED, "another AWS account's own key");
    app.stop().await;
}

#[tokio::test]
async fn keys_are_made_by_admins_of_that_account_alone_and_seen_by_nobody() {
    let app = start(without_polls().with_another()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let path = format!("/api/v1/aws-accounts/{DEV}/event-keys");
    let name = to.key[4..20].to_owned();
    let calls = [
        (Method::GET, path.clone()),
        (Method::POST, path.clone()),
        (Method::POST, format!("{path}/{name}/rotate")),
        (Method::DELETE, format!("{path}/{name}")),
    ];
    for (method, path) in calls {
        let anonymous = http().request(method.clone(), format!("{}{path}", app.web)).json(&json!({})).send().await;
        assert_eq!(anonymous.unwrap().status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        for dev in ["lin", "max"] {
            assert_eq!(call(&app, dev, method.clone(), &path, &json!({})).await.0, 403, "{method} {path} for {dev}");
        }
        let eve = call_in(&app, "other", "eve", method.clone(), &path, &json!({})).await;
        assert_eq!(eve.0, 404, "{method} {path} for eve");
    }
    let foreign = json!({ "accounts": [DEV, "999988887777"] });
    assert_eq!(call(&app, "ada", Method::POST, &path, &foreign).await.0, 422);
    let session = app.session("ada").await;
    let seen = app.store.prefix_as(&session, "event_key::").await.unwrap();
    assert!(seen.is_empty(), "a channel shows keys");
    app.stop().await;
}
