//! Documents that nobody can read, by a slip at the gateway: named, left alone, and nothing ends that they may be about.

use crate::app::{DEV, EAST, Setup, TestApp, WEST, after, owned_by};
use serde_json::{Value, json};
use zerocloud::model::{Doc, HoldKind, State};

const HOUR: i64 = 3_600;

/// What cannot be read and bears on no lease of the test.
fn odd() -> [(&'static str, &'static str, Value); 9] {
    [
        ("lease", "lease::111122223333::us-east-1::i-0odd", json!({"account": "bigdb", "state": "asleep"})),
        ("user", "lease::111122223333::us-east-1::i-0user", json!({"account": "bigdb"})),
        ("user", "user::bigdb::eve", json!({"account": "bigdb", "user": "eve", "role": "emperor"})),
        ("notice", "notice::x", json!({"account": "bigdb"})),
        ("request", "request::bigdb::lin::1", json!({"account": "bigdb", "user": "lin", "lease": 7})),
        ("account_policy", "policy::other", json!({"account": "other", "policy": {"grace": "long"}})),
        ("pause", "pause::Bad Account", json!({"since": "2026-11-24T08:00:00Z"})),
        ("aws_account", "aws_account::bigdb::1", json!({"account": "bigdb", "aws_id": "1"})),
        ("resource", "resource::111122223333::us-east-1::i-0odd", json!({"facts": []})),
    ]
}

#[tokio::test]
async fn documents_that_cannot_be_read_are_named_left_alone_and_hold_nobody_up() {
    let app = TestApp::start(Setup::default()).await;
    let launch = |owner: &str| app.aws.at(DEV, EAST).launch(&owned_by(owner));
    let good = launch("lin");
    let lease = app.settled(&good, "lin").await;
    let broken: Vec<(String, String)> = {
        let mut all = Vec::new();
        for (field, slip) in
            [("expires_at", "soon"), ("ends_at", "1999-11-24T08:00:00Z"), ("first_seen", "1970-01-01T00:00:00Z")]
        {
            let instance = launch("lin");
            let id = app.settled(&instance, "lin").await.key().lease_id();
            app.edit(&id, |doc| doc[field] = json!(slip)).await;
            all.push((instance, id));
        }
        all
    };
    // Max is somebody who owns something, and then cannot be read.
    let of_max = launch("max");
    app.settled(&of_max, "max").await;
    app.edit("user::bigdb::max", |doc| doc["role"] = json!("developer")).await;
    for (kind, id, body) in odd() {
        app.store.put(kind, &Doc { id: id.to_owned(), rev: None, body }).await.unwrap();
    }
    let named = zerocloud::follower::unreadable_documents(&app.store).await.unwrap();
    let named: Vec<&str> = named.iter().map(|(id, _)| id.as_str()).collect();
    let ids: Vec<&str> = odd().iter().map(|(_, id, _)| *id).collect();
    let ids: Vec<&str> = ids.into_iter().chain(broken.iter().map(|(_, id)| id.as_str())).collect();
    assert!(ids.iter().chain(&["user::bigdb::max"]).all(|id| named.contains(id)), "{named:?}");
    let revs = async |app: &TestApp| {
        let mut all = Vec::new();
        for id in &ids {
            all.push(app.store.get::<Value>(id).await.unwrap().unwrap().rev);
        }
        all
    };
    let before = revs(&app).await;
    // What was read of them before is forgotten then.
    let app = app.restart(|setup| setup).await;
    app.clock.set(after(lease.ends_at, 2 * HOUR));
    app.state(&good, State::Stopped).await;
    let unknown =
        |lease: &zerocloud::model::Lease| lease.hold.as_ref().is_some_and(|it| it.kind == HoldKind::Unreadable);
    let held = app.lease_where(&of_max, "held", unknown).await;
    assert_eq!((held.owner.as_str(), held.state), ("max", State::Expired), "who cannot be read has not left");
    assert!(held.hold.unwrap().reason.contains("user::bigdb::max"));
    app.until("admins are told", || async { (!app.mails("ada@bigdb.example", &of_max).is_empty()).then_some(()) })
        .await;
    app.polled(DEV, EAST, 2).await;
    assert_eq!(revs(&app).await, before, "a document that cannot be read was written");
    let left = broken.iter().map(|(instance, _)| instance).chain([&of_max]);
    left.for_each(|instance| assert!(app.aws.calls().acting().naming(instance).is_empty(), "{instance} was ended"));
    // Mended, everything goes on, in time for whoever counted on it.
    let told = app.mails("max@bigdb.example", &of_max).len();
    app.edit("user::bigdb::max", |doc| doc["role"] = json!("dev")).await;
    let again = app
        .lease_where(&of_max, "not held any more", |lease| lease.hold.is_none() && lease.ends_at > held.ends_at)
        .await;
    app.mailed("max@bigdb.example", &of_max, told + 1).await;
    app.clock.set(after(again.ends_at, 5));
    app.state(&of_max, State::Stopped).await;
    app.stop().await;
}

/// A document as it is, and with a slip that makes it unreadable; `None` where there is none before.
type Slip = (&'static str, String, Option<Value>, Value);

async fn slips(app: &TestApp) -> Vec<Slip> {
    let mut all = Vec::new();
    for (kind, id, field, slip) in [
        ("pause", "pause::bigdb".to_owned(), "since", json!("yesterday")),
        ("region", format!("region::{DEV}::{WEST}"), "state", json!(7)),
        ("aws_account", format!("aws_account::bigdb::{DEV}"), "regions", json!(WEST)),
        ("account_policy", "policy::bigdb".to_owned(), "policy", json!("strict")),
        ("account", "account::bigdb".to_owned(), "name", json!(7)),
        (
            "account",
            "account::bigdb".to_owned(),
            "settings",
            json!({"exemptions": [{"by": "subnet", "value": "subnet-1"}]}),
        ),
    ] {
        let good = app.store.get::<Value>(&id).await.unwrap().map(|doc| doc.body);
        let mut odd = good.clone().unwrap_or_else(|| json!({ "account": "bigdb" }));
        odd[field] = slip;
        all.push((kind, id, good, odd));
    }
    all
}

/// Writes a body over whatever stands there; `None` deletes it.
async fn write(app: &TestApp, kind: &str, id: &str, body: Option<&Value>) {
    let rev = app.store.get::<Value>(id).await.unwrap().and_then(|doc| doc.rev);
    match body {
        Some(body) => {
            let doc = Doc { id: id.to_owned(), rev, body: body.clone() };
            app.store.put(kind, &doc).await.unwrap();
        }
        None => app.store.delete(id, &rev.unwrap()).await.unwrap(),
    }
}

#[tokio::test]
async fn an_end_under_a_document_that_cannot_be_read_is_held_until_it_is_mended() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, WEST).launch(&owned_by("lin"));
    let lease = app.settled(&id, "lin").await;
    let slips = slips(&app).await;
    let (kind, first, _, odd) = &slips[0];
    write(&app, kind, first, Some(odd)).await;
    app.clock.set(after(lease.ends_at, 2 * HOUR));
    let mut last = Vec::new();
    for (kind, doc, good, odd) in &slips {
        // The next one breaks before the one before it is mended, so that the end stays held.
        write(&app, kind, doc, Some(odd)).await;
        for (kind, doc, good) in last.drain(..) {
            write(&app, kind, doc, good).await;
        }
        let names = |reason: &str| reason.contains(doc.as_str()) || reason.contains(r#""by":"subnet""#);
        let held = app.lease_where(&id, doc, |lease| lease.hold.as_ref().is_some_and(|hold| names(&hold.reason))).await;
        assert_eq!((held.state, held.hold.unwrap().kind), (State::Expired, HoldKind::Unreadable), "{doc}");
        last.push((*kind, doc.as_str(), good.as_ref()));
    }
    assert!(app.aws.calls().acting().is_empty(), "something was ended");
    let told = app.mails("lin@bigdb.example", &id).len();
    for (kind, doc, good) in last {
        write(&app, kind, doc, good).await;
    }
    let again =
        app.lease_where(&id, "not held any more", |now| now.hold.is_none() && now.ends_at > lease.ends_at).await;
    app.mailed("lin@bigdb.example", &id, told + 1).await;
    app.clock.set(after(again.ends_at, 5));
    app.state(&id, State::Stopped).await;
    app.stop().await;
}
