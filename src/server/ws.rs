//! GraphQL over WebSocket (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>), written here because the
//! ready one knows no time-outs, accepts duplicate ids, never ends with its token and lets a slow client wait for ever.
//!
//! One task a connection writes and reads; each operation is a task of its own that hands over frames. The channel between
//! is short: an operation whose client does not read stops reading its feed, and loses nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::answer::{self, Refusal};
use super::app::App;
use super::operation::{self, Prepared};
use super::request::GraphQlRequest;
use super::request_log::Notes;
use crate::kernel::auth::Viewer;
use crate::kernel::limits::{self, Limit};

/// The protocol that is spoken here.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";

/// Frames on their way to a client: more would only wait in memory.
const FRAMES: usize = 4;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Incoming {
    ConnectionInit { payload: Option<Map<String, Value>> },
    Ping { payload: Option<Value> },
    Pong {},
    Subscribe { id: String, payload: GraphQlRequest },
    Complete { id: String },
}

/// Why a connection ends: the code and the words of the protocol.
type End = (u16, String);

/// What an operation hands over.
struct Outgoing {
    id: String,
    /// Which of the operations with this id: ids are used again.
    serial: u64,
    frame: Option<String>,
    is_last: bool,
}

/// What happens next on a connection.
enum Next {
    Handed(Option<Outgoing>),
    Received(Option<Result<Message, axum::Error>>),
    Tick,
}

struct Connection {
    app: Arc<App>,
    /// From the upgrade's header, or from `connection_init`.
    viewer: Option<Viewer>,
    is_acknowledged: bool,
    running: HashMap<String, (u64, AbortHandle)>,
    serial: u64,
    out: mpsc::Sender<Outgoing>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        for (_, operation) in self.running.values() {
            operation.abort();
        }
    }
}

/// How long the client's answer to a close is waited for.
const CLOSING: Duration = Duration::from_secs(2);

fn seconds(limit: Limit) -> Duration {
    Duration::from_secs(limit.value as u64)
}

/// Speaks with a client until one of the two ends.
pub(super) async fn serve(app: Arc<App>, viewer: Option<Viewer>, mut socket: WebSocket) {
    if socket
        .protocol()
        .is_none_or(|protocol| protocol != PROTOCOL)
    {
        close(&mut socket, (4406, "Subprotocol not acceptable".into())).await;
        return;
    }
    let (out, mut outgoing) = mpsc::channel(FRAMES);
    let stopping = app.stopping.clone();
    let mut connection = Connection {
        app,
        viewer,
        is_acknowledged: false,
        running: HashMap::new(),
        serial: 0,
        out,
    };
    let opened = Instant::now();
    let mut ping = tokio::time::interval_at(
        opened + seconds(limits::PING_SECONDS),
        seconds(limits::PING_SECONDS),
    );
    let mut is_alive = true;
    let end = loop {
        let expires = connection.expires();
        // None of these waits for the others: who is told a lot is still heard.
        let next = async {
            tokio::select! {
                handed = outgoing.recv() => Next::Handed(handed),
                received = socket.recv() => Next::Received(received),
                _ = ping.tick() => Next::Tick,
            }
        };
        let next = tokio::select! {
            biased;
            () = stopping.cancelled() => break Some((1012, "The server stops; come back.".into())),
            () = tokio::time::sleep_until(expires) => break Some((4403, "The token has expired".into())),
            () = tokio::time::sleep_until(opened + seconds(limits::CONNECTION_INIT_SECONDS)), if !connection.is_acknowledged =>
                break Some((4408, "Connection initialisation timeout".into())),
            next = next => next,
        };
        is_alive |= matches!(next, Next::Received(_));
        let frames = match next {
            Next::Handed(handed) => handed
                .and_then(|handed| connection.handed(handed))
                .into_iter()
                .collect(),
            Next::Received(Some(Ok(Message::Text(text)))) => {
                match connection.take(text.as_str()).await {
                    Ok(frames) => frames,
                    Err(end) => break Some(end),
                }
            }
            Next::Received(Some(Ok(Message::Binary(_)))) => {
                break Some((4400, "Binary messages are not understood".into()));
            }
            Next::Received(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => Vec::new(),
            Next::Received(Some(Err(_))) => break Some(unreadable()),
            Next::Received(Some(Ok(Message::Close(_))) | None) => break None,
            // Two intervals without a word: the other side is gone.
            Next::Tick if !is_alive => break None,
            Next::Tick => {
                is_alive = false;
                vec!["{\"type\":\"ping\"}".to_owned()]
            }
        };
        for frame in frames {
            let sent = tokio::time::timeout(
                seconds(limits::SEND_SECONDS),
                socket.send(Message::text(frame)),
            );
            if !matches!(sent.await, Ok(Ok(()))) {
                return;
            }
        }
    };
    if let Some(end) = end {
        close(&mut socket, end).await;
    }
}

/// A message that is too long, or none of WebSocket's; where the connection is gone, nobody hears of it.
fn unreadable() -> End {
    let limit = limits::WEB_SOCKET_MESSAGE_BYTES;
    let reason = format!(
        "A message has at most {} {} ({})",
        limit.value, limit.unit, limit.name
    );
    (4400, reason)
}

async fn close(socket: &mut WebSocket, (code, reason): End) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let closing = async {
        let _ = socket.send(Message::Close(Some(frame))).await;
        // The client answers the close; what else it says is not heard.
        while let Some(Ok(_)) = socket.next().await {}
        let _ = SinkExt::close(socket).await;
    };
    let _ = tokio::time::timeout(CLOSING, closing).await;
}

impl Connection {
    /// When the token ends; far away while there is none.
    fn expires(&self) -> Instant {
        const FAR_AWAY: Duration = Duration::from_secs(86_400);
        Instant::now() + self.viewer.as_ref().map_or(FAR_AWAY, Viewer::time_left)
    }

    /// The frame that an operation handed over; none of one that was ended meanwhile.
    fn handed(&mut self, handed: Outgoing) -> Option<String> {
        let running = self.running.get(&handed.id);
        let (_, _) = running.filter(|(serial, _)| *serial == handed.serial)?;
        if handed.is_last {
            self.running.remove(&handed.id);
        }
        handed.frame
    }

    async fn take(&mut self, text: &str) -> Result<Vec<String>, End> {
        let message = serde_json::from_str(text)
            .map_err(|_| (4400, "Invalid message received".to_owned()))?;
        match message {
            Incoming::ConnectionInit { payload } => self.init(payload.unwrap_or_default()).await,
            Incoming::Ping { payload } => Ok(vec![match payload {
                Some(payload) => format!("{{\"type\":\"pong\",\"payload\":{payload}}}"),
                None => "{\"type\":\"pong\"}".to_owned(),
            }]),
            Incoming::Pong {} => Ok(Vec::new()),
            Incoming::Complete { id } => {
                if let Some((_, operation)) = self.running.remove(&id) {
                    operation.abort();
                }
                Ok(Vec::new())
            }
            Incoming::Subscribe { id, payload } => self.subscribe(id, payload).await,
        }
    }

    /// The token comes as `Authorization` in the payload, unless the upgrade brought it.
    async fn init(&mut self, payload: Map<String, Value>) -> Result<Vec<String>, End> {
        if self.is_acknowledged {
            return Err((4429, "Too many initialisation requests".into()));
        }
        let told = ["Authorization", "authorization"]
            .iter()
            .find_map(|key| payload.get(*key)?.as_str());
        if self.viewer.is_none() || told.is_some() {
            let verified = self
                .app
                .verifier
                .verify_header(told.map(str::as_bytes))
                .await;
            let viewer = verified.map_err(|error| (4403, error.answer().message))?;
            self.viewer = Some(viewer);
        }
        self.is_acknowledged = true;
        Ok(vec!["{\"type\":\"connection_ack\"}".to_owned()])
    }

    async fn subscribe(&mut self, id: String, request: GraphQlRequest) -> Result<Vec<String>, End> {
        let viewer = self.viewer.clone().filter(|_| self.is_acknowledged);
        let Some(viewer) = viewer else {
            return Err((4401, "Unauthorized".into()));
        };
        if self.running.contains_key(&id) {
            return Err((4409, format!("Subscriber for {id} already exists")));
        }
        let limit = limits::CONNECTION_SUBSCRIPTIONS;
        if self.running.len() >= limit.value {
            return Err((
                4429,
                format!("At most {} {} ({})", limit.value, limit.unit, limit.name),
            ));
        }
        self.serial += 1;
        let running = Running {
            app: self.app.clone(),
            notes: Notes::default(),
            began: std::time::Instant::now(),
            id: id.clone(),
            serial: self.serial,
            out: self.out.clone(),
        };
        running.notes.subject(viewer.subject());
        let prepared = match operation::prepare(&self.app, &running.notes, &viewer, request) {
            Ok(prepared) => prepared,
            Err(refusal) => return Ok(vec![running.refused(&refusal)]),
        };
        let task = tokio::spawn(running.run(viewer, prepared));
        self.running.insert(id, (self.serial, task.abort_handle()));
        Ok(Vec::new())
    }
}

/// One operation. It is told to log and metrics when it is over, however it ends.
struct Running {
    app: Arc<App>,
    notes: Notes,
    began: std::time::Instant,
    id: String,
    serial: u64,
    out: mpsc::Sender<Outgoing>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.notes.tell_operation(&self.app, self.began.elapsed());
    }
}

impl Running {
    fn refused(&self, refusal: &Refusal) -> String {
        refusal.note(&self.notes);
        error_frame(&self.id, &refusal.errors())
    }

    /// Refused only when the connection is over.
    async fn hand_over(&self, frame: Option<String>, is_last: bool) -> Option<()> {
        let outgoing = Outgoing {
            id: self.id.clone(),
            serial: self.serial,
            frame,
            is_last,
        };
        self.out.send(outgoing).await.ok()
    }

    async fn run(self, viewer: Viewer, prepared: Prepared) {
        let last = match prepared.is_subscription() {
            true => self.stream(viewer, prepared).await,
            false => self.execute(viewer, prepared).await,
        };
        let _ = self.hand_over(last, true).await;
    }

    /// Hands over each answer; answers the last frame.
    async fn stream(&self, viewer: Viewer, prepared: Prepared) -> Option<String> {
        let mut subscription = match operation::subscribe(&self.app, viewer, prepared, None) {
            Ok(subscription) => subscription,
            Err(refusal) => return Some(self.refused(&refusal)),
        };
        self.notes.outcome("ok");
        while let Some(response) = subscription.stream.next().await {
            subscription.progress.delivered();
            if operation::ends(&response) {
                answer::note(&response, &self.notes);
                let errors: Vec<Value> = answer::errors(&response);
                return Some(error_frame(&self.id, &json!(errors)));
            }
            let frame = next_frame(&self.id, &answer::written(&response, None));
            self.hand_over(Some(frame), false).await?;
        }
        Some(complete_frame(&self.id))
    }

    async fn execute(&self, viewer: Viewer, prepared: Prepared) -> Option<String> {
        // Whoever ends it early does not hear how it went.
        self.notes.outcome("gone");
        let executed = match operation::execute(&self.app, &self.notes, viewer, prepared).await {
            Ok(executed) => executed,
            Err(refusal) => return Some(self.refused(&refusal)),
        };
        answer::note(&executed.response, &self.notes);
        if operation::is_refused(&executed.response) {
            let errors: Vec<Value> = answer::errors(&executed.response);
            return Some(error_frame(&self.id, &json!(errors)));
        }
        let frame = next_frame(
            &self.id,
            &answer::written(&executed.response, Some(executed.cost)),
        );
        self.hand_over(Some(frame), false).await?;
        Some(complete_frame(&self.id))
    }
}

/// A frame around what was written before.
fn next_frame(id: &str, payload: &[u8]) -> String {
    let id = Value::from(id);
    let mut frame = format!("{{\"id\":{id},\"type\":\"next\",\"payload\":");
    frame.push_str(&String::from_utf8_lossy(payload));
    frame.push('}');
    frame
}

fn complete_frame(id: &str) -> String {
    json!({ "id": id, "type": "complete" }).to_string()
}

fn error_frame(id: &str, errors: &Value) -> String {
    json!({ "id": id, "type": "error", "payload": errors }).to_string()
}
