//! Users and roles: their records, and what a user may see once roles and grants are counted in.
//! Each channel and role carries the sequence at which it was gained; feeds send older documents behind that.

mod edit;
pub mod losses;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use edit::{Change, Passwords, delete_role, delete_user, put_role, put_user};

use crate::channels::{ALL, PUBLIC};
use crate::error::Result;

/// The guest's name in the store and in sync functions.
pub const GUEST: &str = "";
/// The guest's name in URLs and feeds.
pub const GUEST_IN_URLS: &str = "GUEST";

const USER: i64 = 0;
const ROLE: i64 = 1;

/// Names and the sequence at which each was gained.
pub type Gained = BTreeMap<String, i64>;

/// What is stored of a user or a role.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// Channels an admin gave.
    #[serde(default)]
    pub channels: Gained,
    /// Roles an admin gave (users only).
    #[serde(default)]
    pub roles: Gained,
    /// Mail address (users only).
    #[serde(default)]
    pub email: String,
    /// Whether the user may not log in.
    #[serde(default)]
    pub disabled: bool,
    /// Hash of the password.
    #[serde(default)]
    pub password: Option<String>,
    /// Changes with the password and at creation; sessions carry it.
    #[serde(default)]
    pub stamp: String,
    /// Sequence of the creation (roles only): what documents granted before, nobody had.
    #[serde(default)]
    pub born: i64,
}

/// A user and everything that follows from roles and grants.
#[derive(Debug, Clone)]
pub struct User {
    /// Name; empty for the guest.
    pub name: String,
    /// The stored record.
    pub record: Record,
    /// Sequence of the last change of the record.
    pub seq: i64,
    /// Every channel, through roles too.
    pub channels: Gained,
    /// Channels of the user's own, without those of roles.
    pub own: Gained,
    /// Every role, also such as do not exist.
    pub roles: Gained,
}

impl User {
    /// Loads a user; `None` when there is none. The guest is always there, disabled unless configured.
    pub fn load(conn: &Connection, db: i64, name: &str) -> Result<Option<Self>> {
        let found = load_record(conn, db, USER, name)?;
        let (record, seq) = match found {
            Some(found) => found,
            None if name == GUEST => {
                let disabled = Record { disabled: true, ..Record::default() };
                (disabled, 0)
            }
            None => return Ok(None),
        };
        let mut own = record.channels.clone();
        merge(&mut own, granted(conn, db, name, 0)?);
        merge(&mut own, [(PUBLIC.to_owned(), 1)].into());
        let mut roles = record.roles.clone();
        merge(&mut roles, granted(conn, db, name, 1)?);
        let mut channels = own.clone();
        for (role, &since) in &roles {
            if let Some(held) = role_channels(conn, db, role)? {
                let held = held.into_iter().map(|(channel, seq)| (channel, seq.max(since)));
                merge(&mut channels, held.collect());
            }
        }
        Ok(Some(Self { name: name.to_owned(), record, seq, channels, own, roles }))
    }

    /// Whether the user sees everything.
    pub fn sees_all(&self) -> bool {
        self.channels.contains_key(ALL)
    }

    /// Whether the user sees a revision in these channels.
    pub fn sees(&self, channels: &BTreeSet<String>) -> bool {
        self.sees_all() || channels.iter().any(|channel| channel != ALL && self.channels.contains_key(channel))
    }

    /// The name as in URLs and feeds.
    pub fn url_name(&self) -> &str {
        if self.name == GUEST { GUEST_IN_URLS } else { &self.name }
    }

    /// The sync function's view of the user.
    pub fn as_caller(&self) -> Value {
        let channels: Vec<&String> = self.channels.keys().collect();
        let roles: Vec<&String> = self.roles.keys().collect();
        json!({"name": self.name, "channels": channels, "roles": roles})
    }

    /// The user as `GET _user/{name}` shows it.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("name".to_owned(), json!(self.url_name()));
        insert_names(&mut out, "admin_channels", &self.record.channels);
        out.insert("email".to_owned(), json!(self.record.email));
        out.insert("disabled".to_owned(), json!(self.record.disabled));
        insert_names(&mut out, "admin_roles", &self.record.roles);
        insert_names(&mut out, "all_channels", &self.channels);
        insert_names(&mut out, "roles", &self.roles);
        Value::Object(out)
    }
}

fn insert_names(out: &mut Map<String, Value>, key: &str, names: &Gained) {
    if !names.is_empty() {
        let names: Vec<&String> = names.keys().collect();
        out.insert(key.to_owned(), json!(names));
    }
}

/// A role as `GET _role/{name}` shows it; `None` when there is none.
pub fn role_json(conn: &Connection, db: i64, name: &str) -> Result<Option<Value>> {
    let Some((record, _)) = load_record(conn, db, ROLE, name)? else {
        return Ok(None);
    };
    let mut out = Map::new();
    out.insert("name".to_owned(), json!(name));
    insert_names(&mut out, "admin_channels", &record.channels);
    let mut all = role_channels(conn, db, name)?.unwrap_or_default();
    merge(&mut all, [(PUBLIC.to_owned(), 1)].into());
    insert_names(&mut out, "all_channels", &all);
    Ok(Some(Value::Object(out)))
}

/// Names of all users, or of all roles, sorted.
pub fn names(conn: &Connection, db: i64, roles: bool, with_deleted: bool) -> Result<Vec<String>> {
    let sql = "SELECT name FROM principals
               WHERE db = ?1 AND kind = ?2 AND (NOT deleted OR ?3) AND name != '' ORDER BY name";
    let mut select = conn.prepare_cached(sql)?;
    let kind = if roles { ROLE } else { USER };
    let rows = select.query_map((db, kind, with_deleted), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn load_record(conn: &Connection, db: i64, kind: i64, name: &str) -> Result<Option<(Record, i64)>> {
    let sql = "SELECT record, seq FROM principals WHERE db = ?1 AND kind = ?2 AND name = ?3 AND NOT deleted";
    let row = conn
        .prepare_cached(sql)?
        .query_row((db, kind, name), |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    Ok(row.map(|(text, seq)| (serde_json::from_str(&text).unwrap_or_default(), seq)))
}

fn granted(conn: &Connection, db: i64, grantee: &str, kind: i64) -> Result<Gained> {
    let sql = "SELECT target, min(seq) FROM grants WHERE db = ?1 AND grantee = ?2 AND kind = ?3 GROUP BY target";
    let mut select = conn.prepare_cached(sql)?;
    let rows = select.query_map((db, grantee, kind), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Channels of an existing role.
fn role_channels(conn: &Connection, db: i64, role: &str) -> Result<Option<Gained>> {
    let Some((record, _)) = load_record(conn, db, ROLE, role)? else {
        return Ok(None);
    };
    let mut granted = granted(conn, db, &losses::role_key(role), losses::CHANNEL)?;
    for seq in granted.values_mut() {
        *seq = (*seq).max(record.born);
    }
    let mut channels = record.channels;
    merge(&mut channels, granted);
    Ok(Some(channels))
}

fn merge(into: &mut Gained, other: Gained) {
    for (name, seq) in other {
        let kept = into.entry(name).or_insert(seq);
        *kept = (*kept).min(seq);
    }
}
