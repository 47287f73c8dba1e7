//! What a connection knows, and what it does with each message.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_stream::StreamMap;

use super::message::{self, Incoming};
use super::{Caller, End, too_many};
use crate::kernel::auth::Viewer;
use crate::kernel::limits;
use crate::kernel::streams::unfold;
use crate::server::answer::Refusal;
use crate::server::app::App;
use crate::server::connections::Admission;
use crate::server::delivery::{Delivery, Piece};
use crate::server::occupancy::{Place, Seat};
use crate::server::operation;
use crate::server::request::GraphQlRequest;
use crate::server::request_log::Notes;

pub(super) struct Connection {
    pub(super) app: Arc<App>,
    seat: Option<Seat>,
    admission: Option<Arc<Admission>>,
    /// From the upgrade's header, or from `connection_init`; and when it ends.
    viewer: Option<(Viewer, Instant)>,
    init_until: Instant,
    is_acknowledged: bool,
    /// The operations by their ids.
    pub(super) running: StreamMap<String, BoxStream<'static, Piece>>,
}

impl Connection {
    pub(super) fn new(app: Arc<App>, caller: Caller) -> Self {
        let patience = Duration::from_secs(limits::CONNECTION_INIT_SECONDS.value as u64);
        Self {
            app,
            seat: caller.seat,
            admission: caller.admission,
            viewer: caller.viewer.map(until),
            init_until: Instant::now() + patience,
            is_acknowledged: false,
            running: StreamMap::new(),
        }
    }

    /// Waits until it has to make room for others, as one that has not said who it is.
    pub(super) fn makes_room(&self) -> impl Future<Output = ()> + use<> {
        let admission = self.admission.clone();
        async move {
            match admission {
                Some(admission) => admission.makes_room().await,
                None => std::future::pending().await,
            }
        }
    }

    /// When the connection ends by itself: with its token, or when it does not say who it is.
    pub(super) fn deadline(&self) -> Instant {
        let expires = self.viewer.as_ref().map(|(_, expires)| *expires);
        let init = (!self.is_acknowledged).then_some(self.init_until);
        let first = expires.into_iter().chain(init).min();
        first.unwrap_or(self.init_until)
    }

    /// Why it ends at its deadline.
    pub(super) fn overdue(&self) -> End {
        match &self.viewer {
            Some((_, expires)) if *expires <= Instant::now() => {
                End::Here(4403, "The token has expired".into())
            }
            _ => End::Here(4408, "Connection initialisation timeout".into()),
        }
    }

    /// The message for a piece of an operation.
    pub(super) fn told(&mut self, id: &str, piece: Piece) -> Utf8Bytes {
        let last = match piece {
            Piece::Next(payload, _) => return message::next(id, &payload),
            Piece::Errors(errors) => message::error(id, &errors),
            Piece::Complete => message::complete(id),
        };
        self.running.remove(id);
        last
    }

    /// What is answered to a message at once.
    pub(super) async fn take(&mut self, text: &str) -> Result<Option<Utf8Bytes>, End> {
        let message = serde_json::from_str(text)
            .map_err(|_| End::Here(4400, "Invalid message received".into()))?;
        match message {
            Incoming::ConnectionInit { payload } => self.init(payload.unwrap_or_default()).await,
            Incoming::Ping { payload } => Ok(Some(message::pong(payload))),
            Incoming::Pong {} => Ok(None),
            Incoming::Complete { id } => {
                self.running.remove(&id);
                Ok(None)
            }
            Incoming::Subscribe { id, payload } => {
                self.check().await?;
                self.subscribe(id, payload)
            }
        }
    }

    /// Ends it when the key of its token was withdrawn.
    pub(super) async fn check(&mut self) -> Result<(), End> {
        let Some((viewer, _)) = &self.viewer else {
            return Ok(());
        };
        let checked = self.app.verifier.check(viewer).await;
        checked.map_err(|error| End::Here(4403, error.answer().message))
    }

    /// The token comes as `Authorization` in the payload, unless the upgrade brought it.
    async fn init(&mut self, payload: Map<String, Value>) -> Result<Option<Utf8Bytes>, End> {
        if self.is_acknowledged {
            return Err(End::Here(4429, "Too many initialisation requests".into()));
        }
        let told = ["Authorization", "authorization"]
            .iter()
            .find_map(|key| payload.get(*key)?.as_str());
        if self.viewer.is_none() || told.is_some() {
            let told = told.map(str::as_bytes);
            let verified = self.app.verifier.verify_header(told).await;
            let viewer = verified.map_err(|error| End::Here(4403, error.answer().message))?;
            self.authenticated(viewer)?;
        }
        self.is_acknowledged = true;
        Ok(Some(message::ACKNOWLEDGED.into()))
    }

    fn authenticated(&mut self, viewer: Viewer) -> Result<(), End> {
        if self.seat.is_none() {
            let seat = self.app.occupancy.take(Place::Socket);
            // Try Again Later (the registry of RFC 6455, section 11.7).
            let full = |refusal: Refusal| End::Here(1013, refusal.message().to_owned());
            self.seat = Some(seat.map_err(full)?);
        }
        if let Some(admission) = &self.admission {
            admission.authenticated();
        }
        self.viewer = Some(until(viewer));
        Ok(())
    }

    fn subscribe(&mut self, id: String, request: GraphQlRequest) -> Result<Option<Utf8Bytes>, End> {
        let viewer = self.viewer.as_ref().filter(|_| self.is_acknowledged);
        let Some((viewer, _)) = viewer else {
            return Err(End::Here(4401, "Unauthorized".into()));
        };
        if self.running.contains_key(&id) {
            return Err(End::Here(
                4409,
                format!("Subscriber for {id} already exists"),
            ));
        }
        let limit = limits::CONNECTION_SUBSCRIPTIONS;
        if self.running.len() >= limit.value {
            return Err(too_many(limit));
        }
        let line = Line::new(&self.app);
        let (app, notes) = (&self.app, line.notes.clone());
        match start(app, viewer.clone(), request, notes) {
            Ok(delivery) => {
                let told = unfold((delivery, line), |(mut delivery, line)| async move {
                    let piece = delivery.next().await?;
                    Some((piece, (delivery, line)))
                });
                self.running.insert(id, told.boxed());
                Ok(None)
            }
            Err(refusal) => {
                refusal.note(&line.notes);
                Ok(Some(message::error(&id, &refusal.errors())))
            }
        }
    }
}

fn until(viewer: Viewer) -> (Viewer, Instant) {
    let expires = Instant::now() + viewer.time_left();
    (viewer, expires)
}

fn start(
    app: &Arc<App>,
    viewer: Viewer,
    request: GraphQlRequest,
    notes: Notes,
) -> Result<Delivery, Refusal> {
    notes.authenticated(&viewer);
    let prepared = operation::prepare(app, &notes, &viewer, request)?;
    if prepared.operation.is_subscription() {
        return Delivery::subscribe(app, viewer, prepared, (None, notes));
    }
    // Whoever ends it early does not hear how it went.
    notes.outcome("gone");
    Ok(Delivery::execute(app, viewer, prepared, notes))
}

/// An operation for log and metrics, which are told of it when it is over, however it ends.
struct Line {
    app: Arc<App>,
    notes: Notes,
    began: Instant,
}

impl Line {
    fn new(app: &Arc<App>) -> Self {
        Self {
            app: app.clone(),
            notes: Notes::default(),
            began: Instant::now(),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.notes.tell_operation(&self.app, self.began.elapsed());
    }
}
