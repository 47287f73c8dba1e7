//! Pure rules of a portal's calls. Salesforce and HubSpot both count a rolling day
//! (<https://developer.salesforce.com/docs/atlas.en-us.salesforce_app_limits_cheatsheet.meta/salesforce_app_limits_cheatsheet/salesforce_app_limits_platform_api.htm>);
//! here it is exact to the minute: a call counts from its minute on for 1,440 minutes.

use crate::kernel::clock::{DAY, MINUTE, Micros};
use crate::quota::store::Facts;
use crate::quota::{ApiCallPurpose, QuotaState};

/// Of the allocation, in quarters, from which on retries wait.
const RETRY_QUARTERS: i64 = 3;
/// How many minutes make the present pace.
const PACE_MINUTES: i64 = 60;
/// For how long a reading of the org's calls counts: others use them too, and the next one comes only with a call.
const READING_COUNTS: Micros = 60 * MINUTE;

/// The minute of an instant.
pub(super) fn minute_of(at: Micros) -> Micros {
    at - at.rem_euclid(MINUTE)
}

/// The last minute that counts no more.
pub(super) fn before_window(now: Micros) -> Micros {
    minute_of(now) - DAY
}

/// The calls of a minute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Minute {
    pub(super) minute: Micros,
    pub(super) used: i64,
}

/// Calls that come back at an instant.
type Release = (Micros, i64);

impl Facts {
    /// From how many used calls on retries wait.
    fn retry_threshold(&self) -> Option<i64> {
        self.allocated
            .map(|calls| (i64::from(calls) * RETRY_QUARTERS + 3) / 4)
    }

    /// The org's limit and use, with what was used here since, while their reading counts.
    fn org(&self) -> Option<(i64, i64)> {
        let limit = self
            .salesforce_limit
            .filter(|_| self.now < self.reading_ends())?;
        let used = i64::from(self.org_used.unwrap_or(0)) + self.used_since_reading;
        Some((limit.into(), used))
    }

    fn reading_ends(&self) -> Micros {
        self.org_read_at.map_or(self.now, |at| at + READING_COUNTS)
    }

    /// Calls that the org has left, what is set aside taken off; absent while no reading counts.
    fn org_left(&self) -> Option<i64> {
        self.org().map(|(limit, used)| limit - used - self.reserved)
    }

    /// Calls that can still be reserved; absent while neither limit is known.
    pub fn remaining(&self) -> Option<i64> {
        let own = self
            .allocated
            .map(|calls| i64::from(calls) - self.used - self.reserved);
        let left = own.into_iter().chain(self.org_left()).min()?;
        Some(left.max(0))
    }

    fn is_org_exhausted(&self) -> bool {
        self.org().is_some_and(|(limit, used)| used >= limit)
    }

    fn is_allocation_used(&self) -> bool {
        self.allocated.is_some_and(|most| self.used >= most.into())
    }

    /// What the portal may do at present. What is set aside is not used yet and may come back.
    pub fn state(&self) -> QuotaState {
        let retries = self.retry_threshold();
        if self.is_org_exhausted() || self.is_allocation_used() {
            QuotaState::Exhausted
        } else if retries.is_some_and(|from| self.used >= from) {
            QuotaState::RetriesPaused
        } else {
            QuotaState::Ok
        }
    }

    /// How many calls may be granted for a purpose; absent: any number.
    pub(super) fn room(&self, purpose: ApiCallPurpose) -> Option<i64> {
        let own = self
            .ceiling(purpose)
            .map(|most| most - self.used - self.reserved);
        own.into_iter().chain(self.org_left()).min()
    }

    /// Up to how many calls together are granted for a purpose.
    fn ceiling(&self, purpose: ApiCallPurpose) -> Option<i64> {
        match purpose {
            ApiCallPurpose::NewChange => self.allocated.map(i64::from),
            ApiCallPurpose::Retry => self.retry_threshold(),
        }
    }

    /// The most that could ever be granted at once.
    pub(super) fn most(&self, purpose: ApiCallPurpose) -> Option<i64> {
        let limit = self.salesforce_limit.map(i64::from);
        self.ceiling(purpose).into_iter().chain(limit).min()
    }

    /// When the state is better; absent while it is OK, and where it depends on others' calls.
    pub(super) fn resumes_at(&self, minutes: &[Minute]) -> Option<Micros> {
        let most = match self.state() {
            QuotaState::Ok => return None,
            QuotaState::Exhausted if self.is_org_exhausted() => return None,
            QuotaState::RetriesPaused => self.retry_threshold()? - 1,
            QuotaState::Exhausted => i64::from(self.allocated?) - 1,
        };
        let releases = minutes
            .iter()
            .map(|minute| (minute.minute + DAY, minute.used));
        falls_to(self.used, most, releases)
    }

    /// When so many calls will fit, if nobody else takes them.
    pub(super) fn retry_at(
        &self,
        (calls, purpose): (i64, ApiCallPurpose),
        minutes: &[Minute],
        reservations: &[Release],
    ) -> Micros {
        let taken = self.used + self.reserved;
        let short = self.ceiling(purpose).filter(|most| taken + calls > *most);
        let own = short.and_then(|ceiling| {
            let used = minutes
                .iter()
                .map(|minute| (minute.minute + DAY, minute.used));
            let mut releases: Vec<Release> = used.chain(reservations.iter().copied()).collect();
            releases.sort_unstable();
            falls_to(taken, ceiling - calls, releases)
        });
        let org = self.org_left().filter(|left| *left < calls);
        let org = org.map(|_| self.reading_ends());
        own.into_iter()
            .chain(org)
            .max()
            .unwrap_or(self.now + MINUTE)
    }

    /// When the allocation will be used up at the pace of the last hour, minutes that count no more taken off; absent
    /// when it will not within a day.
    pub(super) fn exhaustion_forecast(&self, minutes: &[Minute]) -> Option<Micros> {
        let allocated = i64::from(self.allocated?) * PACE_MINUTES;
        let now = minute_of(self.now);
        let of_pace = |minute: &&Minute| minute.minute > now - PACE_MINUTES * MINUTE;
        let pace: i64 = minutes
            .iter()
            .filter(of_pace)
            .map(|minute| minute.used)
            .sum();
        let mut leaving = minutes.iter().peekable();
        // In sixtieths of a call, so that a slow pace is not rounded away.
        let mut used = self.used * PACE_MINUTES;
        if used >= allocated || pace == 0 {
            return None;
        }
        (1..=DAY / MINUTE)
            .map(|ahead| now + ahead * MINUTE)
            .find(|at| {
                while let Some(minute) = leaving.next_if(|minute| minute.minute + DAY <= *at) {
                    used -= minute.used * PACE_MINUTES;
                }
                used += pace;
                used >= allocated
            })
    }
}

/// When a sum has fallen to `most`, by what is released; at once is no answer.
fn falls_to(
    mut sum: i64,
    most: i64,
    releases: impl IntoIterator<Item = Release>,
) -> Option<Micros> {
    for (at, calls) in releases {
        sum -= calls;
        if sum <= most {
            return Some(at);
        }
    }
    None
}
