//! Building answers.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

/// A JSON answer from text.
pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    with_type(status, "application/json", body)
}

/// A JSON answer from a value.
pub(crate) fn value(status: StatusCode, body: &Value) -> Response {
    json(status, crate::json::canonical_value(body))
}

/// A JSON answer with status 200.
pub(crate) fn ok(body: &Value) -> Response {
    value(StatusCode::OK, body)
}

/// An answer of any type.
pub(crate) fn with_type(status: StatusCode, media: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    if let Ok(media) = HeaderValue::from_str(media) {
        response.headers_mut().insert(header::CONTENT_TYPE, media);
    }
    response
}

/// Plain text.
pub(crate) fn text(status: StatusCode, body: &'static str) -> Response {
    with_type(status, "text/plain", body)
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Adds a header if its value can be one.
pub(crate) fn header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Adds `Etag: "rev"`.
pub(crate) fn etag(response: Response, rev: &str) -> Response {
    header(response, header::ETAG, &format!("\"{rev}\""))
}
