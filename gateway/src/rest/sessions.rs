//! `_session`: logging in and out, and what an admin may do with sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::call::{Call, Media};
use super::failure::{Failure, Reply};
use super::{At, Port, cors, login, respond};
use crate::auth::session;
use crate::channels;
use crate::clock;
use crate::database::{Database, Reader};
use crate::gateway::Inner;
use crate::json::Object;
use crate::principals::{GUEST, GUEST_IN_URLS, User};

/// `D/_session` on both ports.
pub(crate) async fn current(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>) -> Reply {
    match (call.port, call.is(&Method::POST)) {
        _ if call.is(&Method::GET) => who_am_i(gateway, call, db).await,
        (Port::Admin, _) => admin_create(gateway, call, db).await,
        (Port::Public, true) => {
            // Refuses a wrong login before anything else is looked at.
            let caller = login::by_basic(gateway, call, db).await?;
            may_log_in(call, db)?;
            log_in(gateway, call, db, caller).await
        }
        (Port::Public, false) => {
            login::authenticate(gateway, call, db).await?;
            may_log_in(call, db)?;
            log_out(gateway, call, db).await
        }
    }
}

fn may_log_in(call: &Call, db: &Database) -> Result<(), Failure> {
    if cors::may_log_in(db, &call.headers) { Ok(()) } else { Err(Failure::bad_request("No CORS")) }
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
    if let Some(user) = login::by_basic(gateway, call, db).await? {
        return Ok(info(Some(&user)));
    }
    if let Some(login) = cookie_login(gateway, call, db).await? {
        let mut response = info(user_of(&login.reader));
        if let Some(cookie) = login.cookie {
            response = respond::header(response, header::SET_COOKIE, &cookie);
        }
        return Ok(response);
    }
    let guest = login::user(gateway, db, GUEST).await?;
    Ok(info(guest.filter(|guest| !guest.record.disabled).as_deref()))
}

/// The login of a cookie that is still good.
async fn cookie_login(
    gateway: &Arc<Inner>,
    call: &Call,
    db: &Arc<Database>,
) -> crate::error::Result<Option<login::Login>> {
    match login::cookie(call, db) {
        Some(id) => login::by_cookie(gateway, db, &id).await,
        None => Ok(None),
    }
}

fn user_of(reader: &Reader) -> Option<&User> {
    match reader {
        Reader::Admin => None,
        Reader::User(user) => Some(user),
    }
}

fn only(body: &Object, known: &[&str]) -> Result<(), Failure> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(Failure::bad_request(format!("JSON Unknown Field: {unknown:?}"))),
        None => Ok(()),
    }
}

/// Name and password of a login's body; `Err` when it is not an object of texts.
fn credentials(call: &Call) -> Result<(String, String), Failure> {
    let body = call.object(Media::Json(400))?;
    only(&body, &["name", "password"])?;
    let text = |key: &str| match body.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Failure::bad_request(format!("Bad JSON: {key} must be a string"))),
    };
    Ok((text("name")?, text("password")?))
}

/// Logs in whom the body names, or else whoever the request itself shows to be.
async fn log_in(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>, caller: Option<Arc<User>>) -> Reply {
    let config = db.config();
    let (named, bad) = match credentials(call) {
        Ok(_) if config.no_passwords => (None, None),
        Ok((name, password)) => (login::password_login(gateway, db, &name, &password).await?, None),
        Err(failure) => (None, Some(failure)),
    };
    let mut user = named.or(caller);
    if user.is_none() {
        let login = cookie_login(gateway, call, db).await?;
        user = login.and_then(|login| match login.reader {
            Reader::User(user) => Some(user),
            Reader::Admin => None,
        });
    }
    let invalid = || Failure::new(401, "Invalid login").challenging(config.www_authenticate);
    let user = user.ok_or_else(|| bad.unwrap_or_else(invalid))?;
    let (writing, name) = (Arc::clone(db), user.name.clone());
    let session = gateway.store.write(move |tx| session::create(tx, &writing, &name, session::DEFAULT_TTL)).await?;
    let cookie = login::set_cookie(db, &session);
    Ok(respond::header(info(Some(&user)), header::SET_COOKIE, &cookie))
}

async fn log_out(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>) -> Reply {
    let id = login::cookie(call, db).ok_or_else(|| Failure::new(404, "no session"))?;
    let live = Arc::clone(&db.live);
    gateway.store.write(move |tx| session::delete(tx, &live, &id, None)).await?;
    let cookie = login::cookie_text(db, "", clock::now_seconds());
    Ok(respond::header(respond::json(StatusCode::OK, "{}"), header::SET_COOKIE, &cookie))
}

async fn admin_create(gateway: &Arc<Inner>, call: &Call, db: &Arc<Database>) -> Reply {
    let body = call.object(Media::Json(400))?;
    only(&body, &["name", "ttl"])?;
    let ttl = match body.get("ttl") {
        None | Some(Value::Null) => session::DEFAULT_TTL,
        Some(ttl) => {
            ttl.as_i64().filter(|&ttl| ttl >= 1).ok_or_else(|| Failure::bad_request("Invalid or missing ttl"))?
        }
    };
    let name = match body.get("name").and_then(Value::as_str) {
        Some(name) if name != GUEST_IN_URLS && channels::is_valid_principal(name) => name.to_owned(),
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
        at.gateway.store.write(move |tx| session::delete(tx, &db.live, &deleting, None)).await?;
        return Ok(respond::json(StatusCode::OK, "{}"));
    }
    let now = clock::now_seconds();
    let found = at.gateway.store.read(move |conn| session::find(conn, &db, &id, now)).await?;
    let found = found.ok_or_else(|| Failure::new(404, "missing"))?;
    Ok(info(Some(&found.user)))
}

/// `D/_user/{name}/_session`.
pub(crate) async fn end_all(at: &At, name: String) -> Reply {
    let live = Arc::clone(&at.db.live);
    at.gateway.store.write(move |tx| session::delete_all(tx, &live, &name)).await?;
    Ok(respond::json(StatusCode::OK, "{}"))
}

/// `D/_user/{name}/_session/{id}`.
pub(crate) async fn end_one(at: &At, name: String, id: String) -> Reply {
    let live = Arc::clone(&at.db.live);
    let ended = at.gateway.store.write(move |tx| session::delete(tx, &live, &id, Some(&name))).await?;
    if !ended {
        return Err(Failure::new(404, "missing"));
    }
    Ok(respond::json(StatusCode::OK, "{}"))
}
