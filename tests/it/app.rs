//! zerocloud as a whole: `serve` with the embedded gateway against the AWS double, on ports of its own and a clock that a
//! test moves. A test acts as people and AWS do, and waits for what they would see.

use crate::gateway::{Given, Running};
use ec2_double::{Double, Handle, Mail, Role, Spec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zerocloud::clock::Clock;
use zerocloud::config::Config;
use zerocloud::model::{Lease, LeaseKey, State, Time};
use zerocloud::serve;
use zerocloud::store::{Session, Store};

/// The AWS accounts of Account `bigdb`.
pub const DEV: &str = "111122223333";
pub const TEST: &str = "444455556666";
/// Their regions.
pub const EAST: &str = "us-east-1";
pub const WEST: &str = "eu-west-1";
/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_mins(1);

/// What differs from the usual set-up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Stage of both AWS accounts.
    pub stage: &'static str,
    /// Settings of the account policy, in place of the defaults.
    pub policy: BTreeMap<&'static str, String>,
    /// Instances on a page.
    pub page_size: u32,
    /// Cron expression of the polls.
    pub poll: &'static str,
    /// Cron expression of the sweeps.
    pub sweep: &'static str,
    /// The section `scheduler`, as YAML.
    pub scheduler: String,
    /// Settings of the section `aws` beside the usual ones, and of its `endpoints`, as YAML.
    pub aws: (String, String),
    /// Settings of the section `web` beside the port, as YAML.
    pub web: String,
    /// The Accounts, in place of the usual one, as YAML.
    pub accounts: Option<String>,
    /// Accounts beside it, as YAML.
    pub more: String,
}

impl Default for Setup {
    fn default() -> Setup {
        let policy = [("stage_notice", "1s".to_owned())].into();
        Setup {
            stage: "terminate",
            policy,
            page_size: 500,
            poll: "* * * * * *",
            sweep: "* * * * * *",
            scheduler: "{}".to_owned(),
            aws: (String::new(), String::new()),
            web: String::new(),
            accounts: None,
            more: String::new(),
        }
    }
}

impl Setup {
    /// With that setting of the policy.
    pub fn policy(mut self, name: &'static str, value: &str) -> Setup {
        self.policy.insert(name, value.to_owned());
        self
    }

    /// Both AWS accounts at that stage.
    pub fn stage(mut self, stage: &'static str) -> Setup {
        self.stage = stage;
        self
    }

    /// With these settings of the section `web`.
    pub fn web(mut self, settings: &str) -> Setup {
        settings.clone_into(&mut self.web);
        self
    }

    /// With a second Account, whose admin is Eve.
    pub fn with_another(mut self) -> Setup {
        let other = "  - id: other\n    name: Other\n    users:\n      \
                     - {id: eve, email: eve@other.example, name: Eve, role: admin}\n";
        other.clone_into(&mut self.more);
        self
    }

    /// The usual Account's entry in the list of Accounts.
    fn bigdb(&self) -> String {
        let policy: Vec<String> = self.policy.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let account = |id: &str| {
            format!(
                "{{aws_id: '{id}', name: 'AWS {id}', regions: [{EAST}, {WEST}], stage: {}, \
                 role_arn: 'arn:aws:iam::{id}:role/zerocloud', external_id: 'external-{id}'}}",
                self.stage
            )
        };
        format!(
            "  - id: bigdb\n    name: BigDB\n    policy: {{{policy}}}\n    aws_accounts: [{dev}, {test}]\n\
             \x20   users:\n\
             \x20     - {{id: ada, email: ada@bigdb.example, name: Ada, role: admin, github_login: ada-l}}\n\
             \x20     - {{id: lin, email: lin@bigdb.example, name: Lin, key_names: [lin-laptop]}}\n\
             \x20     - {{id: max, email: max@bigdb.example, name: Max}}\n",
            policy = policy.join(", "),
            dev = account(DEV),
            test = account(TEST),
        )
    }

    /// The configuration for a double and a folder, with the gateway on free ports.
    pub fn yaml(&self, aws: &str, data: &str) -> String {
        let accounts = self.accounts.clone().unwrap_or_else(|| self.bigdb() + &self.more);
        // A test that plays CloudTrail itself says where.
        let trail = if self.aws.1.contains("cloudtrail:") { String::new() } else { format!("cloudtrail: '{aws}',") };
        let accounts = if accounts.is_empty() { String::new() } else { format!("accounts:\n{accounts}") };
        format!(
            "store: {{data: '{data}', public: '127.0.0.1:0', admin: '127.0.0.1:0'}}\n\
             aws: {{access_key_id: {key}, secret_access_key: secret, page_size: {page}, requests_per_second: 200, \
             timeout: 10s, {more} endpoints: {{ec2: '{aws}', sts: '{aws}', ses: '{aws}', autoscaling: '{aws}', {trail} {ends}}}}}\n\
             mail: {{from: zerocloud@bigdb.example, per_second: 500}}\n\
             schedule: {{poll: '{poll}', sweep: '{sweep}', outbox: '* * * * * *', cleanup: '* * * * * *'}}\n\
             scheduler: {scheduler}\n\
             web: {{listen: '127.0.0.1:0', {web}}}\n\
             leader_ttl: 2s\n{accounts}",
            key = ec2_double::Home::default().access_key_id,
            page = self.page_size,
            more = self.aws.0,
            ends = self.aws.1,
            poll = self.poll,
            sweep = self.sweep,
            scheduler = self.scheduler,
            web = self.web,
        )
    }
}

/// A double with the roles that [`Setup`] expects.
pub async fn double() -> Double {
    let double = Double::start().await.unwrap();
    for id in [DEV, TEST] {
        double.handle().only_regions(id, &[EAST, WEST]);
        double.handle().add_role(Role::new(id, "zerocloud").external_id(format!("external-{id}")));
    }
    double
}

/// An instance with an owner tag.
pub fn owned_by(owner: &str) -> Spec {
    tagged(&[("owner", owner), ("Name", "web-1")])
}

/// An instance with these tags.
pub fn tagged(tags: &[(&str, &str)]) -> Spec {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Spec { tags: tags.collect(), ..Spec::default() }
}

/// Where the documents are: with the embedded gateway, or in a database of a gateway that runs already.
enum Place {
    Folder(tempfile::TempDir),
    Given(Given),
}

impl Place {
    fn new() -> Place {
        Given::by_environment().map_or_else(|| Place::Folder(tempfile::tempdir().unwrap()), Place::Given)
    }

    fn config(&self, setup: &Setup, aws: &str) -> Config {
        let (data, given) = match self {
            Place::Folder(folder) => (folder.path().join("data"), None),
            Place::Given(given) => ("unused".into(), Some(given)),
        };
        let yaml = setup.yaml(aws, data.to_str().unwrap());
        let set = |name: &str| {
            let given = given?;
            match name {
                "ZEROCLOUD_STORE_PUBLIC_URL" => Some(given.public.clone()),
                "ZEROCLOUD_STORE_ADMIN_URL" => Some(given.admin.clone()),
                "ZEROCLOUD_STORE_ADMIN_USER" => given.signed.as_ref().map(|(name, _)| name.clone()),
                "ZEROCLOUD_STORE_ADMIN_PASSWORD" => given.signed.as_ref().map(|(_, password)| password.clone()),
                "ZEROCLOUD_STORE_DATABASE" => Some(given.database.clone()),
                _ => None,
            }
        };
        Config::parse(&yaml, set).unwrap()
    }
}

/// A running zerocloud.
pub struct TestApp {
    /// AWS.
    pub aws: Handle,
    /// The clock that zerocloud goes by.
    pub clock: Clock,
    /// The documents, as the service sees them.
    pub store: Store,
    /// Where the pages are.
    pub web: String,
    double: Option<Double>,
    place: Place,
    setup: Setup,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    /// Starts with nothing in AWS.
    pub async fn start(setup: Setup) -> TestApp {
        TestApp::with(setup, |_| ()).await
    }

    /// Starts after `seed` has put something into AWS.
    pub async fn with(setup: Setup, seed: impl FnOnce(&Handle)) -> TestApp {
        let double = double().await;
        seed(&double.handle());
        TestApp::on(setup, double).await
    }

    /// Starts on an AWS that is there already.
    pub async fn on(setup: Setup, double: Double) -> TestApp {
        let clock = Clock::manual(Clock::system().now());
        TestApp::run(setup, double, Place::new(), clock).await
    }

    async fn run(setup: Setup, double: Double, place: Place, clock: Clock) -> TestApp {
        let config = place.config(&setup, &double.url());
        let stop = CancellationToken::new();
        let (ready, answers) = tokio::sync::oneshot::channel();
        let running = serve::run(config.clone(), clock.clone(), ready, stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the test owns the task and waits for it in stop()")]
        let task = tokio::spawn(running);
        let at = tokio::time::timeout(PATIENCE, answers).await.unwrap().expect("serve ended before it was ready");
        let store = Store::new(&serve::store_config(&config, &at)).unwrap();
        TestApp {
            aws: double.handle(),
            clock,
            store,
            web: at.web_url.unwrap(),
            double: Some(double),
            place,
            setup,
            stop,
            task,
        }
    }

    /// Stops it in good order.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap().unwrap();
        if let Some(double) = self.double.take() {
            double.stop().await;
        }
        if let Place::Given(given) = &self.place {
            given.clear().await;
        }
    }

    /// Stops it and starts it again on the same documents, AWS and clock.
    pub async fn restart(mut self, change: impl FnOnce(Setup) -> Setup) -> TestApp {
        self.stop.cancel();
        (&mut self.task).await.unwrap().unwrap();
        let double = self.double.take().unwrap();
        TestApp::run(change(self.setup.clone()), double, self.place, self.clock).await
    }

    /// Its configuration, with the gateway where it is.
    pub fn config(&self) -> Config {
        self.place.config(&self.setup, &self.double.as_ref().unwrap().url())
    }

    /// Stops zerocloud and keeps everything around it.
    pub async fn pause(mut self) -> Paused {
        self.stop.cancel();
        (&mut self.task).await.unwrap().unwrap();
        let double = self.double.take().unwrap();
        Paused { aws: double.handle(), double, place: self.place, setup: self.setup, clock: self.clock }
    }

    /// Moves the clock on.
    pub fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
    }

    /// Waits until `check` gives something; panics with `what` and all leases when it takes too long.
    pub async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, mut check: impl FnMut() -> F) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = check().await {
                return found;
            }
            if begun.elapsed() > PATIENCE {
                let docs = self.store.prefix("lease::").await.unwrap();
                let leases: Vec<String> = docs.iter().map(|doc| format!("{} {}", doc.id, doc.body)).collect();
                panic!("waited in vain: {what}\nleases:\n{}", leases.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every lease that can be read.
    pub async fn leases(&self) -> Vec<Lease> {
        let docs = self.store.prefix("lease::").await.unwrap();
        docs.into_iter().filter_map(|doc| serde_json::from_value(doc.body).ok()).collect()
    }

    /// The lease of an instance, if there is one.
    pub async fn lease(&self, instance: &str) -> Option<Lease> {
        self.leases().await.into_iter().find(|lease| lease.key.resource_id.as_str() == instance)
    }

    /// Waits for the lease to be as `fits` says.
    pub async fn lease_where(&self, instance: &str, what: &str, fits: impl Fn(&Lease) -> bool) -> Lease {
        self.until(&format!("{instance}: {what}"), || async { self.lease(instance).await.filter(&fits) }).await
    }

    /// Waits for the lease to have that owner, and the length that the owner's policy gives it.
    pub async fn owned(&self, instance: &str, owner: &str) -> Lease {
        let owned = |lease: &Lease| {
            let due = lease.extra.get("marks").and_then(|marks| marks.get("length_due"));
            lease.owner.as_str() == owner && due.is_none_or(|due| due == false)
        };
        self.lease_where(instance, &format!("owned by {owner}"), owned).await
    }

    /// Waits for the lease to be in that state.
    pub async fn state(&self, instance: &str, state: State) -> Lease {
        self.lease_where(instance, state.as_str(), |lease| lease.state == state).await
    }

    /// Lets tags settle, and waits until the owner is known and the mail service took the first notice.
    pub async fn settled(&self, instance: &str, owner: &str) -> Lease {
        self.lease_where(instance, "leased", |_| true).await;
        self.advance(130);
        self.owned(instance, owner).await;
        self.lease_where(instance, "told", |lease| lease.notified.is_some()).await
    }

    /// Mails to an address whose text names the instance.
    pub fn mails(&self, address: &str, instance: &str) -> Vec<Mail> {
        let about = |mail: &Mail| mail.is_to(address) && mail.text.contains(instance);
        self.aws.mails().into_iter().filter(about).collect()
    }

    /// Waits until `mails` of them were taken and their receipts are stored: a clock that moves in between moves the
    /// instant at which a notice counts as accepted, and with it the end that it announces.
    pub async fn mailed(&self, address: &str, instance: &str, mails: usize) -> Vec<Mail> {
        self.until(&format!("{mails} mails to {address} about {instance}"), || async {
            let taken = self.mails(address, instance);
            let outbox = self.store.prefix("notice::").await.unwrap();
            let waits = outbox.iter().any(|doc| doc.id.contains(instance) && doc.body["status"] == "queued");
            (taken.len() >= mails && !waits).then_some(taken)
        })
        .await
    }

    /// A person's session.
    pub async fn session(&self, user: &str) -> Session {
        self.store.session(&format!("bigdb.{user}"), 600).await.unwrap()
    }

    /// A person's request, through the public port; gives its id.
    pub async fn ask(&self, user: &str, lease: &Lease, action: &str, more: Value) -> String {
        let id = format!("request::bigdb::{user}::{:032x}", rand::random::<u128>());
        self.ask_as(&id, user, lease, action, more).await;
        id
    }

    /// The same with a chosen id.
    pub async fn ask_as(&self, id: &str, user: &str, lease: &Lease, action: &str, more: Value) {
        let mut body = json!({
            "type": "request", "schema": 1, "account": "bigdb", "user": user, "updated_by": format!("bigdb.{user}"),
            "lease": lease.key().lease_id(), "action": action, "at": self.clock.now(),
        });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let session = self.session(user).await;
        self.store.put_as(&session, id, &body, None).await.unwrap();
    }

    /// Waits for a request's answer: outcome and reason.
    pub async fn answer(&self, id: &str) -> (String, String) {
        let answer = self
            .until(&format!("an answer to {id}"), || async {
                self.store.get::<Value>(id).await.unwrap().and_then(|doc| doc.body.get("answer").cloned())
            })
            .await;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("outcome"), text("reason"))
    }

    /// Waits until `polls` more scans of a region were answered.
    pub async fn polled(&self, account: &str, region: &str, polls: usize) {
        let scans = || {
            let calls = self.aws.calls().account(account).region(region).action("DescribeInstances");
            calls.only(|call| call.ids.is_empty() && call.page == 1 && call.status != 0).len()
        };
        let before = scans();
        self.until("polls", || async { (scans() >= before + polls).then_some(()) }).await;
    }

    /// Changes a document as an operator on the admin port would.
    pub async fn edit(&self, id: &str, change: impl Fn(&mut Value)) {
        loop {
            let mut doc = self.store.get::<Value>(id).await.unwrap().unwrap();
            change(&mut doc.body);
            let kind = doc.body["type"].as_str().unwrap().to_owned();
            match self.store.put(&kind, &doc).await {
                Ok(_) => return,
                Err(zerocloud::store::StoreError::Conflict { .. }) => {}
                Err(why) => panic!("{id}: {why}"),
            }
        }
    }
}

/// zerocloud between two runs.
pub struct Paused {
    /// AWS.
    pub aws: Handle,
    double: Double,
    place: Place,
    setup: Setup,
    clock: Clock,
}

impl Paused {
    /// Every document with its revision, read through a gateway of the test's own.
    pub async fn documents(&self) -> BTreeMap<String, Option<String>> {
        let docs = match &self.place {
            Place::Given(given) => given.client().prefix("").await.unwrap(),
            Place::Folder(folder) => {
                let running = Running::start(&folder.path().join("data")).await;
                let docs = running.client().prefix("").await.unwrap();
                running.stop().await;
                docs
            }
        };
        docs.into_iter().map(|doc| (doc.id, doc.rev)).collect()
    }

    /// Runs again.
    pub async fn go_on(self) -> TestApp {
        TestApp::run(self.setup, self.double, self.place, self.clock).await
    }
}

/// The key of an instance's lease.
pub fn key(account: &str, region: &str, instance: &str) -> LeaseKey {
    LeaseKey::parse(&format!("{account}::{region}::{instance}")).unwrap()
}

/// So many seconds after `at`.
pub fn after(at: Time, seconds: i64) -> Time {
    at.plus(seconds)
}

/// A gateway alone, for tests of what talks to it.
pub async fn gateway() -> (tempfile::TempDir, Running, Store) {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path()).await;
    let store = running.store().await;
    (folder, running, store)
}
