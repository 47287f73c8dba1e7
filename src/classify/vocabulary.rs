//! The words of a classification. The numbers are stored: never reuse one.

use async_graphql::Enum;
use sea_orm::{DeriveActiveEnum, EnumIter, Iterable};

/// One of the eight cards.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Enum,
    EnumIter,
    DeriveActiveEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SyncErrorCategory {
    /// Linked to a record that is not synced yet, or at HubSpot's association limit.
    #[sea_orm(num_value = 0)]
    Associations,
    /// Salesforce automation (flow, trigger, validation rule) refused.
    #[sea_orm(num_value = 1)]
    CustomCode,
    /// A duplicate record or value exists.
    #[sea_orm(num_value = 2)]
    Duplicates,
    /// The connected user lacks access to a field or object.
    #[sea_orm(num_value = 3)]
    Permissions,
    /// Option lists differ or are full, or the value is not an option.
    #[sea_orm(num_value = 4)]
    Picklists,
    /// Types do not fit, a property or field is gone, or a reference mapping is missing.
    #[sea_orm(num_value = 5)]
    PropertyMappings,
    /// A value that the other system does not accept.
    #[sea_orm(num_value = 6)]
    PropertyValues,
    /// Unknown or transient.
    #[sea_orm(num_value = 7)]
    Other,
}

macro_rules! error_types {
    ($($category:ident: $($(#[doc = $doc:literal])* $name:ident = $number:literal),+;)*) => {
        /// The tab's column "Error type": the stable key of advice, filter and signature. Each type has one category.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Enum, EnumIter, DeriveActiveEnum, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
        pub enum SyncErrorType {
            $($($(#[doc = $doc])* #[sea_orm(num_value = $number)] $name,)+)*
        }

        impl SyncErrorType {
            /// The one category that the type belongs to.
            pub fn category(self) -> SyncErrorCategory {
                match self {
                    $($(Self::$name)|+ => SyncErrorCategory::$category,)*
                }
            }
        }
    };
}

error_types! {
    Associations:
        /// ASSOCIATIONS: the linked record is not synced yet.
        WaitingForRecord = 0,
        /// ASSOCIATIONS: the record has as many associations as HubSpot allows.
        AssociationLimitReached = 1,
        /// ASSOCIATIONS, otherwise: the link is refused.
        AssociationInvalid = 2;
    CustomCode:
        /// CUSTOM_CODE: a validation rule.
        ValidationRule = 10,
        /// CUSTOM_CODE: a flow or process.
        Flow = 11,
        /// CUSTOM_CODE: an Apex trigger or class.
        Apex = 12,
        /// CUSTOM_CODE: the record is locked by an approval process.
        ApprovalLock = 13,
        /// CUSTOM_CODE: a lookup filter.
        LookupFilter = 14,
        /// CUSTOM_CODE, otherwise.
        CustomCode = 15;
    Duplicates:
        /// DUPLICATES: another record holds a value that must be unique.
        ValueAlreadyInUse = 20,
        /// DUPLICATES: a duplicate rule of Salesforce.
        SalesforceDuplicateRule = 21,
        /// DUPLICATES, otherwise.
        Duplicate = 22;
    Permissions:
        /// PERMISSIONS: the connected user may not write or see a field.
        FieldPermission = 30,
        /// PERMISSIONS: the connected user may not use the object.
        ObjectPermission = 31,
        /// PERMISSIONS: the connected user may not use this record.
        RecordAccess = 32,
        /// PERMISSIONS: the API is closed to the connected user or app.
        ApiAccess = 33,
        /// PERMISSIONS, otherwise.
        Permission = 34;
    Picklists:
        /// PICKLISTS: the value is not an option.
        PicklistValueNotAllowed = 40,
        /// PICKLISTS: the list has, or the value selects, too many options.
        PicklistLimitReached = 41,
        /// PICKLISTS, otherwise.
        Picklist = 42;
    PropertyMappings:
        /// PROPERTY_MAPPINGS: the types of property and field do not fit.
        IncompatibleTypes = 50,
        /// PROPERTY_MAPPINGS: the property or field does not exist, or the connected user does not see it.
        FieldNotFound = 51,
        /// PROPERTY_MAPPINGS: the property or field takes no values.
        FieldReadOnly = 52,
        /// PROPERTY_MAPPINGS: a lookup gets a text because its reference mapping is missing.
        ReferenceMappingMissing = 53,
        /// PROPERTY_MAPPINGS: the object does not exist or cannot be synced.
        ObjectNotSupported = 54,
        /// PROPERTY_MAPPINGS, otherwise.
        PropertyMapping = 55;
    PropertyValues:
        /// PROPERTY_VALUES: the value is longer than the field.
        ValueTooLong = 60,
        /// PROPERTY_VALUES: a required value is missing.
        RequiredValueMissing = 61,
        /// PROPERTY_VALUES: not an e-mail address.
        InvalidEmail = 62,
        /// PROPERTY_VALUES: a number or date outside its range.
        ValueOutOfRange = 63,
        /// PROPERTY_VALUES: not in the format of the field.
        InvalidFormat = 64,
        /// PROPERTY_VALUES: the owner is inactive or unknown.
        InactiveOwner = 65,
        /// PROPERTY_VALUES, otherwise.
        InvalidValue = 66;
    Other:
        /// OTHER, transient: another process held the record.
        RowLocked = 70,
        /// OTHER: a limit of the provider (calls, storage) is used up.
        LimitExceeded = 71,
        /// OTHER, transient: the provider was not available.
        ProviderUnavailable = 72,
        /// OTHER, transient: the provider took too long.
        ProviderTimeout = 73,
        /// OTHER: the connection has to be signed in again.
        SessionInvalid = 74,
        /// OTHER, otherwise: no rule knows the code.
        Unknown = 75;
}

impl SyncErrorCategory {
    /// All eight, in the order of the cards.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// The type that takes what no other type of the category does.
    pub fn catch_all(self) -> SyncErrorType {
        match self {
            Self::Associations => SyncErrorType::AssociationInvalid,
            Self::CustomCode => SyncErrorType::CustomCode,
            Self::Duplicates => SyncErrorType::Duplicate,
            Self::Permissions => SyncErrorType::Permission,
            Self::Picklists => SyncErrorType::Picklist,
            Self::PropertyMappings => SyncErrorType::PropertyMapping,
            Self::PropertyValues => SyncErrorType::InvalidValue,
            Self::Other => SyncErrorType::Unknown,
        }
    }
}

/// One of the two connected systems.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Enum,
    EnumIter,
    DeriveActiveEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum System {
    /// HubSpot.
    #[sea_orm(num_value = 0)]
    Hubspot,
    /// Salesforce.
    #[sea_orm(num_value = 1)]
    Salesforce,
}

impl System {
    /// The other of the two.
    pub fn other(self) -> Self {
        match self {
            Self::Hubspot => Self::Salesforce,
            Self::Salesforce => Self::Hubspot,
        }
    }
}

/// Which way a change was to go.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Enum,
    EnumIter,
    DeriveActiveEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SyncDirection {
    /// A change in HubSpot, to be written to Salesforce.
    #[sea_orm(num_value = 0)]
    HubspotToSalesforce,
    /// A change in Salesforce, to be written to HubSpot.
    #[sea_orm(num_value = 1)]
    SalesforceToHubspot,
}

impl SyncDirection {
    /// Where the change came from.
    pub fn source(self) -> System {
        match self {
            Self::HubspotToSalesforce => System::Hubspot,
            Self::SalesforceToHubspot => System::Salesforce,
        }
    }
}

/// What the connected user lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccessKind {
    /// To see it.
    Read,
    /// To change it.
    Write,
    /// Both.
    ReadWrite,
}
