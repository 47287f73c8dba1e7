//! Lists of batches and of their results, page by page, and what a list of errors shows of its resyncs.

use serde_json::{Value, json};

use crate::harness::{Server, both, failure, logs, reader};
use crate::resync::{claim, errors, other, resync, resync_matching};

both! {
    /// Batches come newest first, results in the order of their errors; both are walked page by page.
    async fn pages(server) {
        let failures: Vec<Value> = (0..3).map(|number| other(number, &format!("{number}"))).collect();
        let ids = errors(server, json!(failures)).await;
        let mut batches = Vec::new();
        for id in &ids {
            batches.insert(0, resync(server, json!({ "errorIds": [id] })).await["batch"]["id"].take());
        }
        let list = "query ($after: String) { portal { resyncBatches(first: 2, after: $after) { totalCount pageInfo { hasNextPage hasPreviousPage endCursor } edges { cursor node { id } } } } }";
        let first = server.read(list, json!({})).await["portal"]["resyncBatches"].take();
        let second = server.read(list, json!({ "after": first["pageInfo"]["endCursor"] })).await["portal"]["resyncBatches"].take();
        let nodes = |page: &Value| page["edges"].as_array().expect("edges").iter().map(|edge| edge["node"]["id"].clone()).collect::<Vec<_>>();
        assert_eq!([nodes(&first), nodes(&second)].concat(), batches);
        assert_eq!((&first["totalCount"], &second["pageInfo"]["hasNextPage"], &second["pageInfo"]["hasPreviousPage"]), (&json!(3), &json!(false), &json!(true)));
        assert_eq!(server.error_code(&reader(), list, json!({ "after": "x" })).await, "BAD_USER_INPUT");
        server.record(json!([other(3, "3"), other(4, "4"), other(4, "5")])).await;
        let batch = resync_matching(server, json!({ "filter": {}, "recordsPerError": 1 })).await["batch"].take();
        assert_eq!((&batch["errorCount"], &batch["recordCount"]), (&json!(2), &json!(2)));
        let results = "query ($id: ID!, $after: String) { resyncBatch(id: $id) { results(first: 1, after: $after) { totalCountPrecision pageInfo { hasNextPage endCursor } edges { cursor node { id recordCount syncError { id affectedRecordCount } } } } } }";
        let first = server.read(results, json!({ "id": batch["id"] })).await["resyncBatch"]["results"].take();
        let second = server.read(results, json!({ "id": batch["id"], "after": first["pageInfo"]["endCursor"] })).await["resyncBatch"]["results"].take();
        assert_eq!((&first["pageInfo"]["hasNextPage"], &second["pageInfo"]["hasNextPage"], &first["totalCountPrecision"]), (&json!(true), &json!(false), &json!("EXACT")));
        assert_eq!((&first["edges"][0]["node"]["syncError"]["affectedRecordCount"], &second["edges"][0]["node"]["recordCount"], &second["edges"][0]["node"]["syncError"]["affectedRecordCount"]), (&json!(1), &json!(1), &json!(2)));
        let node = server.read("query ($id: ID!) { node(id: $id) { id ... on ResyncResult { batchId syncError { id } } } }", json!({ "id": second["edges"][0]["node"]["id"] })).await;
        assert_eq!((&node["node"]["batchId"], &node["node"]["syncError"]["id"]), (&batch["id"], &second["edges"][0]["node"]["syncError"]["id"]));
    }
}

both! {
    /// Both sides of a pair are given to the engine.
    async fn pairs(server) {
        server.record(json!([failure("1", 0, json!({ "salesforceRecord": { "objectType": "Contact", "recordId": "003xx000004TmiQ", "name": "Ada" } }))])).await;
        resync_matching(server, json!({ "filter": {} })).await;
        let query = "mutation { claimResyncItems(input: {}) { items { hubspotRecord { recordId } salesforceRecord { system objectType recordId name } } } }";
        let claimed = server.data(&crate::harness::engine(), query, json!({})).await;
        assert_eq!(claimed["claimResyncItems"]["items"], json!([{ "hubspotRecord": { "recordId": "1" }, "salesforceRecord": { "system": "SALESFORCE", "objectType": "Contact", "recordId": "003xx000004TmiQAAS", "name": "Ada" } }]));
    }
}

/// The SQL statements of a page of errors with these fields.
async fn statements(server: &Server, fields: &str) -> u64 {
    let query = format!("{{ portal {{ syncErrors {{ nodes {{ id {fields} }} }} }} }}");
    let page = server.post(&reader(), &query, json!({})).await;
    let reference = page.headers()["x-request-id"]
        .to_str()
        .expect("a text")
        .to_owned();
    let body: Value = page.json().await.expect("JSON");
    let nodes = body["data"]["portal"]["syncErrors"]["nodes"].as_array();
    assert_eq!(nodes.map(Vec::len), Some(30), "{body:#}");
    let line = logs().into_iter().rfind(|line| line.contains(&reference));
    let line: Value = serde_json::from_str(&line.expect("the request's line")).expect("JSON");
    line["fields"]["statements"].as_u64().expect("a number")
}

both! {
    /// A page of errors with their latest resyncs takes one statement more, with their retries three, whatever its size.
    async fn a_page_of_errors(server) {
        let failures: Vec<Value> = (0..30).map(|number| {
            let object = json!({ "objectType": format!("Thing{number}__c") });
            failure(&format!("{number}"), 0, json!({ "code": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access", "fields": [], "salesforceRecord": object }))
        }).collect();
        server.record(json!(failures)).await;
        claim(server, json!({})).await;
        let plain = statements(server, "title").await;
        assert_eq!(statements(server, "title latestResync { id }").await, plain + 1);
        let with_retries = statements(server, "title latestResync { id } retry { nextAt pausedReason }").await;
        assert_eq!(with_retries, plain + 3);
    }
}
