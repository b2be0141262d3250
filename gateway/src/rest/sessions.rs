//! `_session`: logging in and out, and what an admin may do with sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::call::{Call, Media};
use super::failure::{Failure, Reply};
use super::{At, Port, cors, login, respond};
use crate::auth::session;
use crate::clock;
use crate::database::{Database, Reader};
use crate::gateway::Inner;
use crate::principals::{GUEST, User};

/// `D/_session` on both ports.
pub(crate) async fn current(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>) -> Reply {
    match (call.port, call.is(&Method::POST)) {
        (Port::Admin, true) => admin_create(gateway, call, db).await,
        (Port::Admin, false) => Ok(info(None)),
        (Port::Public, _) if call.is(&Method::GET) => who_am_i(gateway, call, db).await,
        (Port::Public, _) if !cors::may_log_in(db, &call.headers) => Err(Failure::bad_request("No CORS")),
        (Port::Public, true) => log_in(gateway, call, db).await,
        (Port::Public, false) => log_out(gateway, call, db).await,
    }
}

fn info(user: Option<&User>) -> axum::response::Response {
    let context = match user {
        None => json!({"name": null, "channels": null}),
        Some(user) => {
            let name = (user.name != GUEST).then_some(&user.name);
            let channels: BTreeMap<&String, i64> = user.own.iter().map(|(name, seq)| (name, *seq)).collect();
            json!({"name": name, "channels": channels})
        }
    };
    respond::ok(&json!({"authentication_handlers": ["default", "cookie"], "ok": true, "userCtx": context}))
}

async fn who_am_i(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>) -> Reply {
    if login::basic(call).is_some() {
        let login = login::authenticate(gateway, call, db).await?;
        return Ok(info(user_of(&login.reader)));
    }
    if let Some(id) = login::cookie(call, db)
        && let Some(login) = login::by_cookie(gateway, db, &id).await?
    {
        let mut response = info(user_of(&login.reader));
        if let Some(cookie) = login.cookie {
            response = respond::header(response, header::SET_COOKIE, &cookie);
        }
        return Ok(response);
    }
    let guest = login::user(gateway, db, GUEST).await?;
    Ok(info(guest.filter(|guest| !guest.record.disabled).as_deref()))
}

fn user_of(reader: &Reader) -> Option<&User> {
    match reader {
        Reader::Admin => None,
        Reader::User(user) => Some(user),
    }
}

async fn log_in(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>) -> Reply {
    let body = if call.body.iter().all(u8::is_ascii_whitespace) {
        crate::json::Object::new()
    } else {
        call.object(Media::Any)?
    };
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let invalid = || Failure::new(401, "Invalid login").challenging(db.config().www_authenticate);
    let name = text("name");
    let user = if name.is_empty() {
        match login::basic(call) {
            Some((name, password)) => login::password_login(gateway, db, &name, &password).await?,
            None => None,
        }
    } else {
        login::password_login(gateway, db, &name, &text("password")).await?
    };
    let user = user.ok_or_else(invalid)?;
    let (writing, name) = (Arc::clone(db), user.name.clone());
    let session = gateway.store.write(move |tx| session::create(tx, &writing, &name, session::DEFAULT_TTL)).await?;
    let cookie = login::set_cookie(db, &session);
    Ok(respond::header(info(Some(&user)), header::SET_COOKIE, &cookie))
}

async fn log_out(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>) -> Reply {
    let Some(id) = login::cookie(call, db) else {
        login::authenticate(gateway, call, db).await?;
        return Err(Failure::new(404, "no session"));
    };
    let number = db.id();
    gateway.store.write(move |tx| session::delete(tx, number, &id, None)).await?;
    let expires = clock::http_date(clock::now_seconds());
    let cookie = format!("{}=; Path=/{}; Expires={expires}", db.config().cookie_name, db.name);
    Ok(respond::header(respond::json(StatusCode::OK, "{}"), header::SET_COOKIE, &cookie))
}

async fn admin_create(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>) -> Reply {
    let body = call.object(Media::Any)?;
    let ttl = match body.get("ttl") {
        None | Some(Value::Null) => session::DEFAULT_TTL,
        Some(ttl) => {
            ttl.as_i64().filter(|&ttl| ttl >= 1).ok_or_else(|| Failure::bad_request("Invalid or missing ttl"))?
        }
    };
    let name = match body.get("name").and_then(Value::as_str) {
        Some(name) if !name.is_empty() && name != crate::principals::GUEST_IN_URLS => name.to_owned(),
        _ => return Err(Failure::bad_request("Invalid or missing user name")),
    };
    let writing = Arc::clone(db);
    let session = gateway.store.write(move |tx| session::create(tx, &writing, &name, ttl)).await?;
    Ok(respond::ok(&json!({
        "session_id": session.id,
        "expires": clock::rfc3339(session.expires),
        "cookie_name": db.config().cookie_name,
    })))
}

/// `D/_session/{id}`.
pub(crate) async fn by_id(at: &At, id: String) -> Reply {
    let db = Arc::clone(&at.db);
    if at.call.is(&Method::DELETE) {
        let deleting = id.clone();
        at.gateway.store.write(move |tx| session::delete(tx, db.id(), &deleting, None)).await?;
        return Ok(respond::json(StatusCode::OK, "{}"));
    }
    let now = clock::now_seconds();
    let found = at.gateway.store.read(move |conn| session::find(conn, &db, &id, now)).await?;
    let found = found.ok_or_else(|| Failure::new(404, "missing"))?;
    Ok(info(Some(&found.user)))
}

/// `D/_user/{name}/_session`.
pub(crate) async fn end_all(at: &At, name: String) -> Reply {
    let db = at.db.id();
    at.gateway.store.write(move |tx| session::delete_all(tx, db, &name)).await?;
    Ok(respond::json(StatusCode::OK, "{}"))
}

/// `D/_user/{name}/_session/{id}`.
pub(crate) async fn end_one(at: &At, name: String, id: String) -> Reply {
    let db = at.db.id();
    let ended = at.gateway.store.write(move |tx| session::delete(tx, db, &id, Some(&name))).await?;
    if !ended {
        return Err(Failure::new(404, "missing"));
    }
    Ok(respond::json(StatusCode::OK, "{}"))
}
