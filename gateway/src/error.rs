//! What an operation can answer instead of a result.
//! The status and the reason are those of the REST contract; `rest` turns them into bodies.

use std::sync::Arc;

/// Why an operation was refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Refused for a reason the caller may read.
    #[error("{status} {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Text for the `reason` member.
        reason: String,
    },
    /// The store failed: disk full, damaged file.
    #[error("the store failed")]
    Store(#[source] Arc<rusqlite::Error>),
    /// The gateway is shutting down.
    #[error("the gateway is shutting down")]
    Stopped,
}

/// The result of an operation on the gateway.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal with any status.
    pub fn refused(status: u16, reason: impl Into<String>) -> Self {
        Self::Refused { status, reason: reason.into() }
    }
    /// 400.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self::refused(400, reason)
    }
    /// 403.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::refused(403, reason)
    }
    /// 404.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::refused(404, reason)
    }
    /// 409.
    pub fn conflict(reason: impl Into<String>) -> Self {
        Self::refused(409, reason)
    }

    /// HTTP status of this error.
    pub fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } => *status,
            Self::Store(cause) if is_full(cause) => 507,
            Self::Store(_) => 500,
            Self::Stopped => 503,
        }
    }

    /// Text for the client; says nothing of the store's insides.
    pub fn reason(&self) -> String {
        match self {
            Self::Refused { reason, .. } => reason.clone(),
            Self::Store(cause) if is_full(cause) => "The disk is full or cannot be written".to_owned(),
            Self::Store(_) => "Internal error".to_owned(),
            Self::Stopped => "Shutting down".to_owned(),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Store(Arc::new(cause))
    }
}

/// A full disk, a quota, or a largest file size: the last two are told as failed writes.
fn is_full(cause: &rusqlite::Error) -> bool {
    let code = cause.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(rusqlite::ffi::SQLITE_FULL | rusqlite::ffi::SQLITE_IOERR_WRITE))
}
