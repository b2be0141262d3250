//! The embedded gateway, in this process, on ports of its own choice.

use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use zerocloud::store::{Store, StoreConfig};

/// The access rules, as `serve` puts them in place.
pub const SYNC: &str = include_str!("../../sync-gateway/sync.js");

/// A gateway that runs already and that the environment names: the same tests then judge that one. Each test has a database
/// of its own there. A real Sync Gateway needs a bucket of each name, or a Couchbase Server that makes it (`README.md`).
#[derive(Debug, Clone)]
pub struct Given {
    pub public: String,
    pub admin: String,
    /// Name and password, when its admin port asks for them.
    pub signed: Option<(String, String)>,
    pub database: String,
}

impl Given {
    /// What `GATEWAY_PUBLIC_URL`, `GATEWAY_ADMIN_URL`, `GATEWAY_ADMIN_USER` and `GATEWAY_ADMIN_PASSWORD` say.
    pub fn by_environment() -> Option<Given> {
        #[expect(clippy::disallowed_methods, reason = "the tests' one setting: which gateway they judge")]
        let read = |name: &str| std::env::var(name).ok().map(|text| text.trim_end_matches('/').to_owned());
        let (public, admin) = read("GATEWAY_PUBLIC_URL").zip(read("GATEWAY_ADMIN_URL"))?;
        let signed = read("GATEWAY_ADMIN_USER").zip(read("GATEWAY_ADMIN_PASSWORD"));
        let database = format!("it_{:016x}", rand::random::<u64>());
        Some(Given { public, admin, signed, database })
    }

    /// A client of the database.
    pub fn client(&self) -> Store {
        let admin = self.signed.clone().map(|(name, password)| (name, password.into()));
        let (public_url, admin_url) = (self.public.clone(), self.admin.clone());
        let (database, timeout) = (self.database.clone(), Duration::from_secs(20));
        Store::new(&StoreConfig { public_url, admin_url, database, admin, timeout }).unwrap()
    }

    /// Removes the database.
    pub async fn clear(&self) {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let mut request = client.delete(format!("{}/{}/", self.admin, self.database));
        if let Some((name, password)) = &self.signed {
            request = request.basic_auth(name, Some(password));
        }
        request.send().await.unwrap().error_for_status().unwrap();
    }
}

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
