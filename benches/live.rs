//! Subscribers over WebSocket: what one costs that waits, what a delivery costs, how old an event is when it comes:
//! `benches/run live`.
//!
//! Beside it, in the same run: a subscription as async-graphql-axum serves it out of the box, with the same fields.

#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/process.rs"]
mod process;
#[path = "support/server.rs"]
mod server;
#[path = "support/stock.rs"]
mod stock;
#[path = "support/mod.rs"]
mod support;
#[path = "support/tiny.rs"]
mod tiny;
#[path = "support/watch.rs"]
mod watch;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use postgres::new_postgres_database;
use process::{cpu_micros, resident_mb};
use serde_json::json;
use server::{Server, sign};
use watch::{Heard, Subscription, Watchers};

/// All fields of a row of the list, and when the event was made.
const EVENTS: &str = "subscription { syncErrorEvents(kinds: []) { at cursor kind syncError { id category type title status system \
    direction hubspotObjectType salesforceObjectType code message transient firstSeenAt lastSeenAt occurrenceCount \
    affectedRecordCount sampleValues } } }";
/// What the counts of subscribers are divided by when nothing is measured.
const TINY: usize = 100;
/// Long enough for the last round to be over.
const PAUSE: Duration = Duration::from_millis(300);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    match arguments.iter().position(|argument| argument == "stock") {
        Some(at) => runtime.block_on(stock::serve(&arguments[at + 1])),
        None => runtime.block_on(bench()),
    }
}

async fn bench() {
    println!(
        "| server | what | subscribers | server CPU, µs a delivery | p50, ms | p99, ms | memory, KB a subscriber |\n|---|---|---|---|---|---|---|"
    );
    let url = new_postgres_database("live").await;
    let server = Server::start(&url).await;
    let ours = Contestant {
        name: "Sync Health",
        pid: server.pid(),
        address: server.url.replace("http://", ""),
        query: EVENTS,
    };
    let (http, url) = (&server.http, &server.url);
    let one = async |n| report(http, url, &[1], n).await;
    measure(
        &ours,
        &scenario("1 portal, nothing happens", vec![1; 10_000], 0, 0),
        one,
    )
    .await;
    measure(&ours, &scenario("1 portal", vec![1; 5_000], 0, 20), one).await;
    measure(&ours, &scenario("1 portal", vec![1; 4_000], 0, 20), one).await;
    let beside = "1 portal, beside 1,000 that do not read";
    measure(&ours, &scenario(beside, vec![1; 4_000], 1_000, 20), one).await;
    let many: Vec<u32> = (1..=tiny::or(1_000, 10)).collect();
    let all = async |n| report(http, url, &many, n).await;
    let five_each = many.iter().cycle().take(5_000).copied().collect();
    measure(&ours, &scenario("1,000 portals", five_each, 0, 5), all).await;
    drop(server);
    let (peer, address) = stock::start();
    let stock = Contestant {
        name: "async-graphql-axum as it is",
        pid: peer.id(),
        query: stock::EVENTS,
        address,
    };
    let publish = async |_| stock::publish(&stock.address).await;
    measure(
        &stock,
        &scenario("nothing happens", vec![1; 10_000], 0, 0),
        publish,
    )
    .await;
    measure(
        &stock,
        &scenario("1 portal", vec![1; 5_000], 0, 20),
        publish,
    )
    .await;
}

/// Who subscribes, and how often something happens.
struct Scenario {
    what: &'static str,
    /// The portal of each subscriber.
    portals: Vec<u32>,
    /// Further subscribers of portal 1, which do not read.
    unreading: usize,
    rounds: u32,
}

fn scenario(what: &'static str, mut portals: Vec<u32>, unreading: usize, rounds: u32) -> Scenario {
    let part = tiny::or(1, TINY);
    portals.truncate(portals.len() / part);
    Scenario {
        what,
        portals,
        unreading: unreading / part,
        rounds: rounds.min(tiny::or(u32::MAX, 2)),
    }
}

/// A server to subscribe at.
struct Contestant {
    name: &'static str,
    pid: u32,
    address: String,
    query: &'static str,
}

impl Contestant {
    /// Waits until the sockets of the measurement before are gone, as far as the server tells.
    async fn wait_until_empty(&self) {
        loop {
            let metrics = reqwest::get(format!("http://{}/metrics", self.address));
            let text = metrics.await.expect("an answer").text().await;
            let text = text.expect("a text");
            let live = text
                .lines()
                .filter(|line| line.starts_with("sync_health_live{"));
            if live.clone().all(|line| line.ends_with(" 0")) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until nothing more goes on: all subscriptions have begun.
    async fn wait_until_quiet(&self) {
        let mut before = f64::NAN;
        while before != cpu_micros(self.pid) {
            before = cpu_micros(self.pid);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Subscribes, lets events be made in rounds and tells what they cost. What making them costs without subscribers is
/// taken off.
async fn measure(server: &Contestant, scenario: &Scenario, make: impl AsyncFn(u32)) {
    let began = cpu_micros(server.pid);
    for round in 0..scenario.rounds {
        make(round).await;
    }
    let making = cpu_micros(server.pid) - began;
    server.wait_until_empty().await;
    let memory = resident_mb(server.pid);
    let subscription = |portal: u32| Subscription {
        address: server.address.clone(),
        token: sign(portal, "sync-health:read"),
        query: server.query.to_owned(),
    };
    let heard = Arc::new(Heard::default());
    let others = vec![subscription(1); scenario.unreading];
    let others = Watchers::start(others, &heard, false).await;
    let portals = scenario.portals.iter();
    let subscriptions = portals.map(|portal| subscription(*portal)).collect();
    let watchers = Watchers::start(subscriptions, &heard, true).await;
    server.wait_until_quiet().await;
    let (count, subscribers) = (watchers.len(), watchers.len() + others.len());
    let each_kb = (resident_mb(server.pid) - memory) * 1_000.0 / subscribers as f64;
    let (mut ages, began) = (Vec::new(), cpu_micros(server.pid));
    for round in 0..scenario.rounds {
        make(scenario.rounds + round).await;
        ages.extend(heard.all(count).await);
        tokio::time::sleep(PAUSE).await;
    }
    let cpu = (cpu_micros(server.pid) - began - making) / ages.len() as f64;
    ages.sort_by(f64::total_cmp);
    let at = |share: f64| ages.get((ages.len() as f64 * share) as usize);
    let tell = |figure: Option<&f64>| figure.map_or(String::new(), |figure| format!("{figure:.1}"));
    println!(
        "| {} | {} | {subscribers} | {} | {} | {} | {} |",
        server.name,
        scenario.what,
        tell(Some(&cpu).filter(|_| !ages.is_empty())),
        tell(at(0.5)),
        tell(at(0.99)),
        tell(Some(&each_kb).filter(|_| ages.is_empty())),
    );
}

/// Reports a failure of a new cause to each portal.
async fn report(http: &reqwest::Client, url: &str, portals: &[u32], round: u32) {
    const AT_ONCE: usize = 4;
    let query = "mutation ($input: ReportSyncFailuresInput!) { reportSyncFailures(input: $input) { recordedCount } }";
    let start = Utc::now() - chrono::Duration::hours(1);
    let one = |portal: u32| async move {
        let cause = (Utc::now().timestamp_micros() % 1_000_000_000) as u32;
        let failure = support::failure(cause, round, 0, start);
        let request = http.post(format!("{url}/graphql"));
        let request = request.bearer_auth(sign(portal, "sync-health:report"));
        let body = json!({ "query": query, "variables": { "input": { "failures": [failure] } } });
        let answer = request.json(&body).send().await.expect("an answer");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(
            answer["data"]["reportSyncFailures"]["recordedCount"], 1,
            "{answer:#}"
        );
    };
    for some in portals.chunks(AT_ONCE) {
        futures_util::future::join_all(some.iter().map(|portal| one(*portal))).await;
    }
}
