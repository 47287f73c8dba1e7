//! Requests that cannot mean one thing are refused as all others: as JSON, with what to do.

use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exports::order;
use crate::harness::{Server, both, engine, failure, reader};

/// The refusal of a request; it is JSON.
async fn refused(response: reqwest::Response) -> (StatusCode, String, String) {
    let status = response.status();
    let kind = response.headers()["content-type"].clone();
    let kind = kind.to_str().expect("a text").to_owned();
    assert!(kind.starts_with("application/json"), "{status} as {kind}");
    let body: Value = response.json().await.expect("JSON");
    let error = &body["errors"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        status,
        text(&error["extensions"]["code"]),
        text(&error["message"]),
    )
}

both! {
    /// A parameter stands in an address once.
    async fn repeated_parameters(server) {
        server.record(serde_json::json!([failure("1", 0, serde_json::json!({}))])).await;
        let get = async |path: &str, token: &str| {
            let request = server.http.get(format!("{}{path}", server.url)).bearer_auth(token);
            refused(request.send().await.expect("an answer")).await
        };
        let one = "query=%7Bservice%7Bversion%7D%7D";
        for (path, name) in [
            (format!("/graphql?{one}&{one}"), "query"),
            (format!("/graphql?{one}&variables=%7B%7D&variables=%7B%7D"), "variables"),
            (format!("/graphql?{one}&extensions=%7B%7D&extensions=%7B%7D"), "extensions"),
            (format!("/graphql?{one}&operationName=A&operationName=B"), "operationName"),
            ("/graphql?documentId=a&documentId=b".into(), "documentId"),
            ("/graphql?ticket=a&ticket=b".into(), "ticket"),
            ("/v1/exports?ticket=a&ticket=b".into(), "ticket"),
        ] {
            let (status, code, message) = get(&path, &reader()).await;
            assert_eq!((status, code.as_str()), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"), "{path}");
            assert!(message.contains(&format!("parameter {name} ")) && message.contains("once"), "{message}");
        }
        let order = order(server, serde_json::json!({})).await;
        let url = order["downloadUrl"].as_str().expect("an address");
        let ticket = url.split_once("ticket=").expect("a ticket").1;
        let twice = server.http.get(format!("{url}&ticket={ticket}")).send().await.expect("an answer");
        assert_eq!(refused(twice).await.0, StatusCode::BAD_REQUEST);
        let post = server.http.post(format!("{}/v1/sync-failures?hubId=1001&hubId=1002", server.url)).bearer_auth(engine()).body("{}");
        assert_eq!(refused(post.send().await.expect("an answer")).await.0, StatusCode::BAD_REQUEST);
        // What is no text, and what is not known, is no text of the framework's either.
        for query in ["hubId=%FF%FE", "hubId", "other=1&other=2", "%%%"] {
            let post = server.http.post(format!("{}/v1/sync-failures?{query}", server.url)).bearer_auth(engine()).body("");
            let response = post.send().await.expect("an answer");
            assert!(response.headers()["content-type"].to_str().is_ok_and(|kind| kind.starts_with("application/json")), "{query}");
        }
    }
}

both! {
    /// Unknown addresses, and methods that a known one does not take.
    async fn nowhere(server) {
        for path in ["/", "/nothing", "/v1/exports/", "/graphiql", "/v2/sync-failures"] {
            let response = server.http.get(format!("{}{path}", server.url)).send().await.expect("an answer");
            let (status, code, message) = refused(response).await;
            assert_eq!((status, code.as_str()), (StatusCode::NOT_FOUND, "NOT_FOUND"), "{path}");
            assert!(message.contains("/graphql"), "{message}");
        }
        for (method, path, allow) in [("GET", "/v1/sync-failures", "POST"), ("POST", "/v1/exports", "GET,HEAD"), ("DELETE", "/healthz", "GET,HEAD"), ("PUT", "/metrics", "GET,HEAD"), ("PATCH", "/graphql", "GET, POST")] {
            let method = method.parse().expect("a method");
            let response = server.http.request(method, format!("{}{path}", server.url)).bearer_auth(reader()).send().await.expect("an answer");
            assert_eq!(response.headers()["allow"], allow, "{path}");
            assert_eq!(refused(response).await.0, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
}

/// Sends a request as it is written here, and answers all that comes back.
async fn written(server: &Server, head: &str) -> String {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

both! {
    /// A request says once whom it is for.
    async fn hosts(server) {
        for path in ["/graphql?query=%7Bservice%7Bversion%7D%7D", "/v1/exports?ticket=x", "/healthz", "/nothing"] {
            for hosts in ["", "Host: a.example\r\nHost: b.example\r\n", "Host: a.example\r\nHost: a.example\r\n", "Host: not a host\r\n"] {
                let answer = written(server, &format!("GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n")).await;
                assert!(answer.starts_with("HTTP/1.1 400 "), "{path} {hosts:?}: {answer}");
                assert!(answer.contains("Send one header Host") && answer.contains("application/json"), "{answer}");
            }
        }
        let one = written(server, "GET /healthz HTTP/1.1\r\nHost: a.example:8080\r\nConnection: close\r\n\r\n").await;
        assert!(one.starts_with("HTTP/1.1 200 "), "{one}");
        let old = written(server, "GET /healthz HTTP/1.0\r\n\r\n").await;
        assert!(old.starts_with("HTTP/1.0 200 "), "{old}");
    }
}
