//! Addresses confirm that they want a portal's news before they get any.

use chrono::Duration;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sync_health::kernel::clock::Clock;
use sync_health::kernel::config::Config;
use sync_health::kernel::mail::MailConfig;

use crate::harness::mails::{Mails, mailed};
use crate::harness::outsider::Outsider;
use crate::harness::{
    Backend, Server, both, eventually, logs, manager, reader, take_error_logs, token,
};
use crate::notifications::{configure, deliveries};
use crate::notified::{heard, of_field};
use crate::push::Receiver;
use crate::upkeep::{count, run};

const OPS: &str = "ops@nordwind.example";

fn asks(config: &mut Config) {
    config.confirms_emails = true;
}

/// E-mail waits: nobody listens.
fn asks_in_vain(config: &mut Config) {
    asks(config);
    config.mail = MailConfig::Smtp {
        url: "smtp://127.0.0.1:1".into(),
        from: "sync@example.com".into(),
        root_certificate: None,
    };
}

async fn unconfirmed(server: &Server) -> Value {
    let query = "{ portal { notificationSettings { unconfirmedEmails } } }";
    let mut data = server.read(query, json!({})).await;
    data["portal"]["notificationSettings"]["unconfirmedEmails"].take()
}

async fn portal(server: &Server, input: Value) {
    let query = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { userErrors { message } } }";
    let input = json!({ "input": input });
    server.data(&manager(), query, input).await;
}

/// Sets the addresses of portal 1001; nothing is refused.
async fn set_emails(server: &Server, emails: &[&str]) {
    let told = configure(server, json!({ "emails": emails })).await;
    assert_eq!(told["userErrors"], json!([]));
}

async fn send_test(server: &Server) -> Value {
    let query = "mutation { sendTestNotification(input: {}) { deliveries { target } userErrors { field code message } } }";
    server.data(&manager(), query, json!({})).await["sendTestNotification"].take()
}

/// The link of a mail.
fn link(mail: &Value) -> String {
    let text = mail["text"].as_str().expect("a text");
    let mut lines = text.lines();
    let link = lines.find(|line| line.contains("/v1/confirmations?ticket="));
    link.expect("a link").to_owned()
}

async fn ask(server: &Server, method: Method, link: &str) -> Response {
    let request = server.http.request(method, link);
    request.send().await.expect("an answer")
}

async fn page(server: &Server, method: Method, link: &str) -> (u16, String) {
    let response = ask(server, method, link).await;
    let status = response.status().as_u16();
    (status, response.text().await.expect("a page"))
}

/// Presses the button.
async fn confirm(server: &Server, link: &str) {
    let (status, html) = page(server, Method::POST, link).await;
    assert_eq!(status, 200, "{html}");
}

/// A new cause, whose minute is over.
async fn news(server: &Server, field: &str) {
    server.record(json!([of_field("1", field)])).await;
    server.pass(Duration::seconds(61));
}

mailed! {
    configure = crate::confirmations::asks;
    /// One message asks; looking at its link confirms nothing, the button does; news go to the address from then on.
    async fn before_the_first_news(server, mails) {
        let (receiver, url) = Receiver::start().await;
        portal(server, json!({ "name": "Nordwind <Group>" })).await;
        let told = configure(server, json!({ "enabled": true, "frequency": "IMMEDIATELY", "emails": [OPS], "webhookUrls": [url] })).await;
        assert_eq!(told["notificationSettings"]["emails"], json!([OPS]));
        let mail = mails.wait(1).await.remove(0);
        assert_eq!((&mail["to"], &mail["subject"]), (&json!(OPS), &json!("Confirm that you want the notifications of Nordwind <Group>")));
        let (text, html) = (mail["text"].as_str().expect("a text"), mail["html"].as_str().expect("HTML"));
        for part in ["Nordwind <Group> (Hub ID 1001)", "press the button", "The link is good until 2026-03-09 11:00 (UTC).", "If you do nothing, no notifications are sent to you."] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(html.contains("Nordwind &lt;Group&gt;") && html.contains("confirmations?ticket=") && html.contains("<html lang=\"en\">"), "{html}");
        assert_eq!(unconfirmed(server).await, json!([OPS]));

        // Nothing else comes, neither news nor tests.
        news(server, "Before__c").await;
        assert_eq!(heard(&receiver, 1).await[0]["data"]["newErrorCount"], 1);
        let tested = send_test(server).await;
        assert_eq!(tested["deliveries"], json!([{ "target": url }]));
        let refused = &tested["userErrors"][0];
        assert_eq!((&refused["code"], refused["message"].as_str().is_some_and(|text| text.contains(OPS))), (&json!("CONFLICT"), true), "{tested}");
        receiver.call(2).await;

        // Programs look at links.
        let link = link(&mail);
        assert!(link.starts_with(&format!("{}/v1/confirmations?ticket=", server.url)), "{link}");
        let response = ask(server, Method::GET, &link).await;
        let headers = response.headers().clone();
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"), ("content-security-policy", "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
            ("cache-control", "private, no-store"), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(headers.get(name).and_then(|value| value.to_str().ok()), Some(value));
        }
        let html = response.text().await.expect("a page");
        assert!(html.contains("Nordwind &lt;Group&gt; (Hub ID 1001)") && html.contains(OPS) && html.contains("<form method=\"post\"><button") && !html.contains("ticket"), "{html}");
        assert_eq!(ask(server, Method::HEAD, &link).await.status(), StatusCode::OK);
        assert_eq!(unconfirmed(server).await, json!([OPS]));

        // The button, twice.
        for method in [Method::POST, Method::POST, Method::GET] {
            let (status, html) = page(server, method, &link).await;
            assert!(status == 200 && html.contains("Confirmed: the notifications of portal") && !html.contains("<form"), "{html}");
        }
        assert_eq!(unconfirmed(server).await, json!([]));
        news(server, "After__c").await;
        let mail = mails.wait(2).await.remove(1);
        assert!(mail["text"].as_str().expect("a text").contains("After__c") && !mail["text"].to_string().contains("Before__c"), "{mail}");
        server.pass(Duration::seconds(61));
        assert_eq!(send_test(server).await["userErrors"], json!([]));
        mails.wait(3).await;

        let logged = logs().join("\n");
        let (_, ticket) = link.split_once("ticket=").expect("a ticket");
        assert!(logged.contains("\"/v1/confirmations\"") && !logged.contains(ticket) && !logged.contains(ticket.rsplit('.').next().expect("a signature")));
    }
}

mailed! {
    configure = crate::confirmations::asks;
    /// Where nobody has confirmed yet, a test is refused in words.
    async fn nobody_yet(server, mails) {
        set_emails(server, &[OPS]).await;
        let tested = send_test(server).await;
        assert_eq!((&tested["deliveries"], &tested["userErrors"][0]["code"]), (&Value::Null, &json!("CONFLICT")));
        assert!(tested["userErrors"][0]["message"].as_str().is_some_and(|text| text.starts_with("Not sent to ops@nordwind.example: ")), "{tested}");
        // No minute has to pass: none was sent.
        confirm(server, &link(&mails.wait(1).await[0])).await;
        assert_eq!(send_test(server).await["userErrors"], json!([]));
        mails.wait(2).await;
    }
}

mailed! {
    configure = crate::confirmations::asks;
    /// In the language of the portal, the pages too.
    async fn in_german(server, mails) {
        portal(server, json!({ "name": "Nordwind", "locale": "DE", "timeZone": "Europe/Berlin" })).await;
        set_emails(server, &[OPS]).await;
        let mail = mails.wait(1).await.remove(0);
        assert_eq!(mail["subject"], "Bestätigen Sie die Benachrichtigungen von Nordwind");
        let text = mail["text"].as_str().expect("a text");
        assert!(text.contains("Der Link gilt bis 09.03.2026 12:00 (Europe/Berlin).") && text.contains("Wenn Sie nichts tun"), "{text}");
        assert!(mail["html"].as_str().is_some_and(|html| html.contains("<html lang=\"de\">")), "{mail}");
        let link = link(&mail);
        let (_, html) = page(server, Method::GET, &link).await;
        assert!(html.contains("<html lang=\"de\">") && html.contains("Ja, ich möchte die Benachrichtigungen"), "{html}");
        let (_, html) = page(server, Method::POST, &link).await;
        assert!(html.contains("Bestätigt: Die Benachrichtigungen des Portals Nordwind (Hub-ID 1001) werden an"), "{html}");
        server.pass(Duration::days(7));
        let (status, html) = page(server, Method::GET, &link).await;
        assert!(status == 410 && html.contains("Der Link ist zu alt."), "{html}");
    }
}

mailed! {
    configure = crate::confirmations::asks;
    /// A link is good for 7 days, whole, for its own portal.
    async fn links(server, mails) {
        set_emails(server, &[OPS]).await;
        let own = link(&mails.wait(1).await[0]);
        let other = "mutation ($input: ConfigureNotificationsInput!) { configureNotifications(input: $input) { userErrors { message } } }";
        let input = json!({ "input": { "emails": [OPS] } });
        server.data(&token(&["1002"], "sync-health:manage"), other, input).await;
        // Of another portal: it confirms there and nowhere else.
        let of_other = link(&mails.wait(2).await[1]);
        confirm(server, &of_other).await;
        assert_eq!(unconfirmed(server).await, json!([OPS]));
        let query = "{ portal { notificationSettings { emails unconfirmedEmails } } }";
        let there = server.data(&token(&["1002"], "sync-health:read"), query, json!({})).await;
        assert_eq!(there["portal"]["notificationSettings"], json!({ "emails": [OPS], "unconfirmedEmails": [] }));
        // Neither whole, nor signed, nor for this.
        let (address, ticket) = own.split_once("ticket=").expect("a ticket");
        let stream = "mutation { createStreamTicket(input: { query: \"subscription { syncErrorEvents { kind } }\" }) { ticket } }";
        let stream = server.data(&reader(), stream, json!({})).await["createStreamTicket"]["ticket"].as_str().expect("a ticket").to_owned();
        let (body, signature) = ticket.rsplit_once('.').expect("a signature");
        let (_, of_other) = of_other.rsplit_once('.').expect("a signature");
        let turned: String = signature.chars().rev().collect();
        for wrong in [String::new(), "x".into(), format!("{body}."), format!("{body}.{turned}"), format!("{body}.{of_other}"), ticket[..100].into(), stream, "x".repeat(2_049), format!("{ticket}&ticket={ticket}"), manager()] {
            for method in [Method::GET, Method::POST] {
                let (status, html) = page(server, method, &format!("{address}ticket={wrong}")).await;
                assert!(status == 400 && html.contains("The link is not valid.") && html.contains("Der Link ist nicht gültig.") && !html.contains("<form"), "{wrong} {html}");
            }
        }
        assert_eq!(page(server, Method::GET, address).await.0, 400);
        // To its last second.
        server.pass(Duration::days(7) - Duration::seconds(1));
        assert_eq!(page(server, Method::GET, &own).await.0, 200);
        server.pass(Duration::seconds(1));
        for method in [Method::GET, Method::POST] {
            let (status, html) = page(server, method, &own).await;
            assert!(status == 410 && html.contains("The link is too old.") && html.contains("add it again"), "{html}");
        }
        assert_eq!(unconfirmed(server).await, json!([OPS]));
    }
}

mailed! {
    configure = crate::confirmations::asks;
    /// A confirmation goes with the address: one that is added again has to confirm again, and is asked once a day.
    async fn taken_out_and_added(server, mails) {
        set_emails(server, &[OPS]).await;
        let first = link(&mails.wait(1).await[0]);
        confirm(server, &first).await;
        // Written otherwise, or beside others, it is the same.
        set_emails(server, &["OPS@nordwind.example", "cto@nordwind.example"]).await;
        assert_eq!(unconfirmed(server).await, json!(["cto@nordwind.example"]));
        mails.wait(2).await;
        set_emails(server, &[]).await;
        for method in [Method::GET, Method::POST] {
            let (status, html) = page(server, method, &first).await;
            assert!(status == 410 && html.contains("was taken out of the notification settings"), "{html}");
        }
        for _ in 0..3 {
            set_emails(server, &[OPS]).await;
            set_emails(server, &[]).await;
        }
        set_emails(server, &[OPS, "new@nordwind.example"]).await;
        assert_eq!(unconfirmed(server).await, json!([OPS, "new@nordwind.example"]));
        // Only the new one is asked; the link of before is good again.
        assert_eq!(mails.wait(3).await[2]["to"], "new@nordwind.example");
        confirm(server, &first).await;
        assert_eq!(unconfirmed(server).await, json!(["new@nordwind.example"]));
        // A day later it is asked anew, and only the newest link is good.
        set_emails(server, &[]).await;
        server.pass(Duration::hours(24));
        set_emails(server, &[OPS]).await;
        let second = link(&mails.wait(4).await[3]);
        assert_eq!(page(server, Method::POST, &first).await.0, 410);
        assert_eq!(unconfirmed(server).await, json!([OPS]));
        confirm(server, &second).await;
        assert_eq!(unconfirmed(server).await, json!([]));
    }
}

both! {
    configure = crate::confirmations::asks_in_vain;
    /// News that wait for an address do not go to it when it has to confirm again.
    async fn news_that_wait(server) {
        configure(server, json!({ "enabled": true, "frequency": "IMMEDIATELY", "emails": [OPS] })).await;
        let db = Outsider::at(&server.database_url).await;
        db.run("UPDATE notification_settings SET unconfirmed_emails = '[]'").await;
        news(server, "Waits__c").await;
        eventually("news that wait", async || (deliveries(server).await.len() == 2).then_some(())).await;
        set_emails(server, &[]).await;
        set_emails(server, &[OPS]).await;
        let refused = eventually("a refusal", async || {
            server.pass(Duration::minutes(5));
            let of_news = |delivery: &Value| delivery["subject"].as_str().is_some_and(|subject| subject.contains("Waits__c"));
            deliveries(server).await.into_iter().find(|delivery| of_news(delivery) && delivery["status"] == "FAILED")
        }).await;
        let why = refused["lastError"].as_str().expect("why");
        assert!(["It has not confirmed yet.", "It is no recipient any more."].contains(&why), "{refused}");
        db.close().await;
    }
}

both! {
    configure = crate::confirmations::asks_in_vain;
    /// 100 addresses are asked for a portal within 24 hours, each once.
    async fn flooded(server) {
        let some = |from: usize, count: usize| -> Vec<String> { (from..from + count).map(|at| format!("{at}@nordwind.example")).collect() };
        let set = async |emails: Vec<String>| configure(server, json!({ "emails": emails })).await["userErrors"].take();
        assert_eq!(set(some(0, 50)).await, json!([]));
        assert_eq!(set(some(50, 50)).await, json!([]));
        assert_eq!(set(some(0, 50)).await, json!([]));
        let refused = set(some(100, 1)).await;
        assert_eq!((&refused[0]["field"], &refused[0]["code"]), (&json!(["input", "emails"]), &json!("TOO_MANY")));
        assert!(refused[0]["message"].as_str().is_some_and(|text| text.contains("confirmationMails")), "{refused}");
        assert_eq!((count(&server.database_url, "confirmation_mails").await, count(&server.database_url, "notifications").await), (100, 100));
        // A day later nobody is remembered.
        server.pass(Duration::hours(24));
        eventually("a sweep", async || (count(&server.database_url, "confirmation_mails").await == 0).then_some(())).await;
        assert_eq!(set(some(100, 1)).await, json!([]));
        take_error_logs();
    }
}

mailed! {
    configure = crate::confirmations::asks;
    /// A portal that is forgotten forgets who has confirmed, and who was asked.
    async fn forgotten(server, mails) {
        set_emails(server, &[OPS, "cto@nordwind.example"]).await;
        let links: Vec<String> = mails.wait(2).await.iter().map(link).collect();
        confirm(server, &links[0]).await;
        let done = run(&["forget", "--portal", "1001", "--database-url", &server.database_url, "--yes"]).await;
        assert!(done.status.success(), "{done:?}");
        for table in ["confirmation_mails", "notification_settings", "notifications"] {
            assert_eq!(count(&server.database_url, table).await, 0, "{table}");
        }
        for link in &links {
            assert_eq!(page(server, Method::POST, link).await.0, 410);
        }
        server.pass(Duration::seconds(1));
        set_emails(server, &[OPS]).await;
        assert_eq!(page(server, Method::POST, &links[0]).await.0, 410);
        assert_eq!(unconfirmed(server).await, json!([OPS]));
        confirm(server, &link(&mails.wait(3).await[2])).await;
    }
}

mailed! {
    /// Where nobody is asked, news go at once; what was added then, or by a version before, stays confirmed.
    async fn without(server, mails) {
        configure(server, json!({ "enabled": true, "frequency": "IMMEDIATELY", "emails": [OPS] })).await;
        assert_eq!(unconfirmed(server).await, json!([]));
        news(server, "Title").await;
        assert_eq!(mails.wait(1).await[0]["subject"].as_str().map(|subject| subject.starts_with("1001: ")), Some(true));
        assert_eq!(count(&server.database_url, "confirmation_mails").await, 0);
        let asking = asking(server, mails).await;
        assert_eq!(unconfirmed(&asking).await, json!([]));
        set_emails(&asking, &[OPS, "cto@nordwind.example"]).await;
        assert_eq!(mails.wait(2).await[1]["to"], "cto@nordwind.example");
        assert_eq!(unconfirmed(&asking).await, json!(["cto@nordwind.example"]));
        assert_eq!(unconfirmed(server).await, json!([]));
        asking.stop().await;
    }
}

/// Another server on the same database, which asks.
async fn asking(server: &Server, mails: &Mails) -> Server {
    let (clock, database_url, mail) = (server.clock(), server.database_url.clone(), mails.plain());
    Server::start_with(Backend::Sqlite, |config| {
        config.database_url = database_url;
        config.clock = Clock::Manual(clock);
        config.mail = mail;
        asks(config);
    })
    .await
}
