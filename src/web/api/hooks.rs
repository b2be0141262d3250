//! Hooks: other systems that are told what happens. For admins. They hold secrets, so they stand in documents that no channel
//! shows; the service writes them once it knows that an admin asks.

use super::wire::Body;
use crate::model::{Doc, Extra, Hook, HookShape};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Hooks that one Account may have.
const MOST: usize = 20;

/// A hook.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HookView {
    id: String,
    name: String,
    /// Where to, without what may be secret in it: scheme and host.
    target: String,
    /// `signed` or `slack`
    shape: String,
    /// Up to when it took what happened, or came to be.
    told_until: String,
    /// What the last delivery said, when it failed; absent when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Since when it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<String>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
    /// What signatures are made with; shown only when the hook is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl HookView {
    fn of(id: &str, hook: Hook, secret: bool) -> HookView {
        let target = reqwest::Url::parse(&hook.url).map(|url| url.origin().ascii_serialization());
        HookView {
            id: id.rsplit("::").next().unwrap_or_default().to_owned(),
            name: hook.name,
            target: target.unwrap_or_default(),
            shape: if hook.shape == HookShape::Slack { "slack" } else { "signed" }.to_owned(),
            told_until: told_until(&hook.after),
            error: hook.error,
            failing_since: hook.failing_since.map(|at| at.to_string()),
            retry_at: hook.retry_at.map(|at| at.to_string()),
            secret: secret.then_some(hook.secret),
        }
    }
}

/// The time in the id of an event, `event::{account}::{time}…`.
fn told_until(event: &str) -> String {
    event.splitn(3, "::").nth(2).unwrap_or_default().chars().take("2026-11-28T20:25:47Z".len()).collect()
}

/// Who is to be told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHook {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// http or https; not inside a private network, unless `web.hooks_may_call` in the configuration allows it.
    url: String,
    /// `signed` (usual): JSON with `X-Zerocloud-Signature: t={unix time},v1={hex of HMAC-SHA256 over "{time}.{body}"}`;
    /// `slack`: `{"text"}` as Slack's incoming webhooks take it.
    #[schema(value_type = Option<String>)]
    shape: Option<HookShape>,
}

fn prefix(caller: &Caller) -> String {
    format!("{}{}::", Hook::PREFIX, caller.person.account)
}

/// The Account's hooks.
#[utoipa::path(get, path = "/api/v1/hooks", tag = "events", responses((status = 200, body = [HookView])))]
pub(super) async fn list(At(state): At<State>, caller: Caller) -> Result<Json<Vec<HookView>>, WebError> {
    caller.admin(Scope::Read)?;
    let docs = state.store.prefix(&prefix(&caller)).await?;
    let read =
        docs.into_iter().filter_map(|doc| Some(HookView::of(&doc.id, serde_json::from_value(doc.body).ok()?, false)));
    Ok(Json(read.collect()))
}

/// Tells another system of everything that happens in the Account from now on.
#[utoipa::path(post, path = "/api/v1/hooks", tag = "events", request_body = NewHook, responses((status = 201, body = HookView)))]
pub(super) async fn create(
    At(state): At<State>,
    caller: Caller,
    Body(new): Body<NewHook>,
) -> Result<(StatusCode, Json<HookView>), WebError> {
    caller.admin(Scope::Admin)?;
    let name = new.name.trim().to_owned();
    let url = reqwest::Url::parse(&new.url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.username().is_empty());
    let fine = (1..=100).contains(&name.chars().count()) && new.url.len() <= 1_000;
    let (Some(url), true) = (url, fine) else {
        return Err(WebError::Invalid(
            "a hook needs a name of at most 100 characters and an http or https address without a user in it"
                .to_owned(),
        ));
    };
    if state.store.ids(&prefix(&caller)).await?.len() >= MOST {
        return Err(WebError::Invalid(format!("{MOST} hooks are enough; remove one that is not used")));
    }
    if let Some(why) = crate::teller::refusal(&url, &state.settings.hooks_may_call).await {
        return Err(WebError::Invalid(why));
    }
    let id = format!("{}{}", prefix(&caller), hex::encode(rand::random::<[u8; 8]>()));
    let hook = Hook {
        account: caller.person.account.clone(),
        name,
        url: new.url,
        shape: new.shape.unwrap_or(HookShape::Signed),
        secret: crate::web::session::random(),
        after: Hook::start(&caller.person.account, state.clock.now()),
        failing_since: None,
        retry_at: None,
        error: None,
        extra: Extra::from_iter([("made_by".to_owned(), caller.person.gateway_name().into())]),
    };
    state.store.put("hook", &Doc { id: id.clone(), rev: None, body: &hook }).await?;
    Ok((StatusCode::CREATED, Json(HookView::of(&id, hook, true))))
}

/// Ends a hook.
#[utoipa::path(delete, path = "/api/v1/hooks/{id}", tag = "events", params(("id" = String, Path)), responses((status = 204, description = "Gone")))]
pub(super) async fn remove(
    At(state): At<State>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, WebError> {
    caller.admin(Scope::Admin)?;
    let gone = || WebError::NotFound("there is no such hook".to_owned());
    if !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(gone());
    }
    let id = format!("{}{id}", prefix(&caller));
    let doc = state.store.get::<serde_json::Value>(&id).await?.ok_or_else(gone)?;
    crate::audit::about_to_remove(&state.store, &id, &caller.person.gateway_name(), state.clock.now()).await;
    state.store.delete(&id, &doc.rev.unwrap_or_default()).await?;
    Ok(StatusCode::NO_CONTENT)
}
