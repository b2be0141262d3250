//! The entries of a feed: which documents a reader is told of, where they stand, and the text.

use std::fmt::Write as _;
use std::sync::Arc;

use rusqlite::Connection;

use super::merge::{Row, Source};
use super::options::Options;
use super::seq::Seq;
use crate::channels::Removal;
use crate::database::Reader;
use crate::error::Result;
use crate::json;
use crate::principals::losses::overlap;
use crate::revs::tree::Tree;
use crate::store::docs::DocRow;
use crate::store::recent::Changed;

/// A reader's way of looking at documents.
pub(super) struct View<'a> {
    pub(super) options: &'a Options,
    pub(super) reader: &'a Reader,
    pub(super) sources: &'a [Source],
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

    pub(super) fn is_followed(&self, doc: &DocRow) -> bool {
        self.follows_all() || doc.chans.active.iter().any(|name| self.follows(name))
    }

    /// Where a document stands, or stood when it left.
    pub(super) fn place(&self, doc: &DocRow) -> Option<Seq> {
        if self.is_followed(doc) {
            return Some(Seq::plain(doc.seq));
        }
        self.left(doc).into_iter().map(|removal| Seq::plain(removal.seq)).max()
    }

    fn follows_all(&self) -> bool {
        self.held().any(|source| source.channel.is_none())
    }

    /// The entry at a position, or nothing when another one tells it better.
    pub(super) fn entry(&self, conn: &Connection, at: Seq, rows: &[(&Source, Row)]) -> Result<Option<String>> {
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
    pub(super) fn kept_entry(&self, at: Seq, changed: &Changed) -> Option<Arc<str>> {
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

    pub(super) fn live_entry(&self, at: Seq, doc: &DocRow) -> String {
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
    pub(super) fn removal(&self, at: Seq, doc: &DocRow) -> Option<String> {
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
