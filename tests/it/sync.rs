//! `/sync/`: the gateway's public port on the pages' origin, as phones use it, in front of a gateway that sends `_cv`, too.

use crate::app::{DEV, EAST, Setup, TestApp, owned_by};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;
use zerocloud::clock::Clock;
use zerocloud::config::Config;
use zerocloud::follower::Index;
use zerocloud::model::{AccountId, Doc, UserId};
use zerocloud::store::{Store, StoreConfig};
use zerocloud::web::{self, State, session};

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(Duration::from_secs(30)).build().unwrap()
}

#[tokio::test]
async fn a_person_syncs_through_the_pages_origin_with_a_session_made_for_them() {
    let app = TestApp::start(Setup::default().policy("default_lease", "2h")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await;
    let lin = app.sign_in("lin").await;
    let csrf = lin.get("/leases").await.field("csrf");
    let made = lin.send(Method::POST, "/api/v1/sync-session", &[("x-csrf-token", &csrf)], None).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made: Value = serde_json::from_str(&made.text).unwrap();
    assert_eq!((&made["user"], &made["channels"]), (&json!("bigdb.lin"), &json!(["account:bigdb", "user:bigdb:lin"])));
    let cookie = format!("{}={}", made["cookie_name"].as_str().unwrap(), made["session_id"].as_str().unwrap());
    let database = format!("{}/sync/zerocloud", app.web);
    assert_eq!(made["url"], json!(database));
    let get = |path: String| client().get(format!("{database}/{path}")).header("cookie", cookie.clone()).send();
    let doc: Value = get(lease.key().lease_id()).await.unwrap().json().await.unwrap();
    assert_eq!(doc["owner"], "lin");
    let all: Value = get("_all_docs".to_owned()).await.unwrap().json().await.unwrap();
    let ids: Vec<&str> = all["rows"].as_array().unwrap().iter().filter_map(|row| row["id"].as_str()).collect();
    assert!(
        ids.contains(&lease.key().lease_id().as_str()) && !ids.iter().any(|id| id.starts_with("user::bigdb::max")),
        "{ids:?}"
    );
    // What lin writes there is judged like everywhere.
    let mut stolen = doc.clone();
    stolen["owner"] = json!("max");
    stolen["updated_by"] = json!("bigdb.lin");
    let put =
        client().put(format!("{database}/{}", lease.key().lease_id())).header("cookie", cookie.clone()).json(&stolen);
    assert_eq!(put.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    app.stop().await;
}

#[tokio::test]
async fn the_pages_cookie_acts_only_for_our_own_pages_and_the_admin_port_is_out_of_reach() {
    let app = TestApp::start(Setup::default()).await;
    let lin = app.sign_in("lin").await;
    let own = lin.get("/sync/zerocloud/_session").await;
    assert!(own.text.contains("\"bigdb.lin\""), "{}", own.text);
    let foreign = lin.send(Method::GET, "/sync/zerocloud/_session", &[("origin", "https://evil.example")], None).await;
    assert!(foreign.text.contains("\"name\":null"), "{}", foreign.text);
    assert_eq!(app.browser().get("/sync/zerocloud/_all_docs").await.status, StatusCode::UNAUTHORIZED);
    for path in ["_config", "_user/", "_role/", "_raw/user::bigdb::lin", "_purge", "../_all_dbs", "%2e%2e/_all_dbs"] {
        let answer = lin.get(&format!("/sync/zerocloud/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.text);
    }
    assert_eq!(lin.get("/sync/other/_all_docs").await.status, StatusCode::NOT_FOUND);
    assert!(lin.get("/sync/").await.text.contains("couchdb"));
    app.stop().await;
}

#[tokio::test]
async fn feeds_flow_through_as_they_come() {
    let app = TestApp::start(Setup::default()).await;
    let lin = app.sign_in("lin").await;
    let cookie = format!("__Host-zerocloud={}", lin.cookie("__Host-zerocloud").unwrap());
    let url = format!("{}/sync/zerocloud/_changes?feed=continuous&include_docs=true&heartbeat=25000", app.web);
    let mut feed = client().get(url).header("cookie", cookie.clone()).send().await.unwrap().bytes_stream();
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.lease_where(&id, "leased", |_| true).await;
    app.advance(130);
    let mut text = String::new();
    while !text.contains(&format!("\"resource_id\":\"{id}\"")) {
        let part = tokio::time::timeout(Duration::from_secs(30), feed.next()).await.expect("the feed brings the lease");
        text.push_str(&String::from_utf8_lossy(&part.unwrap().unwrap()));
    }
    drop(feed);
    let mut socket = websocket(&app.web, &cookie).await;
    socket.send(tokio_tungstenite::tungstenite::Message::text("{\"since\":0,\"include_docs\":true}")).await.unwrap();
    let mut text = String::new();
    while !text.contains(&format!("\"resource_id\":\"{id}\"")) {
        let part =
            tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("the socket brings the lease");
        text.push_str(part.unwrap().unwrap().to_text().unwrap());
    }
    app.stop().await;
}

#[tokio::test]
async fn who_tries_passwords_too_often_waits_however_the_path_is_written() {
    let app = TestApp::start(Setup::default()).await;
    let (begun, guesses) =
        (Instant::now(), ["_session", "_sess%69on", "%5Fsession", "_session/"].into_iter().cycle().take(100));
    let guesses = guesses.map(async |written| {
        let guess = client().post(format!("{}/sync/zerocloud/{written}", app.web));
        guess.json(&json!({ "name": "bigdb.lin", "password": "guess" })).send().await.unwrap().status()
    });
    let statuses = futures_util::future::join_all(guesses).await;
    let tried = statuses.iter().filter(|status| **status != StatusCode::TOO_MANY_REQUESTS).count();
    // As often as the page for signing in allows: 30 times, and once more every two seconds.
    let most = 31 + usize::try_from(begun.elapsed().as_secs() / 2).unwrap();
    assert!((30..=most).contains(&tried), "{tried} of at most {most}: {statuses:?}");
    app.stop().await;
}

async fn websocket(base: &str, cookie: &str) -> WebSocketStream<reqwest::Upgraded> {
    let http = Client::builder().http1_only().build().unwrap();
    let answer = http.get(format!("{base}/sync/zerocloud/_changes?feed=websocket")).header("cookie", cookie);
    let answer =
        answer.header("connection", "upgrade").header("upgrade", "websocket").header("sec-websocket-version", "13");
    let answer = answer.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    WebSocketStream::from_raw_socket(answer.upgrade().await.unwrap(), Role::Client, None).await
}

/// A gateway of version 4, as far as its answers go: every document has `_cv`.
async fn version_four(request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let doc = json!({ "_id": "a", "_rev": "1-a", "_cv": "18ea@x", "inner": { "_cv": "stays" } });
    let part = "--b1\r\nContent-Type: application/json\r\n\r\n".to_owned() + &doc.to_string() + "\r\n--b1--";
    let json = |value: Value| ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response();
    match path.as_str() {
        "/zerocloud/a" if query.contains("open_revs") => json(json!([{ "ok": doc }])),
        "/zerocloud/a" => json(doc),
        "/zerocloud/_all_docs" | "/zerocloud/_all%5Fdocs" => json(json!({ "rows": [{ "id": "a", "doc": doc }] })),
        "/zerocloud/_changes" | "/zerocloud/_chang%65s" if query.contains("continuous") => {
            let lines = format!("{}\n\n", json!({ "seq": 1, "id": "a", "doc": doc }));
            ([(header::CONTENT_TYPE, "application/octet-stream")], lines).into_response()
        }
        "/zerocloud/_changes" => json(json!({ "results": [{ "seq": 1, "doc": doc }], "last_seq": 1 })),
        "/zerocloud/_bulk_get" => ([(header::CONTENT_TYPE, "multipart/mixed; boundary=\"b1\"")], part).into_response(),
        "/zerocloud/_session" => {
            let cookie = "SyncGatewaySession=abc; Path=/zerocloud; Expires=Tue, 24 Nov 2099 08:00:00 GMT";
            ([(header::SET_COOKIE, cookie)], "{}").into_response()
        }
        "/zerocloud/headers" => {
            let names: Vec<String> =
                request.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
            names.join("\n").into_response()
        }
        _ => (StatusCode::NOT_FOUND, Body::empty()).into_response(),
    }
}

async fn socket_of_version_four(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        let _ = socket.recv().await;
        let _ = socket.send(Message::Text("[{\"seq\":1,\"doc\":{\"_cv\":\"x\",\"_id\":\"a\"}}]".into())).await;
        let _ = socket.recv().await;
    })
}

/// Pages in front of a gateway at this address.
async fn pages(gateway: String, stop: &CancellationToken, tasks: &mut JoinSet<()>) -> String {
    pages_of(gateway, "http://127.0.0.1:9".to_owned(), "", stop, tasks).await
}

/// The same with its admin port, and settings of the section `web`.
async fn pages_of(
    gateway: String,
    admin_url: String,
    web: &str,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = StoreConfig {
        public_url: gateway,
        admin_url,
        database: "zerocloud".to_owned(),
        admin: None,
        timeout: Duration::from_secs(5),
    };
    let settings = Config::parse(&format!("mail: {{from: a@b.c}}\nweb: {{{web}}}"), |_| None).unwrap().web.unwrap();
    let store = Store::new(&config).unwrap();
    let polls = tokio::sync::watch::Sender::new(zerocloud::web::Polls::default()).subscribe();
    let state = State::new(store, Index::default(), Clock::system(), settings, polls, stop.clone()).unwrap();
    let stop = stop.clone();
    tasks.spawn(async move { web::run(listener, state, stop).await.unwrap() });
    url
}

#[tokio::test]
async fn a_session_of_ours_at_the_gateway_is_given_to_nobody_and_a_cookie_is_secure_on_https() {
    // The gateway's public port renews the session with each answer.
    let far = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", far.local_addr().unwrap());
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let routes = Router::new().route("/{*path}", any(version_four));
    tasks.spawn(async move { axum::serve(far, routes).await.unwrap() });
    let (_folder, running, store) = crate::app::gateway().await;
    store.put_user("bigdb.lin", &json!({ "name": "bigdb.lin", "password": "a secret" })).await.unwrap();
    let lin = json!({ "account": "bigdb", "user": "lin", "role": "dev", "email": "lin@bigdb.example" });
    for (kind, id, body) in [
        ("user", "user::bigdb::lin", lin),
        ("account", "account::bigdb", json!({ "account": "bigdb", "name": "BigDB" })),
    ] {
        store.put(kind, &Doc { id: id.to_owned(), rev: None, body }).await.unwrap();
    }
    let (account, user) = (AccountId::parse("bigdb").unwrap(), UserId::parse("lin").unwrap());
    let secret = session::begin(&store, &account, &user, Clock::system().now(), 3_600).await.unwrap();
    let ours = format!("zerocloud={secret}; __Host-zerocloud={secret}");
    for (web, secure) in [("public_url: 'https://zerocloud.bigdb.example'", true), ("", false)] {
        let base = pages_of(url.clone(), running.admin.clone(), web, &stop, &mut tasks).await;
        let set = async |cookie: &str| {
            let asked = client().get(format!("{base}/sync/zerocloud/_session")).header("cookie", cookie);
            let answer = asked.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            answer.headers().get("set-cookie").map(|set| set.to_str().unwrap().to_owned())
        };
        assert_eq!(set(&ours).await, None, "{web}");
        let own = set("SyncGatewaySession=abc").await.unwrap();
        assert_eq!(own.ends_with("; Path=/sync/zerocloud; HttpOnly; SameSite=Lax; Secure"), secure, "{web} {own}");
    }
    stop.cancel();
    tasks.abort_all();
    running.stop().await;
}

#[tokio::test]
async fn in_front_of_a_gateway_of_version_four_documents_lose_cv_everywhere() {
    let routes = Router::new()
        .route("/{*path}", any(version_four))
        .route("/sockets/zerocloud/_changes", get(socket_of_version_four));
    let far = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", far.local_addr().unwrap());
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(async move { axum::serve(far, routes).await.unwrap() });
    let base = pages(url.clone(), &stop, &mut tasks).await;
    let sockets_base = pages(format!("{url}/sockets"), &stop, &mut tasks).await;
    for path in [
        "a",
        "a?open_revs=%5B%221-a%22%5D",
        "_all_docs?include_docs=true",
        "_changes?include_docs=true",
        "_changes?feed=continuous",
        "_chang%65s?feed=continuous",
        "_all%5Fdocs?include_docs=true",
        "_bulk_get",
    ] {
        let answer = client().get(format!("{base}/sync/zerocloud/{path}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let text = answer.text().await.unwrap();
        assert!(
            !text.contains("18ea@x") && text.contains(r#""inner":{"_cv":"stays"}"#) && text.contains("1-a"),
            "{path}: {text}"
        );
    }
    let cookie = client().get(format!("{base}/sync/zerocloud/_session")).send().await.unwrap();
    assert!(cookie.headers()["set-cookie"].to_str().unwrap().contains("Path=/sync/zerocloud; HttpOnly; SameSite=Lax"));
    let headers = client()
        .get(format!("{base}/sync/zerocloud/headers"))
        .header("cookie", "zerocloud=secret; SyncGatewaySession=abc");
    let headers =
        headers.header("x-forwarded-for", "1.2.3.4").basic_auth("bigdb.lin", Some("pw")).send().await.unwrap();
    let seen = headers.text().await.unwrap();
    assert!(seen.contains("cookie: Sensitive") || seen.contains("cookie: \"SyncGatewaySession=abc\""), "{seen}");
    assert!(
        seen.contains("authorization: \"Basic") && !seen.contains("secret") && !seen.contains("x-forwarded-for"),
        "{seen}"
    );
    let mut socket = websocket(&sockets_base, "none=1").await;
    socket.send(tokio_tungstenite::tungstenite::Message::text("{}")).await.unwrap();
    let frame = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(frame.to_text().unwrap(), r#"[{"seq":1,"doc":{"_id":"a"}}]"#);
    stop.cancel();
    tasks.abort_all();
}
