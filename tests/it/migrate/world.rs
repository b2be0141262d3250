//! Databases to be moved, and calls on a gateway's admin port.

use crate::gateway::Running;
use base64::Engine as _;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use zerocloud::migrate::{Options, Place, Plan, Report};

/// Routes by `channels`, refuses what says so, counts an expiry from the moment of writing where asked.
pub const SYNC: &str = "function (doc, oldDoc) { if (doc.poison) throw({forbidden: 'poison'}); channel(doc.channels); \
    if (doc.grant) access(doc.grant, doc.channels); }";

/// A client that does not wait for ever.
pub fn client() -> reqwest::Client {
    // A second installation in one process is the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap()
}

/// A gateway, and calls on its admin port.
pub struct Gateway {
    pub running: Running,
    http: reqwest::Client,
}

impl Gateway {
    pub async fn start(data: &Path) -> Gateway {
        let running = Running::start(data).await;
        Gateway { running, http: client() }
    }

    /// The database's address on the admin port.
    pub fn url(&self) -> String {
        format!("{}/zerocloud", self.running.admin)
    }

    /// One call; status and body.
    pub async fn call(&self, method: Method, path: &str, body: Option<&str>) -> (u16, String) {
        let mut request =
            self.http.request(method, format!("{}{path}", self.url())).header("accept", "application/json");
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// One call that succeeds with JSON or nothing.
    pub async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, text) = self.call(method, path, body.map(Value::to_string).as_deref()).await;
        assert!(status < 300, "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.json(Method::PUT, path, Some(&body)).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.json(Method::GET, path, None).await
    }

    /// Writes many; answers their revisions.
    pub async fn bulk(&self, docs: Vec<Value>) -> Vec<String> {
        let rows = self.json(Method::POST, "/_bulk_docs", Some(&json!({ "docs": docs }))).await;
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["rev"].as_str().unwrap_or_else(|| panic!("{row}")).to_owned()).collect()
    }

    /// A database with so many small documents.
    pub async fn fill(&self, count: usize) {
        self.put("/", json!({ "bucket": "zerocloud", "sync": SYNC, "revs_limit": 20 })).await;
        self.bulk((0..count).map(|n| json!({ "_id": format!("doc-{n:05}"), "n": n })).collect()).await;
    }
}

pub fn options(from: &str, to: &str) -> Options {
    let place = |url: &str| Place { url: url.to_owned(), login: None };
    Options { from: place(from), to: place(to), designs: vec!["leases".to_owned()], patience: Duration::from_secs(20) }
}

/// Looks and runs.
pub async fn migrate(from: &str, to: &str) -> anyhow::Result<Report> {
    Plan::look(&options(from, to)).await?.run(&|_| {}).await
}

/// Data that no text encoding survives.
pub fn blob(seed: usize, length: usize) -> String {
    let bytes: Vec<u8> = (0..length).map(|n| u8::try_from((n * 31 + seed * 7) % 256).unwrap()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Ids that paths, boundaries and sort orders do not like.
pub const IDS: [&str; 10] = [
    "a/b/c",
    "100%",
    "100%25",
    "q?x=1&y=2#z",
    "lease::111122223333::eu-west-1::i-0a",
    "naïve",
    "日本語",
    "😀 smile",
    "\"quoted\\\"",
    " blank ",
];

/// Everything a database may hold, in a few thousand documents.
pub async fn everything(gateway: &Gateway) {
    let config = json!({
        "bucket": "zerocloud", "sync": SYNC, "revs_limit": 30, "old_rev_expiry_seconds": 120,
        "cors": { "origin": ["https://bigdb.example"] }, "session_cookie_name": "Bigdb", "import_docs": true,
    });
    gateway.put("/", config).await;
    let doc = |n: usize| {
        let mut doc =
            json!({ "_id": format!("doc-{n:05}"), "n": n, "channels": [format!("c{}", n % 7)], "text": "<&>\u{2028}" });
        if n.is_multiple_of(50) {
            doc["_attachments"] = json!({
                "small.txt": { "content_type": "text/plain", "data": blob(n, 12) },
                "Größe \"x\".bin": { "content_type": "application/octet-stream", "data": blob(n, 3_000) },
            });
        }
        if n.is_multiple_of(40) {
            doc["_exp"] = json!("2999-01-01T00:00:00Z");
        }
        doc
    };
    let mut revs = Vec::new();
    for first in (0..2_400).step_by(400) {
        revs.extend(gateway.bulk((first..first + 400).map(doc).collect()).await);
    }
    let dead = (0..2_400).filter(|n| n % 8 == 3);
    let dead = dead.map(|n| json!({ "_id": format!("doc-{n:05}"), "_rev": revs[n], "_deleted": true }));
    gateway.bulk(dead.collect()).await;
    // One that was deleted and made again, one large, one with more history than is kept.
    gateway.bulk(vec![json!({ "_id": "doc-00003", "again": true })]).await;
    gateway.bulk(vec![json!({ "_id": "large", "text": "x".repeat(3 << 20), "_attachments": { "a": { "data": blob(1, 2 << 20) } } })]).await;
    gateway.bulk(IDS.iter().map(|id| json!({ "_id": id, "channels": "odd" })).collect()).await;
    let mut rev = None;
    for n in 0..70 {
        let mut doc = json!({ "_id": "busy", "n": n });
        if let Some(rev) = &rev {
            doc["_rev"] = json!(rev);
        }
        rev = gateway.bulk(vec![doc]).await.pop();
    }
    let numbers = r#"{"big":12345678901234567890123,"exact":1.50,"power":1e3,"minus":-0,"deep":DEEP}"#;
    let numbers = numbers.replace("DEEP", &format!("{}{}", "[".repeat(90), "]".repeat(90)));
    assert_eq!(gateway.call(Method::PUT, "/numbers", Some(&numbers)).await.0, 201);
    people(gateway).await;
}

async fn people(gateway: &Gateway) {
    gateway.put("/_role/admin-bigdb", json!({ "admin_channels": ["c1", "c2"] })).await;
    gateway.put("/_role/empty", json!({})).await;
    let ada = json!({ "password": "ada-password", "admin_roles": ["admin-bigdb"], "admin_channels": ["c3"], "email": "ada@bigdb.com" });
    gateway.put("/_user/bigdb.ada", ada).await;
    gateway.put("/_user/bigdb.lin", json!({ "password": "lin-password", "disabled": true })).await;
    gateway.put("/_user/max%20%C3%A9", json!({ "password": "max-password", "admin_channels": [] })).await;
    gateway.put("/_user/GUEST", json!({ "disabled": false, "admin_channels": ["odd"] })).await;
    gateway.put("/granting", json!({ "grant": "max é", "channels": ["c4"] })).await;
    let design = json!({ "language": "javascript", "views": { "by_n": { "map": "function (doc, meta) { emit(doc.n, null); }", "reduce": "_count" } } });
    gateway.put("/_design/leases", design).await;
    gateway.put("/_local/checkpoint", json!({ "last": 7 })).await;
}
