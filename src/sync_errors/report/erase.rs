//! Erasure of one record: its rows go, and of the errors that it was part of what only it told.
//!
//! An error stays, as others may have the same cause: it then shows the failure of another of its records, and where
//! there is none, the cause alone, until it is swept.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr, Order, Query};
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};
use uuid::Uuid;

use super::ledger::{ErrorState, Ledger, Occurrence};
use super::rows::{record_search_text, set_latest_facts, set_search_text, stored};
use super::write::{RecordIds, find_records, load_errors_by_id, write};
use super::{CheckedSuccess, StoredFailure, check_failure, remade};
use crate::classify::{Details, Record, RelatedRecord, System};
use crate::kernel::bulk;
use crate::kernel::columns::columns;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::sync_errors::SyncErrorEventKind;
use crate::sync_errors::tables::{affected_records, latest_failures, sync_errors};

/// A record, by one of its sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// Where.
    pub system: System,
    /// Its object type; HubSpot's ids are unique per type only.
    pub object_type: String,
    /// Its id, in its one form.
    pub id: String,
}

/// What was erased.
#[derive(Debug, Default)]
pub struct Erased {
    /// Rows of the record, one for each error.
    pub rows: Vec<Uuid>,
    /// Its rejected values: they may stand in texts.
    pub values: Vec<String>,
    /// Its names and ids on both sides: they may stand there too.
    pub names: Vec<String>,
    /// Errors whose texts changed.
    pub errors: u64,
    /// Other records that named it.
    pub mentions: u64,
}

impl RecordKey {
    fn record(&self) -> Record {
        Record {
            object_type: Some(self.object_type.clone()),
            record_id: Some(self.id.clone()),
            name: None,
        }
    }

    fn is(&self, other: &RelatedRecord) -> bool {
        self.system == other.system && other.record_id.as_ref() == Some(&self.id)
    }

    /// Forgets a related record that is this one, and tells its name; answers whether it was.
    fn take_from(&self, related: &mut Option<RelatedRecord>, names: &mut Vec<String>) -> bool {
        let taken = related.take_if(|related| self.is(related));
        let is_taken = taken.is_some();
        names.extend(taken.and_then(|taken| taken.name));
        is_taken
    }
}

/// Erases a record inside a change.
pub async fn erase(change: &mut Change, key: &RecordKey) -> Result<Erased> {
    let mut ledger = Ledger::new(change.hub_id());
    let rows = erase_rows(change, &mut ledger, key).await?;
    let mut erased = Erased {
        values: rows
            .iter()
            .filter_map(|row| row.rejected_value.clone())
            .collect(),
        names: rows.iter().flat_map(names_of).collect(),
        rows: rows.iter().map(|row| row.id).collect(),
        ..Erased::default()
    };
    let failures = failures_of(change, &ledger).await?;
    for error in &mut ledger.errors {
        let of_error = rows.iter().filter(|row| row.error_id == error.row.id);
        let of_error: Vec<&affected_records::Model> = of_error.collect();
        let failure = failures.get(&error.row.id);
        if scrub(change, error, (key, &of_error, &mut erased.names), failure).await? {
            error.event.get_or_insert(SyncErrorEventKind::Updated);
            erased.errors += 1;
        }
    }
    write(change, &ledger).await?;
    for row in &rows {
        affected_records::Entity::delete_by_id((row.hub_id, row.error_id, row.id))
            .exec(change.transaction())
            .await?;
    }
    erased.mentions = forget_mentions(change, key).await?;
    Ok(erased)
}

fn names_of(row: &affected_records::Model) -> impl Iterator<Item = String> {
    let names = [
        &row.hubspot_name,
        &row.hubspot_record_id,
        &row.salesforce_name,
        &row.salesforce_record_id,
    ];
    names.into_iter().flatten().cloned()
}

/// Clears the record's rows by the rules, and loads the errors of these and those that name it; answers the rows.
async fn erase_rows(
    change: &Change,
    ledger: &mut Ledger,
    key: &RecordKey,
) -> Result<Vec<affected_records::Model>> {
    let record = Some(key.record());
    let (hubspot_record, salesforce_record) = match key.system {
        System::Hubspot => (record, None),
        System::Salesforce => (None, record),
    };
    let pair = (hubspot_record.as_ref(), salesforce_record.as_ref());
    let rows = find_records(change, &RecordIds::of([pair].into_iter())).await?;
    let latest = rows.iter().map(|row| row.last_seen_at).max();
    let mut errors: Vec<Uuid> = rows.iter().map(|row| row.error_id).collect();
    errors.extend(errors_that_name(change, key).await?);
    errors.sort_unstable();
    errors.dedup();
    load_errors_by_id(change, ledger, errors).await?;
    rows.into_iter().for_each(|row| ledger.put_record(row));
    let places = ledger.named_by(pair.0, pair.1);
    ledger.clear(&CheckedSuccess {
        removed: true,
        occurred_at: Ord::max(change.now, latest.unwrap_or_default()),
        direction: None,
        hubspot_record,
        salesforce_record,
    });
    let rows = places
        .into_iter()
        .map(|place| ledger.records[place].row.clone());
    Ok(rows.collect())
}

#[derive(FromQueryResult)]
struct Found {
    id: Uuid,
}

/// Errors whose details or latest failure name the record.
async fn errors_that_name(change: &Change, key: &RecordKey) -> Result<Vec<Uuid>> {
    let transaction = change.transaction();
    let pattern = LikeExpr::new(format!("%\"{}\"%", key.id));
    let details = Query::select()
        .column(sync_errors::Column::Id)
        .from(sync_errors::Entity)
        .and_where(Expr::col(sync_errors::Column::HubId).eq(change.hub_id()))
        .and_where(Expr::col(sync_errors::Column::Details).like(pattern.clone()))
        .to_owned();
    let failures = Query::select()
        .expr_as(Expr::col(latest_failures::Column::ErrorId), "id")
        .from(latest_failures::Entity)
        .and_where(Expr::col(latest_failures::Column::HubId).eq(change.hub_id()))
        .and_where(Expr::col(latest_failures::Column::Failure).like(pattern))
        .to_owned();
    let mut found = Vec::new();
    for select in [details, failures] {
        for row in transaction.query_all(&select).await? {
            found.push(Found::from_query_result(&row, "")?.id);
        }
    }
    Ok(found)
}

async fn failures_of(change: &Change, ledger: &Ledger) -> Result<HashMap<Uuid, StoredFailure>> {
    let ids = Keys::uuids(ledger.errors.iter().map(|error| error.row.id));
    let transaction = change.transaction();
    let rows = latest_failures::Entity::find()
        .filter(ids.hold_in_portal(
            transaction.get_database_backend(),
            (latest_failures::Column::HubId, change.hub_id()),
            latest_failures::Column::ErrorId,
        ))
        .all(transaction)
        .await?;
    let read = |row: latest_failures::Model| {
        let failure = serde_json::from_str(&row.failure).ok()?;
        Some((row.error_id, failure))
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Takes out of an error what only the record told; answers whether anything was.
async fn scrub(
    change: &Change,
    error: &mut ErrorState,
    (key, rows, names): (&RecordKey, &[&affected_records::Model], &mut Vec<String>),
    failure: Option<&StoredFailure>,
) -> Result<bool> {
    let row = &mut error.row;
    let mut is_changed = scrub_details(row, (key, names), rows);
    let mut samples: Vec<String> = serde_json::from_str(&row.sample_values).unwrap_or_default();
    let before = samples.len();
    samples.retain(|sample| {
        rows.iter()
            .all(|row| row.rejected_value.as_ref() != Some(sample))
    });
    if samples.len() < before {
        row.sample_values = serde_json::to_string(&samples).unwrap_or_else(|_| "[]".into());
        is_changed = true;
    }
    let Some(failure) = failure else {
        return Ok(is_changed);
    };
    let is_of = |record: &Option<Record>, system: System| {
        let id = record.as_ref().and_then(|record| record.record_id.as_ref());
        let of_row = |row: &&affected_records::Model| match system {
            System::Hubspot => row.hubspot_record_id.as_ref() == id,
            System::Salesforce => row.salesforce_record_id.as_ref() == id,
        };
        id.is_some() && rows.iter().any(of_row)
    };
    if is_of(&failure.hubspot_record, System::Hubspot)
        || is_of(&failure.salesforce_record, System::Salesforce)
    {
        let other = another_record(change, row.id, rows).await?;
        error.latest = Some(show_another(change, row, (failure, other.as_ref())));
        return Ok(true);
    }
    let mut failure = failure.clone();
    let named = [&mut failure.existing_record, &mut failure.blocking_record];
    // Not lazily: both are looked at.
    if named
        .map(|related| key.take_from(related, names))
        .contains(&true)
    {
        error.latest = Some(failure);
        is_changed = true;
    }
    Ok(is_changed)
}

fn scrub_details(
    row: &mut sync_errors::Model,
    (key, names): (&RecordKey, &mut Vec<String>),
    rows: &[&affected_records::Model],
) -> bool {
    let mut details: Details = serde_json::from_str(&row.details).unwrap_or(Details::Other);
    let is_changed = match &mut details {
        Details::Associations {
            blocking_record, ..
        } => key.take_from(blocking_record, names),
        Details::Duplicates {
            existing_record,
            duplicate_value,
            ..
        } => {
            let is_theirs = |value: &mut String| {
                rows.iter()
                    .any(|row| row.rejected_value.as_ref() == Some(value))
            };
            let value = duplicate_value.take_if(is_theirs);
            key.take_from(existing_record, names) || value.is_some()
        }
        _ => false,
    };
    if is_changed {
        row.details = serde_json::to_string(&details).unwrap_or_default();
    }
    is_changed
}

/// Another record of the error, the one that was added last; one that still fails where there is any.
async fn another_record(
    change: &Change,
    error_id: Uuid,
    rows: &[&affected_records::Model],
) -> Result<Option<affected_records::Model>> {
    use affected_records::Column;
    let erased: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
    for is_affected in [true, false] {
        let mut select = Query::select();
        select
            .columns(columns::<affected_records::Entity>())
            .from(affected_records::Entity)
            .and_where(Expr::col(Column::HubId).eq(change.hub_id()))
            .and_where(Expr::col(Column::ErrorId).eq(error_id))
            .and_where(Expr::col(Column::Id).is_not_in(erased.iter().copied()))
            .order_by(Column::Id, Order::Desc)
            .limit(1);
        if is_affected {
            select.and_where(Expr::col(Column::ClearedAt).is_null());
        }
        if let Some(row) = change.transaction().query_one(&select).await? {
            return Ok(Some(affected_records::Model::from_query_result(&row, "")?));
        }
    }
    Ok(None)
}

/// Lets an error show the failure of another record, or none of any.
fn show_another(
    change: &Change,
    row: &mut sync_errors::Model,
    (erased, other): (&StoredFailure, Option<&affected_records::Model>),
) -> StoredFailure {
    let details: Details = serde_json::from_str(&row.details).unwrap_or(Details::Other);
    if let Some(other) = other
        && let Ok(checked) = check_failure(remade((row, &details), other), change.now)
        && let Some(cause) = checked.causes.first()
    {
        let occurrence = Occurrence {
            checked: &checked,
            cause,
            reported_by: &erased.reported_by,
            received_at: change.now,
        };
        set_latest_facts(row, cause);
        return stored(&occurrence);
    }
    row.message = String::new();
    row.cause_message = None;
    set_search_text(row);
    StoredFailure {
        report_id: Uuid::now_v7().to_string(),
        message: String::new(),
        hubspot_record: None,
        salesforce_record: None,
        value: None,
        raw: None,
        blocking_record: None,
        existing_record: None,
        ..erased.clone()
    }
}

/// Other records whose value the record holds do not name it any more; answers how many did.
async fn forget_mentions(change: &Change, key: &RecordKey) -> Result<u64> {
    use affected_records::Column;
    let pattern = LikeExpr::new(format!("%\"{}\"%", key.id));
    let transaction = change.transaction();
    let mut rows = affected_records::Entity::find()
        .filter(Expr::col(Column::HubId).eq(change.hub_id()))
        .filter(Expr::col(Column::ExistingRecord).like(pattern))
        .all(transaction)
        .await?;
    rows.retain(|row| {
        let existing = row.existing_record.as_deref();
        let existing = existing.and_then(|text| serde_json::from_str(text).ok());
        existing.is_some_and(|existing| key.is(&existing))
    });
    for row in &mut rows {
        row.existing_record = None;
        row.search_text = record_search_text(row);
    }
    bulk::upsert::<affected_records::Entity>(transaction, &rows).await?;
    Ok(rows.len() as u64)
}
