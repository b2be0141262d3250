//! What verifying says, and what follows from it: when an AWS account is connected, and what its admin is told to do.

use super::{NEW, external_id, role};
use crate::app::{EAST, Setup, TestApp};
use ec2_double::Role;

#[tokio::test]
async fn what_only_helps_is_said_to_be_missing_and_what_shows_instances_keeps_it_from_being_connected() {
    let app = TestApp::start(Setup::default()).await;
    app.aws.add_account(NEW);
    app.aws.only_regions(NEW, &[EAST]);
    let ada = app.sign_in("ada").await;
    ada.act("/aws-accounts/new", &[("aws_id", NEW), ("name", "Lab"), ("regions", EAST)]).await;
    let secret = external_id(&app, "bigdb", NEW).await;
    app.aws.add_role(Role::new(NEW, "zerocloud").external_id(secret).lacks("ec2:DescribeInstances"));
    let verify = async || ada.act(&format!("/aws-accounts/{NEW}/verify"), &[("role_arn", &role(NEW))]).await.words();
    let words = verify().await;
    assert!(words.contains("Not connected yet") && words.contains("No region's instances can be read"), "{words}");
    let lacks = ["autoscaling:DescribeAutoScalingGroups", "ec2:DescribeVolumes", "ec2:StopInstances"];
    app.aws.edit_role(&role(NEW), |role| role.lacks = lacks.map(str::to_owned).into());
    let words = verify().await;
    let named = "2 permissions are missing: autoscaling:DescribeAutoScalingGroups, ec2:DescribeVolumes.";
    assert!(
        words.contains("Connected, at stage observe; 2 permissions are missing") && words.contains(named),
        "{words}"
    );
    let words = verify().await;
    assert!(words.contains("Connected; 2 permissions are missing.") && !words.contains("in order."), "{words}");
    app.aws.edit_role(&role(NEW), |role| role.lacks.clear());
    let words = verify().await;
    assert!(words.contains("All is in order.") && !words.contains("missing"), "{words}");
    app.stop().await;
}
