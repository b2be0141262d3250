//! Dkron (its REST API, `POST` and `DELETE` below `/v1/jobs`): a job with an `@at` schedule runs once. The same name replaces
//! it, and an ephemeral one goes when it has run.

use super::service::{Failed, Job};
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// A node of Dkron; each hands on to the one that leads.
#[derive(Debug, Clone)]
pub(super) struct Dkron {
    http: reqwest::Client,
    url: String,
    authorization: Option<SecretString>,
}

impl Dkron {
    pub(super) fn new(http: reqwest::Client, url: &str, authorization: Option<SecretString>) -> Dkron {
        Dkron { http, url: url.to_owned(), authorization }
    }

    /// Makes the job, or replaces it.
    pub(super) async fn register(&self, job: &Job<'_>) -> Result<(), Failed> {
        let request = self.http.post(format!("{}/v1/jobs", self.url)).json(&body(job));
        let status = self.send(request).await?;
        if status.is_success() { Ok(()) } else { Err(refused(status)) }
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), Failed> {
        let status = self.send(self.http.delete(format!("{}/v1/jobs/{name}", self.url))).await?;
        if status.is_success() || status == StatusCode::NOT_FOUND { Ok(()) } else { Err(refused(status)) }
    }

    async fn send(&self, request: RequestBuilder) -> Result<StatusCode, Failed> {
        let request = match &self.authorization {
            Some(secret) => request.header("authorization", secret.expose_secret()),
            None => request,
        };
        Ok(request.send().await?.status())
    }
}

fn refused(status: StatusCode) -> Failed {
    Failed(format!("it answered {status}"))
}

/// The job. Values of `executor_config` are texts (Dkron's documentation, "HTTP executor").
fn body(job: &Job<'_>) -> Value {
    json!({
        "name": job.name,
        "displayname": "zerocloud: a deadline",
        "schedule": format!("@at {}", job.at),
        "owner": "zerocloud",
        "disabled": false,
        "concurrency": "forbid",
        "ephemeral": true,
        "retries": 3,
        "executor": "http",
        "executor_config": {
            "method": "POST",
            "url": job.callback.expose_secret(),
            "headers": "[]",
            "body": "",
            "timeout": "10",
            "expectCode": "200",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{Job, body};
    use crate::model::Time;
    use serde_json::json;

    #[test]
    fn a_job_runs_once_at_its_time_and_posts() {
        let (at, token, callback) = (Time::from_unix(0), "x".into(), "https://zc.example/hooks/x".into());
        let job = Job { name: "zerocloud-1", at, token, callback };
        let body = body(&job);
        assert_eq!(body["schedule"], "@at 1970-01-01T00:00:00Z");
        assert_eq!((&body["name"], &body["ephemeral"]), (&json!("zerocloud-1"), &json!(true)));
        let config = body["executor_config"].as_object().unwrap();
        assert!(config.values().all(serde_json::Value::is_string), "Dkron reads texts only: {config:?}");
        assert_eq!((&config["method"], &config["url"]), (&json!("POST"), &json!("https://zc.example/hooks/x")));
        assert!(!format!("{job:?}").contains("hooks/x"), "the token would be in a log");
    }
}
