//! Files that fail: `tests/it/faults/io_errors.c`, compiled when it is needed and loaded into a server.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;

pub struct IoFaults {
    folder: TempDir,
}

impl IoFaults {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/io_errors.c");
        let compiled = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([&folder.path().join("io_errors.so"), &source])
            .output()
            .expect("cc, which Rust needs too");
        assert!(compiled.status.success(), "{compiled:?}");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A server whose files can fail.
    pub async fn serve(&self, database_url: &str) -> Process {
        let (library, faults) = (self.text("io_errors.so"), self.text("faults"));
        let environment = [
            ("LD_PRELOAD", library.as_str()),
            ("SYNC_HEALTH_TEST_FAULTS", faults.as_str()),
        ];
        Process::start(database_url, &environment).await
    }

    /// A server whose writes are written down.
    pub async fn serve_watched(&self, database_url: &str) -> Process {
        let (library, writes) = (self.text("io_errors.so"), self.text("writes"));
        let environment = [
            ("LD_PRELOAD", library.as_str()),
            ("SYNC_HEALTH_TEST_WRITES", writes.as_str()),
        ];
        Process::start(database_url, &environment).await
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// From now on calls fail: lines of CALL SUFFIX ERROR.
    pub fn begin(&self, faults: &str) {
        std::fs::write(self.path("new"), faults).expect("a file");
        std::fs::rename(self.path("new"), self.path("faults")).expect("its name");
    }

    pub fn end(&self) {
        std::fs::remove_file(self.path("faults")).expect("faults that were there");
    }

    /// How many calls failed so far.
    pub fn count(&self) -> usize {
        let made = std::fs::metadata(self.path("faults.made"));
        made.map_or(0, |made| made.len() as usize)
    }

    /// All writes and syncs so far.
    pub fn writes(&self) -> Vec<u8> {
        std::fs::read(self.path("writes")).expect("a log of writes")
    }
}
