//! Requests: a person's wish about a lease, answered by the service. Sending one twice with the same idempotency key makes one.

use super::leases::find;
use super::wire::{Body, Page, Part, Query, page};
use crate::model::{Doc, Lease, Time, User};
use crate::store::StoreError;
use crate::web::once::key_of;
use crate::web::token::{Caller, Scope};
use crate::web::{Person, State, WebError, edit};
use crate::words::clean;
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// How long a caller may wait for an answer, seconds.
const LONGEST_WAIT: u32 = 20;

/// What is wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// A later end: `until`, or as long as the policy allows.
    Renew,
    /// The policy's expiry action, now.
    End,
    /// Termination, now.
    Terminate,
    /// It belongs to somebody else.
    NotMine,
    /// Offer it to the user in `to`.
    HandOver,
    /// Accept what was offered.
    Accept,
    /// Start it again.
    Revive,
}

/// A wish.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRequest {
    action: Action,
    /// For `renew`: until then.
    until: Option<String>,
    /// For `hand_over`: the other user's id or mail address.
    to: Option<String>,
}

/// A wish and its answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RequestView {
    id: String,
    user: String,
    /// `{aws_id}::{region}::{resource_id}`
    lease: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// Absent until the service answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerView>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
struct AnswerView {
    /// `done` or `refused`
    outcome: String,
    reason: String,
    /// The lease's end after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    at: String,
}

impl RequestView {
    pub(super) fn of(doc: &Doc<Value>) -> RequestView {
        let body = &doc.body;
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let said = |name: &str| text(body, name).unwrap_or_default();
        let lease = said("lease");
        RequestView {
            id: doc.id.rsplit("::").next().unwrap_or_default().to_owned(),
            user: said("user"),
            lease: lease.strip_prefix("lease::").unwrap_or(&lease).to_owned(),
            action: said("action"),
            until: text(body, "until"),
            to: text(body, "to"),
            at: text(body, "at"),
            answer: body.get("answer").filter(|answer| answer.is_object()).map(|answer| AnswerView {
                outcome: text(answer, "outcome").unwrap_or_default(),
                reason: text(answer, "reason").unwrap_or_default(),
                until: text(answer, "until"),
                at: text(answer, "at").unwrap_or_default(),
            }),
        }
    }
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Waiting {
    /// Seconds to wait for the answer, up to 20; 0 when left out.
    #[param(minimum = 0, maximum = 20)]
    wait: Option<u32>,
}

/// Puts a wish about a lease. 200 with the answer when it came in time, else 202.
#[utoipa::path(post, path = "/api/v1/leases/{lease}/requests", tag = "requests", request_body = NewRequest,
    params(("lease" = String, Path), Waiting,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and wish again make no second request")),
    responses((status = 200, body = RequestView, description = "Answered"), (status = 202, body = RequestView, description = "Not answered yet")))]
pub(super) async fn create(
    At(state): At<State>,
    caller: Caller,
    Path(id): Path<String>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
    Body(wish): Body<NewRequest>,
) -> Result<(StatusCode, Json<RequestView>), WebError> {
    caller.may(Scope::Write)?;
    if waiting.wait.is_some_and(|wait| wait > LONGEST_WAIT) {
        return Err(WebError::Invalid(format!("wait must be at most {LONGEST_WAIT}")));
    }
    let key = key_of(&headers)?;
    let person = &caller.person;
    // Who is offered a lease may not read it yet.
    let lease = match find(&state, &caller, &id).await {
        Ok(doc) => serde_json::from_value::<Lease>(doc.body).ok(),
        Err(WebError::NotFound(_)) if wish.action == Action::Accept => None,
        Err(why) => return Err(why),
    };
    let to = match wish.to.as_deref() {
        Some(to) if wish.action == Action::HandOver => Some(whom(&state, person, lease.as_ref(), to)?),
        other => other.map(str::to_owned),
    };
    let now = state.clock.now();
    let mut body = json!({
        "type": "request", "schema": 1, "account": person.account, "user": person.user,
        "updated_by": person.gateway_name(), "lease": format!("lease::{id}"), "action": wish.action, "at": now,
    });
    body.as_object_mut().into_iter().for_each(|fields| {
        fields.extend(
            wish.until
                .clone()
                .or_else(|| longest(&wish, lease.as_ref(), now))
                .map(|until| ("until".to_owned(), until.into())),
        );
        fields.extend(to.clone().map(|to| ("to".to_owned(), to.into())));
    });
    let name = key.map_or_else(|| hex::encode(rand::random::<[u8; 16]>()), |key| named(&key, &id));
    let doc_id = format!("request::{}::{}::{name}", person.account, person.user);
    let session = person.session(&state).await?;
    match state.store.put_as(&session, &doc_id, &body, None).await {
        Ok(_) => {}
        Err(StoreError::Conflict { .. } | StoreError::Refused { status: 403, .. })
            if known(&state, &doc_id, &body, &wish).await? => {}
        Err(StoreError::Refused { status: 403, reason, .. }) => return Err(WebError::Invalid(reason)),
        Err(why) => return Err(why.into()),
    }
    let doc = answered(&state, &doc_id, waiting.wait.unwrap_or(0)).await?;
    let view = RequestView::of(&doc);
    Ok((if view.answer.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(view)))
}

/// The id of whom a person means in their own Account, by it or by a mail address. Names and ids of all stand on the page of a
/// lease; an address is told to nobody who does not know it, and is looked for only where the lease is theirs to hand over.
fn whom(state: &State, person: &Person, lease: Option<&Lease>, to: &str) -> Result<String, WebError> {
    if !to.contains('@') {
        return Ok(to.to_owned());
    }
    if !person.is_admin() && lease.is_none_or(|lease| lease.owner != person.user) {
        return Err(WebError::NotFound("there is no such lease, or it is not yours".to_owned()));
    }
    let directory = state.index.directory();
    let same = |text: &String| text.eq_ignore_ascii_case(to.trim());
    let fits = |user: &&User| same(&user.email) || user.aliases.iter().any(same);
    let mut found = directory.of(&person.account).filter(fits);
    match (found.next(), found.next()) {
        (Some(user), None) => Ok(user.user.to_string()),
        (None, _) => Err(WebError::Invalid(format!(
            "there is nobody with the address {} in your Account; the page of a lease lists who is there",
            clean(to)
        ))),
        (Some(_), Some(_)) => Err(WebError::Invalid(format!("{} means several people; say the id of one", clean(to)))),
    }
}

/// As long as it may be: the service cuts it to what it allows when it answers.
fn longest(wish: &NewRequest, lease: Option<&Lease>, now: Time) -> Option<String> {
    let end = now.plus(365 * 86_400).max(lease?.expires_at);
    (wish.action == Action::Renew).then(|| end.to_string())
}

/// The same for the same key and lease, so that the second one is found to be there.
fn named(key: &str, lease: &str) -> String {
    let digest = Sha256::digest(format!("{lease}\n{key}").as_bytes());
    hex::encode(&digest[..16])
}

/// Whether this very wish was put before.
async fn known(state: &State, id: &str, body: &Value, wish: &NewRequest) -> Result<bool, WebError> {
    let Some(doc) = state.store.get::<Value>(id).await? else { return Ok(false) };
    let same = |name: &str| doc.body.get(name) == body.get(name);
    let until = wish.until.is_none() || same("until");
    if same("lease") && same("action") && same("to") && same("user") && until {
        return Ok(true);
    }
    Err(WebError::Invalid("this Idempotency-Key was used for another wish".to_owned()))
}

/// The request, with its answer if it comes within so many seconds.
async fn answered(state: &State, id: &str, wait: u32) -> Result<Doc<Value>, WebError> {
    let end = tokio::time::Instant::now() + Duration::from_secs(u64::from(wait));
    loop {
        let doc = state.store.get::<Value>(id).await?;
        let doc = doc.ok_or_else(|| WebError::NotFound("the request is gone".to_owned()))?;
        if doc.body.get("answer").is_some() || tokio::time::Instant::now() >= end {
            return Ok(doc);
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// The caller's own wishes, an admin's everybody's.
#[utoipa::path(get, path = "/api/v1/requests", tag = "requests", params(Part), responses((status = 200, body = Page<RequestView>)))]
pub(super) async fn list(
    At(state): At<State>,
    caller: Caller,
    Query(part): Query<Part>,
) -> Result<Json<Page<RequestView>>, WebError> {
    caller.may(Scope::Read)?;
    let session = caller.person.session(&state).await?;
    let docs = state.store.prefix_as(&session, "request::").await?;
    let all = docs.iter().map(RequestView::of).collect();
    page(all, &part, true, |request| (request.at.clone().unwrap_or_default(), request.id.clone())).map(Json)
}

/// One of the caller's wishes.
#[utoipa::path(get, path = "/api/v1/requests/{id}", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = RequestView)))]
pub(super) async fn one(
    At(state): At<State>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<RequestView>, WebError> {
    caller.may(Scope::Read)?;
    let doc_id = format!("request::{}::{}::{id}", caller.person.account, caller.person.user);
    let doc = edit::read(&state, &caller.person, &doc_id).await?;
    let doc = doc.ok_or_else(|| WebError::NotFound("there is no such request of yours".to_owned()))?;
    Ok(Json(RequestView::of(&doc)))
}
