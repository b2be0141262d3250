//! The command line over the REST API, as a process of its own: signing in, what people do, and prices from AWS's list.

mod admins;
mod watch;

use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use github_double::{Double, Person};
use serde_json::{Value, json};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

fn command(app: &TestApp, folder: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zerocloud"));
    command.env("ZEROCLOUD_CREDENTIALS", folder.join("noted.json")).env("ZEROCLOUD_URL", &app.web).env("NO_COLOR", "1");
    command.env_remove("ZEROCLOUD_TOKEN").current_dir(folder).kill_on_drop(true).stdin(Stdio::null());
    command
}

async fn run(app: &TestApp, folder: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = command(app, folder);
    tokio::time::timeout(Duration::from_mins(1), command.args(arguments).output()).await.unwrap().unwrap()
}

async fn said(app: &TestApp, folder: &std::path::Path, arguments: &[&str]) -> String {
    let output = run(app, folder, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Signs in by the device flow, as `person` at GitHub.
async fn login(app: &TestApp, folder: &std::path::Path, person: &str) -> String {
    let mut child = command(app, folder).arg("login").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = loop {
        let line = lines.next_line().await.unwrap().expect("the code is shown");
        if line.contains("type in") {
            break line;
        }
    };
    let words: Vec<&str> = told.split(' ').collect();
    let form = format!("user_code={}&person={person}", words.last().unwrap());
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let typed = http.post(words[1]).header("content-type", "application/x-www-form-urlencoded").body(form);
    typed.send().await.unwrap();
    let output = tokio::time::timeout(Duration::from_mins(1), child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn people_sign_in_on_the_command_line_and_do_there_what_pages_do() {
    let github = Double::start().await.unwrap();
    github.handle().put(Person::new(7, "lin-w", "Lin", "lin@bigdb.example"));
    github.handle().put(Person::new(1, "ada-l", "Ada", "ada@bigdb.example"));
    let app = TestApp::start(Setup::default().policy("default_lease", "2h").web(&github.settings())).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    let (lins, adas) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lin, ada) = (lins.path(), adas.path());
    let before = run(&app, lin, &["status"]).await;
    assert!(!before.status.success() && String::from_utf8_lossy(&before.stderr).contains("sign in first"));
    assert!(login(&app, lin, "7").await.contains("Signed in as lin@bigdb.example (dev)"));
    assert!(login(&app, ada, "1").await.contains("Signed in as ada@bigdb.example (admin)"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(lin.join("noted.json")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let table = said(&app, lin, &["leases"]).await;
    assert!(table.contains(&id) && table.contains("AN HOUR"), "{table}");
    let json: Value = serde_json::from_str(&said(&app, lin, &["leases", "--json"]).await).unwrap();
    assert_eq!((json[0]["resource_id"].as_str(), json[0]["owner"].as_str()), (Some(id.as_str()), Some("lin")));
    assert!(said(&app, lin, &["renew", &id, "--for", "5h"]).await.starts_with("Renewed until "));
    app.lease_where(&id, "renewed", |it| it.expires_at > lease.expires_at).await;
    assert!(said(&app, lin, &["hand-over", &id, "ada"]).await.starts_with("Offered to ada; "));
    // By name, as all else; what was not offered is not found, though it is there.
    let none = run(&app, ada, &["accept", "no-such"]).await;
    assert!(String::from_utf8_lossy(&none.stderr).contains("nobody offers you a lease that is called \"no-such\""));
    assert!(said(&app, ada, &["accept", "web-1"]).await.starts_with("It is yours."));
    assert!(!run(&app, ada, &["accept", "web-1"]).await.status.success());
    app.owned(&id, "ada").await;

    let refused = run(&app, lin, &["users"]).await;
    assert!(String::from_utf8_lossy(&refused.stdout).contains("lin@bigdb.example"), "themselves alone");
    assert!(said(&app, ada, &["users"]).await.contains("max@bigdb.example"));
    assert!(said(&app, ada, &["accounts"]).await.contains(DEV));
    let set = said(&app, ada, &["policy", "set", "user:lin", "default_lease=3h", "warnings=30m,5m", "--json"]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&set).unwrap(),
        json!({ "default_lease": 10_800, "warnings": [1_800, 300] })
    );
    assert!(said(&app, ada, &["policy", "get", "user:lin", "--json"]).await.contains("10800"));
    assert!(said(&app, lin, &["policy", "get", "--json"]).await.contains("\"default_lease\": 10800"));
    assert!(said(&app, ada, &["status"]).await.contains("every running instance has a lease"));
    assert!(said(&app, ada, &["pause", "--account", "bigdb", "--reason", "a demo"]).await.contains("paused"));
    assert!(said(&app, ada, &["resume", "--account", "bigdb"]).await.contains("resumed"));

    hears(&app, ada, &id).await;
    signs_out(&app, lin).await;
    app.stop().await;
    github.stop().await;
}

/// Ends an instance while it is watched, and hears of it.
async fn hears(app: &TestApp, ada: &std::path::Path, id: &str) {
    let mut watching = command(app, ada)
        .args(["watch", "--types", "lease", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut notes = BufReader::new(watching.stderr.take().unwrap()).lines();
    while !notes.next_line().await.unwrap().expect("it watches").contains("watching") {}
    assert!(said(app, ada, &["end", id]).await.starts_with("It will be "));
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let heard = tokio::time::timeout(Duration::from_secs(40), lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(heard.contains(id) && serde_json::from_str::<Value>(&heard).unwrap()["type"] == "lease", "{heard}");
    watching.kill().await.unwrap();
}

/// A dev's token holds what a dev can use; it ends with the sign-out, also for who kept a copy.
async fn signs_out(app: &TestApp, lin: &std::path::Path) {
    let scopes = async |user: &str| {
        let docs = app.store.prefix("api_token::").await.unwrap();
        docs.iter().find(|doc| doc.body["user"] == user).map(|doc| doc.body["scopes"].clone())
    };
    assert_eq!(scopes("lin").await, Some(json!(["read", "write", "sync"])));
    assert_eq!(scopes("ada").await, Some(json!(["read", "write", "sync", "admin"])));
    std::fs::copy(lin.join("noted.json"), lin.join("copy.json")).unwrap();
    assert!(said(app, lin, &["logout"]).await.contains("the token is revoked"));
    assert_eq!(scopes("lin").await, None);
    assert!(said(app, lin, &["logout"]).await.contains("Nobody was signed in"));
    assert!(!run(app, lin, &["users"]).await.status.success());
    std::fs::rename(lin.join("copy.json"), lin.join("noted.json")).unwrap();
    assert!(String::from_utf8_lossy(&run(app, lin, &["users"]).await.stderr).contains("not good any more"));
    assert!(said(app, lin, &["logout"]).await.contains("The token was not revoked"));
    let away = json!({ "url": "http://127.0.0.1:9", "token": "zcp_x" });
    std::fs::write(lin.join("noted.json"), away.to_string()).unwrap();
    assert!(said(app, lin, &["logout"]).await.contains("does not answer"));
    std::fs::write(lin.join("noted.json"), "{\"url\": ").unwrap();
    assert!(said(app, lin, &["logout"]).await.contains("Forgotten here. The token was not revoked"));
    assert!(!lin.join("noted.json").exists());
}

/// Without a service: what is said before any call.
#[tokio::test]
async fn who_is_not_signed_in_hears_how_to_and_never_of_a_configuration_that_nobody_named() {
    let folder = tempfile::tempdir().unwrap();
    let told = async |url: Option<&str>, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zerocloud"));
        command.env("ZEROCLOUD_CREDENTIALS", folder.path().join("noted.json")).env_remove("ZEROCLOUD_TOKEN");
        command.env_remove("ZEROCLOUD_URL").current_dir(folder.path()).stdin(Stdio::null());
        let output = command.args(url.map(|url| ["--url", url]).into_iter().flatten()).args(arguments).output();
        let output = output.await.unwrap();
        // What is for the operator is wrong use; to sign in is what is missing.
        let code =
            if matches!(arguments[0], "doctor" | "serve" | "health") { 2 } else { output.status.code().unwrap() };
        assert!(!output.status.success() && output.status.code() == Some(code), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let either =
        [&["leases"][..], &["plan"], &["pause", "--account", "bigdb", "--reason", "x"], &["resume", "--account", "b"]];
    for command in either {
        let said = told(None, command).await;
        assert!(
            said.contains("sign in first: zerocloud login --url https://…") && said.contains("--config FILE"),
            "{said}"
        );
        assert!(!said.contains("config.yml"), "{command:?}: {said}");
    }
    for command in [&["users"][..], &["status"], &["accept", "x"], &["policy", "get"], &["watch"]] {
        let said = told(Some("https://zc.example"), command).await;
        assert!(said.contains("sign in first: zerocloud login --url https://zc.example,"), "{command:?}: {said}");
    }
    for command in
        [&["doctor"][..], &["serve"], &["health"], &["pause", "--all", "--reason", "x"], &["resume", "--all"]]
    {
        let said = told(None, command).await;
        assert!(
            said.contains("is for whoever runs zerocloud") && said.contains("--config FILE"),
            "{command:?}: {said}"
        );
    }
    assert!(told(None, &["renew", "zc1.x"]).await.contains("opens the link in the mail"));
    // A file that is here with a mistake: how to sign in stands above it, and with --url it is not read.
    std::fs::write(folder.path().join("config.yml"), "colour: blue\n").unwrap();
    let said = told(None, &["leases"]).await;
    assert!(said.contains("sign in first") && said.contains("colour"), "{said}");
    assert!(!told(Some("https://zc.example"), &["leases"]).await.contains("colour"));
}

/// AWS's price list, as far as it is documented: an index of offers, one of regions, and a region's file.
fn price_list() -> Router {
    let file = "\"FormatVersion\",\"v1.0\"\n\"Publication Date\",\"2026-11-20T17:00:00Z\"\n\"Version\",\"20261120170000\"\n\
        \"SKU\",\"TermType\",\"StartingRange\",\"Unit\",\"PricePerUnit\",\"Currency\",\"Product Family\",\"Instance Type\",\"Tenancy\",\
        \"Operating System\",\"License Model\",\"CapacityStatus\",\"Pre Installed S/W\",\"Volume API Name\"\n\
        \"A\",\"OnDemand\",\"0\",\"Hrs\",\"7.5000000000\",\"USD\",\"Compute Instance\",\"t3.micro\",\"Shared\",\"Linux\",\
        \"No License required\",\"Used\",\"NA\",\"\"\n\
        \"B\",\"OnDemand\",\"0\",\"GB-Mo\",\"0.08\",\"USD\",\"Storage\",\"\",\"\",\"\",\"\",\"\",\"\",\"gp3\"\n";
    let offers = json!({ "offers": { "AmazonEC2": { "currentRegionIndexUrl": "/offers/v1.0/aws/AmazonEC2/current/region_index.json" } } });
    let regions = json!({ "regions": { EAST: { "currentVersionUrl": "/offers/v1.0/aws/AmazonEC2/20261120170000/us-east-1/index.json" } } });
    Router::new()
        .route("/offers/v1.0/aws/index.json", get(move || async move { axum::Json(offers) }))
        .route("/offers/v1.0/aws/AmazonEC2/current/region_index.json", get(move || async move { axum::Json(regions) }))
        .route(
            "/offers/v1.0/aws/AmazonEC2/{version}/{region}/index.csv",
            get(move |Path(_): Path<(String, String)>| async move { file }),
        )
}

#[tokio::test]
async fn prices_are_replaced_by_awss_list_and_a_region_that_it_lacks_stands_as_it_was() {
    let app = TestApp::start(Setup::default()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, price_list()).await.unwrap() });
    let list = zerocloud::web::prices::PriceList::at(&url).unwrap();
    let prices = zerocloud::web::prices::update(&app.store, &list, EAST).await.unwrap();
    assert_eq!((prices.as_of.as_str(), prices.instances["Linux"]["t3.micro"]), ("2026-11-20", 7.5));
    let again = zerocloud::web::prices::update(&app.store, &list, EAST).await.unwrap();
    assert_eq!(again, prices);
    assert!(zerocloud::web::prices::update(&app.store, &list, "eu-west-1").await.is_err());
    let all = zerocloud::web::prices::Prices::load(&app.store).await.unwrap();
    assert!(all.origin(EAST).unwrap().1.contains("20261120170000"), "{:?}", all.origin(EAST));
    assert!(all.origin("eu-west-1").unwrap().0.starts_with("2026-01"));
    tasks.abort_all();
    app.stop().await;
}
