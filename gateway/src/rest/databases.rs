//! The root, databases, their configuration and state.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Call, Media};
use super::failure::{Failure, Reply};
use super::{At, Port, respond};
use crate::database::{purge, resync};
use crate::gateway::Inner;
use crate::json::{self, Object};

/// `GET /`.
pub(crate) fn welcome(call: &Call) -> Response {
    let version = super::SERVER;
    let mut body = json!({
        "couchdb": "Welcome",
        "vendor": {"name": "Couchbase Sync Gateway", "version": "4.2"},
        "version": version,
    });
    if call.port == Port::Admin {
        body["ADMIN"] = json!(true);
    }
    respond::ok(&body)
}

/// `GET /_all_dbs`.
pub(crate) fn all(gateway: &Arc<Inner>) -> Response {
    respond::ok(&json!(gateway.names()))
}

fn json_only(call: &Call) -> Result<Object, Failure> {
    if call.content_type().as_deref() != Some("application/json") {
        return Err(Failure::new(415, "Invalid content type; use application/json"));
    }
    call.object(Media::Any)
}

/// `PUT D/`.
pub(crate) async fn create(gateway: &Arc<Inner>, call: &Call, name: &str, exists: bool) -> Reply {
    if call.port == Port::Public {
        return Err(if exists {
            Failure::new(412, format!("Database already exists: \"{name}\""))
        } else {
            Failure::new(403, "Creating a DB over the public API is unsupported")
        });
    }
    gateway.create(name, json_only(call)?).await?;
    Ok(respond::empty(StatusCode::CREATED))
}

/// `DELETE D/`.
pub(crate) async fn delete(at: &At) -> Reply {
    at.gateway.drop_database(&at.db.name).await?;
    Ok(respond::json(StatusCode::OK, "{}"))
}

/// `GET D/`.
pub(crate) async fn info(at: &At) -> Reply {
    let db = Arc::clone(&at.db);
    let (last, _) = at.gateway.store.read(move |conn| db.counters(conn)).await?;
    let offline = at.db.is_offline();
    let last = if offline { 0 } else { last };
    Ok(respond::ok(&json!({
        "db_name": at.db.name,
        "update_seq": last,
        "committed_update_seq": last,
        "instance_start_time": at.db.started,
        "compact_running": false,
        "purge_seq": 0,
        "disk_format_version": 0,
        "state": if offline { "Offline" } else { "Online" },
    })))
}

/// `POST D/_ensure_full_commit`: everything acknowledged is on disk anyway.
pub(crate) fn commit(at: &At) -> Response {
    let body = json!({"instance_start_time": at.db.started, "ok": true});
    respond::value(StatusCode::CREATED, &body)
}

/// `D/_config`.
pub(crate) async fn config(at: &At) -> Reply {
    let old = at.db.config();
    if at.call.is(&Method::GET) {
        let response = respond::json(StatusCode::OK, old.to_json(&at.db.name));
        return Ok(respond::header(response, header::ETAG, &old.etag()));
    }
    if_match(at, &old.etag())?;
    let mut given = json_only(&at.call)?;
    if at.call.is(&Method::POST) {
        let mut merged = old.raw.clone();
        merged.extend(given);
        given = merged;
    }
    at.gateway.configure(&at.db, given).await?;
    let response = respond::empty(StatusCode::CREATED);
    Ok(respond::header(response, header::ETAG, &at.db.config().etag()))
}

fn if_match(at: &At, etag: &str) -> Result<(), Failure> {
    let plain = |tag: &str| tag.trim().trim_matches('"').to_owned();
    match at.call.header("if-match") {
        Some(given) if plain(given) != plain(etag) => {
            Err(Failure::new(412, "Provided If-Match header does not match current config version"))
        }
        _ => Ok(()),
    }
}

/// `D/_config/sync`.
pub(crate) async fn config_sync(at: &At) -> Reply {
    let old = at.db.config();
    if at.call.is(&Method::GET) {
        let media = "application/javascript; charset=UTF-8";
        let source = old.raw.get("sync").and_then(Value::as_str).unwrap_or_default();
        let response = respond::with_type(StatusCode::OK, media, source.to_owned());
        return Ok(respond::header(response, header::ETAG, &old.etag()));
    }
    if_match(at, &old.etag())?;
    let mut raw = old.raw.clone();
    if at.call.is(&Method::DELETE) {
        raw.remove("sync");
    } else {
        if at.call.content_type().as_deref() != Some("application/javascript") {
            return Err(Failure::new(415, "Invalid content type; use application/javascript"));
        }
        let source = std::str::from_utf8(&at.call.body);
        let source = source.map_err(|_| Failure::bad_request("the function is not UTF-8"))?;
        raw.insert("sync".to_owned(), json!(source));
    }
    at.gateway.configure(&at.db, raw).await?;
    let response = respond::empty(StatusCode::OK);
    Ok(respond::header(response, header::ETAG, &at.db.config().etag()))
}

/// `POST D/_offline` and `POST D/_online`: kept in the configuration, so that a restart does not change it.
pub(crate) async fn set_offline(at: &At, offline: bool) -> Reply {
    if !offline && at.db.resync.lock().status == resync::Status::Running {
        return Err(Failure::new(503, "Database _resync is in progress, this may take some time, try again later"));
    }
    if at.db.is_offline() != offline {
        let mut raw = at.db.config().raw.clone();
        raw.insert("offline".to_owned(), json!(offline));
        at.gateway.configure(&at.db, raw).await?;
    }
    Ok(respond::json(StatusCode::OK, "{}"))
}

/// `D/_resync`.
pub(crate) fn resync(at: &At) -> Reply {
    if at.call.is(&Method::GET) {
        return Ok(respond::ok(&at.db.resync.lock().to_json()));
    }
    let stop = match at.call.query("action") {
        None | Some("" | "start") => false,
        Some("stop") => true,
        Some(_) => return Err(Failure::bad_request("Unknown action; use start or stop")),
    };
    let mut progress = at.db.resync.lock();
    let running = progress.status == resync::Status::Running;
    if stop {
        if running {
            progress.status = resync::Status::Stopped;
        }
        return Ok(respond::ok(&progress.to_json()));
    }
    if !at.db.is_offline() {
        return Err(Failure::new(503, "Database must be _offline before calling /_resync"));
    }
    if running {
        return Err(Failure::new(503, "Database _resync is already in progress"));
    }
    *progress = resync::Progress { status: resync::Status::Running, ..resync::Progress::default() };
    let (store, db) = (Arc::clone(&at.gateway.store), Arc::clone(&at.db));
    at.gateway.tasks.spawn_blocking(move || resync::run(&store, &db));
    Ok(respond::ok(&progress.to_json()))
}

/// `POST D/_purge`.
pub(crate) async fn purge(at: At) -> Reply {
    let wanted = at.call.object(Media::Json(400))?;
    let everything = |revs: &Value| matches!(revs, Value::Array(revs) if revs.len() == 1 && revs[0] == "*");
    let ids: Vec<String> = wanted.iter().filter(|(_, revs)| everything(revs)).map(|(id, _)| id.clone()).collect();
    let db = Arc::clone(&at.db);
    let purged = at
        .gateway
        .store
        .write(move |tx| {
            let mut purged = BTreeMap::new();
            for id in ids {
                if purge::purge(tx, &db, &id)? {
                    purged.insert(id, ["*"]);
                }
            }
            Ok(purged)
        })
        .await?;
    let body = json::canonical_value(&json!({"purged": purged}));
    Ok(respond::json(StatusCode::OK, body))
}
