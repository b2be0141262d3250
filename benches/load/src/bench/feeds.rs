//! Followers: how soon one is told, how soon all of many are.

use std::time::Instant;

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::{Found, Target, number, quantile};
use crate::http::{Client, Feed};
use crate::lease;

/// Bytes that a follower reads at once.
const BUFFER: usize = 2048;

async fn now(target: &Target) -> anyhow::Result<i64> {
    let mut admin = Client::connect(target.admin()).await?;
    let info = admin.request("GET", "/db/", b"").await?.expect(200)?.json()?;
    info["update_seq"].as_i64().context("no update_seq")
}

async fn follow(target: &Target, since: i64) -> anyhow::Result<Feed> {
    let client = Client::with_buffer(target.public(), BUFFER).await?.cookie(&target.session);
    client.follow(&format!("/db/_changes?feed=continuous&heartbeat=60000&since={since}")).await
}

/// From sending a PUT to the line in a follower's hands.
pub(super) async fn latency(target: &Target) -> anyhow::Result<()> {
    let what = "PUT to a continuous follower";
    if !target.wants(what) {
        return Ok(());
    }
    let work = async {
        let mut feed = follow(target, now(target).await?).await?;
        let mut writer = Client::connect(target.admin()).await?;
        let mut samples = Vec::new();
        for n in 6_000_000..6_001_000 {
            let (path, body) = (format!("/db/{}", lease::id(n)), lease::text(n));
            let sent = Instant::now();
            let (stored, told) = tokio::join!(writer.request("PUT", &path, body.as_bytes()), async {
                feed.next().await?;
                anyhow::Ok(sent.elapsed())
            });
            stored?.expect(201)?;
            samples.push(told?);
        }
        let late = quantile(&mut samples, 0.99);
        Ok(Found::plain(quantile(&mut samples, 0.5), "ms").noting(format!("99 % below {late:.2} ms")))
    };
    target.measure(what, work).await
}

/// Changes to many followers: until each has been told all of them.
pub(super) async fn spread(target: &Target, count: usize) -> anyhow::Result<()> {
    let what = format!("{count} continuous followers");
    if !target.wants(&what) {
        return Ok(());
    }
    let before = target.process.memory()?.0;
    let since = now(target).await?;
    let mut feeds = Vec::with_capacity(count);
    let opened = async {
        let began = Instant::now();
        for _ in 0..count {
            feeds.push(follow(target, since).await?);
        }
        Ok(Found::seconds(began.elapsed(), count))
    };
    target.measure(&format!("{what}: opened"), opened).await?;
    let memory = async {
        let each = (target.process.memory()?.0 - before) * 1024.0 / number(count);
        Ok(Found::plain(each, "KiB").noting("resident memory of the gateway for each".to_owned()))
    };
    target.measure(&format!("{what}: held"), memory).await?;
    for (changes, batched) in [(100, false), (100, true)] {
        let how = if batched { "in one _bulk_docs" } else { "one after the other" };
        let from = 7_000_000 + count * 1000 + if batched { 500 } else { 0 };
        let sent = told(target, &mut feeds, from, changes, batched);
        target.measure(&format!("{what}: {changes} changes, {how}"), sent).await?;
    }
    Ok(())
}

/// Until every follower has every change.
async fn told(
    target: &Target,
    feeds: &mut Vec<Feed>,
    from: usize,
    changes: usize,
    batched: bool,
) -> anyhow::Result<Found> {
    let mut tasks = JoinSet::new();
    for mut feed in feeds.drain(..) {
        tasks.spawn(async move {
            for _ in 0..changes {
                feed.next().await?;
            }
            anyhow::Ok(feed)
        });
    }
    let mut writer = Client::connect(target.admin()).await?;
    let began = Instant::now();
    if batched {
        let docs: Vec<String> = (from..from + changes).map(lease::with_id).collect();
        let body = format!("{{\"docs\":[{}]}}", docs.join(","));
        writer.request("POST", "/db/_bulk_docs", body.as_bytes()).await?.expect(201)?;
    } else {
        for n in from..from + changes {
            let (path, body) = (format!("/db/{}", lease::id(n)), lease::text(n));
            writer.request("PUT", &path, body.as_bytes()).await?.expect(201)?;
        }
    }
    let written = began.elapsed();
    while let Some(ended) = tasks.join_next().await {
        feeds.push(ended??);
    }
    let all = began.elapsed();
    let rate = number(feeds.len() * changes) / all.as_secs_f64();
    let note = format!("stored after {:.2} s; {} lines/s", written.as_secs_f64(), super::shown(rate));
    Ok(Found::seconds(all, feeds.len() * changes).noting(note))
}
