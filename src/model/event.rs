//! `ResourceChange`: a resource created, updated or deleted, in the shape of a CloudTrail event in an EventBridge envelope.
//! An event is a hint: it names a lease to look at and is recorded as its cause.

use super::{LeaseKey, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The EventBridge envelope (EventBridge User Guide, "AWS service event metadata").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceChange {
    /// `0`.
    pub version: String,
    /// Unique for this event.
    pub id: String,
    /// `AWS API Call via CloudTrail`, or `zerocloud ResourceChange` when polling found it.
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    /// `aws.ec2` or `zerocloud.detector`.
    pub source: String,
    /// The AWS account.
    pub account: super::AwsId,
    /// When.
    pub time: Time,
    /// The region.
    pub region: super::Region,
    /// ARNs.
    pub resources: Vec<String>,
    /// What happened.
    pub detail: Detail,
}

/// The CloudTrail record, cut to what zerocloud uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// `RunInstances`, `TerminateInstances`, `CreateTags` … or `InstanceSeen`, `InstanceChanged`, `InstanceGone`.
    pub event_name: String,
    /// `ec2.amazonaws.com`.
    pub event_source: String,
    /// When.
    pub event_time: Time,
    /// The region.
    pub aws_region: super::Region,
    /// The instance ids, as CloudTrail's `responseElements.instancesSet.items[].instanceId`.
    pub response_elements: Value,
    /// Who did it, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_identity: Option<Value>,
}

impl ResourceChange {
    /// The leases that the event names.
    pub fn keys(&self) -> Vec<LeaseKey> {
        let items = self.detail.response_elements.pointer("/instancesSet/items").and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(|item| item.get("instanceId")?.as_str())
            .filter_map(|id| super::ResourceId::parse(id).ok())
            .map(|resource_id| LeaseKey { aws_id: self.account.clone(), region: self.region.clone(), resource_id })
            .collect()
    }
}

/// The event as it stands on a lease: at most 4 KB of JSON. A larger one keeps its envelope and says that it was cut;
/// the whole stands in the audit.
pub fn trim_event(event: &ResourceChange) -> Value {
    const LIMIT: usize = 4096;
    let whole = serde_json::to_value(event).unwrap_or(Value::Null);
    if whole.to_string().len() <= LIMIT {
        return whole;
    }
    serde_json::json!({
        "version": event.version, "id": event.id, "detail-type": event.detail_type, "source": event.source,
        "account": event.account, "time": event.time, "region": event.region, "trimmed": true,
        "detail": { "eventName": event.detail.event_name, "eventTime": event.detail.event_time },
    })
}
