//! The REST API as programs meet it: tokens and their scopes, lists and their pages, changes that are judged by the access
//! rules, requests that are not doubled, events that go on where they were.

pub mod access;
mod admins;
mod live;
mod once;
mod people;
mod phones;
mod plans;
mod refusals;
mod streams;

use crate::app::{DEV, EAST, Setup, TEST, TestApp, WEST, owned_by};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// A program that acts for a person.
pub struct Program {
    base: String,
    pub token: String,
    http: Client,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub etag: String,
    pub kind: String,
    /// `WWW-Authenticate`
    pub challenge: String,
    pub body: Value,
}

pub fn http() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_mins(1)).build().unwrap()
}

impl Program {
    /// With a token that the person made in a browser.
    async fn of(app: &TestApp, user: &str, scopes: &[&str]) -> Program {
        Program::with(app, app.sign_in(user).await, scopes).await
    }

    pub async fn with(app: &TestApp, browser: crate::browser::Browser, scopes: &[&str]) -> Program {
        let csrf = browser.get("/leases").await.field("csrf");
        let wanted = json!({ "name": "a test", "scopes": scopes });
        let made = http().post(format!("{}/api/v1/tokens", app.web)).json(&wanted).header("x-csrf-token", csrf);
        let cookie = format!("__Host-zerocloud={}", browser.cookie("__Host-zerocloud").unwrap());
        let made = made.header("cookie", cookie).send().await.unwrap();
        assert_eq!(made.status(), StatusCode::CREATED);
        let made: Value = made.json().await.unwrap();
        Program { base: app.web.clone(), token: made["token"].as_str().unwrap().to_owned(), http: http() }
    }

    pub async fn all(app: &TestApp, user: &str) -> Program {
        Program::of(app, user, &["read", "write", "admin", "sync"]).await
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}/api/v1/{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let header =
            |name: &str| answer.headers().get(name).map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default();
        let (status, etag, kind) = (answer.status().as_u16(), header("etag"), header("content-type"));
        let challenge = header("www-authenticate");
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
        Answer { status, etag, kind, challenge, body }
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.send(Method::GET, path, &[], None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// A POST that works.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.send(Method::POST, path, &[], Some(body)).await;
        assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// An answer that is no JSON.
    pub async fn text(&self, path: &str) -> String {
        let asked = self.http.get(format!("{}/api/v1/{path}", self.base)).bearer_auth(&self.token);
        asked.send().await.unwrap().text().await.unwrap()
    }
}

fn hour() -> Setup {
    Setup::default().policy("default_lease", "2h").policy("max_lease", "1d")
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_is_stored_as_a_hash_and_ends_when_revoked() {
    let app = TestApp::start(hour()).await;
    let reader = Program::of(&app, "ada", &["read"]).await;
    assert_eq!(reader.get("me").await["email"], "ada@bigdb.example");
    let refused = reader.send(Method::PUT, "pauses/account", &[], Some(json!({ "reason": "x" }))).await;
    assert_eq!((refused.status, refused.kind.as_str()), (403, "application/problem+json"));
    assert_eq!(refused.body["detail"], "this token lacks the scope admin");
    assert_eq!(reader.send(Method::POST, "sync-session", &[], None).await.status, 403);
    let more = reader.send(Method::POST, "tokens", &[], Some(json!({ "name": "more", "scopes": ["admin"] }))).await;
    assert_eq!(more.status, 403, "a token makes no others");
    let stored = app.store.prefix("api_token::").await.unwrap();
    assert!(!format!("{stored:?}").contains(&reader.token));
    let tokens = reader.get("tokens").await;
    assert_eq!((tokens[0]["name"].as_str(), tokens[0].get("token")), (Some("a test"), None));
    let browser = app.sign_in("ada").await;
    let csrf = browser.get("/leases").await.field("csrf");
    let path = format!("/api/v1/tokens/{}", tokens[0]["id"].as_str().unwrap());
    assert_eq!(
        browser.send(Method::DELETE, &path, &[], None).await.status,
        StatusCode::FORBIDDEN,
        "without its page's secret"
    );
    assert_eq!(
        browser.send(Method::DELETE, &path, &[("x-csrf-token", &csrf)], None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(reader.send(Method::GET, "me", &[], None).await.status, 401);
    app.stop().await;
}

#[tokio::test]
async fn leases_are_listed_by_whose_they_are_filtered_and_page_by_page() {
    let app = TestApp::start(hour()).await;
    for _ in 0..3 {
        app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    }
    let maxs = app.aws.at(TEST, WEST).launch(&owned_by("max@bigdb.example"));
    app.until("leases", || async { (app.leases().await.len() == 4).then_some(()) }).await;
    app.advance(130);
    app.owned(&maxs, "max").await;
    app.until("owners", || async { app.leases().await.iter().all(|lease| !lease.owner.is_pending()).then_some(()) })
        .await;
    let (ada, lin) = (Program::all(&app, "ada").await, Program::all(&app, "lin").await);
    let ids = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ada.get("leases").await["total"], 4);
    let own = lin.get("leases").await;
    assert!(own["total"] == 3 && own["items"].as_array().unwrap().iter().all(|it| it["owner"] == "lin"));
    let first = ada.get("leases?limit=3&sort=-owner").await;
    assert_eq!(first["items"][0]["owner"], "max");
    let rest = ada.get(&format!("leases?limit=3&sort=-owner&cursor={}", first["next"].as_str().unwrap())).await;
    let (one, two) = (ids(&first), ids(&rest));
    assert!(two.len() == 1 && !one.contains(&two[0]) && rest.get("next").is_none());
    assert_eq!(ids(&ada.get(&format!("leases?region={WEST}")).await), [format!("{TEST}::{WEST}::{maxs}")]);
    assert_eq!(ada.get("leases?owner=me").await["total"], 0);
    assert_eq!(ada.get(&format!("leases?q={maxs}")).await["total"], 1);
    // t3.large in us-east-1, with 8 GiB of gp3 that DescribeVolumes told of.
    let priced = app
        .until("the price", || async {
            let lease = lin.get("leases?limit=1").await["items"][0].clone();
            lease["cost"]["volumes_hour"].as_u64().is_some_and(|cost| cost > 0).then_some(lease)
        })
        .await;
    assert!(priced["cost"]["running_hour"].is_u64() && priced["cost"]["volumes_hour"] == 876, "{}", priced["cost"]);
    assert_eq!(lin.get("resources?running=true").await["total"], 3);
    for bad in ["leases?limit=0", "leases?limit=x", "leases?sort=colour", "leases?cursor=x"] {
        let answer = lin.send(Method::GET, bad, &[], None).await;
        assert_eq!((answer.status, answer.kind.as_str()), (422, "application/problem+json"), "{bad}");
    }
    app.stop().await;
}

#[tokio::test]
async fn one_lease_has_an_etag_and_an_edit_needs_it_and_is_judged() {
    let app = TestApp::start(hour()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    let (lin, max) = (Program::all(&app, "lin").await, Program::all(&app, "max").await);
    let path = format!("leases/{DEV}::{EAST}::{id}");
    let read = lin.send(Method::GET, &path, &[], None).await;
    assert_eq!((read.status, &read.body["etag"]), (200, &json!(read.etag)));
    assert_eq!(lin.send(Method::GET, &path, &[("if-none-match", &read.etag)], None).await.status, 304);
    assert_eq!(max.send(Method::GET, &path, &[], None).await.status, 404, "what is not theirs does not exist for them");
    let later = json!({ "expires_at": read.body["max_expires_at"] });
    assert_eq!(lin.send(Method::PATCH, &path, &[], Some(later.clone())).await.status, 428);
    for stale in ["\"1-a\"", "\"W|\"", "W/\"1-a\"", "\"0-\""] {
        assert_eq!(
            lin.send(Method::PATCH, &path, &[("if-match", stale)], Some(later.clone())).await.status,
            412,
            "{stale}"
        );
    }
    let match_it = [("if-match", read.etag.as_str())];
    let taken = lin.send(Method::PATCH, &path, &match_it, Some(json!({ "owner": "max" }))).await;
    assert_eq!((taken.status, &taken.body["detail"]), (403, &json!("owner and exemption are for admins")));
    let unknown = lin.send(Method::PATCH, &path, &match_it, Some(json!({ "state": "active" }))).await;
    assert_eq!(unknown.status, 422);
    let edited = lin.send(Method::PATCH, &path, &match_it, Some(later)).await;
    assert_eq!((edited.status, &edited.body["expires_at"]), (200, &read.body["max_expires_at"]));
    what_an_edit_by_an_admin_says_must_be_so(&app, &path).await;
    app.stop().await;
}

/// `*` is whatever stands there (RFC 9110, 13.1.1).
async fn what_an_edit_by_an_admin_says_must_be_so(app: &TestApp, path: &str) {
    let ada = Program::all(app, "ada").await;
    let any = [("if-match", "*")];
    let edit = async |body: Value| ada.send(Method::PATCH, path, &any, Some(body)).await;
    for (wrong, word) in [
        (json!({ "owner": "nobody" }), "nobody here by the id nobody"),
        (json!({ "exemption": { "reason": "x", "until": "2020-01-01T00:00:00Z" } }), "has passed already"),
        (json!([]), "one JSON object"),
    ] {
        let refused = edit(wrong).await;
        assert!(refused.status == 422 && refused.body.to_string().contains(word), "{}", refused.body);
    }
    let until = app.clock.now().plus(864_000).to_string();
    let exempt = edit(json!({ "exemption": { "reason": "a release", "until": until } })).await;
    assert_eq!((exempt.status, &exempt.body["exemption"]["until"]), (200, &json!(until)));
    let ended = edit(json!({ "exemption": null })).await;
    assert_eq!((ended.status, &ended.body["exemption"]), (200, &Value::Null));
    let nothing = ada.send(Method::PATCH, "leases/111122223333::us-east-1::i-0", &any, Some(json!({}))).await;
    assert_eq!(nothing.status, 404);
}

#[tokio::test]
async fn a_request_is_answered_and_the_same_key_makes_no_second_one() {
    let app = TestApp::start(hour().with_another()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    let (lin, max) = (Program::all(&app, "lin").await, Program::all(&app, "max").await);
    let path = format!("leases/{}/requests?wait=20", lease.key());
    let renew = json!({ "action": "renew" });
    let key = [("idempotency-key", "first try")];
    let done = lin.send(Method::POST, &path, &key, Some(renew.clone())).await;
    assert_eq!((done.status, &done.body["answer"]["outcome"]), (200, &json!("done")), "{}", done.body);
    let until = done.body["answer"]["until"].clone();
    assert!(until.as_str().unwrap() > lease.expires_at.to_string().as_str());
    app.advance(60);
    let again = lin.send(Method::POST, &path, &key, Some(renew.clone())).await;
    assert_eq!((again.status, &again.body["id"], &again.body["answer"]["until"]), (200, &done.body["id"], &until));
    let other = lin.send(Method::POST, &path, &key, Some(json!({ "action": "end" }))).await;
    assert_eq!(other.status, 422, "{}", other.body);
    assert_eq!(lin.get("requests").await["total"], 1);
    assert_eq!(lin.get(&format!("requests/{}", done.body["id"].as_str().unwrap())).await["action"], "renew");
    assert_eq!(max.send(Method::POST, &path, &[], Some(renew)).await.status, 404);
    // Whose the lease is not, hears nothing of addresses.
    for to in ["nobody@bigdb.example", "ada@bigdb.example"] {
        for action in ["hand_over", "renew"] {
            let refused = max.send(Method::POST, &path, &[], Some(json!({ "action": action, "to": to }))).await;
            assert_eq!(refused.status, 404, "{action} {to}: {}", refused.body);
        }
    }
    // By address, too; who is in another Account is nobody here.
    for (stranger, status) in [("nobody@bigdb.example", 422), ("eve@other.example", 422), ("@", 422)] {
        let refused = lin.send(Method::POST, &path, &[], Some(json!({ "action": "hand_over", "to": stranger }))).await;
        let said = refused.body["detail"].as_str().unwrap_or_default();
        assert!(refused.status == status && said.contains("nobody with the address"), "{stranger}: {}", refused.body);
    }
    let wish = json!({ "action": "hand_over", "to": "Max@bigdb.example" });
    let offered = lin.send(Method::POST, &path, &[], Some(wish)).await;
    assert_eq!(
        (&offered.body["answer"]["outcome"], &offered.body["to"]),
        (&json!("done"), &json!("max")),
        "{}",
        offered.body
    );
    let taken = max.send(Method::POST, &path, &[], Some(json!({ "action": "accept" }))).await;
    assert_eq!(taken.body["answer"]["outcome"], "done", "{}", taken.body);
    app.owned(&id, "max").await;
    for bad in [json!({ "action": "dance" }), json!({ "action": "renew", "until": "soon" }), json!({}), json!([])] {
        assert_eq!(max.send(Method::POST, &path, &[], Some(bad.clone())).await.status, 422, "{bad}");
    }
    app.stop().await;
}

#[tokio::test]
async fn policies_people_aws_accounts_and_pauses_are_changed_by_admins_as_documents() {
    let app = TestApp::start(hour().stage("observe")).await;
    let (ada, lin) = (Program::all(&app, "ada").await, Program::all(&app, "lin").await);
    // Policies.
    let layer = json!({ "policy": { "default_lease": 3_600, "warnings": [600] } });
    let made = ada.send(Method::PUT, "policies/user:lin", &[("if-none-match", "*")], Some(layer.clone())).await;
    assert_eq!((made.status, &made.body["policy"]["default_lease"]), (200, &json!(3_600)), "{}", made.body);
    assert_eq!(
        ada.send(Method::PUT, "policies/user:lin", &[("if-none-match", "*")], Some(layer.clone())).await.status,
        412
    );
    assert_eq!(lin.get("policies/effective").await["default_lease"], 3_600);
    assert_eq!(lin.send(Method::PUT, "policies/user:lin", &[("if-match", &made.etag)], Some(layer)).await.status, 403);
    for bad in [json!({ "grace": 0 }), json!({ "grase": 10 }), json!({ "expiry_action": "explode" })] {
        let answer = ada
            .send(Method::PUT, "policies/user:lin", &[("if-match", &made.etag)], Some(json!({ "policy": bad })))
            .await;
        assert_eq!(answer.status, 422, "{bad}");
    }
    for stranger in ["user:nobody", "aws:999988887777"] {
        let path = format!("policies/{stranger}");
        let refused = ada.send(Method::PUT, &path, &[("if-none-match", "*")], Some(json!({ "policy": {} }))).await;
        assert_eq!(refused.status, 404, "{stranger}: {}", refused.body);
    }
    assert_eq!(ada.send(Method::DELETE, "policies/user:lin", &[("if-match", &made.etag)], None).await.status, 204);
    assert_eq!(lin.get("policies/effective").await["default_lease"], 7_200);
    // People.
    assert_eq!(
        (ada.get("users").await["total"].as_u64(), lin.get("users").await["total"].as_u64()),
        (Some(3), Some(1))
    );
    let read = lin.send(Method::GET, "users/lin", &[], None).await;
    let own = [("if-match", read.etag.as_str())];
    assert_eq!(lin.send(Method::PATCH, "users/lin", &own, Some(json!({ "role": "admin" }))).await.status, 403);
    assert_eq!(lin.send(Method::PATCH, "users/lin", &own, Some(json!({ "time_zone": "Mars/Base" }))).await.status, 422);
    let zone = lin.send(Method::PATCH, "users/lin", &own, Some(json!({ "time_zone": "Europe/Berlin" }))).await;
    assert_eq!((zone.status, &zone.body["time_zone"]), (200, &json!("Europe/Berlin")));
    assert_eq!(lin.send(Method::GET, "users/max", &[], None).await.status, 404);
    // AWS accounts: one step up at a time.
    let read = ada.send(Method::GET, &format!("aws-accounts/{DEV}"), &[], None).await;
    let known = [("if-match", read.etag.as_str())];
    let path = format!("aws-accounts/{DEV}");
    assert_eq!(ada.send(Method::PATCH, &path, &known, Some(json!({ "stage": "terminate" }))).await.status, 403);
    let raised = ada.send(Method::PATCH, &path, &known, Some(json!({ "stage": "notify" }))).await;
    assert_eq!((raised.status, &raised.body["stage"]), (200, &json!("notify")), "{}", raised.body);
    assert_eq!(lin.send(Method::GET, &path, &[], None).await.status, 403);
    // Pauses.
    let paused = ada.send(Method::PUT, &format!("pauses/{DEV}"), &[], Some(json!({ "reason": "a demo" }))).await;
    assert_eq!((paused.status, &paused.body["by"]), (200, &json!("bigdb.ada")), "{}", paused.body);
    assert_eq!(ada.get("pauses").await[0]["scope"], DEV);
    assert_eq!(lin.send(Method::PUT, "pauses/account", &[], Some(json!({ "reason": "x" }))).await.status, 403);
    assert_eq!(ada.send(Method::DELETE, &format!("pauses/{DEV}"), &[], None).await.status, 204);
    assert_eq!(ada.get("pauses").await, json!([]));
    app.stop().await;
}

#[tokio::test]
async fn the_status_says_what_runs_and_costs_are_estimates_with_their_source() {
    let app = TestApp::start(hour()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    let (ada, lin) = (Program::all(&app, "ada").await, Program::all(&app, "lin").await);
    let status = app
        .until("the status", || async {
            let status = ada.get("status").await;
            let places = status["places"].as_array().cloned().unwrap_or_default();
            let place = places.into_iter().find(|place| place["aws_id"] == DEV && place["region"] == EAST)?;
            (place["leased"] == 1).then_some((status, place))
        })
        .await;
    let (status, place) = status;
    assert_eq!((&status["complete"], &place["running"], &place["without"]), (&json!(true), &json!(1), &json!(0)));
    let page = app.sign_in("ada").await.get("/status.json").await;
    let page: Value = serde_json::from_str(&page.text).unwrap();
    let counted = |list: &Value, name: &str| -> u64 {
        list.as_array().unwrap().iter().map(|place| place[name].as_u64().unwrap()).sum()
    };
    for name in ["running", "leased", "held", "without", "stopped"] {
        assert_eq!(json!(counted(&status["places"], name)), page["total"][name], "{name} as the page counts");
    }
    assert!(status["leader_beat"].is_string() && status["unreadable"] == json!([]), "{status}");
    app.advance(3_600);
    let costs = ada.get("costs?days=2").await;
    assert_eq!((costs["days"].as_array().unwrap().len(), &costs["owners"][0]["name"]), (2, &json!("lin")));
    assert!(costs["owners"][0]["cost"].as_u64().unwrap() > 10_000, "{costs}");
    assert!(costs["prices"][EAST].as_str().unwrap().starts_with("2026-"), "{costs}");
    for name in ["days.svg?theme=dark", "owners.svg"] {
        let picture = ada.send(Method::GET, &format!("costs/{name}"), &[], None).await;
        assert_eq!((picture.status, picture.kind.as_str()), (200, "image/svg+xml"), "{name}");
    }
    let history = ada.get(&format!("history?lease={DEV}::{EAST}::{id}")).await;
    let items = history["items"].as_array().unwrap();
    assert!(items.len() >= 2 && items[0]["reason"].is_string() && history["next"].is_null(), "{history}");
    for path in ["status", "plan", "costs", "history", "aws-accounts", "pauses", "costs/days.svg"] {
        assert_eq!(lin.send(Method::GET, path, &[], None).await.status, 403, "{path}");
    }
    app.stop().await;
}

/// Two customers; an instance of lin's in the first one.
fn two_accounts() -> Setup {
    let accounts = format!(
        "  - id: bigdb\n    policy: {{stage_notice: 1s, default_lease: 2h}}\n    aws_accounts: [{{aws_id: '{DEV}', regions: [{EAST}], \
         stage: terminate, role_arn: 'arn:aws:iam::{DEV}:role/zerocloud', external_id: 'external-{DEV}'}}]\n    users:\n\
         \x20     - {{id: ada, email: ada@bigdb.example, role: admin}}\n      - {{id: lin, email: lin@bigdb.example}}\n\
         \x20     - {{id: max, email: max@bigdb.example}}\n  - id: rival\n    users: [{{id: eve, email: eve@rival.example, role: admin}}]\n"
    );
    Setup { accounts: Some(accounts), ..Setup::default() }
}

/// Each call as the owner, another dev, an admin, and the admin of another Account, with the status that each gets.
#[tokio::test]
async fn who_may_call_what() {
    let app = TestApp::start(two_accounts()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await.key().to_string();
    let eve = app.sign_in_to("rival", "eve").await;
    let callers = [
        Program::all(&app, "lin").await,
        Program::all(&app, "max").await,
        Program::all(&app, "ada").await,
        Program::with(&app, eve, &["read", "write", "admin", "sync"]).await,
    ];
    let read = [
        (format!("leases/{lease}"), [200, 404, 200, 404]),
        ("users/lin".to_owned(), [200, 404, 200, 404]),
        (format!("aws-accounts/{DEV}"), [403, 403, 200, 404]),
        ("policies/user:lin".to_owned(), [404, 404, 404, 404]),
        ("status".to_owned(), [403, 403, 200, 200]),
        ("costs".to_owned(), [403, 403, 200, 200]),
        ("history".to_owned(), [403, 403, 200, 200]),
        ("plan".to_owned(), [403, 403, 200, 200]),
        ("hooks".to_owned(), [403, 403, 200, 200]),
        ("aws-accounts".to_owned(), [403, 403, 200, 200]),
    ];
    for (path, expected) in &read {
        for (caller, status) in callers.iter().zip(expected) {
            let answer = caller.send(Method::GET, path, &[], None).await;
            assert_eq!(answer.status, *status, "{path}: {}", answer.body);
        }
    }
    let wish = json!({ "action": "end" });
    let change = [
        (Method::POST, format!("leases/{lease}/requests"), wish, [0, 404, 0, 404]),
        (Method::PATCH, format!("leases/{lease}"), json!({ "owner": "eve" }), [0, 404, 0, 404]),
        (Method::PATCH, "users/lin".to_owned(), json!({ "role": "admin" }), [0, 404, 0, 404]),
        (Method::PATCH, format!("aws-accounts/{DEV}"), json!({ "stage": "observe" }), [403, 403, 0, 404]),
        (Method::PUT, format!("pauses/{DEV}"), json!({ "reason": "x" }), [403, 403, 0, 404]),
        (Method::PUT, "policies/account".to_owned(), json!({ "policy": {} }), [403, 403, 0, 0]),
        (Method::POST, "hooks".to_owned(), json!({ "name": "x", "url": "https://x.example" }), [403, 403, 0, 0]),
    ];
    for (method, path, body, expected) in change {
        for (caller, status) in callers.iter().zip(expected).filter(|(_, status)| *status != 0) {
            let answer = caller.send(method.clone(), &path, &[("if-match", "\"1-a\"")], Some(body.clone())).await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        }
    }
    // Lists hold one's own; the other Account's admin hears of nothing.
    for (path, totals) in [("leases", [1, 0, 1, 0]), ("resources", [1, 0, 1, 0]), ("users", [1, 1, 3, 1])] {
        for (caller, total) in callers.iter().zip(totals) {
            assert_eq!(caller.get(path).await["total"], total, "{path}");
        }
    }
    let eve = &callers[3];
    for path in ["status", "history", "plan", "costs", "hooks", "pauses", "policies"] {
        let said = eve.get(path).await.to_string();
        assert!(!said.contains(&id) && !said.contains("bigdb") && !said.contains(DEV), "{path}: {said}");
    }
    app.stop().await;
}

#[tokio::test]
async fn nobody_gets_anywhere_without_signing_in_and_failures_are_problems() {
    let app = TestApp::start(hour()).await;
    let nobody = Program { base: app.web.clone(), token: String::new(), http: http() };
    let described: Value =
        http().get(format!("{}/api/openapi.json", app.web)).send().await.unwrap().json().await.unwrap();
    assert_eq!(described["openapi"], "3.1.0");
    let mut tried = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            if call.get("security").is_some() {
                continue;
            }
            let path = path.strip_prefix("/api/v1/").unwrap().replace(['{', '}'], "");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let body = (method != Method::GET && method != Method::DELETE).then(|| json!({}));
            let answer = nobody.send(method.clone(), &path, &[], body).await;
            assert_eq!((answer.status, answer.kind.as_str()), (401, "application/problem+json"), "{method} {path}");
            assert_eq!(answer.challenge, "Bearer realm=\"zerocloud\"", "{method} {path}");
            tried += 1;
        }
    }
    assert!(tried > 25, "{tried}");
    let lin = Program::all(&app, "lin").await;
    let wrong = lin.send(Method::DELETE, "leases", &[], None).await;
    assert_eq!((wrong.status, wrong.kind.as_str()), (405, "application/problem+json"));
    assert_eq!(lin.send(Method::GET, "nowhere", &[], None).await.status, 404);
    let page = app.browser().get("/api").await;
    assert!(
        page.status == StatusCode::OK && page.words().contains("/api/v1/leases/{lease}/requests"),
        "{}",
        page.words()
    );
    app.stop().await;
}
