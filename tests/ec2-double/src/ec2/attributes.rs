//! `DescribeInstanceAttribute` and `ModifyInstanceAttribute`, for the two protections and the type.

use super::{dry_run, find};
use crate::protocol::{Form, Refusal, Xml};
use crate::world::{Lifecycle, Site, State};

pub(super) fn describe(site: &Site<'_>, form: &Form) -> Result<String, Refusal> {
    let id = form.require("InstanceId")?;
    let attribute = form.require("Attribute")?;
    find(site.region, &[id])?;
    dry_run(form)?;
    let Some(instance) = site.region.instances.get(id) else { return Ok(String::new()) };
    let flag = |value: bool| if value { "true" } else { "false" };
    let value = match attribute {
        "disableApiTermination" => flag(instance.spec.disable_api_termination),
        "disableApiStop" => flag(instance.spec.disable_api_stop),
        "instanceType" => &instance.spec.instance_type,
        "instanceInitiatedShutdownBehavior" => "stop",
        "rootDeviceName" => "/dev/xvda",
        _ => return Err(unknown(attribute)),
    };
    let mut xml = Xml::default();
    xml.text("instanceId", id);
    xml.within(attribute, |xml| xml.text("value", value));
    Ok(xml.finish())
}

pub(super) fn modify(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let id = form.require("InstanceId")?;
    find(site.region, &[id])?;
    dry_run(form)?;
    // Either `Attribute=disableApiStop&Value=true` or `DisableApiStop.Value=true`.
    let value = |attribute: &str, parameter: &str| match form.get("Attribute") {
        Some(named) => form.get("Value").filter(|_| named == attribute),
        None => form.get(&format!("{parameter}.Value")),
    };
    let flag =
        |attribute: &str, parameter: &str| value(attribute, parameter).map(|text| text.eq_ignore_ascii_case("true"));
    let termination = flag("disableApiTermination", "DisableApiTermination");
    let stop = flag("disableApiStop", "DisableApiStop");
    let kind = value("instanceType", "InstanceType").map(str::to_owned);
    if termination.is_none() && stop.is_none() && kind.is_none() {
        return Err(form
            .get("Attribute")
            .map_or_else(|| Refusal::bad("InvalidParameterCombination", "No attributes specified."), unknown));
    }
    let Some(instance) = site.region.instances.get_mut(id) else { return Ok(String::new()) };
    if instance.state == State::Terminated {
        let message = format!("The instance '{id}' is not in the 'running' or 'stopped' state.");
        return Err(Refusal::bad("IncorrectInstanceState", message));
    }
    if termination.is_some() && instance.spec.lifecycle != Lifecycle::OnDemand {
        let message = "Modifying 'disableApiTermination' is not supported for spot instances.";
        return Err(Refusal::bad("UnsupportedOperation", message));
    }
    if kind.is_some() && instance.state != State::Stopped {
        let message = format!("The instance '{id}' is not in the 'stopped' state.");
        return Err(Refusal::bad("IncorrectInstanceState", message));
    }
    let spec = instance.spec_mut();
    spec.disable_api_termination = termination.unwrap_or(spec.disable_api_termination);
    spec.disable_api_stop = stop.unwrap_or(spec.disable_api_stop);
    spec.instance_type = kind.unwrap_or_else(|| spec.instance_type.clone());
    Ok("<return>true</return>".to_owned())
}

fn unknown(attribute: &str) -> Refusal {
    let message = format!("Value ({attribute}) for parameter attribute is invalid. Unknown attribute.");
    Refusal::bad("InvalidParameterValue", message)
}
