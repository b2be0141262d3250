//! CloudTrail's trails.

use crate::client::{ACCOUNT, Answer, REGION, Test, read, signed};
use ec2_double::Trail;

async fn ask(test: &Test, region: &str, action: &str, body: &str) -> Answer {
    let target = format!("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.{action}");
    let request = signed(test.client.post(test.double.url()), &test.keys, region, "cloudtrail");
    read(request.header("x-amz-target", target).body(body.to_owned()).send().await.expect("an answer")).await
}

#[tokio::test]
async fn a_trail_of_all_regions_has_a_shadow_elsewhere_which_its_arn_alone_names() {
    let test = Test::start().await;
    let trail = |name: &str, everywhere| Trail { name: name.into(), home: REGION.into(), everywhere, logging: true };
    test.aws.set_trail(ACCOUNT, trail("here", false));
    test.aws.set_trail(ACCOUNT, trail("all", true));
    let arn = |name: &str| format!("arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{name}");
    let home = ask(&test, REGION, "DescribeTrails", "{}").await.fine().body;
    assert!(home.contains(&arn("here")) && home.contains(&arn("all")), "{home}");
    let away = ask(&test, "eu-west-1", "DescribeTrails", "{}").await.fine().body;
    assert!(!away.contains(&arn("here")) && away.contains(&arn("all")), "{away}");
    let own = ask(&test, "eu-west-1", "DescribeTrails", r#"{"includeShadowTrails":false}"#).await.fine().body;
    assert_eq!(own, r#"{"trailList":[]}"#);
    let status = async |region: &str, name: &str| {
        let answer = ask(&test, region, "GetTrailStatus", &format!(r#"{{"Name":"{name}"}}"#)).await;
        (answer.status, answer.error_type.unwrap_or(answer.body))
    };
    assert_eq!(status(REGION, "all").await, (200, r#"{"IsLogging":true}"#.to_owned()));
    assert_eq!(status("eu-west-1", &arn("all")).await.0, 200);
    for unknown in ["all", &arn("here"), "none"] {
        assert_eq!(status("eu-west-1", unknown).await, (400, "TrailNotFoundException".to_owned()), "{unknown}");
    }
    test.aws.edit_role(&test.role, |role| _ = role.lacks.insert("cloudtrail:DescribeTrails".into()));
    let refused = ask(&test, REGION, "DescribeTrails", "{}").await;
    assert_eq!((refused.status, refused.error_type.as_deref()), (400, Some("AccessDeniedException")));
}
