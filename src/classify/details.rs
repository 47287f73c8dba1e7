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
    },
    PropertyMappings {
        hubspot_property: Option<FieldName>,
        salesforce_field: Option<FieldName>,
        expected_type: Option<String>,
    },
    PropertyValues {
        hubspot_property: Option<FieldName>,
        salesforce_field: Option<FieldName>,
        max_length: Option<i32>,
    },
    Other,
}

impl Details {
    /// The names of the fields on one side, for titles.
    pub fn field_names(&self, system: System) -> Vec<String> {
        let of_side = |hubspot: &Option<FieldName>, salesforce: &Option<FieldName>| {
            let field = if system == System::Hubspot {
                hubspot
            } else {
                salesforce
            };
            field.iter().map(|field| field.name.clone()).collect()
        };
        match self {
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
            } => of_side(hubspot_property, salesforce_field),
            Self::Permissions { fields, .. } => {
                fields.iter().map(|field| field.name.clone()).collect()
            }
            Self::Associations { .. } | Self::CustomCode { .. } | Self::Other => Vec::new(),
        }
    }
}
