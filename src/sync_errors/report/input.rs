//! What engines send, the same in GraphQL and NDJSON.
//!
//! GraphQL refuses a whole request for one value of a wrong type, therefore only `direction` is non-null here and
//! everything else is checked per element.

use async_graphql::{ID, InputObject};
use serde::{Deserialize, Deserializer, Serialize};

use crate::classify::{SyncDirection, SyncErrorCategory, System};
use crate::kernel::scalars::Instant;

/// One failed attempt to sync one record, as Salesforce or HubSpot answered it.
#[derive(Debug, Clone, InputObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyncFailureInput {
    /// The engine's own id of this report, at most 255 characters: the same id again within 7 days changes nothing.
    /// When left out, the same content with the same `occurredAt` changes nothing.
    #[serde(
        default,
        deserialize_with = "id",
        skip_serializing_if = "Option::is_none"
    )]
    pub report_id: Option<ID>,
    /// When it failed; now when left out. From 2000 on, at most 300 seconds ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Instant>,
    /// When this record first failed for this cause, where several failures are told as one; not after `occurredAt`. From
    /// 2000 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_occurred_at: Option<Instant>,
    /// How many failures of this record are told as one, the latest of them; 1 when left out, at most 1,000,000. It is added
    /// to what is known: tell each failure once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_count: Option<i32>,
    /// Which way the change was to go.
    pub direction: SyncDirection,
    /// Who refused; when left out, the system that the change was to be written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// The provider's code, for example "STRING_TOO_LONG", at most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The provider's text, at most 16,000 characters. Without it, `code` and `raw` the error is UNKNOWN. JSON of the provider is
    /// read too: a list of errors becomes one cause each, at most 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The fields or properties that the provider named, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
    /// The provider's whole answer, at most 60,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The record on HubSpot's side. At least one of the two records has a `recordId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hubspot_record: Option<RecordInput>,
    /// The record on Salesforce's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salesforce_record: Option<RecordInput>,
    /// The record that this one waits for, where the provider told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocking_record: Option<RelatedRecordInput>,
    /// The record that holds the value already, where the provider told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_record: Option<RelatedRecordInput>,
    /// The mapped HubSpot property, where the engine knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hubspot_property: Option<String>,
    /// The mapped Salesforce field, where the engine knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salesforce_field: Option<String>,
    /// The rejected value, at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The engine's own opinion: replaces the category of the rules, with that category's catch-all type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<SyncErrorCategory>,
}

/// One side of what was to be synced.
#[derive(Debug, Clone, InputObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordInput {
    /// The object's type: contact, company …, custom objects 2-N (HubSpot); the API name (Salesforce).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_type: Option<String>,
    /// Its id; left out when it is to be created there. Salesforce ids of 15 and 18 characters are the same record.
    #[serde(
        default,
        deserialize_with = "id",
        skip_serializing_if = "Option::is_none"
    )]
    pub record_id: Option<ID>,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A record beside the synced one. It needs a `recordId` or an `externalId`.
#[derive(Debug, Clone, InputObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RelatedRecordInput {
    /// Where it is; the refusing system when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// The object's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_type: Option<String>,
    /// Its id.
    #[serde(
        default,
        deserialize_with = "id",
        skip_serializing_if = "Option::is_none"
    )]
    pub record_id: Option<ID>,
    /// What it is known by where it has no id yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExternalIdInput>,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A value of a unique field that stands for a record.
#[derive(Debug, Clone, InputObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalIdInput {
    /// The field.
    pub field: String,
    /// Its value.
    pub value: String,
}

/// One record that syncs again, or is gone.
#[derive(Debug, Clone, InputObject)]
pub struct SyncSuccessInput {
    /// When it synced; now when left out. Clears what failed until then. From 2000 on, at most 300 seconds ahead.
    pub occurred_at: Option<Instant>,
    /// Clears errors of this direction only; of both when left out.
    pub direction: Option<SyncDirection>,
    /// The record on HubSpot's side. At least one of the two records has a `recordId`.
    pub hubspot_record: Option<RecordInput>,
    /// The record on Salesforce's side.
    pub salesforce_record: Option<RecordInput>,
    /// The record will not sync again: it was deleted, merged or excluded. Clears it in the same way.
    #[graphql(default_with = "Some(false)")]
    pub removed: Option<bool>,
}

/// An id in JSON: a text or a whole number, as in GraphQL.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ID>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(i64),
    }
    Ok(Option::<Id>::deserialize(deserializer)?.map(|id| match id {
        Id::Text(text) => ID(text),
        Id::Number(number) => ID(number.to_string()),
    }))
}
