//! Rows of documents, old bodies, the channel log and grants.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::channels::DocChannels;
use crate::error::Result;

/// The current revision of a document.
#[derive(Debug, Clone)]
pub struct DocRow {
    /// Row number; stays the same for the document's life.
    pub num: i64,
    /// Document id.
    pub id: String,
    /// Sequence of the current revision.
    pub seq: i64,
    /// Current revision.
    pub rev: String,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// Canonical body without special members.
    pub body: String,
    /// `_attachments` as stubs, canonical.
    pub atts: Option<String>,
    /// Channels, now and before.
    pub chans: DocChannels,
    /// The encoded tree.
    pub tree: String,
    /// When it expires, seconds since 1970.
    pub exp: Option<i64>,
}

/// Columns for [`DocRow::read`].
pub const COLUMNS: &str = "num, id, seq, rev, deleted, body, atts, chans, tree, exp";

impl DocRow {
    /// Reads a row of [`COLUMNS`].
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            num: row.get(0)?,
            id: row.get(1)?,
            seq: row.get(2)?,
            rev: row.get(3)?,
            deleted: row.get(4)?,
            body: row.get(5)?,
            atts: row.get(6)?,
            chans: DocChannels::decode(row.get_ref(7)?.as_str()?),
            tree: row.get(8)?,
            exp: row.get(9)?,
        })
    }

    /// A document by id.
    pub fn get(conn: &Connection, db: i64, id: &str) -> Result<Option<Self>> {
        let sql = const_format("WHERE db = ?1 AND id = ?2");
        Ok(conn.prepare_cached(&sql)?.query_row((db, id), Self::read).optional()?)
    }

    /// Stores the row, under a new number when it has none yet (0); answers the number. `chans` is its channels' text.
    pub fn put(&self, conn: &Connection, db: i64, chans: &str) -> Result<i64> {
        if self.num == 0 {
            let sql = "INSERT INTO docs (db, id, seq, rev, deleted, body, atts, chans, tree, exp)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
            conn.prepare_cached(sql)?.execute((
                db,
                &self.id,
                self.seq,
                &self.rev,
                self.deleted,
                &self.body,
                &self.atts,
                chans,
                &self.tree,
                self.exp,
            ))?;
            return Ok(conn.last_insert_rowid());
        }
        let sql =
            "UPDATE docs SET seq = ?2, rev = ?3, deleted = ?4, body = ?5, atts = ?6, chans = ?7, tree = ?8, exp = ?9
                   WHERE num = ?1";
        conn.prepare_cached(sql)?.execute((
            self.num,
            self.seq,
            &self.rev,
            self.deleted,
            &self.body,
            &self.atts,
            chans,
            &self.tree,
            self.exp,
        ))?;
        Ok(self.num)
    }

    /// A document by row number.
    pub fn by_num(conn: &Connection, num: i64) -> Result<Option<Self>> {
        let sql = const_format("WHERE num = ?1");
        Ok(conn.prepare_cached(&sql)?.query_row([num], Self::read).optional()?)
    }
}

fn const_format(condition: &str) -> String {
    format!("SELECT {COLUMNS} FROM docs {condition}")
}

/// A revision that is not the current one.
#[derive(Debug, Clone)]
pub struct BodyRow {
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// Canonical body.
    pub body: String,
    /// `_attachments` as stubs.
    pub atts: Option<String>,
    /// Its channels.
    pub channels: BTreeSet<String>,
}

impl BodyRow {
    /// A kept revision; `None` when unknown or past its time.
    pub fn get(conn: &Connection, num: i64, rev: &str, now: i64) -> Result<Option<Self>> {
        let sql = "SELECT deleted, body, atts, chans FROM bodies
                   WHERE num = ?1 AND rev = ?2 AND (until IS NULL OR until > ?3)";
        let row = conn
            .prepare_cached(sql)?
            .query_row((num, rev, now), |row| {
                Ok(Self {
                    deleted: row.get(0)?,
                    body: row.get(1)?,
                    atts: row.get(2)?,
                    channels: serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or_default(),
                })
            })
            .optional()?;
        Ok(row)
    }

    /// Keeps a revision until a time, or for good.
    pub fn put(&self, conn: &Connection, num: i64, rev: &str, until: Option<i64>) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO bodies (num, rev, deleted, body, atts, chans, until)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let chans = serde_json::to_string(&self.channels).unwrap_or_default();
        conn.prepare_cached(sql)?.execute((num, rev, self.deleted, &self.body, &self.atts, chans, until))?;
        Ok(())
    }
}

/// Replaces a document's entries in the channel log.
pub fn log_channels(
    conn: &Connection,
    db: i64,
    num: i64,
    old: Option<(&DocChannels, i64)>,
    new: (&DocChannels, i64),
) -> Result<()> {
    let before = old.map(|(chans, seq)| entries(chans, seq)).unwrap_or_default();
    let after = entries(new.0, new.1);
    let mut delete = conn.prepare_cached("DELETE FROM channel_log WHERE db = ?1 AND channel = ?2 AND seq = ?3")?;
    for (channel, &(seq, removed)) in &before {
        if after.get(channel) != Some(&(seq, removed)) {
            delete.execute((db, channel, seq))?;
        }
    }
    let sql = "INSERT OR REPLACE INTO channel_log (db, channel, seq, num, removed) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut insert = conn.prepare_cached(sql)?;
    for (channel, &(seq, removed)) in &after {
        if before.get(channel) != Some(&(seq, removed)) {
            insert.execute((db, channel, seq, num, removed))?;
        }
    }
    Ok(())
}

/// A document's entries in the channel log: by channel, the sequence and whether it has left.
pub fn entries(chans: &DocChannels, seq: i64) -> BTreeMap<&str, (i64, bool)> {
    let active = chans.active.iter().map(|channel| (channel.as_str(), (seq, false)));
    let removed = chans.removed.iter().map(|removal| (removal.channel.as_str(), (removal.seq, true)));
    active.chain(removed).collect()
}

/// Forgets a document's entries in the channel log.
pub fn unlog_channels(conn: &Connection, db: i64, chans: &DocChannels, seq: i64) -> Result<()> {
    let mut delete = conn.prepare_cached("DELETE FROM channel_log WHERE db = ?1 AND channel = ?2 AND seq = ?3")?;
    for (channel, (at, _)) in entries(chans, seq) {
        delete.execute((db, channel, at))?;
    }
    Ok(())
}

/// A grant: who (`role:` in front of a role), 0 channel or 1 role, what.
pub type Grant = (String, i64, String);

/// What replacing a document's grants did.
#[derive(Debug, Default)]
pub struct Regranted {
    /// Whether anything changed.
    pub changed: bool,
    /// What the document grants no more.
    pub lost: Vec<LostGrant>,
}

/// A grant a document makes no more.
#[derive(Debug)]
pub struct LostGrant {
    /// What it was.
    pub grant: Grant,
    /// Sequence since when.
    pub gained: i64,
    /// The earliest sequence with which other documents grant the same.
    pub others: Option<i64>,
}

/// Replaces what a document grants.
pub fn replace_grants(conn: &Connection, db: i64, num: i64, seq: i64, new: &BTreeSet<Grant>) -> Result<Regranted> {
    let mut select = conn.prepare_cached("SELECT grantee, kind, target, seq FROM grants WHERE num = ?1")?;
    let old = select
        .query_map([num], |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)))?
        .collect::<rusqlite::Result<BTreeMap<Grant, i64>>>()?;
    if old.keys().eq(new) {
        return Ok(Regranted::default());
    }
    let mut lost = Vec::new();
    let sql = "DELETE FROM grants WHERE db = ?1 AND grantee = ?2 AND kind = ?3 AND target = ?4 AND num = ?5";
    let mut delete = conn.prepare_cached(sql)?;
    for (grant, gained) in old.iter().filter(|(grant, _)| !new.contains(*grant)) {
        let (grantee, kind, target) = grant;
        delete.execute((db, grantee, kind, target, num))?;
        let others = earliest_grant(conn, db, grantee, *kind, target)?;
        lost.push(LostGrant { grant: grant.clone(), gained: *gained, others });
    }
    let sql = "INSERT INTO grants (db, grantee, kind, target, num, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut insert = conn.prepare_cached(sql)?;
    for (grantee, kind, target) in new.iter().filter(|grant| !old.contains_key(*grant)) {
        insert.execute((db, grantee, kind, target, num, seq))?;
    }
    Ok(Regranted { changed: true, lost })
}

/// The earliest sequence with which any document grants this.
pub fn earliest_grant(conn: &Connection, db: i64, grantee: &str, kind: i64, target: &str) -> Result<Option<i64>> {
    let sql = "SELECT min(seq) FROM grants WHERE db = ?1 AND grantee = ?2 AND kind = ?3 AND target = ?4";
    Ok(conn.prepare_cached(sql)?.query_row((db, grantee, kind, target), |row| row.get(0))?)
}
