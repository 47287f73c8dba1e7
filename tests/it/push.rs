//! Records to be tried again are pushed to an address as signed calls.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use sync_health::kernel::webhook::is_public;

use crate::harness::metrics::{metrics, value};
use crate::harness::{Server, both, eventually, failure, manager, minute, token};
use crate::resync::{answer, batch, counts, errors, other, resync};

/// One call as it came.
pub struct Called {
    headers: HeaderMap,
    pub body: String,
}

impl Called {
    fn items(&self) -> Vec<Value> {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        body["data"]["items"].as_array().expect("items").clone()
    }

    fn all_succeeded(&self) -> Value {
        let outcome = |item: &Value| json!({ "itemId": item["id"], "status": "SUCCEEDED" });
        json!({ "outcomes": self.items().iter().map(outcome).collect::<Vec<_>>() })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("a text")
    }

    /// Whether a secret made one of the signatures.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let timestamp = self.header("webhook-timestamp").parse().expect("a number");
        let webhook = Webhook::new(secret).expect("a secret");
        let signature = webhook.sign(self.header("webhook-id"), timestamp, self.body.as_bytes());
        let signature = signature.expect("a signature");
        self.header("webhook-signature")
            .split(' ')
            .any(|told| told == signature)
    }
}

/// A receiver on a real port: answers what it was told to, then that it has taken the call.
#[derive(Clone, Default)]
pub struct Receiver {
    pub calls: Arc<Mutex<Vec<Called>>>,
    answers: Arc<Mutex<VecDeque<(StatusCode, Value)>>>,
    /// Whether it takes calls and never answers.
    pub is_silent: Arc<AtomicBool>,
    /// Whether it answers at once that all records sync.
    succeeds: Arc<AtomicBool>,
    /// Whether it does so with a mistake in the first outcome.
    spoils: Arc<AtomicBool>,
}

impl Receiver {
    pub async fn start() -> (Self, String) {
        let receiver = Self::default();
        let own = receiver.clone();
        let take = async move |headers: HeaderMap, body: String| {
            let called = Called { headers, body };
            let spoils = own.spoils.load(Ordering::SeqCst);
            let told = match spoils || own.succeeds.load(Ordering::SeqCst) {
                true => {
                    let mut outcomes = called.all_succeeded();
                    if spoils {
                        outcomes["outcomes"][0]["mistake"] = json!(1);
                    }
                    Some((StatusCode::OK, outcomes))
                }
                false => own.answers.lock().expect("answers").pop_front(),
            };
            own.calls.lock().expect("calls").push(called);
            if own.is_silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let (status, body) = told.unwrap_or((StatusCode::ACCEPTED, Value::Null));
            let location = [("location", "http://127.0.0.1:1/")];
            let body = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            (status, location, body)
        };
        let router = axum::Router::new().route("/resync", axum::routing::post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let url = format!(
            "http://{}/resync",
            listener.local_addr().expect("an address")
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }

    pub fn answers(&self, status: u16, body: Value) {
        let status = StatusCode::from_u16(status).expect("a status");
        self.answers
            .lock()
            .expect("answers")
            .push_back((status, body));
    }

    /// The call of this number, once it has come.
    pub async fn call(&self, number: usize) -> Called {
        eventually("a call", async || {
            let mut calls = self.calls.lock().expect("calls");
            let place = number - 1;
            (calls.len() > place).then(|| Called {
                headers: calls[place].headers.clone(),
                body: std::mem::take(&mut calls[place].body),
            })
        })
        .await
    }
}

async fn configure(server: &Server, url: Value) -> Value {
    let query = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { portal { resyncWebhook { url failedAttemptCount nextAttemptAt lastError } } webhookSecret userErrors { field code message } } }";
    let input = json!({ "input": { "resyncWebhookUrl": url } });
    server.data(&manager(), query, input).await["configurePortal"].take()
}

async fn webhook(server: &Server) -> Value {
    let query = "{ portal { resyncWebhook { url failedAttemptCount nextAttemptAt lastError } } }";
    server.read(query, json!({})).await["portal"]["resyncWebhook"].take()
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    /// The call is signed; its answer settles items at once, the others are answered later by GraphQL.
    async fn delivered(server) {
        let (receiver, url) = Receiver::start().await;
        let configured = configure(server, json!(url)).await;
        let secret = configured["webhookSecret"].as_str().expect("a secret").to_owned();
        assert_eq!(configured["portal"]["resyncWebhook"], json!({ "url": url, "failedAttemptCount": 0, "nextAttemptAt": null, "lastError": null }));
        let ids = errors(server, json!([failure("1", 0, json!({})), failure("2", 0, json!({}))])).await;
        let batch_id = resync(server, json!({ "errorIds": [ids[0]] })).await["batch"]["id"].take();
        let call = receiver.call(1).await;
        assert!(secret.starts_with("whsec_") && call.is_signed_by(&secret), "{:?}", call.headers);
        let body: Value = serde_json::from_str(&call.body).expect("JSON");
        assert_eq!((&body["type"], &body["timestamp"], &body["data"]["hubId"]), (&json!("resync.items"), &json!(minute(60)), &json!("1001")));
        let items = call.items();
        let item = &items[0];
        assert_eq!((items.len(), &item["attempt"], &item["type"], &item["direction"], &item["hubspotRecord"]["objectType"], &item["syncErrorId"]), (2, &json!(1), &json!("VALUE_TOO_LONG"), &json!("HUBSPOT_TO_SALESFORCE"), &json!("contact"), &ids[0]));
        // Taken without an outcome: told later, as by any engine.
        answer(server, json!([{ "itemId": items[0]["id"], "status": "FAILED" }, { "itemId": items[1]["id"], "status": "SUCCEEDED" }])).await;
        assert_eq!(counts(&batch(server, &batch_id).await), [0, 0, 1, 1, 0]);
        let report = "mutation ($input: ReportApiUsageInput!) { reportApiUsage(input: $input) { quota { reserved } userErrors { message } } }";
        let settled = server.data(&crate::harness::engine(), report, json!({ "input": { "reportId": "1", "calls": 2, "reservationId": body["data"]["reservationId"] } })).await;
        assert_eq!(settled["reportApiUsage"]["quota"]["reserved"], 0);
        // Outcomes in the answer, and with them one that is not of this call.
        let other_id = errors(server, json!([other(1, "9"), other(2, "8")])).await;
        receiver.answers(200, json!({ "outcomes": [{ "itemId": "nonsense", "status": "SUCCEEDED" }] }));
        let batch_id = resync(server, json!({ "errorIds": [other_id[0]] })).await["batch"]["id"].take();
        let item = receiver.call(2).await.items().remove(0);
        assert_eq!(counts(&batch(server, &batch_id).await), [0, 1, 0, 0, 0]);
        answer(server, json!([{ "itemId": item["id"], "status": "RECORD_REMOVED" }])).await;
        assert_eq!(batch(server, &batch_id).await["status"], "COMPLETED");
        receiver.succeeds.store(true, Ordering::SeqCst);
        let batch_id = resync(server, json!({ "errorIds": [other_id[1]] })).await["batch"]["id"].take();
        let ended = eventually("the outcome", async || {
            let ended = batch(server, &batch_id).await;
            (ended["status"] == "COMPLETED").then_some(ended)
        }).await;
        assert_eq!(counts(&ended), [0, 0, 1, 0, 0]);
        // What is wrong with one outcome does not touch the others, and is told.
        receiver.succeeds.store(false, Ordering::SeqCst);
        let ids = errors(server, json!([other(5, "5"), other(5, "6")])).await;
        receiver.spoils.store(true, Ordering::SeqCst);
        let batch_id = resync(server, json!({ "errorIds": [ids[0]] })).await["batch"]["id"].take();
        eventually("the outcome that is right", async || {
            let half = batch(server, &batch_id).await;
            (half["succeededCount"] == 1 && half["claimedCount"] == 1).then_some(())
        }).await;
        let told = eventually("what is wrong", async || {
            let told = webhook(server).await;
            told["lastError"].as_str().map(str::to_owned)
        }).await;
        assert!(told.contains("An outcome cannot be read"), "{told}");
        assert_eq!(configure(server, Value::Null).await["portal"]["resyncWebhook"], Value::Null);
        let changes = server.read("{ portal { changes { nodes { setting from to } } } }", json!({})).await;
        assert_eq!(changes["portal"]["changes"]["nodes"][0], json!({ "setting": "resyncWebhookUrl", "from": url, "to": null }));
    }
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    /// What was not taken is sent again with the same id, after growing pauses; then the items go back to who asks.
    async fn tried_again(server) {
        let (receiver, url) = Receiver::start().await;
        let first_secret = configure(server, json!(url)).await["webhookSecret"].take();
        let second_secret = configure(server, json!(url)).await["webhookSecret"].take();
        let ids = errors(server, json!([failure("1", 0, json!({}))])).await;
        for status in [500, 302, 429, 503, 404] {
            receiver.answers(status, Value::Null);
        }
        resync(server, json!({ "errorIds": ids })).await;
        let first = receiver.call(1).await;
        // During a rotation both secrets sign.
        for secret in [&first_secret, &second_secret] {
            assert!(first.is_signed_by(secret.as_str().expect("a secret")));
        }
        for number in 2..=5 {
            let failing = eventually("a failed call", async || {
                let state = webhook(server).await;
                (state["failedAttemptCount"] == number - 1).then_some(state)
            }).await;
            assert!(failing["lastError"].as_str().expect("a text").contains("status") && failing["nextAttemptAt"].is_string(), "{failing:#}");
            let next: DateTime<Utc> = failing["nextAttemptAt"].as_str().expect("an instant").parse().expect("an instant");
            server.clock().store(next.timestamp_micros(), Ordering::SeqCst);
            let again = receiver.call(number).await;
            assert_eq!((again.header("webhook-id"), &again.body), (first.header("webhook-id"), &first.body));
        }
        eventually("the return", async || (webhook(server).await["failedAttemptCount"] == 5).then_some(())).await;
        let item = first.items().remove(0);
        let claimed = crate::resync::claim(server, json!({})).await;
        assert_eq!((&claimed["items"][0]["hubspotRecord"]["recordId"], &claimed["items"][0]["attempt"]), (&item["hubspotRecord"]["recordId"], &json!(2)));
        answer(server, json!([{ "itemId": claimed["items"][0]["id"], "status": "RETURNED" }])).await;
        // An hour later it is called again, and a day later the former secret signs no more.
        server.pass(Duration::hours(24));
        let later = receiver.call(6).await;
        assert_ne!(later.header("webhook-id"), first.header("webhook-id"));
        assert!(later.is_signed_by(second_secret.as_str().expect("a secret")) && !later.is_signed_by(first_secret.as_str().expect("a secret")));
    }
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    /// A message whose items are anybody's by now is not sent any more: the next one is, and all goes well again.
    async fn outdated(server) {
        let (receiver, url) = Receiver::start().await;
        configure(server, json!(url)).await;
        receiver.answers(500, Value::Null);
        let ids = errors(server, json!([failure("1", 0, json!({}))])).await;
        resync(server, json!({ "errorIds": ids })).await;
        let first = receiver.call(1).await;
        eventually("a failed call", async || (webhook(server).await["failedAttemptCount"] == 1).then_some(())).await;
        server.pass(Duration::hours(2));
        let second = receiver.call(2).await;
        assert_ne!(second.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(second.items()[0]["attempt"], 2);
        eventually("a good end", async || (webhook(server).await["lastError"] == Value::Null).then_some(())).await;
        assert_eq!(webhook(server).await["failedAttemptCount"], 0);
    }
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    /// An address that does not answer in time, and one that answers too much.
    async fn slow_and_long(server) {
        let failed = async |why: &str| {
            let told = eventually("a failed call", async || {
                let state = webhook(server).await;
                (state["failedAttemptCount"] == 1).then_some(state)
            }).await;
            assert_eq!(told["lastError"], why);
        };
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        configure(server, json!(format!("http://{}/", silent.local_addr().expect("an address")))).await;
        let ids = errors(server, json!([failure("1", 0, json!({}))])).await;
        resync(server, json!({ "errorIds": ids })).await;
        let (_socket, _) = silent.accept().await.expect("a call");
        failed("It did not answer in time.").await;
        // Another address gets the same message at once.
        let (receiver, url) = Receiver::start().await;
        receiver.answers(200, json!({ "outcomes": [], "padding": "x".repeat(1024 * 1024) }));
        configure(server, json!(url)).await;
        receiver.call(1).await;
        failed("Its answer is too long.").await;
        let told = metrics(server).await;
        assert_eq!(value(&told, "sync_health_webhook_calls_total{outcome=\"failed\"}"), Some(2.0), "{told}");
    }
}

both! {
    /// Private addresses, plain http and the like are refused, when they are configured and, for names, when they are called.
    async fn guarded(server) {
        for (url, code) in [
            ("http://example.com/", "ADDRESS_NOT_ALLOWED"), ("https://127.0.0.1/", "ADDRESS_NOT_ALLOWED"), ("https://10.1.2.3/", "ADDRESS_NOT_ALLOWED"),
            ("https://169.254.169.254/latest", "ADDRESS_NOT_ALLOWED"), ("https://[::1]/", "ADDRESS_NOT_ALLOWED"), ("https://[::ffff:10.0.0.1]/", "ADDRESS_NOT_ALLOWED"),
            ("https://2130706433/", "ADDRESS_NOT_ALLOWED"), ("https://0x7f.1/", "ADDRESS_NOT_ALLOWED"), ("https://localhost/", "ADDRESS_NOT_ALLOWED"), ("https://LOCALHOST./", "ADDRESS_NOT_ALLOWED"),
            ("https://a.localhost/", "ADDRESS_NOT_ALLOWED"), ("https://user:secret@example.com/", "ADDRESS_NOT_ALLOWED"), ("https://example.com/#x", "ADDRESS_NOT_ALLOWED"),
            ("ftp://example.com/", "ADDRESS_NOT_ALLOWED"), ("nonsense", "INVALID"), (&format!("https://example.com/{}", "x".repeat(500)), "TOO_LONG"),
        ] {
            let refused = configure(server, json!(url)).await;
            assert_eq!((&refused["userErrors"][0]["code"], &refused["userErrors"][0]["field"], &refused["webhookSecret"]), (&json!(code), &json!(["input", "resyncWebhookUrl"]), &Value::Null), "{url}");
        }
        assert_eq!(webhook(server).await, Value::Null);
        // A name that leads to this machine is looked at when it is called: nothing connects.
        let (name, ip) = own_name().await;
        let listener = std::net::TcpListener::bind((ip, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        configure(server, json!(format!("https://{name}:{port}/"))).await;
        let ids = errors(server, json!([failure("1", 0, json!({}))])).await;
        resync(server, json!({ "errorIds": ids })).await;
        let failing = eventually("a refused call", async || {
            let state = webhook(server).await;
            (state["failedAttemptCount"] == 1).then_some(state)
        }).await;
        assert_eq!(failing["lastError"], "It cannot be reached.");
        assert!(listener.accept().is_err(), "something connected");
        let query = "{ portal { resyncWebhook { url } } }";
        assert_eq!(server.data(&token(&["1002"], "sync-health:read"), query, json!({})).await["portal"]["resyncWebhook"], Value::Null);
    }
}

/// A name, not told to be local by itself, that leads to an address of this machine.
async fn own_name() -> (String, IpAddr) {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    for name in [hostname.trim(), "ip6-localhost", "ip6-loopback"] {
        if let Ok(mut found) = tokio::net::lookup_host((name, 0)).await
            && let Some(address) = found.find(|address| !is_public(address.ip()))
        {
            return (name.to_owned(), address.ip());
        }
    }
    panic!("no name leads to this machine");
}

/// The special ranges of the registries, and their neighbours.
#[test]
fn public_addresses() {
    for ip in [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "::127.0.0.1",
    ] {
        assert!(
            !is_public(ip.parse::<IpAddr>().expect("an address")),
            "{ip}"
        );
    }
    for ip in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "223.255.255.255",
        "2606:4700::1",
        "2a00:1450::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001:4860::1",
    ] {
        assert!(is_public(ip.parse::<IpAddr>().expect("an address")), "{ip}");
    }
}
