//! The command itself: questions, exit codes, the report, and that no password shows anywhere.

use super::proxy::{Action, Asked, Proxy};
use super::world::Gateway;
use base64::Engine as _;
use serde_json::Value;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::process::Command;

const PASSWORDS: [(&str, &str); 2] =
    [("ZEROCLOUD_MIGRATE_FROM_PASSWORD", "from-hush"), ("ZEROCLOUD_MIGRATE_TO_PASSWORD", "to-hush")];

fn command(from: &str, to: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zerocloud"));
    command.args(["migrate", "--from", from, "--to", to]).args(more);
    command.envs(PASSWORDS).env("RUST_LOG", "trace").stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn output(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        tokio::time::timeout(Duration::from_mins(2), command.output()).await.unwrap().unwrap();
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let basic = |login: &str| base64::engine::general_purpose::STANDARD.encode(login);
    for secret in ["from-hush", "to-hush", &basic("ada:from-hush"), &basic("lin:to-hush")] {
        assert!(!stdout.contains(secret) && !stderr.contains(secret), "{secret} shows:\n{stdout}\n{stderr}");
    }
    (status.code(), stdout, stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_migrate_command_is_killed_goes_on_and_shows_no_password() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(2_000).await;
    let batches = AtomicUsize::new(0);
    let proxy = Proxy::start(&to.running.admin, move |asked: &Asked<'_>| {
        let third = asked.path.ends_with("/_bulk_docs") && batches.fetch_add(1, Ordering::SeqCst) == 2;
        if third { Action::Hold } else { Action::Pass }
    })
    .await;
    let source = Proxy::start(&from.running.admin, |_: &Asked<'_>| Action::Pass).await;
    let (from_url, to_url) = (format!("{}/zerocloud", source.url), format!("{}/zerocloud", proxy.url));
    let users = ["--from-user", "ada", "--to-user", "lin"];
    let (code, stdout, stderr) = output(command(&from_url, &to_url, &users)).await;
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "nobody agreed: {stderr}");
    assert!(
        stderr.contains("passwords") && stderr.contains("make the database") && stderr.contains("--yes"),
        "{stderr}"
    );
    assert_eq!(to.call(reqwest::Method::GET, "/", None).await.0, 404);
    let yes: Vec<&str> = users.iter().copied().chain(["--yes", "--json"]).collect();
    let mut killed = command(&from_url, &to_url, &yes).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    tokio::time::timeout(Duration::from_mins(1), proxy.held()).await.unwrap();
    killed.kill().await.unwrap();
    let (code, stdout, stderr) = output(command(&from_url, &to_url, &yes)).await;
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|why| panic!("{why}: {stdout}\n{stderr}"));
    assert_eq!((code, &report["complete"], &report["resumed"]), (Some(0), &true.into(), &true.into()), "{report:#}");
    assert_eq!(report["to_documents"]["live"], 2_000);
    assert!(report["copied"].as_u64().unwrap() < 2_000 && stderr.contains("copying documents: "), "{stderr}");
    let sent = [source.authorizations(), proxy.authorizations()].map(|all| all.first().cloned().unwrap());
    assert_eq!(sent, ["Basic YWRhOmZyb20taHVzaA==", "Basic bGluOnRvLWh1c2g="]);
    from.running.stop().await;
    to.running.stop().await;
}

#[tokio::test]
async fn the_migrate_command_fails_where_sides_differ_and_tells_people_what() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (from, to) = (Gateway::start(folders[0].path()).await, Gateway::start(folders[1].path()).await);
    from.fill(20).await;
    let (code, stdout, _) = output(command(&from.url(), &to.url(), &["--yes"])).await;
    assert!(code == Some(0) && stdout.contains("Complete: both sides are equal."), "{stdout}");
    to.put("/own", serde_json::json!({})).await;
    let (code, stdout, _) = output(command(&from.url(), &to.url(), &["--yes"])).await;
    assert!(code == Some(1) && stdout.contains("own is on the target only"), "{stdout}");
    assert!(stdout.contains("NOT complete"), "{stdout}");
    let with_password = from.url().replace("http://", "http://ada:from-hush@");
    let (code, _, stderr) = output(command(&with_password, &to.url(), &["--yes"])).await;
    assert!(code == Some(1) && stderr.contains("must not carry a password"), "{stderr}");
    from.running.stop().await;
    to.running.stop().await;
}
