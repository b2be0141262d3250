//! The headers that every answer carries: no inline script or style, no frames, no guessing of types, TLS for good where there
//! is TLS, and no page in a shared cache.

use super::{Site, State};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// Two years (hstspreload.org asks for one at least).
const HSTS: &str = "max-age=63072000; includeSubDomains";

/// Adds them where the handler did not say otherwise.
pub(super) async fn secure(
    axum::extract::State(state): axum::extract::State<State>,
    site: Site,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    // Chrome also judges where a form is redirected to: signing in goes on to GitHub.
    let github = state.settings.github.as_ref().map(|github| format!(" {}", github.base_url)).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'{github}; frame-ancestors 'none'; base-uri 'none'"
    );
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().entry(name).or_insert(value);
        }
    };
    put(header::CONTENT_SECURITY_POLICY, &policy);
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::X_FRAME_OPTIONS, "DENY");
    // Not no-referrer: browsers then send `Origin: null` with our own forms.
    put(header::REFERRER_POLICY, "same-origin");
    // Elsewhere browsers ignore it, and complain of it on every page.
    if site.secure {
        put(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    }
    put(HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()");
    if site.https {
        put(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}

/// Pages are one person's.
pub(super) async fn private(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
