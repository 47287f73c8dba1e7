//! Who a request works with the database for, and for how long the database worked for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by all that one request reads and writes.
#[derive(Debug, Clone)]
pub(super) struct Requester {
    /// The subject of its token.
    pub(super) subject: Arc<str>,
    work: Arc<Mutex<Work>>,
}

/// Statements of one request wait for each other: what counts is the time in which there are any, however many.
#[derive(Debug, Default)]
struct Work {
    running: usize,
    since: Option<Instant>,
    done: Duration,
}

impl Work {
    fn count(&mut self) {
        if let Some(since) = self.since.take() {
            self.done += since.elapsed();
        }
        self.since = (self.running > 0).then(Instant::now);
    }
}

impl Requester {
    pub(super) fn new(subject: &str) -> Self {
        Self {
            subject: subject.into(),
            work: Arc::default(),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Work) -> T) -> T {
        change(&mut self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A statement runs until this is dropped.
    pub(super) fn runs(&self) -> Runs<'_> {
        self.with(|work| {
            work.count();
            work.running += 1;
            work.count();
        });
        Runs(self)
    }

    /// How long its statements took since this was asked last.
    pub(super) fn taken(&self) -> Duration {
        self.with(|work| {
            work.count();
            std::mem::take(&mut work.done)
        })
    }
}

/// A statement that runs; it counts also when nobody waits for it to the end.
pub(super) struct Runs<'a>(&'a Requester);

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        self.0.with(|work| {
            work.count();
            work.running -= 1;
            work.count();
        });
    }
}
