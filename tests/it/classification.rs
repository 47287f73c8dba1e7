//! Classification and grouping, seen through the API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Server, both, failure, minute};

/// What a failure is: system, code, text, fields, the type it has to get, and a part of its details.
const CASES: &[(&str, &str, &str, &[&str], &str)] = &[
    (
        "SALESFORCE",
        "INVALID_FIELD",
        "Foreign key external ID: k-19 not found for field Ledger_Key__c in entity Warehouse__c",
        &[],
        "WAITING_FOR_RECORD",
    ),
    (
        "SALESFORCE",
        "INVALID_CROSS_REFERENCE_KEY",
        "invalid cross reference id",
        &["Parent__c"],
        "ASSOCIATION_INVALID",
    ),
    (
        "SALESFORCE",
        "INVALID_CROSS_REFERENCE_KEY",
        "invalid cross reference id",
        &["OwnerId"],
        "INACTIVE_OWNER",
    ),
    (
        "SALESFORCE",
        "INVALID_CROSS_REFERENCE_KEY",
        "Record Type ID: this ID value isn't valid for the user",
        &["RecordTypeId"],
        "PERMISSION",
    ),
    (
        "SALESFORCE",
        "ENTITY_IS_DELETED",
        "entity is deleted",
        &["ReportsToId"],
        "ASSOCIATION_INVALID",
    ),
    (
        "SALESFORCE",
        "ENTITY_IS_DELETED",
        "entity is deleted",
        &[],
        "UNKNOWN",
    ),
    (
        "HUBSPOT",
        "ASSOCIATION_LIMIT",
        "The record is at its limit of 500 associations",
        &[],
        "ASSOCIATION_LIMIT_REACHED",
    ),
    (
        "SALESFORCE",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "A required duplicate picklist value: you have insufficient access, not the owner",
        &[],
        "VALIDATION_RULE",
    ),
    (
        "SALESFORCE",
        "CANNOT_EXECUTE_FLOW_TRIGGER",
        "We can't save this record because the “Route case” process failed.",
        &[],
        "FLOW",
    ),
    (
        "SALESFORCE",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "crm.Router: execution of BeforeInsert caused by: System.LimitException: Too many SOQL queries: 101",
        &[],
        "APEX",
    ),
    (
        "SALESFORCE",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "entity type cannot be inserted: Ledger Entry",
        &[],
        "OBJECT_PERMISSION",
    ),
    (
        "SALESFORCE",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "",
        &[],
        "CUSTOM_CODE",
    ),
    (
        "SALESFORCE",
        "ENTITY_IS_LOCKED",
        "the entity is locked for editing",
        &[],
        "APPROVAL_LOCK",
    ),
    (
        "SALESFORCE",
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        "Value does not exist or does not match filter criteria.",
        &["Plant__c"],
        "LOOKUP_FILTER",
    ),
    (
        "SALESFORCE",
        "DUPLICATE_VALUE",
        "duplicate value found: Serial__c duplicates value on record with id: 0015e000003GcMx",
        &[],
        "VALUE_ALREADY_IN_USE",
    ),
    (
        "SALESFORCE",
        "DUPLICATES_DETECTED",
        "Use one of these records?",
        &[],
        "SALESFORCE_DUPLICATE_RULE",
    ),
    (
        "HUBSPOT",
        "CONFLICT",
        "Company already exists. Existing ID: 991",
        &[],
        "DUPLICATE",
    ),
    (
        "SALESFORCE",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "Unable to create/update fields: Cost__c, Margin__c. Please check the security settings of this field",
        &[],
        "FIELD_PERMISSION",
    ),
    (
        "SALESFORCE",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        "insufficient access rights on cross-reference id: 0015e000003GcMx",
        &[],
        "RECORD_ACCESS",
    ),
    (
        "SALESFORCE",
        "API_CURRENTLY_DISABLED",
        "API is disabled for this User",
        &[],
        "API_ACCESS",
    ),
    (
        "HUBSPOT",
        "MISSING_SCOPES",
        "This app hasn't been granted all required scopes: crm.objects.deals.read",
        &[],
        "API_ACCESS",
    ),
    (
        "SALESFORCE",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Tier: bad value for restricted picklist field: Gold",
        &["Tier__c"],
        "PICKLIST_VALUE_NOT_ALLOWED",
    ),
    (
        "SALESFORCE",
        "TOO_MANY_ENUM_VALUE",
        "Tier: too many values",
        &["Tier__c"],
        "PICKLIST_LIMIT_REACHED",
    ),
    (
        "HUBSPOT",
        "VALIDATION_ERROR",
        "Property values were not valid: [{\"isValid\":false,\"message\":\"Gold was not one of the allowed options: [\",\"error\":\"INVALID_OPTION\",\"na",
        &["tier"],
        "PICKLIST_VALUE_NOT_ALLOWED",
    ),
    (
        "SALESFORCE",
        "FIELD_INTEGRITY_EXCEPTION",
        "Es gibt ein Problem mit diesem Land",
        &["ShippingCountryCode"],
        "PICKLIST_VALUE_NOT_ALLOWED",
    ),
    (
        "SALESFORCE",
        "FIELD_INTEGRITY_EXCEPTION",
        "Close date: out of the fiscal year",
        &["CloseDate"],
        "INVALID_VALUE",
    ),
    (
        "SALESFORCE",
        "JSON_PARSER_ERROR",
        "Cannot deserialize instance of double from VALUE_STRING value n/a or request may be missing a required field at [line:1, column:22]",
        &[],
        "INCOMPATIBLE_TYPES",
    ),
    (
        "SALESFORCE",
        "INVALID_FIELD",
        "No such column 'Plant_Code__c' on sobject of type Lead",
        &[],
        "FIELD_NOT_FOUND",
    ),
    (
        "SALESFORCE",
        "INVALID_TYPE",
        "sObject type 'Ledger__c' is not supported.",
        &[],
        "OBJECT_NOT_SUPPORTED",
    ),
    (
        "SALESFORCE",
        "MALFORMED_ID",
        "Plant: id value of incorrect type: Graz",
        &["Plant__c"],
        "REFERENCE_MAPPING_MISSING",
    ),
    (
        "SALESFORCE",
        "MALFORMED_ID",
        "Plant: id value of incorrect type: a0x5e00000GcM",
        &["Plant__c"],
        "INVALID_FORMAT",
    ),
    (
        "HUBSPOT",
        "READ_ONLY_VALUE",
        "Property \"days_open\" is read only",
        &["days_open"],
        "FIELD_READ_ONLY",
    ),
    (
        "HUBSPOT",
        "VALIDATION_ERROR",
        "Unable to perform update by non-unique property",
        &[],
        "PROPERTY_MAPPING",
    ),
    (
        "SALESFORCE",
        "STRING_TOO_LONG",
        "Job: data value too large: A very long title (max length=40)",
        &["Job__c"],
        "VALUE_TOO_LONG",
    ),
    (
        "SALESFORCE",
        "REQUIRED_FIELD_MISSING",
        "Required fields are missing: [Region__c]",
        &["Region__c"],
        "REQUIRED_VALUE_MISSING",
    ),
    (
        "HUBSPOT",
        "INVALID_EMAIL",
        "Email address x@ is invalid",
        &["email"],
        "INVALID_EMAIL",
    ),
    (
        "SALESFORCE",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "Amount: value outside of valid range on numeric field: 99999999999",
        &["Amount"],
        "VALUE_OUT_OF_RANGE",
    ),
    (
        "SALESFORCE",
        "INACTIVE_OWNER_OR_USER",
        "operation performed with inactive user [0055e000003GcMx] as owner of account",
        &["OwnerId"],
        "INACTIVE_OWNER",
    ),
    (
        "SALESFORCE",
        "UNABLE_TO_LOCK_ROW",
        "unable to obtain exclusive access to this record",
        &[],
        "ROW_LOCKED",
    ),
    (
        "SALESFORCE",
        "REQUEST_LIMIT_EXCEEDED",
        "TotalRequests Limit exceeded.",
        &[],
        "LIMIT_EXCEEDED",
    ),
    (
        "SALESFORCE",
        "SERVER_UNAVAILABLE",
        "",
        &[],
        "PROVIDER_UNAVAILABLE",
    ),
    ("SALESFORCE", "QUERY_TIMEOUT", "", &[], "PROVIDER_TIMEOUT"),
    (
        "SALESFORCE",
        "INVALID_SESSION_ID",
        "Session expired or invalid",
        &[],
        "SESSION_INVALID",
    ),
    (
        "SALESFORCE",
        "A_CODE_OF_TOMORROW",
        "something new",
        &[],
        "UNKNOWN",
    ),
    (
        "SALESFORCE",
        "",
        "Update failed. First exception on row 0 with id 0035e000003GcMx; first error: STRING_TOO_LONG, Job: data value too large: x (max length=1): [Job__c]",
        &[],
        "VALUE_TOO_LONG",
    ),
    (
        "SALESFORCE",
        "",
        "REQUIRED_FIELD_MISSING:Required fields are missing: [Region__c]:Region__c --",
        &[],
        "REQUIRED_VALUE_MISSING",
    ),
    (
        "SALESFORCE",
        "sf:INVALID_EMAIL_ADDRESS",
        "&lt;b&gt;Email&lt;/b&gt;: invalid email address: x",
        &["Email"],
        "INVALID_EMAIL",
    ),
    (
        "SALESFORCE",
        "400",
        "[{\"message\":\"Session expired or invalid\",\"errorCode\":\"INVALID_SESSION_ID\"}]",
        &[],
        "SESSION_INVALID",
    ),
];

async fn type_of(server: &Server, number: usize, more: Value) -> Value {
    let record = format!("9{number}");
    let base = json!({ "fields": [], "hubspotRecord": { "objectType": "contact", "recordId": record }, "salesforceRecord": { "objectType": "Contact" } });
    let mut made = failure(&record, 0, base);
    made.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    server.record(json!([made])).await["results"][0]["syncError"]["type"].take()
}

both! {
    /// Code first, then text, then fields.
    async fn types(server) {
        for (number, (system, code, message, fields, expected)) in CASES.iter().enumerate() {
            let direction = if *system == "SALESFORCE" { "HUBSPOT_TO_SALESFORCE" } else { "SALESFORCE_TO_HUBSPOT" };
            let more = json!({ "system": system, "direction": direction, "code": code, "message": if message.is_empty() { "-" } else { message }, "fields": fields });
            assert_eq!(type_of(server, number, more).await, *expected, "{code} {message}");
        }
    }
}

both! {
    /// The engine may override the category: then the category's catch-all type.
    async fn overridden(server) {
        for (number, (category, expected)) in [
            ("PICKLISTS", "PICKLIST"), ("ASSOCIATIONS", "ASSOCIATION_INVALID"), ("CUSTOM_CODE", "CUSTOM_CODE"), ("DUPLICATES", "DUPLICATE"),
            ("PERMISSIONS", "PERMISSION"), ("PROPERTY_MAPPINGS", "PROPERTY_MAPPING"), ("OTHER", "UNKNOWN"), ("PROPERTY_VALUES", "VALUE_TOO_LONG"),
        ].into_iter().enumerate() {
            assert_eq!(type_of(server, number, json!({ "category": category })).await, expected);
        }
        let data = server.read("{ portal { syncErrors(filter: { types: [PICKLIST, VALUE_TOO_LONG] }, orderBy: { field: FIRST_SEEN_AT, direction: ASC }) { nodes { classification { rule overridden } } } } }", json!({})).await;
        assert_eq!(data["portal"]["syncErrors"]["nodes"], json!([
            { "classification": { "rule": "salesforce.too-long", "overridden": true } },
            { "classification": { "rule": "salesforce.too-long", "overridden": false } },
        ]));
    }
}

const DETAILS: &str = "query ($types: [SyncErrorType!]) { portal { syncErrors(filter: { types: $types }) { nodes { hubspotObjectType salesforceObjectType causeCode causeMessage transient sampleValues details { __typename
    ... on AssociationDetails { blockingRecord { system objectType recordId name externalId { field value } } limit }
    ... on CustomCodeDetails { componentName }
    ... on DuplicateDetails { hubspotProperty { name } salesforceField { name } duplicateValue existingRecord { recordId } duplicateRule }
    ... on PermissionDetails { objectType fields { system objectType name label } missingAccess }
    ... on PicklistDetails { hubspotProperty { name } salesforceField { name label system objectType } optionLimit }
    ... on PropertyMappingDetails { hubspotProperty { name } salesforceField { name } expectedType }
    ... on PropertyValueDetails { hubspotProperty { name } salesforceField { name } maxLength } } } } } }";

both! {
    /// What the signature holds constant, typed; what varies stands on the records.
    async fn details(server) {
        let report = |number: usize, more: Value| async move { type_of(server, number, more).await };
        let details = |error_type: &'static str| async move { server.read(DETAILS, json!({ "types": [error_type] })).await["portal"]["syncErrors"]["nodes"][0].take() };
        let mapped = json!({ "hubspotProperty": "tier", "salesforceField": "Tier__c", "code": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "message": "Tier: bad value for restricted picklist field: Gold", "fields": ["Tier__c"] });
        report(1, mapped).await;
        let picklist = details("PICKLIST_VALUE_NOT_ALLOWED").await;
        assert_eq!(picklist["details"], json!({ "__typename": "PicklistDetails", "hubspotProperty": { "name": "tier" }, "optionLimit": null,
            "salesforceField": { "name": "Tier__c", "label": "Tier", "system": "SALESFORCE", "objectType": "Contact" } }));
        assert_eq!((&picklist["sampleValues"], &picklist["hubspotObjectType"], &picklist["salesforceObjectType"]), (&json!(["Gold"]), &json!("contact"), &json!("Contact")));

        report(2, json!({ "code": "INVALID_FIELD", "message": "Foreign key external ID: k-19 not found for field Ledger_Key__c in entity Warehouse__c" })).await;
        assert_eq!(details("WAITING_FOR_RECORD").await["details"]["blockingRecord"], json!({ "system": "SALESFORCE", "objectType": "Warehouse__c", "recordId": null, "name": null, "externalId": { "field": "Ledger_Key__c", "value": "k-19" } }));
        let blocking = json!({ "system": "HUBSPOT", "objectType": "companies", "recordId": 77, "name": "Nordwind" });
        report(3, json!({ "code": "INVALID_CROSS_REFERENCE_KEY", "message": "invalid cross reference id", "fields": ["AccountId"], "blockingRecord": blocking })).await;
        assert_eq!(details("ASSOCIATION_INVALID").await["details"]["blockingRecord"], json!({ "system": "HUBSPOT", "objectType": "company", "recordId": "77", "name": "Nordwind", "externalId": null }));
        report(4, json!({ "direction": "SALESFORCE_TO_HUBSPOT", "code": "ASSOCIATION_LIMIT", "message": "The record is at its limit of 500 associations" })).await;
        assert_eq!(details("ASSOCIATION_LIMIT_REACHED").await["details"]["limit"], 500);

        report(5, json!({ "code": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": "crm.Router: execution of BeforeUpdate\n\ncaused by: System.DmlException: Update failed. First exception on row 0; first error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record: []" })).await;
        let apex = details("APEX").await;
        assert_eq!(apex["details"]["componentName"], "crm.Router");
        assert_eq!((&apex["causeCode"], &apex["transient"]), (&json!("UNABLE_TO_LOCK_ROW"), &json!(true)));
        assert!(apex["causeMessage"].as_str().is_some_and(|text| text.starts_with("unable to obtain exclusive access")));

        let raw = json!([{ "success": false, "errors": [{ "statusCode": "DUPLICATES_DETECTED", "message": "Use one of these records?", "fields": [],
            "duplicateResult": { "duplicateRule": "Standard_Rule", "matchResults": [{ "matchRecords": [{ "record": { "attributes": { "type": "Contact" }, "Id": "0035e000003GcMx" } }] }] } }] }]);
        report(6, json!({ "code": null, "message": null, "raw": raw.to_string(), "salesforceField": "Email", "value": "a@example.com" })).await;
        assert_eq!(details("SALESFORCE_DUPLICATE_RULE").await["details"], json!({ "__typename": "DuplicateDetails", "hubspotProperty": null, "salesforceField": { "name": "Email" },
            "duplicateValue": "a@example.com", "existingRecord": { "recordId": "0035e000003GcMxAAK" }, "duplicateRule": "Standard_Rule" }));

        report(7, json!({ "code": "INVALID_FIELD_FOR_INSERT_UPDATE", "message": "Unable to create/update fields: Margin__c, Cost__c. Please check" })).await;
        let permission = details("FIELD_PERMISSION").await;
        let names: Vec<_> = permission["details"]["fields"].as_array().expect("a list").iter().map(|field| field["name"].clone()).collect();
        assert_eq!((json!(names), &permission["details"]["missingAccess"], &permission["details"]["objectType"]), (json!(["Cost__c", "Margin__c"]), &json!("WRITE"), &json!("Contact")));
        report(8, json!({ "code": "TRANSFER_REQUIRES_READ", "message": "The new owner must have read permission" })).await;
        assert_eq!(details("RECORD_ACCESS").await["details"]["missingAccess"], "READ");
        report(9, json!({ "system": "HUBSPOT", "code": "MISSING_SCOPES", "message": "requires crm.objects.deals.read, crm.objects.deals.write" })).await;
        assert_eq!(details("API_ACCESS").await["details"]["missingAccess"], "READ_WRITE");

        report(10, json!({ "code": "JSON_PARSER_ERROR", "message": "Cannot deserialize instance of double from VALUE_STRING value n/a at [line:1]", "hubspotProperty": "size", "salesforceField": "Size__c" })).await;
        let mapping = details("INCOMPATIBLE_TYPES").await;
        assert_eq!(mapping["details"], json!({ "__typename": "PropertyMappingDetails", "hubspotProperty": { "name": "size" }, "salesforceField": { "name": "Size__c" }, "expectedType": "double" }));
        report(11, json!({ "code": "STRING_TOO_LONG", "message": "Job: data value too large: x (max length=40)", "fields": ["Job__c"] })).await;
        assert_eq!(details("VALUE_TOO_LONG").await["details"], json!({ "__typename": "PropertyValueDetails", "hubspotProperty": null, "salesforceField": { "name": "Job__c" }, "maxLength": 40 }));
        report(12, json!({ "code": "SERVER_UNAVAILABLE", "message": "busy" })).await;
        assert_eq!(details("PROVIDER_UNAVAILABLE").await["details"], Value::Null);
    }
}

/// Causes whose texts vary with each record: ids, names, e-mails, values, dates, numbers.
fn planted(cause: u32, n: u32) -> Value {
    let (id, name) = (
        format!("{}", 100_000 + n),
        format!("Person{} Name{}", n % 97, n % 89),
    );
    let (mail, date) = (
        format!("p{n}@mail{}.example", n % 7),
        format!("2026-0{}-1{}T0{}:15:00Z", n % 9 + 1, n % 10, n % 10),
    );
    let salesforce_id = format!("0035e{n:010}");
    let (code, message) = match cause % 5 {
        0 => (
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            format!(
                "Rule {}: {name} ({mail}) must not be changed after {date}, see https://example.com/r/{n}?x={n}",
                word(cause)
            ),
        ),
        1 => (
            "CANNOT_EXECUTE_FLOW_TRIGGER",
            format!(
                "The record {salesforce_id} of \u{201c}{name}\u{201d} could not be saved by {}: amount {}.{:02} exceeds {}",
                word(cause),
                n,
                n % 100,
                n * 3
            ),
        ),
        2 => (
            "UNKNOWN_EXCEPTION",
            format!(
                "{} failed: An unexpected error occurred. Please include this ErrorId: {}-{} (-{n})",
                word(cause),
                u64::from(n) * 7919,
                u64::from(n) * 104_729
            ),
        ),
        3 => (
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            format!(
                "{}Trigger: execution of AfterUpdate caused by: System.QueryException: no row for '{name}' on {}/{}/2026: line {}, column 1",
                word(cause),
                n % 12 + 1,
                n % 28 + 1,
                n % 500
            ),
        ),
        _ => (
            "A_CODE_OF_TOMORROW",
            format!(
                "{} says: record {id} <{mail}> is wrong since {date}",
                word(cause)
            ),
        ),
    };
    failure(
        &id,
        0,
        json!({ "reportId": format!("{cause}-{n}"), "code": code, "message": message, "fields": [], "value": mail, "hubspotRecord": { "objectType": "contact", "recordId": id, "name": name }, "salesforceRecord": { "objectType": "Contact", "recordId": salesforce_id } }),
    )
}

fn word(number: u32) -> String {
    number
        .to_string()
        .bytes()
        .map(|digit| char::from(digit - b'0' + b'a'))
        .collect::<String>()
        + "rule"
}

both! {
    /// 100,000 failures of N planted causes become exactly N errors.
    async fn grouping(server) {
        const CAUSES: u32 = 50;
        let url = format!("{}/v1/sync-failures", server.url);
        let lines: Vec<String> = (0..100_000).map(|n| planted(n % CAUSES, n).to_string()).collect();
        let response = server.http.post(url).bearer_auth(crate::harness::engine()).header("content-type", "application/x-ndjson").body(lines.join("\n")).send().await.expect("an answer");
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer, json!({ "recordedCount": 100_000, "repeatedCount": 0, "refusedCount": 0, "userErrors": [] }));
        let data = server.read("{ portal { syncErrors(first: 100) { totalCount nodes { message affectedRecordCount lastSeenAt } } } }", json!({})).await;
        let list = &data["portal"]["syncErrors"];
        assert_eq!(list["totalCount"], CAUSES, "{:#}", list["nodes"]);
        let mut sizes = BTreeMap::new();
        for node in list["nodes"].as_array().expect("a list") {
            *sizes.entry(node["affectedRecordCount"].as_u64()).or_insert(0) += 1;
            assert_eq!(node["lastSeenAt"], minute(0));
        }
        assert_eq!(sizes, BTreeMap::from([(Some(2_000), CAUSES)]));
    }
}
