//! The Sync Gateway client against the embedded gateway.

use crate::gateway::{Running, place};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::pin::pin;
use std::time::Duration;
use zerocloud::model::Doc;
use zerocloud::store::{Feed, StoreError};

fn doc(id: &str, rev: Option<&str>, body: Value) -> Doc<Value> {
    Doc { id: id.to_owned(), rev: rev.map(str::to_owned), body }
}

#[tokio::test]
async fn a_write_names_the_revision_it_read_and_unknown_fields_survive() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Running::start(folder.path()).await;
    let store = gateway.store().await;
    assert!(store.get::<Value>("account::bigdb").await.unwrap().is_none());
    let first = doc("account::bigdb", None, json!({"account": "bigdb", "note": {"deep": [1.50]}}));
    let rev = store.put("account", &first).await.unwrap();
    assert!(matches!(store.put("account", &first).await, Err(StoreError::Conflict { .. })), "made twice");
    let read = store.get::<Value>("account::bigdb").await.unwrap().unwrap();
    assert_eq!(read.body, json!({"type": "account", "account": "bigdb", "schema": 1, "note": {"deep": [1.50]}}));
    assert_eq!(read.rev.as_ref(), Some(&rev));
    store.put("account", &read).await.unwrap();
    assert!(
        matches!(store.put("account", &read).await, Err(StoreError::Conflict { .. })),
        "a stale revision was taken"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_change_that_loses_a_race_is_made_again_on_what_stands_there() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Running::start(folder.path()).await;
    let store = gateway.store().await;
    store.put("account", &doc("account::bigdb", None, json!({"count": 0}))).await.unwrap();
    let one = async || {
        let added = store.change("account", "account::bigdb", |body: &mut Value| {
            body["count"] = json!(body["count"].as_u64().unwrap() + 1);
            true
        });
        added.await.unwrap().unwrap()
    };
    tokio::join!(one(), one(), one());
    let read = store.get::<Value>("account::bigdb").await.unwrap().unwrap();
    assert_eq!(read.body["count"], 3);
    let same = store.change("account", "account::bigdb", |_: &mut Value| false).await.unwrap().unwrap();
    assert_eq!(same.rev, read.rev, "nothing is written that is not wanted");
    assert!(store.change("account", "account::other", |_: &mut Value| true).await.unwrap().is_none());
    gateway.stop().await;
}

#[tokio::test]
async fn many_are_written_at_once_each_by_its_own_revision_and_read_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Running::start(folder.path()).await;
    let store = gateway.store().await;
    let ids: Vec<_> = (0..2_345).map(|n| format!("event::bigdb::{n:05}")).collect();
    let docs = ids.iter().map(|id| ("event", doc(id, None, json!({"account": "bigdb"})))).collect();
    assert!(store.put_many(docs).await.unwrap().iter().all(Result::is_ok));
    store.put("event", &doc("event::bigdc::1", None, json!({}))).await.unwrap();
    let read = store.prefix("event::bigdb::").await.unwrap();
    assert_eq!(read.iter().map(|doc| doc.id.clone()).collect::<Vec<_>>(), ids);
    let next = store.ids_between(&ids[7], &ids[900], 3).await.unwrap();
    assert_eq!(next, ids[8..11], "those after it, and no more than are asked for");
    assert_eq!(store.ids_between(&ids[7], &ids[9], 30).await.unwrap(), [ids[8].clone()], "none from the other end on");
    assert!(store.ids_between(&ids[9], &ids[9], 30).await.unwrap().is_empty());
    let again = vec![("event", doc(&ids[0], None, json!({}))), ("event", doc("event::bigdb::new", None, json!({})))];
    let rows = store.put_many(again).await.unwrap();
    assert!(matches!(&rows[0], Err(StoreError::Conflict { .. })) && rows[1].is_ok());
    gateway.stop().await;
}

#[tokio::test]
async fn a_document_that_cannot_be_read_says_which_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Running::start(folder.path()).await;
    let store = gateway.store().await;
    store.put("lease", &doc("lease::x", None, json!({"account": "bigdb", "state": "asleep"}))).await.unwrap();
    let failed = store.get::<zerocloud::model::Lease>("lease::x").await.unwrap_err();
    assert!(matches!(&failed, StoreError::Malformed { id, .. } if id == "lease::x"), "{failed}");
    gateway.stop().await;
}

#[tokio::test]
async fn the_feed_goes_on_where_it_was_after_the_gateway_was_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Running::start(folder.path()).await;
    let store = gateway.store().await;
    let mut feed = pin!(store.changes("0".to_owned()));
    let mut next = async || loop {
        let item = tokio::time::timeout(Duration::from_secs(30), feed.next()).await.expect("the feed is silent");
        if let Some(Feed::Change(change)) = item {
            return change.id;
        }
    };
    store.put("event", &doc("event::bigdb::1", None, json!({}))).await.unwrap();
    assert_eq!(next().await, "event::bigdb::1");
    let (public, admin) = (gateway.public.clone(), gateway.admin.clone());
    gateway.stop().await;
    let gateway = Running::on(folder.path(), place(&public), place(&admin)).await;
    store.put("event", &doc("event::bigdb::2", None, json!({}))).await.unwrap();
    assert_eq!(next().await, "event::bigdb::2");
    gateway.stop().await;
}

#[tokio::test]
async fn a_person_writes_through_the_public_port_and_the_rules_judge() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Running::start(folder.path()).await;
    let store = gateway.store().await;
    for (user, role) in [("ada", "admin"), ("lin", "dev"), ("max", "dev")] {
        let body = json!({"account": "bigdb", "user": user, "role": role});
        store.put("user", &doc(&format!("user::bigdb::{user}"), None, body)).await.unwrap();
        let password = json!({"password": format!("{user}-password")});
        store.put_user(&format!("bigdb.{user}"), &password).await.unwrap();
    }
    let id = "lease::111122223333::us-east-1::i-0abc";
    let lease = json!({
        "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-0abc", "owner": "lin",
        "state": "active", "expires_at": "2026-11-25T08:00:00Z", "max_expires_at": "2026-12-01T08:00:00Z",
    });
    let rev = store.put("lease", &doc(id, None, lease)).await.unwrap();
    let (lin, max) = (store.session("bigdb.lin", 60).await.unwrap(), store.session("bigdb.max", 60).await.unwrap());
    let mut seen = store.get_as(&lin, id).await.unwrap().unwrap();
    seen.body["expires_at"] = json!("2026-11-30T08:00:00Z");
    seen.body["updated_by"] = json!("bigdb.lin");
    assert!(matches!(store.get_as(&max, id).await, Err(StoreError::Refused { status: 403, .. })));
    let forged = store.put_as(&max, id, &seen.body, Some(&rev)).await;
    assert!(matches!(forged, Err(StoreError::Refused { status: 403, .. })), "{forged:?}");
    // An owner who may edit a lease must not be able to let it expire.
    seen.body["_exp"] = json!(1);
    store.put_as(&lin, id, &seen.body, Some(&rev)).await.unwrap();
    let exp = reqwest::get(format!("{}/zerocloud/{id}?show_exp=true", gateway.admin)).await.unwrap();
    let exp: Value = serde_json::from_str(&exp.text().await.unwrap()).unwrap();
    assert!(exp["_exp"].as_str().is_some_and(|at| at.starts_with("2999-")), "{exp}");
    store.end_session(&lin).await.unwrap();
    assert!(matches!(store.get_as(&lin, id).await, Err(StoreError::Refused { status: 401, .. })));
    gateway.stop().await;
}
