//! A database's configuration: what the gateway makes of its keys.

mod keys;

use std::sync::Arc;
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::clock;
use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::script::{DEFAULT_SYNC, Limits, SyncFunction};

/// Name of the session cookie unless said otherwise.
pub const DEFAULT_COOKIE: &str = "SyncGatewaySession";

const SMALLEST_REVS_LIMIT: usize = 20;
/// Seconds; a longer run would keep every other writer waiting.
const LONGEST_SCRIPT: i64 = 60;

/// Cross-origin settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins whose pages may read answers.
    pub origin: Vec<String>,
    /// Origins whose pages may log in.
    pub login_origin: Vec<String>,
    /// Headers such pages may send.
    pub headers: Vec<String>,
    /// Seconds a preflight is remembered.
    pub max_age: i64,
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// As given.
    pub raw: Object,
    /// Counts changes.
    pub version: i64,
    /// Seconds since 1970.
    pub created: i64,
    /// Seconds since 1970.
    pub updated: i64,
    /// Source of the sync function.
    pub sync: Arc<str>,
    /// Revisions of history to keep.
    pub revs_limit: usize,
    /// Seconds the body of a superseded revision is kept.
    pub old_rev_expiry: i64,
    /// Whether users may query views.
    pub user_views: bool,
    /// Name of the session cookie.
    pub cookie_name: String,
    /// What stands behind the session cookie's expiry: `HttpOnly` and its like.
    pub cookie_attributes: String,
    /// Whether names and passwords are not looked at.
    pub no_passwords: bool,
    /// Whether users may not list documents.
    pub no_public_all_docs: bool,
    /// Whether the guest may not write.
    pub guest_reads_only: bool,
    /// Whether the database is out of service.
    pub offline: bool,
    /// Longest run of the sync function.
    pub script_time: Duration,
    /// Whether a 401 asks for a login.
    pub www_authenticate: bool,
    /// Cross-origin settings.
    pub cors: Option<Cors>,
}

impl DatabaseConfig {
    /// Checks a configuration for the database `name`; blocks while the sync function is compiled.
    pub fn parse(name: &str, raw: Object, version: i64, created: i64, updated: i64) -> Result<Self> {
        keys::check(&raw)?;
        if let Some(given) = text(&raw, "name").filter(|given| !given.is_empty())
            && given != name
        {
            return Err(Error::bad_request("the name in the configuration is not the database's"));
        }
        let config = Self::stored(raw, version, created, updated)?;
        SyncFunction::compile(&config.sync).map_err(|error| Error::bad_request(format!("sync function: {error}")))?;
        Ok(config)
    }

    /// A configuration as stored: checked before, perhaps by a version that knew other keys.
    pub fn stored(mut raw: Object, version: i64, created: i64, updated: i64) -> Result<Self> {
        for key in ["created_at", "updated_at", "name"] {
            raw.remove(key);
        }
        let truth = |key: &str, default: bool| raw.get(key).and_then(Value::as_bool).unwrap_or(default);
        let number = |key: &str, default: i64| raw.get(key).and_then(Value::as_i64).unwrap_or(default);
        let unsupported = |path: &str| {
            let found = raw.get("unsupported").and_then(|value| value.pointer(path));
            found.and_then(Value::as_bool).unwrap_or(false)
        };
        if truth("allow_conflicts", false) {
            return Err(Error::bad_request("allow_conflicts: true is not supported"));
        }
        let revs_limit = usize::try_from(number("revs_limit", 50)).unwrap_or(0);
        if revs_limit < SMALLEST_REVS_LIMIT {
            return Err(Error::bad_request(format!("revs_limit must be at least {SMALLEST_REVS_LIMIT}")));
        }
        let sync: Arc<str> = match text(&raw, "sync") {
            Some(source) if !source.trim().is_empty() => source.into(),
            _ => DEFAULT_SYNC.into(),
        };
        let script_time = match number("javascript_timeout_secs", 0) {
            0 => Limits::default().time,
            seconds => Duration::from_secs(seconds.min(LONGEST_SCRIPT).unsigned_abs()),
        };
        Ok(Self {
            revs_limit,
            old_rev_expiry: number("old_rev_expiry_seconds", 300),
            user_views: unsupported("/user_views/enabled"),
            guest_reads_only: unsupported("/guest_read_only"),
            cookie_name: cookie_name(&raw)?,
            cookie_attributes: cookie_attributes(&raw)?,
            www_authenticate: truth("send_www_authenticate_header", true),
            no_passwords: truth("disable_password_auth", false),
            no_public_all_docs: truth("disable_public_all_docs", false),
            offline: truth("offline", false),
            script_time,
            cors: cors(&raw),
            sync,
            raw,
            version,
            created,
            updated,
        })
    }

    /// The entity tag: version and digest.
    pub fn etag(&self) -> String {
        let digest = Md5::digest(json::canonical(&self.raw).as_bytes());
        format!("\"{}-{}\"", self.version, hex::encode(digest))
    }

    /// The configuration as `GET _config` shows it: without passwords.
    pub fn to_json(&self, name: &str) -> String {
        let mut shown = self.raw.clone();
        shown.insert("name".to_owned(), json!(name));
        shown.insert("created_at".to_owned(), json!(clock::rfc3339(self.created)));
        shown.insert("updated_at".to_owned(), json!(clock::rfc3339(self.updated)));
        if let Some(Value::Object(users)) = shown.get_mut("users") {
            for user in users.values_mut().filter_map(Value::as_object_mut) {
                if user.contains_key("password") {
                    user.insert("password".to_owned(), json!("xxxxx"));
                }
            }
        }
        json::canonical(&shown)
    }
}

/// Whether a database may have this name.
pub fn is_valid_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|ch| ch.is_ascii_lowercase() || ch.is_ascii_digit() || "-_$()+/".contains(ch))
}

fn text<'a>(raw: &'a Object, key: &str) -> Option<&'a str> {
    raw.get(key).and_then(Value::as_str)
}

/// A token as cookies allow.
fn cookie_name(raw: &Object) -> Result<String> {
    let name = text(raw, "session_cookie_name").filter(|name| !name.is_empty()).unwrap_or(DEFAULT_COOKIE);
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return Ok(name.to_owned());
    }
    Err(Error::bad_request("session_cookie_name cannot be the name of a cookie"))
}

fn cookie_attributes(raw: &Object) -> Result<String> {
    let mut attributes = String::new();
    let set = |key: &str| raw.get(key).and_then(Value::as_bool) == Some(true);
    if set("session_cookie_http_only") {
        attributes.push_str("; HttpOnly");
    }
    if set("session_cookie_secure") {
        attributes.push_str("; Secure");
    }
    let same_site = raw.get("unsupported").and_then(|value| value.get("same_site_cookie")).and_then(Value::as_str);
    attributes.push_str(match same_site {
        None | Some("Default") => "",
        Some("Lax") => "; SameSite=Lax",
        Some("Strict") => "; SameSite=Strict",
        Some("None") => "; SameSite=None",
        Some(_) => return Err(Error::bad_request("same_site_cookie must be Default, Lax, Strict or None")),
    });
    Ok(attributes)
}

/// Nothing when nothing is set.
fn cors(raw: &Object) -> Option<Cors> {
    let given = raw.get("cors")?;
    let texts = |key: &str| -> Vec<String> {
        let items = given.get(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let cors = Cors {
        origin: texts("origin"),
        login_origin: texts("login_origin"),
        headers: texts("headers"),
        max_age: given.get("max_age").and_then(Value::as_i64).unwrap_or(0),
    };
    (cors != Cors::default()).then_some(cors)
}
