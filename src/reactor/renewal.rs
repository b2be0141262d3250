//! Lease arithmetic: how long a lease is, how far a renewal reaches, what a rank over the limit does. Every sum
//! saturates, so that an absurd document makes a far or a near end, never a crash.

use super::cover::cover;
use super::marks::OverQuota;
use super::work::Work;
use crate::model::{Facts, Lease, Policy, Stage, Time};

/// How long a rank may take to be known, in seconds.
pub(super) const RANK_TAKES: i64 = 600;

/// Reads a duration such as `2d`, `12h`, `90m` or `3600s`. `None` for anything else, and for zero.
pub fn lease_length(text: &str) -> Option<i64> {
    let text = text.trim();
    let unit = match text.chars().last()?.to_ascii_lowercase() {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse::<i64>().ok()?.checked_mul(unit)?;
    (seconds > 0).then_some(seconds)
}

/// How long a new lease is: what the lease tag asks for within policy, else the default. What ran before its AWS account
/// was `connected` gets a full default lease at least: its tag was no wish to us.
pub(super) fn first_length(policy: &Policy, facts: Option<&Facts>, connected: Option<Time>) -> i64 {
    let most = policy.max_total.map_or(policy.max_lease, |total| policy.max_lease.min(total.max(1)));
    let asked = facts.and_then(|facts| facts.tag(&policy.lease_tag)).and_then(lease_length);
    let length = asked.map_or(policy.default_lease, |asked| asked.min(most)).max(1);
    let launched = facts.and_then(|facts| facts.launch_time);
    let found = matches!((launched, connected), (Some(launched), Some(connected)) if launched < connected);
    if found { length.max(policy.default_lease) } else { length }
}

/// The furthest end that a renewal accepted at `now` may reach.
pub fn renewal_limit(lease: &Lease, policy: &Policy, now: Time) -> Time {
    let by_lease = now.plus(policy.max_lease.max(1));
    policy.max_total.map_or(by_lease, |total| by_lease.min(lease.first_seen.plus(total.max(0))))
}

/// What became of a wish for a later end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// A later end than before.
    Granted(Time),
    /// The lease reaches as far as was asked for already.
    AlreadyThere,
    /// The policy allows nothing later.
    AtLimit,
}

/// Judges a wish for the end `wanted`. What it grants is later than the present end and within `limit`.
pub fn renew(granted_until: Time, wanted: Time, limit: Time) -> Renewal {
    let end = wanted.min(limit);
    if end > granted_until {
        Renewal::Granted(end)
    } else if wanted <= granted_until {
        Renewal::AlreadyThere
    } else {
        Renewal::AtLimit
    }
}

impl Work<'_> {
    /// The limit for this lease now; short while its owner is over `max_instances`.
    pub(super) fn limit(&self) -> Time {
        if cover(self.view).is_some() {
            // The lease of its group stands for it: this one is kept as long as it was promised.
            return self.lease.granted_until;
        }
        let limit = renewal_limit(&self.lease, self.policy(), self.now);
        if self.over_quota() { limit.min(self.now.plus(self.policy().over_quota_lease)) } else { limit }
    }

    /// Grants a later end if the policy allows it; never one that has passed. Who is over `max_instances` gets a short
    /// one, and the rest is owed.
    pub(super) fn renew_to(&mut self, wanted: Time, why: &str) -> Renewal {
        if wanted <= self.now {
            return Renewal::AlreadyThere;
        }
        let outcome = renew(self.lease.granted_until, wanted, self.limit());
        if let Renewal::Granted(end) = outcome {
            if end <= self.now {
                return Renewal::AtLimit;
            }
            let owed = wanted.min(renewal_limit(&self.lease, self.policy(), self.now));
            self.marks.over_quota = self.over_quota().then_some(OverQuota { was: owed });
            self.grant(end, format!("{why}: until {end}"));
        }
        outcome
    }

    /// Judges the first length once the owner is known, and what its end does, by the owner's own policy and by tags that have
    /// settled. Only for a lease whose end nobody has changed, and never so short that its owner cannot react.
    pub(super) fn judge_length(&mut self) {
        if !std::mem::take(&mut self.marks.length_due) || !self.lease.state.is_renewable() {
            return;
        }
        let policy = self.policy();
        let connected = self.view.aws_account.as_ref().and_then(|aws| aws.connected_at);
        let length = first_length(policy, self.facts(), connected);
        let made = self.lease.first_seen.min(self.now);
        let end = made.plus(length).max(self.now.plus(length.min(policy.min_notice)));
        let edited = self.lease.expires_at != self.lease.granted_until;
        if self.facts().is_none() || edited {
            return;
        }
        let (grace, action) = (policy.grace, self.end_action());
        self.lease.ends_at = end.plus(grace);
        self.lease.end_action = action;
        if end != self.lease.granted_until {
            self.lease.expires_at = end;
            self.lease.granted_until = end;
            self.lease.log(self.now, format!("its first lease lasts until {end}"));
        }
    }

    /// An edit of `expires_at`: later is a wish to renew, earlier is none and is put back.
    pub(super) fn judge_edit(&mut self) {
        let wanted = self.lease.expires_at;
        if wanted == self.lease.granted_until {
            return;
        }
        let renewable = self.lease.state.is_renewable() && wanted > self.lease.granted_until;
        if renewable && matches!(self.renew_to(wanted, "renewed by edit"), Renewal::Granted(_)) {
            self.marks.wished_at = Some(self.now);
            return;
        }
        self.lease.expires_at = self.lease.granted_until;
        self.lease
            .log(self.now, format!("an edit to {wanted} was not accepted; it ends at {}", self.lease.granted_until));
    }

    /// Grants an end to what has no rank yet because it was not live. Until the rank is known only the short lease is
    /// promised, or what was granted before, and the rest is owed. The end that is sure.
    pub(super) fn grant_unranked(&mut self, end: Time, why: &str) -> Time {
        let short = self.now.plus(self.policy().over_quota_lease).max(self.lease.granted_until);
        let sure = if self.policy().max_instances.is_some() { end.min(short) } else { end };
        self.grant(sure, format!("{why} until {sure}"));
        self.marks.quota_due = Some(self.now);
        self.marks.over_quota = (sure < end).then_some(OverQuota { was: end });
        sure
    }

    /// Judges the rank of a new lease once its owner is known, and gives time back when the rank falls. `false`
    /// when the rank is not known yet, so that nothing may be said about the end.
    pub(super) fn judge_quota(&mut self) -> bool {
        let live = self.lease.state.is_renewable() && !self.lease.owner.is_pending();
        if let (true, Some(since)) = (live, self.marks.quota_due) {
            // A rank that never comes holds up no notice and no end for long.
            let unranked = self.policy().max_instances.is_some() && self.view.usage == 0;
            if unranked && !self.passed(since, RANK_TAKES) {
                return false;
            }
            self.marks.quota_due = None;
            let short = self.now.plus(self.policy().over_quota_lease);
            let was = self.lease.granted_until;
            // What a person was promised is not shortened.
            if self.over_quota() && short < was && self.marks.wished_at.is_none() {
                self.grant(short, format!("over the limit of instances: until {short}"));
                self.marks.over_quota = Some(OverQuota { was });
            }
        }
        let restorable = live && self.view.usage > 0 && !self.over_quota();
        if let (true, Some(over)) = (restorable, self.marks.over_quota.clone()) {
            self.marks.over_quota = None;
            if over.was > self.lease.granted_until && over.was > self.now {
                self.grant(over.was, format!("within the limit of instances again: until {}", over.was));
            }
        }
        true
    }

    /// Mail was switched on: who was never told of this lease gets a full default lease from then.
    pub(super) fn judge_stage_raise(&mut self) {
        let Some(accepted) = self.view.aws_account.as_ref().and_then(|aws| aws.stage_accepted) else {
            return;
        };
        let untold = self.lease.notified.is_none() && self.lease.state.is_renewable() && !self.lease.owner.is_pending();
        let end = accepted.since.plus(self.policy().default_lease);
        let past = self.lease.first_seen < accepted.since && accepted.since <= self.now;
        let raised = past && self.stage() >= Stage::Notify;
        if untold && raised && self.marks.wish.is_none() && end > self.lease.granted_until {
            self.marks.over_quota = None;
            self.grant(end, format!("mail begins here; a full lease from then: until {end}"));
        }
    }
}
