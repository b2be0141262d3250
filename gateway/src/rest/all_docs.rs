//! `_all_docs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::Value;

use super::call::{Call, Media};
use super::failure::{Failure, Reply};
use super::{At, Port, respond};
use crate::database::read::{self, Show};
use crate::database::{Database, Reader};
use crate::error::Result;
use crate::json;
use crate::store::docs::{COLUMNS, DocRow};

struct Options {
    start: Option<String>,
    end: Option<String>,
    limit: usize,
    docs: bool,
    revisions: bool,
    channels: bool,
    seqs: bool,
    access: bool,
}

/// A key, as JSON text or bare.
fn key(call: &Call, name: &str) -> Option<String> {
    let text = call.query(name)?;
    match json::parse(text.as_bytes()) {
        Ok(Value::String(key)) => Some(key),
        _ => Some(text.to_owned()),
    }
}

fn keys(call: &Call) -> Result<Option<Vec<String>>, Failure> {
    if !call.is(&Method::POST) {
        return call.strings("keys");
    }
    let body = call.object(Media::Json(400))?;
    let bad = || Failure::bad_request("Bad/missing keys");
    let Some(Value::Array(items)) = body.get("keys") else {
        return Err(bad());
    };
    let keys = items.iter().map(|item| item.as_str().map(str::to_owned));
    keys.collect::<Option<_>>().map(Some).ok_or_else(bad)
}

/// `D/_all_docs`.
pub(crate) async fn get(at: At) -> Reply {
    if at.call.port == Port::Public && at.db.config().no_public_all_docs {
        return Err(Failure::new(403, "public access to _all_docs is disabled for this database"));
    }
    let keys = keys(&at.call)?;
    let call = &at.call;
    let options = Options {
        start: key(call, "startkey").or_else(|| key(call, "start_key")),
        end: key(call, "endkey").or_else(|| key(call, "end_key")),
        limit: call.number("limit").filter(|&limit| limit > 0).unwrap_or(usize::MAX),
        docs: call.flag("include_docs"),
        revisions: call.flag("revs"),
        channels: call.flag("channels"),
        seqs: call.flag("update_seq"),
        access: call.flag("access") && call.port == Port::Admin,
    };
    let (db, reader) = (Arc::clone(&at.db), at.reader.clone());
    let body = at
        .gateway
        .store
        .read(move |conn| {
            let (last, _) = db.counters(conn)?;
            let listing = Listing { conn, db: &db, reader: &reader, options: &options };
            let rows = match keys {
                Some(keys) => listing.named(&keys)?,
                None => listing.range()?,
            };
            let count = rows.len();
            Ok(format!("{{\"rows\":[{}],\"total_rows\":{count},\"update_seq\":{last}}}", rows.join(",\n")))
        })
        .await?;
    Ok(respond::json(StatusCode::OK, body))
}

struct Listing<'a> {
    conn: &'a Connection,
    db: &'a Database,
    reader: &'a Reader,
    options: &'a Options,
}

impl Listing<'_> {
    fn range(&self) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM docs WHERE db = ?1 AND id >= ?2 AND (?3 IS NULL OR id <= ?3) AND NOT deleted ORDER BY id"
        );
        let mut select = self.conn.prepare_cached(&sql)?;
        let start = self.options.start.as_deref().unwrap_or_default();
        let mut found = select.query((self.db.id(), start, &self.options.end))?;
        let mut rows = Vec::new();
        while rows.len() < self.options.limit
            && let Some(row) = found.next()?
        {
            let doc = DocRow::read(row)?;
            if self.reader.sees(&doc.chans.active) {
                rows.push(self.row(&doc)?);
            }
        }
        Ok(rows)
    }

    fn named(&self, keys: &[String]) -> Result<Vec<String>> {
        let failed = |key: &str, error: &str, status: u16| {
            format!("{{\"key\":{},\"error\":\"{error}\",\"status\":{status}}}", json::quote(key))
        };
        let mut rows = Vec::new();
        for key in keys.iter().take(self.options.limit) {
            rows.push(match DocRow::get(self.conn, self.db.id(), key)? {
                Some(doc) if !doc.deleted && self.reader.sees(&doc.chans.active) => self.row(&doc)?,
                Some(doc) if !doc.deleted => failed(key, "forbidden", 403),
                _ => failed(key, "not_found", 404),
            });
        }
        Ok(rows)
    }

    fn row(&self, doc: &DocRow) -> Result<String> {
        let id = json::quote(&doc.id);
        let mut text = format!("{{\"key\":{id},\"id\":{id},\"value\":{{\"rev\":{}", json::quote(&doc.rev));
        if self.options.channels {
            let visible = doc.chans.active.iter().filter(|channel| self.shows(channel));
            let names: Vec<String> = visible.map(|channel| json::quote(channel)).collect();
            if !names.is_empty() {
                let _ = write!(text, ",\"channels\":[{}]", names.join(","));
            }
        }
        if self.options.access {
            let access = self.access(doc.num)?;
            if !access.is_empty() {
                let _ = write!(text, ",\"access\":{}", serde_json::json!(access));
            }
        }
        text.push('}');
        if self.options.seqs {
            let _ = write!(text, ",\"update_seq\":{}", doc.seq);
        }
        if self.options.docs {
            let show = Show { revisions: self.options.revisions, ..Show::default() };
            let revision = read::revision(self.conn, self.db, &doc.id, &doc.rev, self.reader)?;
            let _ = write!(text, ",\"doc\":{}", revision.render(self.conn, &show)?);
        }
        text.push('}');
        Ok(text)
    }

    fn shows(&self, channel: &str) -> bool {
        match self.reader {
            Reader::Admin => true,
            Reader::User(user) => user.sees_all() || user.channels.contains_key(channel),
        }
    }

    fn access(&self, num: i64) -> Result<BTreeMap<String, Vec<String>>> {
        let sql = "SELECT grantee, target FROM grants WHERE num = ?1 AND kind = 0 ORDER BY grantee, target";
        let mut select = self.conn.prepare_cached(sql)?;
        let rows = select.query_map([num], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let mut access: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in rows {
            let (who, channel) = row?;
            access.entry(who).or_default().push(channel);
        }
        Ok(access)
    }
}
