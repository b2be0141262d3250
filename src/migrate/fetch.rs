//! Reads revisions with `_bulk_get`, as a stream of parts: whatever breaks is asked for again, from where it broke.
//! Ids travel in bodies only, so that no gateway has to take them out of a path.

use super::document::Revision;
use super::parts::{self, Part, Parts, PartsError};
use super::side::{Side, SideError, Try};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::pin::Pin;
use tokio::time::Instant;

type Answer = Parts<Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>>;

/// How many revisions one request asks for.
pub(super) const PAGE: usize = 200;

/// What to read beside body and history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Attachments as stubs with their digests.
    Stubs,
    /// Attachments with their data.
    Whole,
}

/// What came of one wanted revision.
pub(super) enum Fetched {
    Revision(Box<Revision>),
    /// The gateway does not have that revision (any more): id and reason.
    Missing(String, String),
    /// It cannot be understood: id and reason.
    Unreadable(String, String),
}

/// Reads wanted revisions one after another.
pub(super) struct Fetch<'a> {
    side: &'a Side,
    depth: Depth,
    wanted: VecDeque<(String, String)>,
    answer: Option<Answer>,
    /// Since when nothing has come.
    silent_since: Instant,
    tried: u32,
}

impl<'a> Fetch<'a> {
    /// Of ids and revisions.
    pub(super) fn new(side: &'a Side, depth: Depth, wanted: impl IntoIterator<Item = (String, String)>) -> Fetch<'a> {
        let wanted = wanted.into_iter().collect();
        Fetch { side, depth, wanted, answer: None, silent_since: Instant::now(), tried: 0 }
    }

    /// The next one; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Fetched>, SideError> {
        while !self.wanted.is_empty() {
            let why = match self.part().await {
                Ok(Some(part)) => {
                    (self.silent_since, self.tried) = (Instant::now(), 0);
                    return Ok(Some(self.understand(part).await));
                }
                Ok(None) => self.side.unavailable("reading documents", PartsError::Short),
                Err(Broken::Large(why)) => {
                    self.answer = None;
                    let id = self.wanted.pop_front().map(|(id, _)| id).unwrap_or_default();
                    return Ok(Some(Fetched::Unreadable(id, why.to_string())));
                }
                Err(Broken::Again(why)) => why,
                Err(Broken::Failed(why)) => return Err(why),
            };
            self.answer = None;
            if self.silent_since.elapsed() >= self.side.patience() {
                return Err(why);
            }
            self.side.rest(self.tried, &why).await;
            self.tried += 1;
        }
        Ok(None)
    }

    async fn part(&mut self) -> Result<Option<Part>, Broken> {
        let mut answer = match self.answer.take() {
            Some(answer) => answer,
            None => self.open().await?,
        };
        let part = answer.next().await.map_err(|why| match why {
            PartsError::Large => Broken::Large(why),
            why => Broken::Again(self.side.unavailable("reading documents", why)),
        })?;
        self.answer = Some(answer);
        Ok(part)
    }

    async fn open(&self) -> Result<Answer, Broken> {
        let what = "reading documents";
        let docs: Vec<Value> = self.wanted.iter().map(|(id, rev)| json!({ "id": id, "rev": rev })).collect();
        let request = self.side.send_json(Method::POST, &["_bulk_get"], json!({ "docs": docs }).to_string());
        let whole = if self.depth == Depth::Whole { "true" } else { "false" };
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("accept", reqwest::header::HeaderValue::from_static("multipart/mixed, */*"));
        let request = request.headers(headers).query(&[("revs", "true"), ("show_exp", "true"), ("attachments", whole)]);
        let response = match self.side.attempt(&request, what).await {
            Try::Done(response) => response,
            Try::Again(why) => return Err(Broken::Again(why)),
            Try::Failed(why) => return Err(Broken::Failed(why)),
        };
        let media = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = media.to_owned();
        let stream: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>> = response.bytes_stream().boxed();
        Parts::new(&media, stream).map_err(|why| Broken::Failed(self.side.malformed(what, why)))
    }

    /// Parts come in the order they were asked for; one that does not say its id is the first that is still wanted.
    async fn understand(&mut self, part: Part) -> Fetched {
        let found = understood(part).await;
        let id = match &found {
            Ok(revision) => Some(&revision.id),
            Err(failure) => failure.id.as_ref(),
        };
        let place = id.and_then(|id| self.wanted.iter().position(|(wanted, _)| wanted == id)).unwrap_or(0);
        let (id, rev) = self.wanted.remove(place).unwrap_or_default();
        match found {
            Ok(revision) if revision.id != id || revision.rev != rev => {
                Fetched::Missing(id, "the gateway sent something else".to_owned())
            }
            Ok(revision) => Fetched::Revision(Box::new(revision)),
            Err(Failure { missing: true, reason, .. }) => Fetched::Missing(id, reason),
            Err(Failure { reason, .. }) => Fetched::Unreadable(id, reason),
        }
    }
}

enum Broken {
    Again(SideError),
    Failed(SideError),
    Large(PartsError),
}

struct Failure {
    id: Option<String>,
    missing: bool,
    reason: String,
}

async fn understood(part: Part) -> Result<Revision, Failure> {
    let unreadable = |reason: String| Failure { id: None, missing: false, reason };
    if part.media.starts_with("multipart/related") {
        let parts = parts::whole(&part.media, part.body).await.map_err(|why| unreadable(why.to_string()))?;
        let mut parts = parts.into_iter().map(|part| part.body);
        let document = parts.next().unwrap_or_default();
        let following: Vec<Bytes> = parts.collect();
        return Revision::parse(&document, &following).map_err(unreadable);
    }
    if part.media.contains("error=") {
        let row: Value = serde_json::from_slice(&part.body).unwrap_or_default();
        let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
        let missing = row.get("status").and_then(Value::as_u64) == Some(404);
        let reason = text("reason").or_else(|| text("error")).unwrap_or_else(|| "the gateway does not say why".into());
        return Err(Failure { id: text("id"), missing, reason });
    }
    Revision::parse(&part.body, &[]).map_err(unreadable)
}
