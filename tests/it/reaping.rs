//! The reaper alone, with documents and a feed that a test holds back: what it must find out by itself at the last moment.

mod fresh;

use crate::app::{DEV, EAST, Setup, double, key, owned_by};
use crate::gateway::Running;
use ec2_double::{Double, Fault, GroupSpec, Rule, State as Ec2};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zerocloud::aws::Aws;
use zerocloud::clock::Clock;
use zerocloud::config::Config;
use zerocloud::failpoint::Failpoint;
use zerocloud::follower::{self, Index};
use zerocloud::model::{AccountId, Action, Doc, Lease, ResourceId, State, StoppedBy, Time, UserId};
use zerocloud::reactor::{DueEnd, Effect};
use zerocloud::reaper::{self, Reaper};
use zerocloud::store::Store;

/// A lease that is due since a minute, its instance in AWS, and a reaper.
pub struct Bench {
    pub id: String,
    pub now: Time,
    pub store: Store,
    pub double: Double,
    pub reaper: Reaper,
    running: Running,
    _folder: tempfile::TempDir,
    feed: CancellationToken,
    following: JoinHandle<anyhow::Result<()>>,
}

impl Bench {
    /// With the usual lease and resource, each changed.
    pub async fn start(change: impl Fn(&mut Value, &mut Value)) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let running = Running::start(folder.path()).await;
        let store = running.store().await;
        let double = double().await;
        let id = double.handle().at(DEV, EAST).launch(&owned_by("lin"));
        double.handle().set_state(&id, Ec2::Running);
        let now = Clock::system().now();
        let clock = Clock::manual(now);
        let config = Config::parse(&Setup::default().yaml(&double.url(), "unused"), |_| None).unwrap();
        let index = Index::default();
        let reaper = Reaper {
            store: store.clone(),
            index: index.clone(),
            aws: Aws::connect(&config.aws).await,
            clock,
            leads: Arc::new(|| true),
            fail: Failpoint::default(),
        };
        let (mut lease, mut resource) = (lease(&id, now), resource(&id, now));
        change(&mut lease, &mut resource);
        for (kind, doc, body) in documents(now) {
            put(&store, kind, &doc, body).await;
        }
        let place = key(DEV, EAST, &id);
        put(&store, "resource", &place.resource_doc_id(), resource).await;
        put(&store, "lease", &place.lease_id(), lease).await;
        let feed = CancellationToken::new();
        let (wakes, mut unheard) = mpsc::channel(64);
        let follow = follower::run(store.clone(), index.clone(), wakes, feed.clone());
        let listen = async move { while unheard.recv().await.is_some() {} };
        #[expect(clippy::disallowed_methods, reason = "the test owns the task and waits for it in cut()")]
        let following = tokio::spawn(async move { tokio::join!(follow, listen).0 });
        index.caught_up().await;
        Bench { id, now, store, double, reaper, running, _folder: folder, feed, following }
    }

    /// The feed breaks off: from now on the index is behind.
    async fn cut(&mut self) {
        self.feed.cancel();
        (&mut self.following).await.unwrap().unwrap();
    }

    /// Hands the reaper one due end, and waits until it is through with it.
    async fn end(&self, action: Action, resumes: bool) {
        let lease = self.lease().await;
        let due = DueEnd {
            account: AccountId::parse("bigdb").unwrap(),
            key: key(DEV, EAST, &self.id),
            action,
            deadline: lease.ends_at,
            term: lease.term,
            resumes,
        };
        let (errands, errand) = mpsc::channel(4);
        errands.send(Effect::Due(due)).await.unwrap();
        drop(errands);
        let stop = CancellationToken::new();
        reaper::run(self.reaper.clone(), errand, Arc::default(), stop).await.unwrap();
    }

    /// Hands the reaper the wish to start it again, and waits until it is through with it.
    async fn start_again(&self) {
        let (errands, errand) = mpsc::channel(4);
        errands.send(Effect::Start(key(DEV, EAST, &self.id))).await.unwrap();
        drop(errands);
        reaper::run(self.reaper.clone(), errand, Arc::default(), CancellationToken::new()).await.unwrap();
    }

    /// Lets the reaper go on with what is claimed, until the lease is not claimed any more.
    async fn resume(&self) -> Lease {
        let (_open, errand) = mpsc::channel(1);
        let (sweep, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        sweep.notify_one();
        let through = async {
            let begun = Instant::now();
            loop {
                let lease = self.lease().await;
                if lease.state != State::Reaping {
                    stop.cancel();
                    return lease;
                }
                assert!(begun.elapsed() < Duration::from_mins(1), "the claim stays: {lease:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (ran, lease) =
            tokio::join!(reaper::run(self.reaper.clone(), errand, Arc::clone(&sweep), stop.clone()), through);
        ran.unwrap();
        lease
    }

    async fn lease(&self) -> Lease {
        self.store.get::<Lease>(&key(DEV, EAST, &self.id).lease_id()).await.unwrap().unwrap().body
    }

    async fn claims(&self) -> usize {
        self.store.prefix("claim::").await.unwrap().len()
    }

    /// How many calls tried to change something.
    fn acts(&self) -> usize {
        self.double.handle().calls().acting().len()
    }

    pub async fn stop(mut self) {
        if !self.following.is_finished() {
            self.cut().await;
        }
        self.running.stop().await;
        self.double.stop().await;
    }
}

/// Waits until it is so.
async fn soon(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn put(store: &Store, kind: &str, id: &str, body: Value) {
    store.put(kind, &Doc { id: id.to_owned(), rev: None, body }).await.unwrap();
}

fn documents(now: Time) -> Vec<(&'static str, String, Value)> {
    let long_ago = now.plus(-30 * 86_400);
    let user = |id: &str, role: &str| json!({ "account": "bigdb", "user": id, "role": role, "email": format!("{id}@bigdb.example") });
    vec![
        ("account", "account::bigdb".to_owned(), json!({ "account": "bigdb", "name": "BigDB" })),
        ("account_policy", "policy::bigdb".to_owned(), json!({ "account": "bigdb", "policy": {} })),
        ("user", "user::bigdb::ada".to_owned(), user("ada", "admin")),
        ("user", "user::bigdb::lin".to_owned(), user("lin", "dev")),
        (
            "aws_account",
            format!("aws_account::bigdb::{DEV}"),
            json!({
                "account": "bigdb", "aws_id": DEV, "stage": "terminate", "connected_at": long_ago,
                "stage_accepted": { "stage": "terminate", "since": long_ago },
                "role_arn": format!("arn:aws:iam::{DEV}:role/zerocloud"), "external_id": format!("external-{DEV}"),
            }),
        ),
    ]
}

fn resource(id: &str, now: Time) -> Value {
    json!({
        "account": "bigdb", "aws_id": DEV, "region": EAST, "resource_id": id, "kind": "instance", "owner": "lin",
        "first_seen": now.plus(-4 * 86_400),
        "facts": { "state": "running", "root_device": "ebs", "name": "web-1", "tags": { "owner": "lin", "Name": "web-1" } },
    })
}

fn lease(id: &str, now: Time) -> Value {
    let (expired, due) = (now.plus(-3_660), now.plus(-60));
    json!({
        "account": "bigdb", "aws_id": DEV, "region": EAST, "resource_id": id, "kind": "instance", "state": "expired",
        "owner": "lin", "owner_evidence": { "source": "tag", "value": "lin", "at": now.plus(-4 * 86_400) },
        "first_seen": now.plus(-4 * 86_400), "settle_at": now.plus(-4 * 86_400), "term": 2, "expires_at": expired,
        "granted_until": expired, "max_expires_at": expired, "ends_at": due, "end_action": "stop",
    })
}

/// Claimed so many seconds ago.
fn claimed(lease: &mut Value, at: Time) {
    lease["state"] = json!("reaping");
    lease["reap"] = json!({ "action": "stop", "claimed_at": at });
}

fn stopped(lease: &mut Value, resource: &mut Value) {
    lease["state"] = json!("stopped");
    lease["stopped_by"] = json!("zerocloud");
    lease["stopped_at"] = lease["expires_at"].clone();
    lease["end_action"] = json!("terminate");
    resource["facts"]["state"] = json!("stopped");
}

#[tokio::test]
async fn an_end_that_nothing_speaks_against_is_carried_out() {
    let bench = Bench::start(|_, _| ()).await;
    bench.end(Action::Stop, false).await;
    let lease = bench.lease().await;
    assert_eq!((lease.state, lease.stopped_by), (State::Stopped, Some(StoppedBy::Zerocloud)));
    assert_eq!((bench.acts(), bench.claims().await), (1, 1));
    bench.stop().await;
}

#[tokio::test]
async fn a_renewal_that_the_feed_has_not_brought_yet_wins_over_the_reaper() {
    let mut bench = Bench::start(|_, _| ()).await;
    bench.cut().await;
    let wish = json!({
        "account": "bigdb", "user": "lin", "lease": key(DEV, EAST, &bench.id).lease_id(), "action": "renew",
        "until": bench.now.plus(86_400), "at": bench.now,
    });
    put(&bench.store, "request", "request::bigdb::lin::0123456789", wish).await;
    bench.end(Action::Stop, false).await;
    assert_eq!((bench.lease().await.state, bench.acts(), bench.claims().await), (State::Expired, 0, 0));
    bench.stop().await;
}

#[tokio::test]
async fn the_renewal_of_one_who_stands_in_wins_over_the_reaper_too() {
    for (delegated, expected) in [(true, State::Expired), (false, State::Stopped)] {
        let mut bench = Bench::start(|_, _| ()).await;
        let person =
            |id: &str| json!({ "account": "bigdb", "user": id, "role": "dev", "email": format!("{id}@bigdb.example") });
        let mut lin = bench.store.get::<Value>("user::bigdb::lin").await.unwrap().unwrap();
        lin.body["delegate"] = json!("max");
        lin.body["delegate_until"] = json!(bench.now.plus(if delegated { 86_400 } else { -1 }));
        bench.store.put("user", &lin).await.unwrap();
        put(&bench.store, "user", "user::bigdb::max", person("max")).await;
        // Written last, so known last.
        let (account, max) = (AccountId::parse("bigdb").unwrap(), UserId::parse("max").unwrap());
        soon("the feed brings max", || bench.reaper.index.directory().user(&account, &max).is_some()).await;
        bench.cut().await;
        let wish = json!({
            "account": "bigdb", "user": "max", "lease": key(DEV, EAST, &bench.id).lease_id(), "action": "renew",
            "until": bench.now.plus(86_400), "at": bench.now,
        });
        put(&bench.store, "request", "request::bigdb::max::0123456789", wish).await;
        bench.end(Action::Stop, false).await;
        assert_eq!(bench.lease().await.state, expected, "away: {delegated}");
        bench.stop().await;
    }
}

#[tokio::test]
async fn the_wish_of_somebody_who_may_not_renew_keeps_no_end_from_happening() {
    let mut bench = Bench::start(|_, _| ()).await;
    bench.cut().await;
    let wish = json!({
        "account": "bigdb", "user": "max", "lease": key(DEV, EAST, &bench.id).lease_id(), "action": "renew",
    });
    put(&bench.store, "request", "request::bigdb::max::0123456789", wish).await;
    bench.end(Action::Stop, false).await;
    assert_eq!(bench.lease().await.state, State::Stopped);
    bench.stop().await;
}

/// A group of one that nobody renewed, known to the index without its member.
async fn overdue_group(bench: &mut Bench) -> String {
    let place = bench.double.handle().at(DEV, EAST);
    place.add_group(GroupSpec::new("web", 1).between(1, 2).tag("owner", "lin"));
    bench.id = ResourceId::of_group(&place.group("web").arn).unwrap().to_string();
    let (mut lease, mut resource) = (lease(&bench.id, bench.now), resource(&bench.id, bench.now));
    (lease["kind"], resource["kind"]) = (json!("auto_scaling_group"), json!("auto_scaling_group"));
    let sizes = json!({ "min": 1, "desired": 1, "max": 2 });
    resource["facts"] =
        json!({ "state": "running", "name": "web", "tags": { "owner": "lin" }, "group": { "sizes": sizes } });
    let place_of = key(DEV, EAST, &bench.id);
    put(&bench.store, "lease", &place_of.lease_id(), lease).await;
    put(&bench.store, "resource", &place_of.resource_doc_id(), resource).await;
    // Written last, so known last.
    soon("the feed brings the group", || bench.reaper.index.resource(&place_of).is_some()).await;
    place.members("web")[0].id.clone()
}

#[tokio::test]
async fn a_machine_attached_since_the_last_poll_keeps_what_its_own_lease_promised() {
    for (told, expected) in [(true, State::Expired), (false, State::Stopped)] {
        let mut bench = Bench::start(|_, _| ()).await;
        let member = overdue_group(&mut bench).await;
        bench.cut().await;
        let mut own = lease(&member, bench.now);
        let until = bench.now.plus(86_400);
        for field in ["expires_at", "granted_until", "max_expires_at", "ends_at"] {
            own[field] = json!(until);
        }
        own["state"] = json!("active");
        if told {
            own["notified"] = json!({ "term": 2, "kind": "first", "at": bench.now.plus(-3_600) });
        }
        put(&bench.store, "lease", &key(DEV, EAST, &member).lease_id(), own).await;
        bench.end(Action::Stop, false).await;
        let asleep = bench.double.handle().at(DEV, EAST).group("web").desired == 0;
        assert_eq!((bench.lease().await.state, asleep), (expected, !told), "told: {told}");
        bench.stop().await;
    }
}

#[tokio::test]
async fn what_somebody_else_stopped_a_moment_ago_does_not_count_as_our_stop() {
    let bench = Bench::start(|_, _| ()).await;
    bench.double.handle().set_state(&bench.id, Ec2::Stopped);
    bench.end(Action::Stop, false).await;
    let lease = bench.lease().await;
    assert_eq!((lease.state, lease.stopped_by), (State::Expired, None), "it would be terminated as ours");
    assert_eq!(bench.claims().await, 0);
    bench.stop().await;
}

#[tokio::test]
async fn what_was_started_and_stopped_again_since_it_was_seen_is_not_terminated() {
    let bench = Bench::start(|lease, resource| {
        stopped(lease, resource);
        resource["facts"]["launch_time"] = json!("2026-01-01T00:00:00Z");
    })
    .await;
    bench.double.handle().set_state(&bench.id, Ec2::Stopped);
    bench.end(Action::Terminate, false).await;
    assert_eq!((bench.lease().await.state, bench.acts()), (State::Stopped, 0));
    bench.stop().await;
}

#[tokio::test]
async fn a_claim_that_is_taken_up_again_takes_no_new_place_and_is_given_up_in_the_end() {
    let bench = Bench::start(|lease, _| {
        let at = Time::parse(lease["ends_at"].as_str().unwrap()).unwrap();
        claimed(lease, at.plus(-100));
    })
    .await;
    bench.double.handle().inject(Rule::new(Fault::Throttle).action("StopInstances"));
    let since = bench.lease().await.reap.unwrap().claimed_at;
    for _ in 0..3 {
        bench.end(Action::Stop, true).await;
        bench.reaper.clock.advance(130);
    }
    let lease = bench.lease().await;
    assert_eq!(lease.reap.unwrap().claimed_at, since, "the claim looks ever young, so it is never given up");
    assert_eq!(bench.claims().await, 0, "one instance uses up the pace of all");
    bench.reaper.clock.advance(900);
    bench.end(Action::Stop, true).await;
    let lease = bench.lease().await;
    assert!(lease.state == State::Expired && lease.reap.unwrap().error.is_some());
    bench.stop().await;
}

#[tokio::test]
async fn a_claim_that_lost_against_somebodys_write_takes_no_place_within_the_hour() {
    let bench = Bench::start(|_, _| ()).await;
    let aws = bench.double.handle();
    aws.inject(Rule::new(Fault::Delay(1_000)).action("DescribeInstanceAttribute"));
    let written = async {
        soon("the reaper reads EC2", || !aws.calls().action("DescribeInstanceAttribute").is_empty()).await;
        let mut doc = bench.store.get::<Value>(&key(DEV, EAST, &bench.id).lease_id()).await.unwrap().unwrap();
        doc.body["summary"]["name"] = json!("renamed");
        bench.store.put("lease", &doc).await.unwrap();
    };
    tokio::join!(bench.end(Action::Stop, false), written);
    assert_eq!((bench.lease().await.state, bench.acts(), bench.claims().await), (State::Expired, 0, 0));
    bench.stop().await;
}

#[tokio::test]
async fn a_call_is_not_sent_again_once_the_lead_is_in_doubt() {
    let mut bench = Bench::start(|_, _| ()).await;
    let aws = bench.double.handle();
    aws.inject(Rule::new(Fault::Throttle).action("StopInstances").times(2));
    // From the first try on another copy may lead.
    bench.reaper.leads = Arc::new(move || aws.calls().action("StopInstances").is_empty());
    bench.end(Action::Stop, false).await;
    assert_eq!(bench.double.handle().calls().action("StopInstances").successful().len(), 0);
    assert_eq!(bench.lease().await.state, State::Reaping, "the next leader goes on with it");
    bench.stop().await;
}

#[tokio::test]
async fn a_pause_that_is_to_be_lifted_later_holds_until_then() {
    let mut bench = Bench::start(|_, _| ()).await;
    bench.cut().await;
    let now = bench.now;
    let pause = json!({ "account": "bigdb", "reason": "demo", "since": now, "resumed_at": now.plus(3_600) });
    put(&bench.store, "pause", "pause::bigdb", pause).await;
    bench.end(Action::Stop, false).await;
    assert_eq!((bench.lease().await.state, bench.acts()), (State::Expired, 0));
    bench.stop().await;
}

#[tokio::test]
async fn a_claim_from_before_a_pause_is_void_after_it() {
    let bench = Bench::start(|lease, _| {
        let at = Time::parse(lease["ends_at"].as_str().unwrap()).unwrap();
        claimed(lease, at.plus(10));
    })
    .await;
    let now = bench.now;
    let pause = json!({ "account": "bigdb", "reason": "demo", "since": now.plus(-40), "resumed_at": now.plus(-5) });
    put(&bench.store, "pause", "pause::bigdb", pause).await;
    assert_eq!((bench.resume().await.state, bench.acts()), (State::Expired, 0));
    bench.stop().await;
}

#[tokio::test]
async fn a_claim_from_before_the_stage_was_raised_again_is_void() {
    let bench = Bench::start(|lease, _| {
        let at = Time::parse(lease["ends_at"].as_str().unwrap()).unwrap();
        claimed(lease, at.plus(10));
    })
    .await;
    let id = format!("aws_account::bigdb::{DEV}");
    let mut doc = bench.store.get::<Value>(&id).await.unwrap().unwrap();
    doc.body["stage_accepted"]["since"] = json!(bench.now.plus(-5));
    bench.store.put("aws_account", &doc).await.unwrap();
    assert_eq!((bench.resume().await.state, bench.acts()), (State::Expired, 0));
    bench.stop().await;
}

#[tokio::test]
async fn a_claim_gives_way_to_what_was_written_on_the_lease_since() {
    let edits: [fn(&mut Value, Time); 3] = [
        |lease, now| lease["expires_at"] = json!(now.plus(86_400)),
        |lease, now| lease["exemption"] = json!({ "reason": "demo", "until": now.plus(86_400) }),
        |lease, _| {
            lease["owner"] = json!("ada");
            lease["marks"] = json!({ "granted_owner": "lin" });
        },
    ];
    for edit in edits {
        let bench = Bench::start(|lease, _| {
            let at = Time::parse(lease["ends_at"].as_str().unwrap()).unwrap();
            claimed(lease, at.plus(10));
            edit(lease, at);
        })
        .await;
        assert_eq!((bench.resume().await.state, bench.acts()), (State::Expired, 0));
        bench.stop().await;
    }
}

#[tokio::test]
async fn our_own_stop_that_was_not_recorded_is_recorded_when_it_is_taken_up_again() {
    let bench = Bench::start(|lease, _| {
        let at = Time::parse(lease["ends_at"].as_str().unwrap()).unwrap();
        claimed(lease, at.plus(10));
    })
    .await;
    bench.double.handle().set_state(&bench.id, Ec2::Stopped);
    let lease = bench.resume().await;
    assert_eq!((lease.state, lease.stopped_by), (State::Stopped, Some(StoppedBy::Zerocloud)));
    bench.stop().await;
}

#[tokio::test]
async fn what_was_revived_is_started_even_if_its_lease_expired_meanwhile() {
    let bench = Bench::start(|_, resource| resource["facts"]["state"] = json!("stopped")).await;
    bench.double.handle().set_state(&bench.id, Ec2::Stopped);
    bench.start_again().await;
    assert_eq!(bench.double.handle().calls().action("StartInstances").successful().len(), 1, "it would be stuck");
    bench.stop().await;
}
