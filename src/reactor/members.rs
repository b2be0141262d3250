//! Which group each instance of a scan belongs to: by the group's own list of members, else by the tag that Auto Scaling puts on
//! every instance it launches (those of a warm pool are on no list).

use crate::model::{Facts, Resource, ResourceId};
use std::collections::BTreeMap;

/// The tag that names an instance's group. Nobody but AWS may set it.
const TAG: &str = "aws:autoscaling:groupName";

/// Says of each instance in `found` which group it is a member of. A group that `found` lacks still counts while it is `known`
/// and not gone: that this scan did not see it, or could see no groups, says nothing (SAFETY.md, invariant 6).
pub fn assign_members(found: &mut BTreeMap<ResourceId, Facts>, known: &[Resource]) {
    let (mut by_name, mut by_member) = (BTreeMap::new(), BTreeMap::new());
    for group in known.iter().filter(|known| known.key.resource_id.is_group() && !known.is_gone()) {
        by_name.insert(group.facts.name.clone(), group.key.resource_id.clone());
    }
    for (id, facts) in found.iter() {
        let Some(group) = facts.group.as_ref().filter(|_| id.is_group()) else { continue };
        by_name.insert(facts.name.clone(), id.clone());
        by_member.extend(group.members.iter().map(|member| (member.id.clone(), id.clone())));
    }
    for (id, facts) in found.iter_mut().filter(|(_, facts)| facts.group.is_none()) {
        let tagged = || facts.tags.get(TAG).and_then(|name| by_name.get(name));
        facts.member_of = by_member.get(id).or_else(tagged).cloned();
    }
}
