//! Writers and a follower that keep a gateway busy and note what it acknowledges.
//! Each writer has documents of its own, so that the order of its acknowledgements is the order of the revisions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::claims::{Claim, Claims};
use crate::http::Client;
use crate::lease;

/// Documents that each writer goes on editing.
const KEPT: usize = 40;
/// Documents in a bulk write.
const BULK: usize = 10;

/// What to load, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Admin port.
    pub admin: SocketAddr,
    /// Database, made by [`create`].
    pub db: String,
    /// Writers at once.
    pub writers: usize,
    /// Decides what each writer does.
    pub seed: u64,
    /// A name that differs from round to round.
    pub round: u64,
}

/// Makes the database, a user, and a view.
pub async fn create(admin: SocketAddr, db: &str) -> anyhow::Result<()> {
    let mut client = Client::connect(admin).await?;
    let config = json!({"sync": lease::SYNC, "old_rev_expiry_seconds": 5}).to_string();
    client.request("PUT", &format!("/{db}/"), config.as_bytes()).await?.expect(201)?;
    let user = json!({"password": "letmein", "admin_channels": [lease::channel(1)]}).to_string();
    client.request("PUT", &format!("/{db}/_user/ada"), user.as_bytes()).await?.expect(201)?;
    let design = json!({"views": {"by_owner": {"map": lease::MAP}}}).to_string();
    client.request("PUT", &format!("/{db}/_design/leases"), design.as_bytes()).await?.expect(201)?;
    Ok(())
}

/// Runs all writers and the follower until `stop`, or until the gateway is gone, which is no failure.
pub async fn run(plan: Plan, claims: Arc<Claims>, stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for number in 0..plan.writers {
        let (plan, claims, stop) = (plan.clone(), Arc::clone(&claims), Arc::clone(&stop));
        tasks.spawn(async move {
            let Ok(client) = Client::connect(plan.admin).await else { return Ok(()) };
            let random = StdRng::seed_from_u64(plan.seed ^ (plan.round << 16) ^ number as u64);
            let mut writer = Writer { client, plan, claims, random, number, made: 0 };
            while !stop.load(Ordering::Relaxed) {
                match writer.step().await {
                    Ok(()) => {}
                    Err(error) if is_gone(&error) => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
    }
    let mut followers = JoinSet::new();
    followers.spawn(follow(plan.clone(), Arc::clone(&claims)));
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    followers.shutdown().await;
    Ok(())
}

/// Whether the connection broke.
fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some() || error.to_string().contains("connection was closed")
}

async fn follow(plan: Plan, claims: Arc<Claims>) -> anyhow::Result<()> {
    let client = Client::connect(plan.admin).await?;
    let since = claims.last_told();
    let mut feed = client.follow(&format!("/{}/_changes?feed=continuous&since={since}", plan.db)).await?;
    loop {
        let entry: Value = serde_json::from_slice(feed.next().await?)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let seq = entry["seq"].as_i64().context("no sequence")?;
        claims.add(Claim::Told { seq, id: text(&entry["id"]), rev: text(&entry["changes"][0]["rev"]) });
    }
}

struct Writer {
    client: Client,
    plan: Plan,
    claims: Arc<Claims>,
    random: StdRng,
    number: usize,
    made: usize,
}

impl Writer {
    async fn step(&mut self) -> anyhow::Result<()> {
        match self.random.random_range(0..100) {
            0..70 => self.edit().await,
            70..80 => self.bulk().await,
            80..86 => self.checkpoint().await,
            86..92 => self.session().await,
            92..95 => self.user().await,
            _ => self.view().await,
        }
    }

    /// Creates, changes or deletes one of the writer's documents.
    async fn edit(&mut self) -> anyhow::Result<()> {
        let id = format!("w{}-{}", self.number, self.random.random_range(0..KEPT));
        let path = format!("/{}/{id}", self.plan.db);
        let known = self.client.request("GET", &path, b"").await?;
        let rev = match known.status {
            200 => known.json()?["_rev"].as_str().map(str::to_owned),
            404 => None,
            other => bail!("reading {id}: {other}"),
        };
        let answer = if rev.is_some() && self.random.random_ratio(1, 8) {
            let path = format!("{path}?rev={}", rev.unwrap_or_default());
            self.client.request("DELETE", &path, b"").await?.expect(200)?
        } else {
            let mut doc: Value = serde_json::from_str(&lease::text(self.random.random_range(0..1000)))?;
            doc["expires_at"] = json!("2027-01-01T00:00:00Z");
            if let Some(rev) = rev {
                doc["_rev"] = json!(rev);
            }
            self.client.request("PUT", &path, doc.to_string().as_bytes()).await?.expect(201)?
        };
        self.acknowledged(&answer.json()?)
    }

    fn acknowledged(&self, row: &Value) -> anyhow::Result<()> {
        let text = |key: &str| row[key].as_str().map(str::to_owned);
        let (id, rev) = text("id").zip(text("rev")).with_context(|| format!("not acknowledged: {row}"))?;
        self.claims.add(Claim::Doc { id, rev });
        Ok(())
    }

    async fn bulk(&mut self) -> anyhow::Result<()> {
        let mut docs = Vec::new();
        for _ in 0..BULK {
            self.made += 1;
            let mut doc: Value = serde_json::from_str(&lease::text(self.made))?;
            doc["_id"] = json!(format!("b{}-{}-{}", self.plan.round, self.number, self.made));
            docs.push(doc);
        }
        let body = json!({"docs": docs}).to_string();
        let path = format!("/{}/_bulk_docs", self.plan.db);
        let rows = self.client.request("POST", &path, body.as_bytes()).await?.expect(201)?.json()?;
        rows.as_array().context("no rows")?.iter().try_for_each(|row| self.acknowledged(row))
    }

    async fn checkpoint(&mut self) -> anyhow::Result<()> {
        let id = format!("c{}", self.number);
        let path = format!("/{}/_local/{id}", self.plan.db);
        let known = self.client.request("GET", &path, b"").await?;
        let body = match known.status {
            200 => json!({"_rev": known.json()?["_rev"], "seq": "7"}),
            _ => json!({"seq": "1"}),
        };
        let answer = self.client.request("PUT", &path, body.to_string().as_bytes()).await?.expect(201)?.json()?;
        let rev = answer["rev"].as_str().and_then(|rev| rev.strip_prefix("0-")).context("no revision")?;
        self.claims.add(Claim::Checkpoint(id, rev.parse()?));
        Ok(())
    }

    /// Makes a session, and ends every third one.
    async fn session(&mut self) -> anyhow::Result<()> {
        let body = json!({"name": "ada", "ttl": 86400}).to_string();
        let path = format!("/{}/_session", self.plan.db);
        let answer = self.client.request("POST", &path, body.as_bytes()).await?.expect(200)?.json()?;
        let id = answer["session_id"].as_str().context("no session")?.to_owned();
        self.claims.add(Claim::Session(id.clone()));
        if self.random.random_ratio(1, 3) {
            self.claims.add(Claim::Ending(id.clone()));
            self.client.request("DELETE", &format!("{path}/{id}"), b"").await?.expect(200)?;
            self.claims.add(Claim::Ended(id));
        }
        Ok(())
    }

    async fn user(&mut self) -> anyhow::Result<()> {
        self.made += 1;
        let name = format!("u{}-{}-{}", self.plan.round, self.number, self.made);
        let body = json!({"password": "letmein", "admin_channels": ["A"]}).to_string();
        let path = format!("/{}/_user/{name}", self.plan.db);
        self.client.request("PUT", &path, body.as_bytes()).await?.expect(201)?;
        self.claims.add(Claim::User(name));
        Ok(())
    }

    /// Brings the index up to date.
    async fn view(&mut self) -> anyhow::Result<()> {
        let path = format!("/{}/_design/leases/_view/by_owner?limit=1", self.plan.db);
        self.client.request("GET", &path, b"").await?.expect(200)?;
        Ok(())
    }
}
