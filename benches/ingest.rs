//! How many failures a second get in over HTTP: `benches/run ingest`.
//!
//! The released program serves on a port, as in production; clients send NDJSON and the counts that GraphQL answers
//! are compared with what was sent. Beside it, in the same run: plain COPY of the same rows into the same tables.

#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/process.rs"]
mod process;
#[path = "support/report.rs"]
mod report;
#[path = "support/server.rs"]
mod server;
#[path = "support/mod.rs"]
mod support;
#[path = "support/tiny.rs"]
mod tiny;

use std::time::Instant;

use chrono::{DateTime, Duration, Utc};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};

use postgres::new_postgres_database;
use process::{cpu_micros, resident_mb};
use report::report;
use server::{Server, sign};

/// Causes that each portal has before the measurement.
const OLD_CAUSES: u32 = 200;
/// How many failures are measured: one new cause in a hundred, half of them of new records.
fn measured_failures() -> u32 {
    tiny::or(400_000, 800)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "| database | portals | failures | seconds | failures/s | server CPU, µs a failure | memory, MB | plain COPY of the same rows, s |\n|---|---|---|---|---|---|---|---|"
    );
    for portals in [tiny::or(20, 2), 1] {
        let url = new_postgres_database(&format!("ingest_{portals}")).await;
        let taken = ingest(&url, portals).await;
        let copied = copy(&url).await;
        tell("PostgreSQL", portals, &taken, &format!("{copied:.1}"));
    }
    for portals in [tiny::or(20, 2), 1] {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("bench.db").display());
        tell("SQLite", portals, &ingest(&url, portals).await, "");
    }
    println!(
        "\n| SQLite, one failure a request | clients | requests/s | a request takes, ms |\n|---|---|---|---|"
    );
    for synchronous in ["full", "normal"] {
        for clients in [1, 8, 32] {
            one_by_one(synchronous, clients).await;
        }
    }
}

/// Many small commits, each acknowledged by itself: what it costs that each is on the disk.
async fn one_by_one(synchronous: &str, clients: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("bench.db").display());
    let server = Server::start_with(&url, &["--sqlite-synchronous", synchronous]).await;
    let start = Utc::now() - Duration::hours(40);
    let each = tiny::or(2_000, 32) / clients;
    let began = Instant::now();
    let reporting = (1..=clients).map(async |portal| {
        for n in 0..each {
            report(&server, portal, line(n % OLD_CAUSES, n, 0, start)).await;
        }
    });
    futures_util::future::join_all(reporting).await;
    let seconds = began.elapsed().as_secs_f64();
    let rate = f64::from(each * clients) / seconds;
    let took = seconds * 1_000.0 / f64::from(each);
    println!("| synchronous = {synchronous} | {clients} | {rate:.0} | {took:.1} |");
}

/// What taking the failures took.
struct Taken {
    seconds: f64,
    cpu_micros: f64,
    memory_mb: f64,
}

fn tell(database: &str, portals: u32, taken: &Taken, copied: &str) {
    let (seconds, memory) = (taken.seconds, taken.memory_mb);
    let count = measured_failures();
    let rate = f64::from(count) / seconds;
    let cpu = taken.cpu_micros / f64::from(count);
    println!(
        "| {database} | {portals} | {count} | {seconds:.1} | {rate:.0} | {cpu:.0} | {memory:.0} | {copied} |"
    );
}

/// Fills the portals, measures, and compares the counts.
async fn ingest(url: &str, portals: u32) -> Taken {
    let server = Server::start(url).await;
    let start = Utc::now() - Duration::hours(40);
    let each = measured_failures() / portals;
    let first: Vec<String> = (0..portals).map(|_| before(each, start)).collect();
    send(&server, first).await;
    let bodies: Vec<String> = (0..portals).map(|_| measured(each, start)).collect();
    let (began, cpu) = (Instant::now(), cpu_micros(server.pid()));
    send(&server, bodies).await;
    let taken = Taken {
        seconds: began.elapsed().as_secs_f64(),
        cpu_micros: cpu_micros(server.pid()) - cpu,
        memory_mb: resident_mb(server.pid()),
    };
    for portal in 1..=portals {
        let found = counts(&server, portal).await;
        assert_eq!(found, expected(each), "portal {portal}");
    }
    taken
}

fn line(cause: u32, record: u32, attempt: u32, start: DateTime<Utc>) -> String {
    support::failure(cause, record, attempt, start).to_string() + "\n"
}

/// Half as many failures as are measured, spread over the old causes.
fn before(each: u32, start: DateTime<Utc>) -> String {
    (0..each / 2)
        .map(|n| line(n % OLD_CAUSES, n, 0, start))
        .collect()
}

/// Each second failure is a record of before that fails again, of the others each fiftieth has a new cause.
fn measured(each: u32, start: DateTime<Utc>) -> String {
    let failure = |n: u32| match n % 2 {
        0 => line(n / 2 % OLD_CAUSES, n / 2, 1, start),
        _ if n % 100 == 1 => line(OLD_CAUSES + n / 100, each + n, 0, start),
        _ => line(n % OLD_CAUSES, each + n, 0, start),
    };
    (0..each).map(failure).collect()
}

/// Errors, affected records and failures of a portal after both.
fn expected(each: u32) -> (u64, u64, u64) {
    let errors = OLD_CAUSES.min(each / 2) + each / 100;
    (errors.into(), each.into(), (each / 2 + each).into())
}

/// Sends each body to its portal, all at once.
async fn send(server: &Server, bodies: Vec<String>) {
    let sending = bodies.into_iter().zip(1..).map(async |(body, portal)| {
        let answer = report(server, portal, body).await;
        assert_eq!(answer["repeatedCount"], 0, "{answer:#}");
    });
    futures_util::future::join_all(sending).await;
}

/// What GraphQL answers: errors, affected records, failures.
async fn counts(server: &Server, portal: u32) -> (u64, u64, u64) {
    let ask = async |query: String| -> Value {
        let request = server
            .http
            .post(format!("{}/graphql", server.url))
            .bearer_auth(sign(portal, "sync-health:read"));
        let answer = request
            .json(&json!({ "query": query }))
            .send()
            .await
            .expect("an answer");
        answer.json().await.expect("JSON")
    };
    let cards =
        ask("{ portal { categories { openErrorCount affectedRecordCount } } }".into()).await;
    let sum = |key: &str| {
        let cards = cards["data"]["portal"]["categories"]
            .as_array()
            .expect("cards");
        cards.iter().filter_map(|card| card[key].as_u64()).sum()
    };
    let (mut after, mut failures) = ("null".to_owned(), 0);
    loop {
        let page = ask(format!("{{ portal {{ syncErrors(first: 100, after: {after}) {{ pageInfo {{ hasNextPage endCursor }} nodes {{ occurrenceCount }} }} }} }}")).await;
        let list = &page["data"]["portal"]["syncErrors"];
        let nodes = list["nodes"].as_array().expect("errors");
        failures += nodes
            .iter()
            .filter_map(|node| node["occurrenceCount"].as_u64())
            .sum::<u64>();
        if list["pageInfo"]["hasNextPage"] == false {
            return (sum("openErrorCount"), sum("affectedRecordCount"), failures);
        }
        after = list["pageInfo"]["endCursor"].to_string();
    }
}

/// Copies all rows that the failures made, those of before included, into empty tables with the same indexes;
/// answers the seconds for as many as were measured.
async fn copy(url: &str) -> f64 {
    let db = Database::connect(url).await.expect("the database");
    let folder = text(&db, "SHOW data_directory").await;
    let mut seconds = 0.0;
    for table in [
        "sync_errors",
        "latest_failures",
        "affected_records",
        "report_ids",
        "sync_error_events",
    ] {
        let file = format!("{folder}/{table}.copy");
        run(&db, &format!("COPY {table} TO '{file}' (FORMAT binary)")).await;
        run(
            &db,
            &format!("CREATE TABLE copied (LIKE {table} INCLUDING ALL)"),
        )
        .await;
        let began = Instant::now();
        run(&db, &format!("COPY copied FROM '{file}' (FORMAT binary)")).await;
        seconds += began.elapsed().as_secs_f64();
        run(&db, "DROP TABLE copied").await;
    }
    db.close().await.expect("a closed connection");
    // Of three failures that are in the tables, two were measured.
    seconds * 2.0 / 3.0
}

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn text(db: &DatabaseConnection, sql: &str) -> String {
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
        .await;
    let row = row.expect("an answer").expect("a row");
    row.try_get_by_index(0).expect("a text")
}
