//! Clients that send a byte at a time, or take nothing of what they asked for: no connection to the database waits for
//! them, and no portal is held up.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::exports::order;
use crate::harness::live::EventStream;
use crate::harness::metrics::{metrics, value};
use crate::harness::{REPORT_FAILURES, Server, both, engine, eventually, failure, reader, token};

/// Clients of each kind.
const CLIENTS: usize = 50;
/// Longer than anything takes here where nobody is held up, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

const PAGE: &str =
    "{ portal { syncErrors { nodes { affectedRecords(first: 100) { nodes { message } } } } } }";
const EVENTS: &str = "subscription ($after: String) { syncErrorEvents(kinds: [], after: $after) { syncError { affectedRecords(first: 10) { nodes { message } } } } }";

/// Nobody is cut off while it is looked at.
fn patient(config: &mut sync_health::kernel::config::Config) {
    let minutes = Duration::from_secs(600);
    assert_eq!(config.database_connections, 4);
    (config.live.send, config.live.export_stall) = (minutes, minutes);
    config.connections.stall = minutes;
}

/// Records of one error whose messages are more than what the sockets of both ends hold, and cannot be packed.
async fn long_messages(server: &Server, batches: i64) {
    let mut state: u32 = 7;
    let mut character = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from_u32(0x4e00 + (state >> 16) % 0x5000).unwrap_or('x')
    };
    for batch in 0..batches {
        let mut long = |number: usize| {
            let message: String = (0..15_000).map(|_| character()).collect();
            failure(
                &format!("{batch}-{number}"),
                batch,
                json!({ "message": message }),
            )
        };
        let failures: Vec<Value> = (0..6).map(&mut long).collect();
        server.record(json!(failures)).await;
    }
}

/// A connection that takes little at once.
async fn connect(server: &Server) -> TcpStream {
    let address = server.url.trim_start_matches("http://");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .set_recv_buffer_size(8 * 1024)
        .expect("a small buffer");
    let connected = socket.connect(address.parse().expect("an address")).await;
    let stream = connected.expect("a connection");
    stream.set_nodelay(true).expect("bytes that go at once");
    stream
}

/// Sends a request; its body may be only the beginning of what its length says.
async fn send(server: &Server, line: &str, headers: &str, body: (usize, &[u8])) -> TcpStream {
    let (length, body) = body;
    let mut stream = connect(server).await;
    let head =
        format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.expect("a head");
    stream.write_all(body).await.expect("a body");
    stream
}

/// Asks GraphQL and takes nothing behind the status.
async fn ask(server: &Server, accept: &str, query: &str, variables: Value) -> TcpStream {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let headers = format!(
        "Content-Type: application/json\r\nAccept: {accept}\r\nAuthorization: Bearer {}\r\n",
        reader()
    );
    let mut stream = send(
        server,
        "POST /graphql",
        &headers,
        (body.len(), body.as_bytes()),
    )
    .await;
    assert_eq!(status(&mut stream).await, "200");
    stream
}

/// The status of an answer; nothing behind it is taken.
async fn status(stream: &mut TcpStream) -> String {
    let mut begins = [0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut begins)).await;
    read.expect("a status in time").expect("a status");
    String::from_utf8_lossy(&begins[9..]).into_owned()
}

/// Another portal is asked, reported to and listened to as if nobody else were there; then nothing holds a connection.
async fn stands_still(server: &Server) {
    let innocent = token(&["1002"], "sync-health:read sync-health:report");
    let query = "{ portal { syncErrors { nodes { affectedRecordCount } } } }";
    let prompt = async {
        let events = "subscription { syncErrorEvents(kinds: []) { kind } }";
        let mut stream = EventStream::open(server, &innocent, events, json!({}), None).await;
        stream.opened().await;
        for round in 0..5 {
            let input = json!({ "input": { "failures": [failure(&uuid(), round, json!({}))] } });
            let told = server.data(&innocent, REPORT_FAILURES, input).await;
            assert_eq!(told["reportSyncFailures"]["recordedCount"], 1);
            stream.data().await;
            server.data(&innocent, query, json!({})).await;
        }
    };
    let asked = tokio::time::timeout(PATIENCE, prompt).await;
    asked.expect("another portal is held up");
    eventually("connections that nobody uses", async || {
        let metrics = metrics(server).await;
        let used = ["read", "write"].map(|pool| {
            let name =
                format!("sync_health_database_connections{{pool=\"{pool}\",state=\"used\"}}");
            value(&metrics, &name)
        });
        (used == [Some(0.0), Some(0.0)]).then_some(())
    })
    .await;
}

fn uuid() -> String {
    uuid::Uuid::now_v7().to_string()
}

both! {
    configure = super::patient;
    /// Failures that come a byte at a time, behind a batch that is committed; requests whose body never ends.
    async fn uploads(server) {
        let to_engine = format!("Authorization: Bearer {}\r\n", engine());
        let batch: String = (0..1_000).map(|number| failure(&number.to_string(), 0, json!({})).to_string() + "\n").collect();
        let json_headers = format!("Content-Type: application/json\r\n{to_engine}");
        let mut open = Vec::new();
        for client in 0..CLIENTS {
            let begun = if client == 0 { batch.as_bytes() } else { b"{" };
            open.push(send(server, "POST /v1/sync-failures", &to_engine, (2_000_000, begun)).await);
            open.push(send(server, "POST /graphql", &json_headers, (1_000, b"{\"query\":\"mutation")).await);
        }
        eventually("the batch", async || (server.read("{ portal { syncErrors { nodes { affectedRecordCount } } } }", json!({})).await["portal"]["syncErrors"]["nodes"][0]["affectedRecordCount"] == 1_000).then_some(())).await;
        for byte in b"{\"direction\":\"HUBSPOT" {
            for stream in &mut open {
                stream.write_all(&[*byte]).await.expect("a byte");
            }
        }
        stands_still(server).await;
    }
}

both! {
    configure = super::patient;
    /// A page that is more than the sockets hold; whoever reads on gets all of it.
    async fn answers(server) {
        long_messages(server, 14).await;
        let mut open = Vec::new();
        for _ in 0..CLIENTS {
            open.push(ask(server, "application/json", PAGE, json!({})).await);
        }
        stands_still(server).await;
        let mut first = open.swap_remove(0);
        let (mut rest, mut part) = (0, vec![0; 64 * 1024]);
        while rest < 3_500_000 {
            let read = tokio::time::timeout(PATIENCE, first.read(&mut part)).await;
            let read = read.expect("bytes in time").expect("more bytes");
            assert!(read > 0, "the answer ended after {rest} bytes");
            rest += read;
        }
    }
}

both! {
    configure = super::patient;
    /// Files that are not taken: as many as a portal may have at once, the others are refused.
    async fn downloads(server) {
        // More than sockets hold of it, also where it is packed.
        long_messages(server, 30).await;
        for format in ["CSV", "NDJSON", "XLSX"] {
            let order = order(server, json!({ "format": format })).await;
            let url = order["downloadUrl"].as_str().expect("an address");
            let line = format!("GET {}", url.trim_start_matches(&server.url));
            let (mut open, mut refused) = (Vec::new(), 0);
            for _ in 0..CLIENTS {
                let mut stream = send(server, &line, "", (0, b"")).await;
                match status(&mut stream).await.as_str() {
                    "200" => open.push(stream),
                    _ => refused += 1,
                }
            }
            assert_eq!((open.len(), refused), (2, CLIENTS - 2), "{format}");
            stands_still(server).await;
            drop(open);
            eventually("free places", async || value(&metrics(server).await, "sync_health_live{kind=\"export\"}").filter(|count| *count == 0.0)).await;
        }
    }
}

both! {
    configure = super::patient;
    /// Subscribers that take none of the many events that wait for them.
    async fn subscribers(server) {
        let after = server.read("{ portal { eventCursor } }", json!({})).await["portal"]["eventCursor"].take();
        long_messages(server, 14).await;
        let variables = json!({ "after": after });
        let (mut streams, mut sockets) = (Vec::new(), Vec::new());
        for _ in 0..CLIENTS {
            streams.push(ask(server, "text/event-stream", EVENTS, variables.clone()).await);
            sockets.push(socket(server, &variables).await);
        }
        stands_still(server).await;
    }
}

/// A subscriber by WebSocket that takes nothing behind the first word.
async fn socket(server: &Server, variables: &Value) -> WebSocketStream<TcpStream> {
    let url = format!("{}/graphql", server.url.replace("http", "ws"));
    let mut request = url.into_client_request().expect("a URL");
    let protocol = "graphql-transport-ws".parse().expect("a header");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    let opened = tokio_tungstenite::client_async(request, connect(server).await).await;
    let (mut socket, _) = opened.expect("a socket");
    let init = json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {}", reader()) } });
    let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": EVENTS, "variables": variables } });
    for message in [init, subscribe] {
        socket
            .send(Message::text(message.to_string()))
            .await
            .expect("an open socket");
    }
    socket
        .next()
        .await
        .expect("an acknowledgement")
        .expect("a message");
    socket
}
