//! What a phone may do with a token, and until when.

use super::{Program, hour, http};
use crate::app::{DEV, EAST, TestApp, owned_by};
use futures_util::StreamExt as _;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// A session that was given to a phone.
pub struct Phone {
    database: String,
    cookie: String,
    expires: String,
}

impl Phone {
    async fn of(program: &Program) -> Phone {
        Phone::read(&program.post("sync-session", json!({})).await)
    }

    fn read(made: &Value) -> Phone {
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let cookie = format!("{}={}", text("cookie_name"), text("session_id"));
        Phone { database: text("url"), cookie, expires: text("expires") }
    }

    async fn get(&self, path: &str) -> Response {
        http().get(format!("{}/{path}", self.database)).header("cookie", &self.cookie).send().await.unwrap()
    }

    async fn is_over(&self) -> Option<()> {
        (self.get("_all_docs").await.status() == StatusCode::UNAUTHORIZED).then_some(())
    }
}

const FEED: &str = "_changes?feed=continuous&heartbeat=25000";

/// A client that waits for as long as a feed goes on.
fn patient() -> reqwest::Client {
    reqwest::Client::builder().build().unwrap()
}

/// Waits until the server ends a feed.
async fn ends(feed: Response, what: &str) {
    let mut parts = feed.bytes_stream();
    let last = async { while parts.next().await.is_some_and(|part| part.is_ok()) {} };
    tokio::time::timeout(Duration::from_mins(1), last).await.unwrap_or_else(|_| panic!("{what} goes on"));
}

#[tokio::test]
async fn revoking_a_token_ends_the_sessions_and_feeds_that_it_gave_and_no_others() {
    let app = TestApp::start(hour()).await;
    let (lost, kept) = (Program::all(&app, "lin").await, Program::all(&app, "lin").await);
    let (lost_phone, kept_phone) = (Phone::of(&lost).await, Phone::of(&kept).await);
    for phone in [&lost_phone, &kept_phone] {
        assert_eq!(phone.get("_all_docs").await.status(), StatusCode::OK);
    }
    let feed = |phone: &Phone| patient().get(format!("{}/{FEED}", phone.database));
    let by_cookie = feed(&lost_phone).header("cookie", &lost_phone.cookie).send().await.unwrap();
    let by_token = feed(&lost_phone).bearer_auth(&lost.token).send().await.unwrap();
    let events = patient().get(format!("{}/api/v1/events", app.web)).bearer_auth(&lost.token).send().await.unwrap();
    let stays = feed(&kept_phone).header("cookie", &kept_phone.cookie).send().await.unwrap();
    for feed in [&by_cookie, &by_token, &events, &stays] {
        assert_eq!(feed.status(), StatusCode::OK);
    }
    assert_eq!(lost.send(Method::DELETE, "tokens/current", &[], None).await.status, 204);
    assert_eq!(lost_phone.is_over().await, Some(()), "at once");
    assert_eq!(kept_phone.get("_all_docs").await.status(), StatusCode::OK);
    ends(by_cookie, "a feed of the lost session").await;
    ends(by_token, "a feed of the lost token").await;
    ends(events, "a stream of the lost token").await;
    let mut stays = stays.bytes_stream();
    let quiet = async { while let Some(Ok(_)) = stays.next().await {} };
    assert!(tokio::time::timeout(Duration::from_secs(1), quiet).await.is_err(), "the other phone's feed goes on");
    kept.get("leases").await;
    app.stop().await;
}

#[tokio::test]
async fn a_session_for_syncing_lasts_a_day_however_much_it_is_used_and_no_longer_than_what_gave_it() {
    let app = TestApp::start(hour()).await;
    let lin = Program::all(&app, "lin").await;
    let first = Phone::of(&lin).await;
    assert_eq!(first.expires, app.clock.now().plus(86_400).to_string());
    app.advance(86_399);
    assert_eq!(first.get("_all_docs").await.status(), StatusCode::OK);
    app.advance(2);
    app.until("the day is over", || first.is_over()).await;
    // Its token goes on, gives another, and ends that one with itself.
    app.advance(89 * 86_400 - 3_600);
    let last = Phone::of(&lin).await;
    assert_eq!(last.get("_all_docs").await.status(), StatusCode::OK);
    assert!(last.expires < app.clock.now().plus(3_601).to_string(), "{}", last.expires);
    let browser = app.sign_in("lin").await;
    let csrf = browser.get("/leases").await.field("csrf");
    let made = browser.send(Method::POST, "/api/v1/sync-session", &[("x-csrf-token", &csrf)], None).await;
    let of_browser = Phone::read(&serde_json::from_str(&made.text).unwrap());
    app.advance(3_601);
    app.until("the token is over", || last.is_over()).await;
    assert_eq!(of_browser.get("_all_docs").await.status(), StatusCode::OK);
    app.advance(43_200);
    app.until("the browser's session is over", || of_browser.is_over()).await;
    let left = || async { app.store.prefix("sync_session::").await.unwrap().is_empty().then_some(()) };
    app.until("nothing is kept of them", left).await;
    app.stop().await;
}

#[tokio::test]
async fn a_token_syncs_no_more_than_its_scopes_say() {
    let app = TestApp::start(hour()).await;
    let policy = json!({
        "_id": "policy::bigdb::user::lin", "type": "user_policy", "account": "bigdb", "schema": 1, "user": "lin",
        "updated_by": "bigdb.ada", "policy": {},
    });
    let admin = "this token lacks the scope admin";
    for (user, scopes, reading, writing) in [
        ("ada", &["sync"][..], "this token lacks the scope read", "this token lacks the scopes read, write and admin"),
        ("ada", &["read"], "this token lacks the scope sync", "this token lacks the scopes sync, write and admin"),
        ("ada", &["sync", "read"], "", "this token lacks the scopes write and admin"),
        ("ada", &["sync", "read", "write"], "", admin),
        ("ada", &["sync", "read", "write", "admin"], "", ""),
        ("lin", &["sync", "read"], "", "this token lacks the scope write"),
        ("lin", &["sync", "read", "write"], "", ""),
    ] {
        let program = Program::of(&app, user, scopes).await;
        let given = program.send(Method::POST, "sync-session", &[], None).await;
        let said = given.body["detail"].as_str().unwrap_or_default();
        assert_eq!((given.status, said), (if writing.is_empty() { 201 } else { 403 }, writing), "{user} {scopes:?}");
        let sync = async |method: Method, path: &str, body: Option<&Value>| {
            let url = format!("{}/sync/zerocloud/{path}", app.web);
            let request = http().request(method, url).bearer_auth(&program.token);
            let answer = match body {
                Some(body) => request.json(body),
                None => request,
            };
            let answer = answer.send().await.unwrap();
            let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap_or_default());
            (status, body["detail"].as_str().unwrap_or_default().to_owned())
        };
        for (method, path, body) in [
            (Method::GET, "account::bigdb", None),
            (Method::GET, "_changes", None),
            (Method::POST, "_all_docs", Some(json!({ "keys": ["account::bigdb"] }))),
            (Method::POST, "_revs_diff", Some(json!({}))),
        ] {
            let (status, said) = sync(method.clone(), path, body.as_ref()).await;
            assert_eq!((status == StatusCode::OK, &*said), (reading.is_empty(), reading), "{user} {scopes:?} {path}");
        }
        for (method, path, body) in [
            (Method::POST, "_bulk_docs", json!({ "docs": [] })),
            (Method::PUT, "_local/place", json!({})),
            (Method::PUT, "policy::bigdb::user::lin", policy.clone()),
        ] {
            let (status, said) = sync(method.clone(), path, Some(&body)).await;
            assert_eq!(&*said, writing, "{user} {scopes:?} {method} {path}: {status}");
        }
    }
    // Only the admin whose token says so wrote the policy.
    let written = app.store.get::<Value>("policy::bigdb::user::lin").await.unwrap().unwrap();
    assert!(written.rev.unwrap().starts_with("1-"));
    app.stop().await;
}

#[tokio::test]
async fn a_session_ends_when_its_person_becomes_an_admin_whom_its_token_does_not_know() {
    let app = TestApp::start(hour()).await;
    let phone = Phone::of(&Program::of(&app, "lin", &["sync", "read", "write"]).await).await;
    let whole = Phone::of(&Program::all(&app, "lin").await).await;
    assert_eq!(phone.get("_all_docs").await.status(), StatusCode::OK);
    app.edit("user::bigdb::lin", |body| body["role"] = json!("admin")).await;
    app.until("the session is over", || phone.is_over()).await;
    assert_eq!(whole.get("_all_docs").await.status(), StatusCode::OK);
    app.stop().await;
}

#[tokio::test]
async fn owner_and_exemption_of_a_lease_and_roles_need_the_scope_admin() {
    let app = TestApp::start(hour()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    let (some, all) = (Program::of(&app, "ada", &["read", "write"]).await, Program::all(&app, "ada").await);
    let lease = format!("leases/{DEV}::{EAST}::{id}");
    let until = app.clock.now().plus(86_400).to_string();
    let exemption = json!({ "exemption": { "reason": "the demo", "until": until } });
    for (path, body) in [
        (&*lease, json!({ "owner": "max" })),
        (&lease, exemption.clone()),
        ("users/ada", json!({ "aliases": ["ada-laptop"] })),
    ] {
        let etag = some.send(Method::GET, path, &[], None).await.etag;
        let refused = some.send(Method::PATCH, path, &[("if-match", &etag)], Some(body.clone())).await;
        let said = refused.body["detail"].as_str().unwrap_or_default();
        assert_eq!((refused.status, said), (403, "this token lacks the scope admin"), "{path} {body}");
    }
    let etag = all.send(Method::GET, &lease, &[], None).await.etag;
    let edited = all.send(Method::PATCH, &lease, &[("if-match", &etag)], Some(exemption)).await;
    assert_eq!((edited.status, &edited.body["exemption"]["reason"]), (200, &json!("the demo")));
    app.stop().await;
}

#[tokio::test]
async fn who_is_removed_by_document_alone_is_signed_out_everywhere_and_gone_from_the_gateway() {
    let app = TestApp::start(hour()).await;
    let ada = Phone::of(&Program::all(&app, "ada").await).await;
    let (lin, max) = (Program::all(&app, "lin").await, Program::all(&app, "max").await);
    let (lins, maxs) = (Phone::of(&lin).await, Phone::of(&max).await);
    let browser = app.sign_in("lin").await;
    let rev = |id: &'static str| async { app.store.get::<Value>(id).await.unwrap().unwrap().rev.unwrap() };
    // One by an admin's phone, one past the access rules.
    let url = format!("{}/user::bigdb::lin?rev={}", ada.database, rev("user::bigdb::lin").await);
    let deleted = http().delete(url).header("cookie", &ada.cookie).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::OK);
    app.store.delete("user::bigdb::max", &rev("user::bigdb::max").await).await.unwrap();
    for (name, phone) in [("bigdb.lin", &lins), ("bigdb.max", &maxs)] {
        let gone = || async { (!app.store.user_exists(name).await.unwrap()).then_some(()) };
        app.until(&format!("{name} is gone from the gateway"), gone).await;
        assert_eq!(phone.is_over().await, Some(()), "{name}");
    }
    assert!(app.store.user_exists("bigdb.ada").await.unwrap());
    assert_eq!(browser.get("/leases").await.status, StatusCode::SEE_OTHER);
    let sessions = app.store.prefix("web_session::").await.unwrap();
    assert!(sessions.iter().all(|doc| doc.body["user"] == "ada"), "{sessions:?}");
    assert_eq!(ada.get("_all_docs").await.status(), StatusCode::OK);
    app.stop().await;
}
