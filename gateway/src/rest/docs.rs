//! Single documents.

use std::sync::Arc;

use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Call, Media};
use super::failure::{Failure, Reply};
use super::{At, Port, multipart, respond};
use crate::database::incoming::{Incoming, check_id};
use crate::database::read::{self, Revision, Show};
use crate::database::write::{Context, Edit, Looked, Written};
use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::store::Tx;

impl At {
    /// What a write of this request needs.
    pub(crate) fn context(&self) -> Context {
        Context { db: Arc::clone(&self.db), config: self.db.config(), author: self.reader.author() }
    }

    /// Stores one revision.
    pub(crate) async fn write(&self, edit: Edit) -> Result<Written> {
        let context = self.context();
        let look = move |tx: &mut Tx<'_>| {
            let looked = context.look(tx, &edit);
            Ok((context, edit, looked))
        };
        let finish =
            |tx: &mut Tx<'_>, (context, edit, looked): (Context, Edit, Looked)| context.finish(tx, &edit, looked);
        self.gateway.store.write_judged(1, look, finish).await
    }
}

/// `D/{id}`.
pub(crate) async fn document(at: At, id: String) -> Reply {
    if at.call.is(&Method::GET) {
        return get(at, id).await;
    }
    if at.call.is(&Method::DELETE) {
        let edit = Incoming::tombstone().into_edit(&id, at.call.outer_rev()?)?;
        let written = at.write(edit).await?;
        return Ok(respond::json(StatusCode::OK, ok_body(&id, &written.rev)));
    }
    put(at, id).await
}

/// `{"id":…,"ok":true,"rev":…}`.
pub(crate) fn ok_body(id: &str, rev: &str) -> String {
    format!("{{\"id\":{},\"ok\":true,\"rev\":{}}}", json::quote(id), json::quote(rev))
}

/// The document in a request's body, plain or multipart.
fn body(call: &Call) -> Result<Object, Failure> {
    match call.content_type().as_deref() {
        Some("multipart/related") => {
            multipart::read_related(call.header("content-type").unwrap_or_default(), &call.body)
        }
        _ => call.object(Media::Json(415)),
    }
}

async fn put(at: At, id: String) -> Reply {
    let incoming = Incoming::parse(body(&at.call)?)?;
    match &incoming.id {
        None => {}
        Some(Value::String(given)) if *given == id => {}
        Some(_) => {
            return Err(Failure::bad_request("The document ID provided in the body does not match the URL"));
        }
    }
    if at.call.query("new_edits") == Some("false") {
        let written = at.write(incoming.into_replicated(&id)?).await?;
        return Ok(respond::json(StatusCode::CREATED, ok_body(&id, &written.rev)));
    }
    let written = at.write(incoming.into_edit(&id, at.call.outer_rev()?)?).await?;
    let response = respond::json(StatusCode::CREATED, ok_body(&id, &written.rev));
    Ok(respond::etag(response, &written.rev))
}

/// The id a document without one gets.
pub(crate) fn random_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// The id of a posted document.
pub(crate) fn posted_id(id: Option<&Value>) -> Result<String> {
    match id {
        Some(Value::String(id)) => check_id(id).map(|()| id.clone()),
        _ => Ok(random_id()),
    }
}

/// Posting makes documents; it never updates one.
pub(crate) fn refuse_update(body: &Object) -> Result<()> {
    match body.get("_rev") {
        None | Some(Value::Null) => Ok(()),
        Some(_) => Err(Error::not_found("No previous revision to replace")),
    }
}

/// `POST D/`.
pub(crate) async fn post(at: At) -> Reply {
    let body = body(&at.call)?;
    refuse_update(&body)?;
    let incoming = Incoming::parse(body)?;
    let id = posted_id(incoming.id.as_ref())?;
    let written = at.write(incoming.into_edit(&id, None)?).await?;
    let response = respond::json(StatusCode::OK, ok_body(&id, &written.rev));
    let location = percent_encoding::utf8_percent_encode(&id, percent_encoding::NON_ALPHANUMERIC).to_string();
    let plain = id.bytes().all(|byte| byte.is_ascii_graphic());
    let response = respond::header(response, header::LOCATION, if plain { &id } else { &location });
    Ok(respond::etag(response, &written.rev))
}

/// What a read asks to be shown.
fn show(call: &Call) -> Result<Show, Failure> {
    let (from, since) = (call.strings("revs_from")?, call.strings("atts_since")?);
    Ok(Show {
        revisions: call.flag("revs"),
        revs_limit: call.number("revs_limit"),
        attachments: call.flag("attachments").then(|| since.clone().unwrap_or_default()),
        revs_from: from.or(since).unwrap_or_default(),
        expiry: call.flag("show_exp"),
    })
}

async fn get(at: At, id: String) -> Reply {
    check_id(&id)?;
    let mut show = show(&at.call)?;
    let rev = at.call.query("rev").map(str::to_owned).filter(|rev| !rev.is_empty());
    let multipart = at.call.accepts_anything() || at.call.accepts_multipart();
    if let Some(open) = at.call.query("open_revs").filter(|open| !open.is_empty()) {
        if rev.is_some() {
            return Err(Failure::bad_request("cannot specify both 'rev' and 'open_revs' query parameters"));
        }
        let wanted = if open == "all" { None } else { at.call.strings("open_revs")? };
        show.attachments.get_or_insert_default();
        return open_revs(at, id, wanted, show, multipart).await;
    }
    let json = at.call.accepts_anything() || at.call.names_json();
    if !multipart {
        at.call.accepts_json()?;
    }
    let compress = at.call.compresses_parts();
    let (db, reader) = (Arc::clone(&at.db), at.reader.clone());
    let response = at
        .gateway
        .store
        .read(move |conn| {
            let revision = match rev {
                Some(rev) => read::revision(conn, &db, &id, &rev, &reader)?,
                None => read::current(conn, &db, &id, &reader)?,
            };
            let bodies = show.attachments.is_some() && revision.atts.is_some();
            let response = if multipart && (bodies || !json) {
                let (media, body) = multipart::related(conn, &revision, &show, compress)?;
                respond::with_type(StatusCode::OK, &media, body)
            } else {
                respond::json(StatusCode::OK, revision.render(conn, &show)?)
            };
            Ok(respond::etag(response, &revision.rev))
        })
        .await?;
    Ok(response)
}

async fn open_revs(at: At, id: String, wanted: Option<Vec<String>>, show: Show, multipart: bool) -> Reply {
    let (db, reader) = (Arc::clone(&at.db), at.reader.clone());
    let response = at
        .gateway
        .store
        .read(move |conn| {
            let found = read::open_revs(conn, &db, &id, wanted.as_deref(), &reader)?;
            if multipart { open_multipart(conn, &found, &show) } else { open_json(conn, &found, &show) }
        })
        .await?;
    Ok(response)
}

type Found = Result<Revision, String>;

fn missing(rev: &str) -> String {
    format!("{{\"missing\":{}}}", json::quote(rev))
}

fn open_json(conn: &rusqlite::Connection, found: &[Found], show: &Show) -> Result<Response> {
    let mut rows = Vec::with_capacity(found.len());
    for item in found {
        rows.push(match item {
            Ok(revision) => format!("{{\"ok\":{}}}", revision.render(conn, show)?),
            Err(rev) => missing(rev),
        });
    }
    Ok(respond::json(StatusCode::OK, format!("[{}]", rows.join(","))))
}

fn open_multipart(conn: &rusqlite::Connection, found: &[Found], show: &Show) -> Result<Response> {
    let mut mixed = multipart::Writer::new("multipart/mixed", false);
    for item in found {
        match item {
            Ok(revision) => mixed.revision(conn, revision, show)?,
            Err(rev) => mixed.error(&missing(rev)),
        }
    }
    let body = mixed.finish();
    Ok(respond::with_type(StatusCode::OK, &mixed.media(), body))
}

/// `D/_raw/{id}`: a diagnosis, not part of the contract.
pub(crate) async fn raw(at: At, id: String) -> Reply {
    if at.call.port == Port::Public {
        return Err(Failure::unknown_url());
    }
    let db = at.db.id();
    let row = at.gateway.store.read(move |conn| crate::store::docs::DocRow::get(conn, db, &id)).await?;
    let row = row.ok_or_else(|| Failure::new(404, "missing"))?;
    let members = format!(
        "\"_sync\":{}",
        json!({"rev": row.rev, "sequence": row.seq, "channels": row.chans.active, "deleted": row.deleted})
    );
    Ok(respond::json(StatusCode::OK, json::splice(&members, &row.body)))
}
