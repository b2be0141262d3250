//! Sequences: each used once, none above the counter.

use rusqlite::Connection;

use super::Report;
use super::names::{self, Databases};
use crate::error::Result;

/// Where sequences stand, with what they belong to.
const USES: &[(&str, &str)] = &[
    ("docs", "SELECT db, max(seq) FROM docs GROUP BY db"),
    ("users and roles", "SELECT db, max(seq) FROM principals GROUP BY db"),
    ("the channel log", "SELECT db, max(seq) FROM channel_log GROUP BY db"),
    ("grants", "SELECT db, max(seq) FROM grants GROUP BY db"),
    ("indexes", "SELECT db, max(indexed) FROM design_docs GROUP BY db"),
];

const SHARED: &str = "SELECT db, seq, count(*) FROM (
    SELECT db, seq FROM docs UNION ALL SELECT db, seq FROM principals WHERE seq > 0
  ) GROUP BY db, seq HAVING count(*) > 1";

const HOMELESS: &[&str] = &["docs", "channel_log", "principals", "grants", "sessions", "locals", "design_docs"];

pub(super) fn check(conn: &Connection, databases: &Databases, report: &mut Report) -> Result<()> {
    for (what, sql) in USES {
        let mut select = conn.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (db, seq): (i64, i64) = (row.get(0)?, row.get(1)?);
            if let Some(found) = databases.get(&db).filter(|found| seq > found.last_seq) {
                let (name, last) = (&found.name, found.last_seq);
                report.add(format!("{name}: {what}: sequence {seq} is above the last one given out, {last}"));
            }
        }
    }
    let mut select = conn.prepare(SHARED)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, times): (i64, i64) = (row.get(1)?, row.get(2)?);
        report.add(format!("{}: sequence {seq} is used {times} times", names::name(databases, row.get(0)?)));
    }
    for table in HOMELESS {
        let sql = format!("SELECT count(*) FROM {table} WHERE db NOT IN (SELECT id FROM databases)");
        let count: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
        if count > 0 {
            report.add(format!("{table}: {count} rows belong to no database"));
        }
    }
    Ok(())
}
