//! A client that only follows the feed, through edits, grants and losses of every kind, ends with what it may read.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{PASSWORD, TestApp, send, text};

const ROUTING: &str = "function (doc) {
  if (doc._deleted) { return; }
  channel(doc.channels);
  (doc.grants || []).forEach(function (grant) { access(grant[0], grant[1]); });
  (doc.roles || []).forEach(function (grant) { role(grant[0], 'role:' + grant[1]); });
}";
const CHANNELS: &[&str] = &["A", "B", "C", "D"];
const USERS: &[&str] = &["ada", "lin"];
const ROLES: &[&str] = &["crew", "staff"];

#[derive(Default)]
struct Mirror {
    since: String,
    docs: BTreeMap<String, String>,
}

struct World {
    app: TestApp,
    chance: StdRng,
    revs: BTreeMap<String, String>,
    mirrors: BTreeMap<&'static str, Mirror>,
}

impl World {
    async fn begin(seed: u64) -> Self {
        let app = TestApp::with(json!({"sync": ROUTING})).await;
        for user in USERS {
            app.user(user, &["A"]).await;
        }
        let mirrors = USERS.iter().map(|user| (*user, Mirror { since: "0".to_owned(), ..Mirror::default() })).collect();
        Self { app, chance: StdRng::seed_from_u64(seed), revs: BTreeMap::new(), mirrors }
    }

    fn some(&mut self, from: &[&'static str], most: usize) -> Vec<&'static str> {
        let count = self.chance.random_range(0..=most);
        from.choose_multiple(&mut self.chance, count).copied().collect()
    }

    fn one(&mut self, from: &[&'static str]) -> &'static str {
        from.choose(&mut self.chance).copied().expect("not empty")
    }

    async fn put(&mut self, id: String, mut body: Value) {
        if let Some(rev) = self.revs.get(&id) {
            body["_rev"] = json!(rev);
        }
        let rev = self.app.put(&id, body).await;
        self.revs.insert(id, rev);
    }

    async fn step(&mut self) {
        match self.chance.random_range(0..20) {
            0..=7 => {
                let (id, channels) = (format!("d{}", self.chance.random_range(0..10)), self.some(CHANNELS, 2));
                self.put(id, json!({"channels": channels})).await;
            }
            8 | 9 => {
                let id = format!("d{}", self.chance.random_range(0..10));
                if let Some(rev) = self.revs.remove(&id) {
                    let request = self.app.admin(Method::DELETE, &format!("/{id}")).query(&[("rev", rev)]);
                    assert_eq!(send(request).await.0, 200);
                }
            }
            10..=12 => {
                let body = json!({"admin_channels": self.some(CHANNELS, 3), "admin_roles": self.some(ROLES, 2)});
                let path = format!("/_user/{}", self.one(USERS));
                assert_eq!(send(self.app.admin(Method::PUT, &path).json(&body)).await.0, 200);
            }
            13 | 14 => {
                let body = json!({"admin_channels": self.some(CHANNELS, 2)});
                let path = format!("/_role/{}", self.one(ROLES));
                assert!(send(self.app.admin(Method::PUT, &path).json(&body)).await.0 < 300);
            }
            15 => {
                let path = format!("/_role/{}", self.one(ROLES));
                send(self.app.admin(Method::DELETE, &path)).await;
            }
            _ => {
                let id = format!("g{}", self.chance.random_range(0..2));
                let who = self.one(&["ada", "lin", "role:crew", "role:staff"]);
                let member = (self.one(USERS), self.one(ROLES));
                let grants = json!([[who, self.some(CHANNELS, 2)]]);
                let roles = if self.chance.random() { json!([member]) } else { json!([]) };
                self.put(id, json!({"channels": [], "grants": grants, "roles": roles})).await;
            }
        }
    }

    /// Reads one page, or to the end.
    async fn pull(&mut self, user: &'static str, limit: usize, to_the_end: bool) {
        loop {
            let mirror = self.mirrors.get_mut(user).expect("a mirror");
            let query = format!("since={}&limit={limit}&revocations=true", mirror.since);
            let path = format!("/_changes?{query}");
            let (_, answer) = send(self.app.public(user, Method::GET, &path)).await;
            let entries = answer["results"].as_array().expect("entries");
            for entry in entries.iter().filter(|entry| !text(&entry["id"]).starts_with("_user/")) {
                if ["deleted", "removed", "revoked"].iter().any(|mark| entry.get(mark).is_some()) {
                    mirror.docs.remove(&text(&entry["id"]));
                } else {
                    mirror.docs.insert(text(&entry["id"]), text(&entry["changes"][0]["rev"]));
                }
            }
            if entries.is_empty() {
                return;
            }
            mirror.since = text(&answer["last_seq"]);
            if !to_the_end {
                return;
            }
        }
    }

    async fn readable(&self, user: &str) -> BTreeMap<String, String> {
        let request = self.app.client.get(format!("{}/_all_docs", self.app.public));
        let (_, answer) = send(request.basic_auth(user, Some(PASSWORD))).await;
        let rows = answer["rows"].as_array().expect("rows").iter();
        rows.map(|row| (text(&row["id"]), text(&row["value"]["rev"]))).collect()
    }
}

async fn live(seed: u64) {
    let mut world = World::begin(seed).await;
    for number in 0..120 {
        world.step().await;
        let (user, limit) = (world.one(USERS), world.chance.random_range(0..3));
        if number % 3 == 0 {
            world.pull(user, limit, false).await;
        }
        if number % 10 == 9 {
            for user in USERS {
                world.pull(user, limit, true).await;
                assert_eq!(world.mirrors[user].docs, world.readable(user).await, "seed {seed}, step {number}, {user}");
            }
        }
    }
}

#[tokio::test]
async fn a_mirror_made_of_the_feed_alone_is_what_the_user_may_read() {
    for seed in 0..5 {
        live(seed).await;
    }
}
