//! Copies revisions in batches of bounded size. A document that the target does not take is named with its reason; it never
//! stops the others and is never left out in silence.

use super::document::{Revision, generation};
use super::fetch::{Depth, Fetch, Fetched, PAGE};
use super::inventory::{self, Inventory};
use super::report::Refusal;
use super::side::{Side, SideError};
use super::{Progress, Tell};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most documents of one batch, and most bytes unless a single document is larger.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 4 << 20;
/// How often one document of a batch is tried again when the target says that it cannot just now.
const TRIES: u32 = 6;

/// A document on its way.
struct Outgoing {
    id: String,
    rev: String,
    oldest_generation: u64,
    attachments: usize,
    entry: String,
    tried: u32,
}

impl Outgoing {
    fn new(revision: &Revision) -> Outgoing {
        Outgoing {
            entry: revision.entry(),
            oldest_generation: revision.oldest_generation(),
            attachments: revision.attachments.len(),
            id: revision.id.clone(),
            rev: revision.rev.clone(),
            tried: 0,
        }
    }
}

/// Copies, and counts.
pub(super) struct Copier<'a> {
    source: &'a Side,
    target: &'a Side,
    /// Whether a revision too old to be extended may be replaced.
    purges: bool,
    pub(super) copied: usize,
    pub(super) attachments: usize,
    /// By id.
    pub(super) refused: BTreeMap<String, Refusal>,
}

impl<'a> Copier<'a> {
    pub(super) fn new(source: &'a Side, target: &'a Side, purges: bool) -> Copier<'a> {
        Copier { source, target, purges, copied: 0, attachments: 0, refused: BTreeMap::new() }
    }

    /// Ids and revisions that the source has and the target has not, but for what it refused.
    pub(super) fn wanted(&self, from: &Inventory, to: &Inventory) -> Vec<(String, String)> {
        let refused = |id: &str, rev: &str| self.refused.get(id).is_some_and(|refusal| refusal.rev == rev);
        let differs = from.docs.iter().filter(|(id, doc)| to.docs.get(*id) != Some(doc) && !refused(id, &doc.rev));
        differs.map(|(id, doc)| (id.clone(), doc.rev.clone())).collect()
    }

    /// Copies these. What the source no longer gives has changed and comes with the next pass; in the `last` it is named.
    pub(super) async fn copy(
        &mut self,
        wanted: Vec<(String, String)>,
        last: bool,
        tell: Tell<'_>,
    ) -> Result<(), SideError> {
        let mut done = 0;
        for page in wanted.chunks(PAGE) {
            let mut fetch = Fetch::new(self.source, Depth::Whole, page.iter().cloned());
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(fetched) = fetch.next().await? {
                match fetched {
                    Fetched::Revision(revision) => {
                        if let Some(name) = revision.hollow() {
                            let why = format!("the source does not have the data of the attachment {name:?}");
                            self.refuse(&revision.id, &revision.rev, None, why);
                            continue;
                        }
                        let outgoing = Outgoing::new(&revision);
                        drop(revision);
                        if bytes + outgoing.entry.len() > BATCH_BYTES || batch.len() == BATCH {
                            self.write(std::mem::take(&mut batch)).await?;
                            bytes = 0;
                        }
                        bytes += outgoing.entry.len();
                        batch.push(outgoing);
                    }
                    Fetched::Missing(id, why) if last => self.unread(page, &id, &why),
                    Fetched::Missing(..) => {}
                    Fetched::Unreadable(id, why) => self.unread(page, &id, &why),
                }
                done += 1;
                tell(Progress::At(done));
            }
            self.write(batch).await?;
        }
        Ok(())
    }

    fn unread(&mut self, page: &[(String, String)], id: &str, why: &str) {
        let rev = page.iter().find(|(wanted, _)| wanted == id).map(|(_, rev)| rev.as_str()).unwrap_or_default();
        self.refuse(id, rev, None, format!("the source does not give it: {why}"));
    }

    fn refuse(&mut self, id: &str, rev: &str, status: Option<u16>, reason: String) {
        let refusal = Refusal { id: id.to_owned(), rev: rev.to_owned(), status, reason };
        self.refused.insert(id.to_owned(), refusal);
    }

    /// Writes a batch; one that is refused as a whole is halved until the document that is to blame stands alone.
    async fn write(&mut self, batch: Vec<Outgoing>) -> Result<(), SideError> {
        let mut open = vec![batch];
        while let Some(mut batch) = open.pop() {
            if batch.is_empty() {
                continue;
            }
            match self.send(&batch).await {
                Ok(mut rows) => {
                    let mut again = Vec::new();
                    for outgoing in batch {
                        let row = rows.remove(&outgoing.id).unwrap_or_default();
                        again.extend(self.judge(outgoing, &row).await?);
                    }
                    open.push(again);
                }
                Err(why) if self.is_fatal(&why).await => return Err(why),
                Err(why) if batch.len() == 1 => {
                    let only = batch.remove(0);
                    self.refuse(&only.id, &only.rev, why.status(), reason(&why));
                }
                Err(_) => {
                    let second = batch.split_off(batch.len() / 2);
                    open.extend([second, batch]);
                }
            }
        }
        Ok(())
    }

    async fn send(&self, batch: &[Outgoing]) -> Result<BTreeMap<String, Value>, SideError> {
        let entries: Vec<&str> = batch.iter().map(|outgoing| outgoing.entry.as_str()).collect();
        let body = format!("{{\"new_edits\":false,\"docs\":[{}]}}", entries.join(","));
        let what = "writing documents";
        let answer = self.target.call(self.target.send_json(Method::POST, &["_bulk_docs"], body), what).await?;
        let rows: Vec<Value> = serde_json::from_slice(&answer).map_err(|why| self.target.malformed(what, why))?;
        let named = rows.into_iter().filter_map(|row| Some((row.get("id")?.as_str()?.to_owned(), row)));
        Ok(named.collect())
    }

    /// Whether there is no point in going on: no permission, no database, or nobody there. A target that answers otherwise
    /// but breaks the connection over one batch does not like something in it, its size for instance.
    async fn is_fatal(&self, why: &SideError) -> bool {
        match why {
            SideError::Refused { status, .. } => matches!(status, 401 | 403 | 404),
            SideError::Unavailable { .. } => self.target.read::<Value>(&[""]).await.is_err(),
            SideError::Malformed { .. } => true,
        }
    }

    /// What one row says; gives the document back when it is to be sent again.
    async fn judge(&mut self, mut outgoing: Outgoing, row: &Value) -> Result<Option<Outgoing>, SideError> {
        let error = row.get("error").is_some();
        if !error && row.get("rev").is_some() {
            self.count(&outgoing);
            return Ok(None);
        }
        let status = row.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
        let why = row.get("reason").and_then(Value::as_str).unwrap_or("the gateway gave no answer for it").to_owned();
        outgoing.tried += 1;
        if outgoing.tried <= TRIES && matches!(status, Some(429 | 502..=504)) {
            self.target.rest(outgoing.tried, &self.target.unavailable("writing documents", why)).await;
            return Ok(Some(outgoing));
        }
        if status == Some(409) {
            return self.conflict(outgoing, why).await;
        }
        self.refuse(&outgoing.id, &outgoing.rev, status, why);
        Ok(None)
    }

    fn count(&mut self, outgoing: &Outgoing) {
        self.copied += 1;
        self.attachments += outgoing.attachments;
        self.refused.remove(&outgoing.id);
    }

    /// Another revision stands there. One that an earlier run left so long ago that the source has forgotten it cannot be
    /// extended: it is replaced. Anything else was written by somebody else, and stays.
    async fn conflict(&mut self, outgoing: Outgoing, why: String) -> Result<Option<Outgoing>, SideError> {
        let stands = inventory::one(self.target, &outgoing.id).await?;
        match stands {
            Some(current) if current.rev == outgoing.rev => self.count(&outgoing),
            Some(current)
                if self.purges && outgoing.tried <= 1 && generation(&current.rev) < outgoing.oldest_generation =>
            {
                let mut body = json!({});
                body[&outgoing.id] = json!(["*"]);
                let request = self.target.send_json(Method::POST, &["_purge"], body.to_string());
                self.target.call(request, "replacing an old revision").await?;
                return Ok(Some(outgoing));
            }
            current => {
                let there = current.map(|current| format!("; {} stands there", current.rev)).unwrap_or_default();
                self.refuse(&outgoing.id, &outgoing.rev, Some(409), why + &there);
            }
        }
        Ok(None)
    }
}

fn reason(why: &SideError) -> String {
    match why {
        SideError::Refused { reason, .. } if !reason.is_empty() => reason.clone(),
        other => format!("{:#}", anyhow::anyhow!(other.to_string())),
    }
}
