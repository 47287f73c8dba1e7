//! Load on a server process, and what it costs that process.

use std::time::{Duration, Instant};

use crate::process::cpu_micros;

/// What one round measured.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    pub requests_per_second: f64,
    /// Of the server process, in microseconds of one core.
    pub cpu_per_request: f64,
    /// Median time to the answer, in milliseconds.
    pub p50: f64,
    pub p99: f64,
}

/// Sends the same request over and over by some connections for a time; each answer has to be a success.
pub async fn load(
    pid: u32,
    connections: usize,
    time: Duration,
    request: &reqwest::RequestBuilder,
) -> Round {
    let (began, cpu) = (Instant::now(), cpu_micros(pid));
    let one = || async {
        let mut times = Vec::new();
        while began.elapsed() < time {
            let sent = Instant::now();
            let request = request.try_clone().expect("a request without a stream");
            let answer = request.send().await.expect("an answer");
            assert!(answer.status().is_success(), "{}", answer.status());
            answer.bytes().await.expect("a whole answer");
            times.push(sent.elapsed().as_secs_f64() * 1_000.0);
        }
        times
    };
    let times = futures_util::future::join_all((0..connections).map(|_| one())).await;
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_micros(pid) - cpu);
    let mut times: Vec<f64> = times.into_iter().flatten().collect();
    times.sort_by(f64::total_cmp);
    let count = times.len() as f64;
    let at = |share: f64| times[((count * share) as usize).min(times.len() - 1)];
    Round {
        requests_per_second: count / took,
        cpu_per_request: cpu / count,
        p50: at(0.5),
        p99: at(0.99),
    }
}
