//! Opening the file: the lock, the checks, the schema.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::Store;
use super::readers::Readers;
use super::writer::Writer;

/// Name of the file in its directory.
pub(super) const FILE: &str = "gateway.sqlite";
/// Held by the process that may write.
pub(super) const LOCK: &str = "gateway.lock";
const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 1;
/// What was added since; made in older files when they are opened.
const ADDED: &str = include_str!("added.sql");
/// Larger files are not read through when they are opened: it takes a second for each 250 MiB or so. A damaged page is
/// then told when it is needed.
const LARGEST_VERIFIED: u64 = 256 << 20;
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
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
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
    pub fn open(dir: &Path, readers: usize, log_pages: u32) -> Result<Self, OpenError> {
        let lock = claim(dir)?;
        let path = dir.join(FILE);
        writable(&path)?;
        let explain = |cause: rusqlite::Error| explain(&path, cause);
        let connection = Connection::open(&path).map_err(explain)?;
        if connection.is_readonly("main").map_err(explain)? {
            return Err(OpenError::Unwritable { path, cause: ErrorKind::PermissionDenied.into() });
        }
        let new = is_new(&connection).map_err(explain)?;
        if !new && size(&path) <= LARGEST_VERIFIED {
            verify(&connection, &path)?;
        } else if !new {
            recognise(&connection, &path)?;
        }
        prepare(&connection, log_pages).map_err(explain)?;
        if new {
            create(&connection).map_err(explain)?;
        }
        connection.execute_batch(ADDED).map_err(explain)?;
        // The file's name must outlast a loss of power, too.
        sync_dir(dir).map_err(|cause| OpenError::Unwritable { path: dir.to_owned(), cause })?;
        let places = Arc::new(Semaphore::new(readers.max(1)));
        let readers = Readers::new(path.clone(), readers);
        let writer = Writer::start(connection).map_err(|cause| OpenError::Unwritable { path: path.clone(), cause })?;
        Ok(Self { writer, readers: Arc::new(readers), places, _lock: lock })
    }
}

/// Makes the directory if it is missing, and becomes the one process that may write there while the answer is kept.
pub(super) fn claim(dir: &Path) -> Result<File, OpenError> {
    make(dir).map_err(|cause| OpenError::Unwritable { path: dir.to_owned(), cause })?;
    let path = dir.join(LOCK);
    let unwritable = |cause| OpenError::Unwritable { path: path.clone(), cause };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(cause)) => Err(unwritable(cause)),
    }
}

/// Makes a directory and syncs the ones it was made in.
fn make(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make(parent)?;
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_dir(parent),
    }
}

/// Syncs the names in a directory.
pub(super) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a missing file, private to its owner; refuses one that is marked read-only, also to a process that may write
/// everything. Opens no file that is there: closing it would undo the locks of other connections in this process.
fn writable(path: &Path) -> Result<(), OpenError> {
    let marked = match std::fs::metadata(path) {
        Ok(found) => Ok(found.permissions().readonly()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            File::options().write(true).create_new(true).mode(0o600).open(path).map(|_| false)
        }
        Err(error) => Err(error),
    };
    let cause = match marked {
        Ok(false) => return Ok(()),
        Ok(true) => ErrorKind::PermissionDenied.into(),
        Err(cause) => cause,
    };
    Err(OpenError::Unwritable { path: path.to_owned(), cause })
}

/// A file that is there, opened for reading.
pub(super) fn existing(path: &Path) -> Result<Connection, OpenError> {
    if let Err(cause) = std::fs::metadata(path) {
        return Err(OpenError::Unreadable { path: path.to_owned(), cause });
    }
    reader(path).map_err(|cause| explain(path, cause))
}

/// The gateway's file in a directory, recognised and opened for reading, and its path.
pub fn for_check(dir: &Path) -> Result<(Connection, PathBuf), OpenError> {
    let path = dir.join(FILE);
    let connection = existing(&path)?;
    recognise(&connection, &path)?;
    Ok((connection, path))
}

fn explain(path: &Path, cause: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let path = path.to_owned();
    match cause.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => OpenError::Corrupt { path, detail: cause.to_string() },
        _ => OpenError::Sqlite { path, cause },
    }
}

/// Settings of the connection that writes.
fn prepare(connection: &Connection, log_pages: u32) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", log_pages)?;
    // KiB. Measured: more costs memory and is not faster, as the system's page cache is near.
    connection.pragma_update(None, "cache_size", -4_000)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "cache_size", -2_000)?;
    Ok(connection)
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

/// Whether there is nothing in the file, not even the mark of another program.
fn is_new(connection: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok(tables == 0 && marks(connection)? == (0, 0))
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; \
         PRAGMA application_id = {APPLICATION}; COMMIT;"
    ))
}

/// The marks that say whose file it is, and of which version.
fn marks(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok((number("application_id")?, number("user_version")?))
}

/// Refuses a file that is not ours or from a later version.
pub(super) fn recognise(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let (application, version) = marks(connection).map_err(|cause| explain(path, cause))?;
    if application != APPLICATION {
        return Err(OpenError::Corrupt { path: path.to_owned(), detail: "it belongs to another program".to_owned() });
    }
    if version > SCHEMA_VERSION {
        return Err(OpenError::TooNew { path: path.to_owned(), found: version });
    }
    Ok(())
}

/// Refuses a file that is not ours, from a later version, or damaged in its pages.
pub(super) fn verify(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    recognise(connection, path)?;
    let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match checked.map_err(|cause| explain(path, cause))? {
        detail if detail != "ok" => Err(OpenError::Corrupt { path: path.to_owned(), detail }),
        _ => Ok(()),
    }
}
