//! Reading revisions, and writing them out as clients see them.

use rusqlite::Connection;

use super::{Database, Reader, attachments};
use crate::clock;
use crate::error::{Error, Result};
use crate::json;
use crate::revs::tree::Tree;
use crate::revs::{self, Rev};
use crate::store::docs::{BodyRow, DocRow};

/// A revision that exists and may or may not be shown.
#[derive(Debug, Clone)]
pub struct Revision {
    /// Row number of the document.
    pub num: i64,
    /// Document id.
    pub id: String,
    /// Revision.
    pub rev: String,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// Whether its body is withheld from this reader.
    pub removed: bool,
    body: String,
    /// `_attachments` as stubs.
    pub atts: Option<String>,
    exp: Option<i64>,
    tree: String,
}

/// What to show besides the body.
#[derive(Debug, Clone, Default)]
pub struct Show {
    /// `_revisions`.
    pub revisions: bool,
    /// Most ids in `_revisions`.
    pub revs_limit: Option<usize>,
    /// Cut `_revisions` after the first of these.
    pub revs_from: Vec<String>,
    /// `_exp`.
    pub expiry: bool,
    /// Attachment data, but for attachments that a client with one of these revisions has already.
    pub attachments: Option<Vec<String>>,
}

impl Revision {
    fn current(row: DocRow) -> Self {
        Self {
            num: row.num,
            id: row.id,
            rev: row.rev,
            deleted: row.deleted,
            removed: false,
            body: row.body,
            atts: row.atts,
            exp: row.exp,
            tree: row.tree,
        }
    }

    fn older(row: &DocRow, rev: &str, body: BodyRow) -> Self {
        Self {
            num: row.num,
            id: row.id.clone(),
            rev: rev.to_owned(),
            deleted: body.deleted,
            removed: false,
            body: body.body,
            atts: body.atts,
            exp: None,
            tree: row.tree.clone(),
        }
    }

    /// The revision with which the document left a channel, its body gone: feeds go on naming it to whoever lost it there, and a
    /// replicator that is refused it never gets past it (Sync Gateway 3 does the same: `Document.IsChannelRemoval`).
    fn removal(row: &DocRow, rev: &str) -> Option<Self> {
        let removal = row.chans.removed.iter().find(|removal| removal.rev == rev)?;
        let found = Self { rev: rev.to_owned(), deleted: removal.deleted, ..Self::current(row.clone()) };
        Some(found.withheld())
    }

    /// Without its body; what is left tells a replicator to drop what it has.
    fn withheld(mut self) -> Self {
        self.removed = true;
        self.exp = None;
        "{}".clone_into(&mut self.body);
        self.atts = None;
        self
    }

    /// The document as JSON text, its keys sorted.
    pub fn render(&self, conn: &Connection, show: &Show) -> Result<String> {
        let mut members = vec![("_id", json::quote(&self.id)), ("_rev", json::quote(&self.rev))];
        if self.deleted {
            members.push(("_deleted", "true".to_owned()));
        } else if self.removed {
            members.push(("_removed", "true".to_owned()));
        }
        if show.revisions && show.revs_limit != Some(0) {
            members.push(("_revisions", revs::revisions_value(&self.history(show))));
        }
        if let Some(exp) = self.exp.filter(|_| show.expiry) {
            members.push(("_exp", json::quote(&clock::rfc3339(exp))));
        }
        if let Some(atts) = &self.atts {
            let shown = match &show.attachments {
                Some(since) => attachments::inline(conn, self.num, atts, self.unchanged_before(since))?,
                None => atts.clone(),
            };
            members.push(("_attachments", shown));
        }
        Ok(json::add_members(members, &self.body))
    }

    /// Attachments of lower generations are known to a client that has one of these revisions.
    pub fn unchanged_before(&self, since: &[String]) -> u64 {
        if since.is_empty() {
            return 0;
        }
        let history = Tree::decode(&self.tree).history(&self.rev);
        let known = history.iter().find(|rev| since.iter().any(|known| known == rev.as_str()));
        known.map_or(0, |rev| rev.generation() + 1)
    }

    fn history(&self, show: &Show) -> Vec<Rev> {
        let mut history = Tree::decode(&self.tree).history(&self.rev);
        let from = history.iter().position(|rev| show.revs_from.iter().any(|from| from == rev.as_str()));
        let most = from.map(|index| index + 1).or(show.revs_limit);
        history.truncate(most.unwrap_or(usize::MAX));
        history
    }
}

/// The current revision, as `GET` without `rev` answers it.
pub fn current(conn: &Connection, db: &Database, id: &str, reader: &Reader) -> Result<Revision> {
    let row = DocRow::get(conn, db.id(), id)?.ok_or_else(|| Error::not_found("missing"))?;
    if !reader.sees(&row.chans.active) {
        return Err(Error::forbidden("forbidden"));
    }
    if row.deleted {
        return Err(Error::not_found("deleted"));
    }
    Ok(Revision::current(row))
}

/// A named revision; without access it comes withheld.
pub fn revision(conn: &Connection, db: &Database, id: &str, rev: &str, reader: &Reader) -> Result<Revision> {
    let row = DocRow::get(conn, db.id(), id)?.ok_or_else(|| Error::not_found("missing"))?;
    find(conn, row, rev, reader)?.ok_or_else(|| Error::not_found("missing"))
}

fn find(conn: &Connection, row: DocRow, rev: &str, reader: &Reader) -> Result<Option<Revision>> {
    if row.rev == rev {
        let visible = reader.sees(&row.chans.active);
        let found = Revision::current(row);
        return Ok(Some(if visible { found } else { found.withheld() }));
    }
    let Some(body) = BodyRow::get(conn, row.num, rev, clock::now_seconds())? else {
        return Ok(Revision::removal(&row, rev).filter(|_| !reader.sees(&row.chans.active)));
    };
    let visible = reader.sees(&body.channels);
    let found = Revision::older(&row, rev, body);
    Ok(Some(if visible { found } else { found.withheld() }))
}

/// The revisions `open_revs` asks for: found, or the id that is missing.
pub fn open_revs(
    conn: &Connection,
    db: &Database,
    id: &str,
    wanted: Option<&[String]>,
    reader: &Reader,
) -> Result<Vec<Result<Revision, String>>> {
    let row = DocRow::get(conn, db.id(), id)?;
    let wanted: Vec<String> = match (wanted, &row) {
        (Some(revs), _) => revs.to_vec(),
        (None, None) => return Err(Error::not_found("missing")),
        (None, Some(row)) => {
            let tree = Tree::decode(&row.tree);
            tree.leaves().into_iter().map(|(rev, _)| rev.to_string()).collect()
        }
    };
    let mut found = Vec::with_capacity(wanted.len());
    for rev in wanted {
        let revision = match &row {
            Some(row) => find(conn, row.clone(), &rev, reader)?,
            None => None,
        };
        found.push(revision.ok_or(rev));
    }
    Ok(found)
}

/// What a replicator has to send, and on what it may build: `None` when nothing is missing.
pub fn revs_diff(
    conn: &Connection,
    db: &Database,
    id: &str,
    revs: &[String],
) -> Result<Option<(Vec<String>, Vec<String>)>> {
    let row = DocRow::get(conn, db.id(), id)?;
    let tree = row.map(|row| Tree::decode(&row.tree)).unwrap_or_default();
    let mut missing = Vec::new();
    let mut ancestors: Vec<String> = Vec::new();
    for text in revs {
        if tree.contains(text) {
            continue;
        }
        missing.push(text.clone());
        for ancestor in Rev::parse(text).map(|rev| tree.possible_ancestors(&rev)).unwrap_or_default() {
            if !ancestors.contains(&ancestor) && !revs.contains(&ancestor) {
                ancestors.push(ancestor);
            }
        }
    }
    Ok((!missing.is_empty()).then_some((missing, ancestors)))
}
