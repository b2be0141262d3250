//! A database's configuration: which keys there are, and what the gateway makes of them.

use std::sync::Arc;

use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock;
use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::script::{DEFAULT_SYNC, SyncFunction};

/// Keys a configuration may have; those without effect here are kept and shown.
const KEYS: &[&str] = &[
    "allow_conflicts",
    "allow_empty_password",
    "auto_import",
    "bucket",
    "bucket_op_timeout_ms",
    "cache",
    "client_partition_window_secs",
    "compact_interval_days",
    "cors",
    "created_at",
    "delta_sync",
    "disable_password_auth",
    "disable_public_all_docs",
    "enable_shared_bucket_access",
    "enable_star_channel",
    "enable_xattrs",
    "event_handlers",
    "guest",
    "import_backup_old_rev",
    "import_docs",
    "import_filter",
    "import_partitions",
    "index",
    "javascript_timeout_secs",
    "kv_tls_port",
    "local_doc_expiry_secs",
    "logging",
    "max_concurrent_query_ops",
    "name",
    "num_index_replicas",
    "offline",
    "oidc",
    "old_rev_expiry_seconds",
    "pool",
    "query_pagination_limit",
    "replications",
    "rev_cache_size",
    "revs_limit",
    "roles",
    "scopes",
    "secure_cookie_override",
    "send_www_authenticate_header",
    "serve_insecure_attachment_types",
    "server",
    "session_cookie_http_only",
    "session_cookie_name",
    "session_cookie_same_site",
    "slow_query_warning_threshold",
    "store_legacy_revtree_data",
    "suspendable",
    "sync",
    "unsupported",
    "updated_at",
    "use_views",
    "user_xattr_key",
    "users",
    "view_query_timeout_secs",
];

const SMALLEST_REVS_LIMIT: usize = 20;

/// Cross-origin settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
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
    /// Whether a 401 asks for a login.
    pub www_authenticate: bool,
    /// Cross-origin settings.
    pub cors: Option<Cors>,
}

impl DatabaseConfig {
    /// Checks a configuration for the database `name`.
    pub fn parse(name: &str, mut raw: Object, version: i64, created: i64, updated: i64) -> Result<Self> {
        if let Some(unknown) = raw.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(Error::bad_request(format!("unknown configuration key {unknown:?}")));
        }
        raw.remove("created_at");
        raw.remove("updated_at");
        if let Some(given) = raw.remove("name")
            && given.as_str() != Some(name)
        {
            return Err(Error::bad_request("the name in the configuration is not the database's"));
        }
        if truth(&raw, "allow_conflicts", false)? {
            return Err(Error::bad_request("allow_conflicts: true is not supported"));
        }
        let revs_limit = number(&raw, "revs_limit", 50)?;
        let revs_limit = usize::try_from(revs_limit).unwrap_or(0);
        if revs_limit < SMALLEST_REVS_LIMIT {
            return Err(Error::bad_request(format!("revs_limit must be at least {SMALLEST_REVS_LIMIT}")));
        }
        let sync: Arc<str> = match raw.get("sync") {
            None | Some(Value::Null) => DEFAULT_SYNC.into(),
            Some(Value::String(text)) if text.trim().is_empty() => DEFAULT_SYNC.into(),
            Some(Value::String(text)) => text.as_str().into(),
            Some(_) => return Err(Error::bad_request("sync must be the text of a function")),
        };
        SyncFunction::compile(&sync).map_err(|error| Error::bad_request(format!("sync function: {error}")))?;
        Ok(Self {
            revs_limit,
            old_rev_expiry: number(&raw, "old_rev_expiry_seconds", 300)?,
            user_views: user_views(&raw),
            cookie_name: text(&raw, "session_cookie_name", "SyncGatewaySession")?,
            www_authenticate: truth(&raw, "send_www_authenticate_header", true)?,
            cors: cors(&raw)?,
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

fn truth(raw: &Object, key: &str, default: bool) -> Result<bool> {
    match raw.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(Error::bad_request(format!("{key} must be true or false"))),
    }
}

fn number(raw: &Object, key: &str, default: i64) -> Result<i64> {
    match raw.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_i64()
            .filter(|&number| number >= 0)
            .ok_or_else(|| Error::bad_request(format!("{key} must be a whole number"))),
    }
}

fn text(raw: &Object, key: &str, default: &str) -> Result<String> {
    match raw.get(key) {
        None | Some(Value::Null) => Ok(default.to_owned()),
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(_) => Err(Error::bad_request(format!("{key} must be a text"))),
    }
}

fn user_views(raw: &Object) -> bool {
    let enabled = raw.get("unsupported").and_then(|value| value.pointer("/user_views/enabled"));
    enabled.and_then(Value::as_bool).unwrap_or(false)
}

fn cors(raw: &Object) -> Result<Option<Cors>> {
    match raw.get("cors") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_str(&value.to_string())
            .map(Some)
            .map_err(|error| Error::bad_request(format!("cors: {error}"))),
    }
}
