//! Every call of the API, as its description names them, as the dev whom it is about, another dev, an admin, and the admin of another
//! Account. A call without a row here fails the test.

use super::{Program, http};
use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The call as it is described; what stands for `{id}` and the like; what is sent; and what lin, max, ada and eve get.
type Row = (&'static str, &'static str, Value, [u16; 4]);

/// Everybody sees or makes what is their own.
const OWN: [u16; 4] = [200; 4];
/// What an admin may see of their Account.
const ADMINS: [u16; 4] = [403, 403, 200, 200];
/// The same of one thing, which is not there for another Account.
const ADMINS_ONE: [u16; 4] = [403, 403, 200, 404];
/// A change that comes too late, so that nothing is changed: who may make it hears so.
const ADMINS_LATE: [u16; 4] = [403, 403, 412, 404];

/// What no token may do.
const BROWSERS: [u16; 4] = [403; 4];

fn reads() -> Vec<Row> {
    let none = || Value::Null;
    vec![
        ("GET me", "", none(), OWN),
        ("GET tokens", "", none(), OWN),
        ("GET leases", "", none(), OWN),
        ("GET leases/{lease}", "{lease}", none(), [200, 404, 200, 404]),
        ("GET requests", "", none(), OWN),
        ("GET requests/{id}", "{request}", none(), [200, 404, 404, 404]),
        ("GET resources", "", none(), OWN),
        ("GET users", "", none(), OWN),
        ("GET users/{user}", "lin", none(), [200, 404, 200, 404]),
        ("GET policies", "", none(), OWN),
        ("GET policies/effective", "", none(), OWN),
        ("GET policies/{policy}", "user:lin", none(), [200, 404, 200, 404]),
        ("GET exemptions", "", none(), ADMINS),
        ("GET exemptions/{id}", "{rule}", none(), ADMINS_ONE),
        ("GET aws-accounts", "", none(), ADMINS),
        ("GET aws-accounts/begun", "", none(), ADMINS),
        ("GET aws-accounts/{aws_id}", DEV, none(), ADMINS_ONE),
        ("GET aws-accounts/{aws_id}/event-keys", DEV, none(), ADMINS_ONE),
        ("GET aws-accounts/{aws_id}/access", DEV, none(), ADMINS_ONE),
        ("GET aws-accounts/{aws_id}/template", DEV, none(), ADMINS_ONE),
        ("GET pauses", "", none(), ADMINS),
        ("GET plan", "", none(), ADMINS),
        ("GET status", "", none(), ADMINS),
        ("GET costs", "", none(), ADMINS),
        ("GET costs/{picture}", "days.svg", none(), ADMINS),
        ("GET events", "", none(), OWN),
        ("GET hooks", "", none(), ADMINS),
        ("GET history", "", none(), ADMINS),
    ]
}

fn changes() -> Vec<Row> {
    let rule = json!({ "by": "name", "value": "x", "reason": "x", "until": "2099-01-01T00:00:00Z" });
    let mut bad = rule.clone();
    bad["value"] = json!("");
    vec![
        ("POST tokens", "", json!({ "name": "x", "scopes": ["read"] }), BROWSERS),
        ("DELETE tokens/{id}", "{token}", Value::Null, BROWSERS),
        ("PATCH leases/{lease}", "{lease}", json!({ "owner": "max" }), [412, 404, 412, 404]),
        ("POST leases/{lease}/requests", "{lease}", json!({ "action": "revive" }), [200, 404, 200, 404]),
        ("POST users", "", json!({ "email": "x" }), [403, 403, 422, 422]),
        ("PATCH users/{user}", "lin", json!({ "role": "admin" }), [412, 404, 412, 404]),
        ("PUT policies/{policy}", "user:lin", json!({ "policy": { "grace": 7_200 } }), ADMINS_LATE),
        ("DELETE policies/{policy}", "user:lin", Value::Null, [403, 403, 412, 412]),
        ("POST policies/{policy}/preview", "user:lin", json!({ "policy": { "grace": 7_200 } }), ADMINS_ONE),
        ("POST exemptions", "", bad, [403, 403, 422, 422]),
        ("POST exemptions/preview", "", json!({ "rule": rule }), ADMINS),
        ("PUT exemptions/{id}", "{rule}", rule, ADMINS_LATE),
        ("DELETE exemptions/{id}", "{rule}", Value::Null, [403, 403, 204, 404]),
        ("POST aws-accounts", "", json!({ "id": "777788889999" }), [403, 403, 201, 201]),
        ("POST aws-accounts/{aws_id}/preview", DEV, json!({ "stage": "stop" }), ADMINS_ONE),
        ("PATCH aws-accounts/{aws_id}", DEV, json!({ "stage": "observe" }), ADMINS_LATE),
        ("POST aws-accounts/{aws_id}/event-keys", DEV, json!({ "name": "x" }), [403, 403, 201, 404]),
        ("POST aws-accounts/{aws_id}/event-keys/{id}/rotate", "{key}", json!({}), [403, 403, 201, 404]),
        ("DELETE aws-accounts/{aws_id}/event-keys/{id}", "{key}", Value::Null, [403, 403, 204, 404]),
        ("PUT pauses/{scope}", DEV, json!({ "reason": "x" }), ADMINS_ONE),
        // Also where nothing is paused, as of this AWS account for the other.
        ("DELETE pauses/{scope}", DEV, Value::Null, [403, 403, 204, 204]),
        ("POST hooks", "", json!({ "name": "", "url": "x" }), [403, 403, 422, 422]),
        ("DELETE hooks/{id}", "{hook}", Value::Null, [403, 403, 204, 404]),
        ("POST sync-session", "", Value::Null, [201; 4]),
        ("POST aws-accounts/{aws_id}/verify", DEV, json!({}), ADMINS_ONE),
        ("POST aws-accounts/{aws_id}/rotate", DEV, Value::Null, ADMINS_ONE),
        // Only once it is disabled.
        ("DELETE aws-accounts/{aws_id}", DEV, Value::Null, [403, 403, 422, 404]),
        ("DELETE users/{user}", "max", Value::Null, [403, 403, 204, 404]),
    ]
}

/// Method and path, below `/api/v1/`, of each row.
pub fn calls() -> Vec<(&'static str, &'static str)> {
    reads().into_iter().chain(changes()).map(|(call, ..)| call.split_once(' ').unwrap()).collect()
}

/// The calls that are described, as in a row; those that nobody signs in for have no row.
async fn described(app: &TestApp) -> BTreeSet<String> {
    let described: Value =
        http().get(format!("{}/api/openapi.json", app.web)).send().await.unwrap().json().await.unwrap();
    let mut calls = BTreeSet::new();
    for (path, methods) in described["paths"].as_object().unwrap() {
        let signed_in = methods.as_object().unwrap().iter().filter(|(_, call)| call.get("security").is_none());
        let path = path.strip_prefix("/api/v1/").unwrap();
        calls.extend(signed_in.map(|(method, _)| format!("{} {path}", method.to_uppercase())));
    }
    calls
}

/// What the rows are about: of each `{word}`, what it stands for.
async fn things(app: &TestApp, lease: &str, lin: &Program, ada: &Program) -> Vec<(&'static str, String)> {
    let made = async |by: &Program, path: &str, body: Value| {
        let made = by.send(Method::POST, path, &[], Some(body)).await;
        made.body["id"].as_str().unwrap_or_else(|| panic!("{path}: {}", made.body)).to_owned()
    };
    let rule = json!({ "by": "name", "value": "x", "reason": "x", "until": "2099-01-01T00:00:00Z" });
    let layer = json!({ "policy": { "grace": 3_600 } });
    let put = ada.send(Method::PUT, "policies/user:lin", &[("if-none-match", "*")], Some(layer)).await;
    assert!(put.status < 300, "{}", put.body);
    let key = format!("aws-accounts/{DEV}/event-keys");
    let things = vec![
        ("{lease}", lease.to_owned()),
        ("{request}", made(lin, &format!("leases/{lease}/requests"), json!({ "action": "revive" })).await),
        ("{rule}", made(ada, "exemptions", rule).await),
        ("{hook}", made(ada, "hooks", json!({ "name": "x", "url": "https://hooks.example/x" })).await),
        ("{token}", another_token(app, lin).await),
        ("{key}", made(ada, &key, json!({ "name": "x" })).await),
    ];
    app.until("the rule and the key are known", || async {
        let keys = ada.get(&key).await;
        (keys.as_array().is_some_and(|keys| !keys.is_empty())).then_some(())
    })
    .await;
    things
}

/// One of lin's, beside that with which the calls are made.
async fn another_token(app: &TestApp, lin: &Program) -> String {
    let ids = async || -> Vec<String> {
        let tokens = lin.get("tokens").await;
        tokens.as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap().to_owned()).collect()
    };
    let before = ids().await;
    Program::all(app, "lin").await;
    ids().await.into_iter().find(|id| !before.contains(id)).unwrap()
}

/// Where a row's call goes.
fn at(call: &str, what: &str, things: &[(&str, String)]) -> String {
    let mut path = call.split_once(' ').unwrap().1.to_owned();
    if let (Some(begin), Some(end)) = (path.rfind('{'), path.rfind('}')) {
        path.replace_range(begin..=end, what);
    }
    for (word, thing) in things {
        path = path.replace(word, thing);
    }
    path.replace("{aws_id}", DEV)
}

#[tokio::test]
async fn every_call_that_is_described_has_a_row_and_opens_only_for_whom_it_is_meant() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await.key().to_string();
    let rows: Vec<Row> = reads().into_iter().chain(changes()).collect();
    let named: BTreeSet<String> = rows.iter().map(|(call, ..)| (*call).to_owned()).collect();
    assert_eq!(named, described(&app).await, "each call has a row, and each row a call");
    let callers = [
        Program::all(&app, "lin").await,
        Program::all(&app, "max").await,
        Program::all(&app, "ada").await,
        Program::with(&app, app.sign_in_to("other", "eve").await, &["read", "write", "admin", "sync"]).await,
    ];
    let things = things(&app, &lease, &callers[0], &callers[2]).await;
    let mut wrong = Vec::new();
    for (call, what, body, wanted) in rows {
        let path = at(call, what, &things);
        let method = Method::from_bytes(call.split_once(' ').unwrap().0.as_bytes()).unwrap();
        // Whoever may do it last: what they do is done.
        let mut order = [0, 1, 2, 3];
        order.sort_by_key(|who| wanted[*who] < 400);
        for who in order {
            let caller = &callers[who];
            let request = caller.http.request(method.clone(), format!("{}/api/v1/{path}", caller.base));
            let mut request = request.bearer_auth(caller.token());
            if matches!(call.split(' ').next(), Some("PUT" | "PATCH")) || call == "DELETE policies/{policy}" {
                request = request.header("if-match", "\"1-a\"");
            }
            if !body.is_null() {
                request = request.json(&body);
            }
            // Only the beginning: streams have no end.
            let answer = request.send().await.unwrap();
            // Accepted, and answered a moment later.
            let status = if answer.status() == StatusCode::ACCEPTED { 200 } else { answer.status().as_u16() };
            if status != wanted[who] {
                wrong.push(format!("{call} as {}: {status}, not {}", ["lin", "max", "ada", "eve"][who], wanted[who]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // In a browser a token is its owner's to revoke, and nobody else's.
    let path = at("DELETE tokens/{id}", "{token}", &things);
    let (eve, ada, lin) = (app.sign_in_to("other", "eve").await, app.sign_in("ada").await, app.sign_in("lin").await);
    for (browser, status) in [(eve, 404), (ada, 404), (lin, 204)] {
        let csrf = browser.get("/settings").await.field("csrf");
        let answer = browser.send(Method::DELETE, &format!("/api/v1/{path}"), &[("x-csrf-token", &csrf)], None).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    }
    app.stop().await;
}
