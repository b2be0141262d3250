//! Who calls, and the people of their Account.

use super::wire::{Body, Page, Part, Query, based_on, etag, one as reply, page, stale, stale_edit};
use crate::model::{Doc, Role, Time, User, UserId};
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError, edit, roster};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserView {
    id: String,
    /// For `If-Match`; absent where it is not read from the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    account: String,
    /// `admin` or `dev`
    role: String,
    name: String,
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    github_login: Option<String>,
    /// Further addresses and names that mean this person in an owner tag.
    aliases: Vec<String>,
    /// An IANA zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    /// `html` or `text`
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_format: Option<String>,
    /// The hour, 0 to 23 in that zone, at which what is not urgent comes as one mail; absent: it comes at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest_hour: Option<i8>,
    /// Who stands in while this person is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    delegate: Option<String>,
    /// Until when; then the delegate stands in no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    delegate_until: Option<String>,
    /// Mail to this person does not arrive; why.
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_problem: Option<String>,
}

impl UserView {
    fn of(doc: Doc<Value>) -> Option<UserView> {
        let user: User = serde_json::from_value(doc.body).ok()?;
        let problem = user.mail_problem().and_then(|problem| problem.get("reason")?.as_str().map(str::to_owned));
        Some(UserView {
            digest_hour: user.digest_hour(),
            delegate: user.extra.get("delegate").and_then(|delegate| delegate.as_str().map(str::to_owned)),
            delegate_until: user.delegate_until().map(|until| until.to_string()),
            id: user.user.to_string(),
            etag: doc.rev.as_deref().map(etag),
            account: user.account.to_string(),
            role: if user.role == crate::model::Role::Admin { "admin" } else { "dev" }.to_owned(),
            name: user.name,
            email: user.email,
            github_login: user.github_login,
            aliases: user.aliases,
            time_zone: user.time_zone,
            mail_format: user.mail_format,
            mail_problem: problem,
        })
    }
}

fn no_user() -> WebError {
    WebError::NotFound("there is no such user, or you may not see them".to_owned())
}

async fn read(state: &State, caller: &Caller, user: &str) -> Result<Doc<Value>, WebError> {
    let id = crate::model::UserId::parse(user).map_err(|_| no_user())?;
    let id = format!("user::{}::{id}", caller.person.account);
    edit::read(state, &caller.person, &id).await?.ok_or_else(no_user)
}

/// Who calls.
#[utoipa::path(get, path = "/api/v1/me", tag = "people", responses((status = 200, body = UserView)))]
pub(super) async fn me(At(state): At<State>, caller: Caller) -> Result<Json<UserView>, WebError> {
    let doc = read(&state, &caller, caller.person.user.as_str()).await?;
    UserView::of(doc).map(Json).ok_or_else(no_user)
}

/// The people of the Account: admins see all, others themselves.
#[utoipa::path(get, path = "/api/v1/users", tag = "people", params(Part), responses((status = 200, body = Page<UserView>)))]
pub(super) async fn list(
    At(state): At<State>,
    caller: Caller,
    Query(part): Query<Part>,
) -> Result<Json<Page<UserView>>, WebError> {
    caller.may(Scope::Read)?;
    let session = caller.person.session(&state).await?;
    let docs = state.store.prefix_as(&session, "user::").await?;
    let all = docs.into_iter().filter_map(UserView::of).collect();
    page(all, &part, false, |user: &UserView| (user.id.clone(), String::new())).map(Json)
}

/// One person.
#[utoipa::path(get, path = "/api/v1/users/{user}", tag = "people", params(("user" = String, Path)),
    responses((status = 200, body = UserView, headers(("ETag" = String))), (status = 304, description = "As it was")))]
pub(super) async fn one(
    At(state): At<State>,
    caller: Caller,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    caller.may(Scope::Read)?;
    let doc = read(&state, &caller, &user).await?;
    let rev = doc.rev.clone().unwrap_or_default();
    Ok(reply(&headers, &rev, UserView::of(doc).ok_or_else(no_user)?))
}

/// What may be changed; what is left out stays. Role and aliases are for admins, never one's own role; the rest is one's own.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserEdit {
    /// `admin` or `dev`
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aliases: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    /// `html` or `text`
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_format: Option<String>,
    /// The hour, 0 to 23 in the person's zone, at which what is not urgent comes as one mail; null: at once.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u8>, maximum = 23)]
    digest_hour: Option<Value>,
    /// Who stands in while this person is away: gets the notices about their leases too, and may renew them; null: nobody.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    delegate: Option<Value>,
    /// Until when; a delegate without it stands in for nobody.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    delegate_until: Option<Value>,
}

impl UserEdit {
    /// Says what is wrong before the access rules refuse it.
    fn check_absence(&self) -> Result<(), WebError> {
        let fits = |value: &Option<Value>, fits: &dyn Fn(&Value) -> bool| {
            value.as_ref().is_none_or(|value| value.is_null() || fits(value))
        };
        let text = |value: &Value, reads: &dyn Fn(&str) -> bool| value.as_str().is_some_and(reads);
        if !fits(&self.digest_hour, &|hour| hour.as_u64().is_some_and(|hour| hour < 24)) {
            return Err(WebError::Invalid("digest_hour must be a whole number from 0 to 23, or null".to_owned()));
        }
        if !fits(&self.delegate, &|user| text(user, &|user| UserId::parse(user).is_ok())) {
            return Err(WebError::Invalid("delegate must be a user id, or null".to_owned()));
        }
        if !fits(&self.delegate_until, &|until| text(until, &|until| Time::parse(until).is_ok())) {
            return Err(WebError::Invalid(
                "delegate_until must be a time such as 2026-01-31T23:59:59Z, or null".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Null is something else than nothing.
fn said<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Edits a person.
#[utoipa::path(patch, path = "/api/v1/users/{user}", tag = "people", request_body = UserEdit,
    params(("user" = String, Path), ("If-Match" = String, Header)), responses((status = 200, body = UserView)))]
pub(super) async fn edit(
    At(state): At<State>,
    caller: Caller,
    Path(user): Path<String>,
    headers: HeaderMap,
    Body(edit): Body<UserEdit>,
) -> Result<Response, WebError> {
    let own = user == caller.person.user.as_str();
    caller.may(if own { Scope::Write } else { Scope::Admin })?;
    if edit.role.is_some() || edit.aliases.is_some() {
        caller.may(Scope::Admin)?;
    }
    if let Some(zone) = edit.time_zone.as_deref().filter(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
        return Err(WebError::Invalid(format!("{zone:?} is not an IANA zone such as Europe/Berlin")));
    }
    if edit.mail_format.as_deref().is_some_and(|format| !matches!(format, "html" | "text")) {
        return Err(WebError::Invalid("mail_format must be html or text".to_owned()));
    }
    edit.check_absence()?;
    let mut doc = read(&state, &caller, &user).await?;
    let rev = based_on(&headers)?;
    let changes = serde_json::to_value(&edit).map_err(|why| WebError::Internal(why.into()))?;
    for (name, value) in changes.as_object().into_iter().flatten() {
        doc.body[name] = value.clone();
    }
    doc.body["updated_by"] = caller.person.gateway_name().into();
    let session = caller.person.session(&state).await?;
    state.store.put_as(&session, &doc.id, &doc.body, Some(&rev)).await.map_err(stale)?;
    let doc = read(&state, &caller, &user).await?;
    let rev = doc.rev.clone().unwrap_or_default();
    Ok(reply(&HeaderMap::new(), &rev, UserView::of(doc).ok_or_else(no_user)?))
}

/// Who is invited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// They sign in with GitHub by this address.
    #[schema(min_length = 3, max_length = 254)]
    email: String,
    #[serde(default)]
    #[schema(max_length = 80)]
    name: String,
    /// `admin` or `dev`; `dev` when left out.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
}

/// Invites somebody. No mail goes out: tell them where zerocloud is.
#[utoipa::path(post, path = "/api/v1/users", tag = "people", request_body = NewUser, responses((status = 201, body = UserView)))]
pub(super) async fn invite(
    At(state): At<State>,
    caller: Caller,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<UserView>), WebError> {
    caller.admin(Scope::Admin)?;
    let role = new.role.unwrap_or(Role::Dev);
    let user = roster::invite(&state, &caller.person, &new.email, &new.name, role).await?;
    let doc = read(&state, &caller, user.user.as_str()).await?;
    Ok((StatusCode::CREATED, Json(UserView::of(doc).ok_or_else(no_user)?)))
}

/// Removes somebody who left: their sessions end at once, their leases pass to an admin, who is told. Never oneself.
#[utoipa::path(delete, path = "/api/v1/users/{user}", tag = "people",
    params(("user" = String, Path), ("If-Match" = Option<String>, Header)), responses((status = 204, description = "Removed")))]
pub(super) async fn remove(
    At(state): At<State>,
    caller: Caller,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    caller.admin(Scope::Admin)?;
    let id = crate::model::UserId::parse(&user).map_err(|_| no_user())?;
    let rev = headers.contains_key(header::IF_MATCH).then(|| based_on(&headers)).transpose()?;
    roster::remove(&state, &caller.person, &id, rev.as_deref()).await.map_err(stale_edit)?;
    Ok(StatusCode::NO_CONTENT)
}
