//! A database moved from one gateway to another: what arrives, what is refused, and what happens when things break.

mod faults;
mod program;
pub mod proxy;
mod world;

use reqwest::Method;
use serde_json::{Value, json};
use world::{Gateway, IDS, SYNC, everything, migrate};
use zerocloud::migrate::Plan;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_moved_to_a_second_gateway_and_on_to_a_third_is_the_same_there() {
    let folders = [0, 1, 2].map(|_| tempfile::tempdir().unwrap());
    let first = Gateway::start(folders[0].path()).await;
    let second = Gateway::start(folders[1].path()).await;
    let third = Gateway::start(folders[2].path()).await;
    everything(&first).await;
    let there = migrate(&first.url(), &second.url()).await.unwrap();
    let back = migrate(&second.url(), &third.url()).await.unwrap();
    for report in [&there, &back] {
        assert!(report.complete && report.database_made && !report.resumed, "{report:#?}");
        assert_eq!((report.from_documents.live, report.from_documents.tombstones), (2_115, 299), "{report:#?}");
        assert_eq!((report.copied, report.attachments, report.ranges), (2_414, 97, 3));
        assert_eq!((report.roles, report.users, report.design_documents.len()), (2, 4, 1));
        assert_eq!(report.from_digest, there.from_digest);
    }
    same(&first, &third).await;
    for gateway in [first, second, third] {
        gateway.running.stop().await;
    }
}

/// Looks at what the digests cover, and at what they do not, with other calls than the product's.
async fn same(first: &Gateway, third: &Gateway) {
    let whole = "?revs=true&attachments=true&show_exp=true";
    for id in ["doc-00000", "doc-00003", "doc-00040", "large", "busy", "numbers", "granting"] {
        let path = format!("/{id}{whole}");
        let strip = |text: String| {
            let mut doc: Value = serde_json::from_str(&text).unwrap();
            // The generation that an attachment came with is each gateway's own count.
            for (_, meta) in doc.get_mut("_attachments").and_then(Value::as_object_mut).into_iter().flatten() {
                meta.as_object_mut().unwrap().remove("revpos");
            }
            doc
        };
        let docs = [first.call(Method::GET, &path, None).await.1, third.call(Method::GET, &path, None).await.1];
        let [ours, theirs] = docs.map(strip);
        assert!(ours == theirs, "{id} differs");
        assert!(ours["_rev"].is_string());
    }
    let busy = third.get(&format!("/busy{whole}")).await;
    assert_eq!((&busy["n"], busy["_revisions"]["ids"].as_array().unwrap().len()), (&json!(69), 30));
    let numbers = third.call(Method::GET, "/numbers", None).await.1;
    assert!(numbers.contains(":12345678901234567890123,") && numbers.contains(":1.50"), "{numbers}");
    assert_eq!(third.get(&format!("/doc-00040{whole}")).await["_exp"], "2999-01-01T00:00:00Z");
    let odd = json!({ "keys": IDS });
    let rows = third.json(Method::POST, "/_all_docs", Some(&odd)).await;
    assert!(rows["rows"].as_array().unwrap().iter().all(|row| row["value"]["rev"].is_string()), "{rows}");
    for path in
        ["/_role/", "/_user/", "/_role/admin-bigdb", "/_user/bigdb.ada", "/_user/bigdb.lin", "/_user/max%20%C3%A9"]
    {
        assert_eq!(first.get(path).await, third.get(path).await, "{path}");
    }
    // Granted by a document, so worked out by the target itself.
    assert_eq!(third.get("/_user/max%20%C3%A9").await["all_channels"], json!(["!", "c4"]));
    assert_eq!(third.get("/_user/GUEST").await["admin_channels"], json!(["odd"]));
    let (ours, theirs) = (first.get("/_config").await, third.get("/_config").await);
    for key in ["sync", "revs_limit", "old_rev_expiry_seconds", "cors", "session_cookie_name"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    assert_eq!(first.get("/_design/leases").await, third.get("/_design/leases").await);
    let reduced = third.get("/_design/leases/_view/by_n").await;
    assert_eq!(reduced["rows"][0]["value"], 2_115);
    // What cannot move: checkpoints and passwords.
    assert_eq!(third.call(Method::GET, "/_local/checkpoint", None).await.0, 404);
    let login = world::client();
    let login = |at: &Gateway| {
        login.get(format!("{}/zerocloud/", at.running.public)).basic_auth("bigdb.ada", Some("ada-password")).send()
    };
    assert_eq!(
        (login(first).await.unwrap().status(), login(third).await.unwrap().status().as_u16()),
        (200.try_into().unwrap(), 401)
    );
}

#[tokio::test]
async fn a_target_with_other_documents_is_refused_and_left_alone() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(5).await;
    to.put("/", json!({ "bucket": "zerocloud" })).await;
    let rev = to.put("/foreign", json!({ "a": 1 })).await["rev"].as_str().unwrap().to_owned();
    let before = to.get("/_config").await;
    // Live, and as a tombstone that a listing of documents would not show.
    for _ in 0..2 {
        let why = migrate(&from.url(), &to.url()).await.unwrap_err().to_string();
        assert!(why.contains("did not come from"), "{why}");
        assert_eq!(to.get("/_config").await, before);
        to.call(Method::DELETE, &format!("/foreign?rev={rev}"), None).await;
    }
    let same = migrate(&from.url(), &format!("{}/", from.url())).await.unwrap_err().to_string();
    assert!(same.contains("same database"), "{same}");
    from.running.stop().await;
    to.running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_moved_is_said_before_anything_is_changed() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(5).await;
    let plan = Plan::look(&world::options(&from.url(), &to.url())).await.unwrap();
    let steps = plan.steps().join("\n");
    assert!(steps.contains("make the database") && steps.contains("revs_limit"), "{steps}");
    for word in ["passwords", "sessions", "checkpoints", "sequences"] {
        assert!(zerocloud::migrate::CANNOT_MOVE.iter().any(|line| line.starts_with(word)), "{word}");
    }
    assert_eq!(to.call(Method::GET, "/", None).await.0, 404, "looking made the database");
    from.running.stop().await;
    to.running.stop().await;
}

#[tokio::test]
async fn documents_that_the_target_refuses_are_named_and_do_not_stop_the_others() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.put("/", json!({ "bucket": "zerocloud" })).await;
    from.bulk((0..250).map(|n| json!({ "_id": format!("doc-{n:03}"), "poison": n == 120 })).collect()).await;
    let rules = world::client();
    let rules = rules.put(format!("{}/_config/sync", from.url())).header("content-type", "application/javascript");
    assert!(rules.body(SYNC).send().await.unwrap().status().is_success());
    let report = migrate(&from.url(), &to.url()).await.unwrap();
    assert!(!report.complete);
    let refused: Vec<_> = report.refused.iter().map(|one| (one.id.as_str(), one.status, one.reason.as_str())).collect();
    assert_eq!(refused, [("doc-120", Some(403), "poison")]);
    assert_eq!((report.to_documents.live, report.differences.len()), (249, 0), "{report:#?}");
    from.running.stop().await;
    to.running.stop().await;
}

#[tokio::test]
async fn a_difference_names_the_range_and_the_documents() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(2_100).await;
    assert!(migrate(&from.url(), &to.url()).await.unwrap().complete);
    let again = migrate(&from.url(), &to.url()).await.unwrap();
    assert!(again.complete && again.resumed && again.copied == 0, "{again:#?}");
    // The same revision with another body, an edit by somebody else, and a document of the target's own.
    let rev = from.get("/doc-01500").await["_rev"].clone();
    to.json(Method::POST, "/_purge", Some(&json!({ "doc-01500": ["*"] }))).await;
    to.put("/doc-01500?new_edits=false", json!({ "_rev": rev, "n": "forged" })).await;
    let rev = to.get("/doc-01600").await["_rev"].clone();
    to.put("/doc-01600", json!({ "_rev": rev, "n": "edited" })).await;
    to.put("/own", json!({})).await;
    let report = migrate(&from.url(), &to.url()).await.unwrap();
    assert!(!report.complete && report.from_digest != report.to_digest);
    let named: Vec<_> = report.differences.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(named, ["doc-01500", "doc-01600", "own"], "{report:#?}");
    assert!(report.differences[0].what.contains("another body"), "{report:#?}");
    assert!(report.differences[1].what.contains("and at 2-"), "{report:#?}");
    let ranges: Vec<_> =
        report.unequal_ranges.iter().map(|range| (range.first.as_str(), range.last.as_str())).collect();
    assert_eq!(ranges, [("doc-01000", "doc-01999"), ("doc-02000", "own")]);
    assert_eq!(to.get("/doc-01600").await["n"], "edited", "somebody's edit was overwritten");
    from.running.stop().await;
    to.running.stop().await;
}
