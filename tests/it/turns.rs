//! What happens to a portal as a whole: its calls run short and recover, it stops to sync and goes on.

use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::live::EventStream;
use crate::harness::{Server, both, engine, eventually, failure, minute, reader, success};
use crate::quota::{allocate, used};

/// What the feed tells of the portal as a whole.
async fn portal_events(server: &Server, after: &Value) -> Vec<String> {
    let query = "query ($first: Int, $after: String) { portal { events(first: $first, after: $after) { totalCount totalCountPrecision pageInfo { hasNextPage endCursor } edges { cursor node { kind } } nodes { id cursor kind at } } } }";
    let data = server
        .read(query, json!({ "first": 100, "after": after }))
        .await;
    let nodes = data["portal"]["events"]["nodes"]
        .as_array()
        .expect("events")
        .clone();
    nodes
        .iter()
        .map(|node| node["kind"].as_str().expect("a kind").to_owned())
        .collect()
}

async fn cursor(server: &Server) -> Value {
    server.read("{ portal { eventCursor } }", json!({})).await["portal"]["eventCursor"].take()
}

both! {
    /// The feed tells each turn of the calls once, also that they recovered by themselves, in one order with the errors.
    async fn turns_are_told(server) {
        let start = cursor(server).await;
        let mut live = EventStream::open(server, &reader(), "subscription { syncErrorEvents(kinds: []) { cursor affectedRecordCount } }", json!({}), None).await;
        allocate(server, json!({ "calls": 100 })).await;
        used(server, "1", 74, json!({ "occurredAt": minute(30) })).await;
        server.record(json!([failure("1", 0, json!({}))])).await;
        let between = cursor(server).await;
        for (report, calls) in [("2", 1), ("3", 5), ("4", 20), ("5", 5)] {
            used(server, report, calls, json!({ "occurredAt": minute(30) })).await;
        }
        assert_eq!(portal_events(server, &start).await, ["RETRIES_PAUSED", "EXHAUSTED"]);
        server.record(json!([failure("2", 1, json!({}))])).await;
        server.pass(Duration::days(1));
        let told = eventually("the recovery", async || {
            let told = portal_events(server, &between).await;
            (told.len() > 2).then_some(told)
        }).await;
        assert_eq!(told, ["RETRIES_PAUSED", "EXHAUSTED", "RECOVERED"]);
        assert_eq!(portal_events(server, &cursor(server).await).await, [""; 0]);
        let all = server.read("{ portal { events { nodes { id kind } } } }", json!({})).await["portal"]["events"]["nodes"].take();
        let node = server.read("query ($id: ID!) { node(id: $id) { id ... on PortalEvent { kind } } }", json!({ "id": all[1]["id"] })).await;
        assert_eq!(node["node"], all[1]);
        // Who follows the errors does not stumble over them, and goes on behind them after a cut.
        for count in 1..=2 {
            assert_eq!(live.data().await["syncErrorEvents"]["affectedRecordCount"], count);
        }
        let heard = live.last_id.take();
        drop(live);
        server.record(json!([failure("3", 2, json!({}))])).await;
        let mut live = EventStream::open(server, &reader(), "subscription { syncErrorEvents(kinds: []) { cursor affectedRecordCount } }", json!({}), heard.as_deref()).await;
        assert_eq!(live.data().await["syncErrorEvents"]["affectedRecordCount"], 3);
        let mut late = EventStream::open(server, &reader(), "subscription ($after: String) { syncErrorEvents(kinds: [], after: $after) { affectedRecordCount } }", json!({ "after": start }), None).await;
        for count in 1..=3 {
            assert_eq!(late.data().await["syncErrorEvents"]["affectedRecordCount"], count);
        }
        assert_eq!(server.error_code(&reader(), "query ($after: String) { portal { events(after: $after) { nodes { kind } } } }", json!({ "after": "x" })).await, "BAD_USER_INPUT");
    }
}

both! {
    /// Failures that say that nothing syncs suspend the portal; a later success, or a report, brings it back.
    async fn suspended_by_failures(server) {
        let state = async || server.read("{ portal { syncState suspension { reason since } } }", json!({})).await["portal"].take();
        let report = "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { userErrors { message } } }";
        server.data(&engine(), report, json!({ "input": { "syncState": "ACTIVE", "occurredAt": minute(0) } })).await;
        let start = cursor(server).await;
        // A backlog says nothing of the present.
        server.record(json!([failure("1", 44, json!({ "code": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded.", "fields": [] }))])).await;
        assert_eq!(state().await["syncState"], "ACTIVE");
        server.record(json!([failure("1", 50, json!({ "code": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded.", "fields": [] }))])).await;
        assert_eq!(state().await, json!({ "syncState": "SUSPENDED", "suspension": { "reason": "ORG_LIMIT_REACHED", "since": minute(50) } }));
        // Salesforce says so, not HubSpot; and what happened before the turn changes nothing.
        server.succeed(json!([success("2", 49)])).await;
        assert_eq!(state().await["syncState"], "SUSPENDED");
        // A record that is gone says nothing of the portal.
        server.succeed(json!([{ "occurredAt": minute(51), "removed": true, "hubspotRecord": { "objectType": "contact", "recordId": "2" } }])).await;
        assert_eq!(state().await["syncState"], "SUSPENDED");
        server.succeed(json!([success("2", 51)])).await;
        assert_eq!(state().await, json!({ "syncState": "ACTIVE", "suspension": null }));
        server.record(json!([failure("3", 5, json!({ "code": "API_DISABLED_FOR_ORG", "message": "API is not enabled", "fields": [] }))])).await;
        server.record(json!([failure("3", 52, json!({ "code": "REQUEST_LIMIT_EXCEEDED", "system": "HUBSPOT", "message": "limit", "fields": [] }))])).await;
        assert_eq!(state().await["syncState"], "ACTIVE");
        server.record(json!([failure("3", 53, json!({ "code": "API_DISABLED_FOR_ORG", "message": "API is not enabled", "fields": [] }))])).await;
        assert_eq!(state().await["suspension"]["reason"], "API_DISABLED");
        server.data(&engine(), report, json!({ "input": { "syncState": "ACTIVE", "occurredAt": minute(54) } })).await;
        assert_eq!(portal_events(server, &start).await, ["SUSPENDED", "RESUMED", "SUSPENDED", "RESUMED"]);
    }
}
