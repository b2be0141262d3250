//! EC2: one function an action. What they change is in `world`.

mod attributes;
mod describe;
mod filter;
mod launch;
mod page;
mod regions;
mod render;
mod spot;
mod states;
mod tags;
mod volumes;

pub(crate) use filter::Filters;
pub(crate) use page::page;

use crate::faults::Gaps;
use crate::protocol::{Form, Refusal};
use crate::world::{Region, World};

/// Runs an action in a region of an account. Who may is already judged.
pub(crate) fn run(
    world: &mut World,
    (account, region): (&str, &str),
    action: &str,
    form: &Form,
    gaps: Gaps,
) -> Result<String, Refusal> {
    if action == "DescribeRegions" {
        return world
            .accounts
            .get(account)
            .map_or_else(|| Err(unknown_keys()), |account| regions::describe(account, form));
    }
    let mut site = world.site(account, region).ok_or_else(unknown_keys)?;
    let site = &mut site;
    match action {
        "DescribeInstances" => describe::instances(site, form, gaps),
        "DescribeInstanceAttribute" => attributes::describe(site, form),
        "ModifyInstanceAttribute" => attributes::modify(site, form),
        "StopInstances" => states::stop(site, form),
        "StartInstances" => states::start(site, form),
        "TerminateInstances" => states::terminate(site, form),
        "RunInstances" => launch::run(site, form),
        "CreateTags" => tags::create(site, form),
        "DeleteTags" => tags::delete(site, form),
        "DescribeTags" => tags::describe(site, form, gaps),
        "DescribeSpotInstanceRequests" => spot::describe(site, form),
        "CancelSpotInstanceRequests" => spot::cancel(site, form),
        "DescribeVolumes" => volumes::describe(site, form),
        _ => Err(Refusal::bad("InvalidAction", format!("The action {action} is not valid for this web service."))),
    }
}

/// What a call names, for the record and the rules: instances, resources or spot requests, as parameter or as filter.
pub(crate) fn named(form: &Form) -> Vec<String> {
    let mut ids: Vec<&str> = Vec::new();
    for name in ["InstanceId", "ResourceId", "SpotInstanceRequestId", "VolumeId"] {
        ids.extend(form.get(name));
        ids.extend(form.list(name));
    }
    for filter in form.groups("Filter") {
        let name = form.get(&format!("{filter}.Name")).unwrap_or_default();
        if ["instance-id", "resource-id", "spot-instance-request-id"].contains(&name) {
            ids.extend(form.list(&format!("{filter}.Value")));
        }
    }
    ids.into_iter().map(str::to_owned).collect()
}

/// EC2 does not know the access key: it is unknown, or its account has not opted in to the region.
pub(crate) fn unknown_keys() -> Refusal {
    Refusal::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
}

/// Ends a dry run: whatever comes later is not tried.
fn dry_run(form: &Form) -> Result<(), Refusal> {
    if form.flag("DryRun") {
        return Err(Refusal::new(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."));
    }
    Ok(())
}

/// The numbers of the instances of those ids, each once; one that is unknown or malformed refuses the whole call.
fn find(region: &Region, ids: &[&str]) -> Result<Vec<u64>, Refusal> {
    if let Some(id) = ids.iter().find(|id| !is_instance_id(id)) {
        return Err(Refusal::bad("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\"")));
    }
    let numbers = ids.iter().map(|id| region.instances.number(id).ok_or(*id));
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for number in numbers {
        match number {
            Ok(number) if found.contains(&number) => {}
            Ok(number) => found.push(number),
            Err(id) => missing.push(id),
        }
    }
    match missing.as_slice() {
        [] => Ok(found),
        [id] => Err(Refusal::bad("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))),
        _ => {
            let ids = missing.join(", ");
            Err(Refusal::bad("InvalidInstanceID.NotFound", format!("The instance IDs '{ids}' do not exist")))
        }
    }
}

/// As [`find`], with at least one id, which stands in `InstanceId.N`.
fn find_required(region: &Region, form: &Form) -> Result<Vec<u64>, Refusal> {
    let ids = form.list("InstanceId");
    if ids.is_empty() {
        return Err(Refusal::missing("InstanceId"));
    }
    find(region, &ids)
}

fn is_instance_id(id: &str) -> bool {
    let hex = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
    id.strip_prefix("i-").is_some_and(|digits| (digits.len() == 8 || digits.len() == 17) && hex(digits))
}
