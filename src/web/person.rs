//! The person who is signed in, read anew for every request: who left, or lost a role, does not keep it.

use super::session::{self, COOKIE};
use super::{Site, State, WebError};
use crate::model::{AccountId, Role, Time, User, UserId};
use crate::store::Session;
use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

/// Somebody signed in. As an extractor it sends others to sign in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their Account.
    pub account: AccountId,
    /// Their id in it.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
    /// For people to read.
    pub name: String,
    /// Where their mail goes.
    pub email: String,
    /// Their IANA zone.
    pub zone: Option<String>,
    /// Names what they signed in with; not secret.
    pub session_hash: String,
    /// What their forms must bring.
    pub csrf: String,
}

/// How long a session at the gateway is asked for, and how long before its end it is asked for anew, seconds.
const GATEWAY_SESSION: u32 = 1_800;
const MARGIN: i64 = 300;
/// After how long it is asked whether such a session still stands, seconds: it ends when its person signs out, also at another
/// copy of zerocloud.
const TRUSTED: i64 = 10;
/// Sessions at the gateway that are remembered before those that ended are forgotten.
const REMEMBERED: usize = 1_000;

impl FromRequestParts<State> for Person {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Person, WebError> {
        if let Some(person) = Person::of(parts, state).await? {
            return Ok(person);
        }
        let wanted = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let next = if parts.method == Method::GET { wanted } else { "/leases".to_owned() };
        Err(WebError::SignIn { next })
    }
}

/// For pages that anybody may open and that look different for somebody signed in.
impl axum::extract::OptionalFromRequestParts<State> for Person {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Option<Person>, WebError> {
        let person = Person::known(parts, state).await?;
        // Where nobody need be signed in, somebody of a closed Account is nobody.
        match &person {
            Some(known) if state.is_closed(&known.account).await? => Ok(None),
            _ => Ok(person),
        }
    }
}

impl Person {
    /// Who is signed in, if anybody; nobody of a closed Account goes on.
    pub(super) async fn of(parts: &mut Parts, state: &State) -> Result<Option<Person>, WebError> {
        let person = Person::known(parts, state).await?;
        if let Some(known) = &person {
            state.open(&known.account).await?;
        }
        Ok(person)
    }

    async fn known(parts: &mut Parts, state: &State) -> Result<Option<Person>, WebError> {
        let Ok(site) = Site::from_request_parts(parts, state).await;
        let Some(secret) = site.read_cookie(&parts.headers, COOKIE) else { return Ok(None) };
        let Some((hash, session)) = session::find(&state.store, secret, state.clock.now()).await? else {
            return Ok(None);
        };
        let id = format!("user::{}::{}", session.account, session.user);
        let Some(user) = state.store.get::<User>(&id).await? else { return Ok(None) };
        Ok(Some(Person::new(user.body, hash, session.csrf)))
    }

    /// This user, signed in with what `session_hash` names.
    pub(super) fn new(user: User, session_hash: String, csrf: String) -> Person {
        let name = if user.name.trim().is_empty() { user.email.clone() } else { user.name };
        Person {
            account: user.account,
            user: user.user,
            role: user.role,
            name,
            email: user.email,
            zone: user.time_zone,
            session_hash,
            csrf,
        }
    }

    /// Whether they are an admin.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Only admins go on.
    pub fn admin(&self) -> Result<(), WebError> {
        if self.is_admin() { Ok(()) } else { Err(WebError::Forbidden("this page is for admins".to_owned())) }
    }

    /// Their name at the gateway, which `updated_by` must hold.
    pub fn gateway_name(&self) -> String {
        User::gateway_name(&self.account, &self.user)
    }

    /// Their own session at the gateway, so that the access rules judge what they do.
    pub async fn session(&self, state: &State) -> Result<Session, WebError> {
        let now = state.clock.now();
        let known = state.gateway_sessions().get(&self.session_hash).filter(|known| known.until > now).cloned();
        if let Some(mut known) = known {
            let trusted = (0..TRUSTED).contains(&now.seconds_since(known.checked));
            if trusted || state.store.session_stands(&known.session).await? {
                let session = known.session.clone();
                if !trusted {
                    known.checked = now;
                    state.gateway_sessions().insert(self.session_hash.clone(), known);
                }
                return Ok(session);
            }
        }
        let session = state.store.session(&self.gateway_name(), GATEWAY_SESSION).await?;
        let until = now.plus(i64::from(GATEWAY_SESSION) - MARGIN);
        let known = GatewaySession { name: self.gateway_name(), session: session.clone(), until, checked: now };
        let mut all = state.gateway_sessions();
        if all.len() > REMEMBERED {
            all.retain(|_, known| known.until > now);
        }
        all.insert(self.session_hash.clone(), known);
        Ok(session)
    }
}

/// A person's session at the gateway.
#[derive(Debug, Clone)]
pub(super) struct GatewaySession {
    /// Their name there.
    name: String,
    session: Session,
    /// When it is asked for anew.
    until: Time,
    /// When it was last known to stand.
    checked: Time,
}

impl State {
    /// Forgets a person's sessions at the gateway, which have ended: those of browsers and of tokens.
    pub(super) fn forget(&self, account: &AccountId, user: &UserId) {
        let name = User::gateway_name(account, user);
        self.gateway_sessions().retain(|_, known| known.name != name);
    }

    /// The same of one token, whose session at the gateway is ended.
    pub(super) async fn forget_one(&self, session_hash: &str) {
        let known = self.gateway_sessions().remove(session_hash);
        if let Some(known) = known
            && let Err(error) = self.store.end_session(&known.session).await
        {
            // Nobody has it but this process: it ends by its time.
            tracing::debug!(%error, "a session that nobody uses any more is not ended");
        }
    }

    fn gateway_sessions(&self) -> MutexGuard<'_, HashMap<String, GatewaySession>> {
        self.gateway_sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
