//! `sync-health forget --record`: what is known of one record goes, wherever it stands.

use chrono::Duration;
use sea_orm::{ConnectionTrait, Database, FromQueryResult, JsonValue, Statement};
use serde_json::{Value, json};

use crate::commands::{command, ran, text};
use crate::harness::{Server, both, eventually, failure, manager, success};
use crate::notifications::configure;
use crate::push::Receiver;
use crate::resync::{claim, resync, resync_matching};
use crate::upkeep::{count, tables};

/// All that a database holds of portals, as text.
async fn all(url: &str) -> String {
    let db = Database::connect(url).await.expect("the database");
    let mut all = String::new();
    for table in tables(url).await {
        let sql = format!("SELECT * FROM {table}");
        let statement = Statement::from_string(db.get_database_backend(), sql);
        for row in db.query_all_raw(statement).await.expect("rows") {
            let row = JsonValue::from_query_result(&row, "").expect("a row");
            all.push_str(&format!("{table} {row}\n"));
        }
    }
    db.close().await.expect("a closed database");
    all
}

async fn forget(server: &Server, arguments: &[&str]) -> (bool, String) {
    let forget = [
        "forget",
        "--portal",
        "1001",
        "--database-url",
        &server.database_url,
    ];
    let mut run = command(&[&forget, arguments].concat());
    let run = tokio::task::spawn_blocking(move || ran(&mut run)).await;
    let output = run.expect("a run");
    (
        output.status.success(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

/// What tells of the record: names, value, ids of both sides, in whatever form they were reported.
const HERS: [&str; 5] = [
    "Lovelace",
    "co@example.com",
    "ada&amp;",
    "77501",
    "0035e0000077501",
];

fn her(more: Value) -> Value {
    let mut made = failure(
        "77501",
        9,
        json!({ "value": "ada&\"co@example.com", "message": "Title: data value too large: Lovelace (max length=40)", "raw": "{\"name\":\"Lovelace\"}",
        "hubspotRecord": { "objectType": "contact", "recordId": "77501", "name": "Ada Lovelace" }, "salesforceRecord": { "objectType": "Contact", "recordId": "0035e0000077501", "name": "Lovelace, Ada" } }),
    );
    made.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    made
}

/// The record fails alone and with others, is named by others, waits to be tried again, and is being told.
async fn fill(server: &Server, url: &str) {
    configure(
        server,
        json!({ "enabled": true, "frequency": "IMMEDIATELY", "webhookUrls": [url], "emails": ["ops@example.com"] }),
    )
    .await;
    let tier = json!({ "code": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "fields": ["Tier__c"], "message": "Tier: bad value for restricted picklist field: Lovelace" });
    let related = json!({ "system": "SALESFORCE", "objectType": "Contact", "recordId": "0035e0000077501", "name": "Lovelace" });
    server.record(json!([
        failure("1", 0, json!({ "value": "other" })), failure("2", 0, json!({})), her(json!({})), her(tier),
        failure("3", 1, json!({ "code": "DUPLICATE_VALUE", "message": "in use", "fields": ["Email"], "existingRecord": related })),
        failure("4", 1, json!({ "code": "X", "message": "waits", "fields": [], "category": "ASSOCIATIONS", "blockingRecord": related })),
        // Of another type the same id is another record.
        failure("5", 1, json!({ "code": "Y", "message": "odd", "fields": [], "hubspotRecord": { "objectType": "company", "recordId": "77502" } })),
    ])).await;
    server.succeed(json!([success("2", 2)])).await;
    let create = "mutation { createRecordView(input: { hubId: \"1001\", name: \"Hers\", system: HUBSPOT, objectType: \"contact\", source: { filter: { affecting: { system: HUBSPOT, recordId: \"77501\" } } } }) { userErrors { code } } }";
    server.data(&manager(), create, json!({})).await;
    let errors = server.read("{ portal { syncErrors(filter: { affecting: { system: HUBSPOT, recordId: \"77501\" } }) { nodes { id } } } }", json!({})).await;
    let ids: Vec<_> = errors["portal"]["syncErrors"]["nodes"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["id"].clone())
        .collect();
    assert_eq!(ids.len(), 2);
    resync(server, json!({ "errorIds": ids })).await;
    claim(server, json!({})).await;
    for (object_type, id) in [("contact", "77501"), ("company", "77501")] {
        let affecting = json!({ "system": "HUBSPOT", "objectType": object_type, "recordId": id });
        resync_matching(server, json!({ "filter": { "affecting": affecting } })).await;
    }
    server.pass(Duration::seconds(61));
    eventually("messages that wait", async || {
        (count(&server.database_url, "notification_deliveries").await == 2).then_some(())
    })
    .await;
}

const ERRORS: &str = "{ portal { category(name: PROPERTY_VALUES) { openErrorCount affectedRecordCount } syncErrors(statuses: [], orderBy: { field: FIRST_SEEN_AT, direction: ASC }) { nodes {
    type status message affectedRecordCount sampleValues latestFailure { message value raw hubspotRecord { recordId } blockingRecord { recordId } } affectedRecords { nodes { hubspotRecord { recordId } existingRecord { name } } } } } } }";

both! {
    configure = |config| {
        config.allows_private_webhooks = true;
        // Nobody listens: e-mail waits.
        config.mail = sync_health::kernel::mail::MailConfig::Smtp { url: "smtp://127.0.0.1:1".into(), from: "sync@example.com".into(), root_certificate: None };
    };
    /// Nothing of the record is left in any table; others keep what is theirs, and everything still adds up.
    async fn record(server) {
        let (receiver, url) = Receiver::start().await;
        receiver.answers(503, json!({}));
        fill(server, &url).await;
        let before = all(&server.database_url).await;
        for hers in HERS {
            assert!(before.contains(hers), "{hers}");
        }
        let record = ["--record", "hubspot:contacts:77501"];
        let (is_done, told) = forget(server, &record).await;
        assert!(is_done && told.contains("2  rows of affected records") && told.contains("nothing was removed: add --yes"), "{told}");
        assert_eq!(server.read(ERRORS, json!({})).await["portal"]["category"], json!({ "openErrorCount": 1, "affectedRecordCount": 2 }));
        let (is_done, told) = forget(server, &[&record[..], &["--yes"]].concat()).await;
        assert!(is_done && told.contains("removed"), "{told}");
        for line in ["2  rows of affected records", "1  messages that wait", "1  views of it", "1  other records that named it"] {
            assert!(told.contains(line), "{told}");
        }
        let after = all(&server.database_url).await;
        for hers in HERS {
            let line = after.lines().find(|line| line.contains(hers));
            assert_eq!(line, None, "{hers}");
        }
        assert!(after.contains("77502") && after.contains("other"));
        let errors = server.read(ERRORS, json!({})).await["portal"].take();
        assert_eq!(errors["category"], json!({ "openErrorCount": 1, "affectedRecordCount": 1 }));
        let nodes = errors["syncErrors"]["nodes"].as_array().expect("errors");
        let shared = nodes.iter().find(|node| node["type"] == "VALUE_TOO_LONG").expect("the shared error");
        assert_eq!((&shared["sampleValues"], &shared["latestFailure"]["hubspotRecord"]["recordId"], &shared["latestFailure"]["raw"]), (&json!(["Vice President of Very Many Things", "other"]), &json!("1"), &Value::Null));
        let alone = nodes.iter().find(|node| node["type"] == "PICKLIST_VALUE_NOT_ALLOWED").expect("the error that was hers alone");
        assert_eq!((&alone["message"], &alone["sampleValues"], &alone["latestFailure"]["message"]), (&json!(""), &json!([]), &json!("")));
        let (_, again) = forget(server, &[&record[..], &["--yes"]].concat()).await;
        assert_eq!(again.trim(), "removed");
    }
}

both! {
    /// What is no record is refused in words.
    async fn no_record(server) {
        for record in ["contact:1", "OTHER:contact:1", "HUBSPOT::1", "HUBSPOT:contact:"] {
            let (is_done, told) = forget(server, &["--record", record, "--yes"]).await;
            assert!(!is_done && told.contains("for example HUBSPOT:contact:501"), "{told}");
        }
    }
}
