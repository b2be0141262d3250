//! What verifying says, and what follows from it: when an AWS account is connected, and what its admin is told to do.

use super::{NEW, command, document, external_id, role};
use crate::app::{DEV, EAST, Setup, TestApp};
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

#[tokio::test]
async fn the_command_line_and_the_page_say_the_same_command_which_names_every_parameter() {
    let app = TestApp::start(Setup::default()).await;
    app.aws.add_account(NEW);
    let token = crate::api::Program::all(&app, "ada").await.token;
    let ada = app.sign_in("ada").await;
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = async |aws_id: &str, query: &str| {
        let page = ada.get(&format!("/aws-accounts/{aws_id}/setup{query}")).await.words();
        let from = page.find("aws cloudformation deploy").unwrap();
        let to = from + page[from..].find("Launches=").unwrap() + "Launches=no".len();
        words(&page[from..to])
    };
    let (code, text) = command(&app, &token, &["add", NEW]).await;
    let page = shown(NEW, "").await;
    let secret = external_id(&app, "bigdb", NEW).await;
    assert!(page.contains("--parameter-overrides \\ Principal=arn:aws:iam::"), "{page}");
    assert!(page.contains(&format!("ExternalId={secret}")) && page.contains("Ends=none"), "{page}");
    assert!(code == 0 && words(&text).contains(&page), "{text}\n{page}");
    let (_, text) = command(&app, &token, &["template", NEW, "--ends", "terminate", "--tags", "true"]).await;
    let page = shown(NEW, "?ends=terminate&tags=yes").await;
    assert!(page.contains("Ends=terminate") && page.contains("Tags=yes") && words(&text).contains(&page), "{text}");
    app.until("it is connected", || async { document(&app, &format!("aws_account::bigdb::{DEV}")).await }).await;
    let (_, text) = command(&app, &token, &["rotate", DEV]).await;
    let page = shown(DEV, "").await;
    assert!(
        page.contains(&format!("FormerExternalId=external-{DEV}")) && words(&text).contains(&page),
        "{text}\n{page}"
    );
    app.stop().await;
}

#[tokio::test]
async fn the_template_stays_as_it_was_chosen_when_it_is_verified() {
    let app = TestApp::start(Setup::default()).await;
    app.aws.add_account(NEW);
    let ada = app.sign_in("ada").await;
    ada.act("/aws-accounts/new", &[("aws_id", NEW), ("name", "Lab")]).await;
    let page = ada.get(&format!("/aws-accounts/{NEW}/setup?kind=cli&ends=stop&tags=yes")).await;
    let chosen = ["kind", "ends", "tags"].map(|name| (name, page.field(name)));
    assert_eq!(chosen.clone().map(|(_, value)| value), ["cli", "stop", "yes"], "{}", page.text);
    let arn = role(NEW);
    let mut fields: Vec<(&str, &str)> = chosen.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.push(("role_arn", &arn));
    let page = ada.act(&format!("/aws-accounts/{NEW}/verify"), &fields).await.text.replace("&#x2f;", "/");
    for kept in [
        "--policy-name stop ",
        "--policy-name tag ",
        "<option value=\"stop\" selected>",
        "<option value=\"yes\" selected>",
    ] {
        assert!(page.contains(kept), "{kept} in {page}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_region_that_aws_does_not_know_is_refused_by_its_form_and_then_by_what_is_enabled() {
    let app = TestApp::start(Setup::default()).await;
    app.aws.add_account(NEW);
    app.aws.only_regions(NEW, &[EAST]);
    let token = crate::api::Program::all(&app, "ada").await.token;
    let ada = app.sign_in("ada").await;
    let begin = async |regions: &str| {
        ada.act("/aws-accounts/new", &[("aws_id", NEW), ("name", "Lab"), ("regions", regions)]).await.words()
    };
    let words = begin("mars-1").await;
    assert!(words.contains("There is no region mars-1 in AWS"), "{words}");
    let (code, text) = command(&app, &token, &["add", NEW, "--regions", "mars-1"]).await;
    assert!(code != 0 && text.contains("there is no region mars-1 in AWS"), "{code} {text}");
    begin("us-east-1 us-mars-1").await;
    app.aws.add_role(Role::new(NEW, "zerocloud").external_id(external_id(&app, "bigdb", NEW).await));
    let (code, text) = command(&app, &token, &["verify", NEW]).await;
    let said = "Not enabled in this AWS account, or no region at all: us-mars-1; enabled are us-east-1.";
    assert!(code == 3 && text.contains(said) && !text.contains("Connected, at stage"), "{code} {text}");
    assert!(document(&app, &format!("aws_account::bigdb::{NEW}")).await.is_none());
    begin(EAST).await;
    let (code, text) = command(&app, &token, &["verify", NEW]).await;
    assert!(code == 0 && text.contains("Connected, at stage observe"), "{code} {text}");
    app.stop().await;
}
