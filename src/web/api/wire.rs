//! What all calls share: bodies and queries that are refused with a reason, pages of lists, and revisions as `ETag`s.

use crate::web::{State, WebError};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A JSON body.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<State> for Body<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, state: &State) -> Result<Body<T>, WebError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/json") {
            return Err(WebError::Refused {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                heading: "Unsupported media type".to_owned(),
                what: "send application/json".to_owned(),
            });
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|why| WebError::Refused {
            status: why.status(),
            heading: "The body cannot be read".to_owned(),
            what: why.body_text(),
        })?;
        if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            let what = "the body must be one JSON object in braces, with the fields that the manual at /api names";
            return Err(WebError::Invalid(what.to_owned()));
        }
        serde_json::from_slice(&bytes).map(Body).map_err(|why| WebError::Invalid(why.to_string()))
    }
}

/// A query.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<State> for Query<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Query<T>, WebError> {
        let read = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        read.map(|query| Query(query.0)).map_err(|why| WebError::Invalid(query_in_words(&why.body_text())))
    }
}

/// What is wrong with a query, without the words of the library.
fn query_in_words(why: &str) -> String {
    let why = why.strip_prefix("Failed to deserialize query string: ").unwrap_or(why);
    match why.split_once(": ") {
        Some((name, why)) if why.contains("invalid digit") || why.contains("empty string") => {
            format!("{name} must be a whole number")
        }
        Some((name, why)) if why.contains("`true` or `false`") => format!("{name} must be true or false"),
        Some((name, why)) => format!("{name} in the query does not fit: {why}"),
        None => format!("the query does not fit: {why}"),
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// At most so many, 1 to 500; 100 when left out.
    #[param(minimum = 1, maximum = 500)]
    pub(super) limit: Option<u32>,
    /// `next` of the page before.
    pub(super) cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// In their order.
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
    /// How many there are on all pages.
    pub(super) total: usize,
}

/// Cuts a page out of everything. `key` must be unique and is what the list is sorted by.
pub(super) fn page<T>(
    all: Vec<T>,
    part: &Part,
    descending: bool,
    key: impl Fn(&T) -> (String, String),
) -> Result<Page<T>, WebError> {
    let limit = part.limit()?;
    let after: Option<(String, String)> = part.cursor.as_deref().map(read_cursor).transpose()?;
    let total = all.len();
    let mut all: Vec<((String, String), T)> = all.into_iter().map(|item| (key(&item), item)).collect();
    all.sort_by(|a, b| if descending { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
    let passed = |key: &(String, String)| {
        after.as_ref().is_some_and(|after| if descending { key >= after } else { key <= after })
    };
    let mut left = all.into_iter().skip_while(|(key, _)| passed(key)).peekable();
    let (mut items, mut last) = (Vec::new(), None);
    while items.len() < limit
        && let Some((key, item)) = left.next()
    {
        items.push(item);
        last = Some(key);
    }
    let more = left.peek().is_some();
    let next = last.filter(|_| more).map(|key| cursor(&key));
    Ok(Page { items, next, total })
}

impl Part {
    /// How many are asked for.
    pub(super) fn limit(&self) -> Result<usize, WebError> {
        let limit = self.limit.unwrap_or(100);
        if (1..=500).contains(&limit) {
            Ok(limit as usize)
        } else {
            Err(WebError::Invalid("limit must be from 1 to 500".to_owned()))
        }
    }
}

/// What names the place of an item in its list; nobody else makes one up.
pub(super) fn cursor(key: &(String, String)) -> String {
    BASE64.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// The place that a cursor names.
pub(super) fn read_cursor(cursor: &str) -> Result<(String, String), WebError> {
    let bytes = BASE64.decode(cursor).ok();
    let read = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    read.ok_or_else(|| WebError::Invalid("cursor must be the next of a page before".to_owned()))
}

/// The `ETag` of a document.
pub(super) fn etag(rev: &str) -> String {
    format!("\"{rev}\"")
}

/// One document with its `ETag`; nothing but that when the client has it already.
pub(super) fn one(headers: &HeaderMap, rev: &str, body: impl Serialize) -> Response {
    let tag = etag(rev);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let known = known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { axum::Json(body).into_response() };
    response.headers_mut().extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    response
}

/// The revision that a change is based on. Without one the last writer would win over what they never saw.
pub(super) fn based_on(headers: &HeaderMap) -> Result<String, WebError> {
    let said = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    let Some(said) = said else {
        return Err(WebError::Refused {
            status: StatusCode::PRECONDITION_REQUIRED,
            heading: "If-Match is missing".to_owned(),
            what: "send the ETag of what you read as If-Match".to_owned(),
        });
    };
    let rev = said.trim().strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    // Whatever else was sent is the tag of nothing that ever stood there.
    rev.filter(|rev| is_revision(rev)).map(str::to_owned).ok_or_else(changed)
}

/// Whether a change is of whatever stands there, as long as something does (RFC 9110, 13.1.1).
pub(super) fn is_of_any(headers: &HeaderMap) -> bool {
    headers.get(header::IF_MATCH).is_some_and(|value| value.as_bytes().trim_ascii() == b"*")
}

/// A generation and a digest.
fn is_revision(text: &str) -> bool {
    let plain =
        |part: &str, fits: fn(&u8) -> bool| !part.is_empty() && part.len() <= 64 && part.as_bytes().iter().all(fits);
    text.split_once('-').is_some_and(|(generation, digest)| {
        generation.len() <= 15 && plain(generation, u8::is_ascii_digit) && plain(digest, u8::is_ascii_alphanumeric)
    })
}

fn changed() -> WebError {
    WebError::Refused {
        status: StatusCode::PRECONDITION_FAILED,
        heading: "Changed meanwhile".to_owned(),
        what: "somebody changed this since you read it; read it again".to_owned(),
    }
}

/// A lost race, as HTTP says it for conditional requests.
pub(super) fn stale(error: crate::store::StoreError) -> WebError {
    match error {
        crate::store::StoreError::Conflict { .. } => changed(),
        other => other.into(),
    }
}

/// The same of an edit that other code made.
pub(super) fn stale_edit(error: WebError) -> WebError {
    if matches!(error, WebError::Conflict) { changed() } else { error }
}

#[cfg(test)]
mod tests {
    use super::{Part, page};

    #[test]
    fn pages_follow_each_other_without_gap_or_double_up_and_down() {
        let all: Vec<u32> = (0..25).collect();
        for descending in [false, true] {
            let (mut seen, mut cursor) = (Vec::new(), None);
            for _ in 0..10 {
                let part = Part { limit: Some(7), cursor: cursor.clone() };
                let page =
                    page(all.clone(), &part, descending, |n| (format!("{:02}", n / 3), format!("{n:02}"))).unwrap();
                assert_eq!(page.total, 25);
                seen.extend(page.items);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            let mut expected = all.clone();
            if descending {
                expected.reverse();
            }
            assert_eq!(seen, expected);
        }
        for bad in [Part { limit: Some(0), cursor: None }, Part { limit: None, cursor: Some("?".to_owned()) }] {
            assert!(page(all.clone(), &bad, false, |n| (String::new(), n.to_string())).is_err());
        }
    }
}
