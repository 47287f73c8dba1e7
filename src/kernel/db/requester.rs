//! Who a request works with the database for, and for how long the database worked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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

    /// A statement runs until this is dropped.
    pub(super) fn runs(&self) -> Runs<'_> {
        Runs {
            requester: self,
            since: Instant::now(),
        }
    }

    /// How long its statements took since this was asked last.
    pub(super) fn taken(&self) -> Duration {
        Duration::from_micros(self.microseconds.swap(0, Ordering::Relaxed))
    }
}

/// A statement that runs; it counts also when nobody waits for it to the end.
pub(super) struct Runs<'a> {
    requester: &'a Requester,
    since: Instant,
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        let microseconds = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let all = &self.requester.microseconds;
        all.fetch_add(microseconds, Ordering::Relaxed);
    }
}
