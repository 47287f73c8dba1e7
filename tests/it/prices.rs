//! What a request costs stands in proportion to what it makes a server do: no shape takes more than 5 ms of a processor
//! for a point, in a portal with some thousand errors, and in a build that is not optimised.

use serde_json::{Value, json};

use crate::harness::process::Process;
use crate::harness::{Backend, engine, eventually, failure, postgres, reader};

const ERRORS: usize = 2_000;
const MOST_MILLISECONDS: f64 = 5.0;

/// Errors of many causes, each with two records.
async fn fill(server: &Process) {
    for part in 0..ERRORS / 500 {
        let lines: String = (0..1_000)
            .map(|line| {
                let cause = part * 500 + line / 2;
                let code = ["FIELD_CUSTOM_VALIDATION_EXCEPTION", "REQUIRED_FIELD_MISSING", "STRING_TOO_LONG"][cause % 3];
                let more = json!({
                    "code": code,
                    "fields": [format!("Field_{cause}__c")],
                    "message": format!("Field_{cause}__c: data value too large: abc def (max length={cause})"),
                });
                failure(&format!("{part}-{line}"), cause as i64 % 50, more).to_string() + "\n"
            })
            .collect();
        let url = format!("{}/v1/sync-failures", server.url);
        let sent = reqwest::Client::new()
            .post(url)
            .bearer_auth(engine())
            .body(lines);
        let told: Value = sent
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        assert_eq!(told["recordedCount"], 1_000, "{told}");
    }
}

/// Whole selections of a page of errors, and what else a document can ask for.
fn shapes() -> Vec<String> {
    let list = |arguments: &str, selection: &str| {
        format!("{{ portal {{ syncErrors({arguments}) {{ {selection} }} }} }}")
    };
    let title = "nodes { title }";
    let filter = |filter: &str| list(&format!("first: 1, filter: {{ {filter} }}"), title);
    let order = |order: &str| list(&format!("first: 1, orderBy: {order}"), title);
    let counted = |filter: &str| list(&format!("first: 1, filter: {{ {filter} }}"), "totalCount");
    let raws: Vec<String> = (0..100).map(|n| format!("r{n}: raw")).collect();
    let types: Vec<String> = (0..20).map(|n| format!("t{n}: types {{ name }}")).collect();
    let mut shapes = vec![
        "{ service { version } }".to_owned(),
        "{ service { limits { name value unit } } }".into(),
        "{ viewer { subject scopes } }".into(),
        "{ __schema { types { name fields { name } } } }".into(),
        format!("{{ __schema {{ {} }} }}", types.join(" ")),
        "{ portal { name eventCursor } }".into(),
        "{ portals(first: 1) { nodes { hubId } } }".into(),
        "{ portal { categories { name openErrorCount } } }".into(),
        "{ portal { quota { usedLast24Hours } } }".into(),
        "{ portal { trend(since: \"2026-01-01T00:00:00Z\", until: \"2026-06-01T00:00:00Z\", interval: DAY) { category openErrorCount } } }".into(),
        "{ portal { resyncBatches(first: 1) { nodes { id } } } }".into(),
        "{ portal { recordViews(first: 1) { nodes { id } } } }".into(),
        "{ portal { notificationSettings { enabled } } }".into(),
        "{ portal { syncErrorEvents(first: 1) { nodes { kind } } } }".into(),
        "{ portal { syncErrorEvents(first: 100) { nodes { kind syncError { title } } } } }".into(),
        "{ portal { syncErrorEvents(first: 1, kinds: [RESOLVED]) { nodes { kind } } } }".into(),
        "{ portal { syncErrorEvents(first: 1, filter: { fields: [\"Nothing__c\"] }) { nodes { kind } } } }".into(),
        list("first: 1", title),
        list("first: 100", title),
        list("last: 1", title),
        list("first: 1", "totalCount"),
        list("first: 50", "nodes { affectedRecords(first: 5) { nodes { message } } }"),
        list("first: 10", "nodes { sampleValues guide { explanation steps { text } } }"),
        list("first: 1", &format!("nodes {{ latestFailure {{ {} }} }}", raws.join(" "))),
        list("first: 1, statuses: [RESOLVED]", title),
        list("first: 1, statuses: []", title),
    ];
    shapes.extend(
        [
            "LAST_SEEN_AT",
            "FIRST_SEEN_AT",
            "OCCURRENCE_COUNT",
            "AFFECTED_RECORD_COUNT",
        ]
        .map(|field| order(&format!("{{ field: {field}, direction: ASC }}"))),
    );
    shapes.extend(
        [
            "search: \"abc\"",
            "search: \"a\"",
            "search: \"nothing has this\"",
            "fields: [\"Nothing__c\"]",
            "codes: [\"NOTHING\"]",
            "types: [UNKNOWN]",
            "systems: [HUBSPOT]",
            "transient: true",
            "minAffectedRecordCount: 1000",
            "lastSeen: { until: \"2020-01-01T00:00:00Z\" }",
        ]
        .map(filter),
    );
    shapes.extend(
        [
            "search: \"data value\"",
            "fields: [\"Field_7__c\"]",
            "minAffectedRecordCount: 2",
        ]
        .map(counted),
    );
    shapes
}

async fn prices(backend: Backend) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = match backend {
        Backend::Sqlite => format!("sqlite://{}", folder.path().join("s.db").display()),
        Backend::Postgres => postgres::new_database().await,
    };
    let server = Process::start(&url, &[]).await;
    fill(&server).await;
    eventually("the index of texts", async || {
        let query = "{ portal { syncErrors(first: 1, filter: { search: \"Field_1999\" }) { nodes { id } } } }";
        let told = server.ask(&reader(), query, json!({})).await?;
        (told.body["data"]["portal"]["syncErrors"]["nodes"].as_array()?.len() == 1).then_some(())
    })
    .await;
    let shapes = shapes();
    assert!(shapes.len() >= 40, "{}", shapes.len());
    let (mut table, mut dear) = (String::new(), Vec::new());
    for shape in &shapes {
        const TIMES: u32 = 5;
        let ask = async || {
            server
                .ask(&reader(), shape, json!({}))
                .await
                .expect("an answer")
        };
        // What is kept of a document is there then.
        ask().await;
        let before = server.processor_time();
        let mut points = 0;
        for _ in 0..TIMES {
            let reply = server
                .ask(&reader(), shape, json!({}))
                .await
                .expect("an answer");
            assert_eq!(reply.code(), None, "{shape} {reply:?}");
            points += reply.body["extensions"]["cost"]["actualQueryCost"]
                .as_u64()
                .expect("points");
        }
        let milliseconds = (server.processor_time() - before).as_secs_f64() * 1_000.0;
        let a_point = milliseconds / points as f64;
        table += &format!(
            "{a_point:8.3} ms a point, {:6} points  {shape:.100}\n",
            points / u64::from(TIMES)
        );
        if a_point > MOST_MILLISECONDS {
            dear.push(shape);
        }
    }
    assert!(dear.is_empty(), "{table}");
    println!("{table}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    prices(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    prices(Backend::Postgres).await;
}
