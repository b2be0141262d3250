//! The one thread that writes. Whatever has queued up while the last commit was synced goes into the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::tx::{Session, Tx};
use crate::error::{Error, Result};

/// A piece of work for the writer. All jobs of a transaction look around first; then what they asked of sync functions
/// is judged; then each finishes, in order.
pub(super) trait Job: Send {
    /// How much it does; a document is 1.
    fn weight(&self) -> usize;
    /// Reads, writes nothing.
    fn look(&mut self, tx: &mut Tx<'_>);
    /// Writes; its failure undoes only itself.
    fn finish(&mut self, tx: &mut Tx<'_>);
    /// Tells whoever waits, once all is on disk or has failed.
    fn answer(self: Box<Self>, failed: Option<Error>);
}

const STACK: usize = 8 << 20;
/// Bounds of one transaction, so that nobody waits long for the others in it.
const MOST_JOBS: usize = 512;
const MOST_WEIGHT: usize = 512;

#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (send, receive) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("gateway-writer".to_owned())
            .stack_size(STACK)
            .spawn(move || run(&connection, &receive))?;
        Ok(Self { queue: Mutex::new(Some(send)), thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn submit(&self, job: Box<dyn Job>) -> Result<()> {
        let queue = self.queue.lock();
        let queue = queue.as_ref().ok_or(Error::Stopped)?;
        queue.send(job).map_err(|_| Error::Stopped)
    }

    pub(super) fn close(&self) {
        self.queue.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(connection: &Connection, queue: &mpsc::Receiver<Box<dyn Job>>) {
    let mut session = Session::default();
    while let Ok(job) = queue.recv() {
        // Also a panic where it is not expected must not end the only thread that writes.
        if catch_unwind(AssertUnwindSafe(|| group(connection, queue, job, &mut session))).is_err() {
            undo(connection, &mut session);
        }
    }
    if let Err(error) = connection.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
        tracing::debug!(%error, "no final checkpoint");
    }
}

/// Ends the transaction, if there is one, without effect.
fn undo(connection: &Connection, session: &mut Session) {
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    session.forget();
}

/// One transaction: the first job and those that wait behind it.
fn group(connection: &Connection, queue: &mpsc::Receiver<Box<dyn Job>>, first: Box<dyn Job>, session: &mut Session) {
    let mut weight = first.weight();
    let mut jobs = vec![first];
    while jobs.len() < MOST_JOBS && weight < MOST_WEIGHT {
        let Ok(job) = queue.try_recv() else { break };
        weight = weight.saturating_add(job.weight());
        jobs.push(job);
    }
    let committed = catch_unwind(AssertUnwindSafe(|| commit(connection, &mut jobs, session)));
    let failed = match committed {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(Error::refused(500, "Internal error")),
    };
    session.end();
    if let Some(error) = &failed {
        undo(connection, session);
        tracing::error!(error = %error, cause = ?std::error::Error::source(error), "a commit failed");
    } else {
        session.publish();
    }
    for job in jobs {
        job.answer(failed.clone());
    }
}

fn commit(connection: &Connection, jobs: &mut [Box<dyn Job>], session: &mut Session) -> Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut tx = Tx::new(connection, session);
    for job in jobs.iter_mut() {
        job.look(&mut tx);
    }
    tx.judge();
    for job in jobs {
        job.finish(&mut tx);
        // A full disk may end the transaction early; what came before is gone then, too.
        if connection.is_autocommit() {
            return Err(Error::refused(507, "The disk is full or failing"));
        }
    }
    tx.finish()?;
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}
