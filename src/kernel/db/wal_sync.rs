//! One fsync of SQLite's log for all commits that wait for it.
//!
//! By itself SQLite either syncs its log in each commit, with its one writer waiting (`synchronous = FULL`), or in none
//! (`NORMAL`, <https://www.sqlite.org/pragma.html#pragma_synchronous>). Here a commit leaves the writer first and is
//! acknowledged after a sync that began behind it, which it shares with all that came meanwhile. Others may read it a
//! moment before it is on the disk: a mutation is answered, and a feed is told, when all that was read for it is there
//! too, whoever wrote it. What queries show may be ahead of the disk by that moment.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sea_orm::DbErr;
use tokio::sync::Mutex;

use super::failure;
use super::wal_file::{Look, WalFile};

/// The log of one database, and whether one request has read of it.
#[derive(Debug, Clone)]
pub(super) struct WalSync {
    log: Arc<Log>,
    /// Whether anything was read that no commit of the request stands behind.
    has_read: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Log {
    file: WalFile,
    /// Commits that have begun so far, one after the other: SQLite has one writer.
    begun: AtomicU64,
    /// How many of them have ended: their pages are in the log.
    ended: AtomicU64,
    /// How many of them are on the disk.
    synced: AtomicU64,
    /// What the file was like when the last sync began. Held while it is being synced.
    last: Mutex<Option<Look>>,
    has_failed: AtomicBool,
}

impl WalSync {
    /// The log beside a database's file.
    pub(super) fn of(database: &Path) -> Self {
        Self {
            log: Arc::new(Log {
                file: WalFile::of(database),
                begun: AtomicU64::new(0),
                ended: AtomicU64::new(0),
                synced: AtomicU64::new(0),
                last: Mutex::default(),
                has_failed: AtomicBool::new(false),
            }),
            has_read: Arc::default(),
        }
    }

    /// For a request of its own, which has read nothing yet.
    pub(super) fn of_request(&self) -> Self {
        Self {
            log: self.log.clone(),
            has_read: Arc::default(),
        }
    }

    /// Whether what is written is found again: see [`WalFile::is_in_place`].
    pub(super) fn is_in_place(&self) -> bool {
        self.log.file.is_in_place()
    }

    /// Commits, in a task of its own that nobody cuts off: what may be in the log has to be known.
    pub(super) async fn commit(
        &self,
        committing: impl Future<Output = Result<(), DbErr>> + Send + 'static,
    ) -> Result<u64, DbErr> {
        let log = self.log.clone();
        let committed = tokio::spawn(async move {
            let own = log.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let committed = committing.await;
            log.ended.store(own, Ordering::SeqCst);
            committed.map(|()| own)
        });
        committed
            .await
            .unwrap_or_else(|panic| Err(DbErr::Custom(panic.to_string())))
    }

    /// Something was read.
    pub(super) fn was_read(&self) {
        self.has_read.store(true, Ordering::SeqCst);
    }

    /// Waits until what was read is on the disk.
    pub(super) async fn settle(&self) -> Result<(), DbErr> {
        if !self.has_read.load(Ordering::SeqCst) {
            return Ok(());
        }
        let log = &self.log;
        let mut last = log.last.lock().await;
        // What has begun can be read before it has ended; what other processes wrote is seen by the file alone.
        let is_synced = log.begun.load(Ordering::SeqCst) <= log.synced.load(Ordering::SeqCst);
        if is_synced && *last == log.file.look() {
            return Ok(());
        }
        self.sync_all(&mut last).await
    }

    /// Waits until a commit, and all before it, are on the disk. What was read for it is there too then.
    pub(super) async fn sync(&self, commit: u64) -> Result<(), DbErr> {
        let log = &self.log;
        let is_synced = || log.synced.load(Ordering::SeqCst) >= commit;
        if !is_synced() {
            let mut last = log.last.lock().await;
            if !is_synced() {
                self.sync_all(&mut last).await?;
            }
        }
        self.has_read.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn sync_all(&self, last: &mut Option<Look>) -> Result<(), DbErr> {
        // A system that failed to write forgets that it had to: a later sync would say nothing of these bytes.
        if self.has_failed() {
            return Err(failure::unsynced("the log could not be synced before"));
        }
        let ended = self.log.ended.load(Ordering::SeqCst);
        let log = self.log.clone();
        let syncing = tokio::task::spawn_blocking(move || log.file.sync());
        match syncing.await.map_err(std::io::Error::other).flatten() {
            Ok(look) => {
                *last = Some(look);
                self.log.synced.store(ended, Ordering::SeqCst);
                Ok(())
            }
            Err(error) => {
                self.log.has_failed.store(true, Ordering::SeqCst);
                Err(failure::unsynced(&error.to_string()))
            }
        }
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
