//! What changed between what is known and what a scan saw (SAFETY.md, invariant 6: unknown is not gone and missing is
//! not empty).

use crate::model::{
    AccountId, AwsId, Detail, Facts, LeaseKey, LeaseKeyFields, Missing, Region, Resource, ResourceChange, ResourceId,
    Time, UserId,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// One complete scan of a region: every page was read. A scan that failed has no value of this type.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Whose AWS account it is.
    pub account: AccountId,
    /// The AWS account.
    pub aws_id: AwsId,
    /// The region.
    pub region: Region,
    /// What stood there.
    pub found: BTreeMap<ResourceId, Facts>,
    /// Auto Scaling groups were read too, and stand in `found`; otherwise nothing is said of any.
    pub groups_read: bool,
    /// Missing ids that were asked for one by one and that EC2 confirmed not to know; needed after a drop.
    pub confirmed_absent: BTreeSet<ResourceId>,
    /// The scan before said the same, or an admin believes it: no drop pauses it.
    pub agreed: bool,
}

/// What follows from a scan.
#[derive(Debug, Clone, PartialEq)]
pub enum Reconciled {
    /// Documents to write, each with the event that tells of it.
    Changes(Vec<Change>),
    /// Too much is missing at once: change nothing, ask for these ids.
    Paused {
        /// For people.
        reason: String,
        /// What to ask for.
        missing: Vec<ResourceId>,
    },
}

/// One resource document to write. Missing counts are written without an event, since nothing is known to have changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The document as it should be.
    pub resource: Resource,
    /// What to tell the driver.
    pub event: Option<ResourceChange>,
}

/// Compares a complete scan with the resources known in its region.
pub fn reconcile(known: &[Resource], scan: &Scan, now: Time) -> Reconciled {
    let told = |resource: &&Resource| scan.groups_read || !resource.key.resource_id.is_group();
    let live: Vec<&Resource> = known.iter().filter(told).filter(|resource| !resource.is_gone()).collect();
    // Each by itself: many instances must not hide that all groups are missing.
    let of = |fits: fn(&ResourceId) -> bool| live.iter().copied().filter(move |it| fits(&it.key.resource_id));
    let (groups, instances): (Vec<_>, Vec<_>) =
        (of(ResourceId::is_group).collect(), of(ResourceId::is_instance).collect());
    if let Some(paused) = guard(&instances, scan, "instances").or_else(|| guard(&groups, scan, "groups")) {
        return paused;
    }
    let by_id: BTreeMap<&ResourceId, &Resource> = known.iter().map(|known| (&known.key.resource_id, known)).collect();
    let mut changes: Vec<Change> = scan
        .found
        .iter()
        .filter_map(|(id, facts)| match by_id.get(id) {
            None => created(scan, id, facts, now),
            Some(known) => updated(scan, known, facts, now),
        })
        .collect();
    let absent = live.into_iter().filter(|known| !scan.found.contains_key(&known.key.resource_id));
    changes.extend(absent.map(|known| missed(scan, known, now)));
    Reconciled::Changes(changes)
}

/// A drop of more than max(10, 30 %), in instances or in tags, is no news but a fault until it is confirmed: a proxy
/// outage once gave empty tags and deleted load balancers (cloud-custodian#4949).
fn guard(live: &[&Resource], scan: &Scan, what: &str) -> Option<Reconciled> {
    if scan.agreed {
        return None;
    }
    // What is missing already was counted before; a slow decline must not add up to a drop.
    let fresh: Vec<ResourceId> = live
        .iter()
        .filter(|known| known.missing.is_none())
        .map(|known| &known.key.resource_id)
        .filter(|id| !scan.found.contains_key(*id) && !scan.confirmed_absent.contains(*id))
        .cloned()
        .collect();
    let tagged: Vec<&&Resource> = live.iter().filter(|known| !known.facts.tags.is_empty()).collect();
    let bare = |known: &&&Resource| {
        scan.found.get(&known.key.resource_id).is_some_and(|facts| facts.tags.is_empty() && !facts.state.is_ended())
    };
    let stripped: Vec<ResourceId> =
        tagged.iter().copied().filter(bare).map(|known| known.key.resource_id.clone()).collect();
    if is_drop(fresh.len(), live.len()) {
        let reason = format!("{} of {} known {what} are missing from one scan", fresh.len(), live.len());
        return Some(Reconciled::Paused { reason, missing: fresh });
    }
    if is_drop(stripped.len(), tagged.len()) {
        let reason = format!("{} of {} tagged {what} lost all tags in one scan", stripped.len(), tagged.len());
        return Some(Reconciled::Paused { reason, missing: stripped });
    }
    None
}

/// More than max(10, 30 %).
fn is_drop(lost: usize, of: usize) -> bool {
    lost > 10 && lost * 10 > of * 3
}

pub(super) fn created(scan: &Scan, id: &ResourceId, facts: &Facts, now: Time) -> Option<Change> {
    if facts.state.is_ended() {
        return None;
    }
    let key = LeaseKey { aws_id: scan.aws_id.clone(), region: scan.region.clone(), resource_id: id.clone() };
    let resource = Resource {
        account: scan.account.clone(),
        key: LeaseKeyFields::from(key),
        kind: id.kind().to_owned(),
        facts: facts.clone(),
        owner: UserId::pending(),
        first_seen: now,
        missing: None,
        extra: crate::model::Extra::new(),
    };
    Some(Change { event: Some(event(scan, &resource, "Seen", now)), resource })
}

pub(super) fn updated(scan: &Scan, known: &Resource, facts: &Facts, now: Time) -> Option<Change> {
    if known.facts == *facts && known.missing.is_none() {
        return None;
    }
    let resource = Resource { facts: facts.clone(), missing: None, ..known.clone() };
    let what = if resource.is_gone() { "Gone" } else { "Changed" };
    let event = Some(event(scan, &resource, what, now));
    Some(Change { resource, event })
}

fn missed(scan: &Scan, known: &Resource, now: Time) -> Change {
    let before = known.missing.unwrap_or(Missing { since: now, last: now, scans: 0 });
    // Since a time to come, by a clock that was set back, is since now.
    let missing = Missing { since: before.since.min(now), last: now, scans: before.scans.saturating_add(1) };
    let resource = Resource { missing: Some(missing), ..known.clone() };
    let event = resource.is_gone().then(|| event(scan, &resource, "Gone", now));
    Change { resource, event }
}

fn event(scan: &Scan, resource: &Resource, what: &str, now: Time) -> ResourceChange {
    let id = &resource.key.resource_id;
    let (aws_id, region) = (&scan.aws_id, &scan.region);
    let (name, arn, names) = if id.is_cluster() {
        (format!("Cluster{what}"), None, json!({ "cluster": { "id": id, "name": resource.facts.name } }))
    } else if id.is_group() {
        let (group, uuid) = (&resource.facts.name, id.as_str().trim_start_matches("asg-"));
        let arn = format!("arn:aws:autoscaling:{region}:{aws_id}:autoScalingGroup:{uuid}:autoScalingGroupName/{group}");
        (format!("Group{what}"), Some(arn), json!({ "autoScalingGroup": { "id": id, "name": group } }))
    } else {
        let names = json!({ "instancesSet": { "items": [{ "instanceId": id }] } });
        (format!("Instance{what}"), Some(format!("arn:aws:ec2:{region}:{aws_id}:instance/{id}")), names)
    };
    ResourceChange {
        version: "0".to_owned(),
        // The same finding has the same id: a repeated event is seen to be one.
        id: format!("{}-{name}-{}", resource.key.key(), now.unix()),
        detail_type: "zerocloud ResourceChange".to_owned(),
        source: "zerocloud.detector".to_owned(),
        account: aws_id.clone(),
        time: now,
        region: region.clone(),
        resources: arn.into_iter().collect(),
        detail: Detail {
            event_name: name,
            event_source: "zerocloud.detector".to_owned(),
            event_time: now,
            aws_region: region.clone(),
            response_elements: names,
            user_identity: None,
        },
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
