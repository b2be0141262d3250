//! Running the sync function over all documents again, after it was changed.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Database;
use super::write::{Author, Context};
use crate::error::Result;
use crate::store::Store;
use crate::store::docs::{COLUMNS, DocRow};

const BATCH: i64 = 200;

/// How far a resync has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Never run, or ended.
    #[default]
    Completed,
    /// Under way.
    Running,
    /// Stopped by an admin.
    Stopped,
    /// Ended by an error.
    Failed,
}

/// A resync's counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Where it is.
    pub status: Status,
    /// Documents whose channels or grants changed.
    pub changed: i64,
    /// Documents looked at.
    pub processed: i64,
}

impl Progress {
    /// As `GET _resync` shows it.
    pub fn to_json(self) -> Value {
        let status = match self.status {
            Status::Completed => "completed",
            Status::Running => "running",
            Status::Stopped => "stopped",
            Status::Failed => "error",
        };
        json!({
            "status": status, "start_time": "", "last_error": "",
            "docs_changed": self.changed, "docs_processed": self.processed,
        })
    }
}

/// Routes all documents anew; blocks, so it runs on a thread of its own.
pub fn run(store: &Store, db: &Arc<Database>) {
    let mut from = 0;
    let status = loop {
        if db.resync.lock().status != Status::Running {
            break Status::Stopped;
        }
        match batch(store, db, from) {
            Ok(Some(next)) => from = next,
            Ok(None) => break Status::Completed,
            Err(error) => {
                tracing::error!(db = db.name, %error, "resync failed");
                break Status::Failed;
            }
        }
    };
    db.resync.lock().status = status;
}

/// One batch behind row `from`; answers the last row, or `None` at the end.
fn batch(store: &Store, db: &Arc<Database>, from: i64) -> Result<Option<i64>> {
    let db = Arc::clone(db);
    store.write_blocking(move |tx| {
        let sql = format!("SELECT {COLUMNS} FROM docs WHERE +db = ?1 AND num > ?2 ORDER BY num LIMIT {BATCH}");
        let rows = tx
            .conn
            .prepare_cached(&sql)?
            .query_map((db.id(), from), DocRow::read)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let context = Context { config: db.config(), db: Arc::clone(&db), author: Author::Gateway };
        let tickets = rows.iter().map(|row| context.ask_route(tx, row)).collect::<Result<Vec<_>>>()?;
        tx.judge();
        for (row, ticket) in rows.iter().zip(&tickets) {
            let changed = context.reroute(tx, row, ticket)?;
            let mut progress = db.resync.lock();
            progress.processed += 1;
            progress.changed += i64::from(changed);
        }
        Ok(rows.last().map(|row| row.num))
    })
}
