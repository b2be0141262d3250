//! Links of mails, `/l/{token}`: GET shows the lease and the choice, only the button of the page changes anything, so that what
//! scanners of mail fetch is harmless. A token stands for one act on one lease by its owner, or for renewing it by who stands in
//! for them; terminating needs signing in.

use super::card::{Around, Card};
use super::form::OpenForm;
use super::html::{OpenDesk, go};
use super::limits::Try;
use super::wishes::{Asked, ask};
use super::{State, WebError};
use crate::model::{Action, Facts, Lease, Time, User, Wish};
use crate::tokens::{Purpose, TokenAction, TokenError, Tokens};
use crate::words::{Zone, clean, utc};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;

/// How long the owner's session at the gateway lasts for one act, seconds.
const SESSION: u32 = 120;

/// A token that is good, with what it is about.
struct Found {
    purpose: Purpose,
    lease: Lease,
    facts: Option<Facts>,
}

/// `GET /l/{token}`.
pub(super) async fn page(desk: OpenDesk, Path(token): Path<String>) -> Result<Response, WebError> {
    let state = &desk.state;
    state.limits.check(Try::Link, desk.site.client)?;
    let found = find(state, &token).await?;
    let directory = state.index.directory();
    let person = |user| directory.user(&found.lease.account, user);
    let (owner, bearer) = (person(&found.lease.owner), person(found.purpose.bearer()));
    let zone = Zone::named(bearer.and_then(|user| user.time_zone.as_deref()));
    let lease = &found.lease;
    let rank = state.index.rank(&lease.account, &lease.owner, &lease.key());
    let (facts, now) = (found.facts.as_ref(), state.clock.now());
    let resource = state.index.resource(&lease.key());
    let members = resource.as_ref().map(|resource| state.index.covered(resource)).unwrap_or_default();
    let covered = resource.as_ref().is_some_and(|resource| state.index.cover(resource).is_some());
    let zone = &zone;
    let around = Around { directory: &directory, facts, members: &members, covered, zone, rank, rate: None, now };
    let card = Card::of(lease, around);
    let action = found.purpose.action;
    let able = match action {
        TokenAction::Renew => card.can.renew,
        TokenAction::End => card.can.end,
        TokenAction::NotMine => card.can.pass_on,
    };
    let values = context! {
        lease => card,
        token,
        action => action.as_str(),
        able,
        terminates => needs_sign_in(&found),
        bearer => bearer.map(|user| clean(&user.name)),
        stands_in_for => owner.filter(|_| found.purpose.delegate.is_some()).map(|user| clean(&user.name)),
    };
    let title = match action {
        TokenAction::Renew => "Renew it",
        TokenAction::End => "End it now",
        TokenAction::NotMine => "It is not mine",
    };
    desk.show(title, "link.html", values)
}

/// `POST /l/{token}`: the owner's request.
pub(super) async fn act(
    desk: OpenDesk,
    Path(token): Path<String>,
    OpenForm(fields): OpenForm,
) -> Result<Response, WebError> {
    let state = &desk.state;
    state.limits.check(Try::Link, desk.site.client)?;
    let found = find(state, &token).await?;
    if needs_sign_in(&found) {
        let what = "This instance cannot be stopped, so ending it means terminating it: sign in to do that";
        return Err(WebError::Forbidden(what.to_owned()));
    }
    let now = state.clock.now();
    let (action, until) = match found.purpose.action {
        TokenAction::Renew => (Wish::Renew, Some(chosen(fields.get("for"), now)?)),
        TokenAction::End => (Wish::End, None),
        TokenAction::NotMine => (Wish::NotMine, None),
    };
    let lease = &found.lease;
    let (account, user) = (lease.account.clone(), found.purpose.bearer().clone());
    let session = state.store.session(&User::gateway_name(&account, &user), SESSION).await?;
    let asked = Asked { account, user, lease: lease.key(), action, until, to: None, at: now };
    let told = ask(&state.store, &session, &asked).await?.named(state, &asked.account);
    let (good, text) = told.sentence();
    if good && action == Wish::NotMine {
        return desk.show("Noted", "farewell.html", context! { text });
    }
    Ok(go(&desk.site, &format!("/l/{token}"), good, &text))
}

fn chosen(text: &str, now: Time) -> Result<Time, WebError> {
    let seconds = text.parse::<i64>().ok().filter(|seconds| *seconds > 0);
    seconds.map(|seconds| now.plus(seconds)).ok_or_else(|| WebError::Invalid("choose for how long".to_owned()))
}

fn needs_sign_in(found: &Found) -> bool {
    // What is over already is refused, and says so.
    let lease = &found.lease;
    let ends = found.purpose.action == TokenAction::End && lease.state.is_renewable();
    ends && lease.agreed_end(found.facts.as_ref()) == Action::Terminate
}

/// The keys are read each time, so that a rotation needs no restart.
async fn find(state: &State, token: &str) -> Result<Found, WebError> {
    let tokens = Tokens::load(&state.store).await.map_err(|why| WebError::Unavailable(why.into()))?;
    let purpose = tokens.verify(token, state.clock.now()).map_err(|why| match why {
        TokenError::Malformed => stale(
            "This link is not whole",
            "Some mail programs cut long links: copy all of it from the mail, to the end of the line.",
        ),
        TokenError::Expired { at } => stale(
            "This link is over",
            &format!(
                "It was good until {}. A later mail has a newer one; or sign in and look at your leases.",
                utc(at)
            ),
        ),
        TokenError::Forged => stale(
            "This link is not ours",
            "It was not made by this zerocloud, or it was changed since. Sign in and look at your leases.",
        ),
    })?;
    let lease = state.store.get::<Lease>(&purpose.lease.lease_id()).await?.map(|doc| doc.body);
    let Some(lease) = lease else {
        return Err(stale(
            "This lease is over",
            "It ended so long ago that nothing is kept of it. There is nothing left to do.",
        ));
    };
    state.open(&lease.account).await?;
    if lease.owner != purpose.owner {
        return Err(stale(
            "It has another owner now",
            "This lease passed to somebody else since the mail was sent, so its links do nothing any more. There is nothing left for you to do.",
        ));
    }
    if let Some(delegate) = &purpose.delegate {
        let directory = state.index.directory();
        let stand_in = directory.stand_in(&lease.account, &lease.owner, state.clock.now());
        if purpose.action != TokenAction::Renew || stand_in.is_none_or(|user| user.user != *delegate) {
            return Err(stale(
                "You do not stand in any more",
                "The owner of this lease is back, or somebody else stands in for them. There is nothing left for you to do.",
            ));
        }
    }
    let facts = state.index.resource(&lease.key()).map(|resource| resource.facts);
    Ok(Found { purpose, lease, facts })
}

fn stale(heading: &str, what: &str) -> WebError {
    WebError::Refused { status: StatusCode::GONE, heading: heading.to_owned(), what: what.to_owned() }
}
