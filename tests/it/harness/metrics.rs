//! What the server counts.

use super::Server;

/// All of it.
pub async fn metrics(server: &Server) -> String {
    let response = server
        .http
        .get(format!("{}/metrics", server.url))
        .send()
        .await;
    let response = response.expect("an answer");
    let content_type = response.headers()["content-type"].to_str().expect("a text");
    assert!(content_type.starts_with("application/openmetrics-text"));
    response.text().await.expect("a text")
}

/// The value of the first line that starts so.
pub fn value(metrics: &str, start: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(start))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// One of the figures.
pub async fn metric(server: &Server, start: &str) -> Option<f64> {
    value(&metrics(server).await, start)
}
