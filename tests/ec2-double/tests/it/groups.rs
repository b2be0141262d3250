//! Auto Scaling groups.

use ec2_double::{GroupSpec, State};

use crate::client::{Answer, REGION, Test};

async fn asg(test: &Test, action: &str, parameters: &[(&str, &str)]) -> Answer {
    test.call_as(&test.keys, REGION, "autoscaling", action, parameters).await
}

fn up(test: &Test, name: &str) -> Vec<String> {
    let members = test.place().members(name).into_iter();
    members.filter(|member| member.state == State::Running).map(|member| member.id).collect()
}

#[tokio::test]
async fn a_member_that_is_terminated_or_stopped_is_replaced() {
    let test = Test::start().await;
    test.place().add_group(GroupSpec::new("web", 2).tag("owner", "ada@bigdb.example"));
    for action in ["TerminateInstances", "StopInstances"] {
        let before = up(&test, "web");
        test.ec2_ids(action, &[&before[0]]).await.fine();
        test.aws.settle();
        let after = up(&test, "web");
        assert!(after.len() == 2 && !after.contains(&before[0]) && after.contains(&before[1]), "{action}: {after:?}");
    }
    let member = test.aws.instance(&up(&test, "web")[1]).expect("is there");
    assert_eq!(member.tag("aws:autoscaling:groupName"), Some("web"));
    assert_eq!(member.tag("owner"), Some("ada@bigdb.example"));
}

#[tokio::test]
async fn a_size_of_nothing_terminates_every_member_even_protected_ones_and_they_are_not_replaced() {
    let test = Test::start().await;
    test.place().add_group(GroupSpec::new("web", 3).between(1, 5));
    test.aws.protect_termination(&up(&test, "web")[0], true);
    let zero = [("AutoScalingGroupName", "web"), ("MinSize", "0"), ("MaxSize", "0"), ("DesiredCapacity", "0")];
    asg(&test, "UpdateAutoScalingGroup", &zero).await.fine();
    test.aws.settle();
    assert_eq!(up(&test, "web"), Vec::<String>::new());
    let described = asg(&test, "DescribeAutoScalingGroups", &[]).await.fine();
    assert_eq!((described.one("DesiredCapacity"), described.one("Instances")), ("0", ""));
    let back = [("AutoScalingGroupName", "web"), ("MinSize", "1"), ("MaxSize", "5"), ("DesiredCapacity", "3")];
    asg(&test, "UpdateAutoScalingGroup", &back).await.fine();
    test.aws.settle();
    assert_eq!(up(&test, "web").len(), 3);
}

#[tokio::test]
async fn the_wished_size_follows_bounds_alone_and_is_refused_outside_them() {
    let test = Test::start().await;
    test.place().add_group(GroupSpec::new("web", 3).between(0, 5));
    asg(&test, "UpdateAutoScalingGroup", &[("AutoScalingGroupName", "web"), ("MaxSize", "2")]).await.fine();
    assert_eq!(test.place().group("web").desired, 2);
    for wrong in [("DesiredCapacity", "3"), ("MinSize", "3")] {
        let asked = [("AutoScalingGroupName", "web"), wrong];
        asg(&test, "UpdateAutoScalingGroup", &asked).await.refused(400, "ValidationError");
    }
    let unknown = [("AutoScalingGroupName", "none"), ("MinSize", "0")];
    asg(&test, "UpdateAutoScalingGroup", &unknown).await.refused(400, "ValidationError");
}

#[tokio::test]
async fn groups_come_in_pages_by_name_and_by_tag() {
    let test = Test::start().await;
    for number in 0..5 {
        test.place().add_group(GroupSpec::new(format!("g{number}"), 1).tag("odd", (number % 2).to_string()));
    }
    let first = asg(&test, "DescribeAutoScalingGroups", &[("MaxRecords", "3")]).await.fine();
    assert_eq!(first.all("AutoScalingGroupName"), ["g0", "g1", "g2"]);
    let next = [("MaxRecords", "3"), ("NextToken", first.one("NextToken"))];
    let rest = asg(&test, "DescribeAutoScalingGroups", &next).await.fine();
    assert_eq!((rest.all("AutoScalingGroupName"), rest.all("NextToken").len()), (vec!["g3", "g4"], 0));
    let named = [("AutoScalingGroupNames.member.1", "g4"), ("AutoScalingGroupNames.member.2", "none")];
    assert_eq!(asg(&test, "DescribeAutoScalingGroups", &named).await.fine().all("AutoScalingGroupName"), ["g4"]);
    let tagged = [("Filters.member.1.Name", "tag:odd"), ("Filters.member.1.Values.member.1", "1")];
    assert_eq!(asg(&test, "DescribeAutoScalingGroups", &tagged).await.fine().all("AutoScalingGroupName"), ["g1", "g3"]);
    asg(&test, "DescribeAutoScalingGroups", &[("NextToken", "bogus")]).await.refused(400, "InvalidNextToken");
}
