//! `POST /v1/sync-failures`: failures as NDJSON.

use std::future::ready;

use futures_util::{StreamExt, stream};
use reqwest::{Body, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::harness::{Server, both, engine, eventually, failure, reader, token};

async fn send(
    server: &Server,
    token: &str,
    parameters: &str,
    body: impl Into<Body>,
) -> (StatusCode, Value) {
    let url = format!("{}/v1/sync-failures{parameters}", server.url);
    let request = server
        .http
        .post(url)
        .bearer_auth(token)
        .header("content-type", "application/x-ndjson")
        .body(body);
    let response = request.send().await.expect("an answer");
    (response.status(), response.json().await.expect("JSON"))
}

both! {
    /// The same keys as in GraphQL; what is wrong with a line refuses that line, by its number.
    async fn lines(server) {
        let good = failure("1", 0, json!({ "reportId": 7 })).to_string();
        let unknown = failure("2", 0, json!({ "surprise": 1 })).to_string();
        let late = failure("3", 90, json!({})).to_string();
        let long = failure("4", 0, json!({ "raw": "x".repeat(512 * 1024) })).to_string();
        let no_direction = json!({ "message": "x", "hubspotRecord": { "recordId": "1" } }).to_string();
        let body = [&good, "", &unknown, "not json", &late, &long, &no_direction, &good, "\u{FEFF}"].join("\n");
        let (status, answer) = send(server, &engine(), "", body).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!((&answer["recordedCount"], &answer["repeatedCount"], &answer["refusedCount"]), (&json!(1), &json!(1), &json!(6)), "{answer:#}");
        let told: Vec<_> = answer["userErrors"].as_array().expect("a list").iter().map(|error| json!([error["line"], error["field"], error["code"]])).collect();
        assert_eq!(json!(told), json!([[3, null, "INVALID"], [4, null, "INVALID"], [5, ["occurredAt"], "OUT_OF_RANGE"], [6, null, "TOO_LONG"], [7, null, "INVALID"], [9, null, "INVALID"]]));
        assert!(answer["userErrors"][0]["message"].as_str().is_some_and(|text| text.contains("surprise")), "{answer:#}");
    }
}

both! {
    /// Lines are put together from whatever pieces arrive, committed per thousand; sent again, nothing is counted twice.
    async fn streamed(server) {
        let lines: String = (0..2_500).map(|n| failure(&n.to_string(), 0, json!({})).to_string() + "\r\n").collect();
        let pieces: Vec<Result<Vec<u8>, std::io::Error>> = lines.as_bytes().chunks(997).map(|piece| Ok(piece.to_vec())).collect();
        let (status, answer) = send(server, &engine(), "?hubId=1001", Body::wrap_stream(stream::iter(pieces))).await;
        assert_eq!((status, answer), (StatusCode::OK, json!({ "recordedCount": 2500, "repeatedCount": 0, "refusedCount": 0, "userErrors": [] })));
        let (_, again) = send(server, &engine(), "", lines).await;
        assert_eq!((&again["recordedCount"], &again["repeatedCount"]), (&json!(0), &json!(2500)));
        let data = server.read("{ portal { categories { affectedRecordCount } syncErrorEvents { totalCount } } }", json!({})).await;
        assert_eq!(data["portal"]["categories"][6]["affectedRecordCount"], 2500);
        assert_eq!(data["portal"]["syncErrorEvents"]["totalCount"], 3);
    }
}

both! {
    /// A batch is committed while the next one arrives; when the connection breaks, what was committed is kept.
    async fn broken_connection(server) {
        let lines: String = (0..1_200).map(|n| failure(&n.to_string(), 0, json!({})).to_string() + "\n").collect();
        let (cut, was_cut) = oneshot::channel::<()>();
        let first = stream::once(ready(Ok(lines.clone().into_bytes())));
        let end = stream::once(async move {
            let _ = was_cut.await;
            Err(std::io::Error::other("cut"))
        });
        let request = server.http.post(format!("{}/v1/sync-failures", server.url)).bearer_auth(engine()).body(Body::wrap_stream(first.chain(end)));
        let sending = tokio::spawn(request.send());
        eventually("the first commit", async || {
            let data = server.read("{ portal { syncErrorEvents { totalCount } } }", json!({})).await;
            (data["portal"]["syncErrorEvents"]["totalCount"] == 1).then_some(())
        })
        .await;
        cut.send(()).expect("a request that waits");
        assert!(sending.await.expect("a task that ends").is_err());
        let (_, answer) = send(server, &engine(), "", lines).await;
        assert_eq!((&answer["recordedCount"], &answer["repeatedCount"]), (&json!(200), &json!(1000)));
    }
}

both! {
    /// At most 1,000 refused lines are described, all are counted.
    async fn many_refused_lines(server) {
        let (_, answer) = send(server, &engine(), "", "x\n".repeat(1_500)).await;
        assert_eq!((&answer["refusedCount"], answer["userErrors"].as_array().map(Vec::len)), (&json!(1500), Some(1000)));
    }
}

both! {
    /// Who may report where.
    async fn refused_requests(server) {
        let two = token(&["1001", "1002"], "sync-health:report");
        let star = token(&["*"], "sync-health:report");
        let line = failure("1", 0, json!({})).to_string();
        for (token, parameters, status, code) in [
            (&reader(), "", StatusCode::FORBIDDEN, "FORBIDDEN"),
            (&two, "", StatusCode::BAD_REQUEST, "BAD_USER_INPUT"),
            (&engine(), "?hubId=1002", StatusCode::NOT_FOUND, "NOT_FOUND"),
            (&star, "?hubId=1003", StatusCode::NOT_FOUND, "NOT_FOUND"),
            (&"x".to_owned(), "", StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        ] {
            let (found, answer) = send(server, token, parameters, line.clone()).await;
            assert_eq!((found, &answer["errors"][0]["extensions"]["code"]), (status, &json!(code)));
        }
        let (status, _) = send(server, &two, "?hubId=1002", line).await;
        assert_eq!(status, StatusCode::OK);
    }
}
