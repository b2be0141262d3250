//! The sync function over HTTP, and by itself through the library.

use reqwest::Method;
use serde_json::json;
use zerocloud_gateway::script::{Caller, MapFunction, SyncFunction};

use crate::app::{TestApp, send, text};

#[tokio::test]
async fn refusals_carry_their_status_and_reason() {
    let app = TestApp::start().await;
    app.user("alice", &["A"]).await;
    for (body, status, reason) in [
        (json!({"forbid": "because"}), 403, "because"),
        (json!({"owner": "bob"}), 403, "sg wrong user"),
        (json!({"needRole": "boss"}), 403, "sg missing role"),
        (json!({"needAccess": ["B", "C"]}), 403, "sg missing channel access"),
        (json!({"channels": ["a,b"]}), 500, "Exception in JS sync function"),
    ] {
        let (got, answer) = send(app.public("alice", Method::PUT, "/d").json(&body)).await;
        assert_eq!((got, text(&answer["reason"])), (status, reason.to_owned()));
    }
    let allowed = json!({"owner": "alice", "needAccess": "A"});
    assert_eq!(send(app.public("alice", Method::PUT, "/d").json(&allowed)).await.0, 201);
    let by_admin = json!({"owner": "zed", "needRole": "boss", "needAccess": "nowhere"});
    assert_eq!(send(app.admin(Method::PUT, "/e").json(&by_admin)).await.0, 201);
    assert_eq!(send(app.admin(Method::PUT, "/f").json(&json!({"forbid": "x"}))).await.0, 403);
}

#[test]
fn a_sync_function_runs_by_itself() {
    let source = "function (doc, oldDoc) { requireUser(oldDoc ? oldDoc.owner : doc.owner); channel('u-' + doc.owner);
        access(doc.owner, 'u-' + doc.owner); role(doc.owner, 'role:staff'); }";
    let function = SyncFunction::compile(source).expect("compiles");
    let alice = Caller::User { name: "alice".to_owned(), channels: vec!["A".to_owned()], roles: Vec::new() };
    let doc = json!({"_id": "d", "owner": "alice"});
    let outcome = function.run(&doc, None, &alice).expect("allowed");
    assert!(outcome.channels.contains("u-alice"));
    assert!(outcome.access["alice"].contains("u-alice"));
    assert!(outcome.roles["alice"].contains("staff"));
    let refusal = function.run(&doc, Some(&json!({"owner": "bob"})), &alice).expect_err("refused");
    assert_eq!((refusal.status, refusal.reason.as_str()), (403, "sg wrong user"));
    assert!(function.run(&doc, Some(&json!({"owner": "bob"})), &Caller::Admin).is_ok());
}

#[test]
fn a_map_function_runs_by_itself() {
    let map = MapFunction::compile("function (doc, meta) { emit([doc.n, meta.id], null); }").expect("compiles");
    assert_eq!(map.map("d", &json!({"n": 1})), [(json!([1, "d"]), json!(null))]);
    let error = MapFunction::compile("function (doc) {\n  emit(;\n}").expect_err("bad");
    assert_eq!(error.line, 2);
}

#[tokio::test]
async fn a_function_may_talk() {
    let app = TestApp::with(
        json!({"sync": "function (doc) { log('a'); console.log('b'); console.error('c'); channel('A'); }"}),
    )
    .await;
    app.user("ada", &["A"]).await;
    app.put("d", json!({})).await;
    assert_eq!(send(app.public("ada", Method::GET, "/d")).await.0, 200);
}
