//! A region with what is needed to launch into it, and the changes that AWS makes there by itself.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Instance, Lifecycle, Numbers, Region, RootDevice, Settle, Spec, SpotRequest, SpotState, State, Volume};

/// How long a terminated instance stays listed ("approximately one hour": TerminateInstances in the EC2 API reference).
const LISTED: SignedDuration = SignedDuration::from_hours(1);

/// A region at work.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) account: &'a str,
    pub(crate) region: &'a mut Region,
    pub(crate) numbers: &'a mut Numbers,
    pub(crate) settle: Settle,
    pub(crate) now: Timestamp,
}

/// How and as what an instance is launched.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) spec: Arc<Spec>,
    pub(crate) reservation: Arc<str>,
    pub(crate) state: State,
    pub(crate) group: Option<String>,
    /// The request that launches it again, when it is not the first.
    pub(crate) request: Option<String>,
}

impl<'a> Site<'a> {
    /// Forgets first what ended long enough ago.
    pub(crate) fn new(
        account: &'a str,
        region: &'a mut Region,
        numbers: &'a mut Numbers,
        settle: Settle,
        now: Timestamp,
    ) -> Self {
        region.instances.forget(now - LISTED);
        Self { account, region, numbers, settle, now }
    }

    /// Launches one instance and answers its number.
    pub(crate) fn launch(&mut self, launch: Launch) -> u64 {
        let Launch { spec, reservation, state, group, request } = launch;
        let id = self.numbers.id("i");
        let launched = spec.launched.unwrap_or(self.now);
        let zone = spec.zone.as_deref().map_or_else(|| Arc::clone(&self.region.zone), Arc::from);
        let request = match spec.lifecycle {
            Lifecycle::OnDemand => None,
            _ => Some(request.unwrap_or_else(|| self.request(&spec, launched))),
        };
        if let Some(request) = request.as_ref().and_then(|id| self.region.requests.get_mut(id)) {
            request.instance.clone_from(&id);
            request.state = if state == State::Stopped { SpotState::Disabled } else { SpotState::Active };
        }
        let number = self.numbers.next();
        self.region.instances.insert(Instance {
            id,
            reservation,
            spec,
            state,
            launched,
            spot_request: request,
            group,
            ended: (state == State::Terminated).then_some(self.now),
            zone,
            left: self.patience(),
            ran: state != State::Pending,
            reason: String::new(),
            number,
        });
        number
    }

    /// Seeds `count` instances in reservations of seven, so that pages cut through them.
    pub(crate) fn seed(&mut self, count: usize, mut spec: impl FnMut(usize) -> Arc<Spec>) -> Vec<String> {
        self.region.instances.reserve(count);
        let mut reservation: Arc<str> = "".into();
        let mut ids = Vec::with_capacity(count);
        for index in 0..count {
            if index % 7 == 0 {
                reservation = self.numbers.id("r").into();
            }
            let spec = spec(index);
            let state = spec.state;
            let launch = Launch { spec, reservation: Arc::clone(&reservation), state, group: None, request: None };
            let number = self.launch(launch);
            ids.extend(self.region.instances.at(number).map(|instance| instance.id.clone()));
        }
        ids
    }

    fn request(&mut self, spec: &Arc<Spec>, created: Timestamp) -> String {
        let id = self.numbers.id("sir");
        let request = SpotRequest {
            id: id.clone(),
            persistent: spec.lifecycle == Lifecycle::SpotPersistent,
            state: SpotState::Open,
            instance: String::new(),
            created,
            tags: std::collections::BTreeMap::new(),
            spec: Arc::clone(spec),
        };
        self.region.requests.insert(id.clone(), request);
        id
    }

    /// How many describes a state that is being left is shown for.
    pub(crate) fn patience(&self) -> u32 {
        match self.settle {
            Settle::Describes(count) => count,
            Settle::Manually => u32::MAX,
        }
    }

    /// The root volume of an ended instance is deleted or left behind.
    pub(crate) fn detach(&mut self, number: u64) {
        let Some(instance) = self.region.instances.at(number) else { return };
        if instance.spec.root_device == RootDevice::Ebs && instance.spec.keep_volume {
            let volume = Volume { zone: instance.zone.to_string(), created: instance.launched };
            self.region.volumes.insert(instance.volume(), volume);
        }
    }
}
