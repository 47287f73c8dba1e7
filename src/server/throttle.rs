//! What a subject may spend: a bucket of points for each subject and portal, which fills up again (GCRA). Reports have
//! buckets of their own, so that an engine that catches up does not slow the dashboards of its portal.
//!
//! What an operation costs is known before it runs but for one thing: how long the database works for it. What that adds
//! is owed, and paid before the next operation runs.
//!
//! The buckets are this process's: several replicas grant several times as much.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::kernel::config::{Config, Rate};
use crate::kernel::limits;

/// Who spends, and on which portal; 0 where an operation is about several or none.
pub(super) type Spender = (Arc<str>, i64);

/// The buckets of one kind.
pub(super) struct Buckets {
    limiter:
        RateLimiter<Spender, DashMapStateStore<Spender>, DefaultClock, StateInformationMiddleware>,
    rate: Rate,
    /// Points that were not there when they had to be paid.
    owed: Mutex<HashMap<Spender, u32>>,
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
        Self {
            limiter,
            rate,
            owed: Mutex::default(),
        }
    }

    /// Takes points from a bucket, once what is owed is paid. What costs more than a bucket holds takes a full one.
    pub(super) fn spend(&self, spender: &Spender, points: u64) -> Result<Status, Exhausted> {
        let points = u32::try_from(points).unwrap_or(u32::MAX);
        let owed = self.pay(spender, 0).owed;
        if owed == 0 {
            return self.take(spender, points);
        }
        let rate = self.rate.per_second.get();
        let missing = points.min(self.rate.bucket.get()).saturating_add(owed);
        let wait = Duration::from_secs_f64(f64::from(missing) / f64::from(rate));
        let status = self.status(0);
        Err(Exhausted { status, wait })
    }

    /// Takes points for what was done already: what is not there now is owed, a full bucket at most.
    pub(super) fn charge(&self, spender: &Spender, points: u64) -> Status {
        let points = u32::try_from(points).unwrap_or(u32::MAX);
        self.pay(spender, points).status
    }

    /// Pays what is owed and so many points more, as far as the bucket goes.
    fn pay(&self, spender: &Spender, points: u32) -> Paid {
        let mut all = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(spender).unwrap_or(0);
        let due = before.saturating_add(points).min(self.rate.bucket.get());
        let (owed, status) = match self.take(spender, due) {
            Ok(status) => (0, status),
            Err(Exhausted { status, .. }) => {
                let available = status.currently_available;
                match self.take(spender, available) {
                    Ok(status) => (due - available, status),
                    Err(exhausted) => (due, exhausted.status),
                }
            }
        };
        if owed > 0 {
            all.insert(spender.clone(), owed);
        }
        Paid { owed, status }
    }

    fn status(&self, available: u32) -> Status {
        let most = self.rate.bucket.get();
        Status {
            maximum_available: most,
            currently_available: available.min(most),
            restore_rate: self.rate.per_second.get(),
        }
    }

    fn take(&self, spender: &Spender, points: u32) -> Result<Status, Exhausted> {
        let points = points.min(self.rate.bucket.get());
        let Some(points) = NonZeroU32::new(points) else {
            return Ok(self.status(0));
        };
        match self.limiter.check_key_n(spender, points) {
            Ok(Ok(state)) => Ok(self.status(state.remaining_burst_capacity())),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                let missing = wait.as_secs_f64() * f64::from(self.rate.per_second.get());
                let available = f64::from(points.get()) - missing.ceil();
                let status = self.status(available.max(0.0) as u32);
                Err(Exhausted { status, wait })
            }
            // `points` was made to fit.
            Err(_) => Ok(self.status(0)),
        }
    }

    /// Pays what those owe who do not come back.
    fn pay_all(&self) {
        let owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let spenders: Vec<Spender> = owed.keys().cloned().collect();
        drop(owed);
        for spender in spenders {
            self.pay(&spender, 0);
        }
    }

    /// Pays for work of the database by waiting.
    pub(super) async fn slow(&self, spender: &Spender, time: Duration) {
        self.wait(spender, points_for(time)).await;
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

/// What became of a payment.
struct Paid {
    owed: u32,
    status: Status,
}

/// What so much work of the database costs.
pub(super) fn points_for(time: Duration) -> u64 {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    milliseconds.saturating_mul(limits::POINTS_PER_MILLISECOND.value as u64)
}

/// All buckets.
pub(super) struct Throttle {
    pub(super) operations: Buckets,
    pub(super) reports: Buckets,
    /// Exports, and subscriptions that catch up: they are slowed, and slow nobody else down.
    pub(super) bulk: Buckets,
}

impl Throttle {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            operations: Buckets::new(config.points),
            reports: Buckets::new(config.report_points),
            bulk: Buckets::new(config.points),
        }
    }

    /// Forgets buckets that are full again, for ever.
    pub(super) async fn sweep(&self) {
        const PAUSE: Duration = Duration::from_secs(60);
        loop {
            tokio::time::sleep(PAUSE).await;
            for buckets in [&self.operations, &self.reports, &self.bulk] {
                buckets.pay_all();
                buckets.limiter.retain_recent();
                buckets.limiter.shrink_to_fit();
            }
        }
    }
}
