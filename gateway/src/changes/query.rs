//! One batch of a feed, from one snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;

use super::entry::View;
use super::merge::{Lost, Merge, Source};
use super::options::{Filter, Options};
use super::seq::Seq;
use crate::channels::ALL;
use crate::database::{Database, Reader};
use crate::error::Result;
use crate::json;
use crate::principals::User;
use crate::principals::losses::{self, Standing};
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

/// The reader a feed was opened for, as this snapshot sees it; `None` when the user is gone.
pub fn reader(conn: &Connection, db: &Database, name: Option<&str>) -> Result<Option<Reader>> {
    let Some(name) = name else {
        return Ok(Some(Reader::Admin));
    };
    let user: Option<Arc<User>> = db.user(conn, name)?;
    Ok(user.filter(|user| !user.record.disabled).map(Reader::User))
}

impl View<'_> {
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
