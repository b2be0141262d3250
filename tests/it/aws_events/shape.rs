//! The published shape of an event is that of the type that reads it, and what AWS and what polling tell is of that shape.

use super::sample;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use zerocloud::model::{AccountId, AwsId, Facts, Region, ResourceChange, ResourceId, Time, Told, What};
use zerocloud::reactor::{Reconciled, Scan, reconcile};

const PUBLISHED: &str = "docs/resource-change.schema.json";

fn published() -> Value {
    serde_json::from_str(&std::fs::read_to_string(PUBLISHED).unwrap()).unwrap()
}

fn change(event: &Value) -> Option<ResourceChange> {
    match Told::parse(event).unwrap().what {
        What::Instances(change) => Some(*change),
        What::Region | What::Nothing => None,
    }
}

/// `UPDATE_SCHEMA=1 cargo test --test it the_published_schema` writes it anew.
#[test]
fn the_published_schema_is_that_of_the_type() {
    let made = serde_json::to_value(schemars::schema_for!(ResourceChange)).unwrap();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(PUBLISHED, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    assert_eq!(published(), made, "{PUBLISHED} is not current");
}

#[test]
fn what_aws_tells_is_of_the_published_shape_and_what_is_broken_is_not() {
    let schema = jsonschema::validator_for(&published()).unwrap();
    let mut told = 0;
    for file in std::fs::read_dir("tests/events").unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if let Some(change) = change(&sample(name.trim_end_matches(".json"))) {
            told += 1;
            let written = serde_json::to_value(&change).unwrap();
            assert!(schema.is_valid(&written), "{name}: {written}");
        }
    }
    assert!(told >= 8, "{told} samples name instances");
    // A call as CloudTrail records it is of that shape as it comes.
    let whole = sample("run-instances");
    assert!(schema.is_valid(&whole));
    for (at, broken) in [
        ("/account", json!("1234")),
        ("/time", json!("2026-11-24T12:00:00.5Z")),
        ("/region", json!("US East")),
        ("/resources", json!("arn")),
        ("/detail", json!(null)),
        ("/detail/eventTime", json!("noon")),
        ("/detail/responseElements/instancesSet/items", json!([])),
        ("/detail/responseElements/instancesSet/items/0/instanceId", json!(7)),
        ("/detail/userIdentity", json!("root")),
    ] {
        let mut event = whole.clone();
        *event.pointer_mut(at).unwrap() = broken;
        assert!(!schema.is_valid(&event), "{at}");
    }
}

#[test]
fn what_polling_tells_is_of_the_same_shape_and_read_by_the_same_parser() {
    let schema = jsonschema::validator_for(&published()).unwrap();
    let facts: Facts = serde_json::from_value(json!({ "state": "running" })).unwrap();
    let scan = Scan {
        account: AccountId::parse("bigdb").unwrap(),
        aws_id: AwsId::parse("111122223333").unwrap(),
        region: Region::parse("us-east-1").unwrap(),
        found: BTreeMap::from([(ResourceId::parse("i-0a1b2c3d4e5f60001").unwrap(), facts)]),
        groups_read: false,
        confirmed_absent: BTreeSet::new(),
        agreed: false,
    };
    let Reconciled::Changes(changes) = reconcile(&[], &scan, Time::from_unix(1_764_000_000)) else { panic!("paused") };
    let events: Vec<ResourceChange> = changes.into_iter().filter_map(|change| change.event).collect();
    assert_eq!(events.len(), 1);
    let written = serde_json::to_value(&events[0]).unwrap();
    assert!(schema.is_valid(&written), "{written}");
    assert_eq!(change(&written).as_ref(), Some(&events[0]));
}
