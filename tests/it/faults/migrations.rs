//! A migration is cut off at any moment: the database always starts again, with its data.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use migration::{Migrator, MigratorTrait};
use sea_orm::Database;
use serde_json::{Value, json};

use super::reports::pause;
use crate::commands::{command, free_address, text};
use crate::harness::outsider::Outsider;
use crate::harness::process::Process;
use crate::harness::{Backend, SECRET, Server, failure, invariants, postgres, reader, success};

const KILLS: usize = 20;
const CUTS: usize = 8;
const STATE: &str = "{ portal { name categories { openErrorCount affectedRecordCount } syncErrors(statuses: [OPEN, RESOLVED], first: 50) { totalCount
    nodes { id title status affectedRecordCount latestFailure { message } affectedRecords { nodes { hubspotRecord { recordId } message } } } }
    syncErrorEvents { nodes { cursor kind affectedRecordCount } } } }";

/// Errors with records, one of them resolved.
async fn fill(server: &Server) {
    let failures: Vec<Value> = (0..60)
        .map(|n| {
            failure(
                &n.to_string(),
                0,
                json!({ "fields": [format!("Field{}__c", n % 12)] }),
            )
        })
        .collect();
    server.record(json!(failures)).await;
    let cleared: Vec<Value> = (0..60)
        .step_by(12)
        .map(|n| success(&n.to_string(), 1))
        .collect();
    server.succeed(json!(cleared)).await;
}

/// A database as the first version left it, and what it answers.
async fn old_database(backend: Backend) -> (Server, Value) {
    let server = Server::start(backend).await;
    fill(&server).await;
    let state = server.read(STATE, json!({})).await;
    let db = Database::connect(&server.database_url)
        .await
        .expect("the database");
    let later = Migrator::migrations().len() - 1;
    Migrator::down(&db, Some(later as u32))
        .await
        .expect("the first version's tables");
    db.close().await.expect("a closed database");
    (server, state)
}

/// `migrate`, or on SQLite in turn `serve`, which migrates too.
fn migrate(database_url: &str, by_serving: bool) -> Child {
    let address = free_address();
    let arguments: &[&str] = match by_serving {
        true => &["serve", "--listen", &address],
        false => &["migrate"],
    };
    let child = command(arguments)
        .envs([
            ("SYNC_HEALTH_DATABASE_URL", database_url),
            ("SYNC_HEALTH_JWT_SECRET", text(SECRET).as_str()),
        ])
        .stderr(Stdio::null())
        .spawn();
    child.expect("a program that runs")
}

fn migrates(database_url: &str) -> Result<(), String> {
    let run = command(&["migrate", "--database-url", database_url]).output();
    let run = run.expect("a program that runs");
    run.status
        .success()
        .then_some(())
        .ok_or_else(|| text(&run.stderr))
}

/// The database is whole again, and answers what it did.
async fn starts_again(database_url: &str, state: Option<&Value>) -> Result<(), String> {
    migrates(database_url)?;
    invariants::check(database_url).await;
    if let Some(state) = state {
        let server = Process::start(database_url, &[]).await;
        let reply = server
            .ask(&reader(), STATE, json!({}))
            .await
            .expect("an answer");
        assert_eq!(reply.body["data"], *state);
        server.stop().await;
    }
    Ok(())
}

/// How long a migration takes that nobody cuts off.
async fn duration(database_url: &str) -> Duration {
    let start = Instant::now();
    migrates(database_url).expect("a migration");
    start.elapsed()
}

fn refused(wrong: &[String], count: usize) {
    assert!(
        wrong.is_empty(),
        "{} of {count} never start again, the first: {}",
        wrong.len(),
        wrong[0]
    );
}

/// Copies a database that nobody has open.
async fn copied(old: &str, at: usize) -> String {
    match old.strip_prefix("sqlite://") {
        Some(path) => {
            let copy = format!("{path}.{at}.db");
            std::fs::copy(path, &copy).expect("a copy");
            format!("sqlite://{copy}")
        }
        None => {
            let (base, name) = old.rsplit_once('/').expect("a database");
            let admin = Outsider::at(&format!("{base}/postgres")).await;
            admin
                .run(&format!("CREATE DATABASE {name}_{at} TEMPLATE {name}"))
                .await;
            admin.close().await;
            format!("{old}_{at}")
        }
    }
}

/// Copies on PostgreSQL are not in a temporary folder.
async fn remove(copy: &str) {
    if let Some((base, name)) = copy
        .rsplit_once('/')
        .filter(|_| copy.starts_with("postgres"))
    {
        let admin = Outsider::at(&format!("{base}/postgres")).await;
        admin
            .run(&format!("DROP DATABASE {name} WITH (FORCE)"))
            .await;
        admin.close().await;
    }
}

/// Kills as many migrations as are asked for, spread over the time that one takes, each of a database of its own.
async fn killed(old: &str, state: Option<&Value>) {
    let is_sqlite = old.starts_with("sqlite");
    let whole = duration(&copied(old, KILLS).await).await;
    let mut wrong = Vec::new();
    for kill in 0..KILLS {
        let url = copied(old, kill).await;
        let mut migrating = migrate(&url, is_sqlite && kill % 2 == 1);
        pause((whole * kill as u32 / KILLS as u32).as_millis() as u64).await;
        migrating.kill().expect("a process");
        migrating.wait().expect("its end");
        wrong.extend(starts_again(&url, state).await.err());
        remove(&url).await;
    }
    refused(&wrong, KILLS);
}

async fn empty(backend: Backend) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = match backend {
        Backend::Sqlite => format!("sqlite://{}", folder.path().join("s.db").display()),
        Backend::Postgres => postgres::empty_database().await,
    };
    if backend == Backend::Sqlite {
        std::fs::write(folder.path().join("s.db"), "").expect("an empty file");
    }
    (url, folder)
}

macro_rules! killed_on {
    ($($name:ident: $backend:ident;)*) => {
        $(
            mod $name {
                use super::{Backend, empty, killed, old_database};

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn from_an_empty_database() {
                    let (url, _folder) = empty(Backend::$backend).await;
                    killed(&url, None).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn with_data() {
                    let (server, state) = old_database(Backend::$backend).await;
                    let (url, _folder) = server.stop_and_keep().await;
                    killed(&url, Some(&state)).await;
                }
            }
        )*
    };
}

killed_on! {
    killed_on_sqlite: Sqlite;
    killed_on_postgres: Postgres;
}

/// Where the commits in a write-ahead log end (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
fn commits(log: &[u8]) -> BTreeSet<usize> {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().expect("four bytes"));
    let frame = FRAME_HEADER + number(8) as usize;
    let starts = (HEADER..log.len())
        .step_by(frame)
        .filter(|at| at + frame <= log.len());
    // A frame that tells the size of the database ends a commit.
    starts
        .filter(|at| number(at + 4) != 0)
        .map(|at| at + frame)
        .collect()
}

/// A crash after any commit of a migration, one after another, and between them: as if the log ended there.
async fn cut(old: &str, state: Option<&Value>) {
    let path = old.strip_prefix("sqlite://").expect("a file");
    // Somebody who has the file open, so that its log stays.
    let reader = Outsider::at(old).await;
    reader
        .run("PRAGMA journal_mode = WAL; PRAGMA wal_checkpoint(TRUNCATE)")
        .await;
    let before = std::fs::read(path).expect("the file");
    migrates(old).expect("a migration");
    assert_eq!(
        std::fs::read(path).expect("the file"),
        before,
        "the log was written back"
    );
    let log = std::fs::read(format!("{path}-wal")).expect("a log");
    let commits = commits(&log);
    assert!(!commits.is_empty(), "{} bytes", log.len());
    let mut wrong = Vec::new();
    let between = (0..CUTS).map(|cut| log.len() * cut / CUTS);
    let ends: BTreeSet<usize> = commits.iter().copied().chain(between).collect();
    for (at, end) in ends.iter().enumerate() {
        let copy = format!("{path}.{at}.db");
        std::fs::write(&copy, &before).expect("a copy");
        std::fs::write(format!("{copy}-wal"), &log[..*end]).expect("a log");
        wrong.extend(starts_again(&format!("sqlite://{copy}"), state).await.err());
    }
    reader.close().await;
    refused(&wrong, ends.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_each_commit_from_an_empty_file() {
    let (url, _folder) = empty(Backend::Sqlite).await;
    cut(&url, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_each_commit_with_data() {
    let (server, state) = old_database(Backend::Sqlite).await;
    let (url, _folder) = server.stop_and_keep().await;
    cut(&url, Some(&state)).await;
}
