//! Auto Scaling groups and clusters: one resource and one lease that stand for all members. A group is put to sleep (its sizes
//! become zero, so Auto Scaling terminates the members), never deleted; a cluster or fleet is held.

use super::{LeaseKey, Resource, ResourceId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The `kind` of a group's resource and lease.
pub const GROUP_KIND: &str = "auto_scaling_group";
/// The `kind` of what EKS, ECS and the like manage together.
pub const CLUSTER_KIND: &str = "cluster";
/// What the resource id of a group begins with; the UUID of its ARN follows.
const PREFIX: &str = "asg-";
/// What the resource id of a cluster begins with; its kind and a hash of its name follow.
const CLUSTER: &str = "cluster-";

/// How many members a group has by its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// At least.
    pub min: u32,
    /// Now.
    pub desired: u32,
    /// At most.
    pub max: u32,
}

impl Sizes {
    /// Asleep: nothing runs, and nothing that scales the group may start anything.
    pub const ASLEEP: Sizes = Sizes { min: 0, desired: 0, max: 0 };
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} wished, {} to {}", self.desired, self.min, self.max)
    }
}

/// What Auto Scaling says of a group beside its tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its sizes.
    pub sizes: Sizes,
    /// Its members, by id. Those of a warm pool are not among them.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Processes that somebody suspended, such as `Terminate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspended: Vec<String>,
    /// How many instances wait in its warm pool, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_pool: Option<u32>,
}

/// An instance of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which.
    pub id: ResourceId,
    /// Auto Scaling's lifecycle state, such as `InService`.
    pub state: String,
    /// Such as `t3.large`.
    #[serde(default)]
    pub instance_type: String,
    /// Somebody protects it from scale-in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
}

impl Group {
    /// Why sizes of zero would not end all of its members (Amazon EC2 Auto Scaling User Guide: suspended processes, scale-in
    /// protection, standby). Somebody wants it so; it is respected like the protection of an instance.
    pub fn protection(&self) -> Option<String> {
        if self.suspended.iter().any(|process| process == "Terminate") {
            return Some("its process Terminate is suspended, so Auto Scaling would terminate no member".to_owned());
        }
        let count = |fits: &dyn Fn(&&Member) -> bool| self.members.iter().filter(fits).count();
        let (protected, standby) = (count(&|member| member.protected), count(&|member| member.state == "Standby"));
        let all = self.members.len();
        if protected > 0 {
            return Some(format!("{protected} of its {all} members are protected from scale-in"));
        }
        (standby > 0).then(|| format!("{standby} of its {all} members are in standby, where Auto Scaling leaves them"))
    }

    /// What people should know beside it: it holds no end.
    pub fn remarks(&self) -> Vec<String> {
        let suspended = (!self.suspended.is_empty()).then(|| format!("suspended: {}", self.suspended.join(", ")));
        let warm =
            self.warm_pool.map(|count| format!("a warm pool with {count} instances, which zerocloud leaves alone"));
        suspended.into_iter().chain(warm).collect()
    }
}

impl ResourceId {
    /// The id of the group with that ARN: its UUID, which a group of the same name made later does not share. `None` for what
    /// is no ARN of a group.
    pub fn of_group(arn: &str) -> Option<ResourceId> {
        let mut parts = arn.split(':');
        let uuid = parts.by_ref().skip_while(|part| *part != "autoScalingGroup").nth(1)?;
        let named = parts.next()?.starts_with("autoScalingGroupName/");
        let fits = named && uuid.len() == 36 && uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        fits.then(|| ResourceId::parse(&format!("{PREFIX}{uuid}")).ok()).flatten()
    }

    /// The id of a cluster or fleet, the same at each scan. AWS gives no id of it on its instances, only its name.
    pub fn of_cluster(kind: &str, name: &str) -> Option<ResourceId> {
        let hash = hex::encode(&Sha256::digest(format!("{kind}\n{name}"))[..10]);
        let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
        ResourceId::parse(&format!("{CLUSTER}{kind}-{hash}")).ok()
    }

    /// Whether this is a cluster or fleet.
    pub fn is_cluster(&self) -> bool {
        self.as_str().starts_with(CLUSTER)
    }

    /// Whether this is one machine.
    pub fn is_instance(&self) -> bool {
        !self.is_group() && !self.is_cluster()
    }

    /// What kind of resource has such an id.
    pub fn kind(&self) -> &'static str {
        if self.is_group() {
            GROUP_KIND
        } else if self.is_cluster() {
            CLUSTER_KIND
        } else {
            "instance"
        }
    }

    /// Whether this is a group.
    pub fn is_group(&self) -> bool {
        self.as_str().starts_with(PREFIX)
    }
}

impl LeaseKey {
    /// Whether this is a group.
    pub fn is_group(&self) -> bool {
        self.resource_id.is_group()
    }
}

impl Resource {
    /// The group that it belongs to and whose lease stands for it, in the same region.
    pub fn group_key(&self) -> Option<LeaseKey> {
        let resource_id = self.facts.member_of.clone()?;
        Some(LeaseKey { resource_id, ..self.key.key() })
    }

    /// How many instances it counts as: a group by its wished size, a cluster by what runs of it.
    pub fn weight(&self) -> u32 {
        self.facts.group.as_ref().map_or(1, |group| group.sizes.desired)
    }
}

#[cfg(test)]
mod tests {
    use super::{Group, Member, Sizes};
    use crate::model::ResourceId;

    const UUID: &str = "930d940e-891e-4781-a11a-7b0acd480f03";

    #[test]
    fn a_group_is_named_by_the_uuid_of_its_arn_and_not_by_its_name() {
        let arn =
            format!("arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:{UUID}:autoScalingGroupName/a:b");
        let id = ResourceId::of_group(&arn).unwrap();
        assert_eq!(id.as_str(), format!("asg-{UUID}"));
        assert!(id.is_group() && !ResourceId::parse("i-0abc").unwrap().is_group());
        for wrong in ["", "arn:aws:ec2:us-east-1:111122223333:instance/i-1", &arn.replace(UUID, "x"), &arn[..90]] {
            assert_eq!(ResourceId::of_group(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cluster_has_the_same_id_at_each_scan_and_another_kind_or_name_another_one() {
        let id = |kind, name| ResourceId::of_cluster(kind, name).unwrap();
        assert_eq!(id("eks", "ci"), id("eks", "ci"));
        let long = "é".repeat(300);
        let others = [id("ecs", "ci"), id("eks", "c i"), id("eks", "c_i"), id("", &long)];
        assert!(others.iter().all(|other| *other != id("eks", "ci") && other.is_cluster() && !other.is_instance()));
        assert!(id("eks", "ci").as_str().starts_with("cluster-eks-"));
    }

    #[test]
    fn what_would_leave_members_running_is_told() {
        let member = |state: &str, protected| Member {
            id: ResourceId::parse("i-1").unwrap(),
            state: state.to_owned(),
            instance_type: String::new(),
            protected,
        };
        let group = |members, suspended: &[&str]| Group {
            sizes: Sizes { min: 1, desired: 2, max: 3 },
            members,
            suspended: suspended.iter().map(|name| (*name).to_owned()).collect(),
            warm_pool: None,
        };
        let usual = member("InService", false);
        assert_eq!(group(vec![usual.clone()], &["Launch", "AlarmNotification"]).protection(), None);
        let told = |group: Group| group.protection().unwrap();
        assert!(told(group(vec![], &["Terminate"])).contains("Terminate is suspended"));
        let protected = told(group(vec![usual.clone(), member("InService", true)], &[]));
        assert_eq!(protected, "1 of its 2 members are protected from scale-in");
        assert!(told(group(vec![usual, member("Standby", false)], &[])).contains("in standby"));
    }
}
