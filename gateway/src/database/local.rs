//! `_local` documents: checkpoints, shared by all users, outside revisions, channels and sequences.

use rusqlite::{Connection, OptionalExtension as _};
use serde_json::Value;

use super::incoming::LARGEST_BODY;
use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::store::Tx;

/// The document as JSON text.
pub fn get(conn: &Connection, db: i64, id: &str) -> Result<Option<String>> {
    let sql = "SELECT rev, body FROM locals WHERE db = ?1 AND id = ?2";
    let row = conn
        .prepare_cached(sql)?
        .query_row((db, id), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    Ok(row.map(|(rev, body)| {
        let members = format!("\"_id\":{},\"_rev\":\"0-{rev}\"", json::quote(&format!("_local/{id}")));
        json::splice(&members, &body)
    }))
}

fn stored_rev(tx: &Tx<'_>, db: i64, id: &str) -> Result<Option<i64>> {
    let sql = "SELECT rev FROM locals WHERE db = ?1 AND id = ?2";
    Ok(tx.conn.prepare_cached(sql)?.query_row((db, id), |row| row.get(0)).optional()?)
}

/// Stores the document; answers its new revision.
pub fn put(tx: &mut Tx<'_>, db: i64, id: &str, mut body: Object) -> Result<String> {
    let given = body.get("_rev").and_then(Value::as_str).filter(|rev| !rev.is_empty()).map(str::to_owned);
    let next = match (stored_rev(tx, db, id)?, given) {
        (None, None) => 1,
        (None, Some(_)) => return Err(Error::not_found("missing")),
        (Some(stored), Some(given)) if given == format!("0-{stored}") => stored + 1,
        (Some(_), _) => return Err(Error::conflict("Document revision conflict")),
    };
    body.retain(|key, _| !key.starts_with('_'));
    let text = json::canonical(&body);
    if text.len() > LARGEST_BODY {
        return Err(Error::refused(413, "Document too large!"));
    }
    let sql = "INSERT OR REPLACE INTO locals (db, id, rev, body) VALUES (?1, ?2, ?3, ?4)";
    tx.conn.prepare_cached(sql)?.execute((db, id, next, text))?;
    Ok(format!("0-{next}"))
}

/// Deletes the document.
pub fn delete(tx: &mut Tx<'_>, db: i64, id: &str, rev: Option<&str>) -> Result<()> {
    let stored = stored_rev(tx, db, id)?.ok_or_else(|| Error::not_found("missing"))?;
    if rev != Some(format!("0-{stored}").as_str()) {
        return Err(Error::conflict("Document revision conflict"));
    }
    let sql = "DELETE FROM locals WHERE db = ?1 AND id = ?2";
    tx.conn.prepare_cached(sql)?.execute((db, id))?;
    Ok(())
}
