//! The command line: what each command takes, and which function it calls. Exit codes: 0 done, 1 failed, 2 wrong use,
//! 3 `doctor` found something to mend.

mod doctor;
mod health;
mod leases;
mod migrate;
mod output;
mod pause;
mod wish;

use crate::clock::Clock;
use crate::config::Config;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Leases for cloud instances: every instance has an owner and an end, and nobody can forget one.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, short, global = true, default_value = "config.yml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Watch AWS, lease what runs, ask owners, end what nobody renews.
    Serve,
    /// The embedded gateway alone: serve, backup, restore, check.
    Gateway(zerocloud_gateway::command::Options),
    /// Show what would be ended now and why, touching nothing.
    Plan {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List leases.
    Leases {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Also those that are over.
        #[arg(long)]
        all: bool,
    },
    /// Renew a lease with the token from its mail.
    Renew {
        /// The token.
        token: String,
        /// For how long from now, such as 2d; as long as the policy allows when left out.
        #[arg(long = "for", value_name = "DURATION", value_parser = crate::config::parse_duration)]
        duration: Option<i64>,
    },
    /// End a lease now with the token from its mail.
    End {
        /// The token.
        token: String,
    },
    /// Say, with the token from the mail, that a lease is not yours.
    NotMine {
        /// The token.
        token: String,
    },
    /// Let no end start, everywhere or in one Account or AWS account.
    Pause {
        #[command(flatten)]
        scope: Scope,
        /// Why; shown to everybody whose lease is held.
        #[arg(long)]
        reason: String,
    },
    /// Lift a pause; what is overdue is announced again first.
    Resume {
        #[command(flatten)]
        scope: Scope,
    },
    /// Check configuration, gateway, AWS, mail and documents, and say how to mend what is wrong.
    Doctor {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say whether a copy of `serve` is at work; for container health checks.
    Health,
    /// Move a database between the embedded gateway and a Sync Gateway, or between two of either, and compare them.
    Migrate(migrate::Arguments),
    /// Print shell completions.
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
}

/// What a pause covers.
#[derive(Debug, Clone, Args)]
#[group(required = true)]
pub struct Scope {
    /// Everything in this installation.
    #[arg(long, conflicts_with_all = ["account", "aws"])]
    all: bool,
    /// One Account.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// One AWS account, by its 12 digits.
    #[arg(long, value_name = "AWS_ID", requires = "account")]
    aws: Option<String>,
}

/// Runs a command and tells how it went.
pub async fn main(arguments: Arguments) -> ExitCode {
    output::logging();
    // One large future, made once.
    match Box::pin(run(arguments)).await {
        Ok(code) => code,
        Err(why) => {
            output::error(&why);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let clock = Clock::system();
    match arguments.command {
        Command::Gateway(options) => {
            return zerocloud_gateway::command::execute(options, &mut std::io::stdout()).await;
        }
        Command::Migrate(what) => return migrate::run(what).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "zerocloud", &mut std::io::stdout());
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(bad) => {
            output::error(&anyhow::Error::new(bad));
            return Ok(ExitCode::from(2));
        }
    };
    match arguments.command {
        Command::Gateway(_) | Command::Migrate(_) | Command::Completions { .. } => {}
        Command::Serve => serve(config, clock).await?,
        Command::Plan { json } => leases::plan(&config, &clock, json).await?,
        Command::Leases { json, all } => leases::list(&config, &clock, json, all).await?,
        Command::Renew { token, duration } => {
            wish::send(&config, &clock, &token, wish::Kind::Renew(duration)).await?;
        }
        Command::End { token } => wish::send(&config, &clock, &token, wish::Kind::End).await?,
        Command::NotMine { token } => wish::send(&config, &clock, &token, wish::Kind::NotMine).await?,
        Command::Pause { scope, reason } => pause::pause(&config, &clock, &scope, &reason).await?,
        Command::Resume { scope } => pause::resume(&config, &clock, &scope).await?,
        Command::Health => health::check(&config, &clock).await?,
        Command::Doctor { json } => return doctor::run(&config, &clock, json).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, clock: Clock) -> anyhow::Result<()> {
    let (ready, answers) = tokio::sync::oneshot::channel();
    let running = crate::serve::run(config, clock, ready, until_signal()?);
    let tell = async {
        if let Ok(at) = answers.await {
            tracing::info!(public = at.public_url, admin = at.admin_url, "the gateway answers");
        }
    };
    tokio::join!(running, tell).0
}

/// Cancelled by SIGINT or SIGTERM.
fn until_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let token = CancellationToken::new();
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = token.clone();
    #[expect(clippy::disallowed_methods, reason = "lives as long as the process; there is no JoinSet yet")]
    tokio::spawn(async move {
        tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
        stop.cancel();
    });
    Ok(token)
}

/// A client of the configured store, for commands beside `serve`.
fn store(config: &Config) -> anyhow::Result<crate::store::Store> {
    let at = crate::serve::Ready::configured(config);
    Ok(crate::store::Store::new(&crate::serve::store_config(config, &at))?)
}
