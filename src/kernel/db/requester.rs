//! Who a request works with the database for, and for how long the database worked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shared by all that one request reads and writes.
#[derive(Debug, Clone)]
pub(super) struct Requester {
    /// The subject of its token.
    pub(super) subject: Arc<str>,
    microseconds: Arc<AtomicU64>,
}

impl Requester {
    pub(super) fn new(subject: &str) -> Self {
        Self {
            subject: subject.into(),
            microseconds: Arc::default(),
        }
    }

    /// A statement took so long.
    pub(super) fn took(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// How long its statements took since this was asked last.
    pub(super) fn taken(&self) -> Duration {
        Duration::from_micros(self.microseconds.swap(0, Ordering::Relaxed))
    }
}
