//! The file of SQLite's log: whether it is the one that SQLite has open, and whether anything was written into it.
//!
//! Others may remove it while it is open, and any other process then makes a new one of the same name: what is committed
//! here goes on into the old one, which nobody will ever read again. It is opened and closed as often as is wanted: SQLite
//! locks the database and its index of the log, never the log itself (<https://www.sqlite.org/walformat.html>).

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The log of one database.
#[derive(Debug)]
pub(super) struct WalFile {
    path: PathBuf,
    /// Device and inode of the file that was found to be SQLite's own.
    own: Mutex<Option<(u64, u64)>>,
}

/// What a file was like at some moment; any write makes it another, but for one within the same tick of the file
/// system's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    identity: (u64, u64),
    length: u64,
    changed_at: (i64, i64),
}

impl Look {
    fn of(about: &std::fs::Metadata) -> Self {
        Self {
            identity: (about.dev(), about.ino()),
            length: about.len(),
            changed_at: (about.ctime(), about.ctime_nsec()),
        }
    }
}

impl WalFile {
    /// The log beside a database's file.
    pub(super) fn of(database: &Path) -> Self {
        Self {
            path: with_suffix(database, "-wal").into(),
            own: Mutex::default(),
        }
    }

    /// What it is like now; absent where there is none.
    pub(super) fn look(&self) -> Option<Look> {
        let about = std::fs::metadata(&self.path).ok()?;
        Some(Look::of(&about))
    }

    /// Brings what was written into it to the disk; answers what it was like before.
    pub(super) fn sync(&self) -> io::Result<Look> {
        let file = std::fs::File::open(&self.path)?;
        let look = Look::of(&file.metadata()?);
        if !self.is_own(Some(look.identity)) {
            return Err(io::Error::other("another file has its name"));
        }
        file.sync_data()?;
        Ok(look)
    }

    /// Whether what is written goes into the file that has the name: SQLite makes it when it opens the database, and removes
    /// it when nobody has it open any more.
    pub(super) fn is_in_place(&self) -> bool {
        self.is_own(self.look().map(|look| look.identity))
    }

    fn is_own(&self, identity: Option<(u64, u64)>) -> bool {
        let Ok(mut own) = self.own.lock() else {
            return false;
        };
        if identity.is_some() && *own == identity {
            return true;
        }
        // It has changed: either SQLite itself made it anew, or it was taken away under an open one.
        if self.is_open_without_name() {
            return false;
        }
        *own = identity;
        true
    }

    /// Whether this process has one open that has no name any more (proc(5): " (deleted)").
    fn is_open_without_name(&self) -> bool {
        let nameless = with_suffix(&self.path, " (deleted)");
        let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        open.flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .any(|target| target.as_os_str() == nameless)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> OsString {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path
}
