//! GraphQL over WebSocket (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>), written here because the
//! ready one knows no time-outs, accepts duplicate ids, never ends with its token and lets a slow client wait for ever.
//!
//! One task a connection writes and reads. It takes the next piece of an operation when the one before was sent: an
//! operation whose client does not read stops reading its feed, and loses nothing.

mod connection;
mod message;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{SinkExt, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::{Instant, Interval};

use super::app::App;
use super::connections::Admission;
use super::delivery::Piece;
use super::occupancy::Seat;
use crate::kernel::auth::Viewer;
use crate::kernel::limits::{self, Limit};
use connection::Connection;

/// The protocol that is spoken here.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";

/// Why a connection ends.
enum End {
    /// By the server: the code and the words of the protocol.
    Here(u16, String),
    /// By the client, which waits for the answer to its close.
    There,
    /// Nobody is there any more.
    Gone,
}

/// What happens next on a connection.
enum Next {
    Piece(String, Piece),
    Received(Option<Result<Message, axum::Error>>),
    Tick,
}

/// How long the client's answer to a close is waited for.
const CLOSING: Duration = Duration::from_secs(2);

/// Who opened a socket.
pub(super) struct Caller {
    /// Known already where the upgrade brought a token.
    pub(super) viewer: Option<Viewer>,
    /// Taken as soon as the viewer is known.
    pub(super) seat: Option<Seat>,
    /// The connection below.
    pub(super) admission: Option<Arc<Admission>>,
}

/// Speaks with a client until one of the two ends.
pub(super) async fn serve(app: Arc<App>, caller: Caller, mut socket: WebSocket) {
    let spoken = socket.protocol();
    let end = if spoken.is_some_and(|protocol| protocol == PROTOCOL) {
        speak(Connection::new(app, caller), &mut socket).await
    } else {
        End::Here(4406, "Subprotocol not acceptable".into())
    };
    if !matches!(end, End::Gone) {
        let closing = Box::pin(close(&mut socket, end));
        let _ = tokio::time::timeout(CLOSING, closing).await;
    }
}

/// Speaks until the connection ends.
async fn speak(mut connection: Connection, socket: &mut WebSocket) -> End {
    let app = connection.app.clone();
    let pause = app.config.ping;
    let mut ping = tokio::time::interval_at(Instant::now() + pause, pause);
    let messages = messages();
    let mut is_alive = true;
    let stopped = app.stopping.cancelled();
    let deadline = tokio::time::sleep_until(connection.deadline());
    let makes_room = connection.makes_room();
    tokio::pin!(stopped, deadline, makes_room);
    loop {
        let next = tokio::select! {
            biased;
            () = &mut stopped => return End::Here(1012, "The server stops; come back.".into()),
            () = &mut deadline => return connection.overdue(),
            () = &mut makes_room => return too_many(limits::UNAUTHENTICATED_CONNECTIONS),
            next = next(&mut connection, socket, &mut ping) => next,
        };
        is_alive |= matches!(next, Next::Received(_));
        let frames = match next {
            Next::Piece(id, piece) => vec![connection.told(&id, piece)],
            Next::Received(Some(Ok(Message::Close(_)))) => return End::There,
            Next::Received(None) => return End::Gone,
            Next::Received(Some(Ok(_))) if messages.check().is_err() => {
                return too_many(limits::SOCKET_MESSAGES);
            }
            Next::Received(Some(Ok(Message::Text(text)))) => {
                // What is rarely there takes no room while it is not.
                match Box::pin(connection.take(text.as_str())).await {
                    Ok(frame) => {
                        deadline.as_mut().reset(connection.deadline());
                        Vec::from_iter(frame)
                    }
                    Err(end) => return end,
                }
            }
            Next::Received(Some(Ok(Message::Binary(_)))) => {
                return End::Here(4400, "Binary messages are not understood".into());
            }
            Next::Received(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => Vec::new(),
            Next::Received(Some(Err(_))) => return unreadable(),
            // Two intervals without a word: the other side is gone.
            Next::Tick if !is_alive => return End::Gone,
            Next::Tick => {
                if let Err(end) = Box::pin(connection.check()).await {
                    return end;
                }
                is_alive = false;
                vec![message::PING.into()]
            }
        };
        for frame in frames {
            let sent = tokio::time::timeout(app.config.send, socket.send(Message::Text(frame)));
            match sent.await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Gone,
                Err(_) => {
                    app.env.metrics.refused_by(limits::SEND_SECONDS.name);
                    return End::Gone;
                }
            }
        }
    }
}

/// None of these waits for the others: who is told a lot is still heard.
async fn next(connection: &mut Connection, socket: &mut WebSocket, ping: &mut Interval) -> Next {
    tokio::select! {
        Some((id, piece)) = connection.running.next(), if !connection.running.is_empty() => Next::Piece(id, piece),
        received = socket.recv() => Next::Received(received),
        _ = ping.tick() => Next::Tick,
    }
}

/// How many messages a client may send.
fn messages() -> DefaultDirectRateLimiter {
    let number = |limit: Limit| {
        let value = u32::try_from(limit.value).unwrap_or(u32::MAX);
        NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN)
    };
    let per_second = Quota::per_second(number(limits::RESTORED_SOCKET_MESSAGES));
    RateLimiter::direct(per_second.allow_burst(number(limits::SOCKET_MESSAGES)))
}

fn too_many(limit: Limit) -> End {
    let (value, unit, name) = (limit.value, limit.unit, limit.name);
    End::Here(4429, format!("At most {value} {unit} ({name})"))
}

/// A message that is too long, or none of WebSocket's; where the connection is gone, nobody hears of it.
fn unreadable() -> End {
    let limit = limits::WEB_SOCKET_MESSAGE_BYTES;
    let reason = format!(
        "A message has at most {} {} ({})",
        limit.value, limit.unit, limit.name
    );
    End::Here(4400, reason)
}

/// Says why, and lets the client answer; what else it says is not heard.
async fn close(socket: &mut WebSocket, end: End) {
    if let End::Here(code, reason) = end {
        let reason = Utf8Bytes::from(reason);
        let _ = socket
            .send(Message::Close(Some(CloseFrame { code, reason })))
            .await;
    }
    // The answer to a close is sent by reading on.
    while let Some(Ok(_)) = socket.next().await {}
    let _ = SinkExt::close(socket).await;
}
