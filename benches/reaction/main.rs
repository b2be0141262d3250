//! How long from a person's act to zerocloud's answer, end to end: a request or an edit goes through the public port, and the
//! time is taken until the feed shows it answered. Prints p50 and p99 of both. `make bench`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot start should stop and say so")]

use ec2_double::{Double, Role, Spec};
use futures_util::{Stream, StreamExt as _};
use serde_json::{Value, json};
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use zerocloud::clock::Clock;
use zerocloud::config::Config;
use zerocloud::model::{Doc, Time};
use zerocloud::serve;
use zerocloud::store::{Feed, Session, Store};

/// Leases that stand there meanwhile, all of one owner.
const LEASES: usize = 1_000;
/// Acts measured, of each kind.
const ACTS: usize = 300;
/// How long the leases may take to be made and told.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let double = Double::start().await.unwrap();
    let aws = double.handle();
    aws.only_regions("111122223333", &["us-east-1"]);
    aws.add_role(Role::new("111122223333", "zerocloud").external_id("of-the-bench"));
    let tags = [("owner".to_owned(), "lin".to_owned())].into();
    aws.at("111122223333", "us-east-1").seed(LEASES, &Spec { tags, ..Spec::default() });
    let folder = tempfile::tempdir().unwrap();
    let config = Config::parse(&yaml(&double.url(), folder.path().to_str().unwrap()), |_| None).unwrap();
    let (stop, (ready, answers)) = (CancellationToken::new(), tokio::sync::oneshot::channel());
    let serving = serve::run(config.clone(), Clock::system(), ready, stop.clone());
    let measuring = async {
        let at = answers.await.expect("serve says where it answers");
        measure(&Store::new(&serve::store_config(&config, &at)).unwrap()).await;
        stop.cancel();
    };
    let (served, ()) = tokio::join!(serving, measuring);
    served.unwrap();
    double.stop().await;
}

/// One act after another, each about another lease.
async fn measure(store: &Store) {
    let leases = told(store).await;
    let session = store.session("bigdb.lin", 3_600).await.unwrap();
    let mut feed = pin!(store.changes("0".to_owned()));
    while !matches!(feed.next().await, Some(Feed::CaughtUp)) {}
    let mut wishes = Vec::new();
    for (number, lease) in leases.iter().take(ACTS).enumerate() {
        wishes.push(wish(store, &session, feed.as_mut(), number, &lease.id).await);
    }
    print("a request to its answer", wishes);
    let mut edits = Vec::new();
    for lease in leases.iter().skip(ACTS).take(ACTS) {
        edits.push(edit(store, &session, feed.as_mut(), &lease.id).await);
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
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("{what}, among {LEASES} leases, {ACTS} times: p50 {:.1} ms, p99 {:.1} ms", at(50), at(99));
}

fn yaml(aws: &str, data: &str) -> String {
    format!(
        "store: {{data: '{data}/data', public: '127.0.0.1:0', admin: '127.0.0.1:0'}}\n\
         aws: {{access_key_id: {key}, secret_access_key: secret, requests_per_second: 200, \
         endpoints: {{ec2: '{aws}', sts: '{aws}', ses: '{aws}', autoscaling: '{aws}', cloudtrail: '{aws}'}}}}\n\
         mail: {{from: zerocloud@bigdb.example, per_second: 500}}\n\
         schedule: {{poll: '* * * * * *', sweep: '* * * * * *'}}\n\
         accounts:\n  - id: bigdb\n    policy: {{settle: 1s, max_instances: 2000}}\n\
         \x20   aws_accounts: [{{aws_id: '111122223333', regions: [us-east-1], stage: notify, \
         role_arn: 'arn:aws:iam::111122223333:role/zerocloud', external_id: of-the-bench}}]\n\
         \x20   users: [{{id: ada, email: ada@bigdb.example, role: admin}}, {{id: lin, email: lin@bigdb.example}}]\n",
        key = ec2_double::Home::default().access_key_id,
    )
}
