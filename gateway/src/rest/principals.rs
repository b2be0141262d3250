//! `_user` and `_role`.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::Media;
use super::failure::{Failure, Reply};
use super::{At, respond};
use crate::error::Error;
use crate::json::Object;
use crate::principals::{self, Change, GUEST, GUEST_IN_URLS, Passwords, User};
use crate::store::Tx;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    User,
    Role,
}

/// `D/_user/` and `D/_role/`.
pub(crate) async fn list(at: At, kind: Kind) -> Reply {
    if at.call.is(&Method::POST) {
        return create(at, kind).await;
    }
    if kind == Kind::User && at.call.query("name_only").is_some_and(|only| !only.is_empty() && only != "true") {
        return Err(Failure::bad_request("Use of name_only=false not supported when database has use_views=true"));
    }
    if kind == Kind::User && at.call.number("limit").is_some_and(|limit| limit > 0) {
        return Err(Failure::bad_request("Use of limit only supported when name_only=false"));
    }
    let db = at.db.id();
    let deleted = kind == Kind::Role && at.call.flag("deleted");
    let names = at.gateway.store.read(move |conn| principals::names(conn, db, kind == Kind::Role, deleted)).await?;
    Ok(respond::ok(&json!(names)))
}

async fn create(at: At, kind: Kind) -> Reply {
    let body = at.call.object(Media::Any)?;
    let name = match body.get("name").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => return Err(Failure::bad_request("Missing name property")),
    };
    put(&at, kind, name, body, true).await?;
    Ok(respond::empty(StatusCode::CREATED))
}

async fn put(at: &At, kind: Kind, name: String, body: Object, create: bool) -> Result<Change, Failure> {
    let hashing = body.clone();
    let password = tokio::task::spawn_blocking(move || Passwords::from_body(&hashing, crate::auth::hash_password));
    let password = match kind {
        Kind::User => password.await.map_err(|_| Failure::from(Error::Stopped))??,
        Kind::Role => Passwords::Absent,
    };
    let live = Arc::clone(&at.db.live);
    let change = at
        .gateway
        .store
        .write(move |tx| {
            let change = match kind {
                Kind::User => principals::put_user(tx, &live, &name, &body, password)?,
                Kind::Role => principals::put_role(tx, &live, &name, &body)?,
            };
            if create && change == Change::Updated {
                return Err(Error::conflict(format!("{name:?} already exists")));
            }
            Ok(change)
        })
        .await?;
    Ok(change)
}

/// `D/_user/{name}` and `D/_role/{name}`.
pub(crate) async fn one(at: At, kind: Kind, name: String) -> Reply {
    let name = if kind == Kind::User && name == GUEST_IN_URLS { GUEST.to_owned() } else { name };
    if at.call.is(&Method::GET) {
        return show(&at, kind, name).await;
    }
    if at.call.is(&Method::DELETE) {
        if kind == Kind::User && name == GUEST {
            return Err(Failure::new(405, "The guest user cannot be deleted. Only disabled via an update."));
        }
        let live = Arc::clone(&at.db.live);
        let purge = at.call.flag("purge");
        let delete = move |tx: &mut Tx<'_>| match kind {
            Kind::User => principals::delete_user(tx, &live, &name),
            Kind::Role => principals::delete_role(tx, &live, &name, purge),
        };
        at.gateway.store.write(delete).await?;
        return Ok(respond::empty(StatusCode::OK));
    }
    let body = at.call.object(Media::Any)?;
    let change = put(&at, kind, name, body, false).await?;
    Ok(respond::empty(match change {
        Change::Created => StatusCode::CREATED,
        Change::Updated => StatusCode::OK,
    }))
}

async fn show(at: &At, kind: Kind, name: String) -> Reply {
    let db = at.db.id();
    let shown = at
        .gateway
        .store
        .read(move |conn| match kind {
            Kind::User => Ok(User::load(conn, db, &name)?.map(|user| user.to_json())),
            Kind::Role => principals::role_json(conn, db, &name),
        })
        .await?;
    let shown = shown.ok_or_else(|| Failure::new(404, "missing"))?;
    Ok(respond::ok(&shown))
}
