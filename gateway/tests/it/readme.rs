//! The commands in the README do what it says.

use std::process::Command;

use crate::app::Served;

const README: &str = include_str!("../../README.md");

/// The indented block of `curl` commands below "Run it".
fn session() -> String {
    let section = README.split("## Run it").nth(1).expect("the section");
    let blocks = section.split("\n\n").filter(|block| block.trim_start().starts_with("curl "));
    let lines: Vec<&str> = blocks.take(1).flat_map(str::lines).map(str::trim_start).collect();
    lines.join("\n")
}

#[tokio::test]
async fn the_session_in_the_readme_runs_as_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path()).await;
    let host = |url: &str| url.trim_start_matches("http://").to_owned();
    let session = session().replace("localhost:4985", &host(&served.admin));
    let session = session.replace("localhost:4984", &host(&served.public));
    assert!(session.lines().filter(|line| line.starts_with("curl ")).count() >= 4, "{session}");
    let script =
        format!("set -e\ncurl() {{ command curl --silent --show-error --fail --noproxy '*' \"$@\"; }}\n{session}");
    let running = tokio::task::spawn_blocking(move || Command::new("sh").arg("-c").arg(script).output());
    let output = running.await.expect("no panic").expect("a shell");
    let (shown, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}\n{failed}");
    assert!(shown.contains(r#""ok":true"#) && shown.contains(r#""id":"d1""#), "{shown}");
    served.stop().await;
}
