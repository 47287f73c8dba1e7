//! Work of the processor between two waits, in turns: whoever does much of it lets others have theirs, and all together
//! leave a part of the threads to those who do little.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// How long a turn is: shorter than anybody notices who waits for one.
const LENGTH: Duration = Duration::from_micros(500);
/// Who waits for something else so many times longer than it worked is as good as new.
const REST: u32 = 16;

/// A turn that goes on.
struct Turn {
    begun: Instant,
    /// Whether a break ends it: then what comes behind is no rest, however long others keep the processors.
    has_break: Cell<bool>,
}

tokio::task_local! {
    static TURN: Turn;
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
        if TURN.try_with(|_| ()).is_ok() {
            return work.await;
        }
        let mut work = pin!(work);
        let mut used = Duration::ZERO;
        loop {
            let worker = match used < LENGTH {
                true => None,
                // It is never closed.
                false => self.0.acquire().await.ok(),
            };
            let begun = Instant::now();
            let turn = poll_fn(|context| Poll::Ready(take_turn(work.as_mut(), context)));
            let (done, has_break) = turn.await;
            drop(worker);
            if let Poll::Ready(done) = done {
                return done;
            }
            let ended = Instant::now();
            woken().await;
            used += ended - begun;
            if !has_break {
                used = used.saturating_sub(ended.elapsed() / REST);
            }
        }
    }
}

/// Answers whether a break ended the turn, too.
fn take_turn<T>(
    work: Pin<&mut impl Future<Output = T>>,
    context: &mut Context<'_>,
) -> (Poll<T>, bool) {
    let turn = Turn {
        begun: Instant::now(),
        has_break: Cell::new(false),
    };
    TURN.sync_scope(turn, || {
        let done = work.poll(context);
        (done, TURN.with(|turn| turn.has_break.get()))
    })
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
    let is_over = |turn: &Turn| {
        let is_over = turn.begun.elapsed() >= LENGTH;
        turn.has_break.set(turn.has_break.get() || is_over);
        is_over
    };
    while TURN.try_with(is_over) == Ok(true) {
        yield_now().await;
    }
}
