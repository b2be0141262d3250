//! The record of calls.

use std::time::Duration;

use ec2_double::{Fault, Rule, Spec};

use crate::client::{ACCOUNT, REGION, Test};

#[tokio::test]
async fn every_call_is_recorded_with_what_it_named() {
    let test = Test::start().await;
    let ids = test.place().seed(2, &Spec::default());
    test.aws.forget_calls();
    test.ec2_ids("DescribeInstances", &[&ids[0], &ids[1]]).await.fine();
    test.ec2("DescribeInstances", &[("Filter.1.Name", "instance-id"), ("Filter.1.Value.1", &ids[1])]).await.fine();
    let asked = [("InstanceId", ids[0].as_str()), ("Attribute", "disableApiStop")];
    test.ec2("DescribeInstanceAttribute", &asked).await.fine();
    test.ec2("StopInstances", &[("InstanceId.1", &ids[0]), ("DryRun", "true")]).await.refused(412, "DryRunOperation");
    test.ec2_ids("StopInstances", &[&ids[1]]).await.fine();
    let calls = test.aws.calls();
    let named: Vec<usize> = calls.iter().map(|call| call.ids.len()).collect();
    assert_eq!(named, [2, 1, 1, 1, 1]);
    assert!(calls.iter().all(|call| call.account == ACCOUNT && call.region == REGION));
    assert!(calls[0].caller.ends_with(":assumed-role/zerocloud/zerocloud"));
    assert_eq!((calls[3].dry_run, calls[3].status, calls[3].error.as_deref()), (true, 412, Some("DryRunOperation")));
    let acting = test.aws.calls().acting();
    assert_eq!((acting.len(), acting[0].action.as_str(), &acting[0].ids), (1, "StopInstances", &vec![ids[1].clone()]));
    assert_eq!(test.aws.calls().naming(&ids[0]).action("DescribeInstances").len(), 1);
    assert!(test.aws.calls().only(|call| !call.is_reading()).iter().all(|call| call.action == "StopInstances"));
}

#[tokio::test]
async fn refused_and_unauthenticated_calls_are_recorded_too() {
    let test = Test::start().await;
    test.aws.forget_calls();
    test.aws.inject(Rule::new(Fault::Throttle).times(1));
    test.ec2("DescribeInstances", &[]).await.refused(503, "RequestLimitExceeded");
    let nobody = crate::client::Keys { id: "AKIANOBODY".into(), token: None };
    test.call_as(&nobody, REGION, "ec2", "DescribeInstances", &[]).await.refused(401, "AuthFailure");
    let errors: Vec<Option<String>> = test.aws.calls().into_iter().map(|call| call.error).collect();
    assert_eq!(errors, [Some("RequestLimitExceeded".to_owned()), Some("AuthFailure".to_owned())]);
    assert_eq!(test.aws.calls().successful().len(), 0);
    assert_eq!(test.aws.calls().account("").len(), 1);
}

#[tokio::test]
async fn rates_are_read_off_the_record() {
    let test = Test::start().await;
    test.aws.forget_calls();
    for _ in 0..4 {
        test.ec2("DescribeInstances", &[]).await.fine();
    }
    test.aws.inject(Rule::new(Fault::Delay(120)).times(1));
    test.ec2("DescribeInstances", &[]).await.fine();
    test.ec2("DescribeInstances", &[]).await.fine();
    let calls = test.aws.calls();
    assert_eq!(calls.most_within(Duration::from_mins(1)), 6);
    assert!(calls.most_within(Duration::from_millis(110)) <= 5);
}
