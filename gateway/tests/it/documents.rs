//! Documents, revisions, bulk operations, checkpoints.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{TestApp, ids, raw, send, text};

#[tokio::test]
async fn an_edit_needs_the_current_revision() {
    let app = TestApp::start().await;
    let first = app.put("d", json!({"a": 1, "channels": ["A"]})).await;
    assert_eq!(first, "1-1b7097c8fb74c2ca1c11ac43bd87c0ed");
    let (status, answer) = send(app.admin(Method::PUT, "/d").json(&json!({}))).await;
    assert_eq!((status, text(&answer["error"])), (409, "conflict".to_owned()));
    let second = app.put("d", json!({"_rev": first, "a": 2})).await;
    let stale = app.admin(Method::PUT, "/d").query(&[("rev", &first)]).json(&json!({}));
    assert_eq!(send(stale).await.0, 409);
    let (_, old) = send(app.admin(Method::GET, "/d").query(&[("rev", &first)])).await;
    assert_eq!(old["a"], 1);
    let (_, shown) = send(app.admin(Method::GET, "/d?revs=true")).await;
    assert_eq!(shown["_rev"], json!(second));
    assert_eq!(shown["_revisions"]["start"], 2);
}

#[tokio::test]
async fn number_literals_and_escapes_come_back_as_they_went_in() {
    let app = TestApp::start().await;
    let body = r#"{"n":[1e3,1.50,12345678901234567890],"s":"<\/é"}"#;
    let request = app.admin(Method::PUT, "/d").header("content-type", "application/json");
    assert_eq!(send(request.body(body)).await.0, 201);
    let response = app.admin(Method::GET, "/d").send().await.expect("an answer");
    let text = response.text().await.expect("a text");
    assert!(text.contains("[1e3,1.50,12345678901234567890]") && text.contains("\\u003c/é"), "{text}");
}

#[tokio::test]
async fn a_tombstone_hides_the_document_and_may_be_followed_by_a_new_one() {
    let app = TestApp::start().await;
    let rev = app.put("d", json!({"a": 1})).await;
    let (status, deleted) = send(app.admin(Method::DELETE, "/d").query(&[("rev", rev)])).await;
    assert_eq!(status, 200);
    let (status, answer) = send(app.admin(Method::GET, "/d")).await;
    assert_eq!((status, text(&answer["reason"])), (404, "deleted".to_owned()));
    let tombstone = app.admin(Method::GET, "/d").query(&[("rev", text(&deleted["rev"]))]);
    assert_eq!(send(tombstone).await.1["_deleted"], true);
    assert!(app.put("d", json!({"a": 2})).await.starts_with("3-"));
}

#[tokio::test]
async fn replicated_revisions_never_branch_while_the_document_lives() {
    let app = TestApp::start().await;
    let put = async |revs: &[&str], start: u32, deleted: bool| {
        let mut body = json!({"_rev": format!("{start}-{}", revs[0]), "_revisions": {"start": start, "ids": revs}});
        if deleted {
            body["_deleted"] = json!(true);
        }
        send(app.admin(Method::PUT, "/d?new_edits=false").json(&body)).await.0
    };
    assert_eq!(put(&["c", "b", "a"], 3, false).await, 201);
    assert_eq!(put(&["b", "a"], 2, false).await, 201, "known revisions change nothing");
    assert_eq!(put(&["x", "b", "a"], 3, false).await, 409);
    assert_eq!(put(&["d", "c", "b", "a"], 4, true).await, 201);
    assert_eq!(put(&["n"], 1, false).await, 201, "a new branch beside a tombstone");
    assert_eq!(send(app.admin(Method::GET, "/d")).await.1["_rev"], "1-n");
    let open = app.admin(Method::GET, "/d?open_revs=all").header("accept", "application/json");
    assert_eq!(send(open).await.1.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_bulk_write_answers_each_document_in_order() {
    let app = TestApp::start().await;
    let docs = json!({"docs": [
        {"_id": "_local/c", "v": 1}, {"_id": "a"}, {"_id": "a"}, {"_id": ""}, {"_id": "f", "forbid": "no"}, {},
    ]});
    let (status, rows) = send(app.admin(Method::POST, "/_bulk_docs").json(&docs)).await;
    assert_eq!(status, 201);
    let status = |row: &Value| row["status"].as_i64().unwrap_or(201);
    let statuses: Vec<i64> = rows.as_array().expect("rows").iter().map(status).collect();
    assert_eq!(statuses, [201, 409, 400, 403, 201, 201]);
    assert_eq!(rows[3]["reason"], "no");
    assert_eq!(rows[5], json!({"id": "_local/c", "rev": "0-1"}));
    assert!(rows[2].get("id").is_none());
}

#[tokio::test]
async fn bulk_get_and_revs_diff_serve_a_replicator() {
    let app = TestApp::start().await;
    let rev = app.put("d", json!({"v": 1})).await;
    let wanted = json!({"docs": [{"id": "d", "rev": rev}, {"id": "none"}]});
    let request = app.admin(Method::POST, "/_bulk_get?revs=true").json(&wanted);
    let (_, answer) = send(request.header("accept", "application/json")).await;
    assert_eq!(answer["results"][0]["docs"][0]["ok"]["v"], 1);
    assert_eq!(answer["results"][1]["docs"][0]["error"]["status"], 404);
    let request = app.admin(Method::POST, "/_bulk_get").json(&wanted);
    let response = request.header("accept", "multipart/mixed").send().await.expect("an answer");
    let body = response.text().await.expect("a body");
    assert!(body.contains("\"v\":1") && body.contains("error=\"true\""), "{body}");
    let asked = json!({"d": ["2-x"], "none": ["1-y"], "unknown": []});
    let (_, diff) = send(app.admin(Method::POST, "/_revs_diff").json(&asked)).await;
    assert_eq!(diff["d"], json!({"missing": ["2-x"], "possible_ancestors": [rev]}));
    assert_eq!(diff["none"], json!({"missing": ["1-y"]}));
}

#[tokio::test]
async fn checkpoints_keep_their_own_revisions() {
    let app = TestApp::start().await;
    let put = async |body: Value| send(app.admin(Method::PUT, "/_local/c").json(&body)).await;
    assert_eq!(put(json!({"_rev": "0-1"})).await.0, 404);
    assert_eq!(put(json!({"last": "5"})).await.1["rev"], "0-1");
    assert_eq!(put(json!({"last": "6"})).await.0, 409);
    assert_eq!(put(json!({"last": "6", "_rev": "0-1"})).await.1["rev"], "0-2");
    let (_, shown) = send(app.admin(Method::GET, "/_local/c")).await;
    assert_eq!(shown, json!({"_id": "_local/c", "_rev": "0-2", "last": "6"}));
}

#[tokio::test]
async fn a_purged_document_leaves_no_trace() {
    let app = TestApp::start().await;
    app.put("d", json!({"channels": ["A"], "grant": {"to": "alice", "channels": ["B"]}})).await;
    app.user("alice", &[]).await;
    let (_, answer) = send(app.admin(Method::POST, "/_purge").json(&json!({"d": ["*"], "x": ["*"]}))).await;
    assert_eq!(answer, json!({"purged": {"d": ["*"]}}));
    assert_eq!(text(&send(app.admin(Method::GET, "/d")).await.1["reason"]), "missing");
    assert!(ids(&app.changes(None, "").await.0).is_empty());
    let (_, alice) = send(app.admin(Method::GET, "/_user/alice")).await;
    assert_eq!(alice["all_channels"], json!(["!"]));
}

#[tokio::test]
async fn an_expired_document_becomes_a_tombstone_that_followers_see() {
    let app = TestApp::start().await;
    app.put("d", json!({"channels": ["A"], "ttl": 1})).await;
    let (entries, last) = app.changes(None, "").await;
    assert_eq!(ids(&entries), ["d"]);
    let (entries, _) = app.changes(None, &format!("feed=longpoll&timeout=10000&since={last}")).await;
    assert_eq!(entries[0]["deleted"], true);
    assert_eq!(send(app.admin(Method::GET, "/d")).await.0, 404);
}

#[tokio::test]
async fn all_docs_lists_live_documents_a_user_may_read() {
    let app = TestApp::start().await;
    app.put("a", json!({"channels": ["A", "B"]})).await;
    app.put("b", json!({"channels": ["B"]})).await;
    app.user("alice", &["A"]).await;
    let (_, all) = send(app.admin(Method::GET, "/_all_docs?startkey=a&endkey=%22b%22")).await;
    assert_eq!(ids(all["rows"].as_array().expect("rows")), ["a", "b"]);
    let keys = json!({"keys": ["b", "a", "none"]});
    let path = "/_all_docs?channels=true&include_docs=true";
    let (_, mine) = send(app.public("alice", Method::POST, path).json(&keys)).await;
    assert_eq!(mine["rows"][0]["status"], 403);
    assert_eq!(mine["rows"][1]["value"]["channels"], json!(["A"]));
    assert_eq!(mine["rows"][2]["status"], 404);
}

#[tokio::test]
async fn keys_come_back_sorted_with_the_special_ones_among_them() {
    let app = TestApp::start().await;
    app.put("d", json!({"z": 1, "A": 2, "_foo": 3, "0": {"y": 1, "B": 2}})).await;
    let (_, _, body) = raw(app.admin(Method::GET, "/d?revs=true")).await;
    let body = String::from_utf8(body).expect("text");
    assert!(body.starts_with(r#"{"0":{"B":2,"y":1},"A":2,"_foo":3,"_id":"d","_rev":"1-"#), "{body}");
    assert!(body.ends_with(r#","z":1}"#) && body.contains(r#","_revisions":{"#), "{body}");
}

#[tokio::test]
async fn posting_never_updates() {
    let app = TestApp::start().await;
    let rev = app.put("d", json!({"v": 1})).await;
    let update = json!({"_id": "d", "_rev": rev, "v": 2});
    let (status, answer) = send(app.admin(Method::POST, "/").json(&update)).await;
    assert_eq!((status, text(&answer["reason"])), (404, "No previous revision to replace".to_owned()));
    let docs = json!({"docs": [{"_rev": rev}, update]});
    let (_, rows) = send(app.admin(Method::POST, "/_bulk_docs").json(&docs)).await;
    assert_eq!((&rows[0]["status"], rows[1]["rev"].is_string()), (&json!(404), true));
}

#[tokio::test]
async fn a_replicated_document_needs_its_id() {
    let app = TestApp::start().await;
    let docs = json!({"docs": [{"_rev": "1-a"}, {"_id": "d", "_rev": "1-a"}], "new_edits": false});
    let (_, rows) = send(app.admin(Method::POST, "/_bulk_docs").json(&docs)).await;
    assert_eq!((&rows[0]["status"], &rows[1]["rev"]), (&json!(400), &json!("1-a")));
}

#[tokio::test]
async fn only_leaves_and_parents_of_equal_leaves_are_offered_as_ancestors() {
    let app = TestApp::start().await;
    let body = json!({"_rev": "3-c", "_revisions": {"start": 3, "ids": ["c", "b", "a"]}});
    assert_eq!(send(app.admin(Method::PUT, "/d?new_edits=false").json(&body)).await.0, 201);
    for (asked, expected) in [("4-x", json!(["3-c"])), ("3-x", json!(["2-b"])), ("2-x", json!(null))] {
        let (_, diff) = send(app.admin(Method::POST, "/_revs_diff").json(&json!({"d": [asked]}))).await;
        assert_eq!(diff["d"]["possible_ancestors"], expected, "{asked}");
    }
    assert_eq!(send(app.admin(Method::POST, "/_revs_diff").json(&json!({"d": ["odd"]}))).await.0, 200);
}

#[tokio::test]
async fn open_revs_are_multipart_unless_only_json_is_accepted() {
    let app = TestApp::start().await;
    let rev = app.put("d", json!({"v": 1})).await;
    let open = |accept: &str| {
        let request = app.admin(Method::GET, "/d").query(&[("open_revs", format!("[\"{rev}\",\"7-z\"]"))]);
        request.header("accept", accept.to_owned())
    };
    let (_, rows) = send(open("application/json")).await;
    assert_eq!((&rows[0]["ok"]["v"], &rows[1]), (&json!(1), &json!({"missing": "7-z"})));
    for accept in ["*/*", "multipart/mixed, application/json", "application/json, */*"] {
        let (status, headers, _) = raw(open(accept)).await;
        let media = headers["content-type"].to_str().expect("text").to_owned();
        assert!(status == 200 && media.starts_with("multipart/mixed; boundary="), "{accept}: {media}");
    }
}

#[tokio::test]
async fn a_tombstone_that_may_not_be_read_says_only_that_it_is_one() {
    let app = TestApp::start().await;
    app.user("ada", &["A"]).await;
    let rev = app.put("d", json!({"channels": ["Z"]})).await;
    let (_, deleted) = send(app.admin(Method::DELETE, "/d").query(&[("rev", rev)])).await;
    let (status, shown) = send(app.public("ada", Method::GET, "/d").query(&[("rev", text(&deleted["rev"]))])).await;
    assert_eq!((status, shown), (200, json!({"_id": "d", "_rev": deleted["rev"], "_deleted": true})));
    assert_eq!(send(app.public("ada", Method::GET, "/d")).await.0, 403);
}

#[tokio::test]
async fn writes_that_share_a_transaction_see_each_other() {
    let app = TestApp::start().await;
    let mut rev: Option<String> = None;
    for round in 0..5 {
        let puts = (0..20).map(|n| {
            let mut body = json!({"round": round, "n": n, "grant": {"to": "alice", "channels": [n.to_string()]}});
            if let Some(rev) = &rev {
                body["_rev"] = json!(rev);
            }
            send(app.admin(Method::PUT, "/contended").json(&body))
        });
        let answers = futures_util::future::join_all(puts).await;
        let mut stored = answers.iter().filter(|(status, _)| *status == 201);
        let (_, won) = stored.next().unwrap_or_else(|| panic!("{answers:?}"));
        assert!(
            stored.next().is_none() && answers.iter().all(|(status, _)| [201, 409].contains(status)),
            "{answers:?}"
        );
        rev = won["rev"].as_str().map(str::to_owned);
        let (_, doc) = send(app.admin(Method::GET, "/contended")).await;
        assert_eq!(doc["_rev"].as_str(), rev.as_deref());
    }
    let docs = [json!({"_id": "twice", "v": 1}), json!({"_id": "twice", "v": 2}), json!({"_id": "once"})];
    let (_, rows) = send(app.admin(Method::POST, "/_bulk_docs").json(&json!({"docs": docs}))).await;
    assert_eq!((&rows[1]["status"], &rows[2]["id"]), (&json!(409), &json!("once")));
    let revs = ["2-b", "1-a"].map(|rev| {
        json!({"_id": "built", "_rev": rev, "_revisions": {
        "start": if rev == "2-b" { 2 } else { 1 }, "ids": if rev == "2-b" { json!(["b", "a"]) } else { json!(["a"]) }}})
    });
    let docs = json!({"new_edits": false, "docs": [revs[1], revs[0]]});
    let (_, rows) = send(app.admin(Method::POST, "/_bulk_docs").json(&docs)).await;
    assert_eq!((&rows[0]["rev"], &rows[1]["rev"]), (&json!("1-a"), &json!("2-b")));
}
