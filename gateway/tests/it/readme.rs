//! The commands in the README do what it says, as they stand there.

use std::path::Path;
use std::process::Command;

use zerocloud_gateway::check;

use crate::app::Served;

const README: &str = include_str!("../../README.md");
const PROGRAM: &str = env!("CARGO_BIN_EXE_zerocloud-gateway");

/// The lines of a section's indented blocks that begin with a command.
fn commands(section: &str, command: &str) -> String {
    let section = README.split(&format!("## {section}\n")).nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let blocks = section.split("\n\n").filter(|block| block.starts_with(&format!("    {command} ")));
    let lines: Vec<&str> = blocks.flat_map(str::lines).map(str::trim_start).collect();
    lines.join("\n")
}

/// Runs a script in a directory where the program can be called by its name; answers what it prints.
async fn run(dir: &Path, script: String) -> String {
    let script = format!(
        "set -e\nPATH=\"$(dirname '{PROGRAM}'):$PATH\"\n\
         curl() {{ command curl --silent --show-error --fail --noproxy '*' \"$@\"; }}\n{script}"
    );
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).current_dir(dir);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("a shell");
    let (shown, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}\n{failed}");
    shown.into_owned()
}

#[tokio::test]
async fn the_sessions_in_the_readme_run_as_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(&dir.path().join("data")).await;
    let host = |url: &str| url.trim_start_matches("http://").to_owned();
    let session = commands("Run it", "curl").replace("localhost:4985", &host(&served.admin));
    let session = session.replace("localhost:4984", &host(&served.public));
    assert!(session.lines().filter(|line| line.starts_with("curl ")).count() >= 7, "{session}");
    let shown = run(dir.path(), session).await;
    for part in [r#""ok":true"#, r#""id":"d1""#, r#""key":["A"]"#, r#""session_id""#] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    let shown = run(dir.path(), commands("Commands", "zerocloud-gateway")).await;
    assert!(shown.contains("./backup.sqlite: ") && shown.contains("no problems"), "{shown}");
    let report = check(&dir.path().join("restored")).expect("readable");
    assert!(report.is_clean() && report.documents == 1, "{report}");
    served.stop().await;
}
