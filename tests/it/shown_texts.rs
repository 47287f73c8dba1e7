//! Texts that people read are no longer than they may be, and stand in one line that nobody else's text can turn around.

use serde_json::{Value, json};
use sync_health::kernel::scalars::count;

use crate::harness::{Server, both, failure, manager, reader, token};

const ERROR: &str = "{ portal { syncErrors { nodes { title code causeCode causeMessage message sampleValues
    details { __typename
      ... on DuplicateDetails { duplicateRule duplicateValue existingRecord { objectType recordId } salesforceField { name label } }
      ... on AssociationDetails { blockingRecord { objectType externalId { field value } } }
      ... on CustomCodeDetails { componentName }
      ... on PropertyMappingDetails { expectedType }
      ... on PermissionDetails { fields { name label } } }
    latestFailure { raw message }
    affectedRecords { nodes { message value } } } } } }";

/// All texts of an answer with their paths, but for the failure as it was told.
fn texts(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(path, item, found)),
        Value::Object(object) => {
            for (key, value) in object.iter().filter(|(key, _)| *key != "latestFailure") {
                texts(key, value, found);
            }
        }
        _ => {}
    }
}

fn most(name: &str) -> usize {
    match name {
        "message" | "causeMessage" => 16_000,
        "sampleValues" | "value" | "duplicateValue" => 2_000,
        _ => 255,
    }
}

/// What providers answer, each with something that is far too long.
fn answers() -> Vec<Value> {
    let long = "Ä".repeat(5_000);
    let upper = "A".repeat(5_000);
    let many: Vec<String> = (0..150).map(|n| format!("Field_{n}__c")).collect();
    let error = |code: &str, message: String, fields: Value| json!([{ "errorCode": code, "message": message, "fields": fields }]);
    let duplicate = json!({ "duplicateRule": long, "matchResults": [{ "matchRecords": [{ "record": { "Id": upper, "attributes": { "type": long } } }] }] });
    let mut answers = vec![
        error(&upper, "x".into(), json!([])),
        error("STRING_TOO_LONG", "x".into(), json!([long])),
        error("STRING_TOO_LONG", "x".into(), json!(many)),
        error("SOMETHING_ELSE", "é".repeat(50_000), json!([])),
        json!([{ "success": false, "errors": [{ "statusCode": "DUPLICATES_DETECTED", "message": "Use one of these records?", "fields": [], "duplicateResult": duplicate }] }]),
        error(
            "DUPLICATE_VALUE",
            format!("duplicate value found: {long} duplicates value on record with id: {upper}"),
            json!([]),
        ),
        error(
            "INVALID_FIELD",
            format!("oreign key external ID: {long} not found for field {long} in entity {upper}"),
            json!([]),
        ),
        error(
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            format!("{upper}: execution of BeforeInsert caused by: {upper}Exception: {long}"),
            json!([]),
        ),
        error(
            "JSON_PARSER_ERROR",
            format!(
                "Cannot deserialize instance of {upper} from VALUE_STRING value {long} or request may be missing"
            ),
            json!([]),
        ),
        json!({ "status": "error", "message": long, "category": "VALIDATION_ERROR", "errors": [{ "message": "x", "code": upper, "context": { "propertyName": [long] } }] }),
    ];
    answers.push(json!({ "message": format!("{long} was not one of the allowed options"), "error": upper, "name": long }));
    answers
}

both! {
    /// What is read out of an answer obeys the limits of what is told beside one.
    async fn read_out_of_answers(server) {
        for (number, answer) in answers().into_iter().enumerate() {
            let raw: String = answer.to_string().chars().take(60_000).collect();
            let direction = if answer.get("message").is_some() { "SALESFORCE_TO_HUBSPOT" } else { "HUBSPOT_TO_SALESFORCE" };
            server.record(json!([failure(&number.to_string(), 0, json!({ "direction": direction, "code": null, "message": null, "fields": [], "raw": raw }))])).await;
        }
        let data = server.read(ERROR, json!({})).await;
        let mut found = Vec::new();
        texts("", &data, &mut found);
        assert!(found.len() > 50, "{}", found.len());
        for (name, text) in &found {
            assert!(text.chars().count() <= most(name), "{name} has {} characters: {}", text.chars().count(), &text[..40]);
        }
        let titles = found.iter().filter(|(name, _)| name == "title");
        assert!(titles.clone().any(|(_, title)| title.ends_with('…') && title.chars().count() == 255));
        let nodes = data["portal"]["syncErrors"]["nodes"].as_array().expect("errors").clone();
        assert!(nodes.iter().all(|node| node["latestFailure"]["raw"].is_string()));
    }
}

/// Turns the direction of what follows, and back.
const TURNED: &str = "a\u{202E}b\u{2066}c\u{61C}d\u{200F}e\u{2069}f";

async fn set_up(server: &Server) -> Value {
    let configure = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { portal { name } userErrors { message } } }";
    let mut told = server
        .data(
            &manager(),
            configure,
            json!({ "input": { "name": format!("{TURNED}\r\ng\u{2028}h") } }),
        )
        .await;
    told["configurePortal"]["portal"]["name"].take()
}

both! {
    /// Names, labels and titles are one line without characters that turn directions; messages and raw answers stay.
    async fn directions(server) {
        assert_eq!(set_up(server).await, "abcdef g h");
        let state = "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { portal { salesforceUsername } } }";
        let both_scopes = token(&["1001"], "sync-health:report sync-health:read");
        let told = server.data(&both_scopes, state, json!({ "input": { "salesforceUsername": TURNED } })).await;
        assert_eq!(told["reportPortalState"]["portal"]["salesforceUsername"], "abcdef");
        let view = "mutation ($input: CreateRecordViewInput!) { createRecordView(input: $input) { recordView { name } userErrors { message code } } }";
        let input = |name: &str| json!({ "input": { "name": name, "system": "HUBSPOT", "objectType": "contact", "source": { "filter": {} } } });
        let saved = server.data(&manager(), view, input(&format!("{TURNED}\nx"))).await;
        assert_eq!(saved["createRecordView"]["recordView"]["name"], "abcdef x");
        let nameless = server.data(&manager(), view, input("\u{202E}\u{2066}")).await;
        assert_eq!(nameless["createRecordView"]["userErrors"][0]["code"], "REQUIRED");
        let record = json!({ "objectType": "contact", "recordId": "1", "name": TURNED });
        let more = json!({ "message": TURNED, "raw": TURNED, "value": TURNED, "fields": [TURNED], "hubspotRecord": record, "salesforceRecord": { "objectType": TURNED } });
        server.record(json!([failure("1", 0, more)])).await;
        let query = "{ portal { syncErrors { nodes { title message sampleValues guide { explanation steps { text } } latestFailure { raw } affectedRecords { nodes { hubspotRecord { name } } } } } } }";
        let data = server.data(&reader(), query, json!({})).await;
        let node = &data["portal"]["syncErrors"]["nodes"][0];
        assert_eq!(node["title"], "Value too long (abcdef: abcdef)");
        assert_eq!((&node["message"], &node["latestFailure"]["raw"], &node["sampleValues"][0]), (&json!(TURNED), &json!(TURNED), &json!(TURNED)));
        assert_eq!(node["affectedRecords"]["nodes"][0]["hubspotRecord"]["name"], "abcdef");
        assert!(!node["guide"].to_string().contains('\u{202E}'), "{}", node["guide"]);
    }
}

both! {
    /// Counts that pass what GraphQL's Int holds stop there.
    async fn counts_stop(server) {
        const STOP: i64 = 2_147_483_647;
        for round in 0..3 {
            let often = |n: i64| failure("1", round, json!({ "attemptCount": 1_000_000, "reportId": format!("{round}-{n}"), "occurredAt": format!("2026-03-02T10:{:02}:{:02}.{:03}Z", round, n / 100, n % 100) }));
            server.record(json!((0..1_000).map(often).collect::<Vec<_>>())).await;
        }
        let data = server.read("{ portal { syncErrors(orderBy: { field: OCCURRENCE_COUNT, direction: DESC }) { nodes { occurrenceCount affectedRecordCount affectedRecords { nodes { attemptCount } } } } } }", json!({})).await;
        let node = &data["portal"]["syncErrors"]["nodes"][0];
        assert_eq!((&node["occurrenceCount"], &node["affectedRecordCount"]), (&json!(STOP), &json!(1)));
        assert_eq!(node["affectedRecords"]["nodes"][0]["attemptCount"], STOP);
    }
}

/// The one way by which counts become an Int.
#[test]
fn counts_as_int() {
    assert_eq!(count(7_i64), 7);
    assert_eq!(count(-7_i64), -7);
    assert_eq!(count(2_147_483_647_i64), i32::MAX);
    assert_eq!(count(2_147_483_648_i64), i32::MAX);
    assert_eq!(count(u64::MAX), i32::MAX);
    assert_eq!(count(-3_000_000_000_i64), i32::MIN);
}
