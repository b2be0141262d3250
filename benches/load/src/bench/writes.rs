//! Bulk writes and single ones.

use std::time::Instant;

use serde_json::Value;
use tokio::task::JoinSet;

use super::{Found, Target, quantile};
use crate::http::Client;
use crate::lease;

/// Documents in a bulk write.
pub(super) const BATCH: usize = 500;
/// Connections of the concurrent measurements.
pub(super) const CONNECTIONS: usize = 16;

/// A bulk write's body: leases from this number on.
pub(super) fn batch(from: usize) -> String {
    let docs: Vec<String> = (from..from + BATCH).map(lease::with_id).collect();
    format!("{{\"docs\":[{}]}}", docs.join(","))
}

/// Writes batches over some connections at once.
pub(super) async fn bulk(target: &Target, from: usize, count: usize, connections: usize) -> anyhow::Result<Found> {
    let mut bodies: Vec<String> = (0..count / BATCH).map(|number| batch(from + number * BATCH)).collect();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    let each = bodies.len().div_ceil(connections);
    while !bodies.is_empty() {
        let mine = bodies.split_off(bodies.len().saturating_sub(each));
        let mut client = Client::connect(target.admin()).await?;
        tasks.spawn(async move {
            for body in mine {
                let answer = client.request("POST", "/db/_bulk_docs", body.as_bytes()).await?.expect(201)?;
                anyhow::ensure!(!String::from_utf8_lossy(&answer.body).contains("error"), "a row was refused");
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(Found::rate(count, began.elapsed(), "docs/s"))
}

/// The first 10,000 documents, and the memory after them.
pub(super) async fn fill(target: &Target) -> anyhow::Result<()> {
    let idle = target.process.memory()?;
    target.measure("_bulk_docs of 500, the first 10,000", bulk(target, 0, 10_000, 1)).await?;
    let memory = async {
        let (all, own) = target.process.memory()?;
        let note = format!("{own:.1} MiB of it not files; {:.1} MiB before", idle.0);
        Ok(Found::plain(all, "MiB").noting(note))
    };
    target.measure("resident memory after 10,000 documents", memory).await
}

/// All writes; `label` tells the sync function.
pub(super) async fn all(target: &Target, label: &str) -> anyhow::Result<()> {
    let what = format!("_bulk_docs of 500, 1 connection{label}");
    if target.wants(&what) {
        target.measure(&what, bulk(target, 1_000_000, 20_000, 1)).await?;
    }
    let what = format!("_bulk_docs of 500, 2 connections{label}");
    if target.wants(&what) {
        target.measure(&what, bulk(target, 1_100_000, 20_000, 2)).await?;
    }
    for (connections, from) in [(1, 2_000_000), (CONNECTIONS, 3_000_000)] {
        let what = format!("PUT of new documents, {connections} at once{label}");
        if target.wants(&what) {
            target.measure(&what, puts(target, from, connections)).await?;
        }
    }
    let what = format!("PUT of a next revision, {CONNECTIONS} at once{label}");
    if target.wants(&what) {
        target.measure(&what, edits(target, CONNECTIONS)).await?;
    }
    Ok(())
}

/// New documents until the time is over.
pub(super) async fn puts(target: &Target, from: usize, connections: usize) -> anyhow::Result<Found> {
    let began = Instant::now();
    let end = began + target.length;
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let mut client = Client::connect(target.admin()).await?;
        tasks.spawn(async move {
            let mut samples = Vec::new();
            let mut n = from + number * 50_000;
            while Instant::now() < end {
                let (path, body) = (format!("/db/{}", lease::id(n)), lease::text(n));
                let sent = Instant::now();
                client.request("PUT", &path, body.as_bytes()).await?.expect(201)?;
                samples.push(sent.elapsed());
                n += 1;
            }
            anyhow::Ok(samples)
        });
    }
    collect(tasks, began, "docs/s").await
}

/// Waits for all and sums up: a rate, and how long one took.
pub(super) async fn collect(
    mut tasks: JoinSet<anyhow::Result<Vec<std::time::Duration>>>,
    began: Instant,
    unit: &'static str,
) -> anyhow::Result<Found> {
    let mut samples = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        samples.extend(ended??);
    }
    let found = Found::rate(samples.len(), began.elapsed(), unit);
    let (median, late) = (quantile(&mut samples, 0.5), quantile(&mut samples, 0.99));
    Ok(found.noting(format!("median {median:.2} ms, 99 % below {late:.2} ms")))
}

/// Each connection renews documents of its own.
async fn edits(target: &Target, connections: usize) -> anyhow::Result<Found> {
    let began = Instant::now();
    let end = began + target.length;
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let mut client = Client::connect(target.admin()).await?;
        tasks.spawn(async move {
            let mut samples = Vec::new();
            let mut revs: Vec<Option<String>> = vec![None; 100];
            for turn in 0.. {
                let n = 5_000_000 + number * 100 + turn % 100;
                let query = revs[turn % 100].as_ref().map_or_else(String::new, |rev| format!("?rev={rev}"));
                let (path, body) = (format!("/db/{}{query}", lease::id(n)), lease::text(n));
                let sent = Instant::now();
                if sent > end {
                    break;
                }
                let answer = client.request("PUT", &path, body.as_bytes()).await?.expect(201)?;
                samples.push(sent.elapsed());
                revs[turn % 100] = rev_of(&answer.json()?);
            }
            anyhow::Ok(samples)
        });
    }
    collect(tasks, began, "docs/s").await
}

fn rev_of(answer: &Value) -> Option<String> {
    answer["rev"].as_str().map(str::to_owned)
}
