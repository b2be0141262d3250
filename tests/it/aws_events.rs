//! Events of AWS as EventBridge posts them: from the hook to a lease, whatever is sent and however often; and who is let in.

mod copies;
mod flood;
mod keys;
mod shape;
mod trail;

use crate::app::{DEV, EAST, Setup, TEST, TestApp, WEST, owned_by};
use ec2_double::{Fault, Rule, Spec, State as Ec2State};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use zerocloud::model::State;

/// Polls only at the start, so that whatever comes later came by the hook.
fn without_polls() -> Setup {
    Setup { poll: "0 0 0 1 1 *", ..Setup::default() }
}

/// A sample of `tests/events`.
fn sample(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(format!("tests/events/{name}.json")).unwrap()).unwrap()
}

/// That sample, of these instances there.
fn event(name: &str, account: &str, region: &str, ids: &[&str]) -> Value {
    let mut event = sample(name);
    event["account"] = account.into();
    event["region"] = region.into();
    event["id"] = format!("{:032x}", rand::random::<u128>()).into();
    let items: Vec<Value> = ids.iter().map(|id| json!({ "instanceId": id })).collect();
    match event["detail"].get("instance-id") {
        Some(_) => event["detail"]["instance-id"] = ids[0].into(),
        None => event["detail"]["responseElements"]["instancesSet"]["items"] = items.into(),
    }
    event
}

fn http() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_mins(1)).build().unwrap()
}

/// An API destination with its key.
#[derive(Clone)]
struct Destination {
    url: String,
    key: String,
    http: Client,
}

impl Destination {
    /// With a key that Ada made for the AWS account, and that speaks for these.
    async fn of(app: &TestApp, aws_id: &str, accounts: &[&str]) -> Destination {
        let path = format!("/api/v1/aws-accounts/{aws_id}/event-keys");
        let made = keys::call(app, "ada", reqwest::Method::POST, &path, &json!({ "accounts": accounts })).await;
        assert_eq!(made.0, 201, "{}", made.1);
        let to = Destination::with(app, made.1["key"].as_str().unwrap());
        app.until("the key counts", || async {
            let answer = to.post(&json!({ "detail-type": "a test" })).await;
            (answer == StatusCode::BAD_REQUEST).then_some(())
        })
        .await;
        to
    }

    fn with(app: &TestApp, key: &str) -> Destination {
        Destination { url: format!("{}/hooks/aws/events", app.web), key: key.to_owned(), http: http() }
    }

    async fn post(&self, event: &Value) -> StatusCode {
        self.text(&event.to_string()).await
    }

    async fn text(&self, body: &str) -> StatusCode {
        let request = self.http.post(&self.url).header("x-zerocloud-key", &self.key);
        let request = request.header("content-type", "application/json").body(body.to_owned());
        request.send().await.unwrap().status()
    }
}

/// Runs, and from now on whole scans are refused: what is found is found by events, however many polls were still to come.
async fn start(setup: Setup) -> TestApp {
    let app = TestApp::start(setup).await;
    app.until("the stages are noted", || async {
        let docs = app.store.prefix("aws_account::bigdb::").await.unwrap();
        (docs.len() == 2 && docs.iter().all(|doc| doc.body.get("stage_accepted").is_some())).then_some(())
    })
    .await;
    let denied = Fault::Refuse { status: 403, code: "UnauthorizedOperation".into(), message: "events alone".into() };
    app.aws.inject(Rule::new(denied).action("DescribeInstances").listings());
    app
}

/// Waits until a region stands so on the status page, and gives what stands there.
async fn region(app: &TestApp, aws_id: &str, region: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let ada = app.sign_in("ada").await;
    app.until("how the region stands", || async {
        let all: Value = serde_json::from_str(&ada.get("/status.json").await.text).unwrap();
        let rows = all["regions"].as_array().unwrap();
        rows.iter().find(|row| row["aws_id"] == aws_id && row["region"] == region && fits(row)).cloned()
    })
    .await
}

#[tokio::test]
async fn a_launch_is_leased_within_seconds_without_a_poll_and_its_launcher_owns_it() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let id = app.aws.at(DEV, EAST).launch(&Spec::default());
    assert_eq!(to.post(&event("run-instances", DEV, EAST, &[&id])).await, StatusCode::ACCEPTED);
    let lease = app.lease_where(&id, "leased", |_| true).await;
    assert_eq!(lease.trigger["detail"]["eventName"], "RunInstances");
    assert_eq!(lease.trigger["detail"]["userIdentity"]["type"], "AssumedRole");
    let asked = app.aws.calls().action("DescribeInstances").naming(&id);
    assert!(asked.iter().all(|call| call.error.is_none()) && !asked.is_empty());
    app.advance(130);
    let lease = app.owned(&id, "lin").await;
    assert_eq!(serde_json::to_value(&lease.owner_evidence).unwrap()["source"], "launcher");
    // What happens to it later is heard of, too.
    app.aws.set_state(&id, Ec2State::Terminated);
    assert_eq!(to.post(&event("state-change", DEV, EAST, &[&id])).await, StatusCode::ACCEPTED);
    app.lease_where(&id, "over", |lease| lease.state.is_over()).await;
    app.stop().await;
}

#[tokio::test]
async fn one_that_is_not_there_yet_is_looked_for_again_and_an_unknown_one_does_no_harm() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let unknown = "i-0fffffffffffffff1";
    let rule =
        app.aws.inject(Rule::new(Fault::Throttle).account(DEV).region(EAST).action("DescribeInstances").times(3));
    assert_eq!(to.post(&event("run-instances", DEV, EAST, &[unknown, &id])).await, StatusCode::ACCEPTED);
    app.state(&id, State::Active).await;
    assert!(app.aws.struck(rule) >= 1);
    let tries = || app.aws.calls().action("DescribeInstances").naming(unknown).successful().len();
    app.until("looked for again", || async { (tries() >= 2).then_some(()) }).await;
    assert_eq!(app.leases().await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn what_is_late_doubled_out_of_order_or_of_no_concern_changes_nothing() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let launch = event("run-instances", DEV, EAST, &[&id]);
    assert_eq!(to.post(&launch).await, StatusCode::ACCEPTED);
    app.settled(&id, "lin").await;
    let leases = async || app.store.prefix("lease::").await.unwrap();
    let before = leases().await;
    // The end of an instance that runs, before and after its launch, again; and what nobody asked for.
    let mut later = owned_by("lin");
    later.tags.insert("Name".to_owned(), "later".to_owned());
    for name in ["terminate-instances", "stop-instances", "state-change", "run-instances", "start-instances"] {
        assert_eq!(to.post(&event(name, DEV, EAST, &[&id])).await, StatusCode::ACCEPTED, "{name}");
    }
    for _ in 0..20 {
        assert_eq!(to.post(&launch).await, StatusCode::ACCEPTED);
    }
    for name in ["describe-instances", "run-instances-refused"] {
        assert_eq!(to.post(&sample(name)).await, StatusCode::ACCEPTED, "{name}");
    }
    let mut unknown = launch.clone();
    unknown["detail-type"] = "EC2 Something New".into();
    assert_eq!(to.post(&unknown).await, StatusCode::ACCEPTED);
    // A region that nobody polls, and instances of others.
    assert_eq!(to.post(&event("run-instances", DEV, "xx-nowhere-1", &[&id])).await, StatusCode::ACCEPTED);
    // Once this one is there, all before it were looked at.
    let last = app.aws.at(DEV, EAST).launch(&later);
    assert_eq!(to.post(&event("run-instances", DEV, EAST, &[&last])).await, StatusCode::ACCEPTED);
    app.lease_where(&last, "leased", |_| true).await;
    let after: Vec<_> = leases().await.into_iter().filter(|doc| !doc.id.ends_with(&last)).collect();
    assert_eq!(after, before);
    assert!(app.aws.calls().region("xx-nowhere-1").is_empty());
    app.stop().await;
}

#[tokio::test]
async fn an_event_that_names_nothing_has_its_region_read_and_nothing_goes_missing_by_it() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let (old, new) = (app.aws.at(DEV, EAST).launch(&owned_by("lin")), app.aws.at(DEV, EAST).launch(&owned_by("max")));
    assert_eq!(to.post(&event("run-instances", DEV, EAST, &[&old])).await, StatusCode::ACCEPTED);
    app.lease_where(&old, "leased", |_| true).await;
    app.aws.vanish(&old);
    // What it names nothing of is read as a scan reads it.
    app.aws.heal_all();
    let mut large = sample("run-instances-too-large");
    large["account"] = DEV.into();
    large["region"] = EAST.into();
    assert_eq!(to.post(&large).await, StatusCode::ACCEPTED);
    app.lease_where(&new, "leased", |_| true).await;
    let gone = app.store.get::<Value>(&format!("resource::{DEV}::{EAST}::{old}")).await.unwrap().unwrap();
    assert!(gone.body.get("missing").is_none(), "{}", gone.body);
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_believed_of_a_region_that_is_paused() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[]).await;
    let paused = json!({
        "type": "region", "schema": 1, "account": "bigdb", "state": "paused", "reason": "a test",
        "since": app.clock.now(),
    });
    let id = format!("region::{DEV}::{EAST}");
    let doc = zerocloud::model::Doc { id, rev: None, body: paused };
    app.store.put("region", &doc).await.unwrap();
    let held = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let other = app.aws.at(DEV, WEST).launch(&owned_by("lin"));
    region(&app, DEV, EAST, |row| row["state"] == "paused").await;
    assert_eq!(to.post(&event("run-instances", DEV, EAST, &[&held])).await, StatusCode::ACCEPTED);
    assert_eq!(to.post(&event("run-instances", DEV, WEST, &[&other])).await, StatusCode::ACCEPTED);
    app.lease_where(&other, "leased", |_| true).await;
    assert!(app.lease(&held).await.is_none());
    assert!(app.aws.calls().naming(&held).is_empty());
    app.stop().await;
}

#[tokio::test]
async fn a_shared_bus_speaks_for_the_accounts_of_its_key() {
    let app = start(without_polls()).await;
    let to = Destination::of(&app, DEV, &[DEV, TEST]).await;
    let id = app.aws.at(TEST, WEST).launch(&owned_by("lin"));
    assert_eq!(to.post(&event("run-instances", TEST, WEST, &[&id])).await, StatusCode::ACCEPTED);
    app.lease_where(&id, "leased", |_| true).await;
    app.stop().await;
}
