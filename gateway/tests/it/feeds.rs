//! The changes feed in all its forms.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::app::{TestApp, ids, send, text};

const PATIENCE: Duration = Duration::from_secs(10);

/// A continuous feed, read line by line.
struct Lines {
    response: reqwest::Response,
    rest: String,
}

impl Lines {
    async fn open(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self { response, rest: String::new() }
    }

    /// The next entry about a document.
    async fn next(&mut self) -> Value {
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.rest = rest;
                if !line.is_empty() && !line.contains("_user/") {
                    return serde_json::from_str(&line).expect("JSON");
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("in time");
            let chunk = chunk.expect("a chunk").expect("the feed goes on");
            self.rest.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

#[tokio::test]
async fn a_document_appears_once_at_its_latest_sequence() {
    let app = TestApp::start().await;
    let rev = app.put("a", json!({"channels": ["A"]})).await;
    app.put("b", json!({})).await;
    app.put("a", json!({"_rev": rev, "channels": ["A"], "v": 2})).await;
    let (entries, last) = app.changes(None, "include_docs=true").await;
    assert_eq!(ids(&entries), ["b", "a"]);
    assert_eq!((entries[1]["doc"]["v"].clone(), last.as_str()), (json!(2), "3"));
    let (page, last) = app.changes(None, "limit=1").await;
    assert_eq!((ids(&page), last.as_str()), (vec!["b".to_owned()], "2"));
    assert_eq!(app.changes(None, "since=99").await, (Vec::new(), "99".to_owned()));
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let app = TestApp::start().await;
    for query in [
        "since=now",
        "since=-1",
        "feed=eventsource",
        "filter=other",
        "filter=sync_gateway/bychannel",
        "filter=_doc_ids",
        "filter=_doc_ids&doc_ids=a&feed=longpoll",
    ] {
        let (status, _) = send(app.admin(Method::GET, &format!("/_changes?{query}"))).await;
        assert_eq!(status, 400, "{query}");
    }
}

#[tokio::test]
async fn leaving_the_last_visible_channel_is_told_once() {
    let app = TestApp::start().await;
    app.user("alice", &["A", "B"]).await;
    let first = app.put("d", json!({"channels": ["A", "B"]})).await;
    let second = app.put("d", json!({"_rev": first, "channels": ["B"]})).await;
    let (entries, last) = app.changes(Some("alice"), "").await;
    assert_eq!(entries.len(), 1);
    assert!(entries[0].get("removed").is_none(), "still visible in B");
    let third = app.put("d", json!({"_rev": second, "channels": ["Z"]})).await;
    let fourth = app.put("d", json!({"_rev": third, "channels": ["Z"], "v": 4})).await;
    let (entries, _) = app.changes(Some("alice"), &format!("include_docs=true&since={last}")).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["removed"], json!(["B"]));
    assert_eq!(entries[0]["changes"][0]["rev"], json!(third));
    assert_eq!(entries[0]["doc"]["_removed"], true);
    let withheld = app.public("alice", Method::GET, "/d").query(&[("rev", fourth)]);
    assert_eq!(send(withheld).await.1["_removed"], true);
    assert!(app.changes(Some("alice"), "active_only=true").await.0.is_empty());
}

#[tokio::test]
async fn access_gained_later_sends_older_documents_once_and_resumes_in_the_middle() {
    let app = TestApp::start().await;
    app.user("alice", &[]).await;
    for id in ["a", "b", "c"] {
        app.put(id, json!({"channels": ["C"]})).await;
    }
    let gone = app.put("gone", json!({"channels": ["C"]})).await;
    assert_eq!(send(app.admin(Method::DELETE, "/gone").query(&[("rev", gone)])).await.0, 200);
    let (_, since) = app.changes(None, "").await;
    app.put("g", json!({"grant": {"to": "alice", "channels": ["C"]}})).await;
    let (entries, last) = app.changes(Some("alice"), &format!("since={since}")).await;
    assert_eq!(ids(&entries), ["a", "b", "c"]);
    let seqs: Vec<String> = entries.iter().map(|entry| text(&entry["seq"])).collect();
    assert!(seqs.iter().all(|seq| seq.starts_with("7:")), "{seqs:?}");
    assert!(app.changes(Some("alice"), &format!("since={last}")).await.0.is_empty());
    let (rest, _) = app.changes(Some("alice"), &format!("since={}", seqs[0])).await;
    assert_eq!(ids(&rest), ["b", "c"]);
    app.put("new", json!({"channels": ["C"]})).await;
    let (entries, _) = app.changes(Some("alice"), &format!("since={last}")).await;
    assert!(entries[0]["seq"].is_number() && entries.len() == 1);
}

#[tokio::test]
async fn membership_in_a_role_backfills_and_losing_it_silences() {
    let app = TestApp::start().await;
    app.user("alice", &[]).await;
    let role = json!({"admin_channels": ["H"]});
    assert_eq!(send(app.admin(Method::PUT, "/_role/hr").json(&role)).await.0, 201);
    app.put("d", json!({"channels": ["H"]})).await;
    let (_, since) = app.changes(None, "").await;
    let grant = app.put("g", json!({"grantRole": {"to": "alice", "roles": "role:hr"}})).await;
    let (entries, _) = app.changes(Some("alice"), &format!("since={since}")).await;
    assert_eq!(ids(&entries), ["d"]);
    app.put("g", json!({"_rev": grant})).await;
    assert!(app.changes(Some("alice"), "since=0").await.0.is_empty());
    assert_eq!(send(app.public("alice", Method::GET, "/d")).await.0, 403);
}

#[tokio::test]
async fn filters_narrow_and_never_widen() {
    let app = TestApp::start().await;
    app.user("alice", &["A"]).await;
    app.put("a", json!({"channels": ["A"]})).await;
    app.put("b", json!({"channels": ["B"]})).await;
    let by = "filter=sync_gateway/bychannel&channels=";
    assert_eq!(ids(&app.changes(Some("alice"), &format!("{by}A,B")).await.0), ["a"]);
    assert!(app.changes(Some("alice"), &format!("{by}B")).await.0.is_empty());
    assert_eq!(ids(&app.changes(Some("alice"), &format!("{by}*")).await.0), ["a"]);
    assert_eq!(ids(&app.changes(None, &format!("{by}B")).await.0), ["b"]);
    let named = "filter=_doc_ids&doc_ids=[\"b\",\"a\",\"none\"]";
    assert_eq!(ids(&app.changes(None, named).await.0), ["a", "b"]);
    assert_eq!(ids(&app.changes(Some("alice"), named).await.0), ["a"]);
}

#[tokio::test]
async fn a_longpoll_waits_for_the_first_visible_change() {
    let app = TestApp::start().await;
    app.user("alice", &["A"]).await;
    let waiting = app.changes(Some("alice"), "feed=longpoll&timeout=20000&since=1");
    let writing = async {
        app.put("hidden", json!({"channels": ["Z"]})).await;
        app.put("seen", json!({"channels": ["A"]})).await;
    };
    let ((entries, _), ()) = tokio::join!(waiting, writing);
    assert_eq!(ids(&entries), ["seen"]);
    let began = Instant::now();
    let (entries, last) = app.changes(Some("alice"), "feed=longpoll&timeout=200&since=50").await;
    assert!(entries.is_empty() && last == "50" && began.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_continuous_feed_follows_edits_grants_and_removals() {
    let app = TestApp::start().await;
    app.user("alice", &["A"]).await;
    app.put("old", json!({"channels": ["C"]})).await;
    let rev = app.put("a", json!({"channels": ["A"]})).await;
    let mut feed = Lines::open(app.public("alice", Method::GET, "/_changes?feed=continuous")).await;
    assert_eq!(feed.next().await["id"], "a");
    app.put("a", json!({"_rev": rev, "channels": ["Z"]})).await;
    assert_eq!(feed.next().await["removed"], json!(["A"]));
    app.put("g", json!({"grant": {"to": "alice", "channels": ["C"]}})).await;
    assert_eq!(feed.next().await["id"], "old");
    app.put("new", json!({"channels": ["C"]})).await;
    assert!(feed.next().await["seq"].is_number());
}

#[tokio::test]
async fn an_edit_reaches_a_follower_without_delay() {
    let app = TestApp::start().await;
    let mut feed = Lines::open(app.admin(Method::GET, "/_changes?feed=continuous")).await;
    let began = Instant::now();
    for number in 0..50 {
        app.put(&format!("d{number}"), json!({})).await;
        assert_eq!(feed.next().await["id"], format!("d{number}"));
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

/// A WebSocket feed for a user, its options sent.
#[tokio::test]
async fn changes_that_come_fast_reach_each_of_many_followers_in_order() {
    const FOLLOWERS: usize = 150;
    const CHANGES: usize = 40;
    let app = TestApp::start().await;
    app.user("ada", &["A"]).await;
    let mut feeds = Vec::new();
    for _ in 0..FOLLOWERS {
        feeds.push(Lines::open(app.public("ada", Method::GET, "/_changes?feed=continuous")).await);
    }
    let wanted: Vec<String> = (0..CHANGES).map(|n| format!("d{n}")).collect();
    for id in &wanted {
        app.put(id, json!({"channels": ["A"]})).await;
    }
    for feed in &mut feeds {
        let mut told = Vec::new();
        while told.len() < CHANGES {
            told.push(timeout(PATIENCE, feed.next()).await.expect("an entry"));
        }
        assert_eq!(ids(&told), wanted);
    }
}

async fn websocket(
    app: &TestApp,
    user: &str,
    options: &str,
) -> tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>> {
    let url = format!("{}/_changes?feed=websocket", app.public.replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("a request");
    let login = app.public(user, Method::GET, "/").build().expect("a request");
    request.headers_mut().insert("authorization", login.headers()["authorization"].clone());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("upgraded");
    socket.send(Message::text(options)).await.expect("sent");
    socket
}

#[tokio::test]
async fn a_websocket_compresses_when_asked() {
    let app = TestApp::start().await;
    app.user("ada", &["A"]).await;
    app.put("a", json!({"channels": ["A"]})).await;
    let mut socket = websocket(&app, "ada", r#"{"since":1,"accept_encoding":"gzip"}"#).await;
    let mut stream = flate2::write::MultiGzDecoder::new(Vec::new());
    let mut next = async || loop {
        let frame = timeout(PATIENCE, socket.next()).await.expect("in time").expect("a frame").expect("open");
        if let Message::Binary(bytes) = frame {
            std::io::Write::write_all(&mut stream, &bytes).expect("gzip");
            std::io::Write::flush(&mut stream).expect("gzip");
            let text = std::mem::take(stream.get_mut());
            let entries: Vec<Value> = serde_json::from_slice(&text).expect("JSON");
            return ids(&entries);
        }
    };
    assert_eq!(next().await, ["a"]);
    app.put("b", json!({"channels": ["A"]})).await;
    assert_eq!(next().await, ["b"], "one stream goes on over the frames");
}

#[tokio::test]
async fn named_documents_stand_at_their_own_sequence() {
    let app = TestApp::start().await;
    app.put("old", json!({"channels": ["C"]})).await;
    app.user("ada", &["C"]).await;
    let (entries, _) = app.changes(Some("ada"), "").await;
    assert_eq!(entries[0]["seq"], "2:1");
    let (entries, last) = app.changes(Some("ada"), "filter=_doc_ids&doc_ids=old,none").await;
    assert_eq!((ids(&entries), &entries[0]["seq"], last.as_str()), (vec!["old".to_owned()], &json!(1), "1"));
}

#[tokio::test]
async fn a_channel_without_a_name_is_no_filter() {
    let app = TestApp::start().await;
    for channels in ["A,,B", "A,", ","] {
        let request = app.admin(Method::GET, "/_changes?filter=sync_gateway/bychannel");
        assert_eq!(send(request.query(&[("channels", channels)])).await.0, 400, "{channels}");
    }
}

#[tokio::test]
async fn a_websocket_sends_arrays_and_says_when_it_is_up_to_date() {
    let app = TestApp::start().await;
    app.user("alice", &["A"]).await;
    app.put("a", json!({"channels": ["A"]})).await;
    let url = format!("{}/_changes?feed=websocket", app.public.replacen("http", "ws", 1));
    assert!(tokio_tungstenite::connect_async(&url).await.is_err(), "needs a login");
    let mut request = url.into_client_request().expect("a request");
    let login = app.public("alice", Method::GET, "/").build().expect("a request");
    let header = login.headers()["authorization"].clone();
    request.headers_mut().insert("authorization", header);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("upgraded");
    socket.send(Message::text(r#"{"since":1}"#)).await.expect("sent");
    let mut frames = Vec::new();
    while frames.len() < 2 {
        let frame = timeout(PATIENCE, socket.next()).await.expect("in time");
        frames.push(frame.expect("a frame").expect("open").into_text().expect("text").to_string());
    }
    let first: Vec<Value> = serde_json::from_str(&frames[0]).expect("JSON");
    assert_eq!((ids(&first), frames[1].as_str()), (vec!["a".to_owned()], "[]"));
}

/// What a continuous feed tells at once, and what a normal one does.
async fn both_ways(app: &TestApp, user: Option<&str>, query: &str) -> (Vec<Value>, Vec<Value>) {
    let ask = |feed: &str| {
        let path = format!("/_changes?{query}&{feed}");
        match user {
            Some(user) => app.public(user, Method::GET, &path),
            None => app.admin(Method::GET, &path),
        }
    };
    let lines = ask("feed=continuous&timeout=1").send().await.expect("an answer").text().await.expect("a body");
    let lines = lines.lines().filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (_, normal) = send(ask("feed=normal")).await;
    (lines, normal["results"].as_array().expect("results").clone())
}

#[tokio::test]
async fn a_follower_who_is_nearly_up_to_date_is_told_the_same_from_memory_as_from_the_file() {
    let app = TestApp::start().await;
    for (user, channels) in [("alice", &["A", "B"][..]), ("bob", &["*"]), ("carol", &["C"])] {
        app.user(user, channels).await;
    }
    let _follower = Lines::open(app.admin(Method::GET, "/_changes?feed=continuous")).await;
    let mut random = StdRng::seed_from_u64(7);
    let mut told = 0;
    for step in 0..200 {
        let id = format!("d{}", random.random_range(0..12));
        let (_, known) = send(app.admin(Method::GET, &format!("/{id}"))).await;
        let channels: Vec<&str> = ["A", "B", "C", "D"].into_iter().filter(|_| random.random_ratio(2, 5)).collect();
        let mut doc = json!({"channels": channels, "step": step});
        if random.random_ratio(1, 25) {
            doc["grant"] = json!({"to": "carol", "channels": channels});
        }
        if let Some(rev) = known["_rev"].as_str() {
            doc["_rev"] = json!(rev);
            doc["_deleted"] = json!(random.random_ratio(1, 6));
        }
        let (status, answer) = send(app.admin(Method::PUT, &format!("/{id}")).json(&doc)).await;
        assert_eq!(status, 201, "{answer}");
        let (_, info) = send(app.admin(Method::GET, "/")).await;
        let since = (info["update_seq"].as_i64().expect("a number") - random.random_range(0..15)).max(0);
        let user = [None, Some("alice"), Some("bob"), Some("carol")][step % 4];
        let mut query = format!("since={since}");
        for option in [
            "include_docs=true",
            "active_only=true",
            "style=all_docs",
            "revocations=true",
            "filter=sync_gateway/bychannel&channels=A,D",
        ] {
            if random.random_ratio(1, 4) {
                query.extend(["&", option]);
            }
        }
        let (lines, normal) = both_ways(&app, user, &query).await;
        assert_eq!(lines, normal, "step {step}, {user:?}, {query}");
        told += lines.len();
        let cut = both_ways(&app, user, &format!("{query}&limit=2")).await;
        assert_eq!(cut.0, cut.1, "step {step}, {user:?}, {query}, limit 2");
    }
    assert!(told > 300, "{told}");
}
