//! A thousand events a second, a tenth of them twice and in no order: the same leases as by polling alone, and AWS is asked no more
//! often than its share.

use super::{Destination, event, quiet, without_polls};
use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use rand::seq::SliceRandom as _;
use reqwest::StatusCode;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Instances, and seconds in which their events come.
const INSTANCES: usize = 3_000;
const SECONDS: u32 = 3;

/// What stands in leases, without what tells how they were found.
async fn leases(app: &TestApp) -> BTreeMap<String, (String, String)> {
    let all = app.leases().await;
    let said = all
        .iter()
        .map(|lease| (lease.key.resource_id.to_string(), (lease.owner.to_string(), format!("{:?}", lease.state))));
    said.collect()
}

#[tokio::test]
async fn a_flood_of_events_makes_the_leases_that_polling_makes_within_the_token_bucket() {
    let app = TestApp::start(without_polls()).await;
    quiet(&app).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let ids = app.aws.at(DEV, EAST).seed(INSTANCES, &owned_by("lin"));
    let mut events: Vec<_> = ids.iter().map(|id| event("run-instances", DEV, EAST, &[id])).collect();
    let twice: Vec<_> = events.iter().step_by(10).cloned().collect();
    events.extend(twice);
    events.shuffle(&mut rand::rng());
    let (begun, before) = (Instant::now(), app.aws.calls().action("DescribeInstances").len());
    let (mut waited, mut tasks) = (0_u32, tokio::task::JoinSet::new());
    let rate = u32::try_from(events.len()).unwrap() / SECONDS;
    for (number, event) in events.into_iter().enumerate() {
        let (to, at) = (to.clone(), Duration::from_secs(1) / rate * u32::try_from(number).unwrap());
        tasks.spawn(async move {
            tokio::time::sleep(at).await;
            // As EventBridge does: what is answered with 429 comes again.
            let mut refused = 0;
            while to.post(&event).await != StatusCode::ACCEPTED {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            refused
        });
    }
    while let Some(refused) = tasks.join_next().await {
        waited += refused.unwrap();
    }
    let sent = begun.elapsed();
    app.until("all are leased", || async { (leases(&app).await.len() == INSTANCES).then_some(()) }).await;
    let calls = app.aws.calls().action("DescribeInstances");
    let describes = calls.len() - before;
    println!(
        "{INSTANCES} instances: sent in {sent:?}, {waited} sent again, {describes} describes, leased after {:?}",
        begun.elapsed()
    );
    assert!(describes <= 200, "{describes} describes for {INSTANCES} instances");
    assert!(calls.most_within(Duration::from_secs(1)) <= 400, "more than a second's tokens and a second's savings");
    let by_events = leases(&app).await;
    app.stop().await;

    let polled = TestApp::with(Setup::default(), |aws| {
        aws.at(DEV, EAST).seed(INSTANCES, &owned_by("lin"));
    })
    .await;
    polled.until("all are leased", || async { (leases(&polled).await.len() == INSTANCES).then_some(()) }).await;
    assert_eq!(leases(&polled).await, by_events);
    polled.stop().await;
}
