//! Erasure of one record: its rows go, and of the errors that it was part of what only it told.
//!
//! An error stays, as others may have the same cause: it then shows the failure of another of its records, and where
//! there is none, the cause alone, until it is swept.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr, Query};
use sea_orm::{Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};
use uuid::Uuid;

use super::ledger::Ledger;
use super::rows::record_search_text;
use super::scrub::{Theirs, scrub};
use super::write::{RecordIds, find_records, load_errors_by_id, write};
use super::{CheckedSuccess, StoredFailure};
use crate::classify::{Record, RelatedRecord, System};
use crate::kernel::bulk;
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
    /// Its object type, in its one form; absent where it was not told.
    pub object_type: Option<String>,
    /// Its id, in its one form.
    pub id: String,
}

/// What was erased.
#[derive(Debug, Default)]
pub struct Erased {
    /// The record, by each of its sides.
    pub sides: Vec<RecordKey>,
    /// Its rows, one for each error.
    pub rows: Vec<Uuid>,
    /// Its rejected values: they may stand in texts.
    pub values: Vec<String>,
    /// Its names and ids: they may stand there too.
    pub names: Vec<String>,
    /// Errors that showed something of it.
    pub errors: u64,
    /// Other records that named it.
    pub mentions: u64,
}

impl RecordKey {
    /// Whether a record is this one. HubSpot's ids are unique per type only; a type that was not told fits all.
    pub fn is(&self, system: System, object_type: Option<&str>, id: Option<&str>) -> bool {
        let is_type = match (system, &self.object_type, object_type) {
            (System::Hubspot, Some(own), Some(other)) => own.eq_ignore_ascii_case(other),
            _ => true,
        };
        self.system == system && id == Some(&self.id) && is_type
    }

    fn pair(&self) -> (Option<Record>, Option<Record>) {
        let record = Some(Record {
            object_type: self.object_type.clone(),
            record_id: Some(self.id.clone()),
            name: None,
        });
        match self.system {
            System::Hubspot => (record, None),
            System::Salesforce => (None, record),
        }
    }
}

impl Erased {
    /// Forgets a related record that is this one, and notes its name; answers whether it was.
    pub(super) fn take_from(&mut self, related: &mut Option<RelatedRecord>) -> bool {
        let is_theirs = |related: &mut RelatedRecord| {
            let (object_type, id) = (related.object_type.as_deref(), related.record_id.as_deref());
            let mut sides = self.sides.iter();
            sides.any(|side| side.is(related.system, object_type, id))
        };
        let taken = related.take_if(is_theirs);
        let is_taken = taken.is_some();
        self.names.extend(taken.and_then(|taken| taken.name));
        is_taken
    }
}

/// Erases a record inside a change.
pub async fn erase(change: &mut Change, key: &RecordKey) -> Result<Erased> {
    let mut erased = Erased {
        sides: vec![key.clone()],
        ..Erased::default()
    };
    // What is known of the record under its one id tells the other, and that may tell more.
    for row in find_rows(change, &erased.sides).await? {
        add_sides(&mut erased.sides, &row);
    }
    let rows = find_rows(change, &erased.sides).await?;
    note(&mut erased, &rows);
    let mut ledger = load(change, &erased.sides, &rows).await?;
    let failures = failures_of(change, &ledger).await?;
    for error in &mut ledger.errors {
        let of_error = rows.iter().filter(|row| row.error_id == error.row.id);
        let theirs = Theirs {
            rows: of_error.collect(),
            failure: failures.get(&error.row.id),
        };
        if scrub(change, error, theirs, &mut erased).await? {
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
    erased.mentions = forget_mentions(change, &mut erased).await?;
    Ok(erased)
}

/// The rows of a record, by any of its sides.
async fn find_rows(change: &Change, sides: &[RecordKey]) -> Result<Vec<affected_records::Model>> {
    let pairs: Vec<_> = sides.iter().map(RecordKey::pair).collect();
    let pairs = pairs
        .iter()
        .map(|(hubspot, salesforce)| (hubspot.as_ref(), salesforce.as_ref()));
    let mut rows = find_records(change, &RecordIds::of(pairs)).await?;
    rows.retain(|row| {
        let mut halves = halves(row).into_iter();
        halves.any(|(system, object_type, id)| {
            let mut sides = sides.iter();
            sides.any(|side| side.is(system, object_type.as_deref(), id.as_deref()))
        })
    });
    Ok(rows)
}

type Half<'a> = (System, &'a Option<String>, &'a Option<String>);

fn halves(row: &affected_records::Model) -> [Half<'_>; 2] {
    let (hubspot, salesforce) = (&row.hubspot_object_type, &row.salesforce_object_type);
    [
        (System::Hubspot, hubspot, &row.hubspot_record_id),
        (System::Salesforce, salesforce, &row.salesforce_record_id),
    ]
}

fn add_sides(sides: &mut Vec<RecordKey>, row: &affected_records::Model) {
    for (system, object_type, id) in halves(row) {
        let Some(id) = id.clone() else { continue };
        let side = RecordKey {
            system,
            object_type: object_type.clone(),
            id,
        };
        if !sides.contains(&side) {
            sides.push(side);
        }
    }
}

/// Notes what texts may tell of the record.
fn note(erased: &mut Erased, rows: &[affected_records::Model]) {
    erased.rows = rows.iter().map(|row| row.id).collect();
    let values = rows.iter().filter_map(|row| row.rejected_value.clone());
    erased.values = values.collect();
    let names = rows
        .iter()
        .flat_map(|row| [&row.hubspot_name, &row.salesforce_name]);
    erased.names = names.flatten().cloned().collect();
    let ids = erased.sides.iter().map(|side| side.id.clone());
    erased.names.extend(ids);
}

/// Loads the errors of the record's rows and those that name it, and clears its rows by the rules.
async fn load(
    change: &Change,
    sides: &[RecordKey],
    rows: &[affected_records::Model],
) -> Result<Ledger> {
    let mut ledger = Ledger::new(change);
    let mut errors: Vec<Uuid> = rows.iter().map(|row| row.error_id).collect();
    for side in sides {
        errors.extend(errors_that_name(change, side).await?);
    }
    errors.sort_unstable();
    errors.dedup();
    load_errors_by_id(change, &mut ledger, errors).await?;
    rows.iter().for_each(|row| ledger.put_record(row.clone()));
    for side in sides {
        let (hubspot_record, salesforce_record) = side.pair();
        let gone = CheckedSuccess {
            removed: true,
            occurred_at: None,
            direction: None,
            hubspot_record,
            salesforce_record,
        };
        ledger.clear(&gone, change.now);
    }
    Ok(ledger)
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

/// Other records whose value the record holds do not name it any more; answers how many did.
async fn forget_mentions(change: &Change, erased: &mut Erased) -> Result<u64> {
    use affected_records::Column;
    let mut named = Condition::any();
    for side in &erased.sides {
        let pattern = LikeExpr::new(format!("%\"{}\"%", side.id));
        named = named.add(Expr::col(Column::ExistingRecord).like(pattern));
    }
    let transaction = change.transaction();
    let mut rows = affected_records::Entity::find()
        .filter(Expr::col(Column::HubId).eq(change.hub_id()))
        .filter(named)
        .all(transaction)
        .await?;
    rows.retain(|row| {
        let existing = row.existing_record.as_deref();
        let mut existing = existing.and_then(|text| serde_json::from_str(text).ok());
        erased.take_from(&mut existing)
    });
    for row in &mut rows {
        row.existing_record = None;
        row.search_text = record_search_text(row);
    }
    bulk::upsert::<affected_records::Entity>(transaction, &rows).await?;
    Ok(rows.len() as u64)
}
