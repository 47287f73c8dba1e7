//! Failures for measuring: causes of every category, whose texts vary with each record as real ones do.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

/// A failure of record `record` by cause `cause`, as a line of NDJSON without its line feed. The same arguments
/// make the same line; another `attempt` is a later failure of the same record.
pub fn failure(cause: u32, record: u32, attempt: u32, start: DateTime<Utc>) -> Value {
    let at = start + Duration::milliseconds(i64::from(attempt) * 3_600_000 + i64::from(record));
    let id = format!("0035e{record:010}");
    let field = format!("Metric_{cause}__c");
    let (system, code, message, fields) = refused(cause, record, &id, &field);
    let direction = match system {
        "SALESFORCE" => "HUBSPOT_TO_SALESFORCE",
        _ => "SALESFORCE_TO_HUBSPOT",
    };
    json!({
        "reportId": format!("{cause}-{record}-{attempt}"),
        "direction": direction,
        "system": system,
        "occurredAt": at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "code": code,
        "message": message,
        "fields": fields,
        "hubspotRecord": { "objectType": "contact", "recordId": (7_000_000 + record).to_string(), "name": format!("Person {record}") },
        "salesforceRecord": { "objectType": "Contact", "recordId": id },
    })
}

/// System, code, text and fields of a cause; `record` only changes what varies between records.
fn refused(
    cause: u32,
    record: u32,
    id: &str,
    field: &str,
) -> (&'static str, &'static str, String, Vec<String>) {
    let one = || vec![field.to_owned()];
    match cause % 12 {
        0 => (
            "SALESFORCE",
            "STRING_TOO_LONG",
            format!("Metric {cause}: data value too large: value number {record} (max length=40)"),
            one(),
        ),
        1 => (
            "SALESFORCE",
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            format!("Metric {cause}: bad value for restricted picklist field: Option {record}"),
            one(),
        ),
        2 => (
            "SALESFORCE",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            format!("Stage {field} needs an approved amount of 12.{record} before 2026-03-01"),
            Vec::new(),
        ),
        3 => (
            "SALESFORCE",
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            format!(
                "crm.Router_{cause}: execution of BeforeUpdate caused by: System.DmlException: Update failed. First exception on row 0 with id {id}; first error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record: []"
            ),
            Vec::new(),
        ),
        4 => (
            "SALESFORCE",
            "DUPLICATE_VALUE",
            format!("duplicate value found: {field} duplicates value on record with id: {id}"),
            Vec::new(),
        ),
        5 => (
            "SALESFORCE",
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            format!(
                "Unable to create/update fields: {field}. Please check the security settings of this field and verify that it is read/write for your profile or permission set."
            ),
            one(),
        ),
        6 => (
            "SALESFORCE",
            "INVALID_FIELD",
            format!(
                "Foreign key external ID: key-{cause} not found for field {field} in entity Account"
            ),
            Vec::new(),
        ),
        7 => (
            "SALESFORCE",
            "INVALID_FIELD",
            format!("No such column '{field}' on sobject of type Contact"),
            Vec::new(),
        ),
        8 => (
            "HUBSPOT",
            "VALIDATION_ERROR",
            format!(
                "Property values were not valid: [{{\"isValid\":false,\"message\":\"Value {record} was not one of the allowed options: [A, B]\",\"error\":\"INVALID_OPTION\",\"name\":\"metric_{cause}\"}}]"
            ),
            Vec::new(),
        ),
        9 => (
            "HUBSPOT",
            "INVALID_EMAIL",
            format!("Email address person{record}@ is invalid"),
            vec![format!("email_{cause}")],
        ),
        10 => (
            "SALESFORCE",
            "REQUIRED_FIELD_MISSING",
            format!("Required fields are missing: [{field}]"),
            one(),
        ),
        _ => (
            "SALESFORCE",
            "UNABLE_TO_LOCK_ROW",
            format!(
                "unable to obtain exclusive access to this record or 1 records: {id} while running {field}"
            ),
            Vec::new(),
        ),
    }
}
