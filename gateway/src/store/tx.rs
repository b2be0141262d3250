//! What a write job works with: the transaction, sequences, compiled functions and users as of now.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::Live;
use super::docs::DocRow;
use super::verdicts::{Ticket, Verdicts};
use crate::clock;
use crate::error::{Error, Result};
use crate::principals::User;
use crate::script::{Limits, SyncFunction, Texts, Verdict};

/// Most compiled functions kept: each has a thread and a heap.
const MOST_FUNCTIONS: usize = 64;

/// What the writer keeps between transactions.
#[derive(Default)]
pub(super) struct Session {
    touched: HashMap<i64, Touched>,
    functions: HashMap<i64, (Arc<str>, Rc<SyncFunction>)>,
    users: HashMap<(i64, String), (i64, Arc<User>)>,
    verdicts: Verdicts,
    stale: Stale,
}

/// What has changed since the jobs of the transaction looked around.
#[derive(Default)]
struct Stale {
    /// Databases and ids of documents written.
    docs: HashSet<(i64, String)>,
    /// Whether more has changed than those.
    all: bool,
}

struct Touched {
    live: Arc<Live>,
    seq: i64,
    epoch: i64,
    /// Documents changed, for followers; `None` when there are none, or when not all changes are known.
    changes: Option<Vec<DocRow>>,
    /// Whether a session was ended.
    ended_session: bool,
}

impl Session {
    /// Wakes the followers of what was committed.
    pub(super) fn publish(&mut self) {
        for touched in self.touched.drain().map(|(_, touched)| touched) {
            if touched.ended_session {
                touched.live.publish_ended_session();
            }
            touched.live.publish(touched.seq, touched.epoch, touched.changes);
        }
    }

    fn recorded(&self) -> usize {
        self.touched.values().filter_map(|touched| touched.changes.as_ref()).map(Vec::len).sum()
    }

    /// Drops what was not committed.
    pub(super) fn forget(&mut self) {
        self.touched.clear();
        self.users.clear();
    }

    /// Drops what belongs to one transaction.
    pub(super) fn end(&mut self) {
        self.verdicts.clear();
        self.stale.docs.clear();
        self.stale.all = false;
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

    /// Makes a panic an error.
    pub(super) fn caught<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        result.unwrap_or_else(|_| Err(Error::refused(500, "Internal error")))
    }

    /// Runs a job so that its failure undoes only itself.
    pub(super) fn isolated<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.conn.prepare_cached("SAVEPOINT job")?.execute([])?;
        let before = self.session.recorded();
        let result = self.caught(work);
        if result.is_err() {
            self.conn.prepare_cached("ROLLBACK TO job")?.execute([])?;
            self.session.users.clear();
            if self.session.recorded() != before {
                self.session.touched.values_mut().for_each(|touched| touched.changes = None);
            }
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
            let (id, changes) = (live.id, (live.followers() > 0).then(Vec::new));
            self.session.touched.insert(id, Touched { live, seq, epoch, changes, ended_session: false });
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

    /// Says that a document has a new sequence.
    pub fn changed(&mut self, live: &Arc<Live>, row: DocRow) -> Result<()> {
        self.session.stale.docs.insert((live.id, row.id.clone()));
        if let Some(changes) = &mut self.touch(live)?.changes {
            changes.push(row);
        }
        Ok(())
    }

    /// Says that a document has changed or gone without a new sequence.
    pub fn changed_in_place(&mut self, live: &Arc<Live>) -> Result<()> {
        self.touch(live)?.changes = None;
        self.session.stale.all = true;
        Ok(())
    }

    /// Whether a document has changed since the jobs of this transaction looked around.
    pub fn is_stale(&self, live: &Live, id: &str) -> bool {
        self.session.stale.all || self.session.stale.docs.contains(&(live.id, id.to_owned()))
    }

    /// Says that a user, a role or a grant has changed.
    pub fn access_changed(&mut self, live: &Arc<Live>) -> Result<()> {
        self.touch(live)?.epoch += 1;
        Ok(())
    }

    /// Says that a session has ended before its time.
    pub fn session_ended(&mut self, live: &Arc<Live>) -> Result<()> {
        self.touch(live)?.ended_session = true;
        Ok(())
    }

    /// Counts changes of users, roles and grants.
    pub fn epoch(&mut self, live: &Arc<Live>) -> Result<i64> {
        Ok(self.touch(live)?.epoch)
    }

    /// Asks for a run of a sync function; all that are asked for are done together.
    pub fn judge_later(&mut self, function: Rc<SyncFunction>, texts: Texts) -> Ticket {
        self.session.verdicts.ask(function, texts)
    }

    /// Does the runs asked for.
    pub fn judge(&mut self) {
        self.session.verdicts.run();
    }

    /// The verdict of a run, once.
    pub fn verdict(&mut self, ticket: &Ticket) -> Option<Verdict> {
        self.session.verdicts.take(ticket)
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
        self.session.stale.all = true;
    }
}
