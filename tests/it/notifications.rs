//! Who is told of news, when and how: settings, tests, deliveries.

use chrono::Duration;
use serde_json::{Value, json};
use sync_health::kernel::mail::MailConfig;

use crate::harness::mails::{Encryption, Mails, mailed};
use crate::harness::metrics::{metrics, value};
use crate::harness::{Backend, Server, both, eventually, failure, manager, minute, reader, token};
use crate::push::Receiver;

const SETTINGS: &str = "id enabled frequency emails webhookUrls categories minAffectedRecordCount timeOfDay weekday nextDigestAt";

/// Changes the settings; answers the payload.
pub async fn configure(server: &Server, input: Value) -> Value {
    let query = format!(
        "mutation ($input: ConfigureNotificationsInput!) {{ configureNotifications(input: $input) {{ notificationSettings {{ {SETTINGS} }} webhookSecret userErrors {{ field code message elementIndex }} }} }}"
    );
    let mut data = server
        .data(&manager(), &query, json!({ "input": input }))
        .await;
    data["configureNotifications"].take()
}

pub async fn settings(server: &Server) -> Value {
    let query = format!("{{ portal {{ notificationSettings {{ {SETTINGS} }} }} }}");
    server.read(&query, json!({})).await["portal"]["notificationSettings"].take()
}

/// All deliveries, newest first.
pub async fn deliveries(server: &Server) -> Vec<Value> {
    let query = "{ portal { notificationSettings { deliveries { nodes { id channel target subject status attemptCount attempts { at error } nextAttemptAt createdAt deliveredAt lastError } } } } }";
    let data = server.read(query, json!({})).await;
    let nodes = &data["portal"]["notificationSettings"]["deliveries"]["nodes"];
    nodes.as_array().expect("deliveries").clone()
}

async fn send_test(server: &Server) -> Value {
    let query = "mutation { sendTestNotification(input: {}) { deliveries { id target status subject createdAt } userErrors { field code message } } }";
    server.data(&manager(), query, json!({})).await["sendTestNotification"].take()
}

mailed! {
    /// Defaults, all keys, what is refused, and who may.
    async fn configured(server, _mails) {
        let categories = ["ASSOCIATIONS", "CUSTOM_CODE", "DUPLICATES", "PERMISSIONS", "PICKLISTS", "PROPERTY_MAPPINGS", "PROPERTY_VALUES", "OTHER"];
        let mut defaults = settings(server).await;
        let id = defaults["id"].take();
        assert_eq!(defaults, json!({ "id": null, "enabled": false, "frequency": "DAILY", "emails": [], "webhookUrls": [], "categories": categories,
            "minAffectedRecordCount": 1, "timeOfDay": "08:00", "weekday": "MONDAY", "nextDigestAt": null }));
        let input = json!({ "enabled": true, "frequency": "WEEKLY", "emails": [" ops@nordwind.example ", "OPS@nordwind.example"], "webhookUrls": ["https://example.com/hook"],
            "categories": ["OTHER", "PICKLISTS"], "minAffectedRecordCount": 10, "timeOfDay": "17:30", "weekday": "FRIDAY" });
        let told = configure(server, input).await;
        let secret = told["webhookSecret"].as_str().expect("a secret").to_owned();
        assert!(secret.starts_with("whsec_"));
        // The clock stands at Monday, 11:00.
        assert_eq!(told["notificationSettings"], json!({ "id": id, "enabled": true, "frequency": "WEEKLY", "emails": ["ops@nordwind.example"], "webhookUrls": ["https://example.com/hook"],
            "categories": ["PICKLISTS", "OTHER"], "minAffectedRecordCount": 10, "timeOfDay": "17:30", "weekday": "FRIDAY", "nextDigestAt": "2026-03-06T17:30:00Z" }));
        // Left out: unchanged. The secret is shown when it is made.
        assert_eq!(configure(server, json!({ "weekday": "TUESDAY" })).await["webhookSecret"], Value::Null);
        assert_eq!(settings(server).await["nextDigestAt"], "2026-03-03T17:30:00Z");
        for (weekday, due) in [("WEDNESDAY", "04"), ("THURSDAY", "05"), ("FRIDAY", "06"), ("SATURDAY", "07"), ("SUNDAY", "08"), ("MONDAY", "02"), ("TUESDAY", "03")] {
            let told = configure(server, json!({ "weekday": weekday })).await;
            assert_eq!(told["notificationSettings"]["nextDigestAt"], format!("2026-03-{due}T17:30:00Z"));
        }
        let rotated = configure(server, json!({ "rotateWebhookSecret": true })).await["webhookSecret"].take();
        assert!(rotated.is_string() && rotated != secret);
        let changes = server.read("{ portal { changes { nodes { setting from to by } } } }", json!({})).await;
        let changes = changes["portal"]["changes"]["nodes"].as_array().expect("changes").clone();
        assert_eq!(changes[0], json!({ "setting": "notificationSettings.weekday", "from": "MONDAY", "to": "TUESDAY", "by": "test-user" }));
        assert!(changes.contains(&json!({ "setting": "notificationSettings.emails", "from": null, "to": "ops@nordwind.example", "by": "test-user" })));
        let many: Vec<String> = (0..51).map(|at| format!("a{at}@nordwind.example")).collect();
        let urls: Vec<String> = (0..11).map(|at| format!("https://example.com/{at}")).collect();
        let long = format!("{}@nordwind.example", "x".repeat(254));
        for (input, code, field) in [
            (json!({ "emails": ["a@b.example", "nobody"] }), "INVALID", json!(["input", "emails", "1"])),
            (json!({ "emails": [long] }), "TOO_LONG", json!(["input", "emails"])),
            (json!({ "emails": many }), "TOO_MANY", json!(["input", "emails"])),
            (json!({ "webhookUrls": ["ftp://example.com"] }), "ADDRESS_NOT_ALLOWED", json!(["input", "webhookUrls", "0"])),
            (json!({ "webhookUrls": urls }), "TOO_MANY", json!(["input", "webhookUrls"])),
            (json!({ "minAffectedRecordCount": 0 }), "OUT_OF_RANGE", json!(["input", "minAffectedRecordCount"])),
            (json!({ "timeOfDay": "24:00" }), "INVALID", json!(["input", "timeOfDay"])),
            (json!({ "timeOfDay": "8:00" }), "INVALID", json!(["input", "timeOfDay"])),
        ] {
            let refused = configure(server, input.clone()).await;
            let error = &refused["userErrors"][0];
            assert_eq!((&error["code"], &error["field"], &refused["notificationSettings"]), (&json!(code), &field, &Value::Null), "{input}");
        }
        let nulls = json!({ "enabled": null, "frequency": null, "emails": null, "webhookUrls": null, "categories": null, "minAffectedRecordCount": null, "timeOfDay": null, "weekday": null, "rotateWebhookSecret": null });
        defaults["id"] = id.clone();
        assert_eq!(configure(server, nulls).await["notificationSettings"], defaults);
        let node = server.read("query ($id: ID!) { node(id: $id) { id ... on NotificationSettings { timeOfDay } } }", json!({ "id": id })).await;
        assert_eq!(node["node"], json!({ "id": id, "timeOfDay": "08:00" }));
        for query in ["mutation { configureNotifications(input: {}) { userErrors { code } } }", "mutation { sendTestNotification(input: {}) { userErrors { code } } }"] {
            assert_eq!(server.error_code(&reader(), query, json!({})).await, "FORBIDDEN");
        }
        let other = token(&["1002"], "sync-health:read");
        assert_eq!(server.data(&other, "query ($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await["node"], Value::Null);
    }
}

both! {
    /// Without a mail server addresses are refused at once, not when something is to be told.
    async fn without_a_mail_server(server) {
        let refused = configure(server, json!({ "emails": ["ops@nordwind.example"] })).await;
        assert_eq!((&refused["userErrors"][0]["code"], &refused["userErrors"][0]["field"]), (&json!("INVALID"), &json!(["input", "emails"])));
        let nobody = send_test(server).await;
        assert_eq!((&nobody["deliveries"], &nobody["userErrors"][0]["code"]), (&Value::Null, &json!("CONFLICT")));
    }
}

mailed! {
    /// A test reaches every recipient, by mail and by signed call, and is not sent all the time.
    async fn tested(server, mails) {
        let (receiver, url) = Receiver::start().await;
        let secret = configure(server, json!({ "emails": ["ops@nordwind.example"], "webhookUrls": [url] })).await["webhookSecret"].take();
        let sent = send_test(server).await;
        let targets: Vec<&Value> = sent["deliveries"].as_array().expect("deliveries").iter().map(|delivery| &delivery["target"]).collect();
        assert_eq!(targets, [&json!("ops@nordwind.example"), &json!(url)]);
        let mail = mails.wait(1).await.remove(0);
        assert_eq!((&mail["from"], &mail["to"], &mail["automatic"]), (&json!("\"Sync Health\" <sync-health@nordwind.example>"), &json!("ops@nordwind.example"), &json!("auto-generated")));
        assert_eq!((&mail["subject"], &mail["date"]), (&json!("Test of the notifications of 1001"), &json!("2026-03-02T11:00:00.000Z")));
        assert!(mail["text"].as_str().expect("a text").contains("messages of Sync Health arrive here"));
        let call = receiver.call(1).await;
        let body: Value = serde_json::from_str(&call.body).expect("JSON");
        assert!(call.is_signed_by(secret.as_str().expect("a secret")));
        assert_eq!((&body["type"], &body["timestamp"], &body["data"]["hubId"]), (&json!("notification.test"), &json!(minute(60)), &json!("1001")));
        let delivered = eventually("both deliveries", async || {
            let all = deliveries(server).await;
            all.iter().all(|delivery| delivery["status"] == "DELIVERED").then_some(all)
        }).await;
        assert_eq!((delivered.len(), &delivered[0]["channel"], &delivered[1]["channel"]), (2, &json!("WEBHOOK"), &json!("EMAIL")));
        assert_eq!((&delivered[0]["attempts"], &delivered[0]["deliveredAt"], &delivered[0]["nextAttemptAt"]), (&json!([{ "at": minute(60), "error": null }]), &json!(minute(60)), &Value::Null));
        assert_eq!(send_test(server).await["userErrors"][0]["code"], "CONFLICT");
        server.pass(Duration::seconds(61));
        assert_eq!(send_test(server).await["userErrors"], json!([]));
        mails.wait(2).await;
        let told = metrics(server).await;
        assert!(value(&told, "sync_health_notification_attempts_total{channel=\"email\",outcome=\"delivered\"}") >= Some(1.0), "{told}");
        let first = "query ($after: String, $statuses: [DeliveryStatus!]) { portal { notificationSettings { deliveries(first: 3, after: $after, statuses: $statuses) { totalCount totalCountPrecision edges { cursor node { id } } pageInfo { endCursor hasNextPage } } } } }";
        let page = server.read(first, json!({ "statuses": ["PENDING", "DELIVERED"] })).await["portal"]["notificationSettings"]["deliveries"].take();
        assert_eq!((&page["totalCount"], &page["pageInfo"]["hasNextPage"]), (&json!(4), &json!(true)));
        let rest = server.read(first, json!({ "after": page["pageInfo"]["endCursor"] })).await["portal"]["notificationSettings"]["deliveries"].take();
        let id = &rest["edges"][0]["node"]["id"];
        assert_eq!((rest["edges"].as_array().expect("edges").len(), id), (1, &sent["deliveries"][0]["id"]));
        let node = server.read("query ($id: ID!) { node(id: $id) { ... on NotificationDelivery { target } } }", json!({ "id": id })).await;
        assert_eq!(node["node"]["target"], "ops@nordwind.example");
    }
}

mailed! {
    /// Each recipient is tried for itself: one is gone for good, one is busy for a while, one does not answer, and one is
    /// taken out meanwhile. All attempts have the same id.
    async fn tried_again(server, mails) {
        let (receiver, url) = Receiver::start().await;
        for _ in 0..8 {
            receiver.answers(503, Value::Null);
        }
        let emails = ["gone@nordwind.example", "busy@nordwind.example", "ops@nordwind.example", "busy@elsewhere.example"];
        configure(server, json!({ "emails": emails, "webhookUrls": [url] })).await;
        send_test(server).await;
        mails.wait(1).await;
        let state = async |target: &str| deliveries(server).await.into_iter().find(|delivery| delivery["target"] == target).expect("a delivery");
        let gone = eventually("the refusal", async || Some(state("gone@nordwind.example").await).filter(|gone| gone["status"] == "FAILED")).await;
        assert_eq!((&gone["attemptCount"], &gone["lastError"]), (&json!(1), &json!("The mail server answered 550 5.1.1 No such user here")));
        let busy = eventually("the first attempt", async || Some(state("busy@nordwind.example").await).filter(|busy| busy["attempts"] != json!([]))).await;
        assert_eq!((&busy["status"], &busy["attemptCount"]), (&json!("PENDING"), &json!(1)));
        assert!(busy["attempts"][0]["error"].as_str().expect("a text").contains("451") && busy["nextAttemptAt"].is_string());
        eventually("the other's", async || (state("busy@elsewhere.example").await["attempts"] != json!([])).then_some(())).await;
        configure(server, json!({ "emails": &emails[..3] })).await;
        let mut ids = Vec::new();
        for number in 1..=8 {
            let call = receiver.call(number).await;
            ids.push(call.header("webhook-id").to_owned());
            eventually("the end of the attempt", async || (state(&url).await["attempts"].as_array().expect("attempts").len() == number).then_some(())).await;
            server.pass(Duration::hours(2));
        }
        assert!(ids.iter().all(|id| *id == ids[0] && !id.contains('.')), "{ids:?}");
        let failed = state(&url).await;
        assert_eq!((&failed["status"], &failed["attemptCount"], &failed["lastError"], &failed["deliveredAt"]), (&json!("FAILED"), &json!(8), &json!("It answered with the status 503."), &Value::Null));
        let delivered = eventually("the busy one", async || Some(state("busy@nordwind.example").await).filter(|busy| busy["status"] == "DELIVERED")).await;
        assert_eq!((&delivered["attemptCount"], &delivered["lastError"]), (&json!(3), &Value::Null));
        let taken_out = eventually("the one that was taken out", async || Some(state("busy@elsewhere.example").await).filter(|busy| busy["status"] == "FAILED")).await;
        assert_eq!(taken_out["lastError"], "It is no recipient any more.");
        mails.wait(2).await;
    }
}

async fn sent_by(mail: MailConfig) -> Value {
    let server = Server::start_with(Backend::Sqlite, |config| config.mail = mail).await;
    configure(&server, json!({ "emails": ["ops@nordwind.example"] })).await;
    send_test(&server).await;
    let ended = eventually("an attempt", async || {
        let delivery = deliveries(&server).await.remove(0);
        (delivery["attempts"] != json!([])).then_some(delivery)
    })
    .await;
    server.finish().await;
    ended
}

/// By STARTTLS and by TLS, with a password; a certificate that nobody vouches for, and a wrong password, send nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted() {
    for (encryption, scheme, query) in [
        (Encryption::StartTls, "smtp", "?tls=required"),
        (Encryption::Tls, "smtps", ""),
    ] {
        let mails = Mails::start(encryption, Some("s3cret"));
        let config = |password: &str, root_certificate| MailConfig::Smtp {
            url: mails.url(scheme, &format!("relay:{password}@"), query),
            from: "sync-health@nordwind.example".into(),
            root_certificate,
        };
        let untrusted = sent_by(config("s3cret", None)).await;
        let told =
            "The mail server does not let this server in: its operator has to look at the log.";
        assert_eq!(
            (&untrusted["status"], &untrusted["lastError"]),
            (
                &json!("PENDING"),
                &json!("The mail server cannot be reached.")
            )
        );
        let stranger = sent_by(config("wrong", Some(mails.certificate()))).await;
        assert_eq!(
            (&stranger["status"], &stranger["lastError"]),
            (&json!("PENDING"), &json!(told))
        );
        let good = sent_by(config("s3cret", Some(mails.certificate()))).await;
        assert_eq!(good["status"], "DELIVERED", "{good:#}");
        let mail = mails.wait(1).await.remove(0);
        assert_eq!(
            (&mail["secure"], &mail["user"]),
            (&json!(true), &json!("relay"))
        );
    }
    let nobody = sent_by(MailConfig::Smtp {
        url: "smtp://127.0.0.1:1".into(),
        from: "a@b.example".into(),
        root_certificate: None,
    })
    .await;
    assert_eq!(nobody["lastError"], "The mail server cannot be reached.");
}

mailed! {
    /// A portal's name is other people's text: it makes no second line of a subject and no mark-up of a mail.
    async fn texts_stay_texts(server, mails) {
        let name = "<script>alert(1)</script>\r\nBcc: all@nordwind.example";
        let query = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { userErrors { message } } }";
        server.data(&manager(), query, json!({ "input": { "name": name } })).await;
        configure(server, json!({ "emails": ["ops@nordwind.example"] })).await;
        server.record(json!([failure("1", 0, json!({}))])).await;
        send_test(server).await;
        let mail = mails.wait(1).await.remove(0);
        assert_eq!(mail["subject"], "Test of the notifications of <script>alert(1)</script> Bcc: all@nordwind.example");
        assert!(!mail["html"].as_str().expect("HTML").contains("<script"));
    }
}

/// A mail server that takes the connection and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_mail_server() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("smtp://{}", silent.local_addr().expect("an address"));
    let mail = MailConfig::Smtp {
        url,
        from: "a@b.example".into(),
        root_certificate: None,
    };
    let (told, connection) = tokio::join!(sent_by(mail), silent.accept());
    drop(connection);
    assert_eq!(
        (&told["status"], &told["lastError"]),
        (
            &json!("PENDING"),
            &json!("The mail server did not answer in time.")
        )
    );
}
