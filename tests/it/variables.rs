//! Variables have to fit the types that the operation declares, before anything runs.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{both, engine, reader};

const LIST: &str = "query ($first: Int, $filter: SyncErrorFilter, $order: SyncErrorOrder, $id: ID) {
    portal(hubId: $id) { syncErrors(first: $first, filter: $filter, orderBy: $order) { totalCount } } }";

both! {
    /// Each kind of misfit says which variable, where in it, and what is needed.
    async fn misfits(server) {
        for (variables, message) in [
            (json!({ "first": "1" }), "The variable $first does not fit: first is no Int."),
            (json!({ "first": 1.5 }), "The variable $first does not fit: first is no Int."),
            (json!({ "first": 3_000_000_000_u64 }), "The variable $first does not fit: first is no Int."),
            (json!({ "id": true }), "The variable $id does not fit: id is no ID."),
            (json!({ "filter": [] }), "The variable $filter does not fit: filter is no SyncErrorFilter."),
            (json!({ "filter": { "colour": 1 } }), "The variable $filter does not fit: filter has the key colour, which SyncErrorFilter does not know."),
            (json!({ "filter": { "types": ["FLOW", "FLAW"] } }), "The variable $filter does not fit: filter.types.1 is no value of SyncErrorType."),
            (json!({ "filter": { "types": [null] } }), "The variable $filter does not fit: filter.types.0 is null, SyncErrorType! is needed."),
            (json!({ "filter": { "transient": "yes" } }), "The variable $filter does not fit: filter.transient is no Boolean."),
            (json!({ "filter": { "search": 7 } }), "The variable $filter does not fit: filter.search is no String."),
            (json!({ "filter": { "affecting": { "system": "HUBSPOT" } } }), "The variable $filter does not fit: filter.affecting lacks the key recordId: ID!."),
            (json!({ "order": { "direction": "ASC" } }), "The variable $order does not fit: order lacks the key field: SyncErrorOrderField!."),
        ] {
            let answer = server.ask(&reader(), LIST, variables).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer:#}");
            assert_eq!(answer["errors"][0]["message"], message);
            assert!(answer.get("data").is_none(), "{answer:#}");
        }
        let needed = "query ($id: ID!) { node(id: $id) { id } }";
        for (variables, message) in [(json!({}), "The variable $id is needed: ID!."), (json!({ "id": null }), "The variable $id does not fit: id is null, ID! is needed.")] {
            assert_eq!(server.ask(&reader(), needed, variables).await["errors"][0]["message"], message);
        }
    }
}

both! {
    /// One value stands for a list of one, a number for an ID, null for what may be null; defaults and strangers are left alone.
    async fn fits(server) {
        for variables in [
            json!({}),
            json!({ "first": null, "filter": null, "order": null }),
            json!({ "id": 1001, "first": 100 }),
            json!({ "filter": { "types": "FLOW", "codes": ["A"], "affecting": { "system": "HUBSPOT", "recordId": 7 } } }),
            json!({ "order": { "field": "FIRST_SEEN_AT" } }),
            json!({ "stranger": { "may": "be anything" } }),
        ] {
            let answer = server.ask(&reader(), LIST, variables.clone()).await;
            assert_eq!(answer["data"]["portal"]["syncErrors"]["totalCount"], 0, "{variables}: {answer:#}");
        }
        let with_default = "query ($first: Int = 7) { portal { syncErrors(first: $first) { totalCount } } }";
        assert_eq!(server.read(with_default, json!({})).await["portal"]["syncErrors"]["totalCount"], 0);
    }
}

both! {
    /// With the media type that tells them apart, values that do not fit are 400; a report as a whole is refused.
    async fn status_and_reports(server) {
        let url = format!("{}/graphql", server.url);
        let body = json!({ "query": LIST, "variables": { "first": "1" } });
        let request = server.http.post(url).bearer_auth(reader()).header("accept", "application/graphql-response+json").json(&body);
        assert_eq!(request.send().await.expect("an answer").status(), StatusCode::BAD_REQUEST);
        let report = "mutation ($input: ReportSyncFailuresInput!) { reportSyncFailures(input: $input) { recordedCount } }";
        let input = json!({ "input": { "failures": [{ "direction": "HUBSPOT_TO_SALESFORCE" }, { "direction": "SIDEWAYS" }] } });
        let answer: Value = server.ask(&engine(), report, input).await;
        assert_eq!(answer["errors"][0]["message"], "The variable $input does not fit: input.failures.1.direction is no value of SyncDirection.");
    }
}
