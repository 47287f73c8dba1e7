//! What a signature holds constant, typed by category.

use async_graphql::{SimpleObject, Union};

use super::record::{Links, RecordRef};
use crate::classify::{self, AccessKind, Details, System};

/// A field of Salesforce or a property of HubSpot.
#[derive(Debug, Clone, SimpleObject)]
pub struct FieldRef {
    /// Where it is.
    pub system: System,
    /// Its object; null when not told.
    pub object_type: Option<String>,
    /// The API name (custom fields: Foo__c); the label where the provider told only that.
    pub name: String,
    /// What users read; null when not told.
    pub label: Option<String>,
}

impl From<classify::FieldName> for FieldRef {
    fn from(field: classify::FieldName) -> Self {
        Self {
            system: field.system,
            object_type: field.object_type,
            name: field.name,
            label: field.label,
        }
    }
}

/// What the signature of an error holds constant for all its records, by category.
#[derive(Union)]
pub enum SyncErrorDetails {
    /// ASSOCIATIONS.
    Association(AssociationDetails),
    /// CUSTOM_CODE.
    CustomCode(CustomCodeDetails),
    /// DUPLICATES.
    Duplicate(DuplicateDetails),
    /// PERMISSIONS.
    Permission(PermissionDetails),
    /// PICKLISTS.
    Picklist(PicklistDetails),
    /// PROPERTY_MAPPINGS.
    PropertyMapping(PropertyMappingDetails),
    /// PROPERTY_VALUES.
    PropertyValue(PropertyValueDetails),
}

/// Details of ASSOCIATIONS.
#[derive(SimpleObject)]
pub struct AssociationDetails {
    /// The record that is waited for: the tab's column "Record". Null when the provider named none.
    pub blocking_record: Option<RecordRef>,
    /// HubSpot's limit of associations; null when the text names none.
    pub limit: Option<i32>,
}

/// Details of CUSTOM_CODE. The tab's column "Error details" is `SyncError.message` and `causeMessage`.
#[derive(SimpleObject)]
pub struct CustomCodeDetails {
    /// The trigger, class, flow or process; null when the text names none.
    pub component_name: Option<String>,
}

/// Details of DUPLICATES.
#[derive(SimpleObject)]
pub struct DuplicateDetails {
    /// The HubSpot property; null when not told.
    pub hubspot_property: Option<FieldRef>,
    /// The Salesforce field; null when not told.
    pub salesforce_field: Option<FieldRef>,
    /// The value that exists already; null where it differs by record or was not told.
    pub duplicate_value: Option<String>,
    /// The record that holds the value; null where it differs by record or was not told.
    pub existing_record: Option<RecordRef>,
    /// The Salesforce duplicate rule; null when not told.
    pub duplicate_rule: Option<String>,
}

/// Details of PERMISSIONS.
#[derive(SimpleObject)]
pub struct PermissionDetails {
    /// The object; null when not told.
    pub object_type: Option<String>,
    /// The fields, by name; empty when none was told.
    pub fields: Vec<FieldRef>,
    /// What the connected user lacks; null when the code does not tell.
    pub missing_access: Option<AccessKind>,
}

/// Details of PICKLISTS.
#[derive(SimpleObject)]
pub struct PicklistDetails {
    /// The HubSpot property; null when not told.
    pub hubspot_property: Option<FieldRef>,
    /// The Salesforce field; null when not told.
    pub salesforce_field: Option<FieldRef>,
    /// How many options there may be; null when the text names no number.
    pub option_limit: Option<i32>,
}

/// Details of PROPERTY_MAPPINGS.
#[derive(SimpleObject)]
pub struct PropertyMappingDetails {
    /// The HubSpot property; null when not told.
    pub hubspot_property: Option<FieldRef>,
    /// The Salesforce field; null when not told.
    pub salesforce_field: Option<FieldRef>,
    /// The type that was expected, in the provider's words; null when the text names none.
    pub expected_type: Option<String>,
}

/// Details of PROPERTY_VALUES.
#[derive(SimpleObject)]
pub struct PropertyValueDetails {
    /// The HubSpot property; null when not told.
    pub hubspot_property: Option<FieldRef>,
    /// The Salesforce field; null when not told.
    pub salesforce_field: Option<FieldRef>,
    /// The field's length in characters; null when the text names none.
    pub max_length: Option<i32>,
}

impl SyncErrorDetails {
    pub(super) fn new(details: Details, links: &Links) -> Option<Self> {
        let field = |field: Option<classify::FieldName>| field.map(FieldRef::from);
        let record = |record: Option<classify::RelatedRecord>| {
            record.map(|record| RecordRef::of_related(record, links))
        };
        Some(match details {
            Details::Associations {
                blocking_record,
                limit,
                ..
            } => Self::Association(AssociationDetails {
                blocking_record: record(blocking_record),
                limit,
            }),
            Details::CustomCode { component_name } => {
                Self::CustomCode(CustomCodeDetails { component_name })
            }
            Details::Duplicates {
                hubspot_property,
                salesforce_field,
                duplicate_value,
                existing_record,
                duplicate_rule,
                ..
            } => Self::Duplicate(DuplicateDetails {
                hubspot_property: field(hubspot_property),
                salesforce_field: field(salesforce_field),
                duplicate_value,
                existing_record: record(existing_record),
                duplicate_rule,
            }),
            Details::Permissions {
                object_type,
                fields,
                missing_access,
            } => Self::Permission(PermissionDetails {
                object_type,
                fields: fields.into_iter().map(FieldRef::from).collect(),
                missing_access,
            }),
            Details::Picklists {
                hubspot_property,
                salesforce_field,
                option_limit,
                ..
            } => Self::Picklist(PicklistDetails {
                hubspot_property: field(hubspot_property),
                salesforce_field: field(salesforce_field),
                option_limit,
            }),
            Details::PropertyMappings {
                hubspot_property,
                salesforce_field,
                expected_type,
                ..
            } => Self::PropertyMapping(PropertyMappingDetails {
                hubspot_property: field(hubspot_property),
                salesforce_field: field(salesforce_field),
                expected_type,
            }),
            Details::PropertyValues {
                hubspot_property,
                salesforce_field,
                max_length,
                ..
            } => Self::PropertyValue(PropertyValueDetails {
                hubspot_property: field(hubspot_property),
                salesforce_field: field(salesforce_field),
                max_length,
            }),
            Details::Other => return None,
        })
    }
}
