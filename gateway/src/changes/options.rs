//! The parameters of `_changes`, from the query, a JSON body or a WebSocket's first frame.

use std::time::Duration;

use serde_json::Value;

use super::seq::Seq;
use crate::channels::is_valid;
use crate::error::{Error, Result};
use crate::json::Object;

const SHORTEST_HEARTBEAT: u64 = 25_000;
const DEFAULT_TIMEOUT: u64 = 300_000;
const LONGEST_TIMEOUT: u64 = 900_000;

/// How the answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// What there is.
    #[default]
    Normal,
    /// What there is, or else what comes first.
    Longpoll,
    /// Everything, for as long as the client listens.
    Continuous,
    /// The same over a WebSocket.
    Websocket,
}

/// What to leave out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Filter {
    /// Nothing.
    #[default]
    None,
    /// All but these channels.
    Channels(Vec<String>),
    /// All but these documents.
    DocIds(Vec<String>),
}

/// Checked parameters.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the answer is sent.
    pub kind: Kind,
    /// Where to begin.
    pub since: Seq,
    /// `since` as given, to be echoed.
    pub since_text: String,
    /// Most entries.
    pub limit: Option<usize>,
    /// Whether entries carry documents.
    pub include_docs: bool,
    /// Whether tombstones and removals are left out.
    pub active_only: bool,
    /// Whether entries list all leaves.
    pub all_leaves: bool,
    /// Whether documents a user may no longer see are told.
    pub revocations: bool,
    /// Whether a WebSocket's frames are one gzip stream.
    pub gzip: bool,
    /// What to leave out.
    pub filter: Filter,
    /// Newlines while waiting.
    pub heartbeat: Option<Duration>,
    /// Longest wait.
    pub timeout: Duration,
}

/// Names of parameters, as in the query.
const NAMES: &[&str] = &[
    "feed",
    "since",
    "limit",
    "include_docs",
    "active_only",
    "style",
    "filter",
    "channels",
    "doc_ids",
    "heartbeat",
    "timeout",
    "revocations",
];

/// Puts query parameters over those of a body.
pub fn overlay(body: &mut Object, query: impl Fn(&str) -> Option<String>) {
    for name in NAMES {
        if let Some(text) = query(name) {
            body.insert((*name).to_owned(), Value::String(text));
        }
    }
}

fn text(body: &Object, name: &str) -> Option<String> {
    match body.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    }
}

fn number(body: &Object, name: &str) -> Option<u64> {
    text(body, name)?.parse().ok()
}

fn truth(body: &Object, name: &str) -> bool {
    text(body, name).as_deref() == Some("true")
}

/// Names with commas between, or an array of them; `None` when there are none.
fn channels(body: &Object) -> Option<Vec<String>> {
    let names: Vec<String> = match body.get("channels")? {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) if !text.is_empty() => text.split(',').map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    (!names.is_empty()).then_some(names)
}

/// A JSON array, as value or as text, or names with commas between; `None` when there are none.
fn doc_ids(body: &Object) -> Option<Vec<String>> {
    let strings = |items: &[Value]| items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let names: Vec<String> = match body.get("doc_ids")? {
        Value::Array(items) => strings(items),
        Value::String(text) => match crate::json::parse(text.as_bytes()) {
            Ok(Value::Array(items)) => strings(&items),
            _ if text.is_empty() => Vec::new(),
            _ => text.split(',').map(str::to_owned).collect(),
        },
        _ => Vec::new(),
    };
    (!names.is_empty()).then_some(names)
}

impl Options {
    /// Checks the parameters of a request.
    pub fn parse(body: &Object) -> Result<Self> {
        let kind = match text(body, "feed").as_deref() {
            None | Some("" | "normal") => Kind::Normal,
            Some("longpoll") => Kind::Longpoll,
            Some("continuous") => Kind::Continuous,
            Some("websocket") => Kind::Websocket,
            Some(_) => return Err(Error::bad_request("Unknown feed type")),
        };
        let filter = match text(body, "filter").as_deref() {
            None | Some("") => Filter::None,
            Some("sync_gateway/bychannel") => {
                let missing = || Error::bad_request("Missing 'channels' filter parameter");
                let channels = channels(body).ok_or_else(missing)?;
                if let Some(bad) = channels.iter().find(|name| !is_valid(name)) {
                    return Err(Error::bad_request(format!("Illegal channel name {bad:?}")));
                }
                Filter::Channels(channels)
            }
            Some("_doc_ids") => {
                if kind != Kind::Normal {
                    return Err(Error::bad_request("Filter '_doc_ids' is only valid for feed=normal"));
                }
                let missing = || Error::bad_request("Missing 'doc_ids' filter parameter");
                Filter::DocIds(doc_ids(body).ok_or_else(missing)?)
            }
            Some(_) => {
                return Err(Error::bad_request("Unknown filter; try sync_gateway/bychannel or _doc_ids"));
            }
        };
        Self::with(body, kind, filter)
    }

    /// Checks a WebSocket's options: `filter` is not looked at, `channels` filters.
    pub fn parse_websocket(body: &Object) -> Result<Self> {
        let filter = channels(body).map_or(Filter::None, Filter::Channels);
        Self::with(body, Kind::Websocket, filter)
    }

    fn with(body: &Object, kind: Kind, filter: Filter) -> Result<Self> {
        let given = text(body, "since").unwrap_or_default();
        let since = Seq::parse(&given).ok_or_else(|| Error::bad_request("Invalid since parameter"))?;
        let timeout = match number(body, "timeout") {
            None => DEFAULT_TIMEOUT,
            Some(0) => LONGEST_TIMEOUT,
            Some(timeout) => timeout.min(LONGEST_TIMEOUT),
        };
        let heartbeat = number(body, "heartbeat")
            .filter(|&period| period > 0)
            .map(|period| Duration::from_millis(period.max(SHORTEST_HEARTBEAT)));
        let limit = number(body, "limit").and_then(|limit| usize::try_from(limit).ok());
        let since_text = given.trim_matches('"');
        Ok(Self {
            kind,
            since,
            since_text: if since_text.is_empty() { "0".to_owned() } else { since_text.to_owned() },
            limit: limit.filter(|&limit| limit > 0),
            include_docs: truth(body, "include_docs"),
            active_only: truth(body, "active_only"),
            all_leaves: text(body, "style").as_deref() == Some("all_docs"),
            revocations: truth(body, "revocations"),
            gzip: text(body, "accept_encoding").as_deref() == Some("gzip"),
            filter,
            heartbeat,
            timeout: Duration::from_millis(timeout),
        })
    }
}
