//! The section `scheduler`: a service outside that is told of each deadline and calls back. Without it deadlines are kept in
//! this process.

mod request;

pub use request::{Blanks, FilledIn, RequestTemplate};

use super::read::{Problems, Section};
use super::url;
use crate::model::Time;
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;

/// Calls a second, at most: more is no pace.
const FASTEST: u32 = 1_000;

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
    /// EventBridge Scheduler, with zerocloud's own keys: it puts an event, a rule hands it to an API destination, which calls.
    EventBridge {
        /// The bus that the event is put on.
        bus: String,
        /// What the scheduler may put it with.
        role_arn: String,
        /// The group of its schedules.
        group: String,
        /// Another address for the service, for tests and private links.
        endpoint: Option<String>,
    },
    /// Any other HTTP API.
    Template {
        /// Makes a job, or replaces the one of that name.
        register: RequestTemplate,
        /// Where its answer names the job, as a JSON pointer; nothing when jobs go by our name.
        job: Option<String>,
        /// Takes a job away.
        remove: Option<RequestTemplate>,
        /// `secret` in the templates.
        secret: SecretString,
    },
}

impl OutsideService {
    /// As config.yml names it.
    pub fn name(&self) -> &'static str {
        match self {
            OutsideService::Dkron { .. } => "dkron",
            OutsideService::EventBridge { .. } => "eventbridge",
            OutsideService::Template { .. } => "template",
        }
    }
}

/// `None` when there is no such section. `public_url` is that of the pages.
pub(super) fn scheduler(root: &Section<'_>, problems: &mut Problems) -> Option<OutsideSettings> {
    let section = root.section("scheduler", problems);
    section.only(&["http"], problems);
    let at = section.section("http", problems);
    at.is_there().then_some(())?;
    let service = service(&at, problems);
    let callback_url = callback(root, &at, problems);
    let timeout = Duration::from_secs(at.duration("timeout", problems).unwrap_or(10).unsigned_abs());
    let per_second = at.count("per_second", problems).unwrap_or(10);
    if per_second > FASTEST {
        problems.add(&at.key("per_second"), format!("must be from 1 to {FASTEST}"));
    }
    Some(OutsideSettings { service: service?, callback_url: callback_url?, timeout, per_second })
}

fn service(at: &Section<'_>, problems: &mut Problems) -> Option<OutsideService> {
    let preset = at.text("preset", problems);
    match at.required("preset", preset, problems)?.as_str() {
        "dkron" => {
            known(at, &["url", "authorization"], problems);
            dkron(at, problems)
        }
        "eventbridge" => {
            known(at, &["bus", "role_arn", "group", "url"], problems);
            eventbridge(at, problems)
        }
        "template" => {
            known(at, &["register", "job", "remove", "secret"], problems);
            template(at, problems)
        }
        other => {
            problems.add(&at.key("preset"), format!("{other:?} is none of dkron, eventbridge, template"));
            None
        }
    }
}

/// Each preset has settings of its own.
fn known(at: &Section<'_>, own: &[&str], problems: &mut Problems) {
    at.only(&[&["preset", "callback_url", "timeout", "per_second"], own].concat(), problems);
}

fn eventbridge(at: &Section<'_>, problems: &mut Problems) -> Option<OutsideService> {
    let arn = |service: &'static str, example: &'static str| {
        move |text: &str| {
            let parts: Vec<&str> = text.split(':').collect();
            let fits =
                matches!(parts[..], ["arn", partition, found, ..] if partition.starts_with("aws") && found == service);
            if fits && parts.len() == 6 {
                Ok(text.to_owned())
            } else {
                Err(format!("{text:?} is no ARN such as {example}"))
            }
        }
    };
    let bus = arn("events", "arn:aws:events:us-east-1:111122223333:event-bus/zerocloud");
    let found = at.parsed("bus", bus, problems);
    let bus = at.required("bus", found, problems);
    let role = arn("iam", "arn:aws:iam::111122223333:role/zerocloud-scheduler");
    let found = at.parsed("role_arn", role, problems);
    let role_arn = at.required("role_arn", found, problems);
    let group = at.text("group", problems).unwrap_or_else(|| "default".to_owned());
    let endpoint = at.parsed("url", url, problems);
    Some(OutsideService::EventBridge { bus: bus?, role_arn: role_arn?, group, endpoint })
}

fn template(at: &Section<'_>, problems: &mut Problems) -> Option<OutsideService> {
    let pointer = |text: &str| match text.strip_prefix('/') {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("{text:?} is no JSON pointer such as /cron_job_id")),
    };
    let job = at.parsed("job", pointer, problems);
    let secret = SecretString::from(at.text("secret", problems).unwrap_or_default());
    let sample = Blanks { name: "name", secret: secret.expose_secret(), ..Blanks::default() };
    let request = |name: &str, blanks: Blanks<'_>, problems: &mut Problems| {
        let part = at.section(name, problems);
        part.is_there().then_some(())?;
        part.only(&["method", "url", "headers", "body"], problems);
        RequestTemplate::read(&part, blanks, problems)
    };
    let times = Blanks { callback: Some("https://zerocloud.example.com"), at: Some(Time::from_unix(0)), ..sample };
    let found = request("register", times, problems);
    let register = at.required("register", found, problems);
    let remove = request("remove", Blanks { job: job.as_ref().map(|_| "1"), ..sample }, problems);
    Some(OutsideService::Template { register: register?, job, remove, secret })
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
        let all = told(
            "web: {}\nscheduler: {http: {preset: eventbridge, bus: here, authorization: x, callback_url: 'http://a.example'}}",
        );
        for key in ["authorization: is not a setting", "bus: \"here\"", "role_arn: is missing"] {
            assert!(all.iter().any(|line| line.starts_with(&format!("scheduler.http.{key}"))), "{key} in {all:#?}");
        }
        let all = told(
            "web: {}\nscheduler: {http: {preset: template, callback_url: 'http://a.example', job: id, \
             register: {method: post, url: 'http://b', headers: [x]}, remove: {method: DELETE, url: 'http://b/{{ at.unix }}'}}}",
        );
        for key in [
            "job: \"id\"",
            "register.method: \"post\"",
            "register.headers: is not a mapping",
            "remove.url: is no template",
        ] {
            assert!(all.iter().any(|line| line.starts_with(&format!("scheduler.http.{key}"))), "{key} in {all:#?}");
        }
        let all = told("web: {}\nscheduler: {http: {preset: sundial, per_second: 1001}}");
        assert!(all.iter().any(|line| line.starts_with("scheduler.http.preset: \"sundial\"")), "{all:#?}");
        assert!(all.iter().any(|line| line.starts_with("scheduler.http.callback_url: is missing")), "{all:#?}");
        assert!(
            all.iter().any(|line| line.starts_with("scheduler.http.per_second: must be from 1 to 1000")),
            "{all:#?}"
        );
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
