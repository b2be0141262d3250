//! Sessions at the gateway that were given away, to phones that sync documents. The gateway prolongs each while it is used; so
//! what gave it stands beside it in a document `sync_session::{hash}` that no channel shows, and it is ended here when its day is
//! over, and when the token or the browser's session that gave it is. Feeds that are open are cut by the same rule.

use super::session::hash;
use super::token::{Caller, Scope, whole};
use super::{State, WebError};
use crate::model::{AccountId, Doc, Extra, Role, Time, UserId};
use crate::store::{Session, StoreError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const PREFIX: &str = "sync_session::";
/// How long one is good, seconds, however much it is used.
const LASTS: i64 = 86_400;
/// How long its document waits to be seen after that, seconds: zerocloud may stand still meanwhile, while the gateway goes on.
const KEPT: i64 = 30 * 86_400;
/// How many one person has at a time.
const MOST: usize = 32;
/// How often it is looked which are over.
const EVERY: Duration = Duration::from_secs(10);
/// How often it is asked whether a feed may stay open.
const ASKED: Duration = Duration::from_secs(15);

/// By what right somebody syncs: what they signed in with here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Right {
    /// Whose Account.
    pub(super) account: AccountId,
    /// Who.
    pub(super) user: UserId,
    /// The document of the token, or of the browser's session.
    by: String,
}

/// What of that document counts here; a browser's session has no scopes.
#[derive(Debug, Deserialize)]
struct Giver {
    expires: Time,
    scopes: Option<Vec<Scope>>,
}

/// A session's document.
#[derive(Debug, Serialize, Deserialize)]
struct Granted {
    #[serde(flatten)]
    right: Right,
    cookie: String,
    /// Secret.
    session: String,
    given: Time,
    expires: Time,
    purge_at: Time,
    #[serde(flatten)]
    extra: Extra,
}

impl Right {
    /// Of who calls.
    pub(super) fn of(caller: &Caller) -> Right {
        let (account, user) = (caller.person.account.clone(), caller.person.user.clone());
        Right { account, user, by: caller.document() }
    }

    /// What gave it, while that is good.
    async fn giver(&self, state: &State) -> Result<Option<Giver>, StoreError> {
        // One that cannot be read gives nothing.
        let Some(giver) = state.store.get::<Giver>(&self.by).await.or_else(unreadable_is_none)? else {
            return Ok(None);
        };
        let here = !state.index.is_caught_up() || state.index.directory().user(&self.account, &self.user).is_some();
        let here = here && !state.is_closed(&self.account).await?;
        Ok(Some(giver.body).filter(|giver| here && state.clock.now() < giver.expires))
    }

    /// Whether a session may go on. Whoever became an admin since needs a token that says so.
    async fn gives(&self, state: &State) -> Result<bool, StoreError> {
        let user = state.index.directory().user(&self.account, &self.user).cloned();
        let is_admin = user.is_some_and(|user| user.role == Role::Admin);
        let enough =
            |giver: Giver| giver.scopes.is_none_or(|has| whole(is_admin).iter().all(|scope| has.contains(scope)));
        Ok(self.giver(state).await?.is_some_and(enough))
    }
}

fn unreadable_is_none<T>(why: StoreError) -> Result<Option<Doc<T>>, StoreError> {
    if matches!(why, StoreError::Malformed { .. }) { Ok(None) } else { Err(why) }
}

/// Makes room for another session of one person: the oldest go.
async fn make_room(state: &State, right: &Right) -> Result<(), StoreError> {
    let theirs = |granted: &Granted| granted.right.account == right.account && granted.right.user == right.user;
    let mut own: Vec<_> = all(state).await?.into_iter().filter(|(_, _, granted)| theirs(granted)).collect();
    own.sort_by_key(|(_, _, granted)| granted.given);
    let surplus = (own.len() + 1).saturating_sub(MOST);
    for (id, rev, granted) in own.iter().take(surplus) {
        end(state, id, rev, granted).await?;
    }
    Ok(())
}

/// A session for syncing, and when it ends.
pub(super) async fn give(state: &State, caller: &Caller) -> Result<(Session, Time), WebError> {
    caller.syncs()?;
    let (right, now) = (Right::of(caller), state.clock.now());
    let over = || WebError::SignIn { next: "/leases".to_owned() };
    let giver = right.giver(state).await?.ok_or_else(over)?;
    make_room(state, &right).await?;
    let expires = giver.expires.min(now.plus(LASTS));
    let ttl = u32::try_from(expires.seconds_since(now)).map_err(|why| WebError::Internal(why.into()))?;
    let session = state.store.session(&caller.person.gateway_name(), ttl).await?;
    let (cookie, id) = session.parts();
    let doc_id = format!("{PREFIX}{}", hash(id));
    let (cookie, id) = (cookie.to_owned(), id.to_owned());
    let (purge_at, extra) = (expires.plus(KEPT), Extra::new());
    let body = Granted { right, cookie, session: id, given: now, expires, purge_at, extra };
    // Nobody gets one that nobody would end.
    if let Err(why) = state.store.put("sync_session", &Doc { id: doc_id, rev: None, body }).await {
        state.store.end_session(&session).await?;
        return Err(why.into());
    }
    Ok((session, expires))
}

/// Ends those that this token gave, at once. What cannot be ended now is ended by the next look.
pub(super) async fn end_given_by(state: &State, token: &str) {
    let ended = async {
        for (id, rev, granted) in all(state).await?.into_iter().filter(|(_, _, granted)| granted.right.by == token) {
            end(state, &id, &rev, &granted).await?;
        }
        Ok::<_, StoreError>(())
    };
    if let Err(error) = ended.await {
        tracing::warn!(%error, "sessions that a token gave are not ended yet; it is tried again");
    }
}

/// Ends, now and then, what is over; for as long as this state's server runs.
pub async fn keep(state: State) -> anyhow::Result<()> {
    let run = async {
        state.index.caught_up().await;
        loop {
            if let Err(error) = sweep(&state).await {
                tracing::warn!(%error, "it is not known yet which sessions for syncing are over");
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    state.stop.run_until_cancelled(run).await;
    Ok(())
}

async fn sweep(state: &State) -> Result<(), StoreError> {
    for (id, rev, granted) in all(state).await? {
        match granted.stands(state).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "whether a session for syncing is over is not known yet");
                continue;
            }
        }
        match end(state, &id, &rev, &granted).await {
            Ok(()) => {
                tracing::debug!(account = %granted.right.account, user = %granted.right.user, "a session is over");
            }
            Err(error) => tracing::warn!(%error, "a session for syncing is not ended yet"),
        }
    }
    Ok(())
}

async fn all(state: &State) -> Result<Vec<(String, String, Granted)>, StoreError> {
    let docs = state.store.prefix(PREFIX).await?.into_iter();
    Ok(docs.filter_map(|doc| Some((doc.id, doc.rev?, serde_json::from_value(doc.body).ok()?))).collect())
}

async fn end(state: &State, id: &str, rev: &str, granted: &Granted) -> Result<(), StoreError> {
    let over = |result| match result {
        // Another copy was quicker.
        Err(StoreError::NotFound { .. } | StoreError::Conflict { .. }) => Ok(()),
        other => other,
    };
    over(state.store.end_session(&Session::known(&granted.cookie, &granted.session)).await)?;
    over(state.store.delete(id, rev).await)
}

impl Granted {
    async fn stands(&self, state: &State) -> Result<bool, StoreError> {
        Ok(state.clock.now() < self.expires && self.right.gives(state).await?)
    }
}

/// By what a feed is open.
#[derive(Debug)]
pub(super) enum Key {
    /// What its reader is signed in with here.
    Right(Right),
    /// A session that the reader has at the gateway.
    Session(Session),
    /// A password there.
    Password,
}

/// Waits until that is over.
pub(super) async fn over(state: State, key: Key) {
    loop {
        tokio::time::sleep(ASKED).await;
        let stands = match &key {
            Key::Right(right) => right.giver(&state).await.map(|giver| giver.is_some()),
            Key::Session(session) => state.store.session_stands(session).await,
            Key::Password => Ok(true),
        };
        // What cannot be asked is not over.
        if matches!(stands, Ok(false)) {
            return;
        }
    }
}

impl Key {
    /// Of a cookie as it was sent, `name=value`.
    pub(super) fn of_cookie(pair: &str) -> Option<Key> {
        pair.split_once('=').map(|(name, id)| Key::Session(Session::known(name, id)))
    }
}
