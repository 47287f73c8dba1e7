//! What a plan may not do.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use crate::harness::Server;

/// Tables that grow with what fails; of all others a portal has few rows.
const LARGE: &[&str] = &[
    "affected_records",
    "api_usage_minutes",
    "api_usage_reports",
    "latest_failures",
    "notification_told",
    "portal_events",
    "report_ids",
    "resync_items",
    "resync_results",
    "search_changes",
    "search_texts",
    "sync_error_events",
    "sync_errors",
    "trend_points",
];

/// Statements that read all of an index, and why they may: by a part of them.
const SCANS: &[(&str, &str)] = &[
    (
        "FROM resync_results AS r CROSS JOIN sync_errors AS e",
        "an index of what is unfinished",
    ),
    ("LIMIT 1 OFFSET 10000", "whether a table is large"),
    (
        "FROM search_changes LIMIT 1 OFFSET",
        "whether many errors wait for the index of texts",
    ),
    (
        "SELECT DISTINCT hub_id FROM search_changes",
        "the portals of the few that wait",
    ),
];

/// Statements that read or sort all of a portal's, and why they may: by a part of them.
const ALLOWED: &[(&str, &str)] = &[
    (
        "FROM \"portals\" INNER JOIN \"feed_heads\"",
        "portals, of which a token names few",
    ),
    (
        "FROM notification_deliveries AS d WHERE d.status = 0",
        "what is due at present",
    ),
    (
        "FROM sync_error_events WHERE hub_id = $1 ORDER BY sequence LIMIT 500",
        "two parts of 500 entries that are put together",
    ),
    (
        "WITH s (place, error_id, after, until)",
        "one claim's records, by batch and error",
    ),
    ("WITH steps (step, start)", "the minutes of a plot"),
    ("WITH turns AS", "what happened since news were told"),
    (
        "FROM resync_batches AS b CROSS JOIN sync_errors AS e",
        "transient errors that are due",
    ),
    (
        "FROM resync_results AS r CROSS JOIN sync_errors AS e",
        "an index of what is unfinished",
    ),
    (
        "FROM search_changes WHERE hub_id = $1 ORDER BY error_id LIMIT",
        "the errors that the index of texts takes now",
    ),
    (
        "ORDER BY +",
        "the few errors of one record, or of what few say",
    ),
    (
        "\"error_id\" IN (SELECT \"id\" FROM \"sync_errors\"",
        "all errors that a view's filter finds",
    ),
];

/// A copy of a server's database.
pub struct Database {
    db: DatabaseConnection,
    _folder: tempfile::TempDir,
}

impl Database {
    pub async fn copied(server: &Server, preparation: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("copy.db");
        let original = sea_orm::Database::connect(&server.database_url)
            .await
            .expect("the database");
        let copy = format!("VACUUM INTO '{}'", file.display());
        original.execute_unprepared(&copy).await.expect("a copy");
        original.close().await.expect("a closed database");
        let url = format!("sqlite://{}", file.display());
        let db = sea_orm::Database::connect(url).await.expect("the copy");
        for sql in preparation {
            db.execute_unprepared(sql).await.expect("a prepared copy");
        }
        Self {
            db,
            _folder: folder,
        }
    }

    /// The steps of a statement, as SQLite tells them (<https://www.sqlite.org/eqp.html>).
    pub async fn plan(&self, sql: &str) -> Vec<String> {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let explained = Statement::from_string(DbBackend::Sqlite, explain);
        let rows = self.db.query_all_raw(explained).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter()
            .map(|row| row.try_get("", "detail").expect("a step"))
            .collect()
    }
}

/// The tables that SQLite has statistics of.
pub async fn known_tables(server: &Server) -> Vec<String> {
    let db = sea_orm::Database::connect(&server.database_url)
        .await
        .expect("the database");
    let sql = "SELECT DISTINCT tbl FROM sqlite_stat1 ORDER BY tbl";
    let rows = db
        .query_all_raw(Statement::from_string(DbBackend::Sqlite, sql))
        .await;
    db.close().await.expect("a closed database");
    // The table of them does not exist before the first.
    let rows = rows.unwrap_or_default();
    rows.iter()
        .map(|row| row.try_get("", "tbl").expect("a name"))
        .collect()
}

/// What is wrong with a plan.
pub fn refused(sql: &str, plan: &[String]) -> Vec<String> {
    let may = |allowed: &[(&str, &str)]| allowed.iter().any(|(part, _)| sql.contains(part));
    let (is_allowed, may_scan) = (may(ALLOWED), may(SCANS));
    let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
    let steps = plan
        .iter()
        .zip(std::iter::once("").chain(plan.iter().map(String::as_str)));
    steps
        .filter(|(step, before)| {
            let words: Vec<&str> = step.split(' ').collect();
            let is_large = words
                .get(1)
                .is_some_and(|name| LARGE.contains(&table(sql, name)));
            let is_walk = step.ends_with("(hub_id=?)") && is_large;
            let ends = sql.contains("LIMIT") && !before.starts_with("LIST SUBQUERY");
            match words[0] {
                "SCAN" => is_large && !may_scan,
                // In the order of the index, up to a limit.
                "SEARCH" if is_walk => (sorts || !ends) && !is_allowed,
                "SEARCH" => step.contains("AUTOMATIC"),
                _ => {
                    step.contains("TEMP B-TREE FOR ORDER BY")
                        && sql.contains("LIMIT")
                        && !is_allowed
                }
            }
        })
        .map(|(step, _)| step.clone())
        .collect()
}

/// The table that a name of a statement stands for.
fn table<'a>(sql: &'a str, name: &'a str) -> &'a str {
    let alias = [format!(" AS {name} "), format!(" AS {name}")];
    let before = alias.iter().find_map(|alias| sql.find(alias.as_str()));
    before
        .and_then(|end| sql[..end].rsplit(' ').next())
        .map_or(name, |table| table.trim_matches('"'))
}
