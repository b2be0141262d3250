//! The one thread that writes. Whatever has queued up while the last commit was synced goes into the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::tx::{Session, Tx};
use crate::error::{Error, Result};

/// Told whether the commit failed.
pub(super) type Completion = Box<dyn FnOnce(Option<Error>) + Send>;
pub(super) type Job = Box<dyn FnOnce(&mut Tx<'_>) -> Completion + Send>;

const STACK: usize = 8 << 20;
const MOST_JOBS: usize = 512;
const LONGEST: Duration = Duration::from_millis(30);

#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
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

    pub(super) fn submit(&self, job: Job) -> Result<()> {
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

fn run(connection: &Connection, queue: &mpsc::Receiver<Job>) {
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

/// One transaction: the first job and all that wait behind it.
fn group(connection: &Connection, queue: &mpsc::Receiver<Job>, first: Job, session: &mut Session) {
    let mut completions = Vec::new();
    let committed = catch_unwind(AssertUnwindSafe(|| -> Result<()> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let began = Instant::now();
        let mut tx = Tx::new(connection, session);
        let mut next = Some(first);
        while let Some(job) = next {
            completions.push(job(&mut tx));
            // A full disk may end the transaction early; what came before is gone then, too.
            if connection.is_autocommit() {
                return Err(Error::refused(507, "The disk is full or failing"));
            }
            next = None;
            if completions.len() < MOST_JOBS && began.elapsed() < LONGEST {
                next = queue.try_recv().ok();
            }
        }
        tx.finish()?;
        connection.execute_batch("COMMIT")?;
        Ok(())
    }));
    let failed = match committed {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(Error::refused(500, "Internal error")),
    };
    if let Some(error) = &failed {
        undo(connection, session);
        tracing::error!(error = %error, cause = ?std::error::Error::source(error), "a commit failed");
    } else {
        session.publish();
    }
    for completion in completions {
        completion(failed.clone());
    }
}
