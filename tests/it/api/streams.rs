//! Streams as those keep them open who are slow, many or quiet: a heartbeat while nothing happens, an end for who does not
//! read, and so many places for one person.

use super::{Program, hour};
use crate::app::TestApp;
use futures_util::StreamExt as _;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zerocloud::model::Doc;

/// Of each kind, as OpenAPI and the notes for apps say.
const EVENTS: usize = 16;
const FEEDS: usize = 32;

/// Without a limit for a whole call.
fn endless() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().build().unwrap()
}

async fn open(client: &Client, who: &Program, path: &str) -> Response {
    client.get(format!("{}{path}", who.base)).bearer_auth(&who.token).send().await.unwrap()
}

async fn opened(client: &Client, who: &Program, path: &str, count: usize) -> Vec<Response> {
    let mut all = Vec::new();
    for n in 0..count {
        let one = open(client, who, path).await;
        assert_eq!(one.status(), 200, "stream {n} of {path}");
        all.push(one);
    }
    all
}

async fn problem(refused: Response) -> Value {
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    refused.json().await.unwrap()
}

#[tokio::test]
async fn a_person_holds_so_many_event_streams_and_a_quiet_one_has_a_heartbeat() {
    let app = TestApp::start(hour()).await;
    let (lin, max) = (Program::all(&app, "lin").await, Program::all(&app, "max").await);
    let client = endless();
    let path = "/api/v1/events";
    let mut held = opened(&client, &lin, path, EVENTS).await;
    let refused = problem(open(&client, &lin, path).await).await;
    assert_eq!(
        (&refused["status"], &refused["detail"]),
        (&json!(429), &json!("you hold 16 event streams open already; close one, then open another"))
    );
    assert_eq!(open(&client, &max, path).await.status(), 200, "another person has places of their own");
    held.pop();
    app.until("the place is free", || async { (open(&client, &lin, path).await.status() == 200).then_some(()) }).await;
    let mut quiet = held.pop().unwrap().bytes_stream();
    let beat = async {
        loop {
            let part = quiet.next().await.expect("the stream goes on").unwrap();
            // A comment: programs pass it over.
            if part.starts_with(b":") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(40), beat).await.expect("a heartbeat comes");
    app.stop().await;
}

#[tokio::test]
async fn a_person_holds_so_many_feeds_and_sockets_however_they_signed_in() {
    let app = TestApp::start(hour()).await;
    let (lin, max) = (Program::all(&app, "lin").await, Program::all(&app, "max").await);
    let client = endless();
    let path = "/sync/zerocloud/_changes?feed=continuous&heartbeat=25000";
    let mut held = opened(&client, &lin, path, FEEDS - 1).await;
    // A phone has the gateway's own cookie, and is the same person.
    let made = lin.send(reqwest::Method::POST, "sync-session", &[], None).await.body;
    let cookie = format!("{}={}", made["cookie_name"].as_str().unwrap(), made["session_id"].as_str().unwrap());
    let phone = || client.get(format!("{}{path}", app.web)).header("cookie", cookie.clone()).send();
    held.push(phone().await.unwrap());
    assert_eq!(held.last().unwrap().status(), 200);
    assert_eq!(problem(phone().await.unwrap()).await["status"], 429);
    for written in ["_changes", "_chang%65s", "%5Fchanges"] {
        let path = format!("/sync/zerocloud/{written}?feed=continuous&heartbeat=25000");
        assert_eq!(open(&client, &lin, &path).await.status(), 429, "{written}");
    }
    let socket = client.get(format!("{}/sync/zerocloud/_changes?feed=websocket", app.web)).bearer_auth(&lin.token);
    let socket = socket.header("connection", "upgrade").header("upgrade", "websocket");
    let socket = socket.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(socket.send().await.unwrap().status(), 429);
    assert_eq!(open(&client, &max, path).await.status(), 200, "another person has places of their own");
    assert_eq!(open(&client, &lin, "/sync/zerocloud/_session").await.status(), 200, "whatever is no feed goes on");
    held.clear();
    app.until("the places are free", || async { (open(&client, &lin, path).await.status() == 200).then_some(()) })
        .await;
    app.stop().await;
}

#[tokio::test]
async fn a_reader_who_does_not_read_is_cut_off_and_the_place_is_free_again() {
    const LINES: usize = 600;
    let app = TestApp::start(hour()).await;
    let ada = Program::all(&app, "ada").await;
    for n in 0..LINES {
        let body = json!({
            "type": "event", "account": "bigdb", "schema": 1, "at": "2026-11-24T08:00:00Z", "owner": "lin", "state": "active",
            "lease": "lease::111122223333::us-east-1::i-0abc", "cause": "x", "decision": "x", "outcome": "x",
            "reason": "x".repeat(40_000),
        });
        app.store.put("event", &Doc { id: format!("event::bigdb::0-{n:04}"), rev: None, body }).await.unwrap();
    }
    let client = endless();
    let _others = opened(&client, &ada, "/api/v1/events", EVENTS - 1).await;
    let address = app.web.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    let call = format!(
        "GET /api/v1/events?types=event&since=0 HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n",
        ada.token
    );
    slow.write_all(call.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    slow.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    assert_eq!(open(&client, &ada, "/api/v1/events").await.status(), 429);
    let begun = Instant::now();
    while open(&client, &ada, "/api/v1/events").await.status() == 429 {
        assert!(begun.elapsed() < Duration::from_secs(90), "who does not read holds a place for ever");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    // What was on its way is all there is: the connection ended long before the last line.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), slow.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.len() < LINES * 40_000, "{} bytes", rest.len());
    app.stop().await;
}
