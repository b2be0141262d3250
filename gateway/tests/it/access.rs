//! Users, roles and what each may read.

use reqwest::Method;
use serde_json::json;

use crate::app::{PASSWORD, TestApp, send, text};

#[tokio::test]
async fn absent_members_of_a_user_keep_their_value() {
    let app = TestApp::start().await;
    let body = json!({"password": PASSWORD, "admin_channels": ["A"], "email": "a@x.io"});
    assert_eq!(send(app.admin(Method::PUT, "/_user/alice").json(&body)).await.0, 201);
    let seq = send(app.admin(Method::GET, "/")).await.1["update_seq"].clone();
    assert_eq!(send(app.admin(Method::PUT, "/_user/alice").json(&json!({}))).await.0, 200);
    let (_, info) = send(app.admin(Method::GET, "/")).await;
    assert_eq!(info["update_seq"], seq, "a no-op uses no sequence");
    let (_, alice) = send(app.admin(Method::GET, "/_user/alice")).await;
    assert_eq!(alice["admin_channels"], json!(["A"]));
    assert_eq!(alice["email"], "a@x.io");
    assert!(alice.get("password").is_none());
    assert_eq!(send(app.admin(Method::PUT, "/_user/alice").json(&json!({"admin_channels": []}))).await.0, 200);
    let (_, alice) = send(app.admin(Method::GET, "/_user/alice")).await;
    assert_eq!(alice["all_channels"], json!(["!"]));
}

#[tokio::test]
async fn bad_users_are_refused() {
    let app = TestApp::start().await;
    for (name, body) in [
        ("a:b", json!({"password": PASSWORD})),
        ("...", json!({"password": PASSWORD})),
        ("bob", json!({})),
        ("bob", json!({"password": "ab"})),
        ("bob", json!({"password": PASSWORD, "name": "rob"})),
        ("bob", json!({"password": PASSWORD, "admin_channels": ["a,b"]})),
        ("bob", json!({"password": PASSWORD, "all_channels": ["A"]})),
    ] {
        let (status, _) = send(app.admin(Method::PUT, &format!("/_user/{name}")).json(&body)).await;
        assert_eq!(status, 400, "{name} {body}");
    }
    assert_eq!(send(app.admin(Method::GET, "/_user/bob")).await.0, 404);
}

#[tokio::test]
async fn access_is_per_revision() {
    let app = TestApp::start().await;
    app.user("alice", &["A"]).await;
    let first = app.put("d", json!({"channels": ["A"], "v": "seen"})).await;
    let second = app.put("d", json!({"_rev": first, "channels": ["Z"]})).await;
    let get = |rev: &str| app.public("alice", Method::GET, "/d").query(&[("rev", rev)]);
    assert_eq!(send(app.public("alice", Method::GET, "/d")).await.0, 403);
    assert_eq!(send(get(&first)).await.1["v"], "seen");
    assert_eq!(send(get(&second)).await.1["_removed"], true);
    assert_eq!(send(app.public("alice", Method::GET, "/none")).await.0, 404);
}

#[tokio::test]
async fn a_star_user_reads_everything_and_a_star_document_is_not_public() {
    let app = TestApp::start().await;
    app.user("star", &["*"]).await;
    app.user("alice", &["A"]).await;
    app.put("d", json!({"channels": ["*", "A"]})).await;
    app.put("none", json!({})).await;
    assert_eq!(send(app.public("star", Method::GET, "/none")).await.0, 200);
    assert_eq!(send(app.public("alice", Method::GET, "/d")).await.0, 403);
    app.put("open", json!({"channels": ["!"]})).await;
    assert_eq!(send(app.public("alice", Method::GET, "/open")).await.0, 200);
}

#[tokio::test]
async fn a_deleted_role_gives_nothing_but_stays_listed_with_its_users() {
    let app = TestApp::start().await;
    let role = json!({"admin_channels": ["H"]});
    assert_eq!(send(app.admin(Method::PUT, "/_role/hr").json(&role)).await.0, 201);
    let body = json!({"password": PASSWORD, "admin_roles": ["hr"]});
    assert_eq!(send(app.admin(Method::PUT, "/_user/alice").json(&body)).await.0, 201);
    app.put("d", json!({"channels": ["H"]})).await;
    assert_eq!(send(app.public("alice", Method::GET, "/d")).await.0, 200);
    assert_eq!(send(app.admin(Method::DELETE, "/_role/hr")).await.0, 200);
    assert_eq!(send(app.public("alice", Method::GET, "/d")).await.0, 403);
    let (_, alice) = send(app.admin(Method::GET, "/_user/alice")).await;
    assert_eq!(alice["roles"], json!(["hr"]));
    assert_eq!(send(app.admin(Method::GET, "/_role/hr")).await.0, 404);
}

#[tokio::test]
async fn what_admins_do_is_unknown_on_the_public_port() {
    let app = TestApp::start().await;
    app.user("alice", &["*"]).await;
    for path in ["/_config", "/_user/", "/_user/alice", "/_role/", "/_resync", "/_session/x", "/_raw/x"] {
        let (status, answer) = send(app.public("alice", Method::GET, path)).await;
        assert_eq!((status, text(&answer["reason"])), (404, "unknown URL".to_owned()), "{path}");
    }
}
