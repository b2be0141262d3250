//! Read connections, opened when needed and kept.

use std::path::PathBuf;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::open;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    limit: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    open: usize,
}

impl Readers {
    pub(super) fn new(path: PathBuf, limit: usize) -> Self {
        Self { path, limit: limit.max(1), state: Mutex::default(), returned: Condvar::new() }
    }

    /// Runs `work` in a read transaction, so that all it sees is of one moment.
    pub(super) fn snapshot<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.take()?;
        let returned = Returned { readers: self, connection: Some(connection) };
        let connection = returned.connection.as_ref().ok_or(crate::error::Error::Stopped)?;
        connection.prepare_cached("BEGIN")?.execute([])?;
        let result = work(connection);
        connection.prepare_cached("ROLLBACK")?.execute([])?;
        result
    }

    fn take(&self) -> Result<Connection> {
        let mut state = self.state.lock();
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok(connection);
            }
            if state.open < self.limit {
                state.open += 1;
                drop(state);
                return open::reader(&self.path).map_err(|error| {
                    self.state.lock().open -= 1;
                    self.returned.notify_one();
                    error.into()
                });
            }
            self.returned.wait(&mut state);
        }
    }
}

/// Gives the connection back, also when the work panics.
struct Returned<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.state.lock();
        match self.connection.take().filter(Connection::is_autocommit) {
            Some(connection) => state.idle.push(connection),
            None => state.open -= 1,
        }
        self.readers.returned.notify_one();
    }
}
