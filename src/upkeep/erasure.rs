//! Erasure: a portal with all that belongs to it, step by step.
//!
//! The first step takes the rows without which a portal does not exist, so that nothing of it is shown or written from
//! then on; the others take what is left, some rows at a time, with pauses in which everybody else gets their turn; the
//! last one sees that nothing is left. Who is interrupted is followed by whoever asks again, or by a server.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::{MINUTE, Micros};
use crate::kernel::db::{Snapshot, Transaction};
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::{Change, erasure};

/// A table of portals.
struct Table {
    name: &'static str,
    /// What tells the rows of a portal apart; nothing where it has a few at most, which go at once in the first step.
    key: &'static str,
}

const fn table(name: &'static str, key: &'static str) -> Table {
    Table { name, key }
}

/// All tables of portals; a test compares them with those of the database.
const TABLES: &[Table] = &[
    // First: who tells news holds its row.
    table("notification_settings", ""),
    table("quotas", ""),
    table("resync_pushes", ""),
    table("category_counters", ""),
    table("portals", ""),
    table("feed_heads", ""),
    table("sync_error_events", "sequence"),
    table("portal_events", "sequence"),
    table("latest_failures", "error_id"),
    table("affected_records", "error_id, id"),
    table("sync_errors", "id"),
    // Behind the errors, whose removal is noted there.
    table("search_changes", "error_id"),
    table("search_texts", "error_id"),
    table("trend_points", "category, minute"),
    table("report_ids", "digest"),
    table("resync_items", "id"),
    table("resync_results", "batch_id, error_id"),
    table("resync_batches", "id"),
    table("api_usage_minutes", "minute"),
    table("api_usage_reports", "digest"),
    table("api_reservations", "id"),
    table("notification_told", "error_id"),
    table("notification_deliveries", "notification_id, number"),
    table("notifications", "id"),
    table("confirmation_mails", "email_digest"),
    table("record_views", "id"),
    table("portal_changes", "id"),
];

/// After so long without a step others go on.
const ABANDONED: Micros = MINUTE;

/// The rows of each table that were removed, or would be.
pub type Removed = Vec<(&'static str, u64)>;

#[derive(FromQueryResult)]
struct Counted {
    count: i64,
}

impl Table {
    fn statement(&self, backend: DbBackend, sql: &str, hub_id: i64) -> Statement {
        let sql = sql.replace("{table}", self.name).replace("{key}", self.key);
        Statement::from_sql_and_values(backend, sql, [hub_id.into()])
    }

    async fn count(&self, snapshot: &Snapshot, hub_id: i64) -> Result<u64> {
        let sql = "SELECT COUNT(*) AS count FROM {table} WHERE hub_id = $1";
        let statement = self.statement(snapshot.backend(), sql, hub_id);
        let counted: Vec<Counted> = snapshot.all_raw(statement).await?;
        let count = counted.first().map_or(0, |row| row.count);
        Ok(count.unsigned_abs())
    }

    /// Removes up to so many rows, the first ones by their key: a span of it is found by its index however many rows there
    /// are, also where the planner knows no statistics yet.
    async fn remove(&self, transaction: &Transaction, hub_id: i64, most: u64) -> Result<u64> {
        let sql = match self.key {
            "" => "DELETE FROM {table} WHERE hub_id = $1".to_owned(),
            key => format!(
                "DELETE FROM {{table}} WHERE hub_id = $1 AND ({{key}}) <= (SELECT {{key}} FROM \
                 (SELECT {{key}} FROM {{table}} WHERE hub_id = $1 ORDER BY {{key}} LIMIT {most}) AS taken \
                 ORDER BY {} DESC LIMIT 1)",
                key.replace(", ", " DESC, ")
            ),
        };
        let statement = self.statement(transaction.get_database_backend(), &sql, hub_id);
        Ok(transaction.execute_raw(statement).await?.rows_affected())
    }

    async fn is_empty(&self, transaction: &Transaction, hub_id: i64) -> Result<bool> {
        let sql = "SELECT 1 AS count FROM {table} WHERE hub_id = $1 LIMIT 1";
        let statement = self.statement(transaction.get_database_backend(), sql, hub_id);
        Ok(transaction.query_one_raw(statement).await?.is_none())
    }
}

/// What there is of a portal; `None` when it does not exist.
pub async fn count(env: &Env, hub_id: i64) -> Result<Option<Removed>> {
    let snapshot = env.db.snapshot();
    let mut counted = Removed::new();
    for table in TABLES {
        counted.push((table.name, table.count(&snapshot, hub_id).await?));
    }
    let is_there = counted
        .iter()
        .any(|(table, count)| *table == "feed_heads" && *count > 0);
    let is_begun = erasure::among(&snapshot, &[hub_id])
        .await?
        .contains(&hub_id);
    Ok((is_there || is_begun).then_some(counted))
}

/// Removes all of a portal, or goes on where that was interrupted; answers the rows of each table, or `None` when there is
/// no such portal. When it is done, a token that names the portal makes it anew, empty, with another feed.
pub async fn forget(env: &Env, hub_id: i64) -> Result<Option<Removed>> {
    let Some(mut removed) = begin(env, hub_id).await? else {
        return Ok(None);
    };
    let mut pace = Pace::default();
    loop {
        for table in TABLES {
            loop {
                match step(env, hub_id, table, &mut pace).await? {
                    Step::Removed(count) => add(&mut removed, table.name, count),
                    Step::Empty => break,
                    Step::Ended => return Ok(Some(removed)),
                }
            }
        }
        if end(env, hub_id).await? {
            return Ok(Some(removed));
        }
    }
}

/// What a step found.
enum Step {
    /// So many rows, which are removed.
    Removed(u64),
    /// No more rows in the table.
    Empty,
    /// Somebody else has ended the erasure: what there is now is the new portal's.
    Ended,
}

/// Ends erasures that nobody goes on with.
pub(super) async fn go_on(env: &Env) -> Result<()> {
    let now = env.clock.now();
    let recent = now - ABANDONED..now + ABANDONED;
    for hub_id in erasure::abandoned(&env.db.moving(), recent).await? {
        // One that cannot be gone on with does not hold up the others.
        if let Err(error) = forget(env, hub_id).await {
            let _ = error.answer();
        }
    }
    Ok(())
}

/// The first step, unless it was made before.
async fn begin(env: &Env, hub_id: i64) -> Result<Option<Removed>> {
    let scope = Scope::<Report>::of_server(hub_id);
    let Some(mut change) = Change::begin(env, &scope).await? else {
        let begun = erasure::among(&env.db.moving(), &[hub_id]).await?;
        return Ok((!begun.is_empty()).then(Removed::new));
    };
    let mut removed = Removed::new();
    for table in TABLES.iter().filter(|table| table.key.is_empty()) {
        let count = table.remove(change.transaction(), hub_id, 0).await?;
        removed.push((table.name, count));
    }
    erasure::begin(&change).await?;
    change.ring();
    change.commit().await?;
    Ok(Some(removed))
}

/// Removes some rows of a table.
async fn step(env: &Env, hub_id: i64, table: &Table, pace: &mut Pace) -> Result<Step> {
    let transaction = env.db.begin().await?;
    let start = Instant::now();
    if !erasure::step(&transaction, hub_id, env.clock.now()).await? {
        drop(transaction);
        return Ok(Step::Ended);
    }
    let count = table.remove(&transaction, hub_id, pace.rows).await?;
    if count == 0 {
        drop(transaction);
        return Ok(Step::Empty);
    }
    transaction.commit().await?;
    pace.rest(start.elapsed()).await;
    Ok(Step::Removed(count))
}

/// The last step; answers whether nothing is left.
async fn end(env: &Env, hub_id: i64) -> Result<bool> {
    let transaction = env.db.begin().await?;
    for table in TABLES {
        if !table.is_empty(&transaction, hub_id).await? {
            drop(transaction);
            return Ok(false);
        }
    }
    erasure::end(&transaction, hub_id).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Counts more of something that was removed.
pub(super) fn add(removed: &mut Removed, what: &'static str, count: u64) {
    match removed.iter_mut().find(|(known, _)| *known == what) {
        Some((_, known)) => *known += count,
        None => removed.push((what, count)),
    }
}

/// How much one step takes: as much as is done in a moment, wherever the database is.
pub(super) struct Pace {
    rows: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: 100 }
    }
}

impl Pace {
    const MOST_ROWS: u64 = 2_000;
    const LEAST_ROWS: u64 = 10;
    /// A step that takes longer is too large, one that takes a quarter of it too small.
    const LONGEST: Duration = Duration::from_millis(40);
    /// A process that waits for SQLite's lock looks every 25 milliseconds at first: it has to find it free.
    const SHORTEST_PAUSE: Duration = Duration::from_millis(30);

    /// So many rows.
    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.rows).unwrap_or(usize::MAX)
    }

    /// Waits behind a step, at least as long as it took.
    pub(super) async fn rest(&mut self, took: Duration) {
        if took > Self::LONGEST {
            self.rows = (self.rows / 2).max(Self::LEAST_ROWS);
        } else if took < Self::LONGEST / 4 {
            self.rows = (self.rows * 2).min(Self::MOST_ROWS);
        }
        tokio::time::sleep(took.max(Self::SHORTEST_PAUSE)).await;
    }
}
