//! Personal access tokens: the caller's own, and how a device without a browser gets one.

use super::wire::Body;
use crate::web::signin::device;
use crate::web::token::{self, Caller, Scope, Token};
use crate::web::{Site, State, WebError};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token, without what it consists of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenView {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<String>,
    expires: String,
}

impl TokenView {
    fn of(id: String, token: Token) -> TokenView {
        TokenView {
            id,
            name: token.name,
            scopes: token.scopes,
            created: token.created.to_string(),
            used: token.used.map(|at| at.to_string()),
            expires: token.expires.to_string(),
        }
    }
}

/// A new token, shown this one time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewTokenView {
    /// What to send as `Authorization: Bearer`. It cannot be shown again.
    token: String,
    #[serde(flatten)]
    about: TokenView,
}

/// What token is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// Seconds until it ends, at most a year; 90 days when left out.
    #[schema(minimum = 60, maximum = 31_536_000)]
    ttl: Option<i64>,
}

/// What a token calls itself.
const CURRENT: &str = "current";

/// The caller's tokens.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "people", responses((status = 200, body = [TokenView])))]
pub(super) async fn list(At(state): At<State>, caller: Caller) -> Result<Json<Vec<TokenView>>, WebError> {
    caller.may(Scope::Read)?;
    let all = token::list(&state.store, &caller.person.account, &caller.person.user).await?;
    Ok(Json(all.into_iter().map(|(id, doc)| TokenView::of(id, doc.body)).collect()))
}

/// Makes a token. Only from a browser's session.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "people", request_body = NewToken, responses((status = 201, body = NewTokenView)))]
pub(super) async fn create(
    At(state): At<State>,
    caller: Caller,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<NewTokenView>), WebError> {
    caller.browser()?;
    let ttl = new.ttl.unwrap_or(90 * 86_400);
    let name = new.name.trim();
    if !(1..=100).contains(&name.chars().count()) || new.scopes.is_empty() || !(60..=366 * 86_400).contains(&ttl) {
        return Err(WebError::Invalid(
            "a token needs a name, at least one scope, and a time from a minute to a year".to_owned(),
        ));
    }
    let now = state.clock.now();
    let mut scopes = new.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let token = Token::new((&caller.person.account, &caller.person.user), name.to_owned(), scopes, now, ttl);
    let (id, secret) = token::create(&state.store, &token).await?;
    Ok((StatusCode::CREATED, Json(NewTokenView { token: secret, about: TokenView::of(id, token) })))
}

/// Revokes a token at once. A token revokes no other than itself, which is called `current`.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "people", params(("id" = String, Path)), responses((status = 204, description = "Revoked")))]
pub(super) async fn revoke(
    At(state): At<State>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, WebError> {
    let own = caller.token();
    let id = if id == CURRENT { own.clone().unwrap_or(id) } else { id };
    if own.as_ref() != Some(&id) {
        caller.browser()?;
    }
    token::revoke(&state, &caller.person.account, &caller.person.user, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A sign-in that began.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeviceView {
    /// To be sent back; secret.
    device_code: String,
    /// To be shown to the person.
    user_code: String,
    /// Where the person types it in.
    verification_uri: String,
    /// Seconds until it is worth nothing.
    expires_in: u64,
}

/// Which sign-in goes on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "GitHub's word")]
pub(super) struct DeviceCode {
    device_code: String,
    /// In which Account, for who is in several.
    account: Option<String>,
    /// What the token is for.
    name: Option<String>,
}

/// What came of it so far.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeviceAnswer {
    /// `pending`: ask again; `done`.
    status: String,
    /// What to send as `Authorization: Bearer`. It cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

/// Begins to sign in on a device: show the code, and let the person type it in at GitHub.
#[utoipa::path(post, path = "/api/v1/device", tag = "people", security(()), responses((status = 200, body = DeviceView)))]
pub(super) async fn device(At(state): At<State>, site: Site) -> Result<Json<DeviceView>, WebError> {
    let begun = device::begin(&state, &site).await?;
    Ok(Json(DeviceView {
        device_code: begun.device_code,
        user_code: begun.user_code,
        verification_uri: begun.verification_uri,
        expires_in: begun.expires_in,
    }))
}

/// Waits a moment for the person's answer at GitHub. Ask again while it is pending.
#[utoipa::path(post, path = "/api/v1/device/token", tag = "people", security(()), request_body = DeviceCode,
    responses((status = 200, body = DeviceAnswer)))]
pub(super) async fn device_token(
    At(state): At<State>,
    site: Site,
    Body(code): Body<DeviceCode>,
) -> Result<Json<DeviceAnswer>, WebError> {
    let account = code.account.as_deref().map(crate::model::AccountId::parse).transpose();
    let account = account.map_err(|why| WebError::Invalid(why.to_string()))?;
    let name = code.name.as_deref().map(str::trim).filter(|name| !name.is_empty()).unwrap_or("a device");
    let answer = match device::go_on(&state, &site, &code.device_code, account.as_ref(), name).await? {
        device::Outcome::Pending => {
            DeviceAnswer { status: "pending".to_owned(), token: None, account: None, user: None }
        }
        device::Outcome::Token(token, user) => DeviceAnswer {
            status: "done".to_owned(),
            token: Some(token),
            account: Some(user.account.to_string()),
            user: Some(user.user.to_string()),
        },
    };
    Ok(Json(answer))
}
