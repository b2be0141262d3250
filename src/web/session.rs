//! Who is signed in: documents `web_session::{hash}` that no channel shows. The cookie holds 256 random bits, the document
//! only their hash, so that whoever reads the documents cannot act as anybody.

use crate::model::{AccountId, Doc, Extra, Time, User, UserId};
use crate::store::{Store, StoreError};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The cookie, without the prefix that its place gives it.
pub(super) const COOKIE: &str = "zerocloud";
pub(super) const PREFIX: &str = "web_session::";
/// How often it is noted that a session is used, seconds.
const NOTED: i64 = 300;

/// One browser of one person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WebSession {
    /// Whose Account.
    pub account: AccountId,
    /// Who.
    pub user: UserId,
    /// Since when.
    pub created: Time,
    /// When it was used last, within five minutes.
    pub seen: Time,
    /// When it ends.
    pub expires: Time,
    /// What every form must bring.
    pub csrf: String,
    /// When the document goes.
    pub purge_at: Time,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

/// 256 random bits, as they fit into a cookie and a URL.
pub(super) fn random() -> String {
    BASE64.encode(rand::random::<[u8; 32]>())
}

/// The hash that stands in a document for a secret.
pub(super) fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// A new session, for `seconds`; gives the cookie's value.
pub async fn begin(
    store: &Store,
    account: &AccountId,
    user: &UserId,
    now: Time,
    seconds: i64,
) -> Result<String, StoreError> {
    let secret = random();
    let expires = now.plus(seconds);
    let body = WebSession {
        account: account.clone(),
        user: user.clone(),
        created: now,
        seen: now,
        expires,
        csrf: random(),
        purge_at: expires,
        extra: Extra::new(),
    };
    store.put("web_session", &Doc { id: format!("{PREFIX}{}", hash(&secret)), rev: None, body }).await?;
    Ok(secret)
}

/// The session that this cookie value opens, with the hash that names it.
pub(super) async fn find(store: &Store, secret: &str, now: Time) -> Result<Option<(String, WebSession)>, StoreError> {
    if secret.len() != 43 {
        return Ok(None);
    }
    let hash = hash(secret);
    let Some(mut doc) = store.get::<WebSession>(&format!("{PREFIX}{hash}")).await? else { return Ok(None) };
    if now >= doc.body.expires {
        return Ok(None);
    }
    if now.seconds_since(doc.body.seen) >= NOTED {
        doc.body.seen = now;
        // Another request may note it at the same time.
        let _ = store.put("web_session", &doc).await;
    }
    Ok(Some((hash, doc.body)))
}

/// Ends one session.
pub(super) async fn end(store: &Store, secret: &str) -> Result<(), StoreError> {
    let id = format!("{PREFIX}{}", hash(secret));
    match store.get::<WebSession>(&id).await? {
        Some(Doc { rev: Some(rev), .. }) => gone(store.delete(&id, &rev).await),
        _ => Ok(()),
    }
}

/// Ends every session of a person, here and at the gateway.
pub async fn end_all(store: &Store, account: &AccountId, user: &UserId) -> Result<(), StoreError> {
    for doc in store.prefix(PREFIX).await? {
        let theirs = doc.body.get("account").and_then(|it| it.as_str()) == Some(account.as_str())
            && doc.body.get("user").and_then(|it| it.as_str()) == Some(user.as_str());
        let Some(rev) = doc.rev.filter(|_| theirs) else { continue };
        gone(end_one(store, &doc.id, rev).await)?;
    }
    store.end_sessions(&User::gateway_name(account, user)).await
}

/// A session whose use was noted meanwhile is deleted all the same.
async fn end_one(store: &Store, id: &str, rev: String) -> Result<(), StoreError> {
    match store.delete(id, &rev).await {
        Err(StoreError::Conflict { .. }) => match store.get::<WebSession>(id).await? {
            Some(Doc { rev: Some(rev), .. }) => store.delete(id, &rev).await,
            _ => Ok(()),
        },
        other => other,
    }
}

fn gone(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
