//! The AWS side of an end: read the instance or group again, act on it alone, and believe only what AWS shows afterwards.

use super::Reaper;
use super::gate::asked;
use crate::aws::{AwsError, Mode, Protection, Turn};
use crate::model::{Action, AwsAccount, Facts, Lease, LeaseKey, Reap, ResourceState, Sizes, State};
use crate::reactor::{ReapOutcome, exempting, launched_since_stop, spoken_for};
use anyhow::Context as _;
use std::time::Duration;

/// An instance or group that may be acted on.
pub(super) struct Ready {
    pub(super) account: AwsAccount,
    pub(super) facts: Facts,
    /// What to do.
    pub(super) action: Action,
}

/// What a fresh read says.
pub(super) enum Found {
    /// Go on.
    Ready(Box<Ready>),
    /// Nothing to do, or not possible: this is how it ended.
    Outcome(ReapOutcome),
    /// Not what was decided upon: it must be judged again.
    Changed(String),
}

/// How long EC2 is asked for the new state; afterwards the next sweep goes on. Others wait meanwhile.
const CONFIRM: Duration = Duration::from_secs(10);
/// How often it is looked whether this copy still leads while a call is under way.
const LOOK: Duration = Duration::from_millis(20);
/// Seconds after a claim from which an end that cannot be carried out counts as failed, so that nothing stays claimed; and after
/// which an end that cannot be looked into says so.
pub(super) const GIVE_UP: i64 = 900;

pub(super) fn failed(error: impl Into<String>) -> ReapOutcome {
    ReapOutcome::Failed(error.into())
}

/// A permission that is missing is told on the lease, which is tried again ever more rarely: no region is held for it.
pub(super) fn denied(error: AwsError) -> anyhow::Result<Found> {
    match error {
        AwsError::Denied { .. } | AwsError::DeniedByOrganization { .. } => {
            Ok(Found::Outcome(failed(error.to_string())))
        }
        other => Err(other.into()),
    }
}

/// Which protection stands against it. EC2 terminates what is protected from being stopped alone; its owner meant every end
/// (Amazon EC2 User Guide, "Enable stop protection": it also protects from accidental termination).
fn standing(protection: Protection, action: Action) -> Option<Action> {
    match action {
        Action::Terminate if protection.terminate => Some(Action::Terminate),
        Action::Stop | Action::Terminate => protection.stop.then_some(Action::Stop),
    }
}

fn protected(against: Action) -> ReapOutcome {
    ReapOutcome::Protected(format!(
        "EC2 protects it: {} is switched off for it",
        match against {
            Action::Stop => "stopping by API",
            Action::Terminate => "termination by API",
        }
    ))
}

impl Reaper {
    /// Reads instance, tags and protection from EC2 and says what may be done. Changes nothing.
    pub(super) async fn examine(&self, lease: &Lease, action: Action) -> anyhow::Result<Found> {
        let key = lease.key();
        if key.resource_id.is_cluster() {
            return Ok(Found::Changed("a cluster is ended where it is managed".to_owned()));
        }
        if key.is_group() {
            return self.examine_group(lease, action).await;
        }
        let account = self.account(lease).await?;
        let Some(facts) = self.facts(&account, &key).await? else {
            // Whether it is gone is for the detector to say, after more than one look.
            return Ok(Found::Outcome(failed("EC2 does not list the instance")));
        };
        match facts.state {
            ResourceState::ShuttingDown | ResourceState::Terminated => {
                return Ok(Found::Outcome(ReapOutcome::Terminated));
            }
            ResourceState::Stopping | ResourceState::Stopped if action == Action::Stop => {
                return Ok(Found::Outcome(ReapOutcome::Stopped));
            }
            ResourceState::Pending => anyhow::bail!("the instance is still starting"),
            ResourceState::Running if lease.stopped_at.is_some() => {
                return Ok(Found::Changed("somebody started it again".to_owned()));
            }
            // The first end is of what runs: what its owner stopped, no end ends (DESIGN.md).
            ResourceState::Stopping | ResourceState::Stopped if lease.stopped_at.is_none() && !asked(lease) => {
                return Ok(Found::Changed("somebody stopped it".to_owned()));
            }
            _ => {}
        }
        if lease.stopped_at.is_some() && (launched_since_stop(lease, &facts) || self.launched_since(&key, &facts)) {
            return Ok(Found::Changed("somebody started it since it was seen".to_owned()));
        }
        if let Some(group) = &facts.managed_by {
            return Ok(Found::Changed(format!("it belongs to {} {}", group.kind, group.name)));
        }
        if let Some(tag) = self.changed_tag(lease, &facts) {
            return Ok(Found::Changed(format!("its tag {tag} changed")));
        }
        if let Some(why) = self.exempt_by(lease, &facts).await? {
            return Ok(Found::Changed(why));
        }
        let facts = match self.with_spot_type(&account, &key, facts).await {
            Ok(facts) => facts,
            Err(error) => return denied(error),
        };
        if action == Action::Stop && !facts.can_stop() {
            // Its notice spoke of a stop: what is harder has to be announced first.
            return Ok(Found::Changed("it cannot be stopped, only terminated".to_owned()));
        }
        match self.aws.protection(&account, &key.region, &key.resource_id).await {
            Ok(protection) => Ok(match standing(protection, action) {
                Some(against) => Found::Outcome(protected(against)),
                None => Found::Ready(Box::new(Ready { account, facts, action })),
            }),
            Err(error) => denied(error),
        }
    }

    /// The exemption rule, as it stands now, that picks out what AWS shows now; who asked for the end of this very lease
    /// overrides it.
    pub(super) async fn exempt_by(&self, lease: &Lease, facts: &Facts) -> anyhow::Result<Option<String>> {
        if asked(lease) {
            return Ok(None);
        }
        let rules = self.rules(lease).await?;
        let rule = exempting(&rules, facts, self.clock.now());
        Ok(rule.map(|rule| format!("exempted by rule ({rule}): {}", rule.reason)))
    }

    /// Acts on a claimed lease and waits for EC2 to show it. `None`: not finished, the next sweep goes on.
    pub(super) async fn act(&self, lease: &Lease, reap: &Reap) -> anyhow::Result<Option<ReapOutcome>> {
        // Also of a claim that a clock made which ran ahead.
        let age = self.clock.now().seconds_since(reap.claimed_at).saturating_abs();
        match self.try_act(lease, reap).await {
            Err(error) if age > GIVE_UP => Ok(Some(failed(format!("{error:#}")))),
            other => other,
        }
    }

    async fn try_act(&self, lease: &Lease, reap: &Reap) -> anyhow::Result<Option<ReapOutcome>> {
        // Before anything is looked at: nothing waits between the last look and the call.
        let key = lease.key();
        let turn = self.aws.turn(&self.account(lease).await?, &key.region).await?;
        let ready = match self.examine(lease, reap.action).await? {
            Found::Ready(ready) => ready,
            Found::Outcome(outcome) => return Ok(Some(outcome)),
            Found::Changed(why) => return Ok(Some(ReapOutcome::Changed(why))),
        };
        let first = match ready.persistent_request() {
            Some(_) => Some(self.aws.turn(&ready.account, &key.region).await?),
            None => None,
        };
        if let Some(why) = self.gate(lease, ready.action).await? {
            return Ok(Some(ReapOutcome::Changed(why)));
        }
        // The last read before the call: the claim must still be this one, and nobody have written anything else.
        let now = self.store.get::<Lease>(&key.lease_id()).await?;
        let mine = |now: &Lease| {
            now.state == State::Reaping && now.reap.as_ref().is_some_and(|now| now.claimed_at == reap.claimed_at)
        };
        let Some(now) = now.map(|now| now.body).filter(mine) else { return Ok(None) };
        if spoken_for(&now, self.clock.now()) || now.expires_at != lease.expires_at {
            return Ok(Some(ReapOutcome::Changed("the lease was changed since it was claimed".to_owned())));
        }
        if !(self.leads)() {
            return Ok(None);
        }
        // Dropped, the call is not tried again: a late one could meet what the next leader allowed since.
        let told = tokio::select! {
            told = self.call(turn, first, &ready, &key) => told,
            () = self.lead_in_doubt() => return Ok(None),
        };
        if let Err(error) = told {
            return match error {
                AwsError::Protected { .. } => Ok(Some(protected(ready.action))),
                AwsError::Throttled { .. } | AwsError::Unreachable { .. } => Err(error.into()),
                other => Ok(Some(failed(other.to_string()))),
            };
        }
        self.fail.pass("act");
        self.confirm(&ready, &key).await
    }

    /// The one place that ends anything: one instance or group, named by the lease.
    /// The second turn is of the spot request that is cancelled first.
    async fn call(&self, turn: Turn, first: Option<Turn>, ready: &Ready, key: &LeaseKey) -> Result<(), AwsError> {
        if key.is_group() {
            self.aws.set_sizes(turn, &ready.account, &key.region, &ready.facts.name, Sizes::ASLEEP).await?;
            tracing::info!(lease = %key, sizes = ?ready.sizes(), "Auto Scaling was told to put it to sleep");
            return Ok(());
        }
        let (account, region, id) = (&ready.account, &key.region, &key.resource_id);
        let state = match ready.action {
            Action::Stop => self.aws.stop(turn, account, region, id, Mode::Real).await?,
            Action::Terminate => {
                // A persistent request would launch the next one.
                if let Some((request, first)) = ready.persistent_request().zip(first) {
                    self.aws.cancel_spot_request(first, account, region, request).await?;
                }
                self.aws.terminate(turn, account, region, id, Mode::Real).await?
            }
        };
        tracing::info!(lease = %key, action = ready.action.as_str(), ?state, "EC2 was told");
        Ok(())
    }

    async fn confirm(&self, ready: &Ready, key: &LeaseKey) -> anyhow::Result<Option<ReapOutcome>> {
        let asked = async {
            let mut pause = Duration::from_millis(50);
            loop {
                let facts = self.facts(&ready.account, key).await?;
                let asleep = facts.as_ref().and_then(|facts| Some(facts.group.as_ref()?.sizes == Sizes::ASLEEP));
                match (ready.action, facts.map(|facts| facts.state), asleep) {
                    // Sizes of nothing are all that is asked of a group: its members take their time to go.
                    (_, _, Some(true)) => return anyhow::Ok(ReapOutcome::Stopped),
                    (_, Some(ResourceState::ShuttingDown | ResourceState::Terminated), None) => {
                        return Ok(ReapOutcome::Terminated);
                    }
                    (Action::Stop, Some(ResourceState::Stopping | ResourceState::Stopped), None) => {
                        return Ok(ReapOutcome::Stopped);
                    }
                    _ => tokio::time::sleep(pause).await,
                }
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        };
        let shown = tokio::time::timeout(CONFIRM, asked).await;
        shown.context("EC2 took the call and does not show its effect yet")?.map(Some)
    }

    async fn lead_in_doubt(&self) {
        while (self.leads)() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether what the decision saw of a stopped instance is older than its last start.
    fn launched_since(&self, key: &LeaseKey, fresh: &Facts) -> bool {
        let seen = self.index.resource(key).and_then(|seen| seen.facts.launch_time);
        matches!((seen, fresh.launch_time), (Some(seen), Some(fresh)) if fresh > seen)
    }

    /// Starts a stopped instance again, or wakes a group, when its lease was revived.
    pub(super) async fn start(&self, key: &LeaseKey) -> anyhow::Result<()> {
        let Some(lease) = self.store.get::<Lease>(&key.lease_id()).await? else {
            return Ok(());
        };
        let account = self.account(&lease.body).await?;
        // Also one that expired meanwhile: whoever asked for it may still renew it, and only what runs can end.
        if !lease.body.state.is_renewable() || account.disabled {
            return Ok(());
        }
        if key.is_group() {
            let asleep = self.to_wake(&lease.body, &account).await?;
            if let Some((name, sizes)) = asleep.filter(|_| (self.leads)()) {
                let turn = self.aws.turn(&account, &key.region).await?;
                self.aws.set_sizes(turn, &account, &key.region, &name, sizes).await?;
                tracing::info!(lease = %key, %sizes, "woken");
            }
            return Ok(());
        }
        let facts = self.facts(&account, key).await?;
        let stopped = facts.is_some_and(|facts| facts.state == ResourceState::Stopped);
        if stopped && (self.leads)() {
            self.aws.start(&account, &key.region, &key.resource_id, Mode::Real).await?;
            tracing::info!(lease = %key, "started again");
        }
        Ok(())
    }

    async fn facts(&self, account: &AwsAccount, key: &LeaseKey) -> Result<Option<Facts>, AwsError> {
        if key.resource_id.is_cluster() {
            return Ok(None);
        }
        if key.is_group() {
            return self.group(account, key).await;
        }
        let ids = std::slice::from_ref(&key.resource_id);
        let found = self.aws.describe(account, &key.region, ids).await?;
        Ok(found.into_iter().find(|(id, _)| *id == key.resource_id).map(|(_, facts)| facts))
    }

    async fn with_spot_type(&self, account: &AwsAccount, key: &LeaseKey, mut facts: Facts) -> Result<Facts, AwsError> {
        if let (None, Some(request)) = (&facts.spot_type, &facts.spot_request) {
            facts.spot_type = self.aws.spot_type(account, &key.region, request).await?;
        }
        Ok(facts)
    }

    /// A tag that decides about owner or length and is not what the decision saw.
    pub(super) fn changed_tag(&self, lease: &Lease, fresh: &Facts) -> Option<String> {
        let seen = self.index.resource(&lease.key())?;
        let directory = self.index.directory();
        let policy = directory.policy(&lease.account, &lease.key.aws_id, None);
        let value = |facts: &Facts, tag: &str| {
            let found = facts.tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(tag));
            found.map(|(_, value)| value.clone())
        };
        // What zerocloud wrote there itself since names the owner whom the decision saw.
        let owner = directory.user(&lease.account, &lease.owner).map(|user| user.email.as_str());
        let ours = value(fresh, &policy.owner_tag).is_some_and(|said| {
            fresh.wrote_owner(&said) && owner.is_some_and(|owner| owner.eq_ignore_ascii_case(&said))
        });
        let changed = |tag: &String| value(&seen.facts, tag) != value(fresh, tag);
        Some(policy.owner_tag).filter(|tag| changed(tag) && !ours).or_else(|| Some(policy.lease_tag).filter(changed))
    }
}

impl Ready {
    /// What a group has now.
    pub(super) fn sizes(&self) -> Option<Sizes> {
        self.facts.group.as_ref().map(|group| group.sizes)
    }

    fn persistent_request(&self) -> Option<&str> {
        let persistent = self.facts.spot_type.as_deref() == Some("persistent");
        self.facts.spot_request.as_deref().filter(|_| persistent)
    }
}
