//! Stage: admins' own acts in the audit: who changed what of AWS accounts, policies, exemptions, pauses, people, hooks,
//! tokens and event keys, from what to what. It sees them in the feed, so an edit straight at the gateway is recorded as one on a page.
//! Decides nothing. What was recorded last stands in a document beside each (`known::{id}`), written by compare-and-swap
//! before the event: a restart or a second copy tells nothing twice, and nothing is lost between the two.

mod facts;

use crate::audit::Announced;
use crate::clock::Clock;
use crate::follower::{Index, Seen};
use crate::model::{AccountId, Doc, Extra, Time};
use crate::store::{Store, StoreError};
use facts::{Facts, Kind, SHAPE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const PREFIX: &str = "known::";
/// Says that everything that stood there before is known, to a version of its `shape`; its absence, that nothing was recorded yet.
const BEGUN: &str = "known::begun";
/// How long the documents are waited for between two tries.
const AGAIN: Duration = Duration::from_secs(2);
/// Tries of one change before they come only now and then.
const QUICK: u32 = 5;
/// What is known from the start is written so many at a time.
const TOGETHER: usize = 500;

/// Whether a document is one whose changes are recorded.
pub fn is_watched(id: &str) -> bool {
    Kind::of(id).is_some()
}

/// What was seen of a document last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Known {
    /// Which one.
    about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
    /// `None` once it is gone.
    facts: Option<Facts>,
    /// What stood there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Facts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// How many changes were seen.
    count: u64,
    /// When the last one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Time>,
    /// Its event is not written yet.
    #[serde(default)]
    untold: bool,
    /// Who is about to do something that the document will not tell of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    announced: Option<Announced>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purge_at: Option<Time>,
    #[serde(flatten)]
    extra: Extra,
}

/// The stage.
#[derive(Debug)]
pub struct Recorder {
    /// The documents.
    pub store: Store,
    /// For how long events are kept.
    pub index: Index,
    /// The one clock.
    pub clock: Clock,
}

type Ledger = HashMap<String, Doc<Known>>;

impl Recorder {
    /// Until shutdown.
    pub async fn run(self, mut seen: mpsc::Receiver<Seen>, stop: CancellationToken) -> anyhow::Result<()> {
        let Some((mut ledger, mut shape)) = stop.run_until_cancelled(self.load()).await else { return Ok(()) };
        let mut from_the_start = BTreeMap::new();
        while let Some(Some(seen)) = stop.run_until_cancelled(seen.recv()).await {
            let work = async {
                match seen {
                    Seen::CaughtUp if shape < SHAPE => {
                        self.begin(std::mem::take(&mut from_the_start), &mut ledger, shape).await;
                        shape = SHAPE;
                    }
                    Seen::CaughtUp => {}
                    Seen::Changed(id, Some(doc)) if shape < SHAPE => drop(from_the_start.insert(id, doc)),
                    Seen::Changed(id, doc) => self.persist(&id, doc.as_ref(), &mut ledger).await,
                }
            };
            if stop.run_until_cancelled(work).await.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// What was recorded so far, and by a version of which shape; 0 when it never began.
    async fn load(&self) -> (Ledger, u64) {
        loop {
            match self.store.prefix(PREFIX).await {
                Ok(docs) => {
                    let begun = docs.iter().find(|doc| doc.id == BEGUN);
                    let shape = begun.map_or(0, |doc| doc.body["shape"].as_u64().unwrap_or(1));
                    let read = docs.into_iter().filter_map(|doc| {
                        let body: Known = serde_json::from_value(doc.body).ok()?;
                        Some((body.about.clone(), Doc { id: doc.id, rev: doc.rev, body }))
                    });
                    return (read.collect(), shape);
                }
                Err(why) => tracing::warn!(%why, "what admins did cannot be recorded yet"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Notes what stood there before anything, or this of it, was recorded: nobody did it. Then what was done while nothing ran.
    async fn begin(&self, docs: BTreeMap<String, Value>, ledger: &mut Ledger, shape: u64) {
        let noted = docs.iter().filter_map(|(id, doc)| noted(id, doc, ledger.get(id), shape));
        for part in noted.collect::<Vec<_>>().chunks(TOGETHER) {
            let bodies = part.iter().filter_map(|doc| {
                let body = serde_json::to_value(&doc.body).ok()?;
                Some(("known", Doc { id: doc.id.clone(), rev: doc.rev.clone(), body }))
            });
            let bodies: Vec<_> = bodies.collect();
            let written = self.patiently(async || self.store.put_many(bodies.clone()).await).await;
            for (doc, rev) in part.iter().zip(written) {
                // One that stands there already is read when it is needed.
                ledger.insert(doc.body.about.clone(), Doc { rev: rev.ok(), ..doc.clone() });
            }
        }
        self.patiently(async || {
            let rev = self.store.get::<Value>(BEGUN).await?.and_then(|doc| doc.rev);
            let body = json!({ "about": "", "facts": null, "count": 0, "shape": SHAPE });
            match self.store.put("known", &Doc { id: BEGUN.to_owned(), rev, body }).await {
                Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
                Err(why) => Err(why),
            }
        })
        .await;
        for (id, doc) in &docs {
            self.persist(id, Some(doc), ledger).await;
        }
    }

    async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(&self, work: impl Fn() -> F) -> T {
        loop {
            match work().await {
                Ok(done) => return done,
                Err(why) => tracing::warn!(%why, "what an admin did waits to be recorded"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// One change, until it is recorded.
    async fn persist(&self, id: &str, doc: Option<&Value>, ledger: &mut Ledger) {
        let Some(kind) = Kind::of(id) else { return };
        for tried in 0_u32.. {
            if tried >= QUICK {
                tokio::time::sleep(AGAIN).await;
            }
            match self.record(kind, id, doc, ledger).await {
                Ok(()) => return,
                Err(StoreError::Conflict { .. }) => {}
                Err(why @ StoreError::Unavailable { .. }) => {
                    tracing::warn!(id, %why, "what an admin did waits to be recorded");
                    tokio::time::sleep(AGAIN).await;
                }
                // The feed never waits for what cannot be written.
                Err(why) => {
                    tracing::warn!(id, %why, "the audit has a gap here");
                    return;
                }
            }
            // Somebody else wrote it down, or noted who is about to remove it.
            match self.store.get::<Known>(&note_id(id)).await {
                Ok(Some(known)) => drop(ledger.insert(id.to_owned(), known)),
                Ok(None) => drop(ledger.remove(id)),
                Err(why @ StoreError::Malformed { .. }) => {
                    tracing::warn!(id, %why, "the audit has a gap here: what was noted cannot be read, and is noted anew");
                    match self.note_anew(kind, id, doc, ledger).await {
                        Ok(()) => return,
                        Err(why) => tracing::warn!(id, %why, "is noted anew in a moment"),
                    }
                }
                Err(why) => tracing::debug!(id, %why, "is read again"),
            }
        }
    }

    /// Writes over a note that cannot be read: what stands there now is known, and who did it is not.
    async fn note_anew(
        &self,
        kind: Kind,
        id: &str,
        doc: Option<&Value>,
        ledger: &mut Ledger,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let rev = self.store.get::<Value>(&note_id(id)).await?.and_then(|doc| doc.rev);
        let account = account(doc);
        let gone = doc.is_none().then(|| now.plus(self.retention(account.as_ref())));
        let facts = doc.map(|doc| facts::facts(kind, doc));
        let body = Known { about: id.to_owned(), account, facts, at: Some(now), purge_at: gone, ..Known::default() };
        let mut note = Doc { id: note_id(id), rev, body };
        note.rev = Some(self.store.put("known", &note).await?);
        ledger.insert(id.to_owned(), note);
        Ok(())
    }

    async fn record(&self, kind: Kind, id: &str, doc: Option<&Value>, ledger: &mut Ledger) -> Result<(), StoreError> {
        let facts = doc.map(|doc| facts::facts(kind, doc));
        let old = ledger.get(id);
        let before = old.and_then(|known| known.body.facts.clone());
        if before == facts {
            return match old.cloned() {
                Some(known) if known.body.untold => self.tell(kind, known, ledger).await,
                _ => Ok(()),
            };
        }
        let now = self.clock.now();
        let known = old.map(|known| known.body.clone()).unwrap_or_default();
        let author = doc.and_then(|doc| facts::author(kind, doc, before.is_none()));
        let announced = known.announced.as_ref().filter(|it| it.explains(doc.is_none(), now)).map(|it| it.by.clone());
        let by_itself = author.is_some();
        let by = author.or(announced).or_else(|| holder(kind, &known).filter(|_| doc.is_none()));
        let account = account(doc);
        let gone = facts.is_none().then(|| now.plus(self.retention(known.account.as_ref())));
        let body = Known {
            about: id.to_owned(),
            account: account.or_else(|| known.account.clone()),
            untold: facts::is_news(kind, before.as_ref(), facts.as_ref(), now),
            by,
            facts,
            before,
            count: known.count + 1,
            at: Some(now),
            // What others did meanwhile is seen before it.
            announced: known.announced.filter(|it| doc.is_some() && (by_itself || it.removes)),
            purge_at: gone,
            extra: known.extra,
        };
        let mut written = Doc { id: note_id(id), rev: old.and_then(|known| known.rev.clone()), body };
        written.rev = Some(self.store.put("known", &written).await?);
        ledger.insert(id.to_owned(), written.clone());
        if written.body.untold { self.tell(kind, written, ledger).await } else { Ok(()) }
    }

    /// Writes the event, and then that it is written. Its id follows from what is noted, so that a second one is a conflict.
    async fn tell(&self, kind: Kind, mut note: Doc<Known>, ledger: &mut Ledger) -> Result<(), StoreError> {
        let known = &note.body;
        let at = known.at.unwrap_or_else(|| self.clock.now());
        let accounts = match &known.account {
            Some(account) => vec![account.clone()],
            // Of the whole installation.
            None => self.index.directory().accounts.keys().cloned().collect(),
        };
        let name = &hex::encode(Sha256::digest(known.about.as_bytes()))[..16];
        let (before, after) = (known.before.as_ref(), known.facts.as_ref());
        let reason = facts::sentence(kind, &known.about, before, after);
        for account in accounts {
            let changes: Vec<Value> = facts::changes(before, after).iter().map(facts::Change::json).collect();
            let body = json!({
                "account": account, "at": at, "act": kind.word(), "by": known.by, "reason": reason, "outcome": "saved",
                "about": facts::about(kind, &known.about), "changes": changes,
                "cause": { "source": "zerocloud.recorder", "detail-type": "DocumentEdited" },
                "purge_at": at.plus(self.retention(Some(&account))),
            });
            let id = format!("event::{account}::{at}::act::{name}::{}", known.count);
            match self.store.put("event", &Doc { id, rev: None, body }).await {
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(why) => return Err(why),
            }
        }
        let about = known.about.clone();
        note.body.untold = false;
        note.rev = Some(self.store.put("known", &note).await?);
        ledger.insert(about, note);
        Ok(())
    }

    fn retention(&self, account: Option<&AccountId>) -> i64 {
        let directory = self.index.directory();
        let layer = account.and_then(|account| directory.policies.get(&format!("policy::{account}")));
        crate::model::Policy::effective(layer).retention
    }
}

fn account(doc: Option<&Value>) -> Option<AccountId> {
    doc.and_then(|doc| doc.get("account")?.as_str()).and_then(|name| AccountId::parse(name).ok())
}

/// Tokens are revoked by their own person alone.
fn holder(kind: Kind, known: &Known) -> Option<String> {
    let user = known.facts.as_ref().and_then(|facts| facts.get("user")?.as_str());
    let user = user.filter(|_| kind == Kind::Token)?;
    Some(format!("{}.{user}", known.account.as_ref()?))
}

fn note_id(id: &str) -> String {
    format!("{PREFIX}{id}")
}

/// What is to be noted of a document that a version of that shape left, or never looked at.
fn noted(id: &str, doc: &Value, old: Option<&Doc<Known>>, shape: u64) -> Option<Doc<Known>> {
    let kind = Kind::of(id)?;
    let now = facts::facts(kind, doc);
    let Some(old) = old else {
        let body = Known { about: id.to_owned(), account: account(Some(doc)), facts: Some(now), ..Known::default() };
        return (kind.since() > shape).then(|| Doc { id: note_id(id), rev: None, body });
    };
    let complete = |facts: &Option<Facts>| facts.as_ref().map(|facts| facts::completed(kind, facts, &now, shape));
    let (facts, before) = (complete(&old.body.facts), complete(&old.body.before));
    let body = Known { facts, before, ..old.body.clone() };
    (body.facts != old.body.facts).then(|| Doc { body, ..old.clone() })
}
