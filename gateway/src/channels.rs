//! Channel and principal names, and the channels of one document over time.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Sequence with which it had come there; 0 when not known.
    #[serde(default)]
    pub since: i64,
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
    /// Sequence of the first revision; 0 when not known.
    #[serde(rename = "f", default)]
    first: i64,
    /// Since when it is in channels it joined later than that.
    #[serde(rename = "s", default, skip_serializing_if = "BTreeMap::is_empty")]
    joined: BTreeMap<String, i64>,
    /// Earlier stays in channels it left and came back to: channel, from, to.
    #[serde(rename = "h", default, skip_serializing_if = "Vec::is_empty")]
    stays: Vec<(String, i64, i64)>,
}

/// Earlier stays in one channel that are remembered.
const MOST_STAYS: usize = 5;

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
        let mut next = self.clone();
        let new = self.first == 0 && self.active.is_empty() && self.removed.is_empty();
        if new {
            next.first = seq;
        }
        for channel in active.difference(&self.active).filter(|_| !new) {
            next.joined.insert(channel.clone(), seq);
        }
        next.removed.retain(|removal| {
            let back = active.contains(&removal.channel);
            if back {
                next.stays.push((removal.channel.clone(), removal.since, removal.seq));
            }
            !back
        });
        for channel in &active {
            let stays = next.stays.iter().filter(|(name, ..)| name == channel).count();
            if stays > MOST_STAYS
                && let Some(oldest) = next.stays.iter().position(|(name, ..)| name == channel)
            {
                next.stays.remove(oldest);
            }
        }
        for channel in self.active.difference(&active) {
            let since = next.joined.remove(channel).unwrap_or(self.first);
            next.removed.push(Removal { channel: channel.clone(), since, seq, rev: rev.to_owned(), deleted });
        }
        next.active = active;
        next
    }

    /// When the document was in a channel: from, to (not included); of any channel when none is named.
    pub fn stays(&self, channel: Option<&str>) -> Vec<(i64, i64)> {
        let named = |name: &str| channel.is_none_or(|channel| channel == name);
        let now = self.active.iter().filter(|name| named(name));
        let now = now.map(|name| (self.joined.get(name).copied().unwrap_or(self.first), i64::MAX));
        let left = self.removed.iter().filter(|removal| named(&removal.channel));
        let left = left.map(|removal| (removal.since, removal.seq));
        let before = self.stays.iter().filter(|(name, ..)| named(name)).map(|(_, from, to)| (*from, *to));
        now.chain(left).chain(before).collect()
    }
}
