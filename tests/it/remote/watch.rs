//! `zerocloud watch` when the service is away, in trouble, and refuses.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

/// What each call brought as `Last-Event-ID`.
type Brought = Arc<Mutex<Vec<Option<String>>>>;

/// In trouble first, then one event, then a refusal.
async fn events(State(brought): State<Brought>, headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap().to_owned());
    let call = {
        let mut brought = brought.lock().unwrap();
        brought.push(last);
        brought.len()
    };
    match call {
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        2 => {
            let event = "event: lease\nid: 7\ndata: {\"id\": \"a::b::i-1\", \"doc\": null}\n\n";
            ([(header::CONTENT_TYPE, "text/event-stream")], event).into_response()
        }
        _ => (StatusCode::FORBIDDEN, r#"{"detail": "this token lacks the scope read"}"#).into_response(),
    }
}

#[tokio::test]
async fn watch_tries_again_with_pauses_until_it_is_refused_and_says_the_refusals_words() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zerocloud"));
    command.env("ZEROCLOUD_CREDENTIALS", folder.path().join("noted.json")).env_remove("RUST_LOG");
    command.env("ZEROCLOUD_URL", format!("http://{port}")).env("ZEROCLOUD_TOKEN", "zcp_x").arg("watch");
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = command.spawn().unwrap();
    let mut notes = BufReader::new(watching.stderr.take().unwrap()).lines();
    let mut said = vec![notes.next_line().await.unwrap().unwrap()];
    assert!(said[0].contains("no answer; trying again in 1 s"), "{said:?}");

    let brought = Brought::default();
    let routes = Router::new().route("/api/v1/events", get(events)).with_state(brought.clone());
    let listener = tokio::net::TcpListener::bind(port).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let rest = async {
        while let Some(line) = notes.next_line().await.unwrap() {
            said.push(line);
        }
        watching.wait().await.unwrap()
    };
    let status = tokio::time::timeout(Duration::from_mins(1), rest).await.unwrap();
    assert!(!status.success());
    let said = said.join("\n");
    assert!(said.contains("status 500; trying again") && said.contains("watching"), "{said}");
    assert!(said.ends_with("zerocloud: this token lacks the scope read") && !said.contains("WARN"), "{said}");
    let mut out = String::new();
    watching.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
    assert!(out.contains("a::b::i-1"), "{out}");
    assert_eq!(*brought.lock().unwrap(), [None, None, Some("7".to_owned())]);
    tasks.abort_all();
}
