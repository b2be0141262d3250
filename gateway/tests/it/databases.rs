//! Databases, their configuration, resync.

use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use crate::app::{TestApp, send, text};

#[tokio::test]
async fn bad_configurations_create_nothing() {
    let app = TestApp::start().await;
    let root = app.admin.rsplit_once('/').expect("a path").0.to_owned();
    for (name, config) in [
        ("Upper", json!({})),
        ("x", json!({"bogus": 1})),
        ("x", json!({"sync": "function (doc) {"})),
        ("x", json!({"revs_limit": 5})),
        ("x", json!({"allow_conflicts": true})),
    ] {
        let (status, answer) = send(app.client.put(format!("{root}/{name}/")).json(&config)).await;
        assert_eq!(status, 400, "{config} {answer}");
    }
    assert_eq!(send(app.client.get(format!("{root}/x/"))).await.0, 404);
    assert_eq!(send(app.admin(Method::PUT, "/").json(&json!({}))).await.0, 412);
}

#[tokio::test]
async fn an_unknown_database_is_a_missing_login_for_users() {
    let app = TestApp::start().await;
    let other = format!("{}x/doc", app.public);
    assert_eq!(send(app.client.get(other)).await.0, 401);
    assert_eq!(send(app.client.put(format!("{}x/", app.public))).await.0, 403);
    assert_eq!(send(app.client.put(format!("{}/", app.public))).await.0, 412);
}

#[tokio::test]
async fn methods_paths_and_media_types_are_judged() {
    let app = TestApp::start().await;
    let response = app.admin(Method::PATCH, "/d").send().await.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &"GET, HEAD, PUT, DELETE".parse().expect("a header"))
    );
    assert_eq!(send(app.admin(Method::GET, "/_nosuch")).await.0, 404);
    let put = |media: &str| app.admin(Method::PUT, "/d").header("content-type", media).body("{}");
    assert_eq!(send(put("text/plain")).await.0, 415);
    assert_eq!(send(put("application/json; charset=utf-8")).await.0, 201);
    assert_eq!(send(app.admin(Method::GET, "/d").header("accept", "text/plain")).await.0, 406);
    let (status, answer) = send(app.admin(Method::GET, "/none")).await;
    assert_eq!((status, answer), (404, json!({"error": "not_found", "reason": "missing"})));
}

async fn until(app: &TestApp, path: &str, done: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (_, answer) = send(app.admin(Method::GET, path)).await;
        if done(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{answer}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_sync_function_reaches_old_documents_by_resync() {
    let app = TestApp::with(json!({"sync": "function (doc) { channel('old'); }"})).await;
    app.user("bob", &["new"]).await;
    let rev = app.put("before", json!({})).await;
    let source = app.admin(Method::PUT, "/_config/sync").header("content-type", "application/javascript");
    assert_eq!(send(source.body("function (doc) { channel('new'); }")).await.0, 200);
    app.put("after", json!({})).await;
    assert_eq!(send(app.public("bob", Method::GET, "/after")).await.0, 200);
    assert_eq!(send(app.public("bob", Method::GET, "/before")).await.0, 403);
    assert_eq!(send(app.admin(Method::POST, "/_resync")).await.0, 503);
    assert_eq!(send(app.admin(Method::POST, "/_offline")).await.0, 200);
    assert_eq!(send(app.public("bob", Method::GET, "/after")).await.0, 503);
    assert_eq!(send(app.admin(Method::POST, "/_resync?action=start")).await.0, 200);
    let done = until(&app, "/_resync", |answer| answer["status"] == "completed").await;
    assert_eq!((&done["docs_changed"], &done["docs_processed"]), (&json!(1), &json!(2)));
    assert_eq!(send(app.admin(Method::POST, "/_online")).await.0, 200);
    let (status, doc) = send(app.public("bob", Method::GET, "/before")).await;
    assert_eq!((status, text(&doc["_rev"])), (200, rev));
}
