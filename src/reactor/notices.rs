//! Which notices are due, to whom, and what an accepted one allows. One per (lease, term, kind, address); none while the
//! stage is `observe`.

use super::work::Work;
use crate::model::{
    Extra, HoldKind, Notice, NoticeKind, NoticeStatus, Notified, Stage, State, StoppedBy, Time, User, UserId,
};

/// How far in a lease's life a notice comes; of two warnings the one nearer to the end comes later.
fn progress(kind: &NoticeKind) -> (u8, i64) {
    match kind {
        NoticeKind::First | NoticeKind::Offered(_) | NoticeKind::Admin(_) => (0, 0),
        NoticeKind::Warning(lead) => (1, lead.saturating_neg()),
        NoticeKind::Expired => (2, 0),
        NoticeKind::Stopped => (3, 0),
        NoticeKind::Ended => (4, 0),
    }
}

impl Work<'_> {
    /// Notices of the lease's present term.
    fn of_term(&self) -> impl Iterator<Item = &Notice> {
        let (term, key) = (self.lease.term, self.lease.key());
        self.view.notices.iter().filter(move |notice| notice.term == term && notice.lease == key)
    }

    /// Since when the owner or an admin has been told, by a notice that the mail service took and that did not come
    /// back, of what `counts` says.
    pub(super) fn told_at(&self, counts: impl Fn(&NoticeKind) -> bool) -> Option<Time> {
        self.of_term()
            .filter(|notice| notice.status == NoticeStatus::Accepted && counts(&notice.kind))
            .filter(|notice| notice.user == self.lease.owner || self.is_admin(&notice.user))
            .filter(|notice| !self.goes_nowhere(notice))
            .filter_map(|notice| notice.accepted_at)
            .filter(|at| *at <= self.now)
            .min()
    }

    /// It went to an address of which the mail service says that it takes no mail: it may come back yet.
    fn goes_nowhere(&self, notice: &Notice) -> bool {
        let to = self.user(&notice.user).filter(|user| user.email.trim().eq_ignore_ascii_case(notice.address.trim()));
        to.is_some_and(|user| user.mail_problem().is_some())
    }

    /// Keeps `notified` at the newest accepted notice about the lease itself.
    pub(super) fn note_acceptance(&mut self) {
        let newest = self
            .of_term()
            .filter(|notice| notice.status == NoticeStatus::Accepted)
            .filter(|notice| !matches!(notice.kind, NoticeKind::Admin(_) | NoticeKind::Offered(_)))
            .filter(|notice| notice.user == self.lease.owner || self.is_admin(&notice.user))
            .filter_map(|notice| Some((notice.accepted_at?, notice.kind.clone())))
            .max_by_key(|(at, kind)| (*at, progress(kind)));
        let Some((at, kind)) = newest else { return };
        let term = self.lease.term;
        let known = self.lease.notified.as_ref();
        // Two can be taken in one second.
        if known.is_none_or(|known| known.term != term || (known.at, progress(&known.kind)) < (at, progress(&kind))) {
            self.lease.notified = Some(Notified { term, kind, at });
        }
    }

    /// Notices that are due and not in the outbox yet.
    pub(super) fn due_notices(&self) -> Vec<Notice> {
        if self.stage() < Stage::Notify || self.lease.owner.is_pending() {
            return Vec::new();
        }
        let mut due = Vec::new();
        self.for_owner(&mut due);
        self.for_admins(&mut due);
        if let Some(to) = self.lease.offered_to.as_ref().and_then(|to| self.user(to)) {
            due.push(self.notice(NoticeKind::Offered(self.marks.offers.max(1)), to));
        }
        let mut fresh: Vec<Notice> = Vec::new();
        for notice in due {
            // Within a term the id is made of these two. An offer that waits to be sent tells of the one now.
            let offer = |it: &Notice| matches!(it.kind, NoticeKind::Offered(_));
            let waits = |other: &Notice| offer(other) && offer(&notice) && other.status == NoticeStatus::Queued;
            let same = |other: &Notice| {
                (other.kind == notice.kind || waits(other))
                    && other.address.trim().to_lowercase() == notice.address.to_lowercase()
            };
            let twice = self.of_term().any(same) || fresh.iter().any(same);
            if !twice && notice.address.contains('@') {
                fresh.push(notice);
            }
        }
        fresh
    }

    fn for_owner(&self, due: &mut Vec<Notice>) {
        // While nobody was told of an end that is due, admins are told in the owner's place.
        let untold = self.lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::NoNotice);
        let to_admins = untold || self.owner_unreachable();
        let owner = self.user(&self.lease.owner);
        for kind in self.kinds() {
            due.extend(owner.map(|owner| self.notice(kind.clone(), owner)));
            // A copy, that counts as told to nobody unless its reader is an admin.
            due.extend(self.delegate().map(|delegate| self.notice(kind.clone(), delegate)));
            if to_admins {
                due.extend(self.other_admins().map(|admin| self.notice(kind.clone(), admin)));
            }
        }
    }

    fn for_admins(&self, due: &mut Vec<Notice>) {
        let mut what: Vec<&str> = Vec::new();
        if let Some(hold) = self.lease.hold.as_ref().filter(|hold| is_told(hold.kind)) {
            what.push(hold.kind.as_str());
        }
        if self.marks.over_quota.is_some() && self.lease.state.is_renewable() {
            what.push("over_quota");
        }
        if self.marks.owner_left == Some(self.lease.term) {
            what.push("owner_left");
        }
        let failed = self.lease.reap.as_ref().is_some_and(|reap| reap.error.is_some());
        if failed && self.lease.state != State::Reaping && !self.lease.state.is_over() {
            what.push("failed");
        }
        for word in what {
            let kind = NoticeKind::Admin(word.to_owned());
            due.extend(self.admins().map(|admin| self.notice(kind.clone(), admin)));
        }
        if self.owner_unreachable() && !self.lease.state.is_over() {
            let kind = NoticeKind::Admin("unreachable".to_owned());
            due.extend(self.other_admins().map(|admin| self.notice(kind.clone(), admin)));
        }
    }

    /// What the owner is to be told now.
    fn kinds(&self) -> Vec<NoticeKind> {
        let mut kinds = Vec::new();
        match self.lease.state {
            State::Active | State::Expired => {
                let first = self.lease.notified.is_none();
                if first {
                    kinds.push(NoticeKind::First);
                }
                kinds.extend(self.warning(first));
                // A person who asked for the end needs no word that it comes, unless it comes later.
                let moved = |at: Time| self.lease.ends_at > at;
                let comes = self.marks.wish.as_ref().is_none_or(|wish| moved(wish.at));
                if self.lease.state == State::Expired && comes && !self.waits_told(&NoticeKind::Expired) {
                    kinds.push(NoticeKind::Expired);
                }
            }
            State::Stopped
                if self.lease.stopped_by == Some(StoppedBy::Zerocloud) && !self.waits_told(&NoticeKind::Stopped) =>
            {
                kinds.push(NoticeKind::Stopped);
            }
            State::Terminated if !self.was_told(&NoticeKind::Ended) => kinds.push(NoticeKind::Ended),
            _ => {}
        }
        kinds
    }

    /// By the lease's own record: the ledger may be purged before the lease.
    fn was_told(&self, kind: &NoticeKind) -> bool {
        let term = self.lease.term;
        self.lease.notified.as_ref().is_some_and(|known| known.term == term && known.kind == *kind)
    }

    /// What is held, told already, and told anew when the hold is over.
    fn waits_told(&self, kind: &NoticeKind) -> bool {
        self.was_held() && self.was_told(kind)
    }

    /// The nearest warning that is due; those further off are overtaken by it, and by a first notice made since.
    fn warning(&self, first_due: bool) -> Option<NoticeKind> {
        if self.lease.state != State::Active {
            return None;
        }
        let first_at = self
            .of_term()
            .filter(|notice| notice.kind == NoticeKind::First)
            .map(|notice| notice.due_at)
            .min()
            .or(first_due.then_some(self.now));
        let warnings = &self.policy().warnings;
        let at = |lead: i64| self.lease.expires_at.plus(lead.saturating_neg());
        let lead = warnings.iter().copied().filter(|lead| at(*lead) <= self.now).min()?;
        let since = at(lead);
        first_at.is_none_or(|at| at < since).then_some(NoticeKind::Warning(lead))
    }

    /// The mail service refused the owner's address, or returned what was sent there, or there is none.
    fn owner_unreachable(&self) -> bool {
        let Some(owner) = self.user(&self.lease.owner) else {
            // One that cannot be read is told once it can be; until then the end is held, and admins hear of that.
            return !self.owner_unreadable();
        };
        let failed = self.of_term().any(|notice| {
            notice.user == owner.user
                && notice.address.trim().eq_ignore_ascii_case(owner.email.trim())
                && matches!(notice.status, NoticeStatus::Refused | NoticeStatus::Bounced)
        });
        failed || owner.mail_problem().is_some() || !owner.email.contains('@')
    }

    fn other_admins(&self) -> impl Iterator<Item = &User> {
        self.admins().filter(|admin| admin.user != self.lease.owner)
    }

    fn notice(&self, kind: NoticeKind, to: &User) -> Notice {
        Notice {
            account: self.lease.account.clone(),
            lease: self.lease.key(),
            term: self.lease.term,
            kind,
            address: to.email.trim().to_owned(),
            user: to.user.clone(),
            status: NoticeStatus::Queued,
            due_at: self.now,
            attempts: 0,
            retry_at: None,
            message_id: None,
            accepted_at: None,
            error: None,
            purge_at: Some(self.needed_until().plus(self.policy().retention)),
            extra: Extra::new(),
        }
    }

    /// Until when a notice may be what allows an end: without it nobody counts as told, and all of it begins again.
    fn needed_until(&self) -> Time {
        self.now.max(self.lease.ends_at).plus(self.notice_time())
    }

    /// Notes on a hold who was told of it: the mail service took the notice.
    pub(super) fn note_told(&mut self) {
        let Some(kind) = self.lease.hold.as_ref().map(|hold| hold.kind).filter(|kind| is_told(*kind)) else {
            return;
        };
        let word = NoticeKind::Admin(kind.as_str().to_owned());
        let told: Vec<UserId> = self
            .of_term()
            .filter(|notice| notice.status == NoticeStatus::Accepted && notice.kind == word)
            .map(|notice| notice.user.clone())
            .collect();
        if let Some(hold) = &mut self.lease.hold {
            for user in told {
                if !hold.told.contains(&user) {
                    hold.told.push(user);
                }
            }
        }
    }

    /// When the next warning is due.
    pub(super) fn next_warning(&self) -> Option<Time> {
        let warnings = self.policy().warnings.iter();
        warnings.map(|lead| self.lease.expires_at.plus(lead.saturating_neg())).filter(|at| *at > self.now).min()
    }
}

/// Holds that need an admin. The others are an admin's own doing, and shown.
fn is_told(kind: HoldKind) -> bool {
    matches!(kind, HoldKind::NoNotice | HoldKind::Protection | HoldKind::Pace | HoldKind::Region | HoldKind::Unreadable)
}
