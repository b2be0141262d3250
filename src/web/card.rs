//! A lease as pages show it: how long it still is, what happens next, and what its reader can do about it. Pure.

use super::choices::{Choice, choices, kept_back};
use super::cost::Rate;
use super::estimate::Estimate;
use super::outlook::{Asked, Ground, asked, is_protected};
use super::pauses::is_in_force;
use crate::model::{
    Action, AwsAccount, CLUSTER_KIND, Directory, EvidenceSource, Facts, GROUP_KIND, Lease, Policy, Stage, State,
    StoppedBy, Time, UserId,
};
use crate::reactor::{Covered, exempting, exempting_member};
use crate::words::{Zone, clean, cut, hold_word, not_theirs, sentence, utc, with_instants};
use serde::Serialize;

/// What it is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) directory: &'a Directory,
    pub(super) facts: Option<&'a Facts>,
    /// What would end with it.
    pub(super) members: &'a [Covered],
    /// The lease of its group stands for it after this one.
    pub(super) covered: bool,
    pub(super) zone: &'a Zone,
    /// Its place among its owner's live leases, from 1; 0 when that is not known.
    pub(super) rank: u32,
    /// What an hour of it costs.
    pub(super) rate: Option<Rate>,
    pub(super) now: Time,
}

/// A lease, ready for a template.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Card {
    pub(super) key: String,
    pub(super) title: String,
    id: String,
    kind: String,
    region: String,
    aws: String,
    pub(super) owner: String,
    evidence: String,
    state: &'static str,
    word: &'static str,
    /// `good`, `warn`, `bad` or `calm`.
    tone: &'static str,
    /// `Ends in`, `Terminated in` …; empty when no end runs.
    leads: &'static str,
    left: String,
    left_seconds: i64,
    used: i64,
    pub(super) ends: String,
    ends_local: Option<String>,
    next: String,
    then: Option<String>,
    hold: Option<String>,
    /// The deadline that passed while it was held.
    passed: Option<String>,
    /// EC2 protects it from its end.
    protected: bool,
    /// Why no end starts where it is; what is held for that says so itself.
    pub(super) paused: Option<String>,
    /// Somebody asked for its end, which is under way.
    ending: bool,
    exemption: Option<String>,
    renew: Vec<Choice>,
    /// Why not more is offered, where the limit of instances keeps it back.
    kept_back: Option<String>,
    pub(super) can: Can,
    verb: &'static str,
    group: bool,
    /// What it is: `Instance`, `Group`, `Cluster`.
    label: &'static str,
    stack: Option<String>,
    offered_to: Option<String>,
    cost: Option<Estimate>,
}

/// What may be asked for now.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Can {
    pub(super) renew: bool,
    pub(super) end: bool,
    /// Its end closes the lease alone: the machine ends with its group.
    pub(super) let_go: bool,
    pub(super) terminate: bool,
    pub(super) revive: bool,
    pub(super) pass_on: bool,
    /// An admin may keep an end away: there is one that comes by itself.
    pub(super) exempt: bool,
}

pub(super) fn stage(directory: &Directory, lease: &Lease) -> Stage {
    directory.aws_accounts.get(&lease.key.aws_id).map_or(Stage::Observe, AwsAccount::effective_stage)
}

pub(super) fn user_name(directory: &Directory, lease: &Lease, user: &UserId) -> String {
    if user.is_pending() {
        return "not known yet".to_owned();
    }
    let known = directory.user(&lease.account, user).map(|user| clean(&user.name));
    known.filter(|name| !name.is_empty()).unwrap_or_else(|| user.to_string())
}

/// What keeps it from its end, and until when: an admin's word about it, or a rule that picks out it or a member of it.
fn exemption(lease: &Lease, around: Around<'_>) -> Option<(Time, String)> {
    let own = lease.exemption.as_ref().filter(|it| it.until > around.now).map(|it| (it.until, it.reason.clone()));
    let rules = around.directory.rules(&lease.account);
    let rule = || {
        let member = || exempting_member(&rules, around.members, around.now).map(|(_, rule)| rule);
        let rule = exempting(&rules, around.facts?, around.now).or_else(member)?;
        Some((rule.until, rule.reason.clone()))
    };
    own.or_else(rule).filter(|_| !lease.state.is_over())
}

impl Card {
    pub(super) fn of(lease: &Lease, around: Around<'_>) -> Card {
        let Around { directory, facts, covered, zone, rank, rate, now, .. } = around;
        let policy = directory.policy(&lease.account, &lease.key.aws_id, Some(&lease.owner));
        let id = lease.key.resource_id.to_string();
        let name = clean(&lease.summary.name);
        let aws = directory.aws_accounts.get(&lease.key.aws_id).map(|aws| clean(&aws.name));
        let action = lease.agreed_end(facts);
        let stage = stage(directory, lease);
        let exemption = exemption(lease, around);
        let asked = asked(lease);
        let asked_by = asked.as_ref().map(|asked| user_name(directory, lease, &asked.by));
        let exempt = exemption.as_ref().map(|(until, _)| *until);
        let asked_by = asked_by.as_deref();
        let paused = pause(directory, lease, now);
        let stands = paused.is_some() && stage >= lease.needed_stage(action);
        let ground =
            Ground { lease, action, stage, policy: &policy, exempt, covered, asked_by, paused: stands, zone, now };
        let (leads, at) = ground.clock();
        let left = at.map_or(0, |at| at.seconds_since(now));
        let whole = at.map_or(1, |at| at.seconds_since(since(lease)).max(1));
        let (word, tone) = ground.look();
        let (next, then) = ground.next();
        let owner = user_name(directory, lease, &lease.owner);
        let renewable = lease.state.is_renewable() && !covered;
        let kept_back = kept_back(lease, &policy, rank, &owner, now).filter(|_| renewable);
        Card {
            key: lease.key().to_string(),
            title: if name.is_empty() { id.clone() } else { cut(&name, 80) },
            id,
            kind: kind(lease, facts),
            region: lease.key.region.to_string(),
            aws: aws.filter(|name| !name.is_empty()).unwrap_or_else(|| lease.key.aws_id.to_string()),
            owner,
            evidence: evidence(directory, lease, facts, &policy),
            state: lease.state.as_str(),
            word,
            tone,
            leads,
            left: rough(left),
            left_seconds: left.max(0),
            used: (100 - left.max(0).saturating_mul(100) / whole).clamp(0, 100),
            ends: at.map(utc).unwrap_or_default(),
            ends_local: at.and_then(|at| zone.local(at)),
            next,
            then,
            hold: held(lease, zone),
            exemption: exemption.map(|(until, why)| format!("Exempt until {}: {}", zone.both(until), clean(&why))),
            renew: choices(lease, &policy, rank, zone, now),
            kept_back,
            can: can(lease, action, stage, around, asked.as_ref()),
            passed: ground.passed().map(|at| zone.both(at)),
            protected: is_protected(lease) && !lease.state.is_over(),
            paused: paused.filter(|_| lease.hold.is_none() && !lease.state.is_over()),
            ending: asked.is_some(),
            verb: lease.past(action),
            group: lease.is_group(),
            label: label(lease),
            stack: facts.and_then(stack_of).map(|name| clean(&name)),
            offered_to: lease.offered_to.as_ref().map(|to| user_name(directory, lease, to)),
            cost: Estimate::of(lease, rate, facts.and_then(|facts| facts.launch_time), now),
        }
    }
}

fn held(lease: &Lease, zone: &Zone) -> Option<String> {
    let hold = lease.hold.as_ref()?;
    let (word, reason) = (hold_word(hold.kind), with_instants(&clean(&hold.reason)));
    let review = zone.both(hold.review_at);
    Some(format!("Held ({word}): {}. Looked at again {review}.", reason.trim_end_matches('.')))
}

fn since(lease: &Lease) -> Time {
    let renewed = lease.answered.iter().rev().find(|said| said.until == Some(lease.granted_until)).map(|said| said.at);
    match lease.state {
        State::Stopped => lease.stopped_at.unwrap_or(lease.first_seen),
        State::Expired => lease.expires_at,
        _ => renewed.unwrap_or(lease.first_seen),
    }
}

fn can(lease: &Lease, action: Action, stage: Stage, around: Around<'_>, asked: Option<&Asked>) -> Can {
    let live = lease.state.is_renewable();
    let covered = around.covered;
    let managed = covered || around.facts.is_some_and(|facts| facts.managed_by.is_some());
    let needed = lease.needed_stage(action);
    let there = live || lease.state == State::Stopped;
    // What would be refused at once is not offered.
    let free = pause(around.directory, lease, around.now).is_none();
    let under_way = |action: Action| asked.is_some_and(|asked| asked.action == action);
    Can {
        renew: live && !covered,
        let_go: live && covered && stage >= needed && free,
        end: live && !managed && stage >= needed && asked.is_none() && free,
        terminate: there
            && free
            && !managed
            && stage >= Stage::Terminate
            && !lease.is_group()
            && !under_way(Action::Terminate),
        revive: lease.state == State::Stopped && !managed && stage >= Stage::Stop && wakes(lease),
        pass_on: there,
        exempt: live || (there && !lease.is_group() && lease.stopped_by == Some(StoppedBy::Zerocloud)),
    }
}

/// The pause that keeps ends from starting where a lease is, in a sentence.
fn pause(directory: &Directory, lease: &Lease, now: Time) -> Option<String> {
    let pauses = directory.pauses(&lease.account, &lease.key());
    let pause = pauses.into_iter().find(|pause| is_in_force(pause, now))?;
    let reason = clean(&pause.reason);
    Some(format!("Paused since {}: {}", utc(pause.since), sentence(&reason)))
}

/// A group is revived with the sizes that zerocloud took from it.
fn wakes(lease: &Lease) -> bool {
    !lease.is_group() || lease.sizes.is_some()
}

/// The type; of a group also how many members it wishes for.
fn kind(lease: &Lease, facts: Option<&Facts>) -> String {
    let kind = clean(&lease.summary.instance_type);
    match facts.and_then(|facts| facts.group.as_ref()) {
        Some(group) => {
            let by = facts.and_then(|facts| facts.managed_by.as_ref()).filter(|_| !lease.is_group());
            let what = match by.map(|by| by.kind.as_str()) {
                None => "Auto Scaling group",
                Some("eks") => "EKS cluster",
                Some("ecs") => "ECS cluster",
                Some("batch") => "Batch environment",
                Some("emr") => "EMR cluster",
                Some("karpenter") => "Karpenter pool",
                Some("beanstalk") => "Beanstalk environment",
                Some(_) => "fleet",
            };
            let kind = if kind.is_empty() { kind } else { format!(" × {kind}") };
            format!("{what} of {}{kind}", group.sizes.desired)
        }
        None => kind,
    }
}

/// The CloudFormation stack that made it.
pub(super) fn stack_of(facts: &Facts) -> Option<String> {
    facts.tags.get("aws:cloudformation:stack-name").filter(|name| !name.is_empty()).cloned()
}

fn label(lease: &Lease) -> &'static str {
    match lease.key.resource_id.kind() {
        GROUP_KIND => "Group",
        CLUSTER_KIND => "Cluster",
        _ => "Instance",
    }
}

fn evidence(directory: &Directory, lease: &Lease, facts: Option<&Facts>, policy: &Policy) -> String {
    let value = clean(&lease.owner_evidence.value);
    match lease.owner_evidence.source {
        EvidenceSource::Request => "taken over, or given by an admin".to_owned(),
        EvidenceSource::Tag => format!("its tag {} says {value}", clean(&policy.owner_tag)),
        EvidenceSource::Launcher => format!("CloudTrail says that {value} launched it"),
        EvidenceSource::KeyName => format!("launched with the SSH key {value}"),
        EvidenceSource::Admin => not_theirs(lease, facts, policy, |user| user_name(directory, lease, user)),
        EvidenceSource::None => "not judged yet".to_owned(),
    }
}

/// The two largest units: `2 d 4 h`.
pub(super) fn rough(seconds: i64) -> String {
    let mut rest = seconds.max(0);
    let mut parts: Vec<String> = Vec::new();
    for (size, unit) in [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")] {
        let count = rest / size;
        rest -= count * size;
        if count > 0 && parts.len() < 2 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::rough;

    #[test]
    fn time_left_is_told_by_its_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (3_601, "1 h"),
            (187_200, "2 d 4 h"),
            (-5, "0 s"),
        ] {
            assert_eq!(rough(seconds), text);
        }
    }
}
