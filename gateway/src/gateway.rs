//! The running gateway: the file, the databases in it, and the tasks that time alone requires.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Logins;
use crate::clock;
use crate::database::config::{DatabaseConfig, is_valid_name};
use crate::database::{Database, expiry};
use crate::error::{Error, Result};
use crate::json::{self, Object};
use crate::principals::{self, Passwords};
use crate::store::{Live, OpenError, Store, Tx};
use crate::views::Indexer;

/// How often expired documents are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// What a gateway needs to know before it opens.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of the file; made when missing.
    pub data: PathBuf,
    /// Largest request body after decompression, in bytes.
    pub max_body: usize,
    /// Most connections of the public listener at once; more wait to be accepted.
    pub max_connections: usize,
    /// Most connections of the admin listener at once.
    pub max_admin_connections: usize,
    /// Most connections that read the file at once.
    pub readers: usize,
    /// Pages of the write-ahead log, of 4 KiB each, that are carried over into the file at once.
    pub log_pages: u32,
    /// Longest time given to requests in flight at shutdown.
    pub drain: Duration,
}

impl Config {
    /// The defaults for a directory.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            max_body: 64 << 20,
            max_connections: 5000,
            max_admin_connections: 5000,
            readers: 8,
            // With half as many fewer of them are the same ones, and a document in a large file costs a tenth more; twice as
            // many save nothing.
            log_pages: 8000,
            drain: Duration::from_secs(5),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new("data")
    }
}

/// An open gateway, not yet served.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub(crate) inner: Arc<Inner>,
}

/// What every request shares.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) store: Arc<Store>,
    pub(crate) indexer: Arc<Indexer>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
    databases: RwLock<BTreeMap<String, Arc<Database>>>,
}

impl Gateway {
    /// Opens the directory; fails clearly when it is in use, read-only or damaged.
    pub fn open(config: Config) -> std::result::Result<Self, OpenError> {
        let store = Store::open(&config.data, config.readers, config.log_pages)?;
        let sqlite = |cause| OpenError::Sqlite { path: config.data.clone(), cause };
        let databases = match load(&store) {
            Ok(databases) => databases,
            Err(Error::Store(cause)) => {
                let detail = cause.to_string();
                let path = config.data.clone();
                return Err(Arc::try_unwrap(cause).map_or(OpenError::Corrupt { path, detail }, sqlite));
            }
            Err(error) => {
                return Err(OpenError::Corrupt { path: config.data, detail: error.to_string() });
            }
        };
        let databases = databases.into_iter().map(|db| (db.name.clone(), Arc::new(db))).collect();
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                store: Arc::new(store),
                indexer: Arc::default(),
                logins: Arc::default(),
                shutdown: CancellationToken::new(),
                tasks: TaskTracker::new(),
                databases: RwLock::new(databases),
            }),
        })
    }
}

fn load(store: &Store) -> Result<Vec<Database>> {
    store.read_blocking(|conn| {
        let sql = "SELECT id, name, config, version, created, updated, started, last_seq, epoch FROM databases";
        let mut select = conn.prepare(sql)?;
        let mut rows = select.query([])?;
        let mut databases = Vec::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(1)?;
            let raw = json::parse_object(row.get_ref(2)?.as_str().unwrap_or_default());
            let config = DatabaseConfig::stored(raw, row.get(3)?, row.get(4)?, row.get(5)?)?;
            let live = Live::new(row.get(0)?, row.get(7)?, row.get(8)?);
            databases.push(Database::new(name, live, row.get(6)?, config));
        }
        Ok(databases)
    })
}

/// Passwords of configured users, hashed before the write.
struct Seeds {
    guest: Option<Object>,
    users: Vec<(String, Object, Passwords)>,
    roles: Vec<(String, Object)>,
}

impl Seeds {
    fn of(raw: &Object) -> Result<Self> {
        let objects = |key: &str| -> Vec<(String, Object)> {
            let members = raw.get(key).and_then(|value| value.as_object()).into_iter().flatten();
            members.filter_map(|(name, value)| Some((name.clone(), value.as_object()?.clone()))).collect()
        };
        let users = objects("users").into_iter().map(|(name, body)| {
            let password = Passwords::from_body(&body, crate::auth::hash_password)?;
            Ok((name, body, password))
        });
        Ok(Self {
            guest: raw.get("guest").and_then(|guest| guest.as_object()).cloned(),
            users: users.collect::<Result<_>>()?,
            roles: objects("roles"),
        })
    }

    fn plant(self, tx: &mut Tx<'_>, live: &Arc<Live>) -> Result<()> {
        if let Some(guest) = self.guest {
            let disabled = guest.get("disabled").and_then(serde_json::Value::as_bool) != Some(false);
            let known = principals::User::load(tx.conn, live.id, principals::GUEST)?;
            let was_enabled = known.is_some_and(|user| !user.record.disabled);
            if !disabled || was_enabled {
                principals::put_user(tx, live, principals::GUEST, &guest, Passwords::Absent)?;
            }
        }
        // Those that exist have a life of their own by now.
        for (name, body) in self.roles {
            if principals::role_json(tx.conn, live.id, &name)?.is_none() {
                principals::put_role(tx, live, &name, &body)?;
            }
        }
        for (name, body, password) in self.users {
            if principals::User::load(tx.conn, live.id, &name)?.is_none() {
                principals::put_user(tx, live, &name, &body, password)?;
            }
        }
        Ok(())
    }
}

/// A checked configuration and whom it names. Compiling and hashing take their time, so they have a thread for it.
async fn checked(name: &str, raw: Object, version: i64, created: i64, now: i64) -> Result<(DatabaseConfig, Seeds)> {
    let name = name.to_owned();
    let check = move || {
        let config = DatabaseConfig::parse(&name, raw, version, created, now)?;
        let seeds = Seeds::of(&config.raw)?;
        Ok((config, seeds))
    };
    tokio::task::spawn_blocking(check).await.map_err(|_| Error::Stopped)?
}

impl Inner {
    /// A database by name.
    pub(crate) fn database(&self, name: &str) -> Option<Arc<Database>> {
        self.databases.read().get(name).cloned()
    }

    /// Names of all databases, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.databases.read().keys().cloned().collect()
    }

    /// Creates a database.
    pub(crate) async fn create(&self, name: &str, raw: Object) -> Result<()> {
        if !is_valid_name(name) {
            return Err(Error::bad_request(format!("invalid database name {name:?}")));
        }
        let exists = || Error::refused(412, format!("Duplicate database name \"{name}\""));
        if self.database(name).is_some() {
            return Err(exists());
        }
        let now = clock::now_seconds();
        let started = clock::now_micros();
        let (config, seeds) = checked(name, raw, 1, now, now).await?;
        let (owned, text) = (name.to_owned(), json::canonical(&config.raw));
        let live = self
            .store
            .write(move |tx| {
                let sql = "INSERT INTO databases (name, config, version, created, updated, started)
                           VALUES (?1, ?2, 1, ?3, ?3, ?4) ON CONFLICT DO NOTHING";
                let row = (&owned, text, now, started);
                if tx.conn.prepare_cached(sql)?.execute(row)? == 0 {
                    return Ok(None);
                }
                let live = Arc::new(Live::new(tx.conn.last_insert_rowid(), 0, 0));
                seeds.plant(tx, &live)?;
                Ok(Some((live.id, tx.last_seq(&live)?)))
            })
            .await?;
        let (id, seq) = live.ok_or_else(exists)?;
        let epoch = self.stored_epoch(id).await?;
        let db = Database::new(name.to_owned(), Live::new(id, seq, epoch), started, config);
        self.databases.write().insert(name.to_owned(), Arc::new(db));
        Ok(())
    }

    async fn stored_epoch(&self, id: i64) -> Result<i64> {
        let sql = "SELECT epoch FROM databases WHERE id = ?1";
        self.store.read(move |conn| Ok(conn.query_row(sql, [id], |row| row.get(0))?)).await
    }

    /// Stores a changed configuration and puts it into force.
    pub(crate) async fn configure(&self, db: &Arc<Database>, raw: Object) -> Result<()> {
        let old = db.config();
        let now = clock::now_seconds();
        let (config, seeds) = checked(&db.name, raw, old.version + 1, old.created, now).await?;
        let (live, text, version) = (Arc::clone(&db.live), json::canonical(&config.raw), config.version);
        self.store
            .write(move |tx| {
                let sql = "UPDATE databases SET config = ?2, version = ?3, updated = ?4 WHERE id = ?1";
                tx.conn.prepare_cached(sql)?.execute((live.id, text, version, now))?;
                seeds.plant(tx, &live)
            })
            .await?;
        db.set_config(config);
        Ok(())
    }

    /// Deletes a database and all that is in it.
    pub(crate) async fn drop_database(&self, name: &str) -> Result<()> {
        let Some(db) = self.databases.write().remove(name) else {
            return Err(Error::not_found(format!("no such database {name:?}")));
        };
        db.set_offline(true);
        let id = db.id();
        self.store
            .write(move |tx| {
                for sql in [
                    "DELETE FROM view_rows WHERE ddoc IN (SELECT id FROM design_docs WHERE db = ?1)",
                    "DELETE FROM bodies WHERE num IN (SELECT num FROM docs WHERE db = ?1)",
                    "DELETE FROM attachments WHERE num IN (SELECT num FROM docs WHERE db = ?1)",
                    "DELETE FROM design_docs WHERE db = ?1",
                    "DELETE FROM channel_log WHERE db = ?1",
                    "DELETE FROM principals WHERE db = ?1",
                    "DELETE FROM grants WHERE db = ?1",
                    "DELETE FROM losses WHERE db = ?1",
                    "DELETE FROM sessions WHERE db = ?1",
                    "DELETE FROM locals WHERE db = ?1",
                    "DELETE FROM docs WHERE db = ?1",
                    "DELETE FROM databases WHERE id = ?1",
                ] {
                    tx.conn.execute(sql, [id])?;
                }
                tx.forget_database(id);
                Ok(())
            })
            .await
    }

    /// Expires documents and forgets what is past its time, until shutdown.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return self.databases.read().values().for_each(|db| db.live.nudge()),
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.sweep().await {
                tracing::error!(%error, "the sweep of expired documents failed");
            }
        }
    }

    async fn sweep(&self) -> Result<()> {
        let now = clock::now_seconds();
        let due = self
            .store
            .read(move |conn| {
                let sql = "SELECT DISTINCT db FROM docs WHERE exp IS NOT NULL AND exp <= ?1";
                let mut select = conn.prepare_cached(sql)?;
                let rows = select.query_map([now], |row| row.get(0))?;
                let due = rows.collect::<rusqlite::Result<Vec<i64>>>()?;
                let sql = "SELECT EXISTS (SELECT 1 FROM bodies WHERE until IS NOT NULL AND until <= ?1)
                           OR EXISTS (SELECT 1 FROM sessions WHERE expires <= ?1)";
                let stale: bool = conn.prepare_cached(sql)?.query_row([now], |row| row.get(0))?;
                Ok((due, stale))
            })
            .await?;
        self.indexer.sweep();
        let databases: Vec<_> = self.databases.read().values().cloned().collect();
        for db in databases.into_iter().filter(|db| due.0.contains(&db.id())) {
            let mut more = true;
            while more {
                let db = Arc::clone(&db);
                more = self.store.write(move |tx| expiry::expire(tx, &db)).await?;
            }
        }
        if due.1 {
            self.store.write(expiry::forget).await?;
        }
        Ok(())
    }
}
