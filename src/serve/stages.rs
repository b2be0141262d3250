//! The stages and the channels between them: what serve.rs starts once this process leads.

use super::seed;
use crate::alarm::{self, Alarm};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::Config;
use crate::connect::Connect;
use crate::detector::{self, Detector};
use crate::driver::{self, LiveWorld, Look};
use crate::failpoint::Failpoint;
use crate::follower::{self, Index, View, Wake};
use crate::leader::Leadership;
use crate::leavers;
use crate::model::{LeaseKey, ResourceChange, Time};
use crate::notifier::{Mailer, Notifier, NotifierConfig};
use crate::reaper::{self, Reaper};
use crate::recorder::{self, Recorder};
use crate::scheduler::{self, Ticks, Timers};
use crate::store::Store;
use crate::tagger::Tagger;
use crate::teller::Teller;
use crate::tokens::Tokens;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the stages are made of.
pub(super) struct Stages {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) fail: Failpoint,
    pub(super) store: Store,
    pub(super) aws: Aws,
    pub(super) connect: Connect,
    pub(super) leadership: Leadership,
    pub(super) news: super::News,
    pub(super) index: Index,
    pub(super) ticks: Ticks,
    pub(super) stop: CancellationToken,
}

/// What waits in a channel; the driver takes its own into a queue at once.
const WAITING: usize = 1024;
/// Events of AWS that wait; past them EventBridge is asked to try again.
const TOLD: usize = 2_000;
/// Errands that wait for the reaper; more are asked for again by the sweep.
const ERRANDS: usize = 10_000;

type Tasks = JoinSet<anyhow::Result<()>>;

impl Stages {
    /// Starts every stage.
    pub(super) async fn start(self, tasks: &mut Tasks) -> anyhow::Result<()> {
        let tokens = Tokens::load(&self.store).await?;
        let (looks, looking) = mpsc::channel(WAITING);
        let (again, keys) = mpsc::channel(WAITING);
        let documents = (&self.store, &self.index);
        let timers = Timers::new(self.config.scheduler.as_ref(), &self.aws, documents, &self.clock)?;
        self.feeds(tasks, &looks, &again, &timers);
        self.judges(tasks, looking, &again, &timers);
        tasks.spawn(due(keys, looks, self.index.clone(), self.clock.clone()));
        self.mail(tasks, tokens);
        self.jobs(tasks);
        self.hooks(tasks);
        self.after_polls(tasks);
        let (config, clock) = (self.config.clone(), self.clock.clone());
        let (wake, stop) = (Arc::clone(&self.ticks.connect), self.stop.clone());
        tasks.spawn(connects(self.connect.clone(), config, clock, wake, stop));
        tasks.spawn(self.sweeps(again, timers));
        Ok(())
    }

    /// What brings news: the feed and the detector.
    fn feeds(&self, tasks: &mut Tasks, looks: &mpsc::Sender<Look>, again: &mpsc::Sender<LeaseKey>, timers: &Timers) {
        let (wakes, waking) = mpsc::channel(WAITING);
        let (changes, changing) = mpsc::channel(WAITING);
        let (store, index) = (self.store.clone(), self.index.clone());
        let (seen, seeing) = mpsc::channel(WAITING);
        let wants = |id: &str| recorder::is_watched(id) || leavers::is_watched(id);
        let tap = follower::Tap { to: seen, wants };
        tasks.spawn(follower::run_seen(store.clone(), index.clone(), wakes, Some(tap), self.stop.clone()));
        self.watchers(tasks, seeing);
        let (ticks, clock) = (self.ticks.clone(), self.clock.clone());
        let calls = (timers.clone(), again.clone());
        tasks.spawn(woken(waking, looks.clone(), calls, ticks, store, index, clock));
        let detector = Detector {
            aws: self.aws.clone(),
            store: self.store.clone(),
            index: self.index.clone(),
            clock: self.clock.clone(),
            changes,
            reports: self.news.reports.clone(),
            unread: detector::Unread::default(),
        };
        let (told, telling) = mpsc::channel(TOLD);
        if self.config.aws.lookup_launches {
            tasks.spawn(detector.clone().launches(told.clone(), self.stop.clone()));
        }
        self.news.told.send_replace(Some(told));
        tasks.spawn(detector.clone().woken(telling, self.stop.clone()));
        tasks.spawn(detector.run(Arc::clone(&self.ticks.poll), self.stop.clone()));
        tasks.spawn(changed(changing, looks.clone()));
    }

    /// Who else sees the feed: the audit, and what ends with a person's document.
    fn watchers(&self, tasks: &mut Tasks, seeing: mpsc::Receiver<follower::Seen>) {
        let (records, recording) = mpsc::channel(WAITING);
        let (gone, leaving) = mpsc::channel(WAITING);
        tasks.spawn(split(seeing, records, gone));
        let (store, index, clock) = (self.store.clone(), self.index.clone(), self.clock.clone());
        tasks.spawn(leavers::run(store.clone(), leaving, self.stop.clone()));
        tasks.spawn(Recorder { store, index, clock }.run(recording, self.stop.clone()));
    }

    /// What decides and acts: driver, deadlines, reaper.
    fn judges(
        &self,
        tasks: &mut Tasks,
        looking: mpsc::Receiver<Look>,
        again: &mpsc::Sender<LeaseKey>,
        timers: &Timers,
    ) {
        let (errands, errand) = mpsc::channel(ERRANDS);
        let (store, clock, stop) = (self.store.clone(), self.clock.clone(), self.stop.clone());
        tasks.spawn(timers.clone().run(store, clock, again.clone(), stop));
        let timers = timers.clone();
        let world =
            LiveWorld::new(self.store.clone(), self.index.clone(), self.aws.clone(), self.clock.clone(), Some(errands));
        let index = self.index.clone();
        tasks.spawn(driver::run(
            world,
            looking,
            async move { index.caught_up().await },
            move |key: &LeaseKey, at| timers.set(key, at),
            self.clock.clone(),
            self.fail.clone(),
            self.stop.clone(),
        ));
        let leadership = self.leadership.clone();
        let reaper = Reaper {
            store: self.store.clone(),
            index: self.index.clone(),
            aws: self.aws.clone(),
            clock: self.clock.clone(),
            leads: Arc::new(move || leadership.is_leader()),
            fail: self.fail.clone(),
        };
        let resume = Arc::clone(&self.ticks.resume);
        tasks.spawn(reaper::run(reaper, errand, resume, self.stop.clone()));
    }

    /// What tells people.
    fn mail(&self, tasks: &mut Tasks, tokens: Tokens) {
        let mail = &self.config.mail;
        let mailer = if mail.ses { Mailer::Ses(self.aws.clone()) } else { Mailer::Log };
        let config = NotifierConfig {
            from: mail.from.clone(),
            public_url: self.config.web.as_ref().and_then(|web| web.public_url.clone()),
            per_second: f64::from(mail.per_second),
        };
        let (store, index) = (self.store.clone(), self.index.clone());
        let notifier = Notifier::new(store, index, mailer, self.clock.clone(), tokens, config, self.fail.clone());
        let leadership = self.leadership.clone();
        let notifier = notifier.only_while(move || leadership.is_leader());
        tasks.spawn(notifier.run(Arc::clone(&self.ticks.outbox), self.stop.clone()));
    }

    /// What tells other systems; only where hooks can be made.
    fn hooks(&self, tasks: &mut Tasks) {
        let Some(web) = &self.config.web else { return };
        let teller =
            Teller { store: self.store.clone(), clock: self.clock.clone(), allowed: web.hooks_may_call.clone() };
        tasks.spawn(teller.run(self.stop.clone()));
    }

    /// What follows each poll: word of AWS accounts that cannot be read, and tags.
    fn after_polls(&self, tasks: &mut Tasks) {
        let (sights, seen) = watch::channel(alarm::Sight::default());
        tasks.spawn(sighted(self.news.reports.subscribe(), sights, self.stop.clone()));
        let mail = &self.config.mail;
        let leadership = self.leadership.clone();
        let leads: Arc<dyn Fn() -> bool + Send + Sync> = Arc::new(move || leadership.is_leader());
        let alarm = Alarm {
            leads: Arc::clone(&leads),
            store: self.store.clone(),
            index: self.index.clone(),
            clock: self.clock.clone(),
            mail: mail.ses.then(|| (self.aws.clone(), mail.from.clone())),
            public_url: self.config.web.as_ref().and_then(|web| web.public_url.clone()),
            failing: std::collections::BTreeMap::new(),
        };
        tasks.spawn(alarm.run(seen.clone(), self.stop.clone()));
        let tagger = Tagger {
            store: self.store.clone(),
            index: self.index.clone(),
            aws: self.aws.clone(),
            clock: self.clock.clone(),
            leads,
            written: std::collections::HashMap::new(),
            refused: std::collections::HashMap::new(),
        };
        tasks.spawn(tagger.run(seen, self.stop.clone()));
    }

    /// The recurring jobs; the first run of every stage comes when the index is complete.
    fn jobs(&self, tasks: &mut Tasks) {
        let (schedule, ticks) = (self.config.schedule.clone(), self.ticks.clone());
        let (index, stop) = (self.index.clone(), self.stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = index.caught_up() => scheduler::jobs(schedule, ticks, stop).await,
                () = stop.cancelled() => Ok(()),
            }
        });
    }

    /// What a sweep looks at: by the views, or by the index where there is no view service.
    async fn overdue(&self, now: Time) -> BTreeSet<LeaseKey> {
        let mut keys = self.index.overdue(now);
        for view in [View::PastDeadline, View::ExpiredUnnotified] {
            let until = ("endkey", json!(now).to_string());
            match self.store.view("leases", view.name(), &[until]).await {
                Ok(rows) => keys.extend(rows.iter().filter_map(|row| LeaseKey::parse(&row.id).ok())),
                Err(error) => tracing::debug!(%error, view = view.name(), "the index answers instead"),
            }
        }
        keys
    }

    /// Each sweep: stages, everything overdue, claims that were not finished. The first one looks at
    /// everything, which rebuilds the deadlines. Where a scheduler outside is to call for them, each looks at those that have
    /// passed. Each clean-up names the documents that cannot be read.
    async fn sweeps(self, again: mpsc::Sender<LeaseKey>, timers: Timers) -> anyhow::Result<()> {
        let mut first = true;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = self.ticks.cleanup.notified() => {
                    for (id, why) in self.index.unreadable() {
                        tracing::warn!(id, why, "a document cannot be read; it is left alone");
                    }
                }
                () = self.ticks.sweep.notified() => {
                    let now = self.clock.now();
                    self.ticks.connect.notify_one();
                    driver::accept_stages(&self.store, &self.index, &self.clock).await;
                    self.ticks.resume.notify_one();
                    let mut keys = if first { self.index.keys() } else { self.overdue(now).await };
                    keys.extend(timers.passed(now));
                    first = false;
                    for key in keys {
                        if again.send(key).await.is_err() {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

/// Connects what the configuration names, apart from everything else: AWS may take its time to answer.
async fn connects(
    connect: Connect,
    config: Config,
    clock: Clock,
    wake: Arc<Notify>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut patience = seed::Patience::new();
    let run = async {
        loop {
            seed::connect(&connect, &config, clock.now(), &mut patience).await;
            wake.notified().await;
        }
    };
    stop.run_until_cancelled(run).await;
    Ok(())
}

/// From the detector to the alarm: which AWS accounts could not be read at all.
async fn sighted(
    mut reports: watch::Receiver<detector::Report>,
    sights: watch::Sender<alarm::Sight>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    while let Some(Ok(())) = stop.run_until_cancelled(reports.changed()).await {
        let report = reports.borrow_and_update().clone();
        let mut sight = std::collections::BTreeMap::new();
        for ((aws_id, _), polled) in report.regions {
            let unread = match polled {
                detector::Polled::Failed(why) => Some(why),
                _ => None,
            };
            let all: &mut Option<String> = sight.entry(aws_id).or_insert_with(|| unread.clone());
            if unread.is_none() {
                *all = None;
            }
        }
        sights.send_replace((report.at, sight));
    }
    Ok(())
}

/// From the feed to the audit, and to whom it concerns that somebody left.
async fn split(
    mut seeing: mpsc::Receiver<follower::Seen>,
    records: mpsc::Sender<follower::Seen>,
    gone: mpsc::Sender<String>,
) -> anyhow::Result<()> {
    while let Some(seen) = seeing.recv().await {
        let left = match &seen {
            follower::Seen::Changed(id, None) if leavers::is_watched(id) => Some(id.clone()),
            _ => None,
        };
        let recorded = !matches!(&seen, follower::Seen::Changed(id, _) if !recorder::is_watched(id));
        if recorded && records.send(seen).await.is_err() {
            return Ok(());
        }
        if let Some(id) = left
            && gone.send(id).await.is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

/// From the feed to the driver, and to the outbox.
async fn woken(
    mut wakes: mpsc::Receiver<Wake>,
    looks: mpsc::Sender<Look>,
    (timers, again): (Timers, mpsc::Sender<LeaseKey>),
    ticks: Ticks,
    store: Store,
    index: Index,
    clock: Clock,
) -> anyhow::Result<()> {
    while let Some(wake) = wakes.recv().await {
        let keys = match wake {
            Wake::Leases(keys) => keys,
            Wake::Called(key) => {
                timers.called(&key);
                if again.send(key).await.is_err() {
                    return Ok(());
                }
                vec![]
            }
            Wake::Outbox => {
                ticks.outbox.notify_one();
                vec![]
            }
            Wake::Accounts => {
                driver::accept_stages(&store, &index, &clock).await;
                ticks.poll.notify_one();
                vec![]
            }
        };
        for key in keys {
            if looks.send(Look::at(key)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// From the detector to the driver: the event is recorded as the cause of a new lease.
async fn changed(mut changes: mpsc::Receiver<ResourceChange>, looks: mpsc::Sender<Look>) -> anyhow::Result<()> {
    while let Some(change) = changes.recv().await {
        let trigger = serde_json::to_value(&change)?;
        for key in change.keys() {
            let trigger = trigger.clone();
            if looks.send(Look { key, trigger }).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// From deadlines, reaper and sweep to the driver, as `LeaseExpiringSoon` or `LeaseExpired`.
async fn due(
    mut keys: mpsc::Receiver<LeaseKey>,
    looks: mpsc::Sender<Look>,
    index: Index,
    clock: Clock,
) -> anyhow::Result<()> {
    while let Some(key) = keys.recv().await {
        let now = clock.now();
        let expired = index.lease(&key).is_some_and(|row| row.expires_at <= now);
        let name = if expired { "LeaseExpired" } else { "LeaseExpiringSoon" };
        let trigger = json!({ "source": "zerocloud.scheduler", "detail-type": name, "time": now });
        if looks.send(Look { key, trigger }).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
