//! One fsync of SQLite's log for all commits that wait for it.
//!
//! By itself SQLite either syncs its log in each commit, with its one writer waiting (`synchronous = FULL`), or in none
//! (`NORMAL`, <https://www.sqlite.org/pragma.html#pragma_synchronous>). Here a commit leaves the writer first and is
//! acknowledged after a sync that began behind it, which it shares with all that came meanwhile. Others may read it a
//! moment before it is on the disk: a mutation is answered, and a feed is told, when all that was read for it is there
//! too. What queries show may be ahead of the disk by that moment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sea_orm::DbErr;
use tokio::sync::Mutex;

use super::failure;

/// The log of one database, and what one request has read of it.
#[derive(Debug, Clone)]
pub(super) struct WalSync {
    log: Arc<Log>,
    /// How many commits had begun when it was read last: what was read may show them.
    seen: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    /// Commits that have begun so far.
    begun: AtomicU64,
    /// How many of them are on the disk.
    synced: AtomicU64,
    /// Held while the log is being synced.
    syncing: Mutex<()>,
    has_failed: AtomicBool,
}

impl WalSync {
    /// The log beside a database's file.
    pub(super) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self {
            log: Arc::new(Log {
                path: path.into(),
                begun: AtomicU64::new(0),
                synced: AtomicU64::new(0),
                syncing: Mutex::new(()),
                has_failed: AtomicBool::new(false),
            }),
            seen: Arc::default(),
        }
    }

    /// For a request of its own, which has read nothing yet.
    pub(super) fn of_request(&self) -> Self {
        Self {
            log: self.log.clone(),
            seen: Arc::default(),
        }
    }

    /// A commit begins: others may read it from now on. Answers what has to be synced for it.
    pub(super) fn begin_commit(&self) -> u64 {
        self.log.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Something was read.
    pub(super) fn was_read(&self) {
        let begun = self.log.begun.load(Ordering::SeqCst);
        self.seen.fetch_max(begun, Ordering::SeqCst);
    }

    /// Waits until what was read is on the disk.
    pub(super) async fn settle(&self) -> Result<(), DbErr> {
        self.sync(self.seen.load(Ordering::SeqCst)).await
    }

    /// Waits until a commit, and all before it, are on the disk.
    pub(super) async fn sync(&self, commit: u64) -> Result<(), DbErr> {
        let log = &self.log;
        let is_synced = || log.synced.load(Ordering::SeqCst) >= commit;
        if is_synced() {
            return Ok(());
        }
        let _syncing = log.syncing.lock().await;
        if is_synced() {
            return Ok(());
        }
        let reached = log.begun.load(Ordering::SeqCst);
        let synced = self.sync_all().await;
        synced.map_err(|error| failure::unsynced(&error.to_string()))?;
        log.synced.store(reached, Ordering::SeqCst);
        Ok(())
    }

    async fn sync_all(&self) -> io::Result<()> {
        // A system that failed to write forgets that it had to: a later sync would say nothing of these bytes.
        if self.has_failed() {
            return Err(io::Error::other("the log could not be synced before"));
        }
        let path = self.log.path.clone();
        let syncing = tokio::task::spawn_blocking(move || std::fs::File::open(path)?.sync_data());
        let synced = syncing.await.map_err(io::Error::other)?;
        if synced.is_err() {
            self.log.has_failed.store(true, Ordering::SeqCst);
        }
        synced
    }

    /// Whether a sync has failed since what the log held was last brought into the database's file.
    pub(super) fn has_failed(&self) -> bool {
        self.log.has_failed.load(Ordering::SeqCst)
    }

    /// What the log held is in the database's file, and on the disk.
    pub(super) fn is_written_back(&self) {
        self.log.has_failed.store(false, Ordering::SeqCst);
    }
}
