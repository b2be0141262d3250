//! The `SQLite` file: one writer thread that groups commits, a pool of readers, one process at a time.
//! Knows rows and transactions, not what a document or a user may do.

pub mod copy;
pub mod docs;
pub mod open;
mod readers;
pub mod recent;
mod tx;
mod verdicts;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::RwLock;
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot, watch};

pub use open::OpenError;
pub use tx::Tx;
pub use verdicts::Ticket;

use crate::error::{Error, Result};
use docs::DocRow;
use readers::Readers;
use recent::{Changed, Recent};
use writer::{Job, Writer};

/// The part of a database that the writer touches after each commit.
#[derive(Debug)]
pub struct Live {
    /// Row in `databases`.
    pub id: i64,
    epoch: AtomicI64,
    ended_sessions: AtomicI64,
    seq: watch::Sender<i64>,
    recent: RwLock<Recent>,
}

impl Live {
    /// A database as read from the file.
    pub fn new(id: i64, seq: i64, epoch: i64) -> Self {
        let recent = RwLock::new(Recent::new(seq));
        Self {
            id,
            epoch: AtomicI64::new(epoch),
            ended_sessions: AtomicI64::new(0),
            seq: watch::Sender::new(seq),
            recent,
        }
    }

    /// Changes whenever a user, a role or a grant has changed.
    pub fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Changes whenever a session was ended before its time.
    pub fn ended_sessions(&self) -> i64 {
        self.ended_sessions.load(Ordering::Acquire)
    }

    /// The last sequence that is on disk.
    pub fn seq(&self) -> i64 {
        *self.seq.borrow()
    }

    /// Wakes at every commit that used a sequence or changed who may see what.
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.seq.subscribe()
    }

    /// Wakes all who wait for a commit, so that they look around.
    pub fn nudge(&self) {
        self.seq.send_modify(|_| {});
    }

    /// How many wait for commits.
    pub fn followers(&self) -> usize {
        self.seq.receiver_count()
    }

    fn publish(&self, seq: i64, epoch: i64, changes: Option<Vec<DocRow>>) {
        let regranted = self.epoch.swap(epoch, Ordering::AcqRel) != epoch;
        self.recent.write().commit(seq, changes);
        self.seq.send_if_modified(|last| std::mem::replace(last, seq) != seq || regranted);
    }

    fn publish_ended_session(&self) {
        self.ended_sessions.fetch_add(1, Ordering::AcqRel);
    }

    /// What `work` makes of the last sequence and of the documents whose last change is behind `since`; `None` when
    /// some of them must be asked of the file. Commits wait meanwhile, so it should be short.
    pub fn recent<T>(&self, since: i64, work: impl FnOnce(i64, &mut dyn Iterator<Item = &Changed>) -> T) -> Option<T> {
        let recent = self.recent.read();
        let (to, mut changes) = recent.behind(since)?;
        Some(work(to, &mut changes))
    }
}

/// A job made of two closures.
struct Work<L, T, A, B> {
    weight: usize,
    step: Step<L, T, A>,
    last: Option<B>,
    reply: oneshot::Sender<Result<T>>,
}

/// How far a job has come.
enum Step<L, T, A> {
    Look(A),
    Looked(Result<L>),
    Done(Result<T>),
}

impl<L, T, A, B> Job for Work<L, T, A, B>
where
    L: Send,
    T: Send,
    A: FnOnce(&mut Tx<'_>) -> Result<L> + Send,
    B: FnOnce(&mut Tx<'_>, L) -> Result<T> + Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn look(&mut self, tx: &mut Tx<'_>) {
        let step = std::mem::replace(&mut self.step, Step::Looked(Err(Error::Stopped)));
        self.step = match step {
            Step::Look(look) => Step::Looked(tx.caught(look)),
            other => other,
        };
    }

    fn finish(&mut self, tx: &mut Tx<'_>) {
        let step = std::mem::replace(&mut self.step, Step::Done(Err(Error::Stopped)));
        self.step = match (step, self.last.take()) {
            (Step::Looked(Ok(looked)), Some(work)) => Step::Done(tx.isolated(|tx| work(tx, looked))),
            (Step::Looked(Err(error)), _) => Step::Done(Err(error)),
            (other, _) => other,
        };
    }

    fn answer(self: Box<Self>, failed: Option<Error>) {
        let result = match (failed, self.step) {
            (Some(error), _) => Err(error),
            (None, Step::Done(result)) => result,
            (None, _) => Err(Error::Stopped),
        };
        let _ = self.reply.send(result);
    }
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    writer: Writer,
    readers: Arc<Readers>,
    /// As many as there are read connections, so that no thread waits for one.
    places: Arc<Semaphore>,
    _lock: std::fs::File,
}

impl Store {
    /// Runs `work` in the writer's next transaction; answers once that is on disk.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.write_judged(1, |_| Ok(()), |tx, ()| work(tx)).await
    }

    /// The same for a thread that may wait, and for work as large as a transaction should be.
    pub fn write_blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.submit(usize::MAX, |_| Ok(()), |tx, ()| work(tx))?.blocking_recv().map_err(|_| Error::Stopped)?
    }

    /// Runs `look` with all others of the writer's next transaction, before what they ask of sync functions is judged,
    /// and `work` in its turn after that. `weight` is the number of documents.
    pub async fn write_judged<L, T, A, B>(&self, weight: usize, look: A, work: B) -> Result<T>
    where
        L: Send + 'static,
        T: Send + 'static,
        A: FnOnce(&mut Tx<'_>) -> Result<L> + Send + 'static,
        B: FnOnce(&mut Tx<'_>, L) -> Result<T> + Send + 'static,
    {
        self.submit(weight, look, work)?.await.map_err(|_| Error::Stopped)?
    }

    fn submit<L, T, A, B>(&self, weight: usize, look: A, work: B) -> Result<oneshot::Receiver<Result<T>>>
    where
        L: Send + 'static,
        T: Send + 'static,
        A: FnOnce(&mut Tx<'_>) -> Result<L> + Send + 'static,
        B: FnOnce(&mut Tx<'_>, L) -> Result<T> + Send + 'static,
    {
        let (reply, receive) = oneshot::channel();
        self.writer.submit(Box::new(Work { weight, step: Step::Look(look), last: Some(work), reply }))?;
        Ok(receive)
    }

    /// Reads in one snapshot, on a thread that may wait.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Error::Stopped)?;
        let readers = Arc::clone(&self.readers);
        let read = move || {
            let result = readers.snapshot(work);
            drop(place);
            result
        };
        tokio::task::spawn_blocking(read).await.map_err(|_| Error::Stopped)?
    }

    /// The same on the current thread.
    pub fn read_blocking<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.snapshot(work)
    }

    /// Finishes queued writes and closes the writer's connection.
    pub fn close(&self) {
        self.writer.close();
    }
}

#[cfg(test)]
mod tests {
    use super::Live;

    #[test]
    fn followers_sleep_through_commits_that_tell_them_nothing() {
        let live = Live::new(1, 5, 0);
        let mut follower = live.subscribe();
        let mut woken = |seq, epoch| {
            live.publish(seq, epoch, Some(Vec::new()));
            let woken = follower.has_changed().unwrap_or(false);
            follower.borrow_and_update();
            woken
        };
        assert!(!woken(5, 0), "a login, a checkpoint");
        assert!(woken(6, 0), "a document");
        assert!(woken(6, 1), "a grant");
        assert_eq!(live.seq(), 6);
    }
}
