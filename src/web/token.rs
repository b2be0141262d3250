//! Personal access tokens: what a program acts with in a person's name. Shown once, stored only as a hash, revocable; each
//! has scopes, and never more rights than its person has. Documents `api_token::{hash}`, which no channel shows.

use super::limits::Try;
use super::session::{hash, random};
use super::{Person, Site, State, WebError, granted, session};
use crate::model::{AccountId, Doc, Extra, Time, User, UserId};
use crate::store::{Store, StoreError};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{Method, header};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

const PREFIX: &str = "api_token::";
/// What every token begins with, so that scanners of source code know it.
const MARK: &str = "zcp_";
/// How often it is noted that a token is used, seconds.
const NOTED: i64 = 300;
/// How often a lost race is run again.
const TRIES: u32 = 5;
/// Tokens that one person may have.
const MOST: usize = 50;

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything that the person may see.
    Read,
    /// Renew, end, hand over, say that it is not theirs.
    Write,
    /// What admins do: policies, people, AWS accounts, pauses. Of no use to others.
    Admin,
    /// Syncing documents. A session for it carries whatever its person may do, so one is given only to who has `read` and `write`
    /// too, and of an admin `admin`.
    Sync,
}

/// What a token must have to be given a session for syncing: nothing narrows one.
pub(super) fn whole(is_admin: bool) -> &'static [Scope] {
    const ALL: [Scope; 4] = [Scope::Sync, Scope::Read, Scope::Write, Scope::Admin];
    if is_admin { &ALL } else { &ALL[..3] }
}

/// A token's document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Token {
    /// Whose Account.
    pub account: AccountId,
    /// Whose.
    pub user: UserId,
    /// What it is for, in the person's words.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Since when.
    pub created: Time,
    /// When it was used last, within five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Time>,
    /// When it ends.
    pub expires: Time,
    /// When the document goes.
    pub purge_at: Time,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Token {
    /// A new one of that person, good for so many seconds.
    pub fn new(whose: (&AccountId, &UserId), name: String, scopes: Vec<Scope>, now: Time, ttl: i64) -> Token {
        let (account, user, expires) = (whose.0.clone(), whose.1.clone(), now.plus(ttl));
        Token { account, user, name, scopes, created: now, used: None, expires, purge_at: expires, extra: Extra::new() }
    }
}

/// Makes one; gives its id and, this one time, the token itself.
pub async fn create(store: &Store, token: &Token) -> Result<(String, String), WebError> {
    let own = list(store, &token.account, &token.user).await?;
    if own.len() >= MOST {
        return Err(WebError::Invalid(format!("{MOST} tokens are enough; revoke one that is not used")));
    }
    let secret = format!("{MARK}{}", random());
    let name = hash(&secret);
    store.put("api_token", &Doc { id: format!("{PREFIX}{name}"), rev: None, body: token }).await?;
    Ok((short(&name), secret))
}

/// The tokens of a person, each with its id.
pub async fn list(store: &Store, account: &AccountId, user: &UserId) -> Result<Vec<(String, Doc<Token>)>, StoreError> {
    let all = store.prefix(PREFIX).await?.into_iter();
    let read = all.filter_map(|doc| {
        let body: Token = serde_json::from_value(doc.body).ok()?;
        let own = body.account == *account && body.user == *user;
        let id = short(doc.id.strip_prefix(PREFIX).unwrap_or_default());
        own.then_some((id, Doc { id: doc.id, rev: doc.rev, body }))
    });
    Ok(read.collect())
}

/// Revokes one of that person's, and ends every session that it gave.
pub(super) async fn revoke(state: &State, account: &AccountId, user: &UserId, id: &str) -> Result<(), WebError> {
    for _ in 0..TRIES {
        let found = list(&state.store, account, user).await?.into_iter().find(|(known, _)| known == id);
        let Some((_, doc)) = found else { return Err(WebError::NotFound("there is no such token".to_owned())) };
        match state.store.delete(&doc.id, &doc.rev.unwrap_or_default()).await {
            // That it was used was noted meanwhile.
            Err(StoreError::Conflict { .. }) => {}
            Err(why) => return Err(why.into()),
            Ok(()) => {
                granted::end_given_by(state, &doc.id).await;
                state.forget_one(doc.id.strip_prefix(PREFIX).unwrap_or_default()).await;
                return Ok(());
            }
        }
    }
    Err(WebError::Conflict)
}

/// Names a token without being one.
fn short(hash: &str) -> String {
    hash.chars().take(16).collect()
}

/// Who calls the API, and what they may do with what they brought.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub person: Person,
    /// `None`: signed in with a browser, so everything that the person may do.
    scopes: Option<Vec<Scope>>,
}

impl Caller {
    /// Somebody signed in with a browser.
    pub(super) fn in_browser(person: Person) -> Caller {
        Caller { person, scopes: None }
    }

    /// Goes on only with that scope.
    pub fn may(&self, scope: Scope) -> Result<(), WebError> {
        self.may_all(&[scope])
    }

    /// Goes on only with all of these; who has not hears which are missing.
    pub fn may_all(&self, wanted: &[Scope]) -> Result<(), WebError> {
        let Some(scopes) = &self.scopes else { return Ok(()) };
        let lacks = wanted.iter().filter(|scope| !scopes.contains(scope));
        let word = |scope: &Scope| serde_json::to_value(scope).ok()?.as_str().map(str::to_owned);
        let lacks: Vec<String> = lacks.filter_map(word).collect();
        match &lacks[..] {
            [] => Ok(()),
            [one] => Err(WebError::Forbidden(format!("this token lacks the scope {one}"))),
            [most @ .., last] => {
                Err(WebError::Forbidden(format!("this token lacks the scopes {} and {last}", most.join(", "))))
            }
        }
    }

    /// Goes on only who may sync, to and fro, all that their person may.
    pub(super) fn syncs(&self) -> Result<(), WebError> {
        self.may_all(whole(self.person.is_admin()))
    }

    /// Goes on only for admins who may act as such.
    pub fn admin(&self, scope: Scope) -> Result<(), WebError> {
        self.may(scope)?;
        if self.person.is_admin() { Ok(()) } else { Err(WebError::Forbidden("this is for admins".to_owned())) }
    }

    /// The token that this call brought, by its id.
    pub fn token(&self) -> Option<String> {
        self.scopes.as_ref().map(|_| short(&self.person.session_hash))
    }

    /// The document of what this call brought: of a token, or of a browser's session.
    pub(super) fn document(&self) -> String {
        let prefix = if self.scopes.is_some() { PREFIX } else { session::PREFIX };
        format!("{prefix}{}", self.person.session_hash)
    }

    /// A token may not make others: it would outlive its own revocation.
    pub fn browser(&self) -> Result<(), WebError> {
        if self.scopes.is_none() {
            Ok(())
        } else {
            Err(WebError::Forbidden("tokens are made and revoked in a browser, or by `zerocloud login`".to_owned()))
        }
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Caller, WebError> {
        let found = <Caller as OptionalFromRequestParts<State>>::from_request_parts(parts, state).await?;
        found.ok_or_else(|| WebError::SignIn { next: "/leases".to_owned() })
    }
}

impl OptionalFromRequestParts<State> for Caller {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Option<Caller>, WebError> {
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(secret) = bearer.and_then(|value| value.strip_prefix("Bearer ")) {
            if let Some(caller) = by_token(state, secret.trim()).await? {
                state.open(&caller.person.account).await?;
                return Ok(Some(caller));
            }
            // Only what is of no use counts: who guesses waits, and the good tokens of the same office go on.
            let Ok(site) = Site::from_request_parts(parts, state).await;
            state.limits.check(Try::Token, site.client)?;
            return Err(WebError::BadToken);
        }
        let Some(person) = Person::of(parts, state).await? else { return Ok(None) };
        let Ok(site) = Site::from_request_parts(parts, state).await;
        // A browser sends its cookie with whatever a foreign page makes it send: a change needs the secret of our pages.
        let safe = matches!(parts.method, Method::GET | Method::HEAD);
        let brought = parts.headers.get("x-csrf-token").map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
        let own = site.is_own(&parts.headers) && bool::from(brought.ct_eq(person.csrf.as_bytes()));
        if safe || own {
            Ok(Some(Caller::in_browser(person)))
        } else {
            Err(WebError::Forbidden("a browser's call must bring the X-CSRF-Token of its page".to_owned()))
        }
    }
}

async fn by_token(state: &State, secret: &str) -> Result<Option<Caller>, StoreError> {
    if !secret.starts_with(MARK) || secret.len() > 100 {
        return Ok(None);
    }
    let name = hash(secret);
    let Some(mut doc) = state.store.get::<Token>(&format!("{PREFIX}{name}")).await? else { return Ok(None) };
    let now = state.clock.now();
    if doc.body.expires <= now {
        return Ok(None);
    }
    let id = format!("user::{}::{}", doc.body.account, doc.body.user);
    let Some(user) = state.store.get::<User>(&id).await? else { return Ok(None) };
    let scopes = doc.body.scopes.clone();
    if doc.body.used.is_none_or(|at| now.seconds_since(at) >= NOTED) {
        doc.body.used = Some(now);
        if let Err(why) = state.store.put("api_token", &doc).await {
            tracing::debug!(%why, "that a token was used is not noted");
        }
    }
    Ok(Some(Caller { person: Person::new(user.body, name, String::new()), scopes: Some(scopes) }))
}
