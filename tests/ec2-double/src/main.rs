//! The double as a program, for demos and for tests that are not Rust: it prints its endpoint and keys, and serves until it is told
//! to stop. What a test does in Rust by a handle, others do by POST to `/_double/…`.

use std::io::Write as _;

use clap::Parser;
use ec2_double::{Double, Options};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// EC2, STS, Auto Scaling and SES v2 for tests, on 127.0.0.1.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The account whose keys clients start with.
    #[arg(long)]
    home: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { port, home } = Arguments::parse();
    let mut options = Options { port, ..Options::default() };
    if let Some(account) = home {
        options.home.account = account;
    }
    let double = Double::with(options).await?;
    let ready = json!({"url": double.url(), "home": double.handle().home()});
    writeln!(std::io::stdout(), "{ready}")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    double.stop().await;
    Ok(())
}
