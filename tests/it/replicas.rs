//! Servers as processes of their own, killed at random while failures pour in: whoever is told misses nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::Running;
use crate::harness::remote::{Events, Remote};
use crate::harness::{REPORT_FAILURES, engine, eventually, failure, postgres, reader};

const REPORTERS: usize = 2;
const EACH: usize = 60;
const REPORTS: usize = REPORTERS * EACH;
const KILLS: usize = 8;

/// Servers over one database, and how many reports they answered.
struct Servers {
    remote: Remote,
    reported: AtomicUsize,
}

impl Servers {
    /// Reports failures of one cause, one after another, each until it is answered.
    async fn report(&self, reporter: usize) {
        for n in 0..EACH {
            let failures = json!([failure(
                &format!("{reporter}-{n}"),
                0,
                json!({ "reportId": format!("{reporter}-{n}") })
            )]);
            let body = json!({ "query": REPORT_FAILURES, "variables": { "input": { "failures": failures } } });
            let at = AtomicUsize::new(reporter);
            eventually("an answer to the report", async || {
                let answer = self
                    .remote
                    .post(at.fetch_add(1, Ordering::Relaxed), &engine(), &body)
                    .await;
                let answer: Value = answer.ok()?.json().await.ok()?;
                (answer["data"]["reportSyncFailures"]["refusedCount"] == 0).then_some(())
            })
            .await;
            self.reported.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Kills a server whenever so many more reports were answered, and starts it again; rings get lost meanwhile.
    async fn kill(&self, mut running: Vec<Running>) -> Vec<Running> {
        for kill in 1..=KILLS {
            let due = kill * REPORTS / (KILLS + 1);
            eventually("the next kill", async || {
                (self.reported.load(Ordering::Relaxed) >= due).then_some(())
            })
            .await;
            let at = kill % running.len();
            running[at].kill();
            running[at] = self.remote.start(at).await;
            self.remote.lose_rings().await;
        }
        running
    }

    /// Hears events until all are told, by one transport after another, wherever a server is; goes on behind what it heard.
    async fn hear(&self, subscriber: usize, start: &Value, cut_after: usize) -> Vec<u64> {
        let (mut heard, mut after, mut attempt) = (Vec::new(), start.clone(), subscriber);
        while heard.len() < REPORTS {
            attempt += 1;
            let mut events = match attempt % 2 {
                0 => Events::stream(&self.remote, attempt / 2, &after).await,
                _ => Events::socket(&self.remote, attempt / 2, &after).await,
            };
            for _ in 0..cut_after.min(REPORTS - heard.len()) {
                let Some(event) = events.next().await else {
                    break;
                };
                heard.push(event["affectedRecordCount"].as_u64().expect("a number"));
                after = event["cursor"].clone();
            }
            // Not at once again where nobody listens.
            tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>())
                .await
                .unwrap_err();
        }
        heard
    }
}

async fn nothing_is_missed(database_url: String, count: usize) {
    let servers = Servers {
        remote: Remote::new(database_url, count),
        reported: AtomicUsize::new(0),
    };
    let running = servers.remote.start_all().await;
    let cursor = json!({ "query": "{ portal { eventCursor } }" });
    let start = servers
        .remote
        .post(0, &reader(), &cursor)
        .await
        .expect("an answer");
    let start: Value = start.json().await.expect("JSON");
    let start = &start["data"]["portal"]["eventCursor"];
    let (_running, _, _, often, seldom, whole) = tokio::join!(
        servers.kill(running),
        servers.report(0),
        servers.report(1),
        servers.hear(0, start, 3),
        servers.hear(1, start, 17),
        servers.hear(2, start, REPORTS),
    );
    let expected: Vec<u64> = (1..=REPORTS as u64).collect();
    assert_eq!((&often, &seldom, &whole), (&expected, &expected, &expected));
}

/// The process is killed and started again on the same file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    nothing_is_missed(url, 1).await;
}

/// Two processes over one PostgreSQL are killed in turn, and lose their notifications.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_are_killed() {
    nothing_is_missed(postgres::new_database().await, 2).await;
}
