//! The pages as people meet them.

use crate::app::{Setup, TestApp};
use reqwest::{Method, StatusCode};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zerocloud::config::Config;
use zerocloud::follower::{self, Index};
use zerocloud::web;

#[tokio::test]
async fn who_is_not_signed_in_is_asked_to_and_comes_back_to_the_page() {
    let app = TestApp::start(Setup::default()).await;
    let browser = app.browser();
    let page = browser.get("/leases?a=1").await;
    assert_eq!((page.status, page.location().as_str()), (StatusCode::SEE_OTHER, "/login?next=%2Fleases%3Fa%3D1"));
    let page = browser.get("/login").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.words().contains("Signing in is not set up here yet"), "{}", page.words());
    app.stop().await;
}

#[tokio::test]
async fn every_page_forbids_inline_script_frames_and_caches() {
    let app = TestApp::start(Setup::default()).await;
    let lin = app.sign_in("lin").await;
    for path in ["/leases", "/login", "/nowhere"] {
        let page = lin.get(path).await;
        let header =
            |name: &str| page.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!((header("cache-control"), header("x-content-type-options")), ("no-store".into(), "nosniff".into()));
        assert!(!page.text.contains("style=") && !page.text.contains("<script>"), "{path}");
    }
    let page = lin.get("/leases").await;
    let page = page.text.replace("&#x2f;", "/");
    let css = page.split("href=\"").find(|part| part.starts_with("/static/zerocloud.")).unwrap();
    let css = lin.get(css.split('"').next().unwrap()).await;
    assert_eq!(css.headers["cache-control"], "public, max-age=31536000, immutable");
    app.stop().await;
}

#[tokio::test]
async fn browsers_are_kept_to_tls_where_there_is_some_and_told_nothing_that_they_complain_of_elsewhere() {
    let app = TestApp::start(Setup::default().web("trusted_proxies: [127.0.0.0/8]")).await;
    let browser = app.browser();
    let https = ("x-forwarded-proto", "https");
    let (opener, tls) = ("cross-origin-opener-policy", "strict-transport-security");
    for (headers, has) in [
        (
            vec![("host", "zerocloud.bigdb.example"), https],
            [Some("same-origin"), Some("max-age=63072000; includeSubDomains")],
        ),
        (vec![("host", "zerocloud.bigdb.example")], [None, None]),
        (vec![("host", "127.0.0.1:8080")], [Some("same-origin"), None]),
    ] {
        let page = browser.send(Method::GET, "/login", &headers, None).await;
        let told = [opener, tls].map(|name| page.headers.get(name).map(|value| value.to_str().unwrap()));
        assert_eq!((page.status, told), (StatusCode::OK, has), "{headers:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn signing_out_ends_every_session_of_that_person_and_nobody_elses() {
    let app = TestApp::start(Setup::default()).await;
    let (one, two, other) = (app.sign_in("lin").await, app.sign_in("lin").await, app.sign_in("max").await);
    for browser in [&one, &two, &other] {
        assert_eq!(browser.get("/leases").await.status, StatusCode::OK);
    }
    let page = one.act("/logout", &[]).await;
    assert!(page.words().contains("You are signed out, on every device."), "{}", page.words());
    assert_eq!(one.get("/leases").await.status, StatusCode::SEE_OTHER);
    assert_eq!(two.get("/leases").await.status, StatusCode::SEE_OTHER);
    assert_eq!(other.get("/leases").await.status, StatusCode::OK);
    app.stop().await;
}

#[tokio::test]
async fn a_form_without_the_sessions_secret_or_from_another_site_changes_nothing() {
    let app = TestApp::start(Setup::default()).await;
    let lin = app.sign_in("lin").await;
    let csrf = lin.get("/leases").await.field("csrf");
    let own = app.web.clone();
    let body = Some(format!("csrf={csrf}"));
    for (headers, body) in [
        (vec![("origin", own.as_str())], None),
        (vec![("origin", own.as_str())], Some("csrf=guess".to_owned())),
        (vec![("origin", "https://evil.example")], body.clone()),
        (vec![("sec-fetch-site", "cross-site")], body.clone()),
        (vec![("origin", "null")], body.clone()),
    ] {
        let page = lin.send(Method::POST, "/logout", &headers, body).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert!(page.words().contains("This form is not from a page that is still good"), "{}", page.words());
    }
    assert_eq!(lin.get("/leases").await.status, StatusCode::OK);
    app.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_its_time_and_with_its_person() {
    let app = TestApp::start(Setup::default()).await;
    let (lin, max) = (app.sign_in("lin").await, app.sign_in("max").await);
    let user = app.store.get::<serde_json::Value>("user::bigdb::max").await.unwrap().unwrap();
    app.store.delete("user::bigdb::max", &user.rev.unwrap()).await.unwrap();
    assert_eq!(max.get("/leases").await.status, StatusCode::SEE_OTHER);
    assert_eq!(lin.get("/leases").await.status, StatusCode::OK);
    app.advance(43_201);
    assert_eq!(lin.get("/leases").await.status, StatusCode::SEE_OTHER);
    app.stop().await;
}

#[tokio::test]
async fn what_has_just_started_asks_for_a_moment_until_it_knows_its_documents() {
    let app = TestApp::start(Setup::default()).await;
    let (index, stop, mut tasks) = (Index::default(), CancellationToken::new(), JoinSet::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = format!("http://{}", listener.local_addr().unwrap());
    let settings = Config::parse("mail: {from: a@b.c}\nweb: {}", |_| None).unwrap().web.unwrap();
    let polls = tokio::sync::watch::Sender::new(web::Polls::default()).subscribe();
    let (store, clock) = (app.store.clone(), app.clock.clone());
    let state = web::State::new(store, index.clone(), clock, settings, polls, stop.clone()).unwrap();
    let shutdown = stop.clone();
    tasks.spawn(async move { web::run(listener, state, shutdown).await.unwrap() });
    let redirect = reqwest::redirect::Policy::none();
    let limit = std::time::Duration::from_mins(1);
    let http = reqwest::Client::builder().redirect(redirect).timeout(limit).build().unwrap();
    let get = async |path: &str| http.get(format!("{there}{path}")).send().await.unwrap();
    let hook = format!("/hooks/scheduler/{}", "A".repeat(43));
    let (login, link, call, hook) = tokio::join!(get("/login"), get("/l/guess"), get("/api/v1/leases"), get(&hook));
    for (answer, kind) in
        [(&login, "text/html; charset=utf-8"), (&link, "text/html; charset=utf-8"), (&call, "application/problem+json")]
    {
        assert_eq!(
            (answer.status(), answer.headers()["content-type"].to_str().unwrap()),
            (StatusCode::SERVICE_UNAVAILABLE, kind)
        );
        let after: u32 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=30).contains(&after), "{after}");
    }
    assert_eq!(hook.status(), StatusCode::OK, "hooks do not rest on it");
    let page = login.text().await.unwrap().replace("&#x2f;", "/");
    assert!(page.contains("has just started"), "{page}");
    let css = page.split("href=\"").find(|part| part.starts_with("/static/zerocloud.")).unwrap();
    assert_eq!(get(css.split('"').next().unwrap()).await.status(), StatusCode::OK);
    let (wakes, mut unheard) = tokio::sync::mpsc::channel(1);
    let following = follower::run(app.store.clone(), index, wakes, stop.clone());
    tasks.spawn(async move { following.await.unwrap() });
    tasks.spawn(async move { while unheard.recv().await.is_some() {} });
    app.until("it answers", || async { (get("/login").await.status() == StatusCode::OK).then_some(()) }).await;
    assert_eq!(get("/api/v1/leases").await.status(), StatusCode::UNAUTHORIZED);
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    app.stop().await;
}
