//! What would be done now and why, by the same views, decisions and checks as `serve`. Reads only.

use super::{Ready, drain, open_gateway, store_config};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::{Config, StoreChoice};
use crate::detector::{self, Detector};
use crate::driver::{LiveWorld, Loaded, World as _};
use crate::failpoint::Failpoint;
use crate::follower::{self, Index};
use crate::model::LeaseKey;
use crate::reactor::{self, Decision, DueEnd, Effect};
use crate::reaper::{PlanLine, Reaper};
use crate::store::Store;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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

pub(super) async fn plan_at(config: &Config, clock: &Clock, at: &Ready) -> anyhow::Result<Vec<PlanLine>> {
    let store = Store::new(&store_config(config, at))?;
    let aws = Aws::connect(&config.aws).await;
    let index = Index::default();
    let stop = CancellationToken::new();
    let following = follow(&store, &index, &stop);
    index.caught_up().await;
    let world = LiveWorld::new(store.clone(), index.clone(), aws.clone(), clock.clone(), None);
    let (mut lines, mut due) = (Vec::new(), Vec::new());
    for key in index.keys() {
        match world.view(&key, &serde_json::Value::Null).await {
            Ok(Some(Loaded { view, .. })) => {
                let decision = reactor::decide(&view, clock.now());
                describe(&key, &decision, &mut lines, &mut due);
            }
            Ok(None) => {}
            Err(error) => lines.push(PlanLine { lease: key, what: "nothing".to_owned(), why: format!("{error:#}") }),
        }
    }
    lines.extend(unknown(&store, &index, &aws, clock).await);
    let reaper =
        Reaper { store, index, aws, clock: clock.clone(), leads: Arc::new(|| false), fail: Failpoint::default() };
    lines.extend(reaper.plan(due).await?);
    stop.cancel();
    drain(following).await;
    Ok(lines)
}

/// What the detector would find.
async fn unknown(store: &Store, index: &Index, aws: &Aws, clock: &Clock) -> Vec<PlanLine> {
    let (changes, _) = mpsc::channel(1);
    let detector = Detector {
        aws: aws.clone(),
        store: store.clone(),
        index: index.clone(),
        clock: clock.clone(),
        changes,
        reports: watch::Sender::new(detector::Report::default()),
        unread: detector::Unread::default(),
    };
    let (keys, failures) = detector.unknown().await;
    for (aws_id, why) in failures {
        tracing::warn!(%aws_id, why, "this part of AWS cannot be read");
    }
    let found = keys.into_iter();
    found.map(|lease| PlanLine { lease, what: "lease it".to_owned(), why: "no lease yet".to_owned() }).collect()
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

fn describe(key: &LeaseKey, decision: &Decision, lines: &mut Vec<PlanLine>, due: &mut Vec<DueEnd>) {
    let line = |what: String| PlanLine { lease: key.clone(), what, why: decision.reason.clone() };
    lines.extend(decision.lease.iter().map(|lease| line(format!("save it as {}", lease.state.as_str()))));
    for effect in &decision.effects {
        match effect {
            Effect::Due(end) => due.push(end.clone()),
            Effect::Queue(notice) => {
                lines.push(line(format!("write to {}: {}", notice.user, notice.kind)));
            }
            Effect::Answer(_) => lines.push(line("answer a request".to_owned())),
            Effect::Start(_) => lines.push(line("start it again".to_owned())),
            Effect::SaveResource(_) => {}
        }
    }
}
