//! The pages of admins, and who may open which page.

use crate::app::{DEV, EAST, Setup, TestApp, WEST, owned_by, tagged};
use ec2_double::Spec;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What each route says to: nobody, its owner, another dev, an admin, the admin of another Account.
pub type Row = (&'static str, &'static str, [u16; 5]);

const LOGIN: u16 = 303;

/// GET: pages. `{lease}` is a lease of lin.
pub const PAGES: [Row; 20] = [
    ("GET", "/", [303, 303, 303, 303, 303]),
    ("GET", "/login", [200, 303, 303, 303, 303]),
    ("GET", "/login/callback", [403, 403, 403, 403, 403]),
    ("GET", "/setup/guess", [404, 404, 404, 404, 404]),
    ("GET", "/l/guess", [410, 410, 410, 410, 410]),
    ("GET", "/leases", [LOGIN, 200, 200, 200, 200]),
    ("GET", "/leases/{lease}", [LOGIN, 200, 404, 200, 404]),
    ("GET", "/settings", [LOGIN, 200, 200, 200, 200]),
    ("GET", "/all", [LOGIN, 403, 403, 200, 200]),
    ("GET", "/all.csv", [LOGIN, 403, 403, 200, 200]),
    ("GET", "/unowned", [LOGIN, 403, 403, 200, 200]),
    ("GET", "/people", [LOGIN, 403, 403, 200, 200]),
    ("GET", "/people/max/leave", [LOGIN, 403, 403, 200, 404]),
    ("GET", "/policy", [LOGIN, 403, 403, 200, 200]),
    ("GET", "/policy/user/max", [LOGIN, 403, 403, 200, 404]),
    ("GET", "/aws-accounts", [LOGIN, 403, 403, 200, 200]),
    ("GET", "/aws-accounts/111122223333/stage?to=stop", [LOGIN, 403, 403, 200, 404]),
    ("GET", "/events", [LOGIN, 403, 403, 200, 200]),
    ("GET", "/savings", [LOGIN, 403, 403, 200, 200]),
    ("GET", "/status", [LOGIN, 403, 403, 200, 200]),
];

/// POST, each with the secret of the session. What is done leads on (303).
pub const ACTS: [Row; 12] = [
    ("POST", "/leases/{lease}/exempt", [LOGIN, 403, 403, 303, 404]),
    ("POST", "/leases/{lease}/unexempt", [LOGIN, 403, 403, 303, 404]),
    ("POST", "/leases/{lease}/renew", [LOGIN, 303, 404, 303, 404]),
    ("POST", "/leases/{lease}/terminate", [LOGIN, 303, 404, 303, 404]),
    ("POST", "/leases/{lease}/nonsense", [LOGIN, 404, 404, 404, 404]),
    ("POST", "/settings", [LOGIN, 303, 303, 303, 303]),
    ("POST", "/settings/tokens", [LOGIN, 303, 303, 303, 303]),
    ("POST", "/settings/tokens/guess/revoke", [LOGIN, 404, 404, 404, 404]),
    ("POST", "/all", [LOGIN, 403, 403, 200, 200]),
    ("POST", "/people", [LOGIN, 403, 403, 303, 303]),
    ("POST", "/people/max/role", [LOGIN, 403, 403, 303, 404]),
    ("POST", "/people/max/leave", [LOGIN, 403, 403, 303, 404]),
];

#[tokio::test]
async fn every_route_opens_only_for_whom_it_is_meant() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await.key().to_string();
    let visitors = [
        app.browser(),
        app.sign_in("lin").await,
        app.sign_in("max").await,
        app.sign_in("ada").await,
        app.sign_in_to("other", "eve").await,
    ];
    let names = ["nobody", "owner", "other dev", "admin", "other account's admin"];
    let mut wrong = Vec::new();
    for (method, path, wanted) in PAGES.iter().chain(&ACTS) {
        let path = path.replace("{lease}", &lease);
        // The admin last: what they do is done.
        for who in [0, 1, 2, 4, 3] {
            let browser = &visitors[who];
            let page = if *method == "GET" {
                browser.get(&path).await
            } else {
                let csrf = if who == 0 { String::new() } else { browser.get("/settings").await.field("csrf") };
                browser.post(&path, &[("csrf", &csrf)]).await
            };
            let to_login = who == 0 && wanted[0] == LOGIN && path != "/" && !page.location().starts_with("/login");
            if page.status.as_u16() != wanted[who] || to_login {
                wrong.push(format!("{method} {path} as {}: {} {}", names[who], page.status, page.location()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    app.stop().await;
}

#[tokio::test]
async fn an_admin_of_another_account_sees_nothing_of_this_one() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    let eve = app.sign_in_to("other", "eve").await;
    for path in ["/leases", "/all", "/all.csv", "/unowned", "/people", "/policy", "/aws-accounts", "/events", "/status"]
    {
        let page = eve.get(path).await;
        for word in [id.as_str(), DEV, "bigdb", "Lin"] {
            assert!(!page.text.contains(word), "{path} shows {word}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn an_admin_finds_leases_and_acts_on_many_at_once() {
    let app = TestApp::start(Setup::default()).await;
    let mine = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let other = app.aws.at(DEV, WEST).launch(&tagged(&[("Name", "=nobody's, \"this\"")]));
    let (one, two) = (app.settled(&mine, "lin").await, app.settled(&other, "ada").await);
    let ada = app.sign_in("ada").await;
    let page = ada.get("/all").await;
    assert!(page.text.contains(&mine) && page.text.contains(&other), "{}", page.words());
    let page = ada.get("/all?region=eu-west-1").await;
    assert!(!page.text.contains(&mine) && page.text.contains(&other));
    let page = ada.get("/unowned").await;
    assert!(!page.text.contains(&mine) && page.text.contains(&other));
    let csv = ada.get("/all.csv?sort=name").await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert!(csv.text.contains(&format!("{other},\"'=nobody's, \"\"this\"\"\"")), "{}", csv.text);
    let (one, two) = (one.key().to_string(), two.key().to_string());
    let page = ada.act("/all", &[("key", &two), ("act", "reassign"), ("to", "max"), ("back", "/unowned")]).await;
    assert!(page.words().contains("Reassigned 1 of 1."), "{}", page.words());
    app.lease_where(&other, "of max", |lease| lease.owner.as_str() == "max").await;
    let fields = [("key", one.as_str()), ("key", &two), ("act", "exempt"), ("until", "14d"), ("reason", "a release")];
    let page = ada.act("/all", &fields).await;
    assert!(page.words().contains("Exempted 2 of 2."), "{}", page.words());
    app.lease_where(&mine, "exempt", |lease| lease.exemption.as_ref().is_some_and(|it| it.reason == "a release")).await;
    let page = ada.act("/all", &[("key", &one), ("act", "exempt"), ("until", "14d")]).await;
    assert!(page.words().contains("An exemption needs a reason"), "{}", page.words());
    // What was ticked and typed stands there again.
    assert!(page.text.contains(&format!("value=\"{one}\" aria-label=\"web-1\" checked")), "{}", page.text);
    assert_eq!(page.text.matches(" checked").count(), 1, "{}", page.text);
    assert!(page.text.contains("details class=\"bulk\" open"), "{}", page.text);
    let page = ada.act("/all", &[("key", &one), ("key", &two), ("act", "renew"), ("for", "6d")]).await;
    assert!(page.words().contains("Renewed 2 of 2."), "{}", page.words());
    let until = app.clock.now().plus(6 * 86_400);
    app.lease_where(&mine, "renewed", |lease| lease.expires_at == until).await;
    app.advance(2);
    let max = app.sign_in("max").await;
    max.act(&format!("/leases/{two}/end"), &[]).await;
    app.state(&other, zerocloud::model::State::Stopped).await;
    let page = ada.act("/all", &[("key", &one), ("key", &two), ("act", "renew"), ("for", "7d")]).await;
    let told = format!("Renewed 1 of 2. Not: {other}: it does not run");
    assert!(page.words().contains(&told), "{}", page.words());
    let csv = ada.get("/all.csv?state=any").await.text;
    assert!(csv.lines().next().unwrap().ends_with(",owner_email,dollars_a_day"), "{csv}");
    assert!(csv.lines().any(|line| line.contains(&mine) && line.contains(",lin@bigdb.example,")), "{csv}");
    app.stop().await;
}

#[tokio::test]
async fn lists_without_a_lease_say_what_comes_next() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let ada = app.sign_in("ada").await;
    let page = ada.get("/all").await.words();
    assert!(page.contains("No lease yet") && page.contains("shows here within a poll"), "{page}");
    let page = ada.get("/unowned").await.words();
    assert!(!page.contains("Nothing gives these"), "{page}");
    // Of the other Account nothing is connected.
    let eve = app.sign_in_to("other", "eve").await;
    for path in ["/leases", "/all"] {
        let page = eve.get(path).await;
        assert!(page.text.contains("/aws-accounts/new\">Connect an AWS account"), "{path}: {}", page.words());
    }
    let page = eve.get("/status").await.words();
    assert!(page.contains("nothing to poll yet") && !page.contains("last poll of AWS"), "{page}");
    app.stop().await;
}

#[tokio::test]
async fn what_leases_cost_is_shown_and_sorted_by_and_unknown_is_never_nothing() {
    let app = TestApp::start(Setup::default()).await;
    let known = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let unknown =
        app.aws.at(DEV, EAST).launch(&Spec { instance_type: "z9.huge".to_owned(), ..owned_by("lin@bigdb.example") });
    let lease = app.settled(&known, "lin").await;
    app.settled(&unknown, "lin").await;
    let (lin, ada) = (app.sign_in("lin").await, app.sign_in("ada").await);
    for page in [lin.get("/leases").await.words(), lin.get(&format!("/leases/{}", lease.key())).await.words()] {
        assert!(page.contains("Estimated cost") && page.contains(" a day, $") && page.contains(" a month"), "{page}");
    }
    assert!(lin.get("/leases").await.words().contains("Estimated cost: unknown"));
    for (sort, first, second) in [("cost", &known, &unknown), ("-cost", &known, &unknown)] {
        let page = ada.get(&format!("/all?sort={sort}")).await.words();
        assert!(page.find(first.as_str()).unwrap() < page.find(second.as_str()).unwrap(), "{sort}: {page}");
        assert!(page.contains("z9.huge unknown") && !page.contains("$0.00 "), "{page}");
    }
    let page = ada.get("/savings").await.words();
    assert!(
        page.contains("what ran")
            && page.contains("Today so far: ")
            && page.contains(" h unknown)")
            && page.contains("Lin"),
        "{page}"
    );
    app.stop().await;
}

#[tokio::test]
async fn people_are_invited_change_roles_and_leave_and_what_they_had_passes_on() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    let (ada, lin) = (app.sign_in("ada").await, app.sign_in("lin").await);
    let page = ada.act("/people", &[("email", "Grace@BigDB.example"), ("name", "Grace H"), ("role", "dev")]).await;
    assert!(page.words().contains("grace@bigdb.example may come in"), "{}", page.words());
    let page = ada.act("/people", &[("email", "grace@bigdb.example")]).await;
    assert!(page.words().contains("is here already"), "{}", page.words());
    let page = ada.act("/people/max/role", &[("role", "admin")]).await;
    assert!(page.words().contains("Changed"), "{}", page.words());
    assert_eq!(app.sign_in("max").await.get("/people").await.status, StatusCode::OK);
    let page = ada.act("/people/ada/role", &[("role", "dev")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.words().contains("Nobody changes their own role."), "{}", page.words());
    let page = ada.act("/people/ada/leave", &[]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.words());
    let page = ada.get("/people/lin/leave").await;
    assert!(page.words().contains("1 lease pass to an admin"), "{}", page.words());
    let page = ada.act("/people/lin/leave", &[]).await;
    assert!(page.words().contains("Removed."), "{}", page.words());
    assert_eq!(lin.get("/leases").await.status, StatusCode::SEE_OTHER);
    assert!(app.store.get::<Value>("user::bigdb::lin").await.unwrap().is_none());
    assert!(app.store.session("bigdb.lin", 60).await.is_err(), "their gateway user is gone");
    app.lease_where(&id, "with an admin", |lease| lease.owner.as_str() != "lin").await;
    app.stop().await;
}

#[tokio::test]
async fn settings_are_a_persons_own() {
    let app = TestApp::start(Setup::default()).await;
    let lin = app.sign_in("lin").await;
    let page = lin.act("/settings", &[("zone", "Europe/Atlantis")]).await;
    assert!(page.words().contains("There is no such time zone"), "{}", page.words());
    let away = app.clock.now().plus(5 * 86_400).to_string()[..10].to_owned();
    let all =
        [("zone", "Europe/Berlin"), ("format", "text"), ("digest", "9"), ("delegate", "max"), ("until", away.as_str())];
    for (wrong, why) in [(("digest", "24"), "Choose an hour"), (("until", "2001-01-01"), "until which day")] {
        let fields: Vec<_> = all.iter().map(|field| if field.0 == wrong.0 { wrong } else { *field }).collect();
        let page = lin.act("/settings", &fields).await;
        assert!(page.words().contains(why), "{}", page.words());
    }
    let page = lin.act("/settings", &all).await;
    assert!(page.words().contains("Saved.") && page.words().contains("(Europe/Berlin)"), "{}", page.words());
    let user = app.store.get::<Value>("user::bigdb::lin").await.unwrap().unwrap().body;
    assert_eq!(
        (&user["time_zone"], &user["mail_format"], &user["delegate"], &user["digest_hour"]),
        (&json!("Europe/Berlin"), &json!("text"), &json!("max"), &json!(9))
    );
    assert!(user["delegate_until"].as_str().unwrap().starts_with(&away), "{user}");
    app.until("the page says who stands in", || async {
        let page = lin.get("/settings").await;
        (page.words().contains("Max stands in for you now.") && page.text.contains(&away)).then_some(())
    })
    .await;
    let page = lin.act("/settings", &[("zone", "Europe/Berlin"), ("format", "text")]).await;
    assert!(page.words().contains("Saved."), "{}", page.words());
    let user = app.store.get::<Value>("user::bigdb::lin").await.unwrap().unwrap().body;
    assert!(["digest_hour", "delegate", "delegate_until"].iter().all(|name| user[name].is_null()), "{user}");
    app.stop().await;
}

#[tokio::test]
async fn a_token_is_shown_once_works_and_is_revoked() {
    let app = TestApp::start(Setup::default()).await;
    let lin = app.sign_in("lin").await;
    let page = lin.act("/settings/tokens", &[("name", "script"), ("lasts", "1d"), ("read", "1")]).await;
    let token = page.words().split_whitespace().find(|word| word.starts_with("zcp_")).unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let call = async || app.browser().send(Method::GET, "/api/v1/me", &[("authorization", &bearer)], None).await;
    assert_eq!(call().await.status, StatusCode::OK);
    let page = lin.get("/settings").await;
    assert!(page.words().contains("script read; until") && !page.text.contains(&token), "{}", page.words());
    let at = page.text.replace("&#x2f;", "/");
    let path =
        at.split("action=\"").find(|part| part.contains("/revoke")).unwrap().split('"').next().unwrap().to_owned();
    assert!(lin.act(&path, &[]).await.words().contains("Revoked"));
    assert_eq!(call().await.status, StatusCode::UNAUTHORIZED);
    app.stop().await;
}

#[tokio::test]
async fn loading_the_page_of_a_new_secret_again_makes_no_second_one() {
    let app = TestApp::start(Setup::default()).await;
    let ada = app.sign_in("ada").await;
    let aws = format!("/aws-accounts/{DEV}");
    app.until("its page", async || ada.get(&aws).await.text.contains("Make a key").then_some(())).await;
    let count = async |prefix: &str| app.store.prefix(prefix).await.unwrap().len();
    let again = async |form: &str, fields: &[(&str, &str)], from: &str, kind: &str| {
        let once = ada.get(from).await.field("once");
        let all = [fields, &[("once", once.as_str())]].concat();
        let made = ada.act(form, &all).await;
        assert!(made.status == StatusCode::OK && made.text.contains("not shown again"), "{form}: {}", made.words());
        let before = count(kind).await;
        let page = ada.act(form, &all).await;
        assert_eq!((page.status, count(kind).await), (StatusCode::CONFLICT, before), "{form}: {}", page.words());
        assert!(page.words().contains("revoke it and make another"), "{form}: {}", page.words());
        before
    };
    let token = [("name", "script"), ("lasts", "1d"), ("read", "1")];
    assert_eq!(again("/settings/tokens", &token, "/settings", "api_token::").await, 1);
    assert_eq!(again(&format!("{aws}/event-keys"), &[("name", "trial")], &aws, "event_key::").await, 1);
    let id = app.store.prefix("event_key::").await.unwrap()[0].id.rsplit("::").next().unwrap().to_owned();
    assert_eq!(again(&format!("{aws}/event-keys/{id}/rotate"), &[], &aws, "event_key::").await, 2);
    // A form that was refused may be mended and sent again.
    let once = ada.get("/settings").await.field("once");
    let bad = ada.act("/settings/tokens", &[("name", "x"), ("lasts", "moon"), ("read", "1"), ("once", &once)]).await;
    assert!(bad.words().contains("A token needs a name"), "{}", bad.words());
    let good = ada.act("/settings/tokens", &[("name", "x"), ("lasts", "1d"), ("read", "1"), ("once", &once)]).await;
    assert!(good.text.contains("zcp_"), "{}", good.words());
    app.stop().await;
}
