//! The steps of an end on the lease itself: claimed, held back by the pace, carried out or failed. The caller saves each by
//! compare-and-swap, so that a renewal that lands first wins (SAFETY.md, invariant 1).

use super::ends::{CLAIM_LASTS, before_claim};
use super::holds::{passing, rests, set_hold};
use super::marks::Marks;
use super::view::DueEnd;
use super::work::passed;
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

/// How long an end that failed waits, at first and at most; the wait doubles.
const RETRY: (i64, i64) = (60, 21_600);
/// How often in a row an instance may be other than decided upon before admins are told.
const PATIENCE: u32 = 3;

/// The lease with its end claimed; `None` when `due` no longer fits it: renewed, claimed, exempted, held, of another
/// owner or term.
pub fn claim(lease: &Lease, due: &DueEnd, now: Time) -> Option<Lease> {
    let fits = lease.key() == due.key && lease.term == due.term && lease.account == due.account;
    let before = lease.reap.as_ref();
    let ready = match lease.state {
        State::Expired => !due.resumes && now >= lease.expires_at.max(lease.ends_at) && due.action == lease.end_action,
        _ if lease.is_group() && due.action != Action::Stop => false,
        State::Stopped if lease.is_group() => false,
        State::Stopped => !due.resumes && now >= lease.ends_at && due.action == Action::Terminate,
        State::Reaping => due.resumes && before.is_none_or(|reap| passed(reap.claimed_at, CLAIM_LASTS, now)),
        _ => false,
    };
    if !fits || !ready || spoken_for(lease, now) {
        return None;
    }
    let mut claimed = lease.clone();
    claimed.state = State::Reaping;
    // Protection is most likely still there: how long it has been is not forgotten.
    claimed.hold = claimed.hold.filter(|hold| hold.kind == HoldKind::Protection);
    claimed.reap = Some(Reap {
        action: due.action,
        claimed_at: now,
        attempts: before.map_or(0, |reap| reap.attempts),
        error: None,
    });
    let what = if lease.is_group() { "put it to sleep" } else { due.action.as_str() };
    claimed.log(now, format!("claimed to {what}"));
    Some(claimed)
}

/// Whether something was written on the lease since that `decide` has not judged, or that forbids the end. Asked before a
/// claim, and again before a claim is acted on.
pub fn spoken_for(lease: &Lease, now: Time) -> bool {
    let marks = Marks::of(lease);
    let edited =
        lease.expires_at > lease.granted_until || marks.granted_owner.is_some_and(|owner| owner != lease.owner);
    let exempt = lease.exemption.as_ref().is_some_and(|exemption| exemption.until > now && marks.wish.is_none());
    let hold = lease.hold.as_ref().filter(|_| lease.state != State::Reaping);
    let held = hold.is_some_and(|hold| !passing(hold.kind) || rests(hold, now));
    edited || exempt || held
}

/// The lease after its end was tried. One that is not claimed any more and runs, or is over, stays as it is.
#[must_use]
pub fn reaped(lease: &Lease, outcome: &ReapOutcome, now: Time, policy: &Policy) -> Lease {
    let mut lease = lease.clone();
    if lease.state == State::Active || lease.state.is_over() {
        return lease;
    }
    match outcome {
        ReapOutcome::Stopped => {
            lease.state = State::Stopped;
            lease.stopped_at = Some(now);
            lease.stopped_by = Some(StoppedBy::Zerocloud);
            if lease.is_group() {
                // Asleep it stays as it is: there is no second end.
                lease.ends_at = now;
                lease.end_action = Action::Stop;
                over(&mut lease, now, "put to sleep: its sizes are 0, so Auto Scaling terminates its members");
            } else {
                lease.ends_at = now.plus(policy.terminate_after);
                lease.end_action = Action::Terminate;
                over(&mut lease, now, "stopped");
            }
        }
        ReapOutcome::Terminated => {
            lease.state = State::Terminated;
            lease.purge_at = Some(now.plus(policy.retention));
            lease.offered_to = None;
            over(&mut lease, now, "terminated");
        }
        ReapOutcome::Protected(reason) => {
            lease.state = before_claim(&lease);
            set_hold(&mut lease, HoldKind::Protection, reason.clone(), Some(now.plus(PROTECTED)), now);
            // Not a failure: the hold says all.
            lease.reap = None;
        }
        ReapOutcome::Changed(reason) => {
            let again = back(&mut lease, reason, now);
            if let Some(reap) = lease.reap.as_mut().filter(|_| again < PATIENCE) {
                reap.error = None;
            }
        }
        ReapOutcome::Failed(reason) => {
            back(&mut lease, reason, now);
        }
    }
    lease
}

/// The lease held because too many ends were claimed within the hour. One whose end is not due, or that is held for
/// another reason, stays as it is.
#[must_use]
pub fn paced(lease: &Lease, now: Time) -> Lease {
    let mut lease = lease.clone();
    let due = matches!(lease.state, State::Expired | State::Stopped) && now >= lease.ends_at;
    if due && lease.hold.as_ref().is_none_or(|hold| hold.kind == HoldKind::Pace) {
        let reason = "more ends are due than may happen within an hour".to_owned();
        set_hold(&mut lease, HoldKind::Pace, reason, Some(now.plus(PACE)), now);
    }
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

/// Back to where it was claimed from, to be tried again later; how often that has been.
fn back(lease: &mut Lease, error: &str, now: Time) -> u32 {
    lease.state = before_claim(lease);
    lease.hold = None;
    let reap = lease.reap.get_or_insert(Reap { action: lease.end_action, claimed_at: now, attempts: 0, error: None });
    reap.attempts = reap.attempts.saturating_add(1);
    reap.error = Some(error.chars().take(500).collect());
    let attempts = reap.attempts;
    lease.ends_at = now.plus((RETRY.0 << attempts.min(10)).min(RETRY.1));
    lease.log(now, format!("the end did not happen: {error}"));
    attempts
}
