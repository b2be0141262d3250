//! Hooks: other systems that are told what happens in an Account.

use super::{AccountId, Extra, Time};
use serde::{Deserialize, Serialize};

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookShape {
    /// The line of the audit as JSON, with a signature.
    Signed,
    /// `{"text"}`, as Slack's incoming webhooks take it.
    Slack,
}

/// Who is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hook {
    /// Whose.
    pub account: AccountId,
    /// For people.
    pub name: String,
    /// Where to.
    pub url: String,
    /// How.
    pub shape: HookShape,
    /// What a signature is made with.
    pub secret: String,
    /// The last line that was taken, or that is passed over.
    pub after: String,
    /// Since when it fails, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// The last failure, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Hook {
    /// Documents `hook::{account}::{id}`; no channel shows them, as they hold secrets.
    pub const PREFIX: &str = "hook::";

    /// What a new hook starts after: it is told only what happens from now on.
    pub fn start(account: &AccountId, now: Time) -> String {
        format!("event::{account}::{now}")
    }
}
