//! The keys a configuration may have, and of what type each is. Those without effect here are kept and shown.
//! Keys that would promise protection the gateway does not give are refused rather than ignored.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::json::Object;

/// What a key's value must be; null is always allowed and means the default.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Truth,
    /// A whole number, not negative.
    Whole,
    Number,
    /// An object; with names, only these members.
    Members(&'static [(&'static str, Kind)]),
    /// An object of such values under any name.
    Named(&'static Kind),
    Texts,
    Any,
    /// Refused, because ignoring it would be worse.
    Unsupported,
}

use Kind::{Any, Members, Named, Number, Text, Texts, Truth, Unsupported, Whole};

const PRINCIPAL: Kind = Members(&[
    ("admin_channels", Texts),
    ("admin_roles", Texts),
    ("all_channels", Texts),
    ("collection_access", Any),
    ("disabled", Truth),
    ("email", Text),
    ("jwt_channels", Texts),
    ("jwt_issuer", Text),
    ("jwt_last_updated", Text),
    ("jwt_roles", Texts),
    ("name", Text),
    ("password", Text),
    ("roles", Texts),
]);

const CORS: Kind = Members(&[("headers", Texts), ("login_origin", Texts), ("max_age", Whole), ("origin", Texts)]);

const UNSUPPORTED: Kind = Members(&[
    ("api_endpoints", Any),
    ("blip_send_docs_with_channel_removal", Truth),
    ("connected_client", Truth),
    ("dcp_read_buffer", Whole),
    ("disable_clean_skipped_query", Truth),
    ("force_api_forbidden_errors", Unsupported),
    ("guest_read_only", Truth),
    ("kv_buffer", Whole),
    ("oidc_test_provider", Any),
    ("oidc_tls_skip_verify", Truth),
    ("reject_writes_with_skipped_sequences", Truth),
    ("remote_config_tls_skip_verify", Truth),
    ("resync_partitions", Whole),
    ("same_site_cookie", Text),
    ("sgr_tls_skip_verify", Truth),
    ("use_query_resync_manager", Truth),
    ("user_views", Members(&[("enabled", Truth)])),
    ("warning_thresholds", Any),
]);

const KEYS: &[(&str, Kind)] = &[
    ("allow_conflicts", Truth),
    ("allow_empty_password", Truth),
    ("bucket", Text),
    ("bucket_op_timeout_ms", Whole),
    ("cacertpath", Text),
    ("cache", Any),
    ("certpath", Text),
    ("changes_request_plus", Truth),
    ("client_partition_window_secs", Whole),
    ("compact_interval_days", Number),
    ("cors", CORS),
    ("created_at", Text),
    ("delta_sync", Any),
    ("disable_password_auth", Truth),
    ("disable_public_all_docs", Truth),
    ("enable_shared_bucket_access", Truth),
    ("event_handlers", Any),
    ("feed_type", Text),
    ("functions", Any),
    ("guest", PRINCIPAL),
    ("import_backup_old_rev", Truth),
    ("import_docs", Any),
    ("import_filter", Text),
    ("import_partitions", Whole),
    ("index", Any),
    ("javascript_timeout_secs", Whole),
    ("keypath", Text),
    ("kv_tls_port", Whole),
    ("local_doc_expiry_secs", Whole),
    ("local_jwt", Any),
    ("logging", Any),
    ("max_concurrent_query_ops", Whole),
    ("name", Text),
    ("num_index_replicas", Whole),
    ("offline", Truth),
    ("oidc", Any),
    ("old_rev_expiry_seconds", Whole),
    ("password", Text),
    ("pool", Text),
    ("query_pagination_limit", Whole),
    ("replications", Any),
    ("rev_cache_size", Whole),
    ("revs_limit", Whole),
    ("roles", Named(&PRINCIPAL)),
    ("scopes", Unsupported),
    ("send_www_authenticate_header", Truth),
    ("serve_insecure_attachment_types", Truth),
    ("server", Text),
    ("session_cookie_http_only", Truth),
    ("session_cookie_name", Text),
    ("session_cookie_secure", Truth),
    ("sgreplicate_enabled", Truth),
    ("sgreplicate_websocket_heartbeat_secs", Whole),
    ("slow_query_warning_threshold", Whole),
    ("store_legacy_revtree_data", Truth),
    ("suspendable", Truth),
    ("sync", Text),
    ("unsupported", UNSUPPORTED),
    ("updated_at", Text),
    ("use_system_metadata_collection", Truth),
    ("use_views", Truth),
    ("user_xattr_key", Text),
    ("username", Text),
    ("users", Named(&PRINCIPAL)),
    ("view_query_timeout_secs", Whole),
];

/// Refuses unknown keys and values of the wrong type.
pub(super) fn check(raw: &Object) -> Result<()> {
    members("", raw, KEYS)
}

fn members(path: &str, object: &Object, known: &[(&str, Kind)]) -> Result<()> {
    for (name, value) in object {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match known.iter().find(|(key, _)| key == name) {
            Some((_, kind)) => check_value(&path, value, *kind)?,
            None => return Err(Error::bad_request(format!("unknown configuration key {path:?}"))),
        }
    }
    Ok(())
}

fn check_value(path: &str, value: &Value, kind: Kind) -> Result<()> {
    let wanted = match (kind, value) {
        (_, Value::Null)
        | (Any, _)
        | (Text, Value::String(_))
        | (Truth, Value::Bool(_))
        | (Number, Value::Number(_))
        | (Unsupported, Value::Bool(false)) => return Ok(()),
        (Whole, value) if value.as_u64().is_some_and(|number| i64::try_from(number).is_ok()) => return Ok(()),
        (Texts, Value::Array(items)) if items.iter().all(Value::is_string) => return Ok(()),
        (Members(known), Value::Object(object)) => return members(path, object, known),
        (Named(kind), Value::Object(object)) => {
            return object.iter().try_for_each(|(name, value)| check_value(&format!("{path}.{name}"), value, *kind));
        }
        (Unsupported, _) => return Err(Error::bad_request(format!("{path} is not supported by the embedded gateway"))),
        (Text, _) => "a text",
        (Truth, _) => "true or false",
        (Whole, _) => "a whole number",
        (Number, _) => "a number",
        (Texts, _) => "an array of texts",
        (Members(_) | Named(_), _) => "an object",
    };
    Err(Error::bad_request(format!("{path} must be {wanted}")))
}
