//! `_design/{name}` and its views.

use std::sync::Arc;

use axum::http::{Method, StatusCode};

use super::call::Media;
use super::failure::{Failure, Reply};
use super::{At, Port, respond};
use crate::error::Error;
use crate::views::design;
use crate::views::query::{self, Params};

/// `D/_design/{name}`.
pub(crate) async fn document(at: At, name: String) -> Reply {
    if at.call.port == Port::Public {
        return Err(Failure::new(403, "forbidden"));
    }
    let db = at.db.id();
    if at.call.is(&Method::GET) {
        let found = at.gateway.store.read(move |conn| design::get(conn, db, &name)).await?;
        let found = found.ok_or_else(|| Failure::new(404, "missing"))?;
        return Ok(respond::json(StatusCode::OK, found.source));
    }
    if at.call.is(&Method::DELETE) {
        at.gateway.store.write(move |tx| design::delete(tx, db, &name)).await?;
        return Ok(respond::empty(StatusCode::OK));
    }
    let body = at.call.object(Media::Json(400))?;
    at.gateway.store.write(move |tx| design::put(tx, db, &name, &body)).await?;
    Ok(respond::empty(StatusCode::CREATED))
}

/// `D/_design/{name}/_view/{view}`.
pub(crate) async fn view(at: At, name: String, view: String) -> Reply {
    if at.call.port == Port::Public && !at.db.config().user_views {
        return Err(Failure::new(403, "forbidden"));
    }
    let params = Params::parse(|key| at.call.query(key).map(str::to_owned))?;
    let (gateway, db, reader) = (Arc::clone(&at.gateway), Arc::clone(&at.db), at.reader.clone());
    let body = tokio::task::spawn_blocking(move || {
        let store = &gateway.store;
        let design = if params.stale {
            let found = store.read_blocking(|conn| design::get(conn, db.id(), &name))?;
            found.ok_or_else(|| Error::not_found("missing"))?
        } else {
            gateway.indexer.update(store, &db, &name)?
        };
        store.read_blocking(|conn| query::run(conn, &design, &view, &params, &reader))
    });
    let body = body.await.map_err(|_| Failure::from(Error::Stopped))??;
    Ok(respond::json(StatusCode::OK, body))
}
