//! What a configuration may say, what is told of mistakes, and that the example file is true.

use super::{Config, StoreChoice};
use crate::model::{Policy, Stage};
use secrecy::ExposeSecret;

#[test]
fn mail_that_is_only_logged_is_refused_where_things_end() {
    let text = |stage: &str| {
        format!(
            "mail: {{from: a@b.c, send: log}}\naccounts: [{{id: bigdb, users: [{{id: ada, email: a@b.c, role: admin}}], \
             aws_accounts: [{{aws_id: '111122223333', stage: {stage}}}]}}]"
        )
    };
    assert!(Config::parse(&text("notify"), |_| None).is_ok());
    for stage in ["stop", "terminate"] {
        let problems = Config::parse(&text(stage), |_| None).unwrap_err();
        assert!(problems[0].starts_with("mail.send:"), "{problems:?}");
    }
}

const EXAMPLE: &str = include_str!("../../config.example.yml");

#[test]
fn the_example_is_valid_and_shows_the_defaults() {
    let config = Config::parse(EXAMPLE, |_| None).unwrap();
    let seed = &config.accounts[0];
    assert_eq!(Policy::effective([&seed.policy]), Policy::default());
    assert_eq!(seed.aws_accounts[0].stage, Stage::Observe);
    let least = "mail: {from: zerocloud@bigdb.com}";
    let least = Config::parse(least, |_| None).unwrap();
    assert_eq!(format!("{:?}", least.schedule), format!("{:?}", config.schedule));
    assert_eq!(format!("{:?}", least.store), format!("{:?}", config.store));
    assert_eq!((least.leader_ttl, least.mail.per_second), (config.leader_ttl, config.mail.per_second));
    assert_eq!(format!("{:?}", least.aws), format!("{:?}", config.aws));
}

#[test]
fn every_mistake_is_told_at_once_with_its_key() {
    let bad = r#"
        store: {database: Zero Cloud, admin: "0.0.0.0:4985", public: nowhere}
        aws: {page_size: 4, access_key_id: AKIA, timeout: 0s}
        mail: {send: pigeon}
        schedule: {poll: often}
        leader_tll: 3s
        accounts:
          - id: Big DB
            policy: {grace: 0s, default_lease: 3, warnings: [1h, soon]}
            aws_accounts:
              - {aws_id: 12, stage: destroy, role_arn: x}
              - {aws_id: '111122223333', role_arn: 'arn:aws:iam::444455556666:role/zerocloud', external_id: e}
            users:
              - {id: lin, email: nobody, time_zone: Mars/Base}
              - {id: lin, email: lin@bigdb.com}
          - {id: other, aws_accounts: [{aws_id: '111122223333', stage: terminate}]}
    "#;
    let problems = Config::parse(bad, |_| None).unwrap_err();
    for key in [
        "store.database:",
        "store.admin:",
        "store.public:",
        "aws.page_size:",
        "aws.access_key_id:",
        "aws.timeout:",
        "mail.send:",
        "mail.from:",
        "schedule.poll:",
        "leader_tll:",
        "accounts[0].id:",
        "accounts[0].policy.grace:",
        "accounts[0].policy.default_lease:",
        "accounts[0].policy.warnings:",
        "accounts[0].aws_accounts[0].aws_id:",
        "accounts[0].aws_accounts[0].stage:",
        "accounts[0].aws_accounts[0].external_id:",
        "accounts[0].aws_accounts[1].role_arn:",
        "accounts[0].aws_accounts[1].external_id:",
        "accounts[0].users[0].email:",
        "accounts[0].users[0].time_zone:",
        "accounts[0].users:",
        "accounts[0].users[1].id: is the same as accounts[0].users[0].id",
        "accounts[1].aws_accounts[0].aws_id: is the same as accounts[0].aws_accounts[1].aws_id",
        "accounts[0].policy.default_lease: \"3\"",
    ] {
        assert!(problems.iter().any(|line| line.starts_with(key)), "{key} is not in {problems:#?}");
    }
}

#[test]
fn a_remote_store_takes_its_password_from_the_environment_and_never_shows_it() {
    let text = "store: {public_url: 'http://a:4984', admin_url: 'http://a:4985/', admin_user: zc}\nmail: {from: a@b.c}";
    let config = Config::parse(text, |name| (name == "ZEROCLOUD_STORE_ADMIN_PASSWORD").then(|| "hush".into()));
    let config = config.unwrap();
    assert!(
        matches!(&config.store, StoreChoice::Remote { admin: Some(_), admin_url, .. } if admin_url == "http://a:4985")
    );
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn every_setting_can_come_from_the_environment_and_is_checked_there_too() {
    let from =
        |text: &str, name: &str, value: &str| Config::parse(text, |asked| (asked == name).then(|| value.to_owned()));
    let least = "mail: {from: a@b.c}";
    assert_eq!(from("{}", "ZEROCLOUD_MAIL_FROM", "x@y.z").unwrap().mail.from, "x@y.z");
    assert_eq!(from(least, "ZEROCLOUD_AWS_PAGE_SIZE", "7").unwrap().aws.page_size, 7);
    assert!(!from(least, "ZEROCLOUD_AWS_CHECK_EXTERNAL_ID", "false").unwrap().aws.check_external_id);
    assert_eq!(from(least, "ZEROCLOUD_LEADER_TTL", "90s").unwrap().leader_ttl, 90);
    let problems = from(least, "ZEROCLOUD_AWS_PAGE_SIZE", "many").unwrap_err();
    assert!(problems[0].starts_with("aws.page_size:"), "{problems:?}");
    for setting in super::SETTINGS {
        let problems = from(least, &super::variable(setting), "\u{1}").err().unwrap_or_default();
        assert!(problems.iter().all(|line| !line.contains("is not a setting")), "{setting}: {problems:?}");
    }
}

#[test]
fn a_setting_can_come_from_a_file_that_the_environment_names() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    std::fs::write(&secret, "hush: 12\n").unwrap();
    let text = "store: {public_url: 'http://a:4984', admin_url: 'http://a:4985', admin_user: zc}\nmail: {from: a@b.c}";
    let load = |path: &std::path::Path| {
        let path = path.display().to_string();
        Config::parse(text, move |name| (name == "ZEROCLOUD_STORE_ADMIN_PASSWORD_FILE").then(|| path.clone()))
    };
    let StoreChoice::Remote { admin: Some((_, password)), .. } = load(&secret).unwrap().store else {
        panic!("no password was read")
    };
    assert_eq!(password.expose_secret(), "hush: 12");
    let problems = load(&folder.path().join("absent")).unwrap_err();
    assert!(problems[0].starts_with("store.admin_password:"), "{problems:?}");
}

#[test]
fn durations_are_whole_and_positive() {
    for (text, seconds) in [("90s", 90), ("15m", 900), ("12h", 43_200), ("3d", 259_200), ("1d 12h", 129_600)] {
        assert_eq!(super::parse_duration(text), Ok(seconds));
    }
    for bad in ["", "0s", "-1h", "3", "1.5s", "1month", "999999d", "soon"] {
        assert!(super::parse_duration(bad).is_err(), "{bad} was read");
    }
}
