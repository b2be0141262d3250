//! What other services post. `POST /hooks/ses`: what became of mails, told by SES through an SNS topic. Only messages that SNS signed, for a topic that
//! the configuration names, count; everything else is refused and changes nothing.

pub(super) mod aws;
pub(super) mod scheduler;
mod ses;
mod sns;

pub use aws::{Inbox, Leader};
use ses::{Feedback, apply};
use sns::Message;

use super::limits::Try;
use super::{Site, State, WebError};
use crate::config::SesSettings;
use crate::model::Time;
use axum::http::StatusCode;
use bytes::Bytes;
use reqwest::Url;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long a certificate of SNS is kept, seconds.
const KEPT: i64 = 86_400;
/// Certificates that are remembered; SNS has one a region.
const REMEMBERED: usize = 50;
/// A certificate has some kilobytes.
const MOST_BYTES: usize = 64 * 1024;

/// Certificates by their address, with when they were read.
#[derive(Debug, Default)]
pub struct Certificates(Mutex<HashMap<String, (Time, String)>>);

/// `POST /hooks/ses`. SNS sends JSON and calls it text.
pub(super) async fn post(
    axum::extract::State(state): axum::extract::State<State>,
    site: Site,
    body: Bytes,
) -> Result<StatusCode, WebError> {
    state.limits.check(Try::Hook, site.client)?;
    let Some(settings) = state.settings.ses.as_ref() else {
        return Err(WebError::NotFound("no topic is configured: set web.ses.topics".to_owned()));
    };
    let message: Message = serde_json::from_slice(&body).map_err(|_| refused("this is no message of SNS"))?;
    let genuine = check(&state, settings, &message).await?;
    if !genuine.is_fresh(state.clock.now()) {
        return Err(refused("this message is too old"));
    }
    match message.kind() {
        sns::Kind::Notification => {
            if let Some(feedback) = Feedback::read(&message.message) {
                apply(&state.store, &feedback, state.clock.now()).await?;
            }
        }
        sns::Kind::Subscription(url) => confirm(&state, settings, url).await?,
        sns::Kind::Unsubscribed => {
            tracing::warn!(topic = message.topic_arn, "the topic was unsubscribed: bounces are not heard of any more");
        }
        sns::Kind::Unknown => return Err(refused("this is no message of SNS")),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the message back once it is known to come from SNS and for us.
async fn check<'a>(state: &State, settings: &SesSettings, message: &'a Message) -> Result<&'a Message, WebError> {
    if !settings.topics.contains(&message.topic_arn) {
        return Err(refused("this topic is not one of ours"));
    }
    let url = sns::certificate(&message.signing_cert_url, settings.endpoint.as_deref())
        .ok_or_else(|| refused("the certificate is not from SNS"))?;
    let pem = certificate(state, url).await?;
    message.verify(&pem).map_err(|why| {
        tracing::warn!(%why, topic = message.topic_arn, "a message with a wrong signature was refused");
        refused("the signature is wrong")
    })?;
    Ok(message)
}

async fn certificate(state: &State, url: Url) -> Result<String, WebError> {
    let now = state.clock.now();
    {
        let known = state.certificates.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, pem)) = known.get(url.as_str())
            && now.seconds_since(*at) < KEPT
        {
            return Ok(pem.clone());
        }
    }
    let unreachable = |why: reqwest::Error| WebError::Unavailable(anyhow::Error::new(why).context("SNS's certificate"));
    let response = state.http.get(url.clone()).send().await.map_err(unreachable)?;
    let mut response = response.error_for_status().map_err(unreachable)?;
    let mut pem = Vec::new();
    while let Some(part) = response.chunk().await.map_err(unreachable)? {
        if pem.len() + part.len() > MOST_BYTES {
            return Err(refused("the certificate is too large"));
        }
        pem.extend(part);
    }
    let pem = String::from_utf8(pem).map_err(|_| refused("the certificate is no text"))?;
    let mut known = state.certificates.0.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(url.to_string(), (now, pem.clone()));
    Ok(pem)
}

/// Subscribes to the topic, as its owner asked for.
async fn confirm(state: &State, settings: &SesSettings, url: &str) -> Result<(), WebError> {
    let url = sns::confirmation(url, settings.endpoint.as_deref())
        .ok_or_else(|| refused("the confirmation does not go to SNS"))?;
    let answer = state.http.get(url).send().await.and_then(reqwest::Response::error_for_status);
    answer
        .map_err(|why| WebError::Unavailable(anyhow::Error::new(why.without_url()).context("confirming the topic")))?;
    tracing::info!("the topic of bounces is subscribed");
    Ok(())
}

fn refused(why: &str) -> WebError {
    WebError::Forbidden(why.to_owned())
}
