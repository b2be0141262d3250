//! `doctor`: checks what zerocloud depends on, and says how to mend each fault. Changes nothing.

mod cloud;
mod documents;

use super::{output, store};
use crate::aws::Aws;
use crate::clock::Clock;
use crate::config::{Config, StoreChoice};
use crate::model::Doc;
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
            checks.push(leader(&all));
            checks.extend(documents::unreadable(&all));
            checks.extend(documents::differences(config, &all));
            checks.extend(documents::untold(&all));
            progress.step("documents");
            checks.push(cloud::identity(&aws).await);
            progress.step("AWS identity");
            checks.extend(cloud::roles(config, &aws, &all).await);
        }
        Err(why) => {
            let fault = format!("{:#}; {}", anyhow::Error::new(why), mend_gateway(config));
            checks.push(Check::new("gateway", Found::Mend(fault)));
            checks.push(cloud::identity(&aws).await);
        }
    }
    progress.step("roles");
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

fn leader(all: &[Doc<Value>]) -> Check {
    let seat = all.iter().find(|doc| doc.id == "leader");
    let text = |name: &str| seat.and_then(|doc| doc.body.get(name)).and_then(Value::as_str).unwrap_or_default();
    let found = match (text("holder"), text("beat")) {
        ("", _) => Found::Mend("nobody leads, so nothing is watched: start `zerocloud serve`".to_owned()),
        (holder, beat) => Found::Fine(format!("{holder}, heard of at {beat}")),
    };
    Check::new("leader", found)
}
