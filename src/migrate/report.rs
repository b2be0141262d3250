//! What a run did and found, for people and for programs.

use super::verify::Verified;
use serde::Serialize;

/// The outcome of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Everything of the source is on the target, and equal there.
    pub complete: bool,
    /// The source, without its password.
    pub from: String,
    /// The target, without its password.
    pub to: String,
    /// The database was made.
    pub database_made: bool,
    /// An earlier run had begun.
    pub resumed: bool,
    /// Roles that stand on the target as on the source.
    pub roles: usize,
    /// Users that stand on the target as on the source, the guest included.
    pub users: usize,
    /// Roles and users that do not, and why.
    pub principals_refused: Vec<String>,
    /// Design documents that stand on the target.
    pub design_documents: Vec<String>,
    /// Of the source.
    pub from_documents: Counts,
    /// Of the target.
    pub to_documents: Counts,
    /// Documents and tombstones written by this run.
    pub copied: usize,
    /// Their attachments.
    pub attachments: usize,
    /// Documents that could not be carried.
    pub refused: Vec<Refusal>,
    /// Ranges of 1,000 ids that were compared.
    pub ranges: usize,
    /// Those whose digests differ.
    pub unequal_ranges: Vec<Range>,
    /// SHA-256 over all ranges of the source.
    pub from_digest: String,
    /// SHA-256 over all ranges of the target.
    pub to_digest: String,
    /// Documents that are not the same on both sides, beside those refused.
    pub differences: Vec<Difference>,
    /// Somebody wrote to the source while it was compared: the target is behind.
    pub source_still_written: bool,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// What stays behind, whatever is done.
    pub cannot_move: Vec<String>,
}

/// How many documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Documents.
    pub live: usize,
    /// Deleted ones.
    pub tombstones: usize,
}

impl From<(usize, usize)> for Counts {
    fn from((live, tombstones): (usize, usize)) -> Counts {
        Counts { live, tombstones }
    }
}

/// A document that was not carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Document.
    pub id: String,
    /// Its revision on the source.
    pub rev: String,
    /// HTTP status, when a gateway refused it.
    pub status: Option<u16>,
    /// Why.
    pub reason: String,
}

/// A document that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Document.
    pub id: String,
    /// A sentence without its subject.
    pub what: String,
}

/// A range of ids whose digests differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    /// First id.
    pub first: String,
    /// Last id.
    pub last: String,
    /// SHA-256 of the source.
    pub from: String,
    /// SHA-256 of the target.
    pub to: String,
}

impl Report {
    /// Takes the comparison in.
    pub(super) fn take(&mut self, verified: Verified) {
        let [from, to] = verified.digests;
        (self.from_digest, self.to_digest) = (from, to);
        self.ranges = verified.ranges;
        self.unequal_ranges = verified.unequal;
        self.differences = verified.differences;
        self.notes.retain(|note| !note.contains("expire at another moment"));
        if verified.other_expiry > 0 {
            self.notes.push(format!(
                "{} documents expire at another moment on the target, where the sync function counts from now",
                verified.other_expiry
            ));
        }
    }

    /// Judges the whole.
    pub(super) fn finish(&mut self) {
        self.complete = self.refused.is_empty()
            && self.principals_refused.is_empty()
            && self.differences.is_empty()
            && self.from_digest == self.to_digest
            && self.from_documents == self.to_documents
            && !self.source_still_written;
    }
}
