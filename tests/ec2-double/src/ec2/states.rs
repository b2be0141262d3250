//! StopInstances, StartInstances, TerminateInstances: who refuses, and what happens to the rest of a batch.

use std::collections::BTreeSet;

use super::{dry_run, find_required};
use crate::protocol::{Form, Refusal, Xml};
use crate::world::{Instance, Lifecycle, RootDevice, Site, SpotState, State};

pub(super) fn stop(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let numbers = find_required(site.region, form)?;
    dry_run(form)?;
    check(site, &numbers, unstoppable)?;
    act_by_zone(site, &numbers, State::Stopping, |instance| match instance.state {
        State::Stopped | State::Stopping => Ok(false),
        _ if instance.spec.disable_api_stop => Err(protected(&instance.id, "stopped", "disableApiStop")),
        _ => Ok(true),
    })
}

pub(super) fn terminate(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let numbers = find_required(site.region, form)?;
    dry_run(form)?;
    act_by_zone(site, &numbers, State::ShuttingDown, |instance| match instance.state {
        State::ShuttingDown | State::Terminated => Ok(false),
        _ if instance.spec.disable_api_termination => {
            Err(protected(&instance.id, "terminated", "disableApiTermination"))
        }
        // Stop protection protects from terminating by the API too (Enable stop protection, EC2 user guide).
        _ if instance.spec.disable_api_stop => Err(protected(&instance.id, "terminated", "disableApiStop")),
        _ => Ok(true),
    })
}

pub(super) fn start(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let numbers = find_required(site.region, form)?;
    dry_run(form)?;
    check(site, &numbers, unstartable)?;
    act_by_zone(site, &numbers, State::Pending, |instance| Ok(instance.state == State::Stopped))
}

/// Refuses the whole call when an instance is in no condition for it.
fn check(
    site: &Site<'_>,
    numbers: &[u64],
    unfit: impl Fn(&Site<'_>, &Instance) -> Option<Refusal>,
) -> Result<(), Refusal> {
    let instances = numbers.iter().filter_map(|&number| site.region.instances.at(number));
    instances.into_iter().find_map(|instance| unfit(site, instance)).map_or(Ok(()), Err)
}

/// Sends those on their way that need it. An instance that is protected keeps all of the call that are in its zone as they are;
/// those in other zones go, and the call fails (TerminateInstances, EC2 API reference).
fn act_by_zone(
    site: &mut Site<'_>,
    numbers: &[u64],
    through: State,
    needs: impl Fn(&Instance) -> Result<bool, Refusal>,
) -> Result<String, Refusal> {
    let mut refusal = None;
    let mut spared = BTreeSet::new();
    let mut wanted = Vec::new();
    for instance in numbers.iter().filter_map(|&number| site.region.instances.at(number)) {
        match needs(instance) {
            Ok(true) => wanted.push((instance.number, instance.zone.clone())),
            Ok(false) => {}
            Err(protection) => {
                spared.insert(instance.zone.clone());
                refusal.get_or_insert(protection);
            }
        }
    }
    let before: Vec<Option<State>> = numbers.iter().map(|&number| state(site, number)).collect();
    for (number, zone) in wanted {
        if !spared.contains(&zone) {
            site.send(number, through);
        }
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let mut xml = Xml::default();
    xml.within("instancesSet", |xml| {
        for (&number, before) in numbers.iter().zip(before) {
            if let (Some(instance), Some(before)) = (site.region.instances.at(number), before) {
                change(xml, instance, before);
            }
        }
    });
    Ok(xml.finish())
}

fn change(xml: &mut Xml, instance: &Instance, before: State) {
    let now = instance.state;
    xml.within("item", |xml| {
        xml.text("instanceId", &instance.id);
        for (name, state) in [("currentState", now), ("previousState", before)] {
            xml.within(name, |xml| {
                xml.text("code", state.code());
                xml.text("name", state.name());
            });
        }
    });
}

fn state(site: &Site<'_>, number: u64) -> Option<State> {
    site.region.instances.at(number).map(|instance| instance.state)
}

fn unstoppable(site: &Site<'_>, instance: &Instance) -> Option<Refusal> {
    let id = &instance.id;
    match instance.state {
        State::ShuttingDown | State::Terminated => {
            let message = format!("This instance '{id}' is not in a state from which it can be stopped.");
            return Some(Refusal::bad("IncorrectInstanceState", message));
        }
        State::Pending if !instance.ran => {
            let message = format!("Instance '{id}' cannot be stopped as it has never reached the 'running' state.");
            return Some(Refusal::bad("IncorrectInstanceState", message));
        }
        _ => {}
    }
    let message = if instance.spec.root_device == RootDevice::InstanceStore {
        format!("The instance '{id}' does not have an 'ebs' root device type and cannot be stopped.")
    } else if instance.spec.lifecycle == Lifecycle::SpotOneTime {
        format!(
            "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request. \
             You can only stop Spot Instances associated with persistent Spot Instance requests."
        )
    } else if request_cancelled(site, instance) {
        format!("You can't stop the Spot Instance '{id}' because its Spot Instance request has been cancelled.")
    } else {
        return None;
    };
    Some(Refusal::bad("UnsupportedOperation", message))
}

fn unstartable(site: &Site<'_>, instance: &Instance) -> Option<Refusal> {
    let id = &instance.id;
    match instance.state {
        State::Stopping | State::ShuttingDown | State::Terminated => {
            let message = format!("The instance '{id}' is not in a state from which it can be started.");
            Some(Refusal::bad("IncorrectInstanceState", message))
        }
        State::Stopped if request_cancelled(site, instance) => {
            let message = format!("The Spot Instance request of instance '{id}' is cancelled.");
            Some(Refusal::bad("IncorrectSpotRequestState", message))
        }
        _ => None,
    }
}

fn request_cancelled(site: &Site<'_>, instance: &Instance) -> bool {
    let request = instance.spot_request.as_ref().and_then(|id| site.region.requests.get(id));
    request.is_some_and(|request| request.state == SpotState::Cancelled)
}

fn protected(id: &str, done: &str, attribute: &str) -> Refusal {
    let message =
        format!("The instance '{id}' may not be {done}. Modify its '{attribute}' instance attribute and try again.");
    Refusal::bad("OperationNotPermitted", message)
}
