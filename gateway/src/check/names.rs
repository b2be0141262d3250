//! The databases in a file, so that problems can name them, and their configurations.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Report;
use crate::database::config::DatabaseConfig;
use crate::error::Result;
use crate::json;

/// A database as its row has it.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) last_seq: i64,
}

/// By row number.
pub(super) type Databases = BTreeMap<i64, Named>;

/// All databases; a configuration that would not open is a problem.
pub(super) fn databases(conn: &Connection, report: &mut Report) -> Result<Databases> {
    let mut select = conn.prepare("SELECT id, name, last_seq, config FROM databases")?;
    let mut rows = select.query([])?;
    let mut found = Databases::new();
    while let Some(row) = rows.next()? {
        let (name, config): (String, String) = (row.get(1)?, row.get(3)?);
        if let Err(error) = DatabaseConfig::parse(&name, json::parse_object(&config), 1, 0, 0) {
            report.add(format!("{name}: the configuration cannot be used: {error}"));
        }
        found.insert(row.get(0)?, Named { name, last_seq: row.get(2)? });
    }
    Ok(found)
}

/// The name of a database, or its row number.
pub(super) fn name(databases: &Databases, db: i64) -> String {
    databases.get(&db).map_or_else(|| format!("database {db}"), |found| found.name.clone())
}
