//! The feed is swept from its beginning: a position before what is left is CURSOR_EXPIRED.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use super::retention::STEP;
use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::Change;

#[derive(FromQueryResult)]
struct Last {
    sequence: Option<i64>,
}

/// The last of the first entries, where all of these are old. Events and entries about the portal share the sequence.
const LAST: &str = "SELECT MAX(first.sequence) AS sequence FROM (SELECT sequence, occurred_at FROM ( \
    SELECT sequence, occurred_at FROM (SELECT sequence, occurred_at FROM sync_error_events WHERE hub_id = $1 ORDER BY sequence LIMIT {step}) AS events \
    UNION ALL SELECT sequence, occurred_at FROM (SELECT sequence, occurred_at FROM portal_events WHERE hub_id = $1 ORDER BY sequence LIMIT {step}) AS turns \
    ) AS both_kinds ORDER BY sequence LIMIT {step}) AS first WHERE first.occurred_at < $2";

/// A digest that has not told of it yet: it goes first.
const UNTOLD: &str = "SELECT told_sequence AS sequence FROM notification_settings WHERE hub_id = $1 AND enabled AND frequency > 0 AND told_sequence < $2";

/// Sweeps what is older than an instant, step by step.
pub(super) async fn sweep(env: &Env, hub_id: i64, before: Micros) -> Result<()> {
    let backend = env.db.backend();
    let sql = LAST.replace("{step}", &STEP.to_string());
    loop {
        let values = [hub_id.into(), before.into()];
        let statement = Statement::from_sql_and_values(backend, sql.clone(), values);
        let found: Vec<Last> = env.db.moving().all_raw(statement).await?;
        let Some(last) = found.into_iter().find_map(|last| last.sequence) else {
            return Ok(());
        };
        let statement =
            Statement::from_sql_and_values(backend, UNTOLD, [hub_id.into(), last.into()]);
        let untold: Vec<Last> = env.db.moving().all_raw(statement).await?;
        if !untold.is_empty() {
            return Ok(());
        }
        let scope = Scope::<Report>::of_server(hub_id);
        let Some(mut change) = Change::begin(env, &scope).await? else {
            return Ok(());
        };
        for table in ["sync_error_events", "portal_events"] {
            let sql = format!("DELETE FROM {table} WHERE hub_id = $1 AND sequence <= $2");
            let values = [hub_id.into(), last.into()];
            let statement = Statement::from_sql_and_values(backend, sql, values);
            change.transaction().execute_raw(statement).await?;
        }
        change.sweep_feed(last);
        change.commit().await?;
    }
}
