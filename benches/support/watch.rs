//! Watchers: clients of graphql-transport-ws that cost next to nothing, so that what is measured is the server.
//!
//! Frames are told apart by their headers and looked at for one thing: the instant that an event carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

/// A receive window so small that who does not read is soon in the server's way.
const WINDOW_BYTES: u32 = 4 * 1024;
/// How many connect at once.
const CONNECTING: usize = 64;

/// What watchers heard, in all.
#[derive(Default)]
pub struct Heard {
    count: AtomicUsize,
    changed: Notify,
    milliseconds: Mutex<Vec<f64>>,
}

impl Heard {
    /// Waits until so many events were heard since the last call, and answers how old each was, in milliseconds.
    pub async fn all(&self, count: usize) -> Vec<f64> {
        while self.count.load(Ordering::Acquire) < count {
            let waiting = tokio::time::timeout(Duration::from_secs(60), self.changed.notified());
            let heard = self.count.load(Ordering::Acquire);
            assert!(waiting.await.is_ok(), "{heard} of {count} events came");
        }
        self.count.store(0, Ordering::Release);
        std::mem::take(&mut *self.milliseconds.lock().await)
    }
}

/// Who subscribes to what.
#[derive(Clone)]
pub struct Subscription {
    /// Where the server listens.
    pub address: String,
    /// Who asks.
    pub token: String,
    /// The document.
    pub query: String,
}

/// Watchers, ended when they are dropped.
pub struct Watchers(JoinSet<()>);

impl Watchers {
    /// Subscribes once for each, and reads what comes; with `reads: false` nothing after the subscription is read.
    pub async fn start(subscriptions: Vec<Subscription>, heard: &Arc<Heard>, reads: bool) -> Self {
        let mut watching = JoinSet::new();
        for some in subscriptions.chunks(CONNECTING) {
            let sockets = some
                .iter()
                .map(|subscription| subscribe(subscription, reads));
            for socket in futures_util::future::join_all(sockets).await {
                let heard = heard.clone();
                match reads {
                    true => watching.spawn(read(socket, heard)),
                    false => watching.spawn(async move {
                        std::future::pending::<()>().await;
                        drop(socket);
                    }),
                };
            }
        }
        Self(watching)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

async fn subscribe(subscription: &Subscription, reads: bool) -> TcpStream {
    let tcp = TcpSocket::new_v4().expect("a socket");
    if !reads {
        tcp.set_recv_buffer_size(WINDOW_BYTES)
            .expect("a small window");
    }
    let address = subscription.address.parse().expect("an address");
    let mut socket = tcp.connect(address).await.expect("a connection");
    let upgrade = format!(
        "GET /graphql HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n",
        subscription.address
    );
    socket
        .write_all(upgrade.as_bytes())
        .await
        .expect("an upgrade");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.expect("an answer"));
    }
    assert!(
        answer.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let payload = json!({ "Authorization": format!("Bearer {}", subscription.token) });
    send(
        &mut socket,
        &json!({ "type": "connection_init", "payload": payload }),
    )
    .await;
    let acknowledged = frame(&mut socket).await;
    assert!(acknowledged.contains("connection_ack"), "{acknowledged}");
    let payload = json!({ "query": subscription.query });
    send(
        &mut socket,
        &json!({ "id": "1", "type": "subscribe", "payload": payload }),
    )
    .await;
    // Messages are taken in order: the answer to this one says that the subscription was taken.
    send(&mut socket, &json!({ "type": "ping" })).await;
    let taken = frame(&mut socket).await;
    assert!(taken.contains("pong"), "{taken}");
    socket
}

/// Sends a text frame; a mask of zeros leaves it as it is.
async fn send(socket: &mut TcpStream, message: &serde_json::Value) {
    let text = message.to_string();
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend(length.expect("a short message").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    socket
        .write_all(&frame)
        .await
        .expect("a frame that is sent");
}

/// Reads one text frame, byte by byte where it has to.
async fn frame(socket: &mut TcpStream) -> String {
    let mut header = [0; 2];
    socket.read_exact(&mut header).await.expect("a frame");
    let length = match header[1] {
        126 => usize::from(socket.read_u16().await.expect("a length")),
        127 => socket.read_u64().await.expect("a length") as usize,
        short => usize::from(short),
    };
    let mut text = vec![0; length];
    socket.read_exact(&mut text).await.expect("a whole frame");
    String::from_utf8(text).expect("a text")
}

/// Reads frames until the connection ends.
async fn read(mut socket: TcpStream, heard: Arc<Heard>) {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        while let Some((from, to)) = whole_frame(&bytes) {
            let text = &bytes[from..to];
            if let Some(age) = age(text) {
                heard.milliseconds.lock().await.push(age);
                heard.count.fetch_add(1, Ordering::AcqRel);
                heard.changed.notify_one();
            }
            bytes.drain(..to);
        }
        if bytes.is_empty() {
            // Nothing is held while nothing comes.
            bytes = Vec::new();
            if socket.readable().await.is_err() {
                return;
            }
            bytes.reserve(4 * 1024);
        }
        match socket.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Where the text of the first frame begins and ends, once all of it is there.
fn whole_frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (from, length) = match *bytes.get(1)? {
        126 => (
            4,
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        127 => (
            10,
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
        ),
        short => (2, usize::from(short)),
    };
    (bytes.len() >= from + length).then_some((from, from + length))
}

/// How old an event is, in milliseconds; absent for what is no event.
fn age(frame: &[u8]) -> Option<f64> {
    const AT: &[u8] = b"\"at\":\"";
    let now = Utc::now();
    let from = frame.windows(AT.len()).position(|part| part == AT)? + AT.len();
    let length = frame[from..].iter().position(|byte| *byte == b'"')?;
    let at = std::str::from_utf8(&frame[from..from + length]).ok()?;
    let at = DateTime::parse_from_rfc3339(at).ok()?;
    Some((now - at.with_timezone(&Utc)).num_microseconds()? as f64 / 1_000.0)
}
