//! How instances move from state to state, and what follows: another spot instance, another member of a group.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::site::Launch;
use super::{Group, GroupSpec, Settle, Site, SpotState, State};

impl Site<'_> {
    /// Sends an instance on its way to another state.
    pub(crate) fn send(&mut self, number: u64, through: State) {
        let patience = self.patience();
        let Some(instance) = self.region.instances.at_mut(number) else { return };
        instance.state = through;
        instance.left = patience;
        instance.reason.clear();
        match through {
            State::Pending => instance.launched = self.now,
            State::Stopping | State::ShuttingDown => {
                instance.reason = format!("User initiated ({})", self.now.strftime("%Y-%m-%d %H:%M:%S GMT"));
            }
            State::Running | State::Terminated | State::Stopped => {}
        }
        self.region.instances.changing.insert(number);
    }

    /// A describe looks: what it concerns comes one describe nearer to its next state.
    pub(crate) fn look(&mut self, concerned: impl Fn(u64) -> bool) {
        let Settle::Describes(most) = self.settle else { return };
        let changing: Vec<u64> =
            self.region.instances.changing.iter().copied().filter(|&number| concerned(number)).collect();
        for number in changing {
            match self.region.instances.at_mut(number) {
                Some(instance) if instance.left.min(most) > 0 => instance.left = instance.left.min(most) - 1,
                _ => self.arrive(number),
            }
        }
    }

    /// Everything on its way arrives, and what is launched because of that too.
    pub(crate) fn settle_all(&mut self) {
        while let Some(number) = self.region.instances.changing.first().copied() {
            self.arrive(number);
        }
    }

    /// An instance reaches the state that it was on its way to.
    pub(crate) fn arrive(&mut self, number: u64) {
        self.region.instances.changing.remove(&number);
        let Some(instance) = self.region.instances.at_mut(number) else { return };
        match instance.state {
            State::Pending => {
                instance.state = State::Running;
                instance.ran = true;
            }
            State::Stopping => instance.state = State::Stopped,
            State::ShuttingDown => instance.state = State::Terminated,
            State::Running | State::Stopped | State::Terminated => return,
        }
        let (state, group) = (instance.state, instance.group.clone());
        if state == State::Terminated {
            instance.ended = Some(self.now);
            self.region.instances.note_end(number);
            self.detach(number);
        }
        self.follow_spot(number, state);
        if let Some(group) = group {
            self.balance(&group);
        }
    }

    /// A spot request follows its instance; a persistent one launches another (Spot requests in the EC2 user guide).
    fn follow_spot(&mut self, number: u64, state: State) {
        let Some(instance) = self.region.instances.at(number) else { return };
        let Some(request) = instance.spot_request.as_ref().and_then(|id| self.region.requests.get_mut(id)) else {
            return;
        };
        if request.state == SpotState::Cancelled {
            return;
        }
        match state {
            State::Running => request.state = SpotState::Active,
            State::Stopped => request.state = SpotState::Disabled,
            State::Terminated if request.persistent => {
                request.state = SpotState::Open;
                let mut spec = (*request.spec).clone();
                // The request's launch specification has no tags: EC2 does not put them on instances launched again.
                spec.tags.clear();
                spec.launched = None;
                let (spec, request) = (Arc::new(spec), Some(request.id.clone()));
                let reservation = self.numbers.id("r").into();
                self.launch(Launch { spec, reservation, state: State::Pending, group: None, request });
            }
            State::Terminated => request.state = SpotState::Closed,
            State::Pending | State::ShuttingDown | State::Stopping => {}
        }
    }

    /// Brings a group to its wished size: members that are not up are replaced, too many are terminated, oldest first. Termination
    /// protection does not stop Auto Scaling (Change instance termination protection, EC2 user guide).
    pub(crate) fn balance(&mut self, name: &str) {
        let Some(mut group) = self.region.groups.remove(name) else { return };
        let state = |site: &Self, number: u64| site.region.instances.at(number).map(|instance| instance.state);
        group.members.retain(|&number| !matches!(state(self, number), None | Some(State::Terminated)));
        for &number in &group.members {
            if matches!(state(self, number), Some(State::Stopped | State::Stopping)) {
                self.send(number, State::ShuttingDown);
            }
        }
        let up: Vec<u64> =
            group.members.iter().copied().filter(|&number| state(self, number).is_some_and(State::is_up)).collect();
        let desired = group.desired as usize;
        // Scale-in protection and a suspended Terminate keep surplus members (Amazon EC2 Auto Scaling user guide).
        let keeps = group.protected || group.suspended.contains("Terminate");
        for &number in up.iter().take(if keeps { 0 } else { up.len().saturating_sub(desired) }) {
            self.send(number, State::ShuttingDown);
        }
        for _ in up.len()..if group.suspended.contains("Launch") { up.len() } else { desired } {
            self.join(&mut group, State::Pending);
        }
        self.region.groups.insert(group.name.clone(), group);
    }

    fn join(&mut self, group: &mut Group, state: State) {
        let reservation = self.numbers.id("r").into();
        let (spec, name) = (Arc::clone(&group.spec), Some(group.name.clone()));
        let number = self.launch(Launch { spec, reservation, state, group: name, request: None });
        group.members.push(number);
    }

    /// Makes a group with members in the state that its spec has.
    pub(crate) fn found(&mut self, spec: GroupSpec) {
        let GroupSpec { name, min, max, desired, tags, mut member } = spec;
        member.tags.extend(tags.clone());
        member.tags.insert("aws:autoscaling:groupName".into(), name.clone());
        let (account, region, uuid) = (self.account, &self.region.name, self.numbers.uuid());
        let arn = format!("arn:aws:autoscaling:{region}:{account}:autoScalingGroup:{uuid}:autoScalingGroupName/{name}");
        let state = member.state;
        let (created, members) = (self.now, Vec::new());
        let spec = Arc::new(member);
        let (suspended, protected, warm_pool) = (BTreeSet::new(), false, None);
        let mut group =
            Group { name, arn, min, max, desired, tags, created, suspended, protected, warm_pool, members, spec };
        for _ in 0..desired {
            self.join(&mut group, state);
        }
        self.region.groups.insert(group.name.clone(), group);
    }
}
