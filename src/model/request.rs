//! Requests: a person's wish about a lease. Created once by that person, answered once by the service.

use super::{AccountId, Extra, LeaseKey, Time, UserId};
use serde::{Deserialize, Serialize};

/// What is wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// A later end.
    Renew,
    /// The policy's expiry action, at once.
    End,
    /// Terminate, at once.
    Terminate,
    /// It belongs to somebody else.
    NotMine,
    /// Offer it to `to`.
    HandOver,
    /// Accept what was offered.
    Accept,
    /// Start it again.
    Revive,
    /// An admin's: the end that the policy gives it today.
    ApplyPolicy,
}

/// How it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is so.
    Done,
    /// It is not, for the reason given.
    Refused,
}

/// The service's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Done or refused.
    pub outcome: Outcome,
    /// For people.
    pub reason: String,
    /// The end of the lease after it (SAFETY.md: a renewal is answered with the new end).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// When it was answered.
    pub at: Time,
}

/// A request document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Whose Account.
    pub account: AccountId,
    /// Who wishes.
    pub user: UserId,
    /// About which lease; with `lease::` before it in the document.
    #[serde(with = "lease_id")]
    pub lease: LeaseKey,
    /// What.
    pub action: Wish,
    /// The wished end, for a renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// The other, for handing over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<UserId>,
    /// When the person said so, by their own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Why, for what an admin asks of others' leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The answer, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// When the document goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_at: Option<Time>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A lease key written as the lease's document id.
pub(super) mod lease_id {
    use super::LeaseKey;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(key: &LeaseKey, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&key.lease_id())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<LeaseKey, D::Error> {
        let text = String::deserialize(from)?;
        LeaseKey::parse(&text).map_err(serde::de::Error::custom)
    }
}
