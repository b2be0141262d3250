//! What a written revision changes in the file: the document, its channels and grants, older bodies, attachments.

use std::collections::{BTreeMap, BTreeSet};

use super::{Author, Context, Edit, Plan, members};
use crate::channels::DocChannels;
use crate::database::config::DatabaseConfig;
use crate::database::{Database, attachments};
use crate::error::{Error, Result};
use crate::json;
use crate::principals::losses;
use crate::revs::tree::Tree;
use crate::script::Outcome;
use crate::store::docs::{self, BodyRow, DocRow, Grant};
use crate::store::{Ticket, Tx};

/// Most bytes of channels, history and grants of one document together.
const LARGEST_METADATA: usize = 1 << 20;

/// What the current revision will be after the write.
struct Current {
    rev: String,
    deleted: bool,
    body: String,
    atts: Option<String>,
    outcome: Outcome,
    exp: Option<i64>,
}

impl Context {
    /// Stores the revision of a plan.
    pub(super) fn store(
        &self,
        tx: &mut Tx<'_>,
        edit: &Edit,
        old: Option<&DocRow>,
        plan: &Plan,
        outcome: Outcome,
    ) -> Result<()> {
        let db = &self.db;
        let seq = tx.next_seq(&db.live)?;
        let parent_atts = old.and_then(|row| row.atts.as_deref());
        let atts = edit.attachments.stubs(parent_atts, plan.rev.generation())?;
        let body = if edit.deleted { "{}".to_owned() } else { edit.canonical.clone() };
        let written = Current {
            rev: plan.rev.to_string(),
            deleted: edit.deleted,
            body,
            atts: atts.filter(|_| !edit.deleted),
            exp: outcome.expiry.or(edit.exp).filter(|_| !edit.deleted).and_then(|exp| exp.at(tx.now)),
            outcome,
        };
        let winner = plan.tree.winner().map(|(rev, _)| rev.to_string()).unwrap_or_default();
        let had_attachments = parent_atts.is_some();
        let num = match old {
            Some(row) if winner != written.rev => {
                keep_losing(tx, row.num, &written)?;
                if row.rev == winner {
                    touch(tx, db, row, seq, &plan.tree)?;
                } else {
                    self.promote(tx, row, seq, &plan.tree, &winner)?;
                }
                row.num
            }
            _ => self.save(tx, &Place { id: &edit.id, seq, old, tree: &plan.tree }, written)?,
        };
        edit.attachments.store(tx.conn, num)?;
        if had_attachments {
            attachments::sweep(tx.conn, num)?;
        }
        Ok(())
    }

    /// Makes `current` the document's current revision; answers the document's row number.
    fn save(&self, tx: &mut Tx<'_>, place: &Place<'_>, current: Current) -> Result<i64> {
        let db = &self.db;
        let Place { id, seq, old, tree } = *place;
        let grants = if current.deleted { BTreeSet::new() } else { grants(&current.outcome) };
        let before = old.map(|row| row.chans.clone()).unwrap_or_default();
        let mut row = DocRow {
            num: old.map_or(0, |row| row.num),
            id: id.to_owned(),
            seq,
            chans: before.next(current.outcome.channels, seq, &current.rev, current.deleted),
            rev: current.rev,
            deleted: current.deleted,
            body: current.body,
            atts: current.atts,
            tree: tree.encode(),
            exp: current.exp,
        };
        let chans = row.chans.encode();
        let granted: usize = grants.iter().map(|(who, _, what)| who.len() + what.len()).sum();
        if chans.len() + row.tree.len() + granted > LARGEST_METADATA {
            return Err(Error::refused(413, "Document too large!"));
        }
        keep_superseded(tx, &self.config, old, tree, &row.rev)?;
        row.num = row.put(tx.conn, db.id(), &chans)?;
        docs::log_channels(tx.conn, db.id(), row.num, old.map(|row| (&row.chans, row.seq)), (&row.chans, seq))?;
        if old.is_some() || !grants.is_empty() {
            let regranted = docs::replace_grants(tx.conn, db.id(), row.num, seq, &grants)?;
            losses::record(tx.conn, db.id(), &regranted.lost, seq)?;
            if regranted.changed {
                tx.access_changed(&db.live)?;
            }
        }
        let num = row.num;
        tx.changed(&db.live, row)?;
        Ok(num)
    }

    /// A third revision has become current: its channels and grants count from now on.
    fn promote(&self, tx: &mut Tx<'_>, row: &DocRow, seq: i64, tree: &Tree, winner: &str) -> Result<()> {
        let kept = BodyRow::get(tx.conn, row.num, winner, tx.now)?;
        let (deleted, body, atts) = match kept {
            Some(kept) => (kept.deleted, kept.body, kept.atts),
            None => (tree.is_deleted(winner).unwrap_or(true), "{}".to_owned(), None),
        };
        let doc = document(&row.id, winner, deleted, &body);
        let gateway = self.as_gateway();
        let ticket = gateway.ask(tx, doc, None)?;
        tx.judge();
        let outcome = gateway.verdict(tx, &ticket)?;
        let current = Current { rev: winner.to_owned(), deleted, body, atts, exp: None, outcome };
        self.save(tx, &Place { id: &row.id, seq, old: Some(row), tree }, current)?;
        Ok(())
    }

    /// The same as done by the gateway itself.
    fn as_gateway(&self) -> Self {
        Self { author: Author::Gateway, ..self.clone() }
    }
}

/// Keeps the body of the revision that was current: for a while, or for good while it is a leaf.
fn keep_superseded(
    tx: &Tx<'_>,
    config: &DatabaseConfig,
    old: Option<&DocRow>,
    tree: &Tree,
    winner: &str,
) -> Result<()> {
    let Some(row) = old.filter(|row| row.rev != winner) else {
        return Ok(());
    };
    let until = if tree.is_leaf(&row.rev) {
        None
    } else if config.old_rev_expiry > 0 {
        Some(tx.now + config.old_rev_expiry)
    } else {
        return Ok(());
    };
    let kept = BodyRow {
        deleted: row.deleted,
        body: row.body.clone(),
        atts: row.atts.clone(),
        channels: row.chans.active.clone(),
    };
    kept.put(tx.conn, row.num, &row.rev, until)
}

fn keep_losing(tx: &Tx<'_>, num: i64, written: &Current) -> Result<()> {
    let kept = BodyRow {
        deleted: written.deleted,
        body: written.body.clone(),
        atts: written.atts.clone(),
        channels: written.outcome.channels.clone(),
    };
    kept.put(tx.conn, num, &written.rev, None)
}

/// Where a revision is stored.
struct Place<'a> {
    id: &'a str,
    seq: i64,
    old: Option<&'a DocRow>,
    tree: &'a Tree,
}

/// The current revision stays, the document still gets a new sequence.
fn touch(tx: &mut Tx<'_>, db: &Database, row: &DocRow, seq: i64, tree: &Tree) -> Result<()> {
    let touched = DocRow { seq, tree: tree.encode(), ..row.clone() };
    let sql = "UPDATE docs SET seq = ?2, tree = ?3 WHERE num = ?1";
    tx.conn.prepare_cached(sql)?.execute((row.num, seq, &touched.tree))?;
    docs::log_channels(tx.conn, db.id(), row.num, Some((&row.chans, row.seq)), (&row.chans, seq))?;
    tx.changed(&db.live, touched)
}

/// What an accepted document grants, as rows.
fn grants(outcome: &Outcome) -> BTreeSet<Grant> {
    let rows = |kind: i64, map: &BTreeMap<String, BTreeSet<String>>| -> Vec<Grant> {
        map.iter().flat_map(|(who, what)| what.iter().map(move |target| (who.clone(), kind, target.clone()))).collect()
    };
    rows(0, &outcome.access).into_iter().chain(rows(1, &outcome.roles)).collect()
}

/// A stored revision as the sync function sees it.
fn document(id: &str, rev: &str, deleted: bool, body: &str) -> String {
    let mut text = members(id, rev);
    if deleted {
        text.push_str(",\"_deleted\":true");
    }
    json::splice(&text, body)
}

impl Context {
    /// Asks the sync function where an existing document goes now.
    pub fn ask_route(&self, tx: &mut Tx<'_>, row: &DocRow) -> Result<Ticket> {
        self.ask(tx, document(&row.id, &row.rev, row.deleted, &row.body), None)
    }

    /// Routes an existing document anew without a new revision or sequence; says whether anything changed.
    pub fn reroute(&self, tx: &mut Tx<'_>, row: &DocRow, ticket: &Ticket) -> Result<bool> {
        let db = &self.db;
        let outcome = self.verdict(tx, ticket)?;
        let grants = if row.deleted { BTreeSet::new() } else { grants(&outcome) };
        let chans: DocChannels = row.chans.next(outcome.channels.clone(), row.seq, &row.rev, row.deleted);
        let mut changed = chans != row.chans;
        if changed {
            tx.changed_in_place(&db.live)?;
            let sql = "UPDATE docs SET chans = ?2 WHERE num = ?1";
            tx.conn.prepare_cached(sql)?.execute((row.num, chans.encode()))?;
            let (old, new) = ((&row.chans, row.seq), (&chans, row.seq));
            docs::log_channels(tx.conn, db.id(), row.num, Some(old), new)?;
        }
        let seq = tx.last_seq(&db.live)? + 1;
        let regranted = docs::replace_grants(tx.conn, db.id(), row.num, seq, &grants)?;
        if regranted.changed {
            losses::record(tx.conn, db.id(), &regranted.lost, seq)?;
            // A sequence of its own, so that clients who are up to date get the backfill.
            tx.next_seq(&db.live)?;
            tx.access_changed(&db.live)?;
            changed = true;
        }
        Ok(changed)
    }
}
