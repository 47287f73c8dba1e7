//! What operators see: metrics, traces, and work that stops when nobody waits for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;
use sync_health::kernel::config::Config;

use crate::harness::live::Socket;
use crate::harness::metrics::{metrics, value};
use crate::harness::{Server, both, engine, eventually, failure, logs, manager, reader};

both! {
    /// Requests by type and outcome, refusals by limit, ingest, classification, pools and process.
    async fn metrics_tell(server) {
        server.record(json!([failure("1", 0, json!({})), failure("2", 0, json!({}))])).await;
        server.fail(json!([failure("1", 0, json!({})), failure("3", 0, json!({ "occurredAt": "1970-01-01T00:00:00Z" }))])).await;
        server.record(json!([failure("4", 0, json!({ "code": "A_CODE_OF_TOMORROW", "message": "new", "fields": [] }))])).await;
        server.read("{ portal { hubId } }", json!({})).await;
        server.ask(&reader(), &format!("{{ service {{ {} }} }}", "version ".repeat(6_000)), json!({})).await;
        server.ask("x", "{ portal { hubId } }", json!({})).await;
        let mut socket = Socket::connect(server, &reader()).await;
        socket.subscribe("1", "{ portal { hubId } }", json!({})).await;
        assert_eq!(socket.data().await["portal"]["hubId"], "1001");
        assert_eq!(socket.next().await["type"], "complete");
        socket.subscribe("2", &format!("{{ {} }}", "service { version } ".repeat(21)), json!({})).await;
        assert_eq!(socket.next().await["type"], "error");
        socket.subscribe("3", "subscription { categoriesUpdated { title } }", json!({})).await;
        socket.data().await;
        socket.send(json!({ "id": "3", "type": "complete" })).await;
        let ended = "sync_health_requests_total{path=\"websocket\",operation=\"subscription\",outcome=\"ok\"}";
        let idle = "sync_health_database_connections{pool=\"read\",state=\"idle\"}";
        let text = eventually("the operations of the socket are counted, and their connections are back", async || {
            let text = metrics(server).await;
            (value(&text, ended).is_some() && value(&text, idle) > Some(0.0)).then_some(text)
        }).await;
        for (start, expected) in [
            (ended, 1.0),
            ("sync_health_requests_total{path=\"websocket\",operation=\"query\",outcome=\"ok\"}", 1.0),
            ("sync_health_requests_total{path=\"websocket\",operation=\"query\",outcome=\"QUERY_TOO_COMPLEX\"}", 1.0),
            ("sync_health_refusals_total{limit=\"rootFields\"}", 1.0),
            ("sync_health_requests_total{path=\"/graphql\",operation=\"query\",outcome=\"ok\"}", 1.0),
            ("sync_health_requests_total{path=\"/graphql\",operation=\"mutation\",outcome=\"ok\"}", 3.0),
            ("sync_health_requests_total{path=\"/graphql\",operation=\"\",outcome=\"QUERY_TOO_COMPLEX\"}", 1.0),
            ("sync_health_requests_total{path=\"/graphql\",operation=\"\",outcome=\"UNAUTHENTICATED\"}", 1.0),
            ("sync_health_refusals_total{limit=\"documentTokens\"}", 1.0),
            ("sync_health_failures_total{outcome=\"recorded\"}", 3.0),
            ("sync_health_failures_total{outcome=\"repeated\"}", 1.0),
            ("sync_health_failures_total{outcome=\"refused\"}", 1.0),
            ("sync_health_causes_total{category=\"PROPERTY_VALUES\",type=\"VALUE_TOO_LONG\"}", 2.0),
            ("sync_health_unknown_codes_total{system=\"SALESFORCE\"}", 1.0),
            ("sync_health_request_duration_seconds_count{operation=\"mutation\"}", 3.0),
            ("sync_health_operation_cost_points_count", 7.0),
        ] {
            assert_eq!(value(&text, start), Some(expected), "{start}\n{text}");
        }
        for start in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_threads", idle] {
            assert!(value(&text, start).is_some_and(|value| value > 0.0), "{start}\n{text}");
        }
        // Nothing in it belongs to anybody.
        for secret in ["1001", "test-user", "A_CODE_OF_TOMORROW"] {
            assert!(!text.contains(secret), "{secret} stands in the metrics");
        }
    }
}

/// Holds what a change of portal 1001 has to wait for.
async fn hold(server: &Server) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(&server.database_url);
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.expect("the database");
    let lock = match db.get_database_backend() {
        sea_orm::DbBackend::Sqlite => "BEGIN IMMEDIATE",
        _ => "BEGIN; LOCK TABLE feed_heads IN ACCESS EXCLUSIVE MODE",
    };
    db.execute_unprepared(lock).await.expect("a lock");
    db
}

const CONFIGURE: &str =
    "mutation { configurePortal(input: { name: \"Nordwind\" }) { userErrors { code } } }";

both! {
    /// When the client goes away, its operation ends, whatever it waits for; the log says so.
    async fn work_stops_with_the_client(server) {
        server.read("{ portal { hubId } }", json!({})).await;
        let held = hold(server).await;
        let body = json!({ "query": CONFIGURE });
        let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth(manager()).json(&body).timeout(Duration::from_millis(300));
        assert!(request.send().await.expect_err("no answer").is_timeout());
        eventually("the end of the operation", async || logs().into_iter().find(|line| line.contains("\"outcome\":\"gone\""))).await;
        held.execute_unprepared("ROLLBACK").await.expect("a release");
        held.close().await.expect("a closed connection");
        let data = server.read("{ portal { name } }", json!({})).await;
        assert_eq!(data["portal"]["name"], json!(null));
    }
}

fn impatient(config: &mut Config) {
    config.operation_timeout = Duration::from_millis(300);
}

both! {
    configure = super::impatient;
    /// An operation that takes too long is answered TIMEOUT (UNAVAILABLE where the database says first that somebody else
    /// holds what it needs), and has changed nothing.
    async fn deadline(server) {
        server.read("{ portal { hubId } }", json!({})).await;
        let held = hold(server).await;
        let code = if server.database_url.starts_with("postgres") { "UNAVAILABLE" } else { "TIMEOUT" };
        assert_eq!(server.error_code(&manager(), CONFIGURE, json!({})).await, code);
        held.execute_unprepared("ROLLBACK").await.expect("a release");
        held.close().await.expect("a closed connection");
        assert_eq!(server.read("{ portal { name } }", json!({})).await["portal"]["name"], json!(null));
    }
}

/// A span of each request goes to the collector and continues the trace that the request names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces() {
    let received: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let collector = listener.local_addr().expect("its address");
    let take = {
        let received = received.clone();
        move |body: Bytes| {
            received.lock().expect("the spans").push(body);
            async {}
        }
    };
    let router = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let folder = tempfile::tempdir().expect("a folder");
    let (mut server, url) = crate::commands::serve(
        &folder,
        &["--otlp-endpoint", &format!("http://{collector}")],
    )
    .await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let http = reqwest::Client::new();
    let body = json!({ "query": "{ service { version } }" });
    let request = http
        .post(format!("{url}/graphql"))
        .bearer_auth(reader())
        .json(&body);
    let sent = request
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .send()
        .await;
    assert!(sent.expect("an answer").status().is_success());
    server.stop().await;
    let bytes: Vec<u8> = received
        .lock()
        .expect("the spans")
        .iter()
        .flatten()
        .copied()
        .collect();
    let id: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&trace[2 * at..2 * at + 2], 16).expect("digits"))
        .collect();
    assert!(
        bytes.windows(16).any(|part| part == id),
        "no span of the trace among {} bytes",
        bytes.len()
    );
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains("sync-health") && text.contains("execute") && !text.contains(&engine()[..40])
    );
}
