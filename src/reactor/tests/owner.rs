//! Owners and their evidence.

use super::world::{World, key};
use crate::model::{EvidenceSource, Stage};
use serde_json::{Value, json};

/// The owner of an instance with these facts, once its tags have settled.
fn owner(facts: &Value) -> (String, EvidenceSource) {
    let mut world = World::new(Stage::Stop);
    let more = json!([{
        "account": "bigdb", "user": "wu", "role": "dev", "email": "wu@bigdb.com", "name": "Wu Lin",
        "github_login": "linwu", "aliases": ["wu@old.example"],
    }]);
    world.users.extend(serde_json::from_value::<Vec<_>>(more).unwrap());
    world.launch(&key(1), facts);
    world.pass(150);
    let lease = world.lease(&key(1));
    (lease.owner.to_string(), lease.owner_evidence.source)
}

#[test]
fn a_tag_means_a_person_by_address_login_name_alias_or_id_in_any_case() {
    for value in ["wu@bigdb.com", "WU@BIGDB.COM", " linwu ", "Wu Lin", "wu@old.example", "wu", "@linwu"] {
        for tag in ["owner", "Owner", "OWNER"] {
            assert_eq!(owner(&json!({"tags": {tag: value}})), ("wu".to_owned(), EvidenceSource::Tag), "{tag}={value}");
        }
    }
}

#[test]
fn a_tag_that_names_nobody_goes_to_an_admin() {
    for value in ["", "nobody@bigdb.com", "li", "lin@bigdb.com,ada@bigdb.com", "lin@bigdb.com\u{0}", "*", "@"] {
        assert_eq!(owner(&json!({"tags": {"owner": value}})), ("ada".to_owned(), EvidenceSource::Admin), "{value:?}");
    }
}

#[test]
fn an_ssh_key_means_its_person_when_no_tag_does() {
    assert_eq!(owner(&json!({"key_name": "lin-laptop"})), ("lin".to_owned(), EvidenceSource::KeyName));
    let both = json!({"key_name": "lin-laptop", "tags": {"owner": "wu"}});
    assert_eq!(owner(&both), ("wu".to_owned(), EvidenceSource::Tag));
    let unknown = json!({"key_name": "lin-laptop", "tags": {"owner": "robot"}});
    assert_eq!(owner(&unknown), ("lin".to_owned(), EvidenceSource::KeyName));
}
