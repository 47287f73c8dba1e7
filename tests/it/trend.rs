//! The development of the cards in steps of time.

use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::{both, failure, manager, reader, success};

const TREND: &str = "query ($since: DateTime!, $until: DateTime, $interval: Interval!, $categories: [SyncErrorCategory!]) { portal {
    trend(since: $since, until: $until, interval: $interval, categories: $categories) { at category openedCount resolvedCount openErrorCount affectedRecordCount } } }";

both! {
    /// What was opened and resolved in each step, and what was open at its end; steps without a change keep the level.
    async fn steps(server) {
        server.record(json!([failure("1", 0, json!({})), failure("2", 0, json!({})), failure("3", 0, json!({ "fields": ["Phone"] }))])).await;
        server.pass(Duration::minutes(7));
        server.succeed(json!([success("3", 1)])).await;
        server.pass(Duration::minutes(60));
        server.record(json!([failure("3", 62, json!({ "fields": ["Phone"] }))])).await;
        let points = |interval: &'static str, since: &'static str, until: &'static str| async move {
            let data = server.read(TREND, json!({ "since": since, "until": until, "interval": interval, "categories": ["PROPERTY_VALUES"] })).await;
            let points = data["portal"]["trend"].as_array().expect("points").clone();
            points.iter().map(|point| json!([point["at"], point["openedCount"], point["resolvedCount"], point["openErrorCount"], point["affectedRecordCount"]])).collect::<Vec<_>>()
        };
        assert_eq!(json!(points("HOUR", "2026-03-02T10:30:00Z", "2026-03-02T13:00:00Z").await), json!([
            ["2026-03-02T10:00:00Z", 0, 0, 0, 0],
            ["2026-03-02T11:00:00Z", 2, 1, 1, 2],
            ["2026-03-02T12:00:00Z", 1, 0, 2, 3],
        ]));
        assert_eq!(json!(points("FIVE_MINUTES", "2026-03-02T11:00:00Z", "2026-03-02T11:15:00Z").await), json!([
            ["2026-03-02T11:00:00Z", 2, 0, 2, 3],
            ["2026-03-02T11:05:00Z", 0, 1, 1, 2],
            ["2026-03-02T11:10:00Z", 0, 0, 1, 2],
        ]));
        // What came before the span is the level it begins with.
        assert_eq!(json!(points("MINUTE", "2026-03-02T12:06:00Z", "2026-03-02T12:08:00Z").await), json!([
            ["2026-03-02T12:06:00Z", 0, 0, 1, 2],
            ["2026-03-02T12:07:00Z", 1, 0, 2, 3],
        ]));
        let all = server.read(TREND, json!({ "since": "2026-03-02T12:00:00Z", "interval": "DAY" })).await;
        assert_eq!(all["portal"]["trend"].as_array().map(Vec::len), Some(8), "{all:#}");
        assert_eq!(all["portal"]["trend"][6], json!({ "at": "2026-03-02T00:00:00Z", "category": "PROPERTY_VALUES", "openedCount": 3, "resolvedCount": 1, "openErrorCount": 2, "affectedRecordCount": 3 }));
    }
}

both! {
    /// Days begin at midnight of the portal's zone: one is 23, one 25 hours long.
    async fn days_and_daylight_saving(server) {
        let configure = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { userErrors { message } } }";
        server.data(&manager(), configure, json!({ "input": { "timeZone": "Europe/Berlin" } })).await;
        let days = |since: &'static str, until: &'static str| async move {
            let data = server.read(TREND, json!({ "since": since, "until": until, "interval": "DAY", "categories": ["OTHER"] })).await;
            let points = data["portal"]["trend"].as_array().expect("points").clone();
            points.iter().map(|point| point["at"].clone()).collect::<Vec<Value>>()
        };
        assert_eq!(json!(days("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z").await), json!(["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]));
        assert_eq!(json!(days("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z").await), json!(["2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]));
        // In Beirut the clock changes at midnight: that day begins at one.
        server.data(&manager(), configure, json!({ "input": { "timeZone": "Asia/Beirut" } })).await;
        assert_eq!(json!(days("2026-03-29T12:00:00Z", "2026-03-29T13:00:00Z").await), json!(["2026-03-28T22:00:00Z"]));
    }
}

both! {
    /// At most 1,500 steps, forwards in time.
    async fn refused_spans(server) {
        for (since, until, interval) in [
            ("2026-03-02T10:00:00Z", "2026-03-02T10:00:00Z", "HOUR"),
            ("2026-03-01T00:00:00Z", "2026-03-02T01:01:00Z", "MINUTE"),
            ("2020-01-01T00:00:00Z", "2026-03-02T00:00:00Z", "DAY"),
        ] {
            assert_eq!(server.error_code(&reader(), TREND, json!({ "since": since, "until": until, "interval": interval })).await, "BAD_USER_INPUT");
        }
        let most = server.read(TREND, json!({ "since": "2026-03-01T00:00:00Z", "until": "2026-03-02T01:00:00Z", "interval": "MINUTE", "categories": ["OTHER"] })).await;
        assert_eq!(most["portal"]["trend"].as_array().map(Vec::len), Some(1_500));
    }
}
