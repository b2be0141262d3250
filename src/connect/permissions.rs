//! What the role may do, found out without doing it: reads by small reads, the rest by dry runs. What AWS gives no way to try
//! is said to be unproven, never guessed.

use super::report::{Allowed, Check, Permission, Seen};
use super::role::{Policy, Wanted};
use super::trails;
use crate::aws::{Aws, AwsError, Probe};
use crate::model::{AwsAccount, Region, ResourceId};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;

/// Regions asked at a time.
pub(super) const AT_ONCE: usize = 20;
/// An instance that nobody has, for where there is none to ask about.
const NOBODYS: &str = "i-00000000000000000";

/// What was found out about an action.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) allowed: Allowed,
    pub(super) why: String,
}

/// What was seen.
pub(super) struct Look {
    /// In the order of the template.
    pub(super) permissions: Vec<Permission>,
    /// By name.
    pub(super) regions: Vec<Seen>,
    /// The regions that are enabled, where they can be read.
    pub(super) enabled: Option<Vec<Region>>,
    /// Whether a trail logs there.
    pub(super) trail: Check,
}

/// Looks, and changes nothing.
pub(super) async fn look(aws: &Aws, body: &AwsAccount, wanted: &Wanted) -> Look {
    let mut found = BTreeMap::new();
    let listed = aws.regions(body).await;
    let enabled = listed.as_ref().ok().cloned();
    let regions = match &enabled {
        _ if body.regions.is_empty() => enabled.clone().unwrap_or_default(),
        // One that is not there does not answer, only after a while.
        Some(enabled) => body.regions.iter().filter(|region| enabled.contains(region)).cloned().collect(),
        None => body.regions.clone(),
    };
    let told = listed.as_ref().map(|all| format!("{} regions are enabled", all.len()));
    found.insert("ec2:DescribeRegions".to_owned(), judged(told, "the call"));
    let glances = glances(aws, body, regions).await;
    found.insert("ec2:DescribeInstances".to_owned(), instances(&glances));
    let policies = wanted.policies();
    let read = glances.iter().filter_map(|(region, glance)| Some((region, glance.as_ref().ok()?)));
    // One with an instance says more.
    let place = read.max_by_key(|(region, instance)| (instance.is_some(), std::cmp::Reverse((*region).clone())));
    if let Some((region, _)) = place {
        let told = aws.groups(body, region).await;
        let told = told.as_ref().map(|all| format!("{} Auto Scaling groups are listed in {region}", all.len()));
        found.insert("autoscaling:DescribeAutoScalingGroups".to_owned(), judged(told, "the call"));
    }
    let readable = glances.iter().filter(|(_, glance)| glance.is_ok()).map(|(region, _)| region.clone());
    let trails = trails::ask(aws, body, readable.collect()).await;
    found.extend(trails::permitted(&trails).map(|(action, found)| (action.to_owned(), found)));
    for action in actions(&policies) {
        if !found.contains_key(action) {
            found.insert(action.to_owned(), tried(aws, body, action, place).await);
        }
    }
    Look {
        permissions: permissions(&policies, &found),
        regions: glances.into_iter().map(seen).collect(),
        enabled,
        trail: trails::check(&trails),
    }
}

type Glance = (Region, Result<Option<ResourceId>, AwsError>);

async fn glances(aws: &Aws, body: &AwsAccount, regions: Vec<Region>) -> Vec<Glance> {
    let asked = futures_util::stream::iter(regions).map(|region| async move {
        let glance = aws.glance(body, &region).await;
        (region, glance)
    });
    let mut all: Vec<Glance> = asked.buffer_unordered(AT_ONCE).collect().await;
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn seen((region, glance): Glance) -> Seen {
    let (state, why) = match glance {
        Ok(_) => ("read", String::new()),
        Err(why @ AwsError::DeniedByOrganization { .. }) => ("denied", text(&why)),
        Err(why) => ("failed", text(&why)),
    };
    Seen { region: region.to_string(), state: state.to_owned(), why }
}

fn instances(glances: &[Glance]) -> Found {
    let read = glances.iter().filter(|(_, glance)| glance.is_ok()).count();
    if read > 0 {
        return Found { allowed: Allowed::Proven, why: format!("read in {read} of {} regions", glances.len()) };
    }
    let refused = glances.iter().find(|(_, glance)| matches!(glance, Err(AwsError::Denied { .. })));
    match refused.or(glances.first()) {
        Some((_, Err(why))) => judged(Err(why), ""),
        _ => Found { allowed: Allowed::Unproven, why: "no region is known to ask in".to_owned() },
    }
}

/// Tries an action by a dry run.
async fn tried(aws: &Aws, body: &AwsAccount, action: &str, place: Option<(&Region, &Option<ResourceId>)>) -> Found {
    let unproven = |why: &str| Found { allowed: Allowed::Unproven, why: why.to_owned() };
    if let ("autoscaling:DescribeAutoScalingGroups", Some((region, _))) = (action, place) {
        let read = aws.groups(body, region).await;
        return judged(read.as_ref().map(|all| format!("{} groups read in {region}", all.len())), "the call");
    }
    if let ("cloudtrail:LookupEvents", Some((region, _)), Ok(id)) = (action, place, ResourceId::parse(NOBODYS)) {
        let read = aws.remembered(body, region, &id, None).await;
        return judged(read.as_ref().map(|_| format!("asked in {region}")), "the call");
    }
    let Some(probe) = Probe::of(action) else {
        return unproven("AWS has no dry run for this call, and making it would change something");
    };
    let Some((region, instance)) = place else {
        return unproven("no region can be read to try it in");
    };
    let made_up = ResourceId::parse(NOBODYS);
    let (Some(id), about) = (instance.as_ref().or(made_up.as_ref().ok()), instance.is_some()) else {
        return unproven("there is no instance to try it on");
    };
    match aws.probe(body, region, probe, id).await {
        Err(AwsError::NotFound { .. } | AwsError::Failed { .. })
            if !about || probe == Probe::CancelSpotInstanceRequests =>
        {
            unproven("there is nothing here yet to try it on; nothing speaks against it")
        }
        told => judged(told.as_ref().map(|()| format!("a dry run in {region} was let through")), "the dry run"),
    }
}

/// What an answer says about being allowed.
pub(super) fn judged<E: std::borrow::Borrow<AwsError>>(told: Result<String, E>, what: &str) -> Found {
    let why = match told {
        Ok(why) => return Found { allowed: Allowed::Proven, why },
        Err(why) => why,
    };
    match why.borrow() {
        AwsError::Denied { .. } => Found { allowed: Allowed::Missing, why: "AWS refuses it to the role".to_owned() },
        AwsError::DeniedByOrganization { .. } => {
            Found { allowed: Allowed::Denied, why: "a policy of the organisation refuses it".to_owned() }
        }
        AwsError::Protected { .. } => {
            let why = "the instance that it was tried on is protected".to_owned();
            Found { allowed: Allowed::Unproven, why }
        }
        other => Found { allowed: Allowed::Unproven, why: format!("{what} says nothing of it: {}", text(other)) },
    }
}

fn text(why: &AwsError) -> String {
    let cause = std::error::Error::source(why).map(ToString::to_string).unwrap_or_default();
    format!("{why} ({cause})")
}

fn actions(policies: &[Policy]) -> Vec<&str> {
    policies.iter().flat_map(Policy::statements).flat_map(|(_, actions)| actions).collect()
}

fn permissions(policies: &[Policy], found: &BTreeMap<String, Found>) -> Vec<Permission> {
    let mut all = Vec::new();
    for policy in policies {
        for (statement, actions) in policy.statements() {
            for action in actions {
                let Some(Found { allowed, why }) = found.get(action) else { continue };
                all.push(Permission {
                    action: action.to_owned(),
                    policy: policy.name.clone(),
                    allowed: *allowed,
                    // What only serves to tell something is missed in no role of before.
                    needed: policy.wanted && !trails::ACTIONS.contains(&action),
                    why: why.clone(),
                    add: (*allowed == Allowed::Missing).then(|| format!("{statement:#}")),
                });
            }
        }
    }
    all
}
