//! The `SQLite` file: one writer thread that groups commits, a pool of readers, one process at a time.
//! Knows rows and transactions, not what a document or a user may do.

pub mod copy;
pub mod docs;
pub mod open;
mod readers;
mod tx;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

pub use open::OpenError;
pub use tx::Tx;

use crate::error::{Error, Result};
use readers::Readers;
use writer::Writer;

/// The part of a database that the writer touches after each commit.
#[derive(Debug)]
pub struct Live {
    /// Row in `databases`.
    pub id: i64,
    epoch: AtomicI64,
    seq: watch::Sender<i64>,
}

impl Live {
    /// A database as read from the file.
    pub fn new(id: i64, seq: i64, epoch: i64) -> Self {
        Self { id, epoch: AtomicI64::new(epoch), seq: watch::Sender::new(seq) }
    }

    /// Changes whenever a user, a role or a grant has changed.
    pub fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Wakes at every commit that used a sequence or changed who may see what.
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.seq.subscribe()
    }

    fn publish(&self, seq: i64, epoch: i64) {
        self.epoch.store(epoch, Ordering::Release);
        self.seq.send_replace(seq);
    }
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    writer: Writer,
    readers: Arc<Readers>,
    _lock: std::fs::File,
}

impl Store {
    /// Runs `work` in the writer's next transaction; answers once that is on disk.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.submit(work)?.await.map_err(|_| Error::Stopped)?
    }

    /// The same for a thread that may wait.
    pub fn write_blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.submit(work)?.blocking_recv().map_err(|_| Error::Stopped)?
    }

    fn submit<T, F>(&self, work: F) -> Result<oneshot::Receiver<Result<T>>>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (send, receive) = oneshot::channel();
        self.writer.submit(Box::new(move |tx| {
            let result = tx.isolated(work);
            Box::new(move |failed: Option<Error>| {
                let _ = send.send(failed.map_or(result, Err));
            })
        }))?;
        Ok(receive)
    }

    /// Reads in one snapshot, on a thread that may wait.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || readers.snapshot(work)).await.map_err(|_| Error::Stopped)?
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
