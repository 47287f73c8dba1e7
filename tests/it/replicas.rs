//! Servers as processes of their own, killed at random while failures pour in: whoever is told misses nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::commands::{Running, free_address, serve_at};
use crate::harness::{REPORT_FAILURES, engine, eventually, failure, postgres, reader};

const EVENTS: &str = "subscription ($after: String) { syncErrorEvents(kinds: [], after: $after) { cursor affectedRecordCount } }";
const REPORTERS: usize = 2;
const EACH: usize = 60;
const REPORTS: usize = REPORTERS * EACH;
const KILLS: usize = 8;

/// Servers over one database.
struct Servers {
    addresses: Vec<String>,
    database_url: String,
    reported: AtomicUsize,
    http: reqwest::Client,
}

impl Servers {
    async fn start(&self, at: usize) -> Running {
        serve_at(&self.addresses[at], &self.database_url, &[]).await
    }

    fn address(&self, at: usize) -> &str {
        &self.addresses[at % self.addresses.len()]
    }

    async fn post(
        &self,
        at: usize,
        token: &str,
        body: &Value,
    ) -> reqwest::Result<reqwest::Response> {
        let url = format!("http://{}/graphql", self.address(at));
        let request = self
            .http
            .post(url)
            .bearer_auth(token)
            .header("accept", "text/event-stream, application/json");
        request.json(body).send().await
    }

    /// Reports failures of one cause, one after another, each until it is answered.
    async fn report(&self, reporter: usize) {
        for n in 0..EACH {
            let failures = json!([failure(
                &format!("{reporter}-{n}"),
                0,
                json!({ "reportId": format!("{reporter}-{n}") })
            )]);
            let body = json!({ "query": REPORT_FAILURES, "variables": { "input": { "failures": failures } } });
            let at = AtomicUsize::new(reporter);
            eventually("an answer to the report", async || {
                let answer = self
                    .post(at.fetch_add(1, Ordering::Relaxed), &engine(), &body)
                    .await;
                let answer: Value = answer.ok()?.json().await.ok()?;
                (answer["data"]["reportSyncFailures"]["refusedCount"] == 0).then_some(())
            })
            .await;
            self.reported.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Kills a server whenever so many more reports were answered, and starts it again; rings get lost meanwhile.
    async fn kill(&self, mut running: Vec<Running>) -> Vec<Running> {
        for kill in 1..=KILLS {
            let due = kill * REPORTS / (KILLS + 1);
            eventually("the next kill", async || {
                (self.reported.load(Ordering::Relaxed) >= due).then_some(())
            })
            .await;
            let at = kill % running.len();
            running[at].kill();
            running[at] = self.start(at).await;
            if self.database_url.starts_with("postgres") {
                self.lose_rings().await;
            }
        }
        running
    }

    /// Ends all connections that listen for notifications: what is notified until they are back is lost.
    async fn lose_rings(&self) {
        let db = Database::connect(&self.database_url)
            .await
            .expect("the database");
        let listening = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'LISTEN %' AND datname = current_database()";
        db.execute_unprepared(listening).await.expect("lost rings");
        db.close().await.expect("a closed connection");
    }

    /// Hears events until all are told, by one transport after another, wherever a server is; goes on behind what it heard.
    async fn hear(&self, subscriber: usize, start: &Value, cut_after: usize) -> Vec<u64> {
        let (mut heard, mut after, mut attempt) = (Vec::new(), start.clone(), subscriber);
        while heard.len() < REPORTS {
            attempt += 1;
            let mut events = match attempt % 2 {
                0 => Events::stream(self, attempt / 2, &after).await,
                _ => Events::socket(self, attempt / 2, &after).await,
            };
            for _ in 0..cut_after.min(REPORTS - heard.len()) {
                let Some(event) = events.next().await else {
                    break;
                };
                heard.push(event["affectedRecordCount"].as_u64().expect("a number"));
                after = event["cursor"].clone();
            }
            // Not at once again where nobody listens.
            tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>())
                .await
                .unwrap_err();
        }
        heard
    }
}

/// Events by one connection, until it is cut.
struct Events(futures_util::stream::BoxStream<'static, Value>);

impl Events {
    async fn next(&mut self) -> Option<Value> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
        let mut message = next.expect("an event in time")?;
        Some(message["data"]["syncErrorEvents"].take())
    }

    async fn stream(servers: &Servers, at: usize, after: &Value) -> Self {
        let body = json!({ "query": EVENTS, "variables": { "after": after } });
        let Ok(response) = servers.post(at, &reader(), &body).await else {
            return Self(futures_util::stream::empty().boxed());
        };
        let bytes = response.bytes_stream().boxed();
        let messages = futures_util::stream::unfold(
            (bytes, String::new()),
            |(mut bytes, mut rest)| async move {
                loop {
                    if let Some((block, behind)) = rest.split_once("\n\n") {
                        let data = block.lines().find_map(|line| line.strip_prefix("data: "));
                        let message = data.map(|data| serde_json::from_str(data).expect("JSON"));
                        rest = behind.to_owned();
                        if let Some(message) = message {
                            return Some((message, (bytes, rest)));
                        }
                        continue;
                    }
                    let more = bytes.next().await?.ok()?;
                    rest.push_str(std::str::from_utf8(&more).ok()?);
                }
            },
        );
        Self(messages.boxed())
    }

    async fn socket(servers: &Servers, at: usize, after: &Value) -> Self {
        let url = format!("ws://{}/graphql", servers.address(at));
        let mut request = url.into_client_request().expect("a URL");
        let protocol = "graphql-transport-ws".parse().expect("a header");
        let token = format!("Bearer {}", reader()).parse().expect("a header");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        request.headers_mut().insert("authorization", token);
        let Ok((mut socket, _)) = tokio_tungstenite::connect_async(request).await else {
            return Self(futures_util::stream::empty().boxed());
        };
        let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": EVENTS, "variables": { "after": after } } });
        for message in [json!({ "type": "connection_init" }), subscribe] {
            // A server that is gone is noticed by reading.
            let _ = socket.send(Message::text(message.to_string())).await;
        }
        let messages = socket.filter_map(async |message| {
            let mut message: Value = serde_json::from_str(message.ok()?.to_text().ok()?).ok()?;
            (message["type"] == "next").then(|| message["payload"].take())
        });
        Self(messages.boxed())
    }
}

async fn nothing_is_missed(database_url: String, count: usize) {
    let servers = Servers {
        addresses: (0..count).map(|_| free_address()).collect(),
        database_url,
        reported: AtomicUsize::new(0),
        http: reqwest::Client::new(),
    };
    let mut running = Vec::new();
    for at in 0..count {
        running.push(servers.start(at).await);
    }
    let cursor = json!({ "query": "{ portal { eventCursor } }" });
    let start = servers
        .post(0, &reader(), &cursor)
        .await
        .expect("an answer");
    let start: Value = start.json().await.expect("JSON");
    let start = &start["data"]["portal"]["eventCursor"];
    let (_running, _, _, often, seldom, whole) = tokio::join!(
        servers.kill(running),
        servers.report(0),
        servers.report(1),
        servers.hear(0, start, 3),
        servers.hear(1, start, 17),
        servers.hear(2, start, REPORTS),
    );
    let expected: Vec<u64> = (1..=REPORTS as u64).collect();
    assert_eq!((&often, &seldom, &whole), (&expected, &expected, &expected));
}

/// The process is killed and started again on the same file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_is_killed() {
    sync_health::kernel::tls::choose_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    nothing_is_missed(url, 1).await;
}

/// Two processes over one PostgreSQL are killed in turn, and lose their notifications.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_are_killed() {
    sync_health::kernel::tls::choose_provider();
    nothing_is_missed(postgres::new_database().await, 2).await;
}
