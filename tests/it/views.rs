//! The views and the follower's index say the same for every document, malformed ones included.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use zerocloud::follower::{VIEWS, ViewTable, emitted};
use zerocloud_gateway::script::MapFunction;

/// The map functions that `serve` puts in place, by name.
fn maps() -> BTreeMap<String, MapFunction> {
    let (_, design) = zerocloud::serve::design_documents().remove(0);
    let views = design["views"].as_object().unwrap().clone();
    let compiled =
        views.into_iter().map(|(name, view)| (name, MapFunction::compile(view["map"].as_str().unwrap()).unwrap()));
    compiled.collect()
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        Just(json!(1.0)),
        "[a-z0-9:TZ-]{0,6}".prop_map(Value::from),
        Just(json!("2026-11-24T08:00:00Z")),
        Just(json!("2026-11-24T08:00:00+01:00")),
        Just(json!("９026-11-24T08:00:00Z")),
    ];
    prop_oneof![
        6 => leaf.clone(),
        1 => prop::collection::vec(leaf.clone(), 0..2).prop_map(Value::from),
        1 => leaf.prop_map(|inner| json!({ "term": inner })),
    ]
}

fn one_of(right: &'static [&'static str]) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        8 => prop::sample::select(right).prop_map(|text| Some(json!(text))),
        1 => any_value().prop_map(Some),
        1 => Just(None),
    ]
}

prop_compose! {
    fn any_lease()(
        kind in one_of(&["lease", "lease", "lease", "request"]),
        state in one_of(&["active", "expired", "reaping", "stopped", "terminated", "gone"]),
        stopped_by in one_of(&["zerocloud", "other"]),
        times in prop::array::uniform3(one_of(&["2026-11-24T08:00:00Z", "2027-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])),
        names in prop::array::uniform5(one_of(&["bigdb", "lin", "111122223333", "us-east-1", "i-1"])),
        term in any_value(),
        notified in prop_oneof![
            any_value(),
            (any_value(), one_of(&["expired", "first"])).prop_map(|(term, kind)| json!({ "term": term, "kind": kind })),
            Just(json!({ "term": 1, "kind": "expired" })),
        ],
    ) -> Value {
        let [expires_at, ends_at, first_seen] = times;
        let [account, owner, aws_id, region, resource_id] = names;
        let fields = [
            ("type", kind), ("state", state), ("stopped_by", stopped_by), ("expires_at", expires_at),
            ("ends_at", ends_at), ("first_seen", first_seen), ("account", account), ("owner", owner),
            ("aws_id", aws_id), ("region", region), ("resource_id", resource_id), ("term", Some(term)),
            ("notified", Some(notified)),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<serde_json::Map<_, _>>().into()
    }
}

/// The map function's key, as the index writes it.
fn key(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(parts) => parts.iter().map(|part| part.as_str().unwrap().to_owned()).collect(),
        other => panic!("a view emitted {other}"),
    }
}

#[test]
fn the_index_answers_every_view_as_its_map_function_does() {
    // The strategy's types are deep; without optimisation they need more than a test thread has.
    let large = std::thread::Builder::new().stack_size(64 << 20);
    large.spawn(index_and_maps_agree).unwrap().join().unwrap();
}

fn index_and_maps_agree() {
    let maps = maps();
    assert_eq!(maps.len(), VIEWS.len());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3_000));
    let agreed = runner.run(&any_lease(), |doc| {
        for view in VIEWS {
            let rows = maps[view.name()].map("lease::x", &doc);
            let by_map: Vec<_> = rows.iter().map(|(emitted, _)| key(emitted)).collect();
            let by_index: Vec<_> = emitted(view, "lease::x", &doc).into_iter().collect();
            prop_assert_eq!(by_map, by_index, "{} of {}", view.name(), doc);
        }
        Ok(())
    });
    agreed.unwrap();
}

#[test]
fn a_row_goes_with_its_document_and_counts_follow() {
    let mut table = ViewTable::default();
    let lease = |owner: &str, state: &str| {
        json!({ "type": "lease", "state": state, "account": "bigdb", "owner": owner,
            "first_seen": "2026-11-24T08:00:00Z", "ends_at": "2026-11-25T08:00:00Z" })
    };
    for n in 0..3 {
        table.apply(&format!("lease::{n}"), Some(&lease("lin", "reaping")));
    }
    let due = |table: &ViewTable, at: &str| table.until(zerocloud::follower::View::PastDeadline, at).len();
    assert_eq!((due(&table, "2026-11-25T07:59:59Z"), due(&table, "2026-11-25T08:00:00Z")), (0, 3));
    table.apply("lease::0", None);
    table.apply("lease::1", Some(&lease("max", "gone")));
    assert_eq!(table.counts(), [(vec!["bigdb".to_owned(), "lin".to_owned()], 1)].into());
    assert_eq!(due(&table, "2027-01-01T00:00:00Z"), 1);
}
