//! Databases of any size: the first errors come in as reports, the others are copies of them made by SQL.

use chrono::{Duration, Utc};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

use super::report::report;
use super::server::Server;
use super::support;
use super::tiny;

/// Records of each error that is reported.
const RECORDS: u32 = 5;
/// What copies of errors take from them as it is.
const SAME: &str = "signature_version, category, error_type, rule, overridden, system, direction, hubspot_object_type, \
    salesforce_object_type, fields, details, status, code, message, cause_code, cause_message, transient, sample_values, \
    resolved_at, occurrence_count, search_text, opened_at";

/// Errors that are reported; the newest page is among them whatever the size.
fn reported() -> u32 {
    tiny::or(10_000, 100)
}

/// Fills portal 1 with so many errors.
pub async fn fill(server: &Server, database_url: &str, errors: u32) {
    report_all(server).await;
    let db = Database::connect(database_url).await.expect("the database");
    let copies = errors / reported() - 1;
    if copies > 0 {
        copy(&db, copies).await;
    }
    index(&db).await;
    db.close().await.expect("a closed connection");
}

/// Waits until the server has taken the texts into its index, but for those that may wait.
async fn index(db: &DatabaseConnection) {
    let sql = "SELECT 1 AS one FROM search_changes LIMIT 1 OFFSET 1000";
    let backend = db.get_database_backend();
    loop {
        let waiting = Statement::from_string(backend, sql);
        let waiting = db.query_one_raw(waiting).await.expect("an answer");
        if waiting.is_none() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

async fn report_all(server: &Server) {
    let start = Utc::now() - Duration::hours(1);
    let errors = reported();
    let lines: String = (0..errors * RECORDS)
        .map(|n| support::failure(n % errors, n, 0, start).to_string() + "\n")
        .collect();
    let answer = report(server, 1, lines).await;
    assert_eq!(answer["recordedCount"], errors * RECORDS, "{answer:#}");
}

/// Copies each error, older the further it is from the first, with one record of its own.
async fn copy(db: &DatabaseConnection, copies: u32) {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let (numbers, uuid) = if is_postgres {
        (
            format!("generate_series(1, {copies}) AS numbers (n)"),
            "gen_random_uuid()",
        )
    } else {
        (
            format!(
                "(WITH RECURSIVE up (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM up WHERE n < {copies}) SELECT n FROM up) AS numbers"
            ),
            "randomblob(16)",
        )
    };
    let earlier = "n * CAST(100000000 AS BIGINT)";
    run(db, &format!(
        "INSERT INTO sync_errors (hub_id, id, signature, first_seen_at, last_seen_at, affected_record_count, {SAME}) \
         SELECT hub_id, {uuid}, {uuid}, first_seen_at - {earlier}, last_seen_at - {earlier}, 1, {SAME} FROM sync_errors, {numbers}"
    )).await;
    run(db, &format!(
        "INSERT INTO affected_records (hub_id, error_id, id, hubspot_object_type, hubspot_record_id, hubspot_name, \
         salesforce_object_type, message, first_seen_at, last_seen_at, attempt_count, search_text) \
         SELECT hub_id, id, {uuid}, 'contact', CAST(last_seen_at AS TEXT), 'Person', 'Contact', message, first_seen_at, \
         last_seen_at, 1, 'person' FROM sync_errors WHERE affected_record_count = 1"
    )).await;
    for (table, columns) in [
        ("category_counters", "open_error_count = open_error_count"),
        ("feed_heads", "open_error_count = open_error_count"),
    ] {
        run(
            db,
            &format!("UPDATE {table} SET {columns} * {}", copies + 1),
        )
        .await;
    }
}

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}
