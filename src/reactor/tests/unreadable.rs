//! What cannot be read is not known: people, policies and exemption rules whose documents are broken.

use super::scene::{DAY, HOUR, Scene, noon};
use super::table::{Row, check, held, lin_leaves};
use crate::model::{ExemptionRule, Wish};
use serde_json::json;

/// Lin's document stands there and cannot be read; this process never saw it otherwise.
fn lin_is_broken(s: &mut Scene) {
    lin_leaves(s);
    unreadable(s, "user::bigdb::lin");
}

fn unreadable(s: &mut Scene, id: &str) {
    s.view.unreadable.push(id.to_owned());
}

#[rustfmt::skip] // A row is a line where it can be.
const RUNNING: &[Row] = &[
    ("its owner cannot be read: it stays theirs, and nobody is told in their place", lin_is_broken, "|"),
    ("its warning waits", |s| {
        lin_is_broken(s);
        s.now = s.lease().expires_at.plus(-1800);
    }, "|"),
    ("an admin gives it to somebody who cannot be read: that waits", |s| {
        unreadable(s, "user::bigdb::eve");
        s.lease().owner = crate::model::UserId::parse("eve").unwrap();
    }, "| resource of eve"),
    ("a policy that cannot be read holds nothing before the end", |s| unreadable(s, "policy::bigdb"), "|"),
];

#[rustfmt::skip]
const OVERDUE: &[Row] = &[
    ("its owner cannot be read", lin_is_broken, "hold unreadable | ada admin-unreadable"),
    ("its owner cannot be read any more and was before", |s| unreadable(s, "user::bigdb::lin"),
     "hold unreadable | ada admin-unreadable"),
    ("its AWS account cannot be read, and this process never saw it otherwise", |s| {
        unreadable(s, "aws_account::bigdb::111122223333");
        s.view.aws_account = None;
    }, "hold unreadable |"),
    ("its policy cannot be read", |s| unreadable(s, "policy::bigdb::aws::111122223333"),
     "hold unreadable | ada admin-unreadable"),
    ("held so and told so", |s| {
        unreadable(s, "policy::bigdb");
        held(s, "unreadable");
        s.told("admin-unreadable", "ada", -1800);
    }, "|"),
    ("mended: whoever counted on it is told of the new end", |s| held(s, "unreadable"),
     "term 3, ends +1h, no hold | lin expired"),
    ("a person's own wish needs no owner who can be read", |s| {
        lin_is_broken(s);
        s.ask("ada", Wish::End, &json!({}));
    }, "term 3, ends +0 | done: it will be stopped now until -2h, stop is due"),
    ("and is not told that it happens now where a policy is not known", |s| {
        unreadable(s, "policy::bigdb");
        s.ask("ada", Wish::End, &json!({}));
    },
     "hold unreadable | refused: the document policy::bigdb cannot be read, and what it says of this end is not known until -2h, \
     ada admin-unreadable"),
];

fn rule(s: &mut Scene, more: &serde_json::Value) {
    let mut written = json!({
        "id": "1", "by": "tag", "key": "owner", "value": "lin*", "reason": "demo", "until": noon().plus(DAY),
        "made_at": noon().plus(-DAY),
    });
    written.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    s.view.rules.push(ExemptionRule::read(&written).0);
}

#[rustfmt::skip]
const RULES: &[Row] = &[
    ("a rule whose end cannot be read holds what it picks", |s| rule(s, &json!({"until": "2027-12-31"})),
     "hold exemption |"),
    ("and nothing else", |s| rule(s, &json!({"until": "2027-12-31", "value": "max"})), "| stop is due"),
    ("one that nobody understands holds every end, and admins are told", |s| rule(s, &json!({"by": "subnet"})),
     "hold unreadable | ada admin-unreadable"),
    ("until its end", |s| rule(s, &json!({"by": "subnet", "until": noon()})), "| stop is due"),
    ("beside one that is understood and picks it, it is no news", |s| {
        rule(s, &json!({"by": "subnet", "until": 7}));
        rule(s, &json!({}));
    }, "hold exemption |"),
    ("a person's own wish overrides it, as every rule", |s| {
        rule(s, &json!({"by": "subnet"}));
        s.ask("lin", Wish::End, &json!({}));
    }, "term 3, ends +0 | done: it will be stopped now until -2h, stop is due"),
];

#[test]
fn an_exemption_rule_that_cannot_be_read_ends_nothing_that_it_may_be_about() {
    check(Scene::overdue, RULES);
    let mut scene = Scene::overdue();
    rule(&mut scene, &json!({"by": "subnet"}));
    let hold = scene.decide().lease.unwrap().hold.unwrap();
    assert!(hold.reason.contains(r#""by":"subnet""#), "{}", hold.reason);
}

#[test]
fn an_owner_who_cannot_be_read_keeps_the_lease_and_what_is_not_known_holds_its_end() {
    check(Scene::active, RUNNING);
    check(Scene::overdue, OVERDUE);
    let mut scene = Scene::overdue();
    unreadable(&mut scene, "pause::bigdb");
    let hold = scene.decide().lease.unwrap().hold.unwrap();
    assert_eq!(hold.reason, "the document pause::bigdb cannot be read, and what it says of this end is not known");
    assert!(hold.review_at <= noon().plus(DAY) && hold.since >= noon().plus(-HOUR));
}
