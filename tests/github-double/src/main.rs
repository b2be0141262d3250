//! The double as a program, for the demo: prints its address and app as JSON, and serves until it is told to stop.

use clap::Parser;
use github_double::{App, Double, Person};
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for GitHub's sign-in, on 127.0.0.1.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// A JSON list of people: id, login, name and emails (email, primary, verified).
    #[arg(long)]
    people: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { port, people } = Arguments::parse();
    let people: Vec<Person> = serde_json::from_slice(&std::fs::read(people)?)?;
    let app = App::default();
    let double = Double::with(port, app.clone()).await?;
    for person in people {
        double.handle().put(person);
    }
    let ready = json!({ "url": double.url(), "client_id": app.client_id, "client_secret": app.client_secret });
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
