//! Single documents and whole feeds, as a user.

use std::time::Instant;

use tokio::task::JoinSet;

use super::writes::{CONNECTIONS, collect};
use super::{Found, Target};
use crate::http::Client;
use crate::lease;

pub(super) async fn all(target: &Target) -> anyhow::Result<()> {
    for (how, cookie) in [("with a session", true), ("with Basic", false)] {
        let what = format!("GET of a document as a user {how}, {CONNECTIONS} at once");
        if target.wants(&what) {
            target.measure(&what, gets(target, cookie)).await?;
        }
    }
    for who in ["admin", "a user"] {
        let what = format!("_changes with include_docs of 10,000, as {who}");
        if target.wants(&what) {
            target.measure(&what, changes(target, who == "admin")).await?;
        }
    }
    Ok(())
}

async fn client(target: &Target, cookie: bool) -> anyhow::Result<Client> {
    let client = Client::connect(target.public()).await?;
    Ok(if cookie { client.cookie(&target.session) } else { client.basic("ada", "letmein") })
}

/// Documents among the first 10,000, in no order, until the time is over.
pub(super) async fn gets(target: &Target, cookie: bool) -> anyhow::Result<Found> {
    let began = Instant::now();
    let end = began + target.length;
    let mut tasks = JoinSet::new();
    for number in 0..CONNECTIONS {
        let mut client = client(target, cookie).await?;
        tasks.spawn(async move {
            let mut samples = Vec::new();
            let mut n = number;
            while Instant::now() < end {
                let path = format!("/db/{}", lease::id(n % 10_000));
                let sent = Instant::now();
                client.request("GET", &path, b"").await?.expect(200)?;
                samples.push(sent.elapsed());
                n += 7919;
            }
            anyhow::Ok(samples)
        });
    }
    collect(tasks, began, "docs/s").await
}

async fn changes(target: &Target, admin: bool) -> anyhow::Result<Found> {
    const TIMES: usize = 5;
    let mut client = if admin { Client::connect(target.admin()).await? } else { client(target, true).await? };
    let began = Instant::now();
    let mut bytes = 0;
    for _ in 0..TIMES {
        let path = "/db/_changes?include_docs=true&limit=10000";
        bytes = client.request("GET", path, b"").await?.expect(200)?.body.len();
    }
    Ok(Found::rate(TIMES * 10_000, began.elapsed(), "docs/s").noting(format!("{bytes} bytes each time")))
}
