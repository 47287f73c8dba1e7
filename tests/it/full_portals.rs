//! A portal keeps so many errors and no more: what would open another one is refused, what belongs to a known one is not.

use serde_json::{Value, json};
use sync_health::kernel::config::Config;

use crate::commands::text;
use crate::harness::{REPORT_FAILURES, Server, both, engine, failure, postgres, success, token};
use crate::imports::import;
use crate::resync::{answer, claim, resync_matching};

/// Portals that keep three errors.
fn three(config: &mut Config) {
    config.portal_errors = 3;
}

/// A failure of a cause of its own.
fn cause(number: usize, record: &str, more: Value) -> Value {
    let mut failure = failure(
        record,
        number as i64,
        json!({ "code": format!("CAUSE_{number}"), "message": "x", "fields": [] }),
    );
    if let (Some(failure), Value::Object(more)) = (failure.as_object_mut(), more) {
        failure.extend(more);
    }
    failure
}

async fn totals(server: &Server) -> (Value, Value) {
    let query = "{ portal { open: syncErrors { totalCount } all: syncErrors(statuses: []) { totalCount } } }";
    let mut data = server.read(query, json!({})).await;
    let portal = data["portal"].take();
    (
        portal["open"]["totalCount"].clone(),
        portal["all"]["totalCount"].clone(),
    )
}

both! {
    configure = super::three;
    /// Each failure by itself; a refused one is not remembered, and says what to do.
    async fn reports(server) {
        let failures: Vec<Value> = (0..5).map(|number| cause(number, "1", json!({ "reportId": format!("r{number}") }))).collect();
        let told = server.fail(json!(failures)).await;
        assert_eq!((&told["recordedCount"], &told["repeatedCount"], &told["refusedCount"]), (&json!(3), &json!(0), &json!(2)), "{told:#}");
        assert_eq!(told["results"][3], json!({ "reportId": "r3", "outcome": "REFUSED", "syncError": null }));
        let error = &told["userErrors"][1];
        assert_eq!((&error["code"], &error["elementIndex"], &error["field"]), (&json!("PORTAL_FULL"), &json!(4), &json!(["input", "failures", "4"])));
        let message = error["message"].as_str().expect("a text");
        assert!(message.contains("portalErrors") && message.contains("--portal-errors"), "{message}");
        // What is known goes on; what is not is refused again, and not as repeated.
        let again = server.fail(json!([cause(0, "2", json!({})), failures[1], failures[4], cause(2, "1", json!({ "reportId": "later", "occurredAt": "2026-03-02T10:50:00Z" }))])).await;
        assert_eq!((&again["recordedCount"], &again["repeatedCount"], &again["refusedCount"]), (&json!(2), &json!(1), &json!(1)), "{again:#}");
        // What is resolved is kept, and opens again.
        server.succeed(json!([success("2", 55), success("1", 55)])).await;
        assert_eq!(totals(server).await, (json!(0), json!(3)));
        let reopened = server.fail(json!([cause(0, "3", json!({ "occurredAt": "2026-03-02T10:58:00Z" })), cause(7, "3", json!({}))])).await;
        assert_eq!((&reopened["recordedCount"], &reopened["userErrors"][0]["code"]), (&json!(1), &json!("PORTAL_FULL")));
        assert_eq!(totals(server).await, (json!(1), json!(3)));
        // Another portal has its own.
        let other = server.data(&token(&["1002"], "sync-health:report"), REPORT_FAILURES, json!({ "input": { "failures": [cause(9, "1", json!({}))] } })).await;
        assert_eq!(other["reportSyncFailures"]["recordedCount"], 1);
    }
}

both! {
    configure = super::three;
    /// A failure of several causes is taken as a whole or not at all.
    async fn several_causes(server) {
        server.record(json!([cause(0, "1", json!({})), cause(1, "1", json!({}))])).await;
        let two: Vec<Value> = (0..2).map(|n| json!({ "errorCode": "STRING_TOO_LONG", "message": "too long", "fields": [format!("Field_{n}__c")] })).collect();
        let both_causes = failure("5", 5, json!({ "code": null, "fields": [], "message": json!(two).to_string() }));
        let told = server.fail(json!([both_causes, cause(2, "1", json!({}))])).await;
        assert_eq!((&told["recordedCount"], &told["userErrors"][0]["code"], &told["userErrors"][0]["elementIndex"]), (&json!(1), &json!("PORTAL_FULL"), &json!(0)), "{told:#}");
        assert_eq!(totals(server).await.1, 3);
    }
}

both! {
    configure = super::three;
    /// Lines are refused by their numbers, in their order.
    async fn lines(server) {
        let mut lines: Vec<String> = (0..5).map(|number| cause(number, "1", json!({})).to_string()).collect();
        lines.insert(4, "nonsense".into());
        lines.push(cause(0, "2", json!({})).to_string());
        let request = server.http.post(format!("{}/v1/sync-failures", server.url)).bearer_auth(engine()).body(lines.join("\n"));
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!((&answer["recordedCount"], &answer["repeatedCount"], &answer["refusedCount"]), (&json!(4), &json!(0), &json!(3)), "{answer:#}");
        let refused: Vec<_> = answer["userErrors"].as_array().expect("errors").iter().map(|error| (&error["line"], &error["code"])).collect();
        assert_eq!(refused, [(&json!(4), &json!("PORTAL_FULL")), (&json!(5), &json!("INVALID")), (&json!(6), &json!("PORTAL_FULL"))]);
    }
}

both! {
    configure = super::three;
    /// What an engine answers to an item is taken: its record stays where it is known to fail.
    async fn outcomes(server) {
        server.record(json!((0..3).map(|number| cause(number, &number.to_string(), json!({}))).collect::<Vec<_>>())).await;
        resync_matching(server, json!({ "filter": { "codes": ["CAUSE_1"] } })).await;
        let item = claim(server, json!({})).await["items"][0]["id"].take();
        let told = answer(server, json!([{ "itemId": item, "status": "FAILED", "failure": { "direction": "HUBSPOT_TO_SALESFORCE", "code": "CAUSE_8", "message": "x" } }])).await;
        assert_eq!((&told["results"][0]["accepted"], &told["results"][0]["syncError"]["affectedRecordCount"]), (&json!(true), &json!(1)), "{told:#}");
        assert_eq!(totals(server).await, (json!(3), json!(3)));
        let query = "{ portal { syncErrors(filter: { codes: [\"CAUSE_1\"] }) { nodes { status occurrenceCount } } } service { limits { name value } } }";
        let data = server.read(query, json!({})).await;
        assert_eq!(data["portal"]["syncErrors"]["nodes"][0], json!({ "status": "OPEN", "occurrenceCount": 2 }));
        let limits = data["service"]["limits"].as_array().expect("limits");
        assert!(limits.contains(&json!({ "name": "portalErrors", "value": 3 })));
    }
}

async fn imported(database_url: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: Vec<String> = (0..4)
        .map(|n| cause(n, "1", json!({})).to_string())
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let arguments = ["--database-url", database_url, "--portal-errors", "3"];
    let output = import(folder.path(), "old.ndjson", &lines, &arguments).await;
    let (told, refused) = (text(&output.stdout), text(&output.stderr));
    assert!(
        told.contains("3 recorded, 0 known before, 1 line refused"),
        "{told}"
    );
    assert!(
        refused.contains("line 4: ") && refused.contains("portalErrors"),
        "{refused}"
    );
    assert!(!output.status.success());
}

#[tokio::test]
async fn imports_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    imported(&format!(
        "sqlite://{}",
        folder.path().join("s.db").display()
    ))
    .await;
}

#[tokio::test]
async fn imports_on_postgres() {
    imported(&postgres::new_database().await).await;
}
