//! A server of its own for each test: in this process, on a free port, with a database of its own.
//!
//! When a test is over, [`Server::finish`] asserts what has to hold whatever happened: no unexpected ERROR line, the
//! counters equal a recount of the rows, the feed has no gap.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use chrono::{DateTime, Duration, Utc};
use reqwest::{Client, Response};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use sync_health::kernel::auth;
use sync_health::kernel::clock::Clock;
use sync_health::kernel::config::Config;
use sync_health::kernel::db::Db;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const SECRET: &[u8] = b"a secret of the tests, 32 bytes or more";
/// Minute 0 of [`minute`]; the manual clock starts an hour later, so that what tests report lies in the past.
pub const START: &str = "2026-03-02T10:00:00Z";

/// Runs a test on both databases.
macro_rules! both {
    ($(#[$meta:meta])* async fn $name:ident($server:ident) $body:block) => {
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "a test takes what it needs from the file around it")]
            use super::*;

            async fn test($server: &$crate::harness::Server) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let server = $crate::harness::Server::start($crate::harness::Backend::Sqlite).await;
                test(&server).await;
                server.finish().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let server = $crate::harness::Server::start($crate::harness::Backend::Postgres).await;
                test(&server).await;
                server.finish().await;
            }
        }
    };
}
pub(crate) use both;

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
}

impl Server {
    pub async fn start(backend: Backend) -> Self {
        capture_logs();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database_url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("test.db").display()),
            Backend::Postgres => new_postgres_database().await,
        };
        let start: DateTime<Utc> = START.parse().expect("an instant");
        let clock = Arc::new(AtomicI64::new(
            (start + Duration::hours(1)).timestamp_micros(),
        ));
        let mut config = Config::new(database_url.clone(), SECRET.to_vec());
        config.clock = Clock::Manual(clock.clone());
        config.database_connections = 4;
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
        }
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
        let response = self.post(token, query, variables).await;
        response.json().await.expect("an answer in JSON")
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
        assert!(answer.get("errors").is_none(), "{query}\n{answer:#}");
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

    /// Stops the server and asserts what has to hold after every test.
    pub async fn finish(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.served.await.expect("a server that ends well");
        let db = Database::connect(&self.database_url)
            .await
            .expect("the database");
        assert_invariants(&db).await;
        db.close().await.expect("a closed database");
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
    let portals: Vec<String> = portals.iter().map(|id| (*id).to_owned()).collect();
    auth::sign(
        SECRET,
        "test-user",
        &portals,
        scope,
        Utc::now() + Duration::hours(1),
    )
    .expect("a token")
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

static LOGS: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();

#[derive(Clone)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn capture_logs() {
    LOGS.get_or_init(|| {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        let capture = Capture(buffer.clone());
        let filter = tracing_subscriber::EnvFilter::new("info,sqlx=warn");
        let log = tracing_subscriber::fmt()
            .json()
            .with_env_filter(filter)
            .with_writer(move || capture.clone());
        log.init();
        buffer
    });
}

/// The lines that were logged so far.
pub fn logs() -> Vec<String> {
    let bytes = LOGS
        .get()
        .map(|log| log.lock().expect("the log").clone())
        .unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Takes the ERROR lines away and answers them: for tests that provoke some.
pub fn take_error_logs() -> Vec<String> {
    let Some(log) = LOGS.get() else {
        return Vec::new();
    };
    let mut bytes = log.lock().expect("the log");
    let all = String::from_utf8_lossy(&bytes).into_owned();
    let (errors, rest): (Vec<&str>, Vec<&str>) = all
        .lines()
        .partition(|line| line.contains("\"level\":\"ERROR\""));
    *bytes = rest
        .iter()
        .flat_map(|line| line.bytes().chain([b'\n']))
        .collect();
    errors.into_iter().map(str::to_owned).collect()
}

/// A new database on the PostgreSQL that `tests/run` starts, copied from one that was migrated once.
async fn new_postgres_database() -> String {
    let base = std::env::var("SYNC_HEALTH_TEST_POSTGRES").expect(
        "SYNC_HEALTH_TEST_POSTGRES is not set: run tests/run, which starts a PostgreSQL of its own",
    );
    let admin = Database::connect(format!("{base}/postgres"))
        .await
        .expect("PostgreSQL");
    let template = "sync_health_template";
    let lock = sea_orm::TransactionTrait::begin(&admin)
        .await
        .expect("a transaction");
    run(&lock, "SELECT pg_advisory_xact_lock(4711)").await;
    let exists = Statement::from_string(
        DbBackend::Postgres,
        format!("SELECT 1 AS one FROM pg_database WHERE datname = '{template}'"),
    );
    if admin
        .query_one_raw(exists)
        .await
        .expect("an answer")
        .is_none()
    {
        run(&admin, &format!("CREATE DATABASE {template}_new")).await;
        let db = Db::connect(&Config::new(format!("{base}/{template}_new"), Vec::new()))
            .await
            .expect("the template");
        db.migrate().await.expect("a migrated template");
        db.close().await.expect("a closed template");
        run(
            &admin,
            &format!("ALTER DATABASE {template}_new RENAME TO {template}"),
        )
        .await;
    }
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    run(
        &admin,
        &format!("CREATE DATABASE {name} TEMPLATE {template}"),
    )
    .await;
    lock.commit().await.expect("a commit");
    admin.close().await.expect("a closed connection");
    format!("{base}/{name}")
}

async fn run<C: ConnectionTrait>(db: &C, sql: &str) {
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Each of these finds a row where something does not add up.
const BROKEN: &[(&str, &str)] = &[
    (
        "an error whose affected records are not those of its rows",
        "SELECT e.hub_id FROM sync_errors e WHERE e.affected_record_count <> (SELECT COUNT(*) FROM affected_records r \
         WHERE r.hub_id = e.hub_id AND r.error_id = e.id AND r.cleared_at IS NULL)",
    ),
    (
        "an error whose status does not follow from its records",
        "SELECT hub_id FROM sync_errors WHERE (status = 2) <> (affected_record_count = 0) OR (status = 2) <> (resolved_at IS NOT NULL)",
    ),
    (
        "a counter that differs from a recount",
        "SELECT c.hub_id FROM category_counters c WHERE \
         c.open_error_count <> (SELECT COUNT(*) FROM sync_errors e WHERE e.hub_id = c.hub_id AND e.category = c.category AND e.status < 2) OR \
         c.resolved_error_count <> (SELECT COUNT(*) FROM sync_errors e WHERE e.hub_id = c.hub_id AND e.category = c.category AND e.status = 2) OR \
         c.affected_record_count <> (SELECT COALESCE(SUM(e.affected_record_count), 0) FROM sync_errors e WHERE e.hub_id = c.hub_id AND e.category = c.category)",
    ),
    (
        "an error without a counter",
        "SELECT e.hub_id FROM sync_errors e LEFT JOIN category_counters c ON c.hub_id = e.hub_id AND c.category = e.category WHERE c.hub_id IS NULL",
    ),
    (
        "a feed with a gap, or a head that is not its end",
        "SELECT h.hub_id FROM feed_heads h LEFT JOIN sync_error_events e ON e.hub_id = h.hub_id GROUP BY h.hub_id, h.sequence \
         HAVING COUNT(e.sequence) <> h.sequence OR COALESCE(MAX(e.sequence), 0) <> h.sequence",
    ),
    (
        "open errors of a portal that differ from its cards",
        "SELECT h.hub_id FROM feed_heads h WHERE h.open_error_count <> \
         (SELECT COUNT(*) FROM sync_errors e WHERE e.hub_id = h.hub_id AND e.status < 2)",
    ),
    (
        "a trend that does not end where the cards are",
        "SELECT c.hub_id FROM category_counters c JOIN trend_points t ON t.hub_id = c.hub_id AND t.category = c.category \
         WHERE t.minute = (SELECT MAX(minute) FROM trend_points l WHERE l.hub_id = c.hub_id AND l.category = c.category) \
         AND (t.open_error_count <> c.open_error_count OR t.affected_record_count <> c.affected_record_count)",
    ),
];

async fn assert_invariants(db: &DatabaseConnection) {
    for (what, sql) in BROKEN {
        let rows = db
            .query_all_raw(Statement::from_string(db.get_database_backend(), *sql))
            .await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(rows.is_empty(), "{} rows with {what}", rows.len());
    }
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
            "{what} did not come"
        );
        tokio::time::timeout(
            std::time::Duration::from_millis(50),
            std::future::pending::<()>(),
        )
        .await
        .unwrap_err();
    }
}
