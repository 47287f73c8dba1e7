//! Erasure of one record: its rows go, and of the errors that it was part of what only it told; some errors at a time, as
//! [`super::Known`] found them.
//!
//! An error stays, as others may have the same cause: it then shows the failure of another of its records, and where
//! there is none, the cause alone, until it is swept.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::known::Mention;
use super::ledger::Ledger;
use super::rows::record_search_text;
use super::scrub::{Others, Theirs, scrub};
use super::write::{RecordIds, find_records, load_errors_by_id, write};
use super::{CheckedSuccess, StoredFailure};
use crate::classify::{Record, RelatedRecord, System};
use crate::kernel::bulk;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::sync_errors::SyncErrorEventKind;
use crate::sync_errors::tables::{affected_records, latest_failures};

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

/// Some of a record's errors, which one change takes.
pub struct Part<'a> {
    pub(super) errors: &'a [Uuid],
    pub(super) others: HashMap<Uuid, Others>,
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
    /// What texts may tell of a record with these sides and rows.
    pub(super) fn of(sides: Vec<RecordKey>, rows: &[affected_records::Model]) -> Self {
        let values = rows.iter().filter_map(|row| row.rejected_value.clone());
        let names = rows
            .iter()
            .flat_map(|row| [&row.hubspot_name, &row.salesforce_name]);
        let ids = sides.iter().map(|side| side.id.clone());
        Self {
            rows: rows.iter().map(|row| row.id).collect(),
            values: values.collect(),
            names: names.flatten().cloned().chain(ids).collect(),
            sides,
            errors: 0,
        }
    }

    /// Puts together what was erased.
    pub fn join(&mut self, other: Self) {
        self.values.extend(other.values);
        self.names.extend(other.names);
    }

    /// Whether the value of another record's row is held by the record.
    pub(super) fn is_mentioned(&mut self, row: &affected_records::Model) -> bool {
        let existing = row.existing_record.as_deref();
        let mut existing = existing.and_then(|text| serde_json::from_str(text).ok());
        self.take_from(&mut existing)
    }

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

/// Erases a record from some of its errors, inside a change.
pub async fn erase(change: &mut Change, sides: &[RecordKey], part: &Part<'_>) -> Result<Erased> {
    let rows: Vec<affected_records::Model> = find_records(change, &ids_of(sides))
        .await?
        .into_iter()
        .filter(|row| part.errors.contains(&row.error_id) && is_of(row, sides))
        .collect();
    let mut erased = Erased::of(sides.to_vec(), &rows);
    let mut ledger = load(change, part, sides, &rows).await?;
    let failures = failures_of(change, &ledger).await?;
    for error in &mut ledger.errors {
        let of_error = rows.iter().filter(|row| row.error_id == error.row.id);
        let theirs = Theirs {
            rows: of_error.collect(),
            failure: failures.get(&error.row.id),
            others: part.others.get(&error.row.id),
        };
        if scrub(error, theirs, &mut erased, change.now) {
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
    Ok(erased)
}

/// The ids of a record's sides, as rows have them.
pub(super) fn ids_of(sides: &[RecordKey]) -> RecordIds {
    let pairs: Vec<_> = sides.iter().map(RecordKey::pair).collect();
    let pairs = pairs
        .iter()
        .map(|(hubspot, salesforce)| (hubspot.as_ref(), salesforce.as_ref()));
    RecordIds::of(pairs)
}

/// Whether a row is of the record with these sides.
pub(super) fn is_of(row: &affected_records::Model, sides: &[RecordKey]) -> bool {
    let mut halves = halves(row).into_iter();
    halves.any(|(system, object_type, id)| {
        let mut sides = sides.iter();
        sides.any(|side| side.is(system, object_type.as_deref(), id.as_deref()))
    })
}

type Half<'a> = (System, &'a Option<String>, &'a Option<String>);

fn halves(row: &affected_records::Model) -> [Half<'_>; 2] {
    let (hubspot, salesforce) = (&row.hubspot_object_type, &row.salesforce_object_type);
    [
        (System::Hubspot, hubspot, &row.hubspot_record_id),
        (System::Salesforce, salesforce, &row.salesforce_record_id),
    ]
}

/// Adds the sides that a row tells; answers whether any is new.
pub(super) fn add_sides(sides: &mut Vec<RecordKey>, row: &affected_records::Model) -> bool {
    let before = sides.len();
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
    sides.len() > before
}

/// Loads the errors of a part, and clears the record's rows by the rules.
async fn load(
    change: &Change,
    part: &Part<'_>,
    sides: &[RecordKey],
    rows: &[affected_records::Model],
) -> Result<Ledger> {
    let mut ledger = Ledger::new(change.hub_id(), change.latest());
    load_errors_by_id(change, &mut ledger, part.errors.to_vec()).await?;
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

/// Other records whose value the record holds do not name it any more: those of a part that still do.
pub async fn forget_mentions(
    change: &Change,
    sides: &[RecordKey],
    mentions: &[Mention],
) -> Result<()> {
    let transaction = change.transaction();
    let mut rows = Vec::new();
    for mention in mentions {
        let key = (change.hub_id(), mention.error_id, mention.id);
        let row = affected_records::Entity::find_by_id(key);
        rows.extend(row.one(transaction).await?);
    }
    let mut erased = Erased::of(sides.to_vec(), &[]);
    rows.retain(|row: &affected_records::Model| erased.is_mentioned(row));
    for row in &mut rows {
        row.existing_record = None;
        row.search_text = record_search_text(row);
    }
    bulk::upsert::<affected_records::Entity>(transaction, &rows).await
}
