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
    "sync_error_events",
    "sync_errors",
    "trend_points",
];

/// Statements that read more, and why they may: by a part of them.
const ALLOWED: &[(&str, &str)] = &[];

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

/// What is wrong with a plan.
pub fn refused(sql: &str, plan: &[String]) -> Vec<String> {
    if ALLOWED.iter().any(|(part, _)| sql.contains(part)) {
        return Vec::new();
    }
    let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
    plan.iter()
        .filter(|step| {
            let words: Vec<&str> = step.split(' ').collect();
            let is_large = words.get(1).is_some_and(|name| LARGE.contains(&table(sql, name)));
            let is_walk = step.ends_with("(hub_id=?)") && is_large;
            match words[0] {
                "SCAN" => is_large,
                // In the order of the index, up to a limit.
                "SEARCH" if is_walk => sorts || !sql.contains("LIMIT"),
                "SEARCH" => step.contains("AUTOMATIC"),
                _ => step.contains("TEMP B-TREE FOR ORDER BY") && sql.contains("LIMIT"),
            }
        })
        .cloned()
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
