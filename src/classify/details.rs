//! What a signature holds constant, typed by category.

use serde::{Deserialize, Serialize};

use crate::classify::{AccessKind, RelatedRecord, System};

/// A field or property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldName {
    /// Where it is.
    pub system: System,
    /// Its object; absent when not told.
    pub object_type: Option<String>,
    /// The API name; the label where the provider told only that.
    pub name: String,
    /// What users read; absent when not told.
    pub label: Option<String>,
}

/// What a signature holds constant, by category. OTHER has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are described where clients see them, in sync_errors::details"
)]
pub enum Details {
    Associations {
        blocking_record: Option<RelatedRecord>,
        limit: Option<i32>,
        /// The names of the fields on the side that refused.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
    },
    CustomCode {
        component_name: Option<String>,
    },
    Duplicates {
        hubspot_property: Option<FieldName>,
        salesforce_field: Option<FieldName>,
        duplicate_value: Option<String>,
        existing_record: Option<RelatedRecord>,
        duplicate_rule: Option<String>,
        /// Where several fields are meant: their names on the side that refused.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
    },
    Permissions {
        object_type: Option<String>,
        fields: Vec<FieldName>,
        missing_access: Option<AccessKind>,
    },
    Picklists {
        hubspot_property: Option<FieldName>,
        salesforce_field: Option<FieldName>,
        option_limit: Option<i32>,
        /// Where several fields are meant: their names on the side that refused.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
    },
    PropertyMappings {
        hubspot_property: Option<FieldName>,
        salesforce_field: Option<FieldName>,
        expected_type: Option<String>,
        /// Where several fields are meant: their names on the side that refused.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
    },
    PropertyValues {
        hubspot_property: Option<FieldName>,
        salesforce_field: Option<FieldName>,
        max_length: Option<i32>,
        /// Where several fields are meant: their names on the side that refused.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
    },
    Other,
}

impl Details {
    /// The one field on a side, where a pair of fields is meant.
    pub fn field(&self, system: System) -> Option<&FieldName> {
        let (hubspot, salesforce) = match self {
            Self::Duplicates {
                hubspot_property,
                salesforce_field,
                ..
            }
            | Self::Picklists {
                hubspot_property,
                salesforce_field,
                ..
            }
            | Self::PropertyMappings {
                hubspot_property,
                salesforce_field,
                ..
            }
            | Self::PropertyValues {
                hubspot_property,
                salesforce_field,
                ..
            } => (hubspot_property, salesforce_field),
            _ => return None,
        };
        match system {
            System::Hubspot => hubspot.as_ref(),
            System::Salesforce => salesforce.as_ref(),
        }
    }

    /// The names of the fields on one side, for titles.
    pub fn field_names(&self, system: System) -> Vec<String> {
        match self {
            Self::Duplicates { names, .. }
            | Self::Picklists { names, .. }
            | Self::PropertyMappings { names, .. }
            | Self::PropertyValues { names, .. } => match self.field(system) {
                Some(field) => vec![field.name.clone()],
                None => names.clone(),
            },
            Self::Permissions { fields, .. } => {
                fields.iter().map(|field| field.name.clone()).collect()
            }
            Self::Associations { names, .. } => names.clone(),
            Self::CustomCode { .. } | Self::Other => Vec::new(),
        }
    }
}
