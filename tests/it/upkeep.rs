//! What is kept for a while only, what is forgotten, and what the doctor finds.

use chrono::Duration;
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use crate::commands::{output, text};
use crate::harness::{
    Backend, Server, both, engine, eventually, failure, manager, postgres, success,
};
use crate::notifications::configure;
use crate::push::Receiver;
use crate::resync::{claim, resync};

pub async fn count(url: &str, table: &str) -> i64 {
    let db = Database::connect(url).await.expect("the database");
    let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE hub_id = 1001");
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db
        .query_one_raw(statement)
        .await
        .expect("an answer")
        .expect("a row");
    db.close().await.expect("a closed database");
    row.try_get("", "n").expect("a number")
}

/// All tables that hold something of portals.
pub async fn tables(url: &str) -> Vec<String> {
    let db = Database::connect(url).await.expect("the database");
    let sql = match url.starts_with("sqlite") {
        true => {
            "SELECT m.name AS name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'hub_id' WHERE m.type = 'table' ORDER BY 1"
        }
        false => {
            "SELECT table_name::text AS name FROM information_schema.columns WHERE column_name = 'hub_id' AND table_schema = 'public' ORDER BY 1"
        }
    };
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await
        .expect("an answer");
    db.close().await.expect("a closed database");
    rows.iter()
        .map(|row| row.try_get("", "name").expect("a name"))
        .collect()
}

const EVENTS: &str = "query ($after: String) { portal { eventCursor syncErrorEvents(after: $after) { nodes { cursor kind } } } }";

/// Leaves something in every table: errors that are open, resolved and retried, calls, notifications.
pub async fn fill(server: &Server, url: &str) {
    server
        .data(
            &manager(),
            "mutation { setHubspotAllocation(input: { calls: 1000 }) { userErrors { message } } }",
            json!({}),
        )
        .await;
    configure(
        server,
        json!({ "enabled": true, "frequency": "IMMEDIATELY", "webhookUrls": [url] }),
    )
    .await;
    server.record(json!([failure("1", 0, json!({})), failure("2", 0, json!({ "fields": ["Phone"], "message": "Phone: data value too large: x (max length=40)" }))])).await;
    let errors = server
        .read("{ portal { syncErrors { nodes { id } } } }", json!({}))
        .await;
    resync(
        server,
        json!({ "errorIds": [errors["portal"]["syncErrors"]["nodes"][0]["id"]] }),
    )
    .await;
    let items = claim(server, json!({})).await["items"].take();
    let outcome =
        json!({ "input": { "outcomes": [{ "itemId": items[0]["id"], "status": "SUCCEEDED" }] } });
    let query = "mutation ($input: ReportResyncOutcomesInput!) { reportResyncOutcomes(input: $input) { userErrors { message } } }";
    server.data(&engine(), query, outcome).await;
    let used = "mutation { reportApiUsage(input: { reportId: \"1\", calls: 900 }) { userErrors { message } } }";
    server.data(&engine(), used, json!({})).await;
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    /// Open errors stay; what was resolved, reported, tried and told goes when it is old, the feed first.
    async fn swept(server) {
        let (_receiver, url) = Receiver::start().await;
        fill(server, &url).await;
        server.pass(Duration::seconds(61));
        eventually("a notification", async || (count(&server.database_url, "notifications").await > 0).then_some(())).await;
        let first = server.read(EVENTS, json!({})).await["portal"]["syncErrorEvents"]["nodes"][0]["cursor"].take();
        assert_eq!(server.read(EVENTS, json!({ "after": first })).await["portal"]["syncErrorEvents"]["nodes"].as_array().map(Vec::len), Some(3));
        // After eight days ids of reports are forgotten, after a month the feed, after three what is resolved.
        server.pass(Duration::days(8));
        eventually("the reports' ids", async || (count(&server.database_url, "report_ids").await == 0 && count(&server.database_url, "api_usage_reports").await == 0).then_some(())).await;
        assert_eq!(server.read(EVENTS, json!({ "after": first })).await["portal"]["syncErrorEvents"]["nodes"].as_array().map(Vec::len), Some(3));
        server.pass(Duration::days(23));
        eventually("the feed", async || (count(&server.database_url, "sync_error_events").await == 0 && count(&server.database_url, "portal_events").await == 0).then_some(())).await;
        assert_eq!(server.error_code(&crate::harness::reader(), EVENTS, json!({ "after": first })).await, "CURSOR_EXPIRED");
        // The present cursor goes on, and what is new is found behind it.
        let now = server.read(EVENTS, json!({})).await["portal"]["eventCursor"].take();
        server.record(json!([failure("3", 0, json!({ "occurredAt": null, "fields": ["Fax"], "message": "Fax: data value too large: x (max length=40)" }))])).await;
        let told = server.read(EVENTS, json!({ "after": now })).await;
        assert_eq!(told["portal"]["syncErrorEvents"]["nodes"][0]["kind"], "OPENED");
        assert_eq!(count(&server.database_url, "sync_errors").await, 3);
        server.pass(Duration::days(60));
        eventually("what was resolved", async || (count(&server.database_url, "sync_errors").await == 2 && count(&server.database_url, "resync_batches").await == 1).then_some(())).await;
        for (table, left) in [("affected_records", 2), ("latest_failures", 2), ("resync_items", 0), ("notification_deliveries", 1), ("notifications", 1)] {
            eventually(table, async || (count(&server.database_url, table).await == left).then_some(())).await;
        }
        let cards = server.read("{ portal { category(name: PROPERTY_VALUES) { openErrorCount } syncErrors(statuses: [RESOLVED]) { totalCount } } }", json!({})).await["portal"].take();
        assert_eq!(cards, json!({ "category": { "openErrorCount": 2 }, "syncErrors": { "totalCount": 0 } }));
        assert!(count(&server.database_url, "api_usage_minutes").await > 0 && count(&server.database_url, "trend_points").await > 1);
        server.pass(Duration::days(400));
        eventually("the history", async || (count(&server.database_url, "api_usage_minutes").await == 0 && count(&server.database_url, "trend_points").await == 1).then_some(())).await;
    }
}

both! {
    /// Records that sync again are swept from an error that stays open.
    async fn cleared_records(server) {
        let many: Vec<Value> = (0..1_000).map(|at| failure(&at.to_string(), 0, json!({}))).collect();
        server.record(json!(many)).await;
        let synced: Vec<Value> = (1..1_000).map(|at| success(&at.to_string(), 30)).collect();
        server.succeed(json!(synced)).await;
        assert_eq!(count(&server.database_url, "affected_records").await, 1_000);
        server.pass(Duration::days(91));
        eventually("the cleared records", async || (count(&server.database_url, "affected_records").await == 1).then_some(())).await;
        assert_eq!(server.read("{ portal { syncErrors { nodes { affectedRecordCount } } } }", json!({})).await["portal"]["syncErrors"]["nodes"][0]["affectedRecordCount"], 1);
    }
}

pub async fn run(arguments: &[&str]) -> std::process::Output {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| (*argument).to_owned())
        .collect();
    let run = move || output(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.expect("a run")
}

/// A portal is forgotten with all that it has; the doctor finds nothing before and after, and what somebody broke between.
async fn forgotten_and_examined(backend: Backend) {
    let server = Server::start_with(backend, |config| config.allows_private_webhooks = true).await;
    fill(&server, "https://example.com/hook").await;
    let url = server.database_url.clone();
    let epoch = server.read(EVENTS, json!({})).await["portal"]["eventCursor"].take();
    let sound = run(&["doctor", "--database-url", &url]).await;
    assert!(
        sound.status.success() && text(&sound.stdout) == "everything adds up\n",
        "{sound:?}"
    );
    let db = Database::connect(&url).await.expect("the database");
    let broken = |sql: &str| Statement::from_string(db.get_database_backend(), sql.to_owned());
    db.execute_raw(broken(
        "UPDATE category_counters SET open_error_count = open_error_count + 1",
    ))
    .await
    .expect("a change");
    let sick = run(&["doctor", "--database-url", &url]).await;
    assert!(
        !sick.status.success()
            && text(&sick.stdout).contains("portal 1001: a counter that differs from a recount"),
        "{sick:?}"
    );
    db.execute_raw(broken(
        "UPDATE category_counters SET open_error_count = open_error_count - 1",
    ))
    .await
    .expect("a change");
    db.close().await.expect("a closed database");
    let asked = run(&["forget", "--portal", "1001", "--database-url", &url]).await;
    assert!(
        text(&asked.stdout).contains("nothing was removed: add --yes")
            && count(&url, "sync_errors").await == 2,
        "{asked:?}"
    );
    let done = run(&[
        "forget",
        "--portal",
        "1001",
        "--database-url",
        &url,
        "--yes",
    ])
    .await;
    assert!(
        done.status.success() && text(&done.stdout).contains("2  sync_errors"),
        "{done:?}"
    );
    let tables = tables(&url).await;
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        assert_eq!(count(&url, &table).await, 0, "{table}");
    }
    let unknown = run(&[
        "forget",
        "--portal",
        "1001",
        "--database-url",
        &url,
        "--yes",
    ])
    .await;
    assert!(
        text(&unknown.stderr).contains("there is no portal 1001"),
        "{unknown:?}"
    );
    // A token makes it anew, with another feed.
    assert_eq!(
        server
            .error_code(&crate::harness::reader(), EVENTS, json!({ "after": epoch }))
            .await,
        "CURSOR_EXPIRED"
    );
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_and_examined_on_sqlite() {
    forgotten_and_examined(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_and_examined_on_postgres() {
    forgotten_and_examined(Backend::Postgres).await;
}

/// What a database holds, as a server on it tells.
async fn told(url: &str) -> Value {
    let url = url.to_owned();
    let server = Server::start_with(Backend::Sqlite, |config| config.database_url = url).await;
    let query = "{ portal { eventCursor categories { openErrorCount affectedRecordCount } syncErrors { nodes { id title } } syncErrorEvents { nodes { cursor kind } } resyncBatches { nodes { id status } } quota { usedLast24Hours } notificationSettings { webhookUrls } } }";
    let told = server.read(query, json!({})).await;
    server.finish().await;
    told
}

/// A copy that was made beside a running server holds what the server told, cursors included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backed_up_on_sqlite() {
    let server = Server::start_with(Backend::Sqlite, |config| {
        config.allows_private_webhooks = true
    })
    .await;
    fill(&server, "https://example.com/hook").await;
    let url = server.database_url.clone();
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.db").display().to_string();
    let made = run(&["backup", &copy, "--database-url", &url]).await;
    assert!(made.status.success(), "{made:?}");
    let missing = format!("sqlite://{}", folder.path().join("missing.db").display());
    for command in [
        &["doctor"][..],
        &["backup", "x"],
        &["forget", "--portal", "1001"],
    ] {
        let refused = run(&[command, &["--database-url", &missing]].concat()).await;
        assert!(
            !refused.status.success() && text(&refused.stderr).contains("there is no database"),
            "{refused:?}"
        );
    }
    let again = run(&["backup", &copy, "--database-url", &url]).await;
    assert!(
        text(&again.stderr).contains("exists: name a new file"),
        "{again:?}"
    );
    server
        .record(json!([failure("9", 0, json!({ "fields": ["Later__c"] }))]))
        .await;
    let restored = told(&format!("sqlite://{copy}")).await;
    assert_eq!(
        restored["portal"]["syncErrors"]["nodes"]
            .as_array()
            .map(Vec::len),
        Some(1),
        "{restored:#}"
    );
    let cursor = &restored["portal"]["eventCursor"];
    let later = server.read(EVENTS, json!({ "after": cursor })).await;
    assert_eq!(
        later["portal"]["syncErrorEvents"]["nodes"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    server.finish().await;
}

/// The commands of the manual, on PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backed_up_on_postgres() {
    let server = Server::start_with(Backend::Postgres, |config| {
        config.allows_private_webhooks = true
    })
    .await;
    fill(&server, "https://example.com/hook").await;
    let (url, other) = (server.database_url.clone(), postgres::new_database().await);
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.dump").display().to_string();
    let shell = format!(
        "pg_dump --format=custom --file='{copy}' '{url}' && pg_restore --clean --if-exists --no-owner --dbname='{other}' '{copy}'"
    );
    let done = tokio::task::spawn_blocking(move || {
        std::process::Command::new("sh")
            .args(["-c", &shell])
            .output()
            .expect("a shell")
    })
    .await
    .expect("a run");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(told(&other).await, told(&url).await);
    server.finish().await;
}
