//! How quickly zerocloud as a whole reacts, in one process with the gateway and AWS's double. `make bench`; with `-- acts` or
//! `-- events` only one of the two.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot start should stop and say so")]

mod acts;
mod events;

use ec2_double::{Double, Role};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use zerocloud::clock::Clock;
use zerocloud::config::Config;
use zerocloud::serve::{self, Ready};
use zerocloud::store::Store;

const AWS_ID: &str = "111122223333";
const REGION: &str = "us-east-1";
/// How long anything may take that a bench waits for.
const PATIENCE: Duration = Duration::from_mins(5);

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|other| other == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if wanted("acts") {
        runtime.block_on(acts::run());
    }
    if wanted("events") {
        runtime.block_on(events::run());
    }
}

/// What differs between benches, as YAML.
struct Settings {
    aws: &'static str,
    schedule: &'static str,
    policy: &'static str,
}

/// AWS with one region and our role.
async fn double() -> Double {
    let double = Double::start().await.unwrap();
    double.handle().only_regions(AWS_ID, &[REGION]);
    double.handle().add_role(Role::new(AWS_ID, "zerocloud").external_id("of-the-bench"));
    double
}

/// Runs zerocloud while `measure` does.
async fn serve(double: &Double, settings: &Settings, measure: impl AsyncFnOnce(Ready, Store)) {
    let folder = tempfile::tempdir().unwrap();
    let yaml = yaml(&double.url(), folder.path().to_str().unwrap(), settings);
    let config = Config::parse(&yaml, |_| None).unwrap();
    let (stop, (ready, answers)) = (CancellationToken::new(), tokio::sync::oneshot::channel());
    let serving = serve::run(config.clone(), Clock::system(), ready, stop.clone());
    let measuring = async {
        let at = answers.await.expect("serve says where it answers");
        let store = Store::new(&serve::store_config(&config, &at)).unwrap();
        measure(at, store).await;
        stop.cancel();
    };
    let (served, ()) = tokio::join!(serving, measuring);
    served.unwrap();
}

/// The time within which that share of all was done, in milliseconds. Sorts them.
fn at(times: &mut [Duration], share: usize) -> f64 {
    times.sort();
    times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3
}

fn yaml(aws: &str, data: &str, settings: &Settings) -> String {
    let Settings { aws: more, schedule, policy } = settings;
    format!(
        "store: {{data: '{data}/data', public: '127.0.0.1:0', admin: '127.0.0.1:0'}}\n\
         web: {{listen: '127.0.0.1:0'}}\n\
         aws: {{access_key_id: {key}, secret_access_key: secret, {more} \
         endpoints: {{ec2: '{aws}', sts: '{aws}', ses: '{aws}', autoscaling: '{aws}', cloudtrail: '{aws}'}}}}\n\
         mail: {{from: zerocloud@bigdb.example, per_second: 500}}\n\
         schedule: {{{schedule}}}\n\
         accounts:\n  - id: bigdb\n    policy: {{{policy}}}\n\
         \x20   aws_accounts: [{{aws_id: '{AWS_ID}', regions: [{REGION}], stage: notify, \
         role_arn: 'arn:aws:iam::{AWS_ID}:role/zerocloud', external_id: of-the-bench}}]\n\
         \x20   users: [{{id: ada, email: ada@bigdb.example, role: admin}}, {{id: lin, email: lin@bigdb.example}}]\n",
        key = ec2_double::Home::default().access_key_id,
    )
}
