//! Auto Scaling groups: read whole or not at all, and their three sizes set in one call. A group is asked for by its name, for
//! AWS knows no other way, and believed only when its ARN has the UUID that was meant.

use super::call::Call;
use super::clients::Ec2;
use super::{AwsError, facts};
use crate::model::{Facts, Group, ManagedBy, Member, ResourceId, ResourceState, Sizes};
use aws_sdk_autoscaling::config::retry::RetryConfig;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, LifecycleState, Tag};
use std::collections::{BTreeMap, HashSet};

/// The most groups that Auto Scaling puts on a page.
const PAGE: i32 = 100;

impl Ec2 {
    /// Every group of the region.
    pub(super) async fn groups(&self) -> Result<BTreeMap<ResourceId, Facts>, AwsError> {
        self.group_pages(None).await
    }

    /// The group with that id, asked for by that name; `None` when Auto Scaling lists none, or another one of that name.
    pub(super) async fn group(&self, id: &ResourceId, name: &str) -> Result<Option<Facts>, AwsError> {
        Ok(self.group_pages(Some(name)).await?.remove(id))
    }

    /// All pages. The SDK's own paginator would end without a word when a token comes twice.
    async fn group_pages(&self, name: Option<&str>) -> Result<BTreeMap<ResourceId, Facts>, AwsError> {
        let call = self.call("autoscaling:DescribeAutoScalingGroups");
        let (mut found, mut tokens, mut next) = (BTreeMap::new(), HashSet::new(), None);
        loop {
            let request = self.scaling().await.describe_auto_scaling_groups().max_records(self.page_size.min(PAGE));
            let request = request.set_auto_scaling_group_names(name.map(|name| vec![name.to_owned()]));
            let page = request.set_next_token(next).send().await.map_err(|why| call.failed(&why))?;
            // Auto Scaling sends an empty list when there is nothing; no list at all is not its answer.
            let groups = page.auto_scaling_groups.ok_or_else(|| call.malformed("no list of groups in it"))?;
            for group in &groups {
                found.extend([read(group).map_err(|why| call.malformed(why))?]);
            }
            let Some(token) = page.next_token.filter(|token| !token.is_empty()) else { return Ok(found) };
            if !tokens.insert(token.clone()) {
                return Err(call.malformed("the pages go round: a page's token came twice"));
            }
            next = Some(token);
        }
    }

    /// Writes these tags to the group alone: what it launches does not get them.
    pub(super) async fn tag_group(&self, name: &str, tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
        let call: Call<'_> = self.call("autoscaling:CreateOrUpdateTags");
        let tag = |(key, value): (&String, &String)| {
            let tag = Tag::builder().resource_type("auto-scaling-group").resource_id(name).propagate_at_launch(false);
            tag.key(key).value(value).build()
        };
        let tags = tags.iter().map(tag).collect();
        let reply = self.scaling().await.create_or_update_tags().set_tags(Some(tags)).send().await;
        reply.map(drop).map_err(|why| call.failed(&why))
    }

    /// Sets all three in one call, so that nothing in between can start a member; sent once, as in `act`.
    pub(super) async fn set_sizes(&self, name: &str, sizes: Sizes) -> Result<(), AwsError> {
        let call: Call<'_> = self.call("autoscaling:UpdateAutoScalingGroup");
        let size = |size: u32| i32::try_from(size).map_err(|why| call.refused("correct the sizes", why.to_string()));
        let request = self.scaling_in_turn().update_auto_scaling_group().auto_scaling_group_name(name);
        let request = request.min_size(size(sizes.min)?).max_size(size(sizes.max)?);
        let request = request.desired_capacity(size(sizes.desired)?).customize();
        let once = aws_sdk_autoscaling::config::Builder::new().retry_config(RetryConfig::disabled());
        let reply = request.config_override(once).send().await;
        reply.map(drop).map_err(|why| call.failed(&why))
    }
}

/// One group; the error says what is wrong with it.
fn read(group: &AutoScalingGroup) -> Result<(ResourceId, Facts), String> {
    let name = group.auto_scaling_group_name().filter(|name| !name.is_empty()).ok_or("a group without a name")?;
    let arn = group.auto_scaling_group_arn().unwrap_or_default();
    let id = ResourceId::of_group(arn).ok_or_else(|| format!("the group {name} has the ARN {arn:?}"))?;
    let size = |size: Option<i32>, what: &str| {
        let size = size.and_then(|size| u32::try_from(size).ok());
        size.ok_or_else(|| format!("the group {name} has no {what}"))
    };
    let sizes = Sizes {
        min: size(group.min_size(), "least size")?,
        desired: size(group.desired_capacity(), "wished size")?,
        max: size(group.max_size(), "most size")?,
    };
    let mut members = group.instances().iter().map(member).collect::<Result<Vec<_>, _>>()?;
    members.sort_by(|a, b| a.id.cmp(&b.id));
    let tags = tags(group).ok_or_else(|| format!("the group {name} has a tag without a key"))?;
    let suspended = group.suspended_processes().iter().filter_map(|process| process.process_name());
    let warm = group.warm_pool_configuration().map(|_| group.warm_pool_size().unwrap_or_default());
    let facts = Facts {
        // Only while it is being deleted it has one.
        state: if group.status().is_some() { ResourceState::ShuttingDown } else { state(sizes, &members) },
        instance_type: types(&members),
        name: name.to_owned(),
        managed_by: managed_by(&tags, name),
        tags,
        key_name: None,
        launch_time: None,
        lifecycle: None,
        spot_request: None,
        spot_type: None,
        root_device: String::new(),
        vpc_id: None,
        image_id: None,
        platform: None,
        volumes: Vec::new(),
        group: Some(Group {
            sizes,
            members,
            suspended: suspended.map(str::to_owned).collect(),
            warm_pool: warm.map(|count| u32::try_from(count).unwrap_or_default()),
        }),
        member_of: None,
    };
    Ok((id, facts))
}

fn member(instance: &Instance) -> Result<Member, String> {
    let id = ResourceId::parse(instance.instance_id().unwrap_or_default()).map_err(|why| why.to_string())?;
    Ok(Member {
        id,
        state: instance.lifecycle_state().map_or("", LifecycleState::as_str).to_owned(),
        instance_type: instance.instance_type().unwrap_or_default().to_owned(),
        protected: instance.protected_from_scale_in() == Some(true),
    })
}

/// Up is what wishes for members; one that wishes for none and has some is on its way down.
fn state(sizes: Sizes, members: &[Member]) -> ResourceState {
    if sizes.desired > 0 {
        ResourceState::Running
    } else if members.is_empty() {
        ResourceState::Stopped
    } else {
        ResourceState::Stopping
    }
}

/// The type of all members, if they have one.
fn types(members: &[Member]) -> String {
    let first = members.first().map(|member| member.instance_type.as_str()).unwrap_or_default();
    let same = members.iter().all(|member| member.instance_type == first);
    if same { first.to_owned() } else { "several types".to_owned() }
}

fn tags(group: &AutoScalingGroup) -> Option<BTreeMap<String, String>> {
    let pairs =
        group.tags().iter().map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())));
    pairs.collect()
}

/// A cluster that a group belongs to. Where only a tag without a name says so, the group's name stands for it.
fn managed_by(tags: &BTreeMap<String, String>, name: &str) -> Option<ManagedBy> {
    let by = facts::managed_by(tags)?;
    let unnamed = tags.contains_key(&by.name);
    Some(if unnamed { ManagedBy { name: name.to_owned(), ..by } } else { by })
}

#[cfg(test)]
mod tests {
    use super::{read, types};
    use crate::model::ResourceState;
    use aws_sdk_autoscaling::types::builders::AutoScalingGroupBuilder;
    use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, LifecycleState, SuspendedProcess, TagDescription};

    const ARN: &str = "arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:930d940e-891e-4781-a11a-7b0acd480f03:autoScalingGroupName/web";

    fn least(desired: i32) -> AutoScalingGroupBuilder {
        let least = AutoScalingGroup::builder().auto_scaling_group_name("web").auto_scaling_group_arn(ARN);
        least.min_size(0).max_size(5).desired_capacity(desired)
    }

    fn member(id: &str, kind: &str) -> Instance {
        Instance::builder().instance_id(id).instance_type(kind).lifecycle_state(LifecycleState::InService).build()
    }

    #[test]
    fn a_group_is_up_while_it_wishes_for_members_and_down_when_the_last_is_gone() {
        let state = |group: AutoScalingGroupBuilder| read(&group.build()).unwrap().1.state;
        assert_eq!(state(least(2)), ResourceState::Running);
        assert_eq!(state(least(0).instances(member("i-1", "t3.nano"))), ResourceState::Stopping);
        assert_eq!(state(least(0)), ResourceState::Stopped);
        assert_eq!(state(least(2).status("Delete in progress")), ResourceState::ShuttingDown);
    }

    #[test]
    fn what_it_says_is_read_and_what_lacks_is_an_error() {
        let suspended = SuspendedProcess::builder().process_name("Terminate").build();
        let tag = TagDescription::builder().key("owner").value("lin").build();
        let group = least(2).instances(member("i-2", "t3.nano")).instances(member("i-1", "t3.nano"));
        let (id, facts) = read(&group.suspended_processes(suspended).tags(tag).build()).unwrap();
        assert_eq!((id.as_str(), facts.name.as_str()), ("asg-930d940e-891e-4781-a11a-7b0acd480f03", "web"));
        assert_eq!((facts.tags["owner"].as_str(), facts.instance_type.as_str()), ("lin", "t3.nano"));
        let group = facts.group.unwrap();
        assert_eq!((group.sizes.min, group.sizes.desired, group.sizes.max), (0, 2, 5));
        assert_eq!((group.members[0].id.as_str(), group.suspended), ("i-1", vec!["Terminate".to_owned()]));
        for broken in [
            least(2).set_min_size(None),
            least(-1),
            least(2).auto_scaling_group_arn("arn"),
            least(2).set_auto_scaling_group_name(None),
            least(2).instances(Instance::builder().build()),
            least(2).tags(TagDescription::builder().build()),
        ] {
            let broken = broken.build();
            assert!(read(&broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn members_of_several_types_are_told_as_such() {
        let group = least(2).instances(member("i-2", "t3.nano")).instances(member("i-1", "t3.large")).build();
        assert_eq!(read(&group).unwrap().1.instance_type, "several types");
        assert_eq!(types(&[]), "");
    }

    #[test]
    fn a_group_of_a_cluster_says_so_by_its_tags() {
        for (key, value, kind, name) in
            [("eks:cluster-name", "ci", "eks", "ci"), ("AmazonECSManaged", "true", "ecs", "web")]
        {
            let tag = TagDescription::builder().key(key).value(value).build();
            let by = read(&least(1).tags(tag).build()).unwrap().1.managed_by.unwrap();
            assert_eq!((by.kind.as_str(), by.name.as_str()), (kind, name));
        }
        assert_eq!(read(&least(1).build()).unwrap().1.managed_by, None);
    }
}
