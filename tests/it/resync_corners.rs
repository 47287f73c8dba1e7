//! Corners of resyncs: things that happen between two steps, or twice in one.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::{both, eventually, failure, manager, minute, token};
use crate::resync::{answer, batch, claim, counts, errors, items, other, resync, resync_matching};

both! {
    /// Errors that grow while a filter is worked off do not use up what the batch has not reached.
    async fn errors_that_grow(server) {
        let failures: Vec<Value> = (0..201).map(|number| other(number, &format!("{number}"))).collect();
        server.record(json!(failures)).await;
        let id = resync_matching(server, json!({ "filter": {} })).await["batch"]["id"].take();
        // One more record for each of the errors that come next.
        let more: Vec<Value> = (100..201).map(|number| other(number, &format!("more-{number}"))).collect();
        server.record(json!(more)).await;
        loop {
            let taken = items(&claim(server, json!({ "limit": 100 })).await);
            if taken.is_empty() { break }
            let outcomes: Vec<Value> = taken.iter().map(|item| json!({ "itemId": item["id"], "status": "SUCCEEDED" })).collect();
            answer(server, json!(outcomes)).await;
        }
        let ended = batch(server, &id).await;
        assert_eq!((counts(&ended), &ended["errorCount"], &ended["status"]), (vec![0, 0, 302, 0, 0], &json!(201), &json!("COMPLETED")));
        assert_eq!(server.read("{ portal { syncErrors { totalCount } } }", json!({})).await["portal"]["syncErrors"]["totalCount"], 0);
    }
}

both! {
    /// An item that is given back and answered in one call, its batch cancelled, is settled once.
    async fn twice_in_one_call(server) {
        let ids = errors(server, json!([failure("1", 0, json!({}))])).await;
        let id = resync(server, json!({ "errorIds": ids })).await["batch"]["id"].take();
        let item = claim(server, json!({})).await["items"][0]["id"].take();
        server.data(&manager(), "mutation ($id: ID!) { cancelResyncBatch(input: { batchId: $id }) { batch { id } } }", json!({ "id": id })).await;
        let told = answer(server, json!([{ "itemId": item, "status": "RETURNED" }, { "itemId": item, "status": "SUCCEEDED" }])).await;
        assert_eq!((&told["results"][0]["accepted"], &told["results"][1]["accepted"]), (&json!(true), &json!(false)));
        assert_eq!(counts(&batch(server, &id).await), [0, 0, 0, 0, 1]);
        assert_eq!(resync(server, json!({ "errorIds": ids })).await["results"][0]["outcome"], "ACCEPTED");
    }
}

both! {
    /// Two halves that turn out to be one pair in the same call are cleared once.
    async fn halves_of_a_pair(server) {
        let half = json!({ "hubspotRecord": { "objectType": "contact" }, "salesforceRecord": { "objectType": "Contact", "recordId": "003xx000004TmiQ" } });
        let ids = errors(server, json!([failure("1", 0, json!({})), failure("", 1, half)])).await;
        resync(server, json!({ "errorIds": [ids[0]] })).await;
        let taken = items(&claim(server, json!({})).await);
        let place = usize::from(taken[0]["hubspotRecord"].is_null());
        let (hubspot, salesforce) = (&taken[place], &taken[1 - place]);
        let pair = failure("1", 0, json!({ "occurredAt": minute(60), "salesforceRecord": { "objectType": "Contact", "recordId": "003xx000004TmiQ" } }));
        answer(server, json!([
            { "itemId": hubspot["id"], "status": "FAILED", "failure": pair },
            { "itemId": salesforce["id"], "status": "SUCCEEDED" },
        ])).await;
        let data = server.read("{ portal { category(name: PROPERTY_VALUES) { affectedRecordCount } } }", json!({})).await;
        assert!(data["portal"]["category"]["affectedRecordCount"].as_i64() >= Some(0), "{data:#}");
    }
}

both! {
    /// The same request again is told the same, also of the errors that it did not get.
    async fn told_again(server) {
        let ids = errors(server, json!([other(1, "1"), other(2, "2")])).await;
        resync(server, json!({ "errorIds": [ids[1]] })).await;
        let asked = async || resync(server, json!({ "errorIds": ids, "idempotencyKey": "k" })).await;
        let (first, second) = (asked().await, asked().await);
        assert_eq!((&first["results"][1]["outcome"], &first["batch"]), (&json!("ALREADY_RESYNCING"), &second["batch"]));
        assert_eq!(first["results"], second["results"]);
        // An id that was made up names neither a batch nor the automatic retries.
        claim(server, json!({})).await;
        let made_up = [&[1, 10][..], &1001_i64.to_be_bytes(), &[0; 16]].concat();
        let made_up = BASE64_URL_SAFE_NO_PAD.encode(made_up);
        let cancel = "mutation ($id: ID!) { cancelResyncBatch(input: { batchId: $id }) { userErrors { code } } }";
        let told = server.data(&manager(), cancel, json!({ "id": made_up })).await;
        assert_eq!(told["cancelResyncBatch"]["userErrors"][0]["code"], "NOT_FOUND");
    }
}

both! {
    /// A record that fails again after all of its error had synced, while a resync goes on: no record is tried twice at once.
    async fn opened_again_meanwhile(server) {
        let locked = |record: &str, at: i64| failure(record, at, json!({ "code": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access", "fields": [] }));
        let ids = errors(server, json!([locked("1", 0), locked("2", 0)])).await;
        let id = resync(server, json!({ "errorIds": [ids[0]] })).await["batch"]["id"].take();
        claim(server, json!({ "limit": 1, "leaseSeconds": 3600 })).await;
        let success = |record: &str| crate::harness::success(record, 60);
        server.succeed(json!([success("1"), success("2")])).await;
        server.record(json!([locked("1", 61), locked("2", 61)])).await;
        server.pass(Duration::minutes(10));
        let mut claimed = 1;
        for _ in 0..10 {
            claimed += items(&claim(server, json!({ "leaseSeconds": 3600 })).await).len();
        }
        assert!(claimed <= 2, "{claimed} items for two records");
        server.pass(Duration::hours(2));
        eventually("the end", async || {
            let taken = items(&claim(server, json!({})).await);
            let outcomes: Vec<Value> = taken.iter().map(|item| json!({ "itemId": item["id"], "status": "SUCCEEDED" })).collect();
            if !outcomes.is_empty() {
                answer(server, json!(outcomes)).await;
            }
            (batch(server, &id).await["status"] == "COMPLETED").then_some(())
        }).await;
    }
}

both! {
    /// A portal without calls left does not hold up the token's other portals.
    async fn one_portal_is_held_up(server) {
        let both = token(&["1001", "1002"], "sync-health:report sync-health:manage");
        let report = "mutation ($input: ReportSyncFailuresInput!) { reportSyncFailures(input: $input) { recordedCount } }";
        let ask = "mutation ($id: ID) { resyncMatchingSyncErrors(input: { hubId: $id, filter: {} }) { batch { id } } }";
        let claim = "mutation { claimResyncItems(input: { limit: 1 }) { hubId retryAt items { id } } }";
        for hub_id in ["1002", "1001"] {
            server.data(&both, report, json!({ "input": { "hubId": hub_id, "failures": [other(1, "1"), other(1, "2")] } })).await;
        }
        server.data(&both, ask, json!({ "id": "1002" })).await;
        assert_eq!(server.data(&both, claim, json!({})).await["claimResyncItems"]["hubId"], "1002");
        server.data(&both, "mutation { setHubspotAllocation(input: { hubId: 1001, calls: 1 }) { quota { state } } reportApiUsage(input: { hubId: 1001, reportId: \"1\", calls: 1 }) { quota { state } } }", json!({})).await;
        server.data(&both, ask, json!({ "id": "1001" })).await;
        let second = server.data(&both, claim, json!({})).await["claimResyncItems"].take();
        assert_eq!((&second["hubId"], &second["retryAt"]), (&json!("1002"), &Value::Null));
        assert!(server.data(&both, claim, json!({})).await["claimResyncItems"]["retryAt"].is_string());
        let dear = "mutation { claimResyncItems(input: { hubId: 1001, callsPerItem: 2 }) { userErrors { code field } } }";
        assert_eq!(server.data(&both, dear, json!({})).await["claimResyncItems"]["userErrors"][0], json!({ "code": "OUT_OF_RANGE", "field": ["input", "callsPerItem"] }));
    }
}
