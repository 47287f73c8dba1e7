//! A failure made again of the rows that it became.

use async_graphql::ID;

use super::input::{ExternalIdInput, RecordInput, RelatedRecordInput, SyncFailureInput};
use crate::classify::{Details, RelatedRecord, System};
use crate::kernel::limits;
use crate::kernel::scalars::Instant;
use crate::sync_errors::tables::{affected_records, sync_errors};

/// A failure made of what is known of the error and of this record.
pub(in crate::sync_errors) fn remade(
    (row, details): (&sync_errors::Model, &Details),
    record: &affected_records::Model,
) -> SyncFailureInput {
    let names = details.field_names(row.system);
    let existing = record.existing_record.as_deref();
    let existing = existing.and_then(|text| serde_json::from_str(text).ok());
    // A text that came as `raw` may be longer than a message.
    let is_message = record.message.chars().count() <= limits::MESSAGE_CHARACTERS.value;
    let (message, raw) = match is_message {
        true => (record.message.clone(), None),
        false => (String::new(), Some(record.message.clone())),
    };
    // A value of the limit's length was cut; the whole one stands in the text.
    let is_whole = |value: &String| value.chars().count() < limits::VALUE_CHARACTERS.value;
    let value = record.rejected_value.clone().filter(is_whole);
    let field = |system| details.field(system).map(|field| field.name.clone());
    SyncFailureInput {
        report_id: None,
        occurred_at: Some(Instant(record.last_seen_at)),
        first_occurred_at: Some(Instant(record.first_seen_at)),
        attempt_count: Some(record.attempt_count),
        direction: row.direction,
        system: Some(row.system),
        code: row.code.clone(),
        message: Some(message).filter(|text| !text.is_empty()),
        fields: Some(names).filter(|names| !names.is_empty()),
        raw,
        hubspot_record: side(record, System::Hubspot),
        salesforce_record: side(record, System::Salesforce),
        blocking_record: match details {
            Details::Associations {
                blocking_record, ..
            } => blocking_record.clone().map(related),
            _ => None,
        },
        existing_record: existing.map(related),
        hubspot_property: field(System::Hubspot),
        salesforce_field: field(System::Salesforce),
        value,
        category: row.overridden.then_some(row.category),
    }
}

pub(in crate::sync_errors) fn side(
    record: &affected_records::Model,
    system: System,
) -> Option<RecordInput> {
    let (object_type, id, name) = match system {
        System::Hubspot => (
            &record.hubspot_object_type,
            &record.hubspot_record_id,
            &record.hubspot_name,
        ),
        System::Salesforce => (
            &record.salesforce_object_type,
            &record.salesforce_record_id,
            &record.salesforce_name,
        ),
    };
    let input = RecordInput {
        object_type: object_type.clone(),
        record_id: id.clone().map(ID),
        name: name.clone(),
    };
    let is_told = object_type.is_some() || id.is_some() || name.is_some();
    is_told.then_some(input)
}

pub(in crate::sync_errors) fn related(record: RelatedRecord) -> RelatedRecordInput {
    RelatedRecordInput {
        system: Some(record.system),
        object_type: record.object_type,
        record_id: record.record_id.map(ID),
        external_id: record.external_id.map(|external| ExternalIdInput {
            field: external.field,
            value: external.value,
        }),
        name: record.name,
    }
}
