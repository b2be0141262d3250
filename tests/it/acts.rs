//! What admins do stands in the audit: by whom, from what to what, once; on whatever way it came.

use crate::api::Program;
use crate::app::{DEV, EAST, Setup, TestApp, gateway, owned_by};
use ec2_double::Role;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use zerocloud::follower::{self, Index, Seen, Tap};
use zerocloud::model::Doc;

/// The events about what admins did, oldest first: act, who, and the sentence.
async fn acts(app: &TestApp) -> Vec<(String, String, String)> {
    let events = app.store.prefix("event::bigdb::").await.unwrap();
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let acts = events.iter().map(|doc| &doc.body).filter(|event| event.get("act").is_some());
    acts.map(|event| (text(event, "act"), text(event, "by"), text(event, "reason"))).collect()
}

/// Waits for an event whose sentence begins like that; gives who did it.
async fn told(app: &TestApp, sentence: &str) -> String {
    app.until(sentence, || async {
        let all = acts(app).await;
        all.into_iter().find(|(_, _, reason)| reason.starts_with(sentence)).map(|(_, by, _)| by)
    })
    .await
}

/// Waits until what stands there at the start is known.
async fn begun(app: &TestApp) {
    app.until("the recorder knows what is there", || async { app.store.get::<Value>("known::begun").await.unwrap() })
        .await;
}

#[tokio::test]
async fn what_admins_do_over_the_api_is_in_the_audit_with_who_and_from_what_to_what() {
    let app = TestApp::start(Setup::default().stage("observe")).await;
    begun(&app).await;
    let ada = Program::all(&app, "ada").await;
    assert_eq!(told(&app, "Token a test of ada made").await, "bigdb.ada");
    let layer = |grace: i64| Some(json!({ "policy": { "grace": grace } }));
    let made = ada.send(Method::PUT, "policies/user:lin", &[("if-none-match", "*")], layer(7_200)).await;
    assert_eq!(told(&app, "Policy of lin: grace – → 2 hours").await, "bigdb.ada");
    let more = ada.send(Method::PUT, "policies/user:lin", &[("if-match", &made.etag)], layer(10_800)).await;
    assert_eq!(more.status, 200, "{}", more.body);
    assert_eq!(told(&app, "Policy of lin: grace 2 hours → 3 hours").await, "bigdb.ada");
    ada.send(Method::DELETE, "policies/user:lin", &[("if-match", &more.etag)], None).await;
    assert_eq!(told(&app, "Policy of lin removed").await, "bigdb.ada");
    let path = format!("aws-accounts/{DEV}");
    let etag = ada.send(Method::GET, &path, &[], None).await.etag;
    ada.send(Method::PATCH, &path, &[("if-match", &etag)], Some(json!({ "stage": "notify" }))).await;
    assert_eq!(told(&app, &format!("AWS account {DEV} AWS {DEV}: stage observe → notify")).await, "bigdb.ada");
    ada.send(Method::PUT, "pauses/account", &[], Some(json!({ "reason": "a demo" }))).await;
    assert_eq!(told(&app, "The whole Account: paused: a demo").await, "bigdb.ada");
    ada.send(Method::DELETE, "pauses/account", &[], None).await;
    assert_eq!(told(&app, "The whole Account: resumed").await, "bigdb.ada");
    let rule = json!({ "by": "name", "value": "web-*", "reason": "live", "until": "2099-01-01T00:00:00Z" });
    ada.send(Method::POST, "exemptions", &[], Some(rule)).await;
    assert_eq!(told(&app, "Account: exemption ").await, "bigdb.ada");
    let hook = json!({ "name": "ops", "url": "https://hooks.example/SECRET" });
    let hook = ada.send(Method::POST, "hooks", &[], Some(hook)).await;
    assert_eq!(told(&app, "Hook ops to https://hooks.example made").await, "bigdb.ada");
    ada.send(Method::DELETE, &format!("hooks/{}", hook.body["id"].as_str().unwrap()), &[], None).await;
    assert_eq!(told(&app, "Hook ops to https://hooks.example removed").await, "bigdb.ada");
    let kim = ada.send(Method::POST, "users", &[], Some(json!({ "email": "kim@bigdb.example" }))).await;
    let kim = kim.body["id"].as_str().unwrap();
    assert_eq!(told(&app, &format!("kim@bigdb.example ({kim}) may come in as dev")).await, "bigdb.ada");
    ada.send(Method::DELETE, &format!("users/{kim}"), &[], None).await;
    assert_eq!(told(&app, &format!("kim@bigdb.example ({kim}) removed")).await, "bigdb.ada");

    let history = ada.get("history?acts=true&limit=500").await;
    let stage = history["items"].as_array().unwrap().iter().find(|event| event["act"] == "aws_account").unwrap();
    assert_eq!(stage["changes"], json!([{ "what": "stage", "before": "observe", "after": "notify" }]));
    let said = history.to_string();
    assert!(!said.contains("SECRET") && !said.contains("external-") && !said.contains(&ada.token()[5..]), "{said}");
    let page = app.sign_in("ada").await.get("/events?state=by+admins").await;
    assert!(page.words().contains("stage observe → notify") && page.words().contains("by Ada"), "{}", page.words());
    app.stop().await;
}

#[tokio::test]
async fn an_aws_account_that_comes_changes_and_goes_is_in_the_audit_with_its_keys_and_with_who() {
    const NEW: &str = "777788889999";
    let role = |name: &str| format!("arn:aws:iam::{NEW}:role/{name}");
    let app = TestApp::start(Setup::default()).await;
    app.aws.add_account(NEW);
    begun(&app).await;
    let ada = Program::all(&app, "ada").await;
    let (path, what) = (format!("aws-accounts/{NEW}"), format!("AWS account {NEW} Lab"));
    let secret = async |answer: Value| answer["external_id"].as_str().unwrap().to_owned();
    let old = secret(ada.post("aws-accounts", json!({ "id": NEW, "name": "Lab", "regions": [EAST] })).await).await;
    app.aws.add_role(Role::new(NEW, "zerocloud").external_id(&old));
    let verify = async |wish: Value| ada.post(&format!("{path}/verify"), wish).await;
    verify(json!({})).await;
    assert_eq!(told(&app, &format!("{what} is here, at stage observe")).await, "bigdb.ada");
    let new = secret(ada.post(&format!("{path}/rotate"), json!(null)).await).await;
    assert_eq!(told(&app, &format!("{what}: rotation – → begun")).await, "bigdb.ada");
    app.aws.edit_role(&role("zerocloud"), |role| role.also = [new.clone()].into());
    verify(json!({})).await;
    assert_eq!(told(&app, &format!("{what}: rotation begun → ending")).await, "bigdb.ada");
    app.aws.add_role(Role::new(NEW, "other").external_id(&new));
    verify(json!({ "role_arn": role("other") })).await;
    told(&app, &format!("{what}: rotation ending → –")).await;
    let renamed = format!("{what}: role_arn {} → {}", role("zerocloud"), role("other"));
    assert_eq!(told(&app, &renamed).await, "bigdb.ada");
    app.sign_in("ada").await.act(&format!("/aws-accounts/{NEW}/tags"), &[("write", "yes")]).await;
    assert_eq!(told(&app, &format!("{what}: write_tags – → true")).await, "bigdb.ada");

    let keys = format!("{path}/event-keys");
    let key = |name: &str| format!("Event key {name} of AWS account {NEW}");
    for name in ["east", "west"] {
        let made = ada.post(&keys, json!({ "name": name })).await;
        assert_eq!(told(&app, &format!("{} made", key(name))).await, "bigdb.ada");
        if name == "east" {
            ada.post(&format!("{keys}/{}/rotate", made["id"].as_str().unwrap()), json!({})).await;
            assert_eq!(told(&app, &format!("{}: expires – → 2", key(name))).await, "bigdb.ada");
            ada.send(Method::DELETE, &format!("{keys}/{}", made["id"].as_str().unwrap()), &[], None).await;
            assert_eq!(told(&app, &format!("{} removed", key(name))).await, "bigdb.ada");
        }
    }
    ada.send(Method::PUT, &format!("pauses/{NEW}"), &[], Some(json!({ "reason": "a demo" }))).await;
    app.edit(&format!("aws_account::bigdb::{NEW}"), |doc| doc["disabled"] = true.into()).await;
    told(&app, &format!("{what}: disabled ")).await;
    assert_eq!(ada.send(Method::DELETE, &path, &[], None).await.status, 204);
    for gone in [what.clone(), key("west"), format!("AWS account {NEW}: its pause")] {
        assert_eq!(told(&app, &format!("{gone} removed")).await, "bigdb.ada");
    }
    let said = ada.get("history?acts=true&limit=500").await.to_string();
    assert!(!said.contains(&old) && !said.contains(&new), "{said}");
    app.stop().await;
}

#[tokio::test]
async fn what_an_earlier_version_did_not_record_is_no_news_to_the_next() {
    let app = TestApp::start(Setup::default()).await;
    begun(&app).await;
    let ada = Program::all(&app, "ada").await;
    ada.post(&format!("aws-accounts/{DEV}/event-keys"), json!({ "name": "east" })).await;
    told(&app, "Event key east ").await;
    let id = format!("aws_account::bigdb::{DEV}");
    // As an earlier version left it.
    let known = app.until("it is written down", || async {
        let known = app.store.prefix("known::event_key::").await.unwrap().pop();
        known.filter(|known| known.body["untold"] == false)
    });
    let known = known.await;
    app.store.delete(&known.id, &known.rev.unwrap()).await.unwrap();
    app.edit("known::begun", |doc| drop(doc.as_object_mut().unwrap().remove("shape"))).await;
    app.edit(&format!("known::{id}"), |doc| drop(doc["facts"].as_object_mut().unwrap().remove("role_arn"))).await;
    let before = acts(&app).await.len();
    let app = app.restart(|setup| setup).await;
    app.edit(&id, |doc| doc["name"] = "Development".into()).await;
    let reason = format!("AWS account {DEV} Development: name AWS {DEV} → Development");
    told(&app, &reason).await;
    let acts = acts(&app).await;
    assert!(acts.len() == before + 1 && acts.iter().any(|(_, _, said)| *said == reason), "{acts:?}");
    app.stop().await;
}

#[tokio::test]
async fn an_edit_straight_at_the_gateway_is_recorded_too_and_a_restart_tells_nothing_twice() {
    let app = TestApp::start(Setup::default()).await;
    begun(&app).await;
    let ada = app.session("ada").await;
    let mut doc = app.store.get_as(&ada, "user::bigdb::lin").await.unwrap().unwrap();
    doc.body["role"] = "admin".into();
    doc.body["updated_by"] = "bigdb.ada".into();
    app.store.put_as(&ada, &doc.id, &doc.body, doc.rev.as_deref()).await.unwrap();
    assert_eq!(told(&app, "lin@bigdb.example (lin): role dev → admin").await, "bigdb.ada");
    // An operator, past the access rules.
    app.edit(&format!("aws_account::bigdb::{DEV}"), |doc| doc["name"] = "Development".into()).await;
    assert_eq!(told(&app, &format!("AWS account {DEV} Development: name ")).await, "");
    let before = acts(&app).await;

    let app = app.restart(|setup| setup).await;
    app.edit(&format!("aws_account::bigdb::{DEV}"), |doc| doc["disabled"] = true.into()).await;
    told(&app, &format!("AWS account {DEV} Development: disabled ")).await;
    assert_eq!(acts(&app).await.len(), before.len() + 1, "{:?}", acts(&app).await);
    // Done while nothing ran: written past zerocloud, and told when it runs again.
    let paused = app.pause().await;
    let app = paused.go_on().await;
    app.edit("policy::bigdb", |doc| doc["policy"]["grace"] = 60.into()).await;
    told(&app, "Policy of the Account: grace ").await;
    assert_eq!(acts(&app).await.len(), before.len() + 2, "{:?}", acts(&app).await);
    // A second recorder on the same documents, as a copy that takes over has it, adds nothing.
    app.until("all is told", || async {
        let known = app.store.prefix("known::").await.unwrap();
        known.iter().all(|doc| doc.body.get("untold") != Some(&json!(true))).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn who_failed_to_remove_something_is_not_blamed_when_it_goes_later() {
    let app = TestApp::start(Setup::default()).await;
    begun(&app).await;
    let ada = Program::all(&app, "ada").await;
    for user in ["lin", "max"] {
        let (path, layer) = (format!("policies/user:{user}"), Some(json!({ "policy": { "grace": 7_200 } })));
        ada.send(Method::PUT, &path, &[("if-none-match", "*")], layer).await;
        told(&app, &format!("Policy of {user}: grace ")).await;
        let stale = ada.send(Method::DELETE, &path, &[("if-match", "\"1-00\"")], None).await;
        assert_eq!(stale.status, 412, "{}", stale.body);
        let known = app.store.get::<Value>(&format!("known::policy::bigdb::user::{user}")).await.unwrap().unwrap();
        assert_eq!(known.body["announced"]["by"], "bigdb.ada");
    }
    let remove = async |user: &str| {
        let doc = app.store.get::<Value>(&format!("policy::bigdb::user::{user}")).await.unwrap().unwrap();
        app.store.delete(&doc.id, &doc.rev.unwrap()).await.unwrap();
        told(&app, &format!("Policy of {user} removed")).await
    };
    assert_eq!(remove("lin").await, "bigdb.ada", "at once it is taken for theirs");
    app.advance(301);
    assert_eq!(remove("max").await, "", "an operator, past the access rules");
    app.stop().await;
}

#[tokio::test]
async fn a_lease_that_an_admin_gives_to_somebody_says_so_in_its_audit() {
    let app = TestApp::start(Setup::default().policy("default_lease", "2h")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    let ada = Program::all(&app, "ada").await;
    let path = format!("leases/{}", lease.key());
    app.until("the edit", || async {
        let etag = ada.send(Method::GET, &path, &[], None).await.etag;
        let given = ada.send(Method::PATCH, &path, &[("if-match", &etag)], Some(json!({ "owner": "max" }))).await;
        (given.status == 200).then_some(())
    })
    .await;
    app.owned(&id, "max").await;
    let event = app
        .until("the event", || async {
            let history = ada.get(&format!("history?lease={}&acts=true", lease.key())).await;
            history["items"].as_array().unwrap().first().cloned()
        })
        .await;
    assert_eq!((&event["by"], &event["owner"]), (&json!("bigdb.ada"), &json!("max")), "{event}");
    assert!(event["reason"].as_str().unwrap().contains("an admin gave it to max"), "{event}");
    app.stop().await;
}

#[tokio::test]
async fn a_note_that_cannot_be_read_is_a_gap_in_the_audit_and_stops_nothing() {
    let app = TestApp::start(Setup::default()).await;
    begun(&app).await;
    let note = "known::policy::bigdb";
    app.edit(note, |doc| doc["facts"] = json!("broken")).await;
    app.edit("policy::bigdb", |doc| doc["policy"]["grace"] = 60.into()).await;
    app.until("noted anew", || async {
        let note = app.store.get::<Value>(note).await.unwrap().unwrap().body;
        (note["facts"]["grace"] == 60).then_some(())
    })
    .await;
    // What comes after it is recorded, and the feed goes on.
    app.edit("policy::bigdb", |doc| doc["policy"]["grace"] = 120.into()).await;
    told(&app, "Policy of the Account: grace 1 minute → 2 minutes").await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.settled(&id, "lin").await;
    app.stop().await;
}

#[tokio::test]
async fn whoever_sees_the_feed_beside_the_index_never_keeps_it_waiting() {
    let (_folder, running, store) = gateway().await;
    let policy = |number: usize| format!("policy::bigdb::user::u{number}");
    for number in 0..8 {
        let body = json!({ "account": "bigdb", "user": format!("u{number}"), "policy": {} });
        store.put("user_policy", &Doc { id: policy(number), rev: None, body }).await.unwrap();
    }
    let (index, stop) = (Index::default(), CancellationToken::new());
    let (wakes, _unheard) = mpsc::channel(64);
    let (to, mut seen) = mpsc::channel(1);
    let tap = Tap { to, wants: |id| id.starts_with("policy::") };
    let following = follower::run_seen(store.clone(), index.clone(), wakes, Some(tap), stop.clone());
    let test = async {
        // Nobody takes anything from the tap.
        tokio::time::timeout(Duration::from_secs(20), index.caught_up()).await.expect("the index waits for the tap");
        assert_eq!(index.directory().policies.len(), 8);
        for number in 0..8 {
            let Some(Seen::Changed(id, Some(_))) = seen.recv().await else { panic!("not seen: {number}") };
            assert_eq!(id, policy(number));
        }
        assert!(matches!(seen.recv().await, Some(Seen::CaughtUp)));
        stop.cancel();
    };
    let (followed, ()) = tokio::join!(following, test);
    followed.unwrap();
    running.stop().await;
}
