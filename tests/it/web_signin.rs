//! Signing in with GitHub, and setting up, against a double that answers as GitHub does.

use crate::app::{Setup, TestApp};
use crate::browser::Browser;
use crate::gateway::Running;
use crate::migrate::proxy::{Action, Proxy};
use github_double::{Double, Down, Person, Verified};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zerocloud::clock::Clock;
use zerocloud::config::Config;
use zerocloud::follower::{self, Index};
use zerocloud::store::{Store, StoreConfig};
use zerocloud::web::{self, State, setup};

struct World {
    app: TestApp,
    github: Double,
}

/// An installation whose GitHub knows these people.
async fn world(setup: impl FnOnce(Setup) -> Setup, people: Vec<Person>) -> World {
    let github = Double::start().await.unwrap();
    for person in people {
        github.handle().put(person);
    }
    let app = TestApp::start(setup(Setup::default().web(&github.settings()))).await;
    app.until("the people of config.yml", || async { app.store.get::<Value>("user::bigdb::max").await.unwrap() }).await;
    World { app, github }
}

impl World {
    async fn stop(self) {
        self.app.stop().await;
        self.github.stop().await;
    }

    async fn users(&self) -> Vec<Value> {
        self.app.store.prefix("user::").await.unwrap().into_iter().map(|doc| doc.body).collect()
    }
}

fn lin() -> Person {
    Person::new(7, "lin-gh", "Lin Wu", "private@mail.example").also("lin@bigdb.example", Verified::Yes)
}

#[tokio::test]
async fn an_invited_person_signs_in_by_a_verified_address_and_is_bound_to_the_number() {
    let world = world(|setup| setup, vec![lin()]).await;
    let browser = world.app.browser();
    let page = browser.through_github("7", "/login", &[("next", "/leases?x=1")]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.words().contains("My leases") && page.words().contains("Lin"), "{}", page.words());
    let user = world.app.store.get::<Value>("user::bigdb::lin").await.unwrap().unwrap().body;
    assert_eq!((user["github_id"].clone(), user["github_login"].clone()), (json!(7), json!("lin-gh")));
    // The login and every address may change: the number stays.
    world.github.handle().put(Person::new(7, "wu", "Lin Wu", "elsewhere@mail.example"));
    let other = world.app.browser();
    let page = other.through_github("7", "/login", &[]).await;
    assert!(page.words().contains("My leases"), "{}", page.words());
    let user = world.app.store.get::<Value>("user::bigdb::lin").await.unwrap().unwrap().body;
    assert_eq!((user["github_login"].clone(), user["email"].clone()), (json!("wu"), json!("lin@bigdb.example")));
    world.stop().await;
}

#[tokio::test]
async fn who_fits_the_email_pattern_becomes_a_dev_with_a_gateway_user() {
    let pattern = |setup: Setup| setup.policy("email_pattern", "'*@bigdb.example'");
    let eve = Person::new(9, "eve", "Eve", "eve@private.example").also("eve@bigdb.example", Verified::Yes);
    let world = world(pattern, vec![eve]).await;
    world
        .app
        .until("the pattern is known", || async {
            let page = world.app.browser().through_github("9", "/login", &[]).await;
            page.words().contains("My leases").then_some(())
        })
        .await;
    let users = world.users().await;
    let eve: Vec<_> = users.iter().filter(|user| user["github_id"] == 9).collect();
    assert_eq!(eve.len(), 1, "{users:#?}");
    assert_eq!((eve[0]["role"].clone(), eve[0]["email"].clone()), (json!("dev"), json!("eve@bigdb.example")));
    world.stop().await;
}

#[tokio::test]
async fn every_refusal_says_what_to_do_and_makes_nobody() {
    let stranger = Person::new(1, "stranger", "Stranger", "stranger@elsewhere.example");
    let unverified = Person::new(2, "sly", "Sly", "sly@elsewhere.example").also("max@bigdb.example", Verified::No);
    let mut hidden = Person::new(3, "hidden", "Hidden", "3+hidden@users.noreply.github.com");
    hidden.emails[0].primary = true;
    let world = world(|setup| setup, vec![stranger, unverified, hidden, lin()]).await;
    let before = world.users().await.len();
    for (person, heading, what) in [
        ("1", "Not invited yet", "ask an admin of yours to invite you"),
        ("2", "Not invited yet", "Add your work address at GitHub"),
        ("3", "No verified address", "click the link in the mail that GitHub sends"),
        ("deny", "Not signed in", "You did not allow zerocloud to read who you are"),
    ] {
        let browser = world.app.browser();
        let page = browser.through_github(person, "/login", &[]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{person}");
        assert!(page.words().contains(heading) && page.words().contains(what), "{person}: {}", page.words());
        assert!(browser.cookie("__Host-zerocloud").is_none(), "{person}");
    }
    assert_eq!(world.users().await.len(), before);
    // Lin's address belongs to number 7 from now on.
    world.app.browser().through_github("7", "/login", &[]).await;
    world.github.handle().put(Person::new(8, "lin-gh", "Another Lin", "lin@bigdb.example"));
    let page = world.app.browser().through_github("8", "/login", &[]).await;
    assert!(page.words().contains("signs in with another GitHub account"), "{}", page.words());
    let back = world.app.browser().at_github("7", "/login", &[]).await;
    world.github.handle().set_down(Down::Yes);
    let browser = world.app.browser();
    browser.post("/login", &[]).await;
    let page = browser.get(&back).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "another browser's answer: {}", page.words());
    world.stop().await;
}

#[tokio::test]
async fn github_that_is_down_is_said_to_be_down() {
    let world = world(|setup| setup, vec![lin()]).await;
    let browser = world.app.browser();
    let back = browser.at_github("7", "/login", &[]).await;
    world.github.handle().set_down(Down::Yes);
    let page = browser.get(&back).await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(page.words().contains("GitHub does not answer"), "{}", page.words());
    world.stop().await;
}

#[tokio::test]
async fn an_answer_counts_once_and_only_in_the_browser_that_asked() {
    let world = world(|setup| setup, vec![lin()]).await;
    let browser = world.app.browser();
    let back = browser.at_github("7", "/login", &[]).await;
    let other = world.app.browser().get(&back).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
    let changed = browser.get(&back.replace("state=", "state=x")).await;
    assert_eq!(changed.status, StatusCode::FORBIDDEN);
    // What was begun is over with the first answer, good or bad.
    assert_eq!(browser.get(&back).await.status, StatusCode::FORBIDDEN);
    let back = browser.at_github("7", "/login", &[]).await;
    assert!(browser.get(&back).await.status.is_redirection());
    assert_eq!(browser.get(&back).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.github.handle().tokens(), 1);
    world.stop().await;
}

#[tokio::test]
async fn signing_in_again_ends_the_session_that_the_browser_had() {
    let world = world(|setup| setup, vec![lin()]).await;
    let browser = world.app.browser();
    browser.through_github("7", "/login", &[]).await;
    let first = browser.cookie("__Host-zerocloud").unwrap();
    browser.through_github("7", "/login", &[]).await;
    let second = browser.cookie("__Host-zerocloud").unwrap();
    assert_ne!(first, second);
    let old = world.app.browser();
    old.keep("__Host-zerocloud", &first);
    assert_eq!(old.get("/leases").await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/leases").await.status, StatusCode::OK);
    world.stop().await;
}

#[tokio::test]
async fn on_plain_http_the_cookie_is_http_only_and_a_banner_says_so() {
    let world = world(|setup| setup, vec![lin()]).await;
    let browser = world.app.browser();
    let port = world.app.web.rsplit(':').next().unwrap().to_owned();
    let host = format!("zerocloud.example:{port}");
    let page = browser.send(reqwest::Method::GET, "/login", &[("host", &host)], None).await;
    assert!(page.words().contains("This page is not encrypted"), "{}", page.words());
    assert!(!browser.get("/login").await.words().contains("not encrypted"), "loopback is fine");
    let headers = [("host", host.as_str()), ("origin", &format!("http://{host}"))];
    let page = browser.send(reqwest::Method::POST, "/login", &headers, Some(String::new())).await;
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("zerocloud-signin=") && cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains("Secure"), "{cookie}");
    assert!(page.location().contains("redirect_uri=http%3A%2F%2Fzerocloud.example%3A"), "{}", page.location());
    world.stop().await;
}

#[tokio::test]
async fn on_an_empty_installation_one_link_makes_the_account_and_its_first_admin_and_then_dies() {
    let github = Double::start().await.unwrap();
    github.handle().put(Person::new(5, "ada", "Ada", "ada@bigdb.example"));
    let mut empty = Setup::default().web(&github.settings());
    empty.accounts = Some(String::new());
    let app = TestApp::start(empty).await;
    app.until("a link", || async { app.store.get::<Value>("setup").await.unwrap() }).await;
    let link = setup::offer(&app.store, app.clock.now()).await.unwrap().unwrap();
    let early = app.browser().through_github("5", "/login", &[]).await.words();
    assert!(early.contains("Not set up yet") && early.contains("in the log of zerocloud serve"), "{early}");
    let browser = app.browser();
    assert_eq!(browser.get("/setup/guess").await.status, StatusCode::NOT_FOUND);
    assert!(browser.get(&link).await.words().contains("You become its first admin"));
    let refused = browser.post(&link, &[("name", "!!")]).await;
    assert!(refused.words().contains("Give it a name"), "{}", refused.words());
    let page = browser.through_github("5", &link, &[("name", "Big DB")]).await;
    assert!(page.words().contains("Your Account is set up, and you are its admin."), "{}", page.words());
    let account = app.store.get::<Value>("account::big-db").await.unwrap().unwrap().body;
    assert_eq!(account["name"], "Big DB");
    let users = app.store.prefix("user::").await.unwrap();
    assert_eq!(users.len(), 1);
    assert_eq!((&users[0].body["role"], &users[0].body["email"]), (&json!("admin"), &json!("ada@bigdb.example")));
    let page = app.browser().get(&link).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.words().contains("This link is over"), "{}", page.words());
    assert_eq!(setup::offer(&app.store, app.clock.now()).await.unwrap(), None, "there is an Account now");
    app.stop().await;
    github.stop().await;
}

/// Pages of an empty installation whose gateway refuses to take documents whose ids begin with what `cut` holds.
async fn empty(
    running: &Running,
    github: &Double,
    cut: &Arc<Mutex<&'static str>>,
    stop: &CancellationToken,
) -> (Proxy, String, JoinHandle<()>) {
    let cut = Arc::clone(cut);
    let proxy = Proxy::start(&running.admin, move |asked| {
        let id = asked.path.trim_start_matches("/zerocloud/").replace("%3A", ":");
        let cut = *cut.lock().unwrap();
        if !cut.is_empty() && id.starts_with(cut) && !asked.body.is_empty() {
            Action::Answer(503)
        } else {
            Action::Pass
        }
    })
    .await;
    let config = StoreConfig {
        public_url: running.public.clone(),
        admin_url: proxy.url.clone(),
        database: "zerocloud".to_owned(),
        admin: None,
        timeout: Duration::from_secs(10),
    };
    let settings = format!("mail: {{from: a@b.c}}\nweb: {{{}}}", github.settings());
    let settings = Config::parse(&settings, |_| None).unwrap().web.unwrap();
    let polls = tokio::sync::watch::Sender::new(web::Polls::default()).subscribe();
    let store = Store::new(&config).unwrap();
    let (index, (wakes, mut unheard)) = (Index::default(), tokio::sync::mpsc::channel(64));
    // The proxy passes whole answers on, and a feed has no end.
    let fed = Store::new(&StoreConfig { admin_url: running.admin.clone(), ..config.clone() }).unwrap();
    let follow = follower::run(fed, index.clone(), wakes, stop.clone());
    let state = State::new(store, index, Clock::system(), settings, polls, stop.clone()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let stop = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "the test stops it and waits for it")]
    let task = tokio::spawn(async move {
        let listen = async { while unheard.recv().await.is_some() {} };
        let (served, followed, ()) = tokio::join!(web::run(listener, state, stop), follow, listen);
        served.and(followed).unwrap();
    });
    (proxy, base, task)
}

#[tokio::test]
async fn a_set_up_that_is_cut_off_anywhere_can_be_begun_again_and_leaves_no_other_admin() {
    let github = Double::start().await.unwrap();
    github.handle().put(Person::new(5, "ada", "Ada", "ada@bigdb.example"));
    github.handle().put(Person::new(6, "max", "Max", "max@bigdb.example"));
    let (_folder, running, store) = crate::app::gateway().await;
    let (cut, stop) = (Arc::new(Mutex::new("")), CancellationToken::new());
    let (_proxy, base, task) = empty(&running, &github, &cut, &stop).await;
    let now = Clock::system().now();
    let name = [("name", "Big DB")];
    for place in ["user::big-db", "policy::big-db", "account::big-db"] {
        *cut.lock().unwrap() = place;
        let link = setup::offer(&store, now).await.unwrap().expect("a new link");
        let back = Browser::new(&base);
        let answer = back.at_github("6", &link, &name).await;
        let page = back.get(&answer).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{place}: {}", page.words());
        assert!(back.cookie("__Host-zerocloud").is_none(), "{place}");
    }
    *cut.lock().unwrap() = "";
    let link = setup::offer(&store, now).await.unwrap().expect("a new link");
    let browser = Browser::new(&base);
    let page = browser.through_github("5", &link, &name).await;
    assert!(page.words().contains("Your Account is set up, and you are its admin."), "{}", page.words());
    let users: Vec<Value> = store.prefix("user::").await.unwrap().into_iter().map(|doc| doc.body).collect();
    let role = |id: u64| users.iter().filter(move |user| user["github_id"] == id).map(|user| user["role"].clone());
    assert_eq!(role(5).collect::<Vec<_>>(), [json!("admin")]);
    assert_eq!(role(6).collect::<Vec<_>>(), [json!("dev")], "once, and no admin of what another set up");
    assert_eq!(setup::offer(&store, now).await.unwrap(), None);
    stop.cancel();
    task.await.unwrap();
    running.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn who_tries_to_sign_in_too_often_is_asked_to_wait() {
    let world = world(|setup| setup, vec![lin()]).await;
    let browser = world.app.browser();
    let mut last = browser.post("/login", &[]).await;
    for _ in 0..40 {
        last = browser.post("/login", &[]).await;
    }
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    world.stop().await;
}
