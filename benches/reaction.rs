//! How long from a person's wish to its answer: a request is put through the public port, and the time is taken until the feed
//! shows it answered. Prints p50 and p99. `cargo bench --bench reaction`; the numbers in README come from here.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot start should stop and say so")]

use ec2_double::{Double, Role, Spec};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use zerocloud::clock::Clock;
use zerocloud::config::Config;
use zerocloud::serve;
use zerocloud::store::{Feed, Store};

/// Leases that stand there meanwhile.
const LEASES: usize = 1_000;
/// Requests measured.
const REQUESTS: usize = 300;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let double = Double::start().await.unwrap();
    let aws = double.handle();
    aws.only_regions("111122223333", &["us-east-1"]);
    aws.add_role(Role::new("111122223333", "zerocloud").external_id("e"));
    let tags = [("owner".to_owned(), "lin".to_owned())].into();
    aws.at("111122223333", "us-east-1").seed(LEASES, &Spec { tags, ..Spec::default() });
    let folder = tempfile::tempdir().unwrap();
    let config = Config::parse(&yaml(&double.url(), folder.path().to_str().unwrap()), |_| None).unwrap();
    let (stop, (ready, answers)) = (CancellationToken::new(), tokio::sync::oneshot::channel());
    let serving = serve::run(config.clone(), Clock::system(), ready, stop.clone());
    let measuring = async {
        let store = Store::new(&serve::store_config(&config, &answers.await.unwrap())).unwrap();
        let mut times = measure(&store).await;
        times.sort();
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        println!(
            "wish to answer, {LEASES} leases, {REQUESTS} requests: p50 {:.1} ms, p99 {:.1} ms",
            at(50).as_secs_f64() * 1e3,
            at(99).as_secs_f64() * 1e3
        );
        stop.cancel();
    };
    let (served, ()) = tokio::join!(serving, measuring);
    served.unwrap();
    double.stop().await;
}

/// One request after another, each about another lease.
async fn measure(store: &Store) -> Vec<Duration> {
    let leases = loop {
        let docs = store.prefix("lease::").await.unwrap();
        let ready = docs.iter().filter(|doc| doc.body["notified"].is_object()).count();
        if ready == LEASES {
            break docs;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let session = store.session("bigdb.lin", 3_600).await.unwrap();
    let mut feed = pin!(store.changes("0".to_owned()));
    while !matches!(feed.next().await, Some(Feed::CaughtUp)) {}
    let mut sent: HashMap<String, Instant> = HashMap::new();
    let mut times = Vec::new();
    for (number, lease) in leases.iter().cycle().take(REQUESTS).enumerate() {
        let id = format!("request::bigdb::lin::{number:032x}");
        let body = json!({
            "type": "request", "schema": 1, "account": "bigdb", "user": "lin", "updated_by": "bigdb.lin",
            "lease": lease.id, "action": "renew", "at": Clock::system().now(),
        });
        sent.insert(id.clone(), Instant::now());
        store.put_as(&session, &id, &body, None).await.unwrap();
        loop {
            let Some(Feed::Change(change)) = feed.next().await else { continue };
            let answered = change.doc.as_ref().is_some_and(|doc| doc.get("answer").is_some_and(Value::is_object));
            if answered && change.id == id {
                times.push(sent[&id].elapsed());
                break;
            }
        }
    }
    times
}

fn yaml(aws: &str, data: &str) -> String {
    format!(
        "store: {{data: '{data}/data', public: '127.0.0.1:0', admin: '127.0.0.1:0'}}\n\
         aws: {{access_key_id: {key}, secret_access_key: secret, requests_per_second: 200, \
         endpoints: {{ec2: '{aws}', sts: '{aws}', ses: '{aws}'}}}}\n\
         mail: {{from: zerocloud@bigdb.example, per_second: 500}}\n\
         schedule: {{poll: '* * * * * *', sweep: '* * * * * *'}}\n\
         accounts:\n  - id: bigdb\n    policy: {{settle: 1s}}\n\
         \x20   aws_accounts: [{{aws_id: '111122223333', regions: [us-east-1], stage: notify, \
         role_arn: 'arn:aws:iam::111122223333:role/zerocloud', external_id: e}}]\n\
         \x20   users: [{{id: ada, email: ada@bigdb.example, role: admin}}, {{id: lin, email: lin@bigdb.example}}]\n",
        key = ec2_double::Home::default().access_key_id,
    )
}
