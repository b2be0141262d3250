//! One batch of a feed, from one snapshot.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use rusqlite::Connection;

use super::merge::{Lost, Merge, Row, Source};
use super::options::{Filter, Options};
use super::seq::Seq;
use crate::channels::{ALL, Removal};
use crate::database::{Database, Reader};
use crate::error::Result;
use crate::json;
use crate::principals::User;
use crate::principals::losses::{self, Standing, overlap};
use crate::revs::tree::Tree;
use crate::store::docs::DocRow;
use crate::store::recent::Changed;

/// A batch ends when it has become this large, so that a slow reader holds little memory.
const MOST_BYTES: usize = 1 << 20;

/// Entries as JSON text, and how far the feed has come.
#[derive(Debug, Default)]
pub struct Batch {
    /// Position and text of each entry.
    pub entries: Vec<(Seq, Arc<str>)>,
    /// Where to go on; `None` before anything was read.
    pub reached: Option<Seq>,
    /// Whether nothing is left up to `until`.
    pub caught_up: bool,
    /// State of users, roles and grants that it was read under.
    pub epoch: i64,
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
    let (last, epoch) = db.counters(conn)?;
    let until = range.until.unwrap_or(Seq::plain(last));
    let mut sources = sources(reader, &options.filter);
    if let Filter::DocIds(ids) = &options.filter {
        return View { options, reader, sources: &sources }.named(conn, db, ids, range, until);
    }
    if let Reader::User(user) = reader
        && options.revocations
        && !options.active_only
    {
        sources.extend(revoked(conn, db, user, range.since)?);
    }
    let view = View { options, reader, sources: &sources };
    let chunk = i64::try_from(range.limit.clamp(16, 256)).unwrap_or(256);
    let mut merge = Merge::new(conn, db.id(), &sources, range.since, until, chunk)?;
    let mut principal = principal(reader, range.since, until);
    let mut batch = Batch { epoch, ..Batch::default() };
    let mut bytes = 0;
    let mut next = merge.next()?;
    loop {
        if batch.entries.len() >= range.limit || bytes >= MOST_BYTES {
            batch.reached = batch.entries.last().map(|(seq, _)| *seq);
            return Ok(batch);
        }
        let at = next.as_ref().map(|(at, _)| *at);
        if let Some(entry) = principal.take_if(|(seq, _)| at.is_none_or(|at| *seq < at)) {
            batch.entries.push(entry);
            continue;
        }
        let Some((at, rows)) = next else { break };
        if let Some(text) = view.entry(conn, at, &rows)? {
            bytes += text.len();
            batch.entries.push((at, text.into()));
        }
        next = merge.next()?;
    }
    batch.caught_up = true;
    batch.reached = Some(range.since.max(until));
    Ok(batch)
}

/// The same from the changes kept in memory, all behind a plain position; `None` when the file must be asked: the reader
/// gets older documents, too, or an entry about the user.
pub fn recent<'c>(
    reader: &Reader,
    options: &Options,
    since: i64,
    limit: usize,
    to: i64,
    changes: impl Iterator<Item = &'c Changed>,
) -> Option<Batch> {
    let sources = sources(reader, &options.filter);
    let entitled = match reader {
        Reader::Admin => true,
        Reader::User(user) => user.seq <= since && !user.record.disabled,
    };
    let named = matches!(options.filter, Filter::DocIds(_));
    if named || !entitled || sources.iter().any(|source| source.gained > since.max(1)) {
        return None;
    }
    let view = View { options, reader, sources: &sources };
    let mut entries: Vec<(Seq, Arc<str>)> = Vec::new();
    for changed in changes {
        let Some(at) = view.place(&changed.row).filter(|at| *at > Seq::plain(since)) else {
            continue;
        };
        entries.extend(view.kept_entry(at, changed).map(|text| (at, text)));
    }
    // What left a channel stands where it left, which may be before the document's last change.
    entries.sort_by_key(|(at, _)| *at);
    let caught_up = entries.len() <= limit;
    entries.truncate(limit);
    let reached = if caught_up { Some(Seq::plain(to.max(since))) } else { entries.last().map(|(at, _)| *at) };
    Some(Batch { entries, reached, caught_up, epoch: 0 })
}

/// What a reader follows under a filter.
fn sources(reader: &Reader, filter: &Filter) -> Vec<Source> {
    let source = |channel: &str, gained: i64| Source { channel: named(channel), gained, lost: None };
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

/// A channel's name in a source.
fn named(channel: &str) -> Option<String> {
    (channel != ALL).then(|| channel.to_owned())
}

/// Channels the user has lost behind this position.
fn revoked(conn: &Connection, db: &Database, user: &User, since: Seq) -> Result<Vec<Source>> {
    let (check, sent) = (since.at(), since.last_sent());
    let standing = Standing { check, trigger: since.trigger() };
    let mut found = Vec::new();
    for (channel, at) in losses::revoked(conn, db.id(), user, standing)? {
        let told = if since.trigger() == Some(at) { sent } else { 0 };
        let had = losses::periods(conn, db.id(), user, &channel)?;
        let channel = named(&channel);
        found.push(Source { channel, gained: 0, lost: Some(Lost { at, told, sent, had }) });
    }
    Ok(found)
}

/// The entry about the user.
fn principal(reader: &Reader, since: Seq, until: Seq) -> Option<(Seq, Arc<str>)> {
    let Reader::User(user) = reader else {
        return None;
    };
    let seq = Seq::plain(user.seq);
    if user.seq == 0 || seq <= since || seq > until {
        return None;
    }
    let id = json::quote(&format!("_user/{}", user.url_name()));
    Some((seq, format!("{{\"seq\":{},\"id\":{id},\"changes\":[]}}", user.seq).into()))
}

struct View<'a> {
    options: &'a Options,
    reader: &'a Reader,
    sources: &'a [Source],
}

impl View<'_> {
    fn held(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.lost.is_none())
    }

    fn follows(&self, channel: &str) -> bool {
        self.held().any(|source| source.channel.as_deref().is_none_or(|name| name == channel))
    }

    /// Channels the document has left while the reader followed them: what left before is never sent behind a grant.
    fn left<'d>(&self, doc: &'d DocRow) -> Vec<&'d Removal> {
        let told = |removal: &&Removal| {
            self.held().any(|source| {
                let named = source.channel.as_deref().is_none_or(|name| name == removal.channel);
                named && (source.gained <= 1 || removal.seq >= source.gained)
            })
        };
        doc.chans.removed.iter().filter(told).collect()
    }

    fn is_followed(&self, doc: &DocRow) -> bool {
        self.follows_all() || doc.chans.active.iter().any(|name| self.follows(name))
    }

    /// Where a document stands, or stood when it left.
    fn place(&self, doc: &DocRow) -> Option<Seq> {
        if self.is_followed(doc) {
            return Some(Seq::plain(doc.seq));
        }
        self.left(doc).into_iter().map(|removal| Seq::plain(removal.seq)).max()
    }

    fn follows_all(&self) -> bool {
        self.held().any(|source| source.channel.is_none())
    }

    /// The entry at a position, or nothing when another one tells it better.
    fn entry(&self, conn: &Connection, at: Seq, rows: &[(&Source, Row)]) -> Result<Option<String>> {
        let Some((_, first)) = rows.first() else {
            return Ok(None);
        };
        let Some(doc) = DocRow::by_num(conn, first.num)? else {
            return Ok(None);
        };
        let (held, lost): (Vec<_>, Vec<_>) = rows.iter().partition(|(source, _)| source.lost.is_none());
        if held.iter().any(|(_, row)| !row.removed) {
            if doc.deleted && (self.options.active_only || at != Seq::plain(doc.seq)) {
                return Ok(None);
            }
            return Ok(Some(self.live_entry(at, &doc)));
        }
        if !held.is_empty() {
            return Ok(self.removal(at, &doc));
        }
        Ok(lost.into_iter().find_map(|(source, row)| self.revocation(at, source, row, &doc)))
    }

    /// The document stands in a channel the reader has lost.
    fn revocation(&self, at: Seq, source: &Source, row: Row, doc: &DocRow) -> Option<String> {
        let lost = source.lost.as_ref()?;
        if self.reader.sees(&doc.chans.active) {
            return None;
        }
        if row.seq > lost.sent {
            let stays = doc.chans.stays(source.channel.as_deref());
            if !stays.iter().any(|stay| lost.had.iter().any(|had| overlap(*stay, *had).is_some())) {
                return None;
            }
        }
        let removal = doc.chans.removed.iter().find(|removal| row.removed && removal.seq == row.seq);
        let (rev, deleted) = removal.map_or((&doc.rev, doc.deleted), |removal| (&removal.rev, removal.deleted));
        let mut text = format!("{{\"seq\":{},\"id\":{}", at.to_json(), json::quote(&doc.id));
        if deleted {
            text.push_str(",\"deleted\":true");
        }
        if let Some(removal) = removal {
            let _ = write!(text, ",\"removed\":[{}]", json::quote(&removal.channel));
        }
        if self.options.include_docs {
            text.push_str(",\"doc\":");
            text.push_str(&withheld(&doc.id, rev, deleted));
        }
        let _ = write!(text, ",\"changes\":[{}],\"revoked\":true}}", rev_object(rev));
        Some(text)
    }

    /// The entry of a document at its place; the text that most followers get is made once for all.
    fn kept_entry(&self, at: Seq, changed: &Changed) -> Option<Arc<str>> {
        let doc = &changed.row;
        if !self.is_followed(doc) {
            return self.removal(at, doc).map(Into::into);
        }
        if doc.deleted && self.options.active_only {
            return None;
        }
        if self.options.all_leaves && doc.tree.lines().count() > 1 {
            return Some(self.live_entry(at, doc).into());
        }
        let text = &changed.texts[usize::from(self.options.include_docs)];
        Some(Arc::clone(text.get_or_init(|| self.live_entry(at, doc).into())))
    }

    fn live_entry(&self, at: Seq, doc: &DocRow) -> String {
        let mut text = format!("{{\"seq\":{},\"id\":{}", at.to_json(), json::quote(&doc.id));
        if doc.deleted {
            text.push_str(",\"deleted\":true");
        }
        text.push_str(",\"changes\":[");
        text.push_str(&rev_object(&doc.rev));
        if self.options.all_leaves {
            for (rev, deleted) in Tree::decode(&doc.tree).leaves().into_iter().skip(1) {
                if !(deleted && self.options.active_only) {
                    text.push(',');
                    text.push_str(&rev_object(rev.as_str()));
                }
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
        let mut members = vec![("_id", json::quote(&doc.id)), ("_rev", json::quote(&doc.rev))];
        if doc.deleted {
            members.push(("_deleted", "true".to_owned()));
        }
        if let Some(atts) = &doc.atts {
            members.push(("_attachments", atts.clone()));
        }
        json::add_members(members, &doc.body)
    }

    /// The document has left the last channel in which the reader saw it.
    fn removal(&self, at: Seq, doc: &DocRow) -> Option<String> {
        if self.options.active_only || self.is_followed(doc) {
            return None;
        }
        let left = self.left(doc);
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
            text.push_str(",\"doc\":");
            text.push_str(&withheld(&doc.id, &removal.rev, removal.deleted));
        }
        text.push('}');
        Some(text)
    }

    /// The entries of named documents, by sequence; never behind a grant.
    fn named(&self, conn: &Connection, db: &Database, ids: &[String], range: Range, until: Seq) -> Result<Batch> {
        let ids: BTreeSet<&String> = ids.iter().collect();
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let doc = DocRow::get(conn, db.id(), id)?;
            found.extend(doc.and_then(|doc| Some((self.place(&doc)?, doc.num))));
        }
        found.retain(|(at, _)| *at > range.since && *at <= until);
        found.sort_unstable();
        let mut batch = Batch { caught_up: true, ..Batch::default() };
        let mut bytes = 0;
        for (at, num) in found {
            if batch.entries.len() >= range.limit || bytes >= MOST_BYTES {
                batch.caught_up = false;
                break;
            }
            let Some(doc) = DocRow::by_num(conn, num)? else { continue };
            let text = if self.is_followed(&doc) {
                (!(doc.deleted && self.options.active_only)).then(|| self.live_entry(at, &doc))
            } else {
                self.removal(at, &doc)
            };
            if let Some(text) = text {
                bytes += text.len();
                batch.entries.push((at, text.into()));
            }
        }
        batch.reached = batch.entries.last().map(|(at, _)| *at);
        Ok(batch)
    }
}

/// A document whose body the reader may not see, or that has none.
fn withheld(id: &str, rev: &str, deleted: bool) -> String {
    let mark = if deleted { "_deleted" } else { "_removed" };
    let members = vec![("_id", json::quote(id)), ("_rev", json::quote(rev)), (mark, "true".to_owned())];
    json::add_members(members, "{}")
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
