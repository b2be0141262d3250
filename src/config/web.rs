//! The section `web`: where pages are served, how they are reached from outside, and the GitHub app that signs people in.

use super::read::{Problems, Section};
use super::{address, url};
use ipnet::IpNet;
use secrecy::SecretString;
use std::net::{IpAddr, SocketAddr};

/// Pages, mail links and the REST API. Without the section nothing is served.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// The port of the pages.
    pub listen: SocketAddr,
    /// Where people reach it, without a slash at the end. Mails carry links only when it is set.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Who signs people in; without it nobody can, and mail links still work.
    pub github: Option<GitHubSettings>,
    /// Where SES tells of bounces; without it nobody hears of them.
    pub ses: Option<SesSettings>,
    /// Private networks that outgoing hooks may call all the same.
    pub hooks_may_call: Vec<IpNet>,
    /// How long a person stays signed in, seconds.
    pub session: i64,
}

/// The topics of SNS on which SES tells what became of mails.
#[derive(Debug, Clone)]
pub struct SesSettings {
    /// Their ARNs; messages of others are refused.
    pub topics: Vec<String>,
    /// Where SNS's certificates and confirmations are, in place of `https://sns.{region}.amazonaws.com`; for tests.
    pub endpoint: Option<String>,
}

/// An OAuth app of GitHub, or of a GitHub Enterprise Server.
#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// The app's id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Where people sign in.
    pub base_url: String,
    /// Where its REST API answers.
    pub api_url: String,
}

/// Half a day: a working day and no more.
const SESSION: i64 = 43_200;
const GITHUB: &str = "https://github.com";

/// `None` when there is no such section.
pub(super) fn web(root: &Section<'_>, problems: &mut Problems) -> Option<WebSettings> {
    let at = root.section("web", problems);
    at.is_there().then_some(())?;
    at.only(&["listen", "public_url", "trusted_proxies", "github", "ses", "hooks_may_call", "session"], problems);
    let trusted_proxies = networks(&at, "trusted_proxies", problems);
    let public_url = at.parsed("public_url", origin, problems);
    Some(WebSettings {
        listen: at.parsed("listen", address, problems).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
        public_url,
        trusted_proxies,
        github: github(&at.section("github", problems), problems),
        hooks_may_call: networks(&at, "hooks_may_call", problems),
        ses: ses(&at.section("ses", problems), problems),
        session: at.duration("session", problems).unwrap_or(SESSION),
    })
}

fn github(at: &Section<'_>, problems: &mut Problems) -> Option<GitHubSettings> {
    at.is_there().then_some(())?;
    at.only(&["client_id", "client_secret", "base_url", "api_url"], problems);
    let base_url = at.parsed("base_url", url, problems).unwrap_or_else(|| GITHUB.to_owned());
    // GitHub Enterprise Server serves its API below the same host (GitHub Enterprise docs, "Schema").
    let usual = if base_url == GITHUB { "https://api.github.com".to_owned() } else { format!("{base_url}/api/v3") };
    let api_url = at.parsed("api_url", url, problems).unwrap_or(usual);
    let client_id = at.text("client_id", problems);
    let client_id = at.required("client_id", client_id, problems);
    let secret = at.text("client_secret", problems).filter(|text| !text.is_empty());
    let secret = at.required("client_secret", secret, problems);
    Some(GitHubSettings { client_id: client_id?, client_secret: SecretString::from(secret?), base_url, api_url })
}

fn networks(at: &Section<'_>, name: &str, problems: &mut Problems) -> Vec<IpNet> {
    let mut all = Vec::new();
    for text in at.texts(name, problems) {
        match network(&text) {
            Some(network) => all.push(network),
            None => problems.add(&at.key(name), format!("{text:?} is not a network such as 10.0.0.0/8")),
        }
    }
    all
}

fn ses(at: &Section<'_>, problems: &mut Problems) -> Option<SesSettings> {
    at.is_there().then_some(())?;
    at.only(&["topics", "endpoint"], problems);
    let topics = at.texts("topics", problems);
    if topics.is_empty() || topics.iter().any(|topic| !topic.starts_with("arn:aws")) {
        problems.add(&at.key("topics"), "must list ARNs such as arn:aws:sns:us-east-1:111122223333:bounces");
    }
    Some(SesSettings { topics, endpoint: at.parsed("endpoint", url, problems) })
}

/// One address, or a network.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok())
}

/// Scheme, host and port alone: cookies and the callback of GitHub are bound to them.
fn origin(text: &str) -> Result<String, String> {
    let found = url(text)?;
    let parsed = reqwest::Url::parse(&found).map_err(|why| why.to_string())?;
    let bare = parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none();
    let bare = bare && parsed.username().is_empty();
    if bare {
        Ok(parsed.origin().ascii_serialization())
    } else {
        Err(format!("{text:?} has more than scheme, host and port; write https://zerocloud.example.com"))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parse(web: &str) -> Result<Config, Vec<String>> {
        Config::parse(&format!("mail: {{from: a@b.c}}\n{web}"), |_| None)
    }

    #[test]
    fn without_the_section_nothing_is_served_and_an_empty_one_has_defaults() {
        assert!(parse("").unwrap().web.is_none());
        let web = parse("web: {}").unwrap().web.unwrap();
        assert_eq!((web.listen.to_string(), web.session), ("127.0.0.1:8080".to_owned(), 43_200));
        assert!(web.github.is_none() && web.public_url.is_none() && web.trusted_proxies.is_empty());
    }

    #[test]
    fn an_enterprise_server_answers_its_api_below_its_own_host() {
        let github = |more: &str| {
            let text = format!("web: {{github: {{client_id: a, client_secret: b{more}}}}}");
            parse(&text).unwrap().web.unwrap().github.unwrap()
        };
        assert_eq!(github("").api_url, "https://api.github.com");
        assert_eq!(github(", base_url: 'https://git.example.com/'").api_url, "https://git.example.com/api/v3");
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        let text = "web: {listen: here, public_url: 'https://a.example/pages', trusted_proxies: [everyone], \
                    github: {client_id: a}, session: 0s}";
        let problems = parse(text).unwrap_err();
        for key in [
            "web.listen:",
            "web.public_url:",
            "web.trusted_proxies:",
            "web.github.client_secret: is missing",
            "web.session:",
        ] {
            assert!(problems.iter().any(|problem| problem.starts_with(key)), "{key} in {problems:#?}");
        }
    }

    #[test]
    fn the_secret_comes_from_the_environment_too_and_is_shown_nowhere() {
        let environment = |name: &str| (name == "ZEROCLOUD_WEB_GITHUB_CLIENT_SECRET").then(|| "hush-hush".to_owned());
        let text = "mail: {from: a@b.c}\nweb: {github: {client_id: a}}";
        let config = Config::parse(text, environment).unwrap();
        assert!(config.web.as_ref().unwrap().github.is_some());
        assert!(!format!("{config:?}").contains("hush-hush"));
    }
}
