//! The command line: what each command takes, and which function it calls. Exit codes: 0 done, 1 failed, 2 wrong use,
//! 3 `doctor` found something to mend.

mod aws;
mod brake;
mod desk;
mod doctor;
mod event_key;
mod exemptions;
mod health;
mod hooks;
mod leases;
mod migrate;
mod operator;
mod output;
mod pause;
mod people;
mod policies;
mod prices;
mod remote;
mod watch;
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
    /// The configuration file; config.yml when left out. Given, what can be done with it is, and not over the API.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    target: remote::Target,
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
    /// Renew a lease: by its instance, name or id when signed in, or with the token from its mail.
    Renew {
        /// The lease, or the token.
        #[arg(value_name = "LEASE_OR_TOKEN")]
        token: String,
        /// For how long from now, such as 2d; as long as the policy allows when left out.
        #[arg(long = "for", value_name = "DURATION", value_parser = crate::config::parse_duration)]
        duration: Option<i64>,
    },
    /// End a lease now: by its instance, name or id when signed in, or with the token from its mail.
    End {
        /// The lease, or the token.
        #[arg(value_name = "LEASE_OR_TOKEN")]
        token: String,
        /// Terminate it, whatever the policy says; only when signed in.
        #[arg(long)]
        terminate: bool,
    },
    /// Say that a lease is not yours.
    NotMine {
        /// The lease, or the token from its mail.
        #[arg(value_name = "LEASE_OR_TOKEN")]
        token: String,
    },
    /// Offer a lease to somebody else, who has to accept it.
    HandOver {
        /// The lease.
        lease: String,
        /// The other's mail address or user id.
        to: String,
    },
    /// Take over a lease that was offered to you.
    Accept {
        /// The lease.
        lease: String,
    },
    /// Start again what zerocloud stopped.
    Revive {
        /// The lease.
        lease: String,
    },
    /// Sign in: by a code that you type in at GitHub, or with a token of yours.
    Login {
        /// Your Account, when you are in several.
        #[arg(long)]
        account: Option<String>,
    },
    /// Revoke the token that login noted, and forget it.
    Logout,
    /// Show or change policies.
    #[command(subcommand)]
    Policy(policies::Command),
    /// Rules by which what a tag, a VPC, an image or a name picks out does not end for now.
    #[command(subcommand)]
    Exemptions(exemptions::Command),
    /// List the people of your Account, invite somebody, change a role, remove who left.
    #[command(args_conflicts_with_subcommands = true)]
    Users {
        #[command(subcommand)]
        what: Option<people::Command>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List your Account's AWS accounts.
    Accounts {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Other systems that are told what happens.
    #[command(subcommand)]
    Hooks(hooks::Command),
    /// Connect AWS accounts, and take leave of them.
    #[command(subcommand)]
    Aws(aws::Command),
    /// Show how things stand: instances, leases and holds per region, what is overdue, who leads.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Follow what changes.
    Watch {
        /// Only these, with commas between: lease, resource, request, event.
        #[arg(long)]
        types: Option<String>,
        /// Only about this lease: its instance, name or id.
        #[arg(long)]
        lease: Option<String>,
        /// Print JSON, one line an event.
        #[arg(long)]
        json: bool,
        /// End after so many.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// The prices that costs are reckoned with.
    #[command(subcommand)]
    Prices(prices::Command),
    /// Let no end start, everywhere or in one Account or AWS account.
    #[command(override_usage = "zerocloud pause --reason <REASON> <--all|--account <ACCOUNT> [--aws <AWS_ID>]>")]
    Pause {
        #[command(flatten)]
        scope: Scope,
        /// Why; shown to everybody whose lease is held.
        #[arg(long)]
        reason: String,
    },
    /// Lift a pause; what is overdue is announced again first.
    #[command(override_usage = "zerocloud resume <--all|--account <ACCOUNT> [--aws <AWS_ID>]>")]
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
    /// One AWS account of that Account, by its 12 digits: --account bigdb --aws 111122223333.
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
        Command::Login { account } => {
            return desk::login(&arguments.target, account.as_deref()).await.map(|()| ExitCode::SUCCESS);
        }
        Command::Logout => return desk::logout().await.map(|()| ExitCode::SUCCESS),
        _ => {}
    }
    if let Some(done) = Box::pin(over_the_api(&arguments, &clock)).await? {
        return Ok(done);
    }
    let config = match operator::configuration(&arguments)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    match arguments.command {
        Command::Prices(what) => prices::run(&config, what).await?,
        Command::Serve => serve(config, clock).await?,
        Command::Plan { json } => leases::plan(&config, &clock, json).await?,
        Command::Leases { json, all } => leases::list(&config, &clock, json, all).await?,
        Command::Renew { token, duration } => {
            wish::send(&config, &clock, &token, wish::Kind::Renew(duration)).await?;
        }
        Command::End { token, .. } => wish::send(&config, &clock, &token, wish::Kind::End).await?,
        Command::NotMine { token } => wish::send(&config, &clock, &token, wish::Kind::NotMine).await?,
        Command::Pause { scope, reason } => pause::pause(&config, &clock, &scope, &reason).await?,
        Command::Resume { scope } => pause::resume(&config, &clock, &scope).await?,
        Command::Health => health::check(&config, &clock).await?,
        Command::Doctor { json } => return doctor::run(&config, &clock, json).await,
        // Done above, or only over the API.
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// What goes over the REST API: everything that only it can do, and the rest for who is signed in and names no
/// configuration. `None`: it is for the configured store.
async fn over_the_api(arguments: &Arguments, clock: &Clock) -> anyhow::Result<Option<ExitCode>> {
    let (target, local) = (&arguments.target, arguments.config.is_some());
    let either = || if local { Ok(None) } else { target.find() };
    let mail = |token: &str| token.starts_with("zc1.");
    let action = |name: &str| serde_json::json!({ "action": name });
    match &arguments.command {
        Command::HandOver { lease, to } => {
            desk::wish(&target.need()?, lease, serde_json::json!({ "action": "hand_over", "to": to })).await?;
        }
        Command::Accept { lease } => desk::wish(&target.need()?, lease, action("accept")).await?,
        Command::Revive { lease } => desk::wish(&target.need()?, lease, action("revive")).await?,
        Command::Renew { token, duration } if !mail(token) => {
            desk::renew(&target.need()?, clock, token, *duration).await?;
        }
        Command::End { token, terminate } if !mail(token) => {
            desk::wish(&target.need()?, token, action(if *terminate { "terminate" } else { "end" })).await?;
        }
        Command::NotMine { token } if !mail(token) => desk::wish(&target.need()?, token, action("not_mine")).await?,
        Command::Policy(what) => policies::run(&target.need()?, what).await?,
        Command::Exemptions(what) => exemptions::run(&target.need()?, clock, what).await?,
        Command::Hooks(what) => hooks::run(&target.need()?, what).await?,
        Command::Users { what: Some(what), .. } => people::run(&target.need()?, what).await?,
        Command::Users { what: None, json } => people::table(&target.need()?, *json).await?,
        Command::Accounts { json } => desk::accounts(&target.need()?, *json).await?,
        Command::Aws(what) => return aws::run(&target.need()?, what).await.map(Some),
        Command::Status { json } => desk::status(&target.need()?, *json).await?,
        Command::Watch { types, lease, json, count } => {
            watch::run(&target.need()?, types.as_deref(), lease.as_deref(), *json, *count).await?;
        }
        Command::Plan { json } => match either()? {
            Some(remote) => desk::plan(&remote, *json).await?,
            None => return Ok(None),
        },
        Command::Leases { json, all } => match either()? {
            Some(remote) => desk::leases(&remote, clock, *json, *all).await?,
            None => return Ok(None),
        },
        Command::Pause { scope, reason } if !scope.all => match either()? {
            Some(remote) => brake::pause(&remote, scope, reason).await?,
            None => return Ok(None),
        },
        Command::Resume { scope } if !scope.all => match either()? {
            Some(remote) => brake::resume(&remote, scope).await?,
            None => return Ok(None),
        },
        _ => return Ok(None),
    }
    Ok(Some(ExitCode::SUCCESS))
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
