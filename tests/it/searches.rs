//! Searching the errors of a large portal: what is found does not depend on how it is looked for.

use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::outsider::Outsider;
use crate::harness::{
    Backend, REPORT_FAILURES, Server, both, eventually, failure, minute, postgres, success,
    take_error_logs, token,
};
use crate::upkeep::{count, run};

/// More errors than are walked along in the order of a list.
const MANY: i64 = 8_200;

/// What few errors say, the oldest of all.
const SAID: [&str; 10] = [
    "Stage 100% needs a reason",
    "Stage 1000 needs a_reason",
    "Path C:\\temp\\x is closed",
    "The \"Größe\" of ÜBERMUT is unknown",
    "Say \"yes\" AND \"no\" OR * NEAR(x)",
    "Zq is short",
    "日本語 の 値",
    "It's   spread\n\nover\tlines",
    "-- ][ --",
    "Gone 🚀 up",
];

/// Each finds some of them, none or all: as texts are folded for search.
const LOOKED_FOR: [&str; 24] = [
    "100%",
    "stage 100",
    "a_reason",
    "a reason",
    "c:\\TEMP",
    "\\",
    "größe",
    "GRÖSSE",
    "\"größe\"",
    "übermut is",
    "\"yes\" and \"no\"",
    "* near(",
    "zq",
    "ZQ is",
    "日本語",
    "の",
    "It's spread over",
    "lines",
    "][",
    "-- ][ --",
    "🚀",
    "needs a reason to",
    "is",
    "nothing of the kind",
];

fn folded(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

fn saying(number: usize, message: &str) -> Value {
    let code = "FIELD_CUSTOM_VALIDATION_EXCEPTION";
    failure(
        &format!("s{number}"),
        0,
        json!({ "code": code, "message": message, "fields": [format!("S{number}__c")] }),
    )
}

/// Errors of the portal that say something else, newer than those.
async fn others(server: &Server, portal: &str, number: i64) {
    let line = |n: i64| {
        let more = json!({ "code": "STRING_TOO_LONG", "message": format!("F{n}: data value too large: v{n}{} (max length=40)", if n % 20 == 0 { " some" } else { "" }), "fields": [format!("F{n}__c")] });
        failure(&format!("o{n}"), 5, more).to_string() + "\n"
    };
    let sent = server
        .http
        .post(format!("{}/v1/sync-failures?hubId={portal}", server.url))
        .bearer_auth(token(&[portal], "sync-health:report"))
        .body((0..number).map(line).collect::<String>())
        .send();
    let taken: Value = sent.await.expect("an answer").json().await.expect("JSON");
    assert_eq!(taken["recordedCount"], number, "{taken:#}");
}

async fn page(server: &Server, search: &str, more: Value) -> Value {
    let query = "query ($search: String, $statuses: [SyncErrorStatus!], $orderBy: SyncErrorOrder, $after: String, $first: Int = 7) {
        portal { syncErrors(filter: { search: $search }, statuses: $statuses, orderBy: $orderBy, first: $first, after: $after) {
            totalCount nodes { message } pageInfo { endCursor hasNextPage } } } }";
    let mut variables = json!({ "search": search, "statuses": ["OPEN", "RESYNCING"] });
    let more = more.as_object().expect("variables").clone();
    variables.as_object_mut().expect("variables").extend(more);
    server.read(query, variables).await["portal"]["syncErrors"].take()
}

/// The messages of all pages, sorted.
async fn all(server: &Server, search: &str, more: &Value) -> Vec<String> {
    let (mut messages, mut variables) = (Vec::new(), more.clone());
    loop {
        let page = page(server, search, variables.clone()).await;
        let nodes = page["nodes"].as_array().expect("nodes").clone();
        messages.extend(
            nodes
                .iter()
                .map(|node| node["message"].as_str().expect("a text").to_owned()),
        );
        if page["pageInfo"]["hasNextPage"] == false {
            assert_eq!(page["totalCount"], messages.len(), "{search:?} {more}");
            messages.sort_unstable();
            return messages;
        }
        variables["after"] = page["pageInfo"]["endCursor"].clone();
    }
}

/// Lists in an order that an index has, forwards and backwards, and in one that none has.
fn lists() -> [Value; 4] {
    let order = |field: &str, direction: &str| json!({ "field": field, "direction": direction });
    [
        json!({}),
        json!({ "orderBy": order("OCCURRENCE_COUNT", "ASC") }),
        json!({ "orderBy": order("FIRST_SEEN_AT", "ASC"), "statuses": [] }),
        json!({ "orderBy": order("LAST_SEEN_AT", "DESC"), "statuses": [] }),
    ]
}

/// Every text is found by what it says, in every list.
async fn finds_all(server: &Server) {
    for search in LOOKED_FOR {
        let mut expected: Vec<String> = SAID
            .iter()
            .filter(|said| folded(said).contains(&folded(search)))
            .map(|said| (*said).to_owned())
            .collect();
        expected.sort_unstable();
        for list in lists() {
            assert_eq!(
                all(server, search, &list).await,
                expected,
                "{search:?} {list}"
            );
        }
    }
}

/// Waits until the index knows all texts.
async fn indexed(server: &Server) {
    server.pass(Duration::minutes(61));
    let db = Outsider::at(&server.database_url).await;
    let waiting = "SELECT COUNT(*) AS number FROM search_changes";
    eventually("an index that is up to date", async || {
        (db.number(waiting).await == 0).then_some(())
    })
    .await;
    db.close().await;
}

/// A failure whose cause is the field, whatever the value.
fn too_long(number: i64, value: &str) -> Value {
    let message = format!("T{number}: data value too large: {value} (max length=40)");
    let more = json!({ "code": "STRING_TOO_LONG", "message": message, "fields": [format!("T{number}__c")] });
    failure(&format!("t{number}"), number, more)
}

both! {
    /// Whatever the index knows by now, a text is found by every part of it and by nothing else.
    async fn found(server) {
        let said = SAID.iter().enumerate().map(|(n, message)| saying(n, message));
        server.record(said.collect::<Value>()).await;
        let is_known = all(server, "stage", &json!({})).await;
        assert_eq!(is_known.len(), 2);
        others(server, "1001", MANY).await;
        finds_all(server).await;
        indexed(server).await;
        assert!(count(&server.database_url, "search_texts").await >= MANY);
        finds_all(server).await;
        let common = page(server, "value too large", json!({ "first": 50 })).await;
        assert_eq!((common["nodes"].as_array().map(Vec::len), &common["totalCount"]), (Some(50), &json!(MANY)));
        for mut list in lists() {
            list["first"] = 100.into();
            assert_eq!(all(server, "some (max", &list).await.len() as i64, MANY / 20, "{list}");
        }
        let long = format!("{} F7: data value too large: v7 (MAX", " ".repeat(160));
        assert_eq!(all(server, &long, &json!({})).await.len(), 1);
    }
}

both! {
    /// A text that changed is found by what it says now; one that is resolved, in its list; one that was swept, no more.
    async fn followed(server) {
        others(server, "1001", MANY).await;
        server.record(json!([too_long(1, "amber"), too_long(2, "amber")])).await;
        indexed(server).await;
        let found = async |search: &str, statuses: Value| {
            let messages = all(server, search, &json!({ "statuses": statuses })).await;
            messages.iter().map(|message| message[..2].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("large: AMBER (max", json!(["OPEN"])).await, ["T1", "T2"]);
        let mut changed = too_long(1, "cobalt");
        changed["occurredAt"] = minute(3).into();
        server.record(json!([changed])).await;
        for _ in 0..2 {
            assert_eq!(found("amber", json!(["OPEN"])).await, ["T2"]);
            assert_eq!(found("cobalt", json!(["OPEN"])).await, ["T1"]);
            indexed(server).await;
        }
        server.succeed(json!([success("t2", 9)])).await;
        for (statuses, expected) in [(json!(["OPEN"]), [].as_slice()), (json!(["RESOLVED"]), &["T2"]), (json!([]), &["T2"])] {
            assert_eq!(found("amber", statuses).await, expected);
        }
        let amber = "SELECT COUNT(*) AS number FROM search_texts WHERE search_text LIKE '%amber%'";
        let db = Outsider::at(&server.database_url).await;
        assert_eq!(db.number(amber).await, 1);
        server.pass(Duration::days(400));
        eventually("a swept text", async || (db.number(amber).await == 0).then_some(())).await;
        assert_eq!(found("amber", json!([])).await, [""; 0]);
        db.close().await;
    }
}

both! {
    /// What is forgotten of a record is not found, and the index has none of it.
    async fn forgotten(server) {
        let hers = |record: &str, value: &str| {
            let message = format!("Title: data value too large: {value} (max length=40)");
            failure(record, 1, json!({ "code": "STRING_TOO_LONG", "message": message, "fields": ["Title"] }))
        };
        server.record(json!([hers("501", "Countess"), hers("77501", "Lovelace")])).await;
        indexed(server).await;
        let any = json!({ "statuses": [] });
        assert_eq!(all(server, "Lovelace", &any).await.len(), 1);
        let url = &server.database_url;
        let forget = ["forget", "--portal", "1001", "--record", "HUBSPOT:contact:77501", "--database-url", url, "--yes"];
        let told = run(&forget).await;
        assert!(told.status.success(), "{told:?}");
        assert_eq!(all(server, "Lovelace", &any).await.len(), 0);
        assert_eq!(all(server, "Countess", &any).await.len(), 1);
        let db = Outsider::at(url).await;
        let left = "SELECT COUNT(*) AS number FROM search_texts WHERE search_text LIKE '%lovelace%'";
        assert_eq!(db.number(left).await, 0);
        if url.starts_with("sqlite") {
            let left = "SELECT COUNT(*) AS number FROM search_index WHERE search_index MATCH '\"vel\" AND \"lac\"'";
            assert_eq!(db.number(left).await, 0);
        }
        db.close().await;
    }
}

both! {
    /// What another portal says is not found, also where both have their texts in one part of the index.
    async fn of_one_portal(server) {
        let shared = (1001 + (1_i64 << 31)).to_string();
        for (portal, number) in [("1001", 3), ("1002", 4), (shared.as_str(), 5)] {
            others(server, portal, number).await;
        }
        indexed(server).await;
        let any = json!({ "statuses": [] });
        assert_eq!(all(server, "value too large", &any).await.len(), 3);
        let query = "{ portal { syncErrors(filter: { search: \"value too large\" }, statuses: []) { totalCount nodes { id } } } }";
        for (portal, number) in [("1002", 4), (shared.as_str(), 5)] {
            let of = token(&[portal], "sync-health:read");
            let list = &server.data(&of, query, json!({})).await["portal"]["syncErrors"];
            assert_eq!(list["nodes"].as_array().map(Vec::len), Some(number));
        }
        let gone = run(&["forget", "--portal", &shared, "--database-url", &server.database_url, "--yes"]).await;
        assert!(gone.status.success(), "{gone:?}");
        assert_eq!(all(server, "value too large", &any).await.len(), 3);
        let db = Outsider::at(&server.database_url).await;
        assert_eq!(db.number("SELECT COUNT(*) AS number FROM search_texts").await, 7);
        db.close().await;
    }
}

/// On PostgreSQL the index is used, where its extensions may be made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planned_on_postgres() {
    let server = Server::start(Backend::Postgres).await;
    others(&server, "1001", MANY).await;
    indexed(&server).await;
    let db = Outsider::at(&server.database_url).await;
    db.run("VACUUM ANALYZE search_texts").await;
    let plan = db
        .plan("SELECT error_id FROM search_texts WHERE hub_id = 1001 AND search_text LIKE '%v4711%' ESCAPE '\\'")
        .await;
    assert!(plan.contains("search_index"), "{plan}");
    db.close().await;
    server.finish().await;
}

/// Where they may not be made, everything else is, and what is looked for is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn found_without_extensions() {
    let url = postgres::empty_database().await;
    let (base, name) = url.rsplit_once('/').expect("a name");
    let role = format!("plain_{name}");
    let owner = Outsider::at(&url).await;
    owner.run(&format!("CREATE ROLE {role} LOGIN")).await;
    owner
        .run(&format!("GRANT ALL ON SCHEMA public TO {role}"))
        .await;
    owner.close().await;
    let (_, address) = base.split_once('@').expect("a role");
    let plain = format!("postgres://{role}@{address}/{name}");
    let migrated = run(&["migrate", "--database-url", &plain]).await;
    assert!(migrated.status.success(), "{migrated:?}");
    let server = Server::start_with(Backend::Postgres, |config| config.database_url = plain).await;
    let said = SAID
        .iter()
        .enumerate()
        .map(|(n, message)| saying(n, message));
    server.record(said.collect::<Value>()).await;
    finds_all(&server).await;
    indexed(&server).await;
    finds_all(&server).await;
    let db = Outsider::at(&server.database_url).await;
    let index = "SELECT COUNT(*) AS number FROM pg_class WHERE relname = 'search_index'";
    assert_eq!(db.number(index).await, 0);
    db.close().await;
    server.finish().await;
}

/// What SQLite's index holds is checked with the rest of the storage, and by hand against the texts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_on_sqlite() {
    let server = Server::start(Backend::Sqlite).await;
    others(&server, "1001", 1_200).await;
    indexed(&server).await;
    server
        .succeed((0..100).map(|n| success(&format!("o{n}"), 9)).collect())
        .await;
    server.pass(Duration::days(400));
    let db = Outsider::at(&server.database_url).await;
    eventually("swept texts", async || {
        (db.number("SELECT COUNT(*) AS number FROM search_texts")
            .await
            == 1_100)
            .then_some(())
    })
    .await;
    db.run("INSERT INTO search_index (search_index, rank) VALUES ('integrity-check', 1)")
        .await;
    db.close().await;
    let told = run(&["doctor", "--database-url", &server.database_url]).await;
    assert!(told.status.success(), "{told:?}");
    server.finish().await;
}

/// A portal that somebody holds does not keep the others' texts out of the index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_is_held() {
    let server = Server::start(Backend::Postgres).await;
    for portal in ["1001", "1002", "1003"] {
        let engine = token(&[portal], "sync-health:report");
        let input = json!({ "input": { "failures": [failure("1", 0, json!({}))] } });
        server.data(&engine, REPORT_FAILURES, input).await;
    }
    let (holder, db) = tokio::join!(
        Outsider::at(&server.database_url),
        Outsider::at(&server.database_url)
    );
    holder.hold_portal(1002).await;
    db.run(
        "INSERT INTO search_changes (hub_id, error_id) \
         SELECT hub_id, gen_random_uuid() FROM (VALUES (1001), (1002), (1003)) AS portals (hub_id), generate_series(1, 600)",
    )
    .await;
    eventually("the others' texts", async || {
        let left = "SELECT COUNT(*) AS number FROM search_changes WHERE hub_id <> 1002";
        (db.number(left).await == 0).then_some(())
    })
    .await;
    holder.let_go().await;
    take_error_logs();
    server.finish().await;
}
