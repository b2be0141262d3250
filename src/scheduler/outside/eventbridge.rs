//! EventBridge Scheduler. It calls no URL, so the token travels in an event: schedule → bus → rule → API destination → our hook.

use super::service::{Failed, Job};
use crate::aws::{OneTime, Schedules};
use secrecy::ExposeSecret as _;
use serde_json::json;

/// Makes the schedule, or replaces it.
pub(super) async fn register(schedules: &Schedules, job: &Job<'_>) -> Result<(), Failed> {
    let at = job.at.to_string();
    let detail = json!({ "token": job.token.expose_secret() }).to_string();
    let one = OneTime { name: job.name, at: at.trim_end_matches('Z'), detail: &detail };
    schedules.put(&one).await.map_err(|why| Failed(why.to_string()))
}

pub(super) async fn remove(schedules: &Schedules, name: &str) -> Result<(), Failed> {
    schedules.remove(name).await.map_err(|why| Failed(why.to_string()))
}
