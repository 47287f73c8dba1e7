//! Many engines at once, each a process, over servers that are processes too: together they stay within the allocation.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::Duration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sync_health::kernel::clock::Clock;

use crate::commands::{Running, free_address, serve_at};
use crate::harness::{Backend, Server, engine, manager, postgres};

const ENGINES: i64 = 12;
const ROUNDS: i64 = 25;
const ALLOCATED: i64 = 1_500;

struct Servers {
    addresses: Vec<String>,
    http: reqwest::Client,
    _running: Vec<Running>,
}

/// Says to a process of this binary which engine it is, over which servers.
const ENGINE: &str = "SYNC_HEALTH_TEST_ENGINE";

/// What an engine got and did.
#[derive(Default, Serialize, Deserialize)]
struct Told {
    used: i64,
    left_open: i64,
    refused: i64,
}

impl Servers {
    fn at(addresses: Vec<String>) -> Self {
        Self {
            addresses,
            http: reqwest::Client::new(),
            _running: Vec::new(),
        }
    }

    /// Starts an engine as a process of its own and waits until it has worked.
    async fn engine_process(&self, number: i64) -> Told {
        let engine = format!("{number} {}", self.addresses.join(" "));
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command
            .args(["--exact", "engines::an_engine", "--ignored", "--nocapture"])
            .env(ENGINE, engine);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.expect("a run").expect("an engine");
        assert!(output.status.success(), "engine {number} failed");
        let output = String::from_utf8(output.stdout).expect("text");
        let told = output.lines().find_map(|line| line.strip_prefix("told "));
        serde_json::from_str(told.expect("what it did")).expect("JSON")
    }

    async fn ask(&self, at: i64, token: &str, query: &str, input: Value) -> Value {
        let at = at as usize % self.addresses.len();
        let url = format!("http://{}/graphql", self.addresses[at]);
        let body = json!({ "query": query, "variables": { "input": input } });
        let answer = self.http.post(url).bearer_auth(token).json(&body).send();
        let mut answer: Value = answer.await.expect("an answer").json().await.expect("JSON");
        assert!(answer.get("errors").is_none(), "{answer:#}");
        answer["data"].take()
    }

    /// Reserves calls of unequal sizes again and again; uses all of them, a part or none, or never says.
    async fn work(&self, number: i64) -> Told {
        let mut told = Told::default();
        for round in 0..ROUNDS {
            let calls = 1 + (number * 7 + round * 13) % 40;
            let purpose = if round % 3 == 0 {
                "RETRY"
            } else {
                "NEW_CHANGE"
            };
            let input = json!({ "calls": calls, "purpose": purpose, "idempotencyKey": format!("{number}-{round}") });
            let reserve = "mutation ($input: ReserveApiCallsInput!) { reserveApiCalls(input: $input) { reservation { id calls } retryAt userErrors { message } } }";
            let answer = self
                .ask(number + round, &engine(), reserve, input.clone())
                .await["reserveApiCalls"]
                .take();
            assert_eq!(answer["userErrors"], json!([]));
            let id = &answer["reservation"]["id"];
            if id.is_null() {
                assert!(answer["retryAt"].is_string(), "{answer:#}");
                told.refused += 1;
                continue;
            }
            let again = self
                .ask(number + round + 1, &engine(), reserve, input)
                .await;
            assert_eq!(again["reserveApiCalls"]["reservation"]["id"], *id);
            if round % 5 == 4 {
                told.left_open += calls;
                continue;
            }
            let used = calls * (round % 4) / 3;
            let report = "mutation ($input: ReportApiUsageInput!) { reportApiUsage(input: $input) { quota { usedLast24Hours } userErrors { message } } }";
            let input = json!({ "reportId": format!("{number}-{round}"), "calls": used, "reservationId": id });
            for at in [number, number + 1] {
                let answer = self.ask(at, &engine(), report, input.clone()).await;
                assert_eq!(answer["reportApiUsage"]["userErrors"], json!([]));
            }
            told.used += used;
        }
        told
    }

    async fn quota(&self, at: i64) -> (i64, i64) {
        let query = "{ portal { quota { usedLast24Hours reserved allocatedToHubspot } } }";
        let data = self.ask(at, &manager(), query, Value::Null).await;
        let number = |name: &str| data["portal"]["quota"][name].as_i64().expect("a number");
        assert!(
            number("usedLast24Hours") + number("reserved") <= number("allocatedToHubspot"),
            "{data:#}"
        );
        (number("usedLast24Hours"), number("reserved"))
    }
}

/// Lets engines work at once while somebody watches; answers what they used and left open, and that some were refused.
async fn work_at_once(servers: &Servers, first: i64) -> (i64, i64) {
    let is_over = AtomicBool::new(false);
    let watch = async {
        let mut at = 0;
        while !is_over.load(Ordering::Relaxed) {
            servers.quota(at).await;
            at += 1;
        }
    };
    let work = async {
        let engines = (first..first + ENGINES).map(|number| servers.engine_process(number));
        let told = futures_util::future::join_all(engines).await;
        is_over.store(true, Ordering::Relaxed);
        told
    };
    let (told, ()) = tokio::join!(work, watch);
    let sum = |count: fn(&Told) -> i64| told.iter().map(count).sum::<i64>();
    assert!(sum(|told| told.refused) > 0, "nothing was contended");
    (sum(|told| told.used), sum(|told| told.left_open))
}

async fn allocate(servers: &Servers) {
    let allocate = "mutation ($input: SetHubspotAllocationInput!) { setHubspotAllocation(input: $input) { userErrors { message } } }";
    servers
        .ask(0, &manager(), allocate, json!({ "calls": ALLOCATED }))
        .await;
}

#[tokio::test]
#[ignore = "an engine that the tests beside start"]
async fn an_engine() {
    sync_health::kernel::tls::choose_provider();
    let engine = std::env::var(ENGINE).expect("which engine");
    let mut words = engine.split(' ').map(str::to_owned);
    let number = words.next().expect("a number").parse().expect("a number");
    let told = Servers::at(words.collect()).work(number).await;
    println!("told {}", serde_json::to_string(&told).expect("JSON"));
}

async fn the_ledger_holds(database_url: String, count: usize) {
    let mut servers = Servers::at((0..count).map(|_| free_address()).collect());
    for address in servers.addresses.clone() {
        let running = serve_at(&address, &database_url, &[]).await;
        servers._running.push(running);
    }
    allocate(&servers).await;
    let told = work_at_once(&servers, 0).await;
    assert_eq!(servers.quota(0).await, told);
}

/// One process over a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sqlite() {
    sync_health::kernel::tls::choose_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    the_ledger_holds(url, 1).await;
}

/// Three processes over one PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_postgres() {
    sync_health::kernel::tls::choose_provider();
    the_ledger_holds(postgres::new_database().await, 3).await;
}

/// What was set aside and never reported is given back, and granted again.
async fn expired_is_granted_again(backend: Backend) {
    let first = Server::start(backend).await;
    // Both would make the tables of a file at the same time.
    first.read("{ portal { hubId } }", json!({})).await;
    let url = first.database_url.clone();
    let clock = Clock::Manual(first.clock());
    let second = Server::start_with(backend, |config| {
        config.database_url = url;
        config.clock = clock;
    })
    .await;
    let address = |server: &Server| server.url.replace("http://", "");
    let servers = Servers::at(vec![address(&first), address(&second)]);
    allocate(&servers).await;
    let (used, left_open) = work_at_once(&servers, 0).await;
    assert_eq!(servers.quota(0).await, (used, left_open));
    assert!(left_open > 0);
    first.pass(Duration::seconds(300));
    assert_eq!(servers.quota(1).await, (used, 0));
    let (more, open) = work_at_once(&servers, ENGINES).await;
    assert!(more + open > 0, "nothing was granted again");
    assert_eq!(servers.quota(0).await, (used + more, open));
    second.stop().await;
    first.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_over_sqlite() {
    expired_is_granted_again(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_over_postgres() {
    expired_is_granted_again(Backend::Postgres).await;
}
