//! What SQLite knows of its tables (<https://www.sqlite.org/lang_analyze.html>). Statements are written so that its plans
//! are right without; it learns of large tables for what else is asked. Never of small ones, as `PRAGMA optimize` would:
//! a table that it takes for small it reads as a whole, also when that has grown since.

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

use crate::kernel::db::Db;
use crate::kernel::error::Result;

/// Rows from which on a table is large.
const LARGE: u32 = 10_000;
/// Entries of each index that are looked at: the writer is held up for a moment only.
const LOOKED_AT: u32 = 400;

/// The tables that grow with what fails.
const TABLES: [&str; 4] = [
    "sync_errors",
    "latest_failures",
    "affected_records",
    "sync_error_events",
];

#[derive(FromQueryResult)]
struct Found {
    #[expect(dead_code, reason = "that there is a row says it all")]
    found: i32,
}

/// Lets SQLite look at its large tables anew.
pub(super) async fn learn(db: &Db) -> Result<()> {
    if db.backend() != DbBackend::Sqlite {
        return Ok(());
    }
    for table in TABLES {
        let sql = format!("SELECT 1 AS found FROM {table} LIMIT 1 OFFSET {LARGE}");
        let statement = Statement::from_string(db.backend(), sql);
        let found: Vec<Found> = db.moving().all_raw(statement).await?;
        if found.is_empty() {
            continue;
        }
        let transaction = db.begin().await?;
        let sql = format!("PRAGMA analysis_limit = {LOOKED_AT}; ANALYZE {table}");
        transaction.execute_unprepared(&sql).await?;
        transaction.commit().await?;
    }
    Ok(())
}
