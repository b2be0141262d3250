//! One feed out of many channels: each channel's log in order, merged, a few rows at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rusqlite::Connection;

use super::seq::Seq;
use crate::error::Result;
use crate::principals::losses::Period;

/// What a reader may follow, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A channel; `None` is every document.
    pub channel: Option<String>,
    /// Sequence at which the reader gained it; up to 1 counts as always.
    pub gained: i64,
    /// Set when the reader has it no more: then its documents are told to be dropped.
    pub lost: Option<Lost>,
}

/// A channel a reader had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Sequence at which it was lost.
    pub at: i64,
    /// Documents up to this sequence have been told.
    pub told: i64,
    /// Documents up to this sequence the reader has surely been sent; others only if they were in the channel in time.
    pub sent: i64,
    /// When the reader had it.
    pub had: Vec<Period>,
}

/// A row of a channel's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) num: i64,
    pub(super) removed: bool,
}

/// Sequences `from < seq <= to`, sent as backfill of `trigger` or plainly.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    to: i64,
    trigger: Option<i64>,
}

/// All that stands at one position, with the sources it came from.
pub(super) type Place<'a> = (Seq, Vec<(&'a Source, Row)>);

/// One source, read in order.
struct Cursor<'a> {
    source: &'a Source,
    spans: VecDeque<Span>,
    rows: VecDeque<(Seq, Row)>,
}

impl Source {
    fn spans(&self, since: Seq, until: Seq) -> VecDeque<Span> {
        if let Some(lost) = &self.lost {
            return [Span { from: lost.told, to: until.at(), trigger: Some(lost.at) }].into();
        }
        let mut spans = VecDeque::new();
        let backfill = self.gained > 1 && since < Seq::plain(self.gained) && Seq::plain(self.gained) <= until;
        if backfill {
            spans.push_back(Span {
                from: since.sent_behind(self.gained),
                to: self.gained - 1,
                trigger: Some(self.gained),
            });
        }
        let first = if self.gained > 1 { self.gained - 1 } else { 0 };
        spans.push_back(Span { from: since.sent_plain().max(first), to: until.at(), trigger: None });
        spans
    }
}

impl Cursor<'_> {
    fn fill(&mut self, conn: &Connection, db: i64, chunk: i64) -> Result<()> {
        while self.rows.is_empty() {
            let Some(span) = self.spans.front_mut() else {
                return Ok(());
            };
            let rows = read(conn, db, self.source, *span, chunk)?;
            let done = i64::try_from(rows.len()).unwrap_or(0) < chunk;
            if let Some(last) = rows.last() {
                span.from = last.seq;
            }
            let trigger = span.trigger;
            if done {
                self.spans.pop_front();
            }
            let revoked = self.source.lost.is_some();
            self.rows.extend(rows.into_iter().filter_map(|row| match trigger {
                None => Some((Seq::plain(row.seq), row)),
                Some(trigger) => (revoked || !row.removed).then(|| (Seq::behind(trigger, row.seq), row)),
            }));
        }
        Ok(())
    }
}

fn read(conn: &Connection, db: i64, source: &Source, span: Span, chunk: i64) -> Result<Vec<Row>> {
    let row = |row: &rusqlite::Row<'_>| Ok(Row { seq: row.get(0)?, num: row.get(1)?, removed: row.get(2)? });
    let rows = if let Some(channel) = &source.channel {
        let sql = "SELECT seq, num, removed FROM channel_log
                   WHERE db = ?1 AND channel = ?2 AND seq > ?3 AND seq <= ?4 ORDER BY seq LIMIT ?5";
        let mut select = conn.prepare_cached(sql)?;
        let rows = select.query_map((db, channel, span.from, span.to, chunk), row)?;
        rows.collect::<rusqlite::Result<_>>()?
    } else {
        let sql = "SELECT seq, num, 0 FROM docs
                   WHERE db = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4";
        let mut select = conn.prepare_cached(sql)?;
        let rows = select.query_map((db, span.from, span.to, chunk), row)?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    Ok(rows)
}

/// The sources' rows behind `since` and up to `until`, in feed order.
pub(super) struct Merge<'a> {
    conn: &'a Connection,
    db: i64,
    chunk: i64,
    cursors: Vec<Cursor<'a>>,
    heap: BinaryHeap<Reverse<(Seq, usize)>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        conn: &'a Connection,
        db: i64,
        sources: &'a [Source],
        since: Seq,
        until: Seq,
        chunk: i64,
    ) -> Result<Self> {
        let cursors =
            sources.iter().map(|source| Cursor { source, spans: source.spans(since, until), rows: VecDeque::new() });
        let mut merge = Self { conn, db, chunk, cursors: cursors.collect(), heap: BinaryHeap::new() };
        for index in 0..merge.cursors.len() {
            merge.push(index)?;
        }
        Ok(merge)
    }

    fn push(&mut self, index: usize) -> Result<()> {
        let cursor = &mut self.cursors[index];
        cursor.fill(self.conn, self.db, self.chunk)?;
        if let Some((seq, _)) = cursor.rows.front() {
            self.heap.push(Reverse((*seq, index)));
        }
        Ok(())
    }

    /// The next position and all that stands there, with the sources it came from.
    pub(super) fn next(&mut self) -> Result<Option<Place<'a>>> {
        let Some(&Reverse((at, _))) = self.heap.peek() else {
            return Ok(None);
        };
        let mut found = Vec::new();
        while let Some(&Reverse((seq, index))) = self.heap.peek()
            && seq == at
        {
            self.heap.pop();
            let cursor = &mut self.cursors[index];
            if let Some((_, row)) = cursor.rows.pop_front() {
                found.push((cursor.source, row));
            }
            self.push(index)?;
        }
        Ok(Some((at, found)))
    }
}
