//! The file layer: the system's own, with its open, delete, write, truncate, sync and close functions replaced by ones
//! that record and may fail. All else, locks and shared memory too, is the system's.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Once};

use parking_lot::Mutex;
use rusqlite::ffi;

use crate::disk::{Disk, Fault};
use crate::record::Action;

/// A file that is recorded, by the address of its `sqlite3_file`.
#[derive(Clone)]
struct Open {
    disk: Arc<Disk>,
    name: PathBuf,
    real: &'static ffi::sqlite3_io_methods,
    /// Whether its next sync also syncs the directory, as the system's layer does for a new log or journal.
    names: Arc<AtomicBool>,
}

const JOURNALS: c_int = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;

static DISKS: Mutex<Vec<Arc<Disk>>> = Mutex::new(Vec::new());
static FILES: LazyLock<Mutex<HashMap<usize, Open>>> = LazyLock::new(Mutex::default);
static TABLES: LazyLock<Mutex<HashMap<usize, &'static ffi::sqlite3_io_methods>>> = LazyLock::new(Mutex::default);
static REAL: Mutex<usize> = Mutex::new(0);
static INSTALLED: Once = Once::new();

/// Records a disk's files from now on.
pub(crate) fn install(disk: &Arc<Disk>) {
    INSTALLED.call_once(|| {
        // SAFETY: SQLite is initialised by this call; the default layer it answers lives as long as the process.
        let real = unsafe {
            ffi::sqlite3_initialize();
            ffi::sqlite3_vfs_find(std::ptr::null())
        };
        *REAL.lock() = real as usize;
        // SAFETY: `real` is valid, and a plain table; the copy is never freed, as registration demands.
        unsafe {
            let mut copy = std::ptr::read(real);
            copy.zName = c"power-loss".as_ptr();
            copy.pNext = std::ptr::null_mut();
            copy.xOpen = Some(open);
            copy.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::leak(Box::new(copy)), 1);
        }
    });
    DISKS.lock().push(Arc::clone(disk));
}

fn real() -> *mut ffi::sqlite3_vfs {
    *REAL.lock() as *mut ffi::sqlite3_vfs
}

/// The disk that records a path, and the file's name on it.
///
/// # Safety
/// `path` is null or a C string.
unsafe fn recorded(path: *const c_char) -> Option<(Arc<Disk>, PathBuf)> {
    if path.is_null() {
        return None;
    }
    // SAFETY: not null, so a C string.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    let path = Path::new(OsStr::from_bytes(bytes));
    DISKS.lock().iter().find_map(|disk| Some((Arc::clone(disk), disk.name(path)?)))
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: called by SQLite with a path or null, and room for the real layer's file.
    unsafe {
        let found = recorded(path);
        let Some(open) = (*real()).xOpen else { return ffi::SQLITE_CANTOPEN };
        let code = open(real(), path, file, flags, out);
        if code != ffi::SQLITE_OK {
            return code;
        }
        if let Some((disk, name)) = found
            && let Some(real) = (*file).pMethods.as_ref()
        {
            disk.add(&name, Action::Create);
            let names = Arc::new(AtomicBool::new(flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & JOURNALS != 0));
            FILES.lock().insert(file as usize, Open { disk, name, real, names });
            (*file).pMethods = table(real);
        }
        code
    }
}

/// The real functions with four of them replaced.
fn table(real: &'static ffi::sqlite3_io_methods) -> &'static ffi::sqlite3_io_methods {
    let address = std::ptr::from_ref(real) as usize;
    TABLES.lock().entry(address).or_insert_with(|| {
        // SAFETY: a plain table of function pointers.
        let mut copy = unsafe { std::ptr::read(real) };
        copy.xWrite = Some(write);
        copy.xTruncate = Some(truncate);
        copy.xSync = Some(sync);
        copy.xClose = Some(close);
        Box::leak(Box::new(copy))
    })
}

fn of(file: *mut ffi::sqlite3_file) -> Option<Open> {
    FILES.lock().get(&(file as usize)).cloned()
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, path: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: called by SQLite with a path.
    unsafe {
        let Some(delete) = (*real()).xDelete else { return ffi::SQLITE_IOERR };
        let code = delete(real(), path, sync_dir);
        if code == ffi::SQLITE_OK
            && let Some((disk, name)) = recorded(path)
        {
            disk.add(&name, Action::Delete);
            if sync_dir != 0 {
                disk.add(&name, Action::SyncNames);
            }
        }
        code
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, length: c_int, offset: i64) -> c_int {
    let Some(open) = of(file) else { return ffi::SQLITE_IOERR };
    let (bytes, start) = (usize::try_from(length).unwrap_or(0), u64::try_from(offset).unwrap_or(0));
    // SAFETY: called by SQLite with an open file and `length` bytes.
    unsafe {
        let (Some(write), Some(size)) = (open.real.xWrite, open.real.xFileSize) else { return ffi::SQLITE_IOERR };
        let mut end = 0;
        size(file, &raw mut end);
        match open.disk.fault() {
            Fault::Writes => return ffi::SQLITE_IOERR_WRITE,
            Fault::Full if offset + i64::from(length) > end => return ffi::SQLITE_FULL,
            _ => {}
        }
        let code = write(file, data, length, offset);
        if code == ffi::SQLITE_OK {
            let data = std::slice::from_raw_parts(data.cast::<u8>(), bytes).to_vec();
            open.disk.add(&open.name, Action::Write { offset: start, data });
        }
        code
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    let Some(open) = of(file) else { return ffi::SQLITE_IOERR };
    let Some(truncate) = open.real.xTruncate else { return ffi::SQLITE_IOERR };
    // SAFETY: called by SQLite with an open file.
    let code = unsafe { truncate(file, size) };
    if code == ffi::SQLITE_OK {
        open.disk.add(&open.name, Action::Truncate(u64::try_from(size).unwrap_or(0)));
    }
    code
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let Some(open) = of(file) else { return ffi::SQLITE_IOERR };
    let Some(sync) = open.real.xSync else { return ffi::SQLITE_IOERR };
    if open.disk.fault() == Fault::Syncs {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // SAFETY: called by SQLite with an open file.
    let code = unsafe { sync(file, flags) };
    if code == ffi::SQLITE_OK {
        open.disk.add(&open.name, Action::Sync);
        if open.names.swap(false, Ordering::Relaxed) {
            open.disk.add(&open.name, Action::SyncNames);
        }
    }
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let Some(open) = FILES.lock().remove(&(file as usize)) else { return ffi::SQLITE_IOERR };
    let Some(close) = open.real.xClose else { return ffi::SQLITE_IOERR };
    // SAFETY: called by SQLite with an open file, the last time.
    unsafe { close(file) }
}
