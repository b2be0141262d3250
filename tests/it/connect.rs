//! Connecting AWS accounts, from pages, API and command line: nothing is connected that is not proven to be the customer's,
//! nothing is changed in AWS on the way, and what was connected can change its external id and go.

mod tags;
mod trails;
mod verdict;

use crate::app::{DEV, EAST, Setup, TEST, TestApp, WEST, owned_by};
use ec2_double::{Access, Home, Role};
use serde_json::{Value, json};
use zerocloud::model::State;

/// An AWS account that config.yml does not name.
const NEW: &str = "777788889999";

fn role(id: &str) -> String {
    format!("arn:aws:iam::{id}:role/zerocloud")
}

/// The external id that was made for it.
async fn external_id(app: &TestApp, account: &str, aws_id: &str) -> String {
    let doc = app.store.get::<Value>(&format!("aws_setup::{account}::{aws_id}")).await.unwrap().unwrap();
    doc.body["external_id"].as_str().unwrap().to_owned()
}

async fn document(app: &TestApp, id: &str) -> Option<Value> {
    app.store.get::<Value>(id).await.unwrap().map(|doc| doc.body)
}

#[tokio::test]
async fn an_aws_account_is_connected_step_by_step_and_only_once_its_role_is_safe() {
    let app = TestApp::start(Setup::default()).await;
    app.aws.add_account(NEW);
    app.aws.only_regions(NEW, &[EAST, WEST, "eu-central-1"]);
    app.aws.set_region(NEW, "eu-central-1", Access::Denied);
    let id = app.aws.at(NEW, EAST).launch(&owned_by("lin@bigdb.example"));
    let ada = app.sign_in("ada").await;
    let page = ada.act("/aws-accounts/new", &[("aws_id", "12"), ("name", "Lab")]).await;
    assert!(page.words().contains("has 12 digits"), "{}", page.words());
    let page = ada.act("/aws-accounts/new", &[("aws_id", "7777-8888-9999"), ("name", "Lab")]).await;
    let secret = external_id(&app, "bigdb", NEW).await;
    assert!(secret.len() >= 32 && page.words().contains(&secret), "{}", page.words());
    let page = ada.act("/aws-accounts/new", &[("aws_id", NEW), ("name", "Lab")]).await;
    assert!(page.words().contains(&secret), "begun again it keeps its external id");
    let home = Home::default().account;
    for kind in ["cloudformation", "terraform", "cli"] {
        let file = ada.get(&format!("/aws-accounts/{NEW}/template?kind={kind}")).await.text;
        assert!(file.contains(&secret) && file.contains(&format!("arn:aws:iam::{home}:user/double")), "{file}");
    }
    let verify = format!("/aws-accounts/{NEW}/verify");
    let page = ada.act(&verify, &[("role_arn", "arn:aws:iam::111122223333:role/zerocloud")]).await;
    assert!(page.words().contains("is not a role of this AWS account"), "{}", page.words());
    let page = ada.act(&verify, &[("role_arn", &role(NEW))]).await;
    let words = page.words();
    assert!(
        words.contains("cannot assume") && words.contains("sts:ExternalId") && words.contains("Not connected"),
        "{words}"
    );
    app.aws.add_role(Role::new(NEW, "zerocloud"));
    let words = ada.act(&verify, &[("role_arn", &role(NEW))]).await.words();
    assert!(words.contains("can be assumed without the external id") && words.contains(&secret), "{words}");
    assert!(document(&app, &format!("aws_claim::{NEW}")).await.is_none());
    app.aws.edit_role(&role(NEW), |role| role.external_id = Some(secret.clone()));
    let words = ada.act(&verify, &[("role_arn", &role(NEW))]).await.words();
    assert!(words.contains("Connected, at stage observe") && words.contains("denied eu-central-1"), "{words}");
    let body = document(&app, &format!("aws_account::bigdb::{NEW}")).await.unwrap();
    assert_eq!(
        (&body["stage"], &body["name"], &body["external_id"]),
        (&json!("observe"), &json!("Lab"), &json!(secret))
    );
    assert_eq!(document(&app, &format!("aws_claim::{NEW}")).await.unwrap()["account"], "bigdb");
    assert!(document(&app, &format!("aws_setup::bigdb::{NEW}")).await.is_none());
    app.lease_where(&id, "leased", |_| true).await;
    app.advance(130);
    app.owned(&id, "lin").await;
    assert!(app.mails("lin@bigdb.example", &id).is_empty(), "nobody is written to at stage observe");
    let words = ada.act(&verify, &[("role_arn", &role(NEW))]).await.words();
    assert!(words.contains("All is in order."), "{words}");
    app.stop().await;
}

#[tokio::test]
async fn each_permission_is_proven_missing_or_unproven_and_trying_it_changes_nothing() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.lease_where(&id, "leased", |_| true).await;
    let role = role(DEV);
    app.aws.edit_role(&role, |role| {
        role.lacks = ["ec2:StopInstances", "ec2:CreateTags", "ec2:DescribeVolumes"].map(str::to_owned).into();
    });
    let ada = crate::api::Program::all(&app, "ada").await;
    let report = ada.post(&format!("aws-accounts/{DEV}/verify"), json!({})).await;
    let of = |action: &str| {
        let all = report["permissions"].as_array().unwrap();
        all.iter().find(|it| it["action"] == action).unwrap_or_else(|| panic!("{action}: {report:#}")).clone()
    };
    for action in ["ec2:DescribeInstances", "ec2:DescribeRegions", "ec2:StartInstances", "ec2:TerminateInstances"] {
        assert_eq!((of(action)["allowed"].as_str(), of(action)["needed"] == true), (Some("proven"), true), "{action}");
    }
    let stop = of("ec2:StopInstances");
    assert_eq!((stop["allowed"].as_str(), stop["needed"] == true), (Some("missing"), true));
    let add: Value = serde_json::from_str(stop["add"].as_str().unwrap()).unwrap();
    assert_eq!(add["Resource"], format!("arn:aws:ec2:*:{DEV}:instance/*"));
    assert_eq!(of("ec2:DescribeVolumes")["allowed"], "missing");
    let tags = of("ec2:CreateTags");
    assert_eq!((tags["allowed"].as_str(), tags["needed"] == true), (Some("missing"), false));
    assert_eq!(of("ec2:CancelSpotInstanceRequests")["allowed"], "unproven");
    assert_eq!(of("autoscaling:DescribeAutoScalingGroups")["allowed"], "proven");
    assert_eq!(of("cloudtrail:LookupEvents")["allowed"], "proven");
    assert_eq!(of("autoscaling:UpdateAutoScalingGroup")["allowed"], "unproven", "Auto Scaling has no dry run");
    let regions: Vec<&str> =
        report["regions"].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(regions, ["read", "read"]);
    let acting = app.aws.calls().account(DEV).only(|call| {
        [
            "UpdateAutoScalingGroup",
            "StopInstances",
            "StartInstances",
            "TerminateInstances",
            "CreateTags",
            "CancelSpotInstanceRequests",
        ]
        .contains(&call.action.as_str())
    });
    assert!(acting.len() >= 5 && acting.iter().all(|call| call.dry_run), "{acting:?}");
    let nothing = ada.post(&format!("aws-accounts/{TEST}/verify"), json!({})).await;
    let stop =
        nothing["permissions"].as_array().unwrap().iter().find(|it| it["action"] == "ec2:StopInstances").unwrap();
    assert_eq!(stop["allowed"], "unproven", "there is no instance to try it on: {nothing:#}");
    app.stop().await;
}

#[tokio::test]
async fn an_aws_account_belongs_to_one_account_and_zeroclouds_own_to_nobody_by_asking() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let eve = crate::api::Program::with(&app, app.sign_in_to("other", "eve").await, &["read", "admin"]).await;
    app.until("it is connected", || async { document(&app, &format!("aws_account::bigdb::{DEV}")).await }).await;
    let begun = eve.post("aws-accounts", json!({ "id": DEV, "name": "mine" })).await;
    let secret = begun["external_id"].as_str().unwrap();
    let verified = eve.post(&format!("aws-accounts/{DEV}/verify"), json!({})).await;
    assert!(verified["connected"] == false && !verified.to_string().contains("another Account"), "{verified:#}");
    // Also one who may change the role there takes it from nobody.
    app.aws.edit_role(&role(DEV), |role| role.also = [secret.to_owned()].into());
    let verified = eve.post(&format!("aws-accounts/{DEV}/verify"), json!({})).await;
    assert!(verified["connected"] == false && verified.to_string().contains("another Account"), "{verified:#}");
    assert!(!verified.to_string().contains("bigdb"), "{verified:#}");
    assert!(document(&app, &format!("aws_account::other::{DEV}")).await.is_none());
    // zerocloud's own keys answer in its own AWS account, whoever asks.
    let home = Home::default().account;
    let begun = eve.post("aws-accounts", json!({ "id": home })).await;
    assert_eq!(begun["role_arn"], role(&home));
    let verified = eve.post(&format!("aws-accounts/{home}/verify"), json!({})).await;
    assert_eq!(verified["connected"], false);
    app.stop().await;
    let app = TestApp::start(Setup::default()).await;
    let ada = crate::api::Program::all(&app, "ada").await;
    let begun = ada.post("aws-accounts", json!({ "id": home, "regions": [EAST] })).await;
    assert!(begun.get("role_arn").is_none() && begun.get("external_id").is_none(), "{begun}");
    let verified = ada.post(&format!("aws-accounts/{home}/verify"), json!({})).await;
    assert_eq!((verified["connected"] == true, verified["new"] == true), (true, true), "{verified:#}");
    app.stop().await;
}

#[tokio::test]
async fn an_external_id_is_rotated_while_zerocloud_goes_on() {
    let app = TestApp::start(Setup::default()).await;
    let ada = crate::api::Program::all(&app, "ada").await;
    let (path, doc_id) = (format!("aws-accounts/{DEV}"), format!("aws_account::bigdb::{DEV}"));
    app.until("it is connected", || async { document(&app, &doc_id).await }).await;
    let old = format!("external-{DEV}");
    let new = ada.post(&format!("{path}/rotate"), json!(null)).await["external_id"].as_str().unwrap().to_owned();
    assert_eq!(ada.post(&format!("{path}/rotate"), json!(null)).await["external_id"], new, "begun again it stays");
    let template = ada.text(&format!("{path}/template?kind=cli")).await;
    assert!(
        template.contains(&old) && template.contains(&new) && template.contains("--policy-name terminate"),
        "{template}"
    );
    let verified = ada.post(&format!("{path}/verify"), json!({})).await;
    assert!(verified.to_string().contains("goes on with the old one"), "{verified:#}");
    assert_eq!(document(&app, &doc_id).await.unwrap()["external_id"], old);
    app.aws.edit_role(&role(DEV), |role| role.also = [new.clone()].into());
    let verified = ada.post(&format!("{path}/verify"), json!({})).await;
    assert!(verified.to_string().contains("still takes the old one"), "{verified:#}");
    assert_eq!(document(&app, &doc_id).await.unwrap()["external_id"], new);
    let template = ada.text(&format!("{path}/template")).await;
    assert!(!template.contains(&old) && template.contains(&new));
    app.aws.edit_role(&role(DEV), |role| {
        role.external_id = Some(new.clone());
        role.also.clear();
    });
    let verified = ada.post(&format!("{path}/verify"), json!({})).await;
    assert!(verified.to_string().contains("It is rotated"), "{verified:#}");
    let body = document(&app, &doc_id).await.unwrap();
    assert!(body.get("external_id_former").is_none() && body.get("external_id_next").is_none(), "{body}");
    app.polled(DEV, EAST, 2).await;
    app.stop().await;
}

#[tokio::test]
async fn an_external_id_is_shown_to_who_may_connect_and_to_no_token_that_only_reads() {
    let app = TestApp::start(Setup::default()).await;
    let ada = crate::api::Program::all(&app, "ada").await;
    let key = [("idempotency-key", "one try")];
    let begun = ada.send(reqwest::Method::POST, "aws-accounts", &key, Some(json!({ "id": NEW }))).await;
    let secret = begun.body["external_id"].as_str().unwrap().to_owned();
    assert_eq!(ada.get(&format!("aws-accounts/{NEW}/access")).await["external_id"], secret);
    let reader = crate::api::Program::with(&app, app.sign_in("ada").await, &["read"]).await;
    for program in [&ada, &reader] {
        let begun = program.get("aws-accounts/begun").await;
        assert_eq!(begun[0]["id"], NEW);
        assert!(!begun.to_string().contains(&secret), "{begun}");
    }
    for (method, path) in [
        (reqwest::Method::GET, format!("aws-accounts/{NEW}/access")),
        (reqwest::Method::GET, format!("aws-accounts/{NEW}/template")),
        (reqwest::Method::POST, "aws-accounts".to_owned()),
    ] {
        let refused = reader.send(method, &path, &[], Some(json!({ "id": NEW }))).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.body);
    }
    // Nor by a key that was used before.
    for program in [&ada, &reader] {
        let again = program.send(reqwest::Method::POST, "aws-accounts", &key, Some(json!({ "id": NEW }))).await;
        assert!(again.status == 409 && again.body["detail"].as_str().unwrap().contains("/access"), "{}", again.body);
    }
    let kept = format!("{:?}", app.store.prefix("call::").await.unwrap());
    assert!(kept.contains("call::") && !kept.contains(&secret), "{kept}");
    app.stop().await;
}

/// The command line, signed in with that token: exit code and what it printed.
async fn command(app: &TestApp, token: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_zerocloud"));
    command.env("ZEROCLOUD_URL", &app.web).env("ZEROCLOUD_TOKEN", token).env("NO_COLOR", "1").kill_on_drop(true);
    let run = command.arg("aws").args(arguments).stdin(std::process::Stdio::null()).output();
    let output = tokio::time::timeout(std::time::Duration::from_mins(1), run).await.unwrap().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text)
}

#[tokio::test]
async fn the_command_line_connects_verifies_disables_and_removes() {
    let app = TestApp::start(Setup::default()).await;
    app.aws.add_account(NEW);
    app.aws.only_regions(NEW, &[EAST]);
    app.until("another is connected", || async { document(&app, &format!("aws_account::bigdb::{DEV}")).await }).await;
    let token = crate::api::Program::all(&app, "ada").await.token;
    let run = async |arguments: &[&str]| command(&app, &token, arguments).await;
    let (code, text) = run(&["add", NEW, "--name", "Lab", "--regions", EAST]).await;
    let secret = external_id(&app, "bigdb", NEW).await;
    assert!(code == 0 && text.contains(&secret) && text.contains("zerocloud aws verify"), "{text}");
    let (code, text) = run(&["template", NEW, "--kind", "terraform", "--ends", "stop", "--tags", "true"]).await;
    assert!(code == 0 && text.contains(&secret) && text.contains("default     = \"stop\""), "{text}");
    let (_, text) = run(&["list"]).await;
    assert!(text.contains("not verified yet") && text.contains(DEV), "{text}");
    let (code, text) = run(&["verify", NEW]).await;
    assert!(code == 3 && text.contains("cannot assume"), "{code} {text}");
    app.aws.add_role(Role::new(NEW, "zerocloud").external_id(secret).lacks("ec2:DescribeVolumes"));
    let (code, text) = run(&["verify", NEW]).await;
    for said in ["Connected, at stage observe; 1 permission is missing", "ec2:DescribeVolumes is missing; add:"] {
        assert!(code == 3 && text.contains(said), "{text}");
    }
    let (code, text) = run(&["remove", NEW]).await;
    assert!(code == 1 && text.contains("disable it first"), "{text}");
    assert_eq!(run(&["disable", NEW]).await.0, 0);
    let (code, text) = run(&["remove", NEW]).await;
    assert!(code == 0 && text.contains("Nothing was ended there"), "{text}");
    assert!(!run(&["list"]).await.1.contains(NEW));
    app.stop().await;
}

#[tokio::test]
async fn what_is_removed_ends_nothing_is_forgotten_and_stays_away_until_somebody_connects_it_again() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let (id, other) = (
        app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example")),
        app.aws.at(TEST, EAST).launch(&owned_by("max@bigdb.example")),
    );
    app.settled(&id, "lin").await;
    app.lease_where(&other, "leased", |_| true).await;
    let ada = crate::api::Program::all(&app, "ada").await;
    let path = format!("aws-accounts/{DEV}");
    let refused = ada.send(reqwest::Method::DELETE, &path, &[], None).await;
    assert_eq!((refused.status, refused.body["detail"].as_str().unwrap().contains("disable it first")), (422, true));
    let etag = ada.send(reqwest::Method::GET, &path, &[], None).await.etag;
    let disabled =
        ada.send(reqwest::Method::PATCH, &path, &[("if-match", &etag)], Some(json!({ "disabled": true }))).await;
    assert_eq!(disabled.status, 200, "{}", disabled.body);
    assert_eq!(ada.send(reqwest::Method::DELETE, &path, &[], None).await.status, 204);
    for prefix in ["lease", "resource", "notice", "region", "aws_claim"] {
        assert!(app.store.prefix(&format!("{prefix}::{DEV}")).await.unwrap().is_empty(), "{prefix}");
    }
    assert!(document(&app, &format!("aws_account::bigdb::{DEV}")).await.is_none());
    assert!(app.aws.instance(&id).unwrap().state == ec2_double::State::Running);
    // config.yml names it still, and polls and sweeps go on.
    app.polled(TEST, EAST, 3).await;
    assert!(app.lease(&id).await.is_none() && document(&app, &format!("aws_account::bigdb::{DEV}")).await.is_none());
    assert_eq!(app.lease(&other).await.unwrap().state, State::Active);
    let app = app.restart(|setup| setup).await;
    app.polled(TEST, EAST, 2).await;
    assert!(document(&app, &format!("aws_account::bigdb::{DEV}")).await.is_none());
    // Begun again and dropped, or forgotten, it was removed all the same.
    let ada = crate::api::Program::all(&app, "ada").await;
    ada.post("aws-accounts", json!({ "id": DEV })).await;
    let setup = format!("aws_setup::bigdb::{DEV}");
    app.advance(31 * 86_400);
    app.polled(TEST, EAST, 3).await;
    assert_eq!(ada.get("aws-accounts/begun").await[0]["id"], DEV, "not cleaned away");
    assert_eq!(ada.send(reqwest::Method::DELETE, &path, &[], None).await.status, 204);
    let marker = document(&app, &setup).await.unwrap();
    assert!(marker.get("removed_at").is_some() && marker.get("external_id").is_none(), "{marker}");
    assert_eq!(ada.get("aws-accounts/begun").await, json!([]));
    let app = app.restart(|setup| setup).await;
    app.polled(TEST, EAST, 2).await;
    assert!(document(&app, &format!("aws_account::bigdb::{DEV}")).await.is_none());
    let ada = crate::api::Program::all(&app, "ada").await;
    let begun = ada.post("aws-accounts", json!({ "id": DEV, "regions": [EAST] })).await;
    app.aws.edit_role(&role(DEV), |role| role.external_id = begun["external_id"].as_str().map(str::to_owned));
    let verified = ada.post(&format!("aws-accounts/{DEV}/verify"), json!({})).await;
    assert_eq!(verified["new"], true, "{verified:#}");
    let lease = app.lease_where(&id, "leased again", |_| true).await;
    assert!(lease.expires_at.seconds_since(app.clock.now()) > 2 * 86_400, "with a full lease");
    app.stop().await;
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_finished_by_the_next_and_takes_nothing_from_who_has_it_then() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let ada = crate::api::Program::all(&app, "ada").await;
    let (id, path) = (format!("aws_account::bigdb::{DEV}"), format!("aws-accounts/{DEV}"));
    app.until("it is connected", || async { document(&app, &id).await }).await;
    let remove = async || ada.send(reqwest::Method::DELETE, &path, &[], None).await.status;
    app.edit(&id, |doc| doc["disabled"] = true.into()).await;
    assert_eq!(remove().await, 204);
    assert_eq!(remove().await, 404, "there is nothing left to do");
    // As it stands when the process died before the last two steps.
    let left = |account: &str| {
        let claim = json!({ "account": account, "aws_id": DEV, "claimed_at": app.clock.now() });
        ("aws_claim", zerocloud::model::Doc { id: format!("aws_claim::{DEV}"), rev: None, body: claim })
    };
    let key = json!({ "account": "bigdb", "aws_id": DEV, "speaks_for": [TEST], "hash": "", "made_by": "ada",
        "created": app.clock.now() });
    let key = zerocloud::model::Doc { id: format!("event_key::bigdb::{DEV}::0123456789abcdef"), rev: None, body: key };
    app.store.put("event_key", &key).await.unwrap();
    let (kind, claim) = left("bigdb");
    app.store.put(kind, &claim).await.unwrap();
    assert_eq!(remove().await, 204);
    assert!(document(&app, &claim.id).await.is_none() && document(&app, &key.id).await.is_none());
    let (kind, claim) = left("other");
    app.store.put(kind, &claim).await.unwrap();
    assert_eq!(remove().await, 404);
    assert_eq!(document(&app, &claim.id).await.unwrap()["account"], "other");
    app.stop().await;
}

#[tokio::test]
async fn a_broken_role_shows_on_the_status_page_and_is_mailed_to_admins_once() {
    let app = TestApp::start(Setup::default()).await;
    app.polled(DEV, EAST, 2).await;
    app.until("stages are noted", || async {
        let body = document(&app, &format!("aws_account::bigdb::{DEV}")).await?;
        body.get("stage_accepted").map(|_| ())
    })
    .await;
    let told = || {
        let mails = app.aws.mails();
        mails
            .into_iter()
            .filter(|mail| mail.subject.contains(&format!("cannot read AWS account AWS {DEV}")))
            .collect::<Vec<_>>()
    };
    app.aws.remove_role(&role(DEV));
    app.polled(TEST, EAST, 3).await;
    assert!(told().is_empty(), "not at the first failure");
    app.advance(700);
    let mail = app.until("a mail", || async { told().into_iter().next() }).await;
    assert!(
        mail.is_to("ada@bigdb.example") && mail.text.contains(&format!("zerocloud aws verify {DEV}")),
        "{}",
        mail.text
    );
    app.polled(TEST, EAST, 3).await;
    app.advance(3_600);
    app.polled(TEST, EAST, 3).await;
    assert_eq!(told().len(), 1, "once, and to admins alone");
    let ada = app.sign_in("ada").await;
    let words = ada.get("/status").await.words();
    assert!(words.contains("cannot be read, so nothing ends there"), "{words}");
    let app = app.restart(|setup| setup).await;
    app.polled(TEST, EAST, 2).await;
    app.advance(700);
    app.polled(TEST, EAST, 3).await;
    let mails = app.aws.mails();
    assert_eq!(
        mails.iter().filter(|mail| mail.subject.contains("cannot read AWS account")).count(),
        1,
        "nor after a restart"
    );
    app.aws.add_role(Role::new(DEV, "zerocloud").external_id(format!("external-{DEV}")));
    app.until("it is well again", || async {
        let body = document(&app, &format!("aws_account::bigdb::{DEV}")).await?;
        body.get("trouble").is_none().then_some(())
    })
    .await;
    app.stop().await;
}
