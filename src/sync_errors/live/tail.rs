//! The end of one portal's feed: reads each new entry once, whoever waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::kernel::auth::{Read, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::{self, PortalRow};
use crate::sync_errors::live::entry::{Entry, entries};

/// Entries that stay at hand: who is further behind reads from the database.
const WINDOW_ENTRIES: usize = 512;
/// How long a tail that nobody holds any more may stay.
const UNWATCHED: Duration = Duration::from_secs(30);
/// Entries read at once.
pub(super) const READ_ENTRIES: u64 = 128;

pub(super) struct Tail {
    scope: Scope<Read>,
    window: RwLock<Window>,
    head: watch::Sender<Arc<PortalRow>>,
}

/// The last entries about errors, all that lie behind `start` up to `end`.
struct Window {
    start: i64,
    end: i64,
    entries: VecDeque<Arc<Entry>>,
}

/// What a cursor finds behind it.
pub(super) enum Found {
    /// The next entries.
    Entries(Vec<Arc<Entry>>),
    /// Nothing up to this sequence.
    Nothing(i64),
    /// The window begins only behind this sequence.
    Behind(i64),
}

impl Tail {
    /// Starts at the present end of the feed. `None` when the portal does not exist.
    pub(super) async fn start(env: &Env, scope: &Scope<Read>) -> Result<Option<Arc<Self>>> {
        let snapshot = env.db.snapshot();
        let Some(row) = portals::find_in(&snapshot, scope).await? else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Self {
            scope: scope.clone(),
            window: RwLock::new(Window {
                start: row.sequence,
                end: row.sequence,
                entries: VecDeque::new(),
            }),
            head: watch::channel(row).0,
        })))
    }

    /// The portal, and the authority to read it.
    pub(super) fn scope(&self) -> &Scope<Read> {
        &self.scope
    }

    /// The last entry that was read.
    pub(super) fn sequence(&self) -> i64 {
        self.head.borrow().sequence
    }

    /// The portal as of the last entry; changes with each.
    pub(super) fn head(&self) -> watch::Receiver<Arc<PortalRow>> {
        self.head.subscribe()
    }

    /// What lies behind a position, up to `most` entries.
    pub(super) fn after(&self, sequence: i64, most: usize) -> Found {
        let Ok(window) = self.window.read() else {
            return Found::Behind(sequence);
        };
        if sequence < window.start {
            return Found::Behind(window.start);
        }
        let skip = window
            .entries
            .partition_point(|entry| entry.row.sequence <= sequence);
        let entries: Vec<_> = window
            .entries
            .iter()
            .skip(skip)
            .take(most)
            .cloned()
            .collect();
        match entries.is_empty() {
            true => Found::Nothing(window.end.max(sequence)),
            false => Found::Entries(entries),
        }
    }

    /// Reads what is new; answers whether there may be more.
    async fn look(&self, env: &Env) -> Result<bool> {
        let (last, scope) = (self.sequence(), &self.scope);
        let snapshot = env.db.moving();
        let Some(row) = portals::find_in(&snapshot, scope).await? else {
            return Ok(false);
        };
        if row.sequence == last {
            return Ok(false);
        }
        // Read behind the portal, the errors are not older than their entries.
        let range = (last, row.sequence);
        let entries = entries(&snapshot, scope, range, READ_ENTRIES).await?;
        let read = match entries.last() {
            Some(entry) if entries.len() as u64 == READ_ENTRIES => entry.row.sequence,
            // What else there is, is not about errors.
            _ => row.sequence,
        };
        if let Ok(mut window) = self.window.write() {
            window.entries.extend(entries.into_iter().map(Arc::new));
            window.end = read;
            while window.entries.len() > WINDOW_ENTRIES
                && let Some(entry) = window.entries.pop_front()
            {
                window.start = entry.row.sequence;
            }
        }
        let more = read < row.sequence;
        // As of what was read: a head ahead of the window would be waited for in vain.
        let row = match more {
            true => Arc::new(PortalRow {
                sequence: read,
                ..(*row).clone()
            }),
            false => row,
        };
        self.head.send_replace(row);
        Ok(more)
    }
}

/// Follows the feed for as long as anybody holds the tail, or until the server stops; what it reads, it reads to the end.
pub(super) async fn follow(
    tail: Weak<Tail>,
    env: Env,
    mut ring: watch::Receiver<u64>,
    stopping: CancellationToken,
) {
    while !stopping.is_cancelled() {
        ring.mark_unchanged();
        let Some(tail) = tail.upgrade() else { return };
        match tail.look(&env).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                // Logged where it is translated; the next look tries again.
                let _ = error.answer();
            }
        }
        drop(tail);
        tokio::select! {
            () = stopping.cancelled() => return,
            changed = ring.changed() => if changed.is_err() { return },
            // Nobody rings for a portal that nobody changes: the end of the tail has to be noticed too.
            () = tokio::time::sleep(UNWATCHED) => {}
        }
    }
}
