//! What API calls cost the server: reading the rolling day, counting and setting aside, however many there were:
//! `benches/run quota`.

#[path = "support/load.rs"]
mod load;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/process.rs"]
mod process;
#[path = "support/server.rs"]
mod server;
#[path = "support/tiny.rs"]
mod tiny;

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use load::load;
use postgres::new_postgres_database;
use process::resident_mb;
use serde_json::{Value, json};
use server::{Server, sign};

const READ: &str = "{ portal { quota { usedLast24Hours reserved remaining state } } }";
const READ_ALL: &str =
    "{ portal { quota { usedLast24Hours remaining state exhaustionForecastAt resumesAt } } }";
const REPORT: &str = "mutation ($input: ReportApiUsageInput!) { reportApiUsage(input: $input) { userErrors { message } } }";
const RESERVE: &str = "mutation ($input: ReserveApiCallsInput!) { reserveApiCalls(input: $input) { reservation { id } userErrors { message } } }";
const ALLOCATE: &str =
    "mutation { setHubspotAllocation(input: { calls: 2000000000 }) { userErrors { message } } }";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "| database | minutes with calls | what | requests/s | server CPU, µs a request | p50, ms | p99, ms | memory, MB |\n|---|---|---|---|---|---|---|---|"
    );
    let url = new_postgres_database("quota").await;
    measure("PostgreSQL", &url).await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("bench.db").display());
    measure("SQLite", &url).await;
}

async fn measure(database: &str, url: &str) {
    let server = Server::start(url).await;
    ask(&server, "sync-health:manage", ALLOCATE, Value::Null).await;
    for (minutes, calls) in [(1, 1), (tiny::or(1_440, 5), 1_000_000)] {
        fill(&server, minutes, calls).await;
        for (what, query) in [("read", READ), ("read with forecast", READ_ALL)] {
            let request = request(&server, "sync-health:read", query, Value::Null);
            tell(&server, (database, minutes, what), 4, &request).await;
        }
        // The same report again: the whole way of one, but for the row of the minute.
        let report = json!({ "reportId": "again", "calls": 1 });
        let request_report = request(&server, "sync-health:report", REPORT, report);
        tell(
            &server,
            (database, minutes, "report again"),
            4,
            &request_report,
        )
        .await;
        let reserve = request(
            &server,
            "sync-health:report",
            RESERVE,
            json!({ "calls": 1 }),
        );
        tell(&server, (database, minutes, "reserve"), 4, &reserve).await;
    }
}

/// Calls in each of the last minutes.
async fn fill(server: &Server, minutes: i64, calls: i64) {
    for minute in 0..minutes {
        let at = Utc::now() - chrono::Duration::minutes(minute);
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let input =
            json!({ "reportId": format!("{minutes}-{minute}"), "calls": calls, "occurredAt": at });
        ask(server, "sync-health:report", REPORT, input).await;
    }
}

async fn tell(
    server: &Server,
    (database, minutes, what): (&str, i64, &str),
    connections: usize,
    request: &reqwest::RequestBuilder,
) {
    let time = tiny::or(Duration::from_secs(4), Duration::from_millis(50));
    let round = load(server.pid(), connections, time, request).await;
    let (rate, cpu) = (round.requests_per_second, round.cpu_per_request);
    println!(
        "| {database} | {minutes} | {what} | {rate:.0} | {cpu:.0} | {:.1} | {:.1} | {:.0} |",
        round.p50,
        round.p99,
        resident_mb(server.pid())
    );
}

fn request(server: &Server, scope: &str, query: &str, input: Value) -> reqwest::RequestBuilder {
    let request = server.http.post(format!("{}/graphql", server.url));
    let body = json!({ "query": query, "variables": { "input": input } });
    request.bearer_auth(sign(1, scope)).json(&body)
}

async fn ask(server: &Server, scope: &str, query: &str, input: Value) {
    let answer = request(server, scope, query, input).send().await;
    let answer: Value = answer.expect("an answer").json().await.expect("JSON");
    assert!(answer.get("errors").is_none(), "{answer:#}");
}
