//! How many failures one core classifies a second: `cargo bench --bench classify`.

#[path = "support/mod.rs"]
mod support;
#[path = "support/tiny.rs"]
mod tiny;

use std::hint::black_box;
use std::time::Instant;

use chrono::{DateTime, Utc};
use sync_health::classify::{Failure, classify};
use sync_health::sync_errors::report::check_failure;
use sync_health::sync_errors::report::input::SyncFailureInput;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: u32 = 5;

fn main() {
    let start: DateTime<Utc> = "2026-03-02T10:00:00Z".parse().expect("an instant");
    let count: u32 = tiny::or(120_000, 600);
    let lines: Vec<String> = (0..count)
        .map(|n| support::failure(n % 600, n, 0, start).to_string())
        .collect();
    let now = (start + chrono::Duration::days(30)).timestamp_micros();
    let parse =
        |line: &String| -> SyncFailureInput { serde_json::from_str(line).expect("a failure") };
    let failures: Vec<Failure> = lines
        .iter()
        .map(|line| {
            check_failure(parse(line), now)
                .expect("a good failure")
                .failure
        })
        .collect();
    let mut rates = Vec::new();
    let mut whole = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for failure in &failures {
            black_box(classify(black_box(failure)));
        }
        rates.push(f64::from(count) / began.elapsed().as_secs_f64());
        let began = Instant::now();
        for line in &lines {
            black_box(check_failure(parse(black_box(line)), now)).expect("a good failure");
        }
        whole.push(f64::from(count) / began.elapsed().as_secs_f64());
    }
    println!("| step | failures/s on one core (median of {ROUNDS}) |\n|---|---|");
    println!("| classify | {:.0} |", median(rates));
    println!(
        "| read a line of JSON, check it, classify | {:.0} |",
        median(whole)
    );
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
