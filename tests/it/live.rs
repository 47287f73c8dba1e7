//! Subscriptions: what happens is told as it happens, in order, and nothing is missed.

use std::collections::BTreeSet;

use chrono::{Duration, Utc};
use serde_json::{Value, json};
use sync_health::kernel::auth;

use crate::harness::live::{Event, EventStream, Socket};
use crate::harness::{Backend, Server, both, failure, manager, reader, success, token};

const EVENTS: &str = "subscription ($hubId: ID, $kinds: [SyncErrorEventKind!]! = [], $filter: SyncErrorEventFilter, $after: String) {
    syncErrorEvents(hubId: $hubId, kinds: $kinds, filter: $filter, after: $after) { cursor kind status affectedRecordCount syncError { type title affectedRecordCount } } }";
const CARDS: &str = "subscription ($hubId: ID) { categoriesUpdated(hubId: $hubId) { name openErrorCount affectedRecordCount } }";

const QUOTA: &str = "subscription ($hubId: ID) { quotaUpdated(hubId: $hubId) { usedLast24Hours } }";

/// The root fields of `Subscription`, for the table of root fields.
pub const ROOT_FIELDS: &[(&str, &str)] = &[
    ("syncErrorEvents", EVENTS),
    ("categoriesUpdated", CARDS),
    ("quotaUpdated", QUOTA),
    ("resyncBatchUpdated", crate::resync_live::BATCH),
    ("resyncWorkAvailable", crate::resync_live::WORK),
];

async fn event_cursor(server: &Server) -> Value {
    server.read("{ portal { eventCursor } }", json!({})).await["portal"]["eventCursor"].take()
}

both! {
    /// Query, then subscribe behind the cursor: what came between is told first, then what comes.
    async fn query_then_subscribe(server) {
        let after = event_cursor(server).await;
        server.record(json!([failure("1", 0, json!({}))])).await;
        let mut socket = Socket::connect(server, &reader()).await;
        socket.subscribe("a", EVENTS, json!({ "after": after })).await;
        let first = socket.data().await["syncErrorEvents"].take();
        assert_eq!((&first["kind"], &first["affectedRecordCount"], &first["syncError"]["type"]), (&json!("OPENED"), &json!(1), &json!("VALUE_TOO_LONG")));
        server.record(json!([failure("2", 1, json!({}))])).await;
        assert_eq!(socket.data().await["syncErrorEvents"]["kind"], "UPDATED");
        server.succeed(json!([success("1", 2), success("2", 2)])).await;
        let last = socket.data().await["syncErrorEvents"].take();
        assert_eq!((&last["kind"], &last["status"]), (&json!("RESOLVED"), &json!("RESOLVED")));
        server.record(json!([failure("1", 3, json!({}))])).await;
        assert_eq!(socket.data().await["syncErrorEvents"]["kind"], "REOPENED");
    }
}

both! {
    /// Kinds and filter choose; by default only what is new is told.
    async fn chosen_events(server) {
        let by_default = "subscription { syncErrorEvents { kind syncError { title } } }";
        let mut new = EventStream::open(server, &reader(), by_default, json!({}), None).await;
        new.opened().await;
        let filter = json!({ "categories": ["PICKLISTS"], "types": ["PICKLIST_VALUE_NOT_ALLOWED"], "systems": ["SALESFORCE"], "directions": ["HUBSPOT_TO_SALESFORCE"],
            "hubspotObjectTypes": ["contacts"], "salesforceObjectTypes": ["CONTACT"], "fields": ["tier__C"] });
        let mut picklists = EventStream::open(server, &reader(), EVENTS, json!({ "hubId": "1001", "filter": filter, "kinds": ["OPENED", "UPDATED"] }), None).await;
        picklists.opened().await;
        let picklist = |record: &str, at| failure(record, at, json!({ "code": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "message": "Tier: bad value for restricted picklist field: Gold", "fields": ["Tier__c"] }));
        server.record(json!([failure("1", 0, json!({}))])).await;
        server.record(json!([failure("2", 1, json!({}))])).await;
        server.record(json!([picklist("3", 2)])).await;
        server.record(json!([picklist("4", 3)])).await;
        for kind in ["OPENED", "UPDATED"] {
            let told = picklists.data().await["syncErrorEvents"].take();
            assert_eq!((&told["kind"], &told["syncError"]["type"]), (&json!(kind), &json!("PICKLIST_VALUE_NOT_ALLOWED")));
        }
        for title in ["Value too long (Contact: Title)", "Value is not an option (Contact: Tier__c)"] {
            let told = new.data().await["syncErrorEvents"].take();
            assert_eq!((&told["kind"], &told["syncError"]["title"]), (&json!("OPENED"), &json!(title)));
        }
    }
}

both! {
    /// A stream that is cut goes on behind the last id that it heard, also when that was no event.
    async fn cut_and_resumed(server) {
        let mut stream = EventStream::open(server, &reader(), EVENTS, json!({}), None).await;
        stream.opened().await;
        let opening = stream.last_id.take();
        drop(stream);
        for round in 0..3 {
            server.record(json!([failure(&round.to_string(), round, json!({}))])).await;
        }
        let mut stream = EventStream::open(server, &reader(), EVENTS, json!({}), opening.as_deref()).await;
        let mut counts = vec![stream.data().await["syncErrorEvents"]["affectedRecordCount"].take()];
        let heard = stream.last_id.take();
        drop(stream);
        let mut stream = EventStream::open(server, &reader(), EVENTS, json!({ "after": "is overridden" }), heard.as_deref()).await;
        for _ in 0..2 {
            counts.push(stream.data().await["syncErrorEvents"]["affectedRecordCount"].take());
        }
        assert_eq!(counts, [1, 2, 3]);
    }
}

both! {
    /// The cards: all eight at once, then those that changed, the last state always.
    async fn cards(server) {
        server.record(json!([failure("1", 0, json!({}))])).await;
        let mut socket = Socket::connect(server, &reader()).await;
        socket.subscribe("c", CARDS, json!({ "hubId": "1001" })).await;
        let all = socket.data().await["categoriesUpdated"].take();
        assert_eq!(all.as_array().map(Vec::len), Some(8));
        assert_eq!(all[6], json!({ "name": "PROPERTY_VALUES", "openErrorCount": 1, "affectedRecordCount": 1 }));
        for round in 1..20 {
            server.record(json!([failure(&format!("r{round}"), round, json!({}))])).await;
        }
        let mut last = Value::Null;
        while last["affectedRecordCount"] != 20 {
            let changed = socket.data().await["categoriesUpdated"].take();
            assert_eq!(changed.as_array().map(Vec::len), Some(1), "{changed:#}");
            last = changed[0].clone();
        }
    }
}

both! {
    /// What cannot start says why, by both transports.
    async fn refused(server) {
        let both_scopes = token(&["1001"], "sync-health:report");
        for (token, query, variables, code) in [
            (reader(), EVENTS, json!({ "hubId": "1002" }), "NOT_FOUND"),
            (reader(), CARDS, json!({ "hubId": "999" }), "NOT_FOUND"),
            (reader(), QUOTA, json!({ "hubId": "999" }), "NOT_FOUND"),
            (both_scopes.clone(), EVENTS, json!({}), "FORBIDDEN"),
            (both_scopes.clone(), CARDS, json!({}), "FORBIDDEN"),
            (both_scopes, QUOTA, json!({}), "FORBIDDEN"),
            (reader(), EVENTS, json!({ "after": "nonsense" }), "BAD_USER_INPUT"),
            (reader(), EVENTS, json!({ "after": "AQAAAAAAAAABAAAAAAAAAAE" }), "CURSOR_EXPIRED"),
            (reader(), EVENTS, json!({ "kinds": ["LOST"] }), "BAD_USER_INPUT"),
            (reader(), "subscription { nonsense }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            (reader(), "subscription { a: syncErrorEvents { kind } b: syncErrorEvents { kind } }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            (reader(), "subscription { ...F ...G } fragment F on Subscription { syncErrorEvents { kind } } fragment G on Subscription { categoriesUpdated { name } }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            (reader(), "subscription { __typename }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
            (reader(), "subscription { syncErrorEvents @skip(if: false) { kind } }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ] {
            let mut socket = Socket::connect(server, &token).await;
            socket.subscribe("x", query, variables.clone()).await;
            let error = socket.next().await;
            assert_eq!((&error["type"], &error["id"], &error["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("x"), &json!(code)), "{query}: {error:#}");
            let mut stream = EventStream::open(server, &token, query, variables, None).await;
            let told = stream.next().await.expect("an event");
            assert_eq!((told.name.as_str(), &told.data["errors"][0]["extensions"]["code"]), ("next", &json!(code)), "{query}: {told:?}");
            assert_eq!(stream.next().await, Some(Event { name: "complete".into(), data: Value::Null }));
            assert_eq!(stream.next().await, None);
        }
        let answer = server.ask(&reader(), EVENTS, json!({})).await;
        assert!(answer["errors"][0]["message"].as_str().is_some_and(|text| text.contains("text/event-stream")), "{answer:#}");
    }
}

both! {
    /// The root field may stand in a fragment; queries and mutations run by both transports too.
    async fn other_operations(server) {
        let mut socket = Socket::connect(server, &manager()).await;
        let in_fragment = "subscription { ...Root } fragment Root on Subscription { ... on Subscription { live: categoriesUpdated { name } } }";
        socket.subscribe("s", in_fragment, json!({})).await;
        assert_eq!(socket.data().await["live"].as_array().map(Vec::len), Some(8));
        socket.subscribe("q", "{ portal { hubId } }", json!({})).await;
        let answer = socket.next().await;
        assert_eq!((&answer["id"], &answer["payload"]["data"]), (&json!("q"), &json!({ "portal": { "hubId": "1001" } })));
        assert!(answer["payload"]["extensions"]["cost"].is_object());
        assert_eq!(socket.next().await, json!({ "id": "q", "type": "complete" }));
        socket.subscribe("m", "mutation { configurePortal(input: { name: \"Nordwind\" }) { portal { name } } }", json!({})).await;
        assert_eq!(socket.data().await["configurePortal"]["portal"]["name"], "Nordwind");
        assert_eq!(socket.next().await, json!({ "id": "m", "type": "complete" }));
        let mut stream = EventStream::open(server, &manager(), "{ portal { name } }", json!({}), None).await;
        assert_eq!(stream.data().await["portal"]["name"], "Nordwind");
        assert_eq!(stream.next().await.map(|event| event.name), Some("complete".into()));
    }
}

both! {
    /// The close codes of the protocol, and its pings.
    async fn protocol(server) {
        let open = || Socket::open(server, "graphql-transport-ws");
        let mut unknown = Socket::open(server, "").await;
        assert_eq!(unknown.closed().await, 4406);
        for (text, code) in [("nonsense", 4400), ("{\"type\":\"start\"}", 4400), ("{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":\"{ service { version } }\"}}", 4401)] {
            let mut socket = open().await;
            socket.say(text).await;
            assert_eq!(socket.closed().await, code, "{text}");
        }
        let mut long = Socket::connect(server, &reader()).await;
        let filler = |bytes: usize| "x".repeat(bytes - "{\"type\":\"ping\",\"payload\":{\"x\":\"\"}}".len());
        let limit = sync_health::kernel::limits::WEB_SOCKET_MESSAGE_BYTES.value;
        long.send(json!({ "type": "ping", "payload": { "x": filler(limit) } })).await;
        assert_eq!(long.next().await["type"], "pong");
        long.send(json!({ "type": "ping", "payload": { "x": filler(limit + 1) } })).await;
        assert_eq!(long.closed().await, 4400);
        let mut forged = open().await;
        forged.init("forged").await;
        assert_eq!(forged.closed().await, 4403);
        let mut twice = Socket::connect(server, &reader()).await;
        twice.init(&reader()).await;
        assert_eq!(twice.closed().await, 4429);
        let mut same_id = Socket::connect(server, &reader()).await;
        same_id.subscribe("1", EVENTS, json!({})).await;
        same_id.subscribe("1", EVENTS, json!({})).await;
        assert_eq!(same_id.closed().await, 4409);
        let mut many = Socket::connect(server, &reader()).await;
        for id in 0..=100 { many.subscribe(&id.to_string(), EVENTS, json!({})).await; }
        assert_eq!(many.closed().await, 4429);
        let mut pinging = open().await;
        pinging.send(json!({ "type": "ping", "payload": { "n": 1 } })).await;
        assert_eq!(pinging.next().await, json!({ "type": "pong", "payload": { "n": 1 } }));
        pinging.send(json!({ "type": "pong" })).await;
        pinging.init(&reader()).await;
        assert_eq!(pinging.next().await, json!({ "type": "connection_ack" }));
        // What an ended operation had on its way does not come under an id that is used again.
        let mut again = Socket::connect(server, &reader()).await;
        for _ in 0..50 {
            again.subscribe("1", CARDS, json!({})).await;
            again.send(json!({ "id": "1", "type": "complete" })).await;
        }
        again.subscribe("1", CARDS, json!({})).await;
        let mut all = again.next().await;
        while all["type"] != "next" { all = again.next().await; }
        again.subscribe("2", "{ service { version } }", json!({})).await;
        let mut seen = Vec::new();
        while seen.last() != Some(&json!("complete")) {
            let message = again.next().await;
            if message["id"] == "2" { seen.push(message["type"].clone()); } else { assert_ne!(message["type"], "complete", "{message:#}"); }
        }
        // An id is free again when its operation is complete.
        pinging.subscribe("1", CARDS, json!({})).await;
        pinging.data().await;
        pinging.send(json!({ "id": "1", "type": "complete" })).await;
        pinging.subscribe("1", CARDS, json!({})).await;
        pinging.data().await;
    }
}

/// Who does not say who it is, is sent away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_socket() {
    let server = Server::start(Backend::Sqlite).await;
    let mut silent = Socket::open(&server, "graphql-transport-ws").await;
    assert_eq!(silent.closed().await, 4408);
    server.finish().await;
}

both! {
    /// When its token is over, and the leeway of 60 seconds too, a socket closes and a stream ends, without a word that
    /// it is complete: both come back with another.
    async fn expiring_token(server) {
        let soon = Utc::now() - Duration::seconds(57);
        let token = auth::sign(b"a secret of the tests, 32 bytes or more", "s", &["1001".into()], "sync-health:read", soon).unwrap_or_default();
        let mut socket = Socket::connect(server, &token).await;
        socket.subscribe("1", CARDS, json!({})).await;
        let mut stream = EventStream::open(server, &token, CARDS, json!({}), None).await;
        stream.data().await;
        assert_eq!(socket.closed().await, 4403);
        assert_eq!(stream.next().await, None);
    }
}

/// A server that stops closes its sockets so that clients come back, and ends its streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping() {
    let server = Server::start(Backend::Sqlite).await;
    let mut socket = Socket::connect(&server, &reader()).await;
    socket.subscribe("1", CARDS, json!({})).await;
    socket.data().await;
    let mut stream = EventStream::open(&server, &reader(), EVENTS, json!({}), None).await;
    stream.opened().await;
    let (code, last, ()) = tokio::join!(socket.closed(), stream.next(), server.finish());
    assert_eq!((code, last), (1012, None));
}

/// Reads a stream to the position of `count` events, cut off now and then; answers the counts of records as told.
async fn told(server: &Server, start: Value, count: usize, cut_after: usize) -> Vec<u64> {
    let (mut told, mut after) = (Vec::new(), start.as_str().map(str::to_owned));
    while told.len() < count {
        let mut stream =
            EventStream::open(server, &reader(), EVENTS, json!({}), after.as_deref()).await;
        for _ in 0..cut_after.min(count - told.len()) {
            let event = stream.data().await["syncErrorEvents"].take();
            told.push(event["affectedRecordCount"].as_u64().expect("a number"));
        }
        after = stream.last_id;
    }
    told
}

both! {
    /// While failures pour in from several reporters, subscribers that are cut off again and again hear each event once, in order.
    async fn nothing_lost(server) {
        const EACH: usize = 40;
        let start = event_cursor(server).await;
        let report = |reporter: usize| async move {
            for n in 0..EACH {
                server.record(json!([failure(&format!("{reporter}-{n}"), 0, json!({}))])).await;
            }
        };
        let count = 3 * EACH;
        let (_, _, _, often, seldom, whole) = tokio::join!(report(1), report(2), report(3),
            told(server, start.clone(), count, 3), told(server, start.clone(), count, 17), told(server, start.clone(), count, count));
        let expected: Vec<u64> = (1..=count as u64).collect();
        assert_eq!((&often, &seldom, &whole), (&expected, &expected, &expected));
    }
}

both! {
    /// Subscribers that select the same share what is written, those that select otherwise do not; a nested page is its own.
    async fn shared_events(server) {
        let after = event_cursor(server).await;
        let small = "subscription ($after: String) { syncErrorEvents(after: $after) { kind syncError { code } } }";
        let nested = "subscription ($after: String, $first: Int) { syncErrorEvents(after: $after) { syncError { affectedRecords(first: $first) { totalCount nodes { hubspotRecord { recordId } } } latestFailure { code } } } }";
        let mut sockets = Vec::new();
        for (query, first) in [(EVENTS, 0), (EVENTS, 0), (small, 0), (small, 0), (nested, 1), (nested, 2)] {
            let mut socket = Socket::connect(server, &reader()).await;
            let variables = if first == 0 { json!({ "after": after }) } else { json!({ "after": after, "first": first }) };
            socket.subscribe("1", query, variables).await;
            sockets.push(socket);
        }
        let three: Vec<_> = (0..3).map(|n| failure(&n.to_string(), n, json!({}))).collect();
        server.record(json!(three)).await;
        let mut told = Vec::new();
        for socket in &mut sockets {
            told.push(socket.data().await["syncErrorEvents"].take());
        }
        assert_eq!(told[0], told[1]);
        assert_eq!(told[0]["syncError"]["affectedRecordCount"], 3);
        assert_eq!((&told[2], &told[3]), (&json!({ "kind": "OPENED", "syncError": { "code": "STRING_TOO_LONG" } }), &told[2]));
        for (at, first) in [(4, 1), (5, 2)] {
            let error = &told[at]["syncError"];
            assert_eq!(error["affectedRecords"]["nodes"].as_array().map(Vec::len), Some(first), "{error:#}");
            assert_eq!((&error["affectedRecords"]["totalCount"], &error["latestFailure"]["code"]), (&json!(3), &json!("STRING_TOO_LONG")));
        }
    }
}

/// The reader is on another server than the writer: it hears by NOTIFY, and without it looks around.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica() {
    let writer = Server::start(Backend::Postgres).await;
    for hears in [true, false] {
        let url = writer.database_url.clone();
        let replica = Server::start_with(Backend::Sqlite, |config| {
            config.database_url = url;
            config.hears_others = hears;
        })
        .await;
        let mut stream = EventStream::open(&replica, &reader(), EVENTS, json!({}), None).await;
        stream.opened().await;
        let first = if hears { 0 } else { 5 };
        for n in first..first + 5 {
            writer
                .record(json!([failure(&n.to_string(), 0, json!({}))]))
                .await;
        }
        let mut counts = BTreeSet::new();
        for _ in 0..5 {
            let told = stream.data().await["syncErrorEvents"].take();
            counts.insert(told["affectedRecordCount"].as_u64().expect("a number"));
        }
        assert_eq!(counts, (first + 1..first + 6).collect());
        replica.stop().await;
    }
    writer.finish().await;
}
