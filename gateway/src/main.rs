//! The gateway as a program of its own.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use zerocloud_gateway::command::{self, Options};

/// An embedded Sync Gateway over one `SQLite` file.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Program {
    #[command(flatten)]
    options: Options,
}

/// Exit status of a command that could not be carried out; 1 is for problems that `check` found.
const FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // Where stderr is closed, telling of that there would be a panic in whatever thread has something to say.
        .log_internal_errors(false)
        .init();
    match command::execute(Program::parse().options, &mut std::io::stdout()).await {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "zerocloud-gateway: {error:#}");
            FAILED.into()
        }
    }
}
