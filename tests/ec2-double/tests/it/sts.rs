//! Roles, sessions, expiry, and who may do what where.

use ec2_double::{Access, Role};
use jiff::SignedDuration;

use crate::client::{ACCOUNT, Keys, REGION, Test};

#[tokio::test]
async fn a_role_that_requires_an_external_id_is_not_assumed_without_it_nor_with_another() {
    let test = Test::start().await;
    for external in [None, Some("ext-2")] {
        let mut asked = vec![("RoleArn", test.role.as_str()), ("RoleSessionName", "zerocloud")];
        asked.extend(external.map(|id| ("ExternalId", id)));
        test.call_as(&test.home(), REGION, "sts", "AssumeRole", &asked).await.refused(403, "AccessDenied");
    }
}

#[tokio::test]
async fn a_role_without_an_external_id_is_assumed_with_any() {
    let test = Test::start().await;
    let open = test.aws.add_role(Role::new(ACCOUNT, "open"));
    for external in [None, Some("ext-2")] {
        let mut asked = vec![("RoleArn", open.as_str()), ("RoleSessionName", "zerocloud")];
        asked.extend(external.map(|id| ("ExternalId", id)));
        test.call_as(&test.home(), REGION, "sts", "AssumeRole", &asked).await.fine();
    }
}

#[tokio::test]
async fn a_role_is_not_assumed_that_is_missing_or_trusts_another_account() {
    let test = Test::start().await;
    let other = test.aws.add_role(Role::new(ACCOUNT, "other").trusts("999999999999"));
    for arn in [other.as_str(), "arn:aws:iam::111122223333:role/none", "arn:aws:iam::000000000000:role/zerocloud"] {
        let asked = [("RoleArn", arn), ("RoleSessionName", "zerocloud")];
        let answer = test.call_as(&test.home(), REGION, "sts", "AssumeRole", &asked).await;
        answer.refused(403, "AccessDenied");
        assert!(answer.one("Message").ends_with(&format!("sts:AssumeRole on resource: {arn}")), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_session_says_who_it_is() {
    let test = Test::start().await;
    let answer = test.call_as(&test.keys, REGION, "sts", "GetCallerIdentity", &[]).await.fine();
    assert_eq!(answer.one("Account"), ACCOUNT);
    assert_eq!(answer.one("Arn"), "arn:aws:sts::111122223333:assumed-role/zerocloud/zerocloud");
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over_and_not_before() {
    let test = Test::start().await;
    test.aws.advance(SignedDuration::from_mins(59));
    test.ec2("DescribeInstances", &[]).await.fine();
    test.aws.advance(SignedDuration::from_mins(2));
    test.ec2("DescribeInstances", &[]).await.refused(400, "RequestExpired");
    let sts = test.call_as(&test.keys, REGION, "sts", "GetCallerIdentity", &[]).await;
    sts.refused(403, "ExpiredToken");
    let fresh = test.assume("ext-1").await;
    test.call_as(&fresh, REGION, "ec2", "DescribeInstances", &[]).await.fine();
}

#[tokio::test]
async fn durations_that_aws_refuses_are_refused() {
    let test = Test::start().await;
    for seconds in ["899", "3601", "43201", "soon"] {
        let asked = [
            ("RoleArn", test.role.as_str()),
            ("RoleSessionName", "zerocloud"),
            ("ExternalId", "ext-1"),
            ("DurationSeconds", seconds),
        ];
        let answer = test.call_as(&test.home(), REGION, "sts", "AssumeRole", &asked).await;
        assert_eq!(answer.status, 400, "{seconds}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_key_that_is_unknown_or_lacks_its_token_is_refused() {
    let test = Test::start().await;
    let unknown = Keys { id: "AKIANOBODY".into(), token: None };
    let tokenless = Keys { token: None, ..test.keys.clone() };
    for keys in [unknown, tokenless] {
        test.call_as(&keys, REGION, "ec2", "DescribeInstances", &[]).await.refused(401, "AuthFailure");
        let sts = test.call_as(&keys, REGION, "sts", "GetCallerIdentity", &[]).await;
        sts.refused(403, "InvalidClientTokenId");
    }
    let bare = test.client.post(test.double.url()).body("Action=DescribeInstances").send().await.expect("an answer");
    assert_eq!(bare.status(), 403);
}

#[tokio::test]
async fn the_account_of_the_session_decides_what_is_seen() {
    let test = Test::start().await;
    test.place().seed(3, &ec2_double::Spec::default());
    let home = test.call_as(&test.home(), REGION, "ec2", "DescribeInstances", &[]).await.fine();
    assert_eq!(home.all("instanceId").len(), 0);
    assert_eq!(test.ec2("DescribeInstances", &[]).await.fine().all("instanceId").len(), 3);
    test.aws.remove_account(ACCOUNT);
    test.ec2("DescribeInstances", &[]).await.refused(401, "AuthFailure");
}

#[tokio::test]
async fn a_missing_permission_is_refused_even_in_a_dry_run_and_others_are_not() {
    let test = Test::start().await;
    let id = test.place().launch(&ec2_double::Spec::default());
    test.aws.edit_role(&test.role, |role| _ = role.lacks.insert("ec2:StopInstances".into()));
    let dry = [("InstanceId.1", id.as_str()), ("DryRun", "true")];
    test.ec2("StopInstances", &dry).await.refused(403, "UnauthorizedOperation");
    test.ec2_ids("StopInstances", &[&id]).await.refused(403, "UnauthorizedOperation");
    test.ec2("TerminateInstances", &dry).await.refused(412, "DryRunOperation");
    assert_eq!(test.shown(&id).await, "running");
    test.aws.remove_role(&test.role);
    test.ec2("DescribeInstances", &[]).await.refused(403, "UnauthorizedOperation");
}

#[tokio::test]
async fn regions_not_opted_in_or_denied_by_the_organisation_refuse_in_their_own_ways() {
    let test = Test::start().await;
    let there = async |region: &str| test.call_as(&test.keys, region, "ec2", "DescribeInstances", &[]).await;
    there("ap-east-1").await.refused(401, "AuthFailure");
    test.aws.set_region(ACCOUNT, "ap-east-1", Access::OptedIn);
    there("ap-east-1").await.fine();
    test.aws.set_region(ACCOUNT, "eu-west-3", Access::Denied);
    let denied = there("eu-west-3").await;
    denied.refused(403, "UnauthorizedOperation");
    assert!(denied.one("Message").ends_with("with an explicit deny in a service control policy"), "{}", denied.body);
    there("xx-nowhere-1").await.refused(401, "AuthFailure");
}

#[tokio::test]
async fn regions_are_listed_with_their_opt_in_status() {
    let test = Test::start().await;
    let enabled = test.ec2("DescribeRegions", &[]).await.fine();
    assert_eq!(enabled.all("regionName").len(), 17);
    assert!(enabled.all("optInStatus").iter().all(|status| *status == "opt-in-not-required"));
    let all = [("AllRegions", "true"), ("Filter.1.Name", "opt-in-status"), ("Filter.1.Value.1", "not-opted-in")];
    let closed = test.ec2("DescribeRegions", &all).await.fine();
    assert!(closed.all("regionName").contains(&"ap-east-1"));
    assert!(!closed.all("regionName").contains(&REGION));
    test.aws.only_regions(ACCOUNT, &["us-east-1", "eu-west-1"]);
    assert_eq!(test.ec2("DescribeRegions", &[]).await.fine().all("regionName"), ["eu-west-1", "us-east-1"]);
}
