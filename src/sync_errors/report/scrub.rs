//! Takes out of an error what one of its records told, and lets it show another one.

use sea_orm::FromQueryResult;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use uuid::Uuid;

use super::erase::Erased;
use super::ledger::{ErrorState, Occurrence};
use super::rows::{set_latest_facts, set_search_text, stored};
use super::{StoredFailure, check_failure, remade};
use crate::classify::{Details, Record, System};
use crate::kernel::clock::Micros;
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::sync_errors::tables::{affected_records, sync_errors};

/// What an error has of a record.
pub(super) struct Theirs<'a> {
    /// The record's rows.
    pub(super) rows: Vec<&'a affected_records::Model>,
    /// The error's latest failure, whoever's it is.
    pub(super) failure: Option<&'a StoredFailure>,
    /// What its other records have.
    pub(super) others: Option<&'a Others>,
}

/// What the other records of an error have. To be read beside those who write: an error may have very many records.
#[derive(Default)]
pub(super) struct Others {
    /// Sample values of the error that one of them has now.
    held: Vec<String>,
    /// The one that was added last; one that still fails where there is any.
    another: Option<affected_records::Model>,
}

/// Takes out what the record told; answers whether there was anything.
pub(super) fn scrub(
    error: &mut ErrorState,
    theirs: Theirs<'_>,
    erased: &mut Erased,
    now: Micros,
) -> bool {
    let is_latest = theirs
        .failure
        .is_some_and(|failure| is_of(failure, &theirs, erased));
    let is_part = is_latest || !theirs.rows.is_empty();
    let mut is_changed = scrub_details(&mut error.row, is_part, erased);
    if is_part {
        is_changed |= scrub_samples(&mut error.row, theirs.others, erased);
    }
    let Some(failure) = theirs.failure else {
        return is_changed;
    };
    let mut latest = failure.clone();
    if is_latest {
        let records = [&failure.hubspot_record, &failure.salesforce_record];
        let names = records
            .into_iter()
            .flatten()
            .filter_map(|record| record.name.clone());
        erased.names.extend(names);
        erased.values.extend(failure.value.clone());
        let other = theirs.others.and_then(|others| others.another.as_ref());
        latest = show_another(&mut error.row, (failure, other), now);
    }
    let existing = erased.take_from(&mut latest.existing_record);
    let blocking = erased.take_from(&mut latest.blocking_record);
    if is_latest || existing || blocking {
        error.latest = Some(latest);
        is_changed = true;
    }
    is_changed
}

/// Whether a failure is the record's: by its rows, or by its own sides where these were swept.
fn is_of(failure: &StoredFailure, theirs: &Theirs<'_>, erased: &Erased) -> bool {
    let is_of = |record: &Option<Record>, system: System| {
        let Some(record) = record else { return false };
        let id = record.record_id.as_deref();
        let of_row = |row: &&affected_records::Model| match system {
            System::Hubspot => row.hubspot_record_id.as_deref() == id,
            System::Salesforce => row.salesforce_record_id.as_deref() == id,
        };
        let mut sides = erased.sides.iter();
        id.is_some()
            && (theirs.rows.iter().any(of_row)
                || sides.any(|side| side.is(system, record.object_type.as_deref(), id)))
    };
    is_of(&failure.hubspot_record, System::Hubspot)
        || is_of(&failure.salesforce_record, System::Salesforce)
}

fn scrub_details(row: &mut sync_errors::Model, is_part: bool, erased: &mut Erased) -> bool {
    let mut details: Details = serde_json::from_str(&row.details).unwrap_or(Details::Other);
    let is_changed = match &mut details {
        Details::Associations {
            blocking_record, ..
        } => erased.take_from(blocking_record),
        Details::Duplicates {
            existing_record,
            duplicate_value,
            ..
        } => {
            // All records of the error have it, so it is theirs too, however it is spelled.
            let value = duplicate_value.take_if(|_| is_part);
            let is_theirs = value.is_some();
            erased.values.extend(value);
            erased.take_from(existing_record) || is_theirs
        }
        _ => false,
    };
    if is_changed {
        row.details = serde_json::to_string(&details).unwrap_or_default();
    }
    is_changed
}

#[derive(FromQueryResult)]
struct Held {
    rejected_value: String,
}

/// Only values stay that another record of the error has now: older ones may be anybody's.
fn scrub_samples(
    row: &mut sync_errors::Model,
    others: Option<&Others>,
    erased: &mut Erased,
) -> bool {
    let is_held = |sample: &String| others.is_some_and(|others| others.held.contains(sample));
    let (kept, gone): (Vec<_>, Vec<_>) = samples(row).into_iter().partition(is_held);
    if gone.is_empty() {
        return false;
    }
    erased.values.extend(gone);
    row.sample_values = serde_json::to_string(&kept).unwrap_or_else(|_| "[]".into());
    true
}

fn samples(row: &sync_errors::Model) -> Vec<String> {
    serde_json::from_str(&row.sample_values).unwrap_or_default()
}

impl Others {
    /// Reads what the records of an error have, besides these.
    pub(super) async fn look(
        snapshot: &Snapshot,
        error: &sync_errors::Model,
        rows: &[Uuid],
    ) -> Result<Self> {
        use affected_records::Column;
        let others = Query::select()
            .from(affected_records::Entity)
            .and_where(Expr::col(Column::HubId).eq(error.hub_id))
            .and_where(Expr::col(Column::ErrorId).eq(error.id))
            .and_where(Expr::col(Column::Id).is_not_in(rows.iter().copied()))
            .to_owned();
        let samples = samples(error);
        let mut select = others.clone();
        select
            .column(Column::RejectedValue)
            .distinct()
            .and_where(Expr::col(Column::RejectedValue).is_in(samples.iter().map(String::as_str)));
        let held: Vec<Held> = snapshot.all(&select).await?;
        let mut another = None;
        for is_affected in [true, false] {
            let mut select = others.clone();
            select
                .columns(columns::<affected_records::Entity>())
                .order_by(Column::Id, Order::Desc)
                .limit(1);
            if is_affected {
                select.and_where(Expr::col(Column::ClearedAt).is_null());
            }
            if another.is_none() {
                another = snapshot.one(&select).await?;
            }
        }
        Ok(Self {
            held: held.into_iter().map(|row| row.rejected_value).collect(),
            another,
        })
    }
}

/// Lets an error show the failure of another record, or none of any.
fn show_another(
    row: &mut sync_errors::Model,
    (erased, other): (&StoredFailure, Option<&affected_records::Model>),
    now: Micros,
) -> StoredFailure {
    let details: Details = serde_json::from_str(&row.details).unwrap_or(Details::Other);
    if let Some(other) = other
        && let Ok(checked) = check_failure(remade((row, &details), other), now)
        && let Some(cause) = checked.causes.first()
    {
        let occurrence = Occurrence {
            checked: &checked,
            cause,
            reported_by: &erased.reported_by,
            occurred_at: checked.occurred_at.unwrap_or(now),
            received_at: now,
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
