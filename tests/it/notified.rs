//! News: what is told, when, and how often: once.

use std::sync::atomic::Ordering;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::harness::mails::mailed;
use crate::harness::{Server, engine, eventually, failure, manager, success};
use crate::notifications::{configure, deliveries, settings};
use crate::push::Receiver;

/// Moves the server's clock to an instant.
fn set_clock(server: &Server, at: &str) {
    let at: DateTime<Utc> = at.parse().expect("an instant");
    server
        .clock()
        .store(at.timestamp_micros(), Ordering::SeqCst);
}

async fn portal(server: &Server, input: Value) {
    let query = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { userErrors { message } } }";
    server
        .data(&manager(), query, json!({ "input": input }))
        .await;
}

/// A failure of another cause for each field, reported as of the server's clock.
pub fn of_field(record: &str, field: &str) -> Value {
    failure(
        record,
        0,
        json!({ "occurredAt": null, "fields": [field], "message": format!("{field}: data value too large: x (max length=40)") }),
    )
}

/// The news of the messages that an address got, each message once.
pub async fn heard(receiver: &Receiver, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    for number in 1..=count {
        let body = receiver.call(number).await.body;
        all.push(serde_json::from_str(&body).expect("JSON"));
    }
    all
}

mailed! {
    /// What comes within a minute is one message; that more records fail for the same cause is none.
    async fn at_once(server, mails) {
        let (receiver, url) = Receiver::start().await;
        portal(server, json!({ "name": "Nordwind Group" })).await;
        server.record(json!([of_field("0", "Before__c")])).await;
        configure(server, json!({ "enabled": true, "frequency": "IMMEDIATELY", "emails": ["ops@nordwind.example"], "webhookUrls": [url] })).await;
        server.record(json!([of_field("1", "Title")])).await;
        server.record(json!([of_field("1", "Before__c")])).await;
        server.pass(Duration::seconds(40));
        server.record(json!([of_field("1", "Phone"), of_field("2", "Phone"), of_field("3", "Phone")])).await;
        server.pass(Duration::seconds(21));
        let mail = mails.wait(1).await.remove(0);
        assert_eq!(mail["subject"], "Nordwind Group: 2 new sync errors");
        let text = mail["text"].as_str().expect("a text");
        let (phone, title) = (text.find("Value is too long (Contact: Phone)").or(text.find("(Contact: Phone)")), text.find("(Contact: Title)"));
        assert!(phone < title && phone.is_some() && !text.contains("Before__c") && text.contains("3 records affected") && text.contains("First step:"), "{text}");
        let body = heard(&receiver, 1).await.remove(0);
        let data = &body["data"];
        assert_eq!((&body["type"], &data["newErrorCount"], &data["frequency"], &data["portalName"]), (&json!("notification.news"), &json!(2), &json!("IMMEDIATELY"), &json!("Nordwind Group")));
        let first = &data["newErrors"][0];
        assert_eq!((&first["kind"], &first["type"], &first["category"], &first["affectedRecordCount"]), (&json!("OPENED"), &json!("VALUE_TOO_LONG"), &json!("PROPERTY_VALUES"), &json!(3)));
        let node = server.read("query ($id: ID!) { node(id: $id) { ... on SyncError { title } } }", json!({ "id": first["syncErrorId"] })).await;
        assert_eq!(node["node"]["title"], first["title"]);
        // Further records of known causes, and what comes and goes within the minute, are no news.
        server.record(json!([of_field("4", "Phone"), of_field("9", "Briefly__c")])).await;
        server.pass(Duration::seconds(5));
        server.succeed(json!([{ "hubspotRecord": { "objectType": "contact", "recordId": "9" } }, { "hubspotRecord": { "objectType": "contact", "recordId": "1" } }])).await;
        server.pass(Duration::seconds(61));
        server.record(json!([of_field("5", "Title")])).await;
        server.pass(Duration::seconds(61));
        let again = mails.wait(2).await.remove(1);
        assert!(again["subject"].as_str().expect("a subject").starts_with("Nordwind Group: ") && again["text"].as_str().expect("a text").contains("(open again)"), "{again}");
        assert_eq!(deliveries(server).await.len(), 4);
    }
}

mailed! {
    /// The API calls and the sync state are news of their own, whatever the categories.
    async fn of_the_portal(server, mails) {
        portal(server, json!({ "locale": "DE", "name": "Nordwind" })).await;
        configure(server, json!({ "enabled": true, "frequency": "IMMEDIATELY", "emails": ["ops@nordwind.example"], "categories": ["PICKLISTS"] })).await;
        server.data(&manager(), "mutation { setHubspotAllocation(input: { calls: 1000 }) { userErrors { message } } }", json!({})).await;
        let used = "mutation ($id: ID!, $calls: Int!) { reportApiUsage(input: { reportId: $id, calls: $calls }) { userErrors { message } } }";
        server.data(&engine(), used, json!({ "id": "1", "calls": 800 })).await;
        server.record(json!([of_field("1", "Title")])).await;
        server.pass(Duration::seconds(61));
        let mail = mails.wait(1).await.remove(0);
        assert_eq!(mail["subject"], "Nordwind: 75 % der API-Aufrufe sind verbraucht: Wiederholungen warten");
        assert!(mail["text"].as_str().expect("a text").contains("800 verbraucht von 1.000, die HubSpot zugewiesen sind"), "{mail}");
        let state = "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { userErrors { message } } }";
        server.data(&engine(), used, json!({ "id": "2", "calls": 200 })).await;
        server.data(&engine(), state, json!({ "input": { "syncState": "SUSPENDED", "suspensionReason": "API_DISABLED" } })).await;
        server.pass(Duration::seconds(61));
        let mail = mails.wait(2).await.remove(1);
        assert_eq!(mail["subject"], "Nordwind: Die Synchronisierung ist ausgesetzt");
        assert!(mail["text"].as_str().expect("a text").contains("Es sind keine API-Aufrufe mehr übrig"), "{mail}");
        server.data(&engine(), state, json!({ "input": { "syncState": "ACTIVE" } })).await;
        server.pass(Duration::hours(24) + Duration::minutes(2));
        let mail = eventually("both turns", async || {
            let texts: Vec<String> = mails.all()[2..].iter().map(|mail| mail["text"].to_string()).collect();
            let all = texts.join("");
            (all.contains("Die Synchronisierung läuft wieder") && all.contains("Wieder weniger als 75 % der API-Aufrufe verbraucht")).then_some(all)
        });
        let passing = async {
            // The calls recover when somebody looks; their minute begins then.
            eventually("the recovery", async || {
                let data = server.read("{ portal { events { nodes { kind } } } }", json!({})).await;
                data.to_string().contains("RECOVERED").then_some(())
            }).await;
            server.pass(Duration::seconds(61));
        };
        tokio::join!(mail, passing);
    }
}

mailed! {
    /// A cause that opens small is told when it has grown large enough; one that was large before is not news.
    async fn grown(server, mails) {
        server.record(json!([of_field("1", "Large__c"), of_field("2", "Large__c"), of_field("3", "Large__c")])).await;
        configure(server, json!({ "enabled": true, "frequency": "IMMEDIATELY", "emails": ["ops@nordwind.example"], "minAffectedRecordCount": 3 })).await;
        server.record(json!([of_field("4", "Large__c"), of_field("1", "Grows__c"), of_field("2", "Grows__c"), of_field("1", "Small__c")])).await;
        server.pass(Duration::seconds(61));
        server.record(json!([of_field("3", "Grows__c")])).await;
        server.pass(Duration::seconds(61));
        let mail = mails.wait(1).await.remove(0);
        let text = mail["text"].as_str().expect("a text");
        assert!(text.contains("Grows__c") && !text.contains("Large__c") && !text.contains("Small__c"), "{text}");
        // It shrinks and grows: told once. It is resolved and grows again: told again.
        server.succeed(json!([{ "hubspotRecord": { "objectType": "contact", "recordId": "3" } }])).await;
        server.pass(Duration::seconds(1));
        server.record(json!([of_field("7", "Grows__c"), of_field("8", "Grows__c")])).await;
        server.pass(Duration::seconds(61));
        let gone = |record: &str| json!({ "hubspotRecord": { "objectType": "contact", "recordId": record } });
        server.succeed(json!([gone("1"), gone("2"), gone("7"), gone("8")])).await;
        server.pass(Duration::seconds(61));
        server.record(json!([of_field("10", "Grows__c"), of_field("11", "Grows__c"), of_field("12", "Grows__c")])).await;
        server.pass(Duration::seconds(61));
        assert!(mails.wait(2).await[1]["text"].as_str().expect("a text").contains("Grows__c"));
    }
}

mailed! {
    /// A change of the settings loses no news that wait, and makes none of what was there before.
    async fn settings_change_meanwhile(server, mails) {
        configure(server, json!({ "enabled": true, "emails": ["ops@nordwind.example"], "categories": ["PROPERTY_VALUES"] })).await;
        server.record(json!([of_field("1", "Waits__c"), of_field("2", "Waits__c")])).await;
        let other = |record: &str| failure(record, 0, json!({ "occurredAt": null, "code": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "message": "Stage: bad value for restricted picklist field: x", "fields": ["StageName"] }));
        server.record(json!([other("1"), other("2")])).await;
        configure(server, json!({ "minAffectedRecordCount": 2 })).await;
        set_clock(server, "2026-03-03T08:00:00Z");
        let text = mails.wait(1).await[0]["text"].as_str().expect("a text").to_owned();
        assert!(text.contains("Waits__c") && !text.contains("StageName"), "{text}");
        configure(server, json!({ "categories": null })).await;
        server.record(json!([other("3"), of_field("1", "Later__c"), of_field("2", "Later__c")])).await;
        set_clock(server, "2026-03-04T08:00:00Z");
        let text = mails.wait(2).await[1]["text"].as_str().expect("a text").to_owned();
        assert!(text.starts_with("1001: 1 new, 0 resolved") && text.contains("Later__c"), "{text}");
    }
}

mailed! {
    /// A digest: what is new and what was resolved, the cards then and now, the worst with their first step, the calls.
    async fn daily(server, mails) {
        portal(server, json!({ "name": "Nordwind", "timeZone": "Europe/Berlin" })).await;
        server.record(json!([of_field("1", "Old__c"), of_field("2", "Stays__c")])).await;
        let told = configure(server, json!({ "enabled": true, "emails": ["ops@nordwind.example"], "timeOfDay": "07:30" })).await;
        assert_eq!(told["notificationSettings"]["nextDigestAt"], "2026-03-03T06:30:00Z");
        server.pass(Duration::minutes(10));
        server.succeed(json!([{ "hubspotRecord": { "objectType": "contact", "recordId": "1" } }])).await;
        server.record(json!([of_field("3", "New__c"), of_field("4", "New__c")])).await;
        set_clock(server, "2026-03-03T06:29:59Z");
        assert_eq!(settings(server).await["nextDigestAt"], "2026-03-03T06:30:00Z");
        set_clock(server, "2026-03-03T06:30:00Z");
        let mail = mails.wait(1).await.remove(0);
        assert_eq!(mail["subject"], "Nordwind: 1 new, 1 resolved");
        let text = mail["text"].as_str().expect("a text");
        for part in [
            "From 2026-03-02 12:00 to 2026-03-03 07:30.", "1 new sync error\n", "(Contact: New__c)", "1 sync error is resolved\n", "(Contact: Old__c)",
            "The errors that affect the most records\n", "(Contact: Stays__c)", "First step:", "Property values: 2 → 2 (3 records affected)", "Picklists: 0 → 0", "0 used",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert_eq!(settings(server).await["nextDigestAt"], "2026-03-04T06:30:00Z");
        // A day without news has no digest; the next one tells of both days.
        set_clock(server, "2026-03-04T06:30:00Z");
        eventually("the next plan", async || (settings(server).await["nextDigestAt"] == "2026-03-05T06:30:00Z").then_some(())).await;
        server.record(json!([of_field("5", "Late__c")])).await;
        // In another time zone the digest is due at another instant.
        portal(server, json!({ "timeZone": "America/New_York" })).await;
        assert_eq!(settings(server).await["nextDigestAt"], "2026-03-04T12:30:00Z");
        set_clock(server, "2026-03-04T12:30:00Z");
        eventually("the plan in the new zone", async || (settings(server).await["nextDigestAt"] == "2026-03-05T12:30:00Z").then_some(())).await;
        assert_eq!(mails.wait(2).await[1]["subject"], "Nordwind: 1 new, 0 resolved");
    }
}

mailed! {
    /// The clock changes on 2026-03-29 (02:00 to 03:00) and on 2026-10-25 (03:00 to 02:00) in Berlin: a time of day that is
    /// skipped is right behind, one that comes twice is told at the first, once.
    async fn when_the_clock_changes(server, mails) {
        portal(server, json!({ "timeZone": "Europe/Berlin" })).await;
        configure(server, json!({ "enabled": true, "emails": ["ops@nordwind.example"], "timeOfDay": "02:30" })).await;
        for (day, due) in [
            ("2026-03-27T12:00:00Z", "2026-03-28T01:30:00Z"), ("2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"), ("2026-03-29T12:00:00Z", "2026-03-30T00:30:00Z"),
            ("2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"), ("2026-10-25T01:00:00Z", "2026-10-26T01:30:00Z"),
        ] {
            set_clock(server, day);
            eventually("the plan", async || (settings(server).await["nextDigestAt"] == due).then_some(())).await;
        }
        let weekly = configure(server, json!({ "frequency": "WEEKLY", "weekday": "SUNDAY" })).await;
        assert_eq!(weekly["notificationSettings"]["nextDigestAt"], "2026-11-01T01:30:00Z");
        server.record(json!([of_field("1", "Title")])).await;
        set_clock(server, "2026-11-01T01:30:00Z");
        mails.wait(1).await;
        assert_eq!(settings(server).await["nextDigestAt"], "2026-11-08T01:30:00Z");
    }
}

mailed! {
    /// The mail as people see it, in a browser, as wide as a phone and as a desk, in both languages.
    async fn looks_right(server, mails) {
        portal(server, json!({ "name": "Nordwind Group", "salesforceInstanceUrl": "https://example.my.salesforce.com" })).await;
        configure(server, json!({ "enabled": true, "emails": ["ops@nordwind.example"] })).await;
        let long = format!("{}__c", "Very_Long_Field_Name_Without_Any_Blank".repeat(3));
        for at in 0..25 {
            server.record(json!([of_field(&at.to_string(), &format!("Field_{at}__c")), of_field(&at.to_string(), &long)])).await;
        }
        server.succeed(json!([success("7", 60)])).await;
        for (number, (day, locale)) in [("2026-03-03T08:00:00Z", "EN"), ("2026-03-04T08:00:00Z", "DE")].into_iter().enumerate() {
            portal(server, json!({ "locale": locale })).await;
            if number == 1 {
                server.record(json!([of_field("99", "Neu__c")])).await;
            }
            set_clock(server, day);
            let mail = mails.wait(number + 1).await.remove(number);
            for view in seen(mail["html"].as_str().expect("HTML"), locale).await {
                let words = match locale {
                    "EN" => ["25 new sync errors", "Open errors by category", "First step:", "and 5 more"],
                    _ => ["1 neuer Synchronisierungsfehler", "Offene Fehler nach Kategorie", "Erster Schritt:", "Die Fehler mit den meisten betroffenen Datensätzen"],
                };
                for part in words {
                    assert!(view["text"].as_str().expect("a text").contains(part), "{part} is missing in {view:#}");
                }
                assert_eq!((&view["language"], &view["title"]), (&json!(locale.to_lowercase()), &mail["subject"]));
                assert_eq!((&view["scrollsSideways"], &view["cutOff"], &view["markup"], &view["requests"]), (&json!(false), &json!(0), &json!(0), &json!([])), "{view:#}");
                assert!(view["smallestFont"].as_f64() >= Some(12.0) && view["worstContrast"].as_f64() >= Some(4.5), "{view:#}");
                let links = view["links"].as_array().expect("links");
                assert!(!links.is_empty() && links.iter().all(|link| link.as_str().is_some_and(|link| link.starts_with("https://"))), "{links:?}");
            }
        }
    }
}

/// What a browser shows of HTML, as wide as a phone and as a desk.
async fn seen(html: &str, name: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("mail-{name}.html"));
    std::fs::write(&path, html).expect("a file");
    let mut node = std::process::Command::new("node");
    node.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients"))
        .arg("mail-view.mjs")
        .arg(&path);
    let output = tokio::task::spawn_blocking(move || node.output().expect("node"))
        .await
        .expect("a run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}
