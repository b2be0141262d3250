//! An answer on the wire: whole, cut in the middle, or lost.

use std::io;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::faults::Delivery;
use crate::protocol::Reply;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

pub(super) fn send(reply: Reply, request_id: &str, delivery: Delivery) -> Response {
    let body = Bytes::from(reply.body);
    let arriving = match delivery {
        Delivery::Whole => None,
        Delivery::Cut => Some(body.len() / 2),
        Delivery::Lost => Some(0),
    };
    let length = body.len();
    let body = arriving.map_or_else(|| Body::from(body.clone()), |arriving| broken(body.slice(..arriving)));
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.service.content_type()));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if reply.service.is_json()
        && let Some(code) = reply.code.and_then(|code| HeaderValue::from_str(&code).ok())
    {
        headers.insert(ERROR_TYPE, code);
    }
    response
}

/// The end of a call that was never answered.
pub(super) fn cut() -> Response {
    Response::new(broken(Bytes::new()))
}

/// A body that fails after its beginning: the server then closes the connection, short of the length it promised. Yielding between
/// the two lets the beginning reach the wire.
fn broken(beginning: Bytes) -> Body {
    let failure = async {
        tokio::task::yield_now().await;
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a fault"))
    };
    Body::from_stream(stream::iter([Ok(beginning)]).chain(stream::once(failure)))
}
