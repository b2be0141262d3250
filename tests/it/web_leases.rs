//! My leases, one lease and the links of mails, as people use them: what is done goes through the access rules, and what mail
//! scanners do changes nothing.

use crate::api::{Program, http};
use crate::app::{DEV, EAST, Setup, TestApp, owned_by, tagged};
use reqwest::{Method, StatusCode};
use serde_json::json;
use zerocloud::model::{Action, HoldKind, Lease, State};

async fn told(app: &TestApp, owner: &str) -> (String, Lease) {
    let id = app.aws.at(DEV, EAST).launch(&owned_by(&format!("{owner}@bigdb.example")));
    let lease = app.settled(&id, owner).await;
    (id, lease)
}

fn link(app: &TestApp, address: &str, instance: &str, label: &str) -> String {
    let mail = app.mails(address, instance).pop().expect("a mail");
    let at = mail.text.find(&format!("{label}:")).unwrap_or_else(|| panic!("{label} in {}", mail.text));
    let rest = &mail.text[at..];
    let from = rest.find("https://zc.example").expect("a link") + "https://zc.example".len();
    rest[from..].split_whitespace().next().unwrap().to_owned()
}

fn linked() -> Setup {
    Setup::default().web("public_url: 'https://zc.example'")
}

#[tokio::test]
async fn a_dev_sees_their_own_leases_and_renews_one_in_one_tap() {
    let app = TestApp::start(Setup::default()).await;
    let (id, lease) = told(&app, "lin").await;
    let (lin, max) = (app.sign_in("lin").await, app.sign_in("max").await);
    let page = lin.get("/leases").await.words();
    for word in ["web-1", &id, "Ends in", "If nobody renews it, it is stopped at", "Renew"] {
        assert!(page.contains(word), "{word} in {page}");
    }
    assert!(!max.get("/leases").await.text.contains(&id));
    let path = format!("/leases/{}/renew", lease.key());
    let page = lin.act(&path, &[("for", "432000"), ("back", "leases")]).await;
    assert!(page.words().contains("Renewed until"), "{}", page.words());
    let renewed = app.lease_where(&id, "renewed", |now| now.expires_at > lease.expires_at).await;
    assert_eq!(renewed.expires_at, app.clock.now().plus(432_000));
    // Another dev cannot even see that it is there.
    let refused = max.act(&path, &[("for", "432000")]).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    app.stop().await;
}

#[tokio::test]
async fn one_lease_tells_its_whole_story_to_its_owner_and_to_admins() {
    let app = TestApp::start(Setup::default()).await;
    let (id, lease) = told(&app, "lin").await;
    let path = format!("/leases/{}", lease.key());
    for user in ["lin", "ada"] {
        let page = app.sign_in(user).await.get(&path).await;
        let words = page.words();
        for word in [
            id.as_str(),
            "First notice to Lin: mailed.",
            "its tag owner says lin@bigdb.example",
            "The event that made the lease",
            "EC2 says running",
        ] {
            assert!(words.contains(word), "{word} for {user} in {words}");
        }
    }
    assert_eq!(app.sign_in("max").await.get(&path).await.status, StatusCode::NOT_FOUND);
    app.stop().await;
}

#[tokio::test]
async fn an_admin_exempts_one_lease_on_its_own_page_and_lifts_it_and_the_story_tells_who() {
    let app = TestApp::start(Setup::default()).await;
    let (id, lease) = told(&app, "lin").await;
    let path = format!("/leases/{}", lease.key());
    let (lin, ada) = (app.sign_in("lin").await, app.sign_in("ada").await);
    assert!(!lin.get(&path).await.text.contains("/exempt\""), "a dev is offered it");
    let fields = [("reason", "the fair"), ("until", "2099-01-31")];
    assert_eq!(lin.act(&format!("{path}/exempt"), &fields).await.status, StatusCode::FORBIDDEN);
    let page = ada.act(&format!("{path}/exempt"), &[("reason", ""), ("until", "2099-01-31")]).await;
    assert!(page.words().contains("An exemption needs a reason"), "{}", page.words());
    assert!(app.lease(&id).await.unwrap().exemption.is_none());
    let page = ada.act(&format!("{path}/exempt"), &fields).await.words();
    assert!(page.contains("It is exempt until Sat 31 Jan 2099, 23:59:59 UTC."), "{page}");
    app.lease_where(&id, "told", |now| story(now).contains("ada exempted it until 2099-01-31T23:59:59Z: the fair"))
        .await;
    let page = lin.get(&path).await.words();
    for word in [
        "Exempt until Sat 31 Jan 2099",
        "it is not stopped while it is exempt",
        "Ada exempted it until Sat 31 Jan 2099",
    ] {
        assert!(page.contains(word), "{word} in {page}");
    }
    let page = ada.act(&format!("{path}/unexempt"), &[]).await.words();
    assert!(page.contains("It is not exempt any more."), "{page}");
    let lifted = app.lease_where(&id, "lifted", |now| story(now).contains("ada lifted its exemption")).await;
    assert!(lifted.exemption.is_none());
    app.stop().await;
}

#[tokio::test]
async fn an_admin_keeps_what_was_stopped_from_being_terminated() {
    let app = TestApp::start(Setup::default()).await;
    let (id, lease) = told(&app, "lin").await;
    let (lin, ada) = (app.sign_in("lin").await, app.sign_in("ada").await);
    let path = format!("/leases/{}", lease.key());
    app.advance(2);
    lin.act(&format!("{path}/end"), &[]).await;
    app.state(&id, State::Stopped).await;
    assert!(ada.get(&path).await.text.contains("/exempt\""), "not offered");
    ada.act(&format!("{path}/exempt"), &[("reason", "evidence"), ("until", "2099-01-31")]).await;
    let stopped = app.lease_where(&id, "exempt", |now| now.exemption.is_some()).await;
    app.clock.set(stopped.ends_at.plus(86_400));
    let held =
        |now: &Lease| now.state == State::Stopped && now.hold.as_ref().is_some_and(|it| it.kind == HoldKind::Exemption);
    app.lease_where(&id, "held", held).await;
    app.polled(DEV, EAST, 2).await;
    assert_eq!(app.aws.instance(&id).unwrap().state, ec2_double::State::Stopped);
    app.stop().await;
}

fn story(lease: &Lease) -> String {
    lease.events.iter().map(|line| line.what.as_str()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn ending_now_stops_the_instance() {
    let app = TestApp::start(Setup::default()).await;
    let (id, lease) = told(&app, "lin").await;
    app.advance(2);
    let lin = app.sign_in("lin").await;
    let page = lin.act(&format!("/leases/{}/end", lease.key()), &[]).await;
    assert!(page.words().contains("It will be stopped now."), "{}", page.words());
    app.state(&id, State::Stopped).await;
    let page = lin.get("/leases").await.words();
    assert!(page.contains("Stopped") && page.contains("Start it again"), "{page}");
    app.stop().await;
}

#[tokio::test]
async fn a_lease_that_is_handed_over_is_the_others_once_they_accept() {
    let app = TestApp::start(Setup::default()).await;
    let (id, lease) = told(&app, "lin").await;
    let (lin, max) = (app.sign_in("lin").await, app.sign_in("max").await);
    let path = format!("/leases/{}", lease.key());
    let page = lin.act(&format!("{path}/hand-over"), &[("to", "max")]).await;
    assert!(page.words().contains("Offered to Max"), "{}", page.words());
    app.until("max sees it", || async { max.get("/leases").await.text.contains("Offered to you").then_some(()) }).await;
    let page = max.get(&path).await.words();
    assert!(page.contains("Lin offers it to you.") && !page.contains("who has not accepted yet"), "{page}");
    assert_eq!(app.lease(&id).await.unwrap().owner.as_str(), "lin");
    let page = max.act(&format!("{path}/accept"), &[]).await;
    assert!(page.words().contains("It is yours."), "{}", page.words());
    app.lease_where(&id, "of max", |lease| lease.owner.as_str() == "max").await;
    assert_eq!(lin.get(&path).await.status, StatusCode::NOT_FOUND);
    app.stop().await;
}

#[tokio::test]
async fn not_mine_passes_it_to_an_admin() {
    let app = TestApp::start(Setup::default()).await;
    let (id, lease) = told(&app, "lin").await;
    let page = app.sign_in("lin").await.act(&format!("/leases/{}/not-mine", lease.key()), &[]).await;
    assert!(page.words().contains("It is not yours any more."), "{}", page.words());
    app.lease_where(&id, "of ada", |lease| lease.owner.as_str() == "ada").await;
    let ada = app.sign_in("ada").await;
    let why = "Lin said that it is not theirs, and nothing names anybody else";
    for page in [ada.get("/unowned").await.words(), ada.get(&format!("/leases/{}", lease.key())).await.words()] {
        assert!(page.contains(why), "{page}");
    }
    app.until("ada has the mail", || async { (!app.mails("ada@bigdb.example", &id).is_empty()).then_some(()) }).await;
    let mail = app.mails("ada@bigdb.example", &id).pop().unwrap();
    assert!(mail.text.contains(why), "{}", mail.text);
    app.stop().await;
}

#[tokio::test]
async fn scanners_that_fetch_every_link_change_nothing_and_the_button_renews() {
    let app = TestApp::start(linked()).await;
    let (id, lease) = told(&app, "lin").await;
    app.advance(2);
    let stranger = app.browser();
    let links = ["Renew it", "End it now", "It is not mine"].map(|label| link(&app, "lin@bigdb.example", &id, label));
    for link in &links {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            for purpose in [&[][..], &[("sec-purpose", "prefetch"), ("purpose", "prefetch")][..]] {
                stranger.send(method.clone(), link, purpose, None).await;
            }
        }
        let page = stranger.get(link).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.words().contains("You act as Lin, by the link in your mail."), "{}", page.words());
    }
    assert_eq!(app.store.prefix("request::").await.unwrap().len(), 0);
    assert_eq!(app.lease(&id).await.unwrap().owner, lease.owner);
    let headers = [("origin", "https://zc.example")];
    let page = stranger.send(Method::POST, &links[0], &headers, Some("for=432000".to_owned())).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.words());
    let renewed = app.lease_where(&id, "renewed", |now| now.expires_at > lease.expires_at).await;
    assert_eq!(renewed.expires_at, app.clock.now().plus(432_000));
    // The other links of the same mail are still good: end, and not mine.
    app.advance(2);
    let page = stranger.send(Method::POST, &links[1], &headers, Some(String::new())).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.words());
    app.state(&id, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn a_stale_link_gets_a_page_that_helps() {
    let app = TestApp::start(linked()).await;
    let (id, lease) = told(&app, "lin").await;
    let stranger = app.browser();
    let renew = link(&app, "lin@bigdb.example", &id, "Renew it");
    for (path, words) in
        [("/l/zc1.cut", "This link is not whole"), ("/l/", "Not found"), (&renew[..renew.len() - 4], "This link")]
    {
        let page = stranger.get(path).await;
        assert!(page.words().contains(words), "{path}: {}", page.words());
    }
    let not_mine = link(&app, "lin@bigdb.example", &id, "It is not mine");
    let headers = [("origin", "https://zc.example")];
    let page = stranger.send(Method::POST, &not_mine, &headers, Some(String::new())).await;
    assert!(page.words().contains("It is not yours any more."), "{}", page.words());
    app.lease_where(&id, "of ada", |now| now.owner.as_str() == "ada").await;
    let page = stranger.send(Method::POST, &renew, &headers, Some("for=3600".to_owned())).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(page.words().contains("It has another owner now"), "{}", page.words());
    app.clock.set(lease.ends_at.plus(86_400));
    let page = stranger.get(&renew).await;
    assert!(page.words().contains("This link is over"), "{}", page.words());
    app.stop().await;
}

#[tokio::test]
async fn a_link_does_what_its_mail_said_though_the_policy_says_more_by_now() {
    let app = TestApp::start(linked()).await;
    let (id, lease) = told(&app, "lin").await;
    app.edit("policy::bigdb", |doc| doc["policy"]["expiry_action"] = json!("terminate")).await;
    // A new one is judged by it, so it is known.
    app.aws.at(DEV, EAST).launch(&owned_by("max@bigdb.example"));
    let known = async || app.leases().await.iter().any(|lease| lease.end_action == Action::Terminate);
    app.until("the new policy is known", || async { known().await.then_some(()) }).await;
    let stranger = app.browser();
    let end = link(&app, "lin@bigdb.example", &id, "End it now");
    let words = stranger.get(&end).await.words();
    assert!(words.contains("Its volumes stay"), "{words}");
    let headers = [("origin", "https://zc.example")];
    stranger.send(Method::POST, &end, &headers, Some(String::new())).await;
    let ended = app.lease_where(&id, "ended", |now| now.stopped_at.is_some() || now.state.is_over()).await;
    assert_eq!((ended.state, ended.key()), (State::Stopped, lease.key()));
    app.stop().await;
}

#[tokio::test]
async fn terminating_by_link_needs_signing_in() {
    let app = TestApp::start(linked().policy("expiry_action", "terminate")).await;
    let id = app.aws.at(DEV, EAST).launch(&tagged(&[("owner", "lin@bigdb.example")]));
    let lease = app.settled(&id, "lin").await;
    app.advance(2);
    let stranger = app.browser();
    let end = link(&app, "lin@bigdb.example", &id, "End it now");
    let page = stranger.get(&end).await;
    assert!(page.words().contains("That needs you to sign in."), "{}", page.words());
    let page = stranger.send(Method::POST, &end, &[], Some(String::new())).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(app.lease(&id).await.unwrap().state, State::Active);
    let page =
        app.sign_in_at("https://zc.example", "lin").await.act(&format!("/leases/{}/terminate", lease.key()), &[]).await;
    assert!(page.words().contains("It will be terminated now."), "{}", page.words());
    app.state(&id, State::Terminated).await;
    app.stop().await;
}

#[tokio::test]
async fn who_stands_in_gets_the_mail_too_and_renews_by_their_own_link_until_the_owner_is_back() {
    let app = TestApp::start(linked()).await;
    told(&app, "lin").await;
    app.edit("user::bigdb::lin", |user| {
        user["delegate"] = json!("max");
        user["delegate_until"] = json!(app.clock.now().plus(10 * 86_400));
    })
    .await;
    let (id, lease) = told(&app, "lin").await;
    app.until("max has the mail", || async { (!app.mails("max@bigdb.example", &id).is_empty()).then_some(()) }).await;
    let mail = app.mails("max@bigdb.example", &id).pop().unwrap();
    assert!(mail.text.contains("You stand in for Lin") && !mail.text.contains("End it now:"), "{}", mail.text);
    app.advance(2);
    let stranger = app.browser();
    let renew = link(&app, "max@bigdb.example", &id, "Renew it");
    let page = stranger.get(&renew).await;
    assert!(
        page.words().contains("You act as Max, standing in for Lin, by the link in your mail."),
        "{}",
        page.words()
    );
    let headers = [("origin", "https://zc.example")];
    let page = stranger.send(Method::POST, &renew, &headers, Some("for=432000".to_owned())).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.words());
    let renewed = app.lease_where(&id, "renewed", |now| now.expires_at > lease.expires_at).await;
    assert_eq!((renewed.owner.as_str(), renewed.expires_at), ("lin", app.clock.now().plus(432_000)));
    let story: Vec<&str> = renewed.events.iter().map(|line| line.what.as_str()).collect();
    assert!(
        story.iter().any(|what| what.starts_with("max: renewed until") && what.ends_with("standing in for lin")),
        "{story:?}"
    );
    // Nothing else is open to them: neither its page nor its end.
    let max = app.sign_in_at("https://zc.example", "max").await;
    assert_eq!(max.get(&format!("/leases/{}", lease.key())).await.status, StatusCode::NOT_FOUND);
    let asked = app.ask("max", &renewed, "end", json!({})).await;
    assert_eq!(app.answer(&asked).await.0, "refused");
    app.edit("user::bigdb::lin", |user| user["delegate_until"] = json!(app.clock.now())).await;
    app.until("the link is over", || async {
        let page = stranger.get(&renew).await;
        (page.status == StatusCode::GONE && page.words().contains("You do not stand in any more")).then_some(())
    })
    .await;
    let asked = app.ask("max", &renewed, "renew", json!({})).await;
    assert_eq!(app.answer(&asked).await.0, "refused");
    app.stop().await;
}

#[tokio::test]
async fn nobody_of_a_closed_account_acts_on_any_surface_while_its_leases_go_on() {
    let app = TestApp::start(linked().with_another()).await;
    let (id, lease) = told(&app, "lin").await;
    let renew = link(&app, "lin@bigdb.example", &id, "Renew it");
    let (lin, ada) = (app.sign_in_at("https://zc.example", "lin").await, Program::all(&app, "ada").await);
    let eve = app.sign_in_to("other", "eve").await;
    let made = ada.post("sync-session", json!({})).await;
    let cookie = format!("{}={}", made["cookie_name"].as_str().unwrap(), made["session_id"].as_str().unwrap());
    let set = async |closed: bool| {
        app.edit("account::bigdb", |body| body["settings"] = json!({ "closed": closed })).await;
    };
    let sync = async |name: &str, value: &str| {
        let asked = http().get(format!("{}/sync/zerocloud/_all_docs", app.web)).header(name, value);
        asked.send().await.unwrap().status().as_u16()
    };
    set(true).await;
    let closed = |page: &crate::browser::Page| {
        page.status == StatusCode::FORBIDDEN
            && page.words().contains("Your Account is closed; ask whoever runs zerocloud")
    };
    app.until("it is closed", || async { closed(&lin.get("/leases").await).then_some(()) }).await;
    assert!(closed(&lin.post(&format!("/leases/{}/renew", lease.key()), &[("for", "3600")]).await));
    for page in [app.browser().get(&renew).await, app.browser().post(&renew, &[("for", "3600")]).await] {
        assert!(closed(&page), "{}", page.words());
    }
    assert_eq!(lin.get("/login").await.status, StatusCode::OK, "who is in another Account, too, signs in there");
    let refused = ada.send(Method::GET, "me", &[], None).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.body["detail"].as_str().unwrap().starts_with("Your Account is closed"), "{}", refused.body);
    assert_eq!(sync("authorization", &format!("Bearer {}", ada.token)).await, 403);
    assert!([401, 403].contains(&sync("cookie", &cookie).await));
    app.until("the phone's session is ended", || async {
        app.store.prefix("sync_session::").await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(eve.get("/leases").await.status, StatusCode::OK, "another Account's person");
    // Nobody's machine is kept by it.
    app.clock.set(lease.expires_at.plus(5));
    app.state(&id, State::Expired).await;
    let told = || async { (app.mails("lin@bigdb.example", &id).len() > 1).then_some(()) };
    app.until("its owner is told", told).await;
    set(false).await;
    app.until("it is open", || async { (ada.send(Method::GET, "me", &[], None).await.status == 200).then_some(()) })
        .await;
    app.stop().await;
}
