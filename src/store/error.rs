//! What can go wrong with a call, as far as a caller branches on it.

use reqwest::{Response, StatusCode};
use serde_json::Value;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call to the gateway failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another revision stands there: read again and decide again.
    #[error("{id} was changed by somebody else")]
    Conflict {
        /// The document.
        id: String,
    },
    /// There is no such thing.
    #[error("{id} does not exist")]
    NotFound {
        /// The document.
        id: String,
    },
    /// There is no such database, so nothing is known of any document in it.
    #[error("the gateway has no such database ({id} was asked for)")]
    NoDatabase {
        /// What was asked for.
        id: String,
    },
    /// The gateway says no, for good.
    #[error("the gateway refused {id}: {status} {reason}")]
    Refused {
        /// The document.
        id: String,
        /// HTTP status.
        status: u16,
        /// The gateway's reason.
        reason: String,
    },
    /// It could not be reached, or is not ready; the outcome of a write is unknown.
    #[error("the gateway cannot be reached")]
    Unavailable {
        /// What failed.
        #[source]
        cause: Cause,
    },
    /// A document or an answer that cannot be read.
    #[error("{id} cannot be read: {reason}")]
    Malformed {
        /// The document.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    pub(super) fn unavailable(cause: impl Into<Cause>) -> StoreError {
        StoreError::Unavailable { cause: cause.into() }
    }

    pub(super) fn malformed(id: &str, reason: impl std::fmt::Display) -> StoreError {
        StoreError::Malformed { id: id.to_owned(), reason: reason.to_string() }
    }
}

/// An answer that was no error.
#[derive(Debug)]
pub(super) struct Reply {
    /// Its body; null when it is empty.
    pub(super) body: Value,
    /// The session cookie, if it set one.
    pub(super) status: StatusCode,
}

impl Reply {
    pub(super) async fn of(response: Response, what: &str) -> Result<Reply, StoreError> {
        let status = response.status();
        let bytes = response.bytes().await.map_err(StoreError::unavailable)?;
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            if !bytes.is_empty() && body == Value::Null {
                return Err(StoreError::malformed(what, "the answer is not JSON"));
            }
            return Ok(Reply { body, status });
        }
        let reason = body.get("reason").and_then(Value::as_str).unwrap_or_default();
        Err(failure(what, status.as_u16(), reason))
    }

    /// A text of the answer.
    pub(super) fn text(&self, name: &str, what: &str) -> Result<String, StoreError> {
        let text = self.body.get(name).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| StoreError::malformed(what, format!("the answer ({}) has no {name}", self.status)))
    }
}

/// One row of `_bulk_docs`: the new revision, or why there is none.
pub(super) fn row(id: &str, row: &Value) -> Result<String, StoreError> {
    if let Some(rev) = row.get("rev").and_then(Value::as_str) {
        return Ok(rev.to_owned());
    }
    let status = row.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    let Some(status) = status else { return Err(StoreError::malformed(id, "the gateway gave no answer for it")) };
    Err(failure(id, status, row.get("reason").and_then(Value::as_str).unwrap_or_default()))
}

fn failure(id: &str, status: u16, reason: &str) -> StoreError {
    let id = id.to_owned();
    match status {
        404 if reason.starts_with("no such database") => StoreError::NoDatabase { id },
        404 => StoreError::NotFound { id },
        409 => StoreError::Conflict { id },
        502..=504 => StoreError::unavailable(format!("{status} {reason}")),
        _ => StoreError::Refused { id, status, reason: reason.to_owned() },
    }
}
