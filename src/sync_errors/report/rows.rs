//! The rows of errors and records as failures make and change them.

use uuid::Uuid;

use super::ledger::Occurrence;
use super::{CheckedFailure, StoredFailure};
use crate::classify::{Cause, Record, SIGNATURE_VERSION, System};
use crate::kernel::limits;
use crate::kernel::text::fold_all;
use crate::sync_errors::SyncErrorStatus;
use crate::sync_errors::tables::{affected_records, sync_errors};

pub(super) fn new_error(hub_id: i64, occurrence: &Occurrence<'_>) -> sync_errors::Model {
    let cause = occurrence.cause;
    let failure = &occurrence.checked.failure;
    let bars = if cause.fields.is_empty() {
        String::new()
    } else {
        format!("|{}|", cause.fields.join("|"))
    };
    let mut row = sync_errors::Model {
        hub_id,
        id: Uuid::now_v7(),
        signature: cause.signature,
        signature_version: SIGNATURE_VERSION,
        category: cause.error_type.category(),
        error_type: cause.error_type,
        rule: cause.rule.to_owned(),
        overridden: cause.overridden,
        system: failure.system,
        direction: failure.direction,
        hubspot_object_type: failure.object_type(System::Hubspot).map(str::to_owned),
        salesforce_object_type: failure.object_type(System::Salesforce).map(str::to_owned),
        fields: bars,
        details: details_of(cause),
        status: SyncErrorStatus::Open,
        code: None,
        message: String::new(),
        cause_code: None,
        cause_message: None,
        transient: false,
        sample_values: "[]".into(),
        first_seen_at: occurrence.first_occurred_at(),
        last_seen_at: occurrence.occurred_at,
        resolved_at: None,
        occurrence_count: 0,
        affected_record_count: 0,
        search_text: String::new(),
        opened_at: Some(occurrence.received_at),
    };
    set_latest_facts(&mut row, cause);
    row
}

/// An error as one failure alone tells it, but for what it is and its counts.
pub(in crate::sync_errors) fn as_told(
    row: sync_errors::Model,
    told: &CheckedFailure,
) -> sync_errors::Model {
    let failure = &told.failure;
    let Some(cause) = told.causes.first() else {
        return row;
    };
    let object_type = |system| failure.object_type(system).map(str::to_owned);
    let mut row = sync_errors::Model {
        rule: cause.rule.to_owned(),
        overridden: cause.overridden,
        hubspot_object_type: object_type(System::Hubspot),
        salesforce_object_type: object_type(System::Salesforce),
        details: details_of(cause),
        sample_values: "[]".into(),
        search_text: String::new(),
        ..row
    };
    take_facts(&mut row, cause);
    row
}

fn details_of(cause: &Cause) -> String {
    serde_json::to_string(&cause.details).unwrap_or_default()
}

/// What an error shows of its latest failure.
pub(super) fn set_latest_facts(row: &mut sync_errors::Model, cause: &Cause) {
    if row.message == cause.message
        && row.code == cause.code
        && row.cause_message == cause.cause_message
        && !row.search_text.is_empty()
    {
        return;
    }
    take_facts(row, cause);
    set_search_text(row);
}

fn take_facts(row: &mut sync_errors::Model, cause: &Cause) {
    row.code.clone_from(&cause.code);
    row.message.clone_from(&cause.message);
    row.cause_code.clone_from(&cause.cause_code);
    row.cause_message.clone_from(&cause.cause_message);
    row.transient = cause.transient;
}

/// What an error is found by.
pub(super) fn set_search_text(row: &mut sync_errors::Model) {
    let fields = row.fields.replace('|', " ");
    let objects = [
        row.hubspot_object_type.as_deref(),
        row.salesforce_object_type.as_deref(),
    ];
    row.search_text = fold_all(
        [
            Some(row.message.as_str()),
            row.code.as_deref(),
            Some(&fields),
        ]
        .into_iter()
        .chain(objects),
    );
}

pub(super) fn set_latest(row: &mut affected_records::Model, cause: &Cause) {
    row.message.clone_from(&cause.message);
    row.rejected_value = cause.value.clone().or(row.rejected_value.take());
    let existing = cause
        .existing_record
        .as_ref()
        .and_then(|record| serde_json::to_string(record).ok());
    row.existing_record = existing.or(row.existing_record.take());
    row.search_text = record_search_text(row);
}

pub(super) fn record_search_text(row: &affected_records::Model) -> String {
    fold_all([
        row.hubspot_name.as_deref(),
        row.hubspot_record_id.as_deref(),
        row.salesforce_name.as_deref(),
        row.salesforce_record_id.as_deref(),
        row.rejected_value.as_deref(),
    ])
}

pub(super) fn add_sample(row: &mut sync_errors::Model, value: Option<&str>) {
    let Some(value) = value else { return };
    let mut samples: Vec<String> = serde_json::from_str(&row.sample_values).unwrap_or_default();
    if samples.first().is_some_and(|first| first == value) {
        return;
    }
    samples.retain(|sample| sample != value);
    samples.insert(0, value.to_owned());
    samples.truncate(limits::SAMPLE_VALUES.value);
    row.sample_values = serde_json::to_string(&samples).unwrap_or_else(|_| "[]".into());
}

pub(super) fn stored(occurrence: &Occurrence<'_>) -> StoredFailure {
    let CheckedFailure {
        failure, report_id, ..
    } = occurrence.checked;
    StoredFailure {
        report_id: report_id.clone(),
        occurred_at: occurrence.occurred_at,
        received_at: occurrence.received_at,
        reported_by: occurrence.reported_by.to_owned(),
        direction: failure.direction,
        system: failure.system,
        code: failure.code.clone(),
        message: failure.message.clone(),
        fields: failure.fields.clone(),
        hubspot_record: failure.hubspot_record.clone(),
        salesforce_record: failure.salesforce_record.clone(),
        value: failure.value.clone(),
        raw: failure.raw.clone(),
        blocking_record: failure.blocking_record.clone(),
        existing_record: failure.existing_record.clone(),
        hubspot_property: failure.hubspot_property.clone(),
        salesforce_field: failure.salesforce_field.clone(),
        category: failure.category,
    }
}

/// A record that fails for the first time for this cause.
pub(super) fn new_record(
    hub_id: i64,
    error_id: Uuid,
    occurrence: &Occurrence<'_>,
) -> affected_records::Model {
    let failure = &occurrence.checked.failure;
    let record = |record: &Option<Record>| record.clone().unwrap_or_default();
    let (hubspot, salesforce) = (
        record(&failure.hubspot_record),
        record(&failure.salesforce_record),
    );
    let mut row = affected_records::Model {
        hub_id,
        error_id,
        id: Uuid::now_v7(),
        hubspot_object_type: hubspot.object_type,
        hubspot_record_id: hubspot.record_id,
        hubspot_name: hubspot.name,
        salesforce_object_type: salesforce.object_type,
        salesforce_record_id: salesforce.record_id,
        salesforce_name: salesforce.name,
        existing_record: None,
        rejected_value: None,
        message: String::new(),
        first_seen_at: occurrence.first_occurred_at(),
        last_seen_at: occurrence.occurred_at,
        attempt_count: occurrence.checked.attempt_count,
        cleared_at: None,
        search_text: String::new(),
    };
    set_latest(&mut row, occurrence.cause);
    row
}

/// A record that fails again: what is known of its pair grows.
pub(super) fn update_record(row: &mut affected_records::Model, occurrence: &Occurrence<'_>) {
    let failure = &occurrence.checked.failure;
    row.first_seen_at = row.first_seen_at.min(occurrence.first_occurred_at());
    row.last_seen_at = occurrence.occurred_at;
    row.attempt_count = row
        .attempt_count
        .saturating_add(occurrence.checked.attempt_count);
    if let Some(record) = failure.hubspot_record.clone() {
        row.hubspot_object_type = record.object_type.or(row.hubspot_object_type.take());
        row.hubspot_record_id = record.record_id.or(row.hubspot_record_id.take());
        row.hubspot_name = record.name.or(row.hubspot_name.take());
    }
    if let Some(record) = failure.salesforce_record.clone() {
        row.salesforce_object_type = record.object_type.or(row.salesforce_object_type.take());
        row.salesforce_record_id = record.record_id.or(row.salesforce_record_id.take());
        row.salesforce_name = record.name.or(row.salesforce_name.take());
    }
    set_latest(row, occurrence.cause);
}

/// Two rows that are the halves of one pair: cleared only if both are.
pub(super) fn join(into: &mut affected_records::Model, from: affected_records::Model) {
    into.hubspot_object_type = into.hubspot_object_type.take().or(from.hubspot_object_type);
    into.hubspot_record_id = into.hubspot_record_id.take().or(from.hubspot_record_id);
    into.hubspot_name = into.hubspot_name.take().or(from.hubspot_name);
    into.salesforce_object_type = into
        .salesforce_object_type
        .take()
        .or(from.salesforce_object_type);
    into.salesforce_record_id = into
        .salesforce_record_id
        .take()
        .or(from.salesforce_record_id);
    into.salesforce_name = into.salesforce_name.take().or(from.salesforce_name);
    into.first_seen_at = into.first_seen_at.min(from.first_seen_at);
    into.last_seen_at = into.last_seen_at.max(from.last_seen_at);
    into.attempt_count = into.attempt_count.saturating_add(from.attempt_count);
    into.cleared_at = into.cleared_at.zip(from.cleared_at).map(|(a, b)| a.max(b));
    into.search_text = record_search_text(into);
}
