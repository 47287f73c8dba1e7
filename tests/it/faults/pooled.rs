//! Behind PgBouncer, in both of its modes: an answer is one snapshot, statements do not collide, notifications have a way
//! of their own, and its end passes.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::doors::Doors;
use super::reports::{Reports, pause};
use crate::commands::output;
use crate::harness::outsider::Outsider;
use crate::harness::pooler::{Mode, Pooler};
use crate::harness::process::Process;
use crate::harness::{eventually, postgres, reader};

const ANSWERS: usize = 300;
const STATE: &str = "{ portal { eventCursor syncErrors { nodes { affectedRecordCount affectedRecords(first: 1) { totalCount } } } } }";
const FEED: &str = "query ($after: String) { portal { syncErrorEvents(first: 100, after: $after) { pageInfo { endCursor hasNextPage } nodes { cursor affectedRecordCount } } } }";
const LISTENING: &str = "SELECT count(*) AS number FROM pg_stat_activity WHERE query ILIKE 'LISTEN %' AND datname = current_database()";

/// What an answer showed, and what it said was the last event.
async fn states(server: &Process, reports: &Reports) -> Vec<(String, Value)> {
    let mut states = Vec::new();
    reports.more(10).await;
    while states.len() < ANSWERS {
        let reply = server.ask(&reader(), STATE, json!({})).await;
        let reply = reply.expect("an answer");
        let portal = &reply.body["data"]["portal"];
        let error = &portal["syncErrors"]["nodes"][0];
        assert_eq!(
            error["affectedRecords"]["totalCount"], error["affectedRecordCount"],
            "{reply:#?}"
        );
        let cursor = portal["eventCursor"].as_str().expect("a cursor");
        states.push((cursor.to_owned(), error["affectedRecordCount"].clone()));
    }
    states
}

/// How many records were affected after each event.
async fn feed(server: &Process) -> HashMap<String, Value> {
    let (mut counts, mut after) = (HashMap::new(), Value::Null);
    loop {
        let reply = server.ask(&reader(), FEED, json!({ "after": after })).await;
        let mut page = reply.expect("an answer").body["data"]["portal"]["syncErrorEvents"].take();
        for event in page["nodes"].as_array().expect("events") {
            let cursor = event["cursor"].as_str().expect("a cursor");
            counts.insert(cursor.to_owned(), event["affectedRecordCount"].clone());
        }
        if page["pageInfo"]["hasNextPage"] != true {
            return counts;
        }
        after = page["pageInfo"]["endCursor"].take();
    }
}

/// Under load, an answer's `eventCursor` is the end of what it shows, and nothing is refused.
async fn one_snapshot(mode: Mode) {
    let url = postgres::new_database().await;
    let pooler = Pooler::before(&url, mode).await;
    let server = Process::start(&pooler.url, &[]).await;
    let reports = Reports::to(&[&server.url]);
    let mut seen = Vec::new();
    let reading = async {
        let (first, second) = tokio::join!(states(&server, &reports), states(&server, &reports));
        seen = [first, second].concat();
    };
    let (_, heard) = tokio::join!(
        reports.pour_while(reading),
        reports.hear(&server.address, &url)
    );
    reports.are_kept(&url).await;
    reports.were_heard(&heard);
    assert_eq!(reports.refused_count(), 0);
    let feed = feed(&server).await;
    let wrong = |(cursor, shown): &&(String, Value)| feed.get(cursor) != Some(shown);
    let wrong: Vec<_> = seen.iter().filter(wrong).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} answers are not one snapshot, the first: {:?} {:?}",
        wrong.len(),
        seen.len(),
        wrong[0],
        feed.get(&wrong[0].0)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_snapshot_in_session_mode() {
    one_snapshot(Mode::Session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_snapshot_in_transaction_mode() {
    one_snapshot(Mode::Transaction).await;
}

/// Two servers, one behind a pooler: what the other one commits is heard, by a connection of its own where one is told
/// (`--database-listen-url`), otherwise by looking.
async fn others_are_heard(listens: bool) {
    let url = postgres::new_database().await;
    let pooler = Pooler::before(&url, Mode::Transaction).await;
    let listen = [("SYNC_HEALTH_DATABASE_LISTEN_URL", url.as_str())];
    let environment = if listens { &listen[..] } else { &[] };
    let server = Process::start(&pooler.url, environment).await;
    let outsider = Outsider::at(&url).await;
    if listens {
        eventually("a connection that listens", async || {
            (outsider.number(LISTENING).await == 1).then_some(())
        })
        .await;
    } else {
        pause(500).await;
        assert_eq!(outsider.number(LISTENING).await, 0);
    }
    let other = Process::start(&url, &[]).await;
    let reports = Reports::to(&[&other.url]);
    let (_, heard) = tokio::join!(
        reports.pour_while(reports.more(50)),
        reports.hear(&server.address, &url)
    );
    reports.were_heard(&heard);
    other.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_have_their_own_way() {
    others_are_heard(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_notifications_it_looks() {
    others_are_heard(false).await;
}

/// Commands work through it too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands() {
    let url = postgres::empty_database().await;
    for mode in [Mode::Transaction, Mode::Session] {
        let pooler = Pooler::before(&url, mode).await;
        for command in ["migrate", "doctor"] {
            let ran = output(&[command, "--database-url", &pooler.url]);
            assert!(ran.status.success(), "{mode:?} {ran:?}");
        }
    }
}

/// The pooler is gone for a while: UNAVAILABLE and not ready, then all works again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_is_gone() {
    let url = postgres::new_database().await;
    let mut pooler = Pooler::before(&url, Mode::Transaction).await;
    let server = Process::start(&pooler.url, &[]).await;
    let doors = Doors::of(&server).await;
    pooler.kill();
    doors.refuse_changes().await;
    doors.refuse_to_read().await;
    assert_eq!(server.readiness().await, Some(503));
    pooler.start().await;
    server.is_ready().await;
    doors.work().await;
    server.stop().await;
}

/// However few connections it lends, and however many others want one, a server that starts knows that it is lent one for a
/// transaction at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_among_others() {
    for size in [1, 3] {
        let url = postgres::new_database().await;
        let pooler = Pooler::of_size(&url, Mode::Transaction, size).await;
        let listen = [("SYNC_HEALTH_DATABASE_LISTEN_URL", url.as_str())];
        let first = Process::start(&pooler.url, &listen).await;
        let reports = Reports::to(&[&first.url]);
        let starts = async {
            for _ in 0..3 {
                let other = Process::start(&pooler.url, &listen).await;
                assert!(other.log().contains("behind a pooler"), "{}", other.log());
                other.stop().await;
            }
        };
        reports.pour_while(starts).await;
        reports.are_kept(&url).await;
        first.stop().await;
    }
}
