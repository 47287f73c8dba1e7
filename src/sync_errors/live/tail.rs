//! The end of one portal's feed: reads each new entry once, whoever waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::kernel::auth::{Read, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::progress::Position;
use crate::portals::{self, Head, PortalRow};
use crate::sync_errors::live::entry::{Entry, Part, entries};

/// Entries that stay at hand: who is further behind reads from the database.
const WINDOW_ENTRIES: usize = 512;
/// How long a tail that nobody holds any more may stay.
const UNWATCHED: Duration = Duration::from_secs(30);
/// How long a look waits for the database; it reads little.
const LOOK: Duration = Duration::from_secs(5);
/// Entries read at once.
pub(super) const READ_ENTRIES: u64 = 128;

pub(super) struct Tail {
    scope: Scope<Read>,
    window: RwLock<Window>,
    head: watch::Sender<Arc<PortalRow>>,
}

/// The last entries about errors, all that lie behind `start` up to `end`.
struct Window {
    /// Grows whenever the feed turns out to be another one, or to have another history.
    history: u64,
    start: Position,
    end: Position,
    entries: VecDeque<Arc<Entry>>,
}

/// Where the feed of a portal stands that does not exist any more: no feed has this epoch.
const NOWHERE: Position = Position {
    epoch: 0,
    sequence: 0,
    digest: None,
};

/// What a cursor finds behind it.
pub(super) enum Found {
    /// The next entries.
    Entries(Vec<Arc<Entry>>),
    /// Nothing up to this position.
    Nothing(Position),
    /// The window begins only behind this position.
    Behind(Position),
    /// What it was looked for in is not there any more.
    Expired,
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
                history: 0,
                start: row.head.position(),
                end: row.head.position(),
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
    fn end(&self) -> Position {
        self.window.read().map_or(NOWHERE, |window| window.end)
    }

    /// Whether it has read all up to the head, which is absent when the portal does not exist.
    pub(super) fn has_read(&self, head: Option<&Head>) -> bool {
        let (end, stored) = (self.end(), head.map_or(NOWHERE, Head::position));
        (end.epoch, end.sequence) == (stored.epoch, stored.sequence)
            && !end.differs_from(stored.digest)
    }

    /// Which history of the feed it reads, for whoever goes on in it.
    pub(super) fn history(&self) -> u64 {
        self.window.read().map_or(u64::MAX, |window| window.history)
    }

    /// The portal as of the last entry; changes with each.
    pub(super) fn head(&self) -> watch::Receiver<Arc<PortalRow>> {
        self.head.subscribe()
    }

    /// What lies behind a position of a history, up to `most` entries.
    pub(super) fn after(&self, history: u64, position: Position, most: usize) -> Found {
        let Ok(window) = self.window.read() else {
            return Found::Expired;
        };
        if window.history != history {
            return Found::Expired;
        }
        let sequence = position.sequence;
        if sequence < window.start.sequence {
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
            true if window.end.sequence > sequence => Found::Nothing(window.end),
            true => Found::Nothing(position),
            false => Found::Entries(entries),
        }
    }

    /// Reads what is new; answers whether there may be more.
    async fn look(&self, env: &Env) -> Result<bool> {
        let (last, scope) = (self.end(), &self.scope);
        let snapshot = env.db.moving().within(LOOK);
        let Some(row) = portals::find_in(&snapshot, scope).await? else {
            self.begin_anew(None);
            return Ok(false);
        };
        if self.has_read(Some(&row.head)) {
            return Ok(false);
        }
        if !row.head.spans(&last) {
            self.begin_anew(Some(row));
            return Ok(false);
        }
        // Read behind the portal, the errors are not older than their entries.
        let part = Part {
            after: last,
            until: row.head.sequence,
            swept: row.head.swept_sequence,
        };
        let Some(entries) = entries(&snapshot, scope, &part, READ_ENTRIES).await? else {
            self.begin_anew(Some(row));
            return Ok(false);
        };
        let read = match entries.last() {
            Some(entry) if entries.len() as u64 == READ_ENTRIES => entry.position(last.epoch),
            Some(entry) if entry.row.sequence == row.head.sequence => entry.position(last.epoch),
            // What else there is, is not about errors.
            _ => row.head.position(),
        };
        env.db.settle().await?;
        if let Ok(mut window) = self.window.write() {
            window.entries.extend(entries.into_iter().map(Arc::new));
            window.end = read;
            while window.entries.len() > WINDOW_ENTRIES
                && let Some(entry) = window.entries.pop_front()
            {
                window.start = entry.position(last.epoch);
            }
        }
        let more = read.sequence < row.head.sequence;
        // As of what was read: a head ahead of the window would be waited for in vain.
        let mut row = (*row).clone();
        row.head.sequence = read.sequence;
        row.head.digest = read.digest;
        self.head.send_replace(Arc::new(row));
        Ok(more)
    }

    /// The feed is another one, or has another history: what was read of it is dropped, and whoever goes on in it hears
    /// so. Without a row the portal does not exist any more.
    fn begin_anew(&self, row: Option<Arc<PortalRow>>) {
        let start = row.as_ref().map_or(NOWHERE, |row| row.head.position());
        if let Ok(mut window) = self.window.write()
            && (row.is_some() || window.end != NOWHERE)
        {
            window.history += 1;
            window.entries.clear();
            (window.start, window.end) = (start, start);
        }
        match row {
            Some(row) => drop(self.head.send_replace(row)),
            None => self.head.send_modify(|_| {}),
        }
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
