//! Tokens for codes and devices. Errors come with status 200 and an `error` member, as from GitHub (GitHub docs, "Troubleshooting
//! OAuth app access token request errors").

use crate::device;
use crate::handle::{Code, Handle};
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    code_verifier: String,
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    device_code: String,
}

/// `POST /login/oauth/access_token`.
pub(crate) async fn give(State(handle): State<Handle>, headers: HeaderMap, Form(mut wanted): Form<Wanted>) -> Response {
    basic(&headers, &mut wanted);
    let answer = if wanted.grant_type == device::GRANT {
        device::token(&handle, &wanted.client_id, &wanted.device_code)
    } else {
        for_code(&handle, &wanted)
    };
    reply(&headers, &answer.unwrap_or_else(|failure| failure))
}

/// JSON for who asks for it, a form for others.
pub(crate) fn reply(headers: &HeaderMap, answer: &Value) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") {
        return axum::Json(answer.clone()).into_response();
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in answer.as_object().into_iter().flatten() {
        form.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    ([(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")], form.finish()).into_response()
}

/// An error, in the words of GitHub.
pub(crate) fn error(name: &str, description: &str) -> Value {
    let uri = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/";
    json!({ "error": name, "error_description": description, "error_uri": uri })
}

/// A new token.
pub(crate) fn grant(handle: &Handle, person: u64, scope: &str) -> Value {
    let token = format!("gho_{:036x}", rand::random::<u128>());
    // GitHub separates scopes by commas, whatever the app sent.
    let scope = scope.split([' ', ',']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",");
    handle.world().tokens.insert(token.clone(), (person, scope.clone()));
    json!({ "access_token": token, "token_type": "bearer", "scope": scope })
}

fn for_code(handle: &Handle, wanted: &Wanted) -> Result<Value, Value> {
    let app = handle.app();
    if wanted.client_id != app.client_id || wanted.client_secret != app.client_secret {
        return Err(error("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect."));
    }
    // Taken out first: a code is good for one try.
    let code: Option<Code> = handle.world().codes.remove(&wanted.code);
    let code = code.ok_or_else(|| error("bad_verification_code", "The code passed is incorrect or expired."))?;
    if code.redirect_uri != wanted.redirect_uri {
        let what = "The redirect_uri MUST match the registered callback URL for this application.";
        return Err(error("redirect_uri_mismatch", what));
    }
    let proof = BASE64.encode(Sha256::digest(wanted.code_verifier.as_bytes()));
    if code.challenge.is_some_and(|challenge| challenge != proof) {
        return Err(error("bad_verification_code", "The code passed is incorrect or expired."));
    }
    Ok(grant(handle, code.person, &code.scope))
}

/// Id and secret may come as basic authentication.
fn basic(headers: &HeaderMap, wanted: &mut Wanted) {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let pair = header.and_then(|text| text.strip_prefix("Basic ")).and_then(|text| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
        String::from_utf8(bytes).ok()
    });
    if let Some((id, secret)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
        let plain = |text: &str| {
            form_urlencoded::parse(format!("v={text}").as_bytes()).next().map(|(_, value)| value.into_owned())
        };
        wanted.client_id = plain(id).unwrap_or_default();
        wanted.client_secret = plain(secret).unwrap_or_default();
    }
}
