//! The Sync Gateway client. Speaks the REST contract over HTTP and cannot tell the embedded gateway from a real one. Knows
//! documents, not what a lease means.

mod change;
mod changes;
mod error;
mod people;
mod setup;

pub use changes::{Change, Feed};
pub use error::StoreError;
pub use people::Session;

use crate::model::{Doc, SCHEMA};
use error::Reply;
use reqwest::{Method, RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Where the gateway is and how to sign in there.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// People's port.
    pub public_url: String,
    /// The service's port.
    pub admin_url: String,
    /// The database.
    pub database: String,
    /// Name and password, when the admin port asks for them.
    pub admin: Option<(String, SecretString)>,
    /// Limit for one call; feeds have their own.
    pub timeout: Duration,
}

/// A client of one database. Cheap to clone; connections are pooled.
#[derive(Debug, Clone)]
pub struct Store {
    http: reqwest::Client,
    config: StoreConfig,
}

/// One row of a view.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct ViewRow {
    /// The document.
    pub id: String,
    /// What was emitted as key.
    pub key: Value,
    /// What was emitted as value.
    pub value: Value,
}

/// How many documents one page of `_all_docs` holds.
const PAGE: usize = 1_000;
/// How often a read is tried before it counts as failed.
const READS: u32 = 3;

impl Store {
    /// A client; no call is made yet.
    pub fn new(config: &StoreConfig) -> Result<Store, StoreError> {
        // A second installation in one process is the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .build()
            .map_err(StoreError::unavailable)?;
        Ok(Store { http, config: config.clone() })
    }

    /// A document, or `None` when there is none or it was deleted.
    ///
    /// # Errors
    /// `Malformed` when its body is not of the type; the others as for every call.
    pub async fn get<T: DeserializeOwned>(&self, id: &str) -> Result<Option<Doc<T>>, StoreError> {
        let url = self.admin(&[id])?;
        match self.read(&url, id).await {
            Ok(reply) => typed(untyped(id, reply.body)?).map(Some),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Writes a document by compare-and-swap: `rev` must be the one that stands there, or nothing may stand there when it
    /// is `None`. Stamps `type` and `schema`, and takes `updated_by` off: the service wrote it. Never retried: the answer to
    /// a lost first try would be a conflict of our own making.
    ///
    /// # Errors
    /// `Conflict` when another revision stands there.
    pub async fn put<T: Serialize>(&self, kind: &str, doc: &Doc<T>) -> Result<String, StoreError> {
        let mut body = stamped(kind, &doc.id, &doc.body)?;
        if let Some(rev) = &doc.rev {
            body.insert("_rev".to_owned(), rev.as_str().into());
        }
        let request = self.http.put(self.admin(&[&doc.id])?).json(&body);
        let reply = self.send(self.signed(request), &doc.id).await?;
        reply.text("rev", &doc.id)
    }

    /// Writes many, each by compare-and-swap as [`Store::put`]; one answer each, in their order.
    pub async fn put_many(&self, docs: Vec<(&str, Doc<Value>)>) -> Result<Vec<Result<String, StoreError>>, StoreError> {
        if docs.is_empty() {
            return Ok(Vec::new());
        }
        let mut bodies = Vec::new();
        for (kind, doc) in &docs {
            let mut body = stamped(kind, &doc.id, &doc.body)?;
            body.insert("_id".to_owned(), doc.id.as_str().into());
            body.extend(doc.rev.as_ref().map(|rev| ("_rev".to_owned(), rev.as_str().into())));
            bodies.push(Value::Object(body));
        }
        let request = self.http.post(self.admin(&["_bulk_docs"])?).json(&json!({ "docs": bodies }));
        let reply = self.send(self.signed(request), "_bulk_docs").await?;
        let rows = reply.body.as_array().cloned().unwrap_or_default();
        let ids = docs.iter().map(|(_, doc)| doc.id.as_str());
        Ok(ids
            .zip(rows.into_iter().chain(std::iter::repeat(Value::Null)))
            .map(|(id, row)| error::row(id, &row))
            .collect())
    }

    /// Leaves a tombstone.
    pub async fn delete(&self, id: &str, rev: &str) -> Result<(), StoreError> {
        let request = self.http.delete(self.admin(&[id])?).query(&[("rev", rev)]);
        self.send(self.signed(request), id).await.map(|_| ())
    }

    /// Leaves tombstones, each by compare-and-swap with the revision beside the id; one answer each, in their order.
    pub async fn delete_many(&self, docs: &[(&str, &str)]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        if docs.is_empty() {
            return Ok(Vec::new());
        }
        let gone = |(id, rev): &(&str, &str)| json!({ "_id": id, "_rev": rev, "_deleted": true });
        let bodies: Vec<Value> = docs.iter().map(gone).collect();
        let request = self.http.post(self.admin(&["_bulk_docs"])?).json(&json!({ "docs": bodies }));
        let reply = self.send(self.signed(request), "_bulk_docs").await?;
        let rows = reply.body.as_array().cloned().unwrap_or_default();
        let rows = rows.into_iter().chain(std::iter::repeat(Value::Null));
        Ok(docs.iter().zip(rows).map(|((id, _), row)| error::row(id, &row).map(|_| ())).collect())
    }

    /// Every document whose id starts with `prefix`, in id order, page by page.
    pub async fn prefix(&self, prefix: &str) -> Result<Vec<Doc<Value>>, StoreError> {
        let mut found = Vec::new();
        let mut from = prefix.to_owned();
        loop {
            let url = page(self.admin(&["_all_docs"])?, &from, prefix);
            let reply = self.read(&url, prefix).await?;
            match rows(&reply.body, &mut found)? {
                Some(next) => from = next,
                None => return Ok(found),
            }
        }
    }

    /// The id of every document whose id starts with `prefix`, in id order, page by page.
    pub async fn ids(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (mut found, mut from) = (Vec::new(), prefix.to_owned());
        loop {
            let mut url = self.admin(&["_all_docs"])?;
            let last = format!("{prefix}\u{10ffff}");
            url.query_pairs_mut()
                .append_pair("startkey", &Value::from(from.as_str()).to_string())
                .append_pair("endkey", &Value::from(last).to_string())
                .append_pair("limit", &PAGE.to_string());
            let reply = self.read(&url, prefix).await?;
            let rows = reply.body.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let before = found.len();
            found.extend(rows.iter().filter_map(|row| row.get("id")?.as_str().map(str::to_owned)));
            if rows.len() < PAGE || found.len() == before {
                return Ok(found);
            }
            from = found.last().map(|id| format!("{id}\0")).unwrap_or_default();
        }
    }

    /// The first `limit` ids after `from` and before `to`, in id order.
    pub async fn ids_between(&self, from: &str, to: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        // Nothing sorts between an id and itself with a NUL.
        let mut url = range(self.admin(&["_all_docs"])?, &format!("{from}\0"), to, Bodies::Without);
        url.query_pairs_mut().append_pair("limit", &limit.to_string());
        let reply = self.read(&url, from).await?;
        let rows = reply.body.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ids = rows.iter().filter_map(|row| row.get("id")?.as_str());
        Ok(ids.filter(|id| *id > from && *id < to).map(str::to_owned).collect())
    }

    /// The rows of a view, up to date with every earlier write.
    ///
    /// # Errors
    /// `NotFound` where the bucket has no view service; the follower's index answers the same questions.
    pub async fn view(&self, design: &str, view: &str, query: &[(&str, String)]) -> Result<Vec<ViewRow>, StoreError> {
        let mut url = self.admin(&["_design", design, "_view", view])?;
        url.query_pairs_mut().append_pair("stale", "false").extend_pairs(query);
        let reply = self.read(&url, view).await?;
        let rows = reply.body.get("rows").cloned().unwrap_or_default();
        serde_json::from_value(rows).map_err(|why| StoreError::malformed(view, why))
    }

    /// The body of a checkpoint, which no feed and no person sees.
    pub async fn get_local(&self, id: &str) -> Result<Option<Doc<Value>>, StoreError> {
        match self.read(&self.admin(&["_local", id])?, id).await {
            Ok(reply) => untyped(id, reply.body).map(Some),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Writes a checkpoint; `rev` as for [`Store::put`].
    pub async fn put_local(&self, doc: &Doc<Value>) -> Result<String, StoreError> {
        let mut body = doc.body.as_object().cloned().unwrap_or_default();
        body.extend(doc.rev.as_ref().map(|rev| ("_rev".to_owned(), rev.as_str().into())));
        let request = self.http.put(self.admin(&["_local", &doc.id])?).json(&body);
        self.send(self.signed(request), &doc.id).await?.text("rev", &doc.id)
    }

    /// An address below the database on the admin port; each part is one segment.
    fn admin(&self, parts: &[&str]) -> Result<Url, StoreError> {
        address(&self.config.admin_url, &self.config.database, parts)
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.config.admin {
            Some((name, password)) => request.basic_auth(name, Some(password.expose_secret())),
            None => request,
        }
    }

    /// A GET on the admin port, tried again when the gateway could not be reached or says that it is not ready.
    async fn read(&self, url: &Url, what: &str) -> Result<Reply, StoreError> {
        let mut tried = 1;
        loop {
            let request = self.signed(self.http.request(Method::GET, url.clone()));
            match self.send(request, what).await {
                Err(StoreError::Unavailable { .. }) if tried < READS => {
                    tokio::time::sleep(Duration::from_millis(100) * tried).await;
                    tried += 1;
                }
                result => return result,
            }
        }
    }

    async fn send(&self, request: RequestBuilder, what: &str) -> Result<Reply, StoreError> {
        let request = request.header("accept", "application/json").timeout(self.config.timeout);
        Reply::of(request.send().await.map_err(StoreError::unavailable)?, what).await
    }
}

/// The page of `_all_docs` that starts at `from`.
fn page(url: Url, from: &str, prefix: &str) -> Url {
    range(url, from, &format!("{prefix}\u{10ffff}"), Bodies::With)
}

/// Whether a list brings documents, page by page, or only ids, all at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bodies {
    With,
    Without,
}

fn range(mut url: Url, from: &str, to: &str, bodies: Bodies) -> Url {
    let mut query = url.query_pairs_mut();
    query.append_pair("startkey", &Value::from(from).to_string()).append_pair("endkey", &Value::from(to).to_string());
    if bodies == Bodies::With {
        query.append_pair("include_docs", "true").append_pair("limit", &PAGE.to_string());
    }
    drop(query);
    url
}

/// Takes a page of `_all_docs` in; where the next one starts, if this one was full.
fn rows(body: &Value, found: &mut Vec<Doc<Value>>) -> Result<Option<String>, StoreError> {
    let rows = body.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut next = None;
    for row in rows {
        let (Some(id), Some(doc)) = (row.get("id").and_then(Value::as_str), row.get("doc")) else { continue };
        // The next page starts after the last id: nothing sorts between an id and itself with a NUL.
        next = Some(format!("{id}\0"));
        found.push(untyped(id, doc.clone())?);
    }
    Ok(next.filter(|_| rows.len() == PAGE))
}

fn address(base: &str, database: &str, parts: &[&str]) -> Result<Url, StoreError> {
    let mut url = Url::parse(base).map_err(StoreError::unavailable)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(database).extend(parts);
        if parts.is_empty() {
            path.push("");
        }
    }
    Ok(url)
}

/// The body as it is sent: ours, with `type` and `schema`, without what only the gateway or people write.
fn stamped<T: Serialize>(kind: &str, id: &str, body: &T) -> Result<Map<String, Value>, StoreError> {
    let Value::Object(mut body) = serde_json::to_value(body).map_err(|why| StoreError::malformed(id, why))? else {
        return Err(StoreError::malformed(id, "is not an object"));
    };
    body.retain(|name, _| !is_reserved(name) && name != "updated_by");
    body.insert("type".to_owned(), kind.into());
    body.insert("schema".to_owned(), SCHEMA.into());
    Ok(body)
}

/// What the gateway adds to a body. `_cv` is a stale vector as soon as anybody else writes: never kept, never sent.
fn is_reserved(name: &str) -> bool {
    matches!(name, "_id" | "_rev" | "_cv" | "_exp" | "_attachments" | "_revisions" | "_deleted")
}

fn untyped(id: &str, body: Value) -> Result<Doc<Value>, StoreError> {
    let Value::Object(mut body) = body else { return Err(StoreError::malformed(id, "is not an object")) };
    let rev = body.get("_rev").and_then(Value::as_str).map(str::to_owned);
    body.retain(|name, _| !is_reserved(name));
    Ok(Doc { id: id.to_owned(), rev, body: Value::Object(body) })
}

fn typed<T: DeserializeOwned>(doc: Doc<Value>) -> Result<Doc<T>, StoreError> {
    let body = serde_json::from_value(doc.body).map_err(|why| StoreError::malformed(&doc.id, why))?;
    Ok(Doc { id: doc.id, rev: doc.rev, body })
}
