//! The control endpoint for callers that are not Rust.

use serde_json::{Value, json};

use crate::client::{ACCOUNT, REGION, Test};

async fn post(test: &Test, path: &str, body: &Value) -> (u16, Value) {
    let request = test.client.post(format!("{}/_double/{path}", test.double.url())).body(body.to_string());
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

#[tokio::test]
async fn what_a_handle_does_is_done_in_json() {
    let test = Test::start().await;
    let asked = json!({"account": ACCOUNT, "region": REGION, "count": 3, "spec": {"tags": {"owner": "ada"}, "state": "stopped"}});
    let (status, seeded) = post(&test, "instances", &asked).await;
    assert_eq!((status, seeded["ids"].as_array().map(Vec::len)), (200, Some(3)));
    let group =
        json!({"account": ACCOUNT, "region": REGION, "group": {"name": "web", "min": 0, "max": 2, "desired": 2}});
    assert_eq!(post(&test, "groups", &group).await.0, 200);
    assert_eq!(test.place().count(), 5);
    let fault = json!({"fault": {"server": 503}, "action": "DescribeInstances", "times": 1});
    assert_eq!(post(&test, "faults", &fault).await.0, 200);
    test.ec2("DescribeInstances", &[]).await.refused(503, "Unavailable");
    let (_, clock) = post(&test, "clock", &json!({"now": "2026-01-02T03:04:05Z"})).await;
    assert_eq!(clock["now"], "2026-01-02T03:04:05Z");
    let calls = test.client.get(format!("{}/_double/calls", test.double.url())).send().await.expect("an answer");
    let calls: Value = calls.json().await.expect("JSON");
    assert_eq!(calls[1]["error"], "Unavailable");
}

#[tokio::test]
async fn what_it_does_not_understand_is_refused() {
    let test = Test::start().await;
    let (status, answer) = post(&test, "faults", &json!({"fault": "throttle", "acount": "1"})).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().is_some_and(|error| error.contains("acount")), "{answer}");
}
