//! Work of the processor between two waits, in turns: whoever does much of it lets others have theirs, and all together
//! leave a part of the threads to those who do little.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// How long a turn is: shorter than anybody notices who waits for one.
const TURN: Duration = Duration::from_micros(500);
/// Who waits for others so many times longer than it worked is as good as new.
const REST: u32 = 16;

tokio::task_local! {
    /// When the turn began.
    static BEGUN: Instant;
}

/// Those who do much, as many at once as half of the processors.
#[derive(Debug, Clone)]
pub struct Workers(Arc<Semaphore>);

impl Default for Workers {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new((processors / 2).max(1))))
    }
}

impl Workers {
    /// Does work: the first turn at once, each one after it when a worker is free. A turn ends where the work waits, or
    /// [takes a break](take_break).
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        // Inside of other work its turns count.
        if BEGUN.try_with(|_| ()).is_ok() {
            return work.await;
        }
        let mut work = pin!(work);
        let mut used = Duration::ZERO;
        loop {
            let worker = match used < TURN {
                true => None,
                // It is never closed.
                false => self.0.acquire().await.ok(),
            };
            let begun = Instant::now();
            let turn = poll_fn(|context| {
                let turn = || work.as_mut().poll(context);
                Poll::Ready(BEGUN.sync_scope(begun, turn))
            });
            let done = turn.await;
            drop(worker);
            if let Poll::Ready(done) = done {
                return done;
            }
            let ended = Instant::now();
            woken().await;
            used = (used + (ended - begun)).saturating_sub(ended.elapsed() / REST);
        }
    }
}

/// Waits until what was polled before wakes the task.
async fn woken() {
    let mut is_woken = false;
    poll_fn(|_| match std::mem::replace(&mut is_woken, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Ends a turn that has lasted long; called between two elements of the work. Of elements side by side each waits for a
/// turn that has room for it.
pub async fn take_break() {
    while BEGUN.try_with(|begun| begun.elapsed() >= TURN) == Ok(true) {
        yield_now().await;
    }
}
