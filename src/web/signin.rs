//! Signing in with GitHub, and out. What must last from the start to GitHub's answer stands in a cookie of this browser: the state
//! and the PKCE verifier are hashes of its random part, so an answer that another browser began is of no use.

pub mod admission;
pub(super) mod begun;
pub(super) mod device;
pub mod enrol;
pub mod github;

use self::admission::{Door, Verdict};
use self::begun::Begun;
use self::github::{GitHubError, Identity};
use super::form::{Act, Fields, OpenForm};
use super::html::{OpenDesk, append, go, local};
use super::limits::Try;
use super::session::{self, COOKIE};
use super::{Site, State, WebError, closed, setup};
use crate::config::GitHubSettings;
use crate::model::{AccountId, User};
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use subtle::ConstantTimeEq as _;

type Is<T> = axum::extract::State<T>;

/// `GET /login`.
pub(super) async fn page(desk: OpenDesk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    let query = Fields::read(query.unwrap_or_default().as_bytes());
    let next = local(query.get("next"));
    if desk.person.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let github = desk.state.settings.github.as_ref().map(|github| github.base_url.clone());
    desk.show("Sign in", "login.html", context! { next, github })
}

/// `POST /login`: on to GitHub.
pub(super) async fn start(
    axum::extract::State(state): Is<State>,
    site: Site,
    OpenForm(fields): OpenForm,
) -> Result<Response, WebError> {
    let account = AccountId::parse(fields.get("account")).ok();
    let begun = Begun::new(state.clock.now(), local(fields.get("next")), account, None);
    to_github(&state, &site, &begun)
}

/// Sends the browser to GitHub, with what was begun in a cookie.
pub(super) fn to_github(state: &State, site: &Site, begun: &Begun) -> Result<Response, WebError> {
    state.limits.check(Try::SignIn, site.client)?;
    let github = settings(state)?;
    let address = github::address(github, callback(site), begun.state(), begun.verifier());
    let address = address.map_err(|why| WebError::Internal(why.into()))?;
    let mut response = Redirect::to(&address).into_response();
    append(&mut response, &site.set_cookie(begun::COOKIE, &begun.cookie()?, begun::GOOD_FOR));
    Ok(response)
}

/// `GET /login/callback`: GitHub's answer.
pub(super) async fn callback_page(
    desk: OpenDesk,
    headers: axum::http::HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    let (state, site) = (&desk.state, &desk.site);
    state.limits.check(Try::SignIn, site.client)?;
    let query = Fields::read(query.unwrap_or_default().as_bytes());
    let answered = match site.read_cookie(&headers, begun::COOKIE).and_then(Begun::read) {
        Some(begun) => {
            let before = site.read_cookie(&headers, COOKIE);
            answer(&desk, &begun, &query, before).await
        }
        None => Err(again("This sign-in was not begun in this browser, or it took longer than ten minutes.")),
    };
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    append(&mut response, &site.set_cookie(begun::COOKIE, "", 0));
    Ok(response)
}

async fn answer(desk: &OpenDesk, begun: &Begun, query: &Fields, before: Option<&str>) -> Result<Response, WebError> {
    let (state, site) = (&desk.state, &desk.site);
    let ours = bool::from(query.get("state").as_bytes().ct_eq(begun.state().as_bytes()));
    if !ours || !begun.is_good(state.clock.now()) {
        return Err(again("This answer of GitHub does not belong to the sign-in that this browser began last."));
    }
    if query.has("error") {
        return Err(again(match query.get("error") {
            "access_denied" => "You did not allow zerocloud to read who you are, so you are not signed in.",
            _ => "GitHub did not sign you in.",
        }));
    }
    let github = settings(state)?;
    let code = query.get("code").to_owned();
    let token = github::token(&state.http, github, callback(site), code, begun.verifier()).await.map_err(failed)?;
    let identity = github::identity(&state.http, github, &token).await.map_err(failed)?;
    let user = match &begun.setup {
        Some(wanted) => setup::finish(state, wanted, &identity).await?,
        None => match admitted(desk, begun, &identity).await? {
            Ok(user) => user,
            Err(page) => return Ok(page),
        },
    };
    if let Some(before) = before {
        session::end(&state.store, before).await?;
    }
    welcome(state, site, begun, &user).await
}

/// Whether an Account stands there that cannot be read.
fn unreadable(state: &State) -> bool {
    state.index.directory().unreadable.iter().any(|id| id.starts_with("account::"))
}

/// The user, or the page that says what to do.
async fn admitted(desk: &OpenDesk, begun: &Begun, identity: &Identity) -> Result<Result<User, Response>, WebError> {
    let state = &desk.state;
    let users = state.store.prefix("user::").await?;
    let users: Vec<User> = users.into_iter().filter_map(|doc| serde_json::from_value(doc.body).ok()).collect();
    let doors = doors(state);
    let entry = match admission::admit(identity, &users, &doors, begun.account.as_ref()) {
        Verdict::In(entry) => *entry,
        Verdict::Which(accounts) => {
            let directory = state.index.directory();
            let name = |id: &AccountId| directory.accounts.get(id).map(|account| account.name.clone());
            let accounts: Vec<_> = accounts
                .iter()
                .map(|id| context! { id => id.as_str(), name => name(id).unwrap_or_else(|| id.to_string()) })
                .collect();
            let page = desk.show("Which Account?", "which.html", context! { accounts, next => begun.next })?;
            return Ok(Err(page));
        }
        Verdict::NoAddress | Verdict::Stranger if unreadable(state) => {
            let what = "What zerocloud knows of your Account cannot be read, so nobody is let in by it now. Whoever runs zerocloud \
                        sees with zerocloud doctor which document that is and why.";
            return Err(refused("Not now", what));
        }
        Verdict::NoAddress | Verdict::Stranger if state.index.directory().accounts.is_empty() => {
            let what = "Nothing is set up here yet: there is no Account to come in to. Whoever runs zerocloud finds the link \
                        that makes the first one in the log of zerocloud serve.";
            return Err(refused("Not set up yet", what));
        }
        Verdict::NoAddress => {
            let what = "GitHub knows no verified address of yours that reaches you. Add one at GitHub (Settings, Emails), \
                        click the link in the mail that GitHub sends, and sign in again.";
            return Err(refused("No verified address", what));
        }
        Verdict::Taken(address) => {
            let what = format!(
                "{address} belongs to somebody who signs in with another GitHub account. Sign in with that \
                one, or ask an admin of yours to remove the old user."
            );
            return Err(refused("Another GitHub account", &what));
        }
        Verdict::Stranger => {
            let what = format!(
                "None of the verified addresses of {} at GitHub may come in here. Add your work address at \
                GitHub (Settings, Emails) and verify it, or ask an admin of yours to invite you.",
                identity.login
            );
            return Err(refused("Not invited yet", &what));
        }
        Verdict::Closed => {
            return Err(closed::refusal());
        }
    };
    enrol::enter(&state.store, entry, identity).await.map(Ok)
}

fn doors(state: &State) -> Vec<Door> {
    let directory = state.index.directory();
    let door = |id: &AccountId, account: &crate::model::Account| {
        let layer = directory.policies.get(&format!("policy::{id}"));
        Door {
            account: id.clone(),
            pattern: crate::model::Policy::effective(layer).email_pattern,
            closed: account.is_closed(),
        }
    };
    directory.accounts.iter().map(|(id, account)| door(id, account)).collect()
}

/// A new session for this browser.
async fn welcome(state: &State, site: &Site, begun: &Begun, user: &User) -> Result<Response, WebError> {
    let now = state.clock.now();
    let lasts = state.settings.session;
    let secret = session::begin(&state.store, &user.account, &user.user, now, lasts).await?;
    let text = if begun.setup.is_some() { "Your Account is set up, and you are its admin." } else { "" };
    let mut response =
        if text.is_empty() { Redirect::to(&begun.next).into_response() } else { go(site, &begun.next, true, text) };
    append(&mut response, &site.set_cookie(COOKIE, &secret, lasts));
    tracing::info!(account = %user.account, user = %user.user, "signed in");
    Ok(response)
}

/// `POST /logout`: everywhere, here and at the gateway.
pub(super) async fn out(axum::extract::State(state): Is<State>, act: Act) -> Result<Response, WebError> {
    session::end_all(&state.store, &act.person.account, &act.person.user).await?;
    state.forget(&act.person.account, &act.person.user);
    let mut response = act.done(
        "/login",
        "You are signed out, on every device. Tokens for programs stay good until you revoke them, under My settings.",
    );
    append(&mut response, &act.site.set_cookie(COOKIE, "", 0));
    Ok(response)
}

fn settings(state: &State) -> Result<&GitHubSettings, WebError> {
    state.settings.github.as_ref().ok_or_else(|| WebError::Refused {
        status: StatusCode::NOT_FOUND,
        heading: "Not set up yet".to_owned(),
        what: "whoever runs zerocloud adds a GitHub OAuth app to config.yml, section web.github".to_owned(),
    })
}

fn callback(site: &Site) -> String {
    format!("{}/login/callback", site.origin)
}

fn again(what: &str) -> WebError {
    refused("Not signed in", &format!("{what} Start again from the page you came from."))
}

fn refused(heading: &str, what: &str) -> WebError {
    WebError::Refused { status: StatusCode::FORBIDDEN, heading: heading.to_owned(), what: what.to_owned() }
}

fn failed(why: GitHubError) -> WebError {
    match why {
        GitHubError::Refused { error } => {
            tracing::warn!(error, "GitHub refused a sign-in");
            again(match error.as_str() {
                "incorrect_client_credentials" => {
                    "GitHub does not know this zerocloud: whoever runs it checks client_id and client_secret."
                }
                "redirect_uri_mismatch" => {
                    "GitHub does not know this address: whoever runs zerocloud adds it to the OAuth app as callback URL."
                }
                _ => "GitHub did not take the code of this sign-in any more.",
            })
        }
        GitHubError::Down(why) => {
            tracing::warn!(error = format!("{why:#}"), "GitHub does not answer");
            WebError::Refused {
                status: StatusCode::BAD_GATEWAY,
                heading: "GitHub does not answer".to_owned(),
                what:
                    "Signing in needs GitHub, which does not answer just now. Try again in a minute; the links in your \
                       mails work meanwhile."
                        .to_owned(),
            }
        }
        GitHubError::Settings(why) => WebError::Internal(why.into()),
    }
}
