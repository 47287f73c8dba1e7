//! Erasure: a portal with all that belongs to it.

use sea_orm::{ConnectionTrait, Statement};

use crate::kernel::auth::{Report, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::Change;

/// All tables of portals; a test compares them with those of the database.
const TABLES: &[&str] = &[
    // First: who tells news holds its row.
    "notification_settings",
    "sync_error_events",
    "portal_events",
    "latest_failures",
    "affected_records",
    "sync_errors",
    "category_counters",
    "trend_points",
    "report_ids",
    "resync_items",
    "resync_results",
    "resync_batches",
    "resync_pushes",
    "api_usage_minutes",
    "api_usage_reports",
    "api_reservations",
    "quotas",
    "notification_told",
    "notification_deliveries",
    "notifications",
    "record_views",
    "portal_changes",
    "portals",
    "feed_heads",
];

/// Removes all of a portal in one change, so that nobody adds to it meanwhile; answers the rows of each table, or `None`
/// when it does not exist. Unless it `is_meant`, nothing is removed after all. A token that names the portal makes it
/// anew, empty, with another feed.
pub async fn forget(
    env: &Env,
    hub_id: i64,
    is_meant: bool,
) -> Result<Option<Vec<(&'static str, u64)>>> {
    let scope = Scope::<Report>::of_server(hub_id);
    let Some(mut change) = Change::begin(env, &scope).await? else {
        return Ok(None);
    };
    let mut removed = Vec::new();
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE hub_id = $1");
        let statement = Statement::from_sql_and_values(env.db.backend(), sql, [hub_id.into()]);
        let deleted = change.transaction().execute_raw(statement).await?;
        removed.push((*table, deleted.rows_affected()));
    }
    if is_meant {
        change.ring();
        change.commit().await?;
    }
    Ok(Some(removed))
}
