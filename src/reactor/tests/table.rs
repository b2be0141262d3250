//! What tables of scenes share: how a row is checked, and changes that many rows make.

use super::scene::{DAY, HOUR, Scene, noon};
use crate::model::{Stage, StageAccepted, UserId};
use serde_json::json;

/// A name, how the scene differs from the one before the row, and the outcome.
pub(super) type Row = (&'static str, fn(&mut Scene), &'static str);

pub(super) fn check(scene: fn() -> Scene, rows: &[Row]) {
    let mut wrong = Vec::new();
    for (name, change, expected) in rows {
        let mut scene = scene();
        change(&mut scene);
        let outcome = scene.outcome();
        if outcome != *expected {
            wrong.push(format!("{name}\n  expected: {expected}\n  outcome:  {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

pub(super) fn pause(scene: &mut Scene, more: &serde_json::Value) {
    let mut pause = json!({"reason": "release week", "by": "bigdb.ada", "since": noon().plus(-DAY)});
    pause.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    scene.view.pauses.push(serde_json::from_value(pause).unwrap());
}

pub(super) fn held(scene: &mut Scene, kind: &str) {
    let hold = json!({"kind": kind, "reason": "", "since": noon().plus(-HOUR), "review_at": noon().plus(HOUR)});
    scene.lease().hold = Some(serde_json::from_value(hold).unwrap());
}

pub(super) fn stage(scene: &mut Scene, stage: Stage, since: i64) {
    let aws = scene.view.aws_account.as_mut().unwrap();
    aws.stage = stage;
    aws.stage_accepted = Some(StageAccepted { stage, since: noon().plus(since) });
}

pub(super) fn missing(scene: &mut Scene, scans: u32, since: i64, last: i64) {
    let missing = json!({"since": noon().plus(since), "last": noon().plus(last), "scans": scans});
    scene.resource().missing = Some(serde_json::from_value(missing).unwrap());
}

pub(super) fn exempt(scene: &mut Scene, until: i64) {
    let exemption = json!({"reason": "benchmark", "until": noon().plus(until)});
    scene.lease().exemption = Some(serde_json::from_value(exemption).unwrap());
}

pub(super) fn region(scene: &mut Scene, state: &str) {
    let region = json!({"account": "bigdb", "state": state, "reason": "12 of 20 are missing", "since": noon()});
    scene.view.region = Some(serde_json::from_value(region).unwrap());
}

pub(super) fn tag(scene: &mut Scene, key: &str, value: &str) {
    scene.resource().facts.tags.insert(key.to_owned(), value.to_owned());
}

pub(super) fn user(scene: &mut Scene, id: &str, more: &serde_json::Value) {
    let mut user = json!({"account": "bigdb", "user": id, "role": "dev", "email": format!("{id}@bigdb.com")});
    user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    scene.view.users.push(serde_json::from_value(user).unwrap());
}

pub(super) fn lin_leaves(scene: &mut Scene) {
    scene.view.users.retain(|user| user.user.as_str() != "lin");
}

pub(super) fn no_admin(scene: &mut Scene) {
    scene.view.users.retain(|user| user.user.as_str() != "ada");
}

pub(super) fn pending(scene: &mut Scene) {
    scene.lease().owner = UserId::pending();
    scene.lease().term = 1;
    scene.lease().notified = None;
    scene.lease().owner_evidence = serde_json::from_value(json!({"source": "none", "at": noon()})).unwrap();
    scene.resource().owner = UserId::pending();
    *scene.marks() = json!({"granted_owner": "pending"});
    scene.view.notices.clear();
}

pub(super) fn admin_by_default(scene: &mut Scene) {
    scene.lease().owner = UserId::parse("ada").unwrap();
    scene.resource().owner = UserId::parse("ada").unwrap();
    scene.lease().owner_evidence = serde_json::from_value(json!({"source": "admin", "at": noon()})).unwrap();
    scene.marks()["granted_owner"] = json!("ada");
    scene.view.notices.clear();
    scene.told("first", "ada", -DAY);
}
