//! Which ends that are due may be claimed now: the oldest first, at most so many an hour in one AWS account, counted as
//! claims in documents (SAFETY.md, invariant 5).

use super::view::DueEnd;
use crate::model::{AwsId, Time};
use std::collections::{BTreeMap, BTreeSet};

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
pub fn admit(due: &[DueEnd], claims: &[(AwsId, Time)], limits: &dyn Fn(&AwsId) -> u32, now: Time) -> Admission {
    let mut used: BTreeMap<&AwsId, u32> = BTreeMap::new();
    for (aws_id, at) in claims {
        // A claim of the hour to come (a clock that was set back) counts too; one further off would count for ever.
        if now.seconds_since(*at).saturating_abs() < WINDOW {
            let count = used.entry(aws_id).or_default();
            *count = count.saturating_add(1);
        }
    }
    let mut order: Vec<&DueEnd> = due.iter().collect();
    order.sort_by(|a, b| (a.deadline, &a.key).cmp(&(b.deadline, &b.key)));
    let mut seen = BTreeSet::new();
    order.retain(|end| seen.insert(&end.key));
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

#[cfg(test)]
mod tests {
    use super::{Admission, admit};
    use crate::model::{AccountId, Action, AwsId, LeaseKey, Time};
    use crate::reactor::DueEnd;
    use proptest::prelude::*;

    fn end(aws: u8, id: u8, deadline: i64) -> DueEnd {
        DueEnd {
            account: AccountId::parse("bigdb").unwrap(),
            key: LeaseKey::parse(&format!("{aws:012}::us-east-1::i-{id:02x}")).unwrap(),
            action: Action::Stop,
            deadline: Time::from_unix(deadline),
            term: 1,
            resumes: false,
        }
    }

    fn ids(ends: &[DueEnd]) -> Vec<String> {
        ends.iter().map(|end| end.key.resource_id.to_string()).collect()
    }

    fn told(admission: &Admission) -> (Vec<String>, Vec<String>) {
        (ids(&admission.admitted), ids(&admission.held))
    }

    #[test]
    fn the_oldest_deadline_goes_first_and_the_rest_is_held() {
        let due = [end(1, 3, 30), end(1, 1, 10), end(1, 2, 20)];
        let admission = admit(&due, &[], &|_| 2, Time::from_unix(100));
        assert_eq!(told(&admission), (vec!["i-01".into(), "i-02".into()], vec!["i-03".into()]));
    }

    #[test]
    fn claims_of_the_last_hour_count_each_in_its_own_aws_account() {
        let (one, two) = (AwsId::parse("000000000001").unwrap(), AwsId::parse("000000000002").unwrap());
        let now = Time::from_unix(10_000);
        let claims = [(one.clone(), now.plus(-3_599)), (one, now.plus(-3_600)), (two, now.plus(60))];
        let due = [end(1, 1, 10), end(1, 2, 20), end(2, 3, 30)];
        let admission = admit(&due, &claims, &|_| 2, now);
        assert_eq!(told(&admission), (vec!["i-01".into(), "i-03".into()], vec!["i-02".into()]));
    }

    #[test]
    fn one_lease_is_admitted_once_however_often_it_is_due() {
        let admission = admit(&[end(1, 1, 10), end(1, 1, 10)], &[], &|_| 5, Time::from_unix(100));
        assert_eq!(told(&admission), (vec!["i-01".into()], vec![]));
    }

    #[test]
    fn one_lease_is_admitted_once_though_others_came_between() {
        let due = [end(1, 1, 10), end(1, 2, 20), end(1, 1, 30)];
        let admission = admit(&due, &[], &|_| 5, Time::from_unix(100));
        assert_eq!(told(&admission), (vec!["i-01".into(), "i-02".into()], vec![]));
    }

    #[test]
    fn a_claim_far_in_the_future_blocks_nothing_for_ever() {
        let aws = AwsId::parse("000000000001").unwrap();
        let now = Time::from_unix(10_000);
        for (ahead, admitted) in [(3_599, 0), (3_600, 1), (365 * 86_400, 1)] {
            let admission = admit(&[end(1, 1, 10)], &[(aws.clone(), now.plus(ahead))], &|_| 1, now);
            assert_eq!(admission.admitted.len(), admitted, "{ahead} s ahead");
        }
    }

    #[test]
    fn a_limit_of_zero_holds_everything() {
        let admission = admit(&[end(1, 1, 10)], &[], &|_| 0, Time::from_unix(100));
        assert_eq!(told(&admission), (vec![], vec!["i-01".into()]));
    }

    #[test]
    fn an_end_that_was_claimed_before_takes_no_new_place() {
        let again = DueEnd { resumes: true, ..end(1, 2, 20) };
        let admission = admit(&[end(1, 1, 10), again], &[], &|_| 0, Time::from_unix(100));
        assert_eq!(told(&admission), (vec!["i-02".into()], vec!["i-01".into()]));
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_in_any_hour(
            deadlines in prop::collection::vec((1_u8..4, 0_i64..50), 0..60),
            claims in prop::collection::vec((1_u8..4, -5_000_i64..5_000), 0..30),
            limit in 0_u32..8,
        ) {
            let now = Time::from_unix(100_000);
            let due: Vec<_> = (0_u8..).zip(&deadlines).map(|(id, (aws, at))| end(*aws, id, *at)).collect();
            let claims: Vec<_> =
                claims.iter().map(|(aws, ago)| (AwsId::parse(&format!("{aws:012}")).unwrap(), now.plus(*ago))).collect();
            let admission = admit(&due, &claims, &|_| limit, now);
            prop_assert_eq!(admission.admitted.len() + admission.held.len(), due.len());
            for aws in 1_u8..4 {
                let aws = AwsId::parse(&format!("{aws:012}")).unwrap();
                let recent = |at: Time| now.seconds_since(at).abs() < 3_600;
                let before = claims.iter().filter(|(id, at)| *id == aws && recent(*at)).count();
                let new = admission.admitted.iter().filter(|end| end.key.aws_id == aws).count();
                prop_assert!(new == 0 || before + new <= limit as usize);
            }
        }
    }
}
