//! What time alone brings about: documents expire, old bodies and sessions are forgotten.

use std::sync::Arc;

use super::incoming::Incoming;
use super::write::{Author, Context, Looked};
use super::{Database, attachments};
use crate::error::Result;
use crate::revs::Rev;
use crate::store::Tx;
use crate::store::docs::DocRow;

const BATCH: i64 = 500;

/// Makes tombstones of expired documents; says whether more may be waiting.
pub fn expire(tx: &mut Tx<'_>, db: &Arc<Database>) -> Result<bool> {
    // Without the hint the planner walks the whole database.
    let sql = "SELECT id FROM docs INDEXED BY docs_exp WHERE exp IS NOT NULL AND exp <= ?1 AND db = ?2 LIMIT ?3";
    let ids = tx
        .conn
        .prepare_cached(sql)?
        .query_map((tx.now, db.id(), BATCH), |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let context = Context { config: db.config(), db: Arc::clone(db), author: Author::Gateway };
    let mut edits = Vec::with_capacity(ids.len());
    for id in &ids {
        if let Some(row) = DocRow::get(tx.conn, db.id(), id)? {
            edits.push(Incoming::tombstone().into_edit(id, Rev::parse(&row.rev))?);
        }
    }
    let looked: Vec<Looked> = edits.iter().map(|edit| context.look(tx, edit)).collect();
    tx.judge();
    for (edit, looked) in edits.iter().zip(looked) {
        context.finish(tx, edit, looked)?;
    }
    Ok(i64::try_from(ids.len()).unwrap_or(0) == BATCH)
}

/// Forgets superseded bodies, with attachments only they had, and sessions past their time.
pub fn forget(tx: &mut Tx<'_>) -> Result<()> {
    let sql = "SELECT DISTINCT num FROM bodies WHERE until IS NOT NULL AND until <= ?1 AND atts IS NOT NULL";
    let rows =
        tx.conn.prepare_cached(sql)?.query_map([tx.now], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    tx.conn.prepare_cached("DELETE FROM bodies WHERE until IS NOT NULL AND until <= ?1")?.execute([tx.now])?;
    rows.into_iter().try_for_each(|num| attachments::sweep(tx.conn, num))?;
    tx.conn.prepare_cached("DELETE FROM sessions WHERE expires <= ?1")?.execute([tx.now])?;
    Ok(())
}
