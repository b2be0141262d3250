//! Storing a revision: parent or conflict, sync function, winner, channels, grants, expiry. Runs on the writer.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Database;
use super::attachments::{self, Sent};
use super::config::DatabaseConfig;
use crate::channels::DocChannels;
use crate::error::{Error, Result};
use crate::json;
use crate::principals::losses;
use crate::revs::Rev;
use crate::revs::tree::{Placement, Tree};
use crate::script::{Expiry, Outcome, Refusal, Texts};
use crate::store::docs::{self, BodyRow, DocRow, Grant};
use crate::store::{Ticket, Tx};

/// Most bytes of channels, history and grants of one document together.
const LARGEST_METADATA: usize = 1 << 20;

/// Who writes.
#[derive(Debug, Clone)]
pub enum Author {
    /// The admin port.
    Admin,
    /// A user by name; empty for the guest.
    User(String),
    /// The gateway itself: even a refusal by the sync function does not stop it.
    Gateway,
}

/// Which revision the edit makes.
#[derive(Debug)]
pub enum Target {
    /// The successor of the current one, which the author names.
    Next {
        /// What the author thinks is current.
        parent: Option<Rev>,
    },
    /// A revision made elsewhere, with its ancestors, newest first.
    Given {
        /// Never empty.
        history: Vec<Rev>,
    },
}

/// A checked document, ready to be stored.
#[derive(Debug)]
pub struct Edit {
    /// Document id.
    pub id: String,
    /// What the digest is made of: includes `_deleted`.
    pub canonical: String,
    /// Whether it is a tombstone.
    pub deleted: bool,
    /// Attachments.
    pub attachments: Sent,
    /// `_exp`.
    pub exp: Option<Expiry>,
    /// Which revision it makes.
    pub target: Target,
}

/// What was stored.
#[derive(Debug, Clone)]
pub struct Written {
    /// The revision.
    pub rev: String,
}

/// Where the new revision goes in the tree.
#[derive(Debug)]
struct Plan {
    rev: Rev,
    parent: Option<Rev>,
    tree: Tree,
}

/// What was found when the writer looked at an edit, before any write of its transaction.
#[derive(Debug)]
pub struct Looked(Result<Found>);

#[derive(Debug)]
enum Found {
    /// The revision is there already.
    Known(String),
    /// It waits for the sync function.
    Planned(Box<Planned>),
}

#[derive(Debug)]
struct Planned {
    old: Option<DocRow>,
    plan: Plan,
    ticket: Ticket,
    /// Of users, roles and grants, when the edit is a user's.
    epoch: Option<i64>,
}

impl Context {
    /// Looks at an edit: finds its place and asks the sync function.
    pub fn look(&self, tx: &mut Tx<'_>, edit: &Edit) -> Looked {
        Looked(self.find(tx, edit))
    }

    fn find(&self, tx: &mut Tx<'_>, edit: &Edit) -> Result<Found> {
        let old = DocRow::get(tx.conn, self.db.id(), &edit.id)?;
        let tree = old.as_ref().map(|row| Tree::decode(&row.tree)).unwrap_or_default();
        let Some(plan) = plan(edit, old.as_ref(), tree)? else {
            let Target::Given { history } = &edit.target else {
                return Err(Error::conflict("Document exists"));
            };
            return Ok(Found::Known(history[0].to_string()));
        };
        let old_text = parent_text(tx, old.as_ref(), plan.parent.as_ref())?;
        let doc = json::splice(&members(&edit.id, plan.rev.as_str()), &edit.canonical);
        let ticket = self.ask(tx, doc, old_text)?;
        let epoch = match self.author {
            Author::User(_) => Some(tx.epoch(&self.db.live)?),
            Author::Admin | Author::Gateway => None,
        };
        Ok(Found::Planned(Box::new(Planned { old, plan, ticket, epoch })))
    }

    /// Stores a revision; when something has changed since it was looked at, that is done again.
    pub fn finish(&self, tx: &mut Tx<'_>, edit: &Edit, mut looked: Looked) -> Result<Written> {
        let epoch = tx.epoch(&self.db.live)?;
        let seen = match &looked.0 {
            Ok(Found::Planned(planned)) => planned.epoch,
            _ => None,
        };
        if tx.is_stale(&self.db.live, &edit.id) || seen.is_some_and(|seen| seen != epoch) {
            looked = self.look(tx, edit);
            tx.judge();
        }
        let planned = match looked.0? {
            Found::Known(rev) => return Ok(Written { rev }),
            Found::Planned(planned) => planned,
        };
        let Planned { old, mut plan, ticket, .. } = *planned;
        let outcome = self.verdict(tx, &ticket)?;
        plan.tree.prune(self.config.revs_limit);
        let rev = plan.rev.to_string();
        self.store(tx, edit, old.as_ref(), &plan, outcome)?;
        Ok(Written { rev })
    }

    /// Stores one revision, by itself.
    pub fn write(&self, tx: &mut Tx<'_>, edit: &Edit) -> Result<Written> {
        let looked = self.look(tx, edit);
        tx.judge();
        self.finish(tx, edit, looked)
    }

    /// Asks the sync function.
    fn ask(&self, tx: &mut Tx<'_>, doc: String, old: Option<String>) -> Result<Ticket> {
        let caller = match &self.author {
            Author::Admin | Author::Gateway => None,
            Author::User(name) => {
                let user = tx.user(&self.db.live, name)?.ok_or_else(|| Error::refused(401, "Invalid login"))?;
                Some(user.as_caller().to_string())
            }
        };
        let function = tx.sync_function(self.db.id(), &self.config.sync, self.config.script_time)?;
        Ok(tx.judge_later(function, Texts { first: doc, second: old, third: caller }))
    }

    /// What the sync function said.
    fn verdict(&self, tx: &mut Tx<'_>, ticket: &Ticket) -> Result<Outcome> {
        let missing = || Err(Refusal { status: 500, reason: "Internal error".to_owned(), detail: None });
        match (tx.verdict(ticket).unwrap_or_else(missing), &self.author) {
            (Ok(outcome), _) => Ok(outcome),
            (Err(_), Author::Gateway) => Ok(Outcome::default()),
            (Err(refusal), _) => {
                if let Some(detail) = &refusal.detail {
                    tracing::warn!(db = self.db.name, detail, "the sync function failed");
                }
                Err(Error::refused(refusal.status, refusal.reason))
            }
        }
    }
}

fn plan(edit: &Edit, old: Option<&DocRow>, mut tree: Tree) -> Result<Option<Plan>> {
    match &edit.target {
        Target::Next { parent } => {
            let parent = next_parent(parent.as_ref(), old)?;
            let rev = Rev::next(parent.as_ref(), &edit.canonical);
            if !tree.contains(rev.as_str()) {
                tree.add(rev.clone(), parent.as_ref(), edit.deleted);
            }
            Ok(Some(Plan { rev, parent, tree }))
        }
        Target::Given { history } => match tree.place(history, edit.deleted) {
            Placement::Known => Ok(None),
            Placement::Conflict => Err(Error::conflict("Document revision conflict")),
            Placement::Below(parent) => {
                tree.add_history(history, edit.deleted);
                let rev = history[0].clone();
                Ok(Some(Plan { rev, parent, tree }))
            }
        },
    }
}

/// The parent of an ordinary edit, or the conflict.
fn next_parent(named: Option<&Rev>, old: Option<&DocRow>) -> Result<Option<Rev>> {
    match (named, old) {
        (None, None) => Ok(None),
        (None, Some(row)) if row.deleted => Ok(Rev::parse(&row.rev)),
        (None, Some(_)) => Err(Error::conflict("Document exists")),
        (Some(rev), Some(row)) if rev.as_str() == row.rev => Ok(Some(rev.clone())),
        (Some(_), _) => Err(Error::conflict("Document revision conflict")),
    }
}

/// `_id` and `_rev` as text.
pub fn members(id: &str, rev: &str) -> String {
    format!("\"_id\":{},\"_rev\":{}", json::quote(id), json::quote(rev))
}

/// The parent revision as the sync function sees it.
fn parent_text(tx: &Tx<'_>, old: Option<&DocRow>, parent: Option<&Rev>) -> Result<Option<String>> {
    let (Some(row), Some(parent)) = (old, parent) else {
        return Ok(None);
    };
    let id = format!("\"_id\":{}", json::quote(&row.id));
    let tombstone = || format!("{{{id},\"_deleted\":true}}");
    if parent.as_str() == row.rev {
        return Ok(Some(if row.deleted { tombstone() } else { json::splice(&id, &row.body) }));
    }
    let body = BodyRow::get(tx.conn, row.num, parent.as_str(), tx.now)?;
    Ok(body.map(|body| if body.deleted { tombstone() } else { json::splice(&id, &body.body) }))
}

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
    fn store(&self, tx: &mut Tx<'_>, edit: &Edit, old: Option<&DocRow>, plan: &Plan, outcome: Outcome) -> Result<()> {
        let db = &self.db;
        let seq = tx.next_seq(&db.live)?;
        let parent_atts = old.and_then(|row| row.atts.as_deref());
        let atts = edit.attachments.stubs(parent_atts, plan.rev.generation());
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
        let mut text = members(&row.id, winner);
        if deleted {
            text.push_str(",\"_deleted\":true");
        }
        let doc = json::splice(&text, &body);
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
pub fn grants(outcome: &Outcome) -> BTreeSet<Grant> {
    let rows = |kind: i64, map: &std::collections::BTreeMap<String, BTreeSet<String>>| -> Vec<Grant> {
        map.iter().flat_map(|(who, what)| what.iter().map(move |target| (who.clone(), kind, target.clone()))).collect()
    };
    rows(0, &outcome.access).into_iter().chain(rows(1, &outcome.roles)).collect()
}

/// What stays the same for all edits of a request.
#[derive(Debug, Clone)]
pub struct Context {
    /// The database.
    pub db: Arc<Database>,
    /// Its configuration when the request came.
    pub config: Arc<DatabaseConfig>,
    /// Who writes.
    pub author: Author,
}

impl Context {
    /// Asks the sync function where an existing document goes now.
    pub fn ask_route(&self, tx: &mut Tx<'_>, row: &DocRow) -> Result<Ticket> {
        let mut text = members(&row.id, &row.rev);
        if row.deleted {
            text.push_str(",\"_deleted\":true");
        }
        self.ask(tx, json::splice(&text, &row.body), None)
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
