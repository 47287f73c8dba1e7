//! Tickets for `EventSource`, and the limits of what is live.

use std::time::Duration;

use serde_json::{Value, json};
use sync_health::kernel::config::Config;

use crate::contract::CONTRACT;
use crate::harness::live::{EventStream, Socket};
use crate::harness::{both, engine, eventually, failure, metric, reader, token};
use crate::live;
use crate::resync::{claim, errors, items, resync};

const CREATE: &str = "mutation ($input: CreateStreamTicketInput!) { createStreamTicket(input: $input) { ticket expiresAt userErrors { field code message } } }";
const EVENTS: &str = "subscription Live($after: String, $kinds: [SyncErrorEventKind!]! = []) { syncErrorEvents(after: $after, kinds: $kinds) { cursor kind affectedRecordCount syncError { message } } }";
const CARDS: &str = "subscription { categoriesUpdated { name openErrorCount } }";

both! {
    /// A ticket opens its one subscription, as often as it is asked, without a header; cut off, it goes on where it was.
    async fn ticket(server) {
        let after = server.read("{ portal { eventCursor } }", json!({})).await["portal"]["eventCursor"].take();
        let input = json!({ "query": EVENTS, "variables": json!({ "after": after }).to_string(), "operationName": "Live" });
        let mut created = server.data(&reader(), CREATE, json!({ "input": input })).await["createStreamTicket"].take();
        assert_eq!(created["userErrors"], json!([]));
        assert!(created["expiresAt"].as_str().is_some_and(|at| at.ends_with('Z')));
        let ticket = created["ticket"].take();
        let ticket = ticket.as_str().expect("a ticket");
        server.record(json!([failure("1", 0, json!({}))])).await;
        let mut stream = EventStream::with_ticket(server, ticket, None).await;
        assert_eq!(stream.data().await["syncErrorEvents"]["kind"], "OPENED");
        let heard = stream.last_id.take();
        drop(stream);
        server.record(json!([failure("2", 1, json!({}))])).await;
        let mut stream = EventStream::with_ticket(server, ticket, heard.as_deref()).await;
        assert_eq!(stream.data().await["syncErrorEvents"]["affectedRecordCount"], 2);
        // It opens nothing else: not another operation, not as a token, not when it is changed.
        let open = async |url: String, accept: &'static str| {
            let request = server.http.get(url).header("accept", accept);
            request.send().await.expect("an answer").status().as_u16()
        };
        let url = format!("{}/graphql?ticket={ticket}", server.url);
        assert_eq!(open(format!("{url}x"), "text/event-stream").await, 401);
        assert_eq!(open(format!("{url}&query={{viewer{{subject}}}}"), "application/graphql-response+json").await, 400);
        assert_eq!(server.error_code(ticket, "{ viewer { subject } }", json!({})).await, "UNAUTHENTICATED");
        let as_ticket = format!("{}/graphql?ticket={}", server.url, reader());
        assert_eq!(open(as_ticket, "text/event-stream").await, 401);
    }
}

both! {
    /// What a ticket cannot be made for says why.
    async fn no_ticket(server) {
        let long = format!("subscription {{ categoriesUpdated {{ name }} }} #{}", "x".repeat(6_000));
        for (query, variables, path, code) in [
            ("{ viewer { subject } }", Value::Null, "query", "INVALID"),
            ("subscription {", Value::Null, "query", "INVALID"),
            ("subscription { a: categoriesUpdated { name } b: categoriesUpdated { name } }", Value::Null, "query", "INVALID"),
            ("subscription { categoriesUpdated(hubId: \"1002\") { name } }", Value::Null, "query", "NOT_FOUND"),
            (EVENTS, json!("[]"), "variables", "INVALID"),
            (EVENTS, json!("{\"kinds\":[\"LOST\"]}"), "variables", "INVALID"),
            (&long, Value::Null, "query", "TOO_LONG"),
        ] {
            let input = json!({ "query": query, "variables": variables });
            let answer = server.data(&reader(), CREATE, json!({ "input": input })).await["createStreamTicket"].take();
            assert_eq!((&answer["ticket"], &answer["userErrors"][0]["field"], &answer["userErrors"][0]["code"]), (&Value::Null, &json!(["input", path]), &json!(code)), "{query}: {answer:#}");
        }
        let input = json!({ "input": { "query": CARDS } });
        assert_eq!(server.error_code(&engine(), CREATE, input.clone()).await, "FORBIDDEN");
        let several = server.data(&token(&["1001", "1002"], "sync-health:read"), CREATE, input).await;
        assert_eq!(several["createStreamTicket"]["userErrors"][0]["code"], "NOT_FOUND", "{several:#}");
    }
}

both! {
    /// Every stream is open as soon as it is accepted, also when nothing ever comes, with a ticket too; a socket goes on.
    async fn open_at_once(server) {
        let token = token(&["1001"], "sync-health:read sync-health:report sync-health:manage");
        let ids = errors(server, json!([failure("1", 0, json!({}))])).await;
        let batch = resync(server, json!({ "errorIds": [ids[0]] })).await["batch"]["id"].take();
        items(&claim(server, json!({})).await);
        let mut socket = Socket::connect(server, &token).await;
        for field in subscription_fields() {
            let (_, query) = live::ROOT_FIELDS.iter().find(|(name, _)| *name == field).unwrap_or_else(|| panic!("no test opens {field}"));
            let variables = match field.as_str() {
                "resyncBatchUpdated" => json!({ "id": batch }),
                _ => json!({}),
            };
            let input = json!({ "query": query, "variables": variables.to_string() });
            let created = server.data(&token, CREATE, json!({ "input": input })).await["createStreamTicket"].take();
            let ticket = created["ticket"].as_str().unwrap_or_else(|| panic!("{field}: {created:#}"));
            let opening = async { (EventStream::open(server, &token, query, variables.clone(), None).await, EventStream::with_ticket(server, ticket, None).await) };
            let opened = tokio::time::timeout(PATIENCE, opening).await;
            let (mut stream, mut with_ticket) = opened.unwrap_or_else(|_| panic!("{field} is not open"));
            stream.sign_of_life().await;
            with_ticket.sign_of_life().await;
            // A protocol without a word for it: that it is open is heard by what else is.
            socket.subscribe(&field, query, variables).await;
            socket.send(json!({ "type": "ping" })).await;
            let mut heard = socket.next().await;
            while heard["type"] != "pong" {
                assert_eq!(heard["type"], "next", "{heard:#}");
                heard = socket.next().await;
            }
        }
    }
}

/// Longer than opening takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

fn subscription_fields() -> Vec<String> {
    let schema = apollo_compiler::Schema::parse(CONTRACT, "schema.graphql").expect("the contract");
    let fields = &schema
        .get_object("Subscription")
        .expect("subscriptions")
        .fields;
    assert!(fields.len() > 4);
    fields.keys().map(ToString::to_string).collect()
}

fn few(config: &mut Config) {
    config.live.connections = 3;
    config.live.portal_subscriptions = 4;
}

both! {
    configure = super::few;
    /// A server has so many connections and a portal so many subscriptions: the next one is told, and the limits are in `service`.
    async fn full(server) {
        let mut socket = Socket::connect(server, &reader()).await;
        for id in ["1", "2"] {
            socket.subscribe(id, CARDS, json!({})).await;
            socket.data().await;
        }
        let mut streams = Vec::new();
        for _ in 0..2 {
            let mut stream = EventStream::open(server, &reader(), CARDS, json!({}), None).await;
            stream.data().await;
            streams.push(stream);
        }
        socket.subscribe("3", CARDS, json!({})).await;
        let refused = socket.next().await;
        assert_eq!((&refused["type"], &refused["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("RATE_LIMITED")), "{refused:#}");
        let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth(reader()).header("accept", "text/event-stream");
        let refused = request.json(&json!({ "query": CARDS })).send().await.expect("an answer");
        assert_eq!(refused.status(), 429);
        let body: Value = refused.json().await.expect("JSON");
        assert!(body["errors"][0]["message"].as_str().is_some_and(|text| text.contains("liveConnections")), "{body:#}");
        assert_eq!(Socket::refused(server, &reader()).await, 429);
        for (start, expected) in [("sync_health_live{kind=\"websocket\"}", 1.0), ("sync_health_live{kind=\"sse\"}", 2.0), ("sync_health_live{kind=\"subscription\"}", 4.0)] {
            assert_eq!(metric(server, start).await, Some(expected), "{start}");
        }
        drop(streams);
        eventually("seats that are free again", async || {
            let mut stream = EventStream::try_open(server, &reader(), CARDS).await?;
            Some(stream.data().await)
        }).await;
        let limits = server.data(&reader(), "{ service { limits { name value } } }", json!({})).await;
        for (name, value) in [("liveConnections", 3), ("portalSubscriptions", 4)] {
            let told = limits["service"]["limits"].as_array().expect("limits").iter().find(|limit| limit["name"] == name);
            assert_eq!(told, Some(&json!({ "name": name, "value": value })));
        }
    }
}

both! {
    /// Who sends too many messages is sent away.
    async fn flood(server) {
        let mut socket = Socket::connect(server, &reader()).await;
        for _ in 0..1_000 {
            if socket.try_say("{\"type\":\"pong\"}").await.is_none() { break; }
        }
        assert_eq!(socket.closed().await, 4429);
    }
}

fn impatient(config: &mut Config) {
    config.live.send = Duration::from_millis(300);
}

fn lively(config: &mut Config) {
    config.live.ping = Duration::from_millis(500);
}

both! {
    configure = super::impatient;
    /// A client that does not read is cut off, by both transports; who reads is not held up, and the cursor lets the
    /// other go on where it was.
    async fn unread(server) {
        const ROUNDS: u64 = 40;
        let message = "x".repeat(16_000);
        let after = server.read("{ portal { eventCursor } }", json!({})).await["portal"]["eventCursor"].take();
        let mut unread = Socket::connect(server, &reader()).await;
        for id in 0..100 {
            unread.subscribe(&id.to_string(), EVENTS, json!({ "after": after })).await;
        }
        let mut stream = EventStream::open(server, &reader(), EVENTS, json!({ "after": after }), None).await;
        let mut read = Socket::connect(server, &reader()).await;
        read.subscribe("1", EVENTS, json!({ "after": after })).await;
        for round in 1..=ROUNDS {
            server.record(json!([failure(&round.to_string(), 0, json!({ "code": "A_CODE", "message": message }))])).await;
            let event = read.data().await["syncErrorEvents"].take();
            assert_eq!(event["affectedRecordCount"], round);
        }
        eventually("the cut", async || metric(server, "sync_health_refusals_total{limit=\"sendSeconds\"}").await).await;
        let mut heard = 0;
        let mut last = after.clone();
        while let Some(message) = unread.until_cut().await {
            if message["id"] == "7" {
                heard += 1;
                let event = &message["payload"]["data"]["syncErrorEvents"];
                assert_eq!(event["affectedRecordCount"], heard);
                last = event["cursor"].clone();
            }
        }
        assert!(heard < ROUNDS, "it was not cut");
        let mut again = Socket::connect(server, &reader()).await;
        again.subscribe("7", EVENTS, json!({ "after": last })).await;
        for expected in heard + 1..=ROUNDS {
            assert_eq!(again.data().await["syncErrorEvents"]["affectedRecordCount"], expected);
        }
        for expected in 1..=ROUNDS {
            assert_eq!(stream.data().await["syncErrorEvents"]["affectedRecordCount"], expected);
        }
    }
}

both! {
    configure = super::lively;
    /// Both sides give signs of life: a stream its position, a socket its ping; who does not answer is given up.
    async fn signs_of_life(server) {
        let mut stream = EventStream::open(server, &reader(), EVENTS, json!({}), None).await;
        stream.opened().await;
        let opened = stream.last_id.take();
        // What does not match moves the position on: it need not be looked at again after a cut.
        let mut opened_only = EventStream::open(server, &reader(), EVENTS, json!({ "kinds": ["RESOLVED"] }), None).await;
        opened_only.opened().await;
        server.record(json!([failure("1", 0, json!({}))])).await;
        assert_eq!(stream.data().await["syncErrorEvents"]["kind"], "OPENED");
        assert_ne!(stream.last_id, opened);
        eventually("a later position", async || {
            opened_only.sign_of_life().await;
            (opened_only.last_id == stream.last_id).then_some(())
        }).await;
        let mut socket = Socket::connect(server, &reader()).await;
        for _ in 0..3 {
            assert_eq!(socket.raw().await, Some(json!({ "type": "ping" })));
            socket.say("{\"type\":\"pong\"}").await;
        }
        while socket.raw().await.is_some() {}
    }
}
