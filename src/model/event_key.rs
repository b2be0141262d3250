//! Event keys: what an API destination of EventBridge sends, so that its posts count. Only a hash of each is stored.

use super::{AccountId, AwsId, Extra, Time, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A key, without the key itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventKey {
    /// Whose.
    pub account: AccountId,
    /// The AWS account on whose page it stands: where the API destination is.
    pub aws_id: AwsId,
    /// The AWS accounts whose events it may bring: that one, or those that forward their events to its bus.
    pub speaks_for: Vec<AwsId>,
    /// What it is for, in somebody's words.
    #[serde(default)]
    pub name: String,
    /// SHA-256 of the key, in hex.
    pub hash: String,
    /// Since when.
    pub created: Time,
    /// Who made it.
    pub made_by: UserId,
    /// Of no use from then on: another has taken its place. Absent: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// When the document goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_at: Option<Time>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

impl EventKey {
    /// Documents `event_key::{account}::{aws_id}::{name of the key}`; no channel shows them.
    pub const PREFIX: &str = "event_key::";
    /// What every key begins with, so that scanners of source code know it.
    const MARK: &str = "zce_";

    /// The key itself, of its name (hex) and 256 random bits as text.
    pub fn compose(name: &str, random: &str) -> String {
        format!("{}{name}_{random}", EventKey::MARK)
    }

    /// The name in a key, by which its document is found; `None` for what is no key.
    pub fn name_in(key: &str) -> Option<&str> {
        let (name, random) = key.strip_prefix(EventKey::MARK)?.split_once('_')?;
        let fine = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) && random.len() >= 40;
        fine.then_some(name)
    }

    /// The hash that stands in the document.
    pub fn hash_of(key: &str) -> String {
        hex::encode(Sha256::digest(key.as_bytes()))
    }

    /// The id of the document.
    pub fn doc_id(&self, name: &str) -> String {
        format!("{}{}::{}::{name}", EventKey::PREFIX, self.account, self.aws_id)
    }

    /// Whether it counts at that time.
    pub fn is_good(&self, now: Time) -> bool {
        self.expires.is_none_or(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use super::EventKey;

    #[test]
    fn a_key_names_its_document_and_what_is_no_key_names_none() {
        let random = "x".repeat(43);
        let key = EventKey::compose("0123456789abcdef", &random);
        assert_eq!(EventKey::name_in(&key), Some("0123456789abcdef"));
        for no in ["", "zce_", "zce_0123456789abcdef", "zce_0123456789abcdef_short", "zcp_0123456789abcdef_", &random] {
            assert_eq!(EventKey::name_in(no), None, "{no}");
        }
        assert_eq!(EventKey::name_in(&format!("zce_0123456789abcde::_{random}")), None);
        assert_eq!(EventKey::hash_of(&key).len(), 64);
    }
}
