//! An answer has a limit, whatever the document looks like: how long texts are, and how often they are asked for, is
//! known only when they are read.

use futures_util::SinkExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::harness::live::EventStream;
use crate::harness::process::Process;
use crate::harness::{Backend, both, failure, postgres, reader, token};

/// `a0: raw … a189: raw`.
fn aliases(field: &str, count: usize) -> String {
    let aliases: Vec<String> = (0..count).map(|n| format!("a{n}: {field}")).collect();
    aliases.join(" ")
}

fn page(first: usize, selection: &str) -> String {
    format!("{{ portal {{ syncErrors(first: {first}) {{ nodes {{ {selection} }} }} }} }}")
}

/// A failure of a cause of its own.
fn long(cause: usize, raw: &str) -> Value {
    let code = format!("CAUSE_{cause}");
    failure(
        &format!("r{cause}"),
        0,
        json!({ "code": code, "fields": [format!("Field_{cause}__c")], "raw": raw, "reportId": code }),
    )
}

/// What passed the limit, and where.
fn assert_too_large(answer: &Value, limit: &str, path: &[&str]) {
    let error = &answer["errors"][0];
    let names: Vec<&str> = error["path"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let message = error["message"].as_str().unwrap_or_default();
    assert_eq!(
        (&error["extensions"]["code"], &answer["data"]),
        (&json!("QUERY_TOO_COMPLEX"), &Value::Null),
        "{error}"
    );
    assert!(message.contains(limit), "{message}");
    assert!(names.starts_with(path), "{names:?}");
}

both! {
    /// As many texts as fit are answered, more are not: the client is told which field was too much.
    async fn long_texts_asked_for_often(server) {
        let raw = "x".repeat(60_000);
        server.record(json!([long(0, &raw), long(1, &raw)])).await;
        let ask = |count| page(2, &format!("latestFailure {{ {} }}", aliases("raw", count)));
        let answer = server.read(&ask(65), json!({})).await;
        assert!(answer["portal"]["syncErrors"]["nodes"][1]["latestFailure"]["a64"] == raw);
        let refused = server.ask(&reader(), &ask(75), json!({})).await;
        assert_too_large(&refused, "answerBytes", &["portal", "syncErrors", "nodes"]);
        // The same texts, in a list that is written at once.
        let messages = format!("message {}", aliases("message", 150));
        let long = |n: usize| failure(&n.to_string(), 1, json!({ "code": format!("LONG_{n}"), "message": "y".repeat(15_000) }));
        server.record(json!((0..5).map(long).collect::<Vec<_>>())).await;
        let refused = server.ask(&reader(), &page(10, &messages), json!({})).await;
        assert_too_large(&refused, "answerBytes", &["portal", "syncErrors", "nodes"]);
    }
}

both! {
    /// What JSON writes with six characters counts six times.
    async fn texts_that_grow_when_they_are_written(server) {
        let record = async |cause, text: &str| server.record(json!([long(cause, text)])).await;
        record(0, &"x".repeat(59_000)).await;
        record(1, &"\u{1}".repeat(59_000)).await;
        let ask = |code: &str| format!("{{ portal {{ syncErrors(filter: {{ codes: [\"{code}\"] }}) {{ nodes {{ latestFailure {{ {} }} }} }} }} }}", aliases("raw", 40));
        server.read(&ask("CAUSE_0"), json!({})).await;
        let refused = server.ask(&reader(), &ask("CAUSE_1"), json!({})).await;
        assert_too_large(&refused, "answerBytes", &["portal", "syncErrors"]);
    }
}

both! {
    /// A mutation whose answer would be too large has changed what it changes; sent again, it is known.
    async fn the_answer_to_a_report(server) {
        let report = format!("mutation ($failures: [SyncFailureInput!]!) {{ reportSyncFailures(input: {{ failures: $failures }}) {{ recordedCount repeatedCount results {{ syncError {{ latestFailure {{ {} }} }} }} }} }}", aliases("raw", 190));
        let failures = json!({ "failures": [long(0, &"x".repeat(60_000))] });
        let refused = server.ask(&both_scopes(), &report, failures.clone()).await;
        assert_too_large(&refused, "answerBytes", &["reportSyncFailures"]);
        let again = server.fail(failures["failures"].clone()).await;
        assert_eq!(again["repeatedCount"], 1);
    }
}

/// Of an engine that may read, too.
fn both_scopes() -> String {
    token(&["1001"], "sync-health:report sync-health:read")
}

async fn told(events: &mut EventStream) -> Value {
    events.next().await.expect("an event").data
}

both! {
    /// An event that would be too large ends its subscription, and says why.
    async fn an_event(server) {
        let subscribe = format!("subscription {{ syncErrorEvents {{ syncError {{ latestFailure {{ {} }} }} }} }}", aliases("raw", 30));
        let mut events = EventStream::open(server, &reader(), &subscribe, json!({}), None).await;
        events.opened().await;
        server.record(json!([long(0, "short")])).await;
        assert_eq!(told(&mut events).await["data"]["syncErrorEvents"]["syncError"]["latestFailure"]["a29"], "short");
        server.record(json!([long(1, &"x".repeat(60_000))])).await;
        assert_too_large(&told(&mut events).await, "eventBytes", &["syncErrorEvents"]);
    }
}

both! {
    /// What is asked for again costs again: values, and what the contract says of itself; and searches have a price.
    async fn aliases_have_a_price(server) {
        let cost = async |query: &str| {
            let answer = server.ask(&reader(), query, json!({})).await;
            answer["extensions"]["cost"]["requestedQueryCost"].as_u64().unwrap_or_else(|| panic!("{answer:#}"))
        };
        let (once, often) = (page(10, "message"), page(10, &aliases("message", 20)));
        assert_eq!(cost(&often).await - cost(&once).await, 200);
        assert_eq!(cost(&page(10, "message t: __typename")).await - cost(&once).await, 10);
        for search in [json!({ "search": "x" }), json!({ "search": null })] {
            let by_variable = "query ($filter: SyncErrorFilter) { portal { syncErrors(first: 10, filter: $filter) { nodes { message } } } }";
            let answer = server.ask(&reader(), by_variable, json!({ "filter": search })).await;
            let more = if search["search"].is_null() { 0 } else { 20 };
            assert_eq!(answer["extensions"]["cost"]["requestedQueryCost"], cost(&once).await + more, "{answer}");
        }
        assert_eq!(cost("{ portal { syncErrors(first: 10, filter: { search: \"x\" }) { nodes { message } } } }").await, cost(&once).await + 20);
        assert!(cost("{ __schema { types { name } } }").await >= 100);
        let types = format!("{{ __schema {{ {} }} }}", aliases("types { name fields { name } }", 190));
        assert!(cost(&types).await >= 19_000);
    }
}

/// Documents that would make gigabytes of answer leave the server small, and whoever asks beside them is answered.
async fn memory_under_attack(backend: Backend) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = match backend {
        Backend::Sqlite => format!("sqlite://{}", folder.path().join("s.db").display()),
        Backend::Postgres => postgres::new_database().await,
    };
    let server = Process::start(&url, &[]).await;
    let sockets = [unread(&server).await, unread(&server).await];
    let attack = async {
        let raw = "x".repeat(60_000);
        let failures: Vec<Value> = (0..25).map(|cause| long(cause, &raw)).collect();
        let report = format!(
            "mutation ($failures: [SyncFailureInput!]!) {{ reportSyncFailures(input: {{ failures: $failures }}) {{ results {{ syncError {{ latestFailure {{ {} }} }} }} }} }}",
            aliases("raw", 190)
        );
        let token = both_scopes();
        let refused = server.ask(&token, &report, json!({ "failures": failures }));
        let refused = refused.await.expect("an answer").body;
        assert_too_large(&refused, "answerBytes", &["reportSyncFailures"]);
        let read = page(25, &format!("latestFailure {{ {} }}", aliases("raw", 190)));
        for _ in 0..3 {
            let token = reader();
            let asked = (0..8).map(|_| server.ask(&token, &read, json!({})));
            for answer in join_all(asked).await {
                assert_too_large(&answer.expect("an answer").body, "answerBytes", &["portal"]);
            }
        }
    };
    let innocent = async {
        for _ in 0..20 {
            let answer = server.ask(&reader(), &page(5, "title"), json!({})).await;
            assert!(answer.expect("an answer").body.get("errors").is_none());
        }
    };
    tokio::join!(attack, innocent);
    let peak = server.peak_memory() / 1024 / 1024;

    assert!(peak < 400, "{peak} MiB");
    drop(sockets);
    server.stop().await;
}

/// A socket with a hundred subscriptions to large events, each of its own kind, from which nothing is read.
async fn unread(server: &Process) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let url = format!("ws://{}/graphql", server.address);
    let mut request = url.into_client_request().expect("a URL");
    let headers = request.headers_mut();
    headers.insert(
        "sec-websocket-protocol",
        "graphql-transport-ws".parse().expect("a header"),
    );
    let token = format!("Bearer {}", reader()).parse().expect("a header");
    headers.insert("authorization", token);
    let (mut socket, _) = connect_async(request).await.expect("a socket");
    let mut say = async |message: Value| {
        let sent = socket.send(Message::text(message.to_string())).await;
        sent.expect("an open socket");
    };
    say(json!({ "type": "connection_init" })).await;
    for n in 0..100 {
        let query = format!(
            "subscription {{ syncErrorEvents {{ syncError {{ latestFailure {{ raw r{n}: raw }} }} }} }}"
        );
        say(json!({ "id": n.to_string(), "type": "subscribe", "payload": { "query": query } }))
            .await;
    }
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_under_attack_on_sqlite() {
    memory_under_attack(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_under_attack_on_postgres() {
    memory_under_attack(Backend::Postgres).await;
}
