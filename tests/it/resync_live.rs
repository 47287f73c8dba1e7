//! Resyncs as they move: batches for people, work for engines.

use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::live::{EventStream, Socket};
use crate::harness::{REPORT_FAILURES, both, engine, failure, reader, token};
use crate::resync::{answer, claim, counts, errors, items, other, resync};

pub const BATCH: &str = "subscription ($id: ID!) { resyncBatchUpdated(id: $id) { id status recordCount waitingCount claimedCount succeededCount failedCount cancelledCount finishedAt } }";
pub const WORK: &str =
    "subscription ($hubId: ID) { resyncWorkAvailable(hubId: $hubId) { hubId waitingCount } }";

both! {
    /// A batch is told now, then as it moves; its last state is always told, and completes the stream.
    async fn a_batch_moves(server) {
        let ids = errors(server, json!([failure("1", 0, json!({})), failure("2", 0, json!({}))])).await;
        let id = resync(server, json!({ "errorIds": [ids[0]] })).await["batch"]["id"].take();
        let mut socket = Socket::connect(server, &reader()).await;
        socket.subscribe("1", BATCH, json!({ "id": id })).await;
        assert_eq!(counts(&socket.data().await["resyncBatchUpdated"]), [2, 0, 0, 0, 0]);
        let taken = items(&claim(server, json!({})).await);
        assert_eq!(counts(&socket.data().await["resyncBatchUpdated"]), [0, 2, 0, 0, 0]);
        for item in &taken {
            answer(server, json!([{ "itemId": item["id"], "status": "SUCCEEDED" }])).await;
        }
        let mut last = Value::Null;
        while last["status"] != "COMPLETED" {
            last = socket.data().await["resyncBatchUpdated"].take();
        }
        assert_eq!(counts(&last), [0, 0, 2, 0, 0]);
        assert_eq!(socket.next().await["type"], "complete");
        // Whoever comes when it has ended is told its last state.
        let mut late = EventStream::open(server, &reader(), BATCH, json!({ "id": id }), None).await;
        assert_eq!(late.data().await["resyncBatchUpdated"], last);
        for id in [json!("nonsense"), ids[0].clone()] {
            socket.subscribe("2", BATCH, json!({ "id": id })).await;
            assert_eq!(socket.next().await["payload"][0]["extensions"]["code"], "NOT_FOUND");
        }
        let theirs = token(&["1002"], "sync-health:read");
        let mut theirs = Socket::connect(server, &theirs).await;
        theirs.subscribe("1", BATCH, json!({ "id": id })).await;
        assert_eq!(theirs.next().await["payload"][0]["extensions"]["code"], "NOT_FOUND");
    }
}

both! {
    /// Engines are told what waits at once, and then whenever more does, for one portal or for all of the token.
    async fn work_comes(server) {
        let mut one = Socket::connect(server, &engine()).await;
        one.subscribe("1", WORK, json!({ "hubId": "1001" })).await;
        let both = token(&["1001", "1002"], "sync-health:report sync-health:manage");
        let mut all = Socket::connect(server, &both).await;
        all.subscribe("1", WORK, json!({})).await;
        let ids = errors(server, json!([failure("1", 0, json!({})), failure("2", 0, json!({}))])).await;
        resync(server, json!({ "errorIds": [ids[0]] })).await;
        for socket in [&mut one, &mut all] {
            assert_eq!(socket.data().await["resyncWorkAvailable"], json!({ "hubId": "1001", "waitingCount": 2 }));
        }
        let mut late = Socket::connect(server, &engine()).await;
        late.subscribe("1", WORK, json!({})).await;
        assert_eq!(late.data().await["resyncWorkAvailable"]["waitingCount"], 2);
        server.data(&both, REPORT_FAILURES, json!({ "input": { "hubId": "1002", "failures": [other(1, "1")] } })).await;
        server.data(&both, "mutation { resyncMatchingSyncErrors(input: { hubId: 1002, filter: {} }) { batch { id } } }", json!({})).await;
        assert_eq!(all.data().await["resyncWorkAvailable"], json!({ "hubId": "1002", "waitingCount": 1 }));
        // Leases that end are work again.
        let taken = items(&claim(server, json!({ "leaseSeconds": 10 })).await);
        assert_eq!(taken.len(), 2);
        server.pass(Duration::seconds(10));
        assert_eq!(one.data().await["resyncWorkAvailable"]["waitingCount"], 2);
        // As much as before, but others.
        let outcomes: Vec<Value> = taken.iter().map(|item| json!({ "itemId": item["id"], "status": "FAILED" })).collect();
        answer(server, json!(outcomes)).await;
        server.pass(Duration::milliseconds(1));
        resync(server, json!({ "errorIds": [ids[0]] })).await;
        assert_eq!(one.data().await["resyncWorkAvailable"]["waitingCount"], 2);
        for (token, variables, code) in [
            (engine(), json!({ "hubId": "1002" }), "NOT_FOUND"),
            (reader(), json!({}), "FORBIDDEN"),
        ] {
            let mut socket = Socket::connect(server, &token).await;
            socket.subscribe("1", WORK, variables).await;
            assert_eq!(socket.next().await["payload"][0]["extensions"]["code"], code);
        }
    }
}
