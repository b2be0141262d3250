//! Sessions: random ids kept as digests, renewed while used, ended with the password or the user.
//! Those in use are remembered, so that a request need not ask the file; what ends one is seen at once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::principals::User;
use crate::store::{Live, Tx};

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

/// A session as stored.
#[derive(Debug, Clone)]
struct Row {
    user: String,
    stamp: String,
    ttl: i64,
    expires: i64,
}

impl Row {
    fn get(conn: &Connection, db: i64, hash: &str) -> Result<Option<Self>> {
        let sql = "SELECT user, stamp, ttl, expires FROM sessions WHERE db = ?1 AND hash = ?2";
        let row = conn.prepare_cached(sql)?.query_row((db, hash), |row| {
            Ok(Self { user: row.get(0)?, stamp: row.get(1)?, ttl: row.get(2)?, expires: row.get(3)? })
        });
        Ok(row.optional()?)
    }

    /// The session in use, unless it is past its time or of another life of the user.
    fn judge(&self, user: Option<Arc<User>>, now: i64) -> Option<Found> {
        let user = user.filter(|user| user.record.stamp == self.stamp && !user.record.disabled)?;
        let used = self.ttl - (self.expires - now);
        (self.expires > now).then(|| Found { user, renew: (used * 10 > self.ttl).then_some(self.ttl) })
    }
}

/// Sessions of a database that were used, each with the count of ended ones before it was read.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<String, (i64, Row)>>);

const MOST_KEPT: usize = 20_000;

impl Sessions {
    fn keep(&self, hash: String, ended: i64, row: Row) {
        let mut kept = self.0.lock();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(hash, (ended, row));
    }
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

/// A valid session as of the last commit, when the file need not be asked.
pub fn recall(db: &Database, id: &str, now: i64) -> Option<Found> {
    let (ended, row) = db.sessions.0.lock().get(&digest(id)).cloned()?;
    let user = db.cached_user(&row.user).filter(|_| ended == db.live.ended_sessions())?;
    // One that seems to be due may have been renewed since.
    row.judge(Some(user), now).filter(|found| found.renew.is_none())
}

/// A valid session and its user; the first thing that a snapshot is asked.
pub fn find(conn: &Connection, db: &Database, id: &str, now: i64) -> Result<Option<Found>> {
    let hash = digest(id);
    let ended = db.live.ended_sessions();
    let Some(row) = Row::get(conn, db.id(), &hash)? else {
        return Ok(None);
    };
    let found = row.judge(db.user(conn, &row.user)?, now);
    if found.is_some() {
        db.sessions.keep(hash, ended, row);
    }
    Ok(found)
}

/// Gives a session its whole time again.
pub fn renew(tx: &mut Tx<'_>, db: i64, id: &str, ttl: i64) -> Result<Session> {
    let expires = tx.now + ttl;
    let sql = "UPDATE sessions SET expires = ?3 WHERE db = ?1 AND hash = ?2";
    tx.conn.prepare_cached(sql)?.execute((db, digest(id), expires))?;
    Ok(Session { id: id.to_owned(), expires })
}

/// Ends a session, of this user if named; says whether there was one.
pub fn delete(tx: &mut Tx<'_>, live: &Arc<Live>, id: &str, user: Option<&str>) -> Result<bool> {
    tx.session_ended(live)?;
    let sql = "DELETE FROM sessions WHERE db = ?1 AND hash = ?2 AND (?3 IS NULL OR user = ?3)";
    Ok(tx.conn.prepare_cached(sql)?.execute((live.id, digest(id), user))? > 0)
}

/// Ends all sessions of a user.
pub fn delete_all(tx: &mut Tx<'_>, live: &Arc<Live>, user: &str) -> Result<()> {
    tx.session_ended(live)?;
    let sql = "DELETE FROM sessions WHERE db = ?1 AND user = ?2";
    tx.conn.prepare_cached(sql)?.execute((live.id, user))?;
    Ok(())
}
