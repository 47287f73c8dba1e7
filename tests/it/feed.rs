//! The feed by plain HTTP: order, cursors, kinds, filter.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{both, failure, manager, reader, success, token};

const EVENTS: &str = "query ($first: Int, $after: String, $kinds: [SyncErrorEventKind!], $filter: SyncErrorEventFilter) { portal { eventCursor
    syncErrorEvents(first: $first, after: $after, kinds: $kinds, filter: $filter) { totalCount totalCountPrecision
        edges { cursor node { id } } pageInfo { hasNextPage endCursor }
        nodes { id cursor kind at status affectedRecordCount syncErrorId syncError { id type status affectedRecordCount affectedRecords(first: 1) { totalCount } } } } } }";

both! {
    /// Query once with eventCursor, then read after it: exactly what changed since, in order.
    async fn what_changed_since(server) {
        server.record(json!([failure("1", 0, json!({}))])).await;
        let before = server.read(EVENTS, json!({})).await;
        let cursor = &before["portal"]["eventCursor"];
        assert_eq!(before["portal"]["syncErrorEvents"]["pageInfo"]["endCursor"], *cursor);
        assert_eq!(server.read(EVENTS, json!({ "after": cursor })).await["portal"]["syncErrorEvents"]["nodes"], json!([]));
        server.record(json!([failure("2", 1, json!({})), failure("3", 1, json!({ "fields": ["Phone"], "hubspotRecord": { "objectType": "lead", "recordId": "3" } }))])).await;
        server.succeed(json!([success("1", 2), success("2", 2)])).await;
        let data = server.read(EVENTS, json!({ "after": cursor })).await;
        let nodes = data["portal"]["syncErrorEvents"]["nodes"].as_array().expect("events").clone();
        let told: Vec<_> = nodes.iter().map(|event| json!([event["kind"], event["status"], event["affectedRecordCount"]])).collect();
        assert_eq!(json!(told), json!([["UPDATED", "OPEN", 2], ["OPENED", "OPEN", 1], ["RESOLVED", "RESOLVED", 0]]));
        // The error is as it is now, never older than the event.
        assert_eq!(nodes[0]["syncError"]["status"], "RESOLVED");
        assert_eq!(nodes[0]["syncErrorId"], nodes[0]["syncError"]["id"]);
        assert_eq!(nodes[0]["at"], "2026-03-02T11:00:00Z");
        // Each event's cursor leads on from it, and each id leads back to it.
        let rest = server.read(EVENTS, json!({ "after": nodes[0]["cursor"], "first": 1 })).await;
        assert_eq!(rest["portal"]["syncErrorEvents"]["nodes"][0]["id"], nodes[1]["id"]);
        assert_eq!(rest["portal"]["syncErrorEvents"]["pageInfo"]["hasNextPage"], true);
        let node = server.read("query ($id: ID!) { node(id: $id) { ... on SyncErrorEvent { kind cursor syncError { type } } } }", json!({ "id": nodes[1]["id"] })).await;
        assert_eq!(node["node"], json!({ "kind": "OPENED", "cursor": nodes[1]["cursor"], "syncError": { "type": "VALUE_TOO_LONG" } }));
    }
}

both! {
    /// A cursor does not depend on kinds and filter.
    async fn kinds_and_filter(server) {
        server.record(json!([failure("1", 0, json!({})), failure("2", 0, json!({ "fields": ["Phone"] })),
            failure("3", 0, json!({ "direction": "SALESFORCE_TO_HUBSPOT", "code": "INVALID_OPTION", "message": "x", "fields": ["tier"], "hubspotRecord": { "objectType": "company", "recordId": "3" }, "salesforceRecord": { "objectType": "Account" } }))])).await;
        server.succeed(json!([success("1", 1)])).await;
        server.record(json!([failure("1", 2, json!({}))])).await;
        let count = |variables: Value| async move { server.read(EVENTS, variables).await["portal"]["syncErrorEvents"]["totalCount"].take() };
        assert_eq!(count(json!({})).await, 5);
        assert_eq!(count(json!({ "kinds": ["REOPENED", "RESOLVED"] })).await, 2);
        assert_eq!(count(json!({ "filter": { "categories": ["PICKLISTS"] } })).await, 1);
        assert_eq!(count(json!({ "filter": { "types": ["VALUE_TOO_LONG"], "fields": ["PHONE"] } })).await, 1);
        assert_eq!(count(json!({ "filter": { "systems": ["HUBSPOT"], "directions": ["SALESFORCE_TO_HUBSPOT"] } })).await, 1);
        assert_eq!(count(json!({ "filter": { "hubspotObjectTypes": ["0-2"] } })).await, 1);
        assert_eq!(count(json!({ "filter": { "salesforceObjectTypes": ["contact"] } })).await, 4);
        let resolved = server.read(EVENTS, json!({ "kinds": ["RESOLVED"] })).await;
        let after = &resolved["portal"]["syncErrorEvents"]["edges"][0]["cursor"];
        assert_eq!(server.read(EVENTS, json!({ "after": after })).await["portal"]["syncErrorEvents"]["nodes"][0]["kind"], "REOPENED");
    }
}

both! {
    /// A cursor of another feed or ahead of this one says CURSOR_EXPIRED, what is no cursor BAD_USER_INPUT.
    async fn cursors_that_lead_nowhere(server) {
        let other = token(&["1002"], "sync-health:read");
        let theirs = server.data(&other, "{ portal { eventCursor } }", json!({})).await;
        assert_eq!(server.error_code(&reader(), EVENTS, json!({ "after": theirs["portal"]["eventCursor"] })).await, "CURSOR_EXPIRED");
        assert_eq!(server.error_code(&reader(), EVENTS, json!({ "after": "x" })).await, "BAD_USER_INPUT");
        assert_eq!(server.error_code(&manager(), EVENTS, json!({ "first": 101 })).await, "BAD_USER_INPUT");
    }
}

both! {
    configure = |config| config.database_connections = 1;
    /// Requests that their clients cut off, at whatever moment, leave nothing behind: the next one reads what is there now.
    async fn cut_off(server) {
        let body = json!({ "query": "{ portal { eventCursor } }" }).to_string();
        let request = format!("POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}", reader(), body.len());
        for round in 1..=150 {
            for cut in 0..6 {
                let mut connection = TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("a connection");
                connection.write_all(request.as_bytes()).await.expect("written");
                for _ in 0..500 + cut * 500 + round * 10 {
                    tokio::task::yield_now().await;
                }
            }
            server.record(json!([failure(&round.to_string(), 0, json!({}))])).await;
            let told = server.read(EVENTS, json!({ "first": 1 })).await["portal"]["syncErrorEvents"]["totalCount"].take();
            assert_eq!(told, round);
        }
    }
}
