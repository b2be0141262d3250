//! Copying the file: a backup while the gateway runs, and putting a backup back in place.
//! A copy is written under another name, synced, and only then given its own: there is never half a file.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use rusqlite::Connection;

use super::open::{self, FILE, LOCK};

/// Sequences skipped at a restore. Clients may have seen sequences that were used after the backup was made; a change
/// that got such a number again would be passed over in silence.
const SKIPPED: i64 = 1_000_000;

/// Whether a restore may take the place of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupied {
    /// A directory with anything in it is refused.
    Refuse,
    /// The file in the directory is replaced.
    Replace,
}

/// Copies the gateway's file in `data` to the new file `to`, as of one moment; answers its size in bytes.
/// The gateway may be running and go on writing. The copy is complete in itself and synced when this returns.
pub fn backup(data: &Path, to: &Path) -> anyhow::Result<u64> {
    ensure!(!to.exists(), "{} is there already", to.display());
    let source = open::existing(&data.join(FILE))?;
    let partial = named(to, ".partial");
    let size = copy(&source, &partial)?;
    fs::rename(&partial, to).with_context(|| format!("naming {}", to.display()))?;
    open::sync_dir(parent(to)).with_context(|| format!("syncing the directory of {}", to.display()))?;
    Ok(size)
}

/// Puts the backup `from` into the directory `data`. The gateway must not be running there. Sequences go on well above
/// those of the backup, so that a client that has seen later ones misses nothing.
pub fn restore(data: &Path, from: &Path, occupied: Occupied) -> anyhow::Result<()> {
    let source = open::existing(from)?;
    open::verify(&source, from)?;
    let _lock = open::claim(data)?;
    let target = data.join(FILE);
    let partial = named(&target, ".partial");
    if occupied == Occupied::Refuse
        && let Some(found) = occupant(data, &partial)?
    {
        bail!("{} is not empty: it holds {}", data.display(), found.display());
    }
    copy(&source, &partial)?;
    raise_sequences(&partial).with_context(|| format!("preparing {}", partial.display()))?;
    settle(&target)?;
    fs::rename(&partial, &target).with_context(|| format!("naming {}", target.display()))?;
    open::sync_dir(data).with_context(|| format!("syncing {}", data.display()))?;
    Ok(())
}

/// Writes what `source` sees to a new file and syncs it. `VACUUM INTO` reads in one snapshot, does not keep the running
/// gateway from writing, and leaves out deleted content.
fn copy(source: &Connection, to: &Path) -> anyhow::Result<u64> {
    let copied = (|| {
        forget(&named(to, "-journal"))?;
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(to)?;
        source.execute("VACUUM INTO ?1", [to.to_str().context("the path is not UTF-8")?])?;
        let copy = open::existing(to)?;
        open::verify(&copy, to)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    })();
    copied.map_err(|error: anyhow::Error| {
        let _ = fs::remove_file(to);
        error.context(format!("writing {}", to.display()))
    })
}

fn raise_sequences(path: &Path) -> anyhow::Result<()> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute("UPDATE databases SET last_seq = last_seq + ?1", [SKIPPED])?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(path)?.sync_all()?;
    Ok(())
}

/// Brings a file that will be replaced to rest: its write-ahead log would otherwise be taken for the new file's.
fn settle(target: &Path) -> anyhow::Result<()> {
    if target.exists()
        && let Err(error) = Connection::open(target).and_then(|old| old.pragma_update(None, "journal_mode", "DELETE"))
    {
        tracing::warn!(%error, "the replaced file was damaged");
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        forget(&named(target, suffix))?;
    }
    Ok(())
}

/// Removes a file that may be there.
fn forget(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Anything in the directory that a restore would not have put there.
fn occupant(data: &Path, partial: &Path) -> anyhow::Result<Option<PathBuf>> {
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        if path != partial && path.file_name().is_none_or(|name| name != LOCK) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn named(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
