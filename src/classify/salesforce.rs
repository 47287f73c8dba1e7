//! What Salesforce's status codes mean
//! (<https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_concepts_core_data_objects.htm>).
//!
//! The code decides: the text of a validation rule is free and uses the words of every other category.
//! Texts are asked only where one code has several meanings, and where there is no code at all.

use crate::classify::SyncErrorType::*;
use crate::classify::provider_error::{ProviderError, strip_field_list};
use crate::classify::rule::{Verdict, When::*, first_match, rules};

/// Words by which Apex tells that a trigger ran; `BeforeInsert` and its like stay untranslated in every language.
const TRIGGER: &[&str] = &[
    "execution of",
    "beforeinsert",
    "beforeupdate",
    "beforedelete",
    "afterinsert",
    "afterupdate",
    "afterdelete",
    "afterundelete",
    "trigger",
    "apex",
    "caused by",
    "system.",
    "exception",
    "first error:",
];
const FLOW: &[&str] = &["flow", "process failed", "process builder"];

rules! {
    /// By code, most special first.
    BY_CODE:
    "salesforce.validation-rule": ["FIELD_CUSTOM_VALIDATION_EXCEPTION"] Always => ValidationRule;
    "salesforce.flow": ["CANNOT_EXECUTE_FLOW_TRIGGER" "FLOW_EXCEPTION"] Always => Flow;
    "salesforce.apex": ["APEX_ERROR" "APEX_FAILED" "APEX_EXCEPTION"] Always => Apex;
    "salesforce.entity-type-refused": ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"] Holds(is_entity_type_refused) => ObjectPermission;
    "salesforce.trigger": ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"] Text(TRIGGER) => Apex;
    "salesforce.flow-in-activation": ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"] Text(FLOW) => Flow;
    "salesforce.activation": ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"] Always => CustomCode;
    "salesforce.locked-by-approval": ["ENTITY_IS_LOCKED"] Always => ApprovalLock;
    "salesforce.lookup-filter": ["FIELD_FILTER_VALIDATION_EXCEPTION"] Always => LookupFilter;
    // Duplicates
    "salesforce.duplicate-rule": ["DUPLICATES_DETECTED"] Always => SalesforceDuplicateRule;
    "salesforce.duplicate-value": ["DUPLICATE_VALUE" "DUPLICATE_USERNAME"] Always => ValueAlreadyInUse;
    "salesforce.duplicate": ["DUPLICATE_*"] Always => Duplicate;
    // Permissions
    "salesforce.field-permission": ["INVALID_FIELD_FOR_INSERT_UPDATE"] Always => FieldPermission;
    "salesforce.record-access": ["INSUFFICIENT_ACCESS*" "TRANSFER_REQUIRES_READ"] Always => RecordAccess;
    "salesforce.api-access": ["FORBIDDEN" "API_CURRENTLY_DISABLED" "API_DISABLED_FOR_ORG" "TXN_SECURITY_NO_ACCESS"] Always => ApiAccess;
    "salesforce.user-type": ["OP_WITH_INVALID_USER_TYPE_EXCEPTION"] Always => Permission;
    "salesforce.record-type": ["INVALID_CROSS_REFERENCE_KEY"] Holds(is_about_record_type) => Permission;
    // Picklists
    "salesforce.restricted-picklist": ["INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"] Always => PicklistValueNotAllowed;
    "salesforce.picklist-limit": ["TOO_MANY_ENUM_VALUE" "TEXT_TO_PICKLIST_VALUES_EXCEEDED"] Always => PicklistLimitReached;
    "salesforce.country-or-state": ["FIELD_INTEGRITY_EXCEPTION"] Holds(is_about_country_or_state) => PicklistValueNotAllowed;
    // Links
    "salesforce.foreign-key": ["INVALID_FIELD" "NOT_FOUND" "INVALID_CROSS_REFERENCE_KEY"] AllText(&["foreign key external id", "not found"]) => WaitingForRecord;
    "salesforce.owner": ["INVALID_CROSS_REFERENCE_KEY"] Holds(is_about_owner) => InactiveOwner;
    "salesforce.cross-reference": ["INVALID_CROSS_REFERENCE_KEY"] Always => AssociationInvalid;
    "salesforce.deleted-lookup": ["ENTITY_IS_DELETED"] Holds(names_a_lookup) => AssociationInvalid;
    // Mappings
    "salesforce.no-such-column": ["INVALID_FIELD" "INVALID_FIELD_NAME"] Text(&["no such column"]) => FieldNotFound;
    "salesforce.field-name": ["INVALID_FIELD_NAME"] Always => FieldNotFound;
    "salesforce.incompatible-xml": ["INVALID_FIELD"] Text(&["is not a valid value for the type"]) => IncompatibleTypes;
    "salesforce.field": ["INVALID_FIELD"] Always => PropertyMapping;
    "salesforce.external-id-field": ["NOT_FOUND"] Holds(is_about_external_id_field) => FieldNotFound;
    "salesforce.unknown-key": ["JSON_PARSER_ERROR" "INVALIDBATCH"] Text(&["unrecognized field", "field name not found"]) => FieldNotFound;
    "salesforce.object-type": ["INVALID_TYPE"] Always => ObjectNotSupported;
    "salesforce.incompatible-json": ["JSON_PARSER_ERROR"] Text(&["cannot deserialize instance of"]) => IncompatibleTypes;
    "salesforce.text-in-lookup": ["MALFORMED_ID"] Holds(is_text_in_lookup) => ReferenceMappingMissing;
    // Values
    "salesforce.malformed-id": ["MALFORMED_ID"] Always => InvalidFormat;
    "salesforce.too-long": ["STRING_TOO_LONG"] Always => ValueTooLong;
    "salesforce.required": ["REQUIRED_FIELD_MISSING"] Always => RequiredValueMissing;
    "salesforce.email": ["INVALID_EMAIL_ADDRESS"] Always => InvalidEmail;
    "salesforce.out-of-range": ["NUMBER_OUTSIDE_VALID_RANGE"] Always => ValueOutOfRange;
    "salesforce.type-in-record": ["INVALID_TYPE_ON_FIELD_IN_RECORD" "TEXT_DATA_OUTSIDE_SUPPORTED_CHARSET"] Always => InvalidFormat;
    "salesforce.inactive-owner": ["INACTIVE_OWNER_OR_USER"] Always => InactiveOwner;
    "salesforce.integrity": ["FIELD_INTEGRITY_EXCEPTION"] Always => InvalidValue;
    // Not the record's fault
    "salesforce.row-lock": ["UNABLE_TO_LOCK_ROW"] Always => RowLocked;
    "salesforce.limit": ["REQUEST_LIMIT_EXCEEDED" "STORAGE_LIMIT_EXCEEDED" "LIMIT_EXCEEDED"] Always => LimitExceeded;
    "salesforce.unavailable": ["SERVER_UNAVAILABLE"] Always => ProviderUnavailable;
    "salesforce.timeout": ["QUERY_TIMEOUT"] Always => ProviderTimeout;
    "salesforce.session": ["INVALID_SESSION_ID" "INVALID_GRANT" "INVALID_LOGIN" "SESSION_NOT_FOUND"] Always => SessionInvalid;
    "salesforce.maintenance": ["UNKNOWN_EXCEPTION" "INVALID_OPERATION_WITH_EXPIRED_PASSWORD"] Text(MAINTENANCE) => ProviderUnavailable;
    "salesforce.unexpected": ["UNKNOWN_EXCEPTION" "ALL_OR_NONE_OPERATION_ROLLED_BACK" "ENTITY_IS_DELETED" "NOT_FOUND" "JSON_PARSER_ERROR"] Always => Unknown;
}

const MAINTENANCE: &[&str] = &[
    "maintenance",
    "temporarily unavailable",
    "server too busy",
    "service unavailable",
];

rules! {
    /// Without a code that a line above knows: only texts that Salesforce itself writes, word for word.
    BY_TEXT:
    "salesforce.text.flow-outermost": [] Holds(is_flow_outermost) => Flow;
    "salesforce.text.trigger": [] Text(&["execution of beforeinsert", "execution of beforeupdate", "execution of afterinsert", "execution of afterupdate", "execution of beforedelete", "execution of afterdelete", "maximum trigger depth exceeded", "caused by: system.dmlexception", "system.nullpointerexception", "system.limitexception"]) => Apex;
    "salesforce.text.flow": [] AllText(&["save this record because the", "process failed"]) => Flow;
    "salesforce.text.flow-error": [] Text(&["an unhandled fault has occurred", "flow failed to"]) => Flow;
    "salesforce.text.approval": [] Text(&["record is currently in an approval process", "the entity is locked for editing"]) => ApprovalLock;
    "salesforce.text.duplicate-value": [] Text(&["duplicate value found:"]) => ValueAlreadyInUse;
    "salesforce.text.duplicate-rule": [] Text(&["you're creating a duplicate", "use one of these records?"]) => SalesforceDuplicateRule;
    "salesforce.text.picklist": [] Text(&["bad value for restricted picklist field"]) => PicklistValueNotAllowed;
    "salesforce.text.too-long": [] AllText(&["data value too large", "max length"]) => ValueTooLong;
    "salesforce.text.required": [] Text(&["required fields are missing: ["]) => RequiredValueMissing;
    "salesforce.text.lookup-filter": [] Text(&["does not match filter criteria"]) => LookupFilter;
    "salesforce.text.country-or-state": [] AllText(&["select a", "from the list of valid"]) => PicklistValueNotAllowed;
    "salesforce.text.email": [] Text(&["invalid email address:"]) => InvalidEmail;
    "salesforce.text.foreign-key": [] AllText(&["foreign key external id", "not found for field"]) => WaitingForRecord;
    "salesforce.text.no-such-column": [] Text(&["no such column"]) => FieldNotFound;
    "salesforce.text.external-id-field": [] Text(&["external id field does not exist"]) => FieldNotFound;
    "salesforce.text.unknown-key": [] Text(&["field name not found"]) => FieldNotFound;
    "salesforce.text.object-type": [] AllText(&["sobject type '", "is not supported"]) => ObjectNotSupported;
    "salesforce.text.entity-type": [] Holds(is_entity_type_refused) => ObjectPermission;
    "salesforce.text.record-type": [] Text(&["this id value isn't valid for the user"]) => Permission;
    "salesforce.text.apex-class": [] Text(&["you do not have access to the apex class"]) => ApiAccess;
    "salesforce.text.field-permission": [] Text(&["unable to create/update fields:"]) => FieldPermission;
    "salesforce.text.access": [] Text(&["insufficient access rights on"]) => RecordAccess;
    "salesforce.text.incompatible-json": [] Text(&["cannot deserialize instance of"]) => IncompatibleTypes;
    "salesforce.text.inactive-owner": [] Text(&["operation performed with inactive user", "owner or user is inactive"]) => InactiveOwner;
    "salesforce.text.deleted-lookup": [] Text(&["invalid cross reference id"]) => AssociationInvalid;
    "salesforce.text.text-in-lookup": [] Holds(is_text_in_lookup_by_text) => ReferenceMappingMissing;
    "salesforce.text.malformed-id": [] Text(&["id value of incorrect type"]) => InvalidFormat;
    "salesforce.text.type-in-record": [] Text(&["value not of required type"]) => InvalidFormat;
    "salesforce.text.out-of-range": [] Text(&["value outside of valid range"]) => ValueOutOfRange;
    "salesforce.text.row-lock": [] Text(&["unable to obtain exclusive access"]) => RowLocked;
    "salesforce.text.limit": [] Text(&["totalrequests limit exceeded", "storage limit exceeded", "concurrentrequests limit exceeded"]) => LimitExceeded;
    "salesforce.text.session": [] Text(&["session expired or invalid", "expired access/refresh token", "invalid_grant", "authentication failure"]) => SessionInvalid;
    "salesforce.text.unavailable": [] Text(MAINTENANCE) => ProviderUnavailable;
    "salesforce.text.timeout": [] Text(&["your query request was running for too long", "read timed out", "gateway timeout"]) => ProviderTimeout;
}

pub(super) fn decide(error: &ProviderError) -> Verdict {
    let by_code = first_match(BY_CODE, error);
    let rule = by_code.or_else(|| first_match(BY_TEXT, error));
    let error_type = rule.map_or(Unknown, |rule| rule.error_type);
    Verdict {
        error_type,
        rule: rule.map_or("salesforce.unknown", |rule| rule.name),
        transient: matches!(
            error_type,
            RowLocked | ProviderUnavailable | ProviderTimeout
        ) || error.code.as_deref().is_some_and(is_transient),
        unknown_code: by_code.is_none() && error.code.is_some(),
    }
}

/// Whether trying again alone may help, also where the code is the cause inside another failure.
pub(super) fn is_transient(code: &str) -> bool {
    matches!(
        code,
        "UNABLE_TO_LOCK_ROW"
            | "SERVER_UNAVAILABLE"
            | "QUERY_TIMEOUT"
            | "REQUEST_LIMIT_EXCEEDED"
            | "UNKNOWN_EXCEPTION"
            | "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    )
}

/// Whether a line knows the code: what counts as a code inside a text.
pub(super) fn is_code(code: &str) -> bool {
    BY_CODE.iter().any(|rule| rule.knows(code))
}

/// "entity type cannot be inserted: …": the object is closed, which is not about any automation; inside a trigger it is
/// the trigger's failure.
fn is_entity_type_refused(error: &ProviderError) -> bool {
    let text = &error.folded;
    let refused =
        text.contains("entity type cannot be") || text.contains("entity type does not support");
    refused && !text.contains("execution of")
}

/// Words by which a flow tells that it failed, and with it whatever it called.
const FLOW_FAILED: &[&str] = &[
    "the flow tried to",
    "failed to trigger a flow",
    "a flow trigger failed to execute",
    "(flowrecord",
    "(flowaction",
    "(flowapex",
];

/// A flow that speaks before any trigger does.
fn is_flow_outermost(error: &ProviderError) -> bool {
    let text = &error.folded;
    let first = |words: &[&str]| words.iter().filter_map(|word| text.find(word)).min();
    match (first(FLOW_FAILED), first(&["execution of", "apex trigger"])) {
        (Some(flow), Some(trigger)) => flow < trigger,
        (flow, None) => flow.is_some(),
        (None, Some(_)) => false,
    }
}

fn any_field(error: &ProviderError, condition: impl Fn(&str) -> bool) -> bool {
    error
        .fields
        .iter()
        .any(|field| condition(&field.to_ascii_lowercase()))
}

/// By the field where one is named; a text may speak of record types for another reason.
fn is_about_record_type(error: &ProviderError) -> bool {
    if error.fields.is_empty() {
        return error.folded.contains("record type");
    }
    any_field(error, |field| {
        field == "recordtypeid" || field == "recordtype"
    })
}

fn is_about_owner(error: &ProviderError) -> bool {
    any_field(error, |field| field == "ownerid" || field == "owner")
        || error.folded.starts_with("owner id:")
}

/// State and country lists: by the words of the text, or in other languages by the standard fields that hold them.
fn is_about_country_or_state(error: &ProviderError) -> bool {
    const COUNTRIES: &[&str] = &["country", "countries", "territory"];
    const STATES: &[&str] = &["state", "states", "province"];
    const SAID: &[&str] = &[
        "valid",
        "list",
        "problem with",
        "recognize",
        "must be specified",
    ];
    const TRANSLATED: &[&str] = &[
        "land/gebiet",
        "pays/territoire",
        "país/territorio",
        "paese/territorio",
        "país/território",
    ];
    let text = &error.folded;
    let has = |wanted: &[&str]| {
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        words.any(|word| wanted.contains(&word))
    };
    let said = SAID.iter().any(|word| text.contains(word));
    let told = match (has(COUNTRIES), has(STATES)) {
        (true, true) => true,
        (country, state) => (country || state) && said,
    };
    told || TRANSLATED.iter().any(|word| text.contains(word))
        || any_field(error, |field| {
            let field = field.trim_end_matches("code");
            !field.ends_with("__c") && (field.ends_with("country") || field.ends_with("state"))
        })
}

fn is_about_external_id_field(error: &ProviderError) -> bool {
    error.folded.contains("external id field")
}

/// A deleted entity is a broken link where a lookup is named, otherwise the record itself.
fn names_a_lookup(error: &ProviderError) -> bool {
    any_field(error, |field| field != "id")
}

/// "… id value of incorrect type: Berlin": a text arrived in a lookup, because nothing maps it to an id.
fn is_text_in_lookup(error: &ProviderError) -> bool {
    let text = strip_field_list(&error.cleaned);
    let Some((_, value)) = text.rsplit_once(": ") else {
        return false;
    };
    let value = value.trim().trim_end_matches('.');
    let own_id = error
        .fields
        .iter()
        .any(|field| field.eq_ignore_ascii_case("id"));
    !value.is_empty() && !own_id && !looks_like_an_id(value)
}

fn is_text_in_lookup_by_text(error: &ProviderError) -> bool {
    error.folded.contains("id value of incorrect type") && is_text_in_lookup(error)
}

/// An id, whole or damaged: one word of letters and digits, about as long as an id, that starts with a key prefix.
fn looks_like_an_id(value: &str) -> bool {
    (12..=20).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric())
        && value.bytes().take(5).any(|b| b.is_ascii_digit())
}
