//! The program itself, as a process: its own configuration file, ports and data, the system's clock.

use crate::app::Setup;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use zerocloud::store::{Store, StoreConfig};

/// One installation that is started and killed at will.
pub struct Program {
    folder: tempfile::TempDir,
    config: PathBuf,
    store: Store,
    accepted: Mutex<Vec<Value>>,
}

impl Program {
    /// Writes the configuration; starts nothing.
    pub fn new(setup: &Setup, aws: &str) -> Program {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yml");
        let [public, admin] = free_ports();
        let yaml = setup.yaml(aws, folder.path().join("data").to_str().unwrap());
        let yaml = yaml.replacen("127.0.0.1:0", &public, 1).replacen("127.0.0.1:0", &admin, 1);
        std::fs::write(&config, yaml).unwrap();
        let store = Store::new(&StoreConfig {
            public_url: format!("http://{public}"),
            admin_url: format!("http://{admin}"),
            database: "zerocloud".to_owned(),
            admin: None,
            timeout: Duration::from_secs(5),
        });
        Program { folder, config, store: store.unwrap(), accepted: Mutex::default() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zerocloud"));
        command.arg("--config").arg(&self.config).args(arguments).kill_on_drop(true).stdin(Stdio::null());
        command
    }

    /// Starts `serve`, which dies after `point` if there is one.
    pub fn serve(&self, point: Option<&str>) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = self.command(&["serve"]);
        command.stderr(log).stdout(Stdio::null());
        if let Some(point) = point {
            command.env("ZEROCLOUD_FAILPOINT", point);
        }
        command.spawn().unwrap()
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::time::timeout(Duration::from_mins(1), command.output()).await.unwrap().unwrap()
    }

    /// Keeps `serve` running until `stop`: the first process dies after `point`, the next ones are whole.
    pub async fn keep_running(&self, point: &str, stop: &CancellationToken, deaths: &AtomicU32) {
        let mut child = self.serve(Some(point));
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    let notices = self.prefix("notice::").await;
                    let ids = notices.iter().filter(|notice| notice["status"] == "accepted");
                    *self.accepted.lock().unwrap() = ids.map(|notice| notice["message_id"].clone()).collect();
                    child.kill().await.unwrap();
                    return;
                }
                died = child.wait() => {
                    died.unwrap();
                    deaths.fetch_add(1, Ordering::SeqCst);
                    child = self.serve(None);
                }
            }
        }
    }

    /// The receipts that were stored when it was stopped.
    pub fn accepted(&self) -> Vec<Value> {
        self.accepted.lock().unwrap().clone()
    }

    /// A document, or `None` when there is none or the gateway does not answer.
    pub async fn document(&self, id: &str) -> Option<Value> {
        self.store.get::<Value>(id).await.ok().flatten().map(|doc| doc.body)
    }

    /// Documents by prefix; none when the gateway does not answer.
    pub async fn prefix(&self, prefix: &str) -> Vec<Value> {
        self.store.prefix(prefix).await.unwrap_or_default().into_iter().map(|doc| doc.body).collect()
    }

    /// Removes its files.
    pub fn clean(self) {
        self.folder.close().unwrap();
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Puts a person's request through the public port, again and again until the gateway takes it, and waits for the answer
/// to be `done`.
pub async fn request(program: &Program, user: &str, lease: &str, action: &str, more: Value) {
    let id = format!("request::bigdb::{user}::{:032x}", rand::random::<u128>());
    let name = format!("bigdb.{user}");
    let mut body = json!({
        "type": "request", "schema": 1, "account": "bigdb", "user": user, "updated_by": name, "lease": lease,
        "action": action, "at": zerocloud::clock::Clock::system().now(),
    });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    for _ in 0..600 {
        if let Some(answer) = program.document(&id).await.and_then(|doc| doc.get("answer").cloned()) {
            assert_eq!(answer["outcome"], "done", "{action}: {answer}");
            return;
        }
        if let Ok(session) = program.store.session(&name, 60).await {
            // Refused or not, a copy that arrived is answered; a conflict says that it did.
            let _ = program.store.put_as(&session, &id, &body, None).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{action} was not answered; the log:\n{}", program.log());
}

/// Two ports that were free a moment ago.
fn free_ports() -> [String; 2] {
    let bound = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    bound.map(|listener| listener.local_addr().unwrap().to_string())
}
