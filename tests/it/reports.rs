//! Reports: what is refused, and that the rest is kept.

use serde_json::{Value, json};

use crate::harness::{REPORT_FAILURES, REPORT_SUCCESSES, both, engine, failure, minute, token};

both! {
    /// One bad failure among 1,000 is refused by its position; 999 are kept.
    async fn one_bad_among_many(server) {
        let mut failures: Vec<_> = (0..1000).map(|n| failure(&n.to_string(), 0, json!({ "reportId": n }))).collect();
        failures[17]["occurredAt"] = json!(minute(90));
        let payload = server.fail(json!(failures)).await;
        assert_eq!((&payload["recordedCount"], &payload["refusedCount"], &payload["repeatedCount"]), (&json!(999), &json!(1), &json!(0)));
        assert_eq!(payload["results"][17], json!({ "reportId": "17", "outcome": "REFUSED", "syncError": null }));
        assert_eq!((&payload["results"][18]["reportId"], &payload["results"][18]["outcome"]), (&json!("18"), &json!("RECORDED")));
        assert_eq!(payload["results"][999]["syncError"]["affectedRecordCount"], 999);
        let error = &payload["userErrors"][0];
        assert_eq!((&error["field"], &error["elementIndex"], &error["code"]), (&json!(["input", "failures", "17", "occurredAt"]), &json!(17), &json!("OUT_OF_RANGE")));
    }
}

both! {
    /// Every value of a failure has its limit, its code and its path.
    async fn refused_values(server) {
        let text = |length: usize| "x".repeat(length);
        let without_records = json!({ "hubspotRecord": { "objectType": "contact" } });
        for (more, path, code) in [
            (json!({ "occurredAt": "1999-12-31T23:59:59Z" }), vec!["occurredAt"], "OUT_OF_RANGE"),
            (json!({ "reportId": text(256) }), vec!["reportId"], "TOO_LONG"),
            (json!({ "code": text(256) }), vec!["code"], "TOO_LONG"),
            (json!({ "message": text(16_001) }), vec!["message"], "TOO_LONG"),
            (json!({ "raw": text(60_001) }), vec!["raw"], "TOO_LONG"),
            (json!({ "value": text(2_001) }), vec!["value"], "TOO_LONG"),
            (json!({ "fields": vec!["a"; 101] }), vec!["fields"], "TOO_MANY"),
            (json!({ "fields": ["a", text(256)] }), vec!["fields", "1"], "TOO_LONG"),
            (json!({ "hubspotProperty": text(256) }), vec!["hubspotProperty"], "TOO_LONG"),
            (json!({ "salesforceField": text(256) }), vec!["salesforceField"], "TOO_LONG"),
            (json!({ "hubspotRecord": { "recordId": text(256) } }), vec!["hubspotRecord", "recordId"], "TOO_LONG"),
            (json!({ "salesforceRecord": { "name": text(256) } }), vec!["salesforceRecord", "name"], "TOO_LONG"),
            (json!({ "blockingRecord": { "objectType": "Account" } }), vec!["blockingRecord"], "REQUIRED"),
            (json!({ "existingRecord": { "externalId": { "field": "f", "value": text(2_001) } } }), vec!["existingRecord", "externalId", "value"], "TOO_LONG"),
            (without_records, vec!["hubspotRecord", "recordId"], "REQUIRED"),
        ] {
            let payload = server.fail(json!([failure("1", 0, more.clone())])).await;
            let path = [vec!["input", "failures", "0"], path].concat();
            assert_eq!((&payload["userErrors"][0]["field"], &payload["userErrors"][0]["code"]), (&json!(path), &json!(code)), "{more}\n{payload:#}");
            assert_eq!(payload["refusedCount"], 1);
        }
        let longest = json!({ "reportId": text(255), "message": text(16_000), "raw": text(60_000), "value": text(2_000), "fields": vec!["a"; 100] });
        server.record(json!([failure("1", 0, longest)])).await;
    }
}

both! {
    /// 1 to 1,000 elements, of a portal that the token names.
    async fn refused_calls(server) {
        let one = failure("1", 0, json!({}));
        for (count, list) in [(0, "failures"), (1001, "failures"), (0, "successes"), (1001, "successes")] {
            let (query, name, element) = match list {
                "failures" => (REPORT_FAILURES, "reportSyncFailures", one.clone()),
                _ => (REPORT_SUCCESSES, "reportSyncSuccesses", json!({ "hubspotRecord": { "recordId": 1 } })),
            };
            let data = server.data(&engine(), query, json!({ "input": { list: vec![element; count] } })).await;
            assert_eq!(data[name]["userErrors"][0]["code"], "TOO_MANY");
            assert_eq!(data[name]["userErrors"][0]["field"], json!(["input", list]));
        }
        let input = json!({ "input": { "hubId": "1002", "failures": [one] } });
        let data = server.data(&engine(), REPORT_FAILURES, input.clone()).await;
        assert_eq!(data["reportSyncFailures"]["userErrors"][0]["code"], "NOT_FOUND");
        let star = token(&["*"], "sync-health:report");
        let data = server.data(&star, REPORT_FAILURES, input).await;
        assert_eq!(data["reportSyncFailures"]["userErrors"][0]["code"], "NOT_FOUND");
        let two = token(&["1001", "1002"], "sync-health:report");
        assert_eq!(server.error_code(&two, REPORT_FAILURES, json!({ "input": { "failures": [] } })).await, "BAD_USER_INPUT");
        // What GraphQL's types refuse, refuses the whole request.
        assert_eq!(server.error_code(&engine(), REPORT_FAILURES, json!({ "input": { "failures": [{ "message": "x" }] } })).await, "BAD_USER_INPUT");
    }
}

both! {
    /// Successes are checked one by one, too.
    async fn refused_successes(server) {
        server.record(json!([failure("1", 0, json!({}))])).await;
        let payload = server.succeed(json!([{ "hubspotRecord": { "objectType": "contact" } }, { "hubspotRecord": { "recordId": "1" }, "occurredAt": minute(200) }, { "hubspotRecord": { "recordId": "1" } }])).await;
        assert_eq!((&payload["recordedCount"], &payload["refusedCount"], &payload["clearedRecordCount"]), (&json!(1), &json!(2), &json!(1)));
        let codes: Vec<_> = payload["userErrors"].as_array().expect("a list").iter().map(|error| json!([error["elementIndex"], error["code"]])).collect();
        assert_eq!(json!(codes), json!([[0, "REQUIRED"], [1, "OUT_OF_RANGE"]]));
    }
}

both! {
    /// Nothing of what was reported is lost, whatever characters it has.
    async fn latest_failure(server) {
        let more = json!({
            "reportId": 42, "system": "SALESFORCE", "code": "sf:STRING_TOO_LONG", "message": "Title: data value too large: \u{202E}Ünïcode \u{0000}\u{1F600} (max length=20)",
            "raw": "[{\"errorCode\":\"STRING_TOO_LONG\"}]", "value": "\u{202E}Ünïcode", "hubspotRecord": { "objectType": "contacts", "recordId": 1, "name": "Ada <b>" },
        });
        server.record(json!([failure("1", 3, more)])).await;
        let query = "{ portal { syncErrors { nodes { code title causeCode causeMessage transient classification { rule overridden } latestFailure { reportId occurredAt receivedAt reportedBy direction system code message fields
            hubspotRecord { objectType recordId name } salesforceRecord { objectType recordId } value raw } } } } }";
        let data = server.read(query, json!({})).await;
        let error = &data["portal"]["syncErrors"]["nodes"][0];
        assert_eq!((&error["code"], &error["causeCode"], &error["causeMessage"]), (&json!("STRING_TOO_LONG"), &Value::Null, &Value::Null));
        assert_eq!(error["classification"], json!({ "rule": "salesforce.too-long", "overridden": false }));
        assert_eq!(error["latestFailure"], json!({
            "reportId": "42", "occurredAt": minute(3), "receivedAt": minute(60), "reportedBy": "test-user", "direction": "HUBSPOT_TO_SALESFORCE", "system": "SALESFORCE",
            "code": "sf:STRING_TOO_LONG", "message": "Title: data value too large: \u{202E}Ünïcode \u{FFFD}\u{1F600} (max length=20)", "fields": ["Title"],
            "hubspotRecord": { "objectType": "contact", "recordId": "1", "name": "Ada <b>" }, "salesforceRecord": { "objectType": "Contact", "recordId": null },
            "value": "\u{202E}Ünïcode", "raw": "[{\"errorCode\":\"STRING_TOO_LONG\"}]",
        }));
    }
}
