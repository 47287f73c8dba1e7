//! Addresses that take a call and never answer hold up nobody else's.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{REPORT_FAILURES, Server, both, eventually, failure, token};
use crate::push::Receiver;

/// More tenants than calls used to be under way at once.
const TENANTS: usize = 80;
/// Far less than a silent address is waited for.
const SOON: Duration = Duration::from_secs(8);

fn tenant(hub_id: usize) -> String {
    token(
        &[&hub_id.to_string()],
        "sync-health:manage sync-health:report",
    )
}

async fn all_called(receiver: &Receiver) {
    eventually("calls to all silent addresses", async || {
        let calls = receiver.calls.lock().expect("calls").len();
        (calls >= TENANTS).then_some(())
    })
    .await;
}

async fn is_called_soon(receiver: &Receiver) {
    let called = tokio::time::timeout(SOON, receiver.call(1)).await;
    assert!(called.is_ok(), "the silent ones hold it up");
}

/// Something to be tried again, at this address.
async fn resync(server: &Server, hub_id: usize, url: &str) {
    let token = tenant(hub_id);
    let configure = "mutation ($url: URL) { configurePortal(input: { resyncWebhookUrl: $url }) { userErrors { message } } }";
    server.data(&token, configure, json!({ "url": url })).await;
    let failures = json!({ "input": { "failures": [failure("1", 0, json!({}))] } });
    let told = server.data(&token, REPORT_FAILURES, failures).await;
    let id = &told["reportSyncFailures"]["results"][0]["syncError"]["id"];
    let ask = "mutation ($id: ID!) { resyncSyncErrors(input: { errorIds: [$id] }) { userErrors { message } } }";
    server.data(&token, ask, json!({ "id": id })).await;
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    async fn resyncs(server) {
        let (silent, silent_url) = Receiver::start().await;
        silent.is_silent.store(true, Ordering::SeqCst);
        for hub_id in 0..TENANTS {
            resync(server, 2_000 + hub_id, &silent_url).await;
        }
        let called = tokio::time::timeout(SOON, all_called(&silent)).await;
        assert!(called.is_ok(), "they hold up each other");
        let (receiver, url) = Receiver::start().await;
        resync(server, 1_001, &url).await;
        is_called_soon(&receiver).await;
    }
}

async fn notify(server: &Server, hub_id: usize, url: &str) -> Value {
    let token = tenant(hub_id);
    let configure = "mutation ($url: URL!) { configureNotifications(input: { enabled: true, webhookUrls: [$url] }) { userErrors { message } } }";
    server.data(&token, configure, json!({ "url": url })).await;
    let send =
        "mutation { sendTestNotification(input: {}) { deliveries { id } userErrors { message } } }";
    server.data(&token, send, json!({})).await
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    async fn notifications(server) {
        let (silent, silent_url) = Receiver::start().await;
        silent.is_silent.store(true, Ordering::SeqCst);
        for hub_id in 0..TENANTS {
            notify(server, 2_000 + hub_id, &silent_url).await;
        }
        let called = tokio::time::timeout(SOON, all_called(&silent)).await;
        assert!(called.is_ok(), "they hold up each other");
        let (receiver, url) = Receiver::start().await;
        notify(server, 1_001, &url).await;
        is_called_soon(&receiver).await;
    }
}
