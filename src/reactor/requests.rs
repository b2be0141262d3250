//! People's wishes, judged on arrival. Each is answered once; the answer stands on the lease too, so that a second look,
//! or the same wish arriving twice, says the same again.

use super::view::View;
use super::work::Work;
use crate::model::{Answer, Answered, Doc, Outcome, Request, State, Time, Wish};

/// How many answers a lease remembers.
const REMEMBERED: usize = 20;
/// How long after tags should have settled a wish still waits for an owner, in seconds.
const SETTLED: i64 = 600;

pub(super) type Verdict = Result<String, String>;

/// The answers to wishes about what there is no lease of.
pub(super) fn refuse_all(view: &View, now: Time) -> Vec<Doc<Request>> {
    let purge_at = now.plus(view.account_policy.retention);
    let open = view.requests.iter().filter(|doc| doc.body.answer.is_none());
    open.map(|doc| refused(doc, "there is no such lease", now, purge_at)).collect()
}

/// Answered on the request alone.
fn refused(doc: &Doc<Request>, reason: &str, now: Time, purge_at: Time) -> Doc<Request> {
    let mut doc = doc.clone();
    doc.body.answer = Some(Answer { outcome: Outcome::Refused, reason: reason.to_owned(), until: None, at: now });
    doc.body.purge_at = Some(purge_at);
    doc
}

impl<'a> Work<'a> {
    /// Answers what can be answered. `true` when the owner changed: the rest waits for a fresh view.
    pub(super) fn answer_requests(&mut self) -> bool {
        let mut open: Vec<&Doc<Request>> = self.mine().collect();
        // By people's own clocks where they agree; by id where not, so that the order of arrival does not matter.
        open.sort_by_key(|doc| (doc.body.at, doc.id.clone()));
        let known = open.iter().filter(|doc| self.answered(&doc.id).is_some()).count();
        let room = REMEMBERED.saturating_sub(known);
        let fresh: Vec<_> = open.into_iter().filter(|doc| self.answered(&doc.id).is_none()).collect();
        for doc in fresh.into_iter().take(room) {
            if self.waits(&doc.body) || self.no_say(&doc.body).is_some() {
                continue;
            }
            let owner = self.lease.owner.clone();
            let verdict = self.judge(&doc.body);
            self.record(doc, verdict);
            if self.lease.owner != owner {
                return true;
            }
        }
        false
    }

    /// The answers to write: those that stand on the lease, and to who has no say in it. These change nothing there, neither
    /// its story nor its revision, and tell nothing of it.
    pub(super) fn answers(&self) -> Vec<Doc<Request>> {
        let retention = self.policy().retention;
        self.mine()
            .filter_map(|doc| {
                let Some(said) = self.answered(&doc.id) else {
                    let why = self.no_say(&doc.body).filter(|_| !self.waits(&doc.body))?;
                    return Some(refused(doc, why, self.now, self.now.plus(retention)));
                };
                let mut doc = doc.clone();
                doc.body.answer =
                    Some(Answer { outcome: said.outcome, reason: said.reason.clone(), until: said.until, at: said.at });
                doc.body.purge_at = Some(said.at.plus(retention));
                Some(doc)
            })
            .collect()
    }

    fn mine(&self) -> impl Iterator<Item = &'a Doc<Request>> + use<'a> {
        let key = self.lease.key();
        self.view.requests.iter().filter(move |doc| doc.body.answer.is_none() && doc.body.lease == key)
    }

    /// The wish's own time, by the person's clock; one to come is now.
    pub(super) fn wished_at(&self, request: &Request) -> Time {
        request.at.map_or(self.now, |at| at.min(self.now))
    }

    fn answered(&self, id: &str) -> Option<&Answered> {
        self.lease.answered.iter().find(|said| said.request == id)
    }

    /// Why a wish is no business of whoever has it.
    fn no_say(&self, request: &Request) -> Option<&'static str> {
        let who = &request.user;
        if request.account != self.lease.account || self.user(who).is_none() {
            return Some("nobody here by that name");
        }
        if request.action == Wish::Accept {
            let offered = self.lease.offered_to.as_ref() == Some(who);
            return (!offered && *who != self.lease.owner).then_some("it was not offered to you");
        }
        let stands_in = self.stands_in(who) && request.action == Wish::Renew;
        let may = *who == self.lease.owner || self.is_admin(who) || stands_in;
        (!may).then_some("only its owner or an admin may ask that")
    }

    /// While the reaper acts, and before the owner is known, a wish keeps.
    fn waits(&self, request: &Request) -> bool {
        let unsettled = self.now < self.lease.settle_at.plus(SETTLED);
        let settling = self.lease.owner.is_pending() && unsettled && !self.is_admin(&request.user);
        let unread = self.view.users.is_empty();
        self.lease.state == State::Reaping || (settling && !self.lease.state.is_over()) || unread
    }

    fn record(&mut self, doc: &Doc<Request>, verdict: Verdict) {
        let (outcome, reason) = match verdict {
            Ok(reason) => (Outcome::Done, reason),
            Err(reason) => (Outcome::Refused, reason),
        };
        self.lease.log(self.now, format!("{}: {reason}", doc.body.user));
        self.lease.answered.push(Answered {
            request: doc.id.clone(),
            outcome,
            reason,
            until: self.lease.state.is_renewable().then_some(self.lease.granted_until),
            at: self.now,
        });
        self.forget_answers();
    }

    /// The oldest answers go, but none whose request still lacks it: it would be judged again.
    fn forget_answers(&mut self) {
        let mut surplus = self.lease.answered.len().saturating_sub(REMEMBERED);
        let open: Vec<String> = self.mine().map(|doc| doc.id.clone()).collect();
        self.lease.answered.retain(|said| {
            let goes = surplus > 0 && !open.contains(&said.request);
            surplus -= usize::from(goes);
            !goes
        });
    }
}
