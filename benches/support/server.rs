//! The released program as a process of its own, on a database that is migrated first.

use std::process::{Child, Command, Stdio};

use chrono::{Duration, Utc};
use sync_health::kernel::auth;

/// What signs the tokens of the benches.
pub const SECRET: &str = "a secret of the benches, 32 bytes or more";
const PROGRAM: &str = env!("CARGO_BIN_EXE_sync-health");

/// A server, ended when it is dropped.
pub struct Server {
    pub url: String,
    pub http: reqwest::Client,
    child: Child,
}

impl Server {
    /// Migrates the database and serves it.
    pub async fn start(database_url: &str) -> Self {
        Self::start_with(database_url, &[]).await
    }

    /// The same with more arguments.
    pub async fn start_with(database_url: &str, more: &[&str]) -> Self {
        let migrated = Command::new(PROGRAM)
            .args(["migrate", "--database-url", database_url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(migrated.expect("a program that runs").success());
        let address = free_address();
        let child = Command::new(PROGRAM)
            .args([
                "serve",
                "--listen",
                &address,
                "--database-url",
                database_url,
                "--jwt-secret",
                SECRET,
                // What is measured is the work, not the throttle.
                "--points=2000000000",
                "--points-per-second=1000000000",
                "--report-points=2000000000",
                "--report-points-per-second=1000000000",
            ])
            .args(more)
            .env("SYNC_HEALTH_LOG", "warn")
            // All subscribers come from one address.
            .env("SYNC_HEALTH_PEER_CONNECTIONS", "25000")
            .spawn()
            .expect("a program that runs");
        sync_health::kernel::tls::choose_provider();
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let server = Self {
            url: format!("http://{address}"),
            http,
            child,
        };
        server.wait().await;
        server
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn wait(&self) {
        for _ in 0..500 {
            let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the server does not become ready");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback that nobody uses.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// A token for one portal.
pub fn sign(portal: u32, scope: &str) -> String {
    let until = Utc::now() + Duration::hours(1);
    auth::sign(
        SECRET.as_bytes(),
        "bench",
        &[portal.to_string()],
        scope,
        until,
    )
    .expect("a token")
}
