//! Small attachments: what a client sends with a document and what is kept of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::error::{Error, Result};
use crate::json::{self, Object};

/// Most bytes of one attachment.
const LARGEST: usize = 20 << 20;

/// One attachment in an edit.
#[derive(Debug)]
struct Item {
    name: String,
    content_type: Option<String>,
    encoding: Option<Value>,
    /// Length before the encoding, as the client has it.
    decoded_length: Option<u64>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Data {
        data: Vec<u8>,
        digest: String,
    },
    /// The client says that the parent revision has it.
    Stub,
}

/// The attachments of an edit.
#[derive(Debug, Default)]
pub struct Sent(Vec<Item>);

/// The digest as clients see it.
pub fn digest(data: &[u8]) -> String {
    format!("sha1-{}", STANDARD.encode(Sha1::digest(data)))
}

fn decode(text: &str) -> Result<Vec<u8>> {
    let data = STANDARD.decode(text).map_err(|_| Error::bad_request("Invalid attachment data"))?;
    if data.len() > LARGEST {
        return Err(Error::refused(413, "attachment too large"));
    }
    Ok(data)
}

impl Sent {
    /// Reads `_attachments`, decoding inline data.
    pub fn parse(members: Option<Object>) -> Result<Self> {
        let mut items = Vec::new();
        for (name, meta) in members.into_iter().flatten() {
            let Value::Object(meta) = meta else {
                return Err(Error::bad_request("Invalid attachment"));
            };
            let content = match meta.get("data") {
                Some(Value::String(text)) => {
                    let data = decode(text)?;
                    Content::Data { digest: digest(&data), data }
                }
                Some(_) => return Err(Error::bad_request("Invalid attachment data")),
                None if meta.get("stub") == Some(&Value::Bool(true)) => Content::Stub,
                None => return Err(Error::bad_request(format!("Missing data of attachment {name:?}"))),
            };
            items.push(Item {
                name,
                content_type: meta.get("content_type").and_then(Value::as_str).map(str::to_owned),
                encoding: meta.get("encoding").filter(|encoding| !encoding.is_null()).cloned(),
                decoded_length: meta.get("length").and_then(Value::as_u64),
                content,
            });
        }
        Ok(Self(items))
    }

    /// The stubs to keep with the revision, as text; refused when the parent has none of the name.
    pub fn stubs(&self, parent: Option<&str>, generation: u64) -> Result<Option<String>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let known = parent.map(json::parse_object).unwrap_or_default();
        let mut kept = Object::new();
        for item in &self.0 {
            let meta = match &item.content {
                Content::Data { data, digest } => item.meta(digest, data.len(), generation),
                Content::Stub => match known.get(&item.name) {
                    Some(Value::Object(meta)) => meta.clone(),
                    _ => return Err(Error::bad_request(format!("Missing data of attachment {:?}", item.name))),
                },
            };
            kept.insert(item.name.clone(), Value::Object(meta));
        }
        Ok(Some(json::canonical(&kept)))
    }

    /// Stores new data.
    pub fn store(&self, conn: &Connection, num: i64) -> Result<()> {
        for item in &self.0 {
            if let Content::Data { data, digest } = &item.content {
                let sql = "INSERT OR IGNORE INTO attachments (num, digest, data) VALUES (?1, ?2, ?3)";
                conn.prepare_cached(sql)?.execute((num, digest, data))?;
            }
        }
        Ok(())
    }
}

impl Item {
    fn meta(&self, digest: &str, length: usize, generation: u64) -> Object {
        let mut meta = Object::new();
        if let Some(content_type) = &self.content_type {
            meta.insert("content_type".to_owned(), json!(content_type));
        }
        meta.insert("digest".to_owned(), json!(digest));
        if let Some(encoding) = &self.encoding {
            meta.insert("encoding".to_owned(), encoding.clone());
            meta.insert("encoded_length".to_owned(), json!(length));
            if let Some(decoded) = self.decoded_length {
                meta.insert("length".to_owned(), json!(decoded));
            }
        } else {
            meta.insert("length".to_owned(), json!(length));
        }
        meta.insert("revpos".to_owned(), json!(generation));
        meta.insert("stub".to_owned(), Value::Bool(true));
        meta
    }
}

/// The bytes of an attachment.
pub fn load(conn: &Connection, num: i64, digest: &str) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT data FROM attachments WHERE num = ?1 AND digest = ?2";
    let row = conn.prepare_cached(sql)?.query_row((num, digest), |row| row.get(0));
    Ok(row.optional()?)
}

/// Replaces the stubs of this generation and later ones by base64 data.
pub fn inline(conn: &Connection, num: i64, atts: &str, from: u64) -> Result<String> {
    let mut members = json::parse_object(atts);
    for meta in members.values_mut().filter_map(Value::as_object_mut) {
        if let Some(data) = load_newer(conn, num, meta, from)? {
            meta.remove("stub");
            meta.insert("data".to_owned(), json!(STANDARD.encode(data)));
        }
    }
    Ok(json::canonical(&members))
}

/// The bytes of an attachment that was last changed in this generation or later.
pub fn load_newer(conn: &Connection, num: i64, meta: &Object, from: u64) -> Result<Option<Vec<u8>>> {
    if meta.get("revpos").and_then(Value::as_u64).is_some_and(|revpos| revpos < from) {
        return Ok(None);
    }
    load(conn, num, meta.get("digest").and_then(Value::as_str).unwrap_or_default())
}

/// Forgets data that no kept revision of the document refers to.
pub fn sweep(conn: &Connection, num: i64) -> Result<()> {
    let sql = "DELETE FROM attachments WHERE num = ?1
        AND NOT EXISTS (SELECT 1 FROM docs WHERE num = ?1 AND instr(atts, attachments.digest))
        AND NOT EXISTS (SELECT 1 FROM bodies WHERE num = ?1 AND instr(atts, attachments.digest))";
    conn.prepare_cached(sql)?.execute([num])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Sent;
    use crate::json;

    #[test]
    fn a_stub_keeps_what_the_parent_has_and_nothing_else() {
        let stub = || Sent::parse(Some(json::parse_object(r#"{"a":{"stub":true,"digest":"sha1-x"}}"#))).expect("valid");
        let parent = r#"{"a":{"digest":"sha1-y","revpos":1,"stub":true}}"#;
        assert_eq!(stub().stubs(Some(parent), 2).expect("known"), Some(parent.to_owned()));
        for parent in [None, Some(r#"{"b":{"digest":"sha1-x"}}"#)] {
            let refused = stub().stubs(parent, 2).expect_err("there is no data of it");
            assert_eq!(refused.status(), 400);
        }
    }
}
