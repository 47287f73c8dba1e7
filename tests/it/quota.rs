//! API calls: what is allocated, used in a rolling day, set aside; and what a portal may do with them.

use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::live::Socket;
use crate::harness::{Server, both, engine, logs, manager, minute, reader, token};

const FIELDS: &str = "id usedLast24Hours reserved limitedBySalesforce orgUsedLast24Hours allocatedToHubspot remaining state exhaustionForecastAt resumesAt measuredAt";
/// The tests' clock begins an hour after [`crate::harness::START`].
const NOW: i64 = 60;

async fn quota(server: &Server) -> Value {
    server
        .read(
            &format!("{{ portal {{ quota {{ {FIELDS} }} }} }}"),
            json!({}),
        )
        .await["portal"]["quota"]
        .take()
}

pub async fn allocate(server: &Server, input: Value) -> Value {
    let query = format!(
        "mutation ($input: SetHubspotAllocationInput!) {{ setHubspotAllocation(input: $input) {{ quota {{ {FIELDS} }} userErrors {{ field code message }} }} }}"
    );
    server
        .data(&manager(), &query, json!({ "input": input }))
        .await["setHubspotAllocation"]
        .take()
}

/// Reports calls; what `more` sets comes on top.
pub async fn used(server: &Server, report: &str, calls: i64, more: Value) -> Value {
    let query = format!(
        "mutation ($input: ReportApiUsageInput!) {{ reportApiUsage(input: $input) {{ quota {{ {FIELDS} }} userErrors {{ field code message }} }} }}"
    );
    let mut input = json!({ "reportId": report, "calls": calls });
    if let (Value::Object(input), Value::Object(more)) = (&mut input, more) {
        input.extend(more);
    }
    server
        .data(&engine(), &query, json!({ "input": input }))
        .await["reportApiUsage"]
        .take()
}

async fn reserve(server: &Server, input: Value) -> Value {
    let query = "mutation ($input: ReserveApiCallsInput!) { reserveApiCalls(input: $input) { reservation { id calls expiresAt } retryAt userErrors { field code message } } }";
    server
        .data(&engine(), query, json!({ "input": input }))
        .await["reserveApiCalls"]
        .take()
}

fn refused(answer: &Value) -> (&Value, &Value) {
    (
        &answer["userErrors"][0]["field"][1],
        &answer["userErrors"][0]["code"],
    )
}

both! {
    /// Nothing is known at first; the allocation is set, told in `changes`, bounded by Salesforce's limit, removed.
    async fn allocation(server) {
        let first = quota(server).await;
        assert_eq!(first["id"].as_str().map(str::len), Some(14));
        for (name, value) in [("usedLast24Hours", json!(0)), ("reserved", json!(0)), ("limitedBySalesforce", Value::Null), ("allocatedToHubspot", Value::Null), ("remaining", Value::Null), ("state", json!("OK")), ("resumesAt", Value::Null), ("exhaustionForecastAt", Value::Null), ("measuredAt", Value::Null)] {
            assert_eq!(first[name], value, "{name}");
        }
        let set = allocate(server, json!({ "calls": 4_000 })).await;
        assert_eq!((&set["quota"]["allocatedToHubspot"], &set["quota"]["remaining"]), (&json!(4_000), &json!(4_000)), "{set:#}");
        used(server, "r1", 100, json!({ "sforceLimitInfo": "api-usage=18/5000" })).await;
        for (calls, code) in [(0, "OUT_OF_RANGE"), (-1, "OUT_OF_RANGE"), (5_001, "ABOVE_SALESFORCE_LIMIT")] {
            let answer = allocate(server, json!({ "calls": calls })).await;
            assert_eq!(refused(&answer), (&json!("calls"), &json!(code)), "{answer:#}");
            assert_eq!(answer["quota"], Value::Null);
        }
        assert!(allocate(server, json!({ "calls": 9_999 })).await["userErrors"][0]["message"].as_str().is_some_and(|text| text.contains("5000")));
        allocate(server, json!({})).await;
        assert_eq!(allocate(server, json!({ "calls": 5_000 })).await["quota"]["allocatedToHubspot"], 5_000);
        assert_eq!(allocate(server, json!({ "calls": null })).await["quota"]["allocatedToHubspot"], Value::Null);
        let changes = server.read("{ portal { changes { nodes { setting from to by } } } }", json!({})).await["portal"]["changes"]["nodes"].take();
        assert_eq!(changes, json!([
            { "setting": "hubspotAllocation", "from": "5000", "to": null, "by": "test-user" },
            { "setting": "hubspotAllocation", "from": "4000", "to": "5000", "by": "test-user" },
            { "setting": "hubspotAllocation", "from": null, "to": "4000", "by": "test-user" },
        ]));
        let node = server.read("query ($id: ID!) { node(id: $id) { ... on Quota { usedLast24Hours } } }", json!({ "id": first["id"] })).await;
        assert_eq!(node["node"]["usedLast24Hours"], 100);
    }
}

both! {
    /// A call counts for 1,440 minutes from its minute on, to the minute; a report counts once.
    async fn rolling_day(server) {
        used(server, "a", 10, json!({ "occurredAt": minute(30) })).await;
        used(server, "b", 5, json!({ "occurredAt": minute(31) })).await;
        assert_eq!(used(server, "b", 5, json!({ "occurredAt": minute(31) })).await["quota"]["usedLast24Hours"], 15);
        let latest = used(server, "c", 0, json!({})).await;
        assert_eq!((&latest["quota"]["usedLast24Hours"], &latest["quota"]["measuredAt"]), (&json!(15), &json!(minute(NOW))));
        // The clock stands at minute 60: minute 30 is over a day old from minute 1,470 on.
        server.pass(Duration::minutes(24 * 60 - 31));
        assert_eq!(quota(server).await["usedLast24Hours"], 15);
        server.pass(Duration::minutes(1));
        assert_eq!(quota(server).await["usedLast24Hours"], 5);
        server.pass(Duration::minutes(1));
        assert_eq!(quota(server).await["usedLast24Hours"], 0);
        // What happened before the day that counts is history only.
        // After 7 days a name may be used again.
        server.pass(Duration::days(7));
        assert_eq!(used(server, "c", 3, json!({})).await["quota"]["usedLast24Hours"], 3);
        server.pass(Duration::days(1));
        assert_eq!(used(server, "late", 7, json!({ "occurredAt": minute(0) })).await["quota"]["usedLast24Hours"], 0);
        for (report, calls, more, path, code) in [
            ("", 1, json!({}), "reportId", "REQUIRED"),
            (&"x".repeat(256), 1, json!({}), "reportId", "TOO_LONG"),
            ("d", -1, json!({}), "calls", "OUT_OF_RANGE"),
            ("d", 1_000_001, json!({}), "calls", "OUT_OF_RANGE"),
            ("d", 1, json!({ "occurredAt": "1999-01-01T00:00:00Z" }), "occurredAt", "OUT_OF_RANGE"),
            ("d", 1, json!({ "sforceLimitInfo": "nonsense" }), "sforceLimitInfo", "INVALID"),
            ("d", 1, json!({ "reservationId": "nonsense" }), "reservationId", "NOT_FOUND"),
        ] {
            let answer = used(server, report, calls, more).await;
            assert_eq!(refused(&answer), (&json!(path), &json!(code)), "{answer:#}");
        }
        // Nothing of a refused report is remembered.
        assert_eq!(used(server, "d", 1_000_000, json!({})).await["quota"]["usedLast24Hours"], 1_000_000);
    }
}

both! {
    /// Limit and use of the org from every form of the header; an older reading changes nothing, nonsense is refused.
    async fn limit_info(server) {
        for (number, (text, org)) in [
            ("api-usage=18/5000", (18, 5_000)),
            ("api-usage=25/5000, per-app-api-usage=17/250(appName=sample-connected-app)", (25, 5_000)),
            ("per-app-api-usage=17/250(appName=x), api-usage=26/5000", (26, 5_000)),
            ("Sforce-Limit-Info: api-usage=27/15000", (27, 15_000)),
            ("  API-Usage = 28 / 15000 ", (28, 15_000)),
            ("api-usage=16000/15000", (16_000, 15_000)),
        ].into_iter().enumerate() {
            let told = used(server, &format!("ok-{number}"), 0, json!({ "sforceLimitInfo": text })).await;
            assert_eq!((&told["quota"]["orgUsedLast24Hours"], &told["quota"]["limitedBySalesforce"]), (&json!(org.0), &json!(org.1)), "{text}: {told:#}");
        }
        assert_eq!(quota(server).await["state"], "EXHAUSTED");
        let older = used(server, "older", 0, json!({ "sforceLimitInfo": "api-usage=1/10", "occurredAt": minute(10) })).await;
        assert_eq!(older["quota"]["limitedBySalesforce"], 15_000);
        for text in ["", "18/5000", "api-usage=18", "api-usage=/5000", "api-usage=18/", "api-usage=-1/5000", "api-usage=1.5/5000", "api-usage=18/0", "api-usage=99999999999/5000", "per-app-api-usage=17/250(appName=x)", "X: api-usage=1/2", "api-usage=١٨/٥٠٠٠"] {
            let answer = used(server, "bad", 0, json!({ "sforceLimitInfo": text })).await;
            assert_eq!(refused(&answer), (&json!("sforceLimitInfo"), &json!("INVALID")), "{text}: {answer:#}");
        }
    }
}

both! {
    /// From 75 % of the allocation retries wait, at 100 % everything; `resumesAt` and `retryAt` say until when, to the minute.
    async fn states(server) {
        allocate(server, json!({ "calls": 100 })).await;
        used(server, "1", 74, json!({ "occurredAt": minute(20) })).await;
        assert_eq!(quota(server).await["state"], "OK");
        used(server, "2", 1, json!({ "occurredAt": minute(40) })).await;
        let paused = quota(server).await;
        assert_eq!((&paused["state"], &paused["remaining"], &paused["resumesAt"]), (&json!("RETRIES_PAUSED"), &json!(25), &json!(minute(20 + 1_440))));
        let retry = reserve(server, json!({ "calls": 1, "purpose": "RETRY" })).await;
        assert_eq!((&retry["reservation"], &retry["retryAt"], &retry["userErrors"]), (&Value::Null, &json!(minute(20 + 1_440)), &json!([])));
        assert_eq!(reserve(server, json!({ "calls": 25, "purpose": "NEW_CHANGE" })).await["reservation"]["calls"], 25);
        let more = reserve(server, json!({ "calls": 1 })).await;
        // What is set aside comes back earlier than what was used stops to count.
        assert_eq!((&more["reservation"], &more["retryAt"]), (&Value::Null, &json!(minute(NOW + 5))));
        used(server, "3", 25, json!({})).await;
        let exhausted = quota(server).await;
        assert_eq!((&exhausted["state"], &exhausted["remaining"], &exhausted["resumesAt"]), (&json!("EXHAUSTED"), &json!(0), &json!(minute(20 + 1_440))));
        // Use is a fact: it is never refused.
        assert_eq!(used(server, "4", 50, json!({})).await["quota"]["usedLast24Hours"], 150);
        server.pass(Duration::minutes(20 + 1_440 - NOW));
        assert_eq!(quota(server).await["state"], "RETRIES_PAUSED");
        assert_eq!(reserve(server, json!({ "calls": 24 })).await["reservation"]["calls"], 24);
        for (input, path, code) in [
            (json!({ "calls": 0 }), "calls", "OUT_OF_RANGE"),
            (json!({ "calls": 101 }), "calls", "OUT_OF_RANGE"),
            (json!({ "calls": 76, "purpose": "RETRY" }), "calls", "OUT_OF_RANGE"),
            (json!({ "calls": 1, "idempotencyKey": "" }), "idempotencyKey", "REQUIRED"),
        ] {
            assert_eq!(refused(&reserve(server, input).await), (&json!(path), &json!(code)));
        }
    }
}

both! {
    /// Where the org's own limit is nearer, it decides, for as long as its reading counts: an hour.
    async fn org_limit(server) {
        allocate(server, json!({ "calls": 1_000 })).await;
        used(server, "1", 10, json!({ "sforceLimitInfo": "api-usage=4990/5000" })).await;
        assert_eq!(quota(server).await["remaining"], 10);
        assert_eq!(reserve(server, json!({ "calls": 10 })).await["reservation"]["calls"], 10);
        assert_eq!(reserve(server, json!({ "calls": 1 })).await["retryAt"], minute(NOW + 60));
        // What is used here after the reading, the org has used too.
        server.pass(Duration::minutes(6));
        assert_eq!(used(server, "since", 4, json!({})).await["quota"]["remaining"], 6);
        assert_eq!(used(server, "before", 4, json!({ "occurredAt": minute(10) })).await["quota"]["remaining"], 6);
        assert_eq!(used(server, "2", 0, json!({ "sforceLimitInfo": "api-usage=5000/5000" })).await["quota"]["state"], "EXHAUSTED");
        assert_eq!(quota(server).await["resumesAt"], Value::Null);
        server.pass(Duration::minutes(60));
        assert_eq!((&quota(server).await["state"], &reserve(server, json!({ "calls": 20 })).await["reservation"]["calls"]), (&json!("OK"), &json!(20)));
        assert_eq!(used(server, "3", 0, json!({ "sforceLimitInfo": "api-usage=100/5000" })).await["quota"]["state"], "OK");
    }
}

both! {
    /// A reservation is settled by use that names it, or expires; the same request gets the same one.
    async fn reservations(server) {
        allocate(server, json!({ "calls": 100 })).await;
        let first = reserve(server, json!({ "calls": 60, "idempotencyKey": "k" })).await["reservation"].take();
        assert_eq!(first["expiresAt"], minute(NOW + 5));
        assert_eq!(reserve(server, json!({ "calls": 60, "idempotencyKey": "k" })).await["reservation"], first);
        let reused = reserve(server, json!({ "calls": 61, "idempotencyKey": "k" })).await;
        assert_eq!(refused(&reused), (&json!("idempotencyKey"), &json!("IDEMPOTENCY_KEY_REUSED")));
        assert_eq!((&quota(server).await["reserved"], &quota(server).await["remaining"]), (&json!(60), &json!(40)));
        let settled = used(server, "1", 20, json!({ "reservationId": first["id"] })).await["quota"].take();
        assert_eq!((&settled["usedLast24Hours"], &settled["reserved"], &settled["remaining"]), (&json!(20), &json!(0), &json!(80)));
        // What comes under a settled one counts, and gives nothing back a second time.
        assert_eq!(used(server, "2", 5, json!({ "reservationId": first["id"] })).await["quota"]["remaining"], 75);
        reserve(server, json!({ "calls": 75 })).await;
        assert_eq!(quota(server).await["remaining"], 0);
        server.pass(Duration::seconds(299));
        assert_eq!(quota(server).await["reserved"], 75);
        server.pass(Duration::seconds(1));
        assert_eq!((&quota(server).await["reserved"], &quota(server).await["remaining"]), (&json!(0), &json!(75)));
        // Asked for again when it was given back, the same request is granted anew, or not.
        let short = reserve(server, json!({ "calls": 50, "idempotencyKey": "again" })).await["reservation"].take();
        server.pass(Duration::seconds(300));
        let again = reserve(server, json!({ "calls": 50, "idempotencyKey": "again" })).await["reservation"].take();
        assert_eq!((&again["id"], again["expiresAt"] == short["expiresAt"], &quota(server).await["reserved"]), (&short["id"], false, &json!(50)));
        let theirs = "mutation { reserveApiCalls(input: { calls: 1 }) { reservation { id } } }";
        let theirs = server.data(&token(&["1002"], "sync-health:report"), theirs, json!({})).await["reserveApiCalls"]["reservation"]["id"].take();
        let foreign = used(server, "3", 1, json!({ "reservationId": theirs })).await;
        assert_eq!(refused(&foreign), (&json!("reservationId"), &json!("NOT_FOUND")));
    }
}

both! {
    /// Use in steps of time, with the limits at their ends; the engine that may not read sees the present only.
    async fn history(server) {
        allocate(server, json!({ "calls": 500 })).await;
        used(server, "1", 10, json!({})).await;
        server.pass(Duration::minutes(1));
        used(server, "2", 5, json!({ "sforceLimitInfo": "api-usage=1/5000" })).await;
        server.pass(Duration::minutes(64));
        used(server, "3", 1, json!({})).await;
        let query = "query ($since: DateTime!, $until: DateTime, $interval: Interval! = HOUR) { portal { quota { history(since: $since, until: $until, interval: $interval) { at usedCount limitedBySalesforce allocatedToHubspot } } } }";
        let points = async |variables: Value| {
            let data = server.read(query, variables).await;
            let points = data["portal"]["quota"]["history"].as_array().expect("points").clone();
            points.iter().map(|point| json!([point["at"], point["usedCount"], point["limitedBySalesforce"], point["allocatedToHubspot"]])).collect::<Vec<_>>()
        };
        assert_eq!(json!(points(json!({ "since": "2026-03-02T10:30:00Z" })).await), json!([
            ["2026-03-02T10:00:00Z", 0, null, null],
            ["2026-03-02T11:00:00Z", 15, 5_000, 500],
            ["2026-03-02T12:00:00Z", 1, 5_000, 500],
        ]));
        assert_eq!(json!(points(json!({ "since": "2026-03-02T11:00:00Z", "until": "2026-03-02T11:03:00Z", "interval": "MINUTE" })).await), json!([
            ["2026-03-02T11:00:00Z", 10, null, 500],
            ["2026-03-02T11:01:00Z", 5, 5_000, 500],
            ["2026-03-02T11:02:00Z", 0, 5_000, 500],
        ]));
        assert_eq!(points(json!({ "since": "2026-02-01T00:00:00Z", "interval": "DAY" })).await.len(), 30);
        // A late report counts in its minute; what was allowed then stays.
        allocate(server, json!({ "calls": 900 })).await;
        used(server, "late", 3, json!({ "occurredAt": "2026-03-02T11:30:00Z" })).await;
        used(server, "later", 4, json!({ "occurredAt": "2026-03-02T10:59:00Z" })).await;
        assert_eq!(json!(points(json!({ "since": "2026-03-02T10:30:00Z" })).await), json!([
            ["2026-03-02T10:00:00Z", 4, null, null],
            ["2026-03-02T11:00:00Z", 18, 5_000, 500],
            ["2026-03-02T12:00:00Z", 1, 5_000, 900],
        ]));
        assert_eq!(server.error_code(&reader(), query, json!({ "since": "2020-01-01T00:00:00Z" })).await, "BAD_USER_INPUT");
        let query = "mutation { reportApiUsage(input: { reportId: \"4\", calls: 0 }) { quota { history(since: \"2026-03-02T10:30:00Z\") { usedCount } } } }";
        assert_eq!(server.error_code(&engine(), query, json!({})).await, "FORBIDDEN");
    }
}

both! {
    /// At the pace of the last hour, minutes that stop to count taken off.
    async fn forecast(server) {
        allocate(server, json!({ "calls": 1_000 })).await;
        for at in 1..=60 {
            used(server, &at.to_string(), 2, json!({ "occurredAt": minute(at) })).await;
        }
        // 120 are used, 880 are left at 2 a minute.
        assert_eq!(quota(server).await["exhaustionForecastAt"], minute(NOW + 440));
        allocate(server, json!({ "calls": 3_000 })).await;
        // 1,440 minutes hold at most 2,880.
        assert_eq!(quota(server).await["exhaustionForecastAt"], Value::Null);
        server.pass(Duration::hours(2));
        allocate(server, json!({ "calls": 121 })).await;
        assert_eq!(quota(server).await["exhaustionForecastAt"], Value::Null);
    }
}

both! {
    /// The state at once, then whenever it changes, the last state always; also when calls stop to count by themselves.
    async fn updated(server) {
        let mut socket = Socket::connect(server, &reader()).await;
        socket.subscribe("1", &format!("subscription ($hubId: ID) {{ quotaUpdated(hubId: $hubId) {{ {FIELDS} }} }}"), json!({ "hubId": "1001" })).await;
        assert_eq!(socket.data().await["quotaUpdated"]["usedLast24Hours"], 0);
        allocate(server, json!({ "calls": 100 })).await;
        assert_eq!(socket.data().await["quotaUpdated"]["allocatedToHubspot"], 100);
        for report in 1..=20 {
            used(server, &report.to_string(), 4, json!({})).await;
        }
        let mut last = Value::Null;
        while last["usedLast24Hours"] != 80 {
            last = socket.data().await["quotaUpdated"].take();
        }
        assert_eq!(last["state"], "RETRIES_PAUSED");
        server.pass(Duration::days(1));
        assert_eq!(socket.data().await["quotaUpdated"]["state"], "OK");
    }
}

both! {
    /// A list of portals reads the calls of all in one statement, and their minutes in another.
    async fn many_portals(server) {
        let both = token(&["1001", "1002"], "sync-health:manage sync-health:report");
        for hub_id in ["1001", "1002"] {
            let query = "mutation ($hubId: ID) { setHubspotAllocation(input: { hubId: $hubId, calls: 10 }) { quota { remaining } } reportApiUsage(input: { hubId: $hubId, reportId: \"1\", calls: 8 }) { quota { state } } }";
            server.data(&both, query, json!({ "hubId": hub_id })).await;
        }
        let statements = async |fields: &str| {
            let query = format!("{{ portals {{ nodes {{ hubId quota {{ {fields} }} }} }} }}");
            let page = server.post(&both, &query, json!({})).await;
            let reference = page.headers()["x-request-id"].to_str().expect("a text").to_owned();
            let body: Value = page.json().await.expect("JSON");
            let nodes = body["data"]["portals"]["nodes"].as_array().expect("portals").clone();
            assert!(nodes.iter().all(|node| node["quota"]["usedLast24Hours"] == 8) && nodes.len() == 2, "{body:#}");
            let line = logs().into_iter().rfind(|line| line.contains(&reference)).expect("the request's line");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            line["fields"]["statements"].as_u64().expect("a number")
        };
        let plain = statements("usedLast24Hours").await;
        assert_eq!(statements("usedLast24Hours resumesAt exhaustionForecastAt").await, plain + 1);
    }
}
