//! Signing in without a browser of one's own (GitHub docs, "Device flow"): the program shows a code, the person types it in at
//! GitHub, and the program gets a personal access token of zerocloud. Nothing is kept here in between.

use super::admission::{self, Verdict};
use super::github::{self, GitHubError};
use super::{doors, enrol, failed, settings};
use crate::config::GitHubSettings;
use crate::model::{AccountId, Role, User};
use crate::web::limits::Try;
use crate::web::token::{self, Scope, Token};
use crate::web::{Site, State, WebError};
use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    AuthUrl, ClientId, DeviceAuthorizationUrl, DeviceCodeErrorResponseType, HttpRequest, RequestTokenError,
    Scope as GitHubScope, StandardDeviceAuthorizationResponse, TokenResponse as _, TokenUrl,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long one call waits for the person; shorter than requests may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a token of a program is good, seconds.
const TOKEN_LASTS: i64 = 90 * 86_400;

/// What a program is told to begin with.
pub struct Begun {
    /// To be brought back; secret.
    pub device_code: String,
    /// To be shown to the person.
    pub user_code: String,
    /// Where the person types it in.
    pub verification_uri: String,
    /// Seconds.
    pub expires_in: u64,
}

/// What came of it so far.
pub enum Outcome {
    /// The person has not answered yet: ask again.
    Pending,
    /// The token, which is shown this one time, and whose it is.
    Token(String, Box<User>),
}

/// Begins.
pub async fn begin(state: &State, site: &Site) -> Result<Begun, WebError> {
    state.limits.check(Try::SignIn, site.client)?;
    let github = settings(state)?;
    let url = DeviceAuthorizationUrl::new(format!("{}/login/device/code", github.base_url)).map_err(bad_url)?;
    let client = client(github)?.set_device_authorization_url(url);
    let call = |request: HttpRequest| github::call(state.http.clone(), request);
    let asked = client.exchange_device_code().add_scope(GitHubScope::new("user:email".to_owned()));
    let answer: StandardDeviceAuthorizationResponse =
        asked.request_async(&call).await.map_err(|why| failed(GitHubError::Down(anyhow::anyhow!("{why}"))))?;
    Ok(Begun {
        device_code: answer.device_code().secret().clone(),
        user_code: answer.user_code().secret().clone(),
        verification_uri: answer.verification_uri().to_string(),
        expires_in: answer.expires_in().as_secs(),
    })
}

/// Waits a moment for the person's answer; `name` is what the token will be called.
pub async fn go_on(
    state: &State,
    site: &Site,
    device_code: &str,
    account: Option<&AccountId>,
    name: &str,
) -> Result<Outcome, WebError> {
    state.limits.check(Try::SignIn, site.client)?;
    let github = settings(state)?;
    let Some(access) = access(state, github, device_code).await? else { return Ok(Outcome::Pending) };
    let identity = github::identity(&state.http, github, &access).await.map_err(failed)?;
    let users = state.store.prefix("user::").await?;
    let users: Vec<User> = users.into_iter().filter_map(|doc| serde_json::from_value(doc.body).ok()).collect();
    let refused = |what: &str| Err(WebError::Forbidden(what.to_owned()));
    let entry = match admission::admit(&identity, &users, &doors(state), account) {
        Verdict::In(entry) => entry,
        Verdict::Which(accounts) => {
            let names: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
            return refused(&format!("you are in several Accounts: begin again and say which, {}", names.join(" or ")));
        }
        Verdict::NoAddress => {
            return refused("GitHub knows no verified address of yours that reaches you; verify one there");
        }
        Verdict::Taken(address) => {
            return refused(&format!("{address} belongs to somebody with another GitHub account"));
        }
        Verdict::Stranger => {
            return refused("none of your verified addresses may come in here; ask an admin to invite you");
        }
        Verdict::Closed => return refused("your Account is closed"),
    };
    let user = enrol::enter(&state.store, *entry, &identity).await?;
    let now = state.clock.now();
    let mut scopes = vec![Scope::Read, Scope::Write, Scope::Sync];
    if user.role == Role::Admin {
        scopes.push(Scope::Admin);
    }
    let name = name.chars().take(100).collect();
    let wanted = Token::new((&user.account, &user.user), name, scopes, now, TOKEN_LASTS);
    let (_, secret) = token::create(&state.store, &wanted).await?;
    tracing::info!(account = %user.account, user = %user.user, "signed in on a device");
    Ok(Outcome::Token(secret, Box::new(user)))
}

/// GitHub's token, which is used to ask who its person is, and then forgotten.
async fn access(state: &State, github: &GitHubSettings, device_code: &str) -> Result<Option<String>, WebError> {
    let details: Value = json!({
        "device_code": device_code, "user_code": "", "verification_uri": github.base_url, "expires_in": 900, "interval": 5,
    });
    let details: StandardDeviceAuthorizationResponse =
        serde_json::from_value(details).map_err(|why| WebError::Invalid(why.to_string()))?;
    let call = |request: HttpRequest| github::call(state.http.clone(), request);
    // Only who has not answered yet is waited for: then the crate's own end of patience is no failure.
    let waited = AtomicBool::new(false);
    let wait = |interval: Duration| {
        waited.store(true, Ordering::Relaxed);
        tokio::time::sleep(interval)
    };
    let client = client(github)?;
    let asked = client.exchange_device_access_token(&details).request_async(&call, wait, Some(PATIENCE)).await;
    match asked {
        Ok(answer) => Ok(Some(answer.access_token().secret().clone())),
        Err(RequestTokenError::ServerResponse(said)) => match said.error() {
            DeviceCodeErrorResponseType::ExpiredToken if waited.load(Ordering::Relaxed) => Ok(None),
            DeviceCodeErrorResponseType::AccessDenied => {
                Err(WebError::Forbidden("the sign-in was cancelled at GitHub".to_owned()))
            }
            DeviceCodeErrorResponseType::ExpiredToken
            | DeviceCodeErrorResponseType::Basic(BasicErrorResponseType::Extension(_)) => {
                Err(WebError::Invalid("this device code is not good any more; begin again".to_owned()))
            }
            other => Err(failed(GitHubError::Down(anyhow::anyhow!("the device flow: {other}")))),
        },
        Err(why) => Err(failed(GitHubError::Down(anyhow::anyhow!("{why}")))),
    }
}

type Client = oauth2::basic::BasicClient<
    oauth2::EndpointSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointSet,
>;

fn client(github: &GitHubSettings) -> Result<Client, WebError> {
    let base = &github.base_url;
    Ok(BasicClient::new(ClientId::new(github.client_id.clone()))
        .set_auth_uri(AuthUrl::new(format!("{base}/login/oauth/authorize")).map_err(bad_url)?)
        .set_token_uri(TokenUrl::new(format!("{base}/login/oauth/access_token")).map_err(bad_url)?))
}

fn bad_url(why: impl std::error::Error + Send + Sync + 'static) -> WebError {
    WebError::Internal(anyhow::Error::new(why).context("web.github.base_url"))
}
