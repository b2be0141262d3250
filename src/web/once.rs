//! Calls that make something and are to make it once: by the header `Idempotency-Key`, and by the `once` of a form that answers with
//! a secret. The first call leaves a document `call::…`, which no channel shows, before it does anything; a second one gets the
//! first one's answer, or hears why not. Leases' requests have their own way: their documents bear the key themselves.

use super::token::Caller;
use super::{Person, State, WebError};
use crate::model::{AccountId, Doc, Extra, Time, UserId};
use crate::store::StoreError;
use axum::extract::{FromRequest as _, FromRequestParts as _, MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The API's calls that take a key, and where a secret is that they answer with; it is not kept with the answer.
pub(super) const CALLS: [(&str, Secret); 8] = [
    ("/api/v1/tokens", Secret::Once),
    ("/api/v1/users", Secret::None),
    ("/api/v1/exemptions", Secret::None),
    ("/api/v1/hooks", Secret::Once),
    ("/api/v1/aws-accounts", Secret::Access),
    ("/api/v1/aws-accounts/{aws_id}/rotate", Secret::Access),
    ("/api/v1/aws-accounts/{aws_id}/event-keys", Secret::Once),
    ("/api/v1/aws-accounts/{aws_id}/event-keys/{id}/rotate", Secret::Once),
];
/// How long a key is remembered, seconds.
const KEPT: i64 = 86_400;
/// No call takes longer, seconds.
const LONGEST: i64 = 60;

/// What secret an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    /// None: the answer is given again.
    None,
    /// One that is shown this one time.
    Once,
    /// The external ID of an AWS account, which who may connect it can read.
    Access,
}

/// A call that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Call {
    account: AccountId,
    user: UserId,
    /// A hash of what was asked for.
    asked: String,
    at: Time,
    /// Absent while it is under way, and when the process died in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    purge_at: Time,
    #[serde(flatten)]
    extra: Extra,
}

/// What was said.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    status: u16,
    /// Absent where it holds a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
}

/// A call that nobody made before.
#[derive(Debug)]
pub(super) struct First(Doc<Call>);

/// What stands for a call.
enum Found {
    First(First),
    Before(Call),
}

/// The first to bring that `key` to that `place` goes on.
async fn begin(state: &State, person: &Person, place: &str, key: &str, asked: &[u8]) -> Result<Found, WebError> {
    let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let name = hash(format!("{place}\n{key}").as_bytes());
    let (account, user, now) = (person.account.clone(), person.user.clone(), state.clock.now());
    let id = format!("call::{account}::{user}::{name}");
    let (asked, purge_at) = (hash(asked), now.plus(KEPT));
    let body = Call { account, user, asked, at: now, answer: None, purge_at, extra: Extra::new() };
    let mut doc = Doc { id, rev: None, body };
    match state.store.put("call", &doc).await {
        Ok(rev) => {
            doc.rev = Some(rev);
            Ok(Found::First(First(doc)))
        }
        Err(StoreError::Conflict { .. }) => {
            let before = state.store.get::<Call>(&doc.id).await?.ok_or(WebError::Conflict)?.body;
            if before.asked != doc.body.asked {
                return Err(WebError::Invalid("this Idempotency-Key was used for another call".to_owned()));
            }
            Ok(Found::Before(before))
        }
        Err(why) => Err(why.into()),
    }
}

impl First {
    /// It was done: whoever comes again hears that, and the body if there is one.
    async fn done(mut self, state: &State, status: u16, body: Option<Value>) {
        self.0.body.answer = Some(Answer { status, body });
        if let Err(why) = state.store.put("call", &self.0).await {
            tracing::warn!(%why, "the answer to a call is not kept; the same key is answered with a refusal");
        }
    }

    /// It was refused: the same key may try again.
    async fn undone(self, state: &State) {
        if let Err(why) = state.store.delete(&self.0.id, &self.0.rev.unwrap_or_default()).await {
            tracing::warn!(%why, "a call that was refused stays known; the same key is answered with a refusal");
        }
    }
}

/// A form with `once` in it, which its page made up: sent again to the same `place`, it does nothing, and the person hears what to do.
///
/// # Errors
/// `Refused` for a second time.
pub(super) async fn form<T>(
    state: &State,
    person: &Person,
    (place, once): (&str, &str),
    made: impl Future<Output = Result<T, WebError>>,
) -> Result<T, WebError> {
    // A page of before this was there.
    if once.is_empty() || once.len() > 100 {
        return made.await;
    }
    let first = match begin(state, person, place, once, b"").await? {
        Found::First(first) => first,
        Found::Before(Call { answer: None, .. }) => {
            return Err(refused(
                "Sent already",
                "This form was sent before, and nobody knows whether it was done: it is under way, or was cut short. Look whether \
                 it is there; if not, load the form's page anew",
            ));
        }
        Found::Before(_) => {
            return Err(refused(
                "Made already",
                "This was made when the form was sent first, and shown that one time; loading its page again makes no second \
                 one. If you did not copy it, revoke it and make another",
            ));
        }
    };
    let done = made.await;
    match &done {
        Ok(_) => first.done(state, 200, None).await,
        Err(why) if why.status().is_client_error() => first.undone(state).await,
        // It may have been done all the same.
        Err(_) => {}
    }
    done
}

/// What an `Idempotency-Key` says.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<String>, WebError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let fine = key.to_str().ok().filter(|key| (1..=200).contains(&key.len()));
    let fine =
        fine.ok_or_else(|| WebError::Invalid("Idempotency-Key must be 1 to 200 printable characters".to_owned()))?;
    Ok(Some(fine.to_owned()))
}

/// A layer of the API's calls: those in [`CALLS`] are made once for each key.
pub(super) async fn layer(
    axum::extract::State(state): axum::extract::State<State>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let call = CALLS.iter().find(|(known, _)| path == Some(known) && request.method() == Method::POST);
    match call {
        Some((_, secret)) => {
            answer(&state, *secret, request, next).await.unwrap_or_else(axum::response::IntoResponse::into_response)
        }
        None => next.run(request).await,
    }
}

async fn answer(state: &State, secret: Secret, request: Request, next: Next) -> Result<Response, WebError> {
    let Some(key) = key_of(request.headers())? else { return Ok(next.run(request).await) };
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, state).await?;
    let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
    let bytes = bytes.map_err(|why| WebError::Refused {
        status: why.status(),
        heading: "The body cannot be read".to_owned(),
        what: why.body_text(),
    })?;
    let first = match begin(state, &caller.person, parts.uri.path(), &key, &bytes).await? {
        Found::First(first) => first,
        Found::Before(call) => return again(call, secret, state.clock.now()),
    };
    let response = next.run(Request::from_parts(parts, bytes.into())).await;
    if response.status().is_server_error() {
        // It may have been done all the same: the key stays taken.
        return Ok(response);
    }
    if !response.status().is_success() {
        first.undone(state).await;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, super::MOST_BYTES).await.map_err(|why| WebError::Internal(why.into()))?;
    let kept = (secret == Secret::None).then(|| serde_json::from_slice(&bytes).unwrap_or_default());
    first.done(state, parts.status.as_u16(), kept).await;
    Ok(Response::from_parts(parts, bytes.into()))
}

/// The answer to a call that was made before.
fn again(call: Call, secret: Secret, now: Time) -> Result<Response, WebError> {
    let what = match (call.answer, secret) {
        (Some(Answer { status, body: Some(body) }), Secret::None) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            return Ok((status, kind, body.to_string()).into_response());
        }
        (Some(_), Secret::Access) => {
            "an earlier call with this Idempotency-Key did it; read what came of it at /api/v1/aws-accounts/{aws_id}/access"
        }
        (Some(_), _) => {
            "an earlier call with this Idempotency-Key made it, and what it consists of is shown one time only; revoke it and make \
             another with another key"
        }
        (None, _) if now.seconds_since(call.at) < LONGEST => {
            "the first call with this Idempotency-Key is still under way; ask again in a moment"
        }
        (None, _) => {
            "the first call with this Idempotency-Key was cut short, and nobody knows whether it was done; look, and use another key"
        }
    };
    Err(refused("Made already", what))
}

fn refused(heading: &str, what: &str) -> WebError {
    WebError::Refused { status: StatusCode::CONFLICT, heading: heading.to_owned(), what: what.to_owned() }
}
