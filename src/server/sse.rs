//! GraphQL over Server-Sent Events, distinct connections
//! (<https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>): one operation a request.
//!
//! `id:` carries the cursor of what came last, also on opening and while nothing comes, so that `EventSource` resumes
//! behind it by itself (`Last-Event-ID`).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::answer::{self, Refusal};
use super::app::App;
use super::operation::{self, Prepared, Subscription};
use super::request_log::Notes;
use crate::kernel::auth::Viewer;
use crate::kernel::limits;

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

/// Tells of a subscription as events, behind the last one that the client heard.
pub(super) fn subscribed(
    app: &Arc<App>,
    viewer: Viewer,
    prepared: Prepared,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let last = headers.get("last-event-id");
    let last = last.and_then(|value| value.to_str().ok());
    let resume = last.filter(|id| !id.is_empty()).map(str::to_owned);
    let expires_at = Instant::now() + viewer.time_left();
    let subscription = operation::subscribe(app, viewer, prepared, resume)?;
    let told = told(app.clone(), subscription, expires_at);
    let (sender, receiver) = mpsc::channel(EVENTS);
    app.open.spawn(tell(told, sender));
    let events = stream::unfold(receiver, |mut receiver| async move {
        let event = receiver.recv().await?;
        Some((event, receiver))
    });
    Ok(stream_of(events))
}

/// Events on their way to a client: more would only wait in memory.
const EVENTS: usize = 4;

/// Hands over event after event until the stream ends, the client goes away, or does not read for too long.
async fn tell(mut told: Told, sender: mpsc::Sender<Vec<u8>>) {
    let patience = Duration::from_secs(limits::SEND_SECONDS.value as u64);
    loop {
        let event = tokio::select! {
            () = sender.closed() => return,
            event = told.next() => event,
        };
        let Some(event) = event else { return };
        if !matches!(
            tokio::time::timeout(patience, sender.send(event)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
}

/// A stream of one answer.
pub(super) fn whole(body: &[u8]) -> Response {
    let events = [event("next", None, body), event("complete", None, b"")];
    stream_of(stream::iter(events))
}

/// A request that is understood gets its stream: what is wrong with the document is told in it.
pub(super) fn refused(refusal: Refusal, notes: &Notes) -> Result<Response, Refusal> {
    if refusal.is_of_request() {
        return Err(refusal);
    }
    refusal.note(notes);
    let body = serde_json::json!({ "errors": refusal.errors() }).to_string();
    Ok(whole(body.as_bytes()))
}

fn stream_of(events: impl Stream<Item = Vec<u8>> + Send + 'static) -> Response {
    let body = Body::from_stream(events.map(|event| Ok::<_, Infallible>(Bytes::from(event))));
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

/// A subscription as it is told.
struct Told {
    app: Arc<App>,
    subscription: Subscription,
    keep_alive: Interval,
    expires_at: Instant,
    has_begun: bool,
    is_open: bool,
}

fn told(app: Arc<App>, subscription: Subscription, expires_at: Instant) -> Told {
    let pause = Duration::from_secs(limits::PING_SECONDS.value as u64);
    let mut keep_alive = tokio::time::interval_at(Instant::now() + pause, pause);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Told {
        app,
        subscription,
        keep_alive,
        expires_at,
        has_begun: false,
        is_open: true,
    }
}

impl Told {
    /// The next event. The end comes with the token or the server without the word `complete`, so that clients come back.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if !self.is_open {
            return None;
        }
        let progress = self.subscription.progress.clone();
        tokio::select! {
            biased;
            () = self.app.stopping.cancelled() => None,
            () = tokio::time::sleep_until(self.expires_at) => None,
            response = self.subscription.stream.next() => match response {
                Some(response) => {
                    let cursor = progress.delivered();
                    self.is_open = !operation::ends(&response);
                    let mut told = event("next", cursor.as_deref(), &answer::written(&response, None));
                    if !self.is_open {
                        told.extend(event("complete", None, b""));
                    }
                    Some(told)
                }
                None => self.end(),
            },
            () = progress.began(), if !self.has_begun => {
                self.has_begun = true;
                Some(comment(progress.position()))
            }
            _ = self.keep_alive.tick() => Some(comment(progress.position())),
        }
    }

    fn end(&mut self) -> Option<Vec<u8>> {
        self.is_open = false;
        Some(event("complete", None, b""))
    }
}

/// No event, but a sign of life that tells where to go on after a cut.
fn comment(position: Option<String>) -> Vec<u8> {
    match position {
        Some(cursor) => format!(": \nid: {cursor}\n\n").into_bytes(),
        None => b": \n\n".to_vec(),
    }
}

/// One event. JSON has no line feeds outside of texts, where they are escaped.
fn event(name: &str, id: Option<&str>, data: &[u8]) -> Vec<u8> {
    let mut event = format!("event: {name}\n").into_bytes();
    if let Some(id) = id {
        event.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event
}
