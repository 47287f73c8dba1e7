//! The power is cut: what a server had not synced is gone. What it had acknowledged is there.
//!
//! The server's writes and syncs are written down by `io_errors.c`; the files are made again from what was synced, once
//! without all else, and once with some of it, in pieces of a sector.

use std::collections::HashMap;
use std::path::Path;

use super::reports::Reports;
use crate::harness::io_faults::IoFaults;
use crate::harness::process::Process;

const SECTOR: usize = 512;

/// One line of the log: `struct entry` of `io_errors.c`.
struct Entry<'a> {
    what: u8,
    kind: u8,
    number: usize,
    bytes: &'a [u8],
}

fn entries(mut log: &[u8]) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    while let Some((head, rest)) = log.split_first_chunk::<24>() {
        let number = |at: usize| {
            let bytes = head[at..at + 8].try_into().expect("eight bytes");
            u64::from_ne_bytes(bytes) as usize
        };
        // The last one may have been cut off when the process was killed.
        let Some((bytes, rest)) = rest.split_at_checked(number(16)) else {
            break;
        };
        entries.push(Entry {
            what: head[0],
            kind: head[1],
            number: number(8),
            bytes,
        });
        log = rest;
    }
    entries
}

/// What of a file is on disk: all that was written before its last sync began; of the rest what `survives`.
fn on_disk(entries: &[Entry<'_>], kind: u8, mut survives: impl FnMut() -> bool) -> Vec<u8> {
    let mut begun = HashMap::new();
    let mut synced = 0;
    for (at, entry) in entries.iter().enumerate().filter(|(_, e)| e.kind == kind) {
        match entry.what {
            b'B' => {
                begun.insert(entry.number, at);
            }
            b'E' => synced = synced.max(begun[&entry.number]),
            // Removed and made anew: nothing of it was there before.
            b'U' => synced = synced.max(at + 1),
            _ => {}
        }
    }
    let mut file: Vec<u8> = Vec::new();
    for (at, entry) in entries.iter().enumerate().filter(|(_, e)| e.kind == kind) {
        let is_synced = at < synced;
        match entry.what {
            b'U' => file.clear(),
            b'T' if is_synced || survives() => file.resize(entry.number, 0),
            b'W' => {
                let mut place = entry.number;
                for sector in entry.bytes.chunks(SECTOR) {
                    if is_synced || survives() {
                        file.resize(file.len().max(place + sector.len()), 0);
                        file[place..place + sector.len()].copy_from_slice(sector);
                    }
                    place += sector.len();
                }
            }
            _ => {}
        }
    }
    file
}

async fn is_there(
    reports: &Reports,
    folder: &Path,
    log: &[u8],
    survives: impl FnMut() -> bool + Copy,
) {
    std::fs::create_dir(folder).expect("a folder");
    let entries = entries(log);
    for (name, kind) in [("s.db", b'd'), ("s.db-wal", b'w')] {
        std::fs::write(folder.join(name), on_disk(&entries, kind, survives)).expect("a file");
    }
    let url = format!("sqlite://{}", folder.join("s.db").display());
    let again = Process::start(&url, &[]).await;
    reports.move_to(&[&again.url]);
    reports.are_kept_at_least(&url).await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let io = IoFaults::new();
    let mut server = io.serve_watched(&url).await;
    let reports = Reports::to(&[&server.url]);
    reports
        .pour_until(reports.more(200), || server.kill())
        .await;
    let log = io.writes();
    is_there(&reports, &folder.path().join("synced"), &log, || false).await;
    let mut state = 88_172_645_463_325_252_u64;
    let some = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state & 1 == 0
    };
    is_there(&reports, &folder.path().join("torn"), &log, some).await;
}
