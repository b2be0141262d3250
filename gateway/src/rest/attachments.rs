//! Single attachments of a document.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::call::Call;
use super::docs::ok_body;
use super::failure::{Failure, Reply};
use super::range::{self, Range};
use super::{At, respond};
use crate::database::incoming::Incoming;
use crate::database::{Reader, attachments, read};
use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::revs::Rev;
use crate::store::docs::DocRow;

/// `D/{id}/{name}`.
pub(crate) async fn attachment(at: At, id: String, name: String) -> Reply {
    if at.call.is(&Method::GET) {
        return get(at, id, name).await;
    }
    let data = if at.call.is(&Method::PUT) {
        let media = at.call.header("content-type").unwrap_or("application/octet-stream");
        Some(json!({"content_type": media, "data": STANDARD.encode(&at.call.body)}))
    } else {
        None
    };
    change(at, id, name, data).await
}

async fn get(at: At, id: String, name: String) -> Reply {
    let rev = at.call.query("rev").map(str::to_owned).filter(|rev| !rev.is_empty());
    let (db, reader) = (Arc::clone(&at.db), at.reader.clone());
    let found = at
        .gateway
        .store
        .read(move |conn| {
            let revision = match rev {
                Some(rev) => read::revision(conn, &db, &id, &rev, &reader)?,
                None => read::current(conn, &db, &id, &reader)?,
            };
            let missing = || Error::not_found(format!("missing attachment {name}"));
            let atts = revision.atts.as_deref().map(json::parse_object).unwrap_or_default();
            let meta = atts.get(&name).and_then(Value::as_object).ok_or_else(missing)?.clone();
            let digest = meta.get("digest").and_then(Value::as_str).unwrap_or_default();
            let data = attachments::load(conn, revision.num, digest)?.ok_or_else(missing)?;
            Ok((meta, data))
        })
        .await?;
    let (meta, data) = found;
    if at.call.flag("meta") {
        return Ok(respond::json(StatusCode::OK, json::canonical(&meta)));
    }
    send(&at.call, &meta, data)
}

fn send(call: &Call, meta: &Object, mut data: Vec<u8>) -> Reply {
    let text = |key: &str| meta.get(key).and_then(Value::as_str);
    let length = data.len();
    let mut status = StatusCode::OK;
    let mut part = None;
    match range::parse(call.header("range"), length) {
        Range::Whole => {}
        Range::Unsatisfiable => return Err(Failure::new(416, "the attachment is shorter")),
        Range::Part(start, end) => {
            data = data[start..end].to_vec();
            status = StatusCode::PARTIAL_CONTENT;
            part = Some(format!("bytes {start}-{}/{length}", end - 1));
        }
    }
    let mut response = respond::with_type(status, text("content_type").unwrap_or("application/octet-stream"), data);
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    if let Some(part) = part {
        set(header::CONTENT_RANGE, &part);
    }
    if let Some(encoding) = text("encoding") {
        if call.query("content_encoding").is_none_or(|wanted| wanted == "true" || wanted.is_empty()) {
            set(header::CONTENT_ENCODING, encoding);
        } else {
            set(HeaderName::from_static("x-content-encoding"), encoding);
            set(header::CONTENT_TYPE, "application/gzip");
        }
    }
    set(header::ACCEPT_RANGES, "bytes");
    // What users store must not run as a page of this origin.
    set(header::CONTENT_DISPOSITION, "attachment");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    Ok(respond::etag(response, text("digest").unwrap_or_default()))
}

/// Makes a revision with this attachment put in or left out.
async fn change(at: At, id: String, name: String, data: Option<Value>) -> Reply {
    let put = data.is_some();
    let parent = at.call.outer_rev()?;
    let (context, reader) = (at.context(), at.reader.clone());
    let key = id.clone();
    let written = at
        .gateway
        .store
        .write(move |tx| {
            let row = DocRow::get(tx.conn, context.db.id(), &key)?;
            let (mut body, mut atts) = base(row.as_ref(), parent.as_ref(), &reader, put)?;
            if let Some(data) = data {
                atts.insert(name, data);
            } else {
                let missing = || Error::not_found(format!("Attachment {name} is not found"));
                atts.remove(&name).ok_or_else(missing)?;
            }
            body.insert("_attachments".to_owned(), Value::Object(atts));
            let edit = Incoming::parse(body)?.into_edit(&key, parent)?;
            context.write(tx, &edit)
        })
        .await?;
    let status = if put { StatusCode::CREATED } else { StatusCode::OK };
    let response = respond::json(status, ok_body(&id, &written.rev));
    Ok(respond::etag(response, &written.rev))
}

/// The body and attachments the new revision starts from.
fn base(row: Option<&DocRow>, parent: Option<&Rev>, reader: &Reader, put: bool) -> Result<(Object, Object)> {
    let conflict = || Error::conflict("Document revision conflict");
    match (row, parent) {
        (Some(row), _) if !reader.sees(&row.chans.active) => Err(match parent {
            // Nobody may change what they cannot read, but a replicator may ask for it by revision.
            Some(_) => Error::not_found("Document revision is not accessible"),
            None => Error::forbidden("forbidden"),
        }),
        (Some(row), _) if !row.deleted => {
            let parent =
                parent.ok_or_else(|| Error::conflict("Cannot modify attachments without a specific rev ID"))?;
            if parent.as_str() != row.rev {
                return Err(conflict());
            }
            let atts = row.atts.as_deref().map(json::parse_object).unwrap_or_default();
            Ok((json::parse_object(&row.body), atts))
        }
        (Some(_), None) if !put => Err(Error::not_found("Document specified is not found")),
        _ if !put => Err(conflict()),
        _ => Ok((Object::new(), Object::new())),
    }
}
