//! What is swept of a portal, and when.

use sea_orm::sea_query::{Alias, DeleteStatement, Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::classify::SyncErrorCategory;
use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::{DAY, MINUTE, Micros};
use crate::kernel::config::RetentionConfig;
use crate::kernel::db::Snapshot;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::kernel::limits;
use crate::portals::Change;
use crate::upkeep::feed;

/// Rows that one step takes.
pub(super) const STEP: usize = 500;

/// Rows of one table that are swept by their age. `{before}` stands for the instant before which they are old.
struct Rule {
    table: &'static str,
    /// What tells the table's rows of a portal apart, or groups of them.
    key: &'static str,
    is_old: &'static str,
    /// What goes with a row, in other tables, by the same key.
    also: &'static [(&'static str, &'static str)],
}

const fn rule(table: &'static str, key: &'static str, is_old: &'static str) -> Rule {
    Rule {
        table,
        key,
        is_old,
        also: &[],
    }
}

/// As old as the ids of reports are remembered.
const REMEMBERED: &[Rule] = &[
    rule("report_ids", "digest", "received_at < {before}"),
    rule("api_usage_reports", "digest", "received_at < {before}"),
    rule("api_reservations", "id", "expires_at < {before}"),
];

/// As old as it matters that an address was asked.
const CONFIRMATIONS: &[Rule] = &[rule(
    "confirmation_mails",
    "email_digest",
    "mailed_at <= {before}",
)];

/// As old as resolved errors are kept.
const WITH_ERRORS: &[Rule] = &[
    Rule {
        also: &[("notification_deliveries", "notification_id")],
        ..rule(
            "notifications",
            "id",
            "created_at < {before} AND NOT EXISTS (SELECT 1 FROM notification_deliveries AS d WHERE d.hub_id = notifications.hub_id \
             AND d.notification_id = notifications.id AND d.status = 0)",
        )
    },
    Rule {
        also: &[("resync_items", "batch_id"), ("resync_results", "batch_id")],
        ..rule("resync_batches", "id", "finished_at < {before}")
    },
    // Automatic retries belong to no batch that ends.
    rule("resync_items", "id", "settled_at < {before}"),
];

/// As old as the history of plots.
const HISTORY: &[Rule] = &[
    rule("api_usage_minutes", "minute", "minute < {before}"),
    // The last point before what is kept says where the plot begins.
    rule(
        "trend_points",
        "minute",
        "category IN (0, 1, 2, 3, 4, 5, 6, 7) AND minute < {before} AND EXISTS (SELECT 1 FROM trend_points AS later WHERE later.hub_id = trend_points.hub_id \
         AND later.category = trend_points.category AND later.minute > trend_points.minute AND later.minute < {before})",
    ),
];

#[derive(FromQueryResult)]
struct Portal {
    hub_id: i64,
}

/// All portals.
pub(super) async fn portals(snapshot: &Snapshot) -> Result<Vec<i64>> {
    let sql = "SELECT hub_id FROM feed_heads ORDER BY hub_id";
    let statement = Statement::from_string(snapshot.backend(), sql);
    let portals: Vec<Portal> = snapshot.all_raw(statement).await?;
    Ok(portals.into_iter().map(|portal| portal.hub_id).collect())
}

/// Sweeps all that is old of a portal.
pub(super) async fn sweep_portal(
    env: &Env,
    hub_id: i64,
    (config, now): (&RetentionConfig, Micros),
) -> Result<()> {
    let before = |days: u32| now - Micros::from(days) * DAY;
    let remembered = now - limits::REPORT_ID_DAYS.value as Micros * DAY;
    let asked = now - limits::CONFIRMATION_MAIL_HOURS.value as Micros * 60 * MINUTE;
    let resolved = before(config.resolved_days);
    feed::sweep(env, hub_id, before(config.feed_days)).await?;
    for (rules, before) in [
        (REMEMBERED, remembered),
        (CONFIRMATIONS, asked),
        (WITH_ERRORS, resolved),
        (HISTORY, before(config.history_days)),
    ] {
        for rule in rules {
            while rule.step(env, hub_id, before).await? == STEP {}
        }
    }
    while cleared(env, hub_id, resolved).await? {}
    while errors(env, hub_id, resolved).await? {}
    Ok(())
}

impl Rule {
    /// Sweeps some rows; answers how many keys were old.
    async fn step(&self, env: &Env, hub_id: i64, before: Micros) -> Result<usize> {
        let backend = env.db.backend();
        let mut old = self.select(hub_id, before);
        old.distinct().limit(STEP as u64);
        // Read by a connection of its own: the search holds up nobody.
        let snapshot = env.db.moving();
        let (count, keys) = match self.key {
            "minute" => {
                let found: Vec<Numbered> = snapshot.all(&old).await?;
                (
                    found.len(),
                    Keys::numbers(found.into_iter().map(|row| row.key)),
                )
            }
            _ => {
                let found: Vec<Named> = snapshot.all(&old).await?;
                (
                    found.len(),
                    Keys::uuids(found.into_iter().map(|row| row.key)),
                )
            }
        };
        if count == 0 {
            return Ok(0);
        }
        let transaction = env.db.begin().await?;
        // What has become young or busy meanwhile stays, with what belongs to it.
        for (other, column) in self.also {
            let mut still_old = self.select(hub_id, before);
            still_old.and_where(keys.hold(backend, Alias::new(self.key)));
            let with_it = Expr::col(Alias::new(*column)).in_subquery(still_old);
            let delete = delete_of(other, hub_id).and_where(with_it).to_owned();
            transaction.execute(&delete).await?;
        }
        let delete = delete_of(self.table, hub_id)
            .and_where(keys.hold(backend, Alias::new(self.key)))
            .and_where(self.old(before))
            .to_owned();
        transaction.execute(&delete).await?;
        transaction.commit().await?;
        Ok(count)
    }

    fn select(&self, hub_id: i64, before: Micros) -> SelectStatement {
        Query::select()
            .expr_as(Expr::col(Alias::new(self.key)), Alias::new("key"))
            .from(Alias::new(self.table))
            .and_where(of_portal(hub_id))
            .and_where(self.old(before))
            .to_owned()
    }

    fn old(&self, before: Micros) -> Expr {
        Expr::cust(self.is_old.replace("{before}", &before.to_string()))
    }
}

fn of_portal(hub_id: i64) -> Expr {
    Expr::col(Alias::new("hub_id")).eq(hub_id)
}

fn delete_of(table: &str, hub_id: i64) -> DeleteStatement {
    Query::delete()
        .from_table(Alias::new(table))
        .and_where(of_portal(hub_id))
        .to_owned()
}

#[derive(FromQueryResult)]
struct Named {
    key: Uuid,
}

#[derive(FromQueryResult)]
struct Numbered {
    key: i64,
}

/// Sweeps cleared records of one error; answers whether there were any.
async fn cleared(env: &Env, hub_id: i64, before: Micros) -> Result<bool> {
    let backend = env.db.backend();
    let sql = "SELECT error_id AS key FROM affected_records WHERE hub_id = $1 AND cleared_at < $2 LIMIT 1";
    let values: [Value; 2] = [hub_id.into(), before.into()];
    let found = Statement::from_sql_and_values(backend, sql, values.clone());
    let found: Vec<Named> = env.db.moving().all_raw(found).await?;
    let Some(Named { key }) = found.first() else {
        return Ok(false);
    };
    let sql = format!(
        "DELETE FROM affected_records WHERE hub_id = $1 AND error_id = $3 AND cleared_at < $2 AND id IN \
         (SELECT id FROM affected_records WHERE hub_id = $1 AND error_id = $3 AND cleared_at < $2 LIMIT {STEP})"
    );
    let [hub_id, before] = values;
    let statement = Statement::from_sql_and_values(backend, sql, [hub_id, before, (*key).into()]);
    let transaction = env.db.begin().await?;
    transaction.execute_raw(statement).await?;
    transaction.commit().await?;
    Ok(true)
}

/// The errors that are old; those whose records are swept already.
const OLD_ERRORS: &str = "FROM sync_errors AS e WHERE e.hub_id = $1 AND e.status = 2 AND e.resolved_at < $2 \
    AND NOT EXISTS (SELECT 1 FROM affected_records AS r WHERE r.hub_id = e.hub_id AND r.error_id = e.id)";

/// Sweeps resolved errors in a change of the portal, whose counters they are in; answers whether there were any.
async fn errors(env: &Env, hub_id: i64, before: Micros) -> Result<bool> {
    let backend = env.db.backend();
    let values: [Value; 2] = [hub_id.into(), before.into()];
    let statement = |sql: String| Statement::from_sql_and_values(backend, sql, values.clone());
    let found = statement(format!("SELECT e.id AS key {OLD_ERRORS} LIMIT 1"));
    let found: Vec<Named> = env.db.moving().all_raw(found).await?;
    let scope = Scope::<Report>::of_server(hub_id);
    if found.is_empty() {
        return Ok(false);
    }
    let Some(change) = Change::begin(env, &scope).await? else {
        return Ok(false);
    };
    let transaction = change.transaction();
    let found = statement(format!(
        "SELECT e.id AS key, e.category {OLD_ERRORS} LIMIT {STEP}"
    ));
    let mut keys = Vec::new();
    let mut of_category = [0_i32; 8];
    for row in transaction.query_all_raw(found).await? {
        let row = Old::from_query_result(&row, "")?;
        of_category[row.category as usize] += 1;
        keys.push(row.key);
    }
    let keys = Keys::uuids(keys);
    transaction
        .execute(&items_of(
            hub_id,
            keys.hold(backend, Alias::new("error_id")),
        ))
        .await?;
    for (table, column) in OF_ERRORS {
        let delete = delete_of(table, hub_id)
            .and_where(keys.hold(backend, Alias::new(*column)))
            .to_owned();
        transaction.execute(&delete).await?;
    }
    for (category, count) in of_category
        .into_iter()
        .enumerate()
        .filter(|(_, count)| *count > 0)
    {
        let sql = format!(
            "UPDATE category_counters SET resolved_error_count = resolved_error_count - {count} WHERE hub_id = {hub_id} AND category = {category}"
        );
        let statement = Statement::from_string(backend, sql);
        transaction.execute_raw(statement).await?;
    }
    change.commit().await?;
    Ok(true)
}

/// The resync items of errors, found by the batches that these were in.
fn items_of(hub_id: i64, of_errors: Expr) -> DeleteStatement {
    let key = || ["batch_id", "error_id"].map(Alias::new);
    let results = Query::select()
        .columns(key())
        .from(Alias::new("resync_results"))
        .and_where(of_portal(hub_id))
        .and_where(of_errors)
        .to_owned();
    delete_of("resync_items", hub_id)
        .and_where(Expr::tuple(key().map(Expr::col)).in_subquery(results))
        .to_owned()
}

/// What belongs to errors, and they themselves.
const OF_ERRORS: &[(&str, &str)] = &[
    ("latest_failures", "error_id"),
    ("resync_results", "error_id"),
    ("notification_told", "error_id"),
    ("sync_errors", "id"),
];

#[derive(FromQueryResult)]
struct Old {
    key: Uuid,
    category: SyncErrorCategory,
}
