//! What was exported as NDJSON is imported again: over HTTP, and by the commands.

use serde_json::{Value, json};

use crate::commands::{command, ran, text};
use crate::exports::{EXPORT, MANY_PAGES, Unread, exported, many_pages, order};
use crate::harness::{Backend, Server, both, eventually, failure, postgres, success, token};

/// All of a portal that an import restores. Ids, and what says when and by whom it was reported here, are the import's own.
const ALL: &str = "query { portal { categories { category: name openErrorCount affectedRecordCount }
    syncErrors(first: 100, orderBy: { field: FIRST_SEEN_AT, direction: ASC }) { pageInfo { hasNextPage } nodes { category type title status system direction
        hubspotObjectType salesforceObjectType code causeCode causeMessage message transient firstSeenAt lastSeenAt occurrenceCount affectedRecordCount sampleValues classification { overridden }
        guide { explanation steps { text } }
        details { __typename ... on AssociationDetails { blockingRecord { ...record } limit } ... on CustomCodeDetails { componentName }
            ... on DuplicateDetails { hubspotProperty { name } salesforceField { name } duplicateValue existingRecord { ...record } duplicateRule }
            ... on PermissionDetails { objectType fields { name } missingAccess } ... on PicklistDetails { hubspotProperty { name } salesforceField { name label } optionLimit }
            ... on PropertyMappingDetails { hubspotProperty { name } salesforceField { name } expectedType } ... on PropertyValueDetails { hubspotProperty { name } salesforceField { name } maxLength } }
        latestFailure { reportId occurredAt direction system code message fields value raw hubspotRecord { ...record } salesforceRecord { ...record }
            blockingRecord { ...record } existingRecord { ...record } hubspotProperty salesforceField category }
        affectedRecords(first: 5) { nodes { hubspotRecord { ...record } salesforceRecord { ...record } existingRecord { ...record } value message firstSeenAt lastSeenAt attemptCount } } } } } }
    fragment record on RecordRef { system objectType recordId externalId { field value } name }";

async fn all(server: &Server, portal: &str) -> Value {
    let token = token(&[portal], "sync-health:read");
    let mut data = server.data(&token, ALL, json!({})).await;
    assert_eq!(
        data["portal"]["syncErrors"]["pageInfo"]["hasNextPage"],
        false
    );
    for error in data["portal"]["syncErrors"]["nodes"]
        .as_array_mut()
        .expect("errors")
    {
        let records = error["affectedRecords"]["nodes"].as_array_mut();
        records.expect("records").sort_by_key(Value::to_string);
    }
    let errors = data["portal"]["syncErrors"]["nodes"].as_array_mut();
    errors
        .expect("errors")
        .sort_by_key(|error| error["message"].to_string() + &error["title"].to_string());
    data["portal"].take()
}

/// Sends what was exported to another portal.
async fn import(server: &Server, portal: &str, lines: Vec<u8>) -> Value {
    let sent = server
        .http
        .post(format!("{}/v1/sync-failures?hubId={portal}", server.url))
        .bearer_auth(token(&[portal], "sync-health:report"))
        .body(lines);
    sent.send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON")
}

/// What providers answer, each for two records, with all that an engine can tell.
fn failures() -> Vec<Value> {
    let errors = include_str!("provider_errors.jsonl").lines();
    let of_error = |(number, line): (usize, &str)| {
        let mut error: Value = serde_json::from_str(line).expect("an object");
        error.as_object_mut().expect("an object").remove("type");
        let direction = if error["system"] == "SALESFORCE" {
            "HUBSPOT_TO_SALESFORCE"
        } else {
            "SALESFORCE_TO_HUBSPOT"
        };
        [1_i64, 2].map(|record| {
            let mut made = failure(&format!("{number}-{record}"), number as i64 % 50, json!({ "direction": direction, "value": format!("value {record}"),
                "salesforceRecord": { "objectType": "Contact", "recordId": format!("0035e0000{number:04}{record:02}"), "name": format!("Name {number}") } }));
            made.as_object_mut().expect("an object").extend(error.as_object().expect("an object").clone());
            made
        })
    };
    errors.enumerate().flat_map(of_error).collect()
}

both! {
    /// Errors, records and latest failures come back as they were, for every kind of error; a second import changes nothing.
    async fn restored(server) {
        let mut failures = failures();
        failures.extend([
            failure("r", 3, json!({ "reportId": "raw", "raw": "{\"a\": 1}", "hubspotProperty": "jobtitle", "salesforceField": "Title" })),
            failure("o", 3, json!({ "category": "PERMISSIONS", "message": "something odd", "fields": [] })),
            failure("l1", 3, json!({ "code": null, "message": null, "fields": [], "raw": "a page of an odd proxy ".repeat(2_000) })),
            failure("l2", 4, json!({ "code": null, "message": null, "fields": [], "raw": "a page of an odd proxy ".repeat(2_000) })),
            failure("b", 3, json!({ "code": "X", "message": "waits", "fields": [], "category": "ASSOCIATIONS", "blockingRecord": { "objectType": "Account", "recordId": "0015e000003GcMx", "name": "Acme" } })),
            failure("d", 3, json!({ "code": "DUPLICATE_VALUE", "message": "in use", "fields": ["Email"], "existingRecord": { "objectType": "Contact", "externalId": { "field": "Key__c", "value": "7" } } })),
        ]);
        server.record(json!(failures)).await;
        // One fails again, and what one failure had of several is told with the record.
        server.record(json!([failure("0-1", 55, json!({ "fields": [], "firstOccurredAt": "2026-03-01T10:00:00Z", "attemptCount": 6 }))])).await;
        let lines = exported(server, json!({ "format": "NDJSON" })).await;
        let before = all(server, "1001").await;
        let answer = import(server, "1002", lines.clone()).await;
        assert_eq!((&answer["recordedCount"], &answer["refusedCount"]), (&json!(failures.len() + 1), &json!(0)), "{answer}");
        let after = all(server, "1002").await;
        let pairs = before["syncErrors"]["nodes"].as_array().expect("errors").iter().zip(after["syncErrors"]["nodes"].as_array().expect("errors"));
        for (before, after) in pairs {
            assert_eq!(before, after);
        }
        assert_eq!(before, after);
        let again = import(server, "1002", lines).await;
        assert_eq!((&again["recordedCount"], &again["repeatedCount"]), (&json!(0), &json!(failures.len() + 1)));
        assert_eq!(all(server, "1002").await, after);
    }
}

both! {
    /// The latest failure shows all that an engine told.
    async fn all_that_was_told(server) {
        let existing = json!({ "objectType": "Contact", "externalId": { "field": "Key__c", "value": "7" } });
        let told = json!({ "code": "DUPLICATE_VALUE", "message": "in use", "fields": ["Email"], "hubspotProperty": "email", "salesforceField": "Email", "category": "PROPERTY_VALUES", "existingRecord": existing });
        server.record(json!([failure("1", 0, told)])).await;
        let query = "{ portal { syncErrors { nodes { latestFailure { hubspotProperty salesforceField category existingRecord { system objectType externalId { field value } } blockingRecord { recordId } } } } } }";
        let data = server.read(query, json!({})).await;
        let expected = json!({ "hubspotProperty": "email", "salesforceField": "Email", "category": "PROPERTY_VALUES", "blockingRecord": null,
            "existingRecord": { "system": "SALESFORCE", "objectType": "Contact", "externalId": { "field": "Key__c", "value": "7" } } });
        assert_eq!(data["portal"]["syncErrors"]["nodes"][0]["latestFailure"], expected);
    }
}

both! {
    /// A failure with several causes comes back as each of its causes.
    async fn several_causes(server) {
        let message = json!([{ "errorCode": "STRING_TOO_LONG", "message": "Title: data value too large: x (max length=40)", "fields": ["Title"] },
            { "errorCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [LastName]", "fields": ["LastName"] }]).to_string();
        server.record(json!([failure("1", 0, json!({ "code": null, "message": message, "fields": [] }))])).await;
        let lines = exported(server, json!({ "format": "NDJSON", "filter": { "types": ["VALUE_TOO_LONG"] } })).await;
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1);
        import(server, "1002", lines).await;
        import(server, "1003", exported(server, json!({ "format": "NDJSON" })).await).await;
        let types = |portal: Value| portal["syncErrors"]["nodes"].as_array().expect("errors").iter().map(|error| error["type"].clone()).collect::<Vec<_>>();
        assert_eq!(types(all(server, "1002").await), ["VALUE_TOO_LONG"]);
        let both = all(server, "1003").await;
        assert_eq!(types(both.clone()).len(), 2);
        assert_eq!(both["categories"], all(server, "1001").await["categories"]);
    }
}

both! {
    /// Several failures that are told as one count as so many, and begin when the first of them happened.
    async fn told_as_one(server) {
        let several = |at: i64, first: &str, count: i64| failure("1", at, json!({ "firstOccurredAt": first, "attemptCount": count }));
        server.record(json!([several(10, "2026-02-01T00:00:00Z", 5)])).await;
        server.record(json!([several(20, "2026-03-01T00:00:00Z", 2)])).await;
        let query = "{ portal { syncErrors { nodes { firstSeenAt lastSeenAt occurrenceCount affectedRecords { nodes { firstSeenAt lastSeenAt attemptCount } } } } } }";
        let told = server.read(query, json!({})).await["portal"]["syncErrors"]["nodes"][0].take();
        assert_eq!(told, json!({ "firstSeenAt": "2026-02-01T00:00:00Z", "lastSeenAt": "2026-03-02T10:20:00Z", "occurrenceCount": 7,
            "affectedRecords": { "nodes": [{ "firstSeenAt": "2026-02-01T00:00:00Z", "lastSeenAt": "2026-03-02T10:20:00Z", "attemptCount": 7 }] } }));
        let wrong = server.fail(json!([several(0, "2026-03-01T00:00:00Z", 1_000_001), several(0, "2026-03-03T00:00:00Z", 1), several(0, "1999-01-01T00:00:00Z", 1), several(0, "2026-03-01T00:00:00Z", 0)])).await;
        let fields: Vec<_> = wrong["userErrors"].as_array().expect("errors").iter().map(|error| (error["field"][3].clone(), error["code"].clone())).collect();
        assert_eq!(json!(fields), json!([["attemptCount", "OUT_OF_RANGE"], ["firstOccurredAt", "OUT_OF_RANGE"], ["firstOccurredAt", "OUT_OF_RANGE"], ["attemptCount", "OUT_OF_RANGE"]]));
    }
}

both! {
    /// A line is never longer than an import takes: the provider's whole answer is left out before.
    async fn long_lines(server) {
        // A control character takes six bytes in JSON.
        let long = |count: usize| "\u{1}".repeat(count);
        let fields: Vec<String> = (0..100).map(|number| format!("F{number}{}", long(240))).collect();
        server.record(json!([failure("1", 0, json!({ "message": long(15_900), "fields": fields, "raw": long(60_000) }))])).await;
        let lines = exported(server, json!({ "format": "NDJSON" })).await;
        assert!(lines.len() <= 524_288 && !lines.is_empty(), "{}", lines.len());
        let line: Value = serde_json::from_slice(&lines).expect("one line");
        assert_eq!(line["raw"], Value::Null);
        let answer = import(server, "1002", lines).await;
        assert_eq!(answer["recordedCount"], 1, "{answer}");
    }
}

both! {
    /// Thousands of records of one error and of many errors: each once, also those that fail or sync meanwhile.
    async fn many(server) {
        for start in [0, 1_000] {
            let one = (start..start + 500).map(|number| failure(&number.to_string(), 0, json!({})));
            let other = |number: i64| { let field = format!("F{}__c", number / 4); failure(&number.to_string(), 0, json!({ "fields": [field], "message": format!("{field}: data value too large: x (max length=40)") })) };
            server.record(json!(one.chain((start + 500..start + 1_000).map(other)).collect::<Vec<_>>())).await;
        }
        let ids = |bytes: Vec<u8>| {
            let lines = String::from_utf8(bytes).expect("UTF-8");
            let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
            let mut ids: Vec<i64> = lines.map(|line| line["hubspotRecord"]["recordId"].as_str().expect("an id").parse().expect("a number")).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(ids(exported(server, json!({ "format": "NDJSON" })).await), (0..2_000).collect::<Vec<_>>());
        let order = order(server, json!({ "format": "NDJSON" })).await;
        let mut response = crate::exports::download(server, &order).await;
        let mut bytes = response.chunk().await.expect("a part").expect("a part").to_vec();
        server.succeed(json!((0..250).map(|number| success(&number.to_string(), 9)).collect::<Vec<_>>())).await;
        server.record(json!([failure("2000", 9, json!({}))])).await;
        while let Some(part) = response.chunk().await.expect("a part") {
            bytes.extend(part);
        }
        let seen = ids(bytes);
        let mut once = seen.clone();
        once.dedup();
        assert_eq!(seen, once);
        assert!((250..2_000).all(|number| once.binary_search(&number).is_ok()));
    }
}

both! {
    /// A server writes 2 exports of a portal at once, and 4 of a subject; who goes away gives the place back.
    async fn places(server) {
        many_pages(server).await;
        let lines = exported(server, json!({ "format": "NDJSON" })).await;
        let mut open = Vec::new();
        let full = async |portal: &str, limit: &str| {
            let answer = crate::exports::download(server, &order_of(server, portal).await).await;
            assert_eq!(answer.status(), 429, "{portal} {limit}");
            assert_eq!(answer.headers()["retry-after"], "60");
            let answer: Value = answer.json().await.expect("JSON");
            assert_eq!(answer["errors"][0]["extensions"]["code"], "RATE_LIMITED");
            assert!(answer["errors"][0]["message"].as_str().expect("a text").contains(limit), "{answer}");
        };
        for portal in ["1001", "1002"] {
            if portal == "1002" {
                let answer = import(server, portal, lines.clone()).await;
                assert_eq!(answer["recordedCount"], MANY_PAGES, "{answer}");
            }
            for _ in 0..2 {
                open.push(Unread::begin(&order_of(server, portal).await).await);
            }
            full(portal, "portalExports").await;
        }
        full("1003", "(subjectExports)").await;
        open.remove(0);
        let order = order_of(server, "1001").await;
        let served = eventually("a place", async || {
            let response = crate::exports::download(server, &order).await;
            (response.status() == 200).then_some(response)
        }).await;
        assert!(served.bytes().await.expect("a file").len() > 15_000 * MANY_PAGES as usize);
    }
}

/// Orders the CSV of a portal.
async fn order_of(server: &Server, portal: &str) -> Value {
    let token = token(&[portal], "sync-health:read");
    let mut data = server.data(&token, EXPORT, json!({ "input": {} })).await;
    data["exportSyncErrors"].take()
}

async fn by_commands(database_url: &str, other_url: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(Backend::Sqlite, |config| {
        config.database_url = database_url.to_owned()
    })
    .await;
    server.record(json!(failures())).await;
    let before = all(&server, "1001").await;
    let run = async |arguments: &[&str]| {
        let mut run = command(arguments);
        run.current_dir(folder.path());
        tokio::task::spawn_blocking(move || ran(&mut run))
            .await
            .expect("a run")
    };
    let of_portal = ["export", "--portal", "1001", "--database-url", database_url];
    let export = async |arguments: &[&str]| run(&[&of_portal, arguments].concat()).await;
    let written = export(&["--format", "ndjson", "--output", "all.ndjson"]).await;
    assert!(written.status.success(), "{}", text(&written.stderr));
    assert!(
        text(&written.stderr).contains(&format!("{} rows in all.ndjson", failures().len())),
        "{}",
        text(&written.stderr)
    );
    let over_http = exported(&server, json!({ "format": "NDJSON" })).await;
    assert_eq!(
        std::fs::read(folder.path().join("all.ndjson")).expect("a file"),
        over_http
    );
    let again = export(&["--format", "ndjson", "--output", "all.ndjson"]).await;
    assert!(!again.status.success() && text(&again.stderr).contains("cannot make all.ndjson"));
    let printed = export(&[
        "--output",
        "-",
        "--locale",
        "de",
        "--filter",
        r#"{"categories":["PICKLISTS"]}"#,
        "--status",
        "open",
    ])
    .await;
    assert!(
        text(&printed.stdout).contains("Kategorie,Fehler,")
            && text(&printed.stdout).contains("Auswahllisten"),
        "{}",
        text(&printed.stderr)
    );
    let named = export(&["--format", "xlsx"]).await;
    assert!(named.status.success(), "{}", text(&named.stderr));
    let is_workbook = |name: &std::ffi::OsStr| {
        name.to_string_lossy().starts_with("sync-errors-1001-")
            && name.to_string_lossy().ends_with(".xlsx")
    };
    assert!(
        std::fs::read_dir(folder.path())
            .expect("a folder")
            .any(|entry| is_workbook(&entry.expect("a file").file_name()))
    );
    for (arguments, why) in [
        (
            &["--filter", "{\"colour\":1}"],
            "SyncErrorFilter has no colour",
        ),
        (&["--filter", "x"], "--filter"),
        (&["--portal", "7"], "cannot be used multiple times"),
    ] {
        let refused = export(arguments).await;
        assert!(
            !refused.status.success() && text(&refused.stderr).contains(why),
            "{}",
            text(&refused.stderr)
        );
    }
    server.stop().await;
    let imported = run(&[
        "import",
        "all.ndjson",
        "--portal",
        "1001",
        "--database-url",
        other_url,
    ])
    .await;
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let other = Server::start_with(Backend::Sqlite, |config| {
        config.database_url = other_url.to_owned()
    })
    .await;
    assert_eq!(all(&other, "1001").await, before);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_commands_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    by_commands(&url("one.db"), &url("two.db")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_commands_on_postgres() {
    by_commands(
        &postgres::new_database().await,
        &postgres::new_database().await,
    )
    .await;
}
