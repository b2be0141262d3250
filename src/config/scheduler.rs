//! The section `scheduler`: a service outside that is told of each deadline and calls back. Without it deadlines are kept in
//! this process.

use super::read::{Problems, Section};
use super::url;
use secrecy::SecretString;
use std::time::Duration;

/// A scheduler outside.
#[derive(Debug, Clone)]
pub struct OutsideSettings {
    /// Which.
    pub service: OutsideService,
    /// Where it reaches our pages: scheme, host, port and a path before ours, without a slash at the end.
    pub callback_url: String,
    /// Limit for one call.
    pub timeout: Duration,
    /// Calls a second, so that a restart does not tell it of thousands at once.
    pub per_second: u32,
}

/// The services that are known.
#[derive(Debug, Clone)]
pub enum OutsideService {
    /// Dkron, over its REST API.
    Dkron {
        /// Where a node answers, without `/v1`.
        url: String,
        /// What `Authorization` says, where it is asked for.
        authorization: Option<SecretString>,
    },
}

impl OutsideService {
    /// As config.yml names it.
    pub fn name(&self) -> &'static str {
        match self {
            OutsideService::Dkron { .. } => "dkron",
        }
    }
}

/// `None` when there is no such section. `public_url` is that of the pages.
pub(super) fn scheduler(root: &Section<'_>, problems: &mut Problems) -> Option<OutsideSettings> {
    let section = root.section("scheduler", problems);
    section.only(&["http"], problems);
    let at = section.section("http", problems);
    at.is_there().then_some(())?;
    at.only(&["preset", "url", "authorization", "callback_url", "timeout", "per_second"], problems);
    let service = service(&at, problems);
    let callback_url = callback(root, &at, problems);
    let timeout = Duration::from_secs(at.duration("timeout", problems).unwrap_or(10).unsigned_abs());
    let per_second = at.count("per_second", problems).unwrap_or(10);
    Some(OutsideSettings { service: service?, callback_url: callback_url?, timeout, per_second })
}

fn service(at: &Section<'_>, problems: &mut Problems) -> Option<OutsideService> {
    let preset = at.text("preset", problems);
    match at.required("preset", preset, problems)?.as_str() {
        "dkron" => dkron(at, problems),
        other => {
            problems.add(&at.key("preset"), format!("{other:?} is none of dkron"));
            None
        }
    }
}

fn dkron(at: &Section<'_>, problems: &mut Problems) -> Option<OutsideService> {
    let found = at.parsed("url", url, problems);
    let url = at.required("url", found, problems);
    let authorization = at.text("authorization", problems).filter(|text| !text.is_empty());
    let bad = |text: &String| reqwest::header::HeaderValue::from_str(text).is_err();
    if authorization.as_ref().is_some_and(bad) {
        problems.add(&at.key("authorization"), "has characters that no header may have");
    }
    let authorization = authorization.map(SecretString::from);
    Some(OutsideService::Dkron { url: url?, authorization })
}

/// Where calls come in: as said here, or as people reach the pages.
fn callback(root: &Section<'_>, at: &Section<'_>, problems: &mut Problems) -> Option<String> {
    let before = problems.0.len();
    let own = at.parsed("callback_url", url, problems);
    // What is wrong with the section `web` is told there.
    let web = root.section("web", &mut Problems::default());
    if !web.is_there() {
        problems.add(&at.key("callback_url"), "leads nowhere without the section web, which takes the calls: add it");
        return None;
    }
    let found = own.or_else(|| web.parsed("public_url", url, &mut Problems::default()));
    if found.is_none() && problems.0.len() == before {
        problems
            .add(&at.key("callback_url"), "is missing, as is web.public_url: say where the service reaches the pages");
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, OutsideService};

    fn parse(more: &str) -> Result<Config, Vec<String>> {
        Config::parse(&format!("mail: {{from: a@b.c}}\n{more}"), |_| None)
    }

    #[test]
    fn deadlines_are_kept_here_unless_a_service_is_named() {
        assert!(parse("").unwrap().scheduler.is_none());
        let text = "web: {public_url: 'https://zc.example'}\nscheduler: {http: {preset: dkron, url: 'http://127.0.0.1:8080/'}}";
        let found = parse(text).unwrap().scheduler.unwrap();
        assert_eq!(
            (found.callback_url.as_str(), found.timeout.as_secs(), found.per_second),
            ("https://zc.example", 10, 10)
        );
        assert!(matches!(found.service, OutsideService::Dkron { url, .. } if url == "http://127.0.0.1:8080"));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let told = |text: &str| parse(text).unwrap_err();
        let all = told("scheduler: {http: {preset: dkron, url: here, timeout: 0s, per_second: 0, cron: x}, https: {}}");
        for key in [
            "scheduler.https: is not a setting",
            "scheduler.http.cron: is not a setting",
            "scheduler.http.url:",
            "scheduler.http.timeout:",
            "scheduler.http.per_second:",
            "scheduler.http.callback_url: leads nowhere",
        ] {
            assert!(all.iter().any(|line| line.starts_with(key)), "{key} in {all:#?}");
        }
        let all = told("web: {}\nscheduler: {http: {preset: sundial}}");
        assert!(all.iter().any(|line| line.starts_with("scheduler.http.preset: \"sundial\"")), "{all:#?}");
        assert!(all.iter().any(|line| line.starts_with("scheduler.http.callback_url: is missing")), "{all:#?}");
        assert_eq!(
            told("web: {}\nscheduler: {http: {callback_url: 'http://a.example'}}"),
            ["scheduler.http.preset: is missing"]
        );
    }

    #[test]
    fn the_examples_of_its_page_are_valid() {
        let page = include_str!("../../docs/scheduler.md");
        let examples: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        for example in &examples {
            let found = parse(&format!("web: {{public_url: 'https://zerocloud.example.com'}}\n{example}"));
            assert!(found.as_ref().is_ok_and(|config| config.scheduler.is_some()), "{example}{found:?}");
        }
        assert!(!examples.is_empty());
    }

    #[test]
    fn its_secret_is_shown_nowhere() {
        let text = "web: {public_url: 'https://zc.example'}\nscheduler: {http: {preset: dkron, url: 'http://d', authorization: hush-hush}}";
        assert!(!format!("{:?}", parse(text).unwrap()).contains("hush-hush"));
    }
}
