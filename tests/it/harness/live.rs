//! Clients of the live transports: a WebSocket that speaks graphql-transport-ws, and a stream of Server-Sent Events.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Server, exchanges};

/// Longer than anything here takes: who waits so long waits in vain.
const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What was asked, by id.
    asked: HashMap<String, (String, Value)>,
}

impl Socket {
    /// Connects by a subprotocol, or without one, and says nothing.
    pub async fn open(server: &Server, protocol: &str) -> Self {
        let url = format!("{}/graphql", server.url.replace("http", "ws"));
        let mut request = url.into_client_request().expect("a URL");
        if !protocol.is_empty() {
            let value = protocol.parse().expect("a header");
            let headers = request.headers_mut();
            headers.insert("sec-websocket-protocol", value);
        }
        let (stream, _) = connect_async(request).await.expect("a socket");
        Self {
            stream,
            asked: HashMap::new(),
        }
    }

    /// Connects and says who it is.
    pub async fn connect(server: &Server, token: &str) -> Self {
        let mut socket = Self::open(server, "graphql-transport-ws").await;
        socket.init(token).await;
        assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
        socket
    }

    /// The status of a server that does not let a token in.
    pub async fn refused(server: &Server, token: &str) -> u16 {
        let url = format!("{}/graphql", server.url.replace("http", "ws"));
        let mut request = url.into_client_request().expect("a URL");
        let token = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", token);
        match connect_async(request).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            other => panic!("not refused: {other:?}"),
        }
    }

    pub async fn init(&mut self, token: &str) {
        let payload = json!({ "Authorization": format!("Bearer {token}") });
        self.send(json!({ "type": "connection_init", "payload": payload }))
            .await;
    }

    pub async fn send(&mut self, message: Value) {
        self.say(&message.to_string()).await;
    }

    pub async fn say(&mut self, text: &str) {
        let sent = self.stream.send(Message::text(text)).await;
        sent.expect("an open socket");
    }

    /// Says something, if the other side still listens.
    pub async fn try_say(&mut self, text: &str) -> Option<()> {
        self.stream.send(Message::text(text)).await.ok()
    }

    /// The next message as it comes, pings too; none when the connection is over.
    pub async fn raw(&mut self) -> Option<Value> {
        let message = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        match message.expect("a message in time")? {
            Ok(Message::Text(text)) => Some(serde_json::from_str(&text).expect("JSON")),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    /// The next message of an operation; none when the connection was cut off.
    pub async fn until_cut(&mut self) -> Option<Value> {
        loop {
            let message = self.raw().await?;
            if message["type"] != "ping" {
                return Some(message);
            }
        }
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.asked.insert(id.into(), (query.into(), variables));
        self.send(json!({ "id": id, "type": "subscribe", "payload": payload }))
            .await;
    }

    /// The next message; the server's pings are answered and passed over.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            let message = message.expect("a message in time").expect("an open socket");
            match message.expect("a message") {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    if message["type"] == "ping" {
                        self.send(json!({ "type": "pong" })).await;
                        continue;
                    }
                    let id = message["id"].as_str().unwrap_or_default();
                    if let Some((query, variables)) = self.asked.get(id) {
                        exchanges::record(query, variables, &message["payload"]);
                    }
                    return message;
                }
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The data of the next message, which has to be `next`.
    pub async fn data(&mut self) -> Value {
        let mut message = self.next().await;
        assert_eq!(message["type"], "next", "{message:#}");
        message["payload"]["data"].take()
    }

    /// The code that the server closes with.
    pub async fn closed(&mut self) -> u16 {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            match message.expect("an end in time") {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("ended without a code: {other:?}"),
            }
        }
    }
}

/// A stream of Server-Sent Events.
pub struct EventStream {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<axum::body::Bytes>>,
    rest: String,
    asked: (String, Value),
    /// What `EventSource` would send as `Last-Event-ID`.
    pub last_id: Option<String>,
}

/// One event.
#[derive(Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: Value,
}

impl EventStream {
    pub async fn open(
        server: &Server,
        token: &str,
        query: &str,
        variables: Value,
        last_id: Option<&str>,
    ) -> Self {
        let body = json!({ "query": query, "variables": variables });
        let request = server
            .http
            .post(format!("{}/graphql", server.url))
            .bearer_auth(token);
        let mut request = request.header("accept", "text/event-stream").json(&body);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("an answer");
        Self::of(response, (query, variables), last_id).expect("a stream")
    }

    /// Opens a stream if the server lets it in.
    pub async fn try_open(server: &Server, token: &str, query: &str) -> Option<Self> {
        let url = format!("{}/graphql", server.url);
        let request = server.http.post(url).bearer_auth(token);
        let request = request.header("accept", "text/event-stream");
        let response = request.json(&json!({ "query": query })).send().await;
        Self::of(response.expect("an answer"), (query, json!({})), None)
    }

    /// Opens the stream of a ticket, as `EventSource` does.
    pub async fn with_ticket(server: &Server, ticket: &str, last_id: Option<&str>) -> Self {
        let url = format!("{}/graphql?ticket={ticket}", server.url);
        let mut request = server.http.get(url).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("an answer");
        Self::of(response, ("{ __typename }", json!({})), last_id).expect("a stream")
    }

    fn of(
        response: reqwest::Response,
        (query, variables): (&str, Value),
        last_id: Option<&str>,
    ) -> Option<Self> {
        let is_stream = response.headers()["content-type"] == "text/event-stream";
        is_stream.then(|| Self {
            bytes: response.bytes_stream().boxed(),
            rest: String::new(),
            asked: (query.into(), variables),
            last_id: last_id.map(str::to_owned),
        })
    }

    /// Waits for the next block, which has to be a sign of life.
    pub async fn sign_of_life(&mut self) {
        let block = self.block().await.expect("a sign of life");
        assert!(block.starts_with(':'), "{block}");
        self.take_id(&block);
    }

    /// The next block between empty lines; none at the end, or when the connection is cut.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.rest = rest;
                return Some(block);
            }
            let bytes = tokio::time::timeout(PATIENCE, self.bytes.next()).await;
            let bytes = bytes.expect("bytes in time")?.ok()?;
            self.rest
                .push_str(std::str::from_utf8(&bytes).expect("a text"));
        }
    }

    /// Waits for the opening, which tells where the stream begins.
    pub async fn opened(&mut self) {
        while self.last_id.is_none() {
            let block = self.block().await.expect("an opening");
            assert!(block.starts_with(':'), "{block}");
            self.take_id(&block);
        }
    }

    fn take_id(&mut self, block: &str) {
        let id = block.lines().find_map(|line| line.strip_prefix("id: "));
        if let Some(id) = id {
            self.last_id = Some(id.to_owned());
        }
    }

    /// The next event; none at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            self.take_id(&block);
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            let Some(name) = field("event: ") else {
                continue;
            };
            let data: Value =
                serde_json::from_str(field("data: ").unwrap_or_default()).unwrap_or_default();
            let (query, variables) = &self.asked;
            exchanges::record(query, variables, &data);
            return Some(Event {
                name: name.to_owned(),
                data,
            });
        }
    }

    /// The data of the next event, which has to be `next`.
    pub async fn data(&mut self) -> Value {
        let event = self.next().await.expect("an event");
        assert_eq!(event.name, "next", "{event:?}");
        event.data["data"].clone()
    }
}
