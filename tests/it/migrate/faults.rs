//! Runs that are cut, sides that do not answer, a source that changes meanwhile.

use super::proxy::{Action, Asked, Proxy};
use super::world::{Gateway, migrate, options};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use zerocloud::migrate::Plan;

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_run_cut_in_the_middle_goes_on_where_it_was() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(1_000).await;
    let rev = from.put("/a-busy", json!({ "n": 0 })).await["rev"].clone();
    let proxy = Proxy::start(&to.running.admin, |asked: &Asked<'_>| match asked.path {
        "/zerocloud/_bulk_docs" if contains(asked.body, "doc-00500") => Action::Hold,
        _ => Action::Pass,
    })
    .await;
    let plan = Plan::look(&options(&from.url(), &format!("{}/zerocloud", proxy.url))).await.unwrap();
    tokio::select! {
        ended = plan.run(&|_| {}) => panic!("it should have hung: {ended:?}"),
        () = proxy.held() => {}
    }
    let arrived = to.get("/_all_docs").await["total_rows"].as_u64().unwrap();
    assert!((100..=500).contains(&arrived), "{arrived} had arrived");
    // Meanwhile one that has arrived changes more often than its history is long, and others change, come and go.
    let mut rev = rev;
    for n in 1..60 {
        rev = from.put("/a-busy", json!({ "_rev": rev, "n": n })).await["rev"].clone();
    }
    let first = from.get("/doc-00001").await["_rev"].clone();
    from.put("/doc-00001", json!({ "_rev": first, "_deleted": true })).await;
    from.put("/late", json!({})).await;
    let report = migrate(&from.url(), &to.url()).await.unwrap();
    assert!(report.complete && report.resumed && !report.database_made, "{report:#?}");
    assert_eq!((report.to_documents.live, report.to_documents.tombstones), (1_001, 1));
    assert!(report.copied < 1_002, "what had arrived was sent again: {}", report.copied);
    assert_eq!(to.get("/a-busy").await["n"], 59);
    from.running.stop().await;
    to.running.stop().await;
}

#[tokio::test]
async fn errors_lost_answers_and_broken_connections_of_either_side_are_tried_again() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(1_200).await;
    from.put("/_user/bigdb.lin", json!({ "password": "lin-password" })).await;
    let rule = |asked: &Asked<'_>| match asked.number % 7 {
        1 => Action::Answer(503),
        3 => Action::Lose,
        5 => Action::Break,
        _ => Action::Pass,
    };
    let (source, target) = (Proxy::start(&from.running.admin, rule).await, Proxy::start(&to.running.admin, rule).await);
    let url = |proxy: &Proxy| format!("{}/zerocloud", proxy.url);
    let report = migrate(&url(&source), &url(&target)).await.unwrap();
    assert!(report.complete, "{report:#?}");
    assert_eq!((report.to_documents.live, report.copied), (1_200, 1_200));
    assert!(source.asked() > 14 && target.asked() > 14);
    from.running.stop().await;
    to.running.stop().await;
}

#[tokio::test]
async fn a_conflict_answered_once_is_split_up_and_one_answered_always_is_named() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(300).await;
    let once = AtomicBool::new(false);
    let proxy = Proxy::start(&to.running.admin, move |asked: &Asked<'_>| match asked.path {
        "/zerocloud/_bulk_docs" if contains(asked.body, "doc-00150") => Action::Answer(409),
        "/zerocloud/_bulk_docs" if contains(asked.body, "doc-00250") && !once.swap(true, Ordering::SeqCst) => {
            Action::Answer(409)
        }
        "/zerocloud/_bulk_docs" if contains(asked.body, "doc-00050") && contains(asked.body, "doc-00051") => {
            Action::Answer(413)
        }
        _ => Action::Pass,
    })
    .await;
    let report = migrate(&from.url(), &format!("{}/zerocloud", proxy.url)).await.unwrap();
    let refused: Vec<_> = report.refused.iter().map(|one| (one.id.as_str(), one.status)).collect();
    assert_eq!((report.complete, refused), (false, vec![("doc-00150", Some(409))]), "{report:#?}");
    assert_eq!(report.to_documents.live, 299);
    from.running.stop().await;
    to.running.stop().await;
}

#[tokio::test]
async fn a_side_that_stays_away_ends_the_run_with_an_error_and_nothing_counts_as_done() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(300).await;
    let gone = AtomicBool::new(false);
    let proxy = Proxy::start(&to.running.admin, move |asked: &Asked<'_>| {
        gone.fetch_or(asked.path.ends_with("/_bulk_docs"), Ordering::SeqCst);
        if gone.load(Ordering::SeqCst) { Action::Break } else { Action::Pass }
    })
    .await;
    let mut options = options(&from.url(), &format!("{}/zerocloud", proxy.url));
    options.patience = Duration::from_millis(300);
    let why = Plan::look(&options).await.unwrap().run(&|_| {}).await.unwrap_err();
    assert!(format!("{why:#}").contains("does not answer"), "{why:#}");
    let report = migrate(&from.url(), &to.url()).await.unwrap();
    assert!(report.complete && report.resumed, "{report:#?}");
    from.running.stop().await;
    to.running.stop().await;
}

#[tokio::test]
async fn what_changes_on_the_source_during_the_run_arrives_and_a_source_that_never_rests_is_told() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(300).await;
    let (copying, comparing) = (AtomicBool::new(false), AtomicBool::new(false));
    let once = Proxy::start(&from.running.admin, move |asked: &Asked<'_>| {
        let first = |seen: &AtomicBool| !seen.swap(true, Ordering::SeqCst);
        if asked.path.contains("attachments=true") && first(&copying) {
            return Action::Meanwhile("/zerocloud/while-copying".to_owned(), "{\"n\":1}".to_owned());
        }
        if asked.path.contains("attachments=false") && first(&comparing) {
            return Action::Meanwhile("/zerocloud/while-comparing".to_owned(), "{\"n\":2}".to_owned());
        }
        Action::Pass
    })
    .await;
    let report = migrate(&format!("{}/zerocloud", once.url), &to.url()).await.unwrap();
    assert!(report.complete && !report.source_still_written, "{report:#?}");
    assert_eq!(
        (to.get("/while-copying").await["n"].clone(), to.get("/while-comparing").await["n"].clone()),
        (json!(1), json!(2))
    );
    let restless = Proxy::start(&from.running.admin, |asked: &Asked<'_>| {
        let path = format!("/zerocloud/restless-{}", asked.number);
        if asked.path.contains("attachments=false") { Action::Meanwhile(path, "{}".to_owned()) } else { Action::Pass }
    })
    .await;
    let report = migrate(&format!("{}/zerocloud", restless.url), &format!("{}-2", to.url())).await.unwrap();
    assert!(report.source_still_written && !report.complete, "{report:#?}");
    from.running.stop().await;
    to.running.stop().await;
}
