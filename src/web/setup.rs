//! An empty installation: a one-time link, printed by `serve`, under which somebody names the Account and becomes its first
//! admin. Only the hash of the link stands in a document; the link dies when it is used, and when a new one is printed.

use super::form::OpenForm;
use super::html::OpenDesk;
use super::limits::Try;
use super::session::{hash, random};
use super::signin::github::Identity;
use super::signin::{admission, begun, enrol, to_github};
use super::{Site, State, WebError};
use crate::model::{Account, AccountId, Doc, Extra, Role, User, UserId};
use crate::store::{Store, StoreError};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

const DOCUMENT: &str = "setup";

/// What is to be made, carried through the sign-in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wanted {
    token: String,
    account: AccountId,
    name: String,
}

/// Makes the link when there is no Account: its path. A link that was made before dies.
pub async fn offer(store: &Store, now: crate::model::Time) -> Result<Option<String>, StoreError> {
    if !store.prefix("account::").await?.is_empty() {
        return Ok(None);
    }
    let token = random();
    let rev = store.get::<Value>(DOCUMENT).await?.and_then(|doc| doc.rev);
    let body = json!({ "account": "zerocloud", "hash": hash(&token), "made_at": now });
    store.put("setup", &Doc { id: DOCUMENT.to_owned(), rev, body }).await?;
    Ok(Some(format!("/setup/{token}")))
}

/// `GET /setup/{token}`.
pub(super) async fn page(desk: OpenDesk, Path(token): Path<String>) -> Result<Response, WebError> {
    desk.state.limits.check(Try::SignIn, desk.site.client)?;
    check(&desk.state, &token).await?;
    let github = desk.state.settings.github.as_ref().map(|github| github.base_url.clone());
    let callback = format!("{}/login/callback", desk.site.origin);
    desk.show("Set up zerocloud", "setup.html", context! { token, github, callback, name => "", problem => "" })
}

/// `POST /setup/{token}`: the Account's name; then GitHub says who its admin is.
pub(super) async fn start(
    desk: OpenDesk,
    site: Site,
    Path(token): Path<String>,
    OpenForm(fields): OpenForm,
) -> Result<Response, WebError> {
    let state = &desk.state;
    check(state, &token).await?;
    let name: String = fields.get("name").chars().take(80).collect();
    let Some(account) = account_id(&name) else {
        let github = state.settings.github.as_ref().map(|github| github.base_url.clone());
        let problem = "Give it a name with at least one letter or digit, such as BigDB.";
        let values = context! { token, github, callback => "", name, problem };
        return desk.show("Set up zerocloud", "setup.html", values);
    };
    let wanted = Wanted { token, account, name };
    to_github(state, &site, &begun::Begun::new(state.clock.now(), "/leases", None, Some(wanted)))
}

/// Makes the Account with its first admin. The link dies first: of two that use it at once, one gets in. The Account comes last:
/// while it is not there, nobody comes in by what stands there already, and a new link can be printed.
pub(super) async fn finish(state: &State, wanted: &Wanted, identity: &Identity) -> Result<User, WebError> {
    let Some(email) = identity.addresses.first() else {
        return Err(WebError::Refused {
            status: StatusCode::FORBIDDEN,
            heading: "No verified address".to_owned(),
            what: "GitHub knows no verified address of yours. Verify one at GitHub (Settings, Emails) and open the link again."
                .to_owned(),
        });
    };
    let (store, rev) = (&state.store, check(state, &wanted.token).await?);
    if !store.prefix("account::").await?.is_empty() {
        return Err(dead());
    }
    store.delete(DOCUMENT, &rev).await.map_err(|_| dead())?;
    let admin = founder(store, wanted, identity, email).await?;
    let by = json!(User::gateway_name(&admin.account, &admin.user));
    let policy = json!({ "account": wanted.account, "policy": {}, "made_by": by });
    let doc = Doc { id: format!("policy::{}", wanted.account), rev: None, body: policy };
    match store.put("account_policy", &doc).await {
        // A set-up that was cut off made it.
        Ok(_) | Err(StoreError::Conflict { .. }) => {}
        Err(why) => return Err(why.into()),
    }
    let extra = Extra::from_iter([("made_by".to_owned(), by)]);
    let account = Account { account: wanted.account.clone(), name: wanted.name.clone(), extra };
    let doc = Doc { id: format!("account::{}", wanted.account), rev: None, body: account };
    match store.put("account", &doc).await {
        Ok(_) => Ok(admin),
        Err(StoreError::Conflict { .. }) => {
            withdraw(store, &admin).await?;
            Err(dead())
        }
        Err(why) => Err(why.into()),
    }
}

/// The first admin. Whoever was cut off before goes on as who they were; anybody else who was is no admin of it.
async fn founder(store: &Store, wanted: &Wanted, identity: &Identity, email: &str) -> Result<User, WebError> {
    let mut own = None;
    for doc in store.prefix(&format!("user::{}::", wanted.account)).await? {
        let Ok(mut user) = serde_json::from_value::<User>(doc.body) else { continue };
        let is_own = own.is_none() && admission::github_id(&user) == Some(identity.id);
        let role = if is_own { Role::Admin } else { Role::Dev };
        if user.role != role {
            user.role = role;
            store.put("user", &Doc { id: doc.id, rev: doc.rev, body: user.clone() }).await?;
        }
        if is_own {
            own = Some(user);
        }
    }
    if let Some(own) = own {
        return Ok(own);
    }
    let id = UserId::parse(&enrol::new_id(&identity.login)).map_err(|why| WebError::Internal(why.into()))?;
    let by = json!(User::gateway_name(&wanted.account, &id));
    let mut admin = enrol::blank(wanted.account.clone(), id, Role::Admin, email.to_owned());
    admin.extra.insert("invited_by".to_owned(), by);
    enrol::sign(&mut admin, identity);
    enrol::make(store, admin).await
}

/// Somebody else made an Account of that name at the same moment: its admin is not whoever came by this link.
async fn withdraw(store: &Store, admin: &User) -> Result<(), StoreError> {
    let id = format!("user::{}::{}", admin.account, admin.user);
    let doc = store.get::<Value>(&id).await?;
    if let Some(rev) = doc.and_then(|doc| doc.rev) {
        store.delete(&id, &rev).await?;
    }
    store.delete_user(&User::gateway_name(&admin.account, &admin.user)).await
}

/// The revision of the link's document, while the link is good.
async fn check(state: &State, token: &str) -> Result<String, WebError> {
    let doc = state.store.get::<Value>(DOCUMENT).await?.ok_or_else(dead)?;
    let known = doc.body.get("hash").and_then(Value::as_str).unwrap_or_default();
    let good = bool::from(hash(token).as_bytes().ct_eq(known.as_bytes()));
    doc.rev.filter(|_| good).ok_or_else(dead)
}

fn dead() -> WebError {
    WebError::Refused {
        status: StatusCode::NOT_FOUND,
        heading: "This link is over".to_owned(),
        what: "A set-up link is good once, and only the one that zerocloud printed last. If the installation still has no \
               Account, start it again and it prints a new one."
            .to_owned(),
    }
}

/// `Big DB, Inc.` is `big-db-inc`.
fn account_id(name: &str) -> Option<AccountId> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let words: String = name.to_lowercase().chars().map(|c| if fine(c) { c } else { ' ' }).collect();
    let slug = words.split_whitespace().collect::<Vec<_>>().join("-");
    let slug: String = slug.chars().take(40).collect();
    AccountId::parse(slug.trim_end_matches('-')).ok()
}

#[cfg(test)]
mod tests {
    use super::account_id;

    #[test]
    fn an_accounts_id_is_read_from_its_name() {
        let id = |name: &str| account_id(name).map(|id| id.to_string());
        assert_eq!(id("BigDB"), Some("bigdb".to_owned()));
        assert_eq!(id(" Big DB, Inc. "), Some("big-db-inc".to_owned()));
        assert_eq!(id("!!"), None);
        assert_eq!(id(&"ab ".repeat(40)).unwrap().len(), 40);
    }
}
