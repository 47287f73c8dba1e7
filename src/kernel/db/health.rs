//! What is known of the connections of one pool: whether one was lost of late, whether those that come back are no good,
//! and when a commit last went through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// For how long after a connection was lost those of its age are asked whether they answer.
const SUSPICION: Duration = Duration::from_secs(60);
/// For how long connections that come back are closed.
const DISTRUST: Duration = Duration::from_secs(1);

/// Shared by all that use a pool.
#[derive(Debug, Clone)]
pub(super) struct Health(Arc<Moments>);

#[derive(Debug)]
struct Moments {
    start: Instant,
    /// Milliseconds since the start, plus one; 0: never.
    lost: AtomicU64,
    distrusted: AtomicU64,
    committed: AtomicU64,
}

impl Health {
    pub(super) fn new() -> Self {
        Self(Arc::new(Moments {
            start: Instant::now(),
            lost: AtomicU64::new(0),
            distrusted: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        }))
    }

    fn now(&self) -> u64 {
        let elapsed = self.0.start.elapsed().as_millis();
        u64::try_from(elapsed).unwrap_or(u64::MAX - 1) + 1
    }

    fn is_within(&self, moment: &AtomicU64, time: Duration) -> bool {
        let moment = moment.load(Ordering::Relaxed);
        let ago = self.now().saturating_sub(moment);
        moment > 0 && u128::from(ago) <= time.as_millis()
    }

    /// A connection turned out to be gone.
    pub(super) fn lost(&self) {
        self.0.lost.store(self.now(), Ordering::Relaxed);
    }

    /// Whether one of this age may have gone at the same moment.
    pub(super) fn may_be_lost(&self, age: Duration) -> bool {
        self.is_within(&self.0.lost, SUSPICION) && self.is_within(&self.0.lost, age)
    }

    /// A connection is no good: it was made while nothing could be written, and stays so; or nobody waits any more for the
    /// beginning of its transaction.
    pub(super) fn distrust(&self) {
        self.0.distrusted.store(self.now(), Ordering::Relaxed);
    }

    /// Whether there was one a moment ago.
    pub(super) fn is_distrusted(&self) -> bool {
        self.is_within(&self.0.distrusted, DISTRUST)
    }

    /// A commit went through.
    pub(super) fn committed(&self) {
        self.0.committed.store(self.now(), Ordering::Relaxed);
    }

    /// Whether one did within this time.
    pub(super) fn has_committed_within(&self, time: Duration) -> bool {
        self.is_within(&self.0.committed, time)
    }
}
