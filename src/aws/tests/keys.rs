//! With whose keys a call goes out, how often they are asked for, and whose are refused.

use super::wire::{HOME, OTHER, SECRET, Wire, error, is_failure_of, keys, own, page, region, sts_error, with_role};
use crate::aws::{AwsError, Identity};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_role_is_assumed_once_for_many_calls_with_its_external_id_and_our_name() {
    let wire = Wire::new(|asked| asked.action.starts_with("Describe").then(|| page(&["i-1"], None))).await;
    let mut scans = JoinSet::new();
    for _ in 0..10 {
        let aws = wire.aws.clone();
        scans.spawn(async move { aws.scan(&with_role(OTHER), &region()).await });
    }
    let scans = scans.join_all().await;
    assert!(scans.iter().all(Result::is_ok), "{scans:?}");
    let assumed = wire.calls("AssumeRole");
    assert_eq!(assumed.len(), 1);
    assert_eq!(assumed[0].key, format!("AKIA{HOME}"));
    let with = |name: &str| assumed[0].with[name].as_str();
    assert_eq!(with("ExternalId"), "external-444455556666");
    assert_eq!((with("RoleSessionName"), with("RoleArn")), ("zerocloud", "arn:aws:iam::444455556666:role/zerocloud"));
    assert!(wire.calls("DescribeInstances").iter().all(|asked| asked.key == format!("ASIA{OTHER}")));
}

#[tokio::test]
async fn every_aws_account_is_read_with_its_own_keys_and_a_changed_role_with_new_ones() {
    let wire = Wire::new(|asked| asked.action.starts_with("Describe").then(|| page(&["i-1"], None))).await;
    let mut third = with_role("777788889999");
    for account in [&own(HOME), &with_role(OTHER), &third, &with_role(OTHER), &own(HOME)] {
        wire.aws.scan(account, &region()).await.unwrap();
    }
    let signed: Vec<String> = wire.calls("DescribeInstances").into_iter().map(|asked| asked.key).collect();
    let expected = ["AKIA111122223333", "ASIA444455556666", "ASIA777788889999", "ASIA444455556666", "AKIA111122223333"];
    assert_eq!(signed, expected);
    assert_eq!(wire.calls("AssumeRole").len(), 2);
    third.external_id = Some("changed".to_owned());
    wire.aws.scan(&third, &region()).await.unwrap();
    let assumed = wire.calls("AssumeRole");
    assert_eq!((assumed.len(), assumed[2].with["ExternalId"].as_str()), (3, "changed"));
}

#[tokio::test]
async fn keys_that_aws_calls_expired_are_renewed_and_the_call_made_again() {
    let (first, assumed, read) = (format!("ASIA{OTHER}"), AtomicU32::new(0), AtomicU32::new(0));
    let wire = Wire::new(move |asked| match asked.action.as_str() {
        // What this machine's clock says of the keys' end does not matter.
        "AssumeRole" => match assumed.fetch_add(1, Ordering::SeqCst) {
            0 => Some((200, keys(OTHER, -3_600))),
            _ => Some((200, keys(OTHER, 3_600).replace(&first, "ASIANEW"))),
        },
        "DescribeInstances" if asked.key == "ASIANEW" => Some(page(&["i-1"], None)),
        "DescribeInstances" => Some(match read.fetch_add(1, Ordering::SeqCst) {
            0 => page(&["i-1"], None),
            1 => page(&["i-1", "i-2"], Some("two")),
            _ => error(400, "RequestExpired", "Request has expired."),
        }),
        _ => None,
    });
    let wire = wire.await;
    for _ in 0..3 {
        // The first page of the try that failed is not mixed into the second try.
        assert_eq!(wire.aws.scan(&with_role(OTHER), &region()).await.unwrap().len(), 1);
    }
    assert_eq!(wire.calls("AssumeRole").len(), 2);
    assert_eq!(wire.calls("DescribeInstances").len(), 1 + 2 + 1 + 1);
}

#[tokio::test]
async fn keys_that_are_expired_from_the_start_are_no_endless_loop() {
    let wire = Wire::new(|asked| match asked.action.as_str() {
        "DescribeInstances" => Some(error(400, "RequestExpired", "Request has expired.")),
        _ => None,
    });
    let wire = wire.await;
    for _ in 0..2 {
        let result = wire.aws.scan(&with_role(OTHER), &region()).await;
        assert!(is_failure_of("ec2:DescribeInstances", &result), "{result:?}");
    }
    assert_eq!(wire.calls("DescribeInstances").len(), 4);
}

#[tokio::test]
async fn a_role_of_another_aws_account_is_never_used() {
    let wire = Wire::new(|asked| (asked.action == "AssumeRole").then(|| (200, keys("999900001111", 3_600)))).await;
    // The role's name says so: no call at all.
    let mut strange = with_role(OTHER);
    strange.role_arn = Some("arn:aws:iam::999900001111:role/zerocloud".to_owned());
    assert!(is_failure_of("sts:AssumeRole", &wire.aws.scan(&strange, &region()).await));
    assert!(wire.calls("").is_empty());
    // The answer says so: its keys are thrown away.
    assert!(is_failure_of("sts:AssumeRole", &wire.aws.scan(&with_role(OTHER), &region()).await));
    assert!(wire.calls("DescribeInstances").is_empty());
    // zerocloud's own keys are those of one AWS account only.
    assert!(is_failure_of("sts:GetCallerIdentity", &wire.aws.scan(&own(OTHER), &region()).await));
    assert!(wire.calls("DescribeInstances").is_empty());
}

#[tokio::test]
async fn a_role_without_an_external_id_is_not_assumed() {
    let wire = Wire::new(|_| None).await;
    for nothing in [None, Some(String::new())] {
        let mut open = with_role(OTHER);
        open.external_id = nothing;
        let why = wire.aws.scan(&open, &region()).await.unwrap_err();
        assert!(why.to_string().contains("external_id"), "{why}");
    }
    assert!(wire.calls("").is_empty());
}

#[tokio::test]
async fn a_role_that_answers_without_its_external_id_is_found_out() {
    let closed = Wire::new(|asked| {
        let denied = || sts_error(403, "AccessDenied", "is not authorized to perform: sts:AssumeRole");
        (!asked.with.contains_key("ExternalId")).then(denied)
    });
    let (open, closed) = (Wire::new(|_| None).await, closed.await);
    assert!(open.aws.answers_without_external_id(&with_role(OTHER)).await.unwrap());
    assert!(!closed.aws.answers_without_external_id(&with_role(OTHER)).await.unwrap());
    assert!(open.calls("AssumeRole").iter().all(|asked| !asked.with.contains_key("ExternalId")));
    assert!(!open.aws.answers_without_external_id(&own(HOME)).await.unwrap());
    // Only AWS's own refusal says no.
    for (status, body) in [sts_error(400, "ValidationError", "not a valid ARN"), (403, "<html>Proxy</html>".to_owned())]
    {
        let lost = Wire::new(move |_| Some((status, body.clone()))).await;
        assert!(lost.aws.answers_without_external_id(&with_role(OTHER)).await.is_err());
    }
}

#[tokio::test]
async fn a_role_that_lets_nobody_in_is_named_as_the_cause_of_a_failed_read() {
    let wire = Wire::new(|asked| match asked.action.as_str() {
        "AssumeRole" => Some(sts_error(403, "AccessDenied", "is not authorized to perform: sts:AssumeRole")),
        _ => None,
    });
    let wire = wire.await;
    let why = wire.aws.scan(&with_role(OTHER), &region()).await.unwrap_err();
    assert!(matches!(&why, AwsError::Denied { action, .. } if action == "sts:AssumeRole"), "{why:?}");
    assert!(why.to_string().contains("trust policy"), "{why}");
}

#[tokio::test]
async fn sts_says_who_we_are() {
    let wire = Wire::new(|_| None).await;
    let identity = |account: &str| Identity { account: account.into(), arn: format!("arn:aws:sts::{account}:x") };
    assert_eq!(wire.aws.caller_identity(None).await.unwrap(), identity(HOME));
    assert_eq!(wire.aws.caller_identity(Some(&own(OTHER))).await.unwrap(), identity(HOME));
    assert_eq!(wire.aws.caller_identity(Some(&with_role(OTHER))).await.unwrap(), identity(OTHER));
}

#[tokio::test]
async fn no_secret_shows_in_what_can_be_printed() {
    let wire = Wire::new(|asked| match asked.action.as_str() {
        // Keys in an answer that cannot be read.
        "AssumeRole" => Some((200, keys(OTHER, 3_600).replace("Credentials>", "Credential>"))),
        _ => None,
    });
    let wire = wire.await;
    let why = wire.aws.scan(&with_role(OTHER), &region()).await.unwrap_err();
    let shown = format!("{why} {why:?} {:?}", wire.aws);
    assert!(!shown.contains(SECRET) && !shown.contains("external-"), "{shown}");
}
