//! What it costs to refuse documents that mean harm: `cargo bench --bench guard`.
//!
//! Each is sent to the released program, one at a time; what counts is the processor time of that process.

#[path = "support/load.rs"]
mod load;
#[path = "support/process.rs"]
mod process;
#[path = "support/server.rs"]
mod server;
#[path = "support/tiny.rs"]
mod tiny;

use std::time::Duration;

use serde_json::json;
use server::{Server, sign};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("bench.db").display());
    let server = Server::start(&url).await;
    let round = tiny::or(Duration::from_secs(1), Duration::from_millis(50));
    println!(
        "| document | bytes | CPU to refuse it, ms | answered in, ms (p50, p99) | refusals/s |\n|---|---|---|---|---|"
    );
    for (what, document) in hostile() {
        let request = server
            .http
            .post(format!("{}/graphql", server.url))
            .bearer_auth(sign(1, "sync-health:read"))
            .json(&json!({ "query": document }));
        let round = load::load(server.pid(), 1, round, &request).await;
        let milliseconds = round.cpu_per_request / 1_000.0;
        let (p50, p99, rate) = (round.p50, round.p99, round.requests_per_second);
        println!(
            "| {what} | {} | {milliseconds:.2} | {p50:.1}, {p99:.1} | {rate:.0} |",
            document.len()
        );
    }
    println!(
        "\nmemory afterwards: {:.0} MB",
        process::resident_mb(server.pid())
    );
}

/// Documents that a stock server dies of, or works on for seconds, as large as the limits let them reach the walk.
fn hostile() -> Vec<(&'static str, String)> {
    let numbered =
        |count: usize, part: fn(usize) -> String| (0..count).map(part).collect::<String>();
    vec![
        (
            "a chain of 500 fragments",
            format!(
                "{{service{{...f0}}}}{}fragment f500 on Service{{version}}",
                numbered(500, |n| format!(
                    "fragment f{n} on Service{{...f{}}}",
                    n + 1
                ))
            ),
        ),
        (
            "24 fragments that double",
            format!(
                "{{service{{...f0}}}}{}fragment f24 on Service{{version}}",
                numbered(24, |n| format!(
                    "fragment f{n} on Service{{...f{0} ...f{0}}}",
                    n + 1
                ))
            ),
        ),
        (
            "4,000 unknown fields",
            format!("{{service{{{}}}}}", numbered(4_000, |n| format!("x{n} "))),
        ),
        (
            "1,000 unused variables",
            format!(
                "query({}){{service{{version}}}}",
                numbered(1_000, |n| format!("$v{n}:Int "))
            ),
        ),
        (
            "2,000 directives",
            format!("{{service {}{{version}}}}", "@x ".repeat(2_000)),
        ),
        ("30,000 brackets", "{a".repeat(30_000)),
        (
            "a text without an end",
            format!("{{portal(hubId:\"{}", "\\\"".repeat(30_000)),
        ),
        (
            "1,000 operations",
            numbered(1_000, |n| format!("query q{n}{{a}} ")),
        ),
    ]
}
