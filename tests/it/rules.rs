//! The table of access rules on the embedded gateway's own engine. `sync-gateway/tests/otto` runs it on Sync Gateway's.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use zerocloud_gateway::script::{Caller, SyncFunction};

const TABLE: &str = include_str!("../../sync-gateway/tests/table.json");

fn table() -> Value {
    serde_json::from_str(TABLE).unwrap()
}

/// `doc` or `old` of a row: nothing, the name of a base, a base with changes, or written out.
fn document(table: &Value, it: &Value) -> Option<Map<String, Value>> {
    match it {
        Value::Null => None,
        Value::String(base) => table["bases"][base].as_object().cloned(),
        other => match other.get("base") {
            Some(base) => document(table, base).map(|doc| patched(doc, other)),
            None => other.as_object().cloned(),
        },
    }
}

fn patched(mut doc: Map<String, Value>, by: &Value) -> Map<String, Value> {
    doc.extend(by["set"].as_object().cloned().unwrap_or_default());
    for name in by["unset"].as_array().into_iter().flatten() {
        doc.remove(name.as_str().unwrap());
    }
    doc
}

fn caller(table: &Value, who: &str) -> Caller {
    if who == "service" {
        return Caller::Admin;
    }
    let person = &table["people"][who];
    let list = |name: &str| serde_json::from_value(person[name].clone()).unwrap();
    Caller::User { name: person["name"].as_str().unwrap().to_owned(), channels: list("channels"), roles: list("roles") }
}

#[test]
fn every_row_of_the_access_table_holds_on_the_embedded_gateways_engine() {
    let (table, rules) = (table(), SyncFunction::compile(crate::gateway::SYNC).unwrap());
    let rows = table["rows"].as_array().unwrap();
    assert!(rows.len() >= 80);
    let mut wrong = Vec::new();
    for row in rows {
        let doc = Value::Object(patched(document(&table, &row["doc"]).unwrap_or_default(), row));
        let old = document(&table, &row["old"]).map(Value::Object);
        let said = match rules.run(&doc, old.as_ref(), &caller(&table, row["who"].as_str().unwrap())) {
            Ok(_) => "ok".to_owned(),
            Err(refusal) => refusal.reason,
        };
        if said != row["expect"].as_str().unwrap() {
            wrong.push(format!("{}: {said}", row["name"]));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn documents_go_to_the_channels_of_their_readers() {
    let (table, rules) = (table(), SyncFunction::compile(crate::gateway::SYNC).unwrap());
    for route in table["routes"].as_array().unwrap() {
        let doc = document(&table, &route["doc"]).map(Value::Object).unwrap();
        let outcome = rules.run(&doc, None, &Caller::Admin).unwrap();
        let wanted: BTreeSet<String> = serde_json::from_value(route["channels"].clone()).unwrap();
        assert_eq!(outcome.channels, wanted, "{}", route["doc"]);
        let access = route.get("access").cloned().unwrap_or(json!({}));
        assert_eq!(json!(outcome.access), access, "{}", route["doc"]);
    }
}
