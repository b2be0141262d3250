//! How long from a person's act to zerocloud's answer, end to end: a request or an edit goes through the public port, and the
//! time is taken until the feed shows it answered. Prints p50 and p99 of both.

use super::{AWS_ID, PATIENCE, REGION, Settings, at, double, serve};
use ec2_double::Spec;
use futures_util::{Stream, StreamExt as _};
use serde_json::{Value, json};
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};
use zerocloud::clock::Clock;
use zerocloud::model::{Doc, Time};
use zerocloud::store::{Feed, Session, Store};

/// Leases that stand there meanwhile, all of one owner.
const LEASES: usize = 1_000;
/// Acts measured, of each kind.
const ACTS: usize = 300;

pub async fn run() {
    let double = double().await;
    let tags = [("owner".to_owned(), "lin".to_owned())].into();
    double.handle().at(AWS_ID, REGION).seed(LEASES, &Spec { tags, ..Spec::default() });
    let settings = Settings {
        aws: "requests_per_second: 200,",
        schedule: "poll: '* * * * * *', sweep: '* * * * * *'",
        policy: "settle: 1s, max_instances: 2000",
    };
    Box::pin(serve(&double, &settings, async |_, store| measure(store).await)).await;
    double.stop().await;
}

/// One act after another, each about another lease.
async fn measure(store: Store) {
    let leases = told(&store).await;
    let session = store.session("bigdb.lin", 3_600).await.unwrap();
    let mut feed = pin!(store.changes("0".to_owned()));
    while !matches!(feed.next().await, Some(Feed::CaughtUp)) {}
    let mut wishes = Vec::new();
    for (number, lease) in leases.iter().take(ACTS).enumerate() {
        wishes.push(wish(&store, &session, feed.as_mut(), number, &lease.id).await);
    }
    print("a request to its answer", wishes);
    let mut edits = Vec::new();
    for lease in leases.iter().skip(ACTS).take(ACTS) {
        edits.push(edit(&store, &session, feed.as_mut(), &lease.id).await);
    }
    print("an edit to its acceptance", edits);
}

/// All leases, once their owner was told of each.
async fn told(store: &Store) -> Vec<Doc<Value>> {
    let begun = Instant::now();
    loop {
        let docs = store.prefix("lease::").await.unwrap();
        let told = docs.iter().filter(|doc| doc.body["notified"].is_object()).count();
        if told == LEASES {
            println!("{LEASES} instances found, leased and told in {:.1} s", begun.elapsed().as_secs_f64());
            return docs;
        }
        assert!(begun.elapsed() < PATIENCE, "of {LEASES} instances {} are leased and {told} told", docs.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A request to renew.
async fn wish(
    store: &Store,
    session: &Session,
    feed: Pin<&mut impl Stream<Item = Feed>>,
    number: usize,
    lease: &str,
) -> Duration {
    let id = format!("request::bigdb::lin::{number:032x}");
    let body = json!({
        "type": "request", "schema": 1, "account": "bigdb", "user": "lin", "updated_by": "bigdb.lin",
        "lease": lease, "action": "renew", "at": Clock::system().now(),
    });
    let begun = Instant::now();
    store.put_as(session, &id, &body, None).await.unwrap();
    shown(feed, |change, doc| change == id && doc["answer"].is_object()).await;
    begun.elapsed()
}

/// A later end written into the lease itself.
async fn edit(store: &Store, session: &Session, feed: Pin<&mut impl Stream<Item = Feed>>, id: &str) -> Duration {
    let mut lease = store.get_as(session, id).await.unwrap().unwrap();
    let end: Time = serde_json::from_value(lease.body["expires_at"].clone()).unwrap();
    let later = json!(end.plus(3_600));
    lease.body["expires_at"] = later.clone();
    lease.body["updated_by"] = "bigdb.lin".into();
    let begun = Instant::now();
    store.put_as(session, id, &lease.body, lease.rev.as_deref()).await.unwrap();
    shown(feed, |change, doc| change == id && doc["granted_until"] == later).await;
    begun.elapsed()
}

/// Reads the feed until it shows such a document.
async fn shown(mut feed: Pin<&mut impl Stream<Item = Feed>>, fits: impl Fn(&str, &Value) -> bool) {
    loop {
        let Some(Feed::Change(change)) = feed.next().await else { continue };
        if change.doc.as_ref().is_some_and(|doc| fits(&change.id, doc)) {
            return;
        }
    }
}

fn print(what: &str, mut times: Vec<Duration>) {
    let (half, most) = (at(&mut times, 50), at(&mut times, 99));
    println!("{what}, among {LEASES} leases, {ACTS} times: p50 {half:.1} ms, p99 {most:.1} ms");
}
