//! Subscribers that select the same of the same portal: what happens is resolved and written once for all of them.
//!
//! A group is one subscription that runs at the end of the feed and keeps the last of what it wrote. Whoever has caught
//! up follows it by position; who falls behind what is kept goes on by itself, as at first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::answer;
use super::app::App;
use super::operation::Checked;
use super::subscription::{self, Key, Subscription};
use crate::kernel::auth::Viewer;
use crate::kernel::progress::Position;

/// What a group keeps: whoever is further behind goes on by itself.
const KEPT_EVENTS: usize = 256;
const KEPT_BYTES: usize = 1024 * 1024;

/// The groups of a server.
#[derive(Default)]
pub(super) struct Groups(Mutex<HashMap<Key, Weak<Group>>>);

/// One group; it ends with its last follower.
pub(super) struct Group {
    kept: Arc<Kept>,
    _running: AbortOnDropHandle<()>,
}

/// What a follower finds behind its position.
pub(super) enum Found {
    /// The next event, as it was written, and the position behind it.
    Event(Position, Bytes),
    /// Nothing that it wants, up to this position.
    Nothing(Position),
    /// It has to go on by itself.
    Lost,
}

struct Kept {
    window: Mutex<Window>,
    ring: watch::Sender<()>,
}

/// The last events without a gap, behind `start`.
struct Window {
    start: Position,
    end: Position,
    events: VecDeque<(Position, Bytes)>,
    bytes: usize,
    is_over: bool,
}

impl Groups {
    /// The group that goes on from a position: the one that runs, or a new one. `None` when the one that runs began
    /// further on.
    pub(super) fn join(
        &self,
        app: &Arc<App>,
        (key, position): (Key, Position),
        (viewer, operation): (&Viewer, &Arc<Checked>),
    ) -> Option<Arc<Group>> {
        let mut groups = self.0.lock().ok()?;
        if let Some(group) = groups.get(&key).and_then(Weak::upgrade) {
            match group.after(position) {
                Found::Lost => {}
                Found::Event(..) | Found::Nothing(_) => return Some(group),
            }
            if !group.is_over() {
                return None;
            }
        }
        groups.retain(|_, group| group.strong_count() > 0);
        let group = Arc::new(Group::start(app, position, viewer, operation)?);
        groups.insert(key, Arc::downgrade(&group));
        Some(group)
    }
}

impl Group {
    fn start(
        app: &Arc<App>,
        position: Position,
        viewer: &Viewer,
        operation: &Checked,
    ) -> Option<Self> {
        let rooted = subscription::rooted(viewer, operation).ok()?;
        let from = Some(position.encode());
        let running = subscription::start(app, viewer.clone(), operation, rooted, from);
        let kept = Arc::new(Kept {
            window: Mutex::new(Window::at(position)),
            ring: watch::channel(()).0,
        });
        let (workers, follow) = (app.env.workers.clone(), run(running, kept.clone()));
        let running = app.open.spawn(async move { workers.run(follow).await });
        Some(Self {
            kept,
            _running: AbortOnDropHandle::new(running),
        })
    }

    /// Rings when there may be more: to be listened to before looking.
    pub(super) fn ring(&self) -> watch::Receiver<()> {
        self.kept.ring.subscribe()
    }

    /// What lies behind a position.
    pub(super) fn after(&self, position: Position) -> Found {
        match self.kept.window.lock() {
            Ok(window) => window.after(position),
            Err(_) => Found::Lost,
        }
    }

    fn is_over(&self) -> bool {
        self.kept
            .window
            .lock()
            .map_or(true, |window| window.is_over)
    }
}

/// Runs until the subscription ends; its followers then go on by themselves, and are told why.
async fn run(mut running: Subscription, kept: Arc<Kept>) {
    let kept = EndsWith(kept);
    let progress = running.progress.clone();
    loop {
        tokio::select! {
            biased;
            response = running.stream.next() => match (response, progress.delivered()) {
                (Some(response), Some(position)) if !subscription::ends(&response) => {
                    kept.0.keep(position, answer::written(&response, None).into());
                }
                _ => return,
            },
            position = progress.caught_up() => if let Some(position) = position {
                kept.0.reached(position);
            },
        }
    }
}

/// However a group ends, its followers hear of it.
struct EndsWith(Arc<Kept>);

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Kept {
    fn keep(&self, position: Position, event: Bytes) {
        if let Ok(mut window) = self.window.lock() {
            window.push(position, event);
        }
        self.ring.send_replace(());
    }

    fn reached(&self, position: Position) {
        if let Ok(mut window) = self.window.lock() {
            window.end = position;
        }
    }

    fn end(&self) {
        if let Ok(mut window) = self.window.lock() {
            window.is_over = true;
        }
        self.ring.send_replace(());
    }
}

impl Window {
    fn at(position: Position) -> Self {
        Self {
            start: position,
            end: position,
            events: VecDeque::new(),
            bytes: 0,
            is_over: false,
        }
    }

    fn push(&mut self, position: Position, event: Bytes) {
        self.end = position;
        self.bytes += event.len();
        self.events.push_back((position, event));
        while self.events.len() > KEPT_EVENTS || self.bytes > KEPT_BYTES {
            let Some((position, event)) = self.events.pop_front() else {
                return;
            };
            self.start = position;
            self.bytes -= event.len();
        }
    }

    fn after(&self, position: Position) -> Found {
        if self.is_over || self.is_elsewhere(position) {
            return Found::Lost;
        }
        let next = self
            .events
            .partition_point(|(at, _)| at.sequence <= position.sequence);
        match self.events.get(next) {
            Some((at, event)) => Found::Event(*at, event.clone()),
            None if self.end.sequence > position.sequence => Found::Nothing(self.end),
            None => Found::Nothing(position),
        }
    }

    /// Whether a position lies before what is kept, or in another feed or history.
    fn is_elsewhere(&self, position: Position) -> bool {
        let differs =
            |at: Position| at.sequence == position.sequence && at.differs_from(position.digest);
        position.epoch != self.start.epoch
            || position.sequence < self.start.sequence
            || differs(self.start)
            || differs(self.end)
    }
}
