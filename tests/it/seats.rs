//! Seats are shared: what one subject or a few tenants hold is not missing for others.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::metrics::metric;
use crate::harness::{REPORT_FAILURES, Server, both, eventually, failure, token_of};

/// A request whose answer, or whose body, is left standing.
async fn left(server: &Server, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let small = socket.set_recv_buffer_size(8 * 1024);
    small.expect("a small buffer");
    let address = server.url.trim_start_matches("http://");
    let connected = socket.connect(address.parse().expect("an address")).await;
    let mut stream = connected.expect("a connection");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("a request");
    stream
}

async fn status(stream: &mut TcpStream) -> String {
    let mut begins = [0; 12];
    stream.read_exact(&mut begins).await.expect("a status");
    String::from_utf8_lossy(&begins[9..]).into_owned()
}

async fn seated(server: &Server, kind: &str, count: f64) {
    let name = format!("sync_health_live{{kind=\"{kind}\"}}");
    eventually(kind, async || {
        (metric(server, &name).await == Some(count)).then_some(())
    })
    .await;
}

fn upload(token: &str) -> String {
    format!(
        "POST /v1/sync-failures?hubId=1001 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
}

both! {
    /// One subject's uploads end at its limit; another one's go on.
    async fn uploads(server) {
        let one = token_of("one", &["1001", "1002"], "sync-health:report");
        let mut open = Vec::new();
        for _ in 0..64 {
            open.push(left(server, &upload(&one)).await);
        }
        seated(server, "subject_upload", 64.0).await;
        let refused = server.http.post(format!("{}/v1/sync-failures?hubId=1002", server.url)).bearer_auth(&one).body("{}").send().await;
        let refused = refused.expect("an answer");
        assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].is_empty()), (429, false));
        let body: Value = refused.json().await.expect("JSON");
        assert!(body["errors"][0]["message"].as_str().is_some_and(|text| text.contains("subjectUploads")), "{body}");
        let other = token_of("another", &["1002"], "sync-health:report");
        let line = failure("1", 0, json!({})).to_string();
        let taken = server.http.post(format!("{}/v1/sync-failures", server.url)).bearer_auth(&other).body(line).send().await;
        assert_eq!(taken.expect("an answer").status(), 200);
        drop(open);
        seated(server, "upload", 0.0).await;
    }
}

/// Where a CSV of a portal is, with more in it than sockets hold.
async fn ordered(server: &Server, hub_id: &str) -> String {
    let scopes = "sync-health:read sync-health:report";
    let token = token_of(hub_id, &[hub_id], scopes);
    let mut state: u32 = 7;
    let mut character = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from_u32(0x4e00 + (state >> 16) % 0x5000).unwrap_or('x')
    };
    for batch in 0..20 {
        let failures: Vec<Value> = (0..8)
            .map(|number| {
                let message: String = (0..15_000).map(|_| character()).collect();
                failure(
                    &format!("{batch}-{number}"),
                    0,
                    json!({ "message": message }),
                )
            })
            .collect();
        let input = json!({ "input": { "failures": failures } });
        server.data(&token, REPORT_FAILURES, input).await;
    }
    let order = "mutation { exportSyncErrors(input: { format: CSV }) { downloadUrl } }";
    let mut made = server.data(&token, order, json!({})).await;
    let url = made["exportSyncErrors"]["downloadUrl"].take();
    let path = url
        .as_str()
        .expect("an address")
        .trim_start_matches(&server.url)
        .to_owned();
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

both! {
    /// Two tenants that hold all the exports that they may leave others theirs.
    async fn exports(server) {
        let mut open = Vec::new();
        for hub_id in ["2001", "2002"] {
            let request = ordered(server, hub_id).await;
            for _ in 0..2 {
                let mut stream = left(server, &request).await;
                assert_eq!(status(&mut stream).await, "200");
                open.push(stream);
            }
            let mut third = left(server, &request).await;
            assert_eq!(status(&mut third).await, "429");
        }
        let mut other = left(server, &ordered(server, "2003").await).await;
        assert_eq!(status(&mut other).await, "200");
    }
}

both! {
    configure = |config| config.live.portal_subscriptions = 1;
    /// Subscriptions to several portals are counted for the subject, not for all tenants together.
    async fn subscriptions_to_several_portals(server) {
        let open = async |token: String| {
            let body = json!({ "query": "subscription { resyncWorkAvailable { hubId } }" });
            let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth(token);
            request.header("accept", "text/event-stream").json(&body).send().await.expect("an answer")
        };
        let first = open(token_of("one", &["1001", "1002"], "sync-health:report")).await;
        let again = open(token_of("one", &["1001", "1002"], "sync-health:report")).await;
        let other = open(token_of("another", &["2001", "2002"], "sync-health:report")).await;
        assert_eq!([first.status(), again.status(), other.status()].map(|status| status.as_u16()), [200, 429, 200]);
    }
}
