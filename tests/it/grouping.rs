//! Grouping: however much the texts of one cause vary, they become one error.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{both, failure, minute};

/// Causes whose texts vary with each record: ids, names, e-mails, values, dates, numbers.
fn planted(cause: u32, n: u32) -> Value {
    let (id, name) = (
        format!("{}", 100_000 + n),
        format!("Person{} Name{}", n % 97, n % 89),
    );
    let (mail, date) = (
        format!("p{n}@mail{}.example", n % 7),
        format!("2026-0{}-1{}T0{}:15:00Z", n % 9 + 1, n % 10, n % 10),
    );
    let salesforce_id = format!("0035e{n:010}");
    let (code, message) = match cause % 5 {
        0 => (
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            format!(
                "Rule {}: {name} ({mail}) must not be changed after {date}, see https://example.com/r/{n}?x={n}",
                word(cause)
            ),
        ),
        1 => (
            "CANNOT_EXECUTE_FLOW_TRIGGER",
            format!(
                "The record {salesforce_id} of \u{201c}{name}\u{201d} could not be saved by {}: amount {}.{:02} exceeds {}",
                word(cause),
                n,
                n % 100,
                n * 3
            ),
        ),
        2 => (
            "UNKNOWN_EXCEPTION",
            format!(
                "{} failed: An unexpected error occurred. Please include this ErrorId: {}-{} (-{n})",
                word(cause),
                u64::from(n) * 7919,
                u64::from(n) * 104_729
            ),
        ),
        3 => (
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            format!(
                "{}Trigger: execution of AfterUpdate caused by: System.QueryException: no row for '{name}' on {}/{}/2026: line {}, column 1",
                word(cause),
                n % 12 + 1,
                n % 28 + 1,
                n % 500
            ),
        ),
        _ => (
            "A_CODE_OF_TOMORROW",
            format!(
                "{} says: record {id} <{mail}> is wrong since {date}",
                word(cause)
            ),
        ),
    };
    failure(
        &id,
        0,
        json!({ "reportId": format!("{cause}-{n}"), "code": code, "message": message, "fields": [], "value": mail, "hubspotRecord": { "objectType": "contact", "recordId": id, "name": name }, "salesforceRecord": { "objectType": "Contact", "recordId": salesforce_id } }),
    )
}

fn word(number: u32) -> String {
    number
        .to_string()
        .bytes()
        .map(|digit| char::from(digit - b'0' + b'a'))
        .collect::<String>()
        + "rule"
}

both! {
    /// 100,000 failures of N planted causes become exactly N errors.
    async fn grouping(server) {
        const CAUSES: u32 = 50;
        let url = format!("{}/v1/sync-failures", server.url);
        let lines: Vec<String> = (0..100_000).map(|n| planted(n % CAUSES, n).to_string()).collect();
        let response = server.http.post(url).bearer_auth(crate::harness::engine()).header("content-type", "application/x-ndjson").body(lines.join("\n")).send().await.expect("an answer");
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer, json!({ "recordedCount": 100_000, "repeatedCount": 0, "refusedCount": 0, "userErrors": [] }));
        let data = server.read("{ portal { syncErrors(first: 100) { totalCount nodes { message affectedRecordCount lastSeenAt } } } }", json!({})).await;
        let list = &data["portal"]["syncErrors"];
        assert_eq!(list["totalCount"], CAUSES, "{:#}", list["nodes"]);
        let mut sizes = BTreeMap::new();
        for node in list["nodes"].as_array().expect("a list") {
            *sizes.entry(node["affectedRecordCount"].as_u64()).or_insert(0) += 1;
            assert_eq!(node["lastSeenAt"], minute(0));
        }
        assert_eq!(sizes, BTreeMap::from([(Some(2_000), CAUSES)]));
    }
}
