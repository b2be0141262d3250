//! `renew`, `end`, `not-mine`: a token from a mail becomes a request of its owner, sent through the public port with that
//! person's own session, so that the same rules judge it as a phone's.

use super::{output, store};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{Action, Outcome, Request, Resource, User};
use crate::tokens::{TokenAction, Tokens};
use anyhow::{Context, bail};
use rand::RngCore;
use serde_json::json;
use std::time::Duration;

/// What the token is used for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A later end, so many seconds from now.
    Renew(Option<i64>),
    /// The end, now.
    End,
    /// Somebody else's.
    NotMine,
}

impl Kind {
    fn token(self) -> TokenAction {
        match self {
            Kind::Renew(_) => TokenAction::Renew,
            Kind::End => TokenAction::End,
            Kind::NotMine => TokenAction::NotMine,
        }
    }
    fn action(self) -> &'static str {
        match self {
            Kind::Renew(_) => "renew",
            Kind::End => "end",
            Kind::NotMine => "not_mine",
        }
    }
}

/// The command that a token is for.
fn word(action: TokenAction) -> &'static str {
    match action {
        TokenAction::Renew => "zerocloud renew",
        TokenAction::End => "zerocloud end",
        TokenAction::NotMine => "zerocloud not-mine",
    }
}

/// More than any policy allows, in seconds: the service cuts it to what it allows now, which may be more than the limit that
/// was stamped on the lease when that was written.
const AS_LONG_AS_IT_MAY: i64 = 365 * 86_400;

/// Puts the request and waits for its answer.
pub(super) async fn send(config: &Config, clock: &Clock, token: &str, kind: Kind) -> anyhow::Result<()> {
    let store = store(config)?;
    let purpose = Tokens::load(&store).await?.verify(token, clock.now())?;
    if purpose.action != kind.token() {
        bail!("this token is for `{}`: each act in the mail has a token of its own", word(purpose.action));
    }
    let lease = store.get::<crate::model::Lease>(&purpose.lease.lease_id()).await?;
    let lease = lease.context("this lease does not exist any more; nothing was done")?.body;
    if lease.owner != purpose.owner {
        bail!("this lease has another owner now, so the token is void; nothing was done");
    }
    if matches!(kind, Kind::End) && lease.state.is_renewable() {
        let resource = store.get::<Resource>(&lease.key().resource_doc_id()).await?;
        if lease.agreed_end(resource.as_ref().map(|resource| &resource.body.facts)) == Action::Terminate {
            bail!(
                "ending it means terminating it, which a link alone may not: sign in with `zerocloud login` and use \
                 `zerocloud terminate {}`; nothing was done",
                lease.key.resource_id
            );
        }
    }
    let name = User::gateway_name(&lease.account, purpose.bearer());
    let session = store.session(&name, 120).await.with_context(|| format!("signing {name} in"))?;
    let mut random = [0; 16];
    rand::rng().fill_bytes(&mut random);
    let id = format!("request::{}::{}::{}", lease.account, purpose.bearer(), hex::encode(random));
    let mut body = json!({
        "type": "request", "account": lease.account, "schema": 1, "user": purpose.bearer(), "updated_by": name,
        "lease": purpose.lease.lease_id(), "action": kind.action(), "at": clock.now(),
    });
    if let Kind::Renew(duration) = kind {
        body["until"] = json!(clock.now().plus(duration.unwrap_or(AS_LONG_AS_IT_MAY)).max(lease.expires_at));
    }
    store.put_as(&session, &id, &body, None).await.context("sending the request")?;
    answer(&store, &id).await
}

/// Waits up to 30 s for the service to answer.
async fn answer(store: &crate::store::Store, id: &str) -> anyhow::Result<()> {
    for _ in 0..150 {
        let request = store.get::<Request>(id).await?.context("the request is gone")?.body;
        match request.answer {
            Some(answer) if answer.outcome == Outcome::Done => {
                output::say(crate::words::sentence(&answer.reason));
                return Ok(());
            }
            Some(answer) => bail!("refused: {}", answer.reason),
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    bail!("the request is stored but not answered yet; is `zerocloud serve` running? It will be answered when it does")
}
