//! What admins do on the command line: people, exemption rules, and what a change would alter.

use super::{run, said};
use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use serde_json::Value;
use zerocloud::model::Role;
use zerocloud::web::token::{Scope, Token, create};

/// A folder in which ada is signed in.
async fn desk(app: &TestApp) -> tempfile::TempDir {
    let read = async || app.store.get::<zerocloud::model::User>("user::bigdb::ada").await.unwrap();
    let user = app.until("the person", read).await.body;
    let aws = format!("aws_account::bigdb::{DEV}");
    app.until("the AWS account", async || app.store.get::<Value>(&aws).await.unwrap()).await;
    assert_eq!(user.role, Role::Admin);
    let scopes = vec![Scope::Read, Scope::Write, Scope::Admin];
    let token = Token::new((&user.account, &user.user), "a test".to_owned(), scopes, app.clock.now(), 86_400);
    let (_, secret) = create(&app.store, &token).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let noted = serde_json::json!({ "url": app.web, "token": secret });
    std::fs::write(folder.path().join("noted.json"), noted.to_string()).unwrap();
    folder
}

async fn senseless_settings_are_refused(app: &TestApp, ada: &std::path::Path) {
    for (layer, setting, why) in [
        ("account", "default_lease=0s", "must be at least 1"),
        ("user:lin", "max_lease=1h", "a new lease of 2 hours is longer"),
    ] {
        let refused = run(app, ada, &["policy", "set", layer, setting]).await;
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{layer} {setting}: {refused:?}");
    }
}

#[tokio::test]
async fn admins_invite_exempt_and_see_beforehand_on_the_command_line() {
    let app = TestApp::start(Setup::default().policy("default_lease", "2h").stage("stop")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example").tag("Name", "web-1"));
    app.settled(&id, "lin").await;
    let folder = desk(&app).await;
    let ada = folder.path();
    // People.
    let invited = said(&app, ada, &["users", "invite", "kim@bigdb.example", "--name", "Kim"]).await;
    assert!(invited.starts_with("kim@bigdb.example may come in as kim-"), "{invited}");
    assert!(said(&app, ada, &["users", "role", "kim@bigdb.example", "admin"]).await.contains("is admin now"));
    let users: Value = serde_json::from_str(&said(&app, ada, &["users", "list", "--json"]).await).unwrap();
    let kim = users.as_array().unwrap().iter().find(|user| user["name"] == "Kim").unwrap();
    assert_eq!(kim["role"], "admin");
    assert!(said(&app, ada, &["users", "remove", kim["id"].as_str().unwrap()]).await.contains("is removed"));
    assert!(!said(&app, ada, &["users"]).await.contains("Kim"));
    let own = run(&app, ada, &["users", "remove", "ada"]).await;
    assert!(!own.status.success());
    // Exemptions.
    let add = ["exemptions", "add", "--name", "web-*", "--reason", "the demo", "--until", "30d"];
    let preview = [&add[..], &["--preview"]].concat();
    let shown = app
        .until("the preview", || async {
            let shown = said(&app, ada, &preview).await;
            shown.contains("would pick out 1").then_some(shown)
        })
        .await;
    assert!(shown.contains("Does not end") && shown.contains("web-1"), "{shown}");
    assert!(!said(&app, ada, &["exemptions", "list"]).await.contains("the demo"));
    assert!(said(&app, ada, &add).await.contains("picks out 1 lease"));
    let rules: Value = serde_json::from_str(&said(&app, ada, &["exemptions", "list", "--json"]).await).unwrap();
    let rule = rules[0]["id"].as_str().unwrap();
    let change = ["exemptions", "change", rule, "--tag", "env=prod", "--reason", "prod", "--until", "2099-01-01"];
    assert!(said(&app, ada, &change).await.contains("2099-01-01T23:59:59Z"));
    assert!(said(&app, ada, &["exemptions", "list"]).await.contains("prod"));
    assert!(said(&app, ada, &["exemptions", "remove", rule]).await.contains("ended"));
    // Policies.
    let set = ["policy", "set", "user:lin", "max_lease=5d", "--dry-run"];
    let shown = said(&app, ada, &set).await;
    assert!(shown.contains("Of 1 leases 1 would go on otherwise") && shown.contains("THEN"), "{shown}");
    let none = said(&app, ada, &["policy", "get", "user:lin"]).await;
    assert!(none.contains("This layer says nothing of its own."), "nothing was saved: {none}");
    senseless_settings_are_refused(&app, ada).await;
    assert!(said(&app, ada, &set[..4]).await.contains("5 days"));
    assert!(said(&app, ada, &["policy", "set", "user:lin", "max_instances=3"]).await.contains('3'));
    assert!(said(&app, ada, &["policy", "set", "user:lin", "max_instances=none"]).await.contains("none"));
    let stranger = run(&app, ada, &["policy", "set", "user:nobody", "max_instances=3"]).await;
    assert!(String::from_utf8_lossy(&stranger.stderr).contains("nobody by that name"));
    let table = said(&app, ada, &["policy", "get"]).await;
    assert!(table.contains("default_lease") && table.contains("2 h"), "{table}");
    // A plan says that nothing ends at all.
    said(&app, ada, &["pause", "--account", "bigdb", "--reason", "the demo"]).await;
    let plan = said(&app, ada, &["plan"]).await;
    assert!(plan.contains("No end starts in the whole Account: paused by bigdb.ada"), "{plan}");
    said(&app, ada, &["resume", "--account", "bigdb"]).await;
    // A long name is cut, so that the table fits a terminal.
    let long = app.aws.at(DEV, EAST).launch(&owned_by("max@bigdb.example").tag("Name", "long-name-".repeat(12)));
    app.lease_where(&long, "leased", |_| true).await;
    let table = said(&app, ada, &["leases"]).await;
    assert!(table.contains("long-name-") && table.lines().all(|line| line.chars().count() < 200), "{table}");
    // Nothing else is without a table or JSON.
    for name in ["status", "accounts", "plan", "leases"] {
        let json = said(&app, ada, &[name, "--json"]).await;
        serde_json::from_str::<Value>(&json).unwrap();
        assert!(serde_json::from_str::<Value>(&said(&app, ada, &[name]).await).is_err(), "{name}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_pause_over_the_api_is_of_ones_own_account_or_refused_and_resume_says_when_nothing_was_paused() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let folder = desk(&app).await;
    let ada = folder.path();
    let paused = async || {
        let docs = app.store.prefix("pause::").await.unwrap();
        docs.iter().filter(|doc| doc.body["resumed_at"].is_null()).map(|doc| doc.id.clone()).collect::<Vec<_>>()
    };
    for (account, more) in [("other", None), (DEV, None), ("bigdb", Some("999988887777")), ("other", Some(DEV))] {
        let scope: Vec<&str> =
            ["--account", account].into_iter().chain(more.into_iter().flat_map(|id| ["--aws", id])).collect();
        for act in [&["pause", "--reason", "x"][..], &["resume"]] {
            let said = run(&app, ada, &[act, &scope].concat()).await;
            let told = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(!said.status.success() && told.contains("nothing was done"), "{act:?} {scope:?}: {told}");
            assert!(more.is_some() || told.contains("say --account bigdb"), "{told}");
        }
    }
    assert_eq!(paused().await, Vec::<String>::new());
    assert!(said(&app, ada, &["resume", "--account", "bigdb"]).await.contains("bigdb is not paused; nothing was done"));
    assert!(said(&app, ada, &["pause", "--account", "bigdb", "--aws", DEV, "--reason", "x"]).await.contains("paused"));
    assert_eq!(paused().await, [format!("pause::bigdb::{DEV}")]);
    assert!(said(&app, ada, &["resume", "--account", "bigdb", "--aws", DEV]).await.contains("resumed"));
    assert_eq!(paused().await, Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn hooks_are_made_listed_with_what_the_last_delivery_said_and_removed_on_the_command_line() {
    let app = TestApp::start(Setup::default()).await;
    let folder = desk(&app).await;
    let ada = folder.path();
    let inside = run(&app, ada, &["hooks", "add", "http://10.0.0.1/x", "--name", "inside"]).await;
    assert!(!inside.status.success() && String::from_utf8_lossy(&inside.stderr).contains("web.hooks_may_call"));
    let made = said(&app, ada, &["hooks", "add", "https://hooks.invalid/x?key=hush", "--name", "ours"]).await;
    assert!(made.contains("https://hooks.invalid is told") && made.contains("Signed with"), "{made}");
    let table = said(&app, ada, &["hooks", "list"]).await;
    assert!(table.contains("ours") && table.contains("all is well") && !table.contains("hush"), "{table}");
    let fail = |body: &mut Value| {
        for (name, value) in [
            ("error", "it answered 500"),
            ("failing_since", "2026-11-26T00:00:00Z"),
            ("retry_at", "2099-01-01T00:00:00Z"),
        ] {
            body[name] = value.into();
        }
    };
    let listed: Value = serde_json::from_str(&said(&app, ada, &["hooks", "list", "--json"]).await).unwrap();
    let id = listed[0]["id"].as_str().unwrap();
    app.edit(&format!("hook::bigdb::{id}"), fail).await;
    let table = said(&app, ada, &["hooks", "list"]).await;
    assert!(table.contains("it answered") && table.contains("2099-01-01"), "{table}");
    assert!(said(&app, ada, &["hooks", "remove", id]).await.contains("told nothing any more"));
    assert_eq!(said(&app, ada, &["hooks", "list", "--json"]).await.trim(), "[]");
    app.stop().await;
}
