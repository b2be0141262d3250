//! Who belongs to an Account, as admins change it on pages and over the API alike. A leaver's user document goes first, so that
//! nothing they own ends meanwhile without an owner; then their Sync Gateway user and every session.

use super::signin::{admission, enrol};
use super::{Person, State, WebError, edit, session};
use crate::audit;
use crate::model::{AccountId, Policy, Role, User, UserId};
use crate::store::StoreError;

/// Who may come in without being invited, by the Account's policy.
pub(super) fn pattern(state: &State, account: &AccountId) -> Option<String> {
    let directory = state.index.directory();
    Policy::effective(directory.policies.get(&format!("policy::{account}"))).email_pattern
}

/// Somebody new. They sign in with GitHub by this address.
///
/// # Errors
/// `Forbidden` for who is no admin; `Invalid`, with what to do, for an address that cannot be or is here already.
pub(super) async fn invite(state: &State, by: &Person, email: &str, name: &str, role: Role) -> Result<User, WebError> {
    by.admin()?;
    let (account, email) = (&by.account, email.trim().to_lowercase());
    let sound = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if !sound || email.len() > 254 || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(WebError::Invalid("That is not a mail address; write one such as ada@example.com.".to_owned()));
    }
    if let Some(pattern) = pattern(state, account).filter(|pattern| !admission::matches(pattern, &email)) {
        let text = format!("The policy lets only {pattern} in. Change it there first, or invite another address.");
        return Err(WebError::Invalid(text));
    }
    let known = state.store.prefix(&format!("user::{account}::")).await?;
    let same = |doc: &crate::model::Doc<serde_json::Value>| {
        doc.body.get("email").and_then(|it| it.as_str()).is_some_and(|it| it.eq_ignore_ascii_case(&email))
    };
    if known.iter().any(same) {
        return Err(WebError::Invalid(format!("{email} is here already.")));
    }
    let name: String = name.trim().chars().take(80).collect();
    let stem = if name.is_empty() { email.split('@').next().unwrap_or_default() } else { &name };
    let id = UserId::parse(&enrol::new_id(stem)).map_err(|why| WebError::Internal(why.into()))?;
    let mut user = enrol::blank(account.clone(), id, role, email.clone());
    user.name.clone_from(&name);
    user.extra.insert("invited_by".to_owned(), by.gateway_name().into());
    enrol::make(&state.store, user).await
}

/// Somebody who leaves: at once, and everywhere. With `based_on` only while that revision of their document stands.
///
/// # Errors
/// `NotFound` when there is nobody by that id; `Forbidden` for oneself and for who is no admin.
pub(super) async fn remove(state: &State, by: &Person, user: &UserId, based_on: Option<&str>) -> Result<(), WebError> {
    by.admin()?;
    let unknown = || WebError::NotFound("there is nobody here by that name".to_owned());
    let id = format!("user::{}::{user}", by.account);
    let doc = edit::read(state, by, &id).await?.ok_or_else(unknown)?;
    let gateway = by.session(state).await?;
    let rev = based_on.map(str::to_owned).or(doc.rev).unwrap_or_default();
    audit::about_to_remove(&state.store, &id, &by.gateway_name(), state.clock.now()).await;
    state.store.delete_as(&gateway, &id, &rev).await?;
    session::end_all(&state.store, &by.account, user).await?;
    state.forget(&by.account, user);
    match state.store.delete_user(&User::gateway_name(&by.account, user)).await {
        // Somebody else removed them at the same moment.
        Ok(()) | Err(StoreError::NotFound { .. }) => {}
        Err(why) => return Err(why.into()),
    }
    tracing::info!(account = %by.account, %user, by = %by.user, "a user left");
    Ok(())
}
