//! The embedded gateway, in this process, on ports of its own choice.

use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zerocloud::store::{Store, StoreConfig};

/// The access rules, as `serve` puts them in place.
pub const SYNC: &str = include_str!("../../sync-gateway/sync.js");

/// A running gateway; it stops when told to.
pub struct Running {
    pub public: String,
    pub admin: String,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Starts on free ports.
    pub async fn start(data: &Path) -> Running {
        Running::on(data, "127.0.0.1:0", "127.0.0.1:0").await
    }

    /// Starts on these addresses.
    pub async fn on(data: &Path, public: &str, admin: &str) -> Running {
        let gateway = zerocloud_gateway::Gateway::open(zerocloud_gateway::Config::new(data)).unwrap();
        let (public, admin) = (TcpListener::bind(public).await.unwrap(), TcpListener::bind(admin).await.unwrap());
        let urls = [&public, &admin].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
        let stop = CancellationToken::new();
        let run = zerocloud_gateway::run(gateway, public, admin, stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the test owns the task and waits for it in stop()")]
        let task = tokio::spawn(run);
        let [public, admin] = urls;
        Running { public, admin, stop, task }
    }

    /// A client with the database in place.
    pub async fn store(&self) -> Store {
        let store = self.client();
        store.ensure_database(SYNC, &[]).await.unwrap();
        store
    }

    /// A client only.
    pub fn client(&self) -> Store {
        let config = StoreConfig {
            public_url: self.public.clone(),
            admin_url: self.admin.clone(),
            database: "zerocloud".to_owned(),
            admin: None,
            timeout: Duration::from_secs(10),
        };
        Store::new(&config).unwrap()
    }

    /// Stops it and waits until it has.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// The address without its scheme, to start again in the same place.
pub fn place(url: &str) -> &str {
    url.trim_start_matches("http://")
}
