//! View indexes against the documents: each is mapped again and its rows are compared.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::Report;
use crate::error::Result;
use crate::json;
use crate::script::MapFunction;
use crate::store::docs::DocRow;
use crate::views::{design, index};

/// One design document and how far it is indexed.
struct Index {
    db: i64,
    ddoc: i64,
    name: String,
    indexed: i64,
    functions: Vec<Option<MapFunction>>,
}

/// All design documents of the file.
pub(super) struct Indexes(Vec<Index>);

/// A row, in an order that both sides share: view, key, number, key as text, value.
type Key = (i64, Vec<u8>, i64, String, String);

impl Indexes {
    pub(super) fn load(conn: &Connection) -> Result<Self> {
        let mut select = conn.prepare("SELECT db, id, name, indexed, source FROM design_docs")?;
        let mut rows = select.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let source: String = row.get(4)?;
            let functions = index::compile(&design::views(&json::parse_object(&source)));
            let (db, ddoc, name, indexed) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            found.push(Index { db, ddoc, name, indexed, functions });
        }
        Ok(Self(found))
    }

    /// Compares the rows of one document; what awaits indexing is left out.
    pub(super) fn check(&self, conn: &Connection, db: i64, doc: &DocRow, problems: &mut Vec<String>) -> Result<()> {
        for index in self.0.iter().filter(|index| index.db == db && doc.seq <= index.indexed) {
            let mapped = if doc.deleted { Vec::new() } else { index::map(&index.functions, &doc.id, &doc.body) };
            let numbered = (0_i64..).zip(mapped);
            let wanted: BTreeSet<Key> =
                numbered.map(|(n, row)| (row.view, row.key, n, row.key_json, row.value)).collect();
            let sql = "SELECT view, key, n, key_json, value FROM view_rows INDEXED BY view_rows_doc
                       WHERE num = ?1 AND ddoc = ?2";
            let mut select = conn.prepare_cached(sql)?;
            let rows = select.query_map((doc.num, index.ddoc), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?;
            let there = rows.collect::<rusqlite::Result<BTreeSet<Key>>>()?;
            if there != wanted {
                problems.push(format!(
                    "the views of {} hold {} rows of it, its maps emit {}, and they differ",
                    index.name,
                    there.len(),
                    wanted.len()
                ));
            }
        }
        Ok(())
    }
}

/// Rows of documents or design documents that are gone.
pub(super) fn strays(conn: &Connection, report: &mut Report) -> Result<()> {
    let sql = "SELECT count(*) FROM view_rows
               WHERE num NOT IN (SELECT num FROM docs) OR ddoc NOT IN (SELECT id FROM design_docs)";
    let count: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    if count > 0 {
        report.add(format!("view indexes hold {count} rows of documents that are gone"));
    }
    Ok(())
}
