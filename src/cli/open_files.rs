//! How many files the process may open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sync_health::kernel::limits;

/// What else is open: logs, libraries, downloads, calls to webhooks and to mail servers.
const OTHER_FILES: u64 = 1_200;
/// Files of one connection to a database: SQLite's, its log, and what both share.
const FILES_OF_DATABASE: u64 = 4;

/// As many connections as are wanted, or as the process may open files for. Systems limit a process softly at first
/// (1,024 files on most): what it may raise itself, it does.
pub fn connections(wanted: Option<usize>, database_connections: u32) -> usize {
    let most = wanted.unwrap_or(limits::CONNECTIONS.value);
    let Some(files) = raised() else {
        return most;
    };
    let others = OTHER_FILES + 2 * FILES_OF_DATABASE * u64::from(database_connections);
    // Few are better than none.
    let possible = files.saturating_sub(others).max(files / 2);
    let possible = usize::try_from(possible).unwrap_or(usize::MAX);
    const FEWER: &str = "fewer connections than wanted: the process may open too few files (ulimit -n, LimitNOFILE)";
    match wanted {
        _ if possible >= most => {}
        Some(_) => tracing::warn!(files, connections = possible, "{FEWER}"),
        None => tracing::info!(files, connections = possible, "{FEWER}"),
    }
    most.min(possible)
}

/// The number of files that the process may open, as high as it can be; absent: any number.
fn raised() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}
