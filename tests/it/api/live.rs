//! Events as they happen, and the sign-in of a device that has no browser.

use super::{Program, hour, http};
use crate::app::{DEV, EAST, TestApp, owned_by};
use futures_util::StreamExt as _;
use github_double::{Double, Person};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Events until one fits: its id and data.
async fn event(
    stream: &mut (impl futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    fits: impl Fn(&str, &Value) -> bool,
) -> (String, Value) {
    let mut text = String::new();
    loop {
        let part = tokio::time::timeout(Duration::from_secs(40), stream.next()).await.expect("an event comes");
        text.push_str(&String::from_utf8_lossy(&part.expect("the stream goes on").unwrap()));
        while let Some((one, rest)) = text.split_once("\n\n") {
            let field =
                |name: &str| one.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
            let data: Value = serde_json::from_str(&field("data:")).unwrap_or_default();
            if fits(&field("event:"), &data) {
                return (field("id:"), data);
            }
            text = rest.to_owned();
        }
    }
}

#[tokio::test]
async fn events_come_live_by_channel_and_go_on_after_the_last_one_that_was_seen() {
    let app = TestApp::start(hour()).await;
    let (lin, max) = (Program::all(&app, "lin").await, Program::all(&app, "max").await);
    let open = |who: &Program, query: &str, last: &str| {
        let request = who.http.get(format!("{}/api/v1/events{query}", who.base)).bearer_auth(&who.token);
        let request = if last.is_empty() { request } else { request.header("last-event-id", last) };
        async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            answer.bytes_stream()
        }
    };
    let mut live = Box::pin(open(&lin, "?types=lease,request", "").await);
    let mut others = Box::pin(open(&max, "", "").await);
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    let (last, first) = event(&mut live, |kind, data| kind == "lease" && data["doc"]["owner"] == "lin").await;
    assert!(first["id"].as_str().unwrap().ends_with(&id) && first["deleted"] == false, "{first}");
    drop(live);
    app.ask("lin", &lease, "renew", json!({ "until": app.clock.now().plus(20_000) })).await;
    app.lease_where(&id, "renewed", |it| it.expires_at > lease.expires_at).await;
    let mut again = Box::pin(open(&lin, "?types=lease,request", &last).await);
    let (_, answered) =
        event(&mut again, |kind, data| kind == "request" && data["doc"]["answer"]["outcome"] == "done").await;
    assert_eq!(answered["doc"]["action"], "renew");
    // Max hears of what is his and of nothing else.
    let own = app.aws.at(DEV, EAST).launch(&owned_by("max@bigdb.example"));
    app.lease_where(&own, "leased", |_| true).await;
    app.advance(130);
    let heard = event(&mut others, |kind, data| {
        assert!(!data.to_string().contains(&id), "{data}");
        kind == "lease" && data["doc"]["owner"] == "max"
    });
    heard.await;
    for bad in ["?types=lease,secret", "?since=now%20or%20never"] {
        let answer = lin.send(Method::GET, &format!("events{bad}"), &[], None).await;
        assert_eq!(answer.status, 422, "{bad}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_device_gets_a_token_once_its_person_typed_the_code_in_at_github() {
    let github = Double::start().await.unwrap();
    github.handle().put(Person::new(7, "lin-w", "Lin", "lin@bigdb.example"));
    github.handle().put(Person::new(8, "eve", "Eve", "eve@evil.example"));
    let app = TestApp::start(hour().web(&github.settings())).await;
    app.until("the people", || async { app.store.get::<Value>("user::bigdb::lin").await.unwrap() }).await;
    let device = Program { base: app.web.clone(), token: String::new(), http: http() };
    let answer = async |person: &str| {
        let begun = device.send(Method::POST, "device", &[], None).await;
        assert_eq!(begun.status, 200, "{}", begun.body);
        let form = format!("user_code={}&person={person}", begun.body["user_code"].as_str().unwrap());
        let typed = http().post(begun.body["verification_uri"].as_str().unwrap()).body(form);
        let typed = typed.header("content-type", "application/x-www-form-urlencoded");
        let code = json!({ "device_code": begun.body["device_code"], "name": "a laptop" });
        let typing = async {
            // The device asks first, and is told to wait.
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            typed.send().await.unwrap();
        };
        let (answer, ()) = tokio::join!(device.send(Method::POST, "device/token", &[], Some(code)), typing);
        answer
    };
    let done = answer("7").await;
    assert_eq!(
        (done.status, &done.body["status"], &done.body["user"]),
        (200, &json!("done"), &json!("lin")),
        "{}",
        done.body
    );
    let lin = Program { base: app.web.clone(), token: done.body["token"].as_str().unwrap().to_owned(), http: http() };
    assert_eq!(
        (lin.get("me").await["id"].as_str(), lin.get("tokens").await[0]["name"].as_str()),
        (Some("lin"), Some("a laptop"))
    );
    let stranger = answer("8").await;
    assert_eq!(stranger.status, 403, "{}", stranger.body);
    let denied = answer("deny").await;
    assert_eq!((denied.status, &denied.body["detail"]), (403, &json!("the sign-in was cancelled at GitHub")));
    let unknown = device.send(Method::POST, "device/token", &[], Some(json!({ "device_code": "guess" }))).await;
    assert_eq!(unknown.status, 422, "{}", unknown.body);
    app.stop().await;
    github.stop().await;
}
