//! The program: one call per command.

use clap::Parser;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    zerocloud::cli::main(zerocloud::cli::Arguments::parse()).await
}
