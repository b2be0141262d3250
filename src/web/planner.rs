//! What would be ended now and why, as the program that carries the pages works it out: asking AWS is not the pages' business.

use crate::model::{LeaseKey, Time};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use tokio::sync::Mutex;

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// About which lease.
    pub lease: LeaseKey,
    /// What people call it.
    pub name: String,
    /// What would be done.
    pub what: String,
    /// When, or since when it is due; at once when absent.
    pub at: Option<Time>,
    /// Why.
    pub why: String,
}

type Work = Box<dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<Vec<Line>>> + Send>> + Send + Sync>;

/// Works plans out, one at a time: each asks AWS for everything.
#[derive(Default)]
pub struct Planner {
    work: OnceLock<Work>,
    busy: Mutex<()>,
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Planner")
    }
}

impl Planner {
    /// Says how; once.
    pub fn set<F: Future<Output = anyhow::Result<Vec<Line>>> + Send + 'static>(
        &self,
        work: impl Fn() -> F + Send + Sync + 'static,
    ) {
        let _ = self.work.set(Box::new(move || Box::pin(work())));
    }

    /// A plan; `None` where nobody can work one out, or while another is.
    pub async fn plan(&self) -> Option<anyhow::Result<Vec<Line>>> {
        let work = self.work.get()?;
        let _turn = self.busy.try_lock().ok()?;
        Some(work().await)
    }
}
