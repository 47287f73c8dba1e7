//! What the tests asked and were answered, kept for the test that looks for elements of the contract that none of them
//! has seen.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

/// Exchanges with longer answers or variables show nothing that shorter ones do not.
const LONGEST: usize = 256 * 1024;

/// The folder that `tests/run` sets; without it nothing is kept.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("SYNC_HEALTH_TEST_EXCHANGES").map(PathBuf::from)
}

/// Keeps one exchange.
pub fn record(query: &str, variables: &Value, answer: &Value) {
    let Some(folder) = folder() else { return };
    let line =
        json!({ "query": query, "variables": variables, "data": answer["data"] }).to_string();
    if line.len() > LONGEST {
        return;
    }
    let file = folder.join(format!("{}.ndjson", std::process::id()));
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .expect("the folder of exchanges");
    writeln!(file, "{line}").expect("a kept exchange");
}
