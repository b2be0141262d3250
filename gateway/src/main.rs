//! The gateway as a program of its own.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use zerocloud_gateway::{Config, Gateway};

/// An embedded Sync Gateway over one `SQLite` file.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Options {
    /// Directory of the file; made when missing.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where users log in.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4984")]
    public: SocketAddr,
    /// Where everything is allowed without login: keep it on this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4985")]
    admin: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let gateway = Gateway::open(Config::new(options.data))?;
    let bind = async |addr: SocketAddr| TcpListener::bind(addr).await.with_context(|| format!("listening on {addr}"));
    let public = bind(options.public).await?;
    let admin = bind(options.admin).await?;
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tracing::info!(public = %public.local_addr()?, admin = %admin.local_addr()?, "ready");
    let running = zerocloud_gateway::run(gateway, public, admin, shutdown.clone());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    shutdown.cancel();
    running.await
}
