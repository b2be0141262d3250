//! Verify says whether a trail of CloudTrail logs where instances are, and nothing depends on it.

use super::{NEW, external_id, role};
use crate::api::Program;
use crate::app::{DEV, EAST, Setup, TestApp, WEST};
use ec2_double::{Role, Trail};
use serde_json::{Value, json};

fn trail(name: &str, home: &str, everywhere: bool, logging: bool) -> Trail {
    Trail { name: name.to_owned(), home: home.to_owned(), everywhere, logging }
}

/// How the check stands, what it says, and what is known of its two permissions.
fn told(report: &Value) -> (String, String, [String; 2]) {
    let find = |list: &str, name: &str, value: &str| {
        let all = report[list].as_array().unwrap();
        all.iter().find(|it| it[name] == value).unwrap_or_else(|| panic!("{value}: {report:#}")).clone()
    };
    let check = find("checks", "what", "A trail of CloudTrail logs");
    let allowed = ["cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus"].map(|action| {
        let permission = find("permissions", "action", action);
        assert_eq!(permission["needed"], false, "{permission}");
        permission["allowed"].as_str().unwrap().to_owned()
    });
    (check["stands"].as_str().unwrap().to_owned(), check["said"].as_str().unwrap().to_owned(), allowed)
}

#[tokio::test]
async fn verify_says_where_a_trail_logs_and_where_none_does() {
    let app = TestApp::start(Setup::default()).await;
    app.polled(DEV, EAST, 1).await;
    let ada = Program::all(&app, "ada").await;
    let verify = async || {
        let report = ada.post(&format!("aws-accounts/{DEV}/verify"), json!({})).await;
        assert!(report["checks"].as_array().unwrap().iter().all(|it| it["stands"] != "bad"), "{report:#}");
        told(&report)
    };
    let (stands, said, allowed) = verify().await;
    assert!(stands == "note" && said.starts_with("None is logging in eu-west-1, us-east-1: "), "{said}");
    assert_eq!(allowed, ["proven", "unproven"], "there is no trail to ask the status of");
    app.aws.set_trail(DEV, trail("east", EAST, false, true));
    app.aws.set_trail(DEV, trail("old", WEST, false, false));
    let (stands, said, allowed) = verify().await;
    assert!(stands == "note" && said.starts_with("east logs in us-east-1. None is logging in eu-west-1: "), "{said}");
    assert_eq!(allowed, ["proven", "proven"]);
    app.aws.set_trail(DEV, trail("west", WEST, false, true));
    assert_eq!(verify().await.1, "west logs in eu-west-1. east logs in us-east-1.");
    // One of all regions, asked by its shadow; it counts only while it logs.
    for name in ["east", "west"] {
        app.aws.set_trail(DEV, trail(name, if name == "east" { EAST } else { WEST }, false, false));
    }
    app.aws.set_trail(DEV, trail("all", EAST, true, false));
    assert_eq!(verify().await.0, "note");
    app.aws.set_trail(DEV, trail("all", EAST, true, true));
    let before = app.aws.calls().action("DescribeTrails").len();
    let (stands, said, _) = verify().await;
    assert_eq!((stands.as_str(), said.as_str()), ("good", "all logs in every region."));
    assert_eq!(app.aws.calls().action("DescribeTrails").len(), before + 1, "one region tells for all");
    let page = app.sign_in("ada").await.act(&format!("/aws-accounts/{DEV}/verify"), &[]).await;
    assert!(page.words().contains("all logs in every region.") && page.words().contains("All is in order."));
    app.stop().await;
}

#[tokio::test]
async fn a_role_that_may_not_ask_for_trails_is_connected_all_the_same_and_that_is_said() {
    let app = TestApp::start(Setup::default()).await;
    app.aws.add_account(NEW);
    app.aws.only_regions(NEW, &[EAST, WEST]);
    app.aws.set_trail(NEW, trail("all", EAST, true, true));
    let ada = Program::all(&app, "ada").await;
    ada.post("aws-accounts", json!({ "id": NEW })).await;
    let secret = external_id(&app, "bigdb", NEW).await;
    let lacks = |action: &str| Role::new(NEW, "zerocloud").external_id(&secret).lacks(action);
    app.aws.add_role(lacks("cloudtrail:*"));
    let verify = async || ada.post(&format!("aws-accounts/{NEW}/verify"), json!({})).await;
    let report = verify().await;
    assert_eq!((&report["connected"], &report["new"]), (&json!(true), &json!(true)), "{report:#}");
    let (stands, said, allowed) = told(&report);
    let denied = |action: &str| format!("Not provable in eu-west-1, us-east-1: access denied to {action}.");
    assert_eq!((stands.as_str(), said), ("note", denied("cloudtrail:DescribeTrails")));
    assert_eq!(allowed, ["missing", "unproven"]);
    app.aws.edit_role(&role(NEW), |role| role.lacks = ["cloudtrail:GetTrailStatus".to_owned()].into());
    let (stands, said, allowed) = told(&verify().await);
    assert_eq!((stands.as_str(), said), ("note", denied("cloudtrail:GetTrailStatus")));
    assert_eq!(allowed, ["proven", "missing"]);
    let (code, text) = super::command(&app, &ada.token, &["verify", NEW]).await;
    assert!(code == 0 && text.contains("note  A trail of CloudTrail logs: Not provable in "), "{code} {text}");
    app.stop().await;
}
