//! Which ends that are due may be claimed now: the oldest first, at most so many an hour in one AWS account, counted as
//! claims in documents (SAFETY.md, invariant 5).

use super::view::DueEnd;
use crate::model::{AwsId, Time};
use std::collections::BTreeMap;

/// The seconds that the pace is counted over.
const WINDOW: i64 = 3_600;

/// Which may go and which wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// May be claimed, in this order.
    pub admitted: Vec<DueEnd>,
    /// Held by the pace.
    pub held: Vec<DueEnd>,
}

/// Admits what the limits leave room for. An end that was claimed before and not finished takes no new place.
pub fn admit(
    due: &[DueEnd],
    claims: &[(AwsId, Time)],
    limits: &dyn Fn(&AwsId) -> u32,
    now: Time,
) -> Admission {
    let mut used: BTreeMap<&AwsId, u32> = BTreeMap::new();
    for (aws_id, at) in claims {
        // A claim from the future (a clock that was set back) counts too.
        if now.seconds_since(*at) < WINDOW {
            let count = used.entry(aws_id).or_default();
            *count = count.saturating_add(1);
        }
    }
    let mut order: Vec<&DueEnd> = due.iter().collect();
    order.sort_by(|a, b| (a.deadline, &a.key).cmp(&(b.deadline, &b.key)));
    order.dedup_by(|a, b| a.key == b.key);
    let mut admission = Admission::default();
    for end in order {
        let count = used.entry(&end.key.aws_id).or_default();
        if end.resumes {
            admission.admitted.push(end.clone());
        } else if *count < limits(&end.key.aws_id) {
            *count += 1;
            admission.admitted.push(end.clone());
        } else {
            admission.held.push(end.clone());
        }
    }
    admission
}
