//! GraphQL over Server-Sent Events, distinct connections
//! (<https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>): one operation a request.
//!
//! `id:` carries the cursor of what came last, also on opening and while nothing comes, so that `EventSource` resumes
//! behind it by itself (`Last-Event-ID`).

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::answer::Refusal;
use super::app::App;
use super::body::streamed;
use super::delivery::{Delivery, Piece};
use super::occupancy::Place;
use super::operation::Prepared;
use super::request_log::Notes;
use crate::kernel::auth::Viewer;
use crate::kernel::limits;
use crate::kernel::progress::Position;
use crate::kernel::streams::unfold;

const EVENT_STREAM: &str = "text/event-stream";

/// How far a client accepts a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// Not at all.
    No,
    /// For what goes on; one answer may come as JSON. Some clients accept all at once.
    ForSubscriptions,
    /// For everything.
    ForAll,
}

impl Accepted {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT);
        let accept = accept
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !accept.contains(EVENT_STREAM) {
            Self::No
        } else if accept.contains("json") || accept.contains("*/*") {
            Self::ForSubscriptions
        } else {
            Self::ForAll
        }
    }
}

/// Tells of a subscription as events, behind the last one that the client heard. It is answered when the subscription
/// has begun: what is committed after the answer is told.
pub(super) async fn subscribed(
    app: &Arc<App>,
    viewer: Viewer,
    prepared: Prepared,
    (headers, notes): (&HeaderMap, &Notes),
) -> Result<Response, Refusal> {
    let last = headers.get("last-event-id");
    let last = last.and_then(|value| value.to_str().ok());
    let resume = last.filter(|id| !id.is_empty()).map(str::to_owned);
    let seat = app.occupancy.take(Place::Stream)?;
    let expires_at = Instant::now() + viewer.time_left();
    let holder = viewer.clone();
    let mut delivery = Delivery::subscribe(app, viewer, prepared, (resume, notes.clone()))?;
    let (sender, receiver) = mpsc::channel(EVENTS);
    // Nothing is in the channel yet: there is room.
    let _ = sender.try_send(first(&mut delivery).await.into());
    let telling = tell(app.clone(), (holder, expires_at), delivery, sender);
    app.open.spawn(async move {
        telling.await;
        drop(seat);
    });
    let events = unfold(receiver, |mut receiver| async move {
        let event = receiver.recv().await?;
        Some((event, receiver))
    });
    Ok(stream_of(events))
}

/// Events on their way to a client: more would only wait in memory.
const EVENTS: usize = 1;

/// The first piece, or where it begins.
async fn first(delivery: &mut Delivery) -> Vec<u8> {
    let progress = delivery.progress();
    tokio::select! {
        biased;
        start = progress.began() => comment(start),
        piece = delivery.next() => piece.as_ref().map_or_else(|| comment(None), of),
    }
}

/// Hands over event after event until the stream ends, the client goes away, or does not read for too long. With the
/// token or the server it ends without the word `complete`, so that clients come back.
async fn tell(
    app: Arc<App>,
    (holder, expires_at): (Viewer, Instant),
    mut delivery: Delivery,
    sender: mpsc::Sender<Bytes>,
) {
    let pause = app.config.ping;
    let mut keep_alive = tokio::time::interval_at(Instant::now() + pause, pause);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (stopped, expired) = (
        app.stopping.cancelled(),
        tokio::time::sleep_until(expires_at),
    );
    tokio::pin!(stopped, expired);
    loop {
        let event = tokio::select! {
            biased;
            () = sender.closed() => return,
            () = &mut stopped => return,
            () = &mut expired => return,
            piece = delivery.next() => match piece {
                Some(piece) => of(&piece),
                None => return,
            },
            _ = keep_alive.tick() => match app.verifier.check(&holder).await {
                Ok(()) => comment(delivery.position()),
                Err(_) => return,
            },
        };
        let sent = tokio::time::timeout(app.config.send, sender.send(event.into()));
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => return app.env.metrics.refused_by(limits::SEND_SECONDS.name),
        }
    }
}

/// The events for a piece.
fn of(piece: &Piece) -> Vec<u8> {
    match piece {
        Piece::Next(payload, position) => event("next", *position, payload),
        Piece::Errors(errors) => {
            let body = json!({ "errors": errors }).to_string();
            let mut told = event("next", None, body.as_bytes());
            told.extend(event("complete", None, b""));
            told
        }
        Piece::Complete => event("complete", None, b""),
    }
}

/// A stream of one answer.
pub(super) fn whole(body: &[u8]) -> Response {
    let events = [event("next", None, body), event("complete", None, b"")];
    let events = events.map(Bytes::from);
    stream_of(stream::iter(events))
}

/// A request that is understood gets its stream: what is wrong with the document is told in it.
pub(super) fn refused(refusal: Refusal, notes: &Notes) -> Result<Response, Refusal> {
    if refusal.is_of_request() {
        return Err(refusal);
    }
    refusal.note(notes);
    let body = json!({ "errors": refusal.errors() }).to_string();
    Ok(whole(body.as_bytes()))
}

fn stream_of(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = streamed(events.map(Ok::<_, Infallible>));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
        // Proxies that gather answers would hold events back.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, body).into_response()
}

/// No event, but a sign of life that tells where to go on after a cut.
fn comment(position: Option<Position>) -> Vec<u8> {
    match position.map(Position::encode) {
        Some(cursor) => format!(": \nid: {cursor}\n\n").into_bytes(),
        None => b": \n\n".to_vec(),
    }
}

/// One event. JSON has no line feeds outside of texts, where they are escaped.
fn event(name: &str, position: Option<Position>, data: &[u8]) -> Vec<u8> {
    let mut event = format!("event: {name}\n").into_bytes();
    if let Some(id) = position.map(Position::encode) {
        event.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event
}
