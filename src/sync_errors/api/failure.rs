//! The latest failure of an error as it was reported.

use async_graphql::{ID, Object};

use super::record::{Links, RecordRef};
use crate::classify::{RelatedRecord, SyncDirection, SyncErrorCategory, System};
use crate::kernel::scalars::Instant;
use crate::sync_errors::report::StoredFailure;

/// One failed attempt to sync one record, as it was reported.
pub struct SyncFailure {
    stored: StoredFailure,
    links: Links,
}

impl SyncFailure {
    pub(super) fn new(stored: StoredFailure, links: Links) -> Self {
        Self { stored, links }
    }

    fn related(&self, record: &Option<RelatedRecord>) -> Option<RecordRef> {
        let record = record.clone()?;
        Some(RecordRef::of_related(record, &self.links))
    }
}

/// One failed attempt to sync one record, as it was reported.
#[Object]
impl SyncFailure {
    /// The engine's own id of the report, or one made from its content.
    async fn report_id(&self) -> ID {
        ID(self.stored.report_id.clone())
    }

    /// When it failed.
    async fn occurred_at(&self) -> Instant {
        Instant(self.stored.occurred_at)
    }

    /// When it was reported here.
    async fn received_at(&self) -> Instant {
        Instant(self.stored.received_at)
    }

    /// By whom: the subject of the token.
    async fn reported_by(&self) -> &str {
        &self.stored.reported_by
    }

    /// Which way the change was to go.
    async fn direction(&self) -> SyncDirection {
        self.stored.direction
    }

    /// Who refused.
    async fn system(&self) -> System {
        self.stored.system
    }

    /// The provider's code as reported; null when it had none.
    async fn code(&self) -> Option<&str> {
        self.stored.code.as_deref()
    }

    /// The provider's text as reported; empty when only `raw` or `code` was.
    async fn message(&self) -> &str {
        &self.stored.message
    }

    /// The fields or properties that the provider named.
    async fn fields(&self) -> &[String] {
        &self.stored.fields
    }

    /// The record on HubSpot's side; null when not told.
    async fn hubspot_record(&self) -> Option<RecordRef> {
        self.stored
            .hubspot_record
            .clone()
            .map(|record| RecordRef::of_record(System::Hubspot, record, &self.links))
    }

    /// The record on Salesforce's side; null when not told.
    async fn salesforce_record(&self) -> Option<RecordRef> {
        self.stored
            .salesforce_record
            .clone()
            .map(|record| RecordRef::of_record(System::Salesforce, record, &self.links))
    }

    /// The rejected value; null when not told.
    async fn value(&self) -> Option<&str> {
        self.stored.value.as_deref()
    }

    /// The provider's whole answer; null when not told.
    async fn raw(&self) -> Option<&str> {
        self.stored.raw.as_deref()
    }

    /// The record that this one waits for; null when not told.
    async fn blocking_record(&self) -> Option<RecordRef> {
        self.related(&self.stored.blocking_record)
    }

    /// The record that holds the value already; null when not told.
    async fn existing_record(&self) -> Option<RecordRef> {
        self.related(&self.stored.existing_record)
    }

    /// The mapped HubSpot property; null when not told.
    async fn hubspot_property(&self) -> Option<&str> {
        self.stored.hubspot_property.as_deref()
    }

    /// The mapped Salesforce field; null when not told.
    async fn salesforce_field(&self) -> Option<&str> {
        self.stored.salesforce_field.as_deref()
    }

    /// The engine's own opinion; null when it had none.
    async fn category(&self) -> Option<SyncErrorCategory> {
        self.stored.category
    }
}
