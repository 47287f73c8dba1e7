//! Every size has a limit, and each limit its test; here those of a request as a whole.

use reqwest::StatusCode;
use serde_json::{Value, json};
use sync_health::kernel::limits;

use crate::harness::{both, reader};

both! {
    /// A document of 64 KiB is read, a longer one refused.
    async fn document_bytes(server) {
        let document = |bytes: usize| "{ service { version } }".to_owned() + &" ".repeat(bytes - 23);
        let ask = |query: String| async move { server.post(&reader(), &query, json!({})).await };
        assert_eq!(ask(document(64 * 1024)).await.status(), StatusCode::OK);
        let refused = ask(document(64 * 1024 + 1)).await;
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let body: Value = refused.json().await.expect("JSON");
        assert_eq!(body["errors"][0]["extensions"]["code"], "PAYLOAD_TOO_LARGE");
    }
}

both! {
    /// A body of 2 MiB is read, a longer one refused.
    async fn graphql_body_bytes(server) {
        for (bytes, status) in [(2 * 1024 * 1024, StatusCode::OK), (2 * 1024 * 1024 + 1, StatusCode::PAYLOAD_TOO_LARGE)] {
            let body = "{\"query\":\"{ service { version } }\"}".to_owned() + &" ".repeat(bytes - 35);
            let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth(reader()).header("content-type", "application/json").body(body);
            assert_eq!(request.send().await.expect("an answer").status(), status);
        }
    }
}

both! {
    /// Lists and texts of a filter.
    async fn filter_values_and_search(server) {
        let list = "query ($filter: SyncErrorFilter) { portal { syncErrors(filter: $filter) { totalCount } } }";
        let events = "query ($filter: SyncErrorEventFilter) { portal { syncErrorEvents(filter: $filter) { totalCount } } }";
        for key in ["codes", "fields", "hubspotObjectTypes", "salesforceObjectTypes"] {
            server.read(list, json!({ "filter": { key: vec!["x"; 100] } })).await;
            assert_eq!(server.error_code(&reader(), list, json!({ "filter": { key: vec!["x"; 101] } })).await, "BAD_USER_INPUT", "{key}");
            if key != "codes" {
                assert_eq!(server.error_code(&reader(), events, json!({ "filter": { key: vec!["x"; 101] } })).await, "BAD_USER_INPUT", "{key}");
            }
        }
        server.read(list, json!({ "filter": { "search": "ä".repeat(200) } })).await;
        assert_eq!(server.error_code(&reader(), list, json!({ "filter": { "search": "ä".repeat(201) } })).await, "BAD_USER_INPUT");
        assert_eq!(server.error_code(&reader(), "query ($search: String) { portals(search: $search) { totalCount } }", json!({ "search": "x".repeat(201) })).await, "BAD_USER_INPUT");
    }
}

/// The manual lists each limit with its value, in order, and no other one.
#[test]
fn manual_lists_all() {
    let manual = include_str!("../../docs/limits.md").lines();
    let listed: Vec<&str> = manual.filter(|line| line.starts_with("| `")).collect();
    let row = |limit: &limits::Limit| {
        let value = group(limit.value);
        format!("| `{}` | {value} | {} |", limit.name, limit.unit)
    };
    let all: Vec<String> = limits::ALL.iter().map(row).collect();
    assert_eq!(listed, all);
}

/// 1048576 as "1,048,576".
fn group(value: usize) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
