//! What survives: restarts, kill -9, a second process, damage. Always against an embedded gateway.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use zerocloud_gateway::{Config, Gateway, OpenError};

use crate::app::{Served, client, send, text};

/// The program, started and ready.
struct Process {
    child: Child,
    admin: String,
}

impl Process {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zerocloud-gateway"));
        command.arg("--data").arg(dir).args(["--public", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.env_remove("RUST_LOG").stderr(Stdio::piped());
        let mut process = Self { child: command.spawn().expect("starts"), admin: String::new() };
        let lines = BufReader::new(process.child.stderr.take().expect("piped")).lines();
        let mut lines = lines.map_while(Result::ok);
        let admin = lines.find_map(|line| Some(line.split_once(" admin=")?.1.trim().to_owned()));
        process.admin = format!("http://{}", admin.expect("a line that says ready"));
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_acknowledged_write_survives_kill_minus_nine() {
    let dir = tempfile::tempdir().expect("a directory");
    let client = client();
    let mut acknowledged: Vec<(String, String)> = Vec::new();
    let mut last_seq = 0;
    for round in 0..3 {
        let mut process = Process::start(dir.path());
        let db = format!("{}/db", process.admin);
        if round == 0 {
            assert_eq!(send(client.put(format!("{db}/")).json(&json!({}))).await.0, 201);
        }
        for (id, rev) in &acknowledged {
            let (_, doc) = send(client.get(format!("{db}/{id}"))).await;
            assert_eq!(text(&doc["_rev"]), *rev);
        }
        let (_, info) = send(client.get(format!("{db}/"))).await;
        assert!(info["update_seq"].as_i64() >= Some(last_seq), "sequences never go back");
        for number in 0..40 {
            let id = format!("r{round}-{number}");
            let (status, answer) = send(client.put(format!("{db}/{id}")).json(&json!({"n": number}))).await;
            assert_eq!(status, 201);
            acknowledged.push((id, text(&answer["rev"])));
            last_seq += 1;
        }
        process.child.kill().expect("killed");
        process.child.wait().expect("ended");
    }
}

#[tokio::test]
async fn a_second_gateway_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Gateway::open(Config::new(dir.path())).expect("opens");
    let second = Gateway::open(Config::new(dir.path()));
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    drop(first);
    assert!(Gateway::open(Config::new(dir.path())).is_ok());
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("gateway.sqlite");
    std::fs::write(&path, "this is not a database, and long enough to be looked at".repeat(100)).expect("written");
    let before = std::fs::read(&path).expect("read");
    let opened = Gateway::open(Config::new(dir.path()));
    assert!(matches!(opened, Err(OpenError::Corrupt { .. })), "{opened:?}");
    assert_eq!(std::fs::read(&path).expect("read"), before);
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
