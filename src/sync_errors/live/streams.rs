//! The streams behind the subscriptions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use futures_util::Stream;
use tokio::sync::watch;

use super::Live;
use super::tail::{Found, READ_ENTRIES, Tail};
use crate::classify::SyncErrorCategory;
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::progress::Position;
use crate::kernel::streams::unfold;
use crate::kernel::wake::STATE_PAUSE;
use crate::portals::api::Portal;
use crate::portals::{self, PortalRow, cursor_expired, unknown_portal};
use crate::sync_errors::SyncErrorEventKind;
use crate::sync_errors::api::{CategorySummary, SyncError, SyncErrorEvent, SyncErrorEventFilter};
use crate::sync_errors::live::entry::{Entry, Part, entries};
use crate::sync_errors::{feed, history};

/// Which events are wanted, from where on.
pub struct EventsArguments {
    /// Of these kinds; empty: any.
    pub kinds: Vec<SyncErrorEventKind>,
    /// Of errors that it holds for.
    pub filter: SyncErrorEventFilter,
    /// Behind this cursor; absent: from now on.
    pub after: Option<String>,
}

/// The events of a portal, in order, without a gap.
pub async fn events(
    live: &Live,
    call: Arc<Call>,
    scope: Scope<Read>,
    arguments: EventsArguments,
) -> Result<impl Stream<Item = Result<SyncErrorEvent>> + use<>> {
    feed::check(&arguments.filter)?;
    let tail = watched(live, &call, &scope).await?;
    // Before the cursor is compared: what happens to the feed from now on is noticed.
    let history = tail.history();
    let portal = Portal::load(&call, scope).await?;
    let portal = portal.ok_or_else(unknown_portal)?;
    let after = call.progress.resumes_after().or(arguments.after.as_deref());
    let (snapshot, head) = (&call.snapshot, &portal.row.head);
    let cursor = match after {
        Some(cursor) => history::position(snapshot, &portal.scope, (head, cursor)).await?,
        None => history::end(snapshot, &portal.scope, head).await?,
    };
    call.snapshot.renew().await;
    let events = Events {
        head: tail.head(),
        tail,
        call,
        portal,
        history,
        cursor,
        ready: VecDeque::new(),
        kinds: arguments.kinds,
        filter: arguments.filter,
    };
    Ok(unfold(events, |mut events| async move {
        let next = events.next().await.transpose()?;
        Some((next, events))
    }))
}

/// The cards of a portal: all at first, then those that changed.
pub async fn cards(
    live: &Live,
    call: Arc<Call>,
    scope: Scope<Read>,
) -> Result<impl Stream<Item = Vec<CategorySummary>> + use<>> {
    let tail = watched(live, &call, &scope).await?;
    call.progress.begins();
    let cards = Cards {
        head: tail.head(),
        _tail: tail,
        scope,
        told: None,
    };
    Ok(unfold(cards, |mut cards| async move {
        Some((cards.next().await?, cards))
    }))
}

async fn watched(live: &Live, call: &Call, scope: &Scope<Read>) -> Result<Arc<Tail>> {
    if let Some(tail) = live.tail(scope).await? {
        return Ok(tail);
    }
    // One that the token names is made on the way.
    let made = portals::find(call, scope).await?;
    made.ok_or_else(unknown_portal)?;
    // The tail reads too, by a connection of the same pool.
    call.snapshot.renew().await;
    live.tail(scope).await?.ok_or_else(unknown_portal)
}

struct Events {
    call: Arc<Call>,
    portal: Portal,
    tail: Arc<Tail>,
    head: watch::Receiver<Arc<PortalRow>>,
    /// Of the tail, from the beginning on.
    history: u64,
    /// The last entry that was looked at.
    cursor: Position,
    ready: VecDeque<Arc<Entry>>,
    kinds: Vec<SyncErrorEventKind>,
    filter: SyncErrorEventFilter,
}

impl Events {
    /// Waits for the next event; the end only when the tail ends.
    async fn next(&mut self) -> Result<Option<SyncErrorEvent>> {
        loop {
            self.call.progress.reached(self.cursor);
            if self.tail.history() != self.history {
                return Err(cursor_expired());
            }
            if let Some(entry) = self.ready.pop_front() {
                self.cursor = entry.position(self.cursor.epoch);
                if !entry.matches(&self.kinds, &self.filter) {
                    continue;
                }
                let event = self.event(&entry);
                self.call.progress.sent(event.position());
                return Ok(Some(event));
            }
            self.head.mark_unchanged();
            let most = READ_ENTRIES as usize;
            match self.tail.after(self.history, self.cursor, most) {
                Found::Entries(entries) => self.ready = entries.into(),
                Found::Behind(start) => self.read(start).await?,
                // Behind what is not about errors.
                Found::Nothing(end) if end.sequence > self.cursor.sequence => self.cursor = end,
                Found::Expired => return Err(cursor_expired()),
                Found::Nothing(_) => {
                    self.call.progress.waits();
                    if self.head.changed().await.is_err() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// What the tail does not hold any more, up to where it begins.
    async fn read(&mut self, start: Position) -> Result<()> {
        let scope = &self.portal.scope;
        let snapshot = self.call.env.db.snapshot().of_portal(scope.hub_id());
        let heads = portals::heads(&snapshot, std::slice::from_ref(scope)).await?;
        let head = heads.get(&scope.hub_id());
        let head = head.filter(|head| head.spans(&self.cursor));
        let part = Part {
            after: self.cursor,
            until: start.sequence,
            swept: head.ok_or_else(cursor_expired)?.swept_sequence,
        };
        let entries = entries(&snapshot, scope, &part, READ_ENTRIES).await?;
        let entries = entries.ok_or_else(cursor_expired)?;
        if entries.is_empty() {
            self.cursor = start;
        }
        self.ready = entries.into_iter().map(Arc::new).collect();
        Ok(())
    }

    fn event(&self, entry: &Arc<Entry>) -> SyncErrorEvent {
        let portal = Portal::of(self.portal.scope.clone(), self.head.borrow().clone());
        let error = entry.error.as_ref();
        SyncErrorEvent {
            epoch: self.cursor.epoch,
            row: entry.row.clone(),
            error: error.map(|row| SyncError::of_portal(&portal, row.clone())),
        }
    }
}

struct Cards {
    scope: Scope<Read>,
    head: watch::Receiver<Arc<PortalRow>>,
    _tail: Arc<Tail>,
    /// What was told last, and when.
    told: Option<(Arc<PortalRow>, Instant)>,
}

impl Cards {
    async fn next(&mut self) -> Option<Vec<CategorySummary>> {
        loop {
            if let Some((_, at)) = &self.told {
                self.head.changed().await.ok()?;
                tokio::time::sleep(STATE_PAUSE.saturating_sub(at.elapsed())).await;
            }
            let row = self.head.borrow_and_update().clone();
            let is_new = |category: &SyncErrorCategory| {
                let told = self.told.as_ref();
                told.is_none_or(|(told, _)| told.counters(*category) != row.counters(*category))
            };
            let portal = Portal::of(self.scope.clone(), row.clone());
            let changed = SyncErrorCategory::all().filter(is_new);
            let cards: Vec<_> = changed
                .map(|name| CategorySummary::new(&portal, name))
                .collect();
            self.told = Some((row, Instant::now()));
            if !cards.is_empty() {
                return Some(cards);
            }
        }
    }
}
