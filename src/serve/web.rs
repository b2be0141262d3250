//! The pages, outside the leader gate: a copy that waits answers, too. They follow the feed themselves.

use super::plan::{Sight, follow};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::{Config, WebSettings};
use crate::connect::Connect;
use crate::detector::{Polled, Report};
use crate::follower::Index;
use crate::store::Store;
use crate::web::planner::Line;
use crate::web::{self, Place, Polls, State};
use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A port that is bound, before anything is served on it.
pub(super) struct Pages {
    listener: TcpListener,
    settings: WebSettings,
    /// config.yml makes an Account.
    seeded: bool,
    /// How polls go.
    reports: watch::Receiver<Report>,
    /// Where events go.
    told: web::Leader,
}

/// Binds the port of the pages, when there are any.
pub(super) async fn bind(
    config: &Config,
    reports: watch::Receiver<Report>,
    told: web::Leader,
) -> anyhow::Result<Option<Pages>> {
    let Some(settings) = config.web.clone() else { return Ok(None) };
    let bound = TcpListener::bind(settings.listen).await;
    let listener = bound.with_context(|| format!("port {} of the pages (web.listen)", settings.listen))?;
    Ok(Some(Pages { listener, settings, seeded: !config.accounts.is_empty(), reports, told }))
}

impl Pages {
    /// Where they are, as seen from this machine.
    pub(super) fn url(&self) -> anyhow::Result<String> {
        Ok(format!("http://{}", self.listener.local_addr()?))
    }

    fn base(&self) -> anyhow::Result<String> {
        self.settings.public_url.clone().map_or_else(|| self.url(), Ok)
    }

    /// Serves them until shutdown.
    pub(super) fn open(
        self,
        (store, aws, connect): (&Store, &Aws, &Connect),
        clock: &Clock,
        shutdown: &CancellationToken,
        tasks: &mut JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let index = Index::default();
        let mut following = follow(store, &index, shutdown);
        let (polls, polled) = watch::channel(Polls::default());
        let (base, accounts) = (self.base()?, self.seeded);
        tasks.spawn(pass_on(self.reports, polls, shutdown.clone()));
        let state = State::new(store.clone(), index, clock.clone(), self.settings, polled, shutdown.clone())?;
        state.inbox.lead_to(self.told);
        let sight = Sight { store: store.clone(), index: state.index.clone(), aws: aws.clone(), clock: clock.clone() };
        plans(&state, sight);
        state.connections.set(connect.clone());
        let stop = shutdown.clone();
        tasks.spawn(async move {
            if !accounts {
                offer_setup(&state, &base).await?;
            }
            let sessions = web::granted::keep(state.clone());
            let (served, _) = tokio::join!(web::run(self.listener, state, stop), sessions);
            while following.join_next().await.is_some() {}
            served
        });
        Ok(())
    }
}

/// How a plan is worked out: as `zerocloud plan` does, from what these pages know, and within the share of AWS that serving has.
fn plans(state: &State, sight: Sight) {
    state.planner.set(move |account| {
        let sight = sight.clone();
        async move {
            // In a box of its own, as it is large.
            let lines = Box::pin(sight.plan(Some(&account))).await?;
            let line = |line: crate::reaper::PlanLine| {
                let crate::reaper::PlanLine { lease, name, what, at, why } = line;
                Line { lease, name, what, at, why }
            };
            Ok(lines.into_iter().map(line).collect())
        }
    });
}

/// The one secret that is meant for the log: whoever starts zerocloud reads it there.
async fn offer_setup(state: &State, base: &str) -> anyhow::Result<()> {
    if let Some(path) = web::setup::offer(&state.store, state.clock.now()).await? {
        tracing::info!("nobody is here yet: open {base}{path} to set zerocloud up; the link works once");
    }
    Ok(())
}

/// How polls go, in the words of the pages, which know no stage.
async fn pass_on(
    mut reports: watch::Receiver<Report>,
    polls: watch::Sender<Polls>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    while let Some(Ok(())) = shutdown.run_until_cancelled(reports.changed()).await {
        let report = reports.borrow_and_update().clone();
        let places = report.regions.into_iter().map(|(key, polled)| (key, place(polled))).collect();
        polls.send_modify(|polls| {
            let every = report.at.zip(polls.at).map(|(at, before)| at.seconds_since(before));
            *polls = Polls { at: report.at, every, places };
        });
    }
    Ok(())
}

/// A role of before may not see groups: then their members are held, each by itself.
fn no_groups(why: Option<String>) -> String {
    why.map(|why| format!("but not its Auto Scaling groups: {why}")).unwrap_or_default()
}

fn place(polled: Polled) -> Place {
    let place = |state, why, seen| Place { state, why, seen };
    match polled {
        Polled::Read { seen, groups, .. } => place("read", no_groups(groups), seen),
        Polled::Paused(why) => place("paused", why, 0),
        Polled::Denied(why) => place("denied", why, 0),
        Polled::Failed(why) => place("failed", why, 0),
    }
}
