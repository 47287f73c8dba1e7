//! How long exports take, and how much memory: `benches/run export`.

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

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use many::{fill, on_each_database};
use process::{cpu_micros, resident_mb};
use serde_json::{Value, json};
use server::{Server, sign};

/// Errors, each with so many records.
const SIZES: [(u32, u32); 3] = [(100, 100), (100, 10_000), (100_000, 10)];
const TINY: [(u32, u32); 3] = [(5, 5), (5, 30), (60, 2)];
const EXPORT: &str =
    "mutation ($input: ExportSyncErrorsInput!) { exportSyncErrors(input: $input) { downloadUrl } }";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!(
        "| database | rows | errors | file | seconds | rows/s | server CPU, µs a row | file, MB | memory of its own before, MB | at most, MB | resident at most, MB |\n|---|---|---|---|---|---|---|---|---|---|---|"
    );
    for (errors, records) in tiny::or(SIZES, TINY) {
        let name = format!("export_{errors}_{records}");
        on_each_database(&name, async |database, url| {
            measure(database, url, (errors, records)).await;
        })
        .await;
    }
}

async fn measure(database: &str, url: &str, (errors, records): (u32, u32)) {
    fill(&Server::start(url).await, errors, records).await;
    for format in ["CSV", "NDJSON", "XLSX"] {
        // Started anew, so that what filling took is not counted.
        let server = Server::start(url).await;
        let before = own_mb(server.pid());
        let peak = watch(server.pid());
        let (cpu, begin) = (cpu_micros(server.pid()), Instant::now());
        let bytes = download(&server, format).await;
        let (seconds, rows) = (begin.elapsed().as_secs_f64(), f64::from(errors * records));
        let cpu = (cpu_micros(server.pid()) - cpu) / rows;
        let [own, resident] = [0, 1].map(|place| peak[place].load(Ordering::Relaxed));
        println!(
            "| {database} | {rows} | {errors} | {format} | {seconds:.1} | {:.0} | {cpu:.1} | {:.0} | {before:.0} | {own} | {resident} |",
            rows / seconds,
            bytes as f64 / 1e6
        );
    }
}

/// Memory of a process's own, in MB: without the pages of files that it maps, as SQLite does with the database.
fn own_mb(pid: u32) -> f64 {
    let process = procfs::process::Process::new(pid.try_into().expect("a process id"));
    let status = process.and_then(|process| process.status());
    let kilobytes = status.expect("a running process").rssanon;
    kilobytes.expect("a Linux of today") as f64 * 1_024.0 / 1e6
}

/// Looks at a process's memory as long as somebody wants to know how much it was at most: of its own and resident, in MB.
fn watch(pid: u32) -> Arc<[AtomicU64; 2]> {
    let peak: Arc<[AtomicU64; 2]> = Arc::default();
    let seen = Arc::downgrade(&peak);
    tokio::spawn(async move {
        while let Some(peak) = seen.upgrade() {
            for (peak, now) in peak.iter().zip([own_mb(pid), resident_mb(pid)]) {
                peak.fetch_max(now.round() as u64, Ordering::Relaxed);
            }
            drop(peak);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    peak
}

/// Reads a whole export and drops it; answers its length.
async fn download(server: &Server, format: &str) -> u64 {
    let request = server.http.post(format!("{}/graphql", server.url));
    let body = json!({ "query": EXPORT, "variables": { "input": { "format": format } } });
    let request = request.bearer_auth(sign(1, "sync-health:read")).json(&body);
    let answer = request.send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    let url = answer["data"]["exportSyncErrors"]["downloadUrl"].as_str();
    let request = server.http.get(url.expect("an address"));
    let mut file = request.send().await.expect("a file");
    assert_eq!(file.status(), 200);
    let mut bytes = 0;
    while let Some(part) = file.chunk().await.expect("a whole file") {
        bytes += part.len() as u64;
    }
    bytes
}
