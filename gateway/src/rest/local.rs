//! `_local/{id}`: checkpoints.

use axum::http::{Method, StatusCode};

use super::call::Media;
use super::docs::ok_body;
use super::failure::{Failure, Reply};
use super::{At, respond};
use crate::database::local;

/// `D/_local/{id}`.
pub(crate) async fn document(at: At, id: String) -> Reply {
    let db = at.db.id();
    if at.call.is(&Method::GET) {
        let text = at.gateway.store.read(move |conn| local::get(conn, db, &id)).await?;
        let text = text.ok_or_else(|| Failure::new(404, "missing"))?;
        return Ok(respond::json(StatusCode::OK, text));
    }
    if at.call.is(&Method::DELETE) {
        let rev = at.call.query("rev").map(str::to_owned);
        at.gateway.store.write(move |tx| local::delete(tx, db, &id, rev.as_deref())).await?;
        return Ok(respond::empty(StatusCode::OK));
    }
    let body = at.call.object(Media::Json(400))?;
    let name = format!("_local/{id}");
    let rev = at.gateway.store.write(move |tx| local::put(tx, db, &id, body)).await?;
    Ok(respond::json(StatusCode::CREATED, ok_body(&name, &rev)))
}
