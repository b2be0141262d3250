//! A copy that has just started knows its documents a moment later. Until then who is invited, what a policy says and what stands
//! where would be answered from nothing; so whoever asks waits a little, and is then told to come again.

use super::{State, WebError};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::time::Duration;

/// How long a request waits for them by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// The layer of everything that rests on the index.
pub(super) async fn known(
    axum::extract::State(state): axum::extract::State<State>,
    request: Request,
    next: Next,
) -> Response {
    let known = state.index.is_caught_up() || tokio::time::timeout(PATIENCE, state.index.caught_up()).await.is_ok();
    if known { next.run(request).await } else { WebError::Starting.into_response() }
}
