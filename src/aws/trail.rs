//! What CloudTrail remembers of an instance's launch, for 90 days and without a trail (CloudTrail API Reference, LookupEvents:
//! two calls a second for each AWS account and region). Whoever asks keeps to less.

use super::AwsError;
use super::call::Call;
use super::clients::Clients;
use crate::model::{AwsAccount, Region, ResourceId};
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use serde_json::Value;

/// The most events on a page.
const PAGE: i32 = 50;

/// A page of what CloudTrail remembers of an instance, newest first.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// The record of its launch, when it is on this page.
    pub launch: Option<Value>,
    /// Names the next page.
    pub next: Option<String>,
}

impl Clients {
    pub(super) async fn remembered(
        &self,
        account: &AwsAccount,
        region: &Region,
        id: &ResourceId,
        page: Option<String>,
    ) -> Result<Remembered, AwsError> {
        let (client, place) = self.cloudtrail(account, region).await?;
        let call = Call { action: "cloudtrail:LookupEvents", place: &place };
        let attribute = LookupAttribute::builder()
            .attribute_key(LookupAttributeKey::ResourceName)
            .attribute_value(id.as_str())
            .build()
            .map_err(|why| call.malformed(why.to_string()))?;
        let request = client.lookup_events().lookup_attributes(attribute).max_results(PAGE).set_next_token(page);
        let reply = request.send().await.map_err(|why| call.failed(&why))?;
        let launches = reply.events().iter().filter(|event| event.event_name() == Some("RunInstances"));
        let mut records = launches.filter_map(|event| serde_json::from_str(event.cloud_trail_event()?).ok());
        Ok(Remembered { launch: records.next(), next: reply.next_token.clone().filter(|token| !token.is_empty()) })
    }
}
