//! What is shown before a change is made comes true once it is: each preview is read from the page, the change is made, time
//! passes, and the lease is where the preview said.

use crate::app::{DEV, EAST, Setup, TestApp, owned_by, tagged};
use crate::browser::{Browser, Page};
use reqwest::StatusCode;
use serde_json::{Value, json};
use zerocloud::model::{HoldKind, Lease, State, Time};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// The first end that would not have happened otherwise.
fn first_end(page: &Page) -> Time {
    let from = page.text.split("<time datetime=\"").collect::<Vec<_>>();
    let at = page.text.find("The first end that would not have happened").unwrap_or_else(|| panic!("{}", page.words()));
    let rest = &page.text[at..];
    let time = rest.split("<time datetime=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(from.len() > 1);
    Time::parse(time).unwrap()
}

/// Lets the warnings of a lease go out on its way to `at`.
async fn pass(app: &TestApp, id: &str, at: Time) {
    let told = app.mails("lin@bigdb.example", id).len();
    let lease = app.lease(id).await.unwrap();
    for (number, lead) in [DAY, HOUR].into_iter().enumerate() {
        if lease.expires_at.plus(-lead) > app.clock.now() {
            app.clock.set(lease.expires_at.plus(-lead));
            app.mailed("lin@bigdb.example", id, told + number + 1).await;
        }
    }
    app.clock.set(lease.expires_at);
    app.state(id, State::Expired).await;
    app.clock.set(at.plus(-1));
    app.polled(DEV, EAST, 2).await;
}

#[tokio::test]
async fn a_raised_stage_ends_what_its_preview_said_and_when() {
    let setup = Setup::default().stage("notify").policy("stage_notice", "2d");
    let app = TestApp::start(setup).await;
    let ada = app.sign_in("ada").await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    let path = format!("/aws-accounts/{DEV}/stage");
    let page = ada.get(&format!("{path}?to=stop")).await;
    let words = page.words();
    assert!(words.contains("1 lease looked at") && words.contains("1 ends sooner, or at all"), "{words}");
    let end = first_end(&page);
    assert_eq!(end, lease.ends_at, "three days are more than the notice of a stage");
    ada.act(&path, &[("to", "stop")]).await;
    pass(&app, &id, end).await;
    assert_eq!(app.lease(&id).await.unwrap().state, State::Expired, "sooner than shown");
    app.clock.set(end);
    app.state(&id, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn a_policy_counts_as_its_preview_said_and_is_saved_as_it_was_shown_or_not_at_all() {
    let app = TestApp::start(Setup::default()).await;
    let ada = app.sign_in("ada").await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    let page = ada.get("/policy").await;
    let rev = page.field("rev");
    let fields = |what: &'static str| {
        [("do", what), ("max_lease", "4d"), ("stage_notice", "1s"), ("grace", "3h"), ("max_instances", "none")]
    };
    let shown = ada.act("/policy", &fields("preview")).await;
    let reach = app.clock.now().plus(4 * DAY);
    let words = shown.words();
    assert!(words.contains("Longest renewal 7d 4d"), "{words}");
    let there = zerocloud::words::short_utc(reach);
    assert!(words.contains(&format!("Can be renewed until {there}")), "{there} in {words}");
    let untouched = app.store.get::<Value>("policy::bigdb").await.unwrap().unwrap();
    assert_eq!(untouched.rev.as_deref(), Some(rev.as_str()), "a preview changes nothing");
    let stale: Vec<_> = fields("save").into_iter().chain([("rev", "1-of-another-time")]).collect();
    assert_eq!(ada.act("/policy", &stale).await.status, StatusCode::CONFLICT);
    let fresh: Vec<_> = fields("save").into_iter().chain([("rev", rev.as_str())]).collect();
    let saved = ada.act("/policy", &fresh).await;
    assert!(saved.words().contains("Saved."), "{}", saved.words());
    app.until("the policy is in force", || async {
        ada.get("/policy/apply").await.words().contains("Apply to 1 lease").then_some(())
    })
    .await;
    assert_eq!(app.lease(&id).await.unwrap().ends_at, lease.ends_at, "a policy moves no running end");
    let far = app.clock.now().plus(30 * DAY);
    let request = app.ask("lin", &lease, "renew", json!({ "until": far })).await;
    assert_eq!(app.answer(&request).await.0, "done");
    assert_eq!(app.lease(&id).await.unwrap().expires_at, reach);
    app.stop().await;
}

#[tokio::test]
async fn mistakes_in_a_policy_are_told_all_at_once_and_nothing_is_saved() {
    let app = TestApp::start(Setup::default()).await;
    let ada = app.sign_in("ada").await;
    let page = ada.act("/policy", &[("do", "save"), ("grace", "soon"), ("max_instances", "many")]).await;
    let words = page.words();
    assert!(
        words.contains("Grace: write a time such as 3d") && words.contains("Instances of one person: write a whole")
    );
    assert!(page.text.contains("value=\"soon\""), "what was typed is still there");
    let fields =
        [("do", "save"), ("default_lease", "9h"), ("max_lease", "1h"), ("warnings", "none"), ("email_pattern", "x")];
    let words = ada.act("/policy", &fields).await.words();
    for mistake in
        ["New lease: a new lease of 9 hours is longer", "Warnings before the end: name", "Who may come in: x fits"]
    {
        assert!(words.contains(mistake), "{mistake} in {words}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_persons_own_limits_are_a_layer_of_their_own() {
    let app = TestApp::start(Setup::default()).await;
    let (ada, lin) = (app.sign_in("ada").await, app.sign_in("lin").await);
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    let saved = ada.act("/policy/user/lin", &[("do", "save"), ("max_lease", "10d"), ("rev", "")]).await;
    assert!(saved.words().contains("Saved."), "{}", saved.words());
    app.until("it is in force", || async {
        let page = ada.get("/policy").await.text;
        page.contains("lin\">Lin</a> <span class=\"badge\">own").then_some(())
    })
    .await;
    let far = app.clock.now().plus(30 * DAY);
    let request = app.ask("lin", &lease, "renew", json!({ "until": far })).await;
    assert_eq!(app.answer(&request).await.0, "done");
    assert_eq!(app.lease(&id).await.unwrap().expires_at, app.clock.now().plus(10 * DAY));
    assert_eq!(lin.get("/policy/user/lin").await.status, StatusCode::FORBIDDEN);
    app.stop().await;
}

/// The lease once the policy was applied to it.
async fn applied(app: &TestApp, ada: &Browser, id: &str, before: &Lease) -> Lease {
    let page = ada.act("/policy/apply", &[("reason", "a shorter month")]).await;
    assert!(page.words().contains("Asked for 1 lease"), "{}", page.words());
    app.lease_where(id, "the policy is applied", |lease| lease.term > before.term).await
}

#[tokio::test]
async fn a_policy_is_applied_to_running_leases_for_a_reason_and_never_nearer_than_a_warning_and_the_notice() {
    let app = TestApp::start(Setup::default().policy("default_lease", "7d")).await;
    let (ada, lin) = (app.sign_in("ada").await, app.sign_in("lin").await);
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    let rev = ada.get("/policy").await.field("rev");
    let fields = [("do", "save"), ("rev", rev.as_str()), ("default_lease", "1h"), ("stage_notice", "1s")];
    ada.act("/policy", &fields).await;
    app.until("there is something to apply", || async {
        ada.get("/policy/apply").await.words().contains("Apply to 1 lease").then_some(())
    })
    .await;
    let silent = ada.act("/policy/apply", &[("reason", "")]).await;
    assert!(silent.words().contains("Say why"), "{}", silent.words());
    assert_eq!(app.lease(&id).await.unwrap().expires_at, lease.expires_at);
    // The request alone is refused to whoever is no admin.
    let own = app.session("lin").await;
    let body = json!({
        "type": "request", "schema": 1, "account": "bigdb", "user": "lin", "updated_by": "bigdb.lin",
        "lease": lease.key().lease_id(), "action": "apply_policy", "reason": "mine",
    });
    let refused = app.store.put_as(&own, "request::bigdb::lin::0123456789abcdef", &body, None).await.unwrap_err();
    assert!(refused.to_string().contains("applying the policy is for admins"), "{refused}");
    let shown = first_end(&ada.get("/policy/apply").await);
    let mails = app.mails("lin@bigdb.example", &id).len();
    let after = applied(&app, &ada, &id, &lease).await;
    assert_eq!(after.expires_at, app.clock.now().plus(DAY + HOUR), "the longest warning and the least notice");
    assert_eq!(after.ends_at, shown, "the preview came true");
    assert!(after.events.iter().any(|line| line.what.contains("ada applied the policy: a shorter month")));
    app.mailed("lin@bigdb.example", &id, mails + 1).await;
    assert_eq!(lin.get("/policy/apply").await.status, StatusCode::FORBIDDEN);
    pass(&app, &id, shown).await;
    app.clock.set(shown);
    app.state(&id, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn an_exemption_rule_holds_what_its_preview_named_until_it_is_ended() {
    let app = TestApp::start(Setup::default()).await;
    let ada = app.sign_in("ada").await;
    let kept =
        app.aws.at(DEV, EAST).launch(&tagged(&[("owner", "lin@bigdb.example"), ("Name", "db-1"), ("Keep", "Yes")]));
    let other = app.aws.at(DEV, EAST).launch(&tagged(&[("owner", "max@bigdb.example"), ("Name", "web-2")]));
    let lease = app.settled(&kept, "lin").await;
    app.settled(&other, "max").await;
    let until = app.clock.now().plus(60 * DAY).to_string()[..10].to_owned();
    let fields = |what: &'static str| {
        [
            ("do", what),
            ("by", "tag"),
            ("key", "keep"),
            ("value", "y*"),
            ("reason", "release"),
            ("until", until.as_str()),
        ]
        .map(|(name, value)| (name, value.to_owned()))
    };
    let send = async |what: &'static str| {
        let fields = fields(what);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ada.act("/exemptions", &fields).await.words()
    };
    let shown = send("preview").await;
    assert!(shown.contains("1 lease now: db-1") && shown.contains("1 ends later, or not at all"), "{shown}");
    assert!(ada.get("/exemptions").await.words().contains("No rule"), "a preview makes nothing");
    let made = send("save").await;
    assert!(made.contains("Made: tag keep = y*"), "{made}");
    pass(&app, &kept, lease.ends_at).await;
    app.clock.set(lease.ends_at.plus(1));
    let held = |lease: &Lease| lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Exemption);
    let now = app.lease_where(&kept, "held by the rule", held).await;
    assert!(now.hold.unwrap().reason.contains("exempted by rule (tag keep = y*): release"));
    app.state(&other, State::Stopped).await;
    // A session lasts half a day.
    let ada = app.sign_in("ada").await;
    let page = ada.get("/exemptions").await.text;
    let end = page.split("action=\"/exemptions/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let end = format!("/exemptions/{end}");
    let asked = ada.act(&end, &[]).await.words();
    for word in ["End the rule tag keep = y*?", "1 ends sooner, or at all", "db-1"] {
        assert!(asked.contains(word), "{word} in {asked}");
    }
    assert!(ada.get("/exemptions").await.words().contains("tag keep = y*"), "a preview ends nothing");
    let ended = ada.act(&end, &[("do", "save")]).await;
    assert!(ended.words().contains("The rule is ended."), "{}", ended.words());
    let now = app.lease_where(&kept, "announced again", |lease| !held(lease)).await;
    assert!(now.ends_at >= app.clock.now().plus(HOUR - 5), "its owner is told in time");
    let page = ada.act("/exemptions", &[("by", "tag"), ("until", "1999-01-01")]).await.words();
    for word in ["Name the tag.", "Say which value it must have", "Say why", "Say until which day"] {
        assert!(page.contains(word), "{word} in {page}");
    }
    app.stop().await;
}
