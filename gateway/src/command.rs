//! The gateway's commands: serve, backup, restore, check. The program is nothing but these; a larger program can carry
//! them as a subcommand of its own. Output goes to the writer that the caller gives.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::store::copy;
use crate::{Config, Gateway, Occupied};

/// What to do; serving when nothing is named.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Option<Serve>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the databases in a directory (also without this word)
    Serve(Serve),
    /// Copy a directory's databases to a file, while the gateway runs or not
    Backup {
        /// Directory of the gateway
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The new file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Put a backup into an empty directory; the gateway must not be running there
    Restore {
        /// Directory of the gateway; made when missing
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// A file made by backup
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Replace what is in the directory
        #[arg(long)]
        replace: bool,
    },
    /// Look for inconsistencies, while the gateway runs or not; exit status 1 when there are any
    Check {
        /// Directory of the gateway
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// Directory of the databases; made when missing
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where users log in
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4984")]
    public: SocketAddr,
    /// Where everything is allowed without login: keep it on this machine
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4985")]
    admin: SocketAddr,
}

/// Carries out a command; serving ends with `SIGTERM` or `SIGINT`.
pub async fn execute(options: Options, out: &mut (impl Write + Send)) -> anyhow::Result<ExitCode> {
    match options.command.or(options.serve.map(Command::Serve)).context("nothing to do")? {
        Command::Serve(options) => serve(options).await?,
        Command::Backup { data, to } => {
            let shown = to.display().to_string();
            let size = blocking(move || copy::backup(&data, &to)).await?;
            writeln!(out, "{shown}: {size} bytes")?;
        }
        Command::Restore { data, from, replace } => {
            let occupied = if replace { Occupied::Replace } else { Occupied::Refuse };
            let shown = data.display().to_string();
            blocking(move || copy::restore(&data, &from, occupied)).await?;
            writeln!(out, "{shown}: restored")?;
        }
        Command::Check { data } => {
            let report = blocking(move || Ok(crate::check(&data)?)).await?;
            writeln!(out, "{report}")?;
            if !report.is_clean() {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Open files that are not connections: the databases, a backup, the listeners, the runtime.
const OTHER_FILES: u64 = 256;

/// Raises the limit on open files as far as the system allows, and fits the number of connections to it.
fn fit(config: &mut Config) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    let Some(files) = limit.current.and_then(|files| usize::try_from(files.saturating_sub(OTHER_FILES)).ok()) else {
        return;
    };
    config.max_admin_connections = (files / 4).clamp(1, config.max_admin_connections);
    config.max_connections = (files - files / 4).max(1);
    tracing::info!(
        connections = config.max_connections,
        "the limit on open files allows this many connections of users"
    );
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    let mut config = Config::new(options.data);
    fit(&mut config);
    let gateway = blocking(move || Ok(Gateway::open(config)?)).await?;
    let bind = async |addr: SocketAddr| TcpListener::bind(addr).await.with_context(|| format!("listening on {addr}"));
    let public = bind(options.public).await?;
    let admin = bind(options.admin).await?;
    if !options.admin.ip().is_loopback() {
        tracing::warn!(
            admin = %options.admin,
            "whoever reaches the admin port may read and change everything without login: let no network lead there"
        );
    }
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tracing::info!(public = %public.local_addr()?, admin = %admin.local_addr()?, "ready");
    let running = crate::run(gateway, public, admin, shutdown.clone());
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
