//! Each window is told once, however many servers look and whenever they die.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use chrono::Duration;
use serde_json::{Value, json};

use crate::commands::{free_address, serve_at};
use crate::harness::mails::{Encryption, Mails};
use crate::harness::metrics::{metrics, value};
use crate::harness::{
    Backend, REPORT_FAILURES, Server, both, engine, eventually, manager, minute, postgres, token,
};
use crate::notifications::{configure, deliveries, settings};
use crate::notified::{heard, of_field};
use crate::push::Receiver;
use crate::upkeep::{count, run};

/// Several servers look at once: each window is told once. What was missed while none ran is told late, once.
async fn told_once(backend: Backend) {
    let (receiver, url) = Receiver::start().await;
    let mails = Mails::start(Encryption::None, None);
    // The database outlives the servers.
    let folder = tempfile::tempdir().expect("a folder");
    let database_url = match backend {
        Backend::Sqlite => format!("sqlite://{}", folder.path().join("s.db").display()),
        Backend::Postgres => postgres::new_database().await,
    };
    let first = Server::start_with(backend, |config| {
        config.database_url = database_url;
        config.allows_private_webhooks = true;
    })
    .await;
    let more = |database_url: String, clock| {
        let mail = mails.plain();
        Server::start_with(backend, move |config| {
            config.database_url = database_url;
            config.clock = sync_health::kernel::clock::Clock::Manual(clock);
            config.allows_private_webhooks = true;
            config.mail = mail;
        })
    };
    // It has made the tables before the others start.
    first.read("{ service { version } }", json!({})).await;
    let second = more(first.database_url.clone(), first.clock()).await;
    let third = more(first.database_url.clone(), first.clock()).await;
    configure(
        &first,
        json!({ "enabled": true, "frequency": "IMMEDIATELY", "webhookUrls": [url] }),
    )
    .await;
    for round in 0..6 {
        let causes: Vec<Value> = (0..30)
            .map(|at| of_field(&format!("{round}-{at}"), &format!("F{round}_{at}__c")))
            .collect();
        first.record(json!(causes)).await;
        first.pass(Duration::seconds(61));
        eventually("the round's message", async || {
            (receiver.calls.lock().expect("calls").len() > round).then_some(())
        })
        .await;
    }
    let counts: Vec<Value> = heard(&receiver, 6)
        .await
        .iter()
        .map(|body| body["data"]["newErrorCount"].clone())
        .collect();
    assert_eq!(counts, vec![json!(30); 6]);
    // Twenty are named, all are counted.
    let clock = first.clock();
    let folder_of = first.database_url.clone();
    configure(
        &first,
        json!({ "frequency": "DAILY", "timeOfDay": "08:00" }),
    )
    .await;
    first.record(json!([of_field("1", "Late__c")])).await;
    second.stop().await;
    third.stop().await;
    first.stop().await;
    clock.fetch_add(
        Duration::days(5).num_microseconds().expect("a short time"),
        Ordering::SeqCst,
    );
    let again = more(folder_of.clone(), clock.clone()).await;
    let beside = more(folder_of, clock).await;
    let late: Value = serde_json::from_str(&receiver.call(7).await.body).expect("JSON");
    assert_eq!(
        (&late["type"], &late["data"]["newErrorCount"]),
        (&json!("notification.digest"), &json!(1))
    );
    eventually("the next plan", async || {
        settings(&again).await["nextDigestAt"]
            .as_str()
            .filter(|at| *at > minute(5 * 24 * 60).as_str())
            .map(|_| ())
    })
    .await;
    assert_eq!(receiver.calls.lock().expect("calls").len(), 7);
    again.finish().await;
    beside.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_once_on_sqlite() {
    told_once(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_once_on_postgres() {
    told_once(Backend::Postgres).await;
}

/// Servers are killed while they tell: each cause is told in one window, and each window is one message.
async fn killed_while_telling(database_url: &str, servers: usize) {
    const ROUNDS: usize = 12;
    const CAUSES: usize = 5;
    let (receiver, url) = Receiver::start().await;
    let addresses: Vec<String> = (0..servers).map(|_| free_address()).collect();
    let flags = ["--allow-private-webhooks", "--gathering-seconds", "1"];
    let mut running = Vec::new();
    for address in &addresses {
        running.push(serve_at(address, database_url, &flags).await);
    }
    let http = reqwest::Client::new();
    let ask = async |token: String, query: &str, input: Value| {
        let body = json!({ "query": query, "variables": { "input": input } });
        let sent = http
            .post(format!("http://{}/graphql", addresses[0]))
            .bearer_auth(token)
            .json(&body)
            .send();
        let answer: Value = sent.await.expect("an answer").json().await.expect("JSON");
        assert!(answer.get("errors").is_none(), "{answer:#}");
    };
    let query = "mutation ($input: ConfigureNotificationsInput!) { configureNotifications(input: $input) { userErrors { message } } }";
    let input = json!({ "enabled": true, "frequency": "IMMEDIATELY", "webhookUrls": [url] });
    ask(manager(), query, input).await;
    for round in 0..ROUNDS {
        let causes: Vec<Value> = (0..CAUSES)
            .map(|at| of_field("1", &format!("F{round}_{at}__c")))
            .collect();
        ask(engine(), REPORT_FAILURES, json!({ "failures": causes })).await;
        // The kill falls before, while or after the message is made, and before, while or after it is sent.
        for _ in 0..round * 120 {
            let _ = http
                .get(format!("http://{}/readyz", addresses[0]))
                .send()
                .await;
        }
        let at = round % servers;
        running[at].kill();
        running[at] = serve_at(&addresses[at], database_url, &flags).await;
    }
    let messages = || {
        let calls = receiver.calls.lock().expect("calls");
        let mut by_id: BTreeMap<String, String> = BTreeMap::new();
        for call in calls.iter() {
            let known = by_id.insert(call.header("webhook-id").to_owned(), call.body.clone());
            assert!(
                known.is_none_or(|known| known == call.body),
                "one id, two messages"
            );
        }
        by_id
    };
    let count = |messages: &BTreeMap<String, String>| {
        let counts = messages.values().map(|body| {
            let body: Value = serde_json::from_str(body).expect("JSON");
            body["data"]["newErrorCount"].as_u64().expect("a count")
        });
        counts.sum::<u64>() as usize
    };
    eventually("all causes", async || {
        (count(&messages()) >= ROUNDS * CAUSES).then_some(())
    })
    .await;
    for server in &mut running {
        server.stop().await;
    }
    assert_eq!(count(&messages()), ROUNDS * CAUSES, "some were told twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_telling_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    killed_while_telling(
        &format!("sqlite://{}", folder.path().join("s.db").display()),
        1,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_telling_on_postgres() {
    killed_while_telling(&postgres::new_database().await, 3).await;
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    /// A server dies in the last attempt: there is no ninth.
    async fn dies_in_the_last_attempt(server) {
        let (receiver, url) = Receiver::start().await;
        for _ in 0..7 {
            receiver.answers(503, Value::Null);
        }
        configure(server, json!({ "webhookUrls": [url] })).await;
        server.data(&manager(), "mutation { sendTestNotification(input: {}) { userErrors { message } } }", json!({})).await;
        for number in 1..=7 {
            receiver.call(number).await;
            eventually("the end of the attempt", async || (deliveries(server).await[0]["attempts"].as_array().map(Vec::len) == Some(number)).then_some(())).await;
            receiver.is_silent.store(number == 7, Ordering::SeqCst);
            server.pass(Duration::hours(2));
        }
        receiver.call(8).await;
        // Another server finds what this one seems to have left, and this one's end changes nothing any more.
        server.pass(Duration::seconds(61));
        let over = eventually("the end", async || Some(deliveries(server).await.remove(0)).filter(|over| over["status"] == "FAILED")).await;
        assert_eq!((&over["attemptCount"], &over["lastError"]), (&json!(8), &json!("The server stopped during the last attempt.")));
    }
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    /// A portal is forgotten while a message is under way: the end of the attempt brings nothing back.
    async fn forgotten_while_telling(server) {
        let (receiver, url) = Receiver::start().await;
        receiver.is_silent.store(true, Ordering::SeqCst);
        configure(server, json!({ "webhookUrls": [url] })).await;
        server.data(&manager(), "mutation { sendTestNotification(input: {}) { userErrors { message } } }", json!({})).await;
        receiver.call(1).await;
        let removed = run(&["forget", "--portal", "1001", "--database-url", &server.database_url, "--yes"]).await;
        assert!(removed.status.success(), "{removed:?}");
        eventually("the end of the attempt", async || {
            let told = metrics(server).await;
            value(&told, "sync_health_notification_attempts_total{channel=\"webhook\",outcome=\"failed\"}").filter(|count| *count == 1.0)
        }).await;
        assert_eq!(count(&server.database_url, "notification_deliveries").await, 0);
    }
}

both! {
    configure = |config| config.allows_private_webhooks = true;
    /// Fifteen portals whose addresses never answer hold up no other.
    async fn slow_portals(server) {
        let (silent, silent_url) = Receiver::start().await;
        silent.is_silent.store(true, Ordering::SeqCst);
        let tell = async |hub_id: &str, urls: Value| {
            let token = token(&[hub_id], "sync-health:manage");
            let query = "mutation ($urls: [URL!]) { configureNotifications(input: { webhookUrls: $urls }) { userErrors { message } } sendTestNotification(input: {}) { userErrors { message } } }";
            let told = server.data(&token, query, json!({ "urls": urls })).await;
            assert_eq!(told["sendTestNotification"]["userErrors"], json!([]));
        };
        let urls: Vec<String> = (0..10).map(|at| format!("{silent_url}?{at}")).collect();
        for portal in 2001..2016 {
            tell(&portal.to_string(), json!(urls)).await;
        }
        eventually("calls that are not answered", async || (silent.calls.lock().expect("calls").len() == 60).then_some(())).await;
        let (receiver, url) = Receiver::start().await;
        tell("1001", json!([url])).await;
        receiver.call(1).await;
        assert_eq!(silent.calls.lock().expect("calls").len(), 60);
    }
}
