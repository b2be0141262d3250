//! What would be left of an `SQLite` file if the power failed now? [`watch`] records every write and sync below a
//! directory; [`Disk::image`] writes out what the disk may hold at any moment of the record: all that was synced, and of
//! the rest nothing, everything, or some sectors. The same layer can fail like a full or broken disk.
//! For the whole process: connections opened before the first [`watch`] are not recorded.

mod disk;
mod record;
#[expect(unsafe_code, reason = "a file layer for SQLite is a table of C functions")]
mod vfs;

pub use disk::{Disk, Fault, Loss};

use std::path::Path;
use std::sync::Arc;

/// Records what happens to the files below `dir` from now on; the directory should be empty.
pub fn watch(dir: &Path) -> std::io::Result<Arc<Disk>> {
    let dir = dir.canonicalize()?;
    let disk = Arc::new(Disk::new(dir));
    vfs::install(&disk);
    Ok(disk)
}
