//! A scheduler outside: deadlines are told to doubles that follow the APIs of such services; its calls wake the lease they are for and do
//! nothing else; and what it misses the sweep finds.

mod dkron;
mod presets;

use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use dkron::Dkron;
use ec2_double::State as Ec2State;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use zerocloud::model::{Callback, Lease, State, Time};

/// The sweep comes at the start and then only at New Year: whatever happens, happens by a call.
const NO_SWEEP: &str = "0 0 0 1 1 *";

fn setup(dkron: &Dkron) -> Setup {
    let scheduler = format!(
        "{{http: {{preset: dkron, url: '{}', authorization: 'Bearer hush', callback_url: 'https://zc.example', \
         timeout: 1s, per_second: 500}}}}",
        dkron.url
    );
    Setup { scheduler, ..Setup::default() }
}

/// A call as the double, or a stranger, makes it.
async fn call(app: &TestApp, method: reqwest::Method, token: &str) -> (u16, String) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let answer = client.request(method, format!("{}/hooks/scheduler/{token}", app.web)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn post(app: &TestApp, token: &str) -> u16 {
    call(app, reqwest::Method::POST, token).await.0
}

/// Waits until the lease's one job is for that time; gives the token of its call.
async fn told(app: &TestApp, dkron: &Dkron, at: Time) -> String {
    let wanted = format!("@at {at}");
    app.until(&format!("a job {wanted}"), || async {
        let jobs = dkron.jobs();
        assert!(jobs.len() <= 1, "a lease has one job: {jobs:?}");
        jobs.values().find(|job| job["schedule"] == wanted.as_str()).map(Dkron::token)
    })
    .await
}

async fn tokens(app: &TestApp) -> Vec<Value> {
    app.store.prefix(Callback::PREFIX).await.unwrap().into_iter().map(|doc| doc.body).collect()
}

async fn leased(app: &TestApp) -> (String, Lease) {
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.lease_where(&id, "leased", |_| true).await;
    (id, lease)
}

/// A lease whose owner is known, so that it has a deadline only while it runs.
async fn owned(app: &TestApp, owner: &str) -> String {
    let id = app.aws.at(DEV, EAST).launch(&owned_by(owner));
    app.settled(&id, owner).await;
    id
}

#[tokio::test]
async fn a_deadline_is_told_outside_and_its_call_wakes_the_lease() {
    let dkron = Dkron::start().await;
    let app = TestApp::start(Setup { sweep: NO_SWEEP, ..setup(&dkron) }).await;
    let (id, lease) = leased(&app).await;
    let token = told(&app, &dkron, lease.settle_at).await;
    app.clock.set(lease.settle_at.plus(1));
    app.polled(DEV, EAST, 2).await;
    assert!(app.lease(&id).await.unwrap().owner.is_pending(), "a timer of the process woke it");
    assert_eq!(post(&app, &token).await, 200);
    app.owned(&id, "lin").await;
    assert_eq!(dkron.authorizations(), ["Bearer hush"], "it signs in");
    app.stop().await;
    dkron.stop();
}

#[tokio::test]
async fn a_renewal_replaces_the_job_and_the_token_of_before_is_unknown() {
    let dkron = Dkron::start().await;
    let app = TestApp::start(setup(&dkron).policy("warnings", "[1h]")).await;
    let (id, lease) = leased(&app).await;
    let first = told(&app, &dkron, lease.settle_at).await;
    let lease = app.settled(&id, "lin").await;
    let before = told(&app, &dkron, lease.expires_at.plus(-3_600)).await;
    let name = dkron.jobs().keys().next().unwrap().clone();
    assert!(!name.contains(&id), "{name}");
    let until = lease.expires_at.plus(86_400);
    let wish = app.ask("lin", &lease, "renew", json!({ "until": until })).await;
    assert_eq!(app.answer(&wish).await.0, "done");
    let after = told(&app, &dkron, until.plus(-3_600)).await;
    assert_eq!(dkron.jobs().keys().next(), Some(&name));
    app.until("the token of before goes", || async { (post(&app, &before).await == 404).then_some(()) }).await;
    assert_eq!(post(&app, &first).await, 404);
    assert_eq!(post(&app, &after).await, 200);
    app.stop().await;
    dkron.stop();
}

#[tokio::test]
async fn double_early_late_and_forged_calls_change_nothing() {
    let dkron = Dkron::start().await;
    let app = TestApp::start(setup(&dkron).policy("warnings", "[1h]")).await;
    let (id, _) = leased(&app).await;
    let lease = app.settled(&id, "lin").await;
    let at = lease.expires_at.plus(-3_600);
    let token = told(&app, &dkron, at).await;
    let rev = || async { app.store.get::<Value>(&lease.key().lease_id()).await.unwrap().unwrap().rev };
    let before = rev().await;
    // To look does nothing, and tells nothing.
    let (status, line) = call(&app, reqwest::Method::GET, &token).await;
    assert_eq!((status, line.as_str()), (200, "A scheduler calls here, by POST. Nothing was done.\n"));
    assert_eq!(call(&app, reqwest::Method::GET, "guess").await, (status, line));
    assert!(tokens(&app).await.iter().all(|token| token.get("used").is_none()));
    // Forged.
    for guess in ["guess", &"A".repeat(43), &format!("{token}A"), &token.to_lowercase()] {
        let (status, problem) = call(&app, reqwest::Method::POST, guess).await;
        assert!(
            status == 404 && problem.contains("There is no such thing") | problem.contains("there is no such"),
            "{problem}"
        );
    }
    // Early: it is looked at, nothing is due, and the service is told again under another token.
    assert_eq!(post(&app, &token).await, 200);
    let again = app
        .until("it is told again", || async { Some(told(&app, &dkron, at).await).filter(|again| *again != token) })
        .await;
    // Twice: used is used.
    let (status, line) = call(&app, reqwest::Method::POST, &token).await;
    assert_eq!((status, line.as_str()), (200, "This call came before. Nothing was done.\n"));
    assert_eq!(rev().await, before);
    // Late: the sweep was there first.
    app.clock.set(at.plus(1));
    app.until("the warning", || async { (app.mails("lin@bigdb.example", &id).len() == 2).then_some(()) }).await;
    assert!([200, 404].contains(&post(&app, &again).await));
    assert_eq!(app.mails("lin@bigdb.example", &id).len(), 2);
    app.stop().await;
    dkron.stop();
}

#[tokio::test]
async fn the_sweep_ends_what_is_due_while_the_scheduler_is_down_and_that_shows() {
    let dkron = Dkron::start().await;
    dkron.fail(StatusCode::SERVICE_UNAVAILABLE);
    let app = TestApp::start(setup(&dkron).policy("min_notice", "1s").policy("grace", "1s")).await;
    let (id, _) = leased(&app).await;
    let lease = app.settled(&id, "lin").await;
    app.clock.set(lease.ends_at.plus(1));
    app.state(&id, State::Stopped).await;
    let ada = app.sign_in("ada").await;
    app.until("it shows", || async {
        let words = ada.get("/status").await.words();
        (words.contains("The scheduler dkron: it takes no deadline since") && words.contains("503")).then_some(())
    })
    .await;
    let state = app.store.get::<Value>("scheduler").await.unwrap().unwrap().body;
    assert!(state["failures"].as_u64() > Some(0), "{state}");
    let words = ada.get("/status").await.words();
    assert!(!words.contains(state["failing_since"].as_str().unwrap()), "an instant for people: {words}");
    // The double repeats what it was sent.
    assert!(!state.to_string().contains("hooks/scheduler"), "{state}");
    dkron.mend();
    app.until("it takes deadlines again", || async {
        let words = ada.get("/status").await.words();
        (!dkron.jobs().is_empty() && words.contains("1 deadline told")).then_some(())
    })
    .await;
    app.stop().await;
    dkron.stop();
}

#[tokio::test]
async fn a_slow_scheduler_holds_nobody_up_and_what_it_took_all_the_same_is_good() {
    let dkron = Dkron::start().await;
    let app = TestApp::start(Setup { sweep: NO_SWEEP, ..setup(&dkron) }).await;
    // Longer than the limit for one call: every job is taken, and no answer arrives.
    dkron.slow(Duration::from_secs(3));
    let (id, lease) = leased(&app).await;
    let token = told(&app, &dkron, lease.settle_at).await;
    app.clock.set(lease.settle_at.plus(1));
    assert_eq!(post(&app, &token).await, 200);
    app.owned(&id, "lin").await;
    app.stop().await;
    dkron.stop();
}

#[tokio::test]
async fn a_restart_tells_everything_anew_but_not_all_at_once() {
    const LEASES: usize = 8;
    let dkron = Dkron::start().await;
    let app = TestApp::start(setup(&dkron)).await;
    for _ in 0..LEASES {
        app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    }
    app.until("all are told", || async { (dkron.jobs().len() == LEASES).then_some(()) }).await;
    let before = dkron.jobs();
    let app = app
        .restart(|setup| Setup { scheduler: setup.scheduler.replace("per_second: 500", "per_second: 4"), ..setup })
        .await;
    let jobs = app
        .until("all are told anew", || async {
            let now = dkron.jobs();
            let anew = |(name, job): (&String, &Value)| {
                before.get(name).is_some_and(|old| Dkron::token(old) != Dkron::token(job))
            };
            (now.len() == LEASES && now.iter().all(anew)).then_some(now)
        })
        .await;
    let posts = dkron.posts();
    let took = posts[posts.len() - 1].duration_since(posts[posts.len() - LEASES]);
    assert!(took >= Duration::from_millis(1_500), "{LEASES} jobs at 4 a second were told in {took:?}");
    app.until("tokens of before go", || async { (tokens(&app).await.len() == LEASES).then_some(()) }).await;
    for (name, job) in &jobs {
        assert_eq!(post(&app, &Dkron::token(&before[name])).await, 404);
        // Nothing but the service knows a token.
        let token = Dkron::token(job);
        let docs = app.store.prefix("").await.unwrap();
        assert!(docs.iter().all(|doc| !doc.id.contains(&token) && !doc.body.to_string().contains(&token)));
    }
    app.stop().await;
    dkron.stop();
}

#[tokio::test]
async fn the_job_of_a_lease_that_is_over_is_taken_away_at_once_or_by_the_next_process() {
    let dkron = Dkron::start().await;
    let app = TestApp::start(setup(&dkron)).await;
    let soon = owned(&app, "lin").await;
    app.until("it is told", || async { (dkron.jobs().len() == 1).then_some(()) }).await;
    app.aws.set_state(&soon, Ec2State::Terminated);
    app.lease_where(&soon, "over", |lease| lease.state.is_over()).await;
    app.until("its job goes", || async { dkron.jobs().is_empty().then_some(()) }).await;
    app.until("and its token", || async { tokens(&app).await.is_empty().then_some(()) }).await;
    // Of another, nothing can be taken away while its lease ends, and nobody looks at it after a restart.
    let (late, stays) = (owned(&app, "lin").await, owned(&app, "max").await);
    app.until("both are told", || async { (dkron.jobs().len() == 2).then_some(()) }).await;
    dkron.fail(StatusCode::SERVICE_UNAVAILABLE);
    app.aws.set_state(&late, Ec2State::Terminated);
    app.lease_where(&late, "over", |lease| lease.state.is_over()).await;
    let paused = app.pause().await;
    dkron.mend();
    let before = dkron.jobs();
    assert_eq!(before.len(), 2);
    let app = paused.go_on().await;
    app.until("its job goes", || async { (dkron.jobs().len() == 1).then_some(()) }).await;
    app.until("the other is told anew", || async {
        let jobs = dkron.jobs();
        jobs.iter().next().is_some_and(|(name, job)| Dkron::token(&before[name]) != Dkron::token(job)).then_some(())
    })
    .await;
    let left = app.until("and its token", || async { Some(tokens(&app).await).filter(|left| left.len() == 1) }).await;
    assert!(left[0]["lease"].as_str().unwrap().ends_with(&stays), "{left:?}");
    app.stop().await;
    dkron.stop();
}
