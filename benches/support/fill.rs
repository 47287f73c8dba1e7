//! Databases of any size: the first errors come in as reports, the others are copies of them made by SQL.

use chrono::{Duration, Utc};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend};

use super::report::report;
use super::server::Server;
use super::support;

/// Errors that are reported, with [`RECORDS`] records each; the newest page is among them whatever the size.
const REPORTED: u32 = 10_000;
const RECORDS: u32 = 5;

/// Fills portal 1 with so many errors.
pub async fn fill(server: &Server, database_url: &str, errors: u32) {
    report_all(server).await;
    let db = Database::connect(database_url).await.expect("the database");
    let copies = errors / REPORTED - 1;
    if copies > 0 {
        copy(&db, copies).await;
    }
    let analyse = match db.get_database_backend() {
        DbBackend::Sqlite => "ANALYZE",
        _ => "VACUUM ANALYZE",
    };
    run(&db, analyse).await;
    db.close().await.expect("a closed connection");
}

async fn report_all(server: &Server) {
    let start = Utc::now() - Duration::hours(1);
    let lines: String = (0..REPORTED * RECORDS)
        .map(|n| support::failure(n % REPORTED, n, 0, start).to_string() + "\n")
        .collect();
    let answer = report(server, 1, lines).await;
    assert_eq!(answer["recordedCount"], REPORTED * RECORDS, "{answer:#}");
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
    run(db, &format!(
        "INSERT INTO sync_errors SELECT hub_id, {uuid}, {uuid}, signature_version, category, error_type, rule, overridden, \
         system, direction, hubspot_object_type, salesforce_object_type, fields, details, status, code, message, cause_code, \
         cause_message, transient, sample_values, first_seen_at - n * CAST(100000000 AS BIGINT), last_seen_at - n * CAST(100000000 AS BIGINT), resolved_at, \
         occurrence_count, 1, search_text FROM sync_errors, {numbers}"
    )).await;
    run(db, &format!(
        "INSERT INTO affected_records SELECT e.hub_id, e.id, {uuid}, 'contact', CAST(e.last_seen_at AS TEXT), 'Person', 'Contact', \
         NULL, NULL, NULL, NULL, e.message, e.first_seen_at, e.last_seen_at, 1, NULL, 'person' \
         FROM sync_errors e WHERE e.affected_record_count = 1"
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
