//! Sessions: random ids kept as digests, renewed while used, ended with the password or the user.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::principals::User;
use crate::store::Tx;

/// Seconds a session lasts unless said otherwise.
pub const DEFAULT_TTL: i64 = 24 * 3600;

/// A session that was just made or renewed.
#[derive(Debug, Clone)]
pub struct Session {
    /// What the cookie carries.
    pub id: String,
    /// Seconds since 1970.
    pub expires: i64,
}

/// A session in use.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its user.
    pub user: Arc<User>,
    /// Whether it is time to renew it.
    pub renew: Option<i64>,
}

fn digest(id: &str) -> String {
    hex::encode(Sha256::digest(id.as_bytes()))
}

/// Begins a session.
pub fn create(tx: &mut Tx<'_>, db: &Database, name: &str, ttl: i64) -> Result<Session> {
    let user = tx.user(&db.live, name)?.ok_or_else(|| Error::not_found("missing"))?;
    if user.record.disabled {
        return Err(Error::bad_request("User is disabled"));
    }
    let id = hex::encode(rand::random::<[u8; 20]>());
    let expires = tx.now + ttl;
    let sql = "INSERT INTO sessions (db, hash, user, stamp, ttl, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let row = (db.id(), digest(&id), name, &user.record.stamp, ttl, expires);
    tx.conn.prepare_cached(sql)?.execute(row)?;
    Ok(Session { id, expires })
}

/// A valid session and its user.
pub fn find(conn: &Connection, db: &Database, id: &str, now: i64) -> Result<Option<Found>> {
    let sql = "SELECT user, stamp, ttl, expires FROM sessions WHERE db = ?1 AND hash = ?2 AND expires > ?3";
    let row = conn
        .prepare_cached(sql)?
        .query_row((db.id(), digest(id), now), |row| {
            let (user, stamp): (String, String) = (row.get(0)?, row.get(1)?);
            Ok((user, stamp, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
        })
        .optional()?;
    let Some((name, stamp, ttl, expires)) = row else {
        return Ok(None);
    };
    let user = db.user(conn, &name)?;
    let Some(user) = user.filter(|user| user.record.stamp == stamp && !user.record.disabled) else {
        return Ok(None);
    };
    let used = ttl - (expires - now);
    Ok(Some(Found { user, renew: (used * 10 > ttl).then_some(ttl) }))
}

/// Gives a session its whole time again.
pub fn renew(tx: &mut Tx<'_>, db: i64, id: &str, ttl: i64) -> Result<Session> {
    let expires = tx.now + ttl;
    let sql = "UPDATE sessions SET expires = ?3 WHERE db = ?1 AND hash = ?2";
    tx.conn.prepare_cached(sql)?.execute((db, digest(id), expires))?;
    Ok(Session { id: id.to_owned(), expires })
}

/// Ends a session, of this user if named; says whether there was one.
pub fn delete(tx: &mut Tx<'_>, db: i64, id: &str, user: Option<&str>) -> Result<bool> {
    let sql = "DELETE FROM sessions WHERE db = ?1 AND hash = ?2 AND (?3 IS NULL OR user = ?3)";
    Ok(tx.conn.prepare_cached(sql)?.execute((db, digest(id), user))? > 0)
}

/// Ends all sessions of a user.
pub fn delete_all(tx: &mut Tx<'_>, db: i64, user: &str) -> Result<()> {
    let sql = "DELETE FROM sessions WHERE db = ?1 AND user = ?2";
    tx.conn.prepare_cached(sql)?.execute((db, user))?;
    Ok(())
}
