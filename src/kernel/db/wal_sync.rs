//! One fsync of SQLite's log for all commits that wait for it.
//!
//! By itself SQLite either syncs its log in each commit, with its one writer waiting (`synchronous = FULL`), or in none
//! (`NORMAL`, <https://www.sqlite.org/pragma.html#pragma_synchronous>). Here a commit leaves the writer first and is
//! acknowledged after a sync that began behind it, which it shares with all that came meanwhile. Others may see it a
//! moment before it is on the disk; nobody is told that it is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Mutex;

/// The log of one database.
#[derive(Debug, Clone)]
pub(super) struct WalSync(Arc<Log>);

#[derive(Debug)]
struct Log {
    path: PathBuf,
    /// Commits so far.
    committed: AtomicU64,
    /// How many of them are on the disk. Held while the log is being synced.
    synced: Mutex<u64>,
    has_failed: AtomicBool,
}

impl WalSync {
    /// The log beside a database's file.
    pub(super) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self(Arc::new(Log {
            path: path.into(),
            committed: AtomicU64::new(0),
            synced: Mutex::new(0),
            has_failed: AtomicBool::new(false),
        }))
    }

    /// Waits until all that was committed before is on the disk.
    pub(super) async fn sync(&self) -> io::Result<()> {
        let own = self.0.committed.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.0.synced.lock().await;
        if *synced >= own {
            return Ok(());
        }
        let reached = self.0.committed.load(Ordering::SeqCst);
        // A system that failed to write forgets that it had to: a later sync would say nothing of these bytes.
        if self.has_failed() {
            return Err(io::Error::other("the log could not be synced before"));
        }
        let path = self.0.path.clone();
        let syncing = tokio::task::spawn_blocking(move || std::fs::File::open(path)?.sync_data());
        match syncing.await.map_err(io::Error::other)? {
            Ok(()) => {
                *synced = reached;
                Ok(())
            }
            Err(error) => {
                self.0.has_failed.store(true, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    /// Whether a sync has failed since what the log held was last brought into the database's file.
    pub(super) fn has_failed(&self) -> bool {
        self.0.has_failed.load(Ordering::SeqCst)
    }

    /// What the log held is in the database's file, and on the disk.
    pub(super) fn is_written_back(&self) {
        self.0.has_failed.store(false, Ordering::SeqCst);
    }
}
