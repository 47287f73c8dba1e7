//! Reads the rows that a change concerns and writes what it made of them.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::ledger::{ErrorState, Ledger};
use super::room;
use crate::classify::{Record, SyncErrorCategory};
use crate::kernel::bulk;
use crate::kernel::clock::{MINUTE, Micros};
use crate::kernel::db::Transaction;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::{Change, category_counters};
use crate::sync_errors::tables::{
    affected_records, latest_failures, sync_error_events, sync_errors, trend_points,
};
use crate::sync_errors::{SyncErrorEventKind, SyncErrorStatus, trend};

/// Puts the errors with these signatures in.
pub(super) async fn load_errors_by_signature(
    change: &Change,
    ledger: &mut Ledger,
    signatures: Vec<Uuid>,
) -> Result<()> {
    load_errors(change, ledger, sync_errors::Column::Signature, signatures).await
}

/// Puts the errors with these ids in.
pub(super) async fn load_errors_by_id(
    change: &Change,
    ledger: &mut Ledger,
    ids: Vec<Uuid>,
) -> Result<()> {
    load_errors(change, ledger, sync_errors::Column::Id, ids).await
}

async fn load_errors(
    change: &Change,
    ledger: &mut Ledger,
    column: sync_errors::Column,
    keys: Vec<Uuid>,
) -> Result<()> {
    let transaction = change.transaction();
    let rows = sync_errors::Entity::find()
        .filter(Keys::uuids(keys).hold_in_portal(
            transaction.get_database_backend(),
            (sync_errors::Column::HubId, change.hub_id()),
            column,
        ))
        .all(transaction)
        .await?;
    rows.into_iter().for_each(|row| ledger.put_error(row));
    Ok(())
}

/// The ids by which reports name records, of both halves.
pub(super) struct RecordIds {
    hubspot: Keys,
    salesforce: Keys,
}

impl RecordIds {
    /// The ids of pairs of a HubSpot and a Salesforce record.
    pub(super) fn of<'a>(
        pairs: impl Iterator<Item = (Option<&'a Record>, Option<&'a Record>)> + Clone,
    ) -> Self {
        let keys = |records: &mut dyn Iterator<Item = Option<&'a Record>>| {
            let records = records.flatten();
            let mut ids: Vec<&str> = records
                .filter_map(|record| record.record_id.as_deref())
                .collect();
            ids.sort_unstable();
            ids.dedup();
            Keys::texts(ids)
        };
        Self {
            hubspot: keys(&mut pairs.clone().map(|pair| pair.0)),
            salesforce: keys(&mut pairs.map(|pair| pair.1)),
        }
    }

    /// Conditions that each find rows of these records, whatever their errors, and no row twice: by either half an
    /// index finds few rows for each id.
    pub(super) fn conditions(&self, backend: DbBackend, hub_id: i64) -> Vec<Condition> {
        use affected_records::Column;
        let half = |keys: &Keys, column: Column| {
            Condition::all().add(keys.hold_in_portal(backend, (Column::HubId, hub_id), column))
        };
        let not_found_yet = Condition::any()
            .add(Expr::col(Column::HubspotRecordId).is_null())
            .add(self.hubspot.hold(backend, Column::HubspotRecordId).not());
        let mut conditions = Vec::new();
        if !self.hubspot.is_empty() {
            conditions.push(half(&self.hubspot, Column::HubspotRecordId));
        }
        if !self.salesforce.is_empty() {
            conditions.push(half(&self.salesforce, Column::SalesforceRecordId).add(not_found_yet));
        }
        conditions
    }
}

/// The rows of these records.
pub(super) async fn find_records(
    change: &Change,
    ids: &RecordIds,
) -> Result<Vec<affected_records::Model>> {
    let transaction = change.transaction();
    let mut rows = Vec::new();
    for condition in ids.conditions(transaction.get_database_backend(), change.hub_id()) {
        let found = affected_records::Entity::find().filter(condition);
        rows.extend(found.all(transaction).await?);
    }
    Ok(rows)
}

/// Writes what the ledger made: errors, records, counters, trend and feed. Answers whether anything had changed.
pub(super) async fn write(change: &mut Change, ledger: &Ledger) -> Result<bool> {
    let touched: Vec<&ErrorState> = ledger
        .errors
        .iter()
        .filter(|error| error.event.is_some())
        .collect();
    write_records(change.transaction(), ledger).await?;
    if touched.is_empty() {
        return Ok(ledger.records.iter().any(|record| record.is_changed));
    }
    let transaction = change.transaction();
    let rows = |new: bool| {
        let rows = touched.iter().filter(|error| error.before.is_none() == new);
        rows.map(|error| &error.row).collect::<Vec<_>>()
    };
    bulk::insert::<sync_errors::Entity>(transaction, rows(true), "").await?;
    bulk::upsert::<sync_errors::Entity>(transaction, rows(false)).await?;
    let latest: Vec<_> = touched
        .iter()
        .filter_map(|error| latest_failure(ledger.hub_id, error))
        .collect();
    bulk::upsert::<latest_failures::Entity>(transaction, &latest).await?;
    if change.is_set_back() {
        trend::put_right(change).await?;
        change.put_right();
    }
    let counters = match &ledger.counters {
        Some(known) => known.clone(),
        None => room::counters(change).await?,
    };
    let open = move_counters(change, &touched, &counters).await?;
    append_events(change, &touched).await?;
    change.move_open_errors(open);
    Ok(true)
}

fn latest_failure(hub_id: i64, error: &ErrorState) -> Option<latest_failures::Model> {
    let failure = serde_json::to_string(error.latest.as_ref()?).ok()?;
    Some(latest_failures::Model {
        hub_id,
        error_id: error.row.id,
        failure,
    })
}

async fn write_records(transaction: &Transaction, ledger: &Ledger) -> Result<()> {
    let rows = |stored: bool| {
        let records = ledger.records.iter();
        let mut rows: Vec<_> = records
            .filter(|record| record.is_changed && !record.is_absorbed && record.is_stored == stored)
            .map(|record| &record.row)
            .collect();
        // In the order of the primary key: neighbours are on one page of its index.
        rows.sort_unstable_by_key(|row| (row.error_id, row.id));
        rows
    };
    bulk::insert::<affected_records::Entity>(transaction, rows(false), "").await?;
    bulk::upsert::<affected_records::Entity>(transaction, rows(true)).await?;
    for record in ledger
        .records
        .iter()
        .filter(|record| record.is_absorbed && record.is_stored)
    {
        let row = &record.row;
        affected_records::Entity::delete_by_id((row.hub_id, row.error_id, row.id))
            .exec(transaction)
            .await?;
    }
    Ok(())
}

/// What a change did to one card.
#[derive(Default)]
struct Moved {
    open: i32,
    resyncing: i32,
    resolved: i32,
    affected: i32,
    opened_count: i32,
    resolved_count: i32,
}

/// Moves the counters of the cards and their trend; answers by how much all open errors moved.
async fn move_counters(
    change: &Change,
    touched: &[&ErrorState],
    stored: &[category_counters::Model],
) -> Result<i32> {
    let mut moved: BTreeMap<SyncErrorCategory, Moved> = BTreeMap::new();
    for error in touched {
        let card = moved.entry(error.row.category).or_default();
        let (before, affected) = error
            .before
            .map_or((None, 0), |(status, affected)| (Some(status), affected));
        let is = |status: SyncErrorStatus| i32::from(error.row.status == status);
        let was = |status: SyncErrorStatus| i32::from(before == Some(status));
        card.resyncing += is(SyncErrorStatus::Resyncing) - was(SyncErrorStatus::Resyncing);
        card.open += is(SyncErrorStatus::Open) - was(SyncErrorStatus::Open);
        card.open += is(SyncErrorStatus::Resyncing) - was(SyncErrorStatus::Resyncing);
        card.resolved += is(SyncErrorStatus::Resolved) - was(SyncErrorStatus::Resolved);
        card.affected += error.row.affected_record_count - affected;
        match error.event {
            Some(SyncErrorEventKind::Opened | SyncErrorEventKind::Reopened) => {
                card.opened_count += 1
            }
            Some(SyncErrorEventKind::Resolved) => card.resolved_count += 1,
            Some(SyncErrorEventKind::Updated | SyncErrorEventKind::ResyncRequested) | None => {}
        }
    }
    let transaction = change.transaction();
    let mut counters = Vec::new();
    let mut points = Vec::new();
    for (category, card) in &moved {
        let before = stored.iter().find(|row| row.category == *category);
        let sum =
            |count: fn(&category_counters::Model) -> i32, by: i32| before.map_or(0, count) + by;
        let row = category_counters::Model {
            hub_id: change.hub_id(),
            category: *category,
            open_error_count: sum(|row| row.open_error_count, card.open),
            resyncing_error_count: sum(|row| row.resyncing_error_count, card.resyncing),
            resolved_error_count: sum(|row| row.resolved_error_count, card.resolved),
            affected_record_count: sum(|row| row.affected_record_count, card.affected),
        };
        points.push(trend_point(&row, card, change.now));
        counters.push(row);
    }
    bulk::upsert::<category_counters::Entity>(transaction, &counters).await?;
    bulk::insert::<trend_points::Entity>(transaction, &points, ADD_TO_MINUTE).await?;
    Ok(moved.values().map(|card| card.open).sum())
}

const ADD_TO_MINUTE: &str = "ON CONFLICT (hub_id, category, minute) DO UPDATE SET \
    opened_count = trend_points.opened_count + excluded.opened_count, \
    resolved_count = trend_points.resolved_count + excluded.resolved_count, \
    open_error_count = excluded.open_error_count, \
    affected_record_count = excluded.affected_record_count";

fn trend_point(
    counters: &category_counters::Model,
    card: &Moved,
    now: Micros,
) -> trend_points::Model {
    trend_points::Model {
        hub_id: counters.hub_id,
        category: counters.category,
        minute: now - now.rem_euclid(MINUTE),
        opened_count: card.opened_count,
        resolved_count: card.resolved_count,
        open_error_count: counters.open_error_count,
        affected_record_count: counters.affected_record_count,
    }
}

async fn append_events(change: &mut Change, touched: &[&ErrorState]) -> Result<()> {
    let events: Vec<_> = touched
        .iter()
        .zip(change.sequence() + 1..)
        .filter_map(|(error, sequence)| {
            Some(sync_error_events::Model {
                hub_id: change.hub_id(),
                sequence,
                kind: error.event?,
                occurred_at: change.now,
                error_id: error.row.id,
                status: error.row.status,
                affected_record_count: error.row.affected_record_count,
            })
        })
        .collect();
    if let Some(last) = events.last() {
        change.feed_grows(last.sequence, last.digest());
    }
    bulk::insert::<sync_error_events::Entity>(change.transaction(), &events, "").await
}
