//! What becomes of a lease when nobody does anything, in words: the clock that runs, and what stands still. While a hold or an
//! exemption keeps the end away, nothing here says that it ends. Pure; the decision itself is the reactor's.

use crate::model::{Action, HoldKind, Lease, Policy, Stage, State, StoppedBy, Time, UserId};
use crate::words::{Zone, span};
use serde::Deserialize;

/// What it is told by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) lease: &'a Lease,
    /// What its end does.
    pub(super) action: Action,
    pub(super) stage: Stage,
    pub(super) policy: &'a Policy,
    /// Until when it is exempt.
    pub(super) exempt: Option<Time>,
    /// The lease of its group stands for it after this one.
    pub(super) covered: bool,
    /// Who asked for its end, if anybody.
    pub(super) asked_by: Option<&'a str>,
    /// No end starts where it is until somebody resumes.
    pub(super) paused: bool,
    /// The reader's.
    pub(super) zone: &'a Zone,
    pub(super) now: Time,
}

/// An end that a person asked for and that is under way, as the reactor keeps it on the lease.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Asked {
    pub(super) by: UserId,
    pub(super) action: Action,
}

/// The end of this lease that somebody asked for, until it is done or a renewal came first.
pub(super) fn asked(lease: &Lease) -> Option<Asked> {
    let wish = lease.extra.get("marks")?.get("wish")?;
    serde_json::from_value(wish.clone()).ok().filter(|_| !lease.state.is_over())
}

/// Whether EC2 refused its end when it was asked last.
pub(super) fn is_protected(lease: &Lease) -> bool {
    lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Protection)
}

/// Who can lift a protection, and what that means for whoever wants its end.
pub(super) fn way_out(lease: &Lease) -> &'static str {
    if lease.is_group() {
        "Whoever may change the group or its members in AWS can lift that there; asked to end it, zerocloud looks again."
    } else {
        "Whoever may change the instance in EC2 can switch its protection off there, or end it there; asked to end it, zerocloud \
         looks again."
    }
}

impl Ground<'_> {
    /// An exemption that keeps it past its end, until when; an end that somebody asked for is none of its business.
    fn exempt_past_end(&self) -> Option<Time> {
        self.exempt.filter(|until| *until > self.lease.ends_at && self.asked_by.is_none())
    }

    /// Which clock runs, and until when; none while the end is held or exempt.
    pub(super) fn clock(&self) -> (&'static str, Option<Time>) {
        let Ground { lease, stage, now, .. } = self;
        if lease.hold.is_some() || self.covered || self.exempt_past_end().is_some() {
            return ("", None);
        }
        match lease.state {
            State::Active if self.paused => ("Its lease is over in", Some(lease.expires_at)),
            State::Active => ("Ends in", Some(lease.expires_at)),
            _ if self.paused => ("", None),
            State::Expired if lease.ends_at > *now => ("Still renewable for", Some(lease.ends_at)),
            State::Stopped if lease.is_group() || lease.ends_at <= *now => ("", None),
            State::Stopped if *stage >= Stage::Terminate && lease.stopped_by == Some(StoppedBy::Zerocloud) => {
                ("Terminated in", Some(lease.ends_at))
            }
            _ => ("", None),
        }
    }

    /// The deadline that passed while the end was held.
    pub(super) fn passed(&self) -> Option<Time> {
        let Ground { lease, now, .. } = self;
        let had = match lease.state {
            State::Active | State::Expired | State::Reaping => true,
            State::Stopped => lease.stopped_by == Some(StoppedBy::Zerocloud) && !lease.is_group(),
            State::Terminated | State::Gone => false,
        };
        Some(lease.ends_at).filter(|at| had && lease.hold.is_some() && *at <= *now)
    }

    /// A word for how it stands, and its tone: `good`, `warn`, `bad` or `calm`.
    pub(super) fn look(&self) -> (&'static str, &'static str) {
        let Ground { lease, stage, policy, now, .. } = self;
        let soon = policy.warnings.iter().copied().max().unwrap_or(86_400);
        let left = lease.expires_at.seconds_since(*now);
        let exempt = self.exempt_past_end().is_some();
        match lease.state {
            State::Expired | State::Reaping if lease.hold.is_some() => ("Held", "warn"),
            State::Expired if exempt => ("Exempt", "good"),
            State::Active | State::Expired if self.covered => ("Running", "good"),
            State::Active if exempt || self.paused => ("Running", "good"),
            State::Active if left <= soon && *stage >= Stage::Notify && lease.hold.is_none() => ("Ends soon", "warn"),
            State::Active => ("Running", "good"),
            State::Expired if self.asked_by.is_some() => ("Ending now", "bad"),
            State::Expired if self.paused => ("Over", "warn"),
            State::Expired => ("Over", "bad"),
            State::Reaping => ("Ending now", "bad"),
            State::Stopped if lease.is_group() => ("Asleep", "calm"),
            State::Stopped => ("Stopped", "calm"),
            State::Terminated => ("Terminated", "calm"),
            State::Gone => ("Gone", "calm"),
        }
    }

    /// What happens when nobody does anything, and what after that.
    pub(super) fn next(&self) -> (String, Option<String>) {
        let lease = self.lease;
        let told = match lease.state {
            State::Terminated => "It is terminated; nothing more happens.".to_owned(),
            State::Gone => "AWS no longer has it; nothing more happens.".to_owned(),
            State::Reaping => format!("It is being {} now.", lease.past(self.action)),
            State::Stopped if lease.is_group() => self.asleep().to_owned(),
            State::Stopped => self.stopped(),
            State::Active | State::Expired => return self.live(),
        };
        (told, None)
    }

    fn asleep(&self) -> &'static str {
        if self.lease.stopped_by == Some(StoppedBy::Zerocloud) {
            "It sleeps: its sizes are 0 and its members gone. It stays so until it is revived, or somebody gives it sizes again."
        } else {
            "Somebody scaled it to nothing, so no end runs. Scaled up again, it gets a new lease."
        }
    }

    fn stopped(&self) -> String {
        let lease = self.lease;
        let ours = lease.stopped_by == Some(StoppedBy::Zerocloud);
        if let Some(who) = self.asked_by {
            return self.on_request(who, "terminated");
        }
        if ours && lease.hold.is_some() {
            return self.held("terminated");
        }
        if ours && self.stage >= Stage::Terminate {
            if let Some(until) = self.exempt_past_end() {
                return format!("It is not terminated while it is exempt, until {}.", self.zone.both(until));
            }
            if self.paused {
                return self.waits("starts", "terminated");
            }
            return format!("If nobody starts it, it is terminated {}.", self.when());
        }
        let text = if ours {
            "It stays stopped until somebody starts it."
        } else {
            "It was stopped by somebody, so no end runs. Its volumes cost on."
        };
        text.to_owned()
    }

    fn live(&self) -> (String, Option<String>) {
        let Ground { lease, action, stage, .. } = *self;
        let verb = lease.past(action);
        if lease.key.resource_id.is_cluster() {
            return ("zerocloud ends nothing of it: end it where it is managed.".to_owned(), None);
        }
        if self.covered {
            return (self.with_its_group(), None);
        }
        if let Some(who) = self.asked_by {
            return (self.on_request(who, verb), None);
        }
        if stage < lease.needed_stage(action) {
            let text = format!("Nothing is {verb} yet: zerocloud may not do that in this AWS account.");
            return (text, None);
        }
        if lease.hold.is_some() {
            return (self.held(verb), None);
        }
        if let Some(until) = self.exempt_past_end() {
            return (
                format!(
                    "Whatever its lease says, it is not {verb} while it is exempt, until {}.",
                    self.zone.both(until)
                ),
                None,
            );
        }
        if self.paused {
            return (self.waits("renews", verb), None);
        }
        (format!("If nobody renews it, it is {verb} {}.", self.when()), Some(self.afterwards()))
    }

    /// What becomes of it after a pause.
    fn waits(&self, renews: &str, verb: &str) -> String {
        let at = self.lease.ends_at;
        let when = if at > self.now {
            format!("not before {}", self.zone.both(at))
        } else {
            "after its owner had notice again".to_owned()
        };
        format!(
            "No end starts while zerocloud is paused. Once that is lifted, and if nobody {renews} it, it is {verb}: {when}."
        )
    }

    fn with_its_group(&self) -> String {
        let until = self.lease.ends_at.max(self.exempt.unwrap_or(Time::MIN));
        let kept = if until > self.now {
            format!("This one keeps the group from its end until {}. ", self.zone.both(until))
        } else {
            String::new()
        };
        format!("{kept}It ends with its group, whose lease stands for it.")
    }

    fn when(&self) -> String {
        let at = self.lease.ends_at;
        if at > self.now { format!("at {}, not before", self.zone.both(at)) } else { "soon".to_owned() }
    }

    fn held(&self, verb: &str) -> String {
        let (stands, way_out) = if is_protected(self.lease) {
            let who = if self.lease.is_group() { "AWS" } else { "EC2" };
            (format!("{who} protects it, so nothing ends it"), format!(" {}", way_out(self.lease)))
        } else {
            ("nothing ends it as long as the hold stands".to_owned(), String::new())
        };
        match self.passed() {
            Some(at) => format!("It was to be {verb} at {}. That passed: {stands}.{way_out}", self.zone.both(at)),
            None => format!("No end runs: {stands}.{way_out}"),
        }
    }

    fn on_request(&self, who: &str, verb: &str) -> String {
        let held = self.lease.hold.is_some();
        let then = if held { "That waits as long as the hold stands." } else { "That takes a minute or so." };
        let then = if is_protected(self.lease) { format!("{then} {}", way_out(self.lease)) } else { then.to_owned() };
        let live = self.lease.state.is_renewable();
        let way_out = if live { " A renewal that comes before keeps it." } else { "" };
        format!("{who} asked that it be {verb} now. {then}{way_out}")
    }

    fn afterwards(&self) -> String {
        let Ground { lease, action, stage, policy, .. } = self;
        match action {
            _ if lease.is_group() => {
                "Auto Scaling then terminates its members; the group and its sizes stay and can be revived.".to_owned()
            }
            Action::Terminate => "It does not come back.".to_owned(),
            Action::Stop if *stage >= Stage::Terminate => format!(
                "Its volumes stay; after {} stopped it is terminated, with a mail before.",
                span(policy.terminate_after)
            ),
            Action::Stop => "Its volumes stay, and it can be started again.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
