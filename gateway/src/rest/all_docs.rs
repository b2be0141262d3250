//! `_all_docs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::Arc;

use axum::http::Method;
use rusqlite::Connection;
use serde_json::Value;

use super::call::{Call, Media};
use super::failure::{Failure, Reply};
use super::pieces::{self, ENOUGH, Pieces};
use super::{At, Port};
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
    let listing = Listing {
        db: Arc::clone(&at.db),
        reader: at.reader.clone(),
        from: options.start.clone().map_or(Bound::Unbounded, Bound::Included),
        options,
        keys: keys.map(Vec::into_iter),
        seq: None,
        count: 0,
    };
    pieces::respond(Arc::clone(&at.gateway.store), "application/json", listing).await
}

/// A listing under way.
struct Listing {
    db: Arc<Database>,
    reader: Reader,
    options: Options,
    /// Named documents still to come; `None` lists all.
    keys: Option<std::vec::IntoIter<String>>,
    /// Where to go on.
    from: Bound<String>,
    /// Last sequence when the listing began.
    seq: Option<i64>,
    count: usize,
}

impl Pieces for Listing {
    fn more(&mut self, conn: &Connection, out: &mut Vec<u8>) -> Result<bool> {
        if self.seq.is_none() {
            self.seq = Some(self.db.counters(conn)?.0);
            out.extend(b"{\"rows\":[\n");
        }
        let done = if self.keys.is_some() { self.named(conn, out)? } else { self.range(conn, out)? };
        if done {
            let seq = self.seq.unwrap_or_default();
            out.extend(format!("],\n\"total_rows\":{},\"update_seq\":{seq}}}", self.count).as_bytes());
        }
        Ok(done)
    }
}

impl Listing {
    fn push(&mut self, out: &mut Vec<u8>, row: &str) {
        if self.count > 0 {
            out.extend(b",\n");
        }
        self.count += 1;
        out.extend(row.as_bytes());
    }

    fn range(&mut self, conn: &Connection, out: &mut Vec<u8>) -> Result<bool> {
        let (start, skip) = match &self.from {
            Bound::Included(start) => (start.clone(), false),
            Bound::Excluded(last) => (last.clone(), true),
            Bound::Unbounded => (String::new(), false),
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM docs WHERE db = ?1 AND id >= ?2 AND (?3 IS NULL OR id <= ?3) AND NOT deleted ORDER BY id"
        );
        let mut select = conn.prepare_cached(&sql)?;
        let mut found = select.query((self.db.id(), &start, &self.options.end))?;
        while self.count < self.options.limit {
            let Some(row) = found.next()? else {
                return Ok(true);
            };
            let doc = DocRow::read(row)?;
            if skip && doc.id == start {
                continue;
            }
            if self.reader.sees(&doc.chans.active) {
                let row = self.row(conn, &doc)?;
                self.push(out, &row);
            }
            if out.len() >= ENOUGH {
                self.from = Bound::Excluded(doc.id);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn named(&mut self, conn: &Connection, out: &mut Vec<u8>) -> Result<bool> {
        let failed = |key: &str, error: &str, status: u16| {
            format!("{{\"key\":{},\"error\":\"{error}\",\"status\":{status}}}", json::quote(key))
        };
        while self.count < self.options.limit {
            let Some(key) = self.keys.as_mut().and_then(Iterator::next) else {
                return Ok(true);
            };
            let row = match DocRow::get(conn, self.db.id(), &key)? {
                Some(doc) if !doc.deleted && self.reader.sees(&doc.chans.active) => self.row(conn, &doc)?,
                Some(doc) if !doc.deleted => failed(&key, "forbidden", 403),
                _ => failed(&key, "not_found", 404),
            };
            self.push(out, &row);
            if out.len() >= ENOUGH {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn row(&self, conn: &Connection, doc: &DocRow) -> Result<String> {
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
            let access = access(conn, doc.num)?;
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
            let revision = read::revision(conn, &self.db, &doc.id, &doc.rev, &self.reader)?;
            let _ = write!(text, ",\"doc\":{}", revision.render(conn, &show)?);
        }
        text.push('}');
        Ok(text)
    }

    fn shows(&self, channel: &str) -> bool {
        match &self.reader {
            Reader::Admin => true,
            Reader::User(user) => user.sees_all() || user.channels.contains_key(channel),
        }
    }
}

/// What a document grants: channels by user, and roles under `role:` and the user.
fn access(conn: &Connection, num: i64) -> Result<BTreeMap<String, Vec<String>>> {
    let sql = "SELECT grantee, kind, target FROM grants WHERE num = ?1 ORDER BY grantee, kind, target";
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query([num])?;
    let mut access: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (who, kind): (String, i64) = (row.get(0)?, row.get(1)?);
        let who = if kind == 0 { who } else { format!("role:{who}") };
        access.entry(who).or_default().push(row.get(2)?);
    }
    Ok(access)
}
