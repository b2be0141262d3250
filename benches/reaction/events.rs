//! A thousand events a second through the hook, a tenth of them twice and in no order, while polls find nothing: how many are
//! taken, how quickly they are answered, how far leases are behind, and how often AWS is asked for it, at the rate of the
//! defaults. Stops when there is not one lease for each instance in the end, or AWS was asked more often than its share.

use super::{AWS_ID, PATIENCE, REGION, Settings, at, double, serve};
use ec2_double::{Fault, Handle, Rule, Spec};
use rand::seq::SliceRandom as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use zerocloud::clock::Clock;
use zerocloud::model::{Doc, EventKey};
use zerocloud::serve::Ready;
use zerocloud::store::Store;

/// What is told of each instance three times: its launch, its state, its start.
const INSTANCES: usize = 3_000;
/// Events a second; and posts under way at a time.
const RATE: u32 = 1_000;
const SENDERS: usize = 16;
/// Calls a second of an AWS account and region, as config.yml has it by default.
const SHARE: usize = 5;

pub async fn run() {
    let double = double().await;
    let settings = Settings { aws: "", schedule: "poll: '0 0 0 1 1 *'", policy: "max_instances: 4000" };
    let aws = double.handle();
    Box::pin(serve(&double, &settings, async |at, store| measure(&aws, &at, &store).await)).await;
    double.stop().await;
}

/// What posts, and what came of it.
#[derive(Clone)]
struct Sender {
    http: Client,
    url: String,
    key: String,
    waiting: Arc<Mutex<VecDeque<Post>>>,
    /// Instances that a taken event named.
    named: Arc<Mutex<BTreeSet<String>>>,
}

/// One post.
struct Post {
    /// After the first one.
    turn: Duration,
    event: String,
    /// The instance that it names.
    id: String,
}

/// How a sender was answered.
#[derive(Default)]
struct Answers {
    times: Vec<Duration>,
    again: u32,
}

async fn measure(aws: &Handle, ready: &Ready, store: &Store) {
    // Nothing is there yet, and from now on whole scans are refused: what is found is found by events.
    let denied = Fault::Refuse { status: 403, code: "UnauthorizedOperation".into(), message: "events alone".into() };
    aws.inject(Rule::new(denied).action("DescribeInstances").listings());
    let tags = [("owner".to_owned(), "lin".to_owned())].into();
    let ids = aws.at(AWS_ID, REGION).seed(INSTANCES, &Spec { tags, ..Spec::default() });
    let sender = Sender {
        http: client(),
        url: format!("{}/hooks/aws/events", ready.web_url.as_ref().unwrap()),
        key: key(store).await,
        waiting: Arc::new(Mutex::new(posts(&ids))),
        named: Arc::default(),
    };
    listened(&sender).await;
    let (before, count, begun) = (aws.calls().len(), sender.waiting.lock().unwrap().len(), Instant::now());
    let (answers, behind) = tokio::join!(sender.send(begun), behind(&sender, store));
    let (sent, leased) = (answers.1, begun.elapsed());
    let mut answers = answers.0;
    let asked = aws.calls()[before..].iter().filter(|call| call.action == "DescribeInstances").count();
    let rate = f64::from(u32::try_from(count).unwrap()) / sent.as_secs_f64();
    println!(
        "{count} events of {INSTANCES} instances, {RATE} a second: {rate:.0} a second taken ({:.0} %), {} told to come again",
        rate / f64::from(RATE) * 100.0,
        answers.again,
    );
    println!(
        "a post to its answer: p50 {:.1} ms, p99 {:.1} ms",
        at(&mut answers.times, 50),
        at(&mut answers.times, 99)
    );
    println!("at most {behind} named instances waited for a lease; all had one after {:.1} s", leased.as_secs_f64());
    let most = aws.calls().action("DescribeInstances").most_within(Duration::from_secs(1));
    println!("AWS was asked {asked} times, {most} times in the busiest second; {SHARE} a second are allowed");
    let leases: BTreeSet<String> = store.ids("lease::").await.unwrap().into_iter().collect();
    let wanted: BTreeSet<String> = ids.iter().map(|id| format!("lease::{AWS_ID}::{REGION}::{id}")).collect();
    assert!(leases == wanted, "{} leases of {} instances", leases.len(), wanted.len());
    assert!(most <= 2 * SHARE, "more than the rate and what a second saves");
}

impl Sender {
    /// Sends them all at that rate, as EventBridge does: what is told to come again does. With when the last was taken.
    async fn send(&self, begun: Instant) -> (Answers, Duration) {
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let sender = self.clone();
            senders.spawn(async move { sender.some(begun).await });
        }
        let all = senders.join_all().await;
        let sent = begun.elapsed();
        let again = all.iter().map(|answers| answers.again).sum();
        (Answers { times: all.into_iter().flat_map(|answers| answers.times).collect(), again }, sent)
    }

    async fn some(&self, begun: Instant) -> Answers {
        let mut answers = Answers::default();
        loop {
            let next = self.waiting.lock().unwrap().pop_front();
            let Some(Post { turn, event, id }) = next else { return answers };
            tokio::time::sleep_until((begun + turn).into()).await;
            loop {
                let asked = Instant::now();
                let status = self.post(&event).await;
                answers.times.push(asked.elapsed());
                if status == StatusCode::ACCEPTED {
                    break;
                }
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "EventBridge would give up");
                answers.again += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            self.named.lock().unwrap().insert(id);
        }
    }

    async fn post(&self, event: &str) -> StatusCode {
        let request = self.http.post(&self.url).header("x-zerocloud-key", &self.key).body(event.to_owned());
        request.send().await.unwrap().status()
    }
}

/// Waits until all are leased; gives how many there were at most that a taken event had named and that had no lease.
async fn behind(sender: &Sender, store: &Store) -> usize {
    let (begun, mut most) = (Instant::now(), 0);
    loop {
        let named = sender.named.lock().unwrap().len();
        let leased = store.ids("lease::").await.unwrap().len();
        most = most.max(named.saturating_sub(leased));
        if leased == INSTANCES {
            return most;
        }
        assert!(begun.elapsed() < PATIENCE, "of {INSTANCES} instances {leased} are leased");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Waits until somebody leads and takes events.
async fn listened(sender: &Sender) {
    let none = event(include_str!("../../tests/events/run-instances.json"), "i-0fffffffffffffff1");
    let begun = Instant::now();
    while sender.post(&none).await != StatusCode::ACCEPTED {
        assert!(begun.elapsed() < PATIENCE, "no events are taken");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// In no order, a tenth of them twice.
fn posts(ids: &[String]) -> VecDeque<Post> {
    let samples = [
        include_str!("../../tests/events/run-instances.json"),
        include_str!("../../tests/events/state-change.json"),
        include_str!("../../tests/events/start-instances.json"),
    ];
    let each = |id: &String| samples.map(|sample| (event(sample, id), id.clone()));
    let mut all: Vec<(String, String)> = ids.iter().flat_map(each).collect();
    all.extend(all.clone().into_iter().step_by(10));
    all.shuffle(&mut rand::rng());
    let turns = (0..).map(|number| Duration::from_secs(1) / RATE * number);
    turns.zip(all).map(|(turn, (event, id))| Post { turn, event, id }).collect()
}

/// A sample, of that instance.
fn event(sample: &str, id: &str) -> String {
    let mut event: Value = serde_json::from_str(sample).unwrap();
    event["account"] = AWS_ID.into();
    event["region"] = REGION.into();
    event["id"] = format!("{:032x}", rand::random::<u128>()).into();
    match event["detail"].get("instance-id") {
        Some(_) => event["detail"]["instance-id"] = id.into(),
        None => event["detail"]["responseElements"]["instancesSet"]["items"] = json!([{ "instanceId": id }]),
    }
    event.to_string()
}

/// A key for the AWS account, as its page would make it.
async fn key(store: &Store) -> String {
    let name = "0123456789abcdef";
    let key = EventKey::compose(name, &"x".repeat(43));
    let body = json!({
        "type": "event_key", "schema": 1, "account": "bigdb", "aws_id": AWS_ID, "speaks_for": [AWS_ID],
        "hash": EventKey::hash_of(&key), "created": Clock::system().now(), "made_by": "ada",
    });
    let id = format!("{}bigdb::{AWS_ID}::{name}", EventKey::PREFIX);
    store.put("event_key", &Doc { id, rev: None, body }).await.unwrap();
    key
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(Duration::from_secs(30)).build().unwrap()
}
