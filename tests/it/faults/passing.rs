//! What passes by itself is UNAVAILABLE at every door, with a word when to come back; `/readyz` says so while nothing can
//! be written; and all works again by itself.

use std::io::Write;

use serde_json::json;

use super::doors::Doors;
use super::gate;
use super::reports::{Reports, pause, report};
use crate::commands::{command, text};
use crate::harness::io_faults::IoFaults;
use crate::harness::outsider::Outsider;
use crate::harness::process::Process;
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::{Backend, engine, eventually, failure, postgres};

/// A server on a database of its own, somebody else on that database, and all doors.
struct Scene {
    server: Process,
    outsider: Outsider,
    doors: Doors,
    url: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("s.db").display()),
            Backend::Postgres => postgres::new_database().await,
        };
        let server = Process::start(&url, &[]).await;
        Self {
            doors: Doors::of(&server).await,
            outsider: Outsider::at(&url).await,
            server,
            url,
            _folder: folder,
        }
    }

    async fn is_not_ready(&self) {
        eventually("not ready", async || {
            (self.server.readiness().await? == 503).then_some(())
        })
        .await;
    }

    async fn recovers(self) {
        self.server.is_ready().await;
        self.doors.work().await;
        self.server.stop().await;
    }
}

/// PostgreSQL refuses all that is written, for a reason that passes.
async fn nothing_can_be_written(code: &str) {
    let scene = Scene::new(Backend::Postgres).await;
    gate::refuse_all(&scene.outsider, code).await;
    scene.doors.refuse_changes().await;
    scene.doors.read_well().await;
    scene.is_not_ready().await;
    gate::refuse_no_more(&scene.outsider).await;
    scene.recovers().await;
}

macro_rules! refused {
    ($($name:ident: $code:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                nothing_can_be_written($code).await;
            }
        )*
    };
}

refused! {
    a_full_disk: "53100";
    no_memory: "53200";
    too_many_connections: "53300";
    a_disk_that_fails: "58030";
    a_read_only_transaction: "25006";
    conflicts_without_end: "40001";
    deadlocks_without_end: "40P01";
    no_rights: "42501";
    a_key_that_is_not_there_yet: "42P10";
}

/// Another transaction came between: the server tries again itself, and nobody hears of it.
async fn once(code: &str) {
    let scene = Scene::new(Backend::Postgres).await;
    gate::refuse(&scene.outsider, 1001, code, 1).await;
    let reply = scene.server.send(&engine(), &report("once")).await;
    let reply = reply.expect("an answer");
    let told = &reply.body["data"]["reportSyncFailures"];
    assert_eq!(told["recordedCount"], 1, "{reply:#?}");
    assert!(gate::count(&scene.outsider).await > 1);
    gate::refuse(&scene.outsider, 1001, code, 1).await;
    let url = format!("{}/v1/sync-failures", scene.server.url);
    let line = failure("line", 0, json!({ "reportId": "line" })).to_string();
    let request = reqwest::Client::new().post(url).bearer_auth(engine());
    let answer = request.body(line).send().await.expect("an answer");
    let told: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(told["recordedCount"], 1, "{told}");
    assert!(gate::count(&scene.outsider).await > 1);
    scene.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_tried_again() {
    once("40001").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_tried_again() {
    once("40P01").await;
}

/// As administrators do before they move a database elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_closed_for_writing() {
    let scene = Scene::new(Backend::Postgres).await;
    let (_, name) = scene.url.rsplit_once('/').expect("a name");
    let close = format!("ALTER DATABASE {name} SET default_transaction_read_only");
    scene.outsider.run(&format!("{close} = on")).await;
    scene.outsider.end_all_others().await;
    scene.is_not_ready().await;
    scene.doors.refuse_changes().await;
    scene.doors.read_again().await;
    // Sessions that were begun meanwhile stay closed: nobody ends them.
    scene.outsider.run(&format!("{close} = off")).await;
    scene.recovers().await;
}

/// Back ends are ended or cancelled again and again under load: nothing that was acknowledged is lost, subscribers hear
/// all of it.
async fn under_load(sql: &str) {
    let url = postgres::new_database().await;
    let server = Process::start(&url, &[]).await;
    let outsider = Outsider::at(&url).await;
    let reports = Reports::to(&[&server.url]);
    let all_others = format!(
        "SELECT {sql}(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    );
    let fault = async {
        reports.more(20).await;
        for round in 1..=15 {
            eventually("a refusal", async || {
                outsider.run(&all_others).await;
                (reports.refused_count() >= round).then_some(())
            })
            .await;
            reports.more(5).await;
        }
        server.is_ready().await;
    };
    let (_, heard) = tokio::join!(
        reports.pour_while(fault),
        reports.hear(&server.address, &url)
    );
    reports.are_kept(&url).await;
    reports.were_heard(&heard);
    reports.were_refused_well();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn back_ends_that_are_terminated() {
    under_load("pg_terminate_backend").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_are_cancelled() {
    under_load("pg_cancel_backend").await;
}

/// PostgreSQL ends sessions that do nothing for a while: whoever comes next does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_while_they_are_idle() {
    let url = postgres::new_database().await;
    let (_, name) = url.rsplit_once('/').expect("a name");
    let outsider = Outsider::at(&url).await;
    let limit = format!("ALTER DATABASE {name} SET idle_session_timeout = '300ms'");
    outsider.run(&limit).await;
    let server = Process::start(&url, &[]).await;
    for n in 0..10 {
        pause(500).await;
        let reply = server.send(&engine(), &report(&n.to_string())).await;
        let reply = reply.expect("an answer");
        let told = &reply.body["data"]["reportSyncFailures"];
        assert_eq!(told["recordedCount"], 1, "{reply:#?}");
    }
    server.stop().await;
}

/// PostgreSQL is gone for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_out_of_reach() {
    let url = postgres::new_database().await;
    let (proxy, through) = Proxy::to(&url).await;
    let server = Process::start(&through, &[]).await;
    let doors = Doors::of(&server).await;
    proxy.set(Mode::Cut);
    doors.refuse_changes().await;
    doors.refuse_to_read().await;
    assert_eq!(server.readiness().await, Some(503));
    proxy.set(Mode::Pass);
    server.is_ready().await;
    doors.work().await;
    server.stop().await;
}

/// A table is missing for a while, as when a restore is under way: the answer says what to do.
async fn a_missing_table(backend: Backend) {
    let scene = Scene::new(backend).await;
    let tables = ["portals", "feed_heads", "sync_errors", "sync_error_events"];
    for table in tables {
        let rename = format!("ALTER TABLE {table} RENAME TO {table}_elsewhere");
        scene.outsider.run(&rename).await;
    }
    scene.doors.refuse_changes().await;
    scene.doors.refuse_to_read().await;
    let reply = scene.server.send(&engine(), &report("missing")).await;
    let message = reply.expect("an answer").body["errors"][0]["message"].take();
    let message = message.as_str().expect("a text");
    assert!(message.contains("run `sync-health migrate`"), "{message}");
    for table in tables {
        let rename = format!("ALTER TABLE {table}_elsewhere RENAME TO {table}");
        scene.outsider.run(&rename).await;
    }
    scene.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_tables_on_sqlite() {
    a_missing_table(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_tables_on_postgres() {
    a_missing_table(Backend::Postgres).await;
}

/// A server on a PostgreSQL without tables says so once, refuses what it cannot do, and begins by itself after `migrate`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_not_migrated() {
    let url = postgres::empty_database().await;
    let server = Process::spawn(&url, &[]);
    eventually("an answer", async || server.readiness().await).await;
    for _ in 0..25 {
        pause(100).await;
        assert_eq!(server.readiness().await, Some(503));
    }
    let log = server.log();
    let wrong = |line: &&str| line.contains("\"ERROR\"") || line.contains("\"WARN\"");
    let told: Vec<&str> = log.lines().filter(wrong).collect();
    assert!(
        told.len() == 1 && told[0].contains("run `sync-health migrate`"),
        "{told:#?}"
    );
    let reply = server.send(&engine(), &report("early")).await;
    let reply = reply.expect("an answer");
    assert_eq!(reply.is_not_for_later(), None);
    let refused = reply.body["errors"][0]["message"].as_str();
    assert!(
        refused.is_some_and(|message| message.contains("run `sync-health migrate`")),
        "{reply:#?}"
    );
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{}", failure("1", 0, json!({}))).expect("a line");
    let path = file.path().to_str().expect("a path");
    let import = ["import", path, "--portal", "1001", "--database-url", &url];
    let imported = command(&import).output().expect("a program");
    let said = text(&imported.stderr);
    assert!(
        !imported.status.success() && said.contains("run `sync-health migrate`"),
        "{said}"
    );
    let migrated = command(&["migrate", "--database-url", &url]).output();
    let migrated = migrated.expect("a program");
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    server.is_ready().await;
    Doors::of(&server).await;
    let imported = command(&import).output().expect("a program");
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    server.stop().await;
}

/// Another process holds SQLite's write lock: who reads does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_that_somebody_else_writes() {
    let scene = Scene::new(Backend::Sqlite).await;
    scene.outsider.run("BEGIN IMMEDIATE").await;
    scene.doors.refuse_changes().await;
    scene.doors.read_well().await;
    scene.is_not_ready().await;
    scene.outsider.let_go().await;
    scene.recovers().await;
}

/// Its file system takes no writes for a while: what is opened meanwhile only reads, and goes on to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_that_can_only_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let io = IoFaults::new();
    let server = io.serve(&url).await;
    let doors = Doors::of(&server).await;
    let opening = "open .db EROFS\nopen -wal EROFS";
    // A connection is made anew when a write fails.
    io.begin(&format!("{opening}\nwrite -wal EIO"));
    doors.refuse_changes().await;
    io.begin(opening);
    doors.refuse_changes().await;
    doors.read_well().await;
    eventually("not ready", async || {
        (server.readiness().await? == 503).then_some(())
    })
    .await;
    let log = server.log();
    assert!(log.contains("The database takes no changes"), "{log}");
    io.end();
    server.is_ready().await;
    doors.work().await;
    server.stop().await;
}
