//! Channel and principal names, and the channels of one document over time.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Every user has it.
pub const PUBLIC: &str = "!";
/// A user with it sees everything.
pub const ALL: &str = "*";

/// Longest name of a user or role, in bytes.
const NAME_LIMIT: usize = 239;

/// Whether a channel may have this name.
pub fn is_valid(channel: &str) -> bool {
    !channel.is_empty() && !channel.contains(',')
}

/// Whether a user or a role may have this name.
pub fn is_valid_principal(name: &str) -> bool {
    name.len() <= NAME_LIMIT && !name.contains([':', ',', '/', '`']) && name.chars().any(char::is_alphanumeric)
}

/// A channel a document has left, and the revision with which it left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Channel.
    pub channel: String,
    /// Sequence of the revision that left it.
    pub seq: i64,
    /// That revision.
    pub rev: String,
    /// Whether that revision was a tombstone.
    pub deleted: bool,
}

/// Where a document is and where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocChannels {
    /// Channels of the current revision.
    #[serde(rename = "a")]
    pub active: BTreeSet<String>,
    /// Channels left; a channel is never in both.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Removal>,
}

impl DocChannels {
    /// Reads the stored text.
    pub fn decode(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Text to store.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The channels after a revision that is in `active`.
    pub fn next(&self, active: BTreeSet<String>, seq: i64, rev: &str, deleted: bool) -> Self {
        let mut removed: Vec<Removal> =
            self.removed.iter().filter(|removal| !active.contains(&removal.channel)).cloned().collect();
        for channel in self.active.difference(&active) {
            removed.push(Removal { channel: channel.clone(), seq, rev: rev.to_owned(), deleted });
        }
        Self { active, removed }
    }
}
