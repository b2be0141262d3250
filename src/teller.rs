//! Stage: tells other systems what happened. Every line of the audit goes to each hook of its Account, in order, signed, until
//! it is taken; how far a hook is stands in a document, so that a restart loses nothing and doubles at most the last one.
//! Decides nothing. Never calls an address inside a private network unless the configuration allows it.

mod guard;
mod turns;

pub use guard::{Allowed, refusal, refused_address};

use crate::clock::Clock;
use crate::model::{Doc, Hook, HookShape, Time};
use crate::store::{Store, StoreError};
use hmac::{Hmac, Mac as _};
use ipnet::IpNet;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use turns::Turns;

/// How often it is looked for news.
const EVERY: Duration = Duration::from_secs(2);
/// Limit for one call.
const LIMIT: Duration = Duration::from_secs(10);
/// After so long without success what waits is passed over, seconds: news of yesterday is none.
const GIVE_UP: i64 = 86_400;
/// How old a line is before it is told, seconds.
const SETTLED: i64 = 3;
/// Lines told to one hook in one turn, so that a slow one does not hold a place for long.
const TURN: usize = 20;

/// The stage.
#[derive(Debug, Clone)]
pub struct Teller {
    /// The documents.
    pub store: Store,
    /// The one clock.
    pub clock: Clock,
    /// Private networks that may be called all the same.
    pub allowed: Vec<IpNet>,
}

impl Teller {
    /// Until shutdown; what is being told then is finished.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut turns = Turns::default();
        while !stop.is_cancelled() {
            // Before the documents are read: what a turn that ends meanwhile has told is not in them yet.
            let busy = turns.busy();
            match self.due().await {
                Ok(mut due) => {
                    due.retain(|doc| !busy.contains(&doc.id));
                    turns.begin(due, |doc| self.clone().turn(doc, stop.clone()));
                }
                Err(why) => tracing::warn!(%why, "hooks wait: the documents cannot be read"),
            }
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        }
        turns.end().await;
        Ok(())
    }

    /// The hooks that may be told something now.
    async fn due(&self) -> Result<Vec<Doc<Hook>>, StoreError> {
        let now = self.clock.now();
        let docs = self.store.prefix(Hook::PREFIX).await?.into_iter();
        let hooks = docs.filter_map(|doc| {
            let hook = serde_json::from_value::<Hook>(doc.body).ok()?;
            Some(Doc { id: doc.id, rev: doc.rev, body: hook })
        });
        Ok(hooks.filter(|doc| doc.body.retry_at.is_none_or(|at| at <= now)).collect())
    }

    async fn turn(self, doc: Doc<Hook>, stop: CancellationToken) {
        let id = doc.id.clone();
        if let Err(why) = self.tell(doc, &stop).await {
            tracing::warn!(id, %why, "a hook waits: the documents cannot be read or written");
        }
    }

    async fn tell(&self, mut doc: Doc<Hook>, stop: &CancellationToken) -> Result<(), StoreError> {
        let prefix = format!("event::{}::", doc.body.account);
        // Lines of one second may be written out of order: none is passed over when they have settled.
        let until = format!("{prefix}{}", self.clock.now().plus(-SETTLED));
        let after = doc.body.after.clone().max(prefix);
        let waiting = self.store.ids_between(&after, &until, TURN).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let before = (doc.body.after.clone(), doc.body.error.clone());
        for id in waiting {
            if stop.is_cancelled() {
                break;
            }
            let Some(event) = self.store.get::<Value>(&id).await? else {
                doc.body.after = id;
                continue;
            };
            let now = self.clock.now();
            match send(&doc.body, &id, &event.body, now, &self.allowed).await {
                Ok(()) => {
                    doc.body.after = id;
                    (doc.body.failing_since, doc.body.retry_at, doc.body.error) = (None, None, None);
                }
                Err(why) => {
                    failed(&mut doc.body, id, &why, now);
                    break;
                }
            }
        }
        if before == (doc.body.after.clone(), doc.body.error.clone()) && doc.body.retry_at.is_none() {
            return Ok(());
        }
        match self.store.put("hook", &doc).await {
            // Changed or taken away by its admin meanwhile: that stands.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(why) => Err(why),
        }
    }
}

/// Tries again ever more rarely, up to an hour; after a day the line is passed over.
fn failed(hook: &mut Hook, id: String, why: &str, now: Time) {
    let since = *hook.failing_since.get_or_insert(now);
    let so_far = now.seconds_since(since);
    if so_far >= GIVE_UP {
        hook.after = id;
        hook.failing_since = None;
    }
    hook.retry_at = Some(now.plus(so_far.clamp(5, 3_600)));
    hook.error = Some(why.chars().take(300).collect());
    tracing::warn!(hook = hook.name, why, "a hook does not take what it is told");
}

/// One call. The address is looked up once and that one is called, so that it cannot become another in between.
async fn send(hook: &Hook, id: &str, event: &Value, now: Time, allowed: &[IpNet]) -> Result<(), String> {
    let url = Url::parse(&hook.url).map_err(|why| why.to_string())?;
    let target = guard::resolve(&url, allowed).await?;
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .resolve_to_addrs(&target.host, &target.addresses)
        .timeout(LIMIT)
        .no_proxy()
        .build()
        .map_err(|why| why.to_string())?;
    let body = body(hook, id, event).to_string();
    let mut request = http.post(url).header("content-type", "application/json").header("user-agent", "zerocloud");
    if hook.shape == HookShape::Signed {
        let signature = sign(&SecretString::from(hook.secret.clone()), now, &body);
        request = request.header("x-zerocloud-signature", signature).header("x-zerocloud-event", id);
    }
    let answer = request.body(body).send().await.map_err(|why| why.without_url().to_string())?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
}

fn body(hook: &Hook, id: &str, event: &Value) -> Value {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (lease, decision) = (text(event, "lease"), event.get("decision").cloned().unwrap_or_default());
    let lease = lease.strip_prefix("lease::").unwrap_or(&lease).to_owned();
    match hook.shape {
        HookShape::Signed => json!({
            "id": id, "account": hook.account, "at": event.get("at"), "lease": lease, "decision": decision,
            "act": event.get("act"), "by": event.get("by"), "changes": event.get("changes"),
            "reason": event.get("reason"), "outcome": event.get("outcome"),
        }),
        HookShape::Slack => {
            // Slack reads these three as markup (Slack API docs, "Escaping text").
            let safe = |text: String| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let reason = text(event, "reason");
            let line = if event.get("act").is_some() {
                let by = text(event, "by");
                format!("{reason} (by {})", by.split_once('.').map_or("the service or an operator", |(_, user)| user))
            } else {
                format!("{lease} ({}) is {}: {reason}", text(&decision, "owner"), text(&decision, "state"))
            };
            json!({ "text": safe(line) })
        }
    }
}

/// `t={unix time},v1={hex of HMAC-SHA256 over "{time}.{body}"}`
pub fn sign(secret: &SecretString, now: Time, body: &str) -> String {
    let at = now.unix();
    // HMAC takes a key of any length, so this cannot fail.
    let Ok(mut mac) = <Hmac<Sha256> as hmac::Mac>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}
