//! Bounds: what a client can ask for never takes more than the gateway gives.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zerocloud_gateway::Config;

use crate::app::{Served, TestApp, client, send, text};

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(url: &str) -> TcpStream {
    TcpStream::connect(url.trim_start_matches("http://")).await.expect("connects")
}

/// Status of the answer to a request written by hand.
async fn answer(stream: &mut TcpStream, request: &str) -> Option<String> {
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut start = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut start)).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&start[9..]).into_owned())
}

#[tokio::test]
async fn scripts_that_loop_hoard_or_get_stuck_end_and_the_next_write_works() {
    let source = "function (doc) {
      if (doc.loop) { while (true) {} }
      if (doc.hoard) { var all = []; while (true) { all.push(new Array(10000).join('x')); } }
      if (doc.regex) { /^(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'); }
      if (doc.stuck) { new Array(400000000).reverse(); }
      if (doc.deep) { (function f() { f(); })(); }
      channel('ok');
    }";
    let app = TestApp::with(json!({"sync": source, "javascript_timeout_secs": 1})).await;
    for kind in ["loop", "hoard", "regex", "deep", "stuck"] {
        let (status, answer) = send(app.admin(Method::PUT, "/bad").json(&json!({kind: true}))).await;
        assert_eq!(status, 500, "{kind} {answer}");
        app.put(&format!("good-{kind}"), json!({})).await;
    }
    assert_eq!(send(app.admin(Method::GET, "/bad")).await.0, 404);
}

#[tokio::test]
async fn documents_names_and_metadata_have_their_sizes() {
    let app =
        TestApp::with(json!({"sync": "function (doc) { channel(doc.channels); access(doc.who, doc.what); }"})).await;
    let put = async |id: &str, body: &Value| send(app.admin(Method::PUT, &format!("/{id}")).json(body)).await.0;
    assert_eq!(put(&"k".repeat(250), &json!({})).await, 201);
    assert_eq!(put(&"k".repeat(251), &json!({})).await, 400);
    assert_eq!(put("large", &json!({"text": "x".repeat(20 << 20)})).await, 413);
    let names = |count: usize| (0..count).map(|number| format!("channel-{number}")).collect::<Vec<_>>();
    assert_eq!(put("many", &json!({"channels": names(2000)})).await, 201);
    assert_eq!(put("too-many", &json!({"channels": names(70_000)})).await, 413);
    assert_eq!(put("generous", &json!({"who": names(90_000), "what": "C"})).await, 413);
    let attachment = json!({"_attachments": {"f": {"data": "AAAA".repeat(7 << 20)}}});
    assert_eq!(put("attached", &attachment).await, 413);
    assert_eq!(put("ok", &json!({})).await, 201);
    let user = |name: &str| app.admin(Method::PUT, &format!("/_user/{name}")).json(&json!({"password": "letmein"}));
    assert_eq!(send(user(&"u".repeat(239))).await.0, 201);
    assert_eq!(send(user(&"u".repeat(240))).await.0, 400);
    let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    for (depth, expected) in [(500, 201), (100_000, 400)] {
        let request = app.admin(Method::PUT, &format!("/nested-{depth}")).header("content-type", "application/json");
        assert_eq!(send(request.body(nested(depth))).await.0, expected, "{depth}");
    }
}

#[tokio::test]
async fn a_view_leaves_out_documents_that_emit_too_much() {
    let app = TestApp::start().await;
    let map = "function (doc) { emit(new Array(doc.key).join('k'), new Array(doc.value).join('v')); }";
    assert_eq!(send(app.admin(Method::PUT, "/_design/t").json(&json!({"views": {"v": {"map": map}}}))).await.0, 201);
    app.put("fine", json!({"key": 4000, "value": 1000})).await;
    app.put("long", json!({"key": 5000, "value": 1})).await;
    app.put("large", json!({"key": 1, "value": 2_000_000})).await;
    let (_, answer) = send(app.admin(Method::GET, "/_design/t/_view/v")).await;
    assert_eq!(crate::app::ids(answer["rows"].as_array().expect("rows")), ["fine"]);
}

#[tokio::test]
async fn requests_have_a_size_and_bombs_do_not_go_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::with(Config { max_body: 1 << 20, ..Config::new(dir.path()) }).await;
    let client = client();
    let db = format!("{}/db", served.admin);
    assert_eq!(send(client.put(format!("{db}/")).json(&json!({}))).await.0, 201);
    let post = || client.post(format!("{db}/_bulk_docs")).header("content-type", "application/json");
    let large = format!("{{\"docs\":[],\"x\":\"{}\"}}", "x".repeat(2 << 20));
    assert_eq!(send(post().body(large.clone())).await.0, 413);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, large.as_bytes()).expect("written");
    let packed = packed.finish().expect("packed");
    assert!(packed.len() < 10_000);
    assert_eq!(send(post().header("content-encoding", "gzip").body(packed)).await.0, 413);
    served.stop().await;
}

#[tokio::test]
async fn headers_have_a_number() {
    let app = TestApp::start().await;
    let mut request = app.admin(Method::GET, "/");
    for number in 0..300 {
        request = request.header(format!("x-{number}"), "x");
    }
    assert_eq!(send(request).await.0, 431);
}

#[tokio::test]
async fn connections_have_a_number_and_places_are_given_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::with(Config { max_connections: 3, ..Config::new(dir.path()) }).await;
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&served.public).await;
        assert_eq!(answer(&mut stream, request).await.as_deref(), Some("200"));
        open.push(stream);
    }
    let mut waiting = connect(&served.public).await;
    waiting.write_all(request.as_bytes()).await.expect("written");
    let mut first = [0; 12];
    let early = timeout(Duration::from_millis(300), waiting.read_exact(&mut first)).await;
    assert!(early.is_err(), "there is no place for a fourth");
    open.pop();
    timeout(PATIENCE, waiting.read_exact(&mut first)).await.expect("in time").expect("an answer");
    assert!(first.ends_with(b"200"));
    drop((open, waiting));
    served.stop().await;
}

#[tokio::test]
async fn a_refused_request_leaves_its_connection_usable() {
    let app = TestApp::start().await;
    let host = app.public.rsplit_once('/').expect("a path").0.to_owned();
    let mut stream = connect(&host).await;
    let name = app.public.rsplit_once('/').expect("a path").1;
    let body = "x".repeat(5000);
    for (method, path, expected) in [("PUT", "_config", "404"), ("PUT", "d", "401"), ("PATCH", "d", "405")] {
        let head =
            format!("{method} /{name}/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(answer(&mut stream, &head).await.as_deref(), Some(expected), "{method} {path}");
        let mut rest = vec![0; 4096];
        let count = timeout(PATIENCE, stream.read(&mut rest)).await.expect("in time").expect("the rest");
        assert!(rest[..count].ends_with(b"}"), "one answer, whole");
    }
}

/// The program by itself, so that its memory can be measured.
struct Process {
    child: Child,
    admin: String,
}

impl Process {
    fn start(dir: &std::path::Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zerocloud-gateway"));
        command.arg("--data").arg(dir).args(["--public", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.env_remove("RUST_LOG").stderr(Stdio::piped());
        let mut process = Self { child: command.spawn().expect("starts"), admin: String::new() };
        let lines = BufReader::new(process.child.stderr.take().expect("piped")).lines();
        let admin = lines.map_while(Result::ok).find_map(|line| Some(line.split_once(" admin=")?.1.trim().to_owned()));
        process.admin = format!("http://{}", admin.expect("a line that says ready"));
        process
    }

    /// Resident memory in mebibytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn slow_readers_hold_little_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let process = Process::start(dir.path());
    let client = client();
    let db = format!("{}/db", process.admin);
    assert_eq!(send(client.put(format!("{db}/")).json(&json!({}))).await.0, 201);
    for number in 0..100 {
        let body = json!({"text": "x".repeat(1 << 20)});
        assert_eq!(send(client.put(format!("{db}/d{number}")).json(&body)).await.0, 201);
    }
    let before = process.memory();
    let mut readers = Vec::new();
    for path in
        ["_changes?include_docs=true", "_changes?include_docs=true&feed=continuous", "_all_docs?include_docs=true"]
    {
        for _ in 0..4 {
            let mut stream = connect(&process.admin).await;
            let request = format!("GET /db/{path} HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(answer(&mut stream, &request).await.as_deref(), Some("200"));
            readers.push(stream);
        }
    }
    // Twelve answers of a hundred mebibytes each; nobody reads on.
    let began = Instant::now();
    let mut most = 0;
    while began.elapsed() < Duration::from_secs(2) {
        most = most.max(process.memory());
        assert_eq!(send(client.get(format!("{db}/"))).await.0, 200, "others are served meanwhile");
    }
    assert!(most < before + 200, "{before} MiB before, {most} MiB with readers that do not read");
    let mut whole = client.get(format!("{db}/_changes?include_docs=true")).send().await.expect("an answer");
    let mut bytes = 0;
    while let Some(chunk) = whole.chunk().await.expect("a chunk") {
        bytes += chunk.len();
    }
    assert!(bytes > 100 << 20, "a reader that reads gets it all");
    let (_, info) = send(client.get(format!("{db}/d7"))).await;
    assert_eq!(text(&info["text"]).len(), 1 << 20);
}
