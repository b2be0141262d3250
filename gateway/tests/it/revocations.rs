//! `revocations=true`: a user is told which documents of a lost channel to drop.

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{TestApp, ids, send, text};

const ROUTING: &str = "function (doc) {
  if (doc._id === 'memberships') { for (var name in doc.roles) { role(name, doc.roles[name]); } }
  if (doc._id === 'grants') { for (var who in doc.channels) { access(who, doc.channels[who]); } }
  if (doc._id.indexOf('doc') === 0) { channel(doc.channels); }
}";

/// A user in a role, both changed by documents, at sequences the test chooses.
struct Story {
    app: TestApp,
    revs: std::collections::HashMap<&'static str, String>,
}

impl Story {
    async fn begin() -> Self {
        let app = TestApp::with(json!({"sync": ROUTING})).await;
        app.user("ada", &[]).await;
        assert_eq!(send(app.admin(Method::PUT, "/_role/crew").json(&json!({}))).await.0, 201);
        app.put("doc1", json!({"channels": "C"})).await;
        Self { app, revs: std::collections::HashMap::default() }
    }

    async fn put(&mut self, id: &'static str, mut body: Value) {
        if let Some(rev) = self.revs.get(id) {
            body["_rev"] = json!(rev);
        }
        self.revs.insert(id, self.app.put(id, body).await);
    }

    async fn fill_to(&mut self, seq: i64) {
        while send(self.app.admin(Method::GET, "/")).await.1["update_seq"].as_i64() < Some(seq) {
            self.put("filler", json!({})).await;
        }
    }

    async fn member(&mut self, roles: &[&str]) {
        self.put("memberships", json!({"roles": {"ada": roles}})).await;
    }

    async fn grant(&mut self, channels: &[&str]) {
        self.put("grants", json!({"channels": {"role:crew": channels}})).await;
    }

    async fn since(&self, since: &str) -> (Vec<Value>, String) {
        self.app.changes(Some("ada"), &format!("since={since}&revocations=true")).await
    }
}

#[tokio::test]
async fn a_lost_channel_is_told_document_by_document() {
    let app = TestApp::start().await;
    app.user("ada", &["C", "D"]).await;
    let rev = app.put("only-c", json!({"channels": ["C"]})).await;
    app.put("both", json!({"channels": ["C", "D"]})).await;
    let gone = app.put("gone", json!({"channels": ["C"]})).await;
    assert_eq!(send(app.admin(Method::DELETE, "/gone").query(&[("rev", gone)])).await.0, 200);
    let (_, since) = app.changes(Some("ada"), "").await;
    app.user("ada", &["D"]).await;
    app.put("later", json!({"channels": ["C"]})).await;
    assert!(app.changes(Some("ada"), &format!("since={since}")).await.0.is_empty(), "only when asked for");
    let asked = format!("since={since}&revocations=true&include_docs=true");
    let (entries, last) = app.changes(Some("ada"), &asked).await;
    assert_eq!(ids(&entries), ["only-c", "gone"], "neither what is still visible nor what was never seen");
    assert_eq!((&entries[0]["seq"], &entries[0]["revoked"]), (&json!("6:2"), &json!(true)));
    assert_eq!(entries[0]["doc"], json!({"_id": "only-c", "_rev": rev, "_removed": true}));
    assert_eq!(entries[1]["deleted"], true);
    assert!(app.changes(Some("ada"), &format!("since={last}&revocations=true")).await.0.is_empty());
    let (rest, _) = app.changes(Some("ada"), "since=6:2&revocations=true").await;
    assert_eq!(ids(&rest), ["gone"], "a client goes on in the middle");
    assert!(app.changes(Some("ada"), &format!("{asked}&active_only=true")).await.0.is_empty());
    app.user("ada", &["C", "D"]).await;
    let (entries, _) = app.changes(Some("ada"), &asked).await;
    assert!(entries.iter().all(|entry| entry.get("revoked").is_none()), "had again, nothing to drop");
}

#[tokio::test]
async fn what_is_lost_through_a_role_is_told_at_the_loss_that_mattered() {
    let mut story = Story::begin().await;
    story.fill_to(4).await;
    story.grant(&["C"]).await;
    assert_eq!(story.since("5").await, (Vec::new(), "5".to_owned()));
    story.fill_to(19).await;
    story.member(&["role:crew"]).await;
    story.fill_to(25).await;
    assert_eq!(story.since("5").await.1, "20:3");
    story.fill_to(44).await;
    story.member(&[]).await;
    story.fill_to(50).await;
    let (entries, last) = story.since("25").await;
    assert_eq!((last.as_str(), &entries[0]["revoked"]), ("45:3", &json!(true)));
    story.fill_to(54).await;
    story.grant(&[]).await;
    story.fill_to(64).await;
    story.member(&["role:crew"]).await;
    story.fill_to(74).await;
    story.grant(&["C"]).await;
    story.fill_to(80).await;
    assert_eq!(story.since("50").await.1, "75:3", "granted anew");
    story.fill_to(84).await;
    story.grant(&[]).await;
    story.fill_to(94).await;
    story.member(&[]).await;
    story.fill_to(100).await;
    let (entries, last) = story.since("80").await;
    assert_eq!((entries.len(), last.as_str(), &entries[0]["revoked"]), (1, "85:3", &json!(true)));
}

#[tokio::test]
async fn a_deleted_role_and_a_purged_grant_are_losses() {
    let app = TestApp::start().await;
    let role = json!({"admin_channels": ["R"]});
    assert_eq!(send(app.admin(Method::PUT, "/_role/crew").json(&role)).await.0, 201);
    let body = json!({"password": crate::app::PASSWORD, "admin_roles": ["crew"]});
    assert_eq!(send(app.admin(Method::PUT, "/_user/ada").json(&body)).await.0, 201);
    app.put("r", json!({"channels": ["R"]})).await;
    app.put("g", json!({"channels": ["G"]})).await;
    app.put("grant", json!({"grant": {"to": "ada", "channels": ["G"]}})).await;
    let (entries, since) = app.changes(Some("ada"), "").await;
    assert_eq!(entries.len(), 2);
    assert_eq!(send(app.admin(Method::DELETE, "/_role/crew")).await.0, 200);
    assert_eq!(send(app.admin(Method::POST, "/_purge").json(&json!({"grant": ["*"]}))).await.0, 200);
    let (entries, _) = app.changes(Some("ada"), &format!("since={since}&revocations=true")).await;
    assert_eq!(ids(&entries), ["r", "g"]);
    assert!(entries.iter().all(|entry| entry["revoked"] == true && text(&entry["seq"]).contains(':')));
}

#[tokio::test]
async fn a_longpoll_wakes_for_a_revocation() {
    let app = TestApp::start().await;
    app.user("ada", &["C"]).await;
    app.put("d", json!({"channels": ["C"]})).await;
    let (_, since) = app.changes(Some("ada"), "").await;
    let query = format!("feed=longpoll&timeout=20000&since={since}&revocations=true");
    let (polled, ()) = tokio::join!(app.changes(Some("ada"), &query), app.user("ada", &[]));
    assert_eq!(polled.0[0]["revoked"], true);
}
