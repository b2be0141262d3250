//! A view's index from nothing.

use std::time::Instant;

use serde_json::json;

use super::{Found, Target, writes};
use crate::http::Client;
use crate::lease;

const DOCUMENTS: usize = 11_500;

pub(super) async fn all(target: &Target) -> anyhow::Result<()> {
    let what = "index of a view over 11,500 documents";
    if !target.wants(what) {
        return Ok(());
    }
    writes::bulk(target, 0, DOCUMENTS, 1).await?;
    let mut client = Client::connect(target.admin()).await?;
    for (name, views) in [("one", 1), ("six", 6)] {
        let views: serde_json::Map<_, _> =
            (0..views).map(|number| (format!("v{number}"), json!({"map": lease::MAP}))).collect();
        let design = json!({"views": views}).to_string();
        client.request("PUT", &format!("/db/_design/{name}"), design.as_bytes()).await?.expect(201)?;
        let query = format!("/db/_design/{name}/_view/v0?limit=1");
        let work = async {
            let began = Instant::now();
            client.request("GET", &query, b"").await?.expect(200)?;
            Ok(Found::seconds(began.elapsed(), DOCUMENTS))
        };
        target.measure(&format!("{what}, {name} in its design document"), work).await?;
    }
    let work = async {
        let began = Instant::now();
        let path = "/db/_design/one/_view/v0?stale=ok&include_docs=true";
        client.request("GET", path, b"").await?.expect(200)?;
        Ok(Found::rate(DOCUMENTS, began.elapsed(), "rows/s"))
    };
    target.measure("query of all 11,500 rows with include_docs", work).await
}
