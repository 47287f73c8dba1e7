//! SQLite's log is not on the disk yet: others may see what was committed, and nobody is told that it is kept.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::reports::{ALLOCATE, allocation, report};
use crate::commands::command;
use crate::harness::io_faults::IoFaults;
use crate::harness::process::{Process, Reply, patient_client};
use crate::harness::remote::{Events, Remote};
use crate::harness::{REPORT_SUCCESSES, engine, eventually, manager, reader, success};

/// All that the changes below change.
const STATE: &str = "{ portal { name quota { allocatedToHubspot } resyncBatches { nodes { id status claimedCount } }
    syncErrors(statuses: [OPEN, RESYNCING, RESOLVED]) { nodes { status affectedRecordCount } } } }";

fn change(token: String, query: &str, input: Value) -> (String, Value) {
    let body = json!({ "query": query, "variables": { "input": input } });
    (token, body)
}

/// Changes that find nothing to do when they come for the second time.
fn changes() -> Vec<(String, Value)> {
    let claim = "mutation ($input: ClaimResyncItemsInput!) { claimResyncItems(input: $input) { items { id } userErrors { message } } }";
    let configure = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { userErrors { message } } }";
    let again = "mutation ($input: ResyncMatchingSyncErrorsInput!) { resyncMatchingSyncErrors(input: $input) { batch { id } userErrors { message } } }";
    vec![
        (engine(), report("second")),
        change(manager(), configure, json!({ "name": "Nordwind" })),
        change(manager(), ALLOCATE, allocation(7)["input"].clone()),
        change(
            manager(),
            again,
            json!({ "filter": {}, "idempotencyKey": "once" }),
        ),
        change(engine(), claim, json!({ "limit": 5 })),
        change(
            engine(),
            REPORT_SUCCESSES,
            json!({ "successes": [success("first", 1), success("second", 1)] }),
        ),
    ]
}

struct Scene {
    server: Process,
    io: IoFaults,
    http: reqwest::Client,
    database_url: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("s.db").display());
        let io = IoFaults::new();
        let server = io.serve(&url).await;
        let reply = server.send(&engine(), &report("first")).await;
        assert!(is_acknowledged(&reply.expect("an answer")));
        Self {
            server,
            io,
            http: patient_client(),
            database_url: url,
            _folder: folder,
        }
    }

    fn send(&self, (token, body): (String, Value)) -> JoinHandle<Reply> {
        let (http, url) = (self.http.clone(), self.server.url.clone());
        tokio::spawn(async move {
            let reply = Reply::to(&http, &url, &token, &body).await;
            reply.expect("an answer")
        })
    }

    async fn state(&self) -> Value {
        let reply = self.server.ask(&reader(), STATE, json!({})).await;
        let mut reply = reply.expect("an answer");
        assert!(reply.body.get("errors").is_none(), "{reply:#?}");
        reply.body["data"].take()
    }
}

/// Whether it says that what was asked for is so.
fn is_acknowledged(reply: &Reply) -> bool {
    let is_executed = reply.body.get("errors").is_none();
    let payload = reply.body["data"]
        .as_object()
        .and_then(|data| data.values().next());
    let refusals = payload.and_then(|payload| payload["userErrors"].as_array());
    is_executed && refusals.is_none_or(Vec::is_empty)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_nothing_to_do_waits_for_who_did_it() {
    let scene = Scene::new().await;
    scene.io.begin("sync -wal HOLD");
    let mut sent = Vec::new();
    for change in changes() {
        let before = scene.state().await;
        let first = scene.send(change.clone());
        eventually("what the first one did", async || {
            assert!(!first.is_finished(), "it changed nothing: {change:#?}");
            (scene.state().await != before).then_some(())
        })
        .await;
        let second = scene.send(change.clone());
        sent.push((change, first, second));
    }
    // Time enough for an answer that waits for nothing.
    for _ in 0..20 {
        scene.state().await;
    }
    let early: Vec<_> = sent
        .iter()
        .filter(|(_, first, second)| first.is_finished() || second.is_finished())
        .map(|(change, ..)| &change.1["query"])
        .collect();
    assert!(early.is_empty(), "answered before it was kept: {early:#?}");
    scene.io.begin("sync -wal EIO");
    for (change, first, second) in sent {
        for reply in [first.await, second.await] {
            let reply = reply.expect("an answer");
            assert!(
                reply.is_not_for_later().is_none(),
                "{change:#?}\n{reply:#?}"
            );
        }
    }
    scene.io.end();
    scene.server.is_ready().await;
    for change in changes() {
        let reply = scene.send(change).await.expect("an answer");
        assert!(is_acknowledged(&reply), "{reply:#?}");
    }
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_hear_what_is_kept() {
    let scene = Scene::new().await;
    let servers = Remote::of(
        vec![scene.server.address.clone()],
        scene.database_url.clone(),
    );
    let mut all = Events::stream(&servers, 0, &Value::Null).await;
    let mut heard = Box::pin(all.next());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut heard).await;
    assert!(early.is_err(), "nothing happened yet: {early:?}");
    scene.io.begin("sync -wal HOLD");
    let before = scene.state().await;
    let reported = scene.send((engine(), report("second")));
    eventually("what was reported", async || {
        (scene.state().await != before).then_some(())
    })
    .await;
    // Longer than a server takes to look at a feed that nobody rang for.
    let early = tokio::time::timeout(Duration::from_secs(3), &mut heard).await;
    assert!(early.is_err(), "heard before it was kept: {early:?}");
    scene.io.end();
    assert!(is_acknowledged(&reported.await.expect("an answer")));
    let event = heard.await.expect("an event");
    assert_eq!(event["affectedRecordCount"], 2);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_is_of_what_was_written_before_it() {
    let scene = Scene::new().await;
    let sees = async |count: u64| {
        eventually("what was committed", async || {
            let state = scene.state().await;
            let records = &state["portal"]["syncErrors"]["nodes"][0]["affectedRecordCount"];
            (records == count).then_some(())
        })
        .await;
    };
    scene.io.begin("sync -wal HOLD");
    let second = scene.send((engine(), report("second")));
    sees(2).await;
    let third = scene.send((engine(), report("third")));
    sees(3).await;
    // The commit of the fourth has begun, and nothing of it is written when the others are synced.
    let held = scene.io.count();
    scene.io.begin("sync -wal HOLD\nwrite -wal HOLD");
    let fourth = scene.send((engine(), report("fourth")));
    eventually("a write that waits", async || {
        (scene.io.count() > held).then_some(())
    })
    .await;
    scene.io.begin("write -wal HOLD");
    for kept in [second, third] {
        assert!(is_acknowledged(&kept.await.expect("an answer")));
    }
    scene.io.begin("sync -wal HOLD");
    sees(4).await;
    for _ in 0..20 {
        scene.state().await;
    }
    assert!(!fourth.is_finished(), "answered before it was kept");
    scene.io.end();
    assert!(is_acknowledged(&fourth.await.expect("an answer")));
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_wrote() {
    let scene = Scene::new().await;
    let other = scene.io.serve(&scene.database_url).await;
    scene.io.begin("sync -wal HOLD");
    let before = scene.state().await;
    let first = scene.send((engine(), report("second")));
    eventually("what was reported", async || {
        (scene.state().await != before).then_some(())
    })
    .await;
    let (http, url) = (scene.http.clone(), other.url.clone());
    let second = tokio::spawn(async move {
        let reply = Reply::to(&http, &url, &engine(), &report("second")).await;
        reply.expect("an answer")
    });
    for _ in 0..20 {
        scene.state().await;
    }
    assert!(!first.is_finished() && !second.is_finished());
    scene.io.end();
    for kept in [first, second] {
        assert!(is_acknowledged(&kept.await.expect("an answer")));
    }
    other.stop().await;
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_taken_away() {
    let scene = Scene::new().await;
    let Scene {
        mut server,
        database_url: url,
        ..
    } = scene;
    let path = url.trim_start_matches("sqlite://");
    std::fs::remove_file(format!("{path}-wal")).expect("a log");
    let refused = server.send(&engine(), &report("lost")).await;
    assert!(refused.expect("an answer").is_not_for_later().is_none());
    // Another process makes a new one, of which the server's SQLite knows nothing.
    for other in ["doctor", "migrate"] {
        let ran = command(&[other, "--database-url", &url]).output();
        ran.expect("a command");
    }
    let refused = server.send(&engine(), &report("lost")).await;
    assert!(refused.expect("an answer").is_not_for_later().is_none());
    assert_eq!(server.readiness().await, Some(503));
    server.kill();
    let again = Process::start(&url, &[]).await;
    let reply = again.send(&engine(), &report("second")).await;
    assert!(is_acknowledged(&reply.expect("an answer")));
    again.stop().await;
}
