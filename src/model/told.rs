//! What AWS tells by EventBridge, read into the one shape that polling speaks too ([`ResourceChange`]). An event is a hint: what
//! it names is looked at, nothing is decided by it, and one that cannot be read is no loss.

use super::event::{bounded, short};
use super::{AwsId, Detail, Region, ResourceChange, ResourceId, Time};
use serde_json::{Value, json};

/// An event, as far as zerocloud cares.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The AWS account that the envelope names; nothing else in the event says whose it is.
    pub account: AwsId,
    /// The region that the envelope names.
    pub region: Region,
    /// When it happened, as the envelope says.
    pub time: Time,
    /// What to look at.
    pub what: What,
}

/// What an event gives reason to look at.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Instances; the change says which, in `responseElements.instancesSet`.
    Instances(Box<ResourceChange>),
    /// Something changed in the region that the event does not name.
    Region,
    /// Nothing: it is about nothing that has a lease.
    Nothing,
}

/// An event that is not one: what is wrong with it, for the answer to whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an EventBridge event: {0}")]
pub struct NotAnEvent(pub String);

/// Calls that change instances, by the name that CloudTrail gives them
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Operations.html>).
const ON_INSTANCES: [&str; 4] = ["RunInstances", "StartInstances", "StopInstances", "TerminateInstances"];
const ON_TAGS: [&str; 2] = ["CreateTags", "DeleteTags"];
/// Instances that one event may name; AWS names at most a thousand.
const MOST: usize = 1_000;
/// Bytes of an event of polling's own.
const OUR_LARGEST: usize = 64 * 1024;

impl Told {
    /// Reads an event in EventBridge's envelope: polling's own, a call recorded by CloudTrail, or a change of an instance's
    /// state. Shapes: EventBridge User Guide, "AWS service events delivered via CloudTrail"; EC2 User Guide, "State change
    /// events"; CloudTrail User Guide, "Record contents".
    ///
    /// # Errors
    /// When the envelope lacks what every event has. An event of a kind that is not known is `Nothing`, not an error.
    pub fn parse(event: &Value) -> Result<Told, NotAnEvent> {
        let kind = text(event, "detail-type")?;
        let place = Place {
            account: AwsId::parse(text(event, "account")?).map_err(|why| bad("account", why))?,
            region: Region::parse(text(event, "region")?).map_err(|why| bad("region", why))?,
            time: time(text(event, "time")?).ok_or_else(|| bad("time", "is no time"))?,
        };
        let detail = event.get("detail").filter(|detail| detail.is_object());
        let detail = detail.ok_or_else(|| NotAnEvent("detail is missing".to_owned()))?;
        let what = match kind {
            "zerocloud ResourceChange" => our_own(event)?,
            "EC2 Instance State-change Notification" => {
                let id: Option<String> = detail.get("instance-id").and_then(Value::as_str).map(str::to_owned);
                instances(event, &place, "InstanceStateChanged", id.as_slice())
            }
            "AWS API Call via CloudTrail" => call(event, &place, detail),
            _ => What::Nothing,
        };
        Ok(Told { account: place.account, region: place.region, time: place.time, what })
    }

    /// Reads a record of CloudTrail as LookupEvents gives it: without an envelope (CloudTrail User Guide, "Record contents").
    ///
    /// # Errors
    /// When the record lacks what every record has.
    pub fn parse_record(record: &Value) -> Result<Told, NotAnEvent> {
        Told::parse(&json!({
            "version": "0", "id": record.get("eventID"), "detail-type": "AWS API Call via CloudTrail",
            "source": "aws.ec2", "account": text(record, "recipientAccountId")?, "time": text(record, "eventTime")?,
            "region": text(record, "awsRegion")?, "detail": record,
        }))
    }
}

/// Polling's own are of our shape already, and small.
fn our_own(event: &Value) -> Result<What, NotAnEvent> {
    if event.to_string().len() > OUR_LARGEST {
        return Ok(What::Nothing);
    }
    let change: ResourceChange = serde_json::from_value(event.clone()).map_err(|why| NotAnEvent(why.to_string()))?;
    Ok(if change.keys().is_empty() { What::Nothing } else { What::Instances(Box::new(change)) })
}

struct Place {
    account: AwsId,
    region: Region,
    time: Time,
}

/// A call that CloudTrail recorded. One that failed changed nothing.
fn call(event: &Value, place: &Place, detail: &Value) -> What {
    let name = detail.get("eventName").and_then(Value::as_str).unwrap_or_default();
    if detail.get("errorCode").is_some_and(|code| !code.is_null()) {
        return What::Nothing;
    }
    match detail.get("eventSource").and_then(Value::as_str) {
        Some("ec2.amazonaws.com") if ON_INSTANCES.contains(&name) => {
            let mut named = named_in(detail, "responseElements");
            if named.is_empty() {
                named = named_in(detail, "requestParameters");
            }
            // CloudTrail leaves out what is too large; that it happened is known all the same.
            if named.is_empty() { What::Region } else { instances(event, place, name, &named) }
        }
        Some("ec2.amazonaws.com") if ON_TAGS.contains(&name) => {
            let items = detail.pointer("/requestParameters/resourcesSet/items").and_then(Value::as_array);
            let ids = items.into_iter().flatten().filter_map(|item| item.get("resourceId")?.as_str());
            let ids = ids.filter(|id| id.starts_with("i-")).map(str::to_owned);
            instances(event, place, name, &ids.collect::<Vec<_>>())
        }
        // What a group did to its members comes as calls and state changes of theirs; what it is now, a poll tells.
        Some("autoscaling.amazonaws.com") => What::Region,
        _ => What::Nothing,
    }
}

/// The ids in `instancesSet` of that part of a CloudTrail record.
fn named_in(detail: &Value, part: &str) -> Vec<String> {
    let items = detail.get(part).and_then(|part| part.pointer("/instancesSet/items")).and_then(Value::as_array);
    let ids = items.into_iter().flatten().filter_map(|item| item.get("instanceId")?.as_str());
    ids.map(str::to_owned).collect()
}

fn instances(event: &Value, place: &Place, name: &str, ids: &[String]) -> What {
    let ids: Vec<ResourceId> = ids.iter().take(MOST).filter_map(|id| ResourceId::parse(id).ok()).collect();
    if ids.is_empty() {
        return What::Nothing;
    }
    let (detail, region) = (&event["detail"], &place.region);
    // None of AWS's is as long as what is kept.
    let or = |name: &str, other: &str| short(event.get(name).and_then(Value::as_str).unwrap_or(other));
    let said = |name: &str, other: &str| short(detail.get(name).and_then(Value::as_str).unwrap_or(other));
    let items: Vec<Value> = ids.iter().map(|id| json!({ "instanceId": id })).collect();
    What::Instances(Box::new(ResourceChange {
        version: or("version", "0"),
        id: or("id", ""),
        detail_type: or("detail-type", ""),
        source: or("source", ""),
        account: place.account.clone(),
        time: place.time,
        region: region.clone(),
        resources: ids.iter().map(|id| format!("arn:aws:ec2:{region}:{}:instance/{id}", place.account)).collect(),
        detail: Detail {
            event_name: said("eventName", name),
            event_source: said("eventSource", "ec2.amazonaws.com"),
            event_time: detail.get("eventTime").and_then(Value::as_str).and_then(time).unwrap_or(place.time),
            aws_region: region.clone(),
            response_elements: json!({ "instancesSet": { "items": items } }),
            user_identity: detail.get("userIdentity").filter(|identity| identity.is_object()).map(bounded),
        },
    }))
}

/// AWS writes fractions of a second here and there; zerocloud counts whole ones.
fn time(text: &str) -> Option<Time> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.trim_end_matches('Z').bytes().all(|digit| digit.is_ascii_digit()) => {
            format!("{whole}Z")
        }
        _ => text.to_owned(),
    };
    Time::parse(&whole).ok()
}

fn text<'a>(event: &'a Value, name: &str) -> Result<&'a str, NotAnEvent> {
    event.get(name).and_then(Value::as_str).ok_or_else(|| NotAnEvent(format!("{name} is missing")))
}

fn bad(name: &str, why: impl std::fmt::Display) -> NotAnEvent {
    NotAnEvent(format!("{name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::{Told, What, text};
    use crate::model::{AwsId, Region, ResourceChange};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    macro_rules! samples {
        ($($name:literal),+) => { [$(($name, include_str!(concat!("../../tests/events/", $name, ".json")))),+] };
    }

    const SAMPLES: [(&str, &str); 12] = samples!(
        "run-instances",
        "start-instances",
        "stop-instances",
        "terminate-instances",
        "terminate-by-root",
        "create-tags",
        "delete-tags",
        "state-change",
        "update-auto-scaling-group",
        "run-instances-too-large",
        "run-instances-refused",
        "describe-instances"
    );

    fn sample(name: &str) -> Value {
        let (_, text) = SAMPLES.iter().find(|(known, _)| *known == name).unwrap();
        serde_json::from_str(text).unwrap()
    }

    /// What is said of a sample: the event's name with its instances, or another word.
    fn said(event: &Value) -> String {
        match Told::parse(event).map(|told| (told.what, told.account, told.region)) {
            Ok((What::Instances(change), ..)) => {
                let ids: Vec<String> =
                    change.keys().iter().map(|key| key.resource_id.as_str()[15..].to_owned()).collect();
                format!("{} {}", change.detail.event_name, ids.join(" "))
            }
            Ok((What::Region, account, region)) => format!("look at {account} {region}"),
            Ok((What::Nothing, ..)) => "nothing".to_owned(),
            Err(why) => why.to_string(),
        }
    }

    fn change(event: &Value) -> ResourceChange {
        match Told::parse(event).unwrap().what {
            What::Instances(change) => *change,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_documented_event_says_what_to_look_at() {
        for (name, expected) in [
            ("run-instances", "RunInstances 0001 0002"),
            ("start-instances", "StartInstances 0001 0002"),
            ("stop-instances", "StopInstances 0001 0002"),
            ("terminate-instances", "TerminateInstances 0001 0002"),
            ("terminate-by-root", "TerminateInstances 0001 0002"),
            ("create-tags", "CreateTags 0001"),
            ("delete-tags", "DeleteTags 0001"),
            ("state-change", "InstanceStateChanged 0001"),
            ("update-auto-scaling-group", "look at 111122223333 us-east-1"),
            ("run-instances-too-large", "look at 111122223333 us-east-1"),
            ("run-instances-refused", "nothing"),
            ("describe-instances", "nothing"),
        ] {
            assert_eq!(said(&sample(name)), expected, "{name}");
        }
    }

    #[test]
    fn who_did_it_and_when_stands_in_the_change() {
        let change = change(&sample("run-instances"));
        let identity = change.detail.user_identity.unwrap();
        assert!(text(&identity, "arn").unwrap().ends_with("/lin@bigdb.example"));
        assert_eq!(change.detail.event_time.to_string(), "2026-11-24T12:00:00Z");
        assert_eq!(change.time.to_string(), "2026-11-24T12:00:02Z");
    }

    #[test]
    fn what_is_no_event_is_refused_with_what_is_wrong_and_what_is_unknown_is_nothing() {
        let with = |name: &str, value: Value| {
            let mut event = sample("run-instances");
            event[name] = value;
            said(&event)
        };
        assert_eq!(with("detail-type", json!("Scheduled Event")), "nothing");
        assert_eq!(with("detail-type", Value::Null), "not an EventBridge event: detail-type is missing");
        assert_eq!(with("detail", json!("text")), "not an EventBridge event: detail is missing");
        for (name, value) in [("account", json!("12")), ("region", json!("US East")), ("time", json!("noon"))] {
            assert!(with(name, value).starts_with(&format!("not an EventBridge event: {name}")), "{name}");
        }
        assert_eq!(with("time", json!("2026-11-24T12:00:02.123Z")), "RunInstances 0001 0002");
    }

    #[test]
    fn what_is_kept_of_an_event_is_small_whatever_was_sent() {
        let mut event = sample("state-change");
        for name in ["version", "id", "source"] {
            event[name] = "x".repeat(300_000).into();
        }
        event["detail"]["eventSource"] = "x".repeat(300_000).into();
        event["detail"]["userIdentity"] = json!({ "type": "x".repeat(300_000) });
        let kept = serde_json::to_string(&change(&event)).unwrap();
        assert!(kept.len() < 4_096, "{}", kept.len());
    }

    #[test]
    fn what_polling_tells_is_read_by_the_same_parser() {
        let mut change = change(&sample("run-instances"));
        change.detail_type = "zerocloud ResourceChange".to_owned();
        change.detail.event_name = "InstanceGone".to_owned();
        assert_eq!(super::tests::change(&serde_json::to_value(&change).unwrap()), change);
        assert_eq!(change.keys()[0].aws_id, AwsId::parse("111122223333").unwrap());
        assert_eq!(change.region, Region::parse("us-east-1").unwrap());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            Just(json!("i-0a1b2c3d4e5f60001")),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let names = prop_oneof![
                Just("items".to_owned()),
                Just("instancesSet".to_owned()),
                Just("instanceId".to_owned()),
                Just("responseElements".to_owned()),
                Just("eventName".to_owned()),
                "[a-z]{1,6}",
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((names, inner), 0..4).prop_map(|all| Value::Object(all.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_event_whatever_it_holds_does_more_than_name_instances_of_its_own_account(
            part in prop_oneof![Just("detail"), Just("account"), Just("time"), Just("responseElements")],
            value in any_json(),
        ) {
            let mut event = sample("run-instances");
            if part == "responseElements" { event["detail"][part] = value } else { event[part] = value }
            if let Ok(Told { account, what: What::Instances(change), .. }) = Told::parse(&event) {
                prop_assert_eq!(&account, &change.account);
                prop_assert!(change.keys().iter().all(|key| key.aws_id == change.account));
                prop_assert!(change.keys().len() <= super::MOST && !change.keys().is_empty());
            }
        }
    }
}
