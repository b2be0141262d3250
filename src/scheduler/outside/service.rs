//! A service that calls a URL at a time. Knows neither leases nor documents. What it answers is never told on: it may repeat
//! the URL, whose last part is a secret.

use super::dkron::Dkron;
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
}

impl Service {
    pub(super) fn new(settings: &OutsideSettings) -> anyhow::Result<Service> {
        Ok(match &settings.service {
            OutsideService::Dkron { url, authorization } => {
                Service::Dkron(Dkron::new(client(settings.timeout)?, url, authorization.clone()))
            }
        })
    }

    /// Has the call made at its time, in the place of what the job of that name was; gives the service's own name for it.
    pub(super) async fn register(&self, job: &Job<'_>) -> Result<Option<String>, Failed> {
        match self {
            Service::Dkron(dkron) => dkron.register(job).await.map(|()| None),
        }
    }

    /// Takes a job away; one that is not there is no failure.
    pub(super) async fn remove(&self, name: &str) -> Result<(), Failed> {
        match self {
            Service::Dkron(dkron) => dkron.remove(name).await,
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
