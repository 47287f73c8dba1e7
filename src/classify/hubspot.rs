//! What HubSpot's error categories and validation codes mean
//! (<https://developers.hubspot.com/docs/reference/api/other-resources/error-handling>).

use crate::classify::SyncErrorType::*;
use crate::classify::provider_error::ProviderError;
use crate::classify::rule::{Verdict, When::*, first_match, rules};

rules! {
    /// By code, most special first.
    BY_CODE:
    "hubspot.unique-value": ["UNIQUE_VALUE_CONFLICT" "CONFLICTING_UNIQUE_VALUE" "DUPLICATE_UNIQUE_PROPERTY_VALUE" "UNIQUE_PROPERTY_CONFLICT"] Always => ValueAlreadyInUse;
    "hubspot.already-has-value": ["CONFLICT" "VALIDATION_ERROR"] Text(&["already has that value", "already have that value"]) => ValueAlreadyInUse;
    "hubspot.conflict": ["CONFLICT" "CONTACT_EXISTS" "COMPANY_EXISTS" "OBJECT_ALREADY_EXISTS" "DUPLICATE*" "MULTIPLE_COMPANIES_WITH_THIS_DOMAIN"] Always => Duplicate;
    // Picklists
    "hubspot.option-limit": ["INVALID_OPTION" "VALIDATION_ERROR" "TOO_MANY_OPTIONS"] Text(&["too many options", "maximum number of options", "limit of options"]) => PicklistLimitReached;
    "hubspot.option": ["INVALID_OPTION" "INVALID_ENUMERATION_OPTION" "AMBIGUOUS_ENUMERATION_OPTION"] Always => PicklistValueNotAllowed;
    // Links
    "hubspot.association-limit": ["ASSOCIATION_LIMIT*" "ASSOCIATIONS_LIMIT*" "EXCEEDED_ASSOCIATION_LIMIT"] Always => AssociationLimitReached;
    "hubspot.association": ["INVALID_ASSOCIATION*" "ASSOCIATION*" "UNKNOWN_ASSOCIATION*" "COULD_NOT_UPDATE_ASSOCIATION" "INVALID_OBJECT_ID*" "NO_ASSOCIATIONS_FOUND" "INVALID_FROM_OBJECT*" "INVALID_TO_OBJECT*" "FROM_OBJECT_NOT_FOUND" "TO_OBJECT_NOT_FOUND"] Always => AssociationInvalid;
    // Mappings
    "hubspot.property-missing": ["PROPERTY_DOESNT_EXIST" "PROPERTY_NOT_FOUND" "PROPERTY_DOES_NOT_EXIST" "PROPERTY_DEFINITION_NOT_FOUND"] Always => FieldNotFound;
    "hubspot.read-only": ["READ_ONLY_VALUE" "READ_ONLY_PROPERTY" "CALCULATED_PROPERTY"] Always => FieldReadOnly;
    "hubspot.non-unique": ["NON_UNIQUE_PROPERTY" "INVALID_ID_PROPERTY"] Always => PropertyMapping;
    // Values
    "hubspot.email": ["INVALID_EMAIL*"] Always => InvalidEmail;
    "hubspot.required": ["REQUIRED_FIELD" "REQUIRED_PROPERTY*" "REQUIRED_FIELD_MISSING" "MISSING_REQUIRED*"] Always => RequiredValueMissing;
    "hubspot.too-long": ["PROPERTY_VALUE_TOO_LONG" "VALUE_TOO_LONG" "INVALID_LENGTH" "TOO_LONG" "STRING_TOO_LONG"] Always => ValueTooLong;
    "hubspot.range": ["NUMBER_OUT_OF_RANGE" "OUT_OF_RANGE" "VALUE_OUT_OF_RANGE"] Always => ValueOutOfRange;
    "hubspot.owner": ["INVALID_OWNER*" "OWNER_NOT_FOUND" "COULD_NOT_FIND_OWNER" "MULTIPLE_OWNERS_FOUND"] Always => InactiveOwner;
    // Permissions
    "hubspot.scopes": ["MISSING_SCOPES"] Always => ApiAccess;
    "hubspot.forbidden": ["FORBIDDEN" "PERMISSION_DENIED" "USER_DOES_NOT_HAVE_PERMISSIONS" "BANNED"] Always => Permission;
    // Not the record's fault
    "hubspot.rate-limit": ["RATE_LIMIT*" "DAILY_LIMIT*" "TEN_SECONDLY_ROLLING" "SECONDLY" "DAILY"] Always => LimitExceeded;
    "hubspot.authentication": ["EXPIRED_AUTHENTICATION" "INVALID_AUTHENTICATION" "BAD_AUTH_CODE" "MISSING_AUTH" "UNAUTHORIZED" "INVALID_GRANT"] Always => SessionInvalid;
    "hubspot.unavailable": ["INTERNAL_ERROR" "INTERNAL_SERVER_ERROR" "SERVICE_UNAVAILABLE" "SERVER_UNAVAILABLE" "BAD_GATEWAY" "MIGRATION_IN_PROGRESS"] Always => ProviderUnavailable;
    "hubspot.timeout": ["TIMEOUT" "GATEWAY_TIMEOUT" "PROCESSING_TIMEOUT"] Always => ProviderTimeout;
}

rules! {
    /// A general code (`VALIDATION_ERROR`), an unknown one or none: HubSpot's own wording.
    BY_TEXT:
    "hubspot.text.already-has-value": [] Text(&["already has that value", "already have that value"]) => ValueAlreadyInUse;
    "hubspot.text.exists": [] Text(&[" already exists"]) => Duplicate;
    "hubspot.text.duplicate-in-batch": [] Text(&["contains duplicate", "is already in use by", "duplicate ids found in batch", "duplicate ids provided", "duplicate values for unique propert", "conflicting unique propert"]) => Duplicate;
    "hubspot.text.option": [] Text(&["was not one of the allowed options", "is not one of the allowed options", "one of the allowed options", "is not a valid pipeline stage"]) => PicklistValueNotAllowed;
    "hubspot.text.option-limit": [] Text(&["too many options", "maximum number of options"]) => PicklistLimitReached;
    "hubspot.text.association-limit": [] Holds(is_association_limit) => AssociationLimitReached;
    "hubspot.text.association": [] Text(&["association type", "associations are not valid", "association are not valid", "invalid association", "association is not valid", "associations were not valid", "associations are invalid", "for associations to be created", "could not associate", "not a valid association", "associations between", "can't be associated", "cannot be associated", "could not be associated"]) => AssociationInvalid;
    "hubspot.text.property-missing": [] Holds(is_property_missing) => FieldNotFound;
    "hubspot.text.read-only": [] Text(&["read only property", "read-only property", "is read only", "is read-only", "is a read only", "is a calculated", "readonly", "cannot be set as it is calculated"]) => FieldReadOnly;
    "hubspot.text.non-unique": [] Text(&["non-unique", "is not a unique property", "not a unique identifier property", "must be a unique property"]) => PropertyMapping;
    "hubspot.text.object-type": [] Text(&["unable to infer object type", "object type is not supported", "invalid object type"]) => ObjectNotSupported;
    "hubspot.text.stage": [] AllText(&["pipeline stage", "not valid"]) => PicklistValueNotAllowed;
    "hubspot.text.malformed": [] Text(&["invalid input json", "unable to parse json", "could not parse json"]) => Unknown;
    "hubspot.text.required": [] Text(&["required properties were not set", "required property", "required properties", "is required to create", "missing required"]) => RequiredValueMissing;
    "hubspot.text.email": [] Holds(is_email) => InvalidEmail;
    "hubspot.text.owner": [] Text(&["owner does not exist", "is not a valid owner", "not a valid owner", "owner is invalid"]) => InactiveOwner;
    "hubspot.text.too-long": [] Text(&["is too long", "too long for", "longer than the maximum", "exceeds the maximum length", "maximum length", "character limit", "characters or less", "must not exceed"]) => ValueTooLong;
    "hubspot.text.range": [] Text(&["is greater than the maximum", "is less than the minimum", "out of range", "is too large", "too many digits", "must be between"]) => ValueOutOfRange;
    "hubspot.text.format": [] Text(&["was not a valid", "is not a valid", "not a valid", "is not at midnight", "not at midnight", "invalid date", "invalid phone", "must be a number", "is an invalid"]) => InvalidFormat;
    "hubspot.text.scopes": [] Text(&["all required scopes", "following scopes are required", "required scopes", "missing scope", "requires one of the following scopes", "the scope needed for this api call"]) => ApiAccess;
    "hubspot.text.permission": [] Text(&["does not have proper permissions", "do not have permission", "don't have permission", "does not have permission", "doesn't have permission", "doesn't have proper permissions", "not have access", "doesn't have access"]) => Permission;
    "hubspot.text.rate-limit": [] Text(&["you have reached your", "rate limit", "ten_secondly_rolling"]) => LimitExceeded;
    "hubspot.text.authentication": [] Text(&["authentication credentials not found", "oauth token", "access token", "is expired!", "api key provided is invalid", "authentication"]) => SessionInvalid;
    "hubspot.text.timeout": [] Text(&["timed out", "timeout"]) => ProviderTimeout;
    "hubspot.text.unavailable": [] Text(&["internal error", "internal server error", "service unavailable", "there was a problem with the request", "temporarily unavailable", "bad gateway"]) => ProviderUnavailable;
    "hubspot.property-validation": [] Holds(is_property_validation) => InvalidValue;
    "hubspot.text.properties": [] Text(&["property values were not valid"]) => InvalidValue;
}

rules! {
    /// Codes of values, last: any `INVALID_…` that names a property tells of its value.
    OTHERWISE:
    "hubspot.format": ["INVALID_LONG" "INVALID_INTEGER" "INVALID_DATE*" "INVALID_FLOAT" "INVALID_DOUBLE" "INVALID_NUMBER*" "INVALID_BOOLEAN" "INVALID_PHONE*" "INVALID_URL" "INVALID_DOMAIN*" "INVALID_TIME*" "INVALID_FORMAT" "INVALID_CURRENCY*" "INVALID_VALUE" "INVALID_PROPERTY_VALUE" "INVALID_CUSTOM_PROPERTY_VALUE" "COULD_NOT_PARSE*" "LEADING_TRAILING_WHITESPACE"] Always => InvalidFormat;
    "hubspot.invalid-property": ["INVALID_*"] Holds(names_a_property) => InvalidFormat;
}

/// Codes that name no cause by themselves: known, but the text decides.
const GENERAL: &[&str] = &[
    "VALIDATION_ERROR",
    "BATCH_VALIDATION_ERROR",
    "BAD_REQUEST",
    "OBJECT_NOT_FOUND",
    "INVALID_PARAMS",
    "RESOURCE_NOT_FOUND",
    "INVALID_JSON",
    "MALFORMED_JSON",
];

pub(super) fn decide(error: &ProviderError) -> Verdict {
    let text = error.code.as_deref().is_none_or(|code| {
        !matches!(
            code,
            "OBJECT_NOT_FOUND" | "RESOURCE_NOT_FOUND" | "INVALID_JSON" | "MALFORMED_JSON"
        )
    });
    let rule = first_match(BY_CODE, error)
        .or_else(|| first_match(OTHERWISE, error))
        .or_else(|| {
            if text {
                first_match(BY_TEXT, error)
            } else {
                None
            }
        });
    let error_type = rule.map_or(Unknown, |rule| rule.error_type);
    let limited_for_now = error_type == LimitExceeded;
    Verdict {
        error_type,
        rule: rule.map_or("hubspot.unknown", |rule| rule.name),
        transient: limited_for_now || matches!(error_type, ProviderUnavailable | ProviderTimeout),
        unknown_code: error.code.as_deref().is_some_and(|code| !is_code(code)),
    }
}

/// Whether a line knows the code.
pub(super) fn is_code(code: &str) -> bool {
    GENERAL.contains(&code) || BY_CODE.iter().chain(OTHERWISE).any(|rule| rule.knows(code))
}

fn names_a_property(error: &ProviderError) -> bool {
    !error.fields.is_empty()
}

/// Told inside "Property values were not valid: […]", by a code or wording that no line knows.
fn is_property_validation(error: &ProviderError) -> bool {
    error.is_property_validation
}

fn is_association_limit(error: &ProviderError) -> bool {
    let text = &error.folded;
    text.contains("association")
        && ["limit", "maximum", "too many", "at most"]
            .iter()
            .any(|word| text.contains(word))
}

fn is_property_missing(error: &ProviderError) -> bool {
    let text = &error.folded;
    text.contains("propert")
        && [
            "does not exist",
            "do not exist",
            "doesn't exist",
            "don't exist",
            "was not found",
        ]
        .iter()
        .any(|word| text.contains(word))
}

fn is_email(error: &ProviderError) -> bool {
    let text = &error.folded;
    text.contains("email")
        && [
            "is invalid",
            "invalid email",
            "not a valid email",
            "not valid",
        ]
        .iter()
        .any(|word| text.contains(word))
}
