//! The steps of an end on the lease itself: claimed, held back by the pace, carried out or failed. The caller saves each by
//! compare-and-swap, so that a renewal that lands first wins (SAFETY.md, invariant 1).

use super::ends::{CLAIM_LASTS, before_claim, set_hold};
use super::marks::Marks;
use super::view::DueEnd;
use crate::model::{Action, HoldKind, Lease, Policy, Reap, State, StoppedBy, Time};

/// How long an end waits when too many were claimed.
const PACE: i64 = 600;
/// How long protection is taken for granted.
const PROTECTED: i64 = 21_600;

/// What EC2 said of an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReapOutcome {
    /// EC2 says that it is stopped or stopping.
    Stopped,
    /// EC2 says that it is terminated or shutting down.
    Terminated,
    /// Termination or stop protection; the reason is for people.
    Protected(String),
    /// It is not what the lease says any more (running again, other tags); nothing was done.
    Changed(String),
    /// The call failed.
    Failed(String),
}

impl std::fmt::Display for ReapOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReapOutcome::Stopped => f.write_str("stopped"),
            ReapOutcome::Terminated => f.write_str("terminated"),
            ReapOutcome::Protected(why) => write!(f, "protected: {why}"),
            ReapOutcome::Changed(why) => write!(f, "not ended: {why}"),
            ReapOutcome::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// The lease with its end claimed; `None` when `due` no longer fits it: renewed, claimed, or another term.
pub fn claim(lease: &Lease, due: &DueEnd, now: Time) -> Option<Lease> {
    let fits = lease.key() == due.key && lease.term == due.term && lease.account == due.account;
    let before = lease.reap.as_ref();
    let ready = match lease.state {
        State::Expired | State::Stopped => {
            !due.resumes && now >= lease.ends_at && lease.expires_at <= lease.granted_until
        }
        State::Reaping => due.resumes && before.is_none_or(|reap| now.seconds_since(reap.claimed_at) >= CLAIM_LASTS),
        _ => false,
    };
    if !fits || !ready {
        return None;
    }
    let mut claimed = lease.clone();
    claimed.state = State::Reaping;
    claimed.hold = None;
    claimed.reap = Some(Reap {
        action: due.action,
        claimed_at: now,
        attempts: before.map_or(0, |reap| reap.attempts),
        error: None,
    });
    claimed.log(now, format!("claimed to {}", due.action.as_str()));
    Some(claimed)
}

/// The lease after its end was tried.
#[must_use]
pub fn reaped(lease: &Lease, outcome: &ReapOutcome, now: Time, policy: &Policy) -> Lease {
    let mut lease = lease.clone();
    match outcome {
        ReapOutcome::Stopped => {
            lease.state = State::Stopped;
            lease.stopped_at = Some(now);
            lease.stopped_by = Some(StoppedBy::Zerocloud);
            lease.ends_at = now.plus(policy.terminate_after);
            lease.end_action = Action::Terminate;
            over(&mut lease, now, "stopped");
        }
        ReapOutcome::Terminated => {
            lease.state = State::Terminated;
            lease.purge_at = Some(now.plus(policy.retention));
            lease.offered_to = None;
            over(&mut lease, now, "terminated");
        }
        ReapOutcome::Protected(reason) => {
            back(&mut lease, reason, now);
            set_hold(&mut lease, HoldKind::Protection, reason.clone(), Some(now.plus(PROTECTED)), now);
            // Not a failure: the hold says all.
            lease.reap = None;
        }
        ReapOutcome::Changed(reason) => {
            lease.state = before_claim(&lease);
            lease.reap = None;
            lease.ends_at = now.plus(60);
            lease.log(now, format!("not ended: {reason}"));
        }
        ReapOutcome::Failed(reason) => {
            back(&mut lease, reason, now);
            let attempts = lease.reap.as_ref().map_or(1, |reap| reap.attempts);
            lease.ends_at = now.plus((60_i64 << attempts.min(10)).min(21_600));
        }
    }
    lease
}

/// The lease held because too many ends were claimed within the hour.
#[must_use]
pub fn paced(lease: &Lease, now: Time) -> Lease {
    let mut lease = lease.clone();
    let reason = "more ends are due than may happen within an hour".to_owned();
    set_hold(&mut lease, HoldKind::Pace, reason, Some(now.plus(PACE)), now);
    lease
}

fn over(lease: &mut Lease, now: Time, what: &str) {
    lease.hold = None;
    lease.reap = None;
    lease.expires_at = lease.granted_until;
    lease.term = lease.term.saturating_add(1);
    let mut marks = Marks::of(lease);
    marks.wish = None;
    marks.over_quota = None;
    marks.put(lease);
    lease.log(now, what);
}

fn back(lease: &mut Lease, error: &str, now: Time) {
    lease.state = before_claim(lease);
    if let Some(reap) = &mut lease.reap {
        reap.attempts = reap.attempts.saturating_add(1);
        reap.error = Some(error.chars().take(500).collect());
    }
    lease.log(now, format!("the end did not happen: {error}"));
}
