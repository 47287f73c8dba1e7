//! Work of the processor between two waits, in pieces: whoever does much of it lets others have their turn, and all
//! together leave a part of the threads to those who do little.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long pieces are together before others have their turn: shorter than anybody notices who waits for one.
const PIECE: Duration = Duration::from_micros(500);

/// How many pieces are worked at once: on half of the processors.
#[derive(Debug, Clone)]
pub struct Workers(Arc<Semaphore>);

impl Default for Workers {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new((processors / 2).max(1))))
    }
}

/// The turns of one work.
#[derive(Debug)]
pub struct Turns {
    workers: Workers,
    since: Instant,
}

/// One turn; it ends when it is dropped, before anything else is waited for.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Begins.
    pub fn begin(workers: &Workers) -> Self {
        Self {
            workers: workers.clone(),
            since: Instant::now(),
        }
    }

    /// The turn for the next element of the work.
    pub async fn next(&mut self) -> Turn {
        if self.since.elapsed() >= PIECE {
            tokio::task::yield_now().await;
            self.since = Instant::now();
        }
        Turn {
            // It is never closed.
            _permit: self.workers.0.clone().acquire_owned().await.ok(),
        }
    }
}
