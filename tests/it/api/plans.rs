//! What would be done now, as programs ask for it.

use super::{Program, hour};
use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn the_plan_says_what_would_be_done_to_whom_and_is_for_admins() {
    let app = TestApp::start(Setup { poll: "0 0 0 1 1 *", ..hour().with_another() }).await;
    // Every connection and every stage that is taken note of is followed by a poll; then there are none for a year.
    let scans = || app.aws.calls().action("DescribeInstances").only(|call| call.status != 0).len();
    let mut quiet = (0, std::time::Instant::now());
    app.until("the first polls", || {
        let seen = scans();
        if seen != quiet.0 {
            quiet = (seen, std::time::Instant::now());
        }
        let over = seen >= 4 && quiet.1.elapsed() > Duration::from_secs(3);
        async move { over.then_some(()) }
    })
    .await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let ada = Program::all(&app, "ada").await;
    let eve = Program::with(&app, app.sign_in_to("other", "eve").await, &["read"]).await;
    let plan = ada.get("plan").await;
    let line = plan.as_array().unwrap().iter().find(|line| line["lease"].as_str().unwrap().ends_with(&id));
    assert_eq!(
        line.map(|line| (&line["what"], &line["why"])),
        Some((&json!("give it a lease"), &json!("it runs and has none yet"))),
        "{plan}"
    );
    assert!(app.lease(&id).await.is_none(), "a plan touches nothing");
    // Another asks again within what serving has of AWS: with its clients, and so with its credentials and its pace.
    app.aws.forget_calls();
    ada.get("plan").await;
    let calls = app.aws.calls();
    let asked: Vec<&str> = calls.iter().map(|call| call.action.as_str()).collect();
    assert!(asked.contains(&"DescribeInstances") && !asked.contains(&"AssumeRole"), "{asked:?}");
    assert!(calls.iter().all(ec2_double::Call::is_reading));
    // Who has nothing in AWS has nothing asked of it for them.
    app.aws.forget_calls();
    assert_eq!(eve.get("plan").await, json!([]));
    assert!(app.aws.calls().is_empty(), "{:?}", app.aws.calls());
    app.stop().await;
}
