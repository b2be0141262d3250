//! What survives: restarts, kill -9, a second process, damage, a full disk. Always against an embedded gateway.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gateway_load::http::Client;
use gateway_load::kills::Kills;
use gateway_load::lease;
use gateway_load::process::Process;
use serde_json::{Value, json};
use zerocloud_gateway::{Config, Gateway, OpenError, check};

use crate::app::{Served, client, send};

/// The load program's `soak` runs more.
const ROUNDS: u64 = 20;
const SEED: u64 = 20_261_125;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zerocloud-gateway");

#[tokio::test]
async fn what_was_acknowledged_survives_kill_minus_nine_under_load() {
    let dir = tempfile::tempdir().expect("a directory");
    let kills = Kills { program: PROGRAM.into(), rounds: ROUNDS, seed: SEED, writers: 8 };
    let kept = kills.run(dir.path(), |_, _| {}).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(kept.docs > 100 && kept.told > 100 && kept.sessions > 0 && kept.checkpoints > 0, "{kept:?}");
}

#[tokio::test]
async fn a_second_gateway_on_the_same_directory_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Process::start(Path::new(PROGRAM), dir.path()).await.expect("starts");
    let mut client = Client::connect(first.admin).await.expect("connects");
    client.request("PUT", "/db/", b"{}").await.and_then(|answer| answer.expect(201)).expect("created");
    let second = Command::new(PROGRAM).arg("--data").arg(dir.path()).env_remove("RUST_LOG").output().expect("runs");
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("is in use by another process"), "{said}");
    let inside = Gateway::open(Config::new(dir.path()));
    assert!(matches!(inside, Err(OpenError::InUse(_))), "{inside:?}");
    client.request("PUT", "/db/d", b"{}").await.and_then(|answer| answer.expect(201)).expect("stored");
    first.kill().await.expect("killed");
    assert!(Gateway::open(Config::new(dir.path())).is_ok());
    assert!(Gateway::open(Config::new(dir.path())).is_ok(), "free again once it is dropped");
}

/// A closed gateway's directory with enough documents for many pages.
async fn filled(dir: &Path) {
    let served = Served::start(dir).await;
    let (client, db) = (client(), format!("{}/db", served.admin));
    assert_eq!(send(client.put(format!("{db}/")).json(&json!({}))).await.0, 201);
    let docs: Vec<Value> = (0..300).filter_map(|n| serde_json::from_str(&lease::with_id(n)).ok()).collect();
    assert_eq!(send(client.post(format!("{db}/_bulk_docs")).json(&json!({"docs": docs}))).await.0, 201);
    served.stop().await;
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path()).await;
    let path = dir.path().join("gateway.sqlite");
    let whole = std::fs::read(&path).expect("read");
    let mut scratched = whole.clone();
    scratched[20 * 4096..24 * 4096].fill(0xa5);
    let foreign = dir.path().join("foreign");
    let other = rusqlite::Connection::open(&foreign).expect("opens");
    other.execute_batch("CREATE TABLE theirs (n)").expect("made");
    drop(other);
    for (what, content) in [
        ("text", b"this is not a database, and long enough to be looked at".repeat(100)),
        ("another program's", std::fs::read(&foreign).expect("read")),
        ("cut off", whole[..whole.len() / 2].to_vec()),
        ("scratched", scratched),
    ] {
        std::fs::write(&path, &content).expect("written");
        let opened = Gateway::open(Config::new(dir.path()));
        assert!(matches!(opened, Err(OpenError::Corrupt { .. })), "{what}: {opened:?}");
        assert!(std::fs::read(&path).expect("read") == content, "{what}: changed");
    }
    std::fs::write(&path, &whole).expect("written");
    assert!(Gateway::open(Config::new(dir.path())).is_ok());
}

#[tokio::test]
async fn damage_under_a_running_gateway_is_told_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path()).await;
    let served = Served::start(dir.path()).await;
    let (client, db) = (client(), format!("{}/db", served.admin));
    let path = dir.path().join("gateway.sqlite");
    let mut content = std::fs::read(&path).expect("read");
    let from = content.len() / 4096 / 2 * 4096;
    content[from..from + 40 * 4096].fill(0xa5);
    // Written through the gateway's own file: one that takes its place would not be seen.
    std::fs::write(&path, &content).expect("written");
    let mut statuses = std::collections::BTreeSet::new();
    for n in 0..300 {
        statuses.insert(send(client.get(format!("{db}/{}", lease::id(n)))).await.0);
    }
    assert!(statuses.contains(&500) && statuses.contains(&200), "{statuses:?}");
    let report = check(dir.path()).expect("readable");
    assert!(!report.is_clean());
    served.stop().await;
}

#[tokio::test]
async fn a_read_only_file_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path()).await;
    let path = dir.path().join("gateway.sqlite");
    let before = std::fs::read(&path).expect("read");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).expect("set");
    let opened = Gateway::open(Config::new(dir.path()));
    assert!(matches!(opened, Err(OpenError::Unwritable { .. })), "{opened:?}");
    let said = opened.expect_err("refused").to_string();
    assert!(said.contains("cannot be opened for writing"), "{said}");
    assert!(std::fs::read(&path).expect("read") == before);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
    assert!(Gateway::open(Config::new(dir.path())).is_ok());
}

#[tokio::test]
async fn a_file_that_may_not_grow_ends_writes_with_507_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let limited = dir.path().join("limited");
    let script = format!("#!/bin/sh\nulimit -f 3000\ntrap '' XFSZ\nexec '{PROGRAM}' \"$@\"\n");
    std::fs::write(&limited, script).expect("written");
    std::fs::set_permissions(&limited, std::fs::Permissions::from_mode(0o700)).expect("set");
    let data = dir.path().join("data");
    let process = Process::start(&limited, &data).await.expect("starts");
    let mut client = Client::connect(process.admin).await.expect("connects");
    client.request("PUT", "/db/", b"{}").await.and_then(|answer| answer.expect(201)).expect("created");
    let mut stored = 0;
    let refused = loop {
        let body = lease::text(stored);
        let answer = client.request("PUT", &format!("/db/d{stored}"), body.as_bytes()).await.expect("an answer");
        if answer.status != 201 {
            break answer;
        }
        stored += 1;
        assert!(stored < 20_000, "the limit is not in force");
    };
    assert_eq!(refused.status, 507, "{}", String::from_utf8_lossy(&refused.body));
    let read = client.request("GET", "/db/d0", b"").await.expect("an answer");
    assert_eq!(read.status, 200);
    process.kill().await.expect("killed");
    let report = check(&data).expect("readable");
    assert!(report.is_clean() && report.documents == stored as u64, "{stored} stored: {report}");
    let process = Process::start(Path::new(PROGRAM), &data).await.expect("starts without the limit");
    let mut client = Client::connect(process.admin).await.expect("connects");
    let answer = client.request("PUT", &format!("/db/d{stored}"), b"{}").await.expect("an answer");
    assert_eq!(answer.status, 201);
    process.kill().await.expect("killed");
}

#[tokio::test]
async fn shutdown_cuts_feeds_at_once_and_everything_is_there_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let client = client();
    let served = Served::start(dir.path()).await;
    let db = format!("{}/db", served.admin);
    assert_eq!(send(client.put(format!("{db}/")).json(&json!({}))).await.0, 201);
    let user = json!({"password": "letmein", "admin_channels": ["A"]});
    assert_eq!(send(client.put(format!("{db}/_user/alice")).json(&user)).await.0, 201);
    assert_eq!(send(client.put(format!("{db}/d")).json(&json!({"channels": ["A"]}))).await.0, 201);
    let feed = client.get(format!("{db}/_changes?feed=continuous")).send().await.expect("a feed");
    assert!(served.stop().await < Duration::from_secs(4));
    drop(feed);
    let served = Served::start(dir.path()).await;
    let url = format!("{}/db/d", served.public);
    let (status, doc): (u16, Value) = send(client.get(url).basic_auth("alice", Some("letmein"))).await;
    assert_eq!((status, &doc["channels"]), (200, &json!(["A"])));
    served.stop().await;
}
