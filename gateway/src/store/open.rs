//! Opening the file: the lock, the checks, the schema.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use super::Store;
use super::readers::Readers;
use super::writer::Writer;

const FILE: &str = "gateway.sqlite";
const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 1;
/// What was added since; made in older files when they are opened.
const ADDED: &str = include_str!("added.sql");
const APPLICATION: i64 = 0x7a63_6777;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The directory or the file cannot be written.
    #[error("{} cannot be opened for writing", path.display())]
    Unwritable {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The file is not one of ours, or damaged.
    #[error("{} is damaged or not a gateway's file: {detail}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Written by a later version.
    #[error("{} was written by a later version (schema {found})", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// `SQLite` failed.
    #[error("{} cannot be opened", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        cause: rusqlite::Error,
    },
}

impl Store {
    /// Opens or creates the file in `dir`.
    pub fn open(dir: &Path, readers: usize) -> Result<Self, OpenError> {
        std::fs::create_dir_all(dir).map_err(|cause| OpenError::Unwritable { path: dir.to_owned(), cause })?;
        let lock = lock(dir)?;
        let path = dir.join(FILE);
        writable(&path)?;
        let explain = |cause: rusqlite::Error| explain(&path, cause);
        let connection = Connection::open(&path).map_err(explain)?;
        prepare(&connection).map_err(explain)?;
        migrate(&connection, &path)?;
        connection.execute_batch(ADDED).map_err(explain)?;
        let readers = Readers::new(path.clone(), readers);
        let writer = Writer::start(connection).map_err(|cause| OpenError::Unwritable { path: path.clone(), cause })?;
        Ok(Self { writer, readers: Arc::new(readers), _lock: lock })
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("gateway.lock");
    let unwritable = |cause| OpenError::Unwritable { path: path.clone(), cause };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(cause)) => Err(unwritable(cause)),
    }
}

fn writable(path: &Path) -> Result<(), OpenError> {
    if !path.exists() {
        return Ok(());
    }
    let opened = File::options().read(true).write(true).open(path);
    opened.map(drop).map_err(|cause| OpenError::Unwritable { path: path.to_owned(), cause })
}

fn explain(path: &Path, cause: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let path = path.to_owned();
    match cause.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => OpenError::Corrupt { path, detail: cause.to_string() },
        _ => OpenError::Sqlite { path, cause },
    }
}

/// Settings every connection needs.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "cache_size", -4_000)?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 26)?;
    Ok(connection)
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let explain = |cause: rusqlite::Error| explain(path, cause);
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let version = number("user_version").map_err(explain)?;
    let application = number("application_id").map_err(explain)?;
    if version == 0 && application == 0 {
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(explain)?;
        if tables == 0 {
            let script = format!(
                "BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; \
                 PRAGMA application_id = {APPLICATION}; COMMIT;"
            );
            return connection.execute_batch(&script).map_err(explain);
        }
    }
    if application != APPLICATION {
        return Err(OpenError::Corrupt { path: path.to_owned(), detail: "it belongs to another program".to_owned() });
    }
    if version > SCHEMA_VERSION {
        return Err(OpenError::TooNew { path: path.to_owned(), found: version });
    }
    let checked: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(explain)?;
    if checked == "ok" {
        return Ok(());
    }
    Err(OpenError::Corrupt { path: path.to_owned(), detail: checked })
}
