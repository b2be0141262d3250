//! One revision as it travels: its members as the source wrote them, its attachments, and a fingerprint that both sides
//! must have in common. Pure; never logged, since a body may hold a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

type Members = BTreeMap<String, Box<RawValue>>;

/// A revision and its history.
pub(super) struct Revision {
    pub(super) id: String,
    pub(super) rev: String,
    /// Digests of it and its ancestors, newest first.
    pub(super) history: Vec<String>,
    /// When it expires, as the gateway writes it.
    pub(super) expiry: Option<String>,
    pub(super) deleted: bool,
    /// Name and description of each attachment, with its data in base64 where it was asked for.
    pub(super) attachments: Map<String, Value>,
    /// Everything but `_attachments` and what belongs to one gateway only.
    members: Members,
}

/// Vectors of one gateway: another one would take them for stale.
const NEVER_CARRIED: [&str; 2] = ["_cv", "_vv"];
/// What the fingerprint covers in another way, or not at all.
const SPECIAL: [&str; 5] = ["_id", "_rev", "_revisions", "_exp", "_deleted"];

impl Revision {
    /// Reads a document; `following` are the bodies of attachments that came behind it.
    ///
    /// # Errors
    /// A sentence for people, without the body.
    pub(super) fn parse(json: &[u8], following: &[Bytes]) -> Result<Revision, String> {
        let mut members: Members = serde_json::from_slice(json).map_err(|_| "is not a JSON object".to_owned())?;
        let attachments = members.remove("_attachments");
        let text = |name: &str| members.get(name).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let (Some(id), Some(rev)) = (text("_id"), text("_rev")) else { return Err("has no _id or _rev".to_owned()) };
        if members.contains_key("_removed") {
            return Err("the source withholds it".to_owned());
        }
        let expiry = text("_exp");
        let deleted = members.get("_deleted").is_some_and(|raw| raw.get() == "true");
        members.retain(|name, _| !NEVER_CARRIED.contains(&name.as_str()));
        let history = members.get("_revisions").map(|raw| history(raw.get())).unwrap_or_default();
        let attachments = attachments.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let mut revision = Revision { id, rev, history, expiry, deleted, attachments, members };
        revision.take(following)?;
        Ok(revision)
    }

    /// Puts data that came behind the document where it belongs, found by its digest: names are written in many ways.
    fn take(&mut self, following: &[Bytes]) -> Result<(), String> {
        let by_digest: BTreeMap<String, &Bytes> = following.iter().map(|data| (digest(data), data)).collect();
        for (name, meta) in &mut self.attachments {
            let Value::Object(meta) = meta else { return Err(format!("attachment {name:?} is not described")) };
            let expected = meta.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
            if meta.remove("follows").is_some() {
                let data =
                    by_digest.get(&expected).ok_or_else(|| format!("the data of {name:?} has another digest"))?;
                meta.insert("data".to_owned(), STANDARD.encode(data).into());
            } else if let Some(Value::String(data)) = meta.get("data") {
                let data = STANDARD.decode(data).map_err(|_| format!("the data of {name:?} is not base64"))?;
                if digest(&data) != expected {
                    return Err(format!("the data of {name:?} has another digest"));
                }
            }
        }
        Ok(())
    }

    /// An attachment that the source lists without having it.
    pub(super) fn hollow(&self) -> Option<&str> {
        self.attachments.iter().find(|(_, meta)| meta.get("data").is_none()).map(|(name, _)| name.as_str())
    }

    /// The document as `_bulk_docs` with `new_edits: false` takes it.
    pub(super) fn entry(&self) -> String {
        let mut out = String::from("{");
        for (name, raw) in &self.members {
            push(&mut out, name, raw.get());
        }
        if !self.attachments.is_empty() {
            let mut attachments = self.attachments.clone();
            for meta in attachments.values_mut().filter_map(Value::as_object_mut) {
                meta.retain(|name, _| !matches!(name.as_str(), "stub" | "revpos" | "ver" | "key"));
            }
            push(&mut out, "_attachments", &Value::Object(attachments).to_string());
        }
        out.push('}');
        out
    }

    /// The generation of the oldest known ancestor.
    pub(super) fn oldest_generation(&self) -> u64 {
        let length = u64::try_from(self.history.len()).unwrap_or(1);
        (generation(&self.rev) + 1).saturating_sub(length.max(1))
    }

    /// SHA-256 over id, revision, canonical body, and name, type and digest of each attachment.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut sum = Sha256::new();
        let mut add = |text: &str| {
            sum.update(text.len().to_be_bytes());
            sum.update(text.as_bytes());
        };
        add(&self.id);
        add(&self.rev);
        add(if self.deleted { "deleted" } else { "live" });
        for (name, raw) in self.members.iter().filter(|(name, _)| !SPECIAL.contains(&name.as_str())) {
            add(name);
            // Nested deeper than can be parsed: the text as it is.
            add(&serde_json::from_str(raw.get()).map_or_else(|_| raw.get().to_owned(), |value| canonical(&value)));
        }
        add("_attachments");
        let mut attachments: Vec<_> = self.attachments.iter().collect();
        attachments.sort_unstable_by_key(|(name, _)| *name);
        for (name, meta) in attachments {
            add(name);
            for key in ["content_type", "digest"] {
                add(meta.get(key).and_then(Value::as_str).unwrap_or_default());
            }
        }
        sum.finalize().into()
    }
}

/// The number before the dash.
pub(super) fn generation(rev: &str) -> u64 {
    rev.split_once('-').and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

/// The digest of an attachment as every Sync Gateway writes it.
fn digest(data: &[u8]) -> String {
    format!("sha1-{}", STANDARD.encode(sha1::Sha1::digest(data)))
}

fn history(revisions: &str) -> Vec<String> {
    let revisions: Value = serde_json::from_str(revisions).unwrap_or_default();
    let ids = revisions.get("ids").and_then(Value::as_array).into_iter().flatten();
    ids.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn push(out: &mut String, name: &str, raw: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    out.push_str(&Value::from(name).to_string());
    out.push(':');
    out.push_str(raw);
}

/// Keys sorted at every level, numbers as they stand.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            let mut out = String::from("{");
            for (name, value) in sorted {
                push(&mut out, name, &canonical(value));
            }
            out + "}"
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Revision, generation};
    use bytes::Bytes;

    fn parse(json: &str) -> Revision {
        Revision::parse(json.as_bytes(), &[]).unwrap()
    }

    #[test]
    fn bodies_travel_as_they_are_without_what_belongs_to_one_gateway() {
        let doc = parse(
            r#"{"_id":"a/é","_rev":"3-c","_cv":"1@x","_revisions":{"start":3,"ids":["c","b"]},"n":12345678901234567890,"f":1.50,"_exp":"2999-01-01T00:00:00Z","e":1e3}"#,
        );
        assert_eq!(
            doc.entry(),
            r#"{"_exp":"2999-01-01T00:00:00Z","_id":"a/é","_rev":"3-c","_revisions":{"start":3,"ids":["c","b"]},"e":1e3,"f":1.50,"n":12345678901234567890}"#
        );
        assert_eq!((doc.oldest_generation(), generation(&doc.rev), doc.history.len()), (2, 3, 2));
    }

    #[test]
    fn the_fingerprint_sees_content_and_nothing_else() {
        let one = parse(r#"{"_id":"a","_rev":"1-x","b":{"y":[1.0,"<"],"x":null},"a":1}"#).fingerprint();
        let same = [
            r#"{"a":1,"b":{"x":null,"y":[1.0,"\u003c"]},"_rev":"1-x","_id":"a","_cv":"7@y"}"#,
            r#"{"_id":"a","_rev":"1-x","_exp":"2999-01-01T00:00:00Z","b":{"y":[1.0,"<"],"x":null},"a":1}"#,
        ];
        for text in same {
            assert_eq!(parse(text).fingerprint(), one, "{text}");
        }
        let other = [
            r#"{"_id":"a","_rev":"1-x","b":{"y":[1,"<"],"x":null},"a":1}"#,
            r#"{"_id":"a","_rev":"1-y","b":{"y":[1.0,"<"],"x":null},"a":1}"#,
            r#"{"_id":"a","_rev":"1-x","_deleted":true,"b":{"y":[1.0,"<"],"x":null},"a":1}"#,
            r#"{"_id":"a","_rev":"1-x","_attachments":{"t":{"digest":"sha1-x"}},"b":{"y":[1.0,"<"],"x":null},"a":1}"#,
        ];
        for text in other {
            assert_ne!(parse(text).fingerprint(), one, "{text}");
        }
    }

    #[test]
    fn attachments_are_found_by_digest_and_damaged_ones_are_not_carried() {
        let hello = Bytes::from_static(b"hello");
        let json = r#"{"_id":"a","_rev":"1-x","_attachments":{"t \"q\"":{"content_type":"text/plain","digest":"sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=","follows":true,"length":5,"revpos":1}}}"#;
        let doc = Revision::parse(json.as_bytes(), &[Bytes::from_static(b"other"), hello]).unwrap();
        assert!(doc.entry().contains(r#""data":"aGVsbG8=""#) && !doc.entry().contains("revpos"), "{}", doc.entry());
        assert!(doc.hollow().is_none());
        assert!(Revision::parse(json.as_bytes(), &[Bytes::from_static(b"hellO")]).is_err());
        let stub = json.replace("\"follows\"", "\"stub\"");
        assert_eq!(parse(&stub).hollow(), Some("t \"q\""));
        assert!(Revision::parse(br#"{"_id":"a","_rev":"1-x","_removed":true}"#, &[]).is_err());
    }
}
