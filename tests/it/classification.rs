//! Classification and grouping, seen through the API.

use serde_json::{Value, json};

use crate::harness::{Server, both, failure, logs};

/// What providers answer, with the type that it has to get; an object a line.
fn provider_errors() -> impl Iterator<Item = Value> {
    let lines = include_str!("provider_errors.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("an object"))
}

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
        for (number, mut error) in provider_errors().enumerate() {
            let expected = error["type"].take();
            error.as_object_mut().expect("an object").remove("type");
            error["direction"] = if error["system"] == "SALESFORCE" { json!("HUBSPOT_TO_SALESFORCE") } else { json!("SALESFORCE_TO_HUBSPOT") };
            assert_eq!(type_of(server, number, error.clone()).await, expected, "{error:#}");
        }
    }
}

both! {
    /// What no rule knows is kept as OTHER/UNKNOWN, and its code is logged, so that a rule can be written.
    async fn unknown_codes(server) {
        let code = format!("A_CODE_OF_TOMORROW_{}", uuid::Uuid::now_v7().simple());
        let found = type_of(server, 1, json!({ "code": code, "message": "something new" })).await;
        assert_eq!(found, "UNKNOWN");
        let told = logs().into_iter().find(|line| line.contains(&code.to_uppercase())).expect("a line of the log");
        let told: Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!((&told["level"], &told["fields"]["system"], &told["fields"]["failures"]), (&json!("WARN"), &json!("SALESFORCE"), &json!(1)));
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

        report(13, json!({ "direction": "SALESFORCE_TO_HUBSPOT", "code": "VALIDATION_ERROR", "message": "Property \"tier\" has too many options: the limit of 5,000 is reached" })).await;
        assert_eq!(details("PICKLIST_LIMIT_REACHED").await["details"]["optionLimit"], 5_000);

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
