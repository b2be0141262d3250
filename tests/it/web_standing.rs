//! Admins' pages: how things stand, pausing, stages, the audit.

use crate::app::{DEV, EAST, Setup, TEST, TestApp, WEST, owned_by};
use reqwest::StatusCode;
use serde_json::{Value, json};
use zerocloud::model::{Doc, HoldKind, State};

async fn status(browser: &crate::browser::Browser) -> Value {
    let page = browser.get("/status.json").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.words());
    serde_json::from_str(&page.text).unwrap()
}

/// Waits until the AWS accounts are connected and their stage is noted.
async fn connected(app: &TestApp) {
    app.until("the AWS accounts are connected", || async {
        let docs = app.store.prefix("aws_account::bigdb::").await.unwrap();
        (docs.len() == 2 && docs.iter().all(|doc| doc.body.get("stage_accepted").is_some())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_runs_is_what_is_leased_and_what_is_held_in_every_place() {
    let app = TestApp::start(Setup::default().policy("min_notice", "1s").policy("grace", "1s")).await;
    let ada = app.sign_in("ada").await;
    let one = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let two = app.aws.at(TEST, WEST).launch(&owned_by("max@bigdb.example"));
    app.settled(&one, "lin").await;
    let lease = app.settled(&two, "max").await;
    let page = ada.act(&format!("/aws-accounts/{TEST}"), &[]).await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(page.words().contains("To my leases"), "{}", page.words());
    let page = ada.act("/pause", &[("aws_id", TEST), ("reason", "the fair")]).await;
    assert!(page.words().contains("Paused: no end starts until you resume"), "{}", page.words());
    app.clock.set(lease.ends_at.plus(1));
    let held = |lease: &zerocloud::model::Lease| lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Pause);
    app.lease_where(&two, "held by the pause", held).await;
    app.lease_where(&one, "stopped", |lease| lease.state == State::Stopped).await;
    // A session lasts half a day.
    let ada = app.sign_in("ada").await;
    app.until("the numbers", || async {
        let all = status(&ada).await;
        let at = |aws: &str, region: &str| {
            let mut rows = all["regions"].as_array().unwrap().iter();
            let row = rows.find(|row| row["aws_id"] == aws && row["region"] == region).cloned().unwrap_or_default();
            [&row["running"], &row["leased"], &row["held"], &row["without"], &row["stopped"]].map(Value::as_u64)
        };
        let numbers = |running, leased, held, stopped| [running, leased, held, 0, stopped].map(Some);
        let total = &all["total"];
        let adds = total["running"].as_u64() == Some(1) && total["held"].as_u64() == Some(1);
        let polled = all["polled_at"].is_string() && all["leader"]["holder"].is_string();
        let fits = at(DEV, EAST) == numbers(0, 0, 0, 1) && at(TEST, WEST) == numbers(1, 0, 1, 0);
        (fits && adds && polled && all["holds"] == json!({"pause": 1})).then_some(())
    })
    .await;
    let words = ada.get("/status").await.words();
    assert!(words.contains("1 running = 0 leased + 1 held"), "{words}");
    let page = ada.act("/resume", &[("aws_id", TEST)]).await;
    assert!(page.words().contains("Resumed."), "{}", page.words());
    app.lease_where(&two, "not held", |lease| !held(lease)).await;
    // What stands still and is held counts as well.
    ada.act("/pause", &[("aws_id", DEV), ("reason", "the audit")]).await;
    app.clock.set(app.lease(&one).await.unwrap().ends_at.plus(1));
    let stopped = |lease: &zerocloud::model::Lease| lease.state == State::Stopped && lease.hold.is_some();
    app.lease_where(&one, "held while it is stopped", stopped).await;
    let ada = app.sign_in("ada").await;
    app.until("it counts", || async {
        let all = status(&ada).await;
        let kinds: u64 = all["holds"].as_object()?.values().filter_map(Value::as_u64).sum();
        (all["total"]["stopped_held"] == 1 && kinds >= 1).then_some(())
    })
    .await;
    let words = ada.get("/status").await.words();
    assert!(words.contains("of them 1 held"), "{words}");
    app.stop().await;
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_named_to_its_own_admins_alone() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let (ada, eve) = (app.sign_in("ada").await, app.sign_in_to("other", "eve").await);
    let body = json!({ "account": "bigdb", "resource_id": "i-odd", "state": "unheard of" });
    let id = format!("lease::{DEV}::{EAST}::i-odd");
    app.store.put("lease", &Doc { id: id.clone(), rev: None, body }).await.unwrap();
    app.until("it is named", || async { ada.get("/status").await.text.contains(&id).then_some(()) }).await;
    assert!(!eve.get("/status").await.text.contains("i-odd"));
    app.stop().await;
}

#[tokio::test]
async fn a_stage_rises_one_step_at_a_time_and_falls_any_number() {
    let app = TestApp::start(Setup::default().stage("observe")).await;
    connected(&app).await;
    let ada = app.sign_in("ada").await;
    let path = format!("/aws-accounts/{DEV}");
    let page = ada.get(&path).await.words();
    assert!(page.contains("Raise to notify") && !page.contains("Raise to stop"), "{page}");
    let skipped = ada.act(&format!("{path}/stage"), &[("to", "stop")]).await;
    assert_eq!(skipped.status, StatusCode::FORBIDDEN);
    assert!(skipped.words().contains("A stage rises one step at a time"), "{}", skipped.words());
    for stage in ["notify", "stop", "terminate", "observe"] {
        let page = ada.act(&format!("{path}/stage"), &[("to", stage)]).await;
        assert!(page.words().contains(&format!("Stage {stage}:")), "{}", page.words());
    }
    let since = app
        .until("the lowering is noted", || async {
            let doc = app.store.get::<Value>(&format!("aws_account::bigdb::{DEV}")).await.unwrap().unwrap();
            doc.body["stage_lowered"].as_str().map(str::to_owned)
        })
        .await;
    let shown = format!("In force since <time datetime=\"{since}\"");
    app.until("it shows", || async { ada.get(&path).await.text.contains(&shown).then_some(()) }).await;
    let odd = ada.act(&format!("{path}/stage"), &[("to", "explode")]).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    app.stop().await;
}

#[tokio::test]
async fn regions_are_checked_and_an_account_is_disabled_and_enabled_again() {
    let app = TestApp::start(Setup::default()).await;
    connected(&app).await;
    let ada = app.sign_in("ada").await;
    let path = format!("/aws-accounts/{DEV}");
    let page = ada.act(&format!("{path}/regions"), &[("regions", "us-east-1 Mars!")]).await;
    assert!(page.words().contains("Mars! is no region"), "{}", page.words());
    for (named, said) in [
        ("us-east-1 mars-1", "There is no region mars-1 in AWS"),
        (
            "us-east-1, us-west-2",
            "Not enabled in this AWS account, or no region at all: us-west-2; enabled are eu-west-1, us-east-1.",
        ),
        ("us-east-1", "zerocloud looks at 1 region here"),
    ] {
        let page = ada.act(&format!("{path}/regions"), &[("regions", named)]).await;
        assert!(page.words().contains(said), "{}", page.words());
    }
    // Where it cannot be known, what looks like a region is believed, and that is said.
    app.aws.edit_role(&format!("arn:aws:iam::{DEV}:role/zerocloud"), |role| {
        role.lacks.insert("ec2:DescribeRegions".to_owned());
    });
    let page = ada.act(&format!("{path}/regions"), &[("regions", "us-east-1, us-west-2")]).await;
    assert!(page.words().contains("only the form of the names was checked"), "{}", page.words());
    let doc = app.store.get::<Value>(&format!("aws_account::bigdb::{DEV}")).await.unwrap().unwrap();
    assert_eq!(doc.body["regions"], json!(["us-east-1", "us-west-2"]));
    let page = ada.get(&format!("{path}/enabled")).await.words();
    assert!(page.contains("Disabled, it is neither polled nor acted on"), "{page}");
    let page = ada.act(&format!("{path}/enabled"), &[("enabled", "no")]).await;
    assert!(page.words().contains("Disabled: it is neither polled nor acted on."), "{}", page.words());
    app.until("it shows", || async { ada.get(&path).await.words().contains("Enable it again").then_some(()) }).await;
    app.stop().await;
}

#[tokio::test]
async fn an_admin_lifts_what_the_operator_paused_on_the_command_line() {
    let app = TestApp::start(Setup::default()).await;
    connected(&app).await;
    let ada = app.sign_in("ada").await;
    let body =
        json!({ "account": "bigdb", "aws_id": DEV, "reason": "night", "by": "operator", "since": app.clock.now() });
    let id = format!("pause::bigdb::{DEV}");
    app.store.put("pause", &Doc { id: id.clone(), rev: None, body }).await.unwrap();
    let path = format!("/aws-accounts/{DEV}");
    app.until("it shows", || async { ada.get(&path).await.words().contains("by operator: night").then_some(()) }).await;
    let page = ada.act("/resume", &[("aws_id", DEV)]).await;
    assert!(page.words().contains("Resumed."), "{}", page.words());
    let doc = app.store.get::<Value>(&id).await.unwrap().unwrap();
    assert!(doc.body["resumed_at"].is_string(), "{}", doc.body);
    let page = ada.act("/pause", &[("aws_id", DEV), ("reason", "")]).await;
    assert!(page.words().contains("Say why"), "{}", page.words());
    app.stop().await;
}

#[tokio::test]
async fn the_audit_is_paged_newest_first_and_filtered() {
    let app = TestApp::start(Setup::default()).await;
    let ada = app.sign_in("ada").await;
    let now = app.clock.now();
    // Some of the last minutes, and some of months ago.
    let docs: Vec<_> = (0..130)
        .map(|number: i64| {
            let at = now.plus(if number < 100 { -number * 60 - 60 } else { -number * 86_400 });
            let lease = format!("lease::{DEV}::{EAST}::i-{number:03}");
            let state = if number % 10 == 0 { "stopped" } else { "active" };
            let body = json!({
                "account": "bigdb", "lease": lease, "at": at, "cause": null, "reason": format!("reason {number:03}."),
                "decision": { "state": state, "owner": "lin" }, "outcome": "saved", "purge_at": now.plus(1_000_000),
            });
            ("event", Doc { id: format!("event::bigdb::{at}::{DEV}::{EAST}::i-{number:03}::1"), rev: None, body })
        })
        .collect();
    for put in app.store.put_many(docs).await.unwrap() {
        put.unwrap();
    }
    let mut path = "/events".to_owned();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = ada.get(&path).await;
        let found = page.text.split("reason ").skip(1).map(|rest| rest[..3].to_owned());
        seen.extend(found.filter(|text| text.bytes().all(|b| b.is_ascii_digit())));
        let next = page.text.split("href=\"/events?").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        match next {
            Some(next) => path = format!("/events?{}", next.replace("&amp;", "&").replace("&#x2f;", "/")),
            None => break,
        }
    }
    let wanted: Vec<String> = (0..130).map(|number| format!("{number:03}")).collect();
    assert_eq!(seen, wanted);
    let stopped = ada.get("/events?state=stopped").await.text;
    assert_eq!(stopped.matches(">reason ").count(), 13, "{stopped}");
    let one = ada.get("/events?q=I-129").await.text;
    assert!(one.contains("reason 129.") && one.matches(">reason ").count() == 1);
    // That an AWS account came is an event of it.
    assert!(ada.get("/events?aws=999988887777").await.words().contains("No events that fit"));
    // The same for programs: nothing twice, nothing passed over, and no more at once than was asked for.
    let part = async |query: String| -> Value {
        let answer = ada.get(&format!("/api/v1/history?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
        serde_json::from_str(&answer.text).unwrap()
    };
    let (mut seen, mut query) = (Vec::new(), "limit=40".to_owned());
    for round in 0.. {
        let part = part(query).await;
        let items = part["items"].as_array().unwrap();
        let reasons = items.iter().filter_map(|item| item["reason"].as_str()?.strip_prefix("reason "));
        seen.extend(reasons.map(|rest| rest[..3].to_owned()));
        assert!(items.len() == 40 || part["next"].is_null(), "{} in round {round}", items.len());
        assert!(part["total"].is_null(), "nobody counts what is not shown: {part}");
        let Some(next) = part["next"].as_str() else { break };
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        query = format!("limit=40&cursor={next}");
    }
    assert_eq!(seen, wanted);
    let one = part(format!("lease={DEV}::{EAST}::i-129")).await;
    assert!(one["items"].as_array().unwrap().len() == 1 && one["next"].is_null(), "{one}");
    assert_eq!(ada.get("/api/v1/history?cursor=guess").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    app.stop().await;
}

#[tokio::test]
async fn what_a_week_cost_rests_on_how_leases_stood_before_it() {
    let app = TestApp::start(Setup::default().stage("observe")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.lease_where(&id, "leased", |_| true).await;
    let begun = app.clock.now();
    // Stopped for most of the time, and started again in the middle of the week.
    let docs = [(5, "stopped"), (18, "active")].map(|(day, state)| {
        let at = begun.plus(day * 86_400);
        let body = json!({
            "account": "bigdb", "lease": lease.key().lease_id(), "at": at, "cause": null, "reason": state,
            "decision": { "state": state, "owner": "lin" }, "outcome": "saved", "purge_at": at.plus(90 * 86_400),
        });
        ("event", Doc { id: format!("event::bigdb::{at}::{}::90", lease.key()), rev: None, body })
    });
    for put in app.store.put_many(docs.to_vec()).await.unwrap() {
        put.unwrap();
    }
    app.advance(20 * 86_400);
    let ada = app.sign_in("ada").await;
    let days = async |days: usize| -> Vec<Value> {
        let costs = ada.get(&format!("/api/v1/costs?days={days}")).await;
        let costs: Value = serde_json::from_str(&costs.text).unwrap();
        costs["days"].as_array().unwrap_or_else(|| panic!("{costs}")).clone()
    };
    let week = days(7).await;
    assert_eq!(week.len(), 7);
    let cost = |day: usize| week[day]["cost"].as_u64().unwrap();
    assert!(cost(1) * 2 < cost(5), "it stood still, then ran: {week:?}");
    assert_eq!(days(30).await[24..29], week[1..6], "whole days cost the same, however many are asked for");
    app.stop().await;
}

#[tokio::test]
async fn a_permission_that_is_missing_everywhere_is_said_once_for_each_aws_account() {
    let app = TestApp::start(Setup::default()).await;
    let ada = app.sign_in("ada").await;
    app.aws.edit_role(&format!("arn:aws:iam::{DEV}:role/zerocloud"), |role| {
        role.lacks.insert("autoscaling:DescribeAutoScalingGroups".to_owned());
    });
    for path in ["/status".to_owned(), format!("/aws-accounts/{DEV}")] {
        let words = app
            .until("it is told", || async {
                let words = ada.get(&path).await.words();
                words.contains("So it is in all 2 regions.").then_some(words)
            })
            .await;
        assert_eq!(words.matches("does not let zerocloud call").count(), 1, "{words}");
    }
    let page = ada.get("/status").await.text;
    let rows = page.matches(&format!("<td class=\"whole\"><a href=\"/aws-accounts/{DEV}\">")).count();
    assert_eq!(rows, 1, "regions where nothing is share a row: {page}");
    assert!(
        page.contains("<span class=\"nowrap\">eu-west-1,</span> <span class=\"nowrap\">us-east-1</span>"),
        "{page}"
    );
    app.stop().await;
}
