//! What an operation answers, piece by piece, the same for every transport that streams.
//!
//! An operation runs as a task of its own, so that a client that does not read holds up no statement of ours. A
//! subscription of the feed that has caught up follows its group ([`super::groups`]) by position, and is then hardly
//! more than that position; when it is too far behind it runs by itself again, from where it stands.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::answer::{self, Refusal};
use super::app::App;
use super::documents::Document;
use super::groups::{Found, Group};
use super::occupancy::{Place, Seat};
use super::operation::{self, Checked, Prepared};
use super::request_log::Notes;
use super::subscription::{self, Key, Rooted, Subscription};
use super::throttle::Spender;
use crate::kernel::auth::Viewer;
use crate::kernel::error::Error;
use crate::kernel::progress::{Position, Progress};

/// Pieces on their way to a client beside the one that is being made: more would only wait in memory.
const PIECES: usize = 1;

/// A piece of an answer.
pub(super) enum Piece {
    /// An answer as JSON, and the position of the feed behind it.
    Next(Bytes, Option<Position>),
    /// The last piece: these errors end the operation.
    Errors(Value),
    /// The last piece: the operation is complete.
    Complete,
}

enum Sent {
    Piece(Piece),
    /// A subscription of the feed waits for what will happen.
    CaughtUp(Position),
}

/// An operation as it is told.
pub(super) struct Delivery {
    phase: Phase,
    /// Of a subscription only.
    source: Option<Source>,
}

/// What a subscription goes on with, wherever it stands.
struct Source {
    app: Arc<App>,
    viewer: Viewer,
    operation: Arc<Checked>,
    spender: Spender,
    notes: Notes,
    key: Key,
    _seat: Seat,
}

enum Phase {
    Running(Running),
    Following(Following),
    Over,
}

struct Running {
    sent: mpsc::Receiver<Sent>,
    progress: Arc<Progress>,
    _task: AbortOnDropHandle<()>,
}

struct Following {
    group: Arc<Group>,
    ring: watch::Receiver<()>,
    position: Position,
}

impl Delivery {
    /// Starts a subscription; with a cursor that the transport brought, behind it.
    pub(super) fn subscribe(
        app: &Arc<App>,
        viewer: Viewer,
        prepared: Prepared,
        (resume, notes): (Option<String>, Notes),
    ) -> Result<Self, Refusal> {
        let operation = Arc::new(prepared.operation);
        let rooted = subscription::rooted(&viewer, &operation)?;
        let place = match operation.hub_id {
            0 => Place::Subject(viewer.subject().into()),
            hub_id => Place::Portal(hub_id),
        };
        let seat = app.occupancy.take(place)?;
        notes.outcome("ok");
        let source = Source {
            app: app.clone(),
            viewer,
            operation,
            spender: prepared.spender,
            notes,
            key: rooted.key,
            _seat: seat,
        };
        Ok(Self {
            phase: source.run(rooted, resume),
            source: Some(source),
        })
    }

    /// Starts a query or a mutation.
    pub(super) fn execute(
        app: &Arc<App>,
        viewer: Viewer,
        prepared: Prepared,
        notes: Notes,
    ) -> Self {
        let (sender, sent) = mpsc::channel(PIECES);
        let (open, app) = (&app.open, app.clone());
        let task = open.spawn(async move {
            let working = executed(&app, viewer, &prepared, &notes);
            for piece in app.env.workers.run(working).await {
                let _ = sender.send(Sent::Piece(piece)).await;
            }
        });
        Self {
            phase: Phase::Running(Running {
                sent,
                progress: Arc::default(),
                _task: AbortOnDropHandle::new(task),
            }),
            source: None,
        }
    }

    /// The next piece; `None` behind the last one. Nothing is lost when it is not waited for to the end.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        loop {
            match &mut self.phase {
                Phase::Running(running) => match running.sent.recv().await {
                    Some(Sent::Piece(piece)) => {
                        if !matches!(piece, Piece::Next(..)) {
                            self.phase = Phase::Over;
                        }
                        return Some(piece);
                    }
                    Some(Sent::CaughtUp(position)) => self.go_on(position),
                    None => {
                        self.phase = Phase::Over;
                        let ended = "an operation ended without an answer";
                        let refusal = Refusal::from(Error::Internal(ended.into()));
                        return Some(Piece::Errors(refusal.errors()));
                    }
                },
                Phase::Following(following) => {
                    following.ring.mark_unchanged();
                    match following.group.after(following.position) {
                        Found::Event(position, event) => {
                            following.position = position;
                            return Some(Piece::Next(event, Some(position)));
                        }
                        Found::Nothing(position) => {
                            following.position = position;
                            // The sender lives as long as the group.
                            let _ = following.ring.changed().await;
                        }
                        Found::Lost => {
                            let position = following.position;
                            self.run_from(position);
                        }
                    }
                }
                Phase::Over => return None,
            }
        }
    }

    /// Tells where it begins; of no use later on.
    pub(super) fn progress(&self) -> Arc<Progress> {
        match &self.phase {
            Phase::Running(running) => running.progress.clone(),
            Phase::Following(_) | Phase::Over => Arc::default(),
        }
    }

    /// Where to go on after a cut, while nothing is on the way.
    pub(super) fn position(&self) -> Option<Position> {
        match &self.phase {
            // A piece is in the channel before the progress moves past it: looked at in this order, none is passed over.
            Phase::Running(running) => {
                let position = running.progress.position();
                position.filter(|_| running.sent.is_empty())
            }
            Phase::Following(following) => match following.group.after(following.position) {
                Found::Nothing(position) => Some(position),
                Found::Event(..) | Found::Lost => Some(following.position),
            },
            Phase::Over => None,
        }
    }

    /// Follows the group, or goes on alone where that began further on.
    fn go_on(&mut self, position: Position) {
        let group = self.source.as_ref().and_then(|source| {
            let selection = (&source.viewer, &source.operation);
            let groups = &source.app.groups;
            groups.join(&source.app, (source.key, position), selection)
        });
        match group {
            Some(group) => {
                self.phase = Phase::Following(Following {
                    ring: group.ring(),
                    group,
                    position,
                });
            }
            None => self.run_from(position),
        }
    }

    fn run_from(&mut self, position: Position) {
        let source = self.source.as_ref();
        self.phase = source.map_or(Phase::Over, |source| source.run_from(position));
    }
}

impl Source {
    fn run_from(&self, position: Position) -> Phase {
        match subscription::rooted(&self.viewer, &self.operation) {
            Ok(rooted) => self.run(rooted, Some(position.encode())),
            // It was rooted before: the document is the same.
            Err(_) => Phase::Over,
        }
    }

    fn run(&self, rooted: Rooted, resume: Option<String>) -> Phase {
        let viewer = self.viewer.clone();
        let running = subscription::start(&self.app, viewer, &self.operation, rooted, resume);
        let progress = running.progress.clone();
        let (sender, sent) = mpsc::channel(PIECES);
        let (app, notes) = (self.app.clone(), self.notes.clone());
        let told = Told {
            app,
            notes,
            document: self.operation.document.clone(),
            spender: self.spender.clone(),
            sender,
        };
        let workers = self.app.env.workers.clone();
        let task = self.app.open.spawn(async move {
            // Refused only when nobody hears it any more.
            let _ = workers.run(told.stream(running)).await;
        });
        Phase::Running(Running {
            sent,
            progress,
            _task: AbortOnDropHandle::new(task),
        })
    }
}

/// What a running subscription is told with.
struct Told {
    app: Arc<App>,
    notes: Notes,
    document: Arc<Document>,
    spender: Spender,
    sender: mpsc::Sender<Sent>,
}

impl Told {
    /// Sends each answer until the subscription ends or has caught up.
    async fn stream(self, mut running: Subscription) -> Result<(), mpsc::error::SendError<Sent>> {
        let (app, sender) = (&self.app, &self.sender);
        let progress = running.progress.clone();
        loop {
            let response = tokio::select! {
                biased;
                response = running.stream.next() => response,
                position = progress.caught_up() => match position {
                    Some(position) => {
                        app.guarded.documents.keep(&self.document);
                        return sender.send(Sent::CaughtUp(position)).await;
                    }
                    None => continue,
                },
            };
            let position = progress.delivered();
            let piece = match response {
                Some(response) if subscription::ends(&response) => {
                    answer::note(&response, &self.notes);
                    let errors: Vec<Value> = answer::errors(&response);
                    Piece::Errors(json!(errors))
                }
                Some(response) => {
                    app.guarded.documents.keep(&self.document);
                    Piece::Next(answer::written(&response, None).into(), position)
                }
                None => Piece::Complete,
            };
            let is_last = !matches!(piece, Piece::Next(..));
            sender.send(Sent::Piece(piece)).await?;
            if is_last {
                return Ok(());
            }
            // Who catches up pays for what is read again, by waiting.
            let taken = running.env.db.taken();
            app.throttle.bulk.slow(&self.spender, taken).await;
        }
    }
}

/// The pieces of a query or a mutation.
async fn executed(app: &App, viewer: Viewer, prepared: &Prepared, notes: &Notes) -> Vec<Piece> {
    let executed = match operation::execute(app, notes, viewer, prepared).await {
        Ok(executed) => executed,
        Err(refusal) => {
            refusal.note(notes);
            return vec![Piece::Errors(refusal.errors())];
        }
    };
    answer::note(&executed.response, notes);
    if operation::is_refused(&executed.response) {
        let errors: Vec<Value> = answer::errors(&executed.response);
        return vec![Piece::Errors(json!(errors))];
    }
    let written = answer::written(&executed.response, Some(executed.cost));
    vec![Piece::Next(written.into(), None), Piece::Complete]
}
