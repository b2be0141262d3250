//! `ResourceChange`: a resource created, updated or deleted, in the shape of a CloudTrail event in an EventBridge envelope.
//! An event is a hint: it names a lease to look at and is recorded as its cause.

use super::{LeaseKey, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The EventBridge envelope (EventBridge User Guide, "AWS service event metadata").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    #[schemars(with = "String", extend("pattern" = "^[0-9]{12}$"))]
    pub account: super::AwsId,
    /// When.
    #[schemars(with = "String", extend("pattern" = INSTANT))]
    pub time: Time,
    /// The region.
    #[schemars(with = "String", extend("pattern" = "^[a-z0-9-]{1,30}$"))]
    pub region: super::Region,
    /// ARNs.
    pub resources: Vec<String>,
    /// What happened.
    pub detail: Detail,
}

/// The CloudTrail record, cut to what zerocloud uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// `RunInstances`, `TerminateInstances`, `CreateTags` … or `InstanceSeen`, `InstanceChanged`, `InstanceGone`, and the same with
    /// `Group` and `Cluster`.
    pub event_name: String,
    /// `ec2.amazonaws.com`.
    pub event_source: String,
    /// When.
    #[schemars(with = "String", extend("pattern" = INSTANT))]
    pub event_time: Time,
    /// The region.
    #[schemars(with = "String", extend("pattern" = "^[a-z0-9-]{1,30}$"))]
    pub aws_region: super::Region,
    /// The instance ids, as CloudTrail's `responseElements.instancesSet.items[].instanceId`; of a group or cluster,
    /// `autoScalingGroup.id` or `cluster.id`.
    #[schemars(with = "Elements")]
    pub response_elements: Value,
    /// Who did it, when it is known: CloudTrail's `userIdentity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    pub user_identity: Option<Value>,
}

/// Times are exactly so.
const INSTANT: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";

/// What `responseElements` holds at least: one of these.
#[derive(JsonSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[expect(dead_code, reason = "only its schema is used: the rest of what AWS answers is passed over")]
enum Elements {
    /// Instances, as AWS names them.
    Instances { instances_set: Items },
    /// A group, as polling names it.
    Group { auto_scaling_group: Named },
    /// A cluster or fleet, as polling names it.
    Cluster { cluster: Named },
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Named {
    /// The resource's id at zerocloud.
    id: String,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Items {
    /// One each.
    #[schemars(length(min = 1))]
    items: Vec<Item>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
struct Item {
    /// The instance.
    #[schemars(extend("pattern" = "^[A-Za-z0-9-]{1,64}$"))]
    instance_id: String,
}

impl ResourceChange {
    /// The leases that the event names.
    pub fn keys(&self) -> Vec<LeaseKey> {
        let items = self.detail.response_elements.pointer("/instancesSet/items").and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(|item| item.get("instanceId")?.as_str())
            .chain(self.detail.response_elements.pointer("/autoScalingGroup/id").and_then(Value::as_str))
            .chain(self.detail.response_elements.pointer("/cluster/id").and_then(Value::as_str))
            .filter_map(|id| super::ResourceId::parse(id).ok())
            .map(|resource_id| LeaseKey { aws_id: self.account.clone(), region: self.region.clone(), resource_id })
            .collect()
    }

    /// The same event, of one of the instances that it names: a launch of a thousand is the cause of a thousand leases, and
    /// need not name all of them on each.
    #[must_use]
    pub fn about(&self, id: &super::ResourceId) -> ResourceChange {
        let (region, account) = (&self.region, &self.account);
        let mut one = self.clone();
        one.resources = vec![format!("arn:aws:ec2:{region}:{account}:instance/{id}")];
        one.detail.response_elements = json!({ "instancesSet": { "items": [{ "instanceId": id }] } });
        one
    }

    /// Whether it is the record of a launch, which says who launched.
    pub fn is_launch(&self) -> bool {
        self.detail.event_name == LAUNCH
    }

    /// Whether a stored event, whole or trimmed, is the record of a launch.
    pub fn records_launch(event: &Value) -> bool {
        event.pointer("/detail/eventName").and_then(Value::as_str) == Some(LAUNCH)
    }
}

/// The call that makes instances.
const LAUNCH: &str = "RunInstances";

/// Bytes of JSON that an event takes on a lease.
const LIMIT: usize = 4096;
/// Bytes that are kept of a text in an event that is cut.
const TEXT: usize = 200;

/// The event as it stands on a lease: at most 4 KB of JSON. A larger one keeps its envelope, who did it and to what, as far
/// as there is room, and says that it was cut; the whole stands in the audit.
pub fn trim_event(event: &ResourceChange) -> Value {
    let whole = serde_json::to_value(event).unwrap_or(Value::Null);
    if whole.to_string().len() <= LIMIT {
        return whole;
    }
    let mut cut = json!({
        "version": short(&event.version), "id": short(&event.id), "detail-type": short(&event.detail_type),
        "source": short(&event.source), "account": event.account, "time": event.time, "region": event.region,
        "trimmed": true, "detail": {
            "eventName": short(&event.detail.event_name), "eventTime": event.detail.event_time,
            "userIdentity": identity(event.detail.user_identity.as_ref()),
        },
    });
    let mut room = LIMIT.saturating_sub(cut.to_string().len() + 100);
    let mut items = Vec::new();
    for key in event.keys() {
        let item = json!({ "instanceId": key.resource_id });
        let size = item.to_string().len() + 1;
        if size > room {
            break;
        }
        room -= size;
        items.push(item);
    }
    cut["detail"]["responseElements"] = json!({ "instancesSet": { "items": items } });
    cut
}

/// Bytes of `userIdentity` that are kept whole.
const IDENTITY: usize = 16 * 1024;

/// A `userIdentity` of bounded size: one that is larger than any of AWS's keeps what tells of a person.
pub(super) fn bounded(whole: &Value) -> Value {
    let fits = whole.to_string().len() <= IDENTITY;
    if fits { whole.clone() } else { identity(Some(whole)).unwrap_or_default() }
}

/// What tells of a person in CloudTrail's `userIdentity`.
fn identity(identity: Option<&Value>) -> Option<Value> {
    let known = |name: &&str| identity.and_then(|identity| identity.get(*name)).is_some_and(Value::is_string);
    let fields = ["type", "arn", "userName", "principalId", "accountId"].into_iter().filter(known);
    let texts = fields.map(|name| (name.to_owned(), json!(identity.and_then(|all| all[name].as_str()).map(short))));
    identity.map(|_| Value::Object(texts.collect()))
}

/// A text of AWS's own, cut where it is longer than any of them.
pub(super) fn short(text: &str) -> String {
    let mut size = 0;
    let fits = |c: &char| {
        size += c.len_utf8() + usize::from(matches!(c, '"' | '\\'));
        size <= TEXT
    };
    text.chars().filter(|c| !c.is_control()).take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::{ResourceChange, trim_event};
    use serde_json::{Value, json};

    /// CloudTrail's record of a launch of so many instances by a role.
    fn launch(count: usize) -> ResourceChange {
        let items: Vec<Value> = (0..count)
            .map(|number| {
                json!({
                    "instanceId": format!("i-{number:017x}"), "imageId": "ami-0123456789abcdef0",
                    "instanceType": "t3.large", "privateDnsName": format!("ip-10-0-0-{number}.ec2.internal"),
                    "networkInterfaceSet": {"items": [{"macAddress": "02:00:00:00:00:01", "note": "x".repeat(400)}]},
                })
            })
            .collect();
        let event = json!({
            "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "source": "aws.ec2",
            "detail-type": "AWS API Call via CloudTrail", "account": "111122223333", "region": "us-east-1",
            "time": "2026-11-24T12:00:00Z", "resources": [], "detail": {
                "eventName": "RunInstances", "eventSource": "ec2.amazonaws.com", "awsRegion": "us-east-1",
                "eventTime": "2026-11-24T12:00:00Z", "responseElements": {"instancesSet": {"items": items}},
                "userIdentity": {
                    "type": "AssumedRole", "principalId": "AROAEXAMPLE:lin@bigdb.com", "accountId": "111122223333",
                    "arn": "arn:aws:sts::111122223333:assumed-role/dev/lin@bigdb.com",
                    "sessionContext": {"attributes": {"note": "y".repeat(3_000)}},
                },
            },
        });
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn a_small_event_stays_whole() {
        let mut event = launch(1);
        event.detail.user_identity = None;
        assert_eq!(trim_event(&event), serde_json::to_value(&event).unwrap());
    }

    #[test]
    fn a_large_event_keeps_who_did_it_and_to_what_within_4_kb() {
        for count in [1, 20, 1_000] {
            let event = launch(count);
            let cut = trim_event(&event);
            assert!(cut.to_string().len() <= 4_096, "{count}: {}", cut.to_string().len());
            assert_eq!(cut["trimmed"], true);
            assert_eq!(cut["detail"]["eventName"], "RunInstances");
            assert_eq!(
                cut["detail"]["userIdentity"]["arn"],
                "arn:aws:sts::111122223333:assumed-role/dev/lin@bigdb.com"
            );
            let kept = cut["detail"]["responseElements"]["instancesSet"]["items"].as_array().unwrap();
            assert_eq!(kept[0], json!({"instanceId": "i-00000000000000000"}));
            assert!(kept.len() == count.min(kept.len()) && kept.len() >= count.min(20), "{count}: {}", kept.len());
        }
    }

    #[test]
    fn an_event_of_absurd_texts_is_cut_all_the_same() {
        let mut event = launch(1);
        event.id = "é".repeat(9_000);
        event.detail_type = "\u{1}\"\\".repeat(9_000);
        event.detail.user_identity = Some(json!({"type": "IAMUser", "userName": "\u{1F680}".repeat(90_000)}));
        let cut = trim_event(&event);
        assert!(cut.to_string().len() <= 4_096, "{}", cut.to_string().len());
    }
}
