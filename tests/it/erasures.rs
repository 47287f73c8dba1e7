//! `sync-health forget --portal`: a large portal goes in steps, beside others who go on; nothing of it is shown or taken
//! from the first one on, and who was interrupted is followed.

use std::collections::BTreeSet;

use chrono::Duration;
use serde_json::{Value, json};

use crate::commands::{Running, command, text};
use crate::harness::live::Socket;
use crate::harness::outsider::Outsider;
use crate::harness::process::Reply;
use crate::harness::{
    Backend, REPORT_FAILURES, Server, both, engine, eventually, failure, manager, reader,
    take_error_logs, token,
};
use crate::resync::resync;
use crate::upkeep::{count, run, tables};

/// Portals that are being erased, and nobody goes on with.
const ABANDONED: &str =
    "INSERT INTO erasures (hub_id, begun_at, stepped_at) VALUES (1001, 0, 0), (1002, 0, 0)";

/// Errors of the large portal, and records of each.
const ERRORS: i64 = 100;
const RECORDS: i64 = 400;

/// Makes portal 1001 large: what was reported is copied by SQL. Answers the id of an error.
async fn fill(server: &Server) -> Value {
    let of = |n: i64| json!({ "fields": [format!("Field{n}__c")] });
    let failures: Vec<Value> = (0..ERRORS)
        .map(|n| failure(&n.to_string(), 0, of(n)))
        .collect();
    let told = server.record(json!(failures)).await;
    let copies = RECORDS - 1;
    let (numbers, id) = match server.database_url.starts_with("sqlite") {
        true => (
            format!(
                "(WITH RECURSIVE up (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM up WHERE n < {copies}) SELECT n FROM up) AS numbers"
            ),
            "randomblob(16)",
        ),
        false => (
            format!("generate_series(1, {copies}) AS numbers (n)"),
            "gen_random_uuid()",
        ),
    };
    let db = Outsider::at(&server.database_url).await;
    db.run(&format!(
        "INSERT INTO affected_records (hub_id, error_id, id, hubspot_object_type, hubspot_record_id, salesforce_object_type, message, first_seen_at, last_seen_at, attempt_count, search_text) \
         SELECT hub_id, error_id, {id}, hubspot_object_type, hubspot_record_id || '-' || n, salesforce_object_type, message, first_seen_at, last_seen_at, attempt_count, search_text FROM affected_records, {numbers}"
    )).await;
    db.close().await;
    told["results"][0]["syncError"]["id"].clone()
}

fn arguments(server: &Server) -> [&str; 6] {
    let url = &server.database_url;
    ["forget", "--portal", "1001", "--yes", "--database-url", url]
}

fn forgetting(server: &Server) -> Running {
    Running::start(command(&arguments(server)).stdout(std::process::Stdio::null()))
}

/// Whether the first step was made and the last one was not.
async fn is_begun(db: &Outsider) -> bool {
    db.number("SELECT COUNT(*) AS number FROM erasures").await > 0
}

async fn left(db: &Outsider) -> i64 {
    db.number("SELECT COUNT(*) AS number FROM affected_records WHERE hub_id = 1001")
        .await
}

/// No row of the portal is left in any table.
async fn is_gone(server: &Server) -> bool {
    let tables = tables(&server.database_url).await;
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        if count(&server.database_url, &table).await > 0 {
            return false;
        }
    }
    true
}

both! {
    /// Between the first step and the last another portal's changes are made, many of them.
    async fn others_go_on(server) {
        fill(server).await;
        let other = token(&["1002"], "sync-health:report sync-health:read");
        let report = async |n: usize| {
            let input = json!({ "input": { "failures": [failure(&n.to_string(), 0, json!({}))] } });
            let told = server.data(&other, REPORT_FAILURES, input).await;
            assert_eq!(told["reportSyncFailures"]["recordedCount"], 1, "{told:#}");
        };
        report(0).await;
        let db = Outsider::at(&server.database_url).await;
        let mut forget = forgetting(server);
        eventually("the first step", async || is_begun(&db).await.then_some(())).await;
        let (mut written, mut seen) = (1, BTreeSet::new());
        while is_begun(&db).await {
            report(written).await;
            written += 1;
            seen.insert(left(&db).await);
        }
        forget.ended().await;
        assert!(written > 10 && seen.len() > 3, "{written} changes of the other portal beside these: {seen:?}");
        assert!(is_gone(server).await);
        let told = server.data(&other, "{ portal { category(name: PROPERTY_VALUES) { affectedRecordCount } } }", json!({})).await;
        assert_eq!(told["portal"]["category"]["affectedRecordCount"], written);
        db.close().await;
    }
}

/// Begins to forget and is killed in the middle.
async fn interrupted(server: &Server) {
    let db = Outsider::at(&server.database_url).await;
    let mut forget = forgetting(server);
    eventually("some steps", async || {
        (is_begun(&db).await && left(&db).await < ERRORS * RECORDS).then_some(())
    })
    .await;
    forget.kill();
    assert!(
        is_begun(&db).await && left(&db).await > 0,
        "it was over before it was killed"
    );
    db.close().await;
}

/// Refused for now, with a word when to come back.
async fn is_unavailable(server: &Server, token: &str, query: &str, variables: Value) {
    let body = json!({ "query": query, "variables": variables });
    let reply = Reply::to(&server.http, &server.url, token, &body).await;
    let reply = reply.expect("an answer");
    assert_eq!(reply.is_not_for_later(), None);
    let why =
        "Portal 1001 is being erased. It begins anew, empty, when that is done: try again later.";
    assert!(
        reply.body["errors"][0]["message"].to_string().contains(why),
        "{reply:#?}"
    );
}

/// To who may see all portals this one is none; who comes for it alone is told to come back.
async fn nothing_is_shown_or_taken(server: &Server, ids: &[Value; 2]) {
    let all = token(&["*"], "sync-health:manage sync-health:report");
    let shown = "query ($ids: [ID!]!, $batch: ID!) { portal(hubId: 1001) { name syncErrors { totalCount } } nodes(ids: $ids) { id } resyncBatch(id: $batch) { id } portals { totalCount } }";
    let variables = json!({ "ids": ids, "batch": ids[1] });
    let told = server.data(&all, shown, variables).await;
    assert_eq!(
        told,
        json!({ "portal": null, "nodes": [null, null], "resyncBatch": null, "portals": { "totalCount": 0 } })
    );
    let claim = "mutation { claimResyncItems(input: {}) { items { id } userErrors { code } } }";
    let told = server.data(&all, claim, json!({})).await;
    assert_eq!(told["claimResyncItems"]["items"], json!([]), "{told:#}");
    let failures = json!([failure("new", 1, json!({}))]);
    let input = json!({ "input": { "hubId": "1001", "failures": failures } });
    let told = server.data(&all, REPORT_FAILURES, input).await;
    assert_eq!(
        told["reportSyncFailures"]["userErrors"][0]["code"], "NOT_FOUND",
        "{told:#}"
    );
    let mut socket = Socket::connect(server, &all).await;
    socket
        .subscribe(
            "1",
            "subscription { syncErrorEvents(hubId: 1001) { cursor } }",
            json!({}),
        )
        .await;
    let told = socket.next().await;
    assert_eq!(
        told["payload"][0]["extensions"]["code"], "NOT_FOUND",
        "{told:#}"
    );

    is_unavailable(
        server,
        &engine(),
        REPORT_FAILURES,
        json!({ "input": { "failures": failures } }),
    )
    .await;
    let configure =
        "mutation { configurePortal(input: { name: \"New\" }) { userErrors { code } } }";
    is_unavailable(server, &manager(), configure, json!({})).await;
    is_unavailable(server, &reader(), "{ portal { name } }", json!({})).await;
    let lines = server
        .http
        .post(format!("{}/v1/sync-failures", server.url))
        .bearer_auth(engine());
    let told = lines
        .body(failures[0].to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(told.status(), 503);
}

both! {
    /// Killed in the middle, and asked again: it goes on to the end, and the portal begins anew.
    async fn asked_again(server) {
        let error_id = fill(server).await;
        let batch = resync(server, json!({ "errorIds": [error_id] })).await["batch"]["id"].take();
        let mut listening = Socket::connect(server, &token(&["*"], "sync-health:read")).await;
        let from = server.read("{ portal { eventCursor } }", json!({})).await["portal"]["eventCursor"].take();
        let events = "subscription ($after: String) { syncErrorEvents(hubId: 1001, after: $after) { cursor } }";
        listening.subscribe("1", events, json!({ "after": from })).await;
        server.record(json!([failure("heard", 1, json!({}))])).await;
        listening.data().await;
        interrupted(server).await;
        nothing_is_shown_or_taken(server, &[error_id, batch]).await;
        let told = listening.next().await;
        assert_eq!(told["payload"][0]["extensions"]["code"], "NOT_FOUND", "{told:#}");
        let sound = run(&["doctor", "--database-url", &server.database_url]).await;
        assert!(text(&sound.stdout).contains("everything adds up"), "{sound:?}");
        let again = run(&arguments(server)).await;
        let told = text(&again.stdout);
        assert!(again.status.success() && told.contains("affected_records") && told.ends_with("removed\n"), "{again:?}");
        assert!(is_gone(server).await);
        server.record(json!([failure("1", 0, json!({}))])).await;
        let told = server.read("{ portal { syncErrors { totalCount nodes { affectedRecordCount } } } }", json!({})).await;
        assert_eq!(told["portal"]["syncErrors"], json!({ "totalCount": 1, "nodes": [{ "affectedRecordCount": 1 }] }));
    }
}

both! {
    /// Killed in the middle, and nobody asks again: a server goes on by itself after a while.
    async fn a_server_goes_on(server) {
        fill(server).await;
        interrupted(server).await;
        server.pass(Duration::seconds(61));
        eventually("the end", async || is_gone(server).await.then_some(())).await;
        server.record(json!([failure("1", 0, json!({}))])).await;
    }
}

/// One that cannot be gone on with does not hold up the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_is_held() {
    let server = Server::start(Backend::Postgres).await;
    for portal in ["1001", "1002"] {
        let engine = token(&[portal], "sync-health:report");
        let input = json!({ "input": { "failures": [failure("1", 0, json!({}))] } });
        server.data(&engine, REPORT_FAILURES, input).await;
    }
    let db = Outsider::at(&server.database_url).await;
    db.hold_portal(1001).await;
    let other = Outsider::at(&server.database_url).await;
    other.run(ABANDONED).await;
    server.pass(Duration::seconds(61));
    eventually("the end of the other one", async || {
        let left = other.number("SELECT COUNT(*) AS number FROM feed_heads WHERE hub_id = 1002");
        (left.await == 0).then_some(())
    })
    .await;
    db.let_go().await;
    // Whoever asks again goes on with it.
    let again = run(&arguments(&server)).await;
    assert!(again.status.success(), "{again:?}");
    take_error_logs();
    server.finish().await;
}
