//! What operations cost, and what happens to who spends too much.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sync_health::kernel::config::{Config, Rate};

use crate::harness::{REPORT_FAILURES, Server, both, engine, failure, reader, token};

/// Buckets that hardly fill up while a test runs.
fn narrow(config: &mut Config) {
    config.points = Rate::new(30, 1);
    config.report_points = Rate::new(40, 1);
}

/// Costs a point for the query and one for the service.
const CHEAP: &str = "{ service { version } }";

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

both! {
    configure = super::narrow;
    /// Each answer tells what it cost and what is left; an empty bucket refuses and says when to come back.
    async fn buckets(server) {
        let first = server.post(&reader(), CHEAP, json!({})).await;
        assert_eq!(header(&first, "ratelimit-policy"), "\"points\";q=30;w=30");
        assert_eq!(header(&first, "ratelimit"), "\"points\";r=28;t=2");
        let answer: Value = first.json().await.expect("JSON");
        assert_eq!(answer["extensions"], json!({ "cost": { "requestedQueryCost": 2, "actualQueryCost": 2, "throttleStatus": { "maximumAvailable": 30, "currentlyAvailable": 28, "restoreRate": 1 } } }));
        let refused = drain(server, &reader()).await;
        let wait: u64 = header(&refused, "retry-after").parse().expect("seconds");
        assert!((1..=2).contains(&wait), "{wait}");
        assert!(header(&refused, "ratelimit").starts_with("\"points\";r="));
        let body: Value = refused.json().await.expect("JSON");
        assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
        assert!(body["errors"][0]["message"].as_str().is_some_and(|text| text.contains(&format!("Come back in {wait} seconds"))), "{body}");
        assert_eq!(body["extensions"]["cost"]["requestedQueryCost"], 2);
        assert!(body.get("data").is_none());
    }
}

/// Asks until the bucket is empty; answers the refusal.
async fn drain(server: &Server, token: &str) -> Response {
    for _ in 0..60 {
        let response = server.post(token, CHEAP, json!({})).await;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            return response;
        }
    }
    panic!("the bucket has no bottom");
}

both! {
    configure = super::narrow;
    /// A bucket is one subject's on one portal; reports have another.
    async fn buckets_are_apart(server) {
        let two = token(&["1001", "1002"], "sync-health:read sync-health:report");
        let ask = |hub_id: &'static str| { let two = two.clone(); async move { server.post(&two, "query ($hubId: ID) { portal(hubId: $hubId) { hubId } }", json!({ "hubId": hub_id })).await.status() } };
        let mut statuses = Vec::new();
        for _ in 0..16 { statuses.push(ask("1001").await); }
        assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(ask("1002").await, StatusCode::OK);
        // The same subject on the same portal with another token: the same bucket, found by the portal of the token.
        assert_eq!(server.post(&reader(), "{ portal { hubId } }", json!({})).await.status(), StatusCode::TOO_MANY_REQUESTS);
        let report = json!({ "input": { "failures": [failure("1", 0, json!({}))] } });
        assert_eq!(server.ask(&engine(), REPORT_FAILURES, report.clone()).await["data"]["reportSyncFailures"]["recordedCount"], 1);
        let mut last = Value::Null;
        for _ in 0..4 { last = server.ask(&engine(), REPORT_FAILURES, report.clone()).await; }
        assert_eq!(last["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{last}");
    }
}

both! {
    configure = super::narrow;
    /// A portal that is made up, or named by one root field only, opens no other bucket.
    async fn no_bucket_for_nothing(server) {
        drain(server, &reader()).await;
        for query in ["{ portal(hubId: \"77\") { hubId } own: portal { hubId } }", "{ own: portal(hubId: \"1001\") { hubId } viewer { subject } }"] {
            let refused = server.post(&reader(), query, json!({})).await;
            assert_eq!(refused.status(), if query.contains("77") { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS }, "{query}");
        }
        // Several portals and those that the token does not name share one bucket, whatever their numbers are.
        let mut last = StatusCode::OK;
        for number in 0..40 {
            last = server.post(&reader(), &format!("{{ portal(hubId: \"{}\") {{ hubId }} }}", 5_000 + number), json!({})).await.status();
        }
        assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    }
}

/// A report bucket that lets a thousand lines through and fills up fast.
fn streaming(config: &mut Config) {
    config.report_points = Rate::new(1_000, 1_000);
}

both! {
    configure = super::streaming;
    /// NDJSON is never refused for its speed: who sends more than the bucket holds is read more slowly.
    async fn streams_are_slowed(server) {
        let lines: Vec<String> = (0..1_500).map(|n| failure(&n.to_string(), 0, json!({ "reportId": n.to_string() })).to_string()).collect();
        let began = std::time::Instant::now();
        let request = server.http.post(format!("{}/v1/sync-failures", server.url)).bearer_auth(engine()).body(lines.join("\n"));
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!((&answer["recordedCount"], &answer["refusedCount"]), (&json!(1_500), &json!(0)));
        // 500 lines more than the bucket holds: at a thousand a second they take half a second.
        assert!(began.elapsed() >= std::time::Duration::from_millis(400));
    }
}

both! {
    configure = super::narrow;
    /// `service.limits` tells the limits in force, the configured ones too.
    async fn limits_in_force(server) {
        let data = server.data(&reader(), "{ service { limits { name value unit } } }", json!({})).await;
        let limits = data["service"]["limits"].as_array().expect("limits");
        let value = |name: &str| limits.iter().find(|limit| limit["name"] == name).map(|limit| limit["value"].clone());
        assert_eq!(value("bucketPoints"), Some(json!(30)));
        assert_eq!(value("restoredPointsPerSecond"), Some(json!(1)));
        assert_eq!(value("reportBucketPoints"), Some(json!(40)));
        assert_eq!(value("pageSize"), Some(json!(100)));
    }
}
