//! Small attachments.

use reqwest::Method;
use serde_json::json;

use crate::app::{TestApp, header, raw, send, text};

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

#[tokio::test]
async fn small_attachments_stay_in_the_json_and_large_ones_follow() {
    let app = TestApp::start().await;
    let (small, large) = ("aGVsbG8=", "QUFB".repeat(100));
    let first = app.put("d", json!({"_attachments": {"small": {"data": small}, "large": {"data": large}}})).await;
    let related = app.admin(Method::GET, "/d?attachments=true").header("accept", "multipart/related, application/json");
    let (status, headers, body) = raw(related).await;
    assert_eq!(status, 200);
    assert!(header(&headers, "content-type").starts_with("multipart/related; boundary="));
    let body = String::from_utf8(body).expect("text");
    assert!(body.contains(small) && body.contains("\"follows\":true") && body.contains(&"A".repeat(300)), "{body}");
    let stubs = json!({"small": {"stub": true}, "large": {"stub": true}, "new": {"data": small}});
    app.put("d", json!({"_rev": first, "_attachments": stubs})).await;
    let newer = app.admin(Method::GET, "/d?attachments=true").query(&[("atts_since", format!("[\"{first}\"]"))]);
    let (_, shown) = send(newer.header("accept", "application/json")).await;
    assert_eq!(shown["_attachments"]["small"]["stub"], true, "the client has it");
    assert_eq!(shown["_attachments"]["new"]["data"], small);
}

#[tokio::test]
async fn bulk_get_names_each_document_and_compresses_parts_when_asked() {
    let app = TestApp::start().await;
    let rev = app.put("d", json!({"text": "x".repeat(1000)})).await;
    let get = || app.admin(Method::POST, "/_bulk_get").json(&json!({"docs": [{"id": "d", "rev": rev}]}));
    let (_, _, plain) = raw(get().header("accept", "multipart/mixed")).await;
    let plain = String::from_utf8(plain).expect("text");
    assert!(plain.contains("X-Doc-Id: d\r\n") && plain.contains(&format!("X-Rev-Id: {rev}\r\n")), "{plain}");
    let asked = get().header("accept", "multipart/mixed").header("x-accept-part-encoding", "gzip");
    let (_, _, packed) = raw(asked).await;
    assert!(String::from_utf8_lossy(&packed).contains("Content-Encoding: gzip"));
    assert!(packed.len() < plain.len() / 2);
}

#[tokio::test]
async fn a_range_of_an_attachment_can_be_had() {
    let app = TestApp::start().await;
    app.put("d", json!({"_attachments": {"f": {"data": "aGVsbG8="}}})).await;
    let (status, headers, body) = raw(app.admin(Method::GET, "/d/f").header("range", "bytes=1-2")).await;
    assert_eq!((status, body.as_slice(), header(&headers, "content-range").as_str()), (206, &b"el"[..], "bytes 1-2/5"));
    let (status, answer) = send(app.admin(Method::GET, "/d/f").header("range", "bytes=9-")).await;
    assert_eq!((status, text(&answer["error"])), (416, "Requested Range Not Satisfiable".to_owned()));
}

#[tokio::test]
async fn nobody_changes_attachments_of_a_document_they_cannot_read() {
    let app = TestApp::start().await;
    app.user("ada", &["A"]).await;
    let rev = app.put("d", json!({"channels": ["Z"], "_attachments": {"f": {"data": "aGVsbG8="}}})).await;
    assert_eq!(send(app.public("ada", Method::GET, "/d/f")).await.0, 403);
    assert_eq!(send(app.public("ada", Method::PUT, "/d/g").body("x")).await.0, 403);
    for method in [Method::PUT, Method::DELETE] {
        let request = app.public("ada", method, "/d/f").query(&[("rev", &rev)]).body("x");
        assert_eq!(send(request).await.0, 404);
    }
    assert_eq!(send(app.admin(Method::GET, "/d")).await.1["_rev"], json!(rev));
}

#[tokio::test]
async fn encoded_attachments_keep_both_lengths() {
    let app = TestApp::start().await;
    let att = json!({"f": {"data": "aGVsbG8=", "encoding": "gzip", "length": 77}});
    app.put("d", json!({"_attachments": att})).await;
    let (_, shown) = send(app.admin(Method::GET, "/d")).await;
    let meta = &shown["_attachments"]["f"];
    assert_eq!((&meta["length"], &meta["encoded_length"]), (&json!(77), &json!(5)));
    let (_, headers, _) = raw(app.admin(Method::GET, "/d/f?content_encoding=false")).await;
    assert_eq!(header(&headers, "x-content-encoding"), "gzip");
}
