//! Any HTTP API, by the requests that the operator wrote. Where the service names jobs itself, its name stands in the answer and
//! is kept with the token: a job is taken away by it once another has taken its place.

use super::service::{Failed, Job};
use crate::config::{Blanks, RequestTemplate};
use futures_util::StreamExt as _;
use reqwest::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// An answer that names a job is small.
const MOST_BYTES: usize = 64 * 1024;

/// The requests, and what is filled in.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) http: reqwest::Client,
    pub(super) register: RequestTemplate,
    pub(super) job: Option<String>,
    pub(super) remove: Option<RequestTemplate>,
    pub(super) secret: SecretString,
}

impl Template {
    /// Makes the job; gives the service's name for it, when it has one.
    pub(super) async fn register(&self, job: &Job<'_>) -> Result<Option<String>, Failed> {
        let callback = Some(job.callback.expose_secret());
        let blanks = Blanks { name: job.name, callback, at: Some(job.at), ..self.blanks() };
        let answer = self.send(&self.register, blanks).await?;
        let Some(pointer) = &self.job else { return Ok(None) };
        let body = body(answer).await?;
        let named = serde_json::from_slice::<Value>(&body).ok().and_then(|all| match all.pointer(pointer)? {
            Value::String(text) if (1..=200).contains(&text.len()) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        named.map(Some).ok_or_else(|| Failed(format!("its answer does not name the job at {pointer}")))
    }

    /// Takes jobs away by the service's names.
    pub(super) async fn supersede(&self, jobs: &[String]) -> Result<(), Failed> {
        let Some(remove) = &self.remove else { return Ok(()) };
        for job in jobs {
            self.send(remove, Blanks { job: Some(job), ..self.blanks() }).await.map(drop).or_else(gone)?;
        }
        Ok(())
    }

    /// Takes a lease's jobs away.
    pub(super) async fn remove(&self, name: &str, jobs: &[String]) -> Result<(), Failed> {
        match (&self.remove, &self.job) {
            (Some(remove), None) => self.send(remove, Blanks { name, ..self.blanks() }).await.map(drop).or_else(gone),
            _ => self.supersede(jobs).await,
        }
    }

    fn blanks(&self) -> Blanks<'_> {
        Blanks { secret: self.secret.expose_secret(), ..Blanks::default() }
    }

    async fn send(&self, template: &RequestTemplate, blanks: Blanks<'_>) -> Result<Response, Failed> {
        let filled = template.fill_in(blanks).map_err(|(part, _)| Failed(format!("the template of {part} fails")))?;
        let request = self.http.request(filled.method, filled.url).headers(filled.headers);
        let request = match filled.body {
            Some(body) => request.body(body),
            None => request,
        };
        let answer = request.send().await?;
        if answer.status().is_success() { Ok(answer) } else { Err(Failed(format!("it answered {}", answer.status()))) }
    }
}

/// What is not there need not be taken away.
fn gone(Failed(why): Failed) -> Result<(), Failed> {
    if why.starts_with("it answered 404") || why.starts_with("it answered 410") { Ok(()) } else { Err(Failed(why)) }
}

async fn body(answer: Response) -> Result<Vec<u8>, Failed> {
    let (mut found, mut parts) = (Vec::new(), answer.bytes_stream());
    while let Some(part) = parts.next().await {
        found.extend_from_slice(&part?);
        if found.len() > MOST_BYTES {
            return Err(Failed("its answer is too long".to_owned()));
        }
    }
    Ok(found)
}
