//! Whether a document costs the same when there are many.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Found, Target, reads, writes};
use crate::http::Client;
use crate::lease;
use crate::process::Process;

/// Documents of one bulk measurement.
const STEP: usize = 5000;

/// Measures at each size; the costs of the first and the last should not differ by much.
pub(super) async fn all(target: &Target, sizes: &[usize], program: &Path) -> anyhow::Result<()> {
    if !target.wants("growth") {
        return Ok(());
    }
    let mut admin = Client::connect(target.admin()).await?;
    let design = json!({"views": {"by_owner": {"map": lease::MAP}}}).to_string();
    admin.request("PUT", "/db/_design/leases", design.as_bytes()).await?.expect(201)?;
    let mut there = 0;
    for (number, &size) in sizes.iter().enumerate() {
        while there + STEP < size {
            writes::bulk(target, there, STEP, 1).await?;
            index(&mut admin).await?;
            there += STEP;
        }
        let what = |of: &str| format!("growth, {size} documents: {of}");
        target.measure(&what("_bulk_docs of 500"), writes::bulk(target, there, STEP, 1)).await?;
        there += STEP;
        let indexed = async {
            let began = Instant::now();
            index(&mut admin).await?;
            Ok(Found::rate(STEP, began.elapsed(), "docs/s"))
        };
        target.measure(&what("index of 5,000 more"), indexed).await?;
        target.measure(&what("PUT, 16 at once"), writes::puts(target, 20_000_000 + number * 1_000_000, 16)).await?;
        target.measure(&what("GET, 16 at once"), reads::gets(target, true)).await?;
        target.measure(&what("_changes, the last 1,000"), tail(&mut admin)).await?;
        let memory = async {
            let file = std::fs::metadata(target.data().join("gateway.sqlite"))?.len();
            let note = format!("file {} MiB", file >> 20);
            Ok(Found::plain(target.process.memory()?.0, "MiB").noting(note))
        };
        target.measure(&what("resident memory"), memory).await?;
    }
    let began = Instant::now();
    let copy = tempfile::tempdir()?;
    let command = |name: &str, args: [&Path; 2]| {
        let mut command = tokio::process::Command::new(program);
        command.arg(name).arg("--data").arg(args[0]).arg("--to").arg(args[1]);
        command
    };
    let output = command("backup", [target.data(), &copy.path().join("backup")]).output().await?;
    anyhow::ensure!(output.status.success(), "backup: {}", String::from_utf8_lossy(&output.stderr));
    println!("growth, {there} documents: backup takes {:.1} s", began.elapsed().as_secs_f64());
    std::fs::create_dir(copy.path().join("d"))?;
    std::fs::rename(copy.path().join("backup"), copy.path().join("d/gateway.sqlite"))?;
    let began = Instant::now();
    let process = Process::start(program, &copy.path().join("d")).await?;
    println!("growth, {there} documents: start takes {:.2} s", began.elapsed().as_secs_f64());
    process.kill().await
}

async fn index(admin: &mut Client) -> anyhow::Result<()> {
    admin.request("GET", "/db/_design/leases/_view/by_owner?limit=1", b"").await?.expect(200)?;
    Ok(())
}

async fn tail(admin: &mut Client) -> anyhow::Result<Found> {
    const TIMES: usize = 20;
    let info = admin.request("GET", "/db/", b"").await?.expect(200)?.json()?;
    let since = info["update_seq"].as_i64().unwrap_or(0) - 1000;
    let began = Instant::now();
    for _ in 0..TIMES {
        admin.request("GET", &format!("/db/_changes?include_docs=true&since={since}"), b"").await?.expect(200)?;
    }
    let took: Duration = began.elapsed();
    Ok(Found::rate(TIMES * 1000, took, "docs/s"))
}
