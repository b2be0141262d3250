//! Reads AWS's public price list and stores what it says of some regions. The list needs no login; its address is
//! `https://pricing.us-east-1.amazonaws.com` (AWS Billing User Guide, "Finding the service price list files").

use super::offer::Offer;
use super::{PREFIX, RegionPrices};
use crate::model::Doc;
use crate::store::{Store, StoreError};
use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use reqwest::Url;
use serde_json::Value;
use std::io::{BufReader, Read};
use std::time::Duration;
use tokio::sync::mpsc;

/// Limit for the small files.
const SMALL: Duration = Duration::from_secs(30);
/// Limit for a region's file; the largest has some hundred megabytes.
const LARGE: Duration = Duration::from_mins(20);
/// How often a lost race is run again.
const TRIES: u32 = 5;

/// AWS's price list, or a copy of it.
#[derive(Debug, Clone)]
pub struct PriceList {
    http: reqwest::Client,
    base: Url,
}

impl PriceList {
    /// At this address.
    pub fn at(base: &str) -> anyhow::Result<PriceList> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).build()?;
        Ok(PriceList { http, base: Url::parse(base).context("the address of the price list")? })
    }

    /// What it says of a region now.
    pub async fn region(&self, region: &str) -> anyhow::Result<Offer> {
        let offers = self.json("/offers/v1.0/aws/index.json").await?;
        let regions = text(&offers, "/offers/AmazonEC2/currentRegionIndexUrl")?;
        let regions = self.json(&regions).await?;
        let file = text(&regions, &format!("/regions/{region}/currentVersionUrl"))
            .with_context(|| format!("the price list knows no region {region}"))?;
        let Some(file) = file.strip_suffix(".json").map(|name| format!("{name}.csv")) else {
            bail!("the price list names a file of an unknown form: {file}");
        };
        let url = self.base.join(&file)?;
        let source =
            format!("AWS public price list, {}, Linux and other systems, on demand, shared tenancy", url.path());
        let response = self.http.get(url).timeout(LARGE).send().await?.error_for_status()?;
        // Parsing is work for minutes: not on a thread that serves others.
        let (parts, coming) = mpsc::channel(16);
        let parts_read = Parts { coming, part: Bytes::new() };
        let read = tokio::task::spawn_blocking(move || Offer::read(BufReader::new(parts_read), &source));
        let mut stream = response.bytes_stream();
        while let Some(part) = stream.next().await {
            if parts.send(part.map_err(std::io::Error::other)).await.is_err() {
                break;
            }
        }
        drop(parts);
        read.await?.with_context(|| format!("reading the prices of {region}"))
    }

    async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let url = self.base.join(path)?;
        // It may only name files beside itself.
        ensure!(url.origin() == self.base.origin(), "the price list points elsewhere: {url}");
        let response = self.http.get(url.clone()).timeout(SMALL).send().await?.error_for_status()?;
        response.json().await.with_context(|| format!("{url} is not JSON"))
    }
}

/// A download as a thread that may wait reads it.
struct Parts {
    coming: mpsc::Receiver<std::io::Result<Bytes>>,
    part: Bytes,
}

impl Read for Parts {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.part.is_empty() {
            match self.coming.blocking_recv() {
                Some(part) => self.part = part?,
                None => return Ok(0),
            }
        }
        let size = self.part.len().min(into.len());
        self.part.copy_to_slice(&mut into[..size]);
        Ok(size)
    }
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("it has no {pointer}"))
}

/// Reads the prices of a region and stores them; gives what stands there now.
pub async fn update(store: &Store, list: &PriceList, region: &str) -> anyhow::Result<RegionPrices> {
    let offer = list.region(region).await?;
    let id = format!("{PREFIX}{region}");
    for _ in 0..TRIES {
        let rev = store.get::<Value>(&id).await?.and_then(|doc| doc.rev);
        match store.put("prices", &Doc { id: id.clone(), rev, body: &offer.prices }).await {
            Ok(_) => return Ok(offer.prices),
            Err(StoreError::Conflict { .. }) => {}
            Err(why) => return Err(why.into()),
        }
    }
    bail!("{id} is written by somebody else all the time")
}
