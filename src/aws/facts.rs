//! What EC2 says of an instance, read into [`Facts`]. A malformed instance is an error, never left out: what vanished here
//! would look ended ("missing is not empty", SAFETY.md).

use crate::model::{Facts, ManagedBy, ResourceId, ResourceState, Time, Volume};
use aws_sdk_ec2::types::{Instance, InstanceLifecycleType, InstanceState, InstanceStateName, Tag};
use std::collections::BTreeMap;

/// One instance; the error says what is wrong with it.
pub(super) fn read(instance: &Instance) -> Result<(ResourceId, Facts), String> {
    let id = instance.instance_id().ok_or("an instance without an id")?;
    let id = ResourceId::parse(id).map_err(|why| why.to_string())?;
    let state = state(instance.state()).map_err(|why| format!("{id} {why}"))?;
    let tags = tags(instance.tags()).map_err(|why| format!("{id} {why}"))?;
    let spot = instance.instance_lifecycle() == Some(&InstanceLifecycleType::Spot);
    let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let facts = Facts {
        state,
        instance_type: instance.instance_type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        name: tags.get("Name").cloned().unwrap_or_default(),
        managed_by: managed_by(&tags),
        tags,
        key_name: some(instance.key_name()),
        launch_time: instance.launch_time().map(|at| Time::from_unix(at.secs())),
        lifecycle: spot.then(|| "spot".to_owned()),
        spot_request: some(instance.spot_instance_request_id()),
        spot_type: None,
        root_device: instance.root_device_type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        vpc_id: some(instance.vpc_id()),
        image_id: some(instance.image_id()),
        platform: some(instance.platform_details()),
        volumes: volumes(instance),
        group: None,
        member_of: None,
    };
    Ok((id, facts))
}

/// By id only: size and kind stand elsewhere.
fn volumes(instance: &Instance) -> Vec<Volume> {
    let devices = instance.block_device_mappings().iter();
    let ids = devices.filter_map(|device| device.ebs()?.volume_id()).filter(|id| !id.is_empty());
    ids.map(|id| Volume { id: id.to_owned(), gib: None, kind: None }).collect()
}

/// One of the six states that EC2 has.
pub(super) fn state(state: Option<&InstanceState>) -> Result<ResourceState, String> {
    match state.and_then(InstanceState::name) {
        Some(InstanceStateName::Pending) => Ok(ResourceState::Pending),
        Some(InstanceStateName::Running) => Ok(ResourceState::Running),
        Some(InstanceStateName::Stopping) => Ok(ResourceState::Stopping),
        Some(InstanceStateName::Stopped) => Ok(ResourceState::Stopped),
        Some(InstanceStateName::ShuttingDown) => Ok(ResourceState::ShuttingDown),
        Some(InstanceStateName::Terminated) => Ok(ResourceState::Terminated),
        Some(other) => Err(format!("has the unknown state {:?}", other.as_str())),
        None => Err("has no state".to_owned()),
    }
}

/// EC2 leaves the set out when there are none; a tag without a key is a broken answer.
fn tags(tags: &[Tag]) -> Result<BTreeMap<String, String>, String> {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().map(|tag| pair(tag).ok_or_else(|| "has a tag without a key".to_owned())).collect()
}

const GROUP: &str = "aws:autoscaling:groupName";
/// Kubernetes marks the nodes of a cluster with `kubernetes.io/cluster/<name>`: here the name is in the key.
const CLUSTER: &str = "kubernetes.io/cluster/";

/// Who decides about an instance, and the tags that say so, from the most specific to the least. A tag's value is the
/// name, unless the tag stands in `marks`, whose values name nothing. A group comes before the fleet that it launches with.
const MANAGERS: [(&str, &[&str], &[&str]); 8] = [
    ("eks", &["aws:eks:cluster-name", "eks:cluster-name", "eks:eks-cluster-name"], &[]),
    ("karpenter", &["karpenter.sh/nodepool", "karpenter.sh/provisioner-name", "karpenter.sh/nodeclaim"], &[]),
    ("batch", &["aws:batch:compute-environment"], &["AWSBatchServiceTag"]),
    ("ecs", &["aws:ecs:clusterName"], &["AmazonECSManaged"]),
    ("emr", &["aws:elasticmapreduce:job-flow-id"], &[]),
    ("beanstalk", &["elasticbeanstalk:environment-name", "elasticbeanstalk:environment-id"], &[]),
    ("auto_scaling", &[GROUP], &[]),
    ("fleet", &["aws:ec2:fleet-id", "aws:ec2spot:fleet-request-id"], &[]),
];

pub(super) fn managed_by(tags: &BTreeMap<String, String>) -> Option<ManagedBy> {
    let value = |key: &str| tags.get(key).filter(|value| !value.is_empty()).cloned();
    let cluster = tags.keys().find_map(|key| key.strip_prefix(CLUSTER)).filter(|name| !name.is_empty());
    for (kind, names, marks) in MANAGERS {
        let name = names.iter().find_map(|key| value(key));
        let name = name.or_else(|| cluster.filter(|_| kind == "eks").map(str::to_owned));
        let mut said = names.iter().chain(marks).filter(|key| tags.contains_key(**key));
        let unnamed = || said.next().map(|key| value(GROUP).unwrap_or_else(|| (*key).to_owned()));
        if let Some(name) = name.or_else(unnamed) {
            return Some(ManagedBy { kind: kind.to_owned(), name });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::model::{ResourceState, Time};
    use aws_sdk_ec2::primitives::DateTime;
    use aws_sdk_ec2::types::builders::InstanceBuilder;
    use aws_sdk_ec2::types::{
        DeviceType, Instance, InstanceLifecycleType, InstanceState, InstanceStateName, InstanceType, Tag,
    };

    fn least() -> InstanceBuilder {
        let state = InstanceState::builder().name(InstanceStateName::Running).build();
        Instance::builder().instance_id("i-0a1b").state(state)
    }

    fn tag(key: &str, value: &str) -> Tag {
        Tag::builder().key(key).value(value).build()
    }

    fn managed(tags: &[(&str, &str)]) -> Option<(String, String)> {
        let tags = tags.iter().map(|(key, value)| tag(key, value)).collect();
        let by = read(&least().set_tags(Some(tags)).build()).unwrap().1.managed_by;
        by.map(|by| (by.kind, by.name))
    }

    #[test]
    fn everything_that_ec2_says_is_kept() {
        let full = least()
            .instance_type(InstanceType::T3Large)
            .tags(tag("Name", "build"))
            .tags(tag("owner", "lin@bigdb.com"))
            .tags(Tag::builder().key("flag").build())
            .key_name("lin-laptop")
            .launch_time(DateTime::from_secs(1_790_000_000))
            .instance_lifecycle(InstanceLifecycleType::Spot)
            .spot_instance_request_id("sir-1")
            .root_device_type(DeviceType::InstanceStore)
            .vpc_id("vpc-1")
            .image_id("ami-1")
            .build();
        let (id, facts) = read(&full).unwrap();
        assert_eq!((id.as_str(), facts.state), ("i-0a1b", ResourceState::Running));
        assert_eq!((facts.instance_type.as_str(), facts.name.as_str()), ("t3.large", "build"));
        let tags: Vec<_> = facts.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(tags, [("Name", "build"), ("flag", ""), ("owner", "lin@bigdb.com")]);
        assert_eq!(facts.key_name.as_deref(), Some("lin-laptop"));
        assert_eq!(facts.launch_time, Some(Time::from_unix(1_790_000_000)));
        assert_eq!((facts.lifecycle.as_deref(), facts.spot_request.as_deref()), (Some("spot"), Some("sir-1")));
        assert_eq!((facts.spot_type, facts.root_device.as_str()), (None, "instance-store"));
        assert_eq!((facts.vpc_id.as_deref(), facts.image_id.as_deref()), (Some("vpc-1"), Some("ami-1")));
        assert_eq!(facts.managed_by, None);
    }

    #[test]
    fn no_tags_is_empty_but_a_broken_instance_is_an_error() {
        assert!(read(&least().build()).unwrap().1.tags.is_empty());
        let unknown = InstanceState::builder().name(InstanceStateName::from("hibernating")).build();
        let broken = [
            Instance::builder().state(InstanceState::builder().name(InstanceStateName::Running).build()).build(),
            Instance::builder().instance_id("i-1").build(),
            Instance::builder().instance_id("i-1").state(InstanceState::builder().build()).build(),
            Instance::builder().instance_id("i-1").state(unknown).build(),
            least().instance_id("i/1").build(),
            least().instance_id("").build(),
            least().tags(Tag::builder().value("x").build()).build(),
        ];
        for instance in broken {
            assert!(read(&instance).is_err(), "{instance:?}");
        }
    }

    #[test]
    fn whoever_decides_about_an_instance_is_recognised() {
        let cases = [
            (vec![("aws:autoscaling:groupName", "web")], "auto_scaling", "web"),
            (vec![("aws:eks:cluster-name", "dev")], "eks", "dev"),
            (vec![("eks:cluster-name", "dev")], "eks", "dev"),
            (vec![("kubernetes.io/cluster/dev", "owned")], "eks", "dev"),
            (vec![("karpenter.sh/nodepool", "spot")], "karpenter", "spot"),
            (vec![("karpenter.sh/provisioner-name", "old")], "karpenter", "old"),
            (vec![("karpenter.sh/nodeclaim", "n-1")], "karpenter", "n-1"),
            (vec![("aws:ecs:clusterName", "jobs")], "ecs", "jobs"),
            (vec![("AmazonECSManaged", "true")], "ecs", "AmazonECSManaged"),
            (vec![("AWSBatchServiceTag", "batch")], "batch", "AWSBatchServiceTag"),
            (vec![("aws:batch:compute-environment", "ce")], "batch", "ce"),
            (vec![("aws:elasticmapreduce:job-flow-id", "j-1")], "emr", "j-1"),
            (vec![("elasticbeanstalk:environment-id", "e-1")], "beanstalk", "e-1"),
            (vec![("elasticbeanstalk:environment-name", "shop")], "beanstalk", "shop"),
            (vec![("aws:ec2:fleet-id", "fleet-1")], "fleet", "fleet-1"),
            (vec![("aws:ec2spot:fleet-request-id", "sfr-1")], "fleet", "sfr-1"),
        ];
        for (tags, kind, name) in cases {
            assert_eq!(managed(&tags), Some((kind.to_owned(), name.to_owned())), "{tags:?}");
        }
        assert_eq!(managed(&[("owner", "lin"), ("eks", "no")]), None);
    }

    #[test]
    fn the_cluster_wins_over_the_group_and_the_group_over_its_fleet() {
        let group = ("aws:autoscaling:groupName", "g-1");
        let cases = [
            (vec![group, ("eks:cluster-name", "dev")], "eks", "dev"),
            (vec![("karpenter.sh/nodepool", "spot"), ("kubernetes.io/cluster/dev", "owned")], "eks", "dev"),
            (vec![("karpenter.sh/nodepool", "spot"), ("aws:ec2:fleet-id", "fleet-1")], "karpenter", "spot"),
            (vec![group, ("AmazonECSManaged", "true")], "ecs", "g-1"),
            (vec![group, ("AWSBatchServiceTag", "batch"), ("AmazonECSManaged", "")], "batch", "g-1"),
            (vec![group, ("elasticbeanstalk:environment-name", "shop")], "beanstalk", "shop"),
            (vec![group, ("aws:ec2:fleet-id", "fleet-1")], "auto_scaling", "g-1"),
            (vec![("aws:autoscaling:groupName", "")], "auto_scaling", "aws:autoscaling:groupName"),
        ];
        for (tags, kind, name) in cases {
            assert_eq!(managed(&tags), Some((kind.to_owned(), name.to_owned())), "{tags:?}");
        }
    }
}
