//! Filters and orders of lists.

use async_graphql::{Enum, ID, InputObject};

use crate::classify::{SyncDirection, SyncErrorCategory, SyncErrorType, System};
use crate::kernel::page::PageArguments;
use crate::kernel::scalars::Instant;
use crate::portals::api::OrderDirection;
use crate::sync_errors::SyncErrorStatus;

/// Which errors: all given keys have to hold; in a list one value has to; [] and null mean any. There is no status in
/// it, so that one filter serves every list.
#[derive(Debug, Clone, Default, InputObject)]
pub struct SyncErrorFilter {
    /// Cards.
    pub categories: Option<Vec<SyncErrorCategory>>,
    /// Types.
    pub types: Option<Vec<SyncErrorType>>,
    /// Who refused.
    pub systems: Option<Vec<System>>,
    /// Which way the change was to go.
    pub directions: Option<Vec<SyncDirection>>,
    /// HubSpot object types, at most 100: contact, company …, 2-N.
    pub hubspot_object_types: Option<Vec<String>>,
    /// Salesforce object types, at most 100: API names, compared without case.
    pub salesforce_object_types: Option<Vec<String>>,
    /// Codes of the latest failure, at most 100.
    pub codes: Option<Vec<String>>,
    /// Fields or properties that the error is about, at most 100: API names, compared without case.
    pub fields: Option<Vec<String>>,
    /// Whether trying again alone may help.
    pub transient: Option<bool>,
    /// A part of message, code, object type or field, compared without case; at most 200 characters.
    pub search: Option<String>,
    /// Only errors that hold this record back.
    pub affecting: Option<RecordKeyInput>,
    /// Only errors with at least so many affected records.
    pub min_affected_record_count: Option<i32>,
    /// When the error was first seen.
    pub first_seen: Option<TimeRangeInput>,
    /// When the error was last seen.
    pub last_seen: Option<TimeRangeInput>,
}

impl SyncErrorFilter {
    /// The keys that ask for facts which never change.
    pub fn facts(&self) -> SyncErrorEventFilter {
        SyncErrorEventFilter {
            categories: self.categories.clone(),
            types: self.types.clone(),
            systems: self.systems.clone(),
            directions: self.directions.clone(),
            hubspot_object_types: self.hubspot_object_types.clone(),
            salesforce_object_types: self.salesforce_object_types.clone(),
            fields: self.fields.clone(),
        }
    }

    /// Whether it asks for nothing but categories: then the counters of the cards answer.
    pub fn is_about_categories_only(&self) -> bool {
        fn any<T>(list: &Option<Vec<T>>) -> bool {
            list.as_ref().is_none_or(Vec::is_empty)
        }
        any(&self.types)
            && any(&self.systems)
            && any(&self.directions)
            && any(&self.hubspot_object_types)
            && any(&self.salesforce_object_types)
            && any(&self.codes)
            && any(&self.fields)
            && self.transient.is_none()
            && self.search.is_none()
            && self.affecting.is_none()
            && self.min_affected_record_count.is_none()
            && self.first_seen.is_none()
            && self.last_seen.is_none()
    }
}

/// Which events, by facts of their errors that never change, so that what is read now and what is read again later agree.
#[derive(Debug, Clone, Default, InputObject)]
pub struct SyncErrorEventFilter {
    /// Cards.
    pub categories: Option<Vec<SyncErrorCategory>>,
    /// Types.
    pub types: Option<Vec<SyncErrorType>>,
    /// Who refused.
    pub systems: Option<Vec<System>>,
    /// Which way the change was to go.
    pub directions: Option<Vec<SyncDirection>>,
    /// HubSpot object types, at most 100: contact, company …, 2-N.
    pub hubspot_object_types: Option<Vec<String>>,
    /// Salesforce object types, at most 100: API names, compared without case.
    pub salesforce_object_types: Option<Vec<String>>,
    /// Fields or properties that the error is about, at most 100: API names, compared without case.
    pub fields: Option<Vec<String>>,
}

/// A span of time; a key left out leaves that side open.
#[derive(Debug, Clone, InputObject)]
pub struct TimeRangeInput {
    /// From then on.
    pub since: Option<Instant>,
    /// Until then, exclusive.
    pub until: Option<Instant>,
}

/// One record.
#[derive(Debug, Clone, InputObject)]
pub struct RecordKeyInput {
    /// Where it is.
    pub system: System,
    /// The object's type; left out: any.
    pub object_type: Option<String>,
    /// Its id; Salesforce ids with 15 or 18 characters.
    pub record_id: ID,
}

/// What errors are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SyncErrorOrderField {
    /// When the error was last seen. Errors move in this order while it is read.
    LastSeenAt,
    /// When the error was first seen: the order for complete walks.
    FirstSeenAt,
    /// The number of affected records.
    AffectedRecordCount,
    /// The number of failures.
    OccurrenceCount,
}

/// The order of a list of errors; equal ones go by the order in which they were first reported.
#[derive(Debug, InputObject)]
pub struct SyncErrorOrder {
    /// What it goes by.
    pub field: SyncErrorOrderField,
    /// Which way it goes.
    #[graphql(default_with = "OrderDirection::Desc")]
    pub direction: OrderDirection,
}

impl Default for SyncErrorOrder {
    fn default() -> Self {
        Self {
            field: SyncErrorOrderField::LastSeenAt,
            direction: OrderDirection::Desc,
        }
    }
}

/// The arguments of a list of errors.
pub struct ErrorListArguments {
    /// Which page.
    pub page: PageArguments,
    /// Only this card.
    pub category: Option<SyncErrorCategory>,
    /// Only in these.
    pub statuses: Option<Vec<SyncErrorStatus>>,
    /// Only those that it holds for.
    pub filter: Option<SyncErrorFilter>,
    /// In which order.
    pub order_by: Option<SyncErrorOrder>,
}
