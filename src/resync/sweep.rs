//! What happens without a call: leases end, errors are resolved by others, transient errors fall due. Every server looks;
//! the portal's change lets one of them act, and crashes are only a delay.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter,
    Statement,
};
use uuid::Uuid;

use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::portals::Change;
use crate::resync::board::{Board, Part, unfinished};
use crate::resync::lease::return_expired;
use crate::resync::reach::{reach_next, take_on};
use crate::resync::tables::{resync_batches, resync_items, resync_results};
use crate::resync::{AUTOMATIC, REACHED_AT_ONCE, Settled, Stage, automatic_sql, retry};
use crate::sync_errors::report::attempts::Attempts;

/// Looks after the resyncs of all portals, for ever.
pub async fn sweep(env: &Env) {
    const PAUSE: Duration = Duration::from_secs(2);
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = look(env).await {
            // Logged where it is translated; the next look tries again.
            let _ = error.answer();
        }
    }
}

#[derive(FromQueryResult)]
struct Portal {
    hub_id: i64,
}

#[derive(FromQueryResult)]
struct Key {
    id: Uuid,
}

/// Transient errors that are due, of portals whose engines claim: SQLite (CROSS) begins with these.
const DUE: &str = "FROM resync_batches AS b CROSS JOIN sync_errors AS e \
    LEFT JOIN resync_results AS r ON r.hub_id = b.hub_id AND r.batch_id = b.id AND r.error_id = e.id \
    WHERE e.hub_id = b.hub_id AND e.transient AND e.status = 0 AND e.opened_at <= {opened} AND b.id = {nil} AND b.waiting_count < 100 AND NOT EXISTS (SELECT 1 FROM resync_results AS o WHERE o.hub_id = e.hub_id \
    AND o.error_id = e.id AND o.finished_at IS NULL) \
    AND (r.error_id IS NULL OR r.next_at <= {now} OR r.finished_at <= e.opened_at)";

/// Errors that were resolved while a resync of theirs goes on: these are few, so SQLite (CROSS) begins with them.
const RESOLVED: &str = "FROM resync_results AS r CROSS JOIN sync_errors AS e WHERE e.hub_id = r.hub_id AND e.id = r.error_id AND e.status = 2 \
    AND r.finished_at IS NULL AND r.waiting_count > 0";

/// Batches whose errors so far are done, while others match their filter.
const UNREACHED: &str = "FROM resync_batches AS b WHERE b.waiting_count > 0 AND b.waiting_count = b.unreached_record_count \
    AND b.claimed_count = 0 AND b.filter IS NOT NULL";

fn statement(backend: DbBackend, select: &str, from: &str, now: Micros) -> Statement {
    let sql = format!("{select} {from}")
        .replace("{nil}", automatic_sql(backend))
        .replace("{opened}", &(now - retry::FIRST_DELAY).to_string())
        .replace("{now}", &now.to_string());
    Statement::from_string(backend, sql)
}

async fn look(env: &Env) -> Result<()> {
    let now = env.clock.now();
    let snapshot = env.db.moving();
    let expired = format!(
        "FROM resync_items AS b WHERE b.settled_at IS NULL AND b.lease_expires_at <= {now}"
    );
    let mut portals = Vec::new();
    for (column, from) in [
        ("b", expired.as_str()),
        ("r", RESOLVED),
        ("b", UNREACHED),
        ("b", DUE),
    ] {
        // The sign keeps SQLite from reading an index of all portals in order.
        let select = format!("SELECT DISTINCT +{column}.hub_id AS hub_id");
        let statement = statement(snapshot.backend(), &select, from, now);
        portals.extend(snapshot.all_raw::<Portal>(statement).await?);
    }
    let mut hub_ids: Vec<i64> = portals.into_iter().map(|portal| portal.hub_id).collect();
    hub_ids.sort_unstable();
    hub_ids.dedup();
    for hub_id in hub_ids {
        // One that fails does not hold up the others.
        if let Err(error) = tidy(env, hub_id).await {
            let _ = error.answer();
        }
    }
    Ok(())
}

async fn tidy(env: &Env, hub_id: i64) -> Result<()> {
    let scope = Scope::<Report>::of_server(hub_id);
    let Some(mut change) = Change::begin(env, &scope).await? else {
        return Ok(());
    };
    let (mut board, mut attempts) = (Board::default(), Attempts::new(&change));
    return_expired(&change, &mut board).await?;
    let_resolved_go(&change, &mut board).await?;
    for batch_id in unreached(&change, &mut board).await? {
        reach_next(&change, &scope, (&mut board, &mut attempts), batch_id).await?;
    }
    plan_retries(&change, &mut board, &mut attempts).await?;
    board.end(&change, &mut attempts).await?;
    board.save(&mut change, &attempts).await?;
    change.commit().await
}

/// Errors without a record left need no more attempts.
async fn let_resolved_go(change: &Change, board: &mut Board) -> Result<()> {
    let keys = keys(change, "SELECT DISTINCT r.error_id AS id", RESOLVED, "r").await?;
    if keys.is_empty() {
        return Ok(());
    }
    board
        .load_results(change, keys.iter().copied(), unfinished())
        .await?;
    let of_errors: Vec<_> = board
        .results
        .keys()
        .filter(|(_, error_id)| keys.contains(error_id))
        .copied()
        .collect();
    board
        .load_batches(change, of_errors.iter().map(|key| key.0))
        .await?;
    for key in of_errors {
        board.drop_untaken(key, Part::Succeeded);
        use resync_items::Column;
        let waiting = resync_items::Entity::find()
            .filter(Column::HubId.eq(change.hub_id()))
            .filter(Column::ErrorId.eq(key.1))
            .filter(Column::BatchId.eq(key.0))
            .filter(Column::SettledAt.is_null())
            .filter(Column::LeaseExpiresAt.is_null());
        for item in waiting.all(change.transaction()).await? {
            board.settle(item, (Part::Succeeded, Settled::Succeeded), change.now);
        }
    }
    Ok(())
}

/// The batches that go on with the next errors.
async fn unreached(change: &Change, board: &mut Board) -> Result<Vec<Uuid>> {
    let ids = keys(change, "SELECT b.id", UNREACHED, "b").await?;
    board.load_batches(change, ids.iter().copied()).await?;
    let is_running = |id: &Uuid| {
        let batch: Option<&resync_batches::Model> = board.batches.get(id);
        batch.is_some_and(|batch| batch.status == Stage::Running)
    };
    Ok(ids.into_iter().filter(is_running).collect())
}

/// Transient errors that are due are tried again.
async fn plan_retries(change: &Change, board: &mut Board, attempts: &mut Attempts) -> Result<()> {
    let due = keys(change, "SELECT e.id", DUE, "b").await?;
    if due.is_empty() {
        return Ok(());
    }
    let automatic = resync_results::Column::BatchId.eq(AUTOMATIC);
    let automatic = Condition::all().add(automatic);
    board
        .load_results(change, due.iter().copied(), automatic)
        .await?;
    board.load_batches(change, [AUTOMATIC]).await?;
    attempts.load(change, due.iter().copied()).await?;
    take_on(change, (board, attempts), AUTOMATIC, &due).await
}

/// Keys of the change's portal, at most a hundred.
async fn keys(change: &Change, select: &str, from: &str, alias: &str) -> Result<Vec<Uuid>> {
    let transaction = change.transaction();
    let from = format!(
        "{from} AND {alias}.hub_id = {} ORDER BY 1 LIMIT {REACHED_AT_ONCE}",
        change.hub_id()
    );
    let statement = statement(
        transaction.get_database_backend(),
        select,
        &from,
        change.now,
    );
    let rows = transaction.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(Key::from_query_result(row, "")?.id))
        .collect()
}
