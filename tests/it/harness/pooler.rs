//! PgBouncer as a process of its own, before the PostgreSQL of the tests.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::eventually;
use crate::commands::free_address;

/// For how long a client keeps its connection to PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Session,
    Transaction,
}

pub struct Pooler {
    /// Leads to the database through it.
    pub url: String,
    address: String,
    folder: TempDir,
    child: Option<Child>,
}

impl Pooler {
    /// Starts one before a database.
    pub async fn before(database_url: &str, mode: Mode) -> Self {
        // Fewer connections than a server has: they are shared.
        let size = match mode {
            Mode::Session => 60,
            Mode::Transaction => 3,
        };
        Self::of_size(database_url, mode, size).await
    }

    /// The same with so many connections to PostgreSQL.
    pub async fn of_size(database_url: &str, mode: Mode, size: u32) -> Self {
        let address = free_address();
        let (user, rest) = database_url.split_once('@').expect("a user");
        let (target, database) = rest.split_once('/').expect("a database");
        let mut pooler = Self {
            url: format!("{user}@{address}/{database}"),
            folder: tempfile::tempdir().expect("a folder"),
            address,
            child: None,
        };
        let user = user.rsplit('/').next().expect("a user");
        pooler.configure(user, target, (mode, size));
        pooler.start().await;
        pooler
    }

    /// The mode that `tests/run` asks for, if any, for all servers on PostgreSQL.
    pub fn wanted() -> Option<Mode> {
        match std::env::var("SYNC_HEALTH_TEST_POOLER").ok()?.as_str() {
            "session" => Some(Mode::Session),
            "transaction" => Some(Mode::Transaction),
            other => panic!("no mode of a pooler: {other}"),
        }
    }

    fn configure(&self, user: &str, target: &str, (mode, size): (Mode, u32)) {
        let (host, port) = target.split_once(':').expect("a port");
        let (own_host, own_port) = self.address.split_once(':').expect("a port");
        let mode = match mode {
            Mode::Session => "session",
            Mode::Transaction => "transaction",
        };
        let text = format!(
            "[databases]\n* = host={host} port={port} user={user}\n\
             [pgbouncer]\nlisten_addr = {own_host}\nlisten_port = {own_port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\ndefault_pool_size = {size}\nmax_client_conn = 400\n"
        );
        std::fs::write(self.config(), text).expect("a configuration");
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("pgbouncer.ini")
    }

    /// Starts it again.
    pub async fn start(&mut self) {
        let installed = Path::new("/usr/sbin/pgbouncer");
        let program = match installed.exists() {
            true => installed,
            false => Path::new("pgbouncer"),
        };
        let mut command = Command::new(program);
        // It refuses to run as root.
        let own = std::fs::metadata("/proc/self").expect("this process");
        if own.uid() == 0 {
            command.args(["-u", "postgres"]);
        }
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log");
        let child = command
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("pgbouncer, which tests/run installs"));
        eventually("PgBouncer", async || {
            TcpStream::connect(&self.address).await.ok()
        })
        .await;
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.kill();
    }
}
