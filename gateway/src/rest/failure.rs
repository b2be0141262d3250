//! An answer that is not a result, in the shape clients know: `{"error": E, "reason": R}`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::error::Error;
use crate::json;

/// A handler's answer.
pub(crate) type Reply = Result<Response, Failure>;

/// What is sent instead of a result.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u16,
    reason: String,
    /// Ask for a login.
    challenge: bool,
}

impl Failure {
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), challenge: false }
    }

    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(400, reason)
    }

    pub(crate) fn unknown_url() -> Self {
        Self::new(404, "unknown URL")
    }

    /// Adds `WWW-Authenticate`.
    pub(crate) fn challenging(mut self, yes: bool) -> Self {
        self.challenge = yes;
        self
    }

    pub(crate) fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = match self.status {
            404 => "not_found",
            409 => "conflict",
            // The texts clients know; newer standards have shorter ones.
            413 => "Request Entity Too Large",
            416 => "Requested Range Not Satisfiable",
            _ => status.canonical_reason().unwrap_or("Error"),
        };
        let body = format!("{{\"error\":{},\"reason\":{}}}", json::quote(error), json::quote(&self.reason));
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.challenge {
            let realm = HeaderValue::from_static("Basic realm=\"Couchbase Sync Gateway\"");
            headers.insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Store(cause) = &error {
            tracing::error!(%cause, "the store failed");
        }
        Self::new(error.status(), error.reason())
    }
}

/// The name of a status inside a bulk answer's row.
pub(crate) fn row_error(status: u16) -> String {
    let name = match status {
        400 => "bad_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        406 => "not_acceptable",
        409 => "conflict",
        412 => "file_exists",
        415 => "bad_content_type",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// The members of an error row: `"error":…,"reason":…,"status":…`.
pub(crate) fn row_members(error: &Error) -> String {
    let status = error.status();
    format!("\"error\":\"{}\",\"reason\":{},\"status\":{status}", row_error(status), json::quote(&error.reason()))
}
