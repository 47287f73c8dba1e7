//! Brings the index of texts up to date: `search_texts` is what it knows, `search_changes` the errors whose text is
//! another one.

use std::ops::RangeInclusive;

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::portals::Change;

/// Errors that may wait: to look at so many texts takes a moment.
const MAY_WAIT: u32 = 1_000;

/// The first ones that wait: in the order of their keys, which is that of their numbers for the most part.
const TAKEN: &str =
    "SELECT error_id FROM search_changes WHERE hub_id = $1 ORDER BY error_id LIMIT {most}";
const GONE: &str = "DELETE FROM search_texts WHERE hub_id = $1 AND error_id IN ({taken}) AND NOT EXISTS \
    (SELECT 1 FROM sync_errors AS e WHERE e.hub_id = search_texts.hub_id AND e.id = search_texts.error_id)";
const POSTGRES: &str = "INSERT INTO search_texts (hub_id, error_id, search_text) \
    SELECT hub_id, id, search_text FROM sync_errors WHERE hub_id = $1 AND id IN ({taken}) \
    ON CONFLICT (hub_id, error_id) DO UPDATE SET search_text = excluded.search_text \
    WHERE search_texts.search_text <> excluded.search_text";
/// New ones get the next numbers of their portal. Ascending: the index writes its memory out when one is smaller.
const SQLITE: &str = "INSERT INTO search_texts (number, hub_id, error_id, search_text) \
    SELECT COALESCE(t.number, (SELECT COALESCE(MAX(number), {first}) FROM search_texts WHERE number BETWEEN {first} AND {last}) \
    + ROW_NUMBER() OVER (PARTITION BY t.number IS NULL ORDER BY e.id)), e.hub_id, e.id, e.search_text \
    FROM ({taken}) AS taken CROSS JOIN sync_errors AS e ON e.hub_id = $1 AND e.id = taken.error_id \
    LEFT JOIN search_texts AS t ON t.hub_id = e.hub_id AND t.error_id = e.id WHERE TRUE ORDER BY 1 \
    ON CONFLICT (number) DO UPDATE SET search_text = excluded.search_text WHERE search_text <> excluded.search_text";
const DONE: &str = "DELETE FROM search_changes WHERE hub_id = $1 AND error_id IN ({taken})";

/// The numbers of a portal's texts on SQLite. Portals may share them: the rows say whose they are.
pub(super) fn numbers(hub_id: i64) -> RangeInclusive<i64> {
    let first = (hub_id & i64::from(i32::MAX)) << 32;
    first..=first + i64::from(u32::MAX)
}

#[derive(FromQueryResult)]
struct Portal {
    hub_id: i64,
}

/// Whether more errors wait than may.
pub async fn is_late(snapshot: &Snapshot) -> Result<bool> {
    let sql = format!("SELECT hub_id FROM search_changes LIMIT 1 OFFSET {MAY_WAIT}");
    Ok(!portals(snapshot, &sql).await?.is_empty())
}

/// The portals with errors that wait.
pub async fn waiting(snapshot: &Snapshot) -> Result<Vec<i64>> {
    portals(snapshot, "SELECT DISTINCT hub_id FROM search_changes").await
}

async fn portals(snapshot: &Snapshot, sql: &str) -> Result<Vec<i64>> {
    let statement = Statement::from_string(snapshot.backend(), sql);
    let found: Vec<Portal> = snapshot.all_raw(statement).await?;
    Ok(found.into_iter().map(|portal| portal.hub_id).collect())
}

/// Takes up to so many errors of a portal into the index; answers how many waited.
pub async fn take(change: &Change, most: usize) -> Result<u64> {
    let transaction = change.transaction();
    let backend = transaction.get_database_backend();
    let own = match backend {
        DbBackend::Postgres => POSTGRES,
        _ => SQLITE,
    };
    let taken = TAKEN.replace("{most}", &most.to_string());
    let numbers = numbers(change.hub_id());
    let mut done = 0;
    for sql in [GONE, own, DONE] {
        let sql = sql
            .replace("{taken}", &taken)
            .replace("{first}", &numbers.start().to_string())
            .replace("{last}", &numbers.end().to_string());
        let values = [change.hub_id().into()];
        let statement = Statement::from_sql_and_values(backend, sql, values);
        done = transaction.execute_raw(statement).await?.rows_affected();
    }
    Ok(done)
}
