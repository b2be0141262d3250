//! A running double: bound to 127.0.0.1, stopped when told to or dropped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::handle::Handle;
use crate::route::{self, Shared};
use crate::world::Home;

/// How long answers under way may take once told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// How a double is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// 0 takes a free one.
    pub port: u16,
    /// The account and keys that clients start with.
    pub home: Home,
}

/// A running double.
///
/// ```no_run
/// # async fn test() -> std::io::Result<()> {
/// use ec2_double::{Double, Fault, Role, Rule, Spec};
/// let double = Double::start().await?;
/// let aws = double.handle();
/// aws.add_role(Role::new("111122223333", "zerocloud").external_id("a-secret"));
/// let place = aws.at("111122223333", "us-east-1");
/// let id = place.launch(&Spec::default().tag("owner", "ada@bigdb.example"));
/// aws.inject(Rule::new(Fault::Throttle).action("DescribeInstances").times(2));
/// // … the code under test, with double.url() as endpoint and aws.home() as its keys …
/// assert_eq!(aws.calls().acting().naming(&id).len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    handle: Handle,
    stopping: CancellationToken,
    serving: JoinSet<io::Result<()>>,
}

impl Double {
    /// Starts on a free port, with the default home account.
    pub async fn start() -> io::Result<Self> {
        Self::with(Options::default()).await
    }

    /// Starts as `options` say.
    pub async fn with(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let stopping = CancellationToken::new();
        let shared = Arc::new(Shared::new(options.home, stopping.clone()));
        let handle = Handle::new(Arc::clone(&shared));
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let stop = stopping.clone().cancelled_owned();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, route::service(shared)).with_graceful_shutdown(stop).await });
        Ok(Self { address, handle, stopping, serving })
    }

    /// `http://127.0.0.1:PORT`: the endpoint of every service.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Reads and changes what there is behind the interface; clones are cheap.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Cuts calls that hang, lets others finish for two seconds, and ends.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        let ended = tokio::time::timeout(DRAIN, async { while self.serving.join_next().await.is_some() {} });
        if ended.await.is_err() {
            self.serving.shutdown().await;
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}
