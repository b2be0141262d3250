//! One batch of a feed, from one snapshot.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use rusqlite::Connection;

use super::merge::{Merge, Row, Source};
use super::options::{Filter, Options};
use super::seq::Seq;
use crate::channels::{ALL, Removal};
use crate::database::{Database, Reader};
use crate::error::Result;
use crate::json;
use crate::principals::User;
use crate::revs::tree::Tree;
use crate::store::docs::DocRow;

/// Entries as JSON text, and how far the feed has come.
#[derive(Debug, Default)]
pub struct Batch {
    /// Position and text of each entry.
    pub entries: Vec<(Seq, String)>,
    /// Where to go on; `None` before anything was read.
    pub reached: Option<Seq>,
    /// Whether nothing is left up to `until`.
    pub caught_up: bool,
}

/// Which part of a feed to read.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Behind this position.
    pub since: Seq,
    /// Up to this one; `None`: all there is.
    pub until: Option<Seq>,
    /// Most entries.
    pub limit: usize,
}

/// Reads a batch.
pub fn batch(conn: &Connection, db: &Database, reader: &Reader, options: &Options, range: Range) -> Result<Batch> {
    let (last, _) = db.counters(conn)?;
    let until = range.until.unwrap_or(Seq::plain(last));
    let sources = sources(reader, &options.filter);
    let view = View { conn, options, sources: &sources };
    if let Filter::DocIds(ids) = &options.filter {
        return view.named(db, ids, range, until);
    }
    let chunk = i64::try_from(range.limit.clamp(16, 256)).unwrap_or(256);
    let mut merge = Merge::new(conn, db.id(), &sources, range.since, until, chunk)?;
    let mut principal = principal(reader, range.since, until);
    let mut batch = Batch::default();
    let mut next = merge.next()?;
    loop {
        if batch.entries.len() >= range.limit {
            batch.reached = batch.entries.last().map(|(seq, _)| *seq);
            return Ok(batch);
        }
        let at = next.as_ref().map(|(at, _)| *at);
        if let Some(entry) = principal.take_if(|(seq, _)| at.is_none_or(|at| *seq < at)) {
            batch.entries.push(entry);
            continue;
        }
        let Some((at, rows)) = next else { break };
        if let Some(text) = view.entry(at, &rows)? {
            batch.entries.push((at, text));
        }
        next = merge.next()?;
    }
    batch.caught_up = true;
    batch.reached = Some(range.since.max(until));
    Ok(batch)
}

/// What a reader follows under a filter.
fn sources(reader: &Reader, filter: &Filter) -> Vec<Source> {
    let source = |channel: &str, gained: i64| Source { channel: (channel != ALL).then(|| channel.to_owned()), gained };
    let wanted: Option<BTreeSet<&str>> = match filter {
        Filter::Channels(channels) => Some(channels.iter().map(String::as_str).collect()),
        _ => None,
    };
    let wanted = wanted.filter(|wanted| !wanted.contains(ALL));
    match (reader, wanted) {
        (Reader::Admin, None) => vec![source(ALL, 0)],
        (Reader::Admin, Some(wanted)) => wanted.into_iter().map(|channel| source(channel, 0)).collect(),
        (Reader::User(user), None) => {
            let channels = user.channels.iter();
            channels.map(|(channel, &gained)| source(channel, gained)).collect()
        }
        (Reader::User(user), Some(wanted)) => {
            let star = user.channels.get(ALL);
            let held = |channel: &str| {
                let own = user.channels.get(channel);
                own.into_iter().chain(star).min().copied()
            };
            wanted.into_iter().filter_map(|channel| Some(source(channel, held(channel)?))).collect()
        }
    }
}

/// The entry about the user.
fn principal(reader: &Reader, since: Seq, until: Seq) -> Option<(Seq, String)> {
    let Reader::User(user) = reader else {
        return None;
    };
    let seq = Seq::plain(user.seq);
    if user.seq == 0 || seq <= since || seq > until {
        return None;
    }
    let id = json::quote(&format!("_user/{}", user.url_name()));
    Some((seq, format!("{{\"seq\":{},\"id\":{id},\"changes\":[]}}", user.seq)))
}

struct View<'a> {
    conn: &'a Connection,
    options: &'a Options,
    sources: &'a [Source],
}

impl View<'_> {
    fn follows(&self, channel: &str) -> bool {
        self.sources.iter().any(|source| source.channel.as_deref().is_none_or(|name| name == channel))
    }

    fn follows_all(&self) -> bool {
        self.sources.iter().any(|source| source.channel.is_none())
    }

    /// The entry at a position, or nothing when another one tells it better.
    fn entry(&self, at: Seq, rows: &[(&Source, Row)]) -> Result<Option<String>> {
        let Some((_, first)) = rows.first() else {
            return Ok(None);
        };
        let Some(doc) = DocRow::by_num(self.conn, first.num)? else {
            return Ok(None);
        };
        if rows.iter().any(|(_, row)| !row.removed) {
            if doc.deleted && (self.options.active_only || at != Seq::plain(doc.seq)) {
                return Ok(None);
            }
            return Ok(Some(self.live_entry(at, &doc)));
        }
        Ok(self.removal(at, &doc))
    }

    fn live_entry(&self, at: Seq, doc: &DocRow) -> String {
        let mut text = format!("{{\"seq\":{},\"id\":{}", at.to_json(), json::quote(&doc.id));
        if doc.deleted {
            text.push_str(",\"deleted\":true");
        }
        text.push_str(",\"changes\":[");
        text.push_str(&rev_object(&doc.rev));
        if self.options.all_leaves {
            for (rev, _) in Tree::decode(&doc.tree).leaves().into_iter().skip(1) {
                text.push(',');
                text.push_str(&rev_object(rev.as_str()));
            }
        }
        text.push(']');
        if self.options.include_docs {
            text.push_str(",\"doc\":");
            text.push_str(&Self::document(doc));
        }
        text.push('}');
        text
    }

    fn document(doc: &DocRow) -> String {
        let mut members = crate::database::write::members(&doc.id, &doc.rev);
        if doc.deleted {
            members.push_str(",\"_deleted\":true");
        }
        if let Some(atts) = &doc.atts {
            members.push_str(",\"_attachments\":");
            members.push_str(atts);
        }
        json::splice(&members, &doc.body)
    }

    /// The document has left the last channel in which the reader saw it.
    fn removal(&self, at: Seq, doc: &DocRow) -> Option<String> {
        if self.options.active_only || self.follows_all() || doc.chans.active.iter().any(|name| self.follows(name)) {
            return None;
        }
        let left: Vec<&Removal> = doc.chans.removed.iter().filter(|removal| self.follows(&removal.channel)).collect();
        let last = left.iter().map(|removal| removal.seq).max()?;
        if Seq::plain(last) != at {
            return None;
        }
        let here: Vec<&&Removal> = left.iter().filter(|removal| removal.seq == last).collect();
        let removal = here.first()?;
        let names: Vec<String> = here.iter().map(|removal| json::quote(&removal.channel)).collect();
        let id = json::quote(&doc.id);
        let deleted = if removal.deleted { ",\"deleted\":true" } else { "" };
        let mut text = format!(
            "{{\"seq\":{last},\"id\":{id}{deleted},\"removed\":[{}],\"changes\":[{}]",
            names.join(","),
            rev_object(&removal.rev)
        );
        if self.options.include_docs {
            let mark = if removal.deleted { "_deleted" } else { "_removed" };
            let members = crate::database::write::members(&doc.id, &removal.rev);
            let _ = write!(text, ",\"doc\":{{{members},\"{mark}\":true}}");
        }
        text.push('}');
        Some(text)
    }

    /// The entries of named documents, by sequence.
    fn named(&self, db: &Database, ids: &[String], range: Range, until: Seq) -> Result<Batch> {
        let mut entries = Vec::new();
        let ids: BTreeSet<&String> = ids.iter().collect();
        for id in ids {
            let Some(doc) = DocRow::get(self.conn, db.id(), id)? else {
                continue;
            };
            for (at, rows) in self.rows_of(&doc) {
                if at > range.since
                    && at <= until
                    && let Some(text) = self.entry(at, &rows)?
                {
                    entries.push((at, text));
                    break;
                }
            }
        }
        entries.sort_by_key(|(at, _)| *at);
        entries.truncate(range.limit);
        Ok(Batch { reached: entries.last().map(|(at, _)| *at), entries, caught_up: true })
    }

    /// Where one document stands in the feed, first position first.
    fn rows_of(&self, doc: &DocRow) -> Vec<(Seq, Vec<(&Source, Row)>)> {
        let mut found = Vec::new();
        for source in self.sources {
            let row = |seq, removed| Row { seq, num: doc.num, removed };
            let row = match &source.channel {
                None => Some(row(doc.seq, false)),
                Some(name) if doc.chans.active.contains(name) => Some(row(doc.seq, false)),
                Some(name) => {
                    let removal = doc.chans.removed.iter().find(|removal| removal.channel == *name);
                    removal.map(|removal| row(removal.seq, true))
                }
            };
            if let Some(row) = row
                && let Some(at) = source.place(&row)
            {
                found.push((at, vec![(source, row)]));
            }
        }
        found.sort_by_key(|(at, _)| *at);
        found
    }
}

fn rev_object(rev: &str) -> String {
    format!("{{\"rev\":{}}}", json::quote(rev))
}

/// The reader a feed was opened for, as this snapshot sees it; `None` when the user is gone.
pub fn reader(conn: &Connection, db: &Database, name: Option<&str>) -> Result<Option<Reader>> {
    let Some(name) = name else {
        return Ok(Some(Reader::Admin));
    };
    let user: Option<Arc<User>> = db.user(conn, name)?;
    Ok(user.filter(|user| !user.record.disabled).map(Reader::User))
}
