//! What would be ended now and why, as the program that carries the pages works it out: asking AWS is not the pages' business.

use crate::model::{AccountId, LeaseKey, Time};
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError};

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

type Work = Box<dyn Fn(AccountId) -> Pin<Box<dyn Future<Output = anyhow::Result<Vec<Line>>> + Send>> + Send + Sync>;

/// Works plans out, one at a time for an Account: each asks AWS for everything of it.
#[derive(Default)]
pub struct Planner {
    work: OnceLock<Work>,
    busy: Mutex<BTreeSet<AccountId>>,
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
        work: impl Fn(AccountId) -> F + Send + Sync + 'static,
    ) {
        let _ = self.work.set(Box::new(move |account| Box::pin(work(account))));
    }

    /// An Account's plan; `None` where nobody can work one out, or while another of that Account is.
    pub async fn plan(&self, account: &AccountId) -> Option<anyhow::Result<Vec<Line>>> {
        let work = self.work.get()?;
        let _turn = Turn::take(&self.busy, account)?;
        Some(work(account.clone()).await)
    }
}

/// One Account's; dropped, the next may begin.
struct Turn<'a> {
    busy: &'a Mutex<BTreeSet<AccountId>>,
    account: AccountId,
}

impl Turn<'_> {
    fn take<'a>(busy: &'a Mutex<BTreeSet<AccountId>>, account: &AccountId) -> Option<Turn<'a>> {
        let free = busy.lock().unwrap_or_else(PoisonError::into_inner).insert(account.clone());
        free.then(|| Turn { busy, account: account.clone() })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
    }
}
