//! Small attachments.

use reqwest::Method;
use serde_json::json;

use crate::app::{TestApp, send, text};

#[tokio::test]
async fn an_attachment_is_kept_by_its_stub_and_dropped_without_it() {
    let app = TestApp::start().await;
    let att = json!({"f": {"content_type": "text/plain", "data": "aGVsbG8="}});
    let first = app.put("d", json!({"_attachments": att})).await;
    let (_, shown) = send(app.admin(Method::GET, "/d")).await;
    let stub = json!({"content_type": "text/plain", "digest": "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=",
        "length": 5, "revpos": 1, "stub": true});
    assert_eq!(shown["_attachments"]["f"], stub);
    let second = app.put("d", json!({"_rev": first, "v": 2, "_attachments": {"f": {"stub": true}}})).await;
    let file = app.admin(Method::GET, "/d/f").send().await.expect("an answer");
    assert_eq!(file.headers()["content-type"], "text/plain");
    assert_eq!(file.text().await.expect("a text"), "hello");
    app.put("d", json!({"_rev": second})).await;
    assert_eq!(send(app.admin(Method::GET, "/d/f")).await.0, 404);
}

#[tokio::test]
async fn an_attachment_can_be_written_by_itself() {
    let app = TestApp::start().await;
    let put = |rev: &str| app.admin(Method::PUT, "/d/n.bin").query(&[("rev", rev)]).body("x");
    let first = app.put("d", json!({"v": 1})).await;
    let (status, answer) = send(put(&first)).await;
    assert_eq!(status, 201);
    assert_eq!(send(put(&first)).await.0, 409);
    let delete = app.admin(Method::DELETE, "/d/n.bin").query(&[("rev", text(&answer["rev"]))]);
    assert_eq!(send(delete).await.0, 200);
    assert_eq!(send(app.admin(Method::GET, "/d")).await.1["v"], 1);
}
