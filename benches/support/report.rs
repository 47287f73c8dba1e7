//! What engines send.

use serde_json::Value;

use super::server::{Server, sign};

/// Sends failures, an object a line, to a portal; answers what became of them.
pub async fn report(server: &Server, portal: u32, lines: String) -> Value {
    let url = format!("{}/v1/sync-failures?hubId={portal}", server.url);
    let token = sign(portal, "sync-health:report");
    let sent = server.http.post(url).bearer_auth(token).body(lines).send();
    let answer = sent.await.expect("an answer").json().await;
    let answer: Value = answer.expect("JSON");
    assert_eq!(answer["refusedCount"], 0, "{answer:#}");
    answer
}
