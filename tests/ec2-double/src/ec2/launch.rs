//! RunInstances.

use std::sync::Arc;

use super::{describe, dry_run, tags};
use crate::protocol::{Form, Refusal};
use crate::world::{Launch, Lifecycle, Site, Spec, State};

/// Launches `MaxCount` instances; the same client token again answers the same reservation.
pub(super) fn run(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let least = form.number("MinCount")?.ok_or_else(|| Refusal::missing("MinCount"))?;
    let most = form.number("MaxCount")?.ok_or_else(|| Refusal::missing("MaxCount"))?;
    if least < 1 || most < least {
        let message =
            format!("Value ({most}) for parameter maxCount is invalid. It must be at least minCount, and that 1.");
        return Err(Refusal::bad("InvalidParameterValue", message));
    }
    let spec = Arc::new(spec(form)?);
    dry_run(form)?;
    let token = form.get("ClientToken").map(str::to_owned);
    if let Some(reservation) = token.as_ref().and_then(|token| site.region.launches.get(token)) {
        return Ok(describe::reservation(site, reservation));
    }
    let reservation: Arc<str> = site.numbers.id("r").into();
    for _ in 0..most {
        let (spec, reservation) = (Arc::clone(&spec), Arc::clone(&reservation));
        site.launch(Launch { spec, reservation, state: State::Pending, group: None, request: None });
    }
    if let Some(token) = token {
        site.region.launches.insert(token, Arc::clone(&reservation));
    }
    Ok(describe::reservation(site, &reservation))
}

fn spec(form: &Form) -> Result<Spec, Refusal> {
    let default = Spec::default();
    let text = |name: &str, default: String| form.get(name).map_or(default, str::to_owned);
    let mut spec = Spec {
        image: form.require("ImageId")?.to_owned(),
        instance_type: text("InstanceType", "m1.small".to_owned()),
        key_name: form.get("KeyName").map(str::to_owned),
        subnet: text("SubnetId", default.subnet),
        zone: form.get("Placement.AvailabilityZone").filter(|zone| !zone.is_empty()).map(str::to_owned),
        disable_api_termination: form.flag("DisableApiTermination"),
        disable_api_stop: form.flag("DisableApiStop"),
        lifecycle: lifecycle(form),
        keep_volume: form.get("BlockDeviceMapping.1.Ebs.DeleteOnTermination") == Some("false"),
        ..Spec::default()
    };
    for group in form.groups("TagSpecification") {
        if form.get(&format!("{group}.ResourceType")) != Some("instance") {
            continue;
        }
        for tag in form.groups(&format!("{group}.Tag")) {
            let key = form.require(&format!("{tag}.Key"))?;
            tags::check_key(key)?;
            let value = form.get(&format!("{tag}.Value")).unwrap_or_default();
            spec.tags.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(spec)
}

fn lifecycle(form: &Form) -> Lifecycle {
    if form.get("InstanceMarketOptions.MarketType") != Some("spot") {
        return Lifecycle::OnDemand;
    }
    match form.get("InstanceMarketOptions.SpotOptions.SpotInstanceType") {
        Some("persistent") => Lifecycle::SpotPersistent,
        _ => Lifecycle::SpotOneTime,
    }
}
