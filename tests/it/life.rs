//! The life of an error, sentence by sentence.

use serde_json::{Value, json};

use crate::harness::{Server, both, engine, failure, manager, minute, reader, success, token};

const ERRORS: &str = "{ portal { syncErrors(statuses: []) { totalCount nodes {
    id status type occurrenceCount affectedRecordCount firstSeenAt lastSeenAt resolvedAt message sampleValues
    affectedRecords { totalCount nodes { hubspotRecord { recordId name } salesforceRecord { recordId name } attemptCount firstSeenAt lastSeenAt value message } } } } } }";

async fn errors(server: &Server) -> Vec<Value> {
    let mut data = server.read(ERRORS, json!({})).await;
    serde_json::from_value(data["portal"]["syncErrors"]["nodes"].take()).expect("a list")
}

async fn only_error(server: &Server) -> Value {
    let mut errors = errors(server).await;
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

/// The kinds of all events, oldest first.
async fn kinds(server: &Server) -> Vec<String> {
    let data = server
        .read(
            "{ portal { syncErrorEvents(first: 100) { nodes { kind } } } }",
            json!({}),
        )
        .await;
    let nodes = data["portal"]["syncErrorEvents"]["nodes"]
        .as_array()
        .expect("a list");
    nodes
        .iter()
        .map(|event| event["kind"].as_str().expect("a kind").to_owned())
        .collect()
}

both! {
    /// A new signature opens an error; another record and the same record again update it.
    async fn opened_and_updated(server) {
        server.record(json!([failure("1", 0, json!({ "value": "a long title" }))])).await;
        server.record(json!([failure("2", 1, json!({ "value": "another" }))])).await;
        server.record(json!([failure("1", 2, json!({ "value": "a long title" }))])).await;
        let error = only_error(server).await;
        assert_eq!(error["status"], "OPEN");
        assert_eq!(error["occurrenceCount"], 3);
        assert_eq!(error["affectedRecordCount"], 2);
        assert_eq!(error["firstSeenAt"], minute(0));
        assert_eq!(error["lastSeenAt"], minute(2));
        assert_eq!(error["resolvedAt"], Value::Null);
        assert_eq!(error["sampleValues"], json!(["a long title", "another"]));
        let first = &error["affectedRecords"]["nodes"][0];
        assert_eq!((&first["attemptCount"], &first["value"]), (&json!(2), &json!("a long title")));
        assert_eq!((&first["firstSeenAt"], &first["lastSeenAt"]), (&json!(minute(0)), &json!(minute(2))));
        assert_eq!(kinds(server).await, ["OPENED", "UPDATED", "UPDATED"]);
    }
}

both! {
    /// One change has at most one event per error, however many failures it brings.
    async fn one_event_per_change(server) {
        let failures: Vec<_> = (0..50).map(|n| failure(&n.to_string(), 0, json!({}))).collect();
        server.record(json!(failures)).await;
        assert_eq!(kinds(server).await, ["OPENED"]);
        assert_eq!(only_error(server).await["affectedRecordCount"], 50);
    }
}

both! {
    /// A success clears its record; the last one resolves the error, a later failure reopens it with its history.
    async fn resolved_and_reopened(server) {
        server.record(json!([failure("1", 0, json!({})), failure("2", 0, json!({}))])).await;
        let payload = server.succeed(json!([success("1", 1)])).await;
        assert_eq!((&payload["clearedRecordCount"], &payload["resolvedErrorIds"]), (&json!(1), &json!([])));
        let payload = server.succeed(json!([success("2", 2)])).await;
        let error = only_error(server).await;
        assert_eq!(payload["resolvedErrorIds"], json!([error["id"]]));
        assert_eq!((&error["status"], &error["affectedRecordCount"]), (&json!("RESOLVED"), &json!(0)));
        assert_eq!(error["resolvedAt"], minute(2));
        assert_eq!(error["affectedRecords"]["totalCount"], 0);
        server.record(json!([failure("2", 3, json!({}))])).await;
        let error = only_error(server).await;
        assert_eq!((&error["status"], &error["resolvedAt"]), (&json!("OPEN"), &Value::Null));
        assert_eq!((&error["firstSeenAt"], &error["occurrenceCount"]), (&json!(minute(0)), &json!(3)));
        assert_eq!(error["affectedRecords"]["nodes"][0]["attemptCount"], 2);
        assert_eq!(kinds(server).await, ["OPENED", "UPDATED", "RESOLVED", "REOPENED"]);
    }
}

both! {
    /// A failure that is older than the record's last outcome reopens nothing.
    async fn older_failure_reopens_nothing(server) {
        server.record(json!([failure("1", 0, json!({}))])).await;
        server.succeed(json!([success("1", 5)])).await;
        let payload = server.fail(json!([failure("1", 4, json!({}))])).await;
        assert_eq!((&payload["repeatedCount"], &payload["results"][0]["outcome"]), (&json!(1), &json!("REPEATED")));
        server.succeed(json!([success("1", 9)])).await;
        server.fail(json!([failure("1", 8, json!({}))])).await;
        assert_eq!(only_error(server).await["status"], "RESOLVED");
        assert_eq!(kinds(server).await, ["OPENED", "RESOLVED"]);
    }
}

both! {
    /// A success clears what failed until then, not what failed later.
    async fn success_clears_up_to_its_instant(server) {
        server.record(json!([failure("1", 5, json!({}))])).await;
        let payload = server.succeed(json!([success("1", 4)])).await;
        assert_eq!((&payload["recordedCount"], &payload["clearedRecordCount"]), (&json!(1), &json!(0)));
        assert_eq!(only_error(server).await["status"], "OPEN");
    }
}

both! {
    /// A success that matches nothing changes nothing.
    async fn success_of_nothing(server) {
        let payload = server.succeed(json!([success("77", 0)])).await;
        assert_eq!((&payload["recordedCount"], &payload["clearedRecordCount"]), (&json!(1), &json!(0)));
        assert!(kinds(server).await.is_empty());
    }
}

both! {
    /// A success clears its own direction; one that names none clears both.
    async fn directions(server) {
        let back = json!({ "direction": "SALESFORCE_TO_HUBSPOT", "code": "READ_ONLY_VALUE", "message": "lifecycle is read only", "fields": ["lifecycle"],
            "salesforceRecord": { "objectType": "Contact", "recordId": "0035e000003GcMxAAK" } });
        let ways = |data: Value| data["portal"]["syncErrors"]["nodes"].as_array().map_or(0, Vec::len);
        let open = "{ portal { syncErrors { nodes { direction system } } } }";
        server.record(json!([failure("1", 0, json!({})), failure("1", 0, back.clone())])).await;
        assert_eq!(ways(server.read(open, json!({})).await), 2);
        let mut one_way = success("1", 1);
        one_way["direction"] = json!("SALESFORCE_TO_HUBSPOT");
        assert_eq!(server.succeed(json!([one_way])).await["clearedRecordCount"], 1);
        let left = server.read(open, json!({})).await;
        assert_eq!(left["portal"]["syncErrors"]["nodes"], json!([{ "direction": "HUBSPOT_TO_SALESFORCE", "system": "SALESFORCE" }]));
        let mut again = back;
        again["occurredAt"] = json!(minute(2));
        server.record(json!([failure("1", 2, again)])).await;
        assert_eq!(server.succeed(json!([success("1", 3)])).await["clearedRecordCount"], 2);
        assert_eq!(ways(server.read(open, json!({})).await), 0);
    }
}

both! {
    /// Closing what will never sync: the record was deleted, merged or excluded.
    async fn removed(server) {
        server.record(json!([failure("1", 0, json!({}))])).await;
        let gone = json!({ "occurredAt": minute(1), "hubspotRecord": { "recordId": "1" }, "removed": true });
        assert_eq!(server.succeed(json!([gone])).await["clearedRecordCount"], 1);
        assert_eq!(only_error(server).await["status"], "RESOLVED");
    }
}

both! {
    /// The same report again changes nothing, in the same call, in another one, and after its id is forgotten.
    async fn idempotent(server) {
        let report = failure("1", 0, json!({ "reportId": "r-1" }));
        let payload = server.fail(json!([report, report])).await;
        assert_eq!((&payload["recordedCount"], &payload["repeatedCount"]), (&json!(1), &json!(1)));
        assert_eq!(payload["results"][1], json!({ "reportId": "r-1", "outcome": "REPEATED", "syncError": payload["results"][0]["syncError"] }));
        assert_eq!(server.fail(json!([report])).await["repeatedCount"], 1);
        // The id decides, whatever else the report says.
        assert_eq!(server.fail(json!([failure("2", 3, json!({ "reportId": "r-1" }))])).await["repeatedCount"], 1);
        server.pass(chrono::Duration::days(8));
        assert_eq!(server.fail(json!([report])).await["repeatedCount"], 1);
        assert_eq!(server.fail(json!([failure("2", 3, json!({ "reportId": "r-1" }))])).await["repeatedCount"], 1);
        assert_eq!(only_error(server).await["occurrenceCount"], 1);
        assert_eq!(kinds(server).await, ["OPENED"]);
    }
}

both! {
    /// Seven days after a report its id may be used for another one.
    async fn report_ids_are_forgotten(server) {
        server.record(json!([failure("1", 0, json!({ "reportId": "r-1" }))])).await;
        server.pass(chrono::Duration::days(7) + chrono::Duration::seconds(1));
        server.record(json!([failure("2", 3, json!({ "reportId": "r-1" }))])).await;
    }
}

both! {
    /// Without an id the content with its instant takes its place.
    async fn idempotent_without_id(server) {
        let report = failure("1", 0, json!({}));
        assert_eq!(server.fail(json!([report])).await["recordedCount"], 1);
        assert_eq!(server.fail(json!([report])).await["repeatedCount"], 1);
        let other = failure("1", 1, json!({}));
        assert_eq!(server.fail(json!([other])).await["recordedCount"], 1);
    }
}

both! {
    /// Reports may arrive in any order: the error ends the same, and shows the latest failure.
    async fn order_of_arrival(server) {
        let at = |minute, record, text: &str| failure(record, minute, json!({ "message": format!("Title: data value too large: {text} (max length=20)") }));
        server.record(json!([at(7, "1", "third")])).await;
        server.record(json!([at(3, "2", "first"), at(5, "3", "second")])).await;
        let error = only_error(server).await;
        assert_eq!((&error["firstSeenAt"], &error["lastSeenAt"]), (&json!(minute(3)), &json!(minute(7))));
        assert!(error["message"].as_str().is_some_and(|text| text.contains("third")));
        // An older failure of a record that has failed since changes nothing.
        assert_eq!(server.fail(json!([at(6, "1", "late")])).await["repeatedCount"], 1);
        // In one call they are taken by their instants.
        server.record(json!([at(9, "4", "later"), at(8, "4", "earlier")])).await;
        assert!(only_error(server).await["message"].as_str().is_some_and(|text| text.contains("later")));
    }
}

both! {
    /// Salesforce ids of 15 and 18 characters are the same record.
    async fn ids_of_15_and_18_characters(server) {
        let of = |id: &str, at| failure("1", at, json!({ "direction": "SALESFORCE_TO_HUBSPOT", "system": "HUBSPOT", "code": "INVALID_EMAIL", "message": "bad", "fields": ["email"],
            "hubspotRecord": { "objectType": "contact" }, "salesforceRecord": { "objectType": "Contact", "recordId": id } }));
        server.record(json!([of("0035e000003GcMx", 0)])).await;
        server.record(json!([of("0035e000003GcMxAAK", 1)])).await;
        // Case was lost on the way; the last three characters know it.
        server.record(json!([of("0035E000003GCMXAAK", 2)])).await;
        let error = only_error(server).await;
        assert_eq!(error["affectedRecordCount"], 1);
        assert_eq!(error["affectedRecords"]["nodes"][0]["salesforceRecord"]["recordId"], "0035e000003GcMxAAK");
        let cleared = server.succeed(json!([{ "salesforceRecord": { "recordId": "0035e000003GcMx" }, "occurredAt": minute(3) }])).await;
        assert_eq!(cleared["clearedRecordCount"], 1);
    }
}

both! {
    /// A pair once known absorbs both halves, and either half clears it.
    async fn pairs(server) {
        let salesforce = json!({ "objectType": "Contact", "recordId": "0035e000003GcMxAAK", "name": "Ada" });
        server.record(json!([failure("1", 0, json!({}))])).await;
        server.record(json!([failure("", 1, json!({ "hubspotRecord": null, "salesforceRecord": salesforce }))])).await;
        assert_eq!(only_error(server).await["affectedRecordCount"], 2);
        server.record(json!([failure("1", 2, json!({ "salesforceRecord": salesforce }))])).await;
        let error = only_error(server).await;
        assert_eq!(error["affectedRecordCount"], 1);
        let record = &error["affectedRecords"]["nodes"][0];
        assert_eq!(record["hubspotRecord"], json!({ "recordId": "1", "name": null }));
        assert_eq!(record["salesforceRecord"], json!({ "recordId": "0035e000003GcMxAAK", "name": "Ada" }));
        assert_eq!(record["attemptCount"], 3);
        server.record(json!([failure("", 3, json!({ "hubspotRecord": null, "salesforceRecord": salesforce }))])).await;
        assert_eq!(only_error(server).await["affectedRecordCount"], 1);
        let cleared = server.succeed(json!([{ "salesforceRecord": { "recordId": "0035e000003GcMx" }, "occurredAt": minute(4) }])).await;
        assert_eq!(cleared["clearedRecordCount"], 1);
    }
}

both! {
    /// HubSpot ids are unique per object type only: contact 1 and company 1 are different records.
    async fn same_id_of_another_type(server) {
        let company = json!({ "hubspotRecord": { "objectType": "company", "recordId": "1" } });
        server.record(json!([failure("1", 0, json!({})), failure("1", 0, company)])).await;
        assert_eq!(only_error(server).await["affectedRecordCount"], 2);
        assert_eq!(server.succeed(json!([success("1", 1)])).await["clearedRecordCount"], 1);
    }
}

both! {
    /// A failure that names several causes is one occurrence of each, at most 10; a record with two causes counts twice.
    async fn several_causes(server) {
        let list = json!([
            { "errorCode": "STRING_TOO_LONG", "message": "Title: data value too large: x (max length=1)", "fields": ["Title"] },
            { "errorCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [LastName]", "fields": ["LastName"] },
        ]);
        server.record(json!([failure("1", 0, json!({ "code": null, "fields": [], "message": list.to_string() }))])).await;
        let cards = server.read("{ portal { category(name: PROPERTY_VALUES) { openErrorCount affectedRecordCount } } }", json!({})).await;
        assert_eq!(cards["portal"]["category"], json!({ "openErrorCount": 2, "affectedRecordCount": 2 }));
        assert_eq!(server.succeed(json!([success("1", 1)])).await["clearedRecordCount"], 2);
        let many: Vec<_> = (0..12).map(|n| json!({ "errorCode": "STRING_TOO_LONG", "message": "too long", "fields": [format!("Field_{n}__c")] })).collect();
        server.record(json!([failure("2", 2, json!({ "code": null, "fields": [], "message": json!(many).to_string() }))])).await;
        let cards = server.read("{ portal { category(name: PROPERTY_VALUES) { openErrorCount } } }", json!({})).await;
        assert_eq!(cards["portal"]["category"]["openErrorCount"], 10);
    }
}

both! {
    /// Reporters at the same time: everything is counted once, in one order.
    async fn concurrent_reporters(server) {
        let report = |worker: usize| async move {
            for round in 0..5 {
                let failures: Vec<_> = (0..20).map(|n| failure(&format!("{}", (worker * 5 + n) % 40), round, json!({ "reportId": format!("{worker}-{round}-{n}") }))).collect();
                server.fail(json!(failures)).await;
                server.succeed(json!([success(&worker.to_string(), round)])).await;
            }
        };
        futures_util::future::join_all((0..6).map(report)).await;
        let error = only_error(server).await;
        assert_eq!(error["affectedRecordCount"], error["affectedRecords"]["totalCount"]);
    }
}

both! {
    /// Who may do what: the answer to an engine's own report is readable, what others told and what leads on is not.
    async fn answers_to_reports(server) {
        let query = "mutation ($input: ReportSyncFailuresInput!) { reportSyncFailures(input: $input) { results { syncError { title latestFailure { reportId reportedBy } } } } }";
        let input = json!({ "input": { "failures": [failure("1", 0, json!({ "reportId": "r" }))] } });
        let answer = server.ask(&engine(), query, input.clone()).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{answer:#}");
        assert_eq!(answer["data"]["reportSyncFailures"]["results"][0]["syncError"], Value::Null);
        let both = token(&["1001"], "sync-health:report sync-health:read");
        let data = server.data(&both, query, input.clone()).await;
        let error = &data["reportSyncFailures"]["results"][0]["syncError"];
        assert_eq!(error["latestFailure"], json!({ "reportId": "r", "reportedBy": "test-user" }));
        let readable = query.replace("latestFailure { reportId reportedBy }", "");
        let data = server.data(&engine(), &readable, input).await;
        let error = &data["reportSyncFailures"]["results"][0]["syncError"];
        assert_eq!(error["title"], "Value too long (Contact: Title)");
        for token in [reader(), manager()] {
            let code = server.error_code(&token, &readable, json!({ "input": { "failures": [] } })).await;
            assert_eq!(code, "FORBIDDEN");
        }
    }
}
