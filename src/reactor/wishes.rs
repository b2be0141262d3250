//! Each wish judged on its own: what a person may ask, and what becomes of the lease. A refusal says why.

use super::cover::{cover, promised_member};
use super::marks::{EndWish, Reviving};
use super::renewal::{Renewal, renewal_limit};
use super::requests::Verdict;
use super::work::Work;
use crate::model::{Action, EvidenceSource, HoldKind, Refusal, Request, Stage, State, Wish};

/// What the story says of who asked, after their id.
pub const ASKED_FOR_ITS_END: &str = " asked for its end";
const MANAGED: &str = "a group, cluster or fleet decides about it";

impl Work<'_> {
    /// Of who has a say in this lease.
    pub(super) fn judge(&mut self, request: &Request) -> Verdict {
        let who = &request.user;
        if self.lease.state.is_over() {
            return Err("this lease is over".to_owned());
        }
        if request.action == Wish::Accept {
            return self.accept(request);
        }
        if self.stands_in(who) && request.action == Wish::Renew {
            let owner = self.lease.owner.clone();
            return self.renew(request).map(|done| format!("{done}, standing in for {owner}"));
        }
        match request.action {
            Wish::Renew => self.renew(request),
            Wish::End => self.end(request),
            Wish::Terminate if self.lease.is_group() => Err("a group is put to sleep, never deleted".to_owned()),
            Wish::Terminate => self.end_by(request, Action::Terminate),
            Wish::NotMine => self.not_mine(request),
            Wish::HandOver => self.hand_over(request),
            Wish::Revive => self.revive(request),
            Wish::ApplyPolicy => self.apply_policy(request),
            Wish::Accept => Err("nothing was offered".to_owned()),
        }
    }

    /// A delegate may renew while the owner is away, and nothing else: whatever cannot be taken back is the owner's or an admin's.
    pub(super) fn stands_in(&self, who: &crate::model::UserId) -> bool {
        self.delegate().is_some_and(|delegate| delegate.user == *who)
    }

    fn renew(&mut self, request: &Request) -> Verdict {
        if !self.lease.state.is_renewable() {
            return Err("it ended already; revive it instead".to_owned());
        }
        if let Some(cover) = cover(self.view) {
            return Err(format!("the lease of its group stands for it after this one; renew that: {}", cover.key));
        }
        let asked = request.until.unwrap_or(self.now.plus(self.policy().default_lease));
        let outcome = self.renew_to(asked, "renewed");
        if matches!(outcome, Renewal::Granted(_)) || (outcome == Renewal::AlreadyThere && asked > self.now) {
            self.marks.wished_at = self.marks.wished_at.max(Some(self.wished_at(request)));
        }
        match outcome {
            Renewal::Granted(end) if end < asked => {
                Ok(format!("renewed until {end}, as far as {} allows", self.limiting()))
            }
            Renewal::Granted(end) => Ok(format!("renewed until {end}")),
            Renewal::AlreadyThere if asked > self.now => Ok("it reaches that far already".to_owned()),
            Renewal::AlreadyThere => Err("that time has passed".to_owned()),
            Renewal::AtLimit => Err(format!("{} allows no later end", self.limiting())),
        }
    }

    /// What keeps a renewal short, so that its owner knows what to do about it.
    fn limiting(&self) -> String {
        let kept_back = self.over_quota() && self.limit() < renewal_limit(&self.lease, self.policy(), self.now);
        match self.policy().max_instances.filter(|_| kept_back) {
            Some(most) => format!("the limit of instances (max_instances {most}, and {} has more)", self.lease.owner),
            None => "the policy".to_owned(),
        }
    }

    fn end(&mut self, request: &Request) -> Verdict {
        if self.lease.state == State::Stopped {
            let asleep = "it is asleep already; it can be revived";
            let stopped = "it is stopped already; it can be terminated or revived";
            return Err(if self.lease.is_group() { asleep } else { stopped }.to_owned());
        }
        self.end_by(request, self.lease.agreed_end(self.facts()))
    }

    fn end_by(&mut self, request: &Request, action: Action) -> Verdict {
        self.timely(request)?;
        if self.resource().is_none() {
            return self.let_go(request);
        }
        if self.stage() < self.lease.needed_stage(action) {
            return Err(format!("this AWS account's stage does not allow it to be {}", self.lease.past(action)));
        }
        if let Some(pause) = self.pause() {
            return Err(format!("no end starts while zerocloud is paused: {}", pause.reason));
        }
        if cover(self.view).is_some() {
            // The way to give back what was promised: from now on it ends with its group.
            self.close(State::Gone);
            self.next_term(format!("{} let it go: the lease of its group stands for it", request.user));
            return Ok("its own lease is closed; that of its group stands for it".to_owned());
        }
        if self.managed().is_some() {
            return Err(MANAGED.to_owned());
        }
        if let Some((why, _)) = promised_member(&self.view.members, self.now) {
            return Err(why);
        }
        if let Some(why) = self.not_known(true) {
            return Err(why);
        }
        // Asked again, AWS is looked at again: its protection may be lifted by now.
        let protected = self.lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Protection);
        if !protected && self.marks.wish.as_ref().is_some_and(|wish| wish.action == action) {
            return Ok("it is being ended already".to_owned());
        }
        let now = self.now;
        let lease = &mut self.lease;
        if lease.state.is_renewable() {
            lease.state = State::Expired;
            lease.expires_at = now.min(lease.granted_until);
            lease.granted_until = lease.expires_at;
        }
        lease.ends_at = now;
        lease.end_action = action;
        lease.hold = None;
        self.marks.over_quota = None;
        self.marks.reviving = None;
        self.marks.wish = Some(EndWish { by: request.user.clone(), action, at: now });
        self.next_term(format!("{}{ASKED_FOR_ITS_END}", request.user));
        let done = self.lease.past(action);
        Ok(if protected {
            format!(
                "AWS protected it when it was looked at last: it is looked at again now, and {done} if that was lifted"
            )
        } else {
            format!("it will be {done} now")
        })
    }

    /// A wish for the end that is older than what was asked for since is out of date: it may have waited in a phone.
    fn timely(&self, request: &Request) -> Result<(), String> {
        let asked = self.wished_at(request);
        match self.marks.wished_at {
            Some(since) if request.at.is_none() => {
                Err(format!("it was renewed or started at {since}, and you do not say when you asked; ask again"))
            }
            Some(since) if asked < since => {
                Err(format!("it was renewed or started at {since}, after you asked at {asked}; ask again"))
            }
            _ => Ok(()),
        }
    }

    /// The manual way out of a lease whose resource nobody knows. Should it be seen again, it has a lease again.
    fn let_go(&mut self, request: &Request) -> Verdict {
        if !self.is_admin(&request.user) {
            return Err("nothing is known of its instance; an admin can close the lease".to_owned());
        }
        self.close(State::Gone);
        Ok("nothing is known of its instance; the lease is closed".to_owned())
    }

    fn not_mine(&mut self, request: &Request) -> Verdict {
        if request.user != self.lease.owner {
            return Err("only its owner can say that it is not theirs".to_owned());
        }
        let said = self.lease.owner_evidence.clone();
        let before = self.lease.refused.clone();
        let refusal = Refusal { source: said.source, value: said.value, user: request.user.clone() };
        if !self.lease.refused.contains(&refusal) {
            self.lease.refused.push(refusal);
        }
        let found = super::owner::evidence(self.view, &self.lease)
            .or_else(|| super::owner::willing_admin(self.view, &self.lease))
            .filter(|found| found.user != request.user);
        let Some(found) = found else {
            self.lease.refused = before;
            return Err("there is no other admin who could take it".to_owned());
        };
        let why = format!("not {}'s: it passes to {}", request.user, found.user);
        self.own(found.user, found.source, &found.value, why);
        Ok("it is not yours any more".to_owned())
    }

    fn hand_over(&mut self, request: &Request) -> Verdict {
        let Some(to) = request.to.as_ref().filter(|to| self.user(to).is_some()) else {
            return Err("nobody here by that name to hand it to".to_owned());
        };
        if *to == self.lease.owner {
            return Err("it is theirs already".to_owned());
        }
        if self.lease.offered_to.as_ref() != Some(to) {
            // One that went to somebody else meanwhile is another offer, and told again.
            let before = self.marks.offers.max(u32::from(self.lease.offered_to.is_some()));
            self.marks.offers = before.saturating_add(1);
        }
        self.lease.offered_to = Some(to.clone());
        Ok(format!("offered to {to}; it is theirs once they accept"))
    }

    fn accept(&mut self, request: &Request) -> Verdict {
        if self.lease.offered_to.as_ref() != Some(&request.user) {
            return Err("it was not offered to you".to_owned());
        }
        let from = self.lease.owner.to_string();
        let why = format!("{} took it over from {from}", request.user);
        self.own(request.user.clone(), EvidenceSource::Request, &from, why);
        Ok("it is yours".to_owned())
    }

    fn revive(&mut self, request: &Request) -> Verdict {
        if self.lease.state != State::Stopped {
            return Err("only a stopped one can be revived".to_owned());
        }
        if self.managed().is_some() {
            return Err(MANAGED.to_owned());
        }
        if self.lease.is_group() && self.lease.sizes.is_none() {
            return Err(
                "zerocloud did not put it to sleep and does not know its sizes; set them in Auto Scaling".to_owned()
            );
        }
        let down = self.facts().is_some_and(|facts| !facts.state.is_ended());
        if !down || self.stage() < Stage::Stop {
            return Err("zerocloud may not start instances here".to_owned());
        }
        let limit = renewal_limit(&self.lease, self.policy(), self.now);
        let asked = request.until.unwrap_or(self.now.plus(self.policy().default_lease));
        // What was granted before stands: stopping and reviving shortens nothing.
        let end = asked.min(limit).max(self.lease.granted_until);
        if end <= self.now {
            return Err("the policy allows no later end".to_owned());
        }
        let stopped_by = self.lease.stopped_by;
        let sure = self.grant_unranked(end, "revived");
        self.marks.reviving = Some(Reviving { since: self.now, stopped_by });
        self.marks.wished_at = Some(self.wished_at(request));
        let more = if sure < end { ", and longer within the limit of instances" } else { "" };
        Ok(format!("it is being started, with a lease until {sure}{more}"))
    }
}
