//! Nothing is lost: server processes are killed at random under mixed load, with requests in flight, and PostgreSQL is
//! restarted as after a crash. `tests/chaos` runs it in full, `tests/run` in a shorter form.

mod faults;
mod load;

use std::process::Command;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::commands::Running;
use crate::harness::remote::Remote;
use crate::harness::{eventually, invariants, manager, postgres};
use load::{Load, OPEN_BATCHES};

/// How often something dies.
struct Plan {
    kills: usize,
    restarts: usize,
}

impl Plan {
    fn read() -> Self {
        let number = |name: &str, default: usize| {
            let told = std::env::var(name).ok();
            told.map_or(default, |text| text.parse().expect("a number"))
        };
        Self {
            kills: number("SYNC_HEALTH_CHAOS_KILLS", 6),
            restarts: number("SYNC_HEALTH_CHAOS_RESTARTS", 2),
        }
    }
}

/// Kills a server whenever so many more requests were answered, and starts it again; now and then the database too.
async fn kill(load: &Load, plan: &Plan, mut running: Vec<Running>) -> Vec<Running> {
    const ANSWERS_BETWEEN: usize = 40;
    let restart = std::env::var("SYNC_HEALTH_TEST_POSTGRES_RESTART").ok();
    let restart = restart.filter(|_| load.is_on_postgres);
    let every = (plan.kills / plan.restarts.max(1)).max(1);
    for kill in 1..=plan.kills {
        let due = load.answered.load(Ordering::Relaxed) + ANSWERS_BETWEEN;
        eventually("the next kill", async || {
            (load.answered.load(Ordering::Relaxed) >= due).then_some(())
        })
        .await;
        let at = load.random(running.len());
        running[at].kill();
        if let Some(restart) = restart.as_ref().filter(|_| kill % every == 0) {
            let restart = restart.clone();
            let run = move || Command::new("sh").args(["-c", &restart]).output();
            let output = tokio::task::spawn_blocking(run).await.expect("a run");
            let output = output.expect("a restart");
            assert!(output.status.success(), "{output:?}");
        }
        running[at] = load.remote.start(at).await;
        load.remote.lose_rings().await;
    }
    load.is_over.store(true, Ordering::Relaxed);
    running
}

/// Works off what is left, until every batch has ended.
async fn drain(load: &Load) {
    let allocate = "mutation ($input: SetHubspotAllocationInput!) { setHubspotAllocation(input: $input) { userErrors { message } } }";
    load.ask(&manager(), allocate, json!({ "calls": null }))
        .await;
    eventually("the end of all batches", async || {
        while load.claim_and_answer("SUCCEEDED").await > 0 {}
        let open = load.ask(&manager(), OPEN_BATCHES, Value::Null).await;
        (open["portal"]["resyncBatches"]["totalCount"] == 0).then_some(())
    })
    .await;
}

/// What was accepted is there, once.
async fn check(load: &Load) {
    let query = "{ portal { syncErrors(filter: { categories: [PROPERTY_VALUES] }) { nodes { affectedRecordCount occurrenceCount } } quota { usedLast24Hours } } }";
    let data = load.ask(&manager(), query, Value::Null).await;
    let facts = std::mem::take(&mut *load.facts());
    let reported =
        json!({ "affectedRecordCount": facts.reports, "occurrenceCount": facts.reports });
    assert_eq!(
        data["portal"]["syncErrors"]["nodes"],
        json!([reported]),
        "reports"
    );
    assert_eq!(
        data["portal"]["quota"]["usedLast24Hours"], facts.used,
        "the ledger"
    );
    assert!(facts.broken.is_empty(), "{:#?}", facts.broken);
    assert!(
        facts.batches.len() > 2 && facts.settled.len() > 5,
        "hardly anything was tried"
    );
    for id in &facts.batches {
        let query = "query ($input: ID!) { resyncBatch(id: $input) { status finishedAt recordCount succeededCount failedCount cancelledCount } }";
        let mut data = load.ask(&manager(), query, json!(id)).await;
        let batch = data["resyncBatch"].take();
        let count = |name: &str| batch[name].as_i64().expect("a count");
        let settled = count("succeededCount") + count("failedCount") + count("cancelledCount");
        assert_eq!(count("recordCount"), settled, "{batch:#}");
        assert!(batch["finishedAt"].is_string(), "{batch:#}");
    }
}

async fn nothing_is_lost(database_url: String, count: usize) {
    let plan = Plan::read();
    let load = Load::new(Remote::new(database_url.clone(), count), &database_url);
    let running = load.remote.start_all().await;
    load.begin().await;
    let start = load.event_cursor().await;
    let work = async {
        let (running, ..) = tokio::join!(
            kill(&load, &plan, running),
            load.report(0),
            load.report(1),
            load.fail_and_succeed(),
            load.request(),
            load.work(0),
            load.work(1),
            load.reserve(),
            load.watch(),
        );
        drain(&load).await;
        let feed = load.whole_feed(&start).await;
        load.event_count.store(feed.len(), Ordering::Relaxed);
        (running, feed)
    };
    let ((mut running, feed), first, second) =
        tokio::join!(work, load.hear(0, &start), load.hear(1, &start));
    assert!(
        first == feed && second == feed,
        "a subscriber missed something"
    );
    check(&load).await;
    for server in &mut running {
        server.stop().await;
    }
    invariants::check(&database_url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/run and tests/chaos run it apart from the others, because it restarts PostgreSQL"]
async fn on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    nothing_is_lost(url, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/run and tests/chaos run it apart from the others, because it restarts PostgreSQL"]
async fn on_postgres() {
    nothing_is_lost(postgres::new_database().await, 2).await;
}
