//! A PostgreSQL of its own and a stand-by that follows it, on one machine: one fails, the other takes over.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::outsider::Outsider;
use crate::commands::{free_address, text};

pub struct Pair {
    programs: PathBuf,
    folder: TempDir,
    primary: String,
    stand_by: String,
}

/// The folder with initdb and pg_ctl: `tests/postgres.sh` finds it the same way.
fn programs() -> PathBuf {
    let told = Command::new("pg_config").arg("--bindir").output();
    let told = told.map(|output| PathBuf::from(text(&output.stdout).trim()));
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let debian = versions.flatten().map(|version| version.path().join("bin"));
    let has_server = |folder: &PathBuf| folder.join("initdb").exists();
    let found = told.into_iter().chain(debian).find(has_server);
    found.expect("PostgreSQL's programs")
}

impl Pair {
    /// Starts both; whether a commit waits until the stand-by has it too.
    pub async fn start(is_synchronous: bool) -> Self {
        let pair = Self {
            programs: programs(),
            folder: tempfile::tempdir().expect("a folder"),
            primary: free_address(),
            stand_by: free_address(),
        };
        let folder = pair.folder.path();
        if runs_as_root() {
            let owned = Command::new("chown").arg("postgres").arg(folder).status();
            assert!(owned.expect("chown").success());
        }
        pair.run(
            "initdb",
            &[
                "-D",
                "primary",
                "-U",
                "sync_health",
                "--auth=trust",
                "--no-sync",
            ],
        );
        pair.serve("primary", &pair.primary);
        let from = format!(
            "host=127.0.0.1 user=sync_health port={}",
            port(&pair.primary)
        );
        pair.run(
            "pg_basebackup",
            &[
                "-d",
                &from,
                "-D",
                "stand_by",
                "-R",
                "-c",
                "fast",
                "--no-sync",
            ],
        );
        pair.serve("stand_by", &pair.stand_by);
        let admin = Outsider::at(&pair.url(&pair.primary, "postgres")).await;
        admin.run("CREATE DATABASE health").await;
        if is_synchronous {
            admin
                .run("ALTER SYSTEM SET synchronous_standby_names = '*'")
                .await;
            admin.run("SELECT pg_reload_conf()").await;
        }
        admin.close().await;
        pair
    }

    fn url(&self, address: &str, database: &str) -> String {
        format!("postgres://sync_health@{address}/{database}")
    }

    /// The database on the one that writes at first.
    pub fn primary_url(&self) -> String {
        self.url(&self.primary, "health")
    }

    /// The same database on the other one.
    pub fn stand_by_url(&self) -> String {
        self.url(&self.stand_by, "health")
    }

    pub fn stand_by_address(&self) -> &str {
        &self.stand_by
    }

    /// What happens from now on does not reach the stand-by.
    pub async fn cut_off_stand_by(&self) {
        let stand_by = Outsider::at(&self.url(&self.stand_by, "postgres")).await;
        stand_by.run("ALTER SYSTEM SET primary_conninfo = ''").await;
        stand_by.run("SELECT pg_reload_conf()").await;
        let receiving = "SELECT count(*) AS number FROM pg_stat_wal_receiver";
        super::eventually("a stand-by that is cut off", async || {
            (stand_by.number(receiving).await == 0).then_some(())
        })
        .await;
        stand_by.close().await;
    }

    /// The first one is gone, as a machine that fails.
    pub fn end_primary(&self) {
        self.run("pg_ctl", &["-D", "primary", "-m", "immediate", "stop"]);
    }

    /// The stand-by takes over.
    pub fn promote(&self) {
        self.run("pg_ctl", &["-D", "stand_by", "-w", "promote"]);
    }

    fn serve(&self, data: &str, address: &str) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c fsync=off -c shared_buffers=64MB",
            port(address)
        );
        let log = format!("{data}.log");
        self.run(
            "pg_ctl",
            &["-D", data, "-w", "-l", &log, "-o", &options, "start"],
        );
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let done = as_postgres(&program)
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(
            done.expect("a program").success(),
            "{program:?} {arguments:?}"
        );
    }
}

fn runs_as_root() -> bool {
    let own = std::fs::metadata("/proc/self").expect("this process");
    own.uid() == 0
}

/// PostgreSQL refuses root.
fn as_postgres(program: &Path) -> Command {
    if !runs_as_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(program);
    command
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().expect("a port")
}

impl Drop for Pair {
    fn drop(&mut self) {
        for data in ["primary", "stand_by"] {
            let _ = as_postgres(&self.programs.join("pg_ctl"))
                .args(["-D", data, "-m", "immediate", "stop"])
                .current_dir(self.folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}
