//! Dkron as its REST API describes it: `POST /v1/jobs` makes or replaces a job and refuses one that makes no sense, and
//! `DELETE /v1/jobs/{name}` takes one away. It runs nothing by itself: the test calls in its place.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, post};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

pub struct Dkron {
    pub url: String,
    world: World,
    task: JoinHandle<()>,
}

type World = Arc<Mutex<Known>>;

#[derive(Default)]
struct Known {
    jobs: BTreeMap<String, Value>,
    posts: Vec<Instant>,
    authorizations: BTreeSet<String>,
    fails: Option<StatusCode>,
    slow: Duration,
}

/// What Dkron would say of a job.
fn fault(job: &Value) -> Option<String> {
    let name = job["name"].as_str().unwrap_or_default();
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if name.is_empty() || !name.chars().all(letter) {
        return Some("name must be lowercase letters, digits, - and _".to_owned());
    }
    let at = job["schedule"].as_str().and_then(|text| text.strip_prefix("@at "));
    if at.is_none_or(|at| at.parse::<jiff::Timestamp>().is_err()) {
        return Some("schedule is no @at with a time of RFC 3339".to_owned());
    }
    let config = job["executor_config"].as_object();
    if job["executor"] != "http" || config.is_none_or(|config| !config.values().all(Value::is_string)) {
        return Some("executor_config must be a map of texts".to_owned());
    }
    None
}

async fn make(State(world): State<World>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let slow = {
        let mut known = world.lock().unwrap();
        let authorization = headers.get("authorization").map(|it| it.to_str().unwrap().to_owned());
        known.authorizations.extend(authorization);
        if let Some(status) = known.fails {
            return (status, format!("not now: {body}"));
        }
        let Ok(job) = serde_json::from_str::<Value>(&body) else { return (StatusCode::BAD_REQUEST, body) };
        if let Some(why) = fault(&job) {
            return (StatusCode::BAD_REQUEST, why);
        }
        known.posts.push(Instant::now());
        known.jobs.insert(job["name"].as_str().unwrap().to_owned(), job);
        known.slow
    };
    tokio::time::sleep(slow).await;
    (StatusCode::CREATED, body)
}

async fn remove(State(world): State<World>, Path(name): Path<String>) -> StatusCode {
    let mut known = world.lock().unwrap();
    if let Some(status) = known.fails {
        return status;
    }
    if known.jobs.remove(&name).is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

impl Dkron {
    pub async fn start() -> Dkron {
        let world = World::default();
        let routes = Router::new()
            .route("/v1/jobs", post(make))
            .route("/v1/jobs/{name}", delete(remove))
            .with_state(Arc::clone(&world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "the test owns the task and ends it in stop()")]
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Dkron { url, world, task }
    }

    pub fn stop(self) {
        self.task.abort();
    }

    pub fn jobs(&self) -> BTreeMap<String, Value> {
        self.world.lock().unwrap().jobs.clone()
    }

    /// When jobs were made.
    pub fn posts(&self) -> Vec<Instant> {
        self.world.lock().unwrap().posts.clone()
    }

    pub fn authorizations(&self) -> Vec<String> {
        self.world.lock().unwrap().authorizations.iter().cloned().collect()
    }

    /// Answers everything so from now on.
    pub fn fail(&self, status: StatusCode) {
        self.world.lock().unwrap().fails = Some(status);
    }

    pub fn mend(&self) {
        self.world.lock().unwrap().fails = None;
    }

    /// Takes so long to answer from now on.
    pub fn slow(&self, time: Duration) {
        self.world.lock().unwrap().slow = time;
    }

    /// What its call of a job would bring.
    pub fn token(job: &Value) -> String {
        let config = &job["executor_config"];
        assert_eq!(config["method"], "POST");
        config["url"].as_str().unwrap().strip_prefix("https://zc.example/hooks/scheduler/").unwrap().to_owned()
    }
}
