//! What a resync costs, however many records it is about: `benches/run resync`.

#[path = "support/many.rs"]
mod many;
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

use std::time::{Duration, Instant};

use many::{fill, on_each_database};
use process::{cpu_micros, resident_mb};
use serde_json::{Value, json};
use server::{Server, sign};

/// Records in one error, and errors with one record each.
const SIZES: [(u32, u32); 3] = [(1, 1_000), (1, 1_000_000), (20_000, 1)];
const TINY: [(u32, u32); 3] = [(1, 200), (1, 300), (200, 1)];
const CLAIMED: u32 = 100;
const REQUEST: &str = "mutation ($input: ResyncMatchingSyncErrorsInput!) { resyncMatchingSyncErrors(input: $input) { batch { id recordCount } userErrors { message } } }";
const CANCEL: &str = "mutation ($input: CancelResyncBatchInput!) { cancelResyncBatch(input: $input) { userErrors { message } } }";
const CLAIM: &str = "mutation ($input: ClaimResyncItemsInput!) { claimResyncItems(input: $input) { items { id hubspotRecord { recordId } } reservation { id } userErrors { message } } }";
const ANSWER: &str = "mutation ($input: ReportResyncOutcomesInput!) { reportResyncOutcomes(input: $input) { results { accepted } userErrors { message } } }";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "| database | errors | records of each | request, ms | claim 100, ms | answer 100, ms | server CPU of claim and answer, ms | memory, MB |\n|---|---|---|---|---|---|---|---|"
    );
    for (errors, records) in tiny::or(SIZES, TINY) {
        let name = format!("resync_{errors}_{records}");
        on_each_database(&name, async |database, url| {
            measure(database, url, (errors, records)).await;
        })
        .await;
    }
}

async fn measure(database: &str, url: &str, (errors, records): (u32, u32)) {
    let server = Server::start(url).await;
    fill(&server, errors, records).await;
    let all = json!({ "filter": {} });
    let rounds: u32 = tiny::or(8, 2);
    let mut requests = Vec::new();
    for _ in 0..rounds {
        let (time, asked) = ask(&server, "sync-health:manage", REQUEST, all.clone()).await;
        let batch = &asked["resyncMatchingSyncErrors"]["batch"];
        assert_eq!(batch["recordCount"], errors * records);
        requests.push(time);
        let cancel = json!({ "batchId": batch["id"] });
        ask(&server, "sync-health:manage", CANCEL, cancel).await;
    }
    ask(&server, "sync-health:manage", REQUEST, all).await;
    let (mut claims, mut answers) = (Vec::new(), Vec::new());
    let cpu = cpu_micros(server.pid());
    for _ in 0..rounds {
        let (time, claimed) = ask(
            &server,
            "sync-health:report",
            CLAIM,
            json!({ "limit": CLAIMED }),
        )
        .await;
        claims.push(time);
        let items = claimed["claimResyncItems"]["items"]
            .as_array()
            .expect("items");
        assert_eq!(items.len(), CLAIMED as usize);
        let outcome = |item: &Value| json!({ "itemId": item["id"], "status": "SUCCEEDED" });
        let outcomes: Vec<Value> = items.iter().map(outcome).collect();
        let (time, _) = ask(
            &server,
            "sync-health:report",
            ANSWER,
            json!({ "outcomes": outcomes }),
        )
        .await;
        answers.push(time);
    }
    let [request, claim, answer] = [requests, claims, answers].map(median);
    let cpu = (cpu_micros(server.pid()) - cpu) / 1_000.0 / f64::from(rounds);
    let memory = resident_mb(server.pid());
    println!(
        "| {database} | {errors} | {records} | {request:.1} | {claim:.1} | {answer:.1} | {cpu:.1} | {memory:.0} |"
    );
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}

async fn ask(server: &Server, scope: &str, query: &str, input: Value) -> (Duration, Value) {
    let body = json!({ "query": query, "variables": { "input": input } });
    let request = server.http.post(format!("{}/graphql", server.url));
    let request = request.bearer_auth(sign(1, scope)).json(&body);
    let begin = Instant::now();
    let answer = request.send().await.expect("an answer");
    let mut answer: Value = answer.json().await.expect("JSON");
    let time = begin.elapsed();
    assert!(answer.get("errors").is_none(), "{answer:#}");
    (time, answer["data"].take())
}
