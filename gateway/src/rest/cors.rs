//! Headers for pages of other origins.

use axum::http::{HeaderMap, HeaderValue, Method, header};

use crate::database::Database;

/// The headers to add to an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    origin: String,
    headers: String,
    methods: Option<String>,
    max_age: i64,
}

impl Answer {
    /// What an answer of this database needs; nothing without an origin or a configuration.
    pub(crate) fn of(db: &Database, headers: &HeaderMap, method: &Method, methods: &[&str]) -> Option<Self> {
        let origin = headers.get(header::ORIGIN)?.to_str().ok()?;
        let config = db.config();
        let cors = config.cors.as_ref()?;
        Some(Self {
            origin: matched(&cors.origin, origin),
            headers: cors.headers.join(", "),
            methods: (method == Method::OPTIONS).then(|| methods.join(", ")),
            max_age: cors.max_age,
        })
    }

    /// Adds the headers.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        let mut set = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, &self.origin);
        set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers);
        if let Some(methods) = &self.methods {
            set(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            set(header::ACCESS_CONTROL_MAX_AGE, &self.max_age.to_string());
        }
    }
}

fn matched(allowed: &[String], origin: &str) -> String {
    if allowed.iter().any(|known| known == origin) {
        return origin.to_owned();
    }
    if allowed.iter().any(|known| known == "*") {
        return "*".to_owned();
    }
    String::new()
}

/// Whether a page of this origin may log in.
pub(crate) fn may_log_in(db: &Database, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else {
        return true;
    };
    let config = db.config();
    config.cors.as_ref().is_some_and(|cors| !matched(&cors.login_origin, origin).is_empty())
}
