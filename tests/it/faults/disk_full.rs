//! The disk is full for a while.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::reports::{ALLOCATE, Reports, allocation, report};
use crate::commands::{command, text};
use crate::harness::io_faults::IoFaults;
use crate::harness::process::{Process, Reply};
use crate::harness::{engine, eventually, manager, reader};

/// A place for a database that can be filled: a file system of its own where root may mount one, otherwise calls that
/// find no space.
struct SmallDisk {
    folder: tempfile::TempDir,
    is_mounted: bool,
    faults: IoFaults,
}

impl SmallDisk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "sync-health"])
            .arg(folder.path())
            .output();
        Self {
            is_mounted: mounted.is_ok_and(|mounted| mounted.status.success()),
            folder,
            faults: IoFaults::new(),
        }
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("s.db").display())
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    fn fill(&self) {
        match self.is_mounted {
            true => fill(&self.ballast()),
            false => self.faults.begin("write -wal ENOSPC\nwrite .db ENOSPC"),
        }
    }

    fn empty(&self) {
        match self.is_mounted {
            true => std::fs::remove_file(self.ballast()).expect("ballast"),
            false => self.faults.end(),
        }
    }
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    let mut ballast = std::fs::File::create(path).expect("a file");
    for size in [64 * 1024, 1024, 1] {
        let bytes = vec![0; size];
        while ballast.write(&bytes).is_ok_and(|written| written > 0) {}
    }
}

/// Workbooks are written into temporary files: where those have no room, the client comes back later, and nothing panics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_a_workbook() {
    let disk = SmallDisk::new();
    if !disk.is_mounted {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let room = disk.folder.path().to_str().expect("a path");
    let server = Process::start(&url, &[("TMPDIR", room)]).await;
    server
        .send(&engine(), &report("1"))
        .await
        .expect("an answer");
    let order = "mutation { exportSyncErrors(input: { format: XLSX }) { downloadUrl } }";
    let order = server.ask(&reader(), order, json!({})).await;
    let address = order.expect("an answer").body["data"]["exportSyncErrors"]["downloadUrl"].take();
    let answer = reqwest::get(address.as_str().expect("an address")).await;
    let answer = Reply::of(answer.expect("an answer")).await;
    let answer = answer.expect("a whole answer");
    assert_eq!(answer.is_not_for_later(), None);
    server.stop().await;
    let file = folder.path().join("all.xlsx");
    let file = file.to_str().expect("a path");
    let export = [
        "export",
        "--portal",
        "1001",
        "--format",
        "xlsx",
        "--output",
        file,
        "--database-url",
        &url,
    ];
    let exported = command(&export).env("TMPDIR", room).output();
    let exported = exported.expect("a program");
    let said = text(&exported.stderr);
    assert!(
        !exported.status.success() && said.contains("no room for a workbook"),
        "{said}"
    );
    assert!(!said.contains("panic"), "{said}");
}

/// Half a copy does not stand in the way of the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_for_a_copy() {
    let disk = SmallDisk::new();
    if !disk.is_mounted {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let server = Process::start(&url, &[]).await;
    disk.fill();
    let copy = disk.folder.path().join("copy.db");
    let backup = [
        "backup",
        copy.to_str().expect("a path"),
        "--database-url",
        &url,
    ];
    let refused = command(&backup).output().expect("a program");
    assert!(!refused.status.success());
    disk.empty();
    let made = command(&backup).output().expect("a program");
    assert!(made.status.success(), "{}", text(&made.stderr));
    server.stop().await;
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount")
                .arg("-l")
                .arg(self.folder.path())
                .status();
        }
    }
}

/// Writes are refused while nothing fits, go on by themselves when space is back, and nothing that was acknowledged is
/// missing when the process is gone.
pub async fn filled(rounds: usize) {
    let disk = SmallDisk::new();
    let mut server = disk.faults.serve(&disk.url()).await;
    let (reports, url) = (Reports::to(&[&server.url]), disk.url());
    let full = async {
        reports.more(50).await;
        for _ in 0..rounds {
            disk.fill();
            reports.more_refused(30).await;
            eventually("a refused change of a setting", async || {
                let reply = server.ask(&manager(), ALLOCATE, allocation(5_000)).await?;
                reply.is_not_for_later().is_none().then_some(())
            })
            .await;
            eventually("not ready", async || {
                (server.readiness().await? == 503).then_some(())
            })
            .await;
            disk.empty();
            reports.more(50).await;
            server.is_ready().await;
        }
    };
    let (_, heard) = tokio::join!(
        reports.pour_while(full),
        reports.hear(&server.address, &url)
    );
    server.kill();
    let again = Process::start(&disk.url(), &[]).await;
    reports.move_to(&[&again.url]);
    reports.are_kept(&disk.url()).await;
    reports.were_heard(&heard);
    reports.were_refused_well();
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    filled(2).await;
}
