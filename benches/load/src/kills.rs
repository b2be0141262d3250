//! Rounds of load that end with `kill -9` at a random moment; whatever was acknowledged must be there afterwards.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::process::Command;

use crate::claims::{Claims, Kept};
use crate::process::Process;
use crate::writers::{self, Plan};

/// What to do.
#[derive(Debug, Clone)]
pub struct Kills {
    /// The gateway.
    pub program: PathBuf,
    /// Rounds.
    pub rounds: u64,
    /// Decides what is written and when the gateway is killed.
    pub seed: u64,
    /// Writers at once.
    pub writers: usize,
}

impl Kills {
    /// Runs all rounds in an empty directory; answers what was found after the last.
    pub async fn run(&self, data: &Path, mut told: impl FnMut(u64, &Kept)) -> anyhow::Result<Kept> {
        let claims = Arc::new(Claims::new(Box::new(|| 0)));
        let mut random = StdRng::seed_from_u64(self.seed);
        let process = Process::start(&self.program, data).await?;
        writers::create(process.admin, "db").await?;
        process.kill().await?;
        let mut kept = Kept::default();
        for round in 1..=self.rounds {
            let context = || format!("round {round} of seed {}", self.seed);
            let process = Process::start(&self.program, data).await.with_context(context)?;
            let (db, seed) = ("db".to_owned(), self.seed);
            let plan = Plan { admin: process.admin, db, writers: self.writers, seed, round };
            let load = writers::run(plan, Arc::clone(&claims), Arc::new(AtomicBool::new(false)));
            let killed = async {
                tokio::time::sleep(Duration::from_millis(random.random_range(5..600))).await;
                process.kill().await
            };
            let (loaded, killed) = tokio::join!(load, killed);
            loaded.and(killed).with_context(context)?;
            self.check(data).await.with_context(context)?;
            let process = Process::start(&self.program, data).await.with_context(context)?;
            kept = claims.verify(process.admin, "db", 0).await.with_context(context)?;
            process.kill().await?;
            told(round, &kept);
        }
        Ok(kept)
    }

    /// The gateway's own check of a file that was not closed.
    async fn check(&self, data: &Path) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("check").arg("--data").arg(data).stderr(Stdio::inherit());
        let output = command.output().await.context("checking")?;
        ensure!(output.status.success(), "check: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }
}
