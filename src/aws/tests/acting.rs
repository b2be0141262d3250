//! One instance a call, dry or real by one parameter, and what EC2 may say to it.

use super::wire::{
    Asked, HOME, OTHER, SECRET, Wire, error, id, is_failure_of, own, page, region, sts_error, with_role, xml,
};
use crate::aws::{Aws, AwsError, Mode, Turn};
use crate::model::ResourceState;

/// The answer to stop, start or terminate, about `of`.
fn change(asked: &Asked, of: &str, state: &str) -> (u16, String) {
    let state = format!("<currentState><code>64</code><name>{state}</name></currentState>");
    let set = format!("<instancesSet><item><instanceId>{of}</instanceId>{state}</item></instancesSet>");
    (200, xml(&asked.action, &set))
}

async fn obedient() -> Wire {
    Wire::new(|asked| {
        let state = match asked.action.as_str() {
            "StopInstances" => "stopping",
            "StartInstances" => "pending",
            "TerminateInstances" => "shutting-down",
            "DescribeInstances" => return Some(page(&["i-1"], None)),
            _ => return None,
        };
        if asked.with.get("DryRun").is_some_and(|dry| dry == "true") {
            return Some(error(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."));
        }
        Some(change(asked, &asked.with["InstanceId.1"], state))
    })
    .await
}

async fn turn(aws: &Aws) -> Turn {
    aws.turn(&with_role(OTHER), &region()).await.unwrap()
}

#[tokio::test]
async fn a_dry_run_differs_from_a_real_one_in_nothing_but_the_flag() {
    let (dry, real) = (obedient().await, obedient().await);
    for (wire, mode) in [(&dry, Mode::DryRun), (&real, Mode::Real)] {
        let account = with_role(OTHER);
        let states = [
            wire.aws.stop(turn(&wire.aws).await, &account, &region(), &id("i-1"), mode).await.unwrap(),
            wire.aws.start(&account, &region(), &id("i-1"), mode).await.unwrap(),
            wire.aws.terminate(turn(&wire.aws).await, &account, &region(), &id("i-1"), mode).await.unwrap(),
        ];
        let changed = [ResourceState::Stopping, ResourceState::Pending, ResourceState::ShuttingDown];
        assert_eq!(states, if mode == Mode::Real { changed } else { [ResourceState::Running; 3] });
    }
    for action in ["StopInstances", "StartInstances", "TerminateInstances"] {
        let (mut dry, mut real) = (dry.calls(action).remove(0), real.calls(action).remove(0));
        assert_eq!(dry.with.remove("DryRun").as_deref(), Some("true"), "{action}");
        assert_eq!(real.with.remove("DryRun").as_deref(), Some("false"), "{action}");
        assert_eq!(dry, real);
        assert_eq!(real.with.into_iter().collect::<Vec<_>>(), [("InstanceId.1".to_owned(), "i-1".to_owned())]);
    }
}

#[tokio::test]
async fn an_answer_about_another_instance_is_not_taken_for_ours() {
    let wire = Wire::new(|asked| match asked.action.as_str() {
        "StopInstances" => Some(change(asked, "i-2", "stopping")),
        "StartInstances" => Some((200, xml("StartInstances", "<instancesSet/>"))),
        _ => None,
    });
    let wire = wire.await;
    let stopped = wire.aws.stop(turn(&wire.aws).await, &with_role(OTHER), &region(), &id("i-1"), Mode::Real).await;
    assert!(is_failure_of("ec2:StopInstances", &stopped), "{stopped:?}");
    let started = wire.aws.start(&with_role(OTHER), &region(), &id("i-1"), Mode::Real).await;
    assert!(is_failure_of("ec2:StartInstances", &started), "{started:?}");
}

#[tokio::test]
async fn what_ec2_refuses_is_told_apart() {
    let wire = Wire::new(|asked| match asked.with.get("InstanceId.1")?.as_str() {
        "i-protected" => Some(error(
            400,
            "OperationNotPermitted",
            "Modify its 'disableApiTermination' instance attribute and try again.",
        )),
        "i-gone" => Some(error(400, "InvalidInstanceID.NotFound", "The instance ID 'i-gone' does not exist")),
        "i-policy" => Some(error(403, "UnauthorizedOperation", "with an explicit deny in a service control policy")),
        "i-denied" => {
            Some(error(403, "UnauthorizedOperation", "You are not. Encoded authorization failure message: AbCdEf"))
        }
        "i-busy" => Some(error(503, "RequestLimitExceeded", "Request limit exceeded.")),
        "i-down" => Some((502, "<html>Bad Gateway</html>".to_owned())),
        _ => Some(error(400, "IncorrectInstanceState", "is not in a state from which it can be stopped")),
    });
    let wire = wire.await;
    let end = async |of: &str| {
        let turn = turn(&wire.aws).await;
        let why = wire.aws.terminate(turn, &with_role(OTHER), &region(), &id(of), Mode::Real).await.unwrap_err();
        (format!("{why:#?}"), why)
    };
    assert!(matches!(end("i-protected").await.1, AwsError::Protected { .. }));
    assert!(matches!(end("i-gone").await.1, AwsError::NotFound { .. }));
    assert!(matches!(end("i-policy").await.1, AwsError::DeniedByOrganization { .. }));
    assert!(matches!(end("i-busy").await.1, AwsError::Throttled { .. }));
    assert!(matches!(end("i-down").await.1, AwsError::Unreachable { .. }));
    assert!(matches!(end("i-odd").await.1, AwsError::Failed { .. }));
    let (text, denied) = end("i-denied").await;
    assert!(matches!(&denied, AwsError::Denied { action, .. } if action == "ec2:TerminateInstances"));
    assert!(!text.contains("AbCdEf") && !text.contains(SECRET), "{text}");
    // Once, whatever came of it: who asked looks at everything again before the next try.
    let tries =
        |of: &str| wire.calls("TerminateInstances").iter().filter(|asked| asked.with["InstanceId.1"] == of).count();
    assert_eq!(["i-busy", "i-down", "i-protected", "i-odd"].map(tries), [1, 1, 1, 1]);
}

#[tokio::test]
async fn a_cancelled_spot_request_is_confirmed() {
    let wire = Wire::new(|asked| {
        let of = asked.with.get("SpotInstanceRequestId.1")?;
        let state = if of == "sir-1" { "cancelled" } else { "active" };
        let item = format!("<item><spotInstanceRequestId>{of}</spotInstanceRequestId><state>{state}</state></item>");
        let set = format!("<spotInstanceRequestSet>{item}</spotInstanceRequestSet>");
        Some((200, xml("CancelSpotInstanceRequests", &set)))
    });
    let wire = wire.await;
    wire.aws.cancel_spot_request(turn(&wire.aws).await, &with_role(OTHER), &region(), "sir-1").await.unwrap();
    let active = wire.aws.cancel_spot_request(turn(&wire.aws).await, &with_role(OTHER), &region(), "sir-2").await;
    assert!(is_failure_of("ec2:CancelSpotInstanceRequests", &active), "{active:?}");
}

#[tokio::test]
async fn a_region_that_is_not_enabled_is_denied_and_wrong_keys_are_not() {
    for (keys_are_good, account) in [(true, own(HOME)), (true, with_role(OTHER)), (false, with_role(OTHER))] {
        let wire = Wire::new(move |asked| match asked.action.as_str() {
            "DescribeInstances" => {
                Some(error(401, "AuthFailure", "AWS was not able to validate the provided access credentials"))
            }
            "GetCallerIdentity" if !keys_are_good => {
                Some(sts_error(403, "InvalidClientTokenId", "The token is invalid"))
            }
            _ => None,
        });
        let why = wire.await.aws.scan(&account, &region()).await.unwrap_err();
        let expected = if keys_are_good { "DeniedByOrganization" } else { "Failed" };
        assert!(format!("{why:?}").starts_with(expected), "{why:?}");
    }
}
