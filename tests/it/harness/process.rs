//! A server as a process of its own, whose environment a test chooses, that it stops and whose log it reads.

use std::fs::File;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::eventually;
use crate::commands::{command, free_address, text};

/// What a server answered, whether well or not.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub body: Value,
}

impl Reply {
    /// Asks GraphQL; `None` when no whole answer came.
    pub async fn to(http: &reqwest::Client, url: &str, token: &str, body: &Value) -> Option<Self> {
        let request = http.post(format!("{url}/graphql")).bearer_auth(token);
        Self::of(request.json(body).send().await.ok()?).await
    }

    /// Reads an answer; `None` when it is not whole.
    pub async fn of(answer: reqwest::Response) -> Option<Self> {
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let status = answer.status().as_u16();
        let body = answer.json().await.ok()?;
        Some(Self {
            status,
            retry_after,
            body,
        })
    }

    /// The code of the first error.
    pub fn code(&self) -> Option<&str> {
        self.body["errors"][0]["extensions"]["code"].as_str()
    }

    /// Why this is no answer that a client comes back after: UNAVAILABLE, and when to.
    pub fn is_not_for_later(&self) -> Option<String> {
        // GraphQL that was executed is 200, whatever came of it.
        let is_for_later = self.code() == Some("UNAVAILABLE")
            && [200, 503].contains(&self.status)
            && self.retry_after.is_some_and(|after| after > 0);
        (!is_for_later).then(|| format!("{self:#?}"))
    }
}

/// A client that waits longer than any operation may take, and not for ever.
pub fn patient_client() -> reqwest::Client {
    let patience = Duration::from_secs(45);
    let client = reqwest::Client::builder().timeout(patience).build();
    client.expect("a client")
}

pub struct Process {
    child: Child,
    pub address: String,
    pub url: String,
    http: reqwest::Client,
    folder: TempDir,
}

impl Process {
    /// Serves a database and waits until it is ready.
    pub async fn start(database_url: &str, environment: &[(&str, &str)]) -> Self {
        let process = Self::spawn(database_url, environment);
        process.is_ready().await;
        process
    }

    /// Serves a database; `limits` is how many files it may open, softly and in any case.
    pub async fn start_with_files(database_url: &str, limits: (u64, u64)) -> Self {
        let mut under = Command::new("prlimit");
        under.arg(format!("--nofile={}:{}", limits.0, limits.1));
        under.arg(env!("CARGO_BIN_EXE_sync-health")).arg("serve");
        let process = Self::run(under.env_clear(), database_url, &[]);
        process.is_ready().await;
        process
    }

    /// Serves a database.
    pub fn spawn(database_url: &str, environment: &[(&str, &str)]) -> Self {
        Self::run(&mut command(&["serve"]), database_url, environment)
    }

    fn run(command: &mut Command, database_url: &str, environment: &[(&str, &str)]) -> Self {
        sync_health::kernel::tls::choose_provider();
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a log");
        let address = free_address();
        let child = command
            .envs([
                ("SYNC_HEALTH_LISTEN", address.as_str()),
                ("SYNC_HEALTH_DATABASE_URL", database_url),
                ("SYNC_HEALTH_JWT_SECRET", text(super::SECRET).as_str()),
            ])
            .envs(environment.iter().copied())
            .stderr(log)
            .spawn()
            .expect("a server");
        Self {
            child,
            url: format!("http://{address}"),
            address,
            http: patient_client(),
            folder,
        }
    }

    /// Waits until it says that it is ready.
    pub async fn is_ready(&self) {
        eventually("the server", async || {
            (self.readiness().await? == 200).then_some(())
        })
        .await;
    }

    /// What `/readyz` answers.
    pub async fn readiness(&self) -> Option<u16> {
        let asked = self.http.get(format!("{}/readyz", self.url));
        let asked = asked.timeout(Duration::from_secs(20)).send().await;
        Some(asked.ok()?.status().as_u16())
    }

    pub async fn ask(&self, token: &str, query: &str, variables: Value) -> Option<Reply> {
        let body = json!({ "query": query, "variables": variables });
        self.send(token, &body).await
    }

    /// Sends a whole request.
    pub async fn send(&self, token: &str, body: &Value) -> Option<Reply> {
        Reply::to(&self.http, &self.url, token, body).await
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("its log")
    }

    /// How many files it may open.
    pub fn most_files(&self) -> u64 {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id()));
        let limits = limits.expect("limits");
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().next());
        soft.expect("a limit").parse().expect("a number")
    }

    /// For how long its threads have used a processor.
    pub fn processor_time(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanoseconds = threads.expect("threads").flatten().filter_map(|thread| {
            let told = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            told.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// The most memory that it had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.expect("a peak").trim().trim_end_matches(" kB");
        kib.parse::<u64>().expect("a number") * 1024
    }

    /// Sends a signal: STOP, CONT, TERM.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill").success());
    }

    /// Ends it by SIGKILL, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process");
        self.child.wait().expect("its end");
    }

    /// Ends it by SIGTERM; it has to end well.
    pub async fn stop(mut self) {
        self.signal("TERM");
        let ended = async || self.child.try_wait().expect("a status");
        let status = eventually("the end", ended).await;
        assert!(status.success(), "{status}\n{}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
