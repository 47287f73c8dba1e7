//! Checks each element of a report by itself: what is wrong with one does not touch the others.

use async_graphql::ID;
use sea_orm::ActiveEnum;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::input::{RecordInput, RelatedRecordInput, SyncFailureInput, SyncSuccessInput};
use super::{CheckedFailure, CheckedSuccess};
use crate::classify::{
    ExternalId, Failure, Record, RelatedRecord, SyncDirection, System, canonical_object_type,
    canonical_record_id, classify,
};
use crate::kernel::clock::Micros;
use crate::kernel::limits::{self, Limit};
use crate::kernel::text::{undirected, without_nul};
use crate::kernel::user_error::{UserError, UserErrorCode};
use crate::portals::check_occurred_at;

/// Gathers what is wrong with one element.
#[derive(Default)]
struct Findings(Vec<UserError>);

impl Findings {
    fn add(&mut self, code: UserErrorCode, path: &[&str], message: impl Into<String>) {
        self.0.push(UserError::new(code, path, message));
    }

    /// A text without NUL, trimmed; an empty one is absent.
    fn text(&mut self, text: Option<String>, path: &[&str], limit: Limit) -> Option<String> {
        let text = text.map(without_nul)?;
        if text.chars().count() > limit.value {
            self.add(
                UserErrorCode::TooLong,
                path,
                format!("At most {} {} ({}).", limit.value, limit.unit, limit.name),
            );
        }
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return None;
        }
        Some(if trimmed.len() == text.len() {
            text
        } else {
            trimmed.to_owned()
        })
    }

    fn name(&mut self, text: Option<String>, path: &[&str]) -> Option<String> {
        self.text(text, path, limits::NAME_CHARACTERS)
    }

    /// A name for people.
    fn label(&mut self, text: Option<String>, path: &[&str]) -> Option<String> {
        self.name(text.map(undirected), path)
    }

    fn id(&mut self, system: System, id: Option<ID>, path: &[&str]) -> Option<String> {
        self.name(id.map(|id| id.0), path)
            .map(|id| canonical_record_id(system, &id))
    }

    fn object_type(
        &mut self,
        system: System,
        name: Option<String>,
        path: &[&str],
    ) -> Option<String> {
        self.name(name, path)
            .map(|name| canonical_object_type(system, &name))
    }

    fn record(&mut self, system: System, record: Option<RecordInput>, key: &str) -> Option<Record> {
        let record = record?;
        Some(Record {
            object_type: self.object_type(system, record.object_type, &[key, "objectType"]),
            record_id: self.id(system, record.record_id, &[key, "recordId"]),
            name: self.label(record.name, &[key, "name"]),
        })
    }

    fn related(
        &mut self,
        default: System,
        record: Option<RelatedRecordInput>,
        key: &str,
    ) -> Option<RelatedRecord> {
        let record = record?;
        let system = record.system.unwrap_or(default);
        let external_id = record.external_id.and_then(|external| {
            let field = self.name(Some(external.field), &[key, "externalId", "field"])?;
            let value = self.text(
                Some(external.value),
                &[key, "externalId", "value"],
                limits::VALUE_CHARACTERS,
            )?;
            Some(ExternalId { field, value })
        });
        let related = RelatedRecord {
            system,
            object_type: self.object_type(system, record.object_type, &[key, "objectType"]),
            record_id: self.id(system, record.record_id, &[key, "recordId"]),
            external_id,
            name: self.label(record.name, &[key, "name"]),
        };
        if related.record_id.is_none() && related.external_id.is_none() {
            self.add(
                UserErrorCode::Required,
                &[key],
                "A recordId or an externalId is needed.",
            );
        }
        Some(related)
    }

    fn fields(&mut self, fields: Option<Vec<String>>) -> Vec<String> {
        let fields = fields.unwrap_or_default();
        let limit = limits::FAILURE_FIELDS;
        if fields.len() > limit.value {
            self.add(
                UserErrorCode::TooMany,
                &["fields"],
                format!("At most {} {} ({}).", limit.value, limit.unit, limit.name),
            );
            return Vec::new();
        }
        let check =
            |(at, field): (usize, String)| self.name(Some(field), &["fields", &at.to_string()]);
        fields.into_iter().enumerate().filter_map(check).collect()
    }

    fn occurred_at(&mut self, at: Micros, now: Micros) {
        self.0.extend(check_occurred_at(at, now).err());
    }

    /// Several failures that are told as one.
    fn told_as_one(&mut self, first: Micros, at: Micros, count: i32) {
        const PATH: &[&str] = &["firstOccurredAt"];
        if first > at {
            let message = "The first of several failures comes not after the latest, occurredAt.";
            self.add(UserErrorCode::OutOfRange, PATH, message);
        } else if let Err(error) = check_occurred_at(first, at) {
            self.add(UserErrorCode::OutOfRange, PATH, error.message);
        }
        let limit = limits::FAILURES_TOLD_AS_ONE;
        if !(1..=limit.value as i32).contains(&count) {
            let message = format!("From 1 to {} {} ({}).", limit.value, limit.unit, limit.name);
            self.add(UserErrorCode::OutOfRange, &["attemptCount"], message);
        }
    }

    fn need_a_record(&mut self, hubspot: Option<&Record>, salesforce: Option<&Record>) {
        if [hubspot, salesforce]
            .into_iter()
            .flatten()
            .all(|record| record.record_id.is_none())
        {
            let message = "The recordId of the HubSpot record or of the Salesforce record is needed: without one, nothing tells which record this is about.";
            self.add(
                UserErrorCode::Required,
                &["hubspotRecord", "recordId"],
                message,
            );
        }
    }

    fn done<T>(self, value: T) -> Result<T, Vec<UserError>> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self.0)
        }
    }
}

/// Checks and classifies a failure.
pub fn check_failure(
    input: SyncFailureInput,
    now: Micros,
) -> Result<CheckedFailure, Vec<UserError>> {
    let mut findings = Findings::default();
    let system = input.system.unwrap_or(input.direction.source().other());
    let occurred_at = input.occurred_at.map(|at| at.0);
    let at = occurred_at.unwrap_or(now);
    findings.occurred_at(at, now);
    let first_occurred_at = input.first_occurred_at.map(|at| at.0);
    let attempt_count = input.attempt_count.unwrap_or(1);
    findings.told_as_one(first_occurred_at.unwrap_or(at), at, attempt_count);
    let report_id = findings.name(input.report_id.map(|id| id.0), &["reportId"]);
    let message = findings.text(input.message, &["message"], limits::MESSAGE_CHARACTERS);
    let failure = Failure {
        direction: input.direction,
        system,
        code: findings.name(input.code, &["code"]),
        message: message.unwrap_or_default(),
        fields: findings.fields(input.fields),
        raw: findings.text(input.raw, &["raw"], limits::RAW_CHARACTERS),
        hubspot_record: findings.record(System::Hubspot, input.hubspot_record, "hubspotRecord"),
        salesforce_record: findings.record(
            System::Salesforce,
            input.salesforce_record,
            "salesforceRecord",
        ),
        blocking_record: findings.related(system, input.blocking_record, "blockingRecord"),
        existing_record: findings.related(system, input.existing_record, "existingRecord"),
        hubspot_property: findings.name(input.hubspot_property, &["hubspotProperty"]),
        salesforce_field: findings.name(input.salesforce_field, &["salesforceField"]),
        value: findings.text(input.value, &["value"], limits::VALUE_CHARACTERS),
        category: input.category,
    };
    findings.need_a_record(
        failure.hubspot_record.as_ref(),
        failure.salesforce_record.as_ref(),
    );
    let failure = findings.done(failure)?;
    let digest = digest(report_id.as_deref(), &failure, occurred_at);
    let is_nameless = report_id.is_none() && occurred_at.is_none();
    let report_id = report_id.unwrap_or_else(|| digest.to_string());
    Ok(CheckedFailure {
        causes: classify(&failure),
        failure,
        report_id,
        digest,
        is_nameless,
        occurred_at,
        first_occurred_at,
        attempt_count,
    })
}

/// Checks and classifies the failure of an attempt; the attempt's records stand where none are told.
pub fn check_attempt(
    mut input: SyncFailureInput,
    (hubspot, salesforce): (Option<&Record>, Option<&Record>),
    now: Micros,
) -> Result<CheckedFailure, Vec<UserError>> {
    let told = |record: &Option<RecordInput>| {
        let id = record.as_ref().and_then(|record| record.record_id.as_ref());
        id.is_some()
    };
    if !told(&input.hubspot_record) && !told(&input.salesforce_record) {
        input.hubspot_record = hubspot.map(as_input).or(input.hubspot_record);
        input.salesforce_record = salesforce.map(as_input).or(input.salesforce_record);
    }
    check_failure(input, now)
}

fn as_input(record: &Record) -> RecordInput {
    RecordInput {
        object_type: record.object_type.clone(),
        record_id: record.record_id.clone().map(ID),
        name: record.name.clone(),
    }
}

/// Checks a success.
pub fn check_success(
    input: SyncSuccessInput,
    now: Micros,
) -> Result<CheckedSuccess, Vec<UserError>> {
    let mut findings = Findings::default();
    let occurred_at = input.occurred_at.map(|at| at.0);
    findings.occurred_at(occurred_at.unwrap_or(now), now);
    let hubspot_record = findings.record(System::Hubspot, input.hubspot_record, "hubspotRecord");
    let salesforce_record = findings.record(
        System::Salesforce,
        input.salesforce_record,
        "salesforceRecord",
    );
    findings.need_a_record(hubspot_record.as_ref(), salesforce_record.as_ref());
    findings.done(CheckedSuccess {
        removed: input.removed.unwrap_or(false),
        occurred_at,
        direction: input.direction,
        hubspot_record,
        salesforce_record,
    })
}

/// What stands for a report: its own id, else its content with the instant.
fn digest(report_id: Option<&str>, failure: &Failure, occurred_at: Option<Micros>) -> Uuid {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    match report_id {
        Some(id) => part(id),
        None => {
            part("");
            for text in [
                Some(&failure.message),
                failure.code.as_ref(),
                failure.raw.as_ref(),
                failure.value.as_ref(),
            ] {
                part(text.map_or("", String::as_str));
            }
            for record in [&failure.hubspot_record, &failure.salesforce_record].into_iter() {
                let record = record.clone().unwrap_or_default();
                part(record.object_type.as_deref().unwrap_or_default());
                part(record.record_id.as_deref().unwrap_or_default());
            }
            failure.fields.iter().for_each(|field| part(field));
            let direction = matches!(failure.direction, SyncDirection::HubspotToSalesforce);
            part(if direction {
                "to salesforce"
            } else {
                "to hubspot"
            });
            part(&failure.system.to_value().to_string());
            part(&occurred_at.map_or_else(String::new, |at| at.to_string()));
        }
    }
    let hash: [u8; 32] = hash.finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(short)
}
