//! `health`: whether a copy of `serve` is at work, which is what a container's health check wants to know. One read of the
//! gateway; knows nothing of AWS or mail, which `doctor` looks at.

use super::{output, store};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::Time;
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::time::Duration;

/// Two machines need not agree better on the time of day, seconds.
const SKEW: i64 = 60;
/// A health check that hangs is a failed one.
const LIMIT: Duration = Duration::from_secs(8);

/// Succeeds when the gateway answers and a leader renewed its seat not long ago. A second copy that waits is well too.
pub(super) async fn check(config: &Config, clock: &Clock) -> anyhow::Result<()> {
    let store = store(config)?;
    let seat = tokio::time::timeout(LIMIT, store.get::<Value>("leader")).await.context("the gateway is silent")??;
    let text =
        |name: &str| seat.as_ref().and_then(|doc| doc.body.get(name)).and_then(Value::as_str).unwrap_or_default();
    let (holder, beat) = (text("holder"), text("beat"));
    if holder.is_empty() {
        bail!("nobody leads yet");
    }
    let beat: Time = serde_json::from_value(beat.into()).context("the leader's last beat")?;
    let silent = clock.now().unix() - beat.unix();
    if silent > config.leader_ttl * 2 + SKEW {
        bail!("{holder} leads, but was last heard of {silent} s ago");
    }
    output::say(format_args!("{holder} leads"));
    Ok(())
}
