//! A cursor knows its history: where an older copy of the database was put back, it says so instead of going on among
//! other events.

mod running;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Duration;
use serde_json::{Value, json};

use crate::harness::copies::{Place, serve_on};
use crate::harness::live::{EventStream, Socket};
use crate::harness::{Backend, Server, engine, failure, minute, reader};

const FEED: &str = "query ($after: String) { portal { eventCursor
    syncErrorEvents(after: $after) { totalCount pageInfo { endCursor } edges { cursor } nodes { id cursor affectedRecordCount } } } }";
const PORTAL_EVENTS: &str = "query ($after: String) { portal { events(after: $after) { pageInfo { endCursor } edges { cursor } nodes { id cursor kind } } } }";
const EVENTS: &str = "subscription ($kinds: [SyncErrorEventKind!]! = [], $after: String) { syncErrorEvents(kinds: $kinds, after: $after) { cursor affectedRecordCount } }";
const TICKET: &str =
    "mutation ($input: CreateStreamTicketInput!) { createStreamTicket(input: $input) { ticket } }";

/// So many failures of one cause, each a change and an event of its own.
async fn grow(server: &Server, name: &str, count: usize) {
    for number in 0..count {
        let record = format!("{name}-{number}");
        server.record(json!([failure(&record, 0, json!({}))])).await;
    }
}

/// The portal stops to sync, or goes on: events about the portal as a whole.
async fn turn(server: &Server, state: &str, at: i64) {
    let report = "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { userErrors { message } } }";
    let input = json!({ "syncState": state, "occurredAt": minute(at) });
    let told = server
        .data(&engine(), report, json!({ "input": input }))
        .await;
    assert_eq!(told["reportPortalState"]["userErrors"], json!([]));
}

async fn feed(server: &Server, after: &Value) -> Value {
    server.read(FEED, json!({ "after": after })).await["portal"].take()
}

/// Asks for what comes behind a cursor by every road; the code of each road's refusal, or what it tells first.
async fn roads(server: &Server, cursor: &str) -> Vec<String> {
    let mut told = Vec::new();
    let answer = |answer: Value| match answer["errors"][0]["extensions"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => answer["data"]["syncErrorEvents"]["affectedRecordCount"].to_string(),
    };
    let after = json!({ "after": cursor });
    for query in [FEED, PORTAL_EVENTS] {
        told.push(answer(server.ask(&reader(), query, after.clone()).await));
    }
    let mut socket = Socket::connect(server, &reader()).await;
    socket.subscribe("1", EVENTS, after.clone()).await;
    let message = socket.next().await;
    let payload = match message["type"].as_str() {
        Some("error") => json!({ "errors": message["payload"] }),
        _ => message["payload"].clone(),
    };
    told.push(answer(payload));
    let ticket = json!({ "input": { "query": EVENTS } });
    let ticket = server.read(TICKET, ticket).await["createStreamTicket"]["ticket"].take();
    let ticket = ticket.as_str().expect("a ticket");
    for mut stream in [
        EventStream::open(server, &reader(), EVENTS, after, None).await,
        EventStream::open(server, &reader(), EVENTS, json!({}), Some(cursor)).await,
        EventStream::with_ticket(server, ticket, Some(cursor)).await,
    ] {
        told.push(answer(stream.next().await.expect("an event").data));
    }
    told
}

/// The cursor as versions before digests gave it out.
fn of_version_1(cursor: &str) -> String {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).expect("a cursor");
    assert_eq!((bytes[0], bytes.len()), (2, 25));
    BASE64_URL_SAFE_NO_PAD.encode([&[1], &bytes[1..17]].concat())
}

/// Every place that tells a cursor.
async fn all_cursors(server: &Server, after: &Value) -> Vec<String> {
    let mut cursors = Vec::new();
    let told = feed(server, after).await;
    let mut socket = Socket::connect(server, &reader()).await;
    socket
        .subscribe("1", EVENTS, json!({ "after": after }))
        .await;
    let mut stream =
        EventStream::open(server, &reader(), EVENTS, json!({ "after": after }), None).await;
    for _ in told["syncErrorEvents"]["nodes"].as_array().expect("events") {
        cursors.push(socket.data().await["syncErrorEvents"]["cursor"].clone());
        cursors.push(stream.data().await["syncErrorEvents"]["cursor"].clone());
        cursors.push(json!(stream.last_id));
    }
    // A stream that no event matches tells how far it has looked.
    let variables = json!({ "after": after, "kinds": ["RESYNC_REQUESTED"] });
    let mut silent = EventStream::open(server, &reader(), EVENTS, variables, None).await;
    while json!(silent.last_id) != told["eventCursor"] {
        silent.sign_of_life().await;
    }
    let about_portal = server.read(PORTAL_EVENTS, json!({ "after": after })).await;
    for list in [&told["syncErrorEvents"], &about_portal["portal"]["events"]] {
        cursors.push(list["pageInfo"]["endCursor"].clone());
        for of in ["edges", "nodes"] {
            let entries = list[of].as_array().expect("entries").iter();
            cursors.extend(entries.map(|entry| entry["cursor"].clone()));
        }
    }
    cursors.push(told["eventCursor"].clone());
    let text = |cursor: &Value| cursor.as_str().expect("a cursor").to_owned();
    cursors.iter().map(text).collect()
}

/// The ids of all events behind a cursor.
async fn all_ids(server: &Server, after: &Value) -> Vec<Value> {
    let told = feed(server, after).await;
    let about_portal = server.read(PORTAL_EVENTS, json!({ "after": after })).await;
    let mut ids = Vec::new();
    for list in [&told["syncErrorEvents"], &about_portal["portal"]["events"]] {
        let nodes = list["nodes"].as_array().expect("events").iter();
        ids.extend(nodes.map(|node| node["id"].clone()));
    }
    ids
}

async fn nodes(server: &Server, ids: &[Value]) -> Vec<Value> {
    let mut found = Vec::new();
    for id in ids {
        let query = "query ($id: ID!) { node(id: $id) { id } }";
        found.push(server.read(query, json!({ "id": id })).await["node"].take());
    }
    found
}

/// A copy of five events is put back after five more, and eight new ones happen: cursors of the lost history lead nowhere,
/// by whatever road, those of the common one go on, and so do those that an older version gave out.
async fn put_back_and_regrown(backend: Backend) {
    let place = Place::new(backend).await;
    let lively = |config: &mut sync_health::kernel::config::Config| {
        config.live.ping = std::time::Duration::from_millis(200);
    };
    let server = place.serve(lively).await;
    grow(&server, "common", 4).await;
    turn(&server, "SUSPENDED", 1).await;
    let copy = place.copy().await;
    let common = feed(&server, &Value::Null).await["eventCursor"].take();
    let before = feed(&server, &Value::Null).await["syncErrorEvents"]["edges"][2]["cursor"].take();
    grow(&server, "lost", 4).await;
    turn(&server, "ACTIVE", 2).await;
    let lost = all_cursors(&server, &common).await;
    assert!(lost.len() > 20, "{lost:?}");
    let (common_ids, lost_ids) = (
        all_ids(&server, &before).await,
        all_ids(&server, &common).await,
    );
    assert_eq!(
        nodes(&server, &lost_ids)
            .await
            .iter()
            .filter(|node| node.is_null())
            .count(),
        0
    );
    server.stop().await;

    place.exchange(&copy).await;
    let server = place.serve(|_| {}).await;
    server.pass(Duration::seconds(1));
    for cursor in &lost {
        assert_eq!(roads(&server, cursor).await, ["CURSOR_EXPIRED"; 6], "ahead");
    }
    grow(&server, "new", 8).await;
    for cursor in &lost {
        assert_eq!(
            roads(&server, cursor).await,
            ["CURSOR_EXPIRED"; 6],
            "in another history"
        );
    }
    assert_eq!(
        nodes(&server, &lost_ids).await,
        vec![Value::Null; lost_ids.len()]
    );
    assert_eq!(
        nodes(&server, &common_ids[..1])
            .await
            .iter()
            .filter(|node| node.is_null())
            .count(),
        0
    );
    for cursor in [
        &common,
        &json!(of_version_1(common.as_str().expect("a cursor"))),
    ] {
        let told = feed(&server, cursor).await;
        assert_eq!(told["syncErrorEvents"]["totalCount"], 13 - 1);
        assert_eq!(
            told["syncErrorEvents"]["nodes"].as_array().map(Vec::len),
            Some(8)
        );
        let cursor = cursor.as_str().expect("a cursor");
        assert_eq!(
            roads(&server, cursor).await,
            ["null", "null", "5", "5", "5", "5"]
        );
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn put_back_and_regrown_on_sqlite() {
    put_back_and_regrown(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn put_back_and_regrown_on_postgres() {
    put_back_and_regrown(Backend::Postgres).await;
}

/// Grows a copy in a history of its own.
async fn regrow(copy: &str, count: usize) {
    let server = serve_on(copy, |_| {}).await;
    server.pass(Duration::seconds(7));
    grow(&server, "new", count).await;
    server.stop().await;
}
