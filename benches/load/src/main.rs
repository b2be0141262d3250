//! The load program: `bench` measures a gateway from outside, `soak` kills one again and again.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use gateway_load::kills::Kills;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill a gateway under load again and again; nothing acknowledged may be lost
    Soak {
        /// The gateway's program
        #[arg(long, value_name = "FILE")]
        gateway: PathBuf,
        #[arg(long, default_value_t = 200)]
        rounds: u64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Program::parse().command {
        Command::Soak { gateway, rounds, seed } => soak(gateway, rounds, seed).await,
    }
}

#[expect(clippy::print_stdout, reason = "the program's output")]
async fn soak(program: PathBuf, rounds: u64, seed: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let kills = Kills { program, rounds, seed, writers: 8 };
    let kept = kills.run(dir.path(), |round, kept| println!("round {round}: {kept:?}")).await?;
    println!("{rounds} rounds of seed {seed}: nothing was lost. {kept:?}");
    Ok(())
}
