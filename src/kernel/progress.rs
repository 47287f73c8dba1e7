//! How far a subscription has come, for transports that tell it beside the data (the `id` of Server-Sent Events) and
//! that go on elsewhere where it stands.

use std::collections::VecDeque;
use std::sync::Mutex;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::sync::Notify;

/// A position of a feed: everything up to its sequence lies before it. Another epoch is another feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which feed.
    pub epoch: i64,
    /// The last entry before it.
    pub sequence: i64,
}

const VERSION: u8 = 1;
const CURSOR_BYTES: usize = 17;

impl Position {
    /// The cursor, opaque to clients.
    pub fn encode(self) -> String {
        let mut bytes = Vec::with_capacity(CURSOR_BYTES);
        bytes.push(VERSION);
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor; `None` for what is none.
    pub fn decode(cursor: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let bytes: [u8; CURSOR_BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| Some(i64::from_be_bytes(bytes[at..at + 8].try_into().ok()?));
        (bytes[0] == VERSION).then_some(Self {
            epoch: number(1)?,
            sequence: number(9)?,
        })
    }
}

/// Shared between the stream of a subscription and who reads it.
#[derive(Debug, Default)]
pub struct Progress {
    resumes_after: Option<String>,
    inner: Mutex<Inner>,
    began: Notify,
    caught_up: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Where it begins.
    start: Option<Position>,
    /// Everything up to here was delivered or does not match.
    position: Option<Position>,
    /// The positions of what is on its way, oldest first.
    on_the_way: VecDeque<Position>,
}

impl Inner {
    fn position(&self) -> Option<Position> {
        self.position.filter(|_| self.on_the_way.is_empty())
    }
}

impl Progress {
    /// Of a subscription that goes on behind this cursor, whatever its arguments say.
    pub fn resuming(after: Option<String>) -> Self {
        Self {
            resumes_after: after,
            ..Self::default()
        }
    }

    /// The cursor that the transport brought.
    pub fn resumes_after(&self) -> Option<&str> {
        self.resumes_after.as_deref()
    }

    /// Everything up to this position is delivered, on the way, or does not match.
    pub fn reached(&self, position: Position) {
        if let Ok(mut inner) = self.inner.lock() {
            inner.start.get_or_insert(position);
            inner.position = Some(position);
        }
        self.began.notify_one();
    }

    /// There is nothing more behind the position that was reached: the stream waits for what will happen.
    pub fn waits(&self) {
        self.caught_up.notify_one();
    }

    /// It is accepted: what happens from now on is told. Every subscription says so, or tells where it stands
    /// ([`Self::reached`]), before it waits: its stream is open then, also when nothing comes.
    pub fn begins(&self) {
        self.began.notify_one();
    }

    /// Waits until the subscription has begun, and answers where, if it has a position, however far it has come meanwhile.
    pub async fn began(&self) -> Option<Position> {
        self.began.notified().await;
        self.inner.lock().ok()?.start
    }

    /// Waits until the stream waits; answers where it stands, and nothing when something is on the way.
    pub async fn caught_up(&self) -> Option<Position> {
        self.caught_up.notified().await;
        self.position()
    }

    /// What has this position is on its way.
    pub fn sent(&self, position: Position) {
        if let Ok(mut inner) = self.inner.lock() {
            inner.on_the_way.push_back(position);
        }
    }

    /// The next item was delivered; answers its position, where it has one.
    pub fn delivered(&self) -> Option<Position> {
        self.inner.lock().ok()?.on_the_way.pop_front()
    }

    /// Up to where all was delivered, while nothing is on the way.
    pub fn position(&self) -> Option<Position> {
        self.inner.lock().ok()?.position()
    }
}
