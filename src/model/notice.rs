//! Notices: the outbox and its ledger. The id is the key (lease, term, kind, address), so a second one is a 409.

use super::{AccountId, Extra, LeaseKey, Time, UserId, request::lease_id};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// What a notice is about. Written as one word in ids and documents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NoticeKind {
    /// "This is yours; it ends at T."
    First,
    /// It expires in so many seconds.
    Warning(i64),
    /// It expired; grace runs.
    Expired,
    /// It was stopped and will be terminated at T.
    Stopped,
    /// It ended for good.
    Ended,
    /// It was offered to the addressee; the number tells an offer from those before it.
    Offered(u32),
    /// To admins: something needs them; the word says what (a hold's kind, `unreachable`, `over_quota`, `owner_left`).
    Admin(String),
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoticeKind::First => f.write_str("first"),
            NoticeKind::Warning(seconds) => write!(f, "warning-{seconds}"),
            NoticeKind::Expired => f.write_str("expired"),
            NoticeKind::Stopped => f.write_str("stopped"),
            NoticeKind::Ended => f.write_str("ended"),
            NoticeKind::Offered(0 | 1) => f.write_str("offered"),
            NoticeKind::Offered(number) => write!(f, "offered-{number}"),
            NoticeKind::Admin(what) => write!(f, "admin-{what}"),
        }
    }
}

impl From<NoticeKind> for String {
    fn from(kind: NoticeKind) -> String {
        kind.to_string()
    }
}

impl TryFrom<String> for NoticeKind {
    type Error = String;
    fn try_from(text: String) -> Result<NoticeKind, String> {
        match text.as_str() {
            "first" => Ok(NoticeKind::First),
            "expired" => Ok(NoticeKind::Expired),
            "stopped" => Ok(NoticeKind::Stopped),
            "ended" => Ok(NoticeKind::Ended),
            "offered" => Ok(NoticeKind::Offered(1)),
            other => {
                if let Some(seconds) = other.strip_prefix("warning-").and_then(|s| s.parse().ok()) {
                    Ok(NoticeKind::Warning(seconds))
                } else if let Some(number) = other.strip_prefix("offered-").and_then(|s| s.parse().ok()) {
                    Ok(NoticeKind::Offered(number))
                } else if let Some(what) = other.strip_prefix("admin-") {
                    Ok(NoticeKind::Admin(what.to_owned()))
                } else {
                    Err(format!("{text:?} is not a kind of notice"))
                }
            }
        }
    }
}

impl NoticeKind {
    /// Whether it tells its reader of the coming end of a running lease (SAFETY.md, invariant 2).
    pub fn announces_end(&self) -> bool {
        matches!(self, NoticeKind::First | NoticeKind::Warning(_) | NoticeKind::Expired)
    }
}

/// Where a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeStatus {
    /// To be sent.
    Queued,
    /// The mail service took it.
    Accepted,
    /// The mail service refused the address for good.
    Refused,
    /// It came back.
    Bounced,
    /// No longer true before it was sent.
    Obsolete,
}

/// A notice document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Whose Account.
    pub account: AccountId,
    /// About which lease.
    #[serde(with = "lease_id")]
    pub lease: LeaseKey,
    /// The lease's term when it was made.
    pub term: u32,
    /// What about.
    pub kind: NoticeKind,
    /// Where to.
    pub address: String,
    /// Who that is.
    pub user: UserId,
    /// Where it stands.
    pub status: NoticeStatus,
    /// When it was made.
    pub due_at: Time,
    /// How often sending failed.
    #[serde(default)]
    pub attempts: u32,
    /// Not before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// The mail service's receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// When the mail service took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Time>,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the document goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_at: Option<Time>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Notice {
    /// The document id, which is the key.
    pub fn id(&self) -> String {
        format!("notice::{}::{}::{}::{}", self.lease, self.term, self.kind, address_hash(&self.address))
    }
}

/// 16 hex digits of the SHA-256 of the address in lower case: enough to tell addresses of one lease apart.
pub fn address_hash(address: &str) -> String {
    let digest = Sha256::digest(address.trim().to_lowercase().as_bytes());
    hex::encode(&digest[..8])
}
