//! Somebody else holds one portal, on PostgreSQL: who wants to change it is told so, and all other portals go on.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::reports::{ALLOCATE, allocation, others, report};
use crate::harness::outsider::Outsider;
use crate::harness::process::Process;
use crate::harness::{REPORT_SUCCESSES, engine, manager, postgres, reader, success};

const WRITERS: usize = 50;

/// Changes of many kinds.
fn changes() -> Vec<(String, Value)> {
    let change = |token: String, query: &str, input: Value| {
        (
            token,
            json!({ "query": query, "variables": { "input": input } }),
        )
    };
    let claim = "mutation ($input: ClaimResyncItemsInput!) { claimResyncItems(input: $input) { items { id } } }";
    let used = "mutation ($input: ReportApiUsageInput!) { reportApiUsage(input: $input) { userErrors { message } } }";
    let reserve = "mutation ($input: ReserveApiCallsInput!) { reserveApiCalls(input: $input) { reservation { id } } }";
    let configure = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { userErrors { message } } }";
    vec![
        (engine(), report("held")),
        change(
            engine(),
            REPORT_SUCCESSES,
            json!({ "successes": [success("before", 1)] }),
        ),
        change(engine(), claim, json!({ "limit": 5 })),
        change(engine(), used, json!({ "reportId": "1", "calls": 1 })),
        change(engine(), reserve, json!({ "calls": 1 })),
        change(manager(), ALLOCATE, allocation(7)["input"].clone()),
        change(manager(), configure, json!({ "name": "Nordwind" })),
    ]
}

/// Each change is refused with UNAVAILABLE, well before a client would give up, and says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_told_that_somebody_else_holds_it() {
    let url = postgres::new_database().await;
    let server = Process::start(&url, &[]).await;
    let begun = server
        .send(&engine(), &report("before"))
        .await
        .expect("an answer");
    assert_eq!(
        begun.body["data"]["reportSyncFailures"]["recordedCount"], 1,
        "{begun:#?}"
    );
    let outsider = Outsider::at(&url).await;
    outsider.hold_portal(1001).await;
    let refused = join_all(changes().into_iter().map(async |(token, body)| {
        let reply = server.send(&token, &body).await.expect("an answer");
        let message = reply.body["errors"][0]["message"]
            .as_str()
            .unwrap_or_default();
        let says_why = message.contains("hold");
        (!says_why || reply.is_not_for_later().is_some()).then(|| format!("{body}\n{reply:#?}"))
    }))
    .await;
    let wrong: Vec<String> = refused.into_iter().flatten().collect();
    outsider.let_go().await;
    for (token, body) in changes() {
        let reply = server.send(&token, &body).await.expect("an answer");
        assert!(reply.body.get("errors").is_none(), "{body}\n{reply:#?}");
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {}",
        wrong.len(),
        changes().len(),
        wrong[0]
    );
}

/// Fifty who wait for it leave room for the others, who read and write as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_takes_no_room_from_others() {
    let url = postgres::new_database().await;
    let server = Process::start(&url, &[]).await;
    let (other_reader, other_engine) = others();
    for token in [engine(), other_engine.clone()] {
        server
            .send(&token, &report("before"))
            .await
            .expect("an answer");
    }
    let outsider = Outsider::at(&url).await;
    outsider.hold_portal(1001).await;
    let waiting = AtomicUsize::new(WRITERS);
    let writers = join_all((0..WRITERS).map(async |n| {
        // Again and again, as clients do that are refused.
        loop {
            let name = format!("w{n}");
            let reply = server
                .send(&engine(), &report(&name))
                .await
                .expect("an answer");
            if reply.body.get("errors").is_none() {
                waiting.fetch_sub(1, Ordering::Relaxed);
                return;
            }
        }
    }));
    let innocent = async {
        outsider.waited_for().await;
        let mut wrong = Vec::new();
        for n in 0..20 {
            let written = server.send(&other_engine, &report(&n.to_string())).await;
            let read = json!({ "query": "{ portal { syncErrors { nodes { title } } } }" });
            let read = (
                server.send(&other_reader, &read).await,
                server.send(&reader(), &read).await,
            );
            for reply in [written, read.0, read.1] {
                let reply = reply.expect("an answer");
                wrong.extend(reply.body.get("errors").map(ToString::to_string));
            }
        }
        assert_eq!(waiting.load(Ordering::Relaxed), WRITERS, "they do not wait");
        outsider.let_go().await;
        wrong
    };
    let (_, wrong) = tokio::join!(writers, innocent);
    assert!(wrong.is_empty(), "{} of 60: {}", wrong.len(), wrong[0]);
    server.stop().await;
}
