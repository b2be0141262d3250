//! The one style sheet and the one script, built in. Their names carry a hash of what is in them, so browsers keep them for good.

use super::WebError;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

struct Asset {
    name: String,
    kind: &'static str,
    bytes: &'static [u8],
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset("zerocloud", "css", "text/css; charset=utf-8", include_bytes!("static/zerocloud.css")),
        asset("zerocloud", "js", "text/javascript; charset=utf-8", include_bytes!("static/zerocloud.js")),
        asset("mark", "svg", "image/svg+xml", include_bytes!("static/mark.svg")),
    ]
});

fn asset(stem: &str, ending: &str, kind: &'static str, bytes: &'static [u8]) -> Asset {
    let hash = hex::encode(&Sha256::digest(bytes)[..6]);
    Asset { name: format!("{stem}.{hash}.{ending}"), kind, bytes }
}

/// Where the file with this ending is.
pub(super) fn path(ending: &str) -> String {
    let found = ASSETS.iter().find(|asset| asset.name.ends_with(&format!(".{ending}")));
    found.map(|asset| format!("/static/{}", asset.name)).unwrap_or_default()
}

/// `GET /static/{file}`.
pub(super) async fn get(Path(file): Path<String>) -> Result<Response, WebError> {
    let found = ASSETS.iter().find(|asset| asset.name == file);
    let asset = found.ok_or_else(|| WebError::NotFound("there is no such file".to_owned()))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, asset.bytes).into_response())
}
