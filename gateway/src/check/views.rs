//! View indexes against the documents: each is mapped again and its rows are compared.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::Report;
use super::names::{self, Databases};
use crate::error::Result;
use crate::json;
use crate::script::Emitted;
use crate::views::design::{self, View};
use crate::views::index;

/// Documents mapped at a time.
const BATCH: i64 = 500;

/// One design document and how far it is indexed.
struct Index {
    db: i64,
    ddoc: i64,
    name: String,
    indexed: i64,
    views: Vec<View>,
}

/// A document as far as views know it.
struct Doc {
    num: i64,
    id: String,
    body: String,
    deleted: bool,
}

/// A row, in an order that both sides share: view, key, number, key as text, value.
type Key = (i64, Vec<u8>, i64, String, String);

/// Compares the rows of each document; what awaits indexing is left out.
pub(super) fn check(conn: &Connection, databases: &Databases, report: &mut Report) -> Result<()> {
    let mut select = conn.prepare("SELECT db, id, name, indexed, source FROM design_docs")?;
    let indexes = select
        .query_map([], |row| {
            let views = design::views(&json::parse_object(row.get_ref(4)?.as_str()?));
            Ok(Index { db: row.get(0)?, ddoc: row.get(1)?, name: row.get(2)?, indexed: row.get(3)?, views })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for index in indexes {
        let db = names::name(databases, index.db);
        let mut maps = index::maps(&index.views)?;
        let mut from = 0;
        loop {
            let docs = documents(conn, &index, from)?;
            let Some(last) = docs.last() else { break };
            from = last.num;
            let live = docs.iter().filter(|doc| !doc.deleted);
            let mut mapped = maps.map(live.map(|doc| (doc.id.as_str(), doc.body.as_str()))).into_iter();
            for doc in &docs {
                let emitted = if doc.deleted { Vec::new() } else { mapped.next().unwrap_or_default() };
                if let Some(problem) = compare(conn, &index, doc, emitted)? {
                    report.add(format!("{db}: document {}: {problem}", json::quote(&doc.id)));
                }
            }
        }
    }
    strays(conn, report)
}

fn documents(conn: &Connection, index: &Index, from: i64) -> Result<Vec<Doc>> {
    let sql = "SELECT num, id, body, deleted FROM docs WHERE +db = ?1 AND num > ?2 AND seq <= ?3 ORDER BY num LIMIT ?4";
    let mut select = conn.prepare_cached(sql)?;
    let rows = select.query_map((index.db, from, index.indexed, BATCH), |row| {
        Ok(Doc { num: row.get(0)?, id: row.get(1)?, body: row.get(2)?, deleted: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn compare(conn: &Connection, index: &Index, doc: &Doc, emitted: Vec<Emitted>) -> Result<Option<String>> {
    let numbered = (0_i64..).zip(index::rows(emitted));
    let wanted: BTreeSet<Key> = numbered.map(|(n, row)| (row.view, row.key, n, row.key_json, row.value)).collect();
    let sql =
        "SELECT view, key, n, key_json, value FROM view_rows INDEXED BY view_rows_doc WHERE num = ?1 AND ddoc = ?2";
    let mut select = conn.prepare_cached(sql)?;
    let rows = select.query_map((doc.num, index.ddoc), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    let there = rows.collect::<rusqlite::Result<BTreeSet<Key>>>()?;
    let (name, held, maps) = (&index.name, there.len(), wanted.len());
    let differ = || format!("the views of {name} hold {held} rows of it, its maps emit {maps}, and they differ");
    Ok((there != wanted).then(differ))
}

/// Rows of documents or design documents that are gone.
fn strays(conn: &Connection, report: &mut Report) -> Result<()> {
    let sql = "SELECT count(*) FROM view_rows
               WHERE num NOT IN (SELECT num FROM docs) OR ddoc NOT IN (SELECT id FROM design_docs)";
    let count: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    if count > 0 {
        report.add(format!("view indexes hold {count} rows of documents that are gone"));
    }
    Ok(())
}
