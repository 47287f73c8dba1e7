//! Many records, reported over HTTP.

use chrono::{Duration, Utc};

use super::report::report;
use super::server::Server;
use super::support;

/// What one request brings.
const AT_ONCE: u32 = 100_000;

/// Failures of so many causes, so many records each.
pub async fn fill(server: &Server, errors: u32, records: u32) {
    let start = Utc::now() - Duration::hours(1);
    let all = errors * records;
    for first in (0..all).step_by(AT_ONCE as usize) {
        let lines: String = (first..all.min(first + AT_ONCE))
            .map(|n| support::failure(n % errors, n, 0, start).to_string() + "\n")
            .collect();
        report(server, 1, lines).await;
    }
}
