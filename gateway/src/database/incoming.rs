//! A document as a client sends it: the special members taken out and checked.

use serde_json::Value;

use super::attachments::Sent;
use super::write::{Edit, Target};
use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::revs::Rev;
use crate::script::Expiry;

const LONGEST_ID: usize = 250;
/// Most bytes of a document's body.
pub(super) const LARGEST_BODY: usize = 20 << 20;

/// A document without its special members, and those.
#[derive(Debug)]
pub struct Incoming {
    /// `_id`, if any.
    pub id: Option<Value>,
    body: Object,
    deleted: bool,
    rev: Option<Rev>,
    revisions: Option<Value>,
    attachments: Option<Object>,
    exp: Option<Expiry>,
}

impl Incoming {
    /// Takes the special members out.
    pub fn parse(mut body: Object) -> Result<Self> {
        refuse_reserved(&body)?;
        let id = body.remove("_id");
        let rev = match body.remove("_rev") {
            None => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => Some(parse_rev(&text)?),
            Some(_) => return Err(Error::bad_request("_rev property must be a string")),
        };
        let deleted = match body.remove("_deleted") {
            None => false,
            Some(value) => value == Value::Bool(true),
        };
        let exp = match body.remove("_exp") {
            None | Some(Value::Null) => None,
            Some(value) => Some(Expiry::parse(&value).ok_or_else(|| Error::bad_request("Invalid _exp"))?),
        };
        let attachments = match body.remove("_attachments") {
            None | Some(Value::Null) => None,
            Some(Value::Object(attachments)) => Some(attachments),
            Some(_) => return Err(Error::bad_request("Invalid _attachments")),
        };
        let revisions = body.remove("_revisions");
        body.remove("_cv");
        Ok(Self { id, body, deleted, rev, revisions, attachments, exp })
    }

    /// Makes it a tombstone without properties.
    pub fn tombstone() -> Self {
        Self { id: None, body: Object::new(), deleted: true, rev: None, revisions: None, attachments: None, exp: None }
    }

    /// An ordinary edit on top of the given parent; `outer` is `?rev=` or `If-Match`.
    pub fn into_edit(mut self, id: &str, outer: Option<Rev>) -> Result<Edit> {
        let parent = match (outer, self.rev.take()) {
            (Some(outer), Some(inner)) if outer != inner => {
                return Err(Error::bad_request("Revision IDs provided do not match"));
            }
            (outer, inner) => outer.or(inner),
        };
        self.finish(id, Target::Next { parent })
    }

    /// A replicated revision with its history.
    pub fn into_replicated(mut self, id: &str) -> Result<Edit> {
        let history = self.history().ok_or_else(|| Error::bad_request("Bad _revisions"))?;
        self.rev = None;
        self.finish(id, Target::Given { history })
    }

    fn history(&self) -> Option<Vec<Rev>> {
        let Some(revisions) = &self.revisions else {
            return self.rev.clone().map(|rev| vec![rev]);
        };
        let start = revisions.get("start")?.as_u64()?;
        let ids = revisions.get("ids")?.as_array()?;
        let length = u64::try_from(ids.len()).ok()?;
        if ids.is_empty() || start < length {
            return None;
        }
        let mut history = Vec::with_capacity(ids.len());
        for (generation, digest) in (1..=start).rev().zip(ids) {
            let digest = digest.as_str().filter(|digest| !digest.is_empty())?;
            history.push(Rev::new(generation, digest));
        }
        Some(history)
    }

    fn finish(mut self, id: &str, target: Target) -> Result<Edit> {
        check_id(id)?;
        if self.deleted {
            self.body.insert("_deleted".to_owned(), Value::Bool(true));
        }
        let canonical = json::canonical(&self.body);
        if canonical.len() > LARGEST_BODY {
            return Err(Error::refused(413, "Document too large!"));
        }
        Ok(Edit {
            id: id.to_owned(),
            canonical,
            deleted: self.deleted,
            attachments: Sent::parse(self.attachments)?,
            exp: self.exp,
            target,
        })
    }
}

/// Whether a document may have this id.
pub fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || id.len() > LONGEST_ID || id.starts_with('_') {
        return Err(Error::bad_request("Invalid doc ID"));
    }
    Ok(())
}

/// Parses a revision id or refuses.
pub fn parse_rev(text: &str) -> Result<Rev> {
    Rev::parse(text).ok_or_else(|| Error::bad_request("Invalid revision ID"))
}

fn refuse_reserved(body: &Object) -> Result<()> {
    for key in body.keys().filter(|key| key.starts_with('_')) {
        if key == "_removed" {
            return Err(Error::not_found("_removed revision"));
        }
        if key == "_sync" || key.starts_with("_sync_") || key == "_purged" {
            return Err(Error::bad_request(format!("top-level property {key:?} is a reserved internal property")));
        }
    }
    Ok(())
}
