//! One file's history replayed: what is synced, and what is not yet.

use rand::Rng as _;
use rand::rngs::StdRng;

use crate::Loss;

/// A disk writes whole sectors; part of a write may be lost, part of a sector not.
const SECTOR: usize = 512;

/// What was done to a file.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Create,
    Write {
        offset: u64,
        data: Vec<u8>,
    },
    Truncate(u64),
    Sync,
    Delete,
    /// The names in the directory: deletions are kept from then on.
    SyncNames,
}

/// A file on the disk, and what waits to be written to it.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    durable: Option<Vec<u8>>,
    pending: Vec<Action>,
}

impl Replayed {
    pub(crate) fn apply(&mut self, action: &Action) {
        match action {
            // The name of a new file: the gateway syncs the directory, and so does `SQLite` for its log.
            Action::Create => {
                self.durable.get_or_insert_default();
            }
            Action::Sync => {
                for action in std::mem::take(&mut self.pending) {
                    perform(&mut self.durable, &action);
                }
            }
            Action::SyncNames => {
                let deleted = self.pending.iter().rposition(|action| matches!(action, Action::Delete));
                if let Some(last) = deleted {
                    self.pending.drain(..=last);
                    self.durable = None;
                }
            }
            other => self.pending.push(other.clone()),
        }
    }

    /// What may be left; `None` when there is no file.
    pub(crate) fn left(mut self, loss: Loss, random: &mut StdRng) -> Option<Vec<u8>> {
        for action in self.pending {
            match (loss, action) {
                (Loss::Unsynced, _) => {}
                (Loss::Nothing, action) => perform(&mut self.durable, &action),
                (Loss::Sectors, Action::Write { offset, data }) => sectors(&mut self.durable, offset, &data, random),
                (Loss::Sectors, action) => {
                    if random.random() {
                        perform(&mut self.durable, &action);
                    }
                }
            }
        }
        self.durable
    }
}

fn perform(content: &mut Option<Vec<u8>>, action: &Action) {
    match action {
        Action::Write { offset, data } => put(content.get_or_insert_default(), *offset, data),
        Action::Truncate(size) => content.get_or_insert_default().resize(index(*size), 0),
        Action::Delete => *content = None,
        Action::Create | Action::Sync | Action::SyncNames => {}
    }
}

fn put(content: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let from = index(offset);
    let to = from + data.len();
    if content.len() < to {
        content.resize(to, 0);
    }
    content[from..to].copy_from_slice(data);
}

/// Writes each sector of the data or not.
fn sectors(content: &mut Option<Vec<u8>>, offset: u64, data: &[u8], random: &mut StdRng) {
    let content = content.get_or_insert_default();
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let length = (SECTOR - index(at) % SECTOR).min(rest.len());
        let (sector, behind) = rest.split_at(length);
        if random.random() {
            put(content, at, sector);
        }
        at += u64::try_from(length).unwrap_or(0);
        rest = behind;
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
