//! Whether a queued notice is still true, and what becomes of it after an attempt. Pure.

use crate::model::{Lease, Notice, NoticeKind, NoticeStatus, Stage, State, Time};

/// The first wait after a failure, in seconds; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: i64 = 15;
/// The longest wait between two attempts, in seconds.
const LONGEST_WAIT: i64 = 3_600;
/// The words of admin notices that are about a hold.
const HOLDS: [&str; 9] =
    ["stage", "pause", "exemption", "pace", "region", "protection", "no_notice", "managed_elsewhere", "unreadable"];

/// What to do with a queued notice now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is true: send it.
    Send,
    /// It will never be true again: drop it.
    Obsolete,
    /// Not now: it may be true later, and until then nothing is lost by keeping it.
    Wait,
}

/// Judges a notice by its lease as it stands now and the stage in force.
pub(super) fn judge(notice: &Notice, lease: Option<&Lease>, stage: Stage) -> Verdict {
    let Some(lease) = lease else {
        return Verdict::Obsolete;
    };
    let outlives_lease = matches!(notice.kind, NoticeKind::Ended | NoticeKind::Admin(_));
    if lease.term != notice.term || (lease.state.is_over() && !outlives_lease) {
        return Verdict::Obsolete;
    }
    match &notice.kind {
        // DESIGN.md: `observe` means leases, no mail; to nobody.
        _ if stage == Stage::Observe => Verdict::Wait,
        // A hold may come back within the term, and its notice cannot be queued twice.
        NoticeKind::Admin(word) if is_hold(word) && !held_by(lease, word) => Verdict::Wait,
        NoticeKind::Admin(_) => Verdict::Send,
        kind if kind.announces_end() => match lease.state {
            State::Active | State::Expired => Verdict::Send,
            // Claimed, but it may fail and go on.
            State::Reaping => Verdict::Wait,
            _ => Verdict::Obsolete,
        },
        NoticeKind::Stopped if lease.state != State::Stopped => Verdict::Wait,
        NoticeKind::Ended if !lease.state.is_over() => Verdict::Wait,
        NoticeKind::Offered(_) if lease.offered_to.as_ref() != Some(&notice.user) => Verdict::Obsolete,
        _ => Verdict::Send,
    }
}

pub(super) fn is_hold(word: &str) -> bool {
    HOLDS.contains(&word)
}

fn held_by(lease: &Lease, word: &str) -> bool {
    lease.hold.as_ref().is_some_and(|hold| hold.kind.as_str() == word)
}

/// The mail service took it. Written over whatever the document says by then, but a bounce: a receipt is never lost.
pub(super) fn accepted(notice: &mut Notice, message_id: &str, now: Time) {
    if notice.status != NoticeStatus::Bounced {
        notice.status = NoticeStatus::Accepted;
        notice.error = None;
    }
    notice.message_id = Some(message_id.to_owned());
    notice.accepted_at = Some(now);
    notice.retry_at = None;
}

/// The mail service refused it for good.
pub(super) fn refused(notice: &mut Notice, why: &str) {
    if notice.status == NoticeStatus::Queued {
        notice.status = NoticeStatus::Refused;
        notice.attempts = notice.attempts.saturating_add(1);
        notice.retry_at = None;
        notice.error = Some(short(why));
    }
}

/// It failed this time.
pub(super) fn failed(notice: &mut Notice, why: &str, now: Time) {
    if notice.status == NoticeStatus::Queued {
        notice.retry_at = Some(now.plus(wait(notice.attempts)));
        notice.attempts = notice.attempts.saturating_add(1);
        notice.error = Some(short(why));
    }
}

/// It is no longer true.
pub(super) fn obsolete(notice: &mut Notice) {
    if notice.status == NoticeStatus::Queued {
        notice.status = NoticeStatus::Obsolete;
        notice.retry_at = None;
    }
}

/// One plain address: nothing that could name a second one or start a header line. Addresses come from tags, too.
pub(super) fn is_address(text: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !",;:<>()[]\\\"".contains(c);
    let parts: Vec<&str> = text.split('@').collect();
    text.len() <= 320 && parts.len() == 2 && parts.iter().all(|part| !part.is_empty()) && text.chars().all(plain)
}

/// Seconds to wait after the attempt that follows `attempts` failed ones.
fn wait(attempts: u32) -> i64 {
    FIRST_WAIT.checked_shl(attempts.min(20)).map_or(LONGEST_WAIT, |seconds| seconds.min(LONGEST_WAIT))
}

fn short(why: &str) -> String {
    why.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::model::{Hold, HoldKind};

    fn verdict(kind: NoticeKind, change: impl FnOnce(&mut Lease)) -> Verdict {
        let mut lease = sample::lease();
        let notice = sample::notice(&lease, kind);
        change(&mut lease);
        judge(&notice, Some(&lease), Stage::Stop)
    }

    #[test]
    fn a_notice_of_another_term_or_an_ended_lease_is_obsolete() {
        let first = NoticeKind::First;
        assert_eq!(verdict(first.clone(), |_| ()), Verdict::Send);
        assert_eq!(verdict(first.clone(), |l| l.term += 1), Verdict::Obsolete);
        for over in [State::Stopped, State::Terminated, State::Gone] {
            assert_eq!(verdict(first.clone(), |l| l.state = over), Verdict::Obsolete);
        }
        let lease = sample::lease();
        let notice = sample::notice(&lease, first);
        assert_eq!(judge(&notice, None, Stage::Stop), Verdict::Obsolete);
    }

    #[test]
    fn what_may_be_true_again_waits() {
        let first = NoticeKind::First;
        let reaping = |l: &mut Lease| l.state = State::Reaping;
        assert_eq!(verdict(first.clone(), reaping), Verdict::Wait);
        let lease = sample::lease();
        let notice = sample::notice(&lease, first);
        assert_eq!(judge(&notice, Some(&lease), Stage::Observe), Verdict::Wait);
        let failed = sample::notice(&lease, NoticeKind::Admin("failed".to_owned()));
        assert_eq!(judge(&failed, Some(&lease), Stage::Observe), Verdict::Wait);
        let pace = NoticeKind::Admin("pace".to_owned());
        assert_eq!(verdict(pace.clone(), |_| ()), Verdict::Wait);
        let held = |l: &mut Lease| {
            l.hold = Some(Hold {
                kind: HoldKind::Pace,
                reason: String::new(),
                since: l.first_seen,
                review_at: l.ends_at,
                told: vec![],
            });
        };
        assert_eq!(verdict(pace, held), Verdict::Send);
    }

    #[test]
    fn the_news_that_it_ended_outlives_the_lease() {
        let gone = |l: &mut Lease| l.state = State::Gone;
        assert_eq!(verdict(NoticeKind::Ended, gone), Verdict::Send);
        assert_eq!(verdict(NoticeKind::Ended, |_| ()), Verdict::Wait);
    }

    #[test]
    fn waits_double_up_to_an_hour_and_never_overflow() {
        let waits: Vec<i64> = [0, 1, 2, 7, 8, 20, u32::MAX].map(wait).to_vec();
        assert_eq!(waits, [15, 30, 60, 1920, 3600, 3600, 3600]);
    }

    #[test]
    fn a_failure_keeps_it_queued() {
        let lease = sample::lease();
        let mut notice = sample::notice(&lease, NoticeKind::First);
        let now = lease.first_seen;
        failed(&mut notice, "throttled", now);
        assert_eq!(notice.status, NoticeStatus::Queued);
        assert_eq!((notice.attempts, notice.retry_at), (1, Some(now.plus(15))));
        assert_eq!(notice.error.as_deref(), Some("throttled"));
        accepted(&mut notice, "m-1", now);
        assert_eq!(notice.status, NoticeStatus::Accepted);
        assert_eq!((notice.error.clone(), notice.accepted_at), (None, Some(now)));
        // Whoever lost the race leaves the receipt alone, and a receipt leaves a bounce alone.
        failed(&mut notice, "late", now);
        refused(&mut notice, "late");
        obsolete(&mut notice);
        assert_eq!(notice.status, NoticeStatus::Accepted);
        notice.status = NoticeStatus::Bounced;
        accepted(&mut notice, "m-1", now);
        assert_eq!(notice.status, NoticeStatus::Bounced);
    }

    #[test]
    fn an_address_is_one_plain_address() {
        assert!(is_address("ada.l+x@bigdb.example"));
        for bad in ["", "ada", "@x", "a@", "a@b@c", "a@b,c@d", "a@b\r\nBcc: c@d", "Ada <a@b>", "a b@c"] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }
}
