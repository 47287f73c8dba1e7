//! Connections that are silent, slow, or too many: each has a limit, and whoever has a token is served beside them.

use std::time::Duration;

use serde_json::{Value, json};
use sync_health::kernel::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::live::{EventStream, Socket};
use crate::harness::metrics::metric;
use crate::harness::process::Process;
use crate::harness::{Backend, Server, both, engine, eventually, failure, reader};

/// Longer than anything takes here, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);
const ASK: &str = "{ portal { categories { openErrorCount } } }";

/// A connection from this address of the machine.
async fn connect_from(server: &Server, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let own = format!("{address}:0").parse().expect("an address");
    socket.bind(own).expect("an address of this machine");
    // What is not taken does not wait on this side.
    let small = socket.set_recv_buffer_size(8 * 1024);
    small.expect("a small buffer");
    let server = server.url.trim_start_matches("http://");
    let connected = socket.connect(server.parse().expect("an address")).await;
    connected.expect("a connection")
}

async fn connect(server: &Server) -> TcpStream {
    connect_from(server, "127.0.0.1").await
}

fn head(line: &str, token: &str, length: usize) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
}

/// A whole request, as it is sent.
fn request(query: &str, token: &str) -> String {
    let body = json!({ "query": query }).to_string();
    head("POST /graphql", token, body.len()) + &body
}

/// Whatever comes until the other side ends the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    // Ended in whatever way.
    let _ = read.expect("the connection ends in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks on a connection that stays open; answers the status, or nothing where the connection has ended.
async fn ask(stream: &mut TcpStream, request: &str) -> Option<String> {
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let mut part = [0; 4_096];
    while !answer.ends_with(b"}") {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut part)).await;
        match read.expect("an answer in time").ok()? {
            0 => return None,
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    Some(String::from_utf8_lossy(&answer[9..12]).into_owned())
}

async fn refused_by(server: &Server, limit: &str) -> f64 {
    let name = format!("sync_health_refusals_total{{limit=\"{limit}\"}}");
    metric(server, &name).await.unwrap_or(0.0)
}

fn few_unauthenticated(config: &mut Config) {
    config.connections.unauthenticated = 10;
    config.connections.introduction = Duration::from_secs(600);
}

both! {
    configure = super::few_unauthenticated;
    /// Whoever says nothing makes room for whoever comes; a connection that brought a token once stays.
    async fn silence(server) {
        let mut known = Vec::new();
        for _ in 0..20 {
            let mut stream = connect(server).await;
            assert_eq!(ask(&mut stream, &request(ASK, &reader())).await.as_deref(), Some("200"));
            known.push(stream);
        }
        let mut silent = Vec::new();
        for _ in 0..30 {
            silent.push(connect(server).await);
            let mut stream = connect(server).await;
            stream.write_all(b"POST /graphql HTTP/1.1\r\nHost:").await.expect("the begin of a head");
            silent.push(stream);
        }
        let mut sockets = Vec::new();
        for _ in 0..5 {
            sockets.push(Socket::open(server, "graphql-transport-ws").await);
        }
        server.read(ASK, json!({})).await;
        let mut open = 0;
        for mut stream in silent.drain(..55) {
            assert_eq!(rest(&mut stream).await, "");
        }
        for stream in &mut known {
            open += usize::from(ask(stream, &request(ASK, &reader())).await.as_deref() == Some("200"));
        }
        assert_eq!(open, 20);
        assert!(refused_by(server, "unauthenticatedConnections").await >= 55.0);
        for _ in 0..30 {
            silent.push(connect(server).await);
        }
        assert_eq!(sockets[0].closed().await, 4429);
    }
}

fn of_peers(config: &mut Config) {
    few_unauthenticated(config);
    config.connections.of_peer = 30;
}

both! {
    configure = super::of_peers;
    /// It is the address with the most silent connections that makes room; and one address has its limit.
    async fn peers(server) {
        let mut quiet = connect_from(server, "127.0.0.2").await;
        let mut open = Vec::new();
        for _ in 0..29 {
            open.push(connect(server).await);
        }
        assert_eq!(ask(&mut quiet, &request(ASK, &reader())).await.as_deref(), Some("200"));
        drop(open);
        let mut known = Vec::new();
        for _ in 0..25 {
            let mut stream = connect_from(server, "127.0.0.3").await;
            assert_eq!(ask(&mut stream, &request(ASK, &reader())).await.as_deref(), Some("200"));
            known.push(stream);
        }
        for _ in 0..5 {
            known.push(connect_from(server, "127.0.0.3").await);
        }
        let refused = rest(&mut connect_from(server, "127.0.0.3").await).await;
        assert!(refused.is_empty() || (refused.contains("\"UNAVAILABLE\"") && refused.contains("Your address has 30 connections (peerConnections)")), "{refused}");
        let mut other = connect_from(server, "127.0.0.4").await;
        assert_eq!(ask(&mut other, &request(ASK, &reader())).await.as_deref(), Some("200"));
        assert_eq!(refused_by(server, "peerConnections").await, 1.0);
        known.truncate(20);
        eventually("room", async || {
            let mut stream = connect_from(server, "127.0.0.3").await;
            ask(&mut stream, &request(ASK, &reader())).await.filter(|status| status == "200")
        }).await;
    }
}

fn few(config: &mut Config) {
    config.connections.most = 10;
}

both! {
    configure = super::few;
    /// More than a server may hold are told so; the first ones go on.
    async fn too_many(server) {
        let mut open = Vec::new();
        for _ in 0..9 {
            let mut stream = connect(server).await;
            assert_eq!(ask(&mut stream, &request(ASK, &reader())).await.as_deref(), Some("200"));
            open.push(stream);
        }
        let limits = server.read("{ service { limits { name value } } }", json!({})).await;
        assert!(limits["service"]["limits"].as_array().is_some_and(|all| all.contains(&json!({ "name": "connections", "value": 10 }))), "{limits}");
        for _ in 0..20 {
            let refused = rest(&mut connect(server).await).await;
            assert!(refused.is_empty() || (refused.starts_with("HTTP/1.1 503") && refused.contains("This server has 10 connections (connections)")), "{refused}");
        }
        assert_eq!(refused_by(server, "connections").await, 20.0);
        assert_eq!(ask(&mut open[0], &request(ASK, &reader())).await.as_deref(), Some("200"));
        assert_eq!(metric(server, "sync_health_connections ").await, Some(10.0));
    }
}

fn impatient(config: &mut Config) {
    config.connections.introduction = SHORT;
    config.connections.stall = SHORT;
}

both! {
    configure = super::impatient;
    /// Heads, bodies and answers are not waited for without end.
    async fn slow(server) {
        // Whoever has a token may think for longer.
        let mut known = connect(server).await;
        assert_eq!(ask(&mut known, &request(ASK, &reader())).await.as_deref(), Some("200"));
        let mut silent = connect(server).await;
        let mut head_only = connect(server).await;
        head_only.write_all(b"POST /graphql HTTP/1.1\r\nHost:").await.expect("a part of a head");
        assert_eq!((rest(&mut silent).await, rest(&mut head_only).await), (String::new(), String::new()));
        let mut body = connect(server).await;
        body.write_all((head("POST /graphql", &reader(), 100) + "{\"query\":").as_bytes()).await.expect("a part of a body");
        let told = rest(&mut body).await;
        assert!(told.starts_with("HTTP/1.1 408") && told.contains("stallSeconds") && told.contains("\"TIMEOUT\""), "{told}");
        let lines: String = (0..1_000).map(|number| failure(&number.to_string(), 0, json!({})).to_string() + "\n").collect();
        let mut upload = connect(server).await;
        upload.write_all((head("POST /v1/sync-failures", &engine(), 9_000_000) + &lines).as_bytes()).await.expect("a part of an upload");
        let told = rest(&mut upload).await;
        assert!(told.starts_with("HTTP/1.1 408") && told.contains("What came before is kept") && told.contains("\"TIMEOUT\""), "{told}");
        let kept = server.read("{ portal { syncErrors { nodes { affectedRecordCount } } } }", json!({})).await;
        assert_eq!(kept["portal"]["syncErrors"]["nodes"][0]["affectedRecordCount"], 1_000);
        assert_eq!(ask(&mut known, &request(ASK, &reader())).await.as_deref(), Some("200"));
    }
}

both! {
    configure = super::impatient;
    /// Answers that nobody takes are not kept.
    async fn answers_that_nobody_takes(server) {
        let raw: Vec<Value> = (0..90).map(|n| failure(&n.to_string(), 0, json!({ "code": "TOO_BIG", "fields": [format!("Field_{n}__c")], "raw": "x".repeat(60_000) }))).collect();
        for part in raw.chunks(20) {
            server.record(json!(part)).await;
        }
        let page = "{ portal { syncErrors(first: 100) { nodes { latestFailure { raw } } } } }";
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut stream = connect(server).await;
            stream.write_all(request(page, &reader()).as_bytes()).await.expect("a request");
            open.push(stream);
        }
        eventually("the end of the answers", async || {
            (refused_by(server, "stallSeconds").await == 3.0).then_some(())
        }).await;
        assert!(rest(&mut open[0]).await.len() < 5_500_000);
    }
}

/// A server that stops answers what it was asked, also where that is the first request of its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_when_it_stops() {
    let server = Server::start_with(Backend::Sqlite, |config| {
        config.shutdown_timeout = Duration::from_secs(60);
    })
    .await;
    let body = json!({ "query": ASK }).to_string();
    let mut open = Vec::new();
    for _ in 0..12 {
        let mut stream = connect(&server).await;
        let begun = head("POST /graphql", &reader(), body.len()) + &body[..5];
        stream
            .write_all(begun.as_bytes())
            .await
            .expect("a part of a request");
        open.push(stream);
    }
    eventually("requests", async || {
        let known = metric(&server, "sync_health_connections ").await;
        (known >= Some(13.0)).then_some(())
    })
    .await;
    let stopping = tokio::spawn(server.stop());
    let mut refused = false;
    while !refused {
        // It takes no more connections as soon as it stops.
        let address = open[0].peer_addr().expect("an address");
        refused = TcpStream::connect(address).await.is_err();
    }
    for mut stream in open {
        let written = stream.write_all(&body.as_bytes()[5..]).await;
        written.expect("the rest of a request");
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
    stopping.await.expect("the end");
}

/// A server that stops does not wait for who says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_when_it_stops() {
    let server = Server::start_with(Backend::Sqlite, |config| {
        config.shutdown_timeout = Duration::from_secs(600);
        config.connections.introduction = Duration::from_secs(600);
    })
    .await;
    let mut silent = connect(&server).await;
    let mut part = connect(&server).await;
    part.write_all(b"GET /healthz HTTP/1.1\r\n")
        .await
        .expect("a part of a head");
    let mut known = connect(&server).await;
    assert_eq!(
        ask(&mut known, &request(ASK, &reader())).await.as_deref(),
        Some("200")
    );
    let stopped = tokio::time::timeout(PATIENCE, server.stop()).await;
    assert!(stopped.is_ok(), "it waits");
    for stream in [&mut silent, &mut part, &mut known] {
        assert_eq!(rest(stream).await, "");
    }
}

fn idle(config: &mut Config) {
    config.connections.idle = SHORT;
}

both! {
    configure = super::idle;
    /// A connection on which nothing is asked any more ends, with a token too.
    async fn nothing_more_to_ask(server) {
        let mut stream = connect(server).await;
        assert_eq!(ask(&mut stream, &request(ASK, &reader())).await.as_deref(), Some("200"));
        assert_eq!(rest(&mut stream).await, "");
    }
}

fn one_live(config: &mut Config) {
    config.live.connections = 1;
}

both! {
    configure = super::one_live;
    /// Sockets that have not said who they are take no seat from those that have.
    async fn seats(server) {
        let mut silent = Vec::new();
        for _ in 0..5 {
            silent.push(Socket::open(server, "graphql-transport-ws").await);
        }
        let mut events = EventStream::open(server, &reader(), "subscription { syncErrorEvents { kind } }", json!({}), None).await;
        events.opened().await;
        silent[0].init(&reader()).await;
        assert_eq!(silent[0].closed().await, 1013);
        drop(events);
        eventually("a seat", async || {
            let mut socket = Socket::open(server, "graphql-transport-ws").await;
            socket.init(&reader()).await;
            (socket.next().await == json!({ "type": "connection_ack" })).then_some(())
        }).await;
    }
}

/// A process that may open 1,024 files for the moment allows itself as many as it may, and says how many connections
/// that makes.
#[tokio::test(flavor = "multi_thread")]
async fn files() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    for (most, connections) in [(4_096, 2_832), (1_024, 512)] {
        let server = Process::start_with_files(&url, (1_024, most)).await;
        assert_eq!(server.most_files(), most);
        let log = server.log();
        let told = format!("\"files\":{most},\"connections\":{connections}");
        assert!(log.contains(&told), "{log}");
        server.stop().await;
    }
}
