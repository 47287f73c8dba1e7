//! Successes in: what they name is cleared, and errors without records are resolved.

use sea_orm::FromQueryResult;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use uuid::Uuid;

use super::CheckedSuccess;
use super::ledger::Ledger;
use super::write::{RecordIds, find_records, load_errors_by_id, write};
use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::{Micros, SECOND};
use crate::kernel::db::Snapshot;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::limits;
use crate::portals::{self, Change, SyncState};
use crate::sync_errors::SyncErrorEventKind;
use crate::sync_errors::tables::affected_records;

/// What successes did.
#[derive(Debug, Default)]
pub struct SuccessAnswer {
    /// Affected records that were cleared.
    pub cleared_record_count: i32,
    /// The errors that have no record left.
    pub resolved_error_ids: Vec<Uuid>,
}

/// Records successes. `None` when the portal does not exist. What matches nothing takes no lock: most successes are
/// of records that never failed.
pub async fn report_successes(
    env: &Env,
    scope: &Scope<Report>,
    successes: &[CheckedSuccess],
) -> Result<Option<SuccessAnswer>> {
    let snapshot = env.db.snapshot().of_portal(scope.hub_id());
    let portal = portals::find_in(&snapshot, scope).await?;
    let is_suspended = portal
        .as_ref()
        .is_some_and(|row| row.portal.sync_state == SyncState::Suspended);
    // What was seen later was told by a clock that was wrong.
    let possible = env.clock.now() + limits::CLOCK_SKEW_SECONDS.value as Micros * SECOND;
    let of_portal = (scope.hub_id(), possible);
    if !is_suspended && !matches_anything(&snapshot, of_portal, successes).await? {
        let exists = scope.is_named() || portal.is_some();
        return Ok(exists.then(SuccessAnswer::default));
    }
    drop(snapshot);
    let Some(mut change) = Change::begin(env, scope).await? else {
        return Ok(None);
    };
    let mut ledger = Ledger::new(change.hub_id(), change.latest());
    let rows = find_records(&change, &ids(successes)).await?;
    let mut errors: Vec<Uuid> = rows.iter().map(|row| row.error_id).collect();
    errors.sort_unstable();
    errors.dedup();
    load_errors_by_id(&change, &mut ledger, errors).await?;
    rows.into_iter().for_each(|row| ledger.put_record(row));
    let now = change.now;
    successes
        .iter()
        .for_each(|success| ledger.clear(success, now));
    write(&mut change, &ledger).await?;
    let synced = successes.iter().filter(|success| !success.removed);
    // One without an instant is the latest.
    let synced = synced.map(|success| success.occurred_at);
    let synced = synced.max_by_key(|at| at.unwrap_or(Micros::MAX));
    if let Some(at) = synced.filter(|_| is_suspended) {
        change.resume(at).await?;
    }
    change.commit().await?;
    let resolved = ledger
        .errors
        .iter()
        .filter(|error| error.event == Some(SyncErrorEventKind::Resolved));
    Ok(Some(SuccessAnswer {
        cleared_record_count: ledger.cleared_count,
        resolved_error_ids: resolved.map(|error| error.row.id).collect(),
    }))
}

fn ids(successes: &[CheckedSuccess]) -> RecordIds {
    RecordIds::of(successes.iter().map(|success| {
        (
            success.hubspot_record.as_ref(),
            success.salesforce_record.as_ref(),
        )
    }))
}

/// One without an instant comes after all that is known.
fn latest(successes: &[CheckedSuccess]) -> Micros {
    let instants = successes.iter().map(|success| success.occurred_at);
    let instants = instants.map(|at| at.unwrap_or(Micros::MAX));
    instants.max().unwrap_or_default()
}

#[derive(FromQueryResult)]
struct Found {
    #[expect(dead_code, reason = "only whether there is a row matters")]
    one: i32,
}

/// Whether any record row names one of the halves with an outcome that is older than the success.
async fn matches_anything(
    snapshot: &Snapshot,
    (hub_id, possible): (i64, Micros),
    successes: &[CheckedSuccess],
) -> Result<bool> {
    let latest = latest(successes);
    let last_seen_at = Expr::col(affected_records::Column::LastSeenAt);
    for condition in ids(successes).conditions(snapshot.backend(), hub_id) {
        let mut select = Query::select();
        select
            .expr_as(Expr::cust("1"), Alias::new("one"))
            .from(affected_records::Entity)
            .cond_where(condition)
            .and_where(
                last_seen_at
                    .clone()
                    .lte(latest)
                    .or(last_seen_at.clone().gt(possible)),
            )
            .limit(1);
        if snapshot.one::<Found>(&select).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
