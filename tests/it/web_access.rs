//! Who gets which page: every route of admins as nobody, as the dev it is about, as another dev, as an admin, and as the admin
//! of another Account; and that no form works without the secret of its session.

use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use reqwest::{Method, StatusCode};

/// Pages: path, and what the other Account's admin gets there.
pub fn pages() -> Vec<(String, u16)> {
    let aws = format!("/aws-accounts/{DEV}");
    vec![
        ("/status".to_owned(), 200),
        ("/status.json".to_owned(), 200),
        ("/aws-accounts".to_owned(), 200),
        (aws.clone(), 404),
        (format!("{aws}/stage?to=stop"), 404),
        (format!("{aws}/enabled"), 404),
        ("/aws-accounts/new".to_owned(), 200),
        (format!("{aws}/setup"), 404),
        (format!("{aws}/template?kind=cli"), 404),
        (format!("{aws}/remove"), 404),
        ("/events".to_owned(), 200),
        ("/policy".to_owned(), 200),
        (format!("/policy/aws/{DEV}"), 404),
        ("/policy/user/lin".to_owned(), 404),
        ("/policy/apply".to_owned(), 200),
        (format!("/policy/apply?aws={DEV}"), 404),
        ("/exemptions".to_owned(), 200),
        ("/people".to_owned(), 200),
        ("/all".to_owned(), 200),
        ("/unowned".to_owned(), 200),
    ]
}

/// Forms about what is of `bigdb`.
pub fn forms() -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    let aws = format!("/aws-accounts/{DEV}");
    vec![
        (format!("{aws}/stage"), vec![("to", "notify")]),
        (format!("{aws}/regions"), vec![("regions", EAST)]),
        (format!("{aws}/enabled"), vec![("enabled", "no")]),
        (format!("{aws}/regions/{EAST}/resume"), vec![]),
        (format!("{aws}/event-keys"), vec![("name", "x")]),
        (format!("{aws}/event-keys/0123456789abcdef/rotate"), vec![]),
        (format!("{aws}/event-keys/0123456789abcdef/revoke"), vec![]),
        (format!("{aws}/tags"), vec![("write", "yes")]),
        (format!("{aws}/verify"), vec![("role_arn", "")]),
        (format!("{aws}/rotate"), vec![]),
        (format!("{aws}/remove"), vec![]),
        ("/pause".to_owned(), vec![("aws_id", DEV), ("reason", "x")]),
        ("/resume".to_owned(), vec![("aws_id", DEV)]),
        (format!("/policy/aws/{DEV}"), vec![("do", "save"), ("grace", "2h")]),
        ("/policy/user/lin".to_owned(), vec![("do", "save"), ("grace", "2h")]),
        ("/policy/apply".to_owned(), vec![("aws", DEV), ("reason", "x")]),
        ("/exemptions/0123456789ab/end".to_owned(), vec![]),
        (format!("/leases/{DEV}::{EAST}::i-0123456789abcdef0/exempt"), vec![("reason", "x"), ("until", "14d")]),
        (format!("/leases/{DEV}::{EAST}::i-0123456789abcdef0/unexempt"), vec![]),
    ]
}

/// Forms about the Account of whoever sends them.
pub const OWN: [(&str, &[(&str, &str)]); 5] = [
    ("/aws-accounts/new", &[("aws_id", "777788889999")]),
    ("/pause", &[("reason", "x")]),
    ("/resume", &[]),
    ("/policy", &[("do", "preview"), ("grace", "2h")]),
    ("/exemptions", &[("do", "preview"), ("by", "name"), ("value", "*"), ("reason", "x"), ("until", "2099-01-01")]),
];

#[tokio::test]
async fn every_page_of_admins_is_for_admins_of_that_account_alone() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.settled(&id, "lin").await;
    let nobody = app.browser();
    let (lin, max, ada) = (app.sign_in("lin").await, app.sign_in("max").await, app.sign_in("ada").await);
    let eve = app.sign_in_to("other", "eve").await;
    for (path, for_eve) in pages() {
        let page = nobody.get(&path).await;
        assert!(page.status == StatusCode::SEE_OTHER && page.location().starts_with("/login"), "{path} for nobody");
        for dev in [&lin, &max] {
            let page = dev.get(&path).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} for a dev");
            assert!(!page.text.contains(&id) && !page.text.contains("Max"), "{path}");
        }
        let page = ada.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path} for ada: {}", page.words());
        let page = eve.get(&path).await;
        assert_eq!(page.status.as_u16(), for_eve, "{path} for eve: {}", page.words());
        for word in [id.as_str(), DEV, "lin@bigdb", "BigDB"] {
            assert!(!page.text.contains(word), "{word} on {path} for eve");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn forms_of_admins_change_nothing_for_others_nor_without_the_sessions_secret() {
    let app = TestApp::start(Setup::default().with_another()).await;
    let (nobody, lin, ada) = (app.browser(), app.sign_in("lin").await, app.sign_in("ada").await);
    let eve = app.sign_in_to("other", "eve").await;
    app.until("the AWS accounts' stages are noted", || async {
        let docs = app.store.prefix("aws_account::bigdb::").await.unwrap();
        (docs.len() == 2 && docs.iter().all(|doc| doc.body.get("stage_accepted").is_some())).then_some(())
    })
    .await;
    let before = standing(&app).await;
    for (path, fields) in forms() {
        assert_eq!(nobody.post(&path, &fields).await.status, StatusCode::SEE_OTHER, "{path} for nobody");
        assert_eq!(lin.act(&path, &fields).await.status, StatusCode::FORBIDDEN, "{path} for a dev");
        assert_eq!(eve.act(&path, &fields).await.status, StatusCode::NOT_FOUND, "{path} for another Account's admin");
        forged(&ada, &path, &fields).await;
    }
    for (path, fields) in OWN {
        assert_eq!(nobody.post(path, fields).await.status, StatusCode::SEE_OTHER, "{path} for nobody");
        assert_eq!(lin.act(path, fields).await.status, StatusCode::FORBIDDEN, "{path} for a dev");
        assert_eq!(eve.act(path, fields).await.status, StatusCode::OK, "{path} for eve's own Account");
        forged(&ada, path, fields).await;
    }
    assert_eq!(standing(&app).await, before, "something of bigdb was changed");
    app.stop().await;
}

#[tokio::test]
async fn the_address_of_a_form_that_is_opened_leads_to_a_page() {
    let app = TestApp::start(Setup::default()).await;
    let ada = app.sign_in("ada").await;
    app.until("the AWS accounts are there", || async {
        (ada.get(&format!("/aws-accounts/{DEV}")).await.status == StatusCode::OK).then_some(())
    })
    .await;
    let forms = forms().into_iter().map(|(path, _)| path);
    let more = ["/people/max/role", "/settings/tokens", "/settings/tokens/0123/revoke", "/logout"].map(str::to_owned);
    for path in forms.chain(more) {
        let page = ada.get(&path).await;
        if page.status == StatusCode::SEE_OTHER {
            let there = ada.get(&page.location()).await;
            let own = path.starts_with("/leases/") || path == "/logout";
            assert!(there.status == StatusCode::OK || own, "{path} leads to {}", page.location());
        } else {
            assert!(page.status != StatusCode::METHOD_NOT_ALLOWED && !page.text.is_empty(), "{path}: {}", page.status);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_schedulers_hook_says_the_same_to_everybody_and_takes_no_token_but_its_own() {
    let app = TestApp::start(Setup::default()).await;
    let path = format!("/hooks/scheduler/{}", "A".repeat(43));
    for who in [app.browser(), app.sign_in("lin").await, app.sign_in("ada").await] {
        let page = who.get(&path).await;
        assert_eq!(
            (page.status, page.text.as_str()),
            (StatusCode::OK, "A scheduler calls here, by POST. Nothing was done.\n")
        );
        let page = who.send(Method::POST, &path, &[], None).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{}", page.text);
        let page = who.send(Method::PUT, &path, &[], None).await;
        assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED, "{}", page.text);
    }
    app.stop().await;
}

/// Without the secret, with a wrong one, and from a page of another site.
async fn forged(browser: &crate::browser::Browser, path: &str, fields: &[(&str, &str)]) {
    let csrf = browser.get("/leases").await.field("csrf");
    let body = |csrf: &str| {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("csrf", csrf).extend_pairs(fields).finish()
    };
    let own = browser.base.clone();
    for (origin, body) in [(own.as_str(), body("")), (&own, body("guess")), ("https://evil.example", body(&csrf))] {
        let page = browser.send(Method::POST, path, &[("origin", origin)], Some(body)).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} from {origin}");
    }
}

/// What admins of `bigdb` may write, as it stands.
async fn standing(app: &TestApp) -> Vec<String> {
    let mut all = Vec::new();
    for prefix in
        ["account::bigdb", "aws_account::bigdb", "policy::bigdb", "pause::bigdb", "request::bigdb", "event_key::bigdb"]
    {
        all.extend(app.store.prefix(prefix).await.unwrap().into_iter().map(|doc| format!("{} {}", doc.id, doc.body)));
    }
    all
}
