//! What would be done now and why, by the same views, decisions and checks as `serve`. Reads only.

mod wording;

use super::{Ready, drain, open_gateway, store_config};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::{Config, StoreChoice};
use crate::detector::{self, Detector};
use crate::driver::{LiveWorld, Loaded, World as _};
use crate::failpoint::Failpoint;
use crate::follower::{self, Index};
use crate::model::{AccountId, LeaseKey};
use crate::reactor::{self, DueEnd, Effect};
use crate::reaper::{PlanLine, Reaper};
use crate::store::Store;
use futures_util::StreamExt as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Leases whose views are read side by side.
const AT_ONCE: usize = 8;

/// The plan. Where no gateway answers yet, the embedded one is opened for the moment, on ports of its own. A lease that
/// would be saved first is shown as that save: what follows from it is decided only when it stands.
pub async fn plan(config: &Config, clock: &Clock) -> anyhow::Result<Vec<PlanLine>> {
    let (mut gateway, last) = (JoinSet::new(), CancellationToken::new());
    let mut at = Ready::configured(config);
    if !answers(config, &at).await {
        let mut apart = config.clone();
        let StoreChoice::Embedded { public, admin, data } = &mut apart.store else {
            anyhow::bail!("the gateway at {} does not answer; check store.admin_url and its password", at.admin_url);
        };
        anyhow::ensure!(data.exists(), "there is no data in {} yet: start `zerocloud serve` first", data.display());
        (*public, *admin) = ((Ipv4Addr::LOCALHOST, 0).into(), (Ipv4Addr::LOCALHOST, 0).into());
        at = open_gateway(&apart, &mut gateway, &last).await?;
    }
    // In a box of its own: the futures below it are nested deeper than the compiler follows.
    let lines = Box::pin(plan_at(config, clock, &at)).await;
    last.cancel();
    drain(gateway).await;
    lines
}

async fn answers(config: &Config, at: &Ready) -> bool {
    match Store::new(&store_config(config, at)) {
        Ok(store) => store.get::<serde_json::Value>("leader").await.is_ok(),
        Err(_) => false,
    }
}

async fn plan_at(config: &Config, clock: &Clock, at: &Ready) -> anyhow::Result<Vec<PlanLine>> {
    let store = Store::new(&store_config(config, at))?;
    let aws = Aws::connect(&config.aws).await;
    let index = Index::default();
    let stop = CancellationToken::new();
    let following = follow(&store, &index, &stop);
    let lines = Sight { store, index, aws, clock: clock.clone() }.plan(None).await;
    stop.cancel();
    drain(following).await;
    lines
}

/// What a plan is worked out from.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub(super) store: Store,
    pub(super) index: Index,
    pub(super) aws: Aws,
    pub(super) clock: Clock,
}

impl Sight {
    /// The plan for one Account or for all, once the index knows everything.
    pub(super) async fn plan(self, account: Option<&AccountId>) -> anyhow::Result<Vec<PlanLine>> {
        self.index.caught_up().await;
        let directory = self.index.directory();
        let ours = |key: &LeaseKey| {
            let of = directory.aws_accounts.get(&key.aws_id).map(|aws| &aws.account);
            account.is_none_or(|account| of == Some(account))
        };
        let (mut lines, mut due) = (Vec::new(), Vec::new());
        let decided = futures_util::stream::iter(self.index.keys().into_iter().filter(ours));
        let mut decided = decided.map(|key| self.decided(key)).buffered(AT_ONCE);
        while let Some((said, ends)) = decided.next().await {
            lines.extend(said);
            due.extend(ends);
        }
        drop(decided);
        lines.extend(self.unknown(account).await);
        let known = self.index.clone();
        let (leads, fail) = (Arc::new(|| false), Failpoint::default());
        let reaper = Reaper { store: self.store, index: self.index, aws: self.aws, clock: self.clock, leads, fail };
        lines.extend(reaper.plan(due).await?);
        for line in &mut lines {
            line.name = known.resource(&line.lease).map(|resource| resource.facts.name).unwrap_or_default();
        }
        Ok(lines)
    }

    /// What would be done about one, and the end that would be claimed.
    async fn decided(&self, key: LeaseKey) -> (Vec<PlanLine>, Vec<DueEnd>) {
        let (store, index, aws) = (self.store.clone(), self.index.clone(), self.aws.clone());
        let world = LiveWorld::new(store, index, aws, self.clock.clone(), None);
        match world.view(&key, &serde_json::Value::Null).await {
            Ok(Some(Loaded { view, .. })) => {
                let decision = reactor::decide(&view, self.clock.now());
                let said = wording::say(&view, &decision, self.clock.now());
                let due = decision.effects.into_iter().filter_map(|effect| match effect {
                    Effect::Due(end) => Some(end),
                    _ => None,
                });
                (said.into_iter().map(|said| line(&key, said)).collect(), due.collect())
            }
            Ok(None) => (Vec::new(), Vec::new()),
            Err(error) => {
                let why = format!("what bears on it cannot be read: {error:#}");
                (vec![line(&key, ("leave it as it is".to_owned(), None, why))], Vec::new())
            }
        }
    }

    /// What the detector would find.
    async fn unknown(&self, account: Option<&AccountId>) -> Vec<PlanLine> {
        let (changes, _) = mpsc::channel(1);
        let detector = Detector {
            aws: self.aws.clone(),
            store: self.store.clone(),
            index: self.index.clone(),
            clock: self.clock.clone(),
            changes,
            reports: watch::Sender::new(detector::Report::default()),
            unread: detector::Unread::default(),
        };
        let (keys, failures) = detector.unknown(account).await;
        for (aws_id, why) in failures {
            tracing::warn!(%aws_id, why, "this part of AWS cannot be read");
        }
        let found = keys.into_iter();
        let said = || ("give it a lease".to_owned(), None, "it runs and has none yet".to_owned());
        found.map(|lease| line(&lease, said())).collect()
    }
}

/// Fills the index from the feed; nobody is woken.
pub(super) fn follow(store: &Store, index: &Index, stop: &CancellationToken) -> JoinSet<anyhow::Result<()>> {
    let (wakes, mut unheard) = mpsc::channel(64);
    let mut tasks = JoinSet::new();
    tasks.spawn(follower::run(store.clone(), index.clone(), wakes, stop.clone()));
    tasks.spawn(async move {
        while unheard.recv().await.is_some() {}
        Ok(())
    });
    tasks
}

fn line(key: &LeaseKey, (what, at, why): wording::Said) -> PlanLine {
    PlanLine { lease: key.clone(), name: String::new(), what, at, why }
}
