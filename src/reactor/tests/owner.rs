//! Owners and their evidence.

use super::scene::{DAY, HOUR, Scene, noon};
use super::table::{Row, admin_by_default, check, lin_leaves, no_admin, pending, tag, user};
use super::world::{World, key};
use crate::model::{EvidenceSource, Stage, UserId, Wish};
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

#[rustfmt::skip] // A row is a line where it can be.
const UNJUDGED: &[Row] = &[
    ("tags have not settled", |s| s.lease().settle_at = noon().plus(1), "|"),
    ("they settle in a year, by a clock that was set back", |s| s.lease().settle_at = noon().plus(365 * DAY),
     "|"),
    ("by its tag", |_| {}, "owner lin, by tag, term 2 | resource of lin"),
    ("a tag that names nobody, and a key", |s| {
        tag(s, "owner", "robot");
        s.resource().facts.key_name = Some("max-key".into());
    }, "owner max, by key_name, term 2 | resource of max"),
    ("nothing names anybody", |s| s.resource().facts.tags.clear(),
     "owner ada, by admin, term 2 | resource of ada"),
    ("an empty tag beside one that names somebody", |s| {
        s.resource().facts.tags.clear();
        tag(s, "owner", "");
        tag(s, "Owner", "max");
    }, "owner max, by tag, term 2 | resource of max"),
    ("nothing names anybody and there is no admin", |s| {
        no_admin(s);
        s.resource().facts.tags.clear();
    }, "|"),
    ("no admin, past its end: it is held and not forgotten", |s| {
        no_admin(s);
        s.resource().facts.tags.clear();
        s.now = noon().plus(9 * DAY);
    }, "expired, hold no_notice |"),
    ("tags that cannot be read judge nobody", |s| s.view.resource = None, "|"),
    ("an admin names an owner before", |s| s.lease().owner = UserId::parse("max").unwrap(),
     "by request, term 2 | resource of max"),
    ("a dev's wish waits until it is settled", |s| {
        s.lease().settle_at = noon().plus(60);
        s.ask("lin", Wish::Renew, &json!({}));
    }, "|"),
    ("without an admin a dev's wish is answered all the same", |s| {
        no_admin(s);
        s.resource().facts.tags.clear();
        s.lease().settle_at = noon().plus(-HOUR);
        s.ask("lin", Wish::End, &json!({}));
    }, "| refused: only its owner or an admin may ask that"),
];

#[rustfmt::skip] // A row is a line where it can be.
const BY_DEFAULT: &[Row] = &[
    ("a tag names a person later", |_| {}, "owner lin, by tag, term 3 | resource of lin"),
    ("a tag names the admin later: it is theirs from then on", |s| tag(s, "owner", "ada"), "by tag |"),
    ("the admin refused it: it goes to the person whom a tag names", |s| {
        s.ask("ada", Wish::NotMine, &json!({}));
    }, "owner lin, by tag, term 3 | resource of lin"),
    ("the only admin keeps it", |s| {
        s.resource().facts.tags.clear();
        s.ask("ada", Wish::NotMine, &json!({}));
    }, "| refused: there is no other admin who could take it until +2d"),
    ("it never returns to an admin who refused it", |s| {
        s.resource().facts.tags.clear();
        user(s, "eve", &json!({"role": "admin"}));
        s.lease().refused =
            serde_json::from_value(json!([{"source": "admin", "value": "eve", "user": "eve"}])).unwrap();
        s.ask("ada", Wish::NotMine, &json!({}));
    }, "| refused: there is no other admin who could take it until +2d"),
];

#[rustfmt::skip] // A row is a line where it can be.
const OWNED: &[Row] = &[
    ("a later tag never takes it from a person", |s| tag(s, "owner", "max"), "|"),
    ("its owner left", lin_leaves, "owner ada, by admin, term 3 | resource of ada"),
    ("its owner left and nothing is known of the resource", |s| {
        lin_leaves(s);
        s.view.resource = None;
    }, "owner ada, by admin, term 3 |"),
    ("its owner left and there is no admin", |s| {
        lin_leaves(s);
        no_admin(s);
    }, "|"),
    ("nobody can be read", |s| s.view.users.clear(), "|"),
    ("an admin names an owner whom nobody knows", |s| s.lease().owner = UserId::parse("ghost").unwrap(),
     "owner lin |"),
    ("not mine", |s| s.ask("lin", Wish::NotMine, &json!({})),
     "owner ada, by admin, term 3 | done: it is not yours any more until +2d, resource of ada"),
];

#[test]
fn whose_it_is() {
    let fresh = || {
        let mut scene = Scene::active();
        pending(&mut scene);
        scene
    };
    check(fresh, UNJUDGED);
    check(
        || {
            let mut scene = Scene::active();
            admin_by_default(&mut scene);
            scene
        },
        BY_DEFAULT,
    );
    check(Scene::active, OWNED);
}

/// The record of a launch as the driver hands it on.
fn launch(identity: &Value, id: &str) -> Value {
    json!({
        "source": "aws.ec2", "detail": {
            "eventName": "RunInstances", "userIdentity": identity,
            "responseElements": {"instancesSet": {"items": [{"instanceId": id}]}},
        },
    })
}

#[test]
fn a_launcher_is_an_owner_only_when_it_names_a_known_person() {
    let role = |session: &str| json!({"type": "AssumedRole", "arn": format!("arn:aws:sts::111122223333:assumed-role/dev/{session}")});
    let rows = [
        ("an IAM user by name", json!({"type": "IAMUser", "userName": "max"}), "max"),
        ("an IAM user whom nobody knows", json!({"type": "IAMUser", "userName": "jenkins"}), "ada"),
        ("a role's session named after a person", role("max@bigdb.com"), "max"),
        (
            "a session of single sign-on",
            json!({"type": "AssumedRole", "arn":
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Dev_0123456789abcdef/max@bigdb.com"}),
            "max",
        ),
        ("a session of somebody within the pattern whom nobody knows", role("eve@bigdb.com"), "ada"),
        (
            "a federated user",
            json!({"type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/max"}),
            "max",
        ),
        (
            "a user of Identity Center without a name",
            json!({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "1"}}),
            "ada",
        ),
        ("a role's session named after a machine", role("i-0123456789abcdef0"), "ada"),
        ("the Auto Scaling service", role("AutoScaling"), "ada"),
        ("root", json!({"type": "Root", "userName": "max", "arn": "arn:aws:iam::111122223333:root"}), "ada"),
        ("another AWS account", json!({"type": "AWSAccount", "principalId": "max"}), "ada"),
        ("an AWS service", json!({"type": "AWSService", "invokedBy": "max"}), "ada"),
        ("nobody", json!({"type": "IAMUser"}), "ada"),
        ("no identity", json!(null), "ada"),
    ];
    for (name, identity, expected) in rows {
        let mut scene = Scene::active();
        pending(&mut scene);
        scene.resource().facts.tags.clear();
        scene.view.trigger = launch(&identity, "i-0abc");
        let lease = scene.decide().lease.unwrap();
        assert_eq!(lease.owner.as_str(), expected, "{name}");
    }
}

#[test]
fn the_record_of_a_launch_counts_for_its_own_instances_however_late_it_comes() {
    let by_max = json!({"type": "IAMUser", "userName": "max"});
    let mut cut = launch(&by_max, "i-0other");
    cut["trimmed"] = json!(true);
    let mut tagged = launch(&by_max, "i-0abc");
    tagged["detail"]["eventName"] = json!("CreateTags");
    let rows = [
        ("its own", launch(&by_max, "i-0abc"), "max"),
        ("another's", launch(&by_max, "i-0other"), "ada"),
        ("of too many instances to name them all", cut, "max"),
        ("of something else than a launch", tagged, "ada"),
    ];
    for (name, trigger, expected) in rows {
        let mut scene = Scene::active();
        admin_by_default(&mut scene);
        scene.resource().facts.tags.clear();
        scene.view.trigger = trigger.clone();
        let owner = scene.decide().lease.map_or("ada".to_owned(), |lease| lease.owner.to_string());
        assert_eq!(owner, expected, "{name}");
        let mut person = Scene::active();
        person.view.trigger = trigger;
        let lease = person.decide().lease.unwrap_or_else(|| person.lease().clone());
        assert_eq!(lease.owner.as_str(), "lin", "{name}: taken from a person");
    }
}

/// Saying "not mine" again and again makes no document grow.
#[test]
fn a_refusal_is_kept_once() {
    let mut scene = Scene::active();
    for number in 0..50 {
        scene.ask("lin", Wish::NotMine, &json!({}));
        scene.view.requests[0].id = format!("request::bigdb::lin::{number}");
        let decision = scene.decide();
        scene.apply(decision);
        let lease = scene.lease();
        lease.owner = UserId::parse("lin").unwrap();
        lease.owner_evidence =
            serde_json::from_value(json!({"source": "tag", "value": "lin@bigdb.com", "at": noon()})).unwrap();
        scene.marks()["granted_owner"] = json!("lin");
    }
    assert_eq!(scene.lease().refused.len(), 1);
}
