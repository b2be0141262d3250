//! Design documents and views.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{TestApp, ids, send};

async fn app() -> TestApp {
    let app = TestApp::start().await;
    let docs: Vec<Value> = (0..6)
        .map(|n| json!({"_id": format!("d{n}"), "n": n, "kind": if n % 2 == 0 { "a" } else { "b" }, "channels": [n.to_string()]}))
        .collect();
    assert_eq!(send(app.admin(Method::POST, "/_bulk_docs").json(&json!({"docs": docs}))).await.0, 201);
    let design = json!({"views": {
        "by_n": {"map": "function (doc, meta) { emit(doc.n, doc.kind); }"},
        "sums": {"map": "function (doc, meta) { emit([doc.kind, doc.n], doc.n); }", "reduce": "_sum"},
        "stats": {"map": "function (doc, meta) { emit(doc.kind, doc.n); }", "reduce": "_stats"},
        "bad": {"map": "function ("},
    }});
    assert_eq!(send(app.admin(Method::PUT, "/_design/t").json(&design)).await.0, 201);
    app
}

async fn rows(app: &TestApp, query: &str) -> Vec<Value> {
    let (status, answer) = send(app.admin(Method::GET, &format!("/_design/t/_view/{query}"))).await;
    assert_eq!(status, 200, "{answer}");
    answer["rows"].as_array().expect("rows").clone()
}

#[tokio::test]
async fn ranges_order_and_paging() {
    let app = app().await;
    for (query, expected) in [
        ("by_n?startkey=1&endkey=3", "d1 d2 d3"),
        ("by_n?startkey=1&endkey=3&inclusive_end=false", "d1 d2"),
        ("by_n?descending=true&startkey=4&endkey=2", "d4 d3 d2"),
        ("by_n?descending=true&limit=2&skip=1", "d4 d3"),
        ("by_n?keys=[5,1,77]", "d5 d1"),
        ("by_n?key=3", "d3"),
        ("bad", ""),
    ] {
        assert_eq!(ids(&rows(&app, query).await).join(" "), expected, "{query}");
    }
    let row = &rows(&app, "by_n?key=1&include_docs=true").await[0];
    assert_eq!((&row["value"], &row["doc"]), (&json!("b"), &json!({"n": 1, "kind": "b", "channels": ["1"]})));
}

#[tokio::test]
async fn reduce_groups_by_level() {
    let app = app().await;
    assert_eq!(rows(&app, "sums").await, [json!({"id": "", "key": null, "value": 15})]);
    let groups = rows(&app, "sums?group_level=1").await;
    let expected = [json!({"id": "", "key": ["a"], "value": 6}), json!({"id": "", "key": ["b"], "value": 9})];
    assert_eq!(groups, expected);
    assert_eq!(rows(&app, "sums?reduce=false").await.len(), 6);
    let stats = rows(&app, "stats?group=true").await;
    assert_eq!(stats[0]["value"], json!({"sum": 6, "count": 3, "min": 0, "max": 4, "sumsqr": 20}));
    assert!(rows(&app, "sums?startkey=[\"z\"]").await.is_empty());
}

#[tokio::test]
async fn the_index_follows_edits_deletions_and_purges() {
    let app = app().await;
    assert_eq!(rows(&app, "by_n").await.len(), 6);
    let (_, doc) = send(app.admin(Method::GET, "/d0")).await;
    app.put("d0", json!({"_rev": doc["_rev"], "n": 100})).await;
    let (_, doc) = send(app.admin(Method::GET, "/d1")).await;
    let rev = doc["_rev"].as_str().expect("a revision");
    assert_eq!(send(app.admin(Method::DELETE, "/d1").query(&[("rev", rev)])).await.0, 200);
    assert_eq!(send(app.admin(Method::POST, "/_purge").json(&json!({"d2": ["*"]}))).await.0, 200);
    assert_eq!(ids(&rows(&app, "by_n").await), ["d3", "d4", "d5", "d0"]);
}

#[tokio::test]
async fn users_see_rows_of_their_documents() {
    let app = app().await;
    app.user("alice", &["1", "4"]).await;
    let (_, answer) = send(app.public("alice", Method::GET, "/_design/t/_view/by_n")).await;
    assert_eq!(ids(answer["rows"].as_array().expect("rows")), ["d1", "d4"]);
    assert_eq!(send(app.public("alice", Method::GET, "/_design/t")).await.0, 403);
}

#[tokio::test]
async fn a_design_document_is_judged_when_it_is_put() {
    let app = TestApp::start().await;
    let put = |body: Value| app.admin(Method::PUT, "/_design/t").json(&body);
    for bad in [
        json!({"_id": "_design/t"}),
        json!({"views": []}),
        json!({"views": {"v": "function"}}),
        json!({"views": {"v": {"map": 5}}}),
        json!({"views": {"v": {"mapp": "x"}}}),
    ] {
        assert_eq!(send(put(bad.clone())).await.0, 400, "{bad}");
    }
    assert_eq!(send(put(json!({"language": "javascript", "views": {}}))).await.0, 201);
    let media = app.admin(Method::PUT, "/_design/t").header("content-type", "text/plain").body("{}");
    assert_eq!(send(media).await.0, 400);
}
