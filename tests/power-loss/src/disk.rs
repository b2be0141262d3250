//! The record of a directory, the moments in it, and the faults it may be told to have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rand::rngs::StdRng;

use crate::record::{Action, Replayed};

/// What becomes of writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All are lost.
    Unsynced,
    /// Each sector is lost or not.
    Sectors,
    /// None is lost, as when only the process was killed.
    Nothing,
}

/// How the disk fails, until told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// It does not.
    #[default]
    None,
    /// No file can grow.
    Full,
    /// Nothing can be written.
    Writes,
    /// Writes succeed, syncs fail.
    Syncs,
}

/// A watched directory.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    record: Vec<(PathBuf, Action)>,
    fault: Fault,
}

impl Disk {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, state: Mutex::default() }
    }

    /// The file's path below the directory, if it is there.
    pub(crate) fn name(&self, path: &Path) -> Option<PathBuf> {
        let inner = path.strip_prefix(&self.dir).ok()?;
        // The shared-memory file is rebuilt after a loss of power.
        (!inner.to_string_lossy().ends_with("-shm")).then(|| inner.to_owned())
    }

    pub(crate) fn add(&self, name: &Path, action: Action) {
        self.state.lock().record.push((name.to_owned(), action));
    }

    pub(crate) fn fault(&self) -> Fault {
        self.state.lock().fault
    }

    /// Begins or ends failing.
    pub fn set_fault(&self, fault: Fault) {
        self.state.lock().fault = fault;
    }

    /// A moment: how many writes and syncs there have been.
    pub fn now(&self) -> usize {
        self.state.lock().record.len()
    }

    /// The moments right after a sync of the main file: in the middle and at the end of checkpoints.
    pub fn checkpoints(&self) -> Vec<usize> {
        let state = self.state.lock();
        let record = state.record.iter().enumerate();
        let synced = record
            .filter(|(_, (name, action))| matches!(action, Action::Sync) && !name.to_string_lossy().ends_with("-wal"));
        synced.map(|(at, _)| at + 1).collect()
    }

    /// Writes to the directory `to` what may be left when the power fails at `moment`.
    pub fn image(&self, moment: usize, loss: Loss, random: &mut StdRng, to: &Path) -> std::io::Result<()> {
        let mut files: BTreeMap<PathBuf, Replayed> = BTreeMap::new();
        for (name, action) in self.state.lock().record.iter().take(moment) {
            match action {
                Action::SyncNames => files.values_mut().for_each(|file| file.apply(action)),
                _ => files.entry(name.clone()).or_default().apply(action),
            }
        }
        for (name, file) in files {
            if let Some(content) = file.left(loss, random) {
                std::fs::write(to.join(name), content)?;
            }
        }
        Ok(())
    }
}
