//! What would be done now and why, by the same views, decisions and checks as `serve`. Reads only.

use super::{Ready, drain, stages, store_config};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::Config;
use crate::driver::{LiveWorld, Loaded, World as _};
use crate::failpoint::Failpoint;
use crate::follower::{self, Index};
use crate::model::LeaseKey;
use crate::reactor::{self, Decision, DueEnd, Effect};
use crate::reaper::{PlanLine, Reaper};
use crate::store::Store;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The plan, against a gateway that runs already. A lease that would be saved first is shown as that save: what follows
/// from it is decided only when it stands.
pub async fn plan(config: &Config, clock: &Clock, at: &Ready) -> anyhow::Result<Vec<PlanLine>> {
    let store = Store::new(&store_config(config, at))?;
    let aws = Aws::connect(&stages::aws_config(config)).await;
    let index = Index::default();
    let stop = CancellationToken::new();
    let following = follow(&store, &index, &stop);
    index.caught_up().await;
    let world = LiveWorld::new(
        store.clone(),
        index.clone(),
        aws.clone(),
        clock.clone(),
        None,
    );
    let (mut lines, mut due) = (Vec::new(), Vec::new());
    for key in stages::everything(&index) {
        match world.view(&key, &serde_json::Value::Null).await {
            Ok(Some(Loaded { view, .. })) => {
                let decision = reactor::decide(&view, clock.now());
                describe(&key, &decision, &mut lines, &mut due);
            }
            Ok(None) => {}
            Err(error) => lines.push(PlanLine {
                lease: key,
                what: "nothing".to_owned(),
                why: format!("{error:#}"),
            }),
        }
    }
    let reaper = Reaper {
        store,
        index,
        aws,
        clock: clock.clone(),
        leads: Arc::new(|| false),
        fail: Failpoint::default(),
    };
    lines.extend(reaper.plan(due).await?);
    stop.cancel();
    drain(following).await;
    Ok(lines)
}

/// Fills the index from the feed; nobody is woken.
fn follow(store: &Store, index: &Index, stop: &CancellationToken) -> JoinSet<anyhow::Result<()>> {
    let (wakes, mut unheard) = mpsc::channel(64);
    let mut tasks = JoinSet::new();
    tasks.spawn(follower::run(
        store.clone(),
        index.clone(),
        wakes,
        stop.clone(),
    ));
    tasks.spawn(async move {
        while unheard.recv().await.is_some() {}
        Ok(())
    });
    tasks
}

fn describe(key: &LeaseKey, decision: &Decision, lines: &mut Vec<PlanLine>, due: &mut Vec<DueEnd>) {
    let line = |what: String| PlanLine {
        lease: key.clone(),
        what,
        why: decision.reason.clone(),
    };
    lines.extend(
        decision
            .lease
            .iter()
            .map(|lease| line(format!("save it as {}", lease.state.as_str()))),
    );
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
