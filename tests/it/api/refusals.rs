//! What programs hear when a call makes no sense, is too large, or brings a token that is of no use.

use super::{Program, hour, http};
use crate::app::TestApp;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn what_is_too_large_is_a_problem_on_the_api_and_at_hooks() {
    let app = TestApp::start(hour()).await;
    let ada = Program::all(&app, "ada").await;
    let large = json!({ "name": "x".repeat(300_000) });
    let refused = ada.send(Method::POST, "users", &[], Some(large)).await;
    assert_eq!((refused.status, refused.kind.as_str()), (413, "application/problem+json"));
    assert_eq!((&refused.body["status"], &refused.body["title"]), (&json!(413), &json!("Too large")));
    for (path, bytes) in [("/hooks/aws/events", 1_200_000), ("/hooks/ses", 300_000)] {
        let sent = http().post(format!("{}{path}", app.web)).body("x".repeat(bytes));
        let answer = sent.send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!((answer.status().as_u16(), kind.as_str()), (413, "application/problem+json"), "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_filter_or_a_query_that_makes_no_sense_is_refused_in_plain_words() {
    let app = TestApp::start(hour()).await;
    let lin = Program::all(&app, "lin").await;
    for (path, words) in [
        ("leases?state=foo", "\"foo\" is no state; one is active, expired"),
        ("leases?limit=x", "limit must be a whole number"),
        ("leases?held=perhaps", "held must be true or false"),
    ] {
        let answer = lin.send(Method::GET, path, &[], None).await;
        let said = answer.body["detail"].as_str().unwrap_or_default();
        assert!(answer.status == 422 && said.starts_with(words), "{path}: {}", answer.body);
    }
    for state in ["active", "expired", "reaping", "stopped", "terminated", "gone"] {
        lin.get(&format!("leases?state={state}")).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_called_that_and_who_tries_many_waits_alone() {
    let app = TestApp::start(hour()).await;
    let lin = Program::all(&app, "lin").await;
    let mut guess = Program::all(&app, "lin").await;
    guess.token = format!("zcp_{}", "A".repeat(43));
    let first = guess.send(Method::GET, "me", &[], None).await;
    assert_eq!((first.status, &first.body["title"]), (401, &json!("The token is not valid")), "{}", first.body);
    assert!(first.challenge.starts_with("Bearer ") && first.challenge.contains("invalid_token"), "{}", first.challenge);
    let mut refused = None;
    for _ in 0..80 {
        let answer = guess.send(Method::GET, "me", &[], None).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 401);
    }
    assert_eq!(refused.expect("guessing is slowed down").kind, "application/problem+json");
    lin.get("me").await;
    app.stop().await;
}
