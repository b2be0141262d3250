//! Who launched what no event told of: CloudTrail is asked, seldom, and what it says is evidence like an event's.

use super::sample;
use crate::app::{DEV, EAST, Setup, TestApp};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use ec2_double::Spec;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// CloudTrail, as far as LookupEvents goes: newest first, one event a page.
#[derive(Clone, Default)]
struct Trail {
    /// The records, oldest first.
    records: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
}

async fn lookup(State(trail): State<Trail>, headers: HeaderMap, body: String) -> Json<Value> {
    let target = headers["x-amz-target"].to_str().unwrap();
    assert!(target.ends_with(".LookupEvents"), "{target}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let attribute = &body["LookupAttributes"][0];
    assert_eq!(attribute["AttributeKey"], "ResourceName");
    let id = attribute["AttributeValue"].as_str().unwrap().to_owned();
    trail.asked.lock().unwrap().push((Instant::now(), id.clone()));
    let page: usize = body["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let records = trail.records.lock().unwrap();
    let mut own = records.iter().rev().filter(|record| record.to_string().contains(&id)).skip(page);
    let event = |record: &Value| {
        json!({
            "EventId": record["eventID"], "EventName": record["eventName"], "EventSource": record["eventSource"],
            "EventTime": 1_764_000_000, "CloudTrailEvent": record.to_string(),
        })
    };
    let found: Vec<Value> = own.by_ref().take(1).map(event).collect();
    let next = own.next().map(|_| (page + 1).to_string());
    Json(json!({ "Events": found, "NextToken": next }))
}

/// A sample's record, of that instance.
fn record(name: &str, id: &str) -> Value {
    let mut record = sample(name)["detail"].clone();
    record["eventID"] = format!("{name}-{id}").into();
    record["recipientAccountId"] = DEV.into();
    record["responseElements"]["instancesSet"]["items"] = json!([{ "instanceId": id }]);
    record
}

#[tokio::test]
async fn a_launch_that_no_event_told_of_is_looked_up_and_its_launcher_takes_it_from_an_admin() {
    let trail = Trail::default();
    let routes = Router::new().route("/", post(lookup)).with_state(trail.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let setup =
        Setup { aws: ("lookup_launches: true,".to_owned(), format!("cloudtrail: '{url}'")), ..Setup::default() };
    let app = TestApp::start(setup).await;
    let late = app.aws.at(DEV, EAST).launch(&Spec::default());
    let other = app.aws.at(DEV, EAST).launch(&Spec::default());
    app.lease_where(&late, "leased", |_| true).await;
    app.advance(130);
    app.owned(&late, "ada").await;
    app.until("asked in vain", || async {
        let asked = trail.asked.lock().unwrap();
        [&late, &other].iter().all(|id| asked.iter().any(|(_, named)| named == *id)).then_some(())
    })
    .await;
    // CloudTrail takes its time; and what happened since comes first in its answers.
    let more = ["run-instances", "stop-instances", "start-instances"].map(|name| record(name, &late));
    trail.records.lock().unwrap().extend(more);
    app.advance(300);
    let lease = app.owned(&late, "lin").await;
    assert_eq!(serde_json::to_value(&lease.owner_evidence).unwrap()["source"], "launcher");
    assert_eq!(app.lease(&other).await.unwrap().owner.as_str(), "ada");
    let asked = trail.asked.lock().unwrap().clone();
    let quickest = asked.windows(2).map(|two| two[1].0 - two[0].0).min().unwrap();
    assert!(quickest >= Duration::from_millis(950), "asked again after {quickest:?}");
    app.stop().await;
    tasks.shutdown().await;
}
