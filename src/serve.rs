//! The composition root: adapters, channels, one task a stage, the leader gate and the drain. Decides nothing.

mod plan;
mod seed;
mod stages;
mod web;

pub use plan::plan;
pub use seed::{SYNC_FUNCTION, design_documents};

use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::{Config, StoreChoice};
use crate::connect::Connect;
use crate::detector::Report;
use crate::failpoint::Failpoint;
use crate::follower::Index;
use crate::leader;
use crate::model::Told;
use crate::scheduler::Ticks;
use crate::store::{Store, StoreConfig};
use anyhow::Context as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Where the gateway answers, once it does.
#[derive(Debug, Clone)]
pub struct Ready {
    /// People's port.
    pub public_url: String,
    /// The service's port.
    pub admin_url: String,
    /// The pages, when they are served.
    pub web_url: Option<String>,
}

impl Ready {
    /// Where the configuration says that the gateway answers, as seen from this machine.
    pub fn configured(config: &Config) -> Ready {
        let local = |address: &SocketAddr| {
            let loopback: IpAddr =
                if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            let ip = if address.ip().is_unspecified() { loopback } else { address.ip() };
            format!("http://{}", SocketAddr::new(ip, address.port()))
        };
        let web_url = config.web.as_ref().map(|web| local(&web.listen));
        match &config.store {
            StoreChoice::Remote { public_url, admin_url, .. } => {
                Ready { public_url: public_url.clone(), admin_url: admin_url.clone(), web_url }
            }
            StoreChoice::Embedded { public, admin, .. } => {
                Ready { public_url: local(public), admin_url: local(admin), web_url }
            }
        }
    }
}

/// How long stages may finish what they do when the process is told to stop.
const DRAIN: Duration = Duration::from_secs(20);
/// Limit for one call to the gateway.
const STORE_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs everything until `shutdown`. `ready` is told the gateway's addresses once it answers; a second copy on the same
/// store then waits until it leads.
pub async fn run(
    config: Config,
    clock: Clock,
    ready: oneshot::Sender<Ready>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let fail = config.failpoint.as_deref().map(Failpoint::after).transpose()?.unwrap_or_default();
    let mut gateway = JoinSet::new();
    // The gateway outlives the stages: what they finish while draining still has to be written.
    let last = CancellationToken::new();
    let mut addresses = open_gateway(&config, &mut gateway, &last).await?;
    let reports = watch::Sender::new(Report::default());
    let told = watch::Sender::new(None);
    let news = News { reports: reports.clone(), told: told.clone() };
    let pages = web::bind(&config, reports.subscribe(), told.subscribe()).await?;
    addresses.web_url = pages.as_ref().map(web::Pages::url).transpose()?;
    let store = Store::new(&store_config(&config, &addresses))?;
    let (mut edge, shutdown) = (JoinSet::new(), shutdown.child_token());
    let served = async {
        store.ensure_database(seed::SYNC_FUNCTION, &seed::design_documents()).await?;
        let aws = Aws::connect(&config.aws).await;
        let connect = Connect::new(store.clone(), aws.clone(), clock.clone(), &config.aws);
        if let Some(pages) = pages {
            pages.open((&store, &aws, &connect), &clock, &shutdown, &mut edge)?;
        }
        let _ = ready.send(addresses.clone());
        while !shutdown.is_cancelled() {
            lead(&config, &clock, &fail, &store, (&aws, &connect), &news, &shutdown).await?;
        }
        anyhow::Ok(())
    };
    let result = tokio::select! {
        result = served => result,
        Some(ended) = gateway.join_next() => ended.context("the gateway's task")?.context("the embedded gateway ended"),
    };
    shutdown.cancel();
    drain(edge).await;
    last.cancel();
    drain(gateway).await;
    result
}

/// What passes between the copy that leads and the pages: how polls went, and where events of AWS go while it leads.
#[derive(Debug, Clone)]
struct News {
    reports: watch::Sender<Report>,
    told: watch::Sender<Option<mpsc::Sender<Told>>>,
}

/// Waits to lead, then runs every stage until shutdown, until another leads, or until one stage fails.
async fn lead(
    config: &Config,
    clock: &Clock,
    fail: &Failpoint,
    store: &Store,
    (aws, connect): (&Aws, &Connect),
    news: &News,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let me = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
    let ttl = Duration::from_secs(config.leader_ttl.unsigned_abs());
    let Some(leadership) = shutdown.run_until_cancelled(leader::lead(store, &me, clock, ttl)).await else {
        return Ok(());
    };
    let stop = shutdown.child_token();
    let mut tasks = JoinSet::new();
    // From the start: what comes before the stages takes its time too.
    tasks.spawn(leadership.clone().keep(stop.clone()));
    seed::documents(store, &config.accounts).await?;
    let stages = stages::Stages {
        config: config.clone(),
        clock: clock.clone(),
        fail: fail.clone(),
        store: store.clone(),
        aws: aws.clone(),
        connect: connect.clone(),
        leadership: leadership.clone(),
        news: news.clone(),
        index: Index::default(),
        ticks: Ticks::default(),
        stop: stop.clone(),
    };
    stages.start(&mut tasks).await?;
    tracing::info!(me, "leading; all stages run");
    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        () = leadership.lost.cancelled() => {
            tracing::warn!("another copy may lead now; this one stops and waits");
            Ok(())
        }
        Some(ended) = tasks.join_next() => ended.context("a stage's task")?.context("a stage ended"),
    };
    stop.cancel();
    drain(tasks).await;
    leadership.leave().await;
    ended
}

async fn open_gateway(
    config: &Config,
    tasks: &mut JoinSet<anyhow::Result<()>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Ready> {
    match &config.store {
        StoreChoice::Remote { public_url, admin_url, .. } => {
            Ok(Ready { public_url: public_url.clone(), admin_url: admin_url.clone(), web_url: None })
        }
        StoreChoice::Embedded { data, public, admin } => {
            let bind = async |address: &std::net::SocketAddr| {
                let bound = tokio::net::TcpListener::bind(address).await;
                bound.with_context(|| format!("port {address} of the gateway"))
            };
            let (public, admin) = (bind(public).await?, bind(admin).await?);
            let ready = Ready {
                public_url: format!("http://{}", public.local_addr()?),
                admin_url: format!("http://{}", admin.local_addr()?),
                web_url: None,
            };
            let settings = zerocloud_gateway::Config::new(data);
            let gateway = zerocloud_gateway::Gateway::open(settings).context("opening the gateway's data")?;
            let stop = shutdown.clone();
            tasks.spawn(async move {
                zerocloud_gateway::run(gateway, public, admin, stop).await?;
                Ok(())
            });
            Ok(ready)
        }
    }
}

/// A client's settings for the configured store at these addresses.
pub fn store_config(config: &Config, at: &Ready) -> StoreConfig {
    let admin = match &config.store {
        StoreChoice::Remote { admin, .. } => admin.clone(),
        StoreChoice::Embedded { .. } => None,
    };
    StoreConfig {
        public_url: at.public_url.clone(),
        admin_url: at.admin_url.clone(),
        database: config.database.clone(),
        admin,
        timeout: STORE_TIMEOUT,
    }
}

/// Gives tasks time to finish, then drops them: everything they do can be interrupted.
async fn drain(mut tasks: JoinSet<anyhow::Result<()>>) {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = format!("{error:#}"), "a stage ended badly");
                }
                Err(error) => tracing::error!(%error, "a stage's task"),
            }
        }
    };
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        tracing::warn!("some stages did not stop in time");
    }
}
