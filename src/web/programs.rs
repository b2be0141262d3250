//! What answers programs: the REST API, hooks of other services, and the gateway's public port.

use super::{LONGEST, MOST_BYTES, State, api, bodies, error, headers, hooks, once, starting, sync};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get, post};
use std::time::Duration;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

/// What a phone may send at once: the gateway takes documents of 20 MiB.
const LARGEST_DOCUMENTS: usize = 32 * 1024 * 1024;

/// Their routes.
pub(super) fn router(state: &State) -> Router<State> {
    let calls = api::router()
        .layer(from_fn_with_state(state.clone(), once::layer))
        // Outside: what is asked again is not the same call twice. Hooks and feeds go by documents, not by the index.
        .route_layer(from_fn_with_state(state.clone(), starting::known))
        .route("/hooks/ses", post(hooks::post))
        .route("/hooks/scheduler/{token}", get(hooks::scheduler::show).post(hooks::scheduler::call))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LONGEST))
        .layer(RequestBodyLimitLayer::new(MOST_BYTES))
        .layer(DefaultBodyLimit::disable());
    // EventBridge waits 5 seconds; its events may be larger than what people send.
    let events = Router::new()
        .route("/hooks/aws/events", post(hooks::aws::post))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(4)))
        .layer(RequestBodyLimitLayer::new(hooks::aws::MOST_BYTES))
        .layer(DefaultBodyLimit::disable());
    // Feeds have no end; what is sent has one.
    let sync = Router::new()
        .route("/sync", any(sync::pass))
        .route("/sync/", any(sync::pass))
        .route("/sync/{*path}", any(sync::pass))
        .layer(from_fn_with_state(bodies::LONGEST, bodies::in_time))
        .layer(RequestBodyLimitLayer::new(LARGEST_DOCUMENTS))
        .layer(DefaultBodyLimit::disable());
    calls.merge(events).merge(sync).layer(from_fn(error::as_problem)).layer(from_fn(headers::private))
}
