//! NDJSON: each line is a failure as `POST /v1/sync-failures` and `sync-health import` take it, so that what was exported
//! can be imported: the same errors with the same records, and of each error the latest failure.

use async_graphql::ID;

use super::pages::{ExportedError, Row};
use crate::classify::{Record, System};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::kernel::scalars::Instant;
use crate::kernel::turns::take_break;
use crate::sync_errors::report::input::SyncFailureInput;
use crate::sync_errors::report::{StoredFailure, check_failure, related, remade, side};
use crate::sync_errors::tables::{affected_records, sync_errors};

/// The lines of some rows. An error without a record has none: it is resolved, nothing fails.
pub(super) async fn lines(rows: Vec<Row>) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for row in rows {
        take_break().await;
        if let Some(record) = &row.record {
            lines.extend(line(&row.error, record)?);
            lines.push(b'\n');
        }
    }
    Ok(lines)
}

/// Of several ways to tell a failure, the first that leads to the same error again and is not too long.
fn line(error: &ExportedError, record: &affected_records::Model) -> Result<Vec<u8>> {
    let own = remade((&error.row, &error.details), record);
    let latest = error.latest_failure.as_ref();
    let mut ways = Vec::new();
    if let Some(latest) = latest.filter(|failure| is_of(failure, record)) {
        ways.push(as_reported(latest, record));
        ways.push(SyncFailureInput {
            raw: latest.raw.clone(),
            ..own.clone()
        });
    }
    ways.push(own.clone());
    // Made only where it is needed: it may be long.
    let ways = ways.into_iter().map(Some).chain([None]);
    for way in ways {
        let input = way.or_else(|| like_latest(&own, &error.row, latest?));
        let Some(input) = input else { break };
        let line = written(&input)?;
        if line.len() <= limits::NDJSON_LINE_BYTES.value && leads_to(input, error) {
            return Ok(line);
        }
    }
    written(&own)
}

fn written(input: &SyncFailureInput) -> Result<Vec<u8>> {
    serde_json::to_vec(input).map_err(|error| Error::Internal(error.to_string()))
}

/// Whether the failure is classified as this error and nothing else.
fn leads_to(input: SyncFailureInput, error: &ExportedError) -> bool {
    match check_failure(input, i64::MAX / 2) {
        Ok(checked) => {
            let mut signatures = checked.causes.iter().map(|cause| cause.signature);
            signatures.next() == Some(error.row.signature) && signatures.next().is_none()
        }
        Err(_) => false,
    }
}

/// Whether the latest failure of an error was this record's.
fn is_of(failure: &StoredFailure, record: &affected_records::Model) -> bool {
    let same = |told: &Option<Record>, id: &Option<String>| {
        let told = told.as_ref().and_then(|record| record.record_id.as_ref());
        told.is_some() && told == id.as_ref()
    };
    failure.occurred_at == record.last_seen_at
        && (same(&failure.hubspot_record, &record.hubspot_record_id)
            || same(&failure.salesforce_record, &record.salesforce_record_id))
}

/// The failure as it was reported.
fn as_reported(failure: &StoredFailure, record: &affected_records::Model) -> SyncFailureInput {
    SyncFailureInput {
        report_id: Some(ID(failure.report_id.clone())),
        occurred_at: Some(Instant(record.last_seen_at)),
        first_occurred_at: Some(Instant(record.first_seen_at)),
        attempt_count: Some(record.attempt_count),
        direction: failure.direction,
        system: Some(failure.system),
        code: failure.code.clone(),
        message: Some(failure.message.clone()).filter(|text| !text.is_empty()),
        fields: Some(failure.fields.clone()).filter(|fields| !fields.is_empty()),
        raw: failure.raw.clone(),
        hubspot_record: side(record, System::Hubspot),
        salesforce_record: side(record, System::Salesforce),
        blocking_record: failure.blocking_record.clone().map(related),
        existing_record: failure.existing_record.clone().map(related),
        hubspot_property: failure.hubspot_property.clone(),
        salesforce_field: failure.salesforce_field.clone(),
        value: failure.value.clone(),
        category: failure.category,
    }
}

/// The failure of a record in the form of the latest one, for causes that only their wrapping tells apart.
fn like_latest(
    own: &SyncFailureInput,
    row: &sync_errors::Model,
    latest: &StoredFailure,
) -> Option<SyncFailureInput> {
    let text = own.message.as_deref()?;
    let (theirs, ours) = (inside_json(&row.message), inside_json(text));
    let is_told = !theirs.is_empty() && latest.message.contains(&theirs);
    is_told.then(|| SyncFailureInput {
        code: latest.code.clone(),
        message: Some(latest.message.replacen(&theirs, &ours, 1)),
        fields: Some(latest.fields.clone()),
        ..own.clone()
    })
}

/// A text as it stands inside of a JSON text.
fn inside_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.trim_matches('"').to_owned()
}
