//! What is in the way of an end, and how it is shown: the AWS account's stage, a pause, an exemption, a region or resource
//! that was not seen, somebody else who decides; and holds with their reviews.

use super::cover::{cover, exempting_member, promised_member};
use super::exempt::exempting;
use super::work::Work;
use crate::model::{Action, ExemptionRule, Hold, HoldKind, Lease, RuleKind, Time, User, UserId};

/// A hold is looked at again after a day at most.
const REVIEW: i64 = 86_400;

/// How long something must be out of sight before its end is held for it, in seconds; until then the end just waits.
pub(super) const OUT_OF_SIGHT: i64 = 600;

/// Something in the way of an end.
pub(super) enum Obstacle {
    /// It passes by itself, soon.
    Wait,
    /// It is shown as a hold: kind, reason, and until when.
    Hold(HoldKind, String, Option<Time>),
}

impl Work<'_> {
    pub(super) fn obstacle(&self, action: Action) -> Option<Obstacle> {
        self.managed()
            .or_else(|| self.stage_obstacle(action))
            .or_else(|| self.paused())
            .or_else(|| self.exempt())
            .or_else(|| self.promised_member())
            .or_else(|| self.unreadable())
            .or_else(|| self.unseen())
    }

    pub(super) fn managed(&self) -> Option<Obstacle> {
        let managed = self.facts()?.managed_by.as_ref();
        let managed = managed.map(|by| format!("{} {} decides about it", by.kind, by.name));
        let reason = managed.or_else(|| cover(self.view).map(|_| "the lease of its group stands for it".to_owned()))?;
        Some(Obstacle::Hold(HoldKind::ManagedElsewhere, reason, None))
    }

    fn stage_obstacle(&self, action: Action) -> Option<Obstacle> {
        let say = |reason: &str| Some(Obstacle::Hold(HoldKind::Stage, reason.to_owned(), None));
        let Some(aws) = &self.view.aws_account else {
            if let Some(reason) = self.not_known(true) {
                return Some(Obstacle::Hold(HoldKind::Unreadable, reason, None));
            }
            return say("the document of its AWS account is missing or cannot be read");
        };
        if aws.account != self.lease.account || aws.aws_id != self.lease.key.aws_id {
            return say("its AWS account belongs to another Account");
        }
        if aws.disabled {
            return say("its AWS account is disabled");
        }
        if self.stage() >= self.lease.needed_stage(action) {
            return None;
        }
        say(match action {
            Action::Stop if self.lease.is_group() => {
                "the stage of its AWS account allows no termination, and asleep its members are terminated"
            }
            Action::Stop => "the stage of its AWS account allows no stop",
            Action::Terminate => "the stage of its AWS account allows no termination",
        })
    }

    fn paused(&self) -> Option<Obstacle> {
        let pause = self.pause()?;
        Some(Obstacle::Hold(HoldKind::Pause, format!("paused: {}", pause.reason), pause.resumed_at))
    }

    /// A person who asks for the end of this very lease overrides its exemption.
    fn exempt(&self) -> Option<Obstacle> {
        if self.marks.wish.is_some() {
            return None;
        }
        let own = self.lease.exemption.as_ref().filter(|exemption| exemption.until > self.now);
        let own = own.map(|exemption| (format!("exempted: {}", exemption.reason), exemption.until));
        let kind = |rule: &ExemptionRule| match rule.by {
            RuleKind::Unknown => HoldKind::Unreadable,
            _ => HoldKind::Exemption,
        };
        let rule = || {
            let rule = exempting(&self.view.rules, self.facts()?, self.now)?;
            let reason = match rule.by {
                RuleKind::Unknown => format!("an exemption rule cannot be read, and may be about it: {rule}"),
                _ => format!("exempted by rule ({rule}): {}", rule.reason),
            };
            Some((kind(rule), reason, rule.until))
        };
        let member = || {
            let (member, rule) = exempting_member(&self.view.rules, &self.view.members, self.now)?;
            let id = &member.resource.key.resource_id;
            Some((kind(rule), format!("its member {id} is exempted by rule ({rule}): {}", rule.reason), rule.until))
        };
        let own = own.map(|(reason, until)| (HoldKind::Exemption, reason, until));
        let (kind, reason, until) = own.or_else(rule).or_else(member)?;
        Some(Obstacle::Hold(kind, reason, Some(until)))
    }

    /// Who asks for the end of a group overrides no promise to others.
    fn promised_member(&self) -> Option<Obstacle> {
        let (reason, until) = promised_member(&self.view.members, self.now)?;
        Some(Obstacle::Hold(HoldKind::Exemption, reason, Some(until)))
    }

    fn unreadable(&self) -> Option<Obstacle> {
        let reason = self.not_known(self.marks.wish.is_some())?;
        Some(Obstacle::Hold(HoldKind::Unreadable, reason, None))
    }

    /// What stands in a document that cannot be read may keep it from this end. Who `asked` for the end of this very lease
    /// needs no owner who can be read.
    pub(super) fn not_known(&self, asked: bool) -> Option<String> {
        let owner = User::doc_id(&self.lease.account, &self.lease.owner);
        let odd = self.view.unreadable.iter().find(|id| !asked || **id != owner)?;
        Some(format!("the document {odd} cannot be read, and what it says of this end is not known"))
    }

    /// What was not seen in the last scan is not ended: unknown is not gone.
    fn unseen(&self) -> Option<Obstacle> {
        let say = |reason: String| Some(Obstacle::Hold(HoldKind::Region, reason, None));
        if let Some(region) = self.view.region.as_ref().filter(|region| region.state != "ok") {
            return say(format!("its region is {}: {}", region.state, region.reason));
        }
        let Some(resource) = self.resource() else {
            return say("nothing is known of the resource".to_owned());
        };
        let missing = resource.missing?;
        if self.passed(missing.since, OUT_OF_SIGHT) {
            return say("scans do not see it".to_owned());
        }
        Some(Obstacle::Wait)
    }
}

/// Holds that do not keep an end from being tried.
pub(super) fn passing(kind: HoldKind) -> bool {
    matches!(kind, HoldKind::Pace | HoldKind::Protection)
}

/// Whether protection is taken for granted: it is asked for again at the review, not before.
pub(super) fn rests(hold: &Hold, now: Time) -> bool {
    hold.kind == HoldKind::Protection && under_review(hold, now)
}

/// Whether the review is to come. One more than a day off was set by a clock that was set back since.
pub(super) fn under_review(hold: &Hold, now: Time) -> bool {
    (1..=REVIEW).contains(&hold.review_at.seconds_since(now))
}

/// Puts a hold on a lease, or keeps the one of that kind, with its review at most a day away.
pub(super) fn set_hold(lease: &mut Lease, kind: HoldKind, reason: String, until: Option<Time>, now: Time) {
    let review_at = until.unwrap_or(Time::MAX).min(now.plus(REVIEW)).max(now.plus(1));
    match &mut lease.hold {
        Some(hold) if hold.kind == kind => {
            hold.reason = reason;
            if !under_review(hold, now) {
                hold.review_at = review_at;
            }
        }
        _ => {
            lease.log(now, format!("held ({}): {reason}", kind.as_str()));
            lease.hold = Some(Hold { kind, reason, since: now, review_at, told: Vec::<UserId>::new() });
        }
    }
}
