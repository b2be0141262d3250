//! What a write job works with: the transaction, sequences, compiled functions and users as of now.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::Live;
use crate::clock;
use crate::error::{Error, Result};
use crate::principals::User;
use crate::script::{Limits, SyncFunction};

/// Most compiled functions kept: each has a thread and a heap.
const MOST_FUNCTIONS: usize = 64;

/// What the writer keeps between transactions.
#[derive(Default)]
pub(super) struct Session {
    touched: HashMap<i64, Touched>,
    functions: HashMap<i64, (Arc<str>, Rc<SyncFunction>)>,
    users: HashMap<(i64, String), (i64, Arc<User>)>,
}

struct Touched {
    live: Arc<Live>,
    seq: i64,
    epoch: i64,
}

impl Session {
    /// Wakes the followers of what was committed.
    pub(super) fn publish(&mut self) {
        for touched in self.touched.drain().map(|(_, touched)| touched) {
            touched.live.publish(touched.seq, touched.epoch);
        }
    }

    /// Drops what was not committed.
    pub(super) fn forget(&mut self) {
        self.touched.clear();
        self.users.clear();
    }
}

/// The writer's transaction, as a job sees it.
pub struct Tx<'w> {
    /// The connection, inside the transaction.
    pub conn: &'w Connection,
    /// Seconds since 1970 when the transaction began.
    pub now: i64,
    session: &'w mut Session,
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("now", &self.now).finish_non_exhaustive()
    }
}

impl<'w> Tx<'w> {
    pub(super) fn new(conn: &'w Connection, session: &'w mut Session) -> Self {
        Self { conn, now: clock::now_seconds(), session }
    }

    /// Runs a job so that its failure undoes only itself.
    pub(super) fn isolated<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.conn.prepare_cached("SAVEPOINT job")?.execute([])?;
        let result = catch_unwind(AssertUnwindSafe(|| work(self)))
            .unwrap_or_else(|_| Err(Error::refused(500, "Internal error")));
        if result.is_err() {
            self.conn.prepare_cached("ROLLBACK TO job")?.execute([])?;
            self.session.users.clear();
        }
        self.conn.prepare_cached("RELEASE job")?.execute([])?;
        result
    }

    /// Stores the counters of the databases touched.
    pub(super) fn finish(&mut self) -> Result<()> {
        for (id, touched) in &self.session.touched {
            self.conn.prepare_cached("UPDATE databases SET last_seq = ?2, epoch = ?3 WHERE id = ?1")?.execute((
                id,
                touched.seq,
                touched.epoch,
            ))?;
        }
        Ok(())
    }

    fn touch(&mut self, live: &Arc<Live>) -> Result<&mut Touched> {
        if !self.session.touched.contains_key(&live.id) {
            let row = self
                .conn
                .prepare_cached("SELECT last_seq, epoch FROM databases WHERE id = ?1")?
                .query_row([live.id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let (seq, epoch) = row.ok_or_else(|| Error::not_found("no such database"))?;
            let live = Arc::clone(live);
            let id = live.id;
            self.session.touched.insert(id, Touched { live, seq, epoch });
        }
        self.session.touched.get_mut(&live.id).ok_or(Error::Stopped)
    }

    /// The next sequence of a database.
    pub fn next_seq(&mut self, live: &Arc<Live>) -> Result<i64> {
        let touched = self.touch(live)?;
        touched.seq += 1;
        Ok(touched.seq)
    }

    /// The last sequence used so far.
    pub fn last_seq(&mut self, live: &Arc<Live>) -> Result<i64> {
        Ok(self.touch(live)?.seq)
    }

    /// Says that a user, a role or a grant has changed.
    pub fn access_changed(&mut self, live: &Arc<Live>) -> Result<()> {
        self.touch(live)?.epoch += 1;
        Ok(())
    }

    /// A user as of this point of the transaction.
    pub fn user(&mut self, live: &Arc<Live>, name: &str) -> Result<Option<Arc<User>>> {
        let epoch = self.touch(live)?.epoch;
        let key = (live.id, name.to_owned());
        if let Some((at, user)) = self.session.users.get(&key)
            && *at == epoch
        {
            return Ok(Some(Arc::clone(user)));
        }
        let user = User::load(self.conn, live.id, name)?.map(Arc::new);
        if let Some(user) = &user {
            if self.session.users.len() > 4096 {
                self.session.users.clear();
            }
            self.session.users.insert(key, (epoch, Arc::clone(user)));
        }
        Ok(user)
    }

    /// The database's sync function, compiled once.
    pub fn sync_function(&mut self, db: i64, source: &Arc<str>, time: Duration) -> Result<Rc<SyncFunction>> {
        if let Some((known, function)) = self.session.functions.get(&db)
            && known == source
            && function.time() == time
        {
            return Ok(Rc::clone(function));
        }
        let limits = Limits { time, ..Limits::default() };
        let function = SyncFunction::with_limits(source, limits)
            .map_err(|error| Error::refused(500, format!("sync function: {error}")))?;
        let function = Rc::new(function);
        if self.session.functions.len() >= MOST_FUNCTIONS {
            self.session.functions.clear();
        }
        let kept = (Arc::clone(source), Rc::clone(&function));
        self.session.functions.insert(db, kept);
        Ok(function)
    }

    /// Forgets what belongs to a deleted database.
    pub fn forget_database(&mut self, db: i64) {
        self.session.functions.remove(&db);
        self.session.touched.remove(&db);
    }
}
