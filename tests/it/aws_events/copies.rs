//! Two copies of zerocloud on the same documents, and both are posted every event: what comes of it is what one copy makes.

use super::{Destination, event, http};
use crate::app::{DEV, EAST, Setup, double, gateway, owned_by};
use ec2_double::{Double, Fault, Rule};
use rand::seq::SliceRandom as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zerocloud::clock::Clock;
use zerocloud::config::Config;
use zerocloud::model::{Doc, EventKey};
use zerocloud::serve;
use zerocloud::store::Store;

const INSTANCES: usize = 40;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// One copy, and an API destination that posts to it.
struct Copy {
    to: Destination,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Copy {
    async fn start(yaml: &str, clock: &Clock, key: &str) -> Copy {
        let stop = CancellationToken::new();
        let (ready, answers) = tokio::sync::oneshot::channel();
        let running = serve::run(Config::parse(yaml, |_| None).unwrap(), clock.clone(), ready, stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the test owns the task and waits for it in stop()")]
        let task = tokio::spawn(running);
        let at = tokio::time::timeout(PATIENCE, answers).await.unwrap().expect("serve ended before it was ready");
        let url = format!("{}/hooks/aws/events", at.web_url.unwrap());
        Copy { to: Destination { url, key: key.to_owned(), http: http() }, stop, task }
    }

    /// Posts them all, in an order of its own; how they were answered.
    async fn told(&self, events: &[Value]) -> BTreeSet<StatusCode> {
        let mut events = events.to_vec();
        events.shuffle(&mut rand::rng());
        let mut answers = BTreeSet::new();
        for event in events {
            answers.insert(self.to.post(&event).await);
        }
        answers
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A key for the AWS account, as its page would make it.
async fn key(store: &Store, clock: &Clock) -> String {
    let name = "0123456789abcdef";
    let key = EventKey::compose(name, &"x".repeat(43));
    let body = json!({
        "type": "event_key", "schema": 1, "account": "bigdb", "aws_id": DEV, "speaks_for": [DEV],
        "hash": EventKey::hash_of(&key), "created": clock.now(), "made_by": "ada",
    });
    let id = format!("{}bigdb::{DEV}::{name}", EventKey::PREFIX);
    store.put("event_key", &Doc { id, rev: None, body }).await.unwrap();
    key
}

/// What happened to these, a tenth of it twice.
fn events(ids: &[String]) -> Vec<Value> {
    let kinds = ["run-instances", "state-change", "start-instances"];
    let mut all: Vec<Value> = ids.iter().flat_map(|id| kinds.map(|kind| event(kind, DEV, EAST, &[id]))).collect();
    all.extend(all.clone().into_iter().step_by(10));
    all
}

async fn leased(store: &Store, count: usize) -> BTreeSet<String> {
    until("all are leased", || async {
        let ids: BTreeSet<String> = store.ids("lease::").await.unwrap().into_iter().collect();
        (ids.len() >= count).then_some(ids)
    })
    .await
}

fn named(ids: &[String]) -> BTreeSet<String> {
    ids.iter().map(|id| format!("lease::{DEV}::{EAST}::{id}")).collect()
}

/// Waits until the mail service took a first notice of each, and sees that it took no second one.
async fn told_once(aws: &Double, ids: &[String]) {
    let times = |id: &String| aws.handle().mails().iter().filter(|mail| mail.text.contains(id.as_str())).count();
    until("all are told", || async { ids.iter().all(|id| times(id) > 0).then_some(()) }).await;
    for id in ids {
        assert_eq!(times(id), 1, "mails about {id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_posted_to_two_copies_make_each_lease_once_and_the_one_that_waits_has_them_come_again() {
    let (_folder, running, store) = gateway().await;
    let (aws, clock) = (double().await, Clock::manual(Clock::system().now()));
    let yaml = Setup { poll: "0 0 0 1 1 *", ..Setup::default() }.yaml(&aws.url(), "unused");
    // On a busy machine nobody takes over from one that is only slow.
    let yaml = yaml.replace("leader_ttl: 2s", "leader_ttl: 20s");
    let remote = format!("store: {{public_url: '{}', admin_url: '{}'}}", running.public, running.admin);
    let yaml = yaml.lines().skip(1).fold(remote, |all, line| format!("{all}\n{line}"));
    let key = key(&store, &clock).await;
    // Nothing is there yet, and from now on whole scans are refused: what is found is found by events.
    let denied = Fault::Refuse { status: 403, code: "UnauthorizedOperation".into(), message: "events alone".into() };
    aws.handle().inject(Rule::new(denied).action("DescribeInstances").listings());
    let mut copies = [Copy::start(&yaml, &clock, &key).await, Copy::start(&yaml, &clock, &key).await];
    let none = event("run-instances", DEV, EAST, &["i-0fffffffffffffff1"]);
    until("one of them leads", || async {
        let answers = [copies[0].to.post(&none).await, copies[1].to.post(&none).await];
        answers.contains(&StatusCode::ACCEPTED).then_some(())
    })
    .await;
    if copies[1].to.post(&none).await == StatusCode::ACCEPTED {
        copies.reverse();
    }
    let [leads, waits] = copies;

    let ids = aws.handle().at(DEV, EAST).seed(INSTANCES, &owned_by("lin"));
    let told = events(&ids);
    let (taken, refused) = tokio::join!(leads.told(&told), waits.told(&told));
    assert_eq!(taken, [StatusCode::ACCEPTED].into());
    assert_eq!(refused, [StatusCode::SERVICE_UNAVAILABLE].into(), "EventBridge tries again");
    assert_eq!(leased(&store, INSTANCES).await, named(&ids));
    clock.advance(130);
    told_once(&aws, &ids).await;

    // The one that leads goes. What comes again, and what is new, meets the other.
    leads.stop().await;
    let new = aws.handle().at(DEV, EAST).seed(INSTANCES, &owned_by("lin"));
    until("the other leads", || async {
        let answer = waits.to.post(&none).await;
        assert!([StatusCode::ACCEPTED, StatusCode::SERVICE_UNAVAILABLE].contains(&answer), "{answer} gives up");
        (answer == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    let all = [ids, new].concat();
    assert_eq!(waits.told(&events(&all)).await, [StatusCode::ACCEPTED].into());
    assert_eq!(leased(&store, all.len()).await, named(&all));
    clock.advance(130);
    told_once(&aws, &all).await;
    waits.stop().await;
    running.stop().await;
    aws.stop().await;
}
