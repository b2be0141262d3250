//! `/api/v1`: what pages do, for programs. Every call acts as its person through the gateway's public port, so that the access
//! rules judge it like a phone's. `/api/openapi.json` describes it, `/api` shows that to people.

mod accounts;
mod costs;
mod event_keys;
mod events;
mod history;
mod hooks;
mod leases;
mod people;
mod phone;
mod policies;
mod reference;
mod requests;
mod resources;
mod standing;
mod tokens;
mod wire;

use super::{State, WebError};
use axum::Router;
use axum::routing::{delete, get, post};
use reference::Common;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

/// Every call.
pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/api/v1/me", get(people::me))
        .route("/api/v1/device", post(tokens::device))
        .route("/api/v1/device/token", post(tokens::device_token))
        .route("/api/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/api/v1/tokens/{id}", delete(tokens::revoke))
        .route("/api/v1/leases", get(leases::list))
        .route("/api/v1/leases/{lease}", get(leases::one).patch(leases::edit))
        .route("/api/v1/leases/{lease}/requests", post(requests::create))
        .route("/api/v1/requests", get(requests::list))
        .route("/api/v1/requests/{id}", get(requests::one))
        .route("/api/v1/resources", get(resources::list))
        .route("/api/v1/users", get(people::list))
        .route("/api/v1/users/{user}", get(people::one).patch(people::edit))
        .route("/api/v1/policies", get(policies::list))
        .route("/api/v1/policies/effective", get(policies::effective))
        .route("/api/v1/policies/{policy}", get(policies::one).put(policies::put).delete(policies::remove))
        .route("/api/v1/aws-accounts", get(accounts::list))
        .route("/api/v1/aws-accounts/{aws_id}", get(accounts::one).patch(accounts::edit))
        .route("/api/v1/aws-accounts/{aws_id}/event-keys", get(event_keys::list).post(event_keys::create))
        .route("/api/v1/aws-accounts/{aws_id}/event-keys/{id}", delete(event_keys::revoke))
        .route("/api/v1/aws-accounts/{aws_id}/event-keys/{id}/rotate", post(event_keys::rotate))
        .route("/api/v1/pauses", get(accounts::pauses))
        .route("/api/v1/pauses/{scope}", axum::routing::put(accounts::pause).delete(accounts::resume))
        .route("/api/v1/plan", get(standing::plan))
        .route("/api/v1/status", get(standing::status))
        .route("/api/v1/costs", get(costs::costs))
        .route("/api/v1/costs/{picture}", get(costs::picture))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/hooks", get(hooks::list).post(hooks::create))
        .route("/api/v1/hooks/{id}", delete(hooks::remove))
        .route("/api/v1/history", get(history::history))
        .route("/api/v1/sync-session", post(phone::sync_session))
        .route("/api/openapi.json", get(reference::json))
        .route("/api", get(reference::page))
        .route("/api/{*path}", axum::routing::any(async || nothing()))
        .method_not_allowed_fallback(async || WebError::Refused {
            status: axum::http::StatusCode::METHOD_NOT_ALLOWED,
            heading: "Method not allowed".to_owned(),
            what: "see /api/openapi.json for what this address takes".to_owned(),
        })
}

fn nothing() -> WebError {
    WebError::NotFound("there is no such call; see /api/openapi.json".to_owned())
}

/// Why a call failed (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
struct Problem {
    /// `about:blank`: the status says what kind.
    r#type: String,
    /// A few words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened and what to do.
    detail: String,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "zerocloud",
        version = "1",
        description = "Leases for cloud instances: every instance has an owner and an end. Times are UTC, exactly \
            `YYYY-MM-DDTHH:MM:SSZ`; durations are whole seconds; money is in millionths of a US dollar and an estimate.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        tokens::device,
        tokens::device_token,
        people::me,
        tokens::list,
        tokens::create,
        tokens::revoke,
        people::list,
        people::one,
        people::edit,
        leases::list,
        leases::one,
        leases::edit,
        resources::list,
        requests::create,
        requests::list,
        requests::one,
        policies::list,
        policies::effective,
        policies::one,
        policies::put,
        policies::remove,
        accounts::list,
        accounts::one,
        accounts::edit,
        accounts::pauses,
        accounts::pause,
        accounts::resume,
        event_keys::list,
        event_keys::create,
        event_keys::rotate,
        event_keys::revoke,
        standing::plan,
        standing::status,
        costs::costs,
        costs::picture,
        events::stream,
        hooks::list,
        hooks::create,
        hooks::remove,
        history::history,
        phone::sync_session
    ),
    components(schemas(Problem)),
    modifiers(&Common)
)]
struct Described;
