//! Writes down who somebody is: the user document and the Sync Gateway user.

use super::admission::Entry;
use super::github::Identity;
use crate::model::{AccountId, Doc, Extra, Role, User, UserId};
use crate::store::Store;
use crate::web::WebError;
use serde_json::json;

/// Brings the user up to date with what GitHub says, or makes them.
pub async fn enter(store: &Store, entry: Entry, identity: &Identity) -> Result<User, WebError> {
    match entry {
        Entry::Known(user) => update(store, &user, identity).await,
        Entry::First(user) => {
            gateway_user(store, &user.account, &user.user).await?;
            update(store, &user, identity).await
        }
        Entry::New(account, email) => {
            let user = UserId::parse(&new_id(&identity.login)).map_err(|why| WebError::Internal(why.into()))?;
            let mut made = blank(account, user, Role::Dev, email);
            sign(&mut made, identity);
            make(store, made).await
        }
    }
}

/// A new user, with their Sync Gateway user. Nobody knows the password: sessions are made by the service.
pub async fn make(store: &Store, user: User) -> Result<User, WebError> {
    gateway_user(store, &user.account, &user.user).await?;
    let id = format!("user::{}::{}", user.account, user.user);
    store.put("user", &Doc { id, rev: None, body: user.clone() }).await?;
    tracing::info!(account = %user.account, user = %user.user, role = ?user.role, "a user was made");
    Ok(user)
}

/// A user with nothing but these.
pub fn blank(account: AccountId, user: UserId, role: Role, email: String) -> User {
    User {
        account,
        user,
        role,
        email,
        name: String::new(),
        github_login: None,
        aliases: Vec::new(),
        key_names: Vec::new(),
        time_zone: None,
        mail_format: None,
        extra: Extra::new(),
    }
}

/// An id that reads like the name and was nobody's before: leases of somebody who left are never another's.
pub fn new_id(name: &str) -> String {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let slug: String = name.to_lowercase().chars().map(|c| if fine(c) { c } else { '-' }).take(30).collect();
    let slug = slug.trim_matches('-');
    let slug = if slug.is_empty() { "user" } else { slug };
    format!("{slug}-{:04x}", rand::random::<u16>())
}

/// Takes over what GitHub says of them.
pub fn sign(user: &mut User, identity: &Identity) {
    user.extra.insert("github_id".to_owned(), identity.id.into());
    user.github_login = Some(identity.login.clone());
    if user.name.trim().is_empty() || user.name == user.user.as_str() {
        identity.name.clone_into(&mut user.name);
    }
}

async fn gateway_user(store: &Store, account: &AccountId, user: &UserId) -> Result<(), WebError> {
    let name = User::gateway_name(account, user);
    let password = hex::encode(rand::random::<[u8; 32]>());
    Ok(store.put_user(&name, &json!({ "name": name, "password": password })).await?)
}

/// By compare-and-swap; writes only what differs.
async fn update(store: &Store, user: &User, identity: &Identity) -> Result<User, WebError> {
    let id = format!("user::{}::{}", user.account, user.user);
    let mut bound_to_another = false;
    let updated = store.change("user", &id, |user: &mut User| {
        bound_to_another = super::admission::github_id(user).is_some_and(|bound| bound != identity.id);
        let before = user.clone();
        if !bound_to_another {
            sign(user, identity);
        }
        *user != before
    });
    let updated = updated.await?.filter(|_| !bound_to_another);
    updated.map(|doc| doc.body).ok_or(WebError::Conflict)
}

#[cfg(test)]
mod tests {
    use super::new_id;
    use crate::model::UserId;

    #[test]
    fn any_name_makes_an_id() {
        for name in ["Ada", "a_b.c", "", "---", "Ümit", &"x".repeat(99), "pending"] {
            let id = UserId::parse(&new_id(name)).unwrap();
            assert!(!id.is_pending());
        }
        assert!(new_id("Ada L").starts_with("ada-l-"));
    }
}
