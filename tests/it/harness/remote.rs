//! Servers as processes of their own, by their addresses; they may be gone at any time.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::reader;
use crate::commands::{Running, free_address, serve_at};

/// All events of a portal.
pub const EVENTS: &str = "subscription ($after: String) { syncErrorEvents(kinds: [], after: $after) { cursor affectedRecordCount } }";

/// Servers over one database.
pub struct Remote {
    addresses: Vec<String>,
    database_url: String,
    http: reqwest::Client,
}

impl Remote {
    /// So many of them; none is started yet.
    pub fn new(database_url: String, count: usize) -> Self {
        sync_health::kernel::tls::choose_provider();
        Self {
            addresses: (0..count).map(|_| free_address()).collect(),
            database_url,
            http: reqwest::Client::new(),
        }
    }

    /// Servers that were started elsewhere.
    pub fn of(addresses: Vec<String>, database_url: String) -> Self {
        Self {
            addresses,
            ..Self::new(database_url, 0)
        }
    }

    /// Starts one.
    pub async fn start(&self, at: usize) -> Running {
        serve_at(&self.addresses[at], &self.database_url, &[]).await
    }

    /// Starts all.
    pub async fn start_all(&self) -> Vec<Running> {
        let mut running = Vec::new();
        for at in 0..self.addresses.len() {
            running.push(self.start(at).await);
        }
        running
    }

    fn address(&self, at: usize) -> &str {
        &self.addresses[at % self.addresses.len()]
    }

    /// Asks one of them; an error when it is gone.
    pub async fn post(
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

    /// Ends all connections that listen for notifications: what is notified until they are back is lost.
    pub async fn lose_rings(&self) {
        if !self.database_url.starts_with("postgres") {
            return;
        }
        let db = Database::connect(&self.database_url)
            .await
            .expect("the database");
        let listening = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'LISTEN %' AND datname = current_database()";
        db.execute_unprepared(listening).await.expect("lost rings");
        db.close().await.expect("a closed connection");
    }
}

/// Events by one connection, until it is cut.
pub struct Events(futures_util::stream::BoxStream<'static, Value>);

impl Events {
    pub async fn next(&mut self) -> Option<Value> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
        let mut message = next.expect("an event in time")?;
        Some(message["data"]["syncErrorEvents"].take())
    }

    pub async fn stream(servers: &Remote, at: usize, after: &Value) -> Self {
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

    pub async fn socket(servers: &Remote, at: usize, after: &Value) -> Self {
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
