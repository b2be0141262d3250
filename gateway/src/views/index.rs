//! Bringing a design document's index up to date: maps run here, rows are stored by the writer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::collate;
use super::design::{self, Design, View};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::json;
use crate::script::{Emitted, Maps};
use crate::store::{Store, Tx};

const BATCH: i64 = 1000;
/// How long compiled functions that nobody uses are kept.
const KEPT: Duration = Duration::from_mins(1);

/// Keeps two queries from indexing the same documents, and functions from being compiled for each query.
#[derive(Debug, Default)]
pub struct Indexer {
    turns: Mutex<HashMap<i64, Arc<Mutex<Turn>>>>,
}

/// What whoever indexes a design document holds.
#[derive(Debug, Default)]
struct Turn {
    maps: Option<(Maps, Instant)>,
}

struct Doc {
    num: i64,
    id: String,
    seq: i64,
    deleted: bool,
    body: String,
}

/// A row of a view.
#[derive(Debug)]
pub struct Row {
    /// Number of the view in its design document.
    pub view: i64,
    /// Key in bytes that collate.
    pub key: Vec<u8>,
    /// Key as JSON text.
    pub key_json: String,
    /// Value as JSON text.
    pub value: String,
}

impl Indexer {
    /// Indexes everything committed so far and answers the design document; blocks.
    pub fn update(&self, store: &Store, db: &Database, name: &str) -> Result<Design> {
        let load = || store.read_blocking(|conn| design::get(conn, db.id(), name));
        let design = load()?.ok_or_else(|| Error::not_found("missing"))?;
        let turn = Arc::clone(self.turns.lock().entry(design.id).or_default());
        let mut turn = turn.lock();
        while let Some((from, docs)) = pending(store, db, design.id)? {
            if turn.maps.is_none() {
                turn.maps = Some((maps(&design.views)?, Instant::now()));
            }
            let Some((maps, used)) = &mut turn.maps else { break };
            *used = Instant::now();
            let live = docs.iter().filter(|doc| !doc.deleted).map(|doc| (doc.id.as_str(), doc.body.as_str()));
            let mut mapped = maps.map(live).into_iter();
            let rows = |doc: &Doc| if doc.deleted { Vec::new() } else { mapped.next().map(rows).unwrap_or_default() };
            let rows: Vec<Vec<Row>> = docs.iter().map(rows).collect();
            let id = design.id;
            store.write_blocking(move |tx| save(tx, id, from, &docs, &rows))?;
        }
        Ok(design)
    }

    /// Forgets functions and locks nobody uses.
    pub fn sweep(&self) {
        self.turns.lock().retain(|_, turn| {
            let idle = |turn: &Turn| turn.maps.as_ref().is_none_or(|(_, used)| used.elapsed() > KEPT);
            Arc::strong_count(turn) > 1 || turn.try_lock().is_none_or(|turn| !idle(&turn))
        });
    }
}

/// The next documents to index, and the sequence indexed so far.
fn pending(store: &Store, db: &Database, ddoc: i64) -> Result<Option<(i64, Vec<Doc>)>> {
    store.read_blocking(|conn| {
        let sql = "SELECT indexed FROM design_docs WHERE id = ?1";
        let gone = |_| Error::not_found("missing");
        let from: i64 = conn.prepare_cached(sql)?.query_row([ddoc], |row| row.get(0)).map_err(gone)?;
        let sql = "SELECT num, id, seq, deleted, body FROM docs WHERE db = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let docs = conn
            .prepare_cached(sql)?
            .query_map((db.id(), from, BATCH), |row| {
                Ok(Doc { num: row.get(0)?, id: row.get(1)?, seq: row.get(2)?, deleted: row.get(3)?, body: row.get(4)? })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok((!docs.is_empty()).then_some((from, docs)))
    })
}

/// The views' functions, ready to run.
pub fn maps(views: &[View]) -> Result<Maps> {
    let maps = Maps::new(views.iter().map(|view| view.map.clone()).collect());
    maps.map_err(|error| Error::refused(500, format!("map functions: {error}")))
}

/// The rows of a document, from what each view emits.
pub fn rows(emitted: Vec<Emitted>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (view, items) in (0..).zip(emitted) {
        rows.extend(items.into_iter().map(|(key, value)| Row {
            view,
            key: collate::encode(&key),
            key_json: json::canonical_value(&key),
            value: json::canonical_value(&value),
        }));
    }
    rows
}

/// Stores the rows, unless someone else has indexed meanwhile.
fn save(tx: &mut Tx<'_>, ddoc: i64, from: i64, docs: &[Doc], rows: &[Vec<Row>]) -> Result<()> {
    let last = docs.last().map_or(from, |doc| doc.seq);
    let sql = "UPDATE design_docs SET indexed = ?3 WHERE id = ?1 AND indexed = ?2";
    if tx.conn.prepare_cached(sql)?.execute((ddoc, from, last))? == 0 {
        return Ok(());
    }
    // Without the hint the planner walks all rows of the design document.
    let mut delete =
        tx.conn.prepare_cached("DELETE FROM view_rows INDEXED BY view_rows_doc WHERE num = ?1 AND ddoc = ?2")?;
    let mut current = tx.conn.prepare_cached("SELECT 1 FROM docs WHERE num = ?1 AND seq = ?2")?;
    let sql = "INSERT INTO view_rows (ddoc, view, key, id, n, num, key_json, value)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let mut insert = tx.conn.prepare_cached(sql)?;
    let mut fresh = Vec::new();
    for (doc, rows) in docs.iter().zip(rows) {
        delete.execute((doc.num, ddoc))?;
        // Changed or purged since it was read: its own turn comes, or never does.
        if current.exists((doc.num, doc.seq))? {
            fresh.extend((0_i64..).zip(rows).map(|(n, row)| (row, doc, n)));
        }
    }
    // In the order of the index, so that each of its pages is visited once.
    fresh.sort_unstable_by(|(row, doc, n), (other, of, m)| {
        (row.view, &row.key, &doc.id, n).cmp(&(other.view, &other.key, &of.id, m))
    });
    for (row, doc, n) in fresh {
        insert.execute((ddoc, row.view, &row.key, &doc.id, n, doc.num, &row.key_json, &row.value))?;
    }
    Ok(())
}
