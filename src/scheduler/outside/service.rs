//! A service that calls a URL at a time. Knows neither leases nor documents. What it answers is never told on: it may repeat
//! the URL, whose last part is a secret.

use super::dkron::Dkron;
use super::eventbridge;
use super::template::Template;
use crate::aws::{Aws, Schedules};
use crate::config::{OutsideService, OutsideSettings};
use crate::model::{LeaseKey, Time};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// A call to be made.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) name: &'a str,
    pub(super) at: Time,
    /// The last part of it.
    pub(super) token: SecretString,
    /// What to POST to.
    pub(super) callback: SecretString,
}

/// Why the service did not take something, in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed(pub(super) String);

impl From<reqwest::Error> for Failed {
    fn from(why: reqwest::Error) -> Failed {
        if why.is_timeout() {
            return Failed("it did not answer in time".to_owned());
        }
        Failed(format!("{:#}", anyhow::Error::new(why.without_url())))
    }
}

/// Each kind speaks its own API.
#[derive(Debug, Clone)]
pub(super) enum Service {
    Dkron(Dkron),
    EventBridge(Schedules),
    Template(Template),
}

impl Service {
    pub(super) fn new(settings: &OutsideSettings, aws: &Aws) -> anyhow::Result<Service> {
        Ok(match &settings.service {
            OutsideService::Dkron { url, authorization } => {
                Service::Dkron(Dkron::new(client(settings.timeout)?, url, authorization.clone()))
            }
            OutsideService::EventBridge { bus, role_arn, group, endpoint } => {
                Service::EventBridge(aws.schedules(bus, role_arn, group, endpoint.as_deref()))
            }
            OutsideService::Template { register, job, remove, secret } => Service::Template(Template {
                http: client(settings.timeout)?,
                register: register.clone(),
                job: job.clone(),
                remove: remove.clone(),
                secret: secret.clone(),
            }),
        })
    }

    /// Has the call made at its time, in the place of what the job of that name was; gives the service's own name for it.
    pub(super) async fn register(&self, job: &Job<'_>) -> Result<Option<String>, Failed> {
        match self {
            Service::Dkron(dkron) => dkron.register(job).await.map(|()| None),
            Service::EventBridge(schedules) => eventbridge::register(schedules, job).await.map(|()| None),
            Service::Template(template) => template.register(job).await,
        }
    }

    /// Takes jobs away, which the service names itself, once another has taken their place.
    pub(super) async fn supersede(&self, jobs: &[String]) -> Result<(), Failed> {
        match self {
            Service::Dkron(_) | Service::EventBridge(_) => Ok(()),
            Service::Template(template) => template.supersede(jobs).await,
        }
    }

    /// Takes away what there is under a name; what is not there is no failure.
    pub(super) async fn remove(&self, name: &str, jobs: &[String]) -> Result<(), Failed> {
        match self {
            Service::Dkron(dkron) => dkron.remove(name).await,
            Service::EventBridge(schedules) => eventbridge::remove(schedules, name).await,
            Service::Template(template) => template.remove(name, jobs).await,
        }
    }
}

fn client(timeout: Duration) -> anyhow::Result<reqwest::Client> {
    let http = reqwest::Client::builder().user_agent("zerocloud").redirect(reqwest::redirect::Policy::none());
    Ok(http.timeout(timeout).build()?)
}

/// The name of a lease's job: the same for every deadline of it, so that a later one replaces it.
pub(super) fn name(key: &LeaseKey) -> String {
    let hash = hex::encode(Sha256::digest(key.lease_id().as_bytes()));
    format!("zerocloud-{}", hash.get(..32).unwrap_or(&hash))
}

#[cfg(test)]
mod tests {
    use super::name;
    use crate::model::LeaseKey;

    #[test]
    fn a_job_is_named_by_its_lease_and_does_not_tell_which() {
        let name = |id: &str| name(&LeaseKey::parse(&format!("111122223333::us-east-1::{id}")).unwrap());
        assert_eq!(name("i-1"), name("i-1"));
        assert_ne!(name("i-1"), name("i-2"));
        // Dkron takes small letters, digits, - and _; EventBridge Scheduler at most 64 characters.
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name("i-1").len() == 42 && name("i-1").chars().all(fits), "{}", name("i-1"));
    }
}
