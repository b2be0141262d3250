//! Revision ids: `generation-digest`, and how a digest is made.
//! The tree of a document's revisions is in [`tree`].

pub mod tree;

use std::fmt;

use md5::{Digest as _, Md5};

use crate::json;

/// A well-formed revision id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rev {
    text: String,
    generation: u64,
}

impl Rev {
    /// Parses `3-abc`; generations start at 1.
    pub fn parse(text: &str) -> Option<Self> {
        let (generation, digest) = text.split_once('-')?;
        if digest.is_empty() || !generation.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let generation: u64 = generation.parse().ok().filter(|&number| number > 0)?;
        Some(Self { text: text.to_owned(), generation })
    }

    /// Builds `generation-digest`.
    pub fn new(generation: u64, digest: &str) -> Self {
        Self { text: format!("{generation}-{digest}"), generation }
    }

    /// The id a new revision with this canonical body gets.
    pub fn next(parent: Option<&Self>, canonical_body: &str) -> Self {
        let parent_text = parent.map_or("", |rev| rev.text.as_str());
        let mut hash = Md5::new();
        hash.update([u8::try_from(parent_text.len()).unwrap_or(u8::MAX)]);
        hash.update(parent_text.as_bytes());
        hash.update(canonical_body.as_bytes());
        let generation = parent.map_or(1, |rev| rev.generation + 1);
        Self::new(generation, &hex::encode(hash.finalize()))
    }

    /// The number in front.
    pub fn generation(&self) -> u64 {
        self.generation
    }
    /// The part behind the number.
    pub fn digest(&self) -> &str {
        self.text.split_once('-').map_or("", |(_, digest)| digest)
    }
    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The value of `_revisions`: digests newest first, without generations.
pub fn revisions_value(history: &[Rev]) -> String {
    let start = history.first().map_or(0, Rev::generation);
    let ids: Vec<String> = history.iter().map(|rev| json::quote(rev.digest())).collect();
    format!("{{\"start\":{start},\"ids\":[{}]}}", ids.join(","))
}

#[cfg(test)]
mod tests {
    use super::Rev;

    #[test]
    fn digests_match_the_reference() {
        let rev = Rev::next(None, r#"{"a":1,"channels":["A"]}"#);
        assert_eq!(rev.as_str(), "1-1b7097c8fb74c2ca1c11ac43bd87c0ed");
        assert_eq!(Rev::next(None, "{}").as_str(), "1-ca9ad22802b66f662ff171f226211d5c");
        let tombstone = Rev::next(None, r#"{"_deleted":true}"#);
        assert_eq!(tombstone.as_str(), "1-2cac91faf7b3f5e5fd56ff377bdb5466");
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in ["", "1", "1-", "-a", "0-a", "x-a", "+1-a", "1.5-a"] {
            assert!(Rev::parse(text).is_none(), "{text}");
        }
    }
}
