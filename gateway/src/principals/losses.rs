//! What principals had and lost, so that a feed can tell which documents a user may no longer see.
//! Kept per user and per role; what a user had through a role follows from both.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{ROLE, USER, User, load_record, role_channels};
use crate::error::Result;
use crate::store::docs::{LostGrant, earliest_grant};

/// Kinds of what can be lost, as in grants.
pub(super) const CHANNEL: i64 = 0;
pub(super) const MEMBERSHIP: i64 = 1;

/// Losses of one thing by one principal that are remembered.
const MOST: i64 = 10;

/// From a sequence up to another, not included.
pub type Period = (i64, i64);

const OPEN: i64 = i64::MAX;

/// The name under which grants and losses of a role are kept.
pub(super) fn role_key(role: &str) -> String {
    format!("role:{role}")
}

/// Remembers what documents grant no longer. Where somebody else gives the same, only the time before that is over.
pub fn record(conn: &Connection, db: i64, lost: &[LostGrant], seq: i64) -> Result<()> {
    for LostGrant { grant: (grantee, kind, target), gained, others } in lost {
        let role = grantee.strip_prefix("role:");
        let record = match role {
            Some(role) => load_record(conn, db, ROLE, role)?,
            None => load_record(conn, db, USER, grantee)?,
        };
        // Without the principal nobody had it.
        let Some((record, _)) = record else { continue };
        let given = if *kind == CHANNEL { &record.channels } else { &record.roles };
        let rest = others.iter().chain(given.get(target)).min().copied();
        let period = ((*gained).max(record.born), rest.unwrap_or(seq));
        insert(conn, db, grantee, *kind, target, period)?;
    }
    Ok(())
}

/// Remembers what an admin took back. Where a document grants the same, only the time before that is over.
pub(super) fn taken(
    conn: &Connection,
    db: i64,
    grantee: &str,
    kind: i64,
    target: &str,
    (gained, lost): Period,
) -> Result<()> {
    let rest = earliest_grant(conn, db, grantee, kind, target)?;
    insert(conn, db, grantee, kind, target, (gained, rest.unwrap_or(lost)))
}

pub(super) fn insert(
    conn: &Connection,
    db: i64,
    grantee: &str,
    kind: i64,
    target: &str,
    (gained, lost): Period,
) -> Result<()> {
    if gained >= lost {
        return Ok(());
    }
    let sql = "INSERT OR REPLACE INTO losses (db, grantee, kind, target, gained, lost)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    conn.prepare_cached(sql)?.execute((db, grantee, kind, target, gained, lost))?;
    let sql = "DELETE FROM losses WHERE db = ?1 AND grantee = ?2 AND kind = ?3 AND target = ?4 AND lost <=
               (SELECT lost FROM losses WHERE db = ?1 AND grantee = ?2 AND kind = ?3 AND target = ?4
                ORDER BY lost DESC LIMIT 1 OFFSET ?5)";
    conn.prepare_cached(sql)?.execute((db, grantee, kind, target, MOST))?;
    Ok(())
}

/// Forgets the losses of a principal that is gone for good.
pub(super) fn forget(conn: &Connection, db: i64, grantee: &str) -> Result<()> {
    conn.prepare_cached("DELETE FROM losses WHERE db = ?1 AND grantee = ?2")?.execute((db, grantee))?;
    Ok(())
}

fn of(conn: &Connection, db: i64, grantee: &str, kind: i64) -> Result<BTreeMap<String, Vec<Period>>> {
    let sql = "SELECT target, gained, lost FROM losses WHERE db = ?1 AND grantee = ?2 AND kind = ?3 ORDER BY lost";
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query((db, grantee, kind))?;
    let mut found: BTreeMap<String, Vec<Period>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        found.entry(row.get(0)?).or_default().push((row.get(1)?, row.get(2)?));
    }
    Ok(found)
}

/// Where a reader stands: what was lost behind `check` is news, and what was lost at `trigger` may not all be told.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// A sequence.
    pub check: i64,
    /// The loss whose documents are being told.
    pub trigger: Option<i64>,
}

impl Standing {
    fn concerns(self, periods: &[Period]) -> bool {
        periods.iter().any(|(_, lost)| *lost > self.check || Some(*lost) == self.trigger)
    }
}

/// Channels the user has lost, with the sequence of the last loss of each. Those had again are among them: what left
/// the channel meanwhile is told nowhere else.
pub fn revoked(conn: &Connection, db: i64, user: &User, standing: Standing) -> Result<BTreeMap<String, i64>> {
    let mut found: BTreeMap<String, i64> = BTreeMap::new();
    let mut add = |channel: String, lost: i64| {
        let kept = found.entry(channel).or_insert(lost);
        *kept = (*kept).max(lost);
    };
    let last = |periods: &[Period]| periods.last().map_or(0, |(_, lost)| *lost);
    for (role, periods) in of(conn, db, &user.name, MEMBERSHIP)? {
        if !standing.concerns(&periods) {
            continue;
        }
        let left = last(&periods);
        for channel in role_channels(conn, db, &role)?.unwrap_or_default().into_keys() {
            add(channel, left);
        }
        for (channel, periods) in of(conn, db, &role_key(&role), CHANNEL)? {
            if standing.concerns(&periods) {
                // What the role lost later, the user had lost with the role.
                add(channel, last(&periods).min(left));
            }
        }
    }
    let held = user.roles.keys().map(|role| role_key(role));
    for grantee in held.chain([user.name.clone()]) {
        for (channel, periods) in of(conn, db, &grantee, CHANNEL)? {
            if standing.concerns(&periods) {
                add(channel, last(&periods));
            }
        }
    }
    Ok(found)
}

/// When the user had a channel, directly or through roles.
pub fn periods(conn: &Connection, db: i64, user: &User, channel: &str) -> Result<Vec<Period>> {
    let lost = |grantee: &str, kind: i64, target: &str| -> Result<Vec<Period>> {
        Ok(of(conn, db, grantee, kind)?.remove(target).unwrap_or_default())
    };
    let mut found = lost(&user.name, CHANNEL, channel)?;
    found.extend(user.own.get(channel).map(|&since| (since, OPEN)));
    let mut memberships: Vec<(String, Period)> =
        user.roles.iter().map(|(role, &since)| (role.clone(), (since, OPEN))).collect();
    for (role, periods) in of(conn, db, &user.name, MEMBERSHIP)? {
        memberships.extend(periods.into_iter().map(|period| (role.clone(), period)));
    }
    for (role, member) in memberships {
        let mut had = lost(&role_key(&role), CHANNEL, channel)?;
        let current = role_channels(conn, db, &role)?.unwrap_or_default();
        had.extend(current.get(channel).map(|&since| (since, OPEN)));
        found.extend(had.into_iter().filter_map(|period| overlap(period, member)));
    }
    Ok(found)
}

/// What two periods share.
pub fn overlap(one: Period, other: Period) -> Option<Period> {
    let shared = (one.0.max(other.0), one.1.min(other.1));
    (shared.0 < shared.1).then_some(shared)
}
