//! `doctor`: checks what zerocloud depends on, and says how to mend each fault. Changes nothing.

mod cloud;
mod documents;
mod outside;
mod pages;
mod standing;

use super::{output, store};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::{Config, StoreChoice};
use crate::model::{Doc, Time};
use serde_json::Value;
use std::process::ExitCode;

/// How a check went.
enum Found {
    /// As it should be.
    Fine(String),
    /// No fault, but worth knowing.
    Note(String),
    /// What is wrong, and how to mend it.
    Mend(String),
}

/// One check: of what, and how it went.
struct Check(String, Found);

impl Check {
    fn new(what: impl Into<String>, found: Found) -> Check {
        Check(what.into(), found)
    }
}

/// Exit code 0 when all is well, 3 when something needs mending.
pub(super) async fn run(config: &Config, clock: &Clock, json: bool) -> anyhow::Result<ExitCode> {
    let progress = output::Progress::start("checking", 5);
    let store = store(config)?;
    let aws = Aws::connect(&config.aws).await;
    let mut checks = vec![Check::new("config", Found::Fine("valid".to_owned())), time(clock)];
    let all = store.prefix("").await;
    progress.step("gateway");
    match all {
        Ok(all) => {
            checks.push(Check::new("gateway", Found::Fine(format!("{} documents", all.len()))));
            checks.push(leader(&all, clock.now(), config.leader_ttl));
            checks.extend(documents::unreadable(&all));
            checks.extend(documents::differences(config, &all));
            checks.extend(documents::untold(&all));
            checks.extend(standing::checks(&all, clock.now()));
            checks.extend(outside::checks(config.scheduler.as_ref(), &all));
            progress.step("documents");
            checks.push(cloud::identity(&aws).await);
            progress.step("AWS identity");
            checks.extend(cloud::roles(config, &aws, &all).await);
        }
        Err(why) => {
            let fault = format!("{:#}; {}", anyhow::Error::new(why), mend_gateway(config));
            checks.push(Check::new("gateway", Found::Mend(fault)));
            checks.push(cloud::identity(&aws).await);
            checks.extend(cloud::roles(config, &aws, &[]).await);
        }
    }
    progress.step("roles");
    checks.extend(pages::checks(config.web.as_ref()));
    checks.extend(cloud::mail(config, &aws).await);
    progress.done();
    show(&checks, json)
}

fn show(checks: &[Check], json: bool) -> anyhow::Result<ExitCode> {
    let word = |found: &Found| match found {
        Found::Fine(text) => ("ok", text.clone()),
        Found::Note(text) => ("note", text.clone()),
        Found::Mend(text) => ("MEND", text.clone()),
    };
    let faults = checks.iter().filter(|Check(_, found)| matches!(found, Found::Mend(_))).count();
    if json {
        let lines = checks.iter().map(|Check(what, found)| {
            let (state, text) = word(found);
            serde_json::json!({ "check": what, "state": state.to_lowercase(), "text": text })
        });
        output::json(&lines.collect::<Vec<_>>())?;
    } else {
        output::table(
            &["", "CHECK", "RESULT"],
            checks.iter().map(|Check(what, found)| {
                let (state, text) = word(found);
                vec![state.to_owned(), what.clone(), text]
            }),
        );
    }
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn mend_gateway(config: &Config) -> &'static str {
    match config.store {
        StoreChoice::Embedded { .. } => "start `zerocloud serve`, which carries the gateway",
        StoreChoice::Remote { .. } => "check store.admin_url, admin_user and the password",
    }
}

fn time(clock: &Clock) -> Check {
    let now = clock.now();
    let sane = now.unix() > 1_750_000_000;
    let mend = format!("{now} cannot be right: set the machine's clock");
    Check::new("clock", if sane { Found::Fine(now.to_string()) } else { Found::Mend(mend) })
}

/// Seconds by which the clocks of two machines may differ.
const SKEW: i64 = 60;

/// Who leads, and whether it was heard of lately: one that was killed leaves its name behind.
fn leader(all: &[Doc<Value>], now: Time, ttl: i64) -> Check {
    let seat = all.iter().find(|doc| doc.id == "leader");
    let text = |name: &str| seat.and_then(|doc| doc.body.get(name)).and_then(Value::as_str).unwrap_or_default();
    let found = match (text("holder"), text("beat")) {
        ("", _) => Found::Mend("nobody leads, so nothing is watched: start `zerocloud serve`".to_owned()),
        (holder, beat) => {
            let silent = Time::parse(beat).map_or(i64::MAX, |beat| now.seconds_since(beat));
            let said = format!("{holder}, heard of at {beat}");
            if silent > ttl.saturating_add(SKEW) {
                Found::Mend(format!("{said}, and not since, so nothing is watched: start `zerocloud serve`"))
            } else {
                Found::Fine(said)
            }
        }
    };
    Check::new("leader", found)
}

#[cfg(test)]
mod tests {
    use super::{Check, Doc, Found, Time, leader};
    use serde_json::json;

    #[test]
    fn a_leader_that_was_not_heard_of_for_long_does_not_pass_for_one() {
        let now = Time::parse("2026-11-24T08:00:00Z").unwrap();
        let seat = |holder: &str, ago: i64| {
            let body = json!({ "type": "leader", "holder": holder, "beat": now.plus(-ago), "since": now.plus(-ago) });
            [Doc { id: "leader".to_owned(), rev: None, body }]
        };
        let fine = |all: &[Doc<serde_json::Value>]| matches!(leader(all, now, 30), Check(_, Found::Fine(_)));
        assert!(fine(&seat("one", 7)) && fine(&seat("one", 89)));
        assert!(!fine(&seat("one", 91)) && !fine(&seat("one", 3 * 86_400)));
        assert!(!fine(&seat("", 7)) && !fine(&[]));
    }
}
