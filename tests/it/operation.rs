//! What operators rely on: one leader, plan, doctor, tokens, people who leave.

use crate::app::{DEV, EAST, Setup, TestApp, after, double, gateway, owned_by};
use crate::gateway::{Running, place};
use crate::program::Program;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use zerocloud::clock::Clock;
use zerocloud::config::Config;
use zerocloud::leader;
use zerocloud::model::State;
use zerocloud::serve;

#[tokio::test]
async fn a_second_copy_waits_and_takes_over_when_the_leader_leaves_or_falls_silent() {
    let (_folder, running, store) = gateway().await;
    let (clock, ttl) = (Clock::system(), Duration::from_millis(800));
    let first = leader::lead(&store, "first", &clock, ttl).await;
    let stop = CancellationToken::new();
    let second = async { leader::lead(&store, "second", &clock, ttl).await };
    tokio::pin!(second);
    let early = tokio::select! {
        _ = &mut second => true,
        kept = async {
            let kept = tokio::time::timeout(ttl * 4, first.clone().keep(stop.clone())).await;
            assert!(kept.is_err() && first.is_leader(), "the leader lost its seat");
        } => { let () = kept; false }
    };
    assert!(!early, "the second copy led while the first did");
    // The first falls silent: nobody renews any more.
    let second = tokio::time::timeout(ttl * 10, second).await.expect("nobody took over");
    assert!(second.is_leader() && !first.is_leader(), "two lead");
    assert!(first.keep(stop.clone()).await.is_ok());
    second.leave().await;
    let begun = std::time::Instant::now();
    let third = leader::lead(&store, "third", &clock, Duration::from_mins(1)).await;
    assert!(third.is_leader() && begun.elapsed() < Duration::from_secs(20), "an empty seat was waited for");
    running.stop().await;
}

#[tokio::test]
async fn a_second_serve_on_the_same_store_acts_only_when_the_first_has_gone() {
    let (_folder, running, store) = gateway().await;
    let aws = double().await;
    let yaml = Setup::default().yaml(&aws.url(), "unused");
    let remote = format!("store: {{public_url: '{}', admin_url: '{}'}}", running.public, running.admin);
    let yaml = yaml.lines().skip(1).fold(remote, |all, line| format!("{all}\n{line}"));
    let start = |stop: &CancellationToken| {
        let (ready, _) = tokio::sync::oneshot::channel();
        serve::run(Config::parse(&yaml, |_| None).unwrap(), Clock::system(), ready, stop.clone())
    };
    let (stop_one, stop_two) = (CancellationToken::new(), CancellationToken::new());
    let (one, two) = (start(&stop_one), start(&stop_two));
    let holder = async || {
        let seat = store.get::<Value>("leader").await.unwrap();
        seat.and_then(|doc| doc.body["holder"].as_str().map(str::to_owned)).filter(|name| !name.is_empty())
    };
    let test = async {
        let patience = std::time::Instant::now();
        let leads = loop {
            if let Some(name) = holder().await {
                break name;
            }
            assert!(patience.elapsed() < Duration::from_secs(30), "nobody leads");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let id = aws.handle().at(DEV, EAST).launch(&owned_by("lin"));
        while store.prefix("lease::").await.unwrap().is_empty() {
            assert!(patience.elapsed() < Duration::from_mins(1), "no lease");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(holder().await.as_ref(), Some(&leads));
        stop_one.cancel();
        stop_two.cancel();
        id
    };
    let (one, two, id) = tokio::join!(one, two, test);
    one.unwrap();
    two.unwrap();
    let leases = store.prefix("lease::").await.unwrap();
    assert!(leases.len() == 1 && leases[0].id.ends_with(&id), "{leases:?}");
    running.stop().await;
}

#[tokio::test]
async fn the_gateway_down_for_a_while_loses_nothing() {
    let (folder, running, store) = gateway().await;
    let (public, admin) = (running.public.clone(), running.admin.clone());
    let aws = double().await;
    let yaml = Setup::default().yaml(&aws.url(), "unused");
    let remote = format!("store: {{public_url: '{public}', admin_url: '{admin}'}}");
    let yaml = yaml.lines().skip(1).fold(remote, |all, line| format!("{all}\n{line}"));
    let clock = Clock::manual(Clock::system().now());
    let stop = CancellationToken::new();
    let (ready, _) = tokio::sync::oneshot::channel();
    let serving = serve::run(Config::parse(&yaml, |_| None).unwrap(), clock.clone(), ready, stop.clone());
    let test = async {
        let id = aws.handle().at(DEV, EAST).launch(&owned_by("lin"));
        let lease_id = format!("lease::{DEV}::{EAST}::{id}");
        let lease = async || store.get::<zerocloud::model::Lease>(&lease_id).await.ok().flatten().map(|doc| doc.body);
        let until = async |what: &str, fits: &dyn Fn(&zerocloud::model::Lease) -> bool| {
            let begun = std::time::Instant::now();
            loop {
                if let Some(lease) = lease().await.filter(|lease| fits(lease)) {
                    return lease;
                }
                assert!(begun.elapsed() < Duration::from_mins(1), "waited in vain: {what}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        until("leased", &|_| true).await;
        clock.advance(130);
        let told = until("told", &|lease| lease.notified.is_some()).await;
        running.stop().await;
        let calls = aws.handle().calls().len();
        clock.set(after(told.ends_at, 5));
        // Down for longer than a leader may be silent.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(
            aws.handle().calls().acting().is_empty(),
            "something was ended without documents; {calls} calls before"
        );
        let running = Running::on(folder.path(), place(&public), place(&admin)).await;
        until("stopped", &|lease| lease.state == State::Stopped).await;
        assert_eq!(aws.handle().calls().acting().len(), 1);
        stop.cancel();
        running
    };
    let (served, running) = tokio::join!(serving, test);
    served.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn plan_reads_only_and_serve_then_does_the_same() {
    let app = TestApp::start(Setup::default()).await;
    let ends = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let stays = app.aws.at(DEV, EAST).launch(&owned_by("max"));
    let lease = app.settled(&ends, "lin").await;
    app.lease_where(&stays, "told", |lease| lease.notified.is_some()).await;
    let kept = app.ask("max", &app.lease(&stays).await.unwrap(), "renew", json!({})).await;
    app.answer(&kept).await;
    app.clock.set(after(lease.expires_at, 5));
    app.state(&ends, State::Expired).await;
    let mails = app.mailed("lin@bigdb.example", &ends, 2).await;
    assert!(mails[1].subject.starts_with("Lease over"), "{}", mails[1].subject);
    let (config, clock) = (app.config(), app.clock.clone());
    let app = app.pause().await;
    clock.set(after(lease.ends_at, 5));
    app.aws.forget_calls();
    let before = app.documents().await;
    let plan = serve::plan(&config, &clock).await.unwrap();
    assert_eq!(app.documents().await, before, "plan wrote something");
    assert!(app.aws.calls().iter().all(ec2_double::Call::is_reading), "plan did more than read");
    let ended: Vec<_> =
        plan.iter().filter(|line| line.what == "stop it").map(|line| line.lease.resource_id.to_string()).collect();
    assert_eq!(ended, std::slice::from_ref(&ends), "{plan:?}");
    let app = app.go_on().await;
    app.state(&ends, State::Stopped).await;
    assert_eq!(app.aws.calls().acting().iter().map(|call| call.ids.clone()).collect::<Vec<_>>(), [vec![ends]]);
    app.stop().await;
}

#[tokio::test]
async fn an_owner_who_left_leaves_the_lease_to_an_admin_who_is_told() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.settled(&id, "lin").await;
    let doc = app.store.get::<Value>("user::bigdb::lin").await.unwrap().unwrap();
    app.store.delete("user::bigdb::lin", &doc.rev.unwrap()).await.unwrap();
    app.owned(&id, "ada").await;
    app.until("told", || async { (!app.mails("ada@bigdb.example", &id).is_empty()).then_some(()) }).await;
    app.stop().await;
}

/// Launches one of Lin's and waits until the mail service took its first notice.
async fn told(program: &Program, double: &ec2_double::Double) -> (String, ec2_double::Mail) {
    let id = double.handle().at(DEV, EAST).launch(&owned_by("lin"));
    let lease = format!("lease::{DEV}::{EAST}::{id}");
    let told = async || program.document(&lease).await.is_some_and(|doc| doc["notified"].is_object());
    let begun = std::time::Instant::now();
    while !told().await {
        assert!(begun.elapsed() < Duration::from_mins(1), "not told; the log:\n{}", program.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mail = double.handle().mails().into_iter().find(|mail| mail.is_to("lin@bigdb.example")).unwrap();
    (id, mail)
}

/// The token of a command in a mail.
fn token(mail: &ec2_double::Mail, command: &str) -> String {
    let start = format!("zerocloud {command} ");
    let line = mail.text.lines().find_map(|line| line.trim().strip_prefix(start.as_str()).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {command} in {}", mail.text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_alone_terminates_nothing_on_the_command_line() {
    let double = double().await;
    let setup = Setup::default().policy("settle", "1s").policy("expiry_action", "terminate");
    let program = Program::new(&setup, &double.url());
    let mut child = program.serve(None);
    let (id, mail) = told(&program, &double).await;
    let refused = program.run(&["end", &token(&mail, "end")]).await;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && why.contains("sign in with `zerocloud login`"), "{why}");
    assert!(why.contains(&format!("zerocloud terminate {id}")), "{why}");
    assert!(double.handle().calls().acting().is_empty());
    child.kill().await.unwrap();
    program.clean();
    double.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_renews_and_ends_by_token_lists_pauses_and_examines() {
    let double = double().await;
    let program = Program::new(&Setup::default().policy("settle", "1s"), &double.url());
    let mut child = program.serve(None);
    let begun = std::time::Instant::now();
    let (id, mail) = told(&program, &double).await;
    let lease = format!("lease::{DEV}::{EAST}::{id}");
    let before = program.document(&lease).await.unwrap();
    let (renew, end) = (token(&mail, "renew"), token(&mail, "end"));
    let done = program.run(&["renew", &renew, "--for", "4d"]).await;
    assert!(done.status.success(), "{done:?}");
    assert!(program.document(&lease).await.unwrap()["expires_at"].as_str() > before["expires_at"].as_str());
    let wrong = program.run(&["renew", &end]).await;
    assert_eq!(wrong.status.code(), Some(1), "a token for ending renewed");
    let other = if end.ends_with('A') { 'E' } else { 'A' };
    let forged = program.run(&["end", &format!("{}{other}", &end[..end.len() - 1])]).await;
    assert_eq!(forged.status.code(), Some(1));
    let listed = program.run(&["leases", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["resource_id"], json!(id));
    let table = String::from_utf8(program.run(&["leases"]).await.stdout).unwrap();
    assert!(table.contains(&id) && table.contains("lin"), "{table}");
    let doctor = program.run(&["doctor", "--json"]).await;
    assert_eq!(doctor.status.code(), Some(0), "{}", String::from_utf8_lossy(&doctor.stdout));
    let unknown = ["pause", "--account", "bigdb", "--aws", "999900009999", "--reason", "move"];
    assert_eq!(program.run(&unknown).await.status.code(), Some(1), "nothing was paused, and it said so");
    assert!(program.run(&["pause", "--all", "--reason", "move"]).await.status.success());
    let held = program.run(&["end", &end]).await;
    assert_eq!(held.status.code(), Some(1), "an end while paused");
    assert!(program.run(&["resume", "--all"]).await.status.success());
    let ended = program.run(&["end", &end]).await;
    assert!(ended.status.success(), "{ended:?}");
    while program.document(&lease).await.unwrap()["state"] != "stopped" {
        assert!(begun.elapsed() < Duration::from_mins(2), "not stopped; the log:\n{}", program.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let secrets = ["secret-that", "external-111122223333", renew.as_str(), "ZGVm"];
    let log = program.log();
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "a secret stands in the log");
    child.kill().await.unwrap();
    program.clean();
    double.stop().await;
}
