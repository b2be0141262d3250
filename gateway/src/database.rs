//! One database: its configuration, its state and its users as of the last commit.
//! What can be done with documents is in the modules below; HTTP is elsewhere.

pub mod attachments;
pub mod config;
pub mod expiry;
pub mod incoming;
pub mod local;
pub mod purge;
pub mod read;
pub mod resync;
pub mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use crate::auth::session::Sessions;
use crate::error::{Error, Result};
use crate::principals::User;
use crate::store::Live;
use config::DatabaseConfig;

const MOST_CACHED_USERS: usize = 20_000;

/// A database that is being served.
#[derive(Debug)]
pub struct Database {
    /// Name in URLs.
    pub name: String,
    /// Counters and wake-ups.
    pub live: Arc<Live>,
    /// Microseconds since 1970 when it was created.
    pub started: i64,
    /// Cancelled when the database is deleted or goes offline: ends its feeds.
    cut: Mutex<CancellationToken>,
    config: RwLock<Arc<DatabaseConfig>>,
    offline: AtomicBool,
    users: Mutex<HashMap<String, (i64, Arc<User>)>>,
    /// Sessions in use.
    pub sessions: Sessions,
    /// The running or last resync.
    pub resync: Mutex<resync::Progress>,
}

impl Database {
    /// A database as read from the file.
    pub fn new(name: String, live: Live, started: i64, config: DatabaseConfig) -> Self {
        Self {
            name,
            live: Arc::new(live),
            started,
            cut: Mutex::default(),
            offline: AtomicBool::new(config.offline),
            config: RwLock::new(Arc::new(config)),
            users: Mutex::default(),
            sessions: Sessions::default(),
            resync: Mutex::default(),
        }
    }

    /// Row in `databases`.
    pub fn id(&self) -> i64 {
        self.live.id
    }

    /// The configuration as of now.
    pub fn config(&self) -> Arc<DatabaseConfig> {
        Arc::clone(&self.config.read())
    }

    /// Puts a stored configuration into force.
    pub fn set_config(&self, config: DatabaseConfig) {
        let offline = config.offline;
        *self.config.write() = Arc::new(config);
        if offline != self.is_offline() {
            self.set_offline(offline);
        }
    }

    /// Whether documents, views and feeds answer 503.
    pub fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Acquire)
    }

    /// Takes the database offline (ending its feeds) or online.
    pub fn set_offline(&self, offline: bool) {
        self.offline.store(offline, Ordering::Release);
        if offline {
            self.cut_feeds();
        }
    }

    /// Ends running feeds; later ones are not concerned.
    pub fn cut_feeds(&self) {
        let old = std::mem::take(&mut *self.cut.lock());
        old.cancel();
        self.live.nudge();
    }

    /// Cancelled when feeds begun now must end.
    pub fn cut_token(&self) -> CancellationToken {
        self.cut.lock().clone()
    }

    /// The counters as this snapshot sees them: last sequence, epoch.
    pub fn counters(&self, conn: &Connection) -> Result<(i64, i64)> {
        let sql = "SELECT last_seq, epoch FROM databases WHERE id = ?1";
        let row = conn.prepare_cached(sql)?.query_row([self.id()], |row| Ok((row.get(0)?, row.get(1)?)));
        row.map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Error::not_found("no such database"),
            other => other.into(),
        })
    }

    /// A user from memory, if known as of the last commit.
    pub fn cached_user(&self, name: &str) -> Option<Arc<User>> {
        let users = self.users.lock();
        let (epoch, user) = users.get(name)?;
        (*epoch == self.live.epoch()).then(|| Arc::clone(user))
    }

    /// A user as this snapshot sees it.
    pub fn user(&self, conn: &Connection, name: &str) -> Result<Option<Arc<User>>> {
        let (_, epoch) = self.counters(conn)?;
        if let Some((at, user)) = self.users.lock().get(name)
            && *at == epoch
        {
            return Ok(Some(Arc::clone(user)));
        }
        let Some(user) = User::load(conn, self.id(), name)?.map(Arc::new) else {
            return Ok(None);
        };
        let mut users = self.users.lock();
        if users.len() >= MOST_CACHED_USERS {
            users.clear();
        }
        users.insert(name.to_owned(), (epoch, Arc::clone(&user)));
        Ok(Some(user))
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Reader {
    /// The admin port.
    Admin,
    /// A user or the guest.
    User(Arc<User>),
}

impl Reader {
    /// Whether a revision in these channels may be read.
    pub fn sees(&self, channels: &std::collections::BTreeSet<String>) -> bool {
        match self {
            Self::Admin => true,
            Self::User(user) => user.sees(channels),
        }
    }

    /// The same reader as the author of a write.
    pub fn author(&self) -> write::Author {
        match self {
            Self::Admin => write::Author::Admin,
            Self::User(user) => write::Author::User(user.name.clone()),
        }
    }
}
