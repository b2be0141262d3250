//! The `_changes` feed as a stream that never ends: it resumes where it was, reconnects with backoff and jitter, and
//! survives the gateway's restart.

use super::{Session, Store, StoreError, address, is_reserved};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;

/// One change of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where to resume after it; opaque.
    pub seq: String,
    /// The document.
    pub id: String,
    /// It was deleted.
    pub deleted: bool,
    /// Its body with `_rev`; absent for deletions.
    pub doc: Option<Value>,
}

/// What the feed says.
#[derive(Debug, Clone, PartialEq)]
pub enum Feed {
    /// A change.
    Change(Change),
    /// Everything up to now was sent. Comes again at each heartbeat.
    CaughtUp,
}

/// The gateway sends at least a line break this often; the contract's minimum.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// A feed without even a line break for this long is dead.
const SILENCE: Duration = Duration::from_mins(1);
/// The longest wait before another try.
const BACKOFF: Duration = Duration::from_secs(10);

type Lines = std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>;

struct Follow {
    store: Store,
    /// Whose feed; the service's when it is nobody's.
    session: Option<Session>,
    since: String,
    lines: Option<Lines>,
    buffer: Vec<u8>,
    failures: u32,
}

impl Store {
    /// Every change after `since` (`"0"` for all), for ever. Failures are logged and waited out.
    pub fn changes(&self, since: String) -> impl Stream<Item = Feed> + Send + use<> {
        let follow = Follow { store: self.clone(), session: None, since, lines: None, buffer: Vec::new(), failures: 0 };
        futures_util::stream::unfold(follow, |mut follow| async move {
            let item = follow.next().await;
            Some((item, follow))
        })
    }

    /// Every change after `since` that this person may see, until the connection ends.
    pub async fn changes_as(
        &self,
        session: &Session,
        since: String,
    ) -> Result<impl Stream<Item = Feed> + Send + use<>, StoreError> {
        let lines = Some(self.open_feed(&since, Some(session)).await?);
        let session = Some(session.clone());
        let follow = Follow { store: self.clone(), session, since, lines, buffer: Vec::new(), failures: 0 };
        Ok(futures_util::stream::unfold(follow, |mut follow| async move {
            loop {
                if let Some(line) = follow.line() {
                    match read(&line) {
                        Line::Empty => return Some((Feed::CaughtUp, follow)),
                        Line::Change(change) => return Some((Feed::Change(change), follow)),
                        Line::Unreadable => tracing::warn!("the feed sent a line that cannot be read; reading on"),
                    }
                    continue;
                }
                follow.more().await.ok()?;
            }
        }))
    }

    /// Where the feed stands now, as that person sees it.
    pub async fn last_seq_as(&self, session: &Session) -> Result<String, StoreError> {
        let url = address(&self.config.public_url, &self.config.database, &[])?;
        let request = self.http.get(url).header("cookie", session.cookie());
        let reply = self.send(request, "the database").await?;
        let seq = reply.body.get("update_seq").filter(|seq| seq.is_number() || seq.is_string());
        let seq = seq.ok_or_else(|| StoreError::malformed("the database", "it has no update_seq"))?;
        Ok(seq.as_str().map_or_else(|| seq.to_string(), str::to_owned))
    }

    /// At most `limit` changes after `since`, at once: what a feed that stands there has not brought yet.
    pub async fn changes_after(&self, since: &str, limit: usize) -> Result<Vec<Change>, StoreError> {
        let options = json!({ "since": since, "limit": limit, "include_docs": true });
        let request = self.http.post(self.admin(&["_changes"])?).json(&options);
        let reply = self.send(self.signed(request), "_changes").await?;
        let Some(results) = reply.body.get("results").and_then(Value::as_array) else {
            return Err(StoreError::malformed("_changes", "the answer has no results"));
        };
        let all = results.iter().map(|entry| entry.as_object().cloned().and_then(change));
        all.collect::<Option<_>>().ok_or_else(|| StoreError::malformed("_changes", "an entry cannot be read"))
    }

    async fn open_feed(&self, since: &str, session: Option<&Session>) -> Result<Lines, StoreError> {
        let options = json!({
            "feed": "continuous", "include_docs": true, "since": since,
            "heartbeat": u64::try_from(HEARTBEAT.as_millis()).unwrap_or(25_000),
        });
        let request = match session {
            None => self.signed(self.http.post(self.admin(&["_changes"])?)),
            Some(session) => {
                let url = address(&self.config.public_url, &self.config.database, &["_changes"])?;
                self.http.post(url).header("cookie", session.cookie())
            }
        };
        let request = request.json(&options);
        let response = tokio::time::timeout(SILENCE, request.send()).await;
        let response = response.map_err(StoreError::unavailable)?.map_err(StoreError::unavailable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(StoreError::unavailable(format!("the feed answered {status}")));
        }
        Ok(Box::pin(response.bytes_stream()))
    }
}

impl Follow {
    async fn next(&mut self) -> Feed {
        loop {
            if let Some(line) = self.line() {
                match read(&line) {
                    Line::Empty => return Feed::CaughtUp,
                    Line::Change(change) => {
                        self.failures = 0;
                        self.since.clone_from(&change.seq);
                        return Feed::Change(change);
                    }
                    Line::Unreadable => tracing::warn!("the feed sent a line that cannot be read; reading on"),
                }
                continue;
            }
            if let Err(why) = self.more().await {
                self.lines = None;
                self.buffer.clear();
                self.failures += 1;
                let wait = backoff(self.failures);
                tracing::warn!(%why, wait_ms = wait.as_millis(), "the feed broke; it goes on where it was");
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// The next whole line of the buffer.
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        Some(line)
    }

    async fn more(&mut self) -> Result<(), StoreError> {
        if self.lines.is_none() {
            self.lines = Some(self.store.open_feed(&self.since, self.session.as_ref()).await?);
        }
        let Some(lines) = &mut self.lines else { return Ok(()) };
        let chunk = tokio::time::timeout(SILENCE, lines.next()).await.map_err(StoreError::unavailable)?;
        let chunk = chunk.ok_or_else(|| StoreError::unavailable("the gateway closed the feed"))?;
        self.buffer.extend_from_slice(&chunk.map_err(StoreError::unavailable)?);
        Ok(())
    }
}

/// 0.1 s, doubling, at most 10 s, each by half at random so that copies do not come back together.
fn backoff(failures: u32) -> Duration {
    let full = BACKOFF.min(Duration::from_millis(100) * 2_u32.saturating_pow(failures.min(10)));
    full.mul_f64(rand::random_range(0.5..1.0))
}

enum Line {
    Empty,
    Change(Change),
    Unreadable,
}

fn read(line: &[u8]) -> Line {
    let text = line.trim_ascii();
    if text.is_empty() {
        return Line::Empty;
    }
    let Ok(Value::Object(entry)) = serde_json::from_slice::<Value>(text) else { return Line::Unreadable };
    change(entry).map_or(Line::Unreadable, Line::Change)
}

/// An entry of a feed; `None` when it is none.
fn change(mut entry: serde_json::Map<String, Value>) -> Option<Change> {
    let seq = match entry.get("seq")? {
        Value::String(seq) => seq.clone(),
        Value::Number(seq) => seq.to_string(),
        _ => return None,
    };
    let id = entry.get("id")?.as_str()?.to_owned();
    let deleted = entry.get("deleted").and_then(Value::as_bool).unwrap_or(false);
    let mut doc = entry.remove("doc").filter(|doc| doc.is_object() && !deleted);
    if let Some(Value::Object(body)) = &mut doc {
        body.retain(|name, _| !is_reserved(name) || name == "_rev");
    }
    Some(Change { seq, id, deleted, doc })
}

#[cfg(test)]
mod tests {
    use super::{Change, Line, backoff, read};
    use serde_json::json;

    #[test]
    fn lines_of_the_feed_are_read_with_numbers_and_compound_sequences() {
        for (line, seq) in [(r#"{"seq":6,"id":"a","changes":[]}"#, "6"), (r#"{"seq":"10:6","id":"a"}"#, "10:6")] {
            let Line::Change(change) = read(line.as_bytes()) else { panic!("{line}") };
            assert_eq!(change, Change { seq: seq.into(), id: "a".into(), deleted: false, doc: None });
        }
        let Line::Change(gone) = read(br#"{"seq":7,"id":"a","deleted":true,"doc":{"_deleted":true}}"#) else {
            panic!()
        };
        assert!(gone.deleted && gone.doc.is_none());
        let Line::Change(change) = read(br#"{"seq":8,"id":"a","doc":{"_id":"a","_rev":"1-x","_cv":"y","n":1}}"#) else {
            panic!()
        };
        assert_eq!(change.doc, Some(json!({"_rev": "1-x", "n": 1})));
    }

    #[test]
    fn heartbeats_are_empty_and_nonsense_is_named_so() {
        assert!(matches!(read(b""), Line::Empty) && matches!(read(b" \r"), Line::Empty));
        for bad in ["[", "[]", "{}", r#"{"seq":true,"id":"a"}"#, r#"{"seq":1}"#] {
            assert!(matches!(read(bad.as_bytes()), Line::Unreadable), "{bad}");
        }
    }

    #[test]
    fn waits_grow_to_ten_seconds() {
        assert!(backoff(1).as_millis() <= 200 && backoff(40).as_millis() <= 10_000 && backoff(40).as_millis() >= 5_000);
    }
}
