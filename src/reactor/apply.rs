//! Applying the policy to a lease that runs: an admin's act, never done by a change of the policy itself. Never nearer than the
//! longest warning and the least notice from now, so that nobody is surprised.

use super::renewal::first_length;
use super::requests::Verdict;
use super::work::Work;
use crate::model::{Request, State, Time};

impl Work<'_> {
    pub(super) fn apply_policy(&mut self, request: &Request) -> Verdict {
        if !self.is_admin(&request.user) {
            return Err("only an admin may ask that".to_owned());
        }
        if self.lease.state != State::Active {
            return Err("only a lease that runs gets another end by the policy".to_owned());
        }
        if self.marks.over_quota.is_some() || self.marks.wish.is_some() {
            return Err("it is short already, for another reason".to_owned());
        }
        let was = (self.lease.granted_until, self.lease.ends_at, self.lease.end_action);
        let until = self.end_by_policy();
        let action = self.end_action();
        if (until, until.plus(self.policy().grace), action) == was {
            return Ok("it is as the policy says already".to_owned());
        }
        let sooner = until.plus(self.policy().grace) < was.1 || action > was.2;
        let why = request.reason.as_deref().map(str::trim).filter(|why| !why.is_empty());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let hold = self.lease.hold.clone();
        self.grant(until, format!("{} applied the policy{why}; until {until}", request.user));
        self.lease.hold = hold;
        if sooner {
            // They counted on more, and are told of it at once.
            self.lease.notified = None;
        }
        Ok(format!("it ends at {until}, by the policy"))
    }

    /// What nobody renewed has the length of a new lease; what was renewed keeps its end, as far as a renewal reaches today.
    fn end_by_policy(&self) -> Time {
        let (policy, granted) = (self.policy(), self.lease.granted_until);
        let connected = self.view.aws_account.as_ref().and_then(|aws| aws.connected_at);
        let first = self.lease.first_seen.plus(first_length(policy, self.facts(), connected));
        let wanted = if self.marks.wished_at.is_none() { first } else { granted };
        let warned = policy.warnings.iter().copied().max().unwrap_or(0);
        let floor = self.now.plus(warned.saturating_add(policy.min_notice));
        // The floor makes no lease longer.
        wanted.min(self.limit()).max(floor.min(granted))
    }
}
