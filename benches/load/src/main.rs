//! The load program: `bench` measures a gateway from outside, `soak` kills one again and again.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use gateway_load::bench::Bench;
use gateway_load::kills::Kills;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[derive(Debug, Parser)]
#[command(version, about)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure a gateway from outside; a line says so when the load used more than half of the processor time
    Bench {
        /// The gateway's program, built for release
        #[arg(long, value_name = "FILE")]
        gateway: PathBuf,
        /// A sync function to measure besides the small one
        #[arg(long, value_name = "FILE")]
        sync: Option<PathBuf>,
        /// Numbers of documents for the growth curve; the last one takes minutes and 6 GiB of temporary space
        #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
        sizes: Vec<usize>,
        /// Numbers of followers
        #[arg(long, value_delimiter = ',', default_value = "200,1000")]
        followers: Vec<usize>,
        /// Only measurements whose name contains this
        #[arg(long, default_value = "")]
        only: String,
        /// Seconds of a measurement that has no end of its own
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
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
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    match Program::parse().command {
        Command::Bench { gateway: program, sync, sizes, followers, only, seconds } => {
            let length = Duration::from_secs(seconds);
            Bench { program, sync, sizes, followers, only, length }.run().await
        }
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
