//! Many records, reported over HTTP, in both databases.

use chrono::{Duration, Utc};

use super::postgres::new_postgres_database;
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

/// Measures on a new database of each kind, which `name` tells apart.
pub async fn on_each_database(name: &str, measure: impl AsyncFn(&str, &str)) {
    measure("PostgreSQL", &new_postgres_database(name).await).await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("bench.db").display());
    measure("SQLite", &url).await;
}
