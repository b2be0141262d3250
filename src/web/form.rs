//! What a form sends, taken only when it comes from a page of ours: the browser says so, and the form brings the secret of the
//! person's session.

use super::{Person, Site, State, WebError};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use bytes::Bytes;
use subtle::ConstantTimeEq as _;

/// The fields of a form, in their order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`, or a query.
    pub fn read(bytes: &[u8]) -> Fields {
        Fields(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first of that name, trimmed; empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// Whether it is there at all, as ticked boxes are.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// Every one of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
    }
}

/// A form that a signed-in person sent from one of our pages.
#[derive(Debug)]
pub struct Act {
    /// Who.
    pub person: Person,
    /// What.
    pub fields: Fields,
    /// Where.
    pub site: Site,
}

impl FromRequest<State> for Act {
    type Rejection = axum::response::Response;

    async fn from_request(request: Request, state: &State) -> Result<Act, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let person = <Person as FromRequestParts<State>>::from_request_parts(&mut parts, state)
            .await
            .map_err(IntoResponse::into_response)?;
        let Ok(site) = Site::from_request_parts(&mut parts, state).await;
        let headers = parts.headers.clone();
        let bytes =
            Bytes::from_request(Request::from_parts(parts, body), state).await.map_err(IntoResponse::into_response)?;
        let fields = own_form(&site, &headers, &bytes).map_err(IntoResponse::into_response)?;
        if !bool::from(fields.get("csrf").as_bytes().ct_eq(person.csrf.as_bytes())) {
            return Err(stale().into_response());
        }
        Ok(Act { person, fields, site })
    }
}

/// A form of ours from somebody who need not be signed in.
#[derive(Debug)]
pub struct OpenForm(pub Fields);

impl FromRequest<State> for OpenForm {
    type Rejection = axum::response::Response;

    async fn from_request(request: Request, state: &State) -> Result<OpenForm, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let Ok(site) = Site::from_request_parts(&mut parts, state).await;
        let headers = parts.headers.clone();
        let bytes =
            Bytes::from_request(Request::from_parts(parts, body), state).await.map_err(IntoResponse::into_response)?;
        own_form(&site, &headers, &bytes).map(OpenForm).map_err(IntoResponse::into_response)
    }
}

fn own_form(site: &Site, headers: &HeaderMap, bytes: &[u8]) -> Result<Fields, WebError> {
    if site.is_own(headers) { Ok(Fields::read(bytes)) } else { Err(stale()) }
}

fn stale() -> WebError {
    WebError::Forbidden(
        "this form is not from a page that is still good; go back, load the page again and repeat".to_owned(),
    )
}
