//! Whether the scheduler outside takes deadlines and calls for them, as the copy that leads wrote it down.

use super::{Check, Found};
use crate::config::OutsideSettings;
use crate::model::{Doc, OutsideState, Time};
use serde::Deserialize as _;
use serde_json::Value;

/// Nothing when deadlines are kept in the process.
pub(super) fn checks(settings: Option<&OutsideSettings>, all: &[Doc<Value>]) -> Vec<Check> {
    let Some(settings) = settings else { return Vec::new() };
    let doc = all.iter().find(|doc| doc.id == OutsideState::ID);
    let state = doc.and_then(|doc| OutsideState::deserialize(&doc.body).ok());
    let found = match state.as_ref().map(OutsideState::fault).zip(state.as_ref()) {
        None => Found::Note("no copy that leads has used it yet".to_owned()),
        Some((Some(fault), state)) => Found::Mend(format!("{fault}; {}", mend(settings, state))),
        Some((None, state)) => Found::Fine(said(state)),
    };
    vec![Check::new("scheduler", found)]
}

fn said(state: &OutsideState) -> String {
    let when = |at: Option<Time>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let (taken, called) = (when(state.taken_at), when(state.called_at));
    format!("{}: {} told, {} waiting; took one: {taken}; called: {called}", state.service, state.told, state.waiting)
}

fn mend(settings: &OutsideSettings, state: &OutsideState) -> String {
    if state.failing_since.is_some() {
        return "check scheduler.http; meanwhile the sweep looks at what has passed".to_owned();
    }
    format!(
        "check that it reaches {}/hooks/scheduler/; meanwhile the sweep looks at what has passed",
        settings.callback_url
    )
}

#[cfg(test)]
mod tests {
    use super::{Check, Doc, Found, checks};
    use crate::config::Config;
    use serde_json::json;

    #[test]
    fn a_scheduler_that_takes_nothing_or_never_calls_is_to_be_mended() {
        let text = "mail: {from: a@b.c}\nweb: {}\nscheduler: {http: {preset: dkron, url: 'http://d', \
                    callback_url: 'http://zc'}}";
        let config = Config::parse(text, |_| None).unwrap();
        let told = |body: serde_json::Value| {
            let all = [Doc { id: "scheduler".to_owned(), rev: None, body }];
            match checks(config.scheduler.as_ref(), &all).remove(0) {
                Check(_, Found::Fine(text)) => format!("ok {text}"),
                Check(_, Found::Note(text)) => format!("note {text}"),
                Check(_, Found::Mend(text)) => format!("mend {text}"),
            }
        };
        assert!(told(json!({ "service": "dkron", "told": 3 })).starts_with("ok dkron: 3 told"));
        let failing = json!({ "failing_since": "2026-11-24T08:00:00Z", "failures": 2, "error": "it answered 503" });
        assert!(told(failing).starts_with("mend it takes no deadline since 2026-11-24T08:00:00Z (2 tries)"));
        assert!(told(json!({ "missed": 5 })).contains("reaches http://zc/hooks/scheduler/"));
        assert!(checks(None, &[]).is_empty());
    }
}
