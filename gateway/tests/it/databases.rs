//! Databases, their configuration, resync.

use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use crate::app::{Served, TestApp, client, header, raw, send, text};

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
        ("x", json!({"bucket": 5})),
        ("x", json!({"cors": {"bogus": []}})),
        ("x", json!({"guest": {"bogus": 1}})),
        ("x", json!({"users": {"ada": {"password": 5}}})),
        ("x", json!({"unsupported": {"user_views": {"enabled": "yes"}}})),
        ("x", json!({"scopes": {}})),
        ("x", json!({"unsupported": {"force_api_forbidden_errors": true}})),
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

#[tokio::test]
async fn a_bad_sync_function_is_refused_with_its_line() {
    let app = TestApp::start().await;
    let source = "function (doc) {\n  var x = 1;\n  channel(doc.channels;\n}";
    let put = app.admin(Method::PUT, "/_config/sync").header("content-type", "application/javascript");
    let (status, answer) = send(put.body(source)).await;
    assert_eq!(status, 400);
    assert!(text(&answer["reason"]).contains("line 3"), "{answer}");
    let (status, answer) = send(app.admin(Method::POST, "/_config").json(&json!({"sync": source}))).await;
    assert!(status == 400 && text(&answer["reason"]).contains("line 3"), "{answer}");
    app.put("d", json!({"channels": ["A"]})).await;
}

#[tokio::test]
async fn a_wrong_slash_at_the_end_is_redirected() {
    let app = TestApp::start().await;
    let name = app.admin.rsplit_once('/').expect("a path").1.to_owned();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    let client = builder.build().expect("a client");
    for (path, to) in [("", "/"), ("/_user", "/_user/"), ("/_all_docs/?limit=1", "/_all_docs?limit=1"), ("/d/", "/d")] {
        let (status, headers, _) = raw(client.get(format!("{}{path}", app.admin))).await;
        assert_eq!((status, header(&headers, "location")), (301, format!("/{name}{to}")), "{path}");
    }
}

#[tokio::test]
async fn a_login_is_asked_for_before_anything_else_is_told() {
    let app = TestApp::start().await;
    app.user("ada", &[]).await;
    assert_eq!(send(app.admin(Method::POST, "/_offline")).await.0, 200);
    let anonymous = app.client.get(format!("{}/d", app.public));
    assert_eq!(send(anonymous).await.0, 401);
    assert_eq!(send(app.public("ada", Method::GET, "/d")).await.0, 503);
    for path in ["/d", "/_user/ada", "/_session", "/_design/x/_view/y"] {
        assert_eq!(send(app.admin(Method::GET, path)).await.0, 503, "{path}");
    }
    assert_eq!(send(app.admin(Method::GET, "/_config")).await.0, 200);
    let other = app.client.get(format!("{}x/", app.public));
    assert_eq!(text(&send(other.basic_auth("ada", Some("x"))).await.1["reason"]), "Invalid login");
}

#[tokio::test]
async fn offline_outlasts_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path()).await;
    let client = client();
    let db = format!("{}/db", served.admin);
    assert_eq!(send(client.put(format!("{db}/")).json(&json!({}))).await.0, 201);
    assert_eq!(send(client.post(format!("{db}/_offline"))).await.0, 200);
    served.stop().await;
    let served = Served::start(dir.path()).await;
    let db = format!("{}/db", served.admin);
    assert_eq!(send(client.get(format!("{db}/"))).await.1["state"], "Offline");
    assert_eq!(send(client.post(format!("{db}/_online"))).await.0, 200);
    assert_eq!(send(client.get(format!("{db}/"))).await.1["state"], "Online");
    served.stop().await;
}

#[tokio::test]
async fn configured_users_are_made_once() {
    let users = json!({"ada": {"password": "letmein", "admin_channels": ["A"]}});
    let app = TestApp::with(json!({"users": users})).await;
    assert_eq!(send(app.public("ada", Method::GET, "/")).await.0, 200);
    app.user("ada", &["B"]).await;
    assert_eq!(send(app.admin(Method::POST, "/_config").json(&json!({"revs_limit": 30}))).await.0, 201);
    assert_eq!(send(app.admin(Method::GET, "/_user/ada")).await.1["admin_channels"], json!(["B"]));
    let (_, config) = send(app.admin(Method::GET, "/_config")).await;
    assert_ne!(config["users"]["ada"]["password"], "letmein");
}

#[tokio::test]
async fn settings_that_protect_take_effect() {
    let app = TestApp::with(json!({
        "disable_public_all_docs": true,
        "session_cookie_http_only": true,
        "session_cookie_secure": true,
        "unsupported": {"guest_read_only": true, "same_site_cookie": "Strict"},
        "guest": {"disabled": false, "admin_channels": ["pub"]},
    }))
    .await;
    app.user("ada", &["A"]).await;
    assert_eq!(send(app.public("ada", Method::GET, "/_all_docs")).await.0, 403);
    assert_eq!(send(app.admin(Method::GET, "/_all_docs")).await.0, 200);
    let guest = |method: Method, path: &str| app.client.request(method, format!("{}{path}", app.public));
    assert_eq!(send(guest(Method::GET, "/_changes")).await.0, 200);
    assert_eq!(send(guest(Method::PUT, "/d").json(&json!({}))).await.0, 403);
    assert_eq!(send(guest(Method::POST, "/_bulk_docs").json(&json!({"docs": []}))).await.0, 403);
    let (_, headers, _) = raw(app.public("ada", Method::POST, "/_session")).await;
    assert!(header(&headers, "set-cookie").ends_with("; HttpOnly; Secure; SameSite=Strict"), "{headers:?}");
}
