//! Creating, changing and deleting users and roles.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{GUEST, Gained, ROLE, Record, USER, User, load_record, losses, role_channels};
use crate::channels;
use crate::error::{Error, Result};
use crate::store::{Live, Tx};

const SHORTEST_PASSWORD: usize = 3;
/// Most bytes of a user or role: channels and roles an admin gave.
const LARGEST_RECORD: usize = 20 << 20;

/// What a PUT did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There was no such principal.
    Created,
    /// There was, and it may have changed.
    Updated,
}

/// A password checked and hashed before the write: hashing is slow, the writer is one.
#[derive(Debug, Clone)]
pub enum Passwords {
    /// The body has no password.
    Absent,
    /// Shorter than allowed, or not a string.
    Bad,
    /// Hash of the new one.
    Hashed(String),
}

impl Passwords {
    /// Judges the `password` member; `hash` is called for a good one.
    pub fn from_body(body: &Map<String, Value>, hash: impl FnOnce(&str) -> Result<String>) -> Result<Self> {
        Ok(match body.get("password") {
            None | Some(Value::Null) => Self::Absent,
            Some(Value::String(text)) if text.chars().count() >= SHORTEST_PASSWORD => Self::Hashed(hash(text)?),
            Some(_) => Self::Bad,
        })
    }
}

fn names(body: &Map<String, Value>, key: &str) -> Result<Option<BTreeSet<String>>> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Some)
            .ok_or_else(|| Error::bad_request(format!("{key} must hold strings"))),
        Some(_) => Err(Error::bad_request(format!("{key} must be an array"))),
    }
}

/// Reads `admin_channels` or `admin_roles`.
fn admin_names(body: &Map<String, Value>, key: &str, valid: fn(&str) -> bool) -> Result<Option<BTreeSet<String>>> {
    let wanted = names(body, key)?;
    if let Some(bad) = wanted.iter().flatten().find(|name| !valid(name)) {
        return Err(Error::bad_request(format!("illegal name {bad:?} in {key}")));
    }
    Ok(wanted)
}

/// Keeps the sequence of what stays and gives new names this one; says whether anything changed.
fn update(gained: &mut Gained, wanted: &BTreeSet<String>, seq: i64) -> bool {
    let before = gained.clone();
    gained.retain(|name, _| wanted.contains(name));
    for name in wanted {
        gained.entry(name.clone()).or_insert(seq);
    }
    *gained != before
}

/// Remembers what an admin took back.
fn remember(tx: &Tx<'_>, db: i64, grantee: &str, old: &Record, new: &Record, seq: i64) -> Result<()> {
    for (kind, had, has) in
        [(losses::CHANNEL, &old.channels, &new.channels), (losses::MEMBERSHIP, &old.roles, &new.roles)]
    {
        for (target, &gained) in had.iter().filter(|(target, _)| !has.contains_key(*target)) {
            losses::taken(tx.conn, db, grantee, kind, target, (gained, seq))?;
        }
    }
    Ok(())
}

fn check_name(body: &Map<String, Value>, name: &str) -> Result<()> {
    match body.get("name") {
        None => {}
        Some(Value::String(given)) if given == name || (name == GUEST && given == super::GUEST_IN_URLS) => {}
        Some(_) => return Err(Error::bad_request("Name mismatch (can't change name)")),
    }
    if name != GUEST && !channels::is_valid_principal(name) {
        return Err(Error::bad_request(format!("Invalid name {name:?}")));
    }
    Ok(())
}

fn read_only(body: &Map<String, Value>, key: &str, current: &BTreeSet<String>) -> Result<()> {
    match names(body, key)? {
        Some(given) if !given.is_empty() && given != *current => Err(Error::bad_request(format!("{key} is read-only"))),
        _ => Ok(()),
    }
}

/// Creates or updates a user; the empty name is the guest.
pub fn put_user(
    tx: &mut Tx<'_>,
    live: &Arc<Live>,
    name: &str,
    body: &Map<String, Value>,
    password: Passwords,
) -> Result<Change> {
    check_name(body, name)?;
    let channels = admin_names(body, "admin_channels", channels::is_valid)?;
    let roles = admin_names(body, "admin_roles", channels::is_valid_principal)?;
    let found = load_record(tx.conn, live.id, USER, name)?;
    let current = User::load(tx.conn, live.id, name)?;
    let held = |pick: fn(&User) -> &Gained| current.iter().flat_map(|user| pick(user).keys().cloned()).collect();
    read_only(body, "all_channels", &held(|user| &user.channels))?;
    read_only(body, "roles", &held(|user| &user.roles))?;
    let (mut record, old_seq) = found.clone().unwrap_or_default();
    let seq = peek(tx, live)?;
    let mut changed = found.is_none();
    changed |= channels.is_some_and(|wanted| update(&mut record.channels, &wanted, seq));
    changed |= roles.is_some_and(|wanted| update(&mut record.roles, &wanted, seq));
    changed |= set_plain(&mut record, body)?;
    match password {
        Passwords::Hashed(hash) => {
            record.password = Some(hash);
            record.stamp = stamp();
            changed = true;
        }
        Passwords::Bad => {
            return Err(Error::bad_request("Passwords must be at least three characters"));
        }
        Passwords::Absent if record.password.is_none() && name != GUEST => {
            return Err(Error::bad_request("A new user needs a password of at least three characters"));
        }
        Passwords::Absent => {}
    }
    if record.stamp.is_empty() {
        record.stamp = stamp();
    }
    let seq = if changed { tx.next_seq(live)? } else { old_seq };
    if let Some((old, _)) = &found {
        remember(tx, live.id, name, old, &record, seq)?;
    }
    save(tx, live, USER, name, &record, seq)?;
    let existed = found.is_some() || name == GUEST;
    Ok(if existed { Change::Updated } else { Change::Created })
}

fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

/// Sets `email` and `disabled`.
fn set_plain(record: &mut Record, body: &Map<String, Value>) -> Result<bool> {
    let mut changed = false;
    match body.get("email") {
        None => {}
        Some(Value::String(email)) if email.is_empty() || is_email(email) => {
            changed |= record.email != *email;
            record.email.clone_from(email);
        }
        Some(Value::Null | Value::String(_)) => tracing::debug!("an email address that is none was not kept"),
        Some(_) => return Err(Error::bad_request("email must be a string")),
    }
    match body.get("disabled") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(disabled)) => {
            changed |= record.disabled != *disabled;
            record.disabled = *disabled;
        }
        Some(_) => return Err(Error::bad_request("disabled must be true or false")),
    }
    Ok(changed)
}

/// Creates or updates a role.
pub fn put_role(tx: &mut Tx<'_>, live: &Arc<Live>, name: &str, body: &Map<String, Value>) -> Result<Change> {
    check_name(body, name)?;
    let channels = admin_names(body, "admin_channels", channels::is_valid)?;
    let mut current: BTreeSet<String> =
        role_channels(tx.conn, live.id, name)?.unwrap_or_default().into_keys().collect();
    current.insert(channels::PUBLIC.to_owned());
    read_only(body, "all_channels", &current)?;
    let found = load_record(tx.conn, live.id, ROLE, name)?;
    let (mut record, old_seq) = found.clone().unwrap_or_default();
    let seq = peek(tx, live)?;
    let mut changed = found.is_none();
    changed |= channels.is_some_and(|wanted| update(&mut record.channels, &wanted, seq));
    if found.is_none() {
        record.born = seq;
    }
    let seq = if changed { tx.next_seq(live)? } else { old_seq };
    if let Some((old, _)) = &found {
        remember(tx, live.id, &losses::role_key(name), old, &record, seq)?;
    }
    save(tx, live, ROLE, name, &record, seq)?;
    Ok(if found.is_some() { Change::Updated } else { Change::Created })
}

/// The sequence [`Tx::next_seq`] will give.
fn peek(tx: &mut Tx<'_>, live: &Arc<Live>) -> Result<i64> {
    tx.last_seq(live).map(|seq| seq + 1)
}

fn save(tx: &mut Tx<'_>, live: &Arc<Live>, kind: i64, name: &str, record: &Record, seq: i64) -> Result<()> {
    let text = serde_json::to_string(record).unwrap_or_default();
    if text.len() > LARGEST_RECORD {
        return Err(Error::refused(413, "Document too large!"));
    }
    let sql = "INSERT OR REPLACE INTO principals (db, kind, name, seq, deleted, record) VALUES (?1, ?2, ?3, ?4, 0, ?5)";
    tx.conn.prepare_cached(sql)?.execute((live.id, kind, name, seq, text))?;
    tx.access_changed(live)
}

/// Deletes a user with its sessions.
pub fn delete_user(tx: &mut Tx<'_>, live: &Arc<Live>, name: &str) -> Result<()> {
    load_record(tx.conn, live.id, USER, name)?.ok_or_else(|| Error::not_found("missing"))?;
    let sql = "DELETE FROM principals WHERE db = ?1 AND kind = ?2 AND name = ?3";
    tx.conn.prepare_cached(sql)?.execute((live.id, USER, name))?;
    let sql = "DELETE FROM sessions WHERE db = ?1 AND user = ?2";
    tx.conn.prepare_cached(sql)?.execute((live.id, name))?;
    tx.session_ended(live)?;
    losses::forget(tx.conn, live.id, name)?;
    tx.access_changed(live)
}

/// Deletes a role; unless purged, its name is remembered.
pub fn delete_role(tx: &mut Tx<'_>, live: &Arc<Live>, name: &str, purge: bool) -> Result<()> {
    load_record(tx.conn, live.id, ROLE, name)?.ok_or_else(|| Error::not_found("missing"))?;
    let seq = tx.next_seq(live)?;
    let key = losses::role_key(name);
    if purge {
        losses::forget(tx.conn, live.id, &key)?;
    } else {
        for (channel, gained) in role_channels(tx.conn, live.id, name)?.unwrap_or_default() {
            losses::insert(tx.conn, live.id, &key, losses::CHANNEL, &channel, (gained, seq))?;
        }
    }
    let sql = if purge {
        "DELETE FROM principals WHERE db = ?1 AND kind = ?2 AND name = ?3 AND ?4 > 0"
    } else {
        "UPDATE principals SET deleted = 1, record = '{}', seq = ?4 WHERE db = ?1 AND kind = ?2 AND name = ?3"
    };
    tx.conn.prepare_cached(sql)?.execute((live.id, ROLE, name, seq))?;
    tx.access_changed(live)
}

fn stamp() -> String {
    hex::encode(rand::random::<[u8; 8]>())
}
