//! What admins change by programs: exemption rules, people, and forecasts of what a change would alter.

use super::{Program, hour, two_accounts};
use crate::app::{DEV, EAST, TestApp, owned_by};
use reqwest::Method;
use serde_json::{Value, json};
use zerocloud::model::HoldKind;

fn rule(value: &str) -> Value {
    json!({ "by": "name", "value": value, "reason": "the demo", "until": "2099-01-01T00:00:00Z" })
}

#[tokio::test]
async fn exemption_rules_are_made_changed_and_ended_and_shown_beforehand() {
    let app = TestApp::start(hour()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example").tag("Name", "web-1"));
    app.settled(&id, "lin").await;
    let (ada, lin) = (Program::all(&app, "ada").await, Program::all(&app, "lin").await);
    let trial = json!({ "rule": rule("web-*") });
    let said = app
        .until("the preview knows the lease", || async {
            let said = ada.send(Method::POST, "exemptions/preview", &[], Some(trial.clone())).await;
            assert_eq!(said.status, 200, "{}", said.body);
            (said.body["preview"]["changed"] == 1).then_some(said.body)
        })
        .await;
    assert!(said["picks"][0].as_str().unwrap().ends_with(&id), "{said}");
    assert!(said["preview"]["rows"][0]["after"][0].as_str().unwrap().contains("the demo"), "{said}");
    assert_eq!(ada.get("exemptions").await, json!([]), "a preview changes nothing");

    let made = ada.send(Method::POST, "exemptions", &[], Some(rule("web-*"))).await;
    assert_eq!((made.status, &made.body["holds"], &made.body["made_by"]), (201, &json!(1), &json!("bigdb.ada")));
    app.advance(11_000);
    app.lease_where(&id, "held", |it| it.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Exemption)).await;
    let path = format!("exemptions/{}", made.body["id"].as_str().unwrap());
    let etag = ada.send(Method::GET, &path, &[], None).await.etag;
    assert_eq!(ada.send(Method::PUT, &path, &[], Some(rule("db-*"))).await.status, 428);
    assert_eq!(ada.send(Method::PUT, &path, &[("if-match", "\"1-a\"")], Some(rule("db-*"))).await.status, 412);
    let changed = ada.send(Method::PUT, &path, &[("if-match", &etag)], Some(rule("db-*"))).await;
    assert_eq!((changed.status, &changed.body["id"], &changed.body["holds"]), (200, &made.body["id"], &json!(0)));
    assert_eq!(ada.send(Method::PUT, &path, &[("if-match", &etag)], Some(rule("x"))).await.status, 412);
    assert_eq!(ada.send(Method::DELETE, &path, &[], None).await.status, 204);
    assert_eq!(ada.send(Method::DELETE, &path, &[], None).await.status, 404);
    assert_eq!(ada.get("exemptions").await, json!([]));

    for bad in [json!({ "by": "moon" }), json!({ "value": "" }), json!({ "until": "soon" }), json!({ "colour": 1 })] {
        let mut body = rule("x");
        body.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        assert_eq!(ada.send(Method::POST, "exemptions", &[], Some(body)).await.status, 422, "{bad}");
    }
    assert_eq!(ada.send(Method::POST, "exemptions/preview", &[], Some(json!({}))).await.status, 422);
    assert_eq!(lin.send(Method::POST, "exemptions", &[], Some(rule("*"))).await.status, 403);
    app.stop().await;
}

#[tokio::test]
async fn a_policy_or_a_stage_is_shown_with_what_it_would_alter_before_it_is_saved() {
    let app = TestApp::start(hour().stage("stop")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    let ada = Program::all(&app, "ada").await;
    let longer = json!({ "policy": { "max_lease": 432_000 } });
    for layer in ["account", "user:lin", &format!("aws:{DEV}")] {
        let path = format!("policies/{layer}/preview");
        let body = app
            .until("the lease is seen", || async {
                let said = ada.send(Method::POST, &path, &[], Some(longer.clone())).await;
                assert_eq!(said.status, 200, "{layer}: {}", said.body);
                (said.body["leases"] == 1).then_some(said.body)
            })
            .await;
        assert_eq!(body["changed"], 1, "{layer}: {body}");
        assert!(body["rows"][0]["after"].to_string().contains("Can be renewed until"), "{layer}: {body}");
        assert_eq!(body["rows"][0]["key"], format!("{DEV}::{EAST}::{id}"));
    }
    assert_eq!(ada.send(Method::GET, "policies/user:lin", &[], None).await.status, 404, "nothing is saved");
    let path = format!("aws-accounts/{DEV}/preview");
    let lower = ada.send(Method::POST, &path, &[], Some(json!({ "stage": "observe" }))).await;
    assert_eq!((lower.status, &lower.body["later"], &lower.body["sooner"]), (200, &json!(1), &json!(0)));
    assert_eq!(ada.send(Method::POST, &path, &[], Some(json!({ "stage": "explode" }))).await.status, 422);
    for (path, status) in [("policies/user:nobody/preview", 404), ("policies/moon/preview", 404)] {
        assert_eq!(ada.send(Method::POST, path, &[], Some(longer.clone())).await.status, status, "{path}");
    }
    let odd = json!({ "policy": { "grase": 1 } });
    assert_eq!(ada.send(Method::POST, "policies/account/preview", &[], Some(odd)).await.status, 422);
    app.stop().await;
}

#[tokio::test]
async fn people_are_invited_get_another_role_and_leave() {
    let app = TestApp::start(hour()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    let (ada, lin) = (Program::all(&app, "ada").await, Program::all(&app, "lin").await);
    let new = json!({ "email": "Kim@bigdb.example", "name": "Kim", "role": "admin" });
    let made = ada.send(Method::POST, "users", &[], Some(new.clone())).await;
    assert_eq!(
        (made.status, &made.body["email"], &made.body["role"]),
        (201, &json!("kim@bigdb.example"), &json!("admin"))
    );
    let again = ada.send(Method::POST, "users", &[], Some(new)).await;
    assert_eq!((again.status, &again.body["detail"]), (422, &json!("kim@bigdb.example is here already.")));
    for email in ["nobody", "a b@c.example", ""] {
        let answer = ada.send(Method::POST, "users", &[], Some(json!({ "email": email }))).await;
        assert_eq!(answer.status, 422, "{email}");
    }
    assert_eq!(lin.send(Method::POST, "users", &[], Some(json!({ "email": "x@bigdb.example" }))).await.status, 403);
    let path = format!("users/{}", made.body["id"].as_str().unwrap());
    let etag = ada.send(Method::GET, &path, &[], None).await.etag;
    let dev = ada.send(Method::PATCH, &path, &[("if-match", &etag)], Some(json!({ "role": "dev" }))).await;
    assert_eq!((dev.status, &dev.body["role"]), (200, &json!("dev")));
    assert_eq!(ada.send(Method::DELETE, &path, &[("if-match", &etag)], None).await.status, 412);

    assert_eq!(ada.send(Method::DELETE, "users/ada", &[], None).await.status, 403, "nobody removes themselves");
    assert_eq!(lin.send(Method::DELETE, "users/max", &[], None).await.status, 403);
    assert_eq!(ada.send(Method::DELETE, "users/lin", &[], None).await.status, 204);
    assert_eq!(lin.send(Method::GET, "me", &[], None).await.status, 401, "their token is worth nothing");
    assert_eq!(ada.send(Method::DELETE, "users/lin", &[], None).await.status, 404);
    app.owned(&id, "ada").await;
    app.stop().await;
}

/// Each call about what is of `bigdb` as a dev, and as the admin of another Account.
#[tokio::test]
async fn what_admins_do_is_for_admins_of_that_account() {
    let app = TestApp::start(two_accounts()).await;
    let eve = app.sign_in_to("rival", "eve").await;
    let eve = Program::with(&app, eve, &["read", "write", "admin", "sync"]).await;
    let (lin, reader) = (Program::all(&app, "lin").await, Program::of(&app, "ada", &["read"]).await);
    let ada = Program::all(&app, "ada").await;
    let made = ada.send(Method::POST, "exemptions", &[], Some(rule("x"))).await;
    let exemption = format!("exemptions/{}", made.body["id"].as_str().unwrap());
    let calls = [
        (Method::GET, exemption.clone(), Value::Null, 404),
        (Method::PUT, exemption.clone(), rule("*"), 404),
        (Method::DELETE, exemption.clone(), Value::Null, 404),
        (Method::POST, format!("policies/aws:{DEV}/preview"), json!({ "policy": {} }), 404),
        (Method::POST, "policies/user:lin/preview".to_owned(), json!({ "policy": {} }), 404),
        (Method::POST, format!("aws-accounts/{DEV}/preview"), json!({ "stage": "observe" }), 404),
        (Method::DELETE, "users/lin".to_owned(), Value::Null, 404),
    ];
    for (method, path, body, status) in calls {
        let body = Some(body).filter(|body| !body.is_null());
        let match_it = [("if-match", "\"1-a\"")];
        assert_eq!(lin.send(method.clone(), &path, &match_it, body.clone()).await.status, 403, "{method} {path}");
        assert_eq!(eve.send(method.clone(), &path, &match_it, body.clone()).await.status, status, "{method} {path}");
        let changes = method == Method::PUT || method == Method::DELETE;
        if changes {
            let refused = reader.send(method.clone(), &path, &match_it, body).await.status;
            assert_eq!(refused, 403, "{method} {path} with a token that only reads");
        }
    }
    assert_eq!(lin.send(Method::GET, "exemptions", &[], None).await.status, 403);
    assert_eq!(eve.get("exemptions").await, json!([]));
    assert_eq!(ada.get("exemptions").await[0]["value"], "x");
    app.stop().await;
}
