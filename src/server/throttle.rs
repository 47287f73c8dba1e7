//! What a subject may spend: a bucket of points for each subject and portal, which fills up again (GCRA). Reports have
//! buckets of their own, so that an engine that catches up does not slow the dashboards of its portal.
//!
//! The buckets are this process's: several replicas grant several times as much.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::kernel::config::{Config, Rate};

/// Who spends, and on which portal; 0 where an operation is about several or none.
pub(super) type Spender = (Arc<str>, i64);

/// The buckets of one kind.
pub(super) struct Buckets {
    limiter:
        RateLimiter<Spender, DashMapStateStore<Spender>, DefaultClock, StateInformationMiddleware>,
    rate: Rate,
}

/// A bucket after it was spent from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub(super) maximum_available: u32,
    pub(super) currently_available: u32,
    pub(super) restore_rate: u32,
}

/// Not enough is left.
#[derive(Debug)]
pub(super) struct Exhausted {
    pub(super) status: Status,
    /// After which time there is.
    pub(super) wait: Duration,
}

impl Buckets {
    fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.bucket);
        let limiter = RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>();
        Self { limiter, rate }
    }

    /// Takes points from a bucket. What costs more than a bucket holds takes a full one.
    pub(super) fn spend(&self, spender: &Spender, points: u64) -> Result<Status, Exhausted> {
        let most = self.rate.bucket;
        let points = u32::try_from(points).unwrap_or(u32::MAX).min(most.get());
        let points = NonZeroU32::new(points).unwrap_or(NonZeroU32::MIN);
        let status = |available: u32| Status {
            maximum_available: most.get(),
            currently_available: available.min(most.get()),
            restore_rate: self.rate.per_second.get(),
        };
        match self.limiter.check_key_n(spender, points) {
            Ok(Ok(state)) => Ok(status(state.remaining_burst_capacity())),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                let missing = wait.as_secs_f64() * f64::from(self.rate.per_second.get());
                let available = f64::from(points.get()) - missing.ceil();
                let status = status(available.max(0.0) as u32);
                Err(Exhausted { status, wait })
            }
            // `points` was made to fit.
            Err(_) => Ok(status(0)),
        }
    }

    /// Takes points from a bucket and waits until they are there.
    pub(super) async fn wait(&self, spender: &Spender, mut points: u64) {
        while points > 0 {
            let part = points.min(self.rate.bucket.get().into());
            match self.spend(spender, part) {
                Ok(_) => points -= part,
                Err(exhausted) => tokio::time::sleep(exhausted.wait).await,
            }
        }
    }
}

/// All buckets.
pub(super) struct Throttle {
    pub(super) operations: Buckets,
    pub(super) reports: Buckets,
}

impl Throttle {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            operations: Buckets::new(config.points),
            reports: Buckets::new(config.report_points),
        }
    }

    /// Forgets buckets that are full again, for ever.
    pub(super) async fn sweep(&self) {
        const PAUSE: Duration = Duration::from_secs(60);
        loop {
            tokio::time::sleep(PAUSE).await;
            for buckets in [&self.operations, &self.reports] {
                buckets.limiter.retain_recent();
                buckets.limiter.shrink_to_fit();
            }
        }
    }
}
