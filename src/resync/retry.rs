//! Automatic retries of transient errors: when, how often, and what holds them up.

use crate::kernel::clock::{MINUTE, Micros};
use crate::resync::tables::resync_results;

/// How long to wait before each attempt; the last one repeats.
const DELAYS: [Micros; 6] = [
    5 * MINUTE,
    15 * MINUTE,
    60 * MINUTE,
    4 * 60 * MINUTE,
    12 * 60 * MINUTE,
    24 * 60 * MINUTE,
];

/// How often the records of an error are tried by themselves.
pub(super) const ATTEMPTS: i32 = 10;

/// Before the first attempt.
pub(super) const FIRST_DELAY: Micros = DELAYS[0];

/// When the next attempt is due after so many; `None` when there is none any more.
pub(super) fn next_at(attempt_count: i32, now: Micros) -> Option<Micros> {
    if attempt_count >= ATTEMPTS {
        return None;
    }
    let place = usize::try_from(attempt_count).unwrap_or(0);
    Some(now + DELAYS[place.min(DELAYS.len() - 1)])
}

/// An attempt of all records is over.
pub(super) fn after_attempt(result: &mut resync_results::Model, now: Micros) {
    // Not one when a batch took all of it over before anything was tried.
    let tried = result.succeeded_count + result.failed_count > 0;
    result.attempt_count = result.attempt_count.saturating_add(i32::from(tried));
    result.next_at = next_at(result.attempt_count, now);
}

/// Whether attempts were made since the error was opened last: else it begins anew.
pub(super) fn counts(result: &resync_results::Model, opened_at: Micros) -> bool {
    result.finished_at.is_none_or(|at| at > opened_at)
}
