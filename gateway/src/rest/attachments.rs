//! Single attachments of a document.

use std::sync::Arc;

use axum::http::{Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::docs::ok_body;
use super::failure::Reply;
use super::{At, respond};
use crate::database::attachments;
use crate::database::incoming::Incoming;
use crate::database::read;
use crate::error::Error;
use crate::json::{self, Object};
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
    let rev = at.call.query("rev").map(str::to_owned);
    let (db, reader) = (Arc::clone(&at.db), at.reader.clone());
    let found = at
        .gateway
        .store
        .read(move |conn| {
            let revision = match rev {
                Some(rev) => read::revision(conn, &db, &id, &rev, &reader)?,
                None => read::current(conn, &db, &id, &reader)?,
            };
            if revision.removed {
                return Err(Error::forbidden("forbidden"));
            }
            let atts = revision.atts.as_deref().map(json::parse_object).unwrap_or_default();
            let missing = || Error::not_found("missing attachment");
            let meta = atts.get(&name).ok_or_else(missing)?.clone();
            let digest = meta.get("digest").and_then(Value::as_str).unwrap_or_default();
            let data = attachments::load(conn, revision.num, digest)?.ok_or_else(missing)?;
            Ok((meta, data))
        })
        .await?;
    let (meta, data) = found;
    let text = |key: &str| meta.get(key).and_then(Value::as_str);
    let media = text("content_type").unwrap_or("application/octet-stream");
    let mut response = respond::with_type(StatusCode::OK, media, data);
    if let Some(encoding) = text("encoding") {
        response = respond::header(response, header::CONTENT_ENCODING, encoding);
    }
    // What users store must not run as a page of this origin.
    response = respond::header(response, header::CONTENT_DISPOSITION, "attachment");
    response = respond::header(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    Ok(respond::etag(response, text("digest").unwrap_or_default()))
}

/// Makes a revision with this attachment put in or left out.
async fn change(at: At, id: String, name: String, data: Option<Value>) -> Reply {
    let put = data.is_some();
    let parent = at.call.outer_rev()?;
    let context = at.context();
    let key = id.clone();
    let written = at
        .gateway
        .store
        .write(move |tx| {
            let row = DocRow::get(tx.conn, context.db.id(), &key)?;
            let mut body = Object::new();
            let mut atts = Object::new();
            match &row {
                Some(row) if !row.deleted => {
                    if parent.as_ref().map(crate::revs::Rev::as_str) != Some(row.rev.as_str()) {
                        return Err(Error::conflict("Document revision conflict"));
                    }
                    body = json::parse_object(&row.body);
                    atts = row.atts.as_deref().map(json::parse_object).unwrap_or_default();
                }
                _ if !put => return Err(Error::not_found("missing")),
                _ => {}
            }
            match data {
                Some(data) => {
                    atts.insert(name, data);
                }
                None => {
                    atts.remove(&name).ok_or_else(|| Error::not_found("missing attachment"))?;
                }
            }
            body.insert("_attachments".to_owned(), Value::Object(atts));
            let edit = Incoming::parse(body)?.into_edit(&key, parent)?;
            context.write(tx, &edit)
        })
        .await?;
    let status = if put { StatusCode::CREATED } else { StatusCode::OK };
    let response = respond::json(status, ok_body(&id, &written.rev));
    Ok(if put { respond::etag(response, &written.rev) } else { response })
}
