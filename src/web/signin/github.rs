//! GitHub, or a GitHub Enterprise Server: the address to sign in at, tokens for codes, and who somebody is.

use crate::config::GitHubSettings;
use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse as _,
    TokenUrl,
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Who GitHub says that somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The number that never changes.
    pub id: u64,
    /// The name that may.
    pub login: String,
    /// For people to read.
    pub name: String,
    /// Verified addresses that reach them, the primary one first.
    pub addresses: Vec<String>,
}

/// Why GitHub did not say.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// It does not answer, or not as GitHub does.
    #[error("GitHub does not answer as it should")]
    Down(#[source] anyhow::Error),
    /// It refuses the code or the app: `error` in its own words.
    #[error("GitHub refuses: {error}")]
    Refused {
        /// Such as `bad_verification_code`.
        error: String,
    },
    /// The settings make no client.
    #[error("the section web.github cannot be used")]
    Settings(#[from] oauth2::url::ParseError),
}

/// A call that failed before GitHub's answer could be read.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error("GitHub cannot be reached")]
    Http(#[from] reqwest::Error),
    /// An answer of something before GitHub, or of GitHub when it is down.
    #[error("GitHub answers {0}")]
    Status(u16),
    /// An answer that is none.
    #[error("GitHub's answer cannot be taken over")]
    Answer(#[from] oauth2::http::Error),
}

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

fn client(settings: &GitHubSettings, redirect: String) -> Result<Client, GitHubError> {
    let base = &settings.base_url;
    Ok(BasicClient::new(ClientId::new(settings.client_id.clone()))
        .set_client_secret(ClientSecret::new(settings.client_secret.expose_secret().to_owned()))
        .set_auth_uri(AuthUrl::new(format!("{base}/login/oauth/authorize"))?)
        .set_token_uri(TokenUrl::new(format!("{base}/login/oauth/access_token"))?)
        .set_redirect_uri(RedirectUrl::new(redirect)?))
}

/// Where a browser goes to sign in.
pub fn address(
    settings: &GitHubSettings,
    redirect: String,
    state: String,
    verifier: String,
) -> Result<String, GitHubError> {
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier));
    let client = client(settings, redirect)?;
    let asked = client
        .authorize_url(|| CsrfToken::new(state))
        .add_scope(Scope::new("user:email".to_owned()))
        .set_pkce_challenge(challenge);
    Ok(asked.url().0.into())
}

/// The token for a code; it is used to ask who its person is, and then forgotten.
pub async fn token(
    http: &reqwest::Client,
    settings: &GitHubSettings,
    redirect: String,
    code: String,
    verifier: String,
) -> Result<String, GitHubError> {
    let client = client(settings, redirect)?;
    let call = |request: HttpRequest| call(http.clone(), request);
    let asked = client.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(PkceCodeVerifier::new(verifier));
    match asked.request_async(&call).await {
        Ok(answer) => Ok(answer.access_token().secret().clone()),
        Err(RequestTokenError::ServerResponse(said)) => Err(GitHubError::Refused { error: said.error().to_string() }),
        Err(other) => Err(GitHubError::Down(anyhow::anyhow!("{other}"))),
    }
}

/// Our HTTP client for the oauth2 crate. GitHub answers a refused code and a device that waits with 200 and an `error`
/// member, which the crate would take for a token: it is told 400, as RFC 6749 has it (section 5.2).
pub async fn call(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, CallError> {
    let (parts, body) = request.into_parts();
    let sent = http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body).send().await?;
    let mut status = sent.status();
    if status.is_server_error() || status.is_redirection() {
        return Err(CallError::Status(status.as_u16()));
    }
    let kind = sent.headers().get("content-type").cloned();
    let body = sent.bytes().await?.to_vec();
    let answer = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
    if status.is_success() && answer.get("error").is_some() {
        status = reqwest::StatusCode::BAD_REQUEST;
    }
    let mut response = oauth2::http::Response::builder().status(status);
    if let Some(kind) = kind {
        response = response.header("content-type", kind);
    }
    Ok(response.body(body)?)
}

#[derive(Deserialize)]
struct Account {
    id: u64,
    login: String,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    #[serde(default)]
    primary: bool,
    #[serde(default)]
    verified: bool,
}

/// Who this token belongs to.
pub async fn identity(http: &reqwest::Client, settings: &GitHubSettings, token: &str) -> Result<Identity, GitHubError> {
    let account: Account = read(http, settings, "user", token).await?;
    let addresses: Vec<Address> = read(http, settings, "user/emails?per_page=100", token).await?;
    let name = account.name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| account.login.clone());
    Ok(Identity { id: account.id, login: account.login, name, addresses: reachable(addresses) })
}

async fn read<T: DeserializeOwned>(
    http: &reqwest::Client,
    settings: &GitHubSettings,
    path: &str,
    token: &str,
) -> Result<T, GitHubError> {
    let down = |why: reqwest::Error| GitHubError::Down(why.into());
    let request = http.get(format!("{}/{path}", settings.api_url)).bearer_auth(token);
    let request = request.header("accept", "application/vnd.github+json").header("x-github-api-version", "2022-11-28");
    let answer = request.send().await.map_err(down)?.error_for_status().map_err(down)?;
    answer.json().await.map_err(down)
}

/// Verified ones, the primary one first; GitHub's own noreply addresses reach nobody.
fn reachable(mut all: Vec<Address>) -> Vec<String> {
    all.retain(|address| address.verified && !is_noreply(&address.email));
    all.sort_by_key(|address| !address.primary);
    all.into_iter().map(|address| address.email).collect()
}

fn is_noreply(address: &str) -> bool {
    let host = address.rsplit('@').next().unwrap_or_default().to_lowercase();
    host.starts_with("users.noreply.") || host == "noreply.github.com"
}

#[cfg(test)]
mod tests {
    use super::{Address, reachable};

    #[test]
    fn only_verified_addresses_that_reach_somebody_count_and_the_primary_one_is_first() {
        let address = |email: &str, primary, verified| Address { email: email.to_owned(), primary, verified };
        let all = vec![
            address("a@x.example", false, true),
            address("9+ada@users.noreply.github.com", false, true),
            address("9+ada@users.noreply.git.example.com", false, true),
            address("b@x.example", false, false),
            address("c@x.example", true, true),
        ];
        assert_eq!(reachable(all), ["c@x.example", "a@x.example"]);
    }
}
