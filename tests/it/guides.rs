//! Advice: complete in both languages, and it names what is at hand.

use serde_json::{Value, json};
use sync_health::classify::guide::{Facts, Guide, guide, has_own_guide};
use sync_health::classify::{Language, SyncErrorType};

use crate::harness::{both, engine, failure};

/// Codes of the providers, each with the types that it can lead to.
const CODES: &[(&str, &[&str])] = &[
    ("FIELD_CUSTOM_VALIDATION_EXCEPTION", &["VALIDATION_RULE"]),
    ("CANNOT_EXECUTE_FLOW_TRIGGER", &["FLOW"]),
    ("APEX_ERROR", &["APEX"]),
    (
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        &["APEX", "FLOW", "CUSTOM_CODE", "OBJECT_PERMISSION"],
    ),
    ("ENTITY_IS_LOCKED", &["APPROVAL_LOCK"]),
    ("FIELD_FILTER_VALIDATION_EXCEPTION", &["LOOKUP_FILTER"]),
    ("DUPLICATES_DETECTED", &["SALESFORCE_DUPLICATE_RULE"]),
    ("DUPLICATE_VALUE", &["VALUE_ALREADY_IN_USE"]),
    ("DUPLICATE_USERNAME", &["VALUE_ALREADY_IN_USE"]),
    ("DUPLICATE_EXTERNAL_ID", &["DUPLICATE"]),
    ("INSUFFICIENT_ACCESS_OR_READONLY", &["RECORD_ACCESS"]),
    (
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        &["RECORD_ACCESS"],
    ),
    ("INVALID_FIELD_FOR_INSERT_UPDATE", &["FIELD_PERMISSION"]),
    ("FORBIDDEN", &["API_ACCESS"]),
    ("API_CURRENTLY_DISABLED", &["API_ACCESS"]),
    ("API_DISABLED_FOR_ORG", &["API_ACCESS"]),
    ("TXN_SECURITY_NO_ACCESS", &["API_ACCESS"]),
    ("OP_WITH_INVALID_USER_TYPE_EXCEPTION", &["PERMISSION"]),
    ("TRANSFER_REQUIRES_READ", &["RECORD_ACCESS"]),
    (
        "INVALID_CROSS_REFERENCE_KEY",
        &["PERMISSION", "ASSOCIATION_INVALID", "INACTIVE_OWNER"],
    ),
    (
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        &["PICKLIST_VALUE_NOT_ALLOWED"],
    ),
    ("TOO_MANY_ENUM_VALUE", &["PICKLIST_LIMIT_REACHED"]),
    (
        "TEXT_TO_PICKLIST_VALUES_EXCEEDED",
        &["PICKLIST_LIMIT_REACHED"],
    ),
    (
        "FIELD_INTEGRITY_EXCEPTION",
        &["PICKLIST_VALUE_NOT_ALLOWED", "INVALID_VALUE"],
    ),
    ("INVALID_FIELD", &["FIELD_NOT_FOUND", "WAITING_FOR_RECORD"]),
    ("INVALID_FIELD_NAME", &["FIELD_NOT_FOUND"]),
    ("NOT_FOUND", &["FIELD_NOT_FOUND"]),
    ("INVALID_TYPE", &["OBJECT_NOT_SUPPORTED"]),
    ("JSON_PARSER_ERROR", &["INCOMPATIBLE_TYPES"]),
    (
        "MALFORMED_ID",
        &["REFERENCE_MAPPING_MISSING", "INVALID_FORMAT"],
    ),
    ("STRING_TOO_LONG", &["VALUE_TOO_LONG"]),
    ("REQUIRED_FIELD_MISSING", &["REQUIRED_VALUE_MISSING"]),
    ("INVALID_EMAIL_ADDRESS", &["INVALID_EMAIL"]),
    ("NUMBER_OUTSIDE_VALID_RANGE", &["VALUE_OUT_OF_RANGE"]),
    ("INVALID_TYPE_ON_FIELD_IN_RECORD", &["INVALID_FORMAT"]),
    ("INACTIVE_OWNER_OR_USER", &["INACTIVE_OWNER"]),
    ("TEXT_DATA_OUTSIDE_SUPPORTED_CHARSET", &["INVALID_FORMAT"]),
    ("ENTITY_IS_DELETED", &["ASSOCIATION_INVALID"]),
    ("UNABLE_TO_LOCK_ROW", &["ROW_LOCKED"]),
    ("REQUEST_LIMIT_EXCEEDED", &["LIMIT_EXCEEDED"]),
    ("STORAGE_LIMIT_EXCEEDED", &["LIMIT_EXCEEDED"]),
    ("SERVER_UNAVAILABLE", &["PROVIDER_UNAVAILABLE"]),
    ("QUERY_TIMEOUT", &["PROVIDER_TIMEOUT"]),
    ("INVALID_SESSION_ID", &["SESSION_INVALID"]),
    ("INVALID_GRANT", &["SESSION_INVALID"]),
    ("UNKNOWN_EXCEPTION", &["UNKNOWN"]),
    ("ALL_OR_NONE_OPERATION_ROLLED_BACK", &["UNKNOWN"]),
    // HubSpot
    ("CONFLICT", &["DUPLICATE", "VALUE_ALREADY_IN_USE"]),
    ("UNIQUE_VALUE_CONFLICT", &["VALUE_ALREADY_IN_USE"]),
    (
        "INVALID_OPTION",
        &["PICKLIST_LIMIT_REACHED", "PICKLIST_VALUE_NOT_ALLOWED"],
    ),
    ("PROPERTY_DOESNT_EXIST", &["FIELD_NOT_FOUND"]),
    ("READ_ONLY_VALUE", &["FIELD_READ_ONLY"]),
    ("INVALID_EMAIL", &["INVALID_EMAIL"]),
    ("INVALID_LONG", &["INVALID_FORMAT"]),
    ("INVALID_INTEGER", &["INVALID_FORMAT"]),
    ("INVALID_DATE", &["INVALID_FORMAT"]),
    ("MISSING_SCOPES", &["API_ACCESS"]),
    ("RATE_LIMITS", &["LIMIT_EXCEEDED"]),
    (
        "VALIDATION_ERROR",
        &[
            "API_ACCESS",
            "ASSOCIATION_INVALID",
            "ASSOCIATION_LIMIT_REACHED",
            "DUPLICATE",
            "FIELD_NOT_FOUND",
            "FIELD_READ_ONLY",
            "INACTIVE_OWNER",
            "INVALID_EMAIL",
            "INVALID_FORMAT",
            "INVALID_VALUE",
            "LIMIT_EXCEEDED",
            "OBJECT_NOT_SUPPORTED",
            "PERMISSION",
            "PICKLIST_LIMIT_REACHED",
            "PICKLIST_VALUE_NOT_ALLOWED",
            "PROPERTY_MAPPING",
            "PROVIDER_TIMEOUT",
            "PROVIDER_UNAVAILABLE",
            "REQUIRED_VALUE_MISSING",
            "SESSION_INVALID",
            "UNKNOWN",
            "VALUE_ALREADY_IN_USE",
            "VALUE_OUT_OF_RANGE",
            "VALUE_TOO_LONG",
        ],
    ),
    ("INSUFFICIENT_ACCESS", &["RECORD_ACCESS"]),
];

fn error_type(name: &str) -> SyncErrorType {
    serde_json::from_value(json!(name)).unwrap_or_else(|_| panic!("{name} is no type"))
}

/// All types of the contract.
fn types() -> Vec<SyncErrorType> {
    let contract = include_str!("../../schema.graphql");
    let contract = apollo_compiler::Schema::parse(contract, "schema.graphql").expect("a schema");
    let types = contract.get_enum("SyncErrorType").expect("an enum");
    types.values.keys().map(|name| error_type(name)).collect()
}

fn all_known() -> Facts {
    let some = |text: &str| Some(text.to_owned());
    Facts {
        object: some("Lead"),
        field: some("Status"),
        value: some("Open"),
        limit: Some(40),
        expected: some("number"),
        record: some("0015e"),
        component: some("Check"),
        rule: some("Standard"),
        user: some("hub@example.com"),
        code: some("CODE"),
    }
}

/// Reads well: whole sentences, nothing left of what is filled in.
fn reads_well(guide: &Guide, case: &str) {
    let texts =
        std::iter::once(&guide.explanation).chain(guide.steps.iter().map(|step| &step.text));
    for text in texts {
        let is_clean = !text.contains(['[', ']', '{', '}'])
            && !text.contains("  ")
            && !text.contains(" .")
            && !text.contains(" ,");
        let is_whole = text.ends_with('.')
            && text.chars().next().is_some_and(|c| !c.is_lowercase())
            && text.len() > 20;
        assert!(is_clean && is_whole, "{case}: {text}");
    }
    assert!(
        (1..=5).contains(&guide.steps.len()),
        "{case}: {} steps",
        guide.steps.len()
    );
}

#[test]
fn complete_in_both_languages() {
    let mut codes: Vec<(Option<&str>, SyncErrorType)> =
        types().into_iter().map(|known| (None, known)).collect();
    assert!(codes.len() > 35);
    for (code, names) in CODES {
        for name in *names {
            assert!(
                has_own_guide(code, error_type(name)),
                "{code} of {name} has no advice of its own"
            );
            codes.push((Some(code), error_type(name)));
        }
    }
    for (code, error_type) in codes {
        let mut texts = Vec::new();
        for language in [Language::En, Language::De] {
            for facts in [Facts::default(), all_known()] {
                let advice = guide(error_type, code, language, &facts);
                reads_well(
                    &advice,
                    &format!("{code:?} of {error_type:?} in {language:?}"),
                );
                texts.push(advice.explanation);
            }
        }
        assert_ne!(
            texts[0], texts[2],
            "{code:?} of {error_type:?} is not translated"
        );
        if code.is_some() {
            let of_type = guide(error_type, None, Language::En, &Facts::default());
            assert_ne!(
                texts[0], of_type.explanation,
                "{code:?} says no more than {error_type:?}"
            );
        }
    }
}

const GUIDE: &str =
    "guide(locale: $locale) { explanation steps { text system links { label url } } }";

both! {
    /// The advice names field, value and limit, in the portal's language or the one asked for, and leads to the page.
    async fn names_what_is_at_hand(server) {
        server.record(json!([failure("1", 0, json!({ "value": "Vice President of Very Many Things" }))])).await;
        let query = format!("query ($locale: Locale) {{ portal {{ category(name: PROPERTY_VALUES) {{ {GUIDE} }} syncErrors {{ nodes {{ {GUIDE} }} }} }} }}");
        let read = async |locale: Value| server.read(&query, json!({ "locale": locale })).await["portal"].take();
        let text = |guide: &Value| guide.to_string();
        let told = read(Value::Null).await;
        let guide = text(&told["syncErrors"]["nodes"][0]["guide"]);
        assert!(["Title", "Contact", "20", "Vice President"].iter().all(|word| guide.to_lowercase().contains(&word.to_lowercase())), "{guide}");
        // HubSpot's address is known from the start, the org's is not.
        assert!(guide.contains("https://app.hubspot.com/") && !guide.contains("salesforce.com"), "{guide}");
        let report = "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { userErrors { message } } }";
        server.data(&engine(), report, json!({ "input": { "salesforceInstanceUrl": "https://example.my.salesforce.com" } })).await;
        let german = read(json!("DE")).await;
        let guide = text(&german["syncErrors"]["nodes"][0]["guide"]);
        assert!(guide.contains("Öffnen Sie") && guide.contains("https://example.my.salesforce.com/lightning/setup/ObjectManager/Contact/"), "{guide}");
        assert!(told["category"]["guide"]["explanation"] != german["category"]["guide"]["explanation"]);
        let locale = "mutation { configurePortal(input: { locale: DE }) { userErrors { message } } }";
        server.data(&crate::harness::manager(), locale, json!({})).await;
        assert_eq!(read(Value::Null).await["category"]["guide"], german["category"]["guide"]);
    }
}

both! {
    /// Several fields are all named, a lookup field is, and a refusal of a whole batch names its field too. Links lead to
    /// the mappings of the object; records that have no page in HubSpot get none.
    async fn names_several_fields(server) {
        server.record(json!([
            failure("1", 0, json!({ "code": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [LastName, Company]", "fields": ["LastName", "Company"] })),
            failure("2", 1, json!({ "code": "INVALID_CROSS_REFERENCE_KEY", "message": "invalid cross reference id", "fields": ["AccountId"] })),
            failure("3", 2, json!({ "code": null, "message": "InvalidBatch : Field name not found : Foo__c", "fields": [] })),
            { "occurredAt": crate::harness::minute(3), "direction": "SALESFORCE_TO_HUBSPOT", "system": "HUBSPOT", "code": "INVALID_EMAIL", "message": "Email address x is invalid",
              "hubspotRecord": { "objectType": "note", "recordId": "4" }, "salesforceRecord": { "objectType": "Note", "recordId": "002000000000001" } },
        ])).await;
        let query = format!("query ($locale: Locale) {{ portal {{ syncErrors(orderBy: {{ field: FIRST_SEEN_AT, direction: ASC }}) {{ nodes {{ code title {GUIDE} affectedRecords {{ nodes {{ hubspotRecord {{ url }} }} }} }} }} }} }}");
        let told = server.read(&query, json!({})).await;
        let nodes = &told["portal"]["syncErrors"]["nodes"];
        let guide = |place: usize| nodes[place]["guide"].to_string();
        assert_eq!(nodes[0]["title"], "Required value is missing (Contact: Company, LastName)");
        assert!(guide(0).contains("Company, LastName") && guide(0).contains("/installed/salesforce/contacts"), "{}", guide(0));
        assert!(guide(1).contains("lookup field AccountId"), "{}", guide(1));
        assert_eq!((&nodes[2]["code"], &nodes[2]["title"]), (&json!("INVALIDBATCH"), &json!("Field or property not found (Contact: Foo__c)")));
        assert_eq!(nodes[3]["affectedRecords"]["nodes"][0]["hubspotRecord"]["url"], Value::Null);
        assert!(nodes[0]["affectedRecords"]["nodes"][0]["hubspotRecord"]["url"].is_string());
    }
}
