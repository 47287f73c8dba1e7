//! Transient errors are tried again by themselves.

use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::live::Socket;
use crate::harness::{Server, both, engine, eventually, failure, manager, minute, success};
use crate::quota::{allocate, used};
use crate::resync::{answer, batch, claim, counts, items, resync};

/// A record that another process had locked.
fn locked(record: &str, at: i64) -> Value {
    let more = json!({ "code": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access to this record", "fields": [] });
    failure(record, at, more)
}

async fn plan(server: &Server, id: &Value) -> Value {
    let query = "query ($id: ID!) { node(id: $id) { ... on SyncError { status retry { attemptCount nextAt pausedReason } latestResync { id } } } }";
    server.read(query, json!({ "id": id })).await["node"].take()
}

async fn error(server: &Server, failures: Value) -> Value {
    server.record(failures).await["results"][0]["syncError"]["id"].take()
}

/// Claims until something is there.
async fn claimed(server: &Server) -> Vec<Value> {
    eventually("a retry", async || {
        let taken = items(&claim(server, json!({})).await);
        (!taken.is_empty()).then_some(taken)
    })
    .await
}

both! {
    /// They begin once an engine has claimed, after 5 and 15 minutes and so on, leave the status OPEN, and show their plan.
    async fn a_plan(server) {
        let id = error(server, json!([locked("1", 58), locked("2", 59)])).await;
        assert_eq!(plan(server, &id).await, json!({ "status": "OPEN", "retry": { "attemptCount": 0, "nextAt": null, "pausedReason": null }, "latestResync": null }));
        assert_eq!(claim(server, json!({})).await["items"], json!([]));
        assert_eq!(plan(server, &id).await["retry"]["nextAt"], minute(65));
        server.pass(Duration::minutes(5));
        let taken = claimed(server).await;
        assert_eq!((taken.len(), &plan(server, &id).await["status"]), (2, &json!("OPEN")));
        let list = server.read("{ portal { resyncBatches { totalCount } syncErrors { nodes { latestResync { id } retry { attemptCount nextAt } } } } }", json!({})).await["portal"].take();
        assert_eq!((&list["resyncBatches"]["totalCount"], &list["syncErrors"]["nodes"][0]["latestResync"]), (&json!(0), &Value::Null));
        let outcomes: Vec<Value> = taken.iter().map(|item| json!({ "itemId": item["id"], "status": "FAILED" })).collect();
        answer(server, json!(outcomes)).await;
        assert_eq!(plan(server, &id).await["retry"], json!({ "attemptCount": 1, "nextAt": minute(65 + 15), "pausedReason": null }));
        server.pass(Duration::minutes(15));
        let taken = claimed(server).await;
        answer(server, json!([{ "itemId": taken[0]["id"], "status": "SUCCEEDED" }])).await;
        answer(server, json!([{ "itemId": taken[1]["id"], "status": "SUCCEEDED" }])).await;
        assert_eq!(plan(server, &id).await, json!({ "status": "RESOLVED", "retry": null, "latestResync": null }));
        // Opened again, it begins anew.
        server.pass(Duration::minutes(1));
        server.record(json!([locked("1", 81)])).await;
        assert_eq!(plan(server, &id).await["retry"], json!({ "attemptCount": 0, "nextAt": minute(86), "pausedReason": null }));
        // What is not transient has no plan.
        let id = error(server, json!([failure("3", 60, json!({}))])).await;
        assert_eq!(plan(server, &id).await["retry"], Value::Null);
    }
}

both! {
    /// An engine that listens for work is there as one that claims: retries begin, and it is told of them.
    async fn listening_begins(server) {
        let id = error(server, json!([locked("1", 55)])).await;
        let mut socket = Socket::connect(server, &engine()).await;
        socket.subscribe("1", crate::resync_live::WORK, json!({})).await;
        eventually("a plan", async || (plan(server, &id).await["retry"]["nextAt"] == minute(65)).then_some(())).await;
        server.pass(Duration::minutes(5));
        assert_eq!(socket.data().await["resyncWorkAvailable"], json!({ "hubId": "1001", "waitingCount": 1 }));
    }
}

both! {
    /// Ten times, then it stays.
    async fn attempts_end(server) {
        let id = error(server, json!([locked("1", 55)])).await;
        claim(server, json!({})).await;
        for _ in 0..10 {
            server.pass(Duration::days(1));
            let taken = claimed(server).await;
            answer(server, json!([{ "itemId": taken[0]["id"], "status": "FAILED" }])).await;
        }
        assert_eq!(plan(server, &id).await["retry"], json!({ "attemptCount": 10, "nextAt": null, "pausedReason": "ATTEMPTS_EXHAUSTED" }));
        server.pass(Duration::days(2));
        // Asked for, it is tried all the same; and a success by others lets it begin anew.
        let batch_id = resync(server, json!({ "errorIds": [id] })).await["batch"]["id"].take();
        let taken = items(&claim(server, json!({})).await);
        assert_eq!(taken.len(), 1);
        answer(server, json!([{ "itemId": taken[0]["id"], "status": "FAILED" }])).await;
        assert_eq!(batch(server, &batch_id).await["failedCount"], 1);
        let now = 60 + 12 * 1_440;
        server.succeed(json!([success("1", now)])).await;
        server.record(json!([locked("1", now + 1)])).await;
        assert_eq!(plan(server, &id).await["retry"], json!({ "attemptCount": 0, "nextAt": minute(60 + 12 * 1_440 + 5), "pausedReason": null }));
        server.pass(Duration::minutes(5));
        assert_eq!(claimed(server).await.len(), 1);
    }
}

both! {
    /// Above 75 % of the allocation and while the portal does not sync they wait; what was asked for does not.
    async fn paused(server) {
        allocate(server, json!({ "calls": 100 })).await;
        let id = error(server, json!([locked("1", 55)])).await;
        claim(server, json!({})).await;
        server.pass(Duration::minutes(5));
        used(server, "1", 75, json!({})).await;
        assert_eq!(plan(server, &id).await["retry"]["pausedReason"], "ALLOCATION_ABOVE_75_PERCENT");
        eventually("a planned retry", async || {
            let none = claim(server, json!({})).await;
            assert_eq!(none["items"], json!([]));
            (none["retryAt"] == minute(65 + 1_440)).then_some(())
        }).await;
        resync(server, json!({ "errorIds": [id] })).await;
        let taken = items(&claim(server, json!({})).await);
        answer(server, json!([{ "itemId": taken[0]["id"], "status": "FAILED" }])).await;
        used(server, "2", 25, json!({})).await;
        assert_eq!(plan(server, &id).await["retry"]["pausedReason"], "ALLOCATION_EXHAUSTED");
        server.data(&manager(), "mutation { setHubspotAllocation(input: { calls: null }) { quota { state } } }", json!({})).await;
        let report = "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { userErrors { message } } }";
        server.data(&engine(), report, json!({ "input": { "syncState": "SUSPENDED", "occurredAt": minute(60) } })).await;
        assert_eq!(plan(server, &id).await["retry"]["pausedReason"], "SYNC_SUSPENDED");
        server.pass(Duration::minutes(15));
        // One that syncs says that the portal does.
        resync(server, json!({ "errorIds": [id] })).await;
        let taken = items(&claim(server, json!({})).await);
        answer(server, json!([{ "itemId": taken[0]["id"], "status": "SUCCEEDED" }])).await;
        assert_eq!(server.read("{ portal { syncState } }", json!({})).await["portal"]["syncState"], "ACTIVE");
    }
}

both! {
    /// A record that was being retried when its error was asked for is tried once, whoever answers when.
    async fn absorbed_and_answered(server) {
        let id = error(server, json!([locked("1", 55), locked("2", 55), locked("3", 55)])).await;
        claim(server, json!({})).await;
        server.pass(Duration::minutes(5));
        let first = eventually("a retry", async || {
            let taken = items(&claim(server, json!({ "limit": 1 })).await);
            (!taken.is_empty()).then_some(taken)
        }).await;
        let asked = resync(server, json!({ "errorIds": [id] })).await["batch"].take();
        assert_eq!(counts(&asked), [2, 1, 0, 0, 0]);
        answer(server, json!([{ "itemId": first[0]["id"], "status": "FAILED" }])).await;
        let second = items(&claim(server, json!({})).await);
        let records: Vec<&Value> = second.iter().map(|item| &item["hubspotRecord"]["recordId"]).collect();
        assert!(records.len() == 2 && !records.contains(&&first[0]["hubspotRecord"]["recordId"]), "{records:?}");
        let outcomes: Vec<Value> = second.iter().map(|item| json!({ "itemId": item["id"], "status": "SUCCEEDED" })).collect();
        answer(server, json!(outcomes)).await;
        assert_eq!(counts(&batch(server, &asked["id"]).await), [0, 0, 2, 1, 0]);
        // A lease that ends in the very step that takes the error over.
        server.pass(Duration::minutes(16));
        eventually("a retry", async || (!items(&claim(server, json!({ "leaseSeconds": 10 })).await).is_empty()).then_some(())).await;
        server.pass(Duration::seconds(10));
        let asked = resync(server, json!({ "errorIds": [id] })).await["batch"].take();
        let last = items(&claim(server, json!({})).await);
        answer(server, json!([{ "itemId": last[0]["id"], "status": "SUCCEEDED" }])).await;
        assert_eq!(batch(server, &asked["id"]).await["status"], "COMPLETED");
    }
}

both! {
    /// A resync that is asked for takes over what is being retried: no record has two items.
    async fn absorbed(server) {
        let id = error(server, json!([locked("1", 55), locked("2", 55), locked("3", 55)])).await;
        claim(server, json!({})).await;
        server.pass(Duration::minutes(5));
        let first = eventually("a retry", async || {
            let taken = items(&claim(server, json!({ "limit": 2 })).await);
            (!taken.is_empty()).then_some(taken)
        }).await;
        answer(server, json!([{ "itemId": first[1]["id"], "status": "RETURNED" }])).await;
        let asked = resync(server, json!({ "errorIds": [id] })).await["batch"].take();
        assert_eq!(counts(&asked), [2, 1, 0, 0, 0]);
        let second = items(&claim(server, json!({})).await);
        assert_eq!(second.len(), 2);
        let outcomes: Vec<Value> = [&first[0], &second[0], &second[1]].iter().map(|item| json!({ "itemId": item["id"], "status": "SUCCEEDED" })).collect();
        assert_eq!(answer(server, json!(outcomes)).await["userErrors"], json!([]));
        let ended = batch(server, &asked["id"]).await;
        assert_eq!((&ended["status"], counts(&ended)), (&json!("COMPLETED"), vec![0, 0, 3, 0, 0]));
    }
}
