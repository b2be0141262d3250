//! A session at the gateway for a phone that syncs documents.

use crate::web::token::Caller;
use crate::web::{Site, State, WebError, granted, sync};
use axum::Json;
use axum::extract::State as At;
use serde::Serialize;
use utoipa::ToSchema;

/// What a phone needs to sync documents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SyncSession {
    /// The database, for PouchDB and Couchbase Lite.
    url: String,
    /// The cookie to send: its name …
    cookie_name: String,
    /// … and its value. Secret.
    session_id: String,
    /// When it ends.
    expires: String,
    /// What `updated_by` must hold in what this person writes.
    user: String,
    /// What this person may read.
    channels: Vec<String>,
}

/// A session for syncing documents. It is good for a day, however much it is used, and no longer than the token that gave it.
///
/// The access rules judge what is written with it. As it carries all that its person may do, a token needs the scopes `sync`,
/// `read` and `write`, and of an admin `admin`.
#[utoipa::path(post, path = "/api/v1/sync-session", tag = "sync", responses((status = 201, body = SyncSession)))]
pub(super) async fn sync_session(
    At(state): At<State>,
    caller: Caller,
    site: Site,
) -> Result<(axum::http::StatusCode, Json<SyncSession>), WebError> {
    let person = &caller.person;
    let (session, expires) = granted::give(&state, &caller).await?;
    let (name, id) = session.parts();
    let mut channels = vec![format!("account:{}", person.account), format!("user:{}:{}", person.account, person.user)];
    channels.extend(person.is_admin().then(|| format!("admin:{}", person.account)));
    let answer = SyncSession {
        url: format!("{}{}", site.origin, sync::PATH),
        cookie_name: name.to_owned(),
        session_id: id.to_owned(),
        expires: expires.to_string(),
        user: person.gateway_name(),
        channels,
    };
    Ok((axum::http::StatusCode::CREATED, Json(answer)))
}
