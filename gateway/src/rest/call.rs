//! A request as handlers see it: query, headers, the whole body decompressed.

use std::io::Read as _;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

use super::failure::Failure;
use super::{Place, Port};
use crate::database::incoming::parse_rev;
use crate::gateway::Inner;
use crate::json::{self, Object};
use crate::revs::Rev;

pub(crate) struct Call {
    pub(crate) port: Port,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Held by a WebSocket for as long as it lives.
    place: Arc<Place>,
    query: Vec<(String, String)>,
    upgrade: Mutex<Option<WebSocketUpgrade>>,
}

/// How a content type is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// None or any JSON; else this status.
    Json(u16),
    /// Whatever it says.
    Any,
}

impl Call {
    /// What is known before the body is read.
    pub(crate) async fn begin(port: Port, place: Arc<Place>, mut parts: Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let upgrade = if parts.headers.contains_key(header::UPGRADE) {
            WebSocketUpgrade::from_request_parts(&mut parts, &()).await.ok()
        } else {
            None
        };
        let body = Bytes::new();
        let upgrade = Mutex::new(upgrade);
        Self { port, method: parts.method, headers: parts.headers, body, place, query, upgrade }
    }

    /// Reads the body; only for callers who may ask, so that strangers cannot fill the memory.
    pub(crate) async fn receive(&mut self, gateway: &Arc<Inner>, body: &mut Option<Body>) -> Result<(), Failure> {
        let Some(body) = body.take() else {
            return Ok(());
        };
        let limit = gateway.config.max_body;
        let too_large = || Failure::new(413, "the request is too large");
        let body = to_bytes(body, limit).await.map_err(|_| too_large())?;
        self.body = match self.header("content-encoding") {
            None | Some("" | "identity") => body,
            Some("gzip") => gunzip(&body, limit)?,
            Some(_) => return Err(Failure::new(415, "Unsupported Content-Encoding; use gzip")),
        };
        Ok(())
    }

    /// Whether the request is of this method; `HEAD` counts as `GET`.
    pub(crate) fn is(&self, method: &Method) -> bool {
        self.method == *method || (self.method == Method::HEAD && *method == Method::GET)
    }

    /// The connection's place among those that may be open.
    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// The WebSocket handshake, once.
    pub(crate) fn take_upgrade(&self) -> Option<WebSocketUpgrade> {
        self.upgrade.lock().take()
    }

    /// A query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a query parameter is `true`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.query(name) == Some("true")
    }

    /// A numeric query parameter; anything else counts as absent.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.query(name)?.parse().ok()
    }

    /// A query parameter that must be a JSON array of strings.
    pub(crate) fn strings(&self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        let Some(text) = self.query(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let bad = || Failure::bad_request(format!("{name} must be a JSON array of strings"));
        let Ok(Value::Array(items)) = json::parse(text.as_bytes()) else {
            return Err(bad());
        };
        let strings = items.iter().map(|item| item.as_str().map(str::to_owned));
        strings.collect::<Option<_>>().map(Some).ok_or_else(bad)
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header_text(&self.headers, name)
    }

    /// The content type without parameters, in lower case.
    pub(crate) fn content_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        let media = value.split(';').next().unwrap_or_default().trim();
        (!media.is_empty()).then(|| media.to_ascii_lowercase())
    }

    /// The body as a JSON object.
    pub(crate) fn object(&self, media: Media) -> Result<Object, Failure> {
        match self.value(media)? {
            Value::Object(object) => Ok(object),
            _ => Err(Failure::bad_request("the body must be a JSON object")),
        }
    }

    /// The body as JSON.
    pub(crate) fn value(&self, media: Media) -> Result<Value, Failure> {
        if let Media::Json(status) = media
            && self.content_type().is_some_and(|given| given != "application/json")
        {
            return Err(Failure::new(status, "Invalid content type; use application/json"));
        }
        json::parse(&self.body).map_err(|_| Failure::bad_request("Bad JSON"))
    }

    fn accept(&self) -> String {
        self.header("accept").unwrap_or_default().to_ascii_lowercase()
    }

    /// Whether `Accept` is absent or allows anything.
    pub(crate) fn accepts_anything(&self) -> bool {
        let accept = self.accept();
        accept.trim().is_empty() || accept.contains("*/*")
    }

    /// Whether `Accept` names a multipart type.
    pub(crate) fn accepts_multipart(&self) -> bool {
        self.accept().contains("multipart/")
    }

    /// Whether `Accept` names JSON.
    pub(crate) fn names_json(&self) -> bool {
        let accept = self.accept();
        accept.contains("application/json") || accept.contains("application/*")
    }

    /// Whether large parts of a multipart answer may be compressed.
    pub(crate) fn compresses_parts(&self) -> bool {
        self.header("x-accept-part-encoding").is_some_and(|value| value.contains("gzip"))
    }

    /// Refuses with 406 unless JSON may be sent.
    pub(crate) fn accepts_json(&self) -> Result<(), Failure> {
        if self.accepts_anything() || self.names_json() {
            return Ok(());
        }
        Err(Failure::new(406, "Response is application/json"))
    }

    /// The parent revision outside the body: `?rev=`, or else `If-Match`.
    pub(crate) fn outer_rev(&self) -> Result<Option<Rev>, Failure> {
        if let Some(rev) = self.query("rev").filter(|rev| !rev.is_empty()) {
            return Ok(Some(parse_rev(rev)?));
        }
        match self.header("if-match").map(str::trim).filter(|tag| !tag.is_empty()) {
            Some(tag) => {
                let rev = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
                Ok(Some(parse_rev(rev)?))
            }
            None => Ok(None),
        }
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, Failure> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    flate2::read::MultiGzDecoder::new(body)
        .take(most)
        .read_to_end(&mut out)
        .map_err(|_| Failure::bad_request("the body is not gzip"))?;
    if out.len() > limit {
        return Err(Failure::new(413, "the request is too large"));
    }
    Ok(out.into())
}
