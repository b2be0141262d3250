//! Forgetting a document as if it had never been.

use super::Database;
use crate::error::Result;
use crate::principals::losses;
use crate::store::Tx;
use crate::store::docs::{self, DocRow};

/// Purges a document; says whether there was one.
pub fn purge(tx: &mut Tx<'_>, db: &Database, id: &str) -> Result<bool> {
    let Some(row) = DocRow::get(tx.conn, db.id(), id)? else {
        return Ok(false);
    };
    tx.changed_in_place(&db.live)?;
    docs::unlog_channels(tx.conn, db.id(), &row.chans, row.seq)?;
    let regranted = docs::replace_grants(tx.conn, db.id(), row.num, 0, &std::collections::BTreeSet::new())?;
    if regranted.changed {
        if !regranted.lost.is_empty() {
            // A sequence of its own, so that followers can be told what their readers lost.
            let seq = tx.next_seq(&db.live)?;
            losses::record(tx.conn, db.id(), &regranted.lost, seq)?;
        }
        tx.access_changed(&db.live)?;
    }
    for sql in [
        "DELETE FROM view_rows WHERE num = ?1",
        "DELETE FROM bodies WHERE num = ?1",
        "DELETE FROM attachments WHERE num = ?1",
        "DELETE FROM docs WHERE num = ?1",
    ] {
        tx.conn.prepare_cached(sql)?.execute([row.num])?;
    }
    Ok(true)
}
