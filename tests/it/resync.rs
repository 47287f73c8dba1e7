//! Records are tried again: asked for, claimed by engines, answered.

use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::{Server, both, engine, failure, manager, minute, success};

const BATCH: &str = "id status requestedBy requestedAt finishedAt waitingUntil errorCount recordCount waitingCount claimedCount succeededCount failedCount cancelledCount";

/// Asks for errors to be tried again.
pub async fn resync(server: &Server, input: Value) -> Value {
    let query = format!(
        "mutation ($input: ResyncSyncErrorsInput!) {{ resyncSyncErrors(input: $input) {{ batch {{ {BATCH} }} results {{ errorId outcome syncError {{ id status }} }} userErrors {{ field code message elementIndex }} }} }}"
    );
    let mut data = server
        .data(&manager(), &query, json!({ "input": input }))
        .await;
    data["resyncSyncErrors"].take()
}

/// Asks for all that match to be tried again.
pub async fn resync_matching(server: &Server, input: Value) -> Value {
    let query = format!(
        "mutation ($input: ResyncMatchingSyncErrorsInput!) {{ resyncMatchingSyncErrors(input: $input) {{ batch {{ {BATCH} }} userErrors {{ field code message elementIndex }} }} }}"
    );
    let mut data = server
        .data(&manager(), &query, json!({ "input": input }))
        .await;
    data["resyncMatchingSyncErrors"].take()
}

/// Claims as an engine of portal 1001.
pub async fn claim(server: &Server, input: Value) -> Value {
    let query = "mutation ($input: ClaimResyncItemsInput!) { claimResyncItems(input: $input) { hubId items { id attempt leaseExpiresAt direction hubspotRecord { system objectType recordId name url } salesforceRecord { recordId } syncErrorId type code fields } reservation { id calls expiresAt } retryAt userErrors { field code message } } }";
    let mut data = server
        .data(&engine(), query, json!({ "input": input }))
        .await;
    data["claimResyncItems"].take()
}

/// Answers claimed items.
pub async fn answer(server: &Server, outcomes: Value) -> Value {
    let query = "mutation ($input: ReportResyncOutcomesInput!) { reportResyncOutcomes(input: $input) { results { itemId accepted syncError { id status affectedRecordCount } } userErrors { field code message elementIndex } } }";
    let input = json!({ "input": { "outcomes": outcomes } });
    let mut data = server.data(&engine(), query, input).await;
    data["reportResyncOutcomes"].take()
}

/// A batch as it is now.
pub async fn batch(server: &Server, id: &Value) -> Value {
    let query = format!(
        "query ($id: ID!) {{ resyncBatch(id: $id) {{ {BATCH} results {{ totalCount nodes {{ id batchId status recordCount succeededCount failedCount finishedAt syncError {{ id status affectedRecordCount }} }} }} }} }}"
    );
    let mut data = server.read(&query, json!({ "id": id })).await;
    data["resyncBatch"].take()
}

/// Waiting, claimed, succeeded, failed, cancelled.
pub fn counts(batch: &Value) -> Vec<i64> {
    let names = [
        "waitingCount",
        "claimedCount",
        "succeededCount",
        "failedCount",
        "cancelledCount",
    ];
    let counts: Vec<i64> = names
        .iter()
        .map(|name| batch[name].as_i64().expect("a count"))
        .collect();
    assert_eq!(
        batch["recordCount"],
        counts.iter().sum::<i64>(),
        "{batch:#}"
    );
    counts
}

pub fn items(claimed: &Value) -> Vec<Value> {
    claimed["items"].as_array().expect("items").clone()
}

/// A failure of a record on a picklist of its own: as many errors as numbers.
pub fn other(number: i64, record: &str) -> Value {
    let more = json!({ "code": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "message": format!("bad value for restricted picklist field: x{number}"), "fields": [format!("Field{number}__c")] });
    failure(record, 0, more)
}

/// Reports failures and answers the ids of their errors.
pub async fn errors(server: &Server, failures: Value) -> Vec<Value> {
    let payload = server.record(failures).await;
    let results = payload["results"].as_array().expect("results").clone();
    results
        .iter()
        .map(|result| result["syncError"]["id"].clone())
        .collect()
}

async fn status(server: &Server, id: &Value) -> Value {
    let query = "query ($id: ID!) { node(id: $id) { ... on SyncError { status affectedRecordCount latestResync { status batchId recordCount } } } }";
    server.read(query, json!({ "id": id })).await["node"].take()
}

both! {
    /// Asked for, claimed, answered: the error is RESYNCING meanwhile, then RESOLVED, or OPEN again when some failed.
    async fn from_request_to_result(server) {
        let ids = errors(server, json!([failure("1", 0, json!({})), failure("2", 0, json!({})), other(1, "3")])).await;
        let cursor = server.read("{ portal { eventCursor } }", json!({})).await["portal"]["eventCursor"].take();
        let asked = resync(server, json!({ "errorIds": [ids[0], ids[2], ids[0]] })).await;
        assert_eq!(asked["results"][0], json!({ "errorId": ids[0], "outcome": "ACCEPTED", "syncError": { "id": ids[0], "status": "RESYNCING" } }));
        assert_eq!((&asked["results"][2]["outcome"], &asked["batch"]["requestedBy"], &asked["batch"]["status"]), (&json!("ACCEPTED"), &json!("test-user"), &json!("RUNNING")));
        assert_eq!((counts(&asked["batch"]), &asked["batch"]["errorCount"]), (vec![3, 0, 0, 0, 0], &json!(2)));
        let data = server.read("{ portal { category(name: PROPERTY_VALUES) { openErrorCount } all: syncErrors { totalCount } open: syncErrors(statuses: [OPEN]) { totalCount nodes { id } } resyncing: syncErrors(statuses: [RESYNCING]) { totalCount nodes { id status } } } }", json!({})).await;
        assert_eq!(data["portal"]["category"]["openErrorCount"], 1);
        assert_eq!((&data["portal"]["all"]["totalCount"], &data["portal"]["open"], &data["portal"]["resyncing"]["totalCount"]), (&json!(2), &json!({ "totalCount": 0, "nodes": [] }), &json!(2)));
        let again = resync(server, json!({ "errorIds": [ids[0]] })).await;
        assert_eq!((&again["batch"], &again["results"][0]["outcome"]), (&Value::Null, &json!("ALREADY_RESYNCING")));
        let claimed = claim(server, json!({})).await;
        let taken = items(&claimed);
        assert_eq!((taken.len(), &claimed["hubId"], &claimed["reservation"]["calls"]), (3, &json!("1001"), &json!(3)));
        let first = taken.iter().find(|item| item["hubspotRecord"]["recordId"] == "1").expect("record 1");
        assert_eq!((&first["attempt"], &first["direction"], &first["type"], &first["code"], &first["fields"]), (&json!(1), &json!("HUBSPOT_TO_SALESFORCE"), &json!("VALUE_TOO_LONG"), &json!("STRING_TOO_LONG"), &json!(["title"])));
        assert_eq!((&first["leaseExpiresAt"], &first["syncErrorId"], &first["salesforceRecord"]), (&json!(minute(65)), &ids[0], &Value::Null));
        assert_eq!(counts(&batch(server, &asked["batch"]["id"]).await), [0, 3, 0, 0, 0]);
        assert_eq!(claim(server, json!({})).await["items"], json!([]));
        let outcomes: Vec<Value> = taken.iter().map(|item| {
            let failed = item["hubspotRecord"]["recordId"] == "2";
            json!({ "itemId": item["id"], "status": if failed { "FAILED" } else { "SUCCEEDED" } })
        }).collect();
        let answered = answer(server, json!(outcomes)).await;
        assert_eq!(answered["userErrors"], json!([]));
        let ended = batch(server, &asked["batch"]["id"]).await;
        assert_eq!((counts(&ended), &ended["status"], &ended["finishedAt"]), (vec![0, 0, 2, 1, 0], &json!("COMPLETED"), &json!(minute(60))));
        let of = |id: &Value| ended["results"]["nodes"].as_array().expect("results").iter().find(|result| result["syncError"]["id"] == *id).expect("a result").clone();
        assert_eq!((&of(&ids[0])["status"], &of(&ids[0])["syncError"]), (&json!("STILL_FAILING"), &json!({ "id": ids[0], "status": "OPEN", "affectedRecordCount": 1 })));
        assert_eq!((&of(&ids[2])["status"], &of(&ids[2])["syncError"]["status"]), (&json!("RESOLVED"), &json!("RESOLVED")));
        assert_eq!(status(server, &ids[0]).await["latestResync"]["status"], "STILL_FAILING");
        let events = server.read("query ($after: String) { portal { syncErrorEvents(after: $after) { nodes { kind syncErrorId } } } }", json!({ "after": cursor })).await;
        let events: Vec<_> = events["portal"]["syncErrorEvents"]["nodes"].as_array().expect("events").iter().map(|event| (event["kind"].as_str().expect("a kind").to_owned(), event["syncErrorId"] == ids[0])).collect();
        assert_eq!(events, [("RESYNC_REQUESTED".into(), true), ("RESYNC_REQUESTED".into(), false), ("UPDATED".into(), true), ("RESOLVED".into(), false)]);
        let resolved = resync(server, json!({ "errorIds": [ids[2], "nonsense"] })).await;
        assert_eq!((&resolved["results"][0]["outcome"], &resolved["results"][1]["outcome"], &resolved["results"][1]["syncError"]), (&json!("ALREADY_RESOLVED"), &json!("NOT_FOUND"), &Value::Null));
    }
}

both! {
    /// An item that is not answered returns after its lease. A late answer counts while nobody else has answered.
    async fn leases(server) {
        let ids = errors(server, json!([failure("1", 0, json!({})), failure("2", 0, json!({}))])).await;
        let id = resync(server, json!({ "errorIds": [ids[0]] })).await["batch"]["id"].take();
        let first = items(&claim(server, json!({ "leaseSeconds": 60 })).await);
        let renew = async |ids: Vec<&Value>, seconds: i64| {
            let query = "mutation ($input: RenewResyncItemsInput!) { renewResyncItems(input: $input) { results { itemId leaseExpiresAt } userErrors { field code message elementIndex } } }";
            server.data(&engine(), query, json!({ "input": { "itemIds": ids, "leaseSeconds": seconds } })).await["renewResyncItems"].take()
        };
        server.pass(Duration::seconds(30));
        let renewed = renew(vec![&first[0]["id"]], 90).await;
        assert_eq!(renewed, json!({ "results": [{ "itemId": first[0]["id"], "leaseExpiresAt": minute(62) }], "userErrors": [] }));
        server.pass(Duration::seconds(30));
        // Only the second lease has ended.
        let second = claim(server, json!({ "leaseSeconds": 60 })).await;
        assert_eq!((items(&second).len(), &second["items"][0]["attempt"]), (1, &json!(2)));
        assert_eq!(second["items"][0]["hubspotRecord"], first[1]["hubspotRecord"]);
        let lost = renew(vec![&first[1]["id"]], 60).await;
        assert_eq!((&lost["results"][0]["leaseExpiresAt"], &lost["userErrors"][0]["code"], &lost["userErrors"][0]["field"]), (&Value::Null, &json!("LEASE_LOST"), &json!(["input", "itemIds", "0"])));
        // Who has lost it cannot give it back, but can still answer first.
        let returned = answer(server, json!([{ "itemId": first[1]["id"], "status": "RETURNED" }])).await;
        assert_eq!((&returned["results"][0]["accepted"], &returned["userErrors"][0]["code"]), (&json!(false), &json!("LEASE_LOST")));
        let late = json!([{ "itemId": first[1]["id"], "status": "SUCCEEDED" }]);
        for _ in 0..2 {
            assert_eq!(answer(server, late.clone()).await["results"][0]["accepted"], true);
        }
        let other = answer(server, json!([{ "itemId": second["items"][0]["id"], "status": "FAILED" }])).await;
        assert_eq!((&other["results"][0], &other["userErrors"][0]["code"]), (&json!({ "itemId": second["items"][0]["id"], "accepted": false, "syncError": null }), &json!("LEASE_LOST")));
        assert_eq!(counts(&batch(server, &id).await), [0, 1, 1, 0, 0]);
        // Given back, it waits for the next engine.
        answer(server, json!([{ "itemId": first[0]["id"], "status": "RETURNED" }])).await;
        assert_eq!(counts(&batch(server, &id).await), [1, 0, 1, 0, 0]);
        let third = claim(server, json!({})).await;
        assert_eq!(third["items"][0]["attempt"], 2);
        // One answer that waits for a record that is gone, and one for nothing.
        let last = answer(server, json!([{ "itemId": third["items"][0]["id"], "status": "RECORD_REMOVED" }, { "itemId": "nonsense", "status": "FAILED" }])).await;
        assert_eq!((&last["results"][0]["syncError"]["status"], &last["userErrors"][0]["code"], &last["userErrors"][0]["elementIndex"]), (&json!("RESOLVED"), &json!("NOT_FOUND"), &json!(1)));
        assert_eq!(batch(server, &id).await["status"], "COMPLETED");
    }
}

both! {
    /// A failed attempt is classified anew: the record may move to another error, and the same report counts once.
    async fn failed_for_another_cause(server) {
        let ids = errors(server, json!([failure("1", 0, json!({})), failure("2", 0, json!({}))])).await;
        resync(server, json!({ "errorIds": [ids[0]] })).await;
        let taken = items(&claim(server, json!({})).await);
        let moved = json!({ "reportId": "r", "direction": "HUBSPOT_TO_SALESFORCE", "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Phone needs a country code" });
        let answered = answer(server, json!([
            { "itemId": taken[0]["id"], "status": "FAILED", "failure": moved },
            { "itemId": taken[1]["id"], "status": "FAILED", "failure": failure("2", 1, json!({ "occurredAt": minute(60) })) },
        ])).await;
        assert_eq!(answered["userErrors"], json!([]));
        assert_eq!(answered["results"][0]["syncError"], json!({ "id": ids[0], "status": "OPEN", "affectedRecordCount": 1 }));
        let data = server.read("{ portal { syncErrors(orderBy: { field: FIRST_SEEN_AT }) { nodes { type affectedRecordCount occurrenceCount affectedRecords { nodes { attemptCount hubspotRecord { recordId } } } } } } }", json!({})).await;
        let record = |id: &Value, attempts: i64| json!({ "nodes": [{ "attemptCount": attempts, "hubspotRecord": { "recordId": id["hubspotRecord"]["recordId"] } }] });
        assert_eq!(data["portal"]["syncErrors"]["nodes"], json!([
            { "type": "VALIDATION_RULE", "affectedRecordCount": 1, "occurrenceCount": 1, "affectedRecords": record(&taken[0], 1) },
            { "type": "VALUE_TOO_LONG", "affectedRecordCount": 1, "occurrenceCount": 3, "affectedRecords": record(&taken[1], 2) },
        ]));
        let report = moved.as_object().expect("a failure").clone();
        let repeated = server.fail(json!([failure("1", 50, Value::Object(report))])).await;
        assert_eq!(repeated["repeatedCount"], 1);
        // A failure goes with FAILED only, and what is wrong with it is told by its path.
        let ids = errors(server, json!([other(1, "9")])).await;
        resync(server, json!({ "errorIds": ids })).await;
        let item = claim(server, json!({})).await["items"][0]["id"].take();
        for (status, failure, path) in [
            ("SUCCEEDED", json!({ "direction": "HUBSPOT_TO_SALESFORCE" }), json!(["input", "outcomes", "0", "failure"])),
            ("FAILED", json!({ "direction": "HUBSPOT_TO_SALESFORCE", "code": "x".repeat(256) }), json!(["input", "outcomes", "0", "failure", "code"])),
        ] {
            let refused = answer(server, json!([{ "itemId": item, "status": status, "failure": failure }])).await;
            assert_eq!((&refused["results"][0]["accepted"], &refused["userErrors"][0]["field"]), (&json!(false), &path), "{refused:#}");
        }
        assert_eq!(answer(server, json!([{ "itemId": item, "status": "SUCCEEDED" }])).await["results"][0]["accepted"], true);
    }
}

both! {
    /// One record of each error tries a fix; what has synced meanwhile is not claimed; what is resolved ends by itself.
    async fn one_record_first(server) {
        let failures: Vec<Value> = (0..5).map(|number| failure(&number.to_string(), 0, json!({}))).collect();
        let ids = errors(server, json!(failures)).await;
        let first = resync(server, json!({ "errorIds": [ids[0]], "recordsPerError": 1 })).await["batch"].take();
        assert_eq!(counts(&first), [1, 0, 0, 0, 0]);
        let taken = items(&claim(server, json!({})).await);
        assert_eq!(taken.len(), 1);
        answer(server, json!([{ "itemId": taken[0]["id"], "status": "SUCCEEDED" }])).await;
        assert_eq!(status(server, &ids[0]).await, json!({ "status": "OPEN", "affectedRecordCount": 4, "latestResync": { "status": "STILL_FAILING", "batchId": first["id"], "recordCount": 1 } }));
        let all = resync(server, json!({ "errorIds": [ids[0]] })).await["batch"]["id"].take();
        let left: Vec<Value> = (0..5).map(|number| number.to_string()).filter(|number| taken[0]["hubspotRecord"]["recordId"] != number.as_str()).map(|number| success(&number, 60)).collect();
        server.succeed(json!([left[0], left[1]])).await;
        let taken = items(&claim(server, json!({ "limit": 1 })).await);
        assert_eq!(taken.len(), 1);
        // All of them sync before anybody answers.
        server.succeed(json!(left)).await;
        assert_eq!(status(server, &ids[0]).await["status"], "RESOLVED");
        let waiting = crate::harness::eventually("what waits to end by itself", async || {
            let batch = batch(server, &all).await;
            (batch["waitingCount"] == 0).then_some(batch)
        }).await;
        assert_eq!(counts(&waiting), [0, 1, 3, 0, 0]);
        answer(server, json!([{ "itemId": taken[0]["id"], "status": "SUCCEEDED" }])).await;
        let ended = batch(server, &all).await;
        assert_eq!((&ended["status"], &ended["results"]["nodes"][0]["status"]), (&json!("COMPLETED"), &json!("RESOLVED")));
    }
}

both! {
    /// All that match, 100 errors at a time; more than allowed are refused; the same request gets the same batch.
    async fn all_that_match(server) {
        let failures: Vec<Value> = (0..250).map(|number| other(number, &format!("{number}"))).collect();
        server.record(json!(failures)).await;
        errors(server, json!([failure("x", 0, json!({})), failure("y", 0, json!({}))])).await;
        let filter = json!({ "categories": ["PICKLISTS"] });
        let refused = resync_matching(server, json!({ "filter": filter, "maxErrorCount": 249 })).await;
        assert_eq!((&refused["batch"], &refused["userErrors"][0]["code"], &refused["userErrors"][0]["field"]), (&Value::Null, &json!("OUT_OF_RANGE"), &json!(["input", "maxErrorCount"])));
        let asked = resync_matching(server, json!({ "filter": filter, "maxErrorCount": 250, "idempotencyKey": "k" })).await["batch"].take();
        assert_eq!((counts(&asked), &asked["errorCount"]), (vec![250, 0, 0, 0, 0], &json!(250)));
        assert_eq!(resync_matching(server, json!({ "filter": filter, "idempotencyKey": "k" })).await["batch"], asked);
        assert_eq!(resync_matching(server, json!({ "filter": {}, "idempotencyKey": "k" })).await["userErrors"][0]["code"], "IDEMPOTENCY_KEY_REUSED");
        let resyncing = async || server.read("{ portal { syncErrors(statuses: [RESYNCING]) { totalCount } } }", json!({})).await["portal"]["syncErrors"]["totalCount"].take();
        assert_eq!(resyncing().await, 100);
        // Another error of the filter comes too late for this batch.
        server.record(json!([other(999, "999")])).await;
        let mut claims = Vec::new();
        loop {
            let taken = items(&claim(server, json!({ "limit": 100 })).await);
            if taken.is_empty() { break }
            let outcomes: Vec<Value> = taken.iter().map(|item| json!({ "itemId": item["id"], "status": "SUCCEEDED" })).collect();
            answer(server, json!(outcomes)).await;
            claims.push(taken.len());
        }
        assert_eq!(claims.iter().sum::<usize>(), 250);
        let ended = batch(server, &asked["id"]).await;
        assert_eq!((counts(&ended), &ended["status"], &ended["results"]["totalCount"]), (vec![0, 0, 250, 0, 0], &json!("COMPLETED"), &json!(250)));
        let nothing = resync_matching(server, json!({ "filter": { "codes": ["NONE"] } })).await["batch"].take();
        assert_eq!((&nothing["status"], counts(&nothing)), (&json!("COMPLETED"), vec![0; 5]));
        let list = server.read("query ($first: Int, $after: String) { portal { resyncBatches(first: $first, after: $after) { totalCount totalCountPrecision pageInfo { hasNextPage endCursor } edges { cursor } nodes { id status } } running: resyncBatches(statuses: [RUNNING, WAITING_FOR_QUOTA]) { totalCount } } }", json!({ "first": 1 })).await["portal"].take();
        assert_eq!((&list["resyncBatches"]["totalCount"], &list["resyncBatches"]["nodes"][0]["id"], &list["running"]["totalCount"]), (&json!(2), &nothing["id"], &json!(0)));
    }
}

both! {
    /// Cancelled, what waits is not tried any more; what was claimed may still be answered.
    async fn cancelled(server) {
        let ids = errors(server, json!([failure("1", 0, json!({})), failure("2", 0, json!({})), other(1, "3"), other(2, "4")])).await;
        let id = resync(server, json!({ "errorIds": [ids[0], ids[2], ids[3]] })).await["batch"]["id"].take();
        let taken = items(&claim(server, json!({ "limit": 2 })).await);
        answer(server, json!([{ "itemId": taken[1]["id"], "status": "RETURNED" }])).await;
        let cancel = async |id: &Value| {
            let query = "mutation ($input: CancelResyncBatchInput!) { cancelResyncBatch(input: $input) { batch { id status finishedAt recordCount waitingCount claimedCount succeededCount failedCount cancelledCount } userErrors { field code message } } }";
            server.data(&manager(), query, json!({ "input": { "batchId": id } })).await["cancelResyncBatch"].take()
        };
        let cancelled = cancel(&id).await["batch"].take();
        assert_eq!((&cancelled["status"], &cancelled["finishedAt"], counts(&cancelled)), (&json!("CANCELLED"), &Value::Null, vec![0, 1, 0, 0, 3]));
        assert_eq!(cancel(&id).await["batch"], cancelled);
        assert_eq!(claim(server, json!({})).await["items"], json!([]));
        assert_eq!(answer(server, json!([{ "itemId": taken[1]["id"], "status": "SUCCEEDED" }])).await["userErrors"][0]["code"], "LEASE_LOST");
        assert_eq!(answer(server, json!([{ "itemId": taken[0]["id"], "status": "SUCCEEDED" }])).await["results"][0]["accepted"], true);
        let ended = batch(server, &id).await;
        assert_eq!((&ended["status"], &ended["finishedAt"], counts(&ended)), (&json!("CANCELLED"), &json!(minute(60)), vec![0, 0, 1, 0, 3]));
        assert_eq!(cancel(&json!("nonsense")).await["userErrors"][0]["code"], "NOT_FOUND");
        // Cancelled while an engine has it: its lease ends, and so does the batch.
        let left = server.read("{ portal { syncErrors(statuses: [OPEN]) { nodes { id } } } }", json!({})).await["portal"]["syncErrors"]["nodes"][0]["id"].take();
        let id = resync(server, json!({ "errorIds": [left], "recordsPerError": 1 })).await["batch"]["id"].take();
        assert_eq!(items(&claim(server, json!({ "leaseSeconds": 10 })).await).len(), 1);
        cancel(&id).await;
        server.pass(Duration::seconds(10));
        crate::harness::eventually("the end", async || (batch(server, &id).await["cancelledCount"] == 1).then_some(())).await;
    }
}
