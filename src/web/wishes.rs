//! What a person asks for: a request document, written with that person's own session, and the answer that the service gives.
//! Used by pages, mail links and the API alike.

use super::session::random;
use super::{State, WebError};
use crate::model::{AccountId, LeaseKey, Outcome, Request, Time, User, UserId, Wish};
use crate::store::{Session, Store};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a page waits for the answer, in steps.
const STEPS: u32 = 40;
const STEP: Duration = Duration::from_millis(150);

/// A wish.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whose Account.
    pub account: AccountId,
    /// Who asks.
    pub user: UserId,
    /// About which lease.
    pub lease: LeaseKey,
    /// What.
    pub action: Wish,
    /// The end, for a renewal.
    pub until: Option<Time>,
    /// The other, for handing over.
    pub to: Option<UserId>,
    /// When.
    pub at: Time,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Done, or refused, with words for people.
    Answered(Outcome, String),
    /// Not answered yet; the wish stands.
    Noted,
}

impl Told {
    /// With the names of that Account's people in the place of their ids.
    pub(super) fn named(self, state: &State, account: &AccountId) -> Told {
        let named = |reason: &str| super::story::named(reason, &state.index.directory(), account);
        match self {
            Told::Answered(outcome, reason) => Told::Answered(outcome, named(&reason)),
            Told::Noted => Told::Noted,
        }
    }

    /// Whether it is good news, and the sentence for it.
    pub fn sentence(&self) -> (bool, String) {
        match self {
            Told::Answered(outcome, reason) => (*outcome == Outcome::Done, super::error::sentence(reason)),
            Told::Noted => (true, "Noted. It is answered in a moment: load this page again.".to_owned()),
        }
    }
}

/// Writes the request, and waits a little for the answer.
pub async fn ask(store: &Store, session: &Session, asked: &Asked) -> Result<Told, WebError> {
    let id = put(store, session, asked, &random()).await?;
    for _ in 0..STEPS {
        tokio::time::sleep(STEP).await;
        let Some(doc) = store.get_as(session, &id).await? else { break };
        let answer = serde_json::from_value::<Request>(doc.body).ok().and_then(|request| request.answer);
        if let Some(answer) = answer {
            return Ok(Told::Answered(answer.outcome, answer.reason));
        }
    }
    Ok(Told::Noted)
}

/// What became of several, by their ids: those that are not answered in a little while are left out.
pub(super) async fn answers(
    store: &Store,
    session: &Session,
    mut open: Vec<String>,
) -> Result<HashMap<String, (Outcome, String)>, WebError> {
    let (mut found, end) = (HashMap::new(), Instant::now() + STEP * STEPS);
    while !open.is_empty() && Instant::now() < end {
        tokio::time::sleep(STEP).await;
        let mut still = Vec::new();
        for id in open {
            if Instant::now() >= end {
                still.push(id);
                continue;
            }
            let doc = store.get_as(session, &id).await?;
            let answer = doc.and_then(|doc| serde_json::from_value::<Request>(doc.body).ok()?.answer);
            match answer {
                Some(answer) => drop(found.insert(id, (answer.outcome, answer.reason))),
                None => still.push(id),
            }
        }
        open = still;
    }
    Ok(found)
}

/// Writes the request; gives its id. The same `name` twice is one wish: the second is a conflict.
pub async fn put(store: &Store, session: &Session, asked: &Asked, name: &str) -> Result<String, WebError> {
    let name: String = name.chars().map(|c| if c == '_' { '-' } else { c }).collect();
    let id = format!("request::{}::{}::{name}", asked.account, asked.user);
    let mut body = json!({
        "type": "request", "schema": crate::model::SCHEMA, "account": asked.account, "user": asked.user,
        "updated_by": User::gateway_name(&asked.account, &asked.user), "lease": asked.lease.lease_id(),
        "action": asked.action, "at": asked.at,
    });
    let mut add = |name: &str, value: Option<Value>| {
        body.as_object_mut().zip(value).map(|(body, value)| body.insert(name.to_owned(), value))
    };
    add("until", asked.until.map(|until| json!(until)));
    add("to", asked.to.as_ref().map(|to| json!(to)));
    store.put_as(session, &id, &body, None).await?;
    Ok(id)
}
