//! Auto Scaling: `DescribeAutoScalingGroups`, `UpdateAutoScalingGroup` and `CreateOrUpdateTags`. Members are balanced in
//! `world/lifecycle.rs`.

use std::ops::Bound;
use std::sync::Arc;

use crate::ec2::Filters;
use crate::protocol::{Form, Refusal, Xml};
use crate::world::{Group, Site, State};

pub(crate) fn run(site: &mut Site<'_>, action: &str, form: &Form) -> Result<String, Refusal> {
    match action {
        "DescribeAutoScalingGroups" => describe(site, form),
        "UpdateAutoScalingGroup" => update(site, form),
        "CreateOrUpdateTags" => tag(site, form),
        _ => Err(Refusal::bad("InvalidAction", format!("Could not find operation {action} for version 2011-01-01"))),
    }
}

/// The page that a token stands for: pages of groups are not counted, so any page after the first is the second.
pub(crate) fn page(form: &Form) -> u32 {
    if form.get("NextToken").is_some() { 2 } else { 1 }
}

const TOKEN: &str = "double-groups-after:";

fn describe(site: &Site<'_>, form: &Form) -> Result<String, Refusal> {
    let names = form.list("AutoScalingGroupNames.member");
    let filters = Filters::of_groups(form)?;
    let most = form.number("MaxRecords")?.unwrap_or(50);
    if !(1..=100).contains(&most) {
        let bound = if most < 1 { "greater than or equal to 1" } else { "less than or equal to 100" };
        return Err(validation(format!(
            "1 validation error detected: Value '{most}' at 'maxRecords' failed to satisfy constraint: \
             Member must have value {bound}"
        )));
    }
    let after = match form.get("NextToken") {
        Some(token) => {
            let invalid = || Refusal::bad("InvalidNextToken", format!("The token '{token}' was invalid"));
            Bound::Excluded(token.strip_prefix(TOKEN).ok_or_else(invalid)?.to_owned())
        }
        None => Bound::Unbounded,
    };
    let wanted = |group: &&Group| {
        let tagged = |name: &str, test: &dyn Fn(&str) -> bool| Filters::tagged(&group.tags, name, test);
        (names.is_empty() || names.contains(&group.name.as_str())) && filters.accept(tagged)
    };
    let mut rest =
        site.region.groups.range((after, Bound::Unbounded)).map(|(_, group)| group).filter(wanted).peekable();
    let mut xml = Xml::default();
    let mut last = None;
    xml.within("AutoScalingGroups", |xml| {
        for group in rest.by_ref().take(usize::try_from(most).unwrap_or(100)) {
            xml.within("member", |xml| write(xml, site, group));
            last = Some(&group.name);
        }
    });
    if let (Some(last), Some(_)) = (last, rest.peek()) {
        xml.text("NextToken", &format!("{TOKEN}{last}"));
    }
    Ok(xml.finish())
}

fn write(xml: &mut Xml, site: &Site<'_>, group: &Group) {
    xml.text("AutoScalingGroupName", &group.name);
    xml.text("AutoScalingGroupARN", &group.arn);
    xml.within("LaunchTemplate", |xml| {
        xml.text("LaunchTemplateId", "lt-0a1b2c3d4e5f60718");
        xml.text("LaunchTemplateName", &group.name);
        xml.text("Version", "1");
    });
    xml.number("MinSize", group.min);
    xml.number("MaxSize", group.max);
    xml.number("DesiredCapacity", group.desired);
    xml.number("DefaultCooldown", 300);
    xml.within("AvailabilityZones", |xml| xml.text("member", &format!("{}a", site.region.name)));
    xml.raw("<LoadBalancerNames/><TargetGroupARNs/>");
    xml.text("HealthCheckType", "EC2");
    xml.number("HealthCheckGracePeriod", 0);
    xml.within("Instances", |xml| {
        for instance in group.members.iter().filter_map(|&number| site.region.instances.at(number)) {
            xml.within("member", |xml| {
                xml.text("InstanceId", &instance.id);
                xml.text("InstanceType", &instance.spec.instance_type);
                xml.text("AvailabilityZone", &instance.zone);
                let (lifecycle, health) = match instance.state {
                    State::Pending => ("Pending", "Healthy"),
                    State::Running => ("InService", "Healthy"),
                    State::Stopping | State::Stopped => ("InService", "Unhealthy"),
                    State::ShuttingDown | State::Terminated => ("Terminating", "Unhealthy"),
                };
                xml.text("LifecycleState", lifecycle);
                xml.text("HealthStatus", health);
                xml.flag("ProtectedFromScaleIn", group.protected);
            });
        }
    });
    xml.date("CreatedTime", group.created);
    write_settings(xml, group);
    xml.text("VPCZoneIdentifier", &group.spec.subnet);
    xml.raw("<EnabledMetrics/>");
    xml.within("Tags", |xml| {
        for (key, value) in &group.tags {
            xml.within("member", |xml| {
                xml.text("ResourceId", &group.name);
                xml.text("ResourceType", "auto-scaling-group");
                xml.text("Key", key);
                xml.text("Value", value);
                xml.flag("PropagateAtLaunch", group.spec.tags.contains_key(key));
            });
        }
    });
    xml.within("TerminationPolicies", |xml| xml.text("member", "Default"));
    xml.flag("NewInstancesProtectedFromScaleIn", group.protected);
}

/// What somebody set beside the sizes.
fn write_settings(xml: &mut Xml, group: &Group) {
    xml.within("SuspendedProcesses", |xml| {
        for process in &group.suspended {
            xml.within("member", |xml| {
                xml.text("ProcessName", process);
                xml.text("SuspensionReason", "User suspended at 2026-11-24T08:00:00Z");
            });
        }
    });
    if let Some(size) = group.warm_pool {
        xml.within("WarmPoolConfiguration", |xml| {
            xml.number("MinSize", size);
            xml.text("PoolState", "Stopped");
        });
        xml.number("WarmPoolSize", size);
    }
}

/// Sizes not given stay; the wished size follows new bounds unless it is given (`UpdateAutoScalingGroup`, API reference).
fn update(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let name = form.get("AutoScalingGroupName").unwrap_or_default().to_owned();
    let size = |parameter: &str| -> Result<Option<u32>, Refusal> {
        form.number(parameter)?.map(|size| u32::try_from(size).map_err(|_| validation("Size is too large"))).transpose()
    };
    let (min, max, desired) = (size("MinSize")?, size("MaxSize")?, size("DesiredCapacity")?);
    let Some(group) = site.region.groups.get_mut(&name) else {
        return Err(validation("AutoScalingGroup name not found - null"));
    };
    let (min, max) = (min.unwrap_or(group.min), max.unwrap_or(group.max));
    if max < min {
        return Err(validation(format!("Max bound, {max}, must be greater than or equal to min bound, {min}")));
    }
    let wished = desired.unwrap_or_else(|| group.desired.clamp(min, max));
    if !(min..=max).contains(&wished) {
        return Err(validation(format!(
            "Desired capacity:{wished} must be between the specified min size:{min} and max size:{max}"
        )));
    }
    (group.min, group.max, group.desired) = (min, max, wished);
    site.balance(&name);
    Ok(String::new())
}

/// Tags name their group each; one that is to be given on to what the group launches is (`CreateOrUpdateTags`, API reference).
fn tag(site: &mut Site<'_>, form: &Form) -> Result<String, Refusal> {
    let mut tags = Vec::new();
    for number in 1.. {
        let part = |name: &str| form.get(&format!("Tags.member.{number}.{name}"));
        let Some(key) = part("Key") else { break };
        if part("ResourceType") != Some("auto-scaling-group") || key.is_empty() || key.starts_with("aws:") {
            return Err(validation(format!("The tag {key:?} is not valid")));
        }
        let name = part("ResourceId").unwrap_or_default();
        if !site.region.groups.contains_key(name) {
            return Err(validation("AutoScalingGroup name not found - null"));
        }
        let propagates = part("PropagateAtLaunch").is_none_or(|flag| flag != "false");
        tags.push((name.to_owned(), key.to_owned(), part("Value").unwrap_or_default().to_owned(), propagates));
    }
    if tags.is_empty() {
        return Err(validation("1 validation error detected: Value at 'tags' failed to satisfy constraint"));
    }
    for (name, key, value, propagates) in tags {
        let Some(group) = site.region.groups.get_mut(&name) else { continue };
        let launched = &mut Arc::make_mut(&mut group.spec).tags;
        if propagates {
            launched.insert(key.clone(), value.clone());
        } else {
            launched.remove(&key);
        }
        group.tags.insert(key, value);
    }
    Ok(String::new())
}

fn validation(message: impl Into<String>) -> Refusal {
    Refusal::bad("ValidationError", message)
}
