//! config.yml and the environment, checked whole before anything starts: every mistake at once, with its key.
//!
//! Durations are texts such as `3d` here and integer seconds in documents. The only reader of the environment.

mod read;
mod scheduler;
mod seeds;
mod web;

pub use read::parse_duration;
pub use scheduler::{Blanks, FilledIn, OutsideService, OutsideSettings, RequestTemplate};
pub use seeds::{AccountSeed, AwsAccountSeed, UserSeed};
pub use web::{GitHubSettings, SesSettings, WebSettings};

use crate::model::Stage;
use read::{Problems, Section};
use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that an installation decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where documents live.
    pub store: StoreChoice,
    /// The database there.
    pub database: String,
    /// How to reach AWS.
    pub aws: AwsSettings,
    /// How mail goes out.
    pub mail: MailSettings,
    /// Cron expressions of the recurring jobs.
    pub schedule: Schedule,
    /// A service outside that keeps the deadlines; otherwise this process does.
    pub scheduler: Option<OutsideSettings>,
    /// How long a leader may be silent before another takes over, seconds.
    pub leader_ttl: i64,
    /// Pages, mail links and the REST API; nothing is served without it.
    pub web: Option<WebSettings>,
    /// Documents to make when they do not exist yet.
    pub accounts: Vec<AccountSeed>,
    /// Where a crash test stops the process: `ZEROCLOUD_FAILPOINT`, from the environment only.
    pub failpoint: Option<String>,
}

/// The embedded gateway, or a Sync Gateway by URL.
#[derive(Debug, Clone)]
pub enum StoreChoice {
    /// In this process.
    Embedded {
        /// Directory of the database file.
        data: PathBuf,
        /// People's port.
        public: SocketAddr,
        /// The service's port; loopback only.
        admin: SocketAddr,
    },
    /// Elsewhere.
    Remote {
        /// People's port.
        public_url: String,
        /// The service's port.
        admin_url: String,
        /// Admin name and password, when the gateway asks for them.
        admin: Option<(String, SecretString)>,
    },
}

/// How to reach AWS.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    /// Region of STS and SES.
    pub region: String,
    /// Keys of zerocloud's own AWS account; absent means the default chain.
    pub keys: Option<(String, SecretString)>,
    /// Endpoint overrides.
    pub endpoints: Endpoints,
    /// Instances on a page, 5 to 1000.
    pub page_size: i32,
    /// Calls a second for each AWS account and region.
    pub requests_per_second: u32,
    /// Limit for one call.
    pub timeout: Duration,
    /// Whether a role that answers without its external id is refused (SAFETY.md, invariant 7).
    pub check_external_id: bool,
    /// Whether CloudTrail is asked who launched what no event told of.
    pub lookup_launches: bool,
}

/// Other addresses for AWS services.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// EC2.
    pub ec2: Option<String>,
    /// STS.
    pub sts: Option<String>,
    /// SES.
    pub ses: Option<String>,
    /// CloudTrail.
    pub cloudtrail: Option<String>,
    /// Auto Scaling.
    pub autoscaling: Option<String>,
}

/// How mail goes out.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The sender.
    pub from: String,
    /// Whether SES sends it; otherwise it is only logged and nothing counts as accepted.
    pub ses: bool,
    /// Mails a second.
    pub per_second: u32,
}

/// Cron expressions, with seconds.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The detector.
    pub poll: String,
    /// The sweep over overdue leases.
    pub sweep: String,
    /// The outbox.
    pub outbox: String,
    /// Old documents.
    pub cleanup: String,
}

/// The settings that the environment may override.
const SETTINGS: [&str; 43] = [
    "store.database",
    "store.data",
    "store.public",
    "store.admin",
    "store.public_url",
    "store.admin_url",
    "store.admin_user",
    "store.admin_password",
    "aws.region",
    "aws.lookup_launches",
    "aws.endpoints.cloudtrail",
    "aws.access_key_id",
    "aws.secret_access_key",
    "aws.page_size",
    "aws.requests_per_second",
    "aws.timeout",
    "aws.check_external_id",
    "aws.endpoints.ec2",
    "aws.endpoints.sts",
    "aws.endpoints.ses",
    "aws.endpoints.autoscaling",
    "mail.from",
    "mail.send",
    "mail.per_second",
    "schedule.poll",
    "schedule.sweep",
    "schedule.outbox",
    "schedule.cleanup",
    "scheduler.http.preset",
    "scheduler.http.url",
    "scheduler.http.authorization",
    "scheduler.http.secret",
    "scheduler.http.callback_url",
    "scheduler.http.timeout",
    "scheduler.http.per_second",
    "leader_ttl",
    "web.listen",
    "web.public_url",
    "web.session",
    "web.github.client_id",
    "web.github.client_secret",
    "web.github.base_url",
    "web.github.api_url",
];

/// `aws.endpoints.ec2` is `ZEROCLOUD_AWS_ENDPOINTS_EC2`.
fn variable(setting: &str) -> String {
    format!("ZEROCLOUD_{}", setting.replace('.', "_").to_uppercase())
}

/// What the environment has instead of a setting: the value itself, or the file that holds it, as secrets are mounted.
fn override_of(setting: &str, environment: &impl Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    let name = variable(setting);
    if let Some(value) = environment(&name) {
        return Ok(Some(value));
    }
    let Some(path) = environment(&format!("{name}_FILE")) else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(why) => Err(format!("cannot be read from {path}, which {name}_FILE names: {why}")),
    }
}

/// Passwords of the two gateways of `migrate`, which needs no config.yml: from the environment only, so that they stand in
/// no list of processes and no shell history.
pub fn migrate_passwords() -> [Option<SecretString>; 2] {
    #[expect(clippy::disallowed_methods, reason = "config.rs is the one reader of the environment")]
    let read = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty()).map(SecretString::from);
    ["ZEROCLOUD_MIGRATE_FROM_PASSWORD", "ZEROCLOUD_MIGRATE_TO_PASSWORD"].map(read)
}

/// Where `login` notes its token: `ZEROCLOUD_CREDENTIALS`, else below `XDG_CONFIG_HOME`, else below the home directory.
pub fn credentials_file() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "config.rs is the one reader of the environment")]
    let read = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty()).map(PathBuf::from);
    read("ZEROCLOUD_CREDENTIALS").or_else(|| {
        let folder = read("XDG_CONFIG_HOME").or_else(|| read("HOME").map(|home| home.join(".config")))?;
        Some(folder.join("zerocloud/credentials.json"))
    })
}

/// Every mistake in a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{file} has {} mistake(s); nothing was started:\n  {}", problems.len(), problems.join("\n  "))]
pub struct BadConfig {
    /// The file.
    pub file: String,
    /// One line each: key and what would be right.
    pub problems: Vec<String>,
}

impl Config {
    /// Reads a file. Every single setting outside a list can be overridden from the environment: `mail.from` by
    /// `ZEROCLOUD_MAIL_FROM`, or by the content of the file that `ZEROCLOUD_MAIL_FROM_FILE` names, so that no secret needs
    /// to stand in the file or in the environment.
    pub fn load(path: &Path) -> Result<Config, BadConfig> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|why| BadConfig {
            file: file.clone(),
            problems: vec![format!("cannot be read: {why}; copy config.example.yml there")],
        })?;
        #[expect(clippy::disallowed_methods, reason = "config.rs is the one reader of the environment")]
        Config::parse(&text, |name| std::env::var(name).ok()).map_err(|problems| BadConfig { file, problems })
    }

    /// Reads a text; `environment` answers for the overrides.
    pub fn parse(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Config, Vec<String>> {
        let mut yaml = serde_yaml_ng::from_str(text).map_err(|why| vec![format!("is not YAML: {why}")])?;
        let mut problems = Problems::default();
        for setting in SETTINGS {
            match override_of(setting, &environment) {
                Ok(Some(value)) => read::put(&mut yaml, setting, &value),
                Ok(None) => {}
                Err(why) => problems.add(setting, why),
            }
        }
        let root = Section::root(&yaml);
        root.only(&["store", "aws", "mail", "schedule", "scheduler", "leader_ttl", "web", "accounts"], &mut problems);
        let section = root.section("store", &mut problems);
        let config = Config {
            store: store(&section, &mut problems),
            database: section.parsed("database", database, &mut problems).unwrap_or_else(|| "zerocloud".to_owned()),
            aws: aws(&root.section("aws", &mut problems), &mut problems),
            mail: mail(&root.section("mail", &mut problems), &mut problems),
            schedule: schedule(&root.section("schedule", &mut problems), &mut problems),
            scheduler: scheduler::scheduler(&root, &mut problems),
            leader_ttl: root.duration("leader_ttl", &mut problems).unwrap_or(30),
            web: web::web(&root, &mut problems),
            accounts: seeds::accounts(&root, &mut problems),
            failpoint: environment("ZEROCLOUD_FAILPOINT"),
        };
        logged_mail(&config, &mut problems);
        own_ports(&config, &mut problems);
        sensible_lengths(&config, &mut problems);
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }
}

/// Each listener needs a port of its own; 0 takes any free one.
fn own_ports(config: &Config, problems: &mut Problems) {
    let StoreChoice::Embedded { public, admin, .. } = &config.store else { return };
    let mut ports = vec![("store.public", public.port()), ("store.admin", admin.port())];
    ports.extend(config.web.iter().map(|web| ("web.listen", web.listen.port())));
    for (at, (key, port)) in ports.iter().enumerate() {
        if let Some((other, _)) = ports[..at].iter().find(|(_, taken)| *port != 0 && taken == port) {
            problems.add(key, format!("has the port of {other}: give each its own"));
        }
    }
}

/// Lengths that contradict each other mean something else than was written.
fn sensible_lengths(config: &Config, problems: &mut Problems) {
    for (number, account) in config.accounts.iter().enumerate() {
        let policy = crate::model::Policy::effective([&account.policy]);
        let key = |name: &str| format!("accounts[{number}].policy.{name}");
        if policy.max_lease < policy.default_lease {
            problems.add(
                &key("max_lease"),
                "is less than default_lease: a renewal would reach less far than the first lease",
            );
        }
        if policy.max_total.is_some_and(|total| total < policy.default_lease) {
            problems.add(&key("max_total"), "is less than default_lease: no lease could be that long");
        }
    }
}

/// Mail that is only logged counts as accepted by nobody, so nothing would ever end: not what those stages mean.
fn logged_mail(config: &Config, problems: &mut Problems) {
    let aws = config.accounts.iter().flat_map(|account| &account.aws_accounts);
    let ends = aws.filter(|aws| !config.mail.ses && aws.stage >= Stage::Stop);
    for aws in ends {
        problems.add(
            "mail.send",
            format!(
                "log sends nothing, so nothing may end in {}: use ses, or stage observe or notify there",
                aws.aws_id
            ),
        );
    }
}

fn url(text: &str) -> Result<String, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(format!("{text:?} is not a URL such as https://gateway.example.com:4984")),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address such as 127.0.0.1:4984"))
}

/// A name that both gateways take, and that needs no escaping in an address.
fn database(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if text.len() <= 100 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a database name: a small letter, then small letters, digits, _ or -"))
}

fn store(at: &Section<'_>, problems: &mut Problems) -> StoreChoice {
    let settings = ["database", "data", "public", "admin", "public_url", "admin_url", "admin_user", "admin_password"];
    at.only(&settings, problems);
    let public_url = at.parsed("public_url", url, problems);
    let admin_url = at.parsed("admin_url", url, problems);
    if public_url.is_some() != admin_url.is_some() {
        problems.add(&at.key("public_url"), "and admin_url belong together: give both, or neither");
    }
    let password = at.text("admin_password", problems);
    if let (Some(public_url), Some(admin_url)) = (public_url, admin_url) {
        let admin = at.text("admin_user", problems).zip(password.map(SecretString::from));
        return StoreChoice::Remote { public_url, admin_url, admin };
    }
    let admin = at.parsed("admin", address, problems).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 4985)));
    if !admin.ip().is_loopback() {
        problems.add(&at.key("admin"), "must be a loopback address: whoever reaches it may do everything");
    }
    StoreChoice::Embedded {
        data: at.text("data", problems).unwrap_or_else(|| "zerocloud-data".to_owned()).into(),
        public: at.parsed("public", address, problems).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 4984))),
        admin,
    }
}

fn aws(at: &Section<'_>, problems: &mut Problems) -> AwsSettings {
    at.only(
        &[
            "region",
            "access_key_id",
            "secret_access_key",
            "endpoints",
            "page_size",
            "requests_per_second",
            "timeout",
            "check_external_id",
            "lookup_launches",
        ],
        problems,
    );
    let ends = at.section("endpoints", problems);
    ends.only(&["ec2", "sts", "ses", "autoscaling", "cloudtrail"], problems);
    let id = at.text("access_key_id", problems);
    let secret = at.text("secret_access_key", problems);
    if id.is_some() != secret.is_some() {
        problems.add(&at.key("access_key_id"), "and secret_access_key belong together: give both, or neither");
    }
    let page_size = at.count("page_size", problems).unwrap_or(500);
    if !(5..=1000).contains(&page_size) {
        problems.add(&at.key("page_size"), "must be from 5 to 1000 (EC2 DescribeInstances, MaxResults)");
    }
    AwsSettings {
        region: at.text("region", problems).unwrap_or_else(|| "us-east-1".to_owned()),
        keys: id.zip(secret.map(SecretString::from)),
        endpoints: Endpoints {
            ec2: ends.parsed("ec2", url, problems),
            sts: ends.parsed("sts", url, problems),
            ses: ends.parsed("ses", url, problems),
            cloudtrail: ends.parsed("cloudtrail", url, problems),
            autoscaling: ends.parsed("autoscaling", url, problems),
        },
        page_size: i32::try_from(page_size).unwrap_or(500),
        requests_per_second: at.count("requests_per_second", problems).unwrap_or(5),
        timeout: Duration::from_secs(at.duration("timeout", problems).unwrap_or(30).unsigned_abs()),
        check_external_id: at.flag("check_external_id", problems).unwrap_or(true),
        lookup_launches: at.flag("lookup_launches", problems).unwrap_or(false),
    }
}

fn mail(at: &Section<'_>, problems: &mut Problems) -> MailSettings {
    at.only(&["from", "send", "per_second"], problems);
    let ses = match at.text("send", problems).as_deref() {
        None | Some("ses") => true,
        Some("log") => false,
        Some(other) => {
            problems.add(&at.key("send"), format!("{other:?} is neither ses nor log"));
            false
        }
    };
    let from = at.parsed("from", seeds::email, problems);
    MailSettings {
        from: at.required("from", from, problems).unwrap_or_default(),
        ses,
        per_second: at.count("per_second", problems).unwrap_or(10),
    }
}

fn schedule(at: &Section<'_>, problems: &mut Problems) -> Schedule {
    at.only(&["poll", "sweep", "outbox", "cleanup"], problems);
    let mut cron = |name: &str, default: &str| {
        let text = at.text(name, problems).unwrap_or_else(|| default.to_owned());
        if let Err(why) = tokio_cron_scheduler::Job::new(text.as_str(), |_, _| ()) {
            problems
                .add(&at.key(name), format!("{text:?} is not a cron expression with seconds ({why}); try {default:?}"));
        }
        text
    };
    Schedule {
        poll: cron("poll", "0 * * * * *"),
        sweep: cron("sweep", "30 * * * * *"),
        outbox: cron("outbox", "*/10 * * * * *"),
        cleanup: cron("cleanup", "0 0 * * * *"),
    }
}

#[cfg(test)]
mod tests;
