//! `/api/v1`: what pages do, for programs. Every call acts as its person through the gateway's public port, so that the access
//! rules judge it like a phone's. `/api/openapi.json` describes it, `/api` shows that to people.

mod accounts;
mod connect;
mod costs;
mod event_keys;
mod events;
mod exemptions;
mod history;
mod hooks;
mod leases;
mod manual;
mod people;
mod phone;
mod policies;
mod previews;
mod reference;
mod requests;
mod resources;
mod standing;
mod story;
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
        .route("/api/v1/users", get(people::list).post(people::invite))
        .route("/api/v1/users/{user}", get(people::one).patch(people::edit).delete(people::remove))
        .route("/api/v1/policies", get(policies::list))
        .route("/api/v1/policies/effective", get(policies::effective))
        .route("/api/v1/policies/{policy}", get(policies::one).put(policies::put).delete(policies::remove))
        .route("/api/v1/policies/{policy}/preview", post(previews::of_policy))
        .route("/api/v1/exemptions", get(exemptions::list).post(exemptions::add))
        .route("/api/v1/exemptions/preview", post(exemptions::preview))
        .route("/api/v1/exemptions/{id}", get(exemptions::one).put(exemptions::change).delete(exemptions::end))
        .route("/api/v1/aws-accounts/{aws_id}/preview", post(previews::of_stage))
        .merge(aws_accounts())
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
        .route("/api", get(manual::page))
        .route("/api/{*path}", axum::routing::any(async || nothing()))
        .method_not_allowed_fallback(async || WebError::Refused {
            status: axum::http::StatusCode::METHOD_NOT_ALLOWED,
            heading: "Method not allowed".to_owned(),
            what: "see /api/openapi.json for what this address takes".to_owned(),
        })
}

/// AWS accounts.
fn aws_accounts() -> Router<State> {
    Router::new()
        .route("/api/v1/aws-accounts", get(accounts::list).post(connect::begin))
        .route("/api/v1/aws-accounts/begun", get(connect::begun))
        .route("/api/v1/aws-accounts/{aws_id}", get(accounts::one).patch(accounts::edit).delete(connect::remove))
        .route("/api/v1/aws-accounts/{aws_id}/event-keys", get(event_keys::list).post(event_keys::create))
        .route("/api/v1/aws-accounts/{aws_id}/event-keys/{id}", delete(event_keys::revoke))
        .route("/api/v1/aws-accounts/{aws_id}/event-keys/{id}/rotate", post(event_keys::rotate))
        .route("/api/v1/aws-accounts/{aws_id}/access", get(connect::access))
        .route("/api/v1/aws-accounts/{aws_id}/template", get(connect::template))
        .route("/api/v1/aws-accounts/{aws_id}/verify", post(connect::verify))
        .route("/api/v1/aws-accounts/{aws_id}/rotate", post(connect::rotate))
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
        people::invite,
        people::remove,
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
        previews::of_policy,
        exemptions::list,
        exemptions::one,
        exemptions::add,
        exemptions::change,
        exemptions::end,
        exemptions::preview,
        accounts::list,
        accounts::one,
        accounts::edit,
        previews::of_stage,
        connect::begin,
        connect::begun,
        connect::access,
        connect::template,
        connect::verify,
        connect::rotate,
        connect::remove,
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
