//! What can go wrong with a page or a call, and how each edge says it: a page that says what to do, or problem+json
//! (RFC 9457). The client never sees an internal message; that is logged once, here.

use super::State;
use super::html::{self, Shell};
use super::site::Site;
use crate::store::StoreError;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use serde_json::json;

pub(super) use crate::words::sentence;

/// How long documents are read for after a start, as a rule, seconds.
const STARTING: u64 = 5;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Nobody is signed in; `next` is where they wanted to go.
    #[error("sign in first")]
    SignIn {
        /// A path on this site.
        next: String,
    },
    /// A token came that is of no use.
    #[error(
        "this token is not valid: it is not whole, was revoked, or has ended; the page of settings, or zerocloud login, makes a new one"
    )]
    BadToken,
    /// They may not.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing, or not for them: both sound the same.
    #[error("{0}")]
    NotFound(String),
    /// What was sent makes no sense; says what would.
    #[error("{0}")]
    Invalid(String),
    /// Somebody else was quicker.
    #[error("somebody changed this a moment ago; look at it again")]
    Conflict,
    /// Too many tries.
    #[error("too many tries; wait a minute and try again")]
    TooMany {
        /// Seconds to wait.
        after: u64,
    },
    /// A page of its own with a heading: a refusal that says what to do.
    #[error("{what}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The heading.
        heading: String,
        /// What to do.
        what: String,
    },
    /// The gateway or GitHub does not answer.
    #[error("zerocloud cannot reach its documents just now; try again in a moment")]
    Unavailable(#[source] anyhow::Error),
    /// What answers rest on is not known yet.
    #[error(
        "zerocloud has just started and is reading its documents; try again in a few seconds (if that lasts, it cannot reach them, and its log says why)"
    )]
    Starting,
    /// A fault of ours.
    #[error("something went wrong here; it is in the log")]
    Internal(#[source] anyhow::Error),
}

/// What a router's last layer turns into a page or problem+json.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The status.
    pub status: StatusCode,
    /// A few words.
    pub title: String,
    /// What happened and what to do.
    pub detail: String,
    /// Where to go after signing in.
    pub next: Option<String>,
    /// Seconds to wait.
    pub retry_after: Option<u64>,
    /// What a program has to bring (RFC 6750).
    pub challenge: Option<&'static str>,
}

impl WebError {
    /// The status that belongs to it.
    pub fn status(&self) -> StatusCode {
        match self {
            WebError::SignIn { .. } | WebError::BadToken => StatusCode::UNAUTHORIZED,
            WebError::Forbidden(_) => StatusCode::FORBIDDEN,
            WebError::NotFound(_) => StatusCode::NOT_FOUND,
            WebError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            WebError::Conflict => StatusCode::CONFLICT,
            WebError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            WebError::Refused { status, .. } => *status,
            WebError::Unavailable(_) | WebError::Starting => StatusCode::SERVICE_UNAVAILABLE,
            WebError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(&self) -> String {
        match self {
            WebError::SignIn { .. } => "Sign in first",
            WebError::BadToken => "The token is not valid",
            WebError::Forbidden(_) => "Not for you",
            WebError::NotFound(_) => "Not found",
            WebError::Invalid(_) => "That does not work",
            WebError::Conflict => "Changed meanwhile",
            WebError::TooMany { .. } => "Slow down",
            WebError::Refused { heading, .. } => heading,
            WebError::Unavailable(_) => "Not reachable",
            WebError::Starting => "Starting",
            WebError::Internal(_) => "Something went wrong",
        }
        .to_owned()
    }
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> WebError {
        match error {
            StoreError::Conflict { .. } => WebError::Conflict,
            StoreError::NotFound { .. } => WebError::NotFound("there is no such thing, or it is not yours".to_owned()),
            // The access rules say in plain words why.
            StoreError::Refused { status: 403, reason, .. } => WebError::Forbidden(reason),
            StoreError::Unavailable { .. } | StoreError::NoDatabase { .. } => WebError::Unavailable(error.into()),
            other => WebError::Internal(other.into()),
        }
    }
}

impl From<minijinja::Error> for WebError {
    fn from(error: minijinja::Error) -> WebError {
        WebError::Internal(error.into())
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        if let WebError::Unavailable(why) | WebError::Internal(why) = &self {
            tracing::error!(error = format!("{why:#}"), "a request could not be answered");
        }
        let failure = Failure {
            status: self.status(),
            title: self.title(),
            detail: self.to_string(),
            next: match &self {
                WebError::SignIn { next } => Some(next.clone()),
                _ => None,
            },
            retry_after: match self {
                WebError::TooMany { after } => Some(after),
                WebError::Starting => Some(STARTING),
                _ => None,
            },
            challenge: match self {
                WebError::SignIn { .. } => Some("Bearer realm=\"zerocloud\""),
                WebError::BadToken => Some("Bearer realm=\"zerocloud\", error=\"invalid_token\""),
                _ => None,
            },
        };
        let mut response = failure.status.into_response();
        response.extensions_mut().insert(failure);
        response
    }
}

/// The last layer of the pages: a failure becomes a page, or the way to sign in.
pub async fn as_page(
    axum::extract::State(state): axum::extract::State<State>,
    site: Site,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let Some(failure) = response.extensions().get::<Failure>().cloned() else { return response };
    if let Some(next) = &failure.next {
        let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
        return Redirect::to(&format!("/login?next={next}")).into_response();
    }
    let shell = Shell::bare(&site, &failure.title);
    let values = context! { status => failure.status.as_u16(), detail => sentence(&failure.detail) };
    let mut page = match html::render(&state, &shell, "failure.html", values) {
        Ok(page) => page,
        Err(_) => failure.detail.clone().into_response(),
    };
    *page.status_mut() = failure.status;
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        page.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    wait(&mut page, &failure);
    page
}

/// The last layer of `/api`: a failure becomes problem+json.
pub async fn as_problem(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let failure = response.extensions().get::<Failure>().cloned().or_else(|| of_a_layer(&response));
    let Some(failure) = failure else { return response };
    let body = json!({
        "type": "about:blank", "title": failure.title, "status": failure.status.as_u16(), "detail": failure.detail,
    });
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
    let mut problem = (failure.status, kind, body.to_string()).into_response();
    wait(&mut problem, &failure);
    if let Some(challenge) = failure.challenge {
        problem.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    problem
}

/// What a layer refused, in plain text or without a word: what is too large, and what took too long.
fn of_a_layer(response: &Response) -> Option<Failure> {
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain")) {
        return None;
    }
    let (title, detail) = match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ("Too large", "this is more than this address takes at once; send less"),
        StatusCode::SERVICE_UNAVAILABLE => ("It took too long", "there is no answer in time; try again in a moment"),
        _ => return None,
    };
    let (title, detail) = (title.to_owned(), detail.to_owned());
    Some(Failure { status: response.status(), title, detail, next: None, retry_after: None, challenge: None })
}

fn wait(response: &mut Response, failure: &Failure) {
    if let Some(after) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after));
    }
}
