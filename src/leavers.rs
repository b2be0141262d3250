//! Stage: who left. When a user document is gone, however it went, the person's sessions and their Sync Gateway user go too, as
//! they do at once when an admin removes somebody on a page. The feed brings each tombstone again at every start, so nothing is
//! lost when the process dies in between, and what is done already is done once.

use crate::model::{AccountId, User, UserId};
use crate::store::{Store, StoreError};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long it waits until it tries again.
const AGAIN: Duration = Duration::from_secs(2);

/// Whether a document is one that this stage wants to see.
pub fn is_watched(id: &str) -> bool {
    id.starts_with("user::")
}

/// Takes ids of user documents that are gone, until shutdown.
pub async fn run(store: Store, mut gone: mpsc::Receiver<String>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut waiting = BTreeSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            id = gone.recv() => match id {
                Some(id) => drop(waiting.insert(id)),
                None => return Ok(()),
            },
            () = tokio::time::sleep(AGAIN), if !waiting.is_empty() => {}
        }
        for id in std::mem::take(&mut waiting) {
            if let Err(error) = leave(&store, &id).await {
                tracing::warn!(id, %error, "somebody who left is not signed out everywhere yet; it is tried again");
                waiting.insert(id);
            }
        }
    }
}

async fn leave(store: &Store, id: &str) -> Result<(), StoreError> {
    let Some((account, user)) = parse(id) else { return Ok(()) };
    let name = User::gateway_name(&account, &user);
    // Whoever was made again since is here.
    if store.get::<Value>(id).await?.is_some() || !store.user_exists(&name).await? {
        return Ok(());
    }
    end_sessions(store, &account, &user).await?;
    // Last: while it is there, everything is done again.
    store.delete_user(&name).await?;
    tracing::info!(%account, %user, "a user whose document is gone left");
    Ok(())
}

/// Those of their browsers, and at the gateway.
async fn end_sessions(store: &Store, account: &AccountId, user: &UserId) -> Result<(), StoreError> {
    for doc in store.prefix("web_session::").await? {
        let is = |name: &str, value: &str| doc.body.get(name).and_then(Value::as_str) == Some(value);
        if !is("account", account.as_str()) || !is("user", user.as_str()) {
            continue;
        }
        match store.delete(&doc.id, &doc.rev.unwrap_or_default()).await {
            // Without a user document it opens nothing, and goes by its time.
            Ok(()) | Err(StoreError::NotFound { .. } | StoreError::Conflict { .. }) => {}
            Err(why) => return Err(why),
        }
    }
    store.end_sessions(&User::gateway_name(account, user)).await
}

fn parse(id: &str) -> Option<(AccountId, UserId)> {
    let (account, user) = id.strip_prefix("user::")?.split_once("::")?;
    AccountId::parse(account).ok().zip(UserId::parse(user).ok())
}
