//! Affected records, and how a record of either system is shown.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use serde::Serialize;
use uuid::Uuid;

use super::SyncError;
use super::guide::is_api_name;
use crate::classify::{self, RelatedRecord, System};
use crate::kernel::auth::{Read, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::Result;
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::scalars::{Instant, Url};
use crate::portals::{self, PortalRow};
use crate::sync_errors::records;
use crate::sync_errors::tables::affected_records;

/// Where the two systems are, for links to their records.
#[derive(Debug, Clone)]
pub struct Links {
    hub_id: i64,
    hubspot_app_url: String,
    salesforce_instance_url: Option<String>,
}

/// HubSpot's object type ids, as they stand in the paths of its app.
const HUBSPOT_TYPE_IDS: &[(&str, &str)] = &[
    ("contact", "0-1"),
    ("company", "0-2"),
    ("deal", "0-3"),
    ("ticket", "0-5"),
    ("product", "0-7"),
    ("line_item", "0-8"),
    ("quote", "0-14"),
    ("task", "0-27"),
    ("note", "0-46"),
    ("meeting", "0-47"),
    ("call", "0-48"),
    ("email", "0-49"),
    ("lead", "0-136"),
    ("order", "0-123"),
];

/// Types whose records HubSpot shows on those of others only: line items and activities.
const WITHOUT_PAGE: &[&str] = &["0-8", "0-27", "0-46", "0-47", "0-48", "0-49"];

/// Whether HubSpot has pages for the records of a type.
pub(super) fn has_page(type_id: &str) -> bool {
    !WITHOUT_PAGE.contains(&type_id)
}

impl Links {
    /// Those of a portal.
    pub fn of(row: &PortalRow) -> Self {
        Self {
            hub_id: row.portal.hub_id,
            hubspot_app_url: row.portal.hubspot_app_url.clone(),
            salesforce_instance_url: row.portal.salesforce_instance_url.clone(),
        }
    }

    pub(super) fn hub_id(&self) -> i64 {
        self.hub_id
    }

    pub(super) fn hubspot_app_url(&self) -> &str {
        &self.hubspot_app_url
    }

    pub(super) fn salesforce_instance_url(&self) -> Option<&str> {
        self.salesforce_instance_url.as_deref()
    }

    /// What stands for an object in the paths of HubSpot's app; none for a name that is not known.
    pub(super) fn hubspot_type_id(object_type: &str) -> Option<&str> {
        let known = HUBSPOT_TYPE_IDS
            .iter()
            .find(|(name, _)| *name == object_type);
        let is_custom = object_type
            .strip_prefix("2-")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
        known
            .map(|(_, id)| *id)
            .or(is_custom.then_some(object_type))
    }

    /// The record's page; none where the base URL, the id or HubSpot's type is not known.
    fn url(&self, system: System, object_type: Option<&str>, id: Option<&str>) -> Option<Url> {
        // An id is a provider's text: only what can be one becomes part of a link.
        let id = id.filter(|id| {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })?;
        match system {
            System::Salesforce => {
                let instance = self.salesforce_instance_url.as_deref()?;
                // Without its object the org finds the record too, by a redirect.
                Some(Url(match object_type.filter(|name| is_api_name(name)) {
                    Some(name) => format!("{instance}/lightning/r/{name}/{id}/view"),
                    None => format!("{instance}/{id}"),
                }))
            }
            System::Hubspot => {
                let type_id = Self::hubspot_type_id(object_type?).filter(|id| has_page(id))?;
                Some(Url(format!(
                    "{}/contacts/{}/record/{type_id}/{id}",
                    self.hubspot_app_url, self.hub_id
                )))
            }
        }
    }
}

/// A record of one of the two systems.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordRef {
    /// Where it is.
    pub system: System,
    /// The object's type: contact, company …, 2-N in HubSpot; the API name in Salesforce. Null when not told.
    pub object_type: Option<String>,
    /// Its id, in Salesforce with 18 characters; null when it is known by an external id only.
    pub record_id: Option<ID>,
    /// What it is known by where it has no id; null when not told.
    pub external_id: Option<ExternalId>,
    /// Its name; null when not told.
    pub name: Option<String>,
    /// Its page in that system; null when the base URL, the id or HubSpot's object type is not known, and for line items
    /// and activities, which have no page.
    pub url: Option<Url>,
}

/// A value of a unique field that stands for a record.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject, Serialize)]
pub struct ExternalId {
    /// The field.
    pub field: String,
    /// Its value.
    pub value: String,
}

impl RecordRef {
    /// One side as reported, also where it has no id yet.
    pub fn of_record(system: System, record: classify::Record, links: &Links) -> Self {
        let url = links.url(
            system,
            record.object_type.as_deref(),
            record.record_id.as_deref(),
        );
        Self {
            system,
            object_type: record.object_type,
            record_id: record.record_id.map(ID),
            external_id: None,
            name: record.name,
            url,
        }
    }

    pub(in crate::sync_errors) fn of_related(record: RelatedRecord, links: &Links) -> Self {
        let url = links.url(
            record.system,
            record.object_type.as_deref(),
            record.record_id.as_deref(),
        );
        Self {
            system: record.system,
            object_type: record.object_type,
            record_id: record.record_id.map(ID),
            external_id: record.external_id.map(|external| ExternalId {
                field: external.field,
                value: external.value,
            }),
            name: record.name,
            url,
        }
    }
}

/// One side of an affected record, as its row holds it.
pub(in crate::sync_errors) struct Side<'a> {
    pub(super) system: System,
    pub(super) object_type: Option<&'a str>,
    pub(super) record_id: &'a str,
    pub(super) name: Option<&'a str>,
    links: &'a Links,
}

impl Side<'_> {
    /// Its page in that system.
    pub(in crate::sync_errors) fn url(&self) -> Option<Url> {
        let id = Some(self.record_id);
        self.links.url(self.system, self.object_type, id)
    }
}

impl From<Side<'_>> for RecordRef {
    fn from(side: Side<'_>) -> Self {
        Self {
            system: side.system,
            object_type: side.object_type.map(str::to_owned),
            record_id: Some(side.record_id.into()),
            external_id: None,
            name: side.name.map(str::to_owned),
            url: side.url(),
        }
    }
}

/// A record, or a pair of records of both systems, that does not sync because of an error.
pub struct AffectedRecord {
    scope: Scope<Read>,
    pub(super) row: Arc<affected_records::Model>,
    links: Arc<Links>,
    error: Option<SyncError>,
}

impl AffectedRecord {
    pub(in crate::sync_errors) fn new(
        scope: Scope<Read>,
        row: Arc<affected_records::Model>,
        links: Arc<Links>,
        error: Option<SyncError>,
    ) -> Self {
        Self {
            scope,
            row,
            links,
            error,
        }
    }

    pub(in crate::sync_errors) fn row(&self) -> &affected_records::Model {
        &self.row
    }

    /// The record that holds the value already.
    pub(in crate::sync_errors) fn existing(&self) -> Option<RecordRef> {
        let record: RelatedRecord =
            serde_json::from_str(self.row.existing_record.as_deref()?).ok()?;
        Some(RecordRef::of_related(record, &self.links))
    }

    pub(super) fn row_id(&self) -> Uuid {
        self.row.id
    }

    pub(super) fn global_id(&self) -> ID {
        let key = [self.row.error_id.into_bytes(), self.row.id.into_bytes()].concat();
        GlobalId::encode(Kind::AffectedRecord, self.row.hub_id, &key)
    }

    /// One side; none where nothing of it was told.
    pub(in crate::sync_errors) fn side(&self, system: System) -> Option<Side<'_>> {
        let row = &*self.row;
        let (object_type, record_id, name) = match system {
            System::Hubspot => (
                &row.hubspot_object_type,
                &row.hubspot_record_id,
                &row.hubspot_name,
            ),
            System::Salesforce => (
                &row.salesforce_object_type,
                &row.salesforce_record_id,
                &row.salesforce_name,
            ),
        };
        Some(Side {
            system,
            object_type: object_type.as_deref(),
            record_id: record_id.as_deref()?,
            name: name.as_deref(),
            links: &self.links,
        })
    }

    /// The record of a global id; `None` when it does not exist, or does not fail any more.
    pub async fn load(call: &Call, scope: Scope<Read>, id: &GlobalId) -> Result<Option<Self>> {
        let Some((error_id, record_id)) = id.two_uuids() else {
            return Ok(None);
        };
        let Some(portal) = portals::find(call, &scope).await? else {
            return Ok(None);
        };
        let row = records::find(call, &scope, error_id, record_id).await?;
        Ok(row.map(|row| Self {
            links: Arc::new(Links::of(&portal)),
            scope,
            row: Arc::new(row),
            error: None,
        }))
    }
}

/// A record, or a pair of records of both systems, that does not sync because of an error.
#[Object]
impl AffectedRecord {
    /// Global id.
    pub async fn id(&self) -> ID {
        self.global_id()
    }

    /// The error that holds it back.
    async fn sync_error(&self, ctx: &Context<'_>) -> Result<SyncError> {
        if let Some(error) = &self.error {
            return Ok(error.again());
        }
        let id = GlobalId {
            kind: Kind::SyncError,
            hub_id: self.row.hub_id,
            key: self.row.error_id.as_bytes().to_vec(),
        };
        let error = SyncError::load(Call::of(ctx)?, self.scope.clone(), &id).await?;
        error.ok_or_else(portals::api::portal_gone)
    }

    /// Its side in HubSpot; null when it does not exist there yet, or was not told.
    async fn hubspot_record(&self) -> Option<RecordRef> {
        self.side(System::Hubspot).map(RecordRef::from)
    }

    /// Its side in Salesforce; null when it does not exist there yet, or was not told.
    async fn salesforce_record(&self) -> Option<RecordRef> {
        self.side(System::Salesforce).map(RecordRef::from)
    }

    /// DUPLICATES: the other record, which holds the value; null when not told.
    async fn existing_record(&self) -> Option<RecordRef> {
        self.existing()
    }

    /// The rejected value; null when not told. At most 2,000 characters.
    async fn value(&self) -> Option<&str> {
        self.row.rejected_value.as_deref()
    }

    /// This record's own text, as the provider wrote it. At most 16,000 characters.
    async fn message(&self) -> &str {
        &self.row.message
    }

    /// When it first failed for this cause.
    async fn first_seen_at(&self) -> Instant {
        Instant(self.row.first_seen_at)
    }

    /// When it last failed for this cause.
    async fn last_seen_at(&self) -> Instant {
        Instant(self.row.last_seen_at)
    }

    /// Number of failures of this record for this cause; stops at 2^31-1.
    async fn attempt_count(&self) -> i32 {
        self.row.attempt_count
    }
}
