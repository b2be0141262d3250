//! Each document against its tree, the channel log, its grants and its attachments.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _};
use serde_json::Value;

use super::Report;
use super::names::{self, Databases};
use crate::database::attachments;
use crate::error::Result;
use crate::json;
use crate::revs::tree::Tree;
use crate::store::docs::{self, COLUMNS, DocRow};

pub(super) fn check(conn: &Connection, databases: &Databases, report: &mut Report) -> Result<()> {
    let mut logged: HashMap<i64, i64> = HashMap::new();
    let sql = format!("SELECT {COLUMNS}, db FROM docs ORDER BY num");
    let mut select = conn.prepare(&sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (doc, db) = (DocRow::read(row)?, row.get(10)?);
        report.documents += 1;
        let mut problems = Vec::new();
        tree(conn, &doc, &mut problems)?;
        *logged.entry(db).or_default() += channels(conn, db, &doc, &mut problems)?;
        if let Some(atts) = &doc.atts {
            stubs(conn, doc.num, atts, &mut problems)?;
        }
        for problem in problems {
            report.add(format!("{}: document {}: {problem}", names::name(databases, db), json::quote(&doc.id)));
        }
    }
    strays(conn, databases, &logged, report)?;
    bodies(conn, report)?;
    data(conn, report)
}

/// The current revision is the winner of a readable tree, and every other leaf has kept its body.
fn tree(conn: &Connection, doc: &DocRow, problems: &mut Vec<String>) -> Result<()> {
    let tree = Tree::decode(&doc.tree);
    if tree.encode() != doc.tree {
        problems.push("its revision tree is damaged".to_owned());
    }
    match tree.winner() {
        _ if !tree.contains(&doc.rev) => problems.push(format!("its revision {} is not in its tree", doc.rev)),
        Some((winner, deleted)) if winner.as_str() == doc.rev && deleted == doc.deleted => {}
        Some((winner, _)) => problems.push(format!("its revision is {}, the tree says {winner}", doc.rev)),
        None => problems.push("its tree is empty".to_owned()),
    }
    if !matches!(json::parse(doc.body.as_bytes()), Ok(Value::Object(_))) {
        problems.push("its body is not a JSON object".to_owned());
    }
    for (leaf, _) in tree.leaves().into_iter().filter(|(leaf, _)| leaf.as_str() != doc.rev) {
        let sql = "SELECT 1 FROM bodies WHERE num = ?1 AND rev = ?2 AND until IS NULL";
        if !conn.prepare_cached(sql)?.exists((doc.num, leaf.as_str()))? {
            problems.push(format!("the body of its leaf {leaf} is gone"));
        }
    }
    Ok(())
}

/// The log has each of the document's entries; answers how many.
fn channels(conn: &Connection, db: i64, doc: &DocRow, problems: &mut Vec<String>) -> Result<i64> {
    let sql = "SELECT num, removed FROM channel_log WHERE db = ?1 AND channel = ?2 AND seq = ?3";
    let mut select = conn.prepare_cached(sql)?;
    let mut found = 0;
    for (channel, (seq, removed)) in docs::entries(&doc.chans, doc.seq) {
        let row = select.query_row((db, channel, seq), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match row {
            Some(row) if row == (doc.num, removed) => found += 1,
            Some(_) => problems.push(format!("channel {channel} has another entry at its sequence {seq}")),
            None => problems.push(format!("channel {channel} does not list it at its sequence {seq}")),
        }
    }
    Ok(found)
}

/// Every attachment is there.
fn stubs(conn: &Connection, num: i64, atts: &str, problems: &mut Vec<String>) -> Result<()> {
    let mut select = conn.prepare_cached("SELECT 1 FROM attachments WHERE num = ?1 AND digest = ?2")?;
    for (name, meta) in json::parse_object(atts) {
        let digest = meta.get("digest").and_then(Value::as_str).unwrap_or_default();
        if !select.exists((num, digest))? {
            problems.push(format!("its attachment {} has no data", json::quote(&name)));
        }
    }
    Ok(())
}

/// Entries of the log and grants that no document accounts for.
fn strays(conn: &Connection, databases: &Databases, logged: &HashMap<i64, i64>, report: &mut Report) -> Result<()> {
    for (db, found) in databases {
        let sql = "SELECT count(*) FROM channel_log WHERE db = ?1";
        let there: i64 = conn.prepare_cached(sql)?.query_row([db], |row| row.get(0))?;
        let accounted = logged.get(db).copied().unwrap_or_default();
        if there > accounted {
            let more = there - accounted;
            report.add(format!("{}: the channel log has {more} entries that no document accounts for", found.name));
        }
    }
    let sql = "SELECT count(*) FROM grants WHERE num NOT IN (SELECT num FROM docs WHERE NOT deleted)";
    let count: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    if count > 0 {
        report.add(format!("{count} grants come from documents that are gone"));
    }
    Ok(())
}

/// Kept revisions belong to documents and have their attachments.
fn bodies(conn: &Connection, report: &mut Report) -> Result<()> {
    let sql = "SELECT b.num, b.rev, b.atts, d.num FROM bodies b LEFT JOIN docs d ON d.num = b.num";
    let mut select = conn.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (num, rev): (i64, String) = (row.get(0)?, row.get(1)?);
        if row.get::<_, Option<i64>>(3)?.is_none() {
            report.add(format!("the kept revision {rev} belongs to no document"));
        }
        let mut problems = Vec::new();
        if let Some(atts) = row.get::<_, Option<String>>(2)? {
            stubs(conn, num, &atts, &mut problems)?;
        }
        for problem in problems {
            report.add(format!("kept revision {rev}: {problem}"));
        }
    }
    Ok(())
}

/// Attachment data is what its digest says.
fn data(conn: &Connection, report: &mut Report) -> Result<()> {
    let mut select = conn.prepare("SELECT digest, data FROM attachments")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let digest: String = row.get(0)?;
        if attachments::digest(row.get_ref(1)?.as_blob().unwrap_or_default()) != digest {
            report.add(format!("the data of attachment {digest} is damaged"));
        }
    }
    Ok(())
}
