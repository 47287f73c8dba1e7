//! What claims give: fair shares, within the allocation; what is refused.

use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::metrics::{metrics, value};
use crate::harness::{both, engine, failure, minute, token};
use crate::quota::allocate;
use crate::resync::{answer, batch, claim, counts, errors, items, other, resync};

both! {
    /// Claims take the same share from each batch, and from each portal in turn.
    async fn fair_shares(server) {
        let many: Vec<Value> = (0..20).map(|number| failure(&number.to_string(), 0, json!({}))).collect();
        let large = errors(server, json!(many)).await.remove(0);
        let small = errors(server, json!([other(1, "a"), other(1, "b"), other(1, "c"), other(1, "d")])).await.remove(0);
        resync(server, json!({ "errorIds": [large] })).await;
        resync(server, json!({ "errorIds": [small] })).await;
        let of_small = |claimed: &Value| items(claimed).iter().filter(|item| item["syncErrorId"] == small).count();
        assert_eq!(of_small(&claim(server, json!({ "limit": 4 })).await), 2);
        assert_eq!(of_small(&claim(server, json!({ "limit": 4 })).await), 2);
        assert_eq!(items(&claim(server, json!({ "limit": 20 })).await).len(), 16);
        let both = token(&["1001", "1002"], "sync-health:report sync-health:manage");
        let report = "mutation ($input: ReportSyncFailuresInput!) { reportSyncFailures(input: $input) { results { syncError { id } } } }";
        for hub_id in ["1001", "1002"] {
            let failures: Vec<Value> = (0..3).map(|number| other(7, &format!("{hub_id}-{number}"))).collect();
            let reported = server.data(&both, report, json!({ "input": { "hubId": hub_id, "failures": failures } })).await;
            let id = &reported["reportSyncFailures"]["results"][0]["syncError"]["id"];
            let query = "mutation ($input: ResyncSyncErrorsInput!) { resyncSyncErrors(input: $input) { batch { id } } }";
            server.data(&both, query, json!({ "input": { "errorIds": [id] } })).await;
        }
        let mut portals = Vec::new();
        for _ in 0..4 {
            let query = "mutation { claimResyncItems(input: { limit: 1 }) { hubId items { id } } }";
            let mut claimed = server.data(&both, query, json!({})).await;
            portals.push(claimed["claimResyncItems"]["hubId"].take());
            server.pass(Duration::milliseconds(1));
        }
        portals.sort_by_key(Value::to_string);
        assert_eq!(json!(portals), json!(["1001", "1001", "1002", "1002"]));
    }
}

both! {
    /// A claim is a reservation: without calls left records wait, and the batch says until when.
    async fn within_the_allocation(server) {
        allocate(server, json!({ "calls": 10 })).await;
        let failures: Vec<Value> = (0..8).map(|number| failure(&number.to_string(), 0, json!({}))).collect();
        let id = errors(server, json!(failures)).await.remove(0);
        let id = resync(server, json!({ "errorIds": [id] })).await["batch"]["id"].take();
        let first = claim(server, json!({ "limit": 100, "callsPerItem": 2, "leaseSeconds": 3600 })).await;
        assert_eq!((items(&first).len(), &first["reservation"]["calls"], &first["reservation"]["expiresAt"]), (5, &json!(10), &json!(minute(120))));
        let none = claim(server, json!({})).await;
        assert_eq!((&none["items"], &none["retryAt"]), (&json!([]), &json!(minute(120))));
        let waiting = batch(server, &id).await;
        assert_eq!((&waiting["status"], &waiting["waitingUntil"], counts(&waiting)), (&json!("WAITING_FOR_QUOTA"), &json!(minute(120)), vec![3, 5, 0, 0, 0]));
        let list = server.read("{ portal { resyncBatches(statuses: [WAITING_FOR_QUOTA]) { nodes { id } } } }", json!({})).await;
        assert_eq!(list["portal"]["resyncBatches"]["nodes"][0]["id"], id);
        let report = "mutation ($input: ReportApiUsageInput!) { reportApiUsage(input: $input) { quota { remaining } userErrors { message } } }";
        let settled = server.data(&engine(), report, json!({ "input": { "reportId": "1", "calls": 7, "reservationId": first["reservation"]["id"] } })).await;
        assert_eq!(settled["reportApiUsage"]["quota"]["remaining"], 3);
        assert_eq!(items(&claim(server, json!({})).await).len(), 3);
        assert_eq!(batch(server, &id).await["status"], "RUNNING");
        let told = metrics(server).await;
        assert_eq!(value(&told, "sync_health_resync_items_total{outcome=\"claimed\"}"), Some(8.0), "{told}");
    }
}

both! {
    /// What is refused, by code; nothing of it is kept.
    async fn refused(server) {
        let ids: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        let too_many = resync(server, json!({ "errorIds": ids })).await;
        assert_eq!((&too_many["userErrors"][0]["code"], &too_many["results"]), (&json!("RESYNC_LIMIT_EXCEEDED"), &json!([])));
        assert!(too_many["userErrors"][0]["message"].as_str().expect("a text").contains("resyncMatchingSyncErrors"));
        for (input, field, code) in [
            (json!({ "errorIds": [] }), "errorIds", "TOO_MANY"),
            (json!({ "errorIds": ["1"], "recordsPerError": 0 }), "recordsPerError", "OUT_OF_RANGE"),
            (json!({ "errorIds": ["1"], "idempotencyKey": "" }), "idempotencyKey", "REQUIRED"),
            (json!({ "errorIds": ["1"], "idempotencyKey": "x".repeat(256) }), "idempotencyKey", "TOO_LONG"),
        ] {
            let refused = resync(server, input).await;
            assert_eq!((&refused["userErrors"][0]["field"], &refused["userErrors"][0]["code"]), (&json!(["input", field]), &json!(code)));
        }
        for (input, field) in [
            (json!({ "limit": 0 }), "limit"), (json!({ "limit": 101 }), "limit"), (json!({ "leaseSeconds": 9 }), "leaseSeconds"),
            (json!({ "leaseSeconds": 3601 }), "leaseSeconds"), (json!({ "callsPerItem": 0 }), "callsPerItem"), (json!({ "callsPerItem": 101 }), "callsPerItem"),
        ] {
            let refused = claim(server, input).await;
            assert_eq!((&refused["userErrors"][0]["field"], &refused["userErrors"][0]["code"]), (&json!(["input", field]), &json!("OUT_OF_RANGE")));
        }
        assert_eq!(claim(server, json!({ "hubId": "1002" })).await["userErrors"][0]["code"], "NOT_FOUND");
        assert_eq!(answer(server, json!([])).await["userErrors"][0]["code"], "TOO_MANY");
        let renew = "mutation ($input: RenewResyncItemsInput!) { renewResyncItems(input: $input) { userErrors { code } } }";
        let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        assert_eq!(server.data(&engine(), renew, json!({ "input": { "itemIds": many } })).await["renewResyncItems"]["userErrors"][0]["code"], "TOO_MANY");
        let both = token(&["1001", "1002"], "sync-health:report sync-health:manage");
        let report = "mutation ($input: ReportSyncFailuresInput!) { reportSyncFailures(input: $input) { results { syncError { id } } } }";
        let mut ids = Vec::new();
        for hub_id in ["1001", "1002"] {
            let mut reported = server.data(&both, report, json!({ "input": { "hubId": hub_id, "failures": [other(1, "1")] } })).await;
            ids.push(reported["reportSyncFailures"]["results"][0]["syncError"]["id"].take());
        }
        let query = "mutation ($input: ResyncSyncErrorsInput!) { resyncSyncErrors(input: $input) { results { outcome } userErrors { code field } } }";
        let mixed = server.data(&both, query, json!({ "input": { "errorIds": ids } })).await;
        assert_eq!(mixed["resyncSyncErrors"]["userErrors"][0], json!({ "code": "INVALID", "field": ["input", "errorIds", "1"] }));
        let theirs = resync(server, json!({ "errorIds": [ids[1]] })).await;
        assert_eq!((&theirs["results"][0]["outcome"], &theirs["batch"]), (&json!("NOT_FOUND"), &Value::Null));
    }
}
