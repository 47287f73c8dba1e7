//! Every door of a server, and what each answers while the database cannot do what is asked.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::reports::{ALLOCATE, allocation, report};
use crate::exports::EXPORT;
use crate::harness::process::{Process, Reply, patient_client};
use crate::harness::remote::EVENTS;
use crate::harness::{engine, eventually, failure, manager, reader};

const READ: &str = "{ portal { eventCursor syncErrors { totalCount nodes { title } } } }";
const FIRST: &str = "{ portal { syncErrorEvents(first: 1) { nodes { cursor } } } }";
const RESERVE: &str = "mutation ($input: ReserveApiCallsInput!) { reserveApiCalls(input: $input) { reservation { id } } }";
const UNAVAILABLE: &str = "UNAVAILABLE";

/// A door, and what it answered: nothing where that was well.
type Answered = (&'static str, Option<String>);

pub struct Doors {
    http: reqwest::Client,
    url: String,
    /// Where an export is downloaded from that was ordered before.
    export: String,
    /// Of an event that others follow: who subscribes hears at once.
    cursor: Value,
}

impl Doors {
    /// Those of a server that works.
    pub async fn of(server: &Process) -> Self {
        let http = patient_client();
        for name in ["before", "behind"] {
            let begun = server.send(&engine(), &report(name)).await;
            let begun = begun.expect("an answer");
            assert!(begun.body.get("errors").is_none(), "{begun:#?}");
        }
        let first = server.ask(&reader(), FIRST, json!({})).await;
        let first = first.expect("an answer").body["data"]["portal"].take();
        let input = json!({ "input": { "format": "CSV" } });
        let ordered = server.ask(&reader(), EXPORT, input).await;
        let order = ordered.expect("an answer").body["data"]["exportSyncErrors"].take();
        let doors = Self {
            http,
            url: server.url.clone(),
            export: order["downloadUrl"].as_str().expect("a URL").to_owned(),
            cursor: first["syncErrorEvents"]["nodes"][0]["cursor"].clone(),
        };
        doors.work().await;
        doors
    }

    /// Those that change something say UNAVAILABLE, and when to come back.
    pub async fn refuse_changes(&self) {
        all(self.changes().await, Some(UNAVAILABLE));
    }

    /// Those that only read say so too.
    pub async fn refuse_to_read(&self) {
        all(self.reads().await, Some(UNAVAILABLE));
    }

    pub async fn read_well(&self) {
        all(self.reads().await, None);
    }

    /// They read, once the connections that have ended are noticed.
    pub async fn read_again(&self) {
        eventually("doors that read", async || {
            let answered = self.reads().await;
            answered
                .iter()
                .all(|(_, code)| code.is_none())
                .then_some(())
        })
        .await;
    }

    /// All work again, at the latest after a short while.
    pub async fn work(&self) {
        eventually("doors that work", async || {
            let answered = [self.changes().await, self.reads().await].concat();
            answered
                .iter()
                .all(|(_, code)| code.is_none())
                .then_some(())
        })
        .await;
    }

    async fn changes(&self) -> Vec<Answered> {
        let (engine, manager) = (engine(), manager());
        let name = uuid::Uuid::now_v7().to_string();
        let change = report(&name);
        let allocate = json!({ "query": ALLOCATE, "variables": allocation(7) });
        let reserve = json!({ "query": RESERVE, "variables": { "input": { "calls": 1 } } });
        let (reported, allocated, reserved, told, streamed, lines) = tokio::join!(
            self.graphql(&engine, &change),
            self.graphql(&manager, &allocate),
            self.graphql(&engine, &reserve),
            self.by_socket(&engine, &change),
            self.by_stream(&engine, &change),
            self.by_lines(&name),
        );
        vec![
            ("a report", reported),
            ("a setting", allocated),
            ("calls set aside", reserved),
            ("a report by WebSocket", told),
            ("a report by Server-Sent Events", streamed),
            ("a report by NDJSON", lines),
        ]
    }

    async fn reads(&self) -> Vec<Answered> {
        let (reader, read) = (reader(), json!({ "query": READ }));
        let subscribe = json!({ "query": EVENTS, "variables": { "after": self.cursor } });
        let (answered, told, streamed, heard, followed, exported) = tokio::join!(
            self.graphql(&reader, &read),
            self.by_socket(&reader, &read),
            self.by_stream(&reader, &read),
            self.by_socket(&reader, &subscribe),
            self.by_stream(&reader, &subscribe),
            self.export(),
        );
        vec![
            ("a query", answered),
            ("a query by WebSocket", told),
            ("a query by Server-Sent Events", streamed),
            ("a subscription by WebSocket", heard),
            ("a subscription by Server-Sent Events", followed),
            ("an export", exported),
        ]
    }

    async fn graphql(&self, token: &str, body: &Value) -> Option<String> {
        let reply = Reply::to(&self.http, &self.url, token, body).await;
        of_reply(&reply.expect("an answer"))
    }

    async fn by_lines(&self, name: &str) -> Option<String> {
        let url = format!("{}/v1/sync-failures", self.url);
        let line = failure(name, 0, json!({ "reportId": format!("{name}-line") }));
        let request = self.http.post(url).bearer_auth(engine());
        let answer = request.body(line.to_string()).send().await;
        of_reply(&Reply::of(answer.expect("an answer")).await.expect("JSON"))
    }

    async fn export(&self) -> Option<String> {
        let answer = self.http.get(&self.export).send().await.expect("an answer");
        if answer.status() != 200 {
            return of_reply(&Reply::of(answer).await.expect("JSON"));
        }
        match answer.bytes().await {
            Ok(_) => None,
            // There is no other way to say it in the middle of a file.
            Err(_) => Some(UNAVAILABLE.into()),
        }
    }

    /// What comes first by Server-Sent Events.
    async fn by_stream(&self, token: &str, body: &Value) -> Option<String> {
        let request = self.http.post(format!("{}/graphql", self.url));
        let request = request.bearer_auth(token).json(body);
        let answer = request.header("accept", "text/event-stream").send().await;
        let answer = answer.expect("an answer");
        if answer.status() != 200 {
            return of_reply(&Reply::of(answer).await.expect("JSON"));
        }
        let (mut text, mut bytes) = (String::new(), answer.bytes_stream());
        while let Some(more) = in_time(bytes.next()).await {
            text.push_str(std::str::from_utf8(&more.expect("bytes")).expect("a text"));
            let mut data = text.lines().filter_map(|line| line.strip_prefix("data: {"));
            if let Some(data) = data.next().filter(|_| text.ends_with("\n\n")) {
                return of_errors(&serde_json::from_str(&format!("{{{data}")).expect("JSON"));
            }
        }
        Some(format!("no answer: {text}"))
    }

    /// What comes first by WebSocket.
    async fn by_socket(&self, token: &str, body: &Value) -> Option<String> {
        let url = format!("{}/graphql", self.url.replace("http", "ws"));
        let mut request = url.into_client_request().expect("a URL");
        let protocol = "graphql-transport-ws".parse().expect("a header");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let socket = tokio_tungstenite::connect_async(request).await;
        let (mut socket, _) = socket.expect("a socket");
        let who = json!({ "Authorization": format!("Bearer {token}") });
        for message in [
            json!({ "type": "connection_init", "payload": who }),
            json!({ "type": "subscribe", "id": "1", "payload": body }),
        ] {
            let sent = socket.send(Message::text(message.to_string())).await;
            sent.expect("an open socket");
        }
        while let Some(message) = in_time(socket.next()).await {
            let message = message.expect("a message").into_text().expect("a text");
            let message: Value = serde_json::from_str(&message).expect(&message);
            match message["type"].as_str() {
                Some("next") => return of_errors(&message["payload"]),
                Some("error") => return of_errors(&json!({ "errors": message["payload"] })),
                _ => {}
            }
        }
        Some("no answer".into())
    }
}

/// Nothing comes only where nothing is told: everything else comes sooner.
async fn in_time<T>(next: impl Future<Output = T>) -> T {
    let next = tokio::time::timeout(Duration::from_secs(20), next).await;
    next.expect("something in time")
}

fn of_errors(body: &Value) -> Option<String> {
    let code = body["errors"][0]["extensions"]["code"].as_str()?;
    match code {
        UNAVAILABLE => Some(code.into()),
        _ => Some(body.to_string()),
    }
}

/// UNAVAILABLE counts only with a word when to come back.
fn of_reply(reply: &Reply) -> Option<String> {
    let told = |_| reply.is_not_for_later().unwrap_or(UNAVAILABLE.into());
    reply.body.get("errors").map(told)
}

fn all(answered: Vec<Answered>, code: Option<&str>) {
    let wrong = answered.iter().filter(|(_, told)| told.as_deref() != code);
    let wrong: Vec<&Answered> = wrong.collect();
    assert!(wrong.is_empty(), "not {code:?}: {wrong:#?}");
}
