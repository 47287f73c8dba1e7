//! A server of its own for each test: in this process, on a free port, with a database of its own.
//!
//! When a test is over, [`Server::finish`] asserts what has to hold whatever happened: no panic, no unexpected ERROR
//! line, the counters equal a recount of the rows, the feed has no gap.

pub mod copies;
pub mod exchanges;
pub mod invariants;
pub mod io_faults;
pub mod live;
mod logs;
pub mod mails;
pub mod metrics;
pub mod outsider;
pub mod pooler;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod remote;
pub mod stand_by;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Duration, Utc};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sync_health::kernel::auth::{self, VerifierConfig};
use sync_health::kernel::clock::Clock;
use sync_health::kernel::config::Config;
use sync_health::kernel::tls;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub const SECRET: &[u8] = b"a secret of the tests, 32 bytes or more";
/// Minute 0 of [`minute`]; the manual clock starts an hour later, so that what tests report lies in the past.
pub const START: &str = "2026-03-02T10:00:00Z";

/// Runs a test on both databases; with `configure = …` on servers that are configured otherwise.
macro_rules! both {
    ($(#[$meta:meta])* async fn $name:ident($server:ident) $body:block) => {
        $crate::harness::both! { configure = |_| {}; $(#[$meta])* async fn $name($server) $body }
    };
    (configure = $configure:expr; $(#[$meta:meta])* async fn $name:ident($server:ident) $body:block) => {
        $(#[$meta])*
        async fn $name($server: &$crate::harness::Server) $body

        mod $name {
            use $crate::harness::{Backend, Server};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let server = Server::start_with(Backend::Sqlite, $configure).await;
                super::$name(&server).await;
                server.finish().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let server = Server::start_with(Backend::Postgres, $configure).await;
                super::$name(&server).await;
                server.finish().await;
            }
        }
    };
}
pub(crate) use both;
pub use logs::{logs, statements, take_error_logs, take_panics};
pub use metrics::metric;
use pooler::Pooler;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    Sqlite,
    Postgres,
}

pub struct Server {
    pub url: String,
    pub database_url: String,
    pub http: Client,
    clock: Arc<AtomicI64>,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
    _pooler: Option<Pooler>,
}

impl Server {
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, |_| {}).await
    }

    pub async fn start_with(backend: Backend, configure: impl FnOnce(&mut Config)) -> Self {
        tls::choose_provider();
        logs::capture();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database_url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("test.db").display()),
            Backend::Postgres => postgres::new_database().await,
        };
        let start: DateTime<Utc> = START.parse().expect("an instant");
        let clock = Arc::new(AtomicI64::new(
            (start + Duration::hours(1)).timestamp_micros(),
        ));
        let auth = VerifierConfig::of_secret(SECRET.to_vec());
        let mut config = Config::new(database_url, auth);
        config.clock = Clock::Manual(clock.clone());
        config.panics = logs::panics();
        config.database_connections = 4;
        // Asking has tests of its own.
        config.confirms_emails = false;
        let mut pooler = None;
        if let Some(mode) = Pooler::wanted().filter(|_| backend == Backend::Postgres) {
            let before = Pooler::before(&config.database_url, mode).await;
            let direct = std::mem::replace(&mut config.database_url, before.url.clone());
            config.database_listen_url = Some(direct);
            pooler = Some(before);
        }
        configure(&mut config);
        // For others on the same database, directly.
        let database_url = match (&pooler, &config.database_listen_url) {
            (Some(_), Some(direct)) => direct.clone(),
            _ => config.database_url.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = sync_health::server::run(config, listener, async {
            let _ = stopped.await;
        });
        let served = tokio::spawn(async move {
            serving
                .await
                .unwrap_or_else(|error| panic!("the server ended: {error:?}"));
        });
        Self {
            url,
            database_url,
            http: Client::new(),
            clock,
            stop: Some(stop),
            served,
            _folder: folder,
            _pooler: pooler,
        }
    }

    /// The server's clock, for another one that shares it.
    pub fn clock(&self) -> Arc<AtomicI64> {
        self.clock.clone()
    }

    /// Moves the server's clock.
    pub fn pass(&self, time: Duration) {
        self.clock.fetch_add(
            time.num_microseconds().expect("a short time"),
            Ordering::SeqCst,
        );
    }

    /// Asks GraphQL and answers the whole body.
    pub async fn ask(&self, token: &str, query: &str, variables: Value) -> Value {
        let response = self.post(token, query, variables.clone()).await;
        let answer = response.json().await.expect("an answer in JSON");
        exchanges::record(query, &variables, &answer);
        answer
    }

    pub async fn post(&self, token: &str, query: &str, variables: Value) -> Response {
        let body = json!({ "query": query, "variables": variables });
        let request = self
            .http
            .post(format!("{}/graphql", self.url))
            .bearer_auth(token)
            .json(&body);
        request.send().await.expect("an answer")
    }

    /// Asks GraphQL and answers `data`; any error fails the test.
    pub async fn data(&self, token: &str, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(token, query, variables).await;
        assert!(
            answer.get("errors").is_none(),
            "{query}\n{answer:#}\n{:#?}",
            take_error_logs()
        );
        answer["data"].take()
    }

    /// Asks as the reader of portal 1001.
    pub async fn read(&self, query: &str, variables: Value) -> Value {
        self.data(&reader(), query, variables).await
    }

    /// The code of the first error.
    pub async fn error_code(&self, token: &str, query: &str, variables: Value) -> String {
        let answer = self.ask(token, query, variables).await;
        answer["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no error in {answer:#}"))
            .to_owned()
    }

    /// Reports failures to portal 1001 and answers the payload.
    pub async fn fail(&self, failures: Value) -> Value {
        let mut data = self
            .data(
                &engine(),
                REPORT_FAILURES,
                json!({ "input": { "failures": failures } }),
            )
            .await;
        data["reportSyncFailures"].take()
    }

    /// Reports failures, all of which have to be recorded.
    pub async fn record(&self, failures: Value) -> Value {
        let count = failures.as_array().map_or(0, Vec::len);
        let payload = self.fail(failures).await;
        assert_eq!(payload["recordedCount"], count, "{payload:#}");
        payload
    }

    /// Reports successes to portal 1001 and answers the payload.
    pub async fn succeed(&self, successes: Value) -> Value {
        let mut data = self
            .data(
                &engine(),
                REPORT_SUCCESSES,
                json!({ "input": { "successes": successes } }),
            )
            .await;
        data["reportSyncSuccesses"].take()
    }

    /// Stops the server.
    pub async fn stop(mut self) {
        self.end().await;
    }

    /// Stops the server and answers its database, with the folder that it may be in.
    pub async fn stop_and_keep(mut self) -> (String, tempfile::TempDir) {
        self.end().await;
        (self.database_url, self._folder)
    }

    async fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        (&mut self.served).await.expect("a server that ends well");
        let panics = take_panics();
        assert!(panics.is_empty(), "something panicked: {panics:#?}");
    }

    /// Stops the server and asserts what has to hold after every test.
    pub async fn finish(mut self) {
        self.end().await;
        invariants::check(&self.database_url).await;
        let errors: Vec<String> = logs()
            .into_iter()
            .filter(|line| line.contains("\"level\":\"ERROR\""))
            .collect();
        assert!(
            errors.is_empty(),
            "unexpected errors were logged: {errors:#?}"
        );
    }
}

pub const REPORT_FAILURES: &str =
    "mutation ($input: ReportSyncFailuresInput!) { reportSyncFailures(input: $input) {
    recordedCount repeatedCount refusedCount
    results { reportId outcome syncError { id type status affectedRecordCount occurrenceCount } }
    userErrors { field code message elementIndex } } }";

pub const REPORT_SUCCESSES: &str =
    "mutation ($input: ReportSyncSuccessesInput!) { reportSyncSuccesses(input: $input) {
    recordedCount refusedCount clearedRecordCount resolvedErrorIds
    userErrors { field code message elementIndex } } }";

/// A token for an hour.
pub fn token(portals: &[&str], scope: &str) -> String {
    token_of("test-user", portals, scope)
}

/// The same for another subject.
pub fn token_of(subject: &str, portals: &[&str], scope: &str) -> String {
    let portals: Vec<String> = portals.iter().map(|id| (*id).to_owned()).collect();
    let until = Utc::now() + Duration::hours(1);
    auth::sign(SECRET, subject, &portals, scope, until).expect("a token")
}

pub fn reader() -> String {
    token(&["1001"], "sync-health:read")
}

pub fn manager() -> String {
    token(&["1001"], "sync-health:manage")
}

pub fn engine() -> String {
    token(&["1001"], "sync-health:report")
}

/// An instant some minutes after [`START`].
pub fn minute(minutes: i64) -> String {
    let start: DateTime<Utc> = START.parse().expect("an instant");
    (start + Duration::minutes(minutes)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// A failure of a contact that Salesforce refuses, at a minute, with what `more` sets.
pub fn failure(record: &str, at: i64, more: Value) -> Value {
    let mut failure = json!({
        "direction": "HUBSPOT_TO_SALESFORCE",
        "occurredAt": minute(at),
        "code": "STRING_TOO_LONG",
        "message": "Title: data value too large: Vice President of Very Many Things (max length=20)",
        "fields": ["Title"],
        "hubspotRecord": { "objectType": "contact", "recordId": record },
        "salesforceRecord": { "objectType": "Contact" },
    });
    if let (Value::Object(failure), Value::Object(more)) = (&mut failure, more) {
        failure.extend(more);
    }
    failure
}

/// The success of a contact at a minute.
pub fn success(record: &str, at: i64) -> Value {
    json!({ "occurredAt": minute(at), "hubspotRecord": { "objectType": "contact", "recordId": record } })
}

/// Asks until `found` holds, or for at most a minute.
pub async fn eventually<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(value) = found().await {
            return value;
        }
        assert!(
            start.elapsed() < std::time::Duration::from_secs(60),
            "{what} did not come\n{:#?}",
            take_error_logs()
        );
        tokio::time::timeout(
            std::time::Duration::from_millis(50),
            std::future::pending::<()>(),
        )
        .await
        .unwrap_err();
    }
}
