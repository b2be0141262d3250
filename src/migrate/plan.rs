//! What a run would do, looked up without changing anything, so that it can be said before; and the target made ready.

use super::inventory;
use super::report::Report;
use super::side::{Place, Side, SideError};
use anyhow::{Context as _, bail, ensure};
use reqwest::Method;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// What is moved where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where documents are.
    pub from: Place,
    /// Where they go.
    pub to: Place,
    /// Design documents to carry.
    pub designs: Vec<String>,
    /// How long a side may be silent.
    pub patience: Duration,
}

/// A run that has not begun.
#[derive(Debug)]
pub struct Plan {
    pub(super) source: Side,
    pub(super) target: Side,
    pub(super) designs: Vec<String>,
    state: State,
    /// Configuration that a new database gets.
    config: Map<String, Value>,
    /// The source's sync function; empty for the gateway's own.
    sync: String,
    /// The target's differs.
    sync_differs: bool,
    revs_limit: usize,
    notes: Vec<String>,
}

/// What the target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no such database.
    Missing,
    /// It has no document.
    Empty,
    /// An earlier run from the same source began there.
    Begun,
    /// An earlier run from the same source ended there, with everything equal.
    Complete,
}

/// Settings that mean the same on every gateway.
const SETTINGS: [&str; 9] = [
    "revs_limit",
    "old_rev_expiry_seconds",
    "local_doc_expiry_secs",
    "session_cookie_name",
    "session_cookie_http_only",
    "session_cookie_secure",
    "send_www_authenticate_header",
    "disable_password_auth",
    "cors",
];
/// Of either gateway.
const DEFAULT_REVS_LIMIT: u64 = 50;

/// What stays behind, whatever is done.
pub const CANNOT_MOVE: [&str; 5] = [
    "passwords: no gateway gives them away; users that are new on the target get one that nobody knows, so whoever signs in \
     with a password needs a new one",
    "sessions: everybody signs in again",
    "checkpoints (_local documents): each device compares everything once; revisions are the same, so it sends and gets nothing twice",
    "sequences: the target counts its own, so a stored place in the feed means nothing there; what was withdrawn from somebody \
     before is not withdrawn again from a device that has not heard of it",
    "bodies of earlier revisions, conflicting branches that lost, purged documents",
];

impl Plan {
    /// Looks at both sides and changes nothing.
    ///
    /// # Errors
    /// When a side does not answer, or the target has documents that did not come from this source.
    pub async fn look(options: &Options) -> anyhow::Result<Plan> {
        let source = Side::new(&options.from, options.patience).context("--from")?;
        let target = Side::new(&options.to, options.patience).context("--to")?;
        ensure!(source.url() != target.url(), "--from and --to are the same database");
        let Some(info) = source.read::<Value>(&[""]).await? else { bail!("{} does not exist", source.url()) };
        ensure!(online(&info), "{} is offline", source.url());
        let config = source.read::<Map<String, Value>>(&["_config"]).await?.unwrap_or_default();
        one_collection(&source, &config)?;
        let sync = source.text(&["_config", "sync"]).await?;
        let mut plan = Plan {
            designs: options.designs.clone(),
            state: State::Missing,
            config: portable(&config),
            sync,
            sync_differs: false,
            revs_limit: revs_limit(&config),
            notes: Vec::new(),
            source,
            target,
        };
        plan.look_at_target().await?;
        Ok(plan)
    }

    async fn look_at_target(&mut self) -> anyhow::Result<()> {
        let Some(info) = self.target.read::<Value>(&[""]).await? else { return Ok(()) };
        ensure!(online(&info), "{} is offline", self.target.url());
        let marker = self.target.read::<Value>(&["_local", &self.marker()]).await?;
        self.state = match marker.map(|marker| marker.get("complete").and_then(Value::as_bool)) {
            Some(Some(true)) => State::Complete,
            Some(_) => State::Begun,
            None => State::Empty,
        };
        if self.state == State::Empty && inventory::any(&self.target).await? {
            bail!(
                "{} has documents that did not come from {}; nothing was changed. Give an empty database, or the name of one \
                 that does not exist",
                self.target.url(),
                self.source.url()
            );
        }
        let config = self.target.read::<Map<String, Value>>(&["_config"]).await?.unwrap_or_default();
        one_collection(&self.target, &config)?;
        self.sync_differs = self.target.text(&["_config", "sync"]).await?.trim() != self.sync.trim();
        let limit = revs_limit(&config);
        if limit != self.revs_limit {
            self.notes.push(format!(
                "the target keeps {limit} revisions of history and the source {}: set revs_limit there first if that matters",
                self.revs_limit
            ));
        }
        self.revs_limit = limit;
        Ok(())
    }

    /// What will be done, for a person to read before it begins.
    pub fn steps(&self) -> Vec<String> {
        let (from, to) = (self.source.url(), self.target.url());
        let mut steps = vec![match self.state {
            State::Missing => {
                let names: Vec<&str> = self.config.keys().map(String::as_str).collect();
                format!(
                    "make the database {to} with the source's sync function and settings ({})",
                    if names.is_empty() { "none beside the defaults".to_owned() } else { names.join(", ") }
                )
            }
            State::Empty => format!("fill the empty database {to}"),
            State::Begun => format!("go on with what was begun from {from}"),
            State::Complete => format!("bring {to} up to date with {from}; it was complete before"),
        }];
        if self.sync_differs {
            steps.push("replace the target's sync function by the source's".to_owned());
        }
        steps.push(format!(
            "carry roles, users, design documents ({}), all documents and tombstones with their history, expiry and attachments",
            self.designs.join(", ")
        ));
        steps.push("compare both sides: counts, revisions, and a SHA-256 over bodies and attachments".to_owned());
        steps.extend(self.notes.iter().cloned());
        steps
    }

    /// Whether a revision that is too old to be extended may be replaced on the target: only while it is not in use.
    pub(super) fn purges(&self) -> bool {
        self.state != State::Complete
    }

    /// Revisions of history that the target keeps.
    pub(super) fn revs_limit(&self) -> usize {
        self.revs_limit
    }

    pub(super) fn report(&self) -> Report {
        Report {
            from: self.source.url().to_owned(),
            to: self.target.url().to_owned(),
            database_made: self.state == State::Missing,
            resumed: matches!(self.state, State::Begun | State::Complete),
            notes: self.notes.clone(),
            cannot_move: CANNOT_MOVE.map(str::to_owned).to_vec(),
            ..Report::default()
        }
    }

    /// Makes the database where there is none, sets the sync function, and leaves the mark that a later run looks for.
    pub(super) async fn prepare_target(&self) -> Result<(), SideError> {
        if self.state == State::Missing {
            let mut config = self.config.clone();
            config.insert("bucket".to_owned(), self.target.database().into());
            config.insert("num_index_replicas".to_owned(), 0.into());
            config.insert("import_docs".to_owned(), true.into());
            config.insert("guest".to_owned(), json!({ "disabled": true }));
            if !self.sync.trim().is_empty() {
                config.insert("sync".to_owned(), self.sync.clone().into());
            }
            let body = Value::Object(config).to_string();
            match self.target.call(self.target.send_json(Method::PUT, &[""], body), "making the database").await {
                // A first try whose answer was lost.
                Ok(_) | Err(SideError::Refused { status: 412, .. }) => {}
                Err(why) => return Err(why),
            }
        } else if self.sync_differs {
            let path = ["_config", "sync"];
            let request = if self.sync.trim().is_empty() {
                self.target.send_text(Method::DELETE, &path, "application/javascript", String::new())
            } else {
                self.target.send_text(Method::PUT, &path, "application/javascript", self.sync.clone())
            };
            self.target.call(request, "setting the sync function").await?;
        }
        self.wait_until_online().await?;
        if self.state == State::Complete { Ok(()) } else { self.mark(false).await }
    }

    /// A real gateway reloads a database when its configuration changes.
    async fn wait_until_online(&self) -> Result<(), SideError> {
        let begun = tokio::time::Instant::now();
        loop {
            let info = self.target.read::<Value>(&[""]).await?;
            if info.as_ref().is_some_and(online) {
                return Ok(());
            }
            let why = self.target.unavailable("waiting for the database", "it is not online");
            if begun.elapsed() >= self.target.patience() {
                return Err(why);
            }
            self.target.rest(3, &why).await;
        }
    }

    /// Leaves the mark of a run from this source on the target.
    pub(super) async fn mark(&self, complete: bool) -> Result<(), SideError> {
        let path = ["_local", &self.marker()];
        let mut body = json!({ "from": self.source.url(), "complete": complete });
        for last in [false, true] {
            let stands = self.target.read::<Value>(&path).await?;
            if stands.as_ref().is_some_and(|stands| stands.get("complete") == body.get("complete")) {
                return Ok(());
            }
            if let Some(rev) = stands.as_ref().and_then(|stands| stands.get("_rev")) {
                body["_rev"] = rev.clone();
            }
            let request = self.target.send_json(Method::PUT, &path, body.to_string());
            match self.target.call(request, "leaving a mark").await {
                Ok(_) => return Ok(()),
                // A first try whose answer was lost.
                Err(SideError::Refused { status: 409, .. }) if !last => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    fn marker(&self) -> String {
        let digest = hex::encode(Sha256::digest(self.source.url().as_bytes()));
        format!("zerocloud-migrate-{}", digest.get(..16).unwrap_or_default())
    }
}

/// An answer without a state is one of an older gateway, which is up when it answers.
fn online(info: &Value) -> bool {
    info.get("state").is_none_or(|state| state == "Online")
}

fn revs_limit(config: &Map<String, Value>) -> usize {
    let limit = config.get("revs_limit").and_then(Value::as_u64).unwrap_or(DEFAULT_REVS_LIMIT);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn portable(config: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    for name in SETTINGS {
        kept.extend(config.get(name).filter(|value| !value.is_null()).map(|value| (name.to_owned(), value.clone())));
    }
    if let Some(enabled) = config.get("unsupported").and_then(|more| more.pointer("/user_views/enabled")) {
        kept.insert("unsupported".to_owned(), json!({ "user_views": { "enabled": enabled } }));
    }
    kept
}

/// Named collections are other databases in all but name, and the embedded gateway has none.
fn one_collection(side: &Side, config: &Map<String, Value>) -> anyhow::Result<()> {
    let scopes = config.get("scopes").and_then(Value::as_object).into_iter().flatten();
    for (scope, inside) in scopes {
        let collections = inside.get("collections").and_then(Value::as_object).into_iter().flatten();
        for (collection, _) in collections {
            ensure!(
                scope == "_default" && collection == "_default",
                "{} has the collection {scope}.{collection}; only the default collection can be moved",
                side.url()
            );
        }
    }
    Ok(())
}
