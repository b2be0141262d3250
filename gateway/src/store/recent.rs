//! The documents changed last, kept for followers who are up to date, so that a commit costs each of them no query.
//! Filled only while there are followers; whoever is further behind asks the file.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use super::docs::DocRow;

/// Most bytes kept for one database, about.
const MOST: usize = 2 << 20;
/// What an entry takes besides its texts, about.
const OVERHEAD: usize = 400;

/// A document as of its last change.
#[derive(Debug)]
pub struct Changed {
    /// Its row.
    pub row: DocRow,
    /// Its plain feed entry, without and with the document, once somebody has needed it.
    pub texts: [OnceLock<Arc<str>>; 2],
}

impl Changed {
    fn size(&self) -> usize {
        2 * (self.row.body.len() + self.row.tree.len()) + OVERHEAD
    }
}

/// All documents whose last change is behind one sequence and not behind another.
#[derive(Debug)]
pub(super) struct Recent {
    from: i64,
    to: i64,
    bytes: usize,
    by_seq: BTreeMap<i64, Arc<Changed>>,
    seqs: HashMap<i64, i64>,
}

impl Recent {
    /// Nothing behind this sequence yet.
    pub(super) fn new(seq: i64) -> Self {
        Self { from: seq, to: seq, bytes: 0, by_seq: BTreeMap::new(), seqs: HashMap::new() }
    }

    /// A commit: its changes, or `None` when they are not known; then all is forgotten.
    pub(super) fn commit(&mut self, seq: i64, changes: Option<Vec<DocRow>>) {
        let Some(changes) = changes else {
            *self = Self::new(seq);
            return;
        };
        for row in changes {
            if let Some(before) = self.seqs.insert(row.num, row.seq)
                && let Some(changed) = self.by_seq.remove(&before)
            {
                self.bytes -= changed.size();
            }
            let changed = Changed { row, texts: [const { OnceLock::new() }; 2] };
            self.bytes += changed.size();
            self.by_seq.insert(changed.row.seq, Arc::new(changed));
        }
        while self.bytes > MOST
            && let Some((oldest, changed)) = self.by_seq.pop_first()
        {
            self.bytes -= changed.size();
            self.seqs.remove(&changed.row.num);
            self.from = oldest;
        }
        self.to = seq;
    }

    /// The last sequence, and the documents whose last change is behind `since`; `None` when some are not kept.
    pub(super) fn behind(&self, since: i64) -> Option<(i64, impl Iterator<Item = &Changed>)> {
        let changes = self.by_seq.range(since.checked_add(1)?..);
        (since >= self.from).then(|| (self.to, changes.map(|(_, changed)| &**changed)))
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Recent};
    use crate::channels::DocChannels;
    use crate::store::docs::DocRow;

    fn row(num: i64, seq: i64, size: usize) -> DocRow {
        DocRow {
            num,
            id: format!("d{num}"),
            seq,
            rev: "1-a".to_owned(),
            deleted: false,
            body: "x".repeat(size),
            atts: None,
            chans: DocChannels::default(),
            tree: String::new(),
            exp: None,
        }
    }

    fn seqs(recent: &Recent, since: i64) -> Option<Vec<i64>> {
        recent.behind(since).map(|(_, changes)| changes.map(|changed| changed.row.seq).collect())
    }

    #[test]
    fn a_document_is_kept_at_its_last_change() {
        let mut recent = Recent::new(10);
        recent.commit(13, Some(vec![row(1, 11, 10), row(2, 12, 10), row(1, 13, 10)]));
        assert_eq!(seqs(&recent, 10), Some(vec![12, 13]));
        assert_eq!(seqs(&recent, 12), Some(vec![13]));
        assert_eq!(seqs(&recent, 9), None, "not known");
        recent.commit(14, None);
        assert_eq!((seqs(&recent, 13), seqs(&recent, 14)), (None, Some(Vec::new())));
    }

    #[test]
    fn what_is_too_much_is_not_kept() {
        let mut recent = Recent::new(0);
        recent.commit(9, Some((1..=9).map(|n| row(n, n, MOST / 8)).collect()));
        assert_eq!(seqs(&recent, 0), None);
        let kept = seqs(&recent, 8).expect("the last one is");
        assert_eq!(kept, [9]);
        assert!(recent.bytes <= MOST);
    }
}
