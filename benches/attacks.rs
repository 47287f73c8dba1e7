//! How long an ordinary request takes beside those who want to hold up the server, and what memory they take:
//! `benches/run attacks`.
//!
//! The buckets of points, which would end most of it soon, are as good as bottomless here. Attackers, server and database
//! share the same processors: what attackers need themselves, others wait for too.

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

use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use many::{fill, on_each_database};
use process::{cpu_micros, resident_mb};
use serde_json::{Value, json};
use server::{SECRET, Server, sign};
use sync_health::kernel::auth;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What the ordinary request asks for.
const PAGE: &str = "{ portal { syncErrors(first: 25) { nodes { id category title status lastSeenAt affectedRecordCount } } } }";
/// The portals of the attackers and of the ordinary request.
const ATTACKED: u32 = 1;
const OTHER: u32 = 2;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "| database | beside | requests | p50, ms | p99, ms | at most, ms | CPU of the server, cores | its memory at most, MB |\n|---|---|---|---|---|---|---|---|"
    );
    on_each_database("attacks", measure).await;
}

async fn measure(database: &str, url: &str) {
    let server = Server::start(url).await;
    let (errors, raw) = (tiny::or(2_000, 20), tiny::or(100, 5));
    fill(&server, errors, 2).await;
    report_long(&server, raw).await;
    report::report(&server, OTHER, lines(50, 0)).await;
    check(&server).await;
    drop(server);
    for attack in Attack::ALL {
        // Started anew, so that the memory is this attack's.
        let server = Server::start(url).await;
        let attackers = attack.begin(&server).await;
        let figures = figures(&server).await;
        println!("| {database} | {} | {figures} |", attack.name());
        drop(attackers);
    }
}

/// The attacks are what their names say.
async fn check(server: &Server) {
    let large = tiny::or(6_000_000, 300_000);
    let told = ask(server, &raw(18)).await;
    assert!(
        told.len() > large && !told.starts_with("{\"errors"),
        "{} bytes",
        told.len()
    );
    let told = ask(server, &raw(190)).await;
    assert!(
        tiny::or(told.contains("(answerBytes)"), true),
        "{} bytes",
        told.len()
    );
    for body in [introspection(), long_texts(), search()] {
        let told = ask(server, &body).await;
        assert!(!told.starts_with("{\"errors"), "{told:.1000}");
    }
}

async fn ask(server: &Server, body: &Value) -> String {
    let request = server.http.post(format!("{}/graphql", server.url));
    let answer = request.bearer_auth(token()).json(body).send().await;
    answer.expect("an answer").text().await.expect("a text")
}

/// Errors of causes that nobody else has, whose latest failure is long.
async fn report_long(server: &Server, count: u32) {
    const FIRST: u32 = 1_000_000;
    let (long, start) = ("x".repeat(4_000), Utc::now() - chrono::Duration::days(2));
    let lines: String = (FIRST..FIRST + count)
        .map(|n| {
            let mut failure = support::failure(n, n, 0, start);
            failure["raw"] = json!(format!("{n} {long}"));
            failure.to_string() + "\n"
        })
        .collect();
    report::report(server, ATTACKED, lines).await;
}

fn lines(count: u32, attempt: u32) -> String {
    let start = Utc::now() - chrono::Duration::days(1);
    (0..count)
        .map(|n| support::failure(n % 40, n, attempt, start).to_string() + "\n")
        .collect()
}

/// What somebody does who wants to hold up the server, on portal 1.
#[derive(Clone, Copy)]
enum Attack {
    None,
    Aliases,
    TooLarge,
    Introspection,
    LongTexts,
    Silence,
    Unread,
    Searches,
    Uploads,
}

impl Attack {
    const ALL: [Self; 9] = [
        Self::None,
        Self::Aliases,
        Self::TooLarge,
        Self::Introspection,
        Self::LongTexts,
        Self::Silence,
        Self::Unread,
        Self::Searches,
        Self::Uploads,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::None => "nobody",
            Self::Aliases => "8 that read answers of 7 MB made of aliases",
            Self::TooLarge => "8 that ask for answers over the limit",
            Self::Introspection => "8 that read the whole contract",
            Self::LongTexts => "8 that report failures of 60,000 characters",
            Self::Silence => "1,500 silent connections",
            Self::Unread => "40 that ask for 7 MB and read nothing",
            Self::Searches => "12 that search without end",
            Self::Uploads => "30 that upload failures",
        }
    }

    /// Starts the attackers, who end when they are dropped.
    async fn begin(self, server: &Server) -> JoinSet<()> {
        let mut attackers = JoinSet::new();
        match self {
            Self::None => {}
            Self::Aliases => again(&mut attackers, 8, server, &raw(18)),
            Self::TooLarge => again(&mut attackers, 8, server, &raw(190)),
            Self::Introspection => again(&mut attackers, 8, server, &introspection()),
            Self::LongTexts => again(&mut attackers, 8, server, &long_texts()),
            Self::Searches => again(&mut attackers, 12, server, &search()),
            Self::Silence => {
                for _ in 0..tiny::or(1_500, 20) {
                    hold(&mut attackers, server, String::new()).await;
                }
            }
            Self::Unread => {
                for _ in 0..tiny::or(40, 4) {
                    hold(&mut attackers, server, as_http(&raw(18))).await;
                }
            }
            Self::Uploads => {
                for _ in 0..30 {
                    upload(&mut attackers, server);
                }
            }
        }
        attackers
    }
}

fn raw(aliases: usize) -> Value {
    let raw: String = (0..aliases).map(|n| format!("a{n}: raw ")).collect();
    // The long ones are the oldest.
    let order = "orderBy: { field: LAST_SEEN_AT, direction: ASC }";
    json!({ "query": format!("{{ portal {{ syncErrors(first: 100, {order}) {{ nodes {{ latestFailure {{ {raw} }} }} }} }} }}") })
}

fn introspection() -> Value {
    json!({ "query": "{ __schema { types { name description fields { name description args { name description type { name } } type { name } } } } }" })
}

fn long_texts() -> Value {
    let words = "message error ".repeat(4_200);
    let failure = |n: usize| json!({ "system": "SALESFORCE", "direction": "HUBSPOT_TO_SALESFORCE", "code": "UNKNOWN", "message": format!("{n} {words}"), "hubspotRecord": { "objectType": "contact", "recordId": n.to_string() } });
    let failures: Vec<Value> = (0..8).map(failure).collect();
    json!({
        "query": "mutation ($input: ReportSyncFailuresInput!) { reportSyncFailures(input: $input) { userErrors { message } } }",
        "variables": { "input": { "failures": failures } }
    })
}

fn search() -> Value {
    json!({ "query": "{ portal { syncErrors(first: 100, filter: { search: \"nothing has this\" }) { totalCount nodes { id } } } }" })
}

fn token() -> String {
    sign(ATTACKED, "sync-health:read sync-health:report")
}

/// Some that ask the same again and again, and read it.
fn again(attackers: &mut JoinSet<()>, count: usize, server: &Server, body: &Value) {
    let url = format!("{}/graphql", server.url);
    for _ in 0..count {
        let request = server.http.post(&url).bearer_auth(token()).json(body);
        attackers.spawn(async move {
            while let Some(request) = request.try_clone() {
                if let Ok(mut answer) = request.send().await {
                    while let Ok(Some(_)) = answer.chunk().await {}
                }
            }
        });
    }
}

/// One that connects, says something and waits for ever.
async fn hold(attackers: &mut JoinSet<()>, server: &Server, said: String) {
    let address = server.url.replace("http://", "");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let sent = stream.write_all(said.as_bytes()).await;
    sent.expect("a server that listens");
    attackers.spawn(async move {
        let _open = stream;
        std::future::pending().await
    });
}

fn as_http(body: &Value) -> String {
    let (token, body) = (token(), body.to_string());
    format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn upload(attackers: &mut JoinSet<()>, server: &Server) {
    let url = format!("{}/v1/sync-failures?hubId={ATTACKED}", server.url);
    let request = server.http.post(url).bearer_auth(token());
    attackers.spawn(async move {
        for attempt in 0.. {
            if let Some(request) = request.try_clone() {
                let _ = request.body(lines(2_000, attempt)).send().await;
            }
        }
    });
}

/// Asks for the page every few milliseconds, from a thread of its own, and tells how long the answers took.
async fn figures(server: &Server) -> String {
    const PAUSE: Duration = Duration::from_millis(20);
    let time = tiny::or(Duration::from_secs(6), Duration::from_millis(200));
    let until = Utc::now() + chrono::Duration::hours(1);
    let portals = [OTHER.to_string()];
    let token = auth::sign(
        SECRET.as_bytes(),
        "other",
        &portals,
        "sync-health:read",
        until,
    );
    let (token, url) = (token.expect("a token"), format!("{}/graphql", server.url));
    let asking = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let http = reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client");
            let request = http
                .post(url)
                .bearer_auth(token)
                .json(&json!({ "query": PAGE }));
            let (begun, mut times) = (Instant::now(), Vec::new());
            while begun.elapsed() < time {
                let sent = Instant::now();
                let request = request.try_clone().expect("a request without a stream");
                let answer = request.send().await.expect("an answer");
                let answer: Value = answer.json().await.expect("JSON");
                assert!(answer.get("errors").is_none(), "{answer:#}");
                times.push(sent.elapsed().as_secs_f64() * 1_000.0);
                tokio::time::sleep(PAUSE).await;
            }
            times
        })
    });
    let (mut most, cpu, begun) = (0.0_f64, cpu_micros(server.pid()), Instant::now());
    while !asking.is_finished() {
        most = most.max(resident_mb(server.pid()));
        tokio::time::sleep(PAUSE).await;
    }
    let cores = (cpu_micros(server.pid()) - cpu) / begun.elapsed().as_micros() as f64;
    let mut times = asking.join().expect("an ordinary client that is served");
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() as f64 * share) as usize).min(times.len() - 1)];
    let (p50, p99, longest) = (at(0.5), at(0.99), at(1.0));
    format!(
        "{} | {p50:.1} | {p99:.1} | {longest:.1} | {cores:.1} | {most:.0}",
        times.len()
    )
}
