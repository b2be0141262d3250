//! What a gateway has acknowledged, and whether it still has it: documents, sequences, sessions, checkpoints, users.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use parking_lot::Mutex;
use serde_json::Value;

use crate::http::Client;

/// Something the gateway has answered for.
#[derive(Debug, Clone)]
pub enum Claim {
    /// A document, by its only writer.
    Doc {
        /// Document id.
        id: String,
        /// Revision.
        rev: String,
    },
    /// A change that a follower was told.
    Told {
        /// Sequence.
        seq: i64,
        /// Document id.
        id: String,
        /// Revision.
        rev: String,
    },
    /// A session that was made.
    Session(String),
    /// A session that is about to be ended.
    Ending(String),
    /// A session that was ended.
    Ended(String),
    /// A checkpoint and the number of its revision.
    Checkpoint(String, u64),
    /// A user that was made.
    User(String),
}

/// When something was acknowledged, in whatever unit the test counts.
pub type Clock = Box<dyn Fn() -> usize + Send + Sync>;

/// All claims in the order in which they were made.
pub struct Claims {
    clock: Clock,
    made: Mutex<Vec<(usize, Claim)>>,
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claims").field("made", &self.made.lock().len()).finish_non_exhaustive()
    }
}

/// What was found in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Documents.
    pub docs: usize,
    /// Changes that followers had been told.
    pub told: usize,
    /// Sessions, ended ones too.
    pub sessions: usize,
    /// Checkpoints.
    pub checkpoints: usize,
    /// Users.
    pub users: usize,
}

/// The claims of one moment, the latest of each thing.
#[derive(Default)]
struct Latest {
    docs: BTreeMap<String, String>,
    told: BTreeMap<i64, (String, String)>,
    sessions: BTreeSet<String>,
    ended: BTreeSet<String>,
    checkpoints: BTreeMap<String, u64>,
    users: BTreeSet<String>,
}

impl Claims {
    /// None yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, made: Mutex::default() }
    }

    /// Records what was just acknowledged.
    pub fn add(&self, claim: Claim) {
        let now = (self.clock)();
        self.made.lock().push((now, claim));
    }

    /// The moment of the first claim and of the last.
    pub fn span(&self) -> (usize, usize) {
        let made = self.made.lock();
        let moments = made.iter().map(|(at, _)| *at);
        (moments.clone().min().unwrap_or(0), moments.max().unwrap_or(0))
    }

    /// The last sequence that a follower was told; 0 before any.
    pub fn last_told(&self) -> i64 {
        let seq = |claim: &Claim| if let Claim::Told { seq, .. } = claim { Some(*seq) } else { None };
        self.made.lock().iter().filter_map(|(_, claim)| seq(claim)).max().unwrap_or(0)
    }

    fn latest(&self, until: usize) -> anyhow::Result<Latest> {
        let mut latest = Latest::default();
        let made = self.made.lock();
        for (_, claim) in made.iter().filter(|(at, _)| *at <= until) {
            match claim.clone() {
                Claim::Doc { id, rev } => {
                    latest.docs.insert(id, rev);
                }
                Claim::Told { seq, id, rev } => {
                    let known = latest.told.entry(seq).or_insert_with(|| (id.clone(), rev.clone()));
                    ensure!(*known == (id, rev), "sequence {seq} was told twice, with different documents");
                }
                Claim::Session(id) => {
                    latest.sessions.insert(id);
                }
                Claim::Ending(id) => {
                    latest.sessions.remove(&id);
                }
                Claim::Ended(id) => {
                    latest.ended.insert(id);
                }
                Claim::Checkpoint(id, rev) => {
                    latest.checkpoints.insert(id, rev);
                }
                Claim::User(name) => {
                    latest.users.insert(name);
                }
            }
        }
        Ok(latest)
    }

    /// Asks the gateway for everything that was acknowledged up to a moment; fails at the first thing that is missing.
    pub async fn verify(&self, admin: SocketAddr, db: &str, until: usize) -> anyhow::Result<Kept> {
        let latest = self.latest(until)?;
        let mut client = Client::connect(admin).await?;
        verify_feed(&mut client, db, &latest).await?;
        for (id, gone) in latest.sessions.iter().map(|id| (id, false)).chain(latest.ended.iter().map(|id| (id, true))) {
            let status = client.request("GET", &format!("/{db}/_session/{id}"), b"").await?.status;
            ensure!(status == if gone { 404 } else { 200 }, "session {id}, ended: {gone}, answers {status}");
        }
        for (id, rev) in &latest.checkpoints {
            let answer = client.request("GET", &format!("/{db}/_local/{id}"), b"").await?.expect(200)?.json()?;
            let found = generation(answer["_rev"].as_str().and_then(|rev| rev.split('-').nth(1)).unwrap_or_default());
            ensure!(found >= *rev, "checkpoint {id} is at {found}, {rev} was acknowledged");
        }
        for name in &latest.users {
            client.request("GET", &format!("/{db}/_user/{name}"), b"").await?.expect(200).context("a user is gone")?;
        }
        Ok(Kept {
            docs: latest.docs.len(),
            told: latest.told.len(),
            sessions: latest.sessions.len() + latest.ended.len(),
            checkpoints: latest.checkpoints.len(),
            users: latest.users.len(),
        })
    }
}

/// Documents have the acknowledged revision or a later one that was under way; sequences are whose they were.
async fn verify_feed(client: &mut Client, db: &str, latest: &Latest) -> anyhow::Result<()> {
    let feed = client.request("GET", &format!("/{db}/_changes"), b"").await?.expect(200)?.json()?;
    let mut current: BTreeMap<&str, (i64, &str)> = BTreeMap::new();
    for entry in feed["results"].as_array().context("no results")? {
        let (id, rev) = (text(&entry["id"]), text(&entry["changes"][0]["rev"]));
        let seq = entry["seq"].as_i64().context("no sequence")?;
        if let Some((told, told_rev)) = latest.told.get(&seq) {
            ensure!(told == id && told_rev == rev, "sequence {seq} was {told} {told_rev}, now it is {id} {rev}");
        }
        current.insert(id, (seq, rev));
    }
    for (id, acknowledged) in &latest.docs {
        let (_, rev) = current.get(id.as_str()).with_context(|| format!("{id} {acknowledged} is gone"))?;
        let ahead = generation(rev) > generation(acknowledged);
        ensure!(rev == acknowledged || ahead, "{id} is at {rev}, {acknowledged} was acknowledged");
    }
    for (told, (id, rev)) in &latest.told {
        let (seq, _) = current.get(id.as_str()).with_context(|| format!("{id} {rev}, told at {told}, is gone"))?;
        ensure!(seq >= told, "{id} went back from sequence {told} to {seq}");
    }
    let info = client.request("GET", &format!("/{db}/"), b"").await?.expect(200)?.json()?;
    let last = info["update_seq"].as_i64().context("no update_seq")?;
    let told = latest.told.last_key_value().map_or(0, |(seq, _)| *seq);
    ensure!(last >= told, "sequences went back from {told} to {last}");
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The number in front of a revision; 0 when there is none.
fn generation(rev: &str) -> u64 {
    rev.split('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
