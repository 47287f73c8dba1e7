//! What goes wrong in the demo: causes as providers write them, and people who are made up.

use serde_json::{Value, json};

/// One cause: how many records it blocks, and how one of its failures looks.
pub(super) struct Scene {
    pub(super) records: u32,
    pub(super) failure: fn(u32) -> Value,
}

const FIRST: [&str; 12] = [
    "Ada", "Bruno", "Chloé", "Dilan", "Elif", "Farid", "Greta", "Hana", "Ivo", "Jonas", "Keiko",
    "Lucía",
];
const LAST: [&str; 10] = [
    "Albers", "Brandt", "Costa", "Dvořák", "Eriksen", "Fontaine", "García", "Haddad", "Ivanova",
    "Jansen",
];
const COMPANY: [&str; 8] = [
    "Nordwind Logistics",
    "Bluefin Analytics",
    "Kestrel Energy",
    "Lumen Optics",
    "Terra Foods",
    "Quarry & Sons",
    "Violet Health",
    "Zephyr Mobility",
];
const CITY: [&str; 6] = ["Lyon", "Porto", "Graz", "Bergen", "Kraków", "Gent"];

fn person(n: u32) -> String {
    format!(
        "{} {}",
        FIRST[n as usize % FIRST.len()],
        LAST[(n as usize / FIRST.len()) % LAST.len()]
    )
}

fn company(n: u32) -> String {
    format!("{} {}", COMPANY[n as usize % COMPANY.len()], n / 8 + 1)
}

/// A Salesforce id of 18 characters with the prefix of its object.
fn salesforce_id(prefix: &str, n: u32) -> String {
    let id = format!("{prefix}5e{n:010}");
    sync_health::classify::salesforce_id_18(&id).unwrap_or(id)
}

fn to_salesforce(object: &str, hubspot: &str, n: u32, name: &str, error: &Value) -> Value {
    let mut failure = json!({
        "direction": "HUBSPOT_TO_SALESFORCE",
        "system": "SALESFORCE",
        "hubspotRecord": { "objectType": hubspot, "recordId": (710_000 + n).to_string(), "name": name },
        "salesforceRecord": { "objectType": object },
    });
    merge(&mut failure, error);
    failure
}

fn to_hubspot(
    object: &str,
    hubspot: &str,
    prefix: &str,
    n: u32,
    name: &str,
    error: &Value,
) -> Value {
    let mut failure = json!({
        "direction": "SALESFORCE_TO_HUBSPOT",
        "system": "HUBSPOT",
        "salesforceRecord": { "objectType": object, "recordId": salesforce_id(prefix, n), "name": name },
        "hubspotRecord": { "objectType": hubspot },
    });
    merge(&mut failure, error);
    failure
}

fn merge(failure: &mut Value, more: &Value) {
    if let (Value::Object(failure), Value::Object(more)) = (failure, more) {
        failure.extend(more.clone());
    }
}

/// All causes of the demo.
pub(super) const SCENES: &[Scene] = &[
    Scene {
        records: 2_600,
        failure: |n| {
            let value = ["Trade fair", "Partner day", "Webinar", "Referral"][n as usize % 4];
            let message =
                format!("Acquisition Channel: bad value for restricted picklist field: {value}");
            to_salesforce(
                "Lead",
                "contact",
                n,
                &person(n),
                &json!({ "code": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "message": message,
            "fields": ["Acquisition_Channel__c"], "hubspotProperty": "acquisition_channel", "salesforceField": "Acquisition_Channel__c", "value": value }),
            )
        },
    },
    Scene {
        records: 900,
        failure: |n| {
            to_salesforce(
                "Contact",
                "contact",
                n,
                &person(n),
                &json!({
        "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "A duplicate-free phone number is required before the stage can change." }),
            )
        },
    },
    Scene {
        records: 340,
        failure: |n| {
            let message = format!(
                "sales.AccountRouting: execution of BeforeUpdate caused by: System.DmlException: Update failed. First exception on row 0 with id {}; first error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record: []",
                salesforce_id("001", n)
            );
            to_salesforce(
                "Account",
                "company",
                n,
                &company(n),
                &json!({ "code": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": message }),
            )
        },
    },
    Scene {
        records: 60,
        failure: |n| {
            to_salesforce(
                "Opportunity",
                "deal",
                n,
                &company(n),
                &json!({
        "code": "CANNOT_EXECUTE_FLOW_TRIGGER", "message": "We can't save this record because the \u{201c}Discount approval\u{201d} process failed. Give your Salesforce admin these details." }),
            )
        },
    },
    Scene {
        records: 420,
        failure: |n| {
            let mail = format!("{}@example.com", person(n).to_lowercase().replace(' ', "."));
            let message = format!(
                "Cannot set PropertyValueCoordinates{{portalId=1001, objectTypeId=ObjectTypeId{{legacyObjectType=CONTACT}}, propertyName=email, value={mail}}} on {}. {} already has that value.",
                500_000 + n,
                300_000 + n
            );
            to_hubspot(
                "Contact",
                "contact",
                "003",
                n,
                &person(n),
                &json!({ "code": "VALIDATION_ERROR", "message": message, "value": mail, "fields": ["email"] }),
            )
        },
    },
    Scene {
        records: 70,
        failure: |n| {
            to_salesforce(
                "Account",
                "company",
                n,
                &company(n),
                &json!({
        "code": "DUPLICATES_DETECTED", "message": "Use one of these records?",
        "existingRecord": { "objectType": "Account", "recordId": salesforce_id("001", n + 5_000) } }),
            )
        },
    },
    Scene {
        records: 510,
        failure: |n| {
            to_salesforce(
                "Opportunity",
                "deal",
                n,
                &company(n),
                &json!({
        "code": "INVALID_FIELD_FOR_INSERT_UPDATE", "fields": ["Margin__c"],
        "message": "Unable to create/update fields: Margin__c. Please check the security settings of this field and verify that it is read/write for your profile or permission set." }),
            )
        },
    },
    Scene {
        records: 25,
        failure: |n| {
            let message = format!(
                "insufficient access rights on object id: {}",
                salesforce_id("001", n)
            );
            to_salesforce(
                "Account",
                "company",
                n,
                &company(n),
                &json!({ "code": "INSUFFICIENT_ACCESS_OR_READONLY", "message": message }),
            )
        },
    },
    Scene {
        records: 130,
        failure: |n| {
            to_salesforce(
                "Lead",
                "contact",
                n,
                &person(n),
                &json!({
        "code": "INVALID_FIELD", "message": "No such column 'Region_Code__c' on sobject of type Lead", "fields": ["Region_Code__c"] }),
            )
        },
    },
    Scene {
        records: 45,
        failure: |n| {
            let city = CITY[n as usize % CITY.len()];
            let message = format!("Branch: id value of incorrect type: {city}");
            to_salesforce(
                "Contact",
                "contact",
                n,
                &person(n),
                &json!({ "code": "MALFORMED_ID", "message": message, "fields": ["Branch__c"], "value": city }),
            )
        },
    },
    Scene {
        records: 220,
        failure: |n| {
            let value = format!(
                "{} and partners, formerly trading under a much longer name in {}",
                company(n),
                CITY[n as usize % CITY.len()]
            );
            let message = format!("Trading Name: data value too large: {value} (max length=40)");
            to_salesforce(
                "Account",
                "company",
                n,
                &company(n),
                &json!({ "code": "STRING_TOO_LONG", "message": message, "fields": ["Trading_Name__c"], "value": value }),
            )
        },
    },
    Scene {
        records: 160,
        failure: |n| {
            let message = format!(
                "Property values were not valid: [{{\"isValid\":false,\"message\":\"{} was not a valid long.\",\"error\":\"INVALID_LONG\",\"name\":\"fleet_size\"}}]",
                CITY[n as usize % CITY.len()]
            );
            to_hubspot(
                "Account",
                "company",
                "001",
                n,
                &company(n),
                &json!({ "code": "VALIDATION_ERROR", "message": message }),
            )
        },
    },
    Scene {
        records: 300,
        failure: |n| {
            to_salesforce(
                "Contact",
                "contact",
                n,
                &person(n),
                &json!({
        "code": "INVALID_FIELD", "message": format!("Foreign key external ID: erp-{} not found for field Erp_Number__c in entity Account", n % 40) }),
            )
        },
    },
    Scene {
        records: 15,
        failure: |n| {
            to_hubspot(
                "Opportunity",
                "deal",
                "006",
                n,
                &company(n),
                &json!({
        "code": "ASSOCIATION_LIMIT", "message": format!("Associations limit reached for deal {}", 900 + n) }),
            )
        },
    },
    Scene {
        records: 35,
        failure: |n| {
            to_salesforce(
                "Contact",
                "contact",
                n,
                &person(n),
                &json!({
        "code": "UNABLE_TO_LOCK_ROW", "message": format!("unable to obtain exclusive access to this record or 1 records: {}", salesforce_id("001", n)) }),
            )
        },
    },
    Scene {
        records: 10,
        failure: |n| {
            to_hubspot(
                "Lead",
                "contact",
                "00Q",
                n,
                &person(n),
                &json!({
        "code": "RATE_LIMITS", "message": "You have reached your ten secondly limit." }),
            )
        },
    },
];

/// Variants of small causes, so that the list is long: one field each.
pub(super) fn small(n: u32) -> Value {
    let field = format!(
        "Custom_{}__c",
        char::from(b'A' + (n % 26) as u8)
            .to_string()
            .repeat(1 + n as usize / 26 % 8)
    );
    match n % 4 {
        0 => to_salesforce(
            "Contact",
            "contact",
            n,
            &person(n),
            &json!({ "code": "REQUIRED_FIELD_MISSING", "message": format!("Required fields are missing: [{field}]"), "fields": [field] }),
        ),
        1 => to_salesforce(
            "Account",
            "company",
            n,
            &company(n),
            &json!({ "code": "NUMBER_OUTSIDE_VALID_RANGE", "message": format!("{field}: value outside of valid range on numeric field: {n}99999"), "fields": [field] }),
        ),
        2 => to_hubspot(
            "Contact",
            "contact",
            "003",
            n,
            &person(n),
            &json!({ "code": "PROPERTY_DOESNT_EXIST", "message": format!("Property \"{}\" does not exist", field.to_lowercase()), "fields": [field.to_lowercase()] }),
        ),
        _ => to_salesforce(
            "Lead",
            "contact",
            n,
            &person(n),
            &json!({ "code": "INVALID_EMAIL_ADDRESS", "message": format!("{field}: invalid email address: {} at example", FIRST[n as usize % FIRST.len()]), "fields": [field] }),
        ),
    }
}
