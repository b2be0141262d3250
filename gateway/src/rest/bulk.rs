//! Many documents at once.

use std::sync::Arc;

use axum::http::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::call::Media;
use super::docs::{posted_id, refuse_update};
use super::failure::{Failure, Reply, row_members};
use super::multipart::Writer as Mixed;
use super::pieces::{self, ENOUGH, Pieces};
use super::{At, respond};
use crate::database::incoming::Incoming;
use crate::database::read::{self, Revision, Show};
use crate::database::write::{Context, Edit, Looked, Written};
use crate::database::{Database, Reader, local};
use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::store::Tx;

/// A document of a batch, checked before the writer's turn.
enum Item {
    Edit(Box<Edit>),
    Looked(Box<Edit>, Looked),
    Local(String, Object),
    Refused(String, Error),
}

impl Item {
    fn looked(self, tx: &mut Tx<'_>, context: &Context) -> Self {
        match self {
            Self::Edit(edit) => {
                let looked = context.look(tx, &edit);
                Self::Looked(edit, looked)
            }
            other => other,
        }
    }
}

/// `POST D/_bulk_docs`.
pub(crate) async fn docs(at: At) -> Reply {
    let mut body = at.call.object(Media::Json(400))?;
    let replicated = body.get("new_edits") == Some(&Value::Bool(false));
    let Some(Value::Array(docs)) = body.remove("docs") else {
        return Err(Failure::bad_request("missing 'docs' property"));
    };
    let mut items = Vec::with_capacity(docs.len());
    for doc in docs {
        let Value::Object(doc) = doc else {
            return Err(Failure::bad_request("a document must be a JSON object"));
        };
        items.push(item(doc, replicated));
    }
    let context = at.context();
    let weight = items.len();
    let look = move |tx: &mut Tx<'_>| {
        let looked = items.into_iter().map(|item| item.looked(tx, &context)).collect();
        Ok((context, looked))
    };
    let finish = |tx: &mut Tx<'_>, (context, items): (Context, Vec<Item>)| store_all(tx, &context, items);
    let rows = at.gateway.store.write_judged(weight, look, finish).await?;
    Ok(respond::json(StatusCode::CREATED, format!("[{}]", rows.join(","))))
}

fn item(doc: Object, replicated: bool) -> Item {
    let given = doc.get("_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(id) = given.strip_prefix("_local/") {
        return Item::Local(id.to_owned(), doc);
    }
    let created = if given.is_empty() && !replicated { refuse_update(&doc) } else { Ok(()) };
    let parsed = created.and_then(|()| Incoming::parse(doc)).and_then(|incoming| {
        if replicated {
            return incoming.into_replicated(&given);
        }
        let id = posted_id(incoming.id.as_ref())?;
        incoming.into_edit(&id, None)
    });
    match parsed {
        Ok(edit) => Item::Edit(Box::new(edit)),
        Err(error) => Item::Refused(given, error),
    }
}

/// Rows of ordinary documents, then those of checkpoints.
fn store_all(tx: &mut Tx<'_>, context: &Context, items: Vec<Item>) -> Result<Vec<String>> {
    let mut rows = Vec::with_capacity(items.len());
    let mut locals = Vec::new();
    for item in items {
        match item {
            Item::Edit(edit) => rows.push(row(&edit.id, context.write(tx, &edit))?),
            Item::Looked(edit, looked) => rows.push(row(&edit.id, context.finish(tx, &edit, looked))?),
            Item::Refused(id, error) => rows.push(row(&id, Err(error))?),
            Item::Local(id, body) => {
                let result = local::put(tx, context.db.id(), &id, body).map(|rev| Written { rev });
                locals.push(row(&format!("_local/{id}"), result)?);
            }
        }
    }
    rows.extend(locals);
    Ok(rows)
}

/// One row; only the store's own failure ends the batch.
fn row(id: &str, result: Result<Written>) -> Result<String> {
    let id = if id.is_empty() { String::new() } else { format!("\"id\":{},", json::quote(id)) };
    match result {
        Ok(written) => Ok(format!("{{{id}\"rev\":{}}}", json::quote(&written.rev))),
        Err(error @ Error::Refused { .. }) => Ok(format!("{{{id}{}}}", row_members(&error))),
        Err(error) => Err(error),
    }
}

const MIXED: &str = "multipart/mixed";
const START: &[u8] = b"{\"results\":[";

struct Wanted {
    id: String,
    rev: Option<String>,
    /// Whether the entry can be understood.
    valid: bool,
    show: Show,
}

/// `POST D/_bulk_get`.
pub(crate) async fn get(at: At) -> Reply {
    let multipart = at.call.accepts_anything() || at.call.accepts_multipart();
    let as_json = at.call.names_json() && !multipart;
    if !as_json && !multipart {
        return Err(Failure::new(406, "Response is multipart"));
    }
    let body = at.call.object(Media::Json(400))?;
    let Some(Value::Array(docs)) = body.get("docs") else {
        return Err(Failure::bad_request("missing 'docs' property"));
    };
    let show = Show {
        revisions: at.call.flag("revs"),
        revs_limit: at.call.number("revs_limit"),
        attachments: at.call.flag("attachments").then(Vec::new),
        expiry: at.call.flag("show_exp"),
        ..Show::default()
    };
    let wanted = docs.iter().map(|doc| wanted(doc, &show)).collect::<Vec<_>>();
    let compress = at.call.compresses_parts();
    let format = if as_json { Format::Json { count: 0 } } else { Format::Multipart(Mixed::new(MIXED, compress)) };
    let media = match &format {
        Format::Json { .. } => "application/json".to_owned(),
        Format::Multipart(mixed) => mixed.media(),
    };
    let (db, reader) = (Arc::clone(&at.db), at.reader.clone());
    let answer = Answer { db, reader, wanted: wanted.into_iter(), format };
    pieces::respond(Arc::clone(&at.gateway.store), &media, answer).await
}

enum Format {
    Multipart(Mixed),
    /// As `CouchDB` answers; saves clients that only read JSON a request per document.
    Json {
        count: usize,
    },
}

/// A `_bulk_get` under way.
struct Answer {
    db: Arc<Database>,
    reader: Reader,
    wanted: std::vec::IntoIter<Wanted>,
    format: Format,
}

impl Pieces for Answer {
    fn more(&mut self, conn: &Connection, out: &mut Vec<u8>) -> Result<bool> {
        for item in self.wanted.by_ref() {
            let found = match find(conn, &self.db, &self.reader, &item) {
                Err(error) if !matches!(error, Error::Refused { .. }) => return Err(error),
                found => found,
            };
            match &mut self.format {
                Format::Multipart(mixed) => {
                    match found {
                        Ok(revision) => mixed.revision(conn, &revision, &item.show)?,
                        Err(error) => mixed.error(&error_text(&item, &error)),
                    }
                    out.extend(mixed.take());
                }
                Format::Json { count } => {
                    out.extend(if *count == 0 { START } else { b"," });
                    *count += 1;
                    let result = match found {
                        Ok(revision) => format!("{{\"ok\":{}}}", revision.render(conn, &item.show)?),
                        Err(error) => format!("{{\"error\":{}}}", error_text(&item, &error)),
                    };
                    let row = format!("{{\"id\":{},\"docs\":[{result}]}}", json::quote(&item.id));
                    out.extend(row.as_bytes());
                }
            }
            if out.len() >= ENOUGH {
                return Ok(false);
            }
        }
        match &mut self.format {
            Format::Multipart(mixed) => out.extend(mixed.finish()),
            Format::Json { count } => {
                out.extend(if *count == 0 { START } else { b"" });
                out.extend(b"]}");
            }
        }
        Ok(true)
    }
}

fn wanted(doc: &Value, show: &Show) -> Wanted {
    let text = |key: &str| doc.get(key).and_then(Value::as_str).map(str::to_owned);
    let list = |key: &str| -> Option<Vec<String>> {
        let items = doc.get(key)?.as_array()?;
        Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    let (from, since) = (list("revs_from"), list("atts_since"));
    let own_limit = doc.get("revs_limit").and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok());
    let (id, rev) = (text("id").unwrap_or_default(), text("rev"));
    let valid = !id.is_empty() && (rev.is_some() || doc.get("rev").is_none_or(Value::is_null));
    Wanted {
        id,
        rev: rev.filter(|rev| !rev.is_empty()),
        valid,
        show: Show {
            revs_limit: own_limit.or(show.revs_limit),
            attachments: show.attachments.clone().map(|none| since.clone().unwrap_or(none)),
            revs_from: from.or(since).unwrap_or_default(),
            ..show.clone()
        },
    }
}

fn find(conn: &Connection, db: &Database, reader: &Reader, wanted: &Wanted) -> Result<Revision> {
    if !wanted.valid {
        return Err(Error::bad_request("Invalid doc/rev ID in _bulk_get"));
    }
    match &wanted.rev {
        Some(rev) => read::revision(conn, db, &wanted.id, rev, reader),
        None => read::current(conn, db, &wanted.id, reader),
    }
}

fn error_text(wanted: &Wanted, error: &Error) -> String {
    let rev = wanted.rev.as_ref().map(|rev| format!("\"rev\":{},", json::quote(rev)));
    format!("{{\"id\":{},{}{}}}", json::quote(&wanted.id), rev.unwrap_or_default(), row_members(error))
}

/// `POST D/_revs_diff`.
pub(crate) async fn revs_diff(at: At) -> Reply {
    let body = at.call.object(Media::Json(400))?;
    let mut asked: Vec<(String, Vec<String>)> = Vec::with_capacity(body.len());
    for (id, revs) in body {
        let revs = match revs {
            Value::Array(revs) => revs.iter().map(|rev| rev.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        let revs: Option<Vec<String>> = revs;
        asked.push((id, revs.ok_or_else(|| Failure::bad_request("revisions must be arrays of strings"))?));
    }
    let db = Arc::clone(&at.db);
    let answer = at
        .gateway
        .store
        .read(move |conn| {
            let mut answer = Object::new();
            for (id, revs) in asked {
                if let Some((missing, ancestors)) = read::revs_diff(conn, &db, &id, &revs)? {
                    let mut row = json!({"missing": missing});
                    if !ancestors.is_empty() {
                        row["possible_ancestors"] = json!(ancestors);
                    }
                    answer.insert(id, row);
                }
            }
            Ok(answer)
        })
        .await?;
    Ok(respond::json(StatusCode::OK, json::canonical(&answer)))
}
