//! What CloudTrail remembers of an instance's launch, for 90 days and without a trail (CloudTrail API Reference, LookupEvents:
//! two calls a second for each AWS account and region), and which trails there are. Whoever asks keeps to less.

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

/// A trail of CloudTrail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// What people call it.
    pub name: String,
    /// Names it in every region.
    pub arn: String,
    /// It is one of all regions.
    pub everywhere: bool,
}

impl Clients {
    /// Those that bear on a region: its own, and those of all regions.
    pub(super) async fn trails(&self, account: &AwsAccount, region: &Region) -> Result<Vec<Trail>, AwsError> {
        let (client, place) = self.cloudtrail(account, region).await?;
        let call = Call { action: "cloudtrail:DescribeTrails", place: &place };
        let reply = client.describe_trails().include_shadow_trails(true).send().await;
        let reply = reply.map_err(|why| call.failed(&why))?;
        let trails = reply.trail_list().iter().filter_map(|trail| {
            let everywhere = trail.is_multi_region_trail() == Some(true);
            let (name, arn) = (trail.name().unwrap_or_default().to_owned(), trail.trail_arn()?.to_owned());
            let here = everywhere || trail.home_region() == Some(region.as_str());
            here.then_some(Trail { name, arn, everywhere })
        });
        Ok(trails.collect())
    }

    pub(super) async fn is_logging(&self, account: &AwsAccount, region: &Region, arn: &str) -> Result<bool, AwsError> {
        let (client, place) = self.cloudtrail(account, region).await?;
        let call = Call { action: "cloudtrail:GetTrailStatus", place: &place };
        let reply = client.get_trail_status().name(arn).send().await.map_err(|why| call.failed(&why))?;
        Ok(reply.is_logging() == Some(true))
    }

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
