//! How far a subscription has come, for transports that tell it beside the data (the `id` of Server-Sent Events) and
//! that go on elsewhere where it stands.

use std::collections::VecDeque;
use std::sync::Mutex;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

/// A position of a feed: everything up to its sequence lies before it. Another epoch is another feed; the same sequence
/// with another digest is another history of it, as after an older copy of the database was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which feed.
    pub epoch: i64,
    /// The last entry before it.
    pub sequence: i64,
    /// Of that entry; absent before the first one, and where it is not known.
    pub digest: Option<i64>,
}

/// Epoch and sequence.
const WITHOUT_DIGEST: u8 = 1;
/// Epoch, sequence and digest.
const WITH_DIGEST: u8 = 2;

/// What stands for an entry of a feed in cursors: entries of two histories differ in it.
pub fn digest(parts: &[&[u8]]) -> i64 {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let hash: [u8; 32] = hash.finalize().into();
    let (first, _) = hash.split_at(8);
    first
        .iter()
        .fold(0, |number, byte| number << 8 | i64::from(*byte))
}

impl Position {
    /// The cursor, opaque to clients.
    pub fn encode(self) -> String {
        let version = self.digest.map_or(WITHOUT_DIGEST, |_| WITH_DIGEST);
        BASE64_URL_SAFE_NO_PAD.encode([&[version], &self.key()[..]].concat())
    }

    /// The same as the key of a global id.
    pub fn key(self) -> Vec<u8> {
        let numbers = [Some(self.epoch), Some(self.sequence), self.digest];
        let numbers = numbers.into_iter().flatten();
        numbers.flat_map(i64::to_be_bytes).collect()
    }

    /// The position of a key.
    pub fn of_key(key: &[u8]) -> Option<Self> {
        let (numbers, []) = key.as_chunks::<8>() else {
            return None;
        };
        let numbers: Vec<i64> = numbers.iter().copied().map(i64::from_be_bytes).collect();
        let (epoch, sequence, digest) = match numbers[..] {
            [epoch, sequence] => (epoch, sequence, None),
            [epoch, sequence, digest] => (epoch, sequence, Some(digest)),
            _ => return None,
        };
        Some(Self {
            epoch,
            sequence,
            digest,
        })
    }

    /// The position of a cursor; `None` for what is none.
    pub fn decode(cursor: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (version, key) = bytes.split_first()?;
        let position = Self::of_key(key)?;
        let told = position.digest.map_or(WITHOUT_DIGEST, |_| WITH_DIGEST);
        (*version == told).then_some(position)
    }

    /// Whether the entry that stands there is another one than that of the position, as far as both are known.
    pub fn differs_from(&self, digest: Option<i64>) -> bool {
        let known = self.digest.zip(digest);
        known.is_some_and(|(own, stored)| own != stored)
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
