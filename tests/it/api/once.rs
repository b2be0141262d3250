//! Calls that make something, sent twice with one `Idempotency-Key`.

use super::{Program, hour};
use crate::app::{DEV, TestApp};
use reqwest::Method;
use serde_json::{Value, json};

/// Each with what is said to the second one; without it, the first one's answer is given again.
fn calls() -> Vec<(String, Value, Option<&'static str>)> {
    let rule = json!({ "by": "name", "value": "x", "reason": "the demo", "until": "2099-01-01T00:00:00Z" });
    vec![
        ("users".to_owned(), json!({ "email": "kim@bigdb.example" }), None),
        ("exemptions".to_owned(), rule, None),
        ("aws-accounts".to_owned(), json!({ "id": "777788889999" }), Some("/access")),
        ("hooks".to_owned(), json!({ "name": "x", "url": "https://hooks.example" }), Some("one time only")),
        (format!("aws-accounts/{DEV}/event-keys"), json!({ "name": "x" }), Some("one time only")),
    ]
}

#[tokio::test]
async fn a_call_that_is_sent_twice_with_one_key_makes_one_thing() {
    let app = TestApp::start(hour().with_another()).await;
    let (ada, lin) = (Program::all(&app, "ada").await, Program::all(&app, "lin").await);
    for (path, body, secret) in calls() {
        let key = [("idempotency-key", "one try")];
        let refused = lin.send(Method::POST, &path, &key, Some(body.clone())).await;
        assert_eq!(refused.status, 403, "{path}: another's key is another key, and a refusal is not remembered");
        assert_eq!(lin.send(Method::POST, &path, &key, Some(body.clone())).await.status, 403, "{path}");
        let made = ada.send(Method::POST, &path, &key, Some(body.clone())).await;
        assert_eq!(made.status, 201, "{path}: {}", made.body);
        let again = ada.send(Method::POST, &path, &key, Some(body.clone())).await;
        if let Some(words) = secret {
            assert_eq!(
                (again.status, again.kind.as_str()),
                (409, "application/problem+json"),
                "{path}: {}",
                again.body
            );
            assert!(again.body["detail"].as_str().unwrap().contains(words), "{path}: {}", again.body);
        } else {
            assert_eq!((again.status, &again.body), (201, &made.body), "{path}");
        }
        let other = ada.send(Method::POST, &path, &key, Some(json!({ "name": "another" }))).await;
        assert_eq!(other.status, 422, "{path}: {}", other.body);
        let bad = ada.send(Method::POST, &path, &[("idempotency-key", "")], Some(body)).await;
        assert_eq!(bad.status, 422, "{path}: {}", bad.body);
    }
    for (path, count) in [("exemptions", 1), ("hooks", 1), (&format!("aws-accounts/{DEV}/event-keys"), 1)] {
        assert_eq!(ada.get(path).await.as_array().unwrap().len(), count, "{path}");
    }
    // Neither the key nor a secret that was shown stands anywhere, and nobody is shown these documents.
    let kept = app.store.prefix("call::").await.unwrap();
    assert_eq!(kept.len(), calls().len());
    assert!(!format!("{kept:?}").contains("one try") && !format!("{kept:?}").contains("zce_"));
    let session = app.session("ada").await;
    assert!(app.store.prefix_as(&session, "call::").await.unwrap().is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_call_that_was_refused_may_be_sent_again_with_its_key() {
    let app = TestApp::start(hour()).await;
    let ada = Program::all(&app, "ada").await;
    let key = [("idempotency-key", "one try")];
    let new = json!({ "email": "lin@bigdb.example" });
    let here = || async { (ada.send(Method::GET, "users/lin", &[], None).await.status == 200).then_some(()) };
    app.until("lin of the configuration is here", here).await;
    assert_eq!(ada.send(Method::POST, "users", &key, Some(new.clone())).await.status, 422, "lin is here already");
    assert_eq!(ada.send(Method::DELETE, "users/lin", &[], None).await.status, 204);
    assert_eq!(ada.send(Method::POST, "users", &key, Some(new)).await.status, 201);
    app.stop().await;
}

#[tokio::test]
async fn a_call_that_failed_here_keeps_its_key_as_it_may_have_been_done() {
    let app = TestApp::start(hour()).await;
    let ada = Program::all(&app, "ada").await;
    let (path, key) = (format!("aws-accounts/{DEV}/event-keys"), [("idempotency-key", "one try")]);
    let id = format!("aws_account::bigdb::{DEV}");
    app.until("a document that cannot be read", || async {
        let mut aws = app.store.get::<Value>(&id).await.unwrap()?;
        aws.body["regions"] = json!(5);
        app.store.put("aws_account", &aws).await.ok()
    })
    .await;
    let failed = ada.send(Method::POST, &path, &key, Some(json!({ "name": "x" }))).await;
    assert_eq!(failed.status, 500, "{}", failed.body);
    for (seconds, words) in [(0, "still under way"), (61, "nobody knows whether it was done")] {
        app.advance(seconds);
        let again = ada.send(Method::POST, &path, &key, Some(json!({ "name": "x" }))).await;
        let said = again.body["detail"].as_str().unwrap_or_default();
        assert!(again.status == 409 && said.contains(words), "{}", again.body);
    }
    app.stop().await;
}
