//! Outgoing hooks: what happens is told in order, signed, again after a failure, and never to a private network that is not
//! allowed.

use crate::api::Program;
use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use zerocloud::model::{Doc, Hook, Time};
use zerocloud::teller::sign;

#[derive(Clone)]
struct Heard {
    /// Path, signature and body of each call.
    calls: Arc<Mutex<Vec<(String, String, String)>>>,
    /// Calls that are refused first.
    refuse: Arc<Mutex<usize>>,
    /// Calls of `/slow` that began, and that ended or were given up.
    slow: Arc<Mutex<(usize, usize)>>,
    /// Lets those go on that wait.
    go_on: Arc<tokio::sync::Semaphore>,
}

impl Default for Heard {
    fn default() -> Heard {
        let go_on = Arc::new(tokio::sync::Semaphore::new(0));
        Heard { calls: Arc::default(), refuse: Arc::default(), slow: Arc::default(), go_on }
    }
}

/// Counts a call of `/slow` as ended, also when whoever made it went away.
struct Slow(Heard);

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.slow.lock().unwrap().1 += 1;
    }
}

fn hear(path: &str, heard: &Heard, headers: &HeaderMap, body: String) -> StatusCode {
    {
        let mut refuse = heard.refuse.lock().unwrap();
        if *refuse > 0 {
            *refuse -= 1;
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    let signature = headers.get("x-zerocloud-signature").map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default();
    heard.calls.lock().unwrap().push((path.to_owned(), signature, body));
    StatusCode::OK
}

async fn listener() -> (String, Heard, tokio::task::JoinSet<()>) {
    let heard = Heard::default();
    let routes = Router::new()
        .route(
            "/signed",
            post(|State(heard): State<Heard>, headers: HeaderMap, body: String| async move {
                hear("signed", &heard, &headers, body)
            }),
        )
        .route(
            "/slack",
            post(|State(heard): State<Heard>, headers: HeaderMap, body: String| async move {
                hear("slack", &heard, &headers, body)
            }),
        )
        .route(
            "/slow",
            post(|State(heard): State<Heard>, headers: HeaderMap, body: String| async move {
                heard.slow.lock().unwrap().0 += 1;
                let _ended = Slow(heard.clone());
                heard.go_on.acquire().await.unwrap().forget();
                hear("slow", &heard, &headers, body)
            }),
        )
        .with_state(heard.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (url, heard, tasks)
}

async fn make(app: &TestApp, hook: Value) -> Value {
    let ada = app.sign_in("ada").await;
    let csrf = ada.get("/leases").await.field("csrf");
    let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(20)).build().unwrap();
    let cookie = format!("__Host-zerocloud={}", ada.cookie("__Host-zerocloud").unwrap());
    let made = http.post(format!("{}/api/v1/hooks", app.web)).header("cookie", cookie).header("x-csrf-token", csrf);
    let made = made.json(&hook).send().await.unwrap();
    assert_eq!(made.status(), 201);
    made.json().await.unwrap()
}

#[tokio::test]
async fn what_happens_is_told_in_order_signed_and_again_after_a_failure() {
    let (url, heard, mut tasks) = listener().await;
    let app = TestApp::start(Setup::default().web("hooks_may_call: ['127.0.0.0/8']")).await;
    *heard.refuse.lock().unwrap() = 1;
    let signed = make(&app, json!({ "name": "ours", "url": format!("{url}/signed?key=hush") })).await;
    make(&app, json!({ "name": "chat", "url": format!("{url}/slack"), "shape": "slack" })).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    app.advance(10);
    app.until("both are told of the lease", || async {
        // A refused hook is tried again in its own time.
        app.advance(1);
        let calls = heard.calls.lock().unwrap();
        let told = |path: &str| calls.iter().filter(|(at, _, body)| at == path && body.contains(&id)).count() >= 2;
        (told("signed") && told("slack")).then_some(())
    })
    .await;
    let calls = heard.calls.lock().unwrap().clone();
    let secret = SecretString::from(signed["secret"].as_str().unwrap().to_owned());
    let mut ids = Vec::new();
    for (_, signature, body) in calls.iter().filter(|(path, ..)| path == "signed") {
        let at: i64 = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
        assert_eq!(*signature, sign(&secret, Time::from_unix(at), body));
        let body: Value = serde_json::from_str(body).unwrap();
        let about = body["lease"].as_str().unwrap().ends_with(&id) || body["act"].is_string();
        assert!(about && body["reason"].is_string(), "{body}");
        ids.push(body["id"].as_str().unwrap().to_owned());
    }
    assert!(ids.is_sorted() && ids.windows(2).all(|two| two[0] != two[1]), "{ids:?}");
    let slack = calls.iter().find(|(path, _, body)| path == "slack" && body.contains(&id)).unwrap();
    let text: Value = serde_json::from_str(&slack.2).unwrap();
    assert!(slack.1.is_empty() && text["text"].as_str().unwrap().contains(&id), "{text}");
    let ada = app.sign_in("ada").await;
    let listed = ada.get("/api/v1/hooks").await.text;
    assert!(listed.contains("\"ours\"") && !listed.contains("hush") && !listed.contains("secret"), "{listed}");
    assert_eq!(app.sign_in("lin").await.get("/api/v1/hooks").await.status, 403);
    let csrf = ada.get("/leases").await.field("csrf");
    let path = format!("/api/v1/hooks/{}", signed["id"].as_str().unwrap());
    assert_eq!(ada.send(Method::DELETE, &path, &[("x-csrf-token", &csrf)], None).await.status, 204);
    app.stop().await;
    tasks.abort_all();
}

#[tokio::test]
async fn a_receiver_that_is_slow_holds_up_nobody_else_and_hears_all_in_order() {
    let (url, heard, mut tasks) = listener().await;
    let app = TestApp::start(Setup::default().web("hooks_may_call: ['127.0.0.0/8']")).await;
    // The slow one comes first in every list.
    sneak_in(&app, "00", format!("{url}/slow")).await;
    sneak_in(&app, "01", format!("{url}/signed")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    app.advance(10);
    let told = |path: &str| -> Vec<String> {
        let calls = heard.calls.lock().unwrap();
        let bodies = calls.iter().filter(|(at, ..)| at == path).map(|(.., body)| body);
        bodies.map(|body| serde_json::from_str::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned()).collect()
    };
    app.until("the other is told", || async { (told("signed").len() >= 2).then_some(()) }).await;
    app.until("the slow one is called", || async { (heard.slow.lock().unwrap().0 == 1).then_some(()) }).await;
    assert_eq!(heard.slow.lock().unwrap().1, 0, "its first call is open still");
    let known = told("signed").len();
    heard.go_on.add_permits(1_000);
    app.until("it hears of the same", || async { (told("slow").len() >= known).then_some(()) }).await;
    let slow = told("slow");
    assert_eq!(slow[..known], told("signed")[..known]);
    assert!(slow.is_sorted(), "{slow:?}");
    app.stop().await;
    tasks.abort_all();
}

/// A hook that came to be before its address was one of a private network.
async fn sneak_in(app: &TestApp, id: &str, url: String) {
    let account = zerocloud::model::AccountId::parse("bigdb").unwrap();
    let body = json!({
        "account": account, "name": "inside", "url": url, "shape": "signed", "secret": "hush",
        "after": Hook::start(&account, app.clock.now()),
    });
    let hook: Hook = serde_json::from_value(body).unwrap();
    let doc = Doc { id: format!("{}bigdb::{id}", Hook::PREFIX), rev: None, body: hook };
    app.store.put("hook", &doc).await.unwrap();
}

#[tokio::test]
async fn a_private_address_is_never_called_unless_it_is_allowed() {
    let (url, heard, mut tasks) = listener().await;
    let app = TestApp::start(Setup::default()).await;
    let ada = Program::all(&app, "ada").await;
    let inside = [url.as_str(), "http://10.0.0.1/x", "https://169.254.169.254", "http://[::1]:9", "http://localhost/x"];
    for url in inside {
        let refused = ada.send(Method::POST, "hooks", &[], Some(json!({ "name": "inside", "url": url }))).await;
        let said = refused.body["detail"].as_str().unwrap_or_default();
        assert!(refused.status == 422 && said.contains("web.hooks_may_call can allow it"), "{url}: {}", refused.body);
    }
    let named = ada.send(Method::POST, "hooks", &[], Some(json!({ "name": "x", "url": "http://localhost/x" }))).await;
    let said = named.body["detail"].as_str().unwrap();
    assert!(!said.contains("127.0.0.1") && !said.contains("::1"), "what a name stands for inside is told: {said}");
    let user =
        ada.send(Method::POST, "hooks", &[], Some(json!({ "name": "x", "url": "https://ab@hooks.example" }))).await;
    assert!(user.status == 422 && user.body["detail"].as_str().unwrap().contains("without a user"), "{}", user.body);
    assert_eq!(ada.get("hooks").await, json!([]));
    sneak_in(&app, "00", format!("{url}/signed")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    app.advance(10);
    let hook = app
        .until("the refusal", || async {
            app.store.prefix("hook::").await.unwrap().into_iter().find(|doc| doc.body.get("error").is_some())
        })
        .await;
    assert!(hook.body["error"].as_str().unwrap().contains("inside a private network"), "{}", hook.body);
    let listed = ada.get("hooks").await;
    assert!(listed[0]["error"].as_str().unwrap().contains("private") && listed[0]["retry_at"].is_string(), "{listed}");
    assert_eq!(heard.calls.lock().unwrap().len(), 0);
    app.stop().await;
    tasks.abort_all();
}
