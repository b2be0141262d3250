//! A thousand events a second, a tenth of them twice and in no order: the same leases as by polling alone, and AWS is asked no more
//! often than its share.

use super::{Destination, event, region, start, without_polls};
use crate::app::{DEV, EAST, TEST, TestApp, WEST, owned_by};
use rand::seq::SliceRandom as _;
use reqwest::StatusCode;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const INSTANCES: usize = 300;
/// What is told of each, so often.
const KINDS: [&str; 3] = ["run-instances", "state-change", "start-instances"];
const TIMES: usize = 3;
/// Events a second, as far as the machine can; and posts under way at a time.
const RATE: u32 = 1_000;
const SENDERS: usize = 16;

/// In no order, a tenth of them twice.
fn events(ids: &[String]) -> Vec<Value> {
    let each = |id: &String| KINDS.map(|kind| event(kind, DEV, EAST, &[id]));
    let mut all: Vec<Value> = (0..TIMES).flat_map(|_| ids.iter().flat_map(each)).collect();
    let twice: Vec<Value> = all.iter().step_by(10).cloned().collect();
    all.extend(twice);
    all.shuffle(&mut rand::rng());
    all
}

/// Sends them all at that rate, as EventBridge does: what is answered with 429 comes again. Says how often that was.
async fn send(to: &Destination, events: Vec<Value>) -> u32 {
    let (begun, waiting) = (Instant::now(), Arc::new(Mutex::new(events.into_iter().enumerate())));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let (to, waiting) = (to.clone(), Arc::clone(&waiting));
        senders.spawn(async move {
            let mut refused = 0;
            loop {
                let next = waiting.lock().unwrap().next();
                let Some((number, event)) = next else { return refused };
                let at = Duration::from_secs(1) / RATE * u32::try_from(number).unwrap();
                tokio::time::sleep_until((begun + at).into()).await;
                while to.post(&event).await != StatusCode::ACCEPTED {
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        });
    }
    senders.join_all().await.into_iter().sum()
}

/// Which leases there are, and what is known of each resource.
async fn documents(app: &TestApp) -> BTreeMap<String, Value> {
    let leases = app.store.prefix("lease::").await.unwrap();
    let resources = app.store.prefix("resource::").await.unwrap();
    let leases = leases.into_iter().map(|doc| (doc.id, Value::Null));
    leases.chain(resources.into_iter().map(|doc| (doc.id, doc.body["facts"].clone()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_events_makes_the_leases_that_polling_makes_within_the_token_bucket() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let ids = app.aws.at(DEV, EAST).seed(INSTANCES, &owned_by("lin"));
    let before = app.aws.calls().len();
    let (begun, events) = (Instant::now(), events(&ids));
    let count = events.len();
    let again = send(&to, events).await;
    let sent = begun.elapsed();
    app.until("all are leased", || async {
        (app.store.ids("lease::").await.unwrap().len() == INSTANCES).then_some(())
    })
    .await;
    let calls = app.aws.calls();
    let asked = calls[before..].iter().filter(|call| call.action == "DescribeInstances").count();
    let went = format!("{count} events in {sent:?}, {again} again, all leased after {:?}", begun.elapsed());
    assert!(asked * 5 < count, "{asked} reads of AWS: {went}");
    let most = calls.clone().action("DescribeInstances").most_within(Duration::from_secs(1));
    assert!(most <= 400, "{most} in a second: more than the rate of 200 and what a second saves");
    let causes: Vec<Value> = app.leases().await.into_iter().map(|lease| lease.trigger).collect();
    assert!(causes.iter().all(|cause| cause["source"] == "aws.ec2"), "no poll came in between");
    // What polling finds now is what stands there: not one more, and nothing to change.
    let by_events = documents(&app).await;
    app.aws.heal_all();
    app.edit(&format!("aws_account::bigdb::{DEV}"), |doc| doc["name"] = "polled again".into()).await;
    region(&app, DEV, EAST, |row| row["polled"]["state"] == "read" && row["polled"]["seen"] == INSTANCES).await;
    assert_eq!(documents(&app).await, by_events);
    assert_eq!(by_events.len(), 2 * INSTANCES);
    app.stop().await;
}

#[tokio::test]
async fn an_aws_account_that_tells_too_much_is_slowed_down_and_others_are_heard_at_once() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[DEV, TEST]).await;
    // A thousand that are not there, in each event.
    let mut number = 0;
    let mut flood = || {
        let ids: Vec<String> = (0..1_000).map(|id| format!("i-{:017x}", number * 1_000 + id)).collect();
        number += 1;
        event("stop-instances", DEV, EAST, &ids.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut taken = 0;
    while to.post(&flood()).await == StatusCode::ACCEPTED {
        taken += 1;
        assert!(taken < 100, "one AWS account names as many as it likes");
    }
    assert!(taken >= 5, "a launch of some thousands is no flood: {taken}");
    let id = app.aws.at(TEST, WEST).launch(&owned_by("lin"));
    assert_eq!(to.post(&event("run-instances", TEST, WEST, &[&id])).await, StatusCode::ACCEPTED);
    app.lease_where(&id, "leased", |_| true).await;
    // And it is heard itself again.
    let own = app.aws.at(DEV, WEST).launch(&owned_by("lin"));
    let launch = event("run-instances", DEV, WEST, &[&own]);
    // While many of it still wait, what finds no room is left to polling: here, to the next event of the same.
    app.until("heard again", || async {
        let _ = to.post(&launch).await;
        app.lease(&own).await.map(drop)
    })
    .await;
    app.stop().await;
}
