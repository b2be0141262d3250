//! Writing a revision: parent or conflict, and what the sync function says. Runs on the writer.
//! What an accepted revision changes in the file is in [`stored`].

mod stored;

use std::sync::Arc;

use super::Database;
use super::attachments::Sent;
use super::config::DatabaseConfig;
use crate::error::{Error, Result};
use crate::json;
use crate::revs::Rev;
use crate::revs::tree::{Placement, Tree};
use crate::script::{Expiry, Outcome, Refusal, Texts};
use crate::store::docs::{BodyRow, DocRow};
use crate::store::{Ticket, Tx};

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
fn members(id: &str, rev: &str) -> String {
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
