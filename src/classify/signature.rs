//! What makes failures the same sync error.
//!
//! A signature is direction, refusing system, type and object, and what the category adds. A part that is missing falls back to
//! code and normalised text. The digest is SHA-256, shortened to 16 bytes, over the parts and the version of the rules.

use sea_orm::ActiveEnum;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::classify::details::Details;
use crate::classify::facts::Facts;
use crate::classify::normalise::normalise;
use crate::classify::provider_error::{ProviderError, split_at_text, strip_field_list};
use crate::classify::{Failure, SIGNATURE_VERSION, SyncErrorCategory, SyncErrorType};

/// A signature with what it holds constant.
pub(super) struct Signature {
    pub(super) digest: Uuid,
    pub(super) fields: Vec<String>,
    pub(super) details: Details,
}

pub(super) fn signature(
    failure: &Failure,
    error: &ProviderError,
    error_type: SyncErrorType,
    facts: &Facts,
) -> Signature {
    use SyncErrorCategory::*;
    let mut fields = facts.comparable_fields();
    let category = error_type.category();
    let by_field = !fields.is_empty();
    let added = match category {
        Associations => facts.blocking_key(),
        Duplicates => by_field
            .then_some(facts.value.as_ref())
            .flatten()
            .map(|value| vec!["value".into(), value.to_lowercase()]),
        Permissions => (by_field || facts.object.is_some()).then(|| facts.access_key()),
        Picklists | PropertyMappings | PropertyValues => by_field.then(Vec::new),
        CustomCode | Other => None,
    };
    if matches!(category, CustomCode | Other) {
        fields.clear();
    }
    let complete = added.is_some();
    let added = added.unwrap_or_else(|| fallback(failure, error, facts, error_type));
    let details = facts.details(failure, error_type, complete);
    let mut parts: Vec<&str> = vec![facts.object.as_deref().unwrap_or_default()];
    parts.extend(fields.iter().map(String::as_str));
    parts.push("");
    parts.extend(added.iter().map(String::as_str));
    Signature {
        digest: digest(failure, error_type, &parts),
        fields,
        details,
    }
}

/// Code and normalised text; of automation also the component, which may be what the text quotes.
fn fallback(
    failure: &Failure,
    error: &ProviderError,
    facts: &Facts,
    error_type: SyncErrorType,
) -> Vec<String> {
    let text = strip_field_list(&error.cleaned);
    let text = match error_type {
        SyncErrorType::RowLocked => without_waiting_records(text),
        _ => text.to_owned(),
    };
    let mut own = own_facts(failure);
    own.extend(facts.value.as_deref());
    let text = normalise(&text, &own);
    let category = error_type.category();
    let first = match category {
        SyncErrorCategory::CustomCode => facts.component.as_deref(),
        _ => error.code.as_deref(),
    };
    vec![first.unwrap_or_default().to_lowercase(), text]
}

/// The text without " or 2 records: ID,ID": how many records wait for a lock varies.
fn without_waiting_records(text: &str) -> String {
    let records = |rest: &str| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let ids = rest.strip_prefix(" records: ").map(str::len);
        ids.map(|length| text.len() - length)
    };
    let Some((before, from)) =
        split_at_text(text, " or ").and_then(|(before, rest)| Some((before, records(rest)?)))
    else {
        return text.to_owned();
    };
    let is_list = |c: char| c.is_ascii_alphanumeric() || c == ',';
    before.to_owned() + text[from..].trim_start_matches(is_list)
}

/// What the failure says of its own records: it may stand in the provider's text.
fn own_facts(failure: &Failure) -> Vec<&str> {
    let records = [&failure.hubspot_record, &failure.salesforce_record];
    let related = [&failure.existing_record, &failure.blocking_record];
    let of_records = records
        .into_iter()
        .flatten()
        .flat_map(|record| [record.record_id.as_deref(), record.name.as_deref()]);
    let of_related = related.into_iter().flatten().flat_map(|record| {
        let external = record
            .external_id
            .as_ref()
            .map(|external| external.value.as_str());
        [
            record.record_id.as_deref(),
            record.name.as_deref(),
            external,
        ]
    });
    of_records
        .flatten()
        .chain(of_related.flatten())
        .chain(failure.value.as_deref())
        .collect()
}

fn digest(failure: &Failure, error_type: SyncErrorType, parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(SIGNATURE_VERSION.to_be_bytes());
    for number in [
        failure.direction.to_value(),
        failure.system.to_value(),
        error_type.to_value(),
    ] {
        hash.update(number.to_be_bytes());
    }
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hash: [u8; 32] = hash.finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(short)
}
