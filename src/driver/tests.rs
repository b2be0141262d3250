//! The loop against a world in memory: conflicts, failures and the failing effect among good ones.

use super::{Loaded, Looked, Performed, Saved, Saving, World, look};
use crate::clock::Clock;
use crate::driver::Look;
use crate::failpoint::Failpoint;
use crate::model::{Lease, LeaseKey, Policy, Resource, Time};
use crate::reactor::{Effect, View};
use serde_json::{Value, json};
use std::sync::Mutex;

/// One instance, its lease, and how often a save is to lose.
#[derive(Default)]
struct Small {
    lease: Mutex<Option<Lease>>,
    conflicts: Mutex<u32>,
    saves: Mutex<u32>,
    broken: bool,
}

fn key() -> LeaseKey {
    LeaseKey::parse("111122223333::us-east-1::i-1").unwrap()
}

fn resource() -> Resource {
    serde_json::from_value(json!({
        "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-1", "kind": "instance",
        "facts": { "state": "running", "root_device": "ebs" }, "owner": "pending",
        "first_seen": "2026-11-24T00:00:00Z",
    }))
    .unwrap()
}

impl World for Small {
    async fn view(&self, _: &LeaseKey, trigger: &Value) -> anyhow::Result<Option<Loaded>> {
        anyhow::ensure!(!self.broken, "the gateway is down");
        let aws = json!({ "account": "bigdb", "aws_id": "111122223333", "stage": "observe" });
        let view = View {
            rules: Vec::new(),
            lease: self.lease.lock().unwrap().clone(),
            resource: Some(resource()),
            trigger: trigger.clone(),
            aws_account: serde_json::from_value(aws).ok(),
            region: None,
            policy: Policy::default(),
            account_policy: Policy::default(),
            unreadable: vec![],
            users: vec![],
            pauses: vec![],
            requests: vec![],
            notices: vec![],
            usage: 0,
            cover: None,
            members: Vec::new(),
        };
        Ok(Some(Loaded { view, rev: None }))
    }

    async fn save(&self, saving: &Saving) -> anyhow::Result<Saved> {
        *self.saves.lock().unwrap() += 1;
        let mut conflicts = self.conflicts.lock().unwrap();
        if *conflicts > 0 {
            *conflicts -= 1;
            return Ok(Saved::Conflict);
        }
        *self.lease.lock().unwrap() = Some(saving.lease.body.clone());
        Ok(Saved::Saved)
    }

    async fn perform(&self, _: &Effect) -> anyhow::Result<Performed> {
        Ok(Performed::Same)
    }

    fn partition(&self, key: &LeaseKey) -> String {
        key.to_string()
    }
}

async fn looked(world: &Small) -> Looked {
    let clock = Clock::manual(Time::parse("2026-11-24T00:00:10Z").unwrap());
    look(world, &Look::at(key()), &clock, &Failpoint::default()).await
}

#[tokio::test]
async fn a_lost_race_is_decided_again_and_then_rests() {
    let world = Small { conflicts: Mutex::new(2), ..Small::default() };
    let Looked::Settled(Some(next)) = looked(&world).await else {
        panic!("it did not rest with a time to look again");
    };
    let lease = world.lease.lock().unwrap().clone().unwrap();
    assert!(lease.owner.is_pending() && next <= lease.expires_at);
    let saves = *world.saves.lock().unwrap();
    looked(&world).await;
    assert_eq!(*world.saves.lock().unwrap(), saves, "a second look saved again");
}

#[test]
fn what_fails_again_is_tried_ever_more_rarely() {
    let waits = [0, 1, 2, 5, 6, u32::MAX].map(super::retry);
    assert_eq!(waits, [5, 10, 20, 160, 300, 300]);
}

#[tokio::test]
async fn endless_conflicts_and_a_broken_store_are_put_off() {
    let always = Small { conflicts: Mutex::new(u32::MAX), ..Small::default() };
    assert_eq!(looked(&always).await, Looked::Again);
    let broken = Small { broken: true, ..Small::default() };
    assert_eq!(looked(&broken).await, Looked::Again);
}
