//! Lists are written at once where all is known, and resolved field by field where not: the answers are the same.

use serde_json::{Value, json};

use crate::harness::{Server, both, failure};

/// Errors and records with every kind of value: absent, empty, quoted, with and without links.
async fn some_errors(server: &Server) {
    let configure = "mutation { configurePortal(input: { salesforceInstanceUrl: \"https://example.my.salesforce.com\" }) { userErrors { code } } }";
    server
        .data(&crate::harness::manager(), configure, json!({}))
        .await;
    let pair = json!({ "hubspotRecord": { "objectType": "contact", "recordId": "7", "name": "Ada \"the\" <first>\n\u{1F980}" },
        "salesforceRecord": { "objectType": "Contact", "recordId": "0035e000003GcMxAAK", "name": "Ada" }, "value": "\\" });
    let nested = json!({ "code": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "fields": [], "message":
        "Ledger: execution of BeforeUpdate caused by: System.DmlException: Update failed. First exception on row 0; first error: UNABLE_TO_LOCK_ROW, busy: []" });
    server
        .record(json!([
            failure("1", 0, json!({})),
            failure("2", 1, json!({})),
            failure("7", 2, pair),
            failure("3", 3, nested),
        ]))
        .await;
}

const FIELDS: &str = "fragment Row on SyncError { __typename id category type title german: title(locale: DE) chosen: title(locale: $locale)
        status system direction hubspotObjectType salesforceObjectType code causeCode causeMessage message transient firstSeenAt lastSeenAt
        resolvedAt occurrenceCount affectedRecordCount sampleValues classification { rule overridden } ... on Node { id }
        affectedRecords(first: $first) { totalCount totalCountPrecision pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            edges { cursor node { id } } nodes { ...Record } } }
    fragment Record on AffectedRecord { __typename id message value firstSeenAt lastSeenAt attemptCount
        hubspotRecord { system objectType recordId name url externalId { field } } salesforceRecord { __typename recordId name url } }";

/// The rows of a list and of the feed; `extra` is selected beside what is written at once.
async fn rows(server: &Server, extra: &str) -> Value {
    let query = format!(
        "query ($locale: Locale = DE, $first: Int) {{ portal {{
            syncErrors {{ nodes {{ ...Row {extra} }} edges {{ cursor node {{ ...Row {extra} }} }} }}
            syncErrorEvents {{ nodes {{ __typename id cursor kind at status affectedRecordCount syncErrorId syncError {{ ...Row {extra} }} }} }} }} }} {FIELDS}"
    );
    let mut data = server.read(&query, json!({ "first": 2 })).await;
    strip(&mut data);
    data
}

/// Takes away what only made the answer be resolved in the general way.
fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.remove("portal_of_it");
            object.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

both! {
    /// Every field, by fragments, aliases and variables.
    async fn same_answer_both_ways(server) {
        some_errors(server).await;
        let at_once = rows(server, "").await;
        let in_general = rows(server, "portal_of_it: portal { hubId }").await;
        assert_eq!(at_once.to_string().len(), in_general.to_string().len());
        assert_eq!(at_once, in_general);
        let names = &at_once["portal"]["syncErrors"]["nodes"][1]["affectedRecords"]["nodes"];
        assert_eq!(names.as_array().map(Vec::len), Some(2), "{at_once:#}");
    }
}

both! {
    /// Fields that are selected in several places are merged, at every level.
    async fn merged_selections(server) {
        some_errors(server).await;
        for query in [
            "{ portal { syncErrors { nodes { id } nodes { code } } } }",
            "{ portal { syncErrors { nodes { id } } syncErrors { nodes { code } } } }",
            "{ portal { syncErrors { nodes { id } } } portal { syncErrors { nodes { code } } } }",
            "{ portal { ...A ...B } } fragment A on Portal { syncErrors { nodes { id } } } fragment B on Portal { syncErrors { nodes { code } } }",
        ] {
            let data = server.read(query, json!({})).await;
            for node in data["portal"]["syncErrors"]["nodes"].as_array().expect("nodes") {
                assert!(node["id"].is_string() && node["code"].is_string(), "{query}: {data:#}");
            }
        }
        let deep = "{ portal { syncErrors { nodes { ...A ...B } } } } fragment A on SyncError { affectedRecords { nodes { id } } } fragment B on SyncError { affectedRecords { nodes { message } totalCount } }";
        let data = server.read(deep, json!({})).await;
        let record = &data["portal"]["syncErrors"]["nodes"][0]["affectedRecords"];
        assert!(record["nodes"][0]["id"].is_string() && record["nodes"][0]["message"].is_string() && record["totalCount"].is_number(), "{data:#}");
    }
}

both! {
    /// What directives leave out is left out, and an argument that is wrong is told.
    async fn directives_and_mistakes(server) {
        some_errors(server).await;
        let query = "query ($with: Boolean!) { portal { syncErrors { nodes { id code @include(if: $with) ... @skip(if: $with) { message } } } } }";
        for with in [true, false] {
            let data = server.read(query, json!({ "with": with })).await;
            let node = &data["portal"]["syncErrors"]["nodes"][0];
            assert_eq!((node.get("code").is_some(), node.get("message").is_some()), (with, !with), "{data:#}");
        }
        let code = server.error_code(&crate::harness::reader(), "{ portal { syncErrors { nodes { affectedRecords(first: 0) { totalCount } } } } }", json!({})).await;
        assert_eq!(code, "BAD_USER_INPUT");
    }
}
