//! Exports: what does not sync, downloaded as a file.

use std::collections::HashMap;
use std::io::Cursor;

use calamine::{Data, DataType, Reader, Xlsx};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{
    Server, both, engine, eventually, failure, manager, metric, reader, success, token,
};

pub const EXPORT: &str = "mutation ($input: ExportSyncErrorsInput!) { exportSyncErrors(input: $input) { downloadUrl expiresAt fileName userErrors { code field message } } }";

/// Orders an export.
pub async fn order(server: &Server, input: Value) -> Value {
    let mut data = server
        .data(&reader(), EXPORT, json!({ "input": input }))
        .await;
    data["exportSyncErrors"].take()
}

/// Downloads what was ordered: whoever has the address needs no token.
pub async fn download(server: &Server, order: &Value) -> reqwest::Response {
    assert_eq!(order["userErrors"], json!([]));
    let url = order["downloadUrl"].as_str().expect("an address");
    assert!(url.starts_with(&server.url), "{url}");
    server.http.get(url).send().await.expect("an answer")
}

/// The bytes of an export.
pub async fn exported(server: &Server, input: Value) -> Vec<u8> {
    let response = download(server, &order(server, input).await).await;
    assert_eq!(response.status(), 200);
    response.bytes().await.expect("a whole file").to_vec()
}

/// A CSV's rows by their headings.
fn table(bytes: &[u8]) -> Vec<HashMap<String, String>> {
    let text = bytes.strip_prefix("\u{feff}".as_bytes());
    let mut rows = ::csv::Reader::from_reader(text.expect("the mark of UTF-8"));
    rows.deserialize().map(|row| row.expect("a row")).collect()
}

/// Two records of one error, one of another, and an error that is resolved.
async fn some_errors(server: &Server) {
    let name = |name: &str| json!({ "value": "x".repeat(41), "hubspotRecord": { "objectType": "contact", "recordId": "1", "name": name } });
    let duplicate = json!({ "code": "DUPLICATE_VALUE", "fields": ["Email"], "message": "duplicate value found: Email duplicates value on record with id: 0015e000003GcMx",
        "salesforceRecord": { "objectType": "Contact", "recordId": "0035e000003GcMxAAK", "name": "Ada" } });
    server
        .record(json!([
            failure("1", 0, name("=HYPERLINK(\"http://evil.example\")")),
            failure("2", 0, json!({})),
            failure("3", 1, duplicate)
        ]))
        .await;
    server
        .record(json!([failure(
            "9",
            0,
            json!({ "fields": ["Fax"], "message": "Fax: data value too large: x (max length=40)" })
        )]))
        .await;
    server.succeed(json!([success("9", 2)])).await;
    let configure = "mutation { configurePortal(input: { timeZone: \"Europe/Berlin\", salesforceInstanceUrl: \"https://acme.my.salesforce.com\" }) { userErrors { code } } }";
    let configured = server.data(&manager(), configure, json!({})).await;
    assert_eq!(configured["configurePortal"]["userErrors"], json!([]));
}

both! {
    /// One row for each error and record, with headings, names, links, details and advice.
    async fn csv(server) {
        some_errors(server).await;
        let order = order(server, json!({})).await;
        assert_eq!((&order["fileName"], &order["expiresAt"]), (&json!("sync-errors-1001-2026-03-02.csv"), &json!("2026-03-02T11:10:00Z")));
        let response = download(server, &order).await;
        let header = |name: &str| response.headers()[name].to_str().expect("a text").to_owned();
        assert_eq!(header("content-type"), "text/csv; charset=utf-8; header=present");
        assert_eq!(header("content-disposition"), "attachment; filename=\"sync-errors-1001-2026-03-02.csv\"");
        assert_eq!(header("cache-control"), "private, no-store");
        let rows = table(&response.bytes().await.expect("a file"));
        assert_eq!(rows.len(), 3);
        let first = &rows[0];
        let told = ["Category", "Error", "Error type", "Status", "Refused by", "Direction", "Code", "Maximum length", "HubSpot object", "HubSpot record ID", "HubSpot link", "Salesforce field", "Attempts", "First failed", "Resolved"].map(|heading| first[heading].as_str());
        assert_eq!(told, ["Property values", "Value too long (Contact: Title)", "VALUE_TOO_LONG", "Open", "Salesforce", "HubSpot to Salesforce", "STRING_TOO_LONG", "20", "contact", "1", "https://app.hubspot.com/contacts/1001/record/0-1/1", "Title", "1", "2026-03-02T10:00:00Z", ""]);
        assert!(first["What to do"].starts_with("1. ") && first["What to do"].contains(" 2. "), "{}", first["What to do"]);
        let duplicate = &rows[2];
        let told = ["Category", "Salesforce record", "Salesforce record ID", "Salesforce link", "Existing record", "Existing record (link)"].map(|heading| duplicate[heading].as_str());
        assert_eq!(told, ["Duplicates", "Ada", "0035e000003GcMxAAK", "https://acme.my.salesforce.com/lightning/r/Contact/0035e000003GcMxAAK/view", "0015e000003GcMxAAK", "https://acme.my.salesforce.com/lightning/r/Contact/0015e000003GcMxAAK/view"]);
        // As of when it is downloaded, as often as it is asked.
        server.succeed(json!([success("3", 3)])).await;
        assert_eq!(table(&download(server, &order).await.bytes().await.expect("a file")).len(), 2);
    }
}

both! {
    /// What a spreadsheet would calculate is text.
    async fn formulas_are_harmless(server) {
        let names = [("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"), ("fine - and = well", "fine - and = well"), ("a\"b,c;d\r\ne", "a\"b,c;d\r\ne"),
            // A spreadsheet of another country ends cells elsewhere.
            ("x;=1", "x;'=1"), ("x\n=1", "x\n'=1"), ("x; \"@1", "x;' \"@1"), ("x\t+1", "x\t'+1"),
            // The forms of full width, and what is trimmed or not seen before one.
            ("＝1+1", "'＝1+1"), ("＋1", "'＋1"), ("－1", "'－1"), ("＠SUM(A1)", "'＠SUM(A1)"), ("x;＝1", "x;'＝1"),
            ("a\u{A0}=1", "a\u{A0}=1"), ("\u{200B}=1", "'\u{200B}=1"), ("\u{FEFF}+1", "'\u{FEFF}+1"), ("\u{2060}\u{1}@1", "'\u{2060}\u{1}@1"), ("x;\u{A0}\u{3000}-1", "x;'\u{A0}\u{3000}-1")];
        let fail = |(number, (name, _)): (usize, &(&str, &str))| failure(&number.to_string(), 0, json!({ "value": name, "hubspotRecord": { "objectType": "contact", "recordId": number.to_string(), "name": name } }));
        server.record(json!(names.iter().enumerate().map(fail).collect::<Vec<_>>())).await;
        let bytes = exported(server, json!({})).await;
        let rows = table(&bytes);
        let by_id: HashMap<_, _> = rows.iter().map(|row| (row["HubSpot record ID"].as_str(), row)).collect();
        for (number, (_, harmless)) in names.iter().enumerate() {
            let row = by_id[number.to_string().as_str()];
            assert_eq!((row["HubSpot record"].as_str(), row["Rejected value"].as_str()), (*harmless, *harmless));
        }
        let lines = String::from_utf8(bytes).expect("UTF-8");
        assert!(lines.ends_with("\r\n") && lines.starts_with("\u{feff}Category,Error,"));
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(exported(server, json!({ "format": "XLSX" })).await)).expect("a workbook");
        let formulas = book.worksheet_formula("Sync errors").expect("a sheet");
        assert_eq!(formulas.used_cells().count(), 0);
        let sheet = book.worksheet_range("Sync errors").expect("a sheet");
        let found: Vec<_> = sheet.used_cells().filter_map(|(_, _, cell)| cell.as_string()).collect();
        assert!(found.contains(&"=1+1".to_owned()) && found.contains(&"a\"b,c;d\r\ne".to_owned()), "{found:?}");
    }
}

both! {
    /// A workbook has dates in the portal's time zone, numbers, and links that can be clicked.
    async fn xlsx(server) {
        some_errors(server).await;
        let order = order(server, json!({ "format": "XLSX", "locale": "DE" })).await;
        assert_eq!(order["fileName"], "sync-errors-1001-2026-03-02.xlsx");
        let response = download(server, &order).await;
        assert_eq!(response.headers()["content-type"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
        let length = response.content_length();
        let bytes = response.bytes().await.expect("a file");
        assert_eq!(length, Some(bytes.len() as u64));
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).expect("a workbook");
        let sheet = book.worksheet_range("Synchronisationsfehler").expect("a sheet");
        let headings: Vec<String> = sheet.headers().expect("headings");
        let column = |name: &str| headings.iter().position(|heading| heading == name).unwrap_or_else(|| panic!("no {name} in {headings:?}"));
        let cell = |row: u32, name: &str| sheet.get_value((row, column(name) as u32)).cloned().unwrap_or(Data::Empty);
        assert_eq!(sheet.height(), 4);
        assert_eq!(cell(1, "Kategorie"), Data::String("Eigenschaftswerte".into()));
        assert_eq!(cell(1, "Status"), Data::String("Offen".into()));
        assert_eq!(cell(1, "Maximale Länge"), Data::Float(20.0));
        let failed_at = cell(1, "Zuerst fehlgeschlagen (Europe/Berlin)");
        assert_eq!(failed_at.get_datetime().map(|at| at.to_ymd_hms_milli()), Some((2026, 3, 2, 11, 0, 0, 0)));
        assert_eq!(cell(1, "HubSpot-Datensatz"), Data::String("=HYPERLINK(\"http://evil.example\")".into()));
        assert_eq!(cell(1, "HubSpot-Link"), Data::String("https://app.hubspot.com/contacts/1001/record/0-1/1".into()));
    }
}

both! {
    /// Statuses, a filter, a language; errors without a record have a row of their own.
    async fn selected(server) {
        some_errors(server).await;
        let count = |input: Value| async move { table(&exported(server, input).await).len() };
        assert_eq!(count(json!({ "filter": { "categories": ["DUPLICATES"] } })).await, 1);
        assert_eq!(count(json!({ "filter": { "affecting": { "system": "HUBSPOT", "recordId": "2" } } })).await, 2);
        assert_eq!(count(json!({ "statuses": [] })).await, 4);
        let resolved = table(&exported(server, json!({ "statuses": ["RESOLVED"], "locale": "DE" })).await);
        assert_eq!(resolved.len(), 1);
        let told = ["Status", "HubSpot-Datensatz-ID", "Behoben", "Versuche"].map(|heading| resolved[0][heading].as_str());
        assert_eq!(told, ["Behoben", "", "2026-03-02T10:02:00Z", ""]);
        let nothing = exported(server, json!({ "filter": { "codes": ["NONE"] } })).await;
        assert!(table(&nothing).is_empty() && nothing.len() > 100, "headings alone");
        assert_eq!(exported(server, json!({ "format": "NDJSON", "statuses": ["RESOLVED"] })).await, b"");
    }
}

both! {
    /// A view's export has what the view shows when it is downloaded.
    async fn of_views(server) {
        some_errors(server).await;
        let company = json!({ "hubspotRecord": { "objectType": "company", "recordId": "7" }, "salesforceRecord": { "objectType": "Account" } });
        server.record(json!([failure("7", 0, company)])).await;
        let create = "mutation ($source: RecordViewSourceInput!) { createRecordView(input: { hubId: \"1001\", name: \"Contacts\", system: HUBSPOT, objectType: \"contact\", source: $source }) { recordView { id affectedRecordCount } userErrors { code } } }";
        let view = server.data(&manager(), create, json!({ "source": { "filter": { "types": ["VALUE_TOO_LONG"] } } })).await["createRecordView"]["recordView"].take();
        assert_eq!(view["affectedRecordCount"], 2);
        let export = "mutation ($input: ExportRecordViewInput!) { exportRecordView(input: $input) { downloadUrl expiresAt fileName userErrors { code field message } } }";
        let ask = |input: Value| async move { server.data(&reader(), export, json!({ "input": input })).await["exportRecordView"].take() };
        let order = ask(json!({ "recordViewId": view["id"], "format": "CSV", "locale": "EN" })).await;
        let rows = table(&download(server, &order).await.bytes().await.expect("a file"));
        let ids: Vec<_> = rows.iter().map(|row| row["HubSpot record ID"].as_str()).collect();
        assert_eq!(ids, ["1", "2"]);
        let delete = "mutation ($id: ID!) { deleteRecordView(input: { recordViewId: $id }) { userErrors { code } } }";
        server.data(&manager(), delete, json!({ "id": view["id"] })).await;
        let gone = download(server, &order).await;
        assert_eq!(gone.status(), 404);
        let answer: Value = gone.json().await.expect("JSON");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND");
        let unknown = ask(json!({ "recordViewId": view["id"], "format": "XLSX" })).await;
        assert_eq!((&unknown["downloadUrl"], &unknown["userErrors"][0]["code"], &unknown["userErrors"][0]["field"]), (&Value::Null, &json!("NOT_FOUND"), &json!(["input", "recordViewId"])));
    }
}

both! {
    /// An address is good for 10 minutes and for this export alone; a token is no ticket, and a ticket no token.
    async fn tickets(server) {
        some_errors(server).await;
        let order = order(server, json!({})).await;
        let url = order["downloadUrl"].as_str().expect("an address");
        let refused = |url: String| async move {
            let response = server.http.get(url).send().await.expect("an answer");
            assert_eq!(response.status(), 401);
            let answer: Value = response.json().await.expect("JSON");
            assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
            answer["errors"][0]["message"].as_str().expect("a text").to_owned()
        };
        let address = format!("{}/v1/exports", server.url);
        assert!(refused(address.clone()).await.contains("exportSyncErrors"));
        assert!(refused(format!("{address}?ticket={}", reader())).await.contains("its signature does not match"));
        assert!(refused(format!("{url}x")).await.contains("not valid"));
        assert!(refused(format!("{address}?ticket={}", "x".repeat(7_000))).await.contains("it is too long"));
        let ticket = url.split_once("ticket=").expect("a ticket").1;
        assert_eq!(server.error_code(ticket, "{ portal { hubId } }", json!({})).await, "UNAUTHENTICATED");
        server.pass(chrono::Duration::minutes(10));
        assert!(refused(url.to_owned()).await.contains("it has expired"));
    }
}

both! {
    configure = |config| config.public_url = Some("https://sync.example.com/api".into());
    /// Addresses begin with where clients reach the server, and end with the token.
    async fn addresses(server) {
        let ends = server.read("{ viewer { expiresAt } }", json!({})).await["viewer"]["expiresAt"].take();
        let at: chrono::DateTime<chrono::Utc> = ends.as_str().expect("an instant").parse().expect("an instant");
        let now = chrono::DateTime::from_timestamp_micros(server.clock().load(std::sync::atomic::Ordering::SeqCst)).expect("an instant");
        server.pass(at - now - chrono::Duration::minutes(5));
        // The same token as before, which is good for five minutes more.
        let order = order(server, json!({})).await;
        assert!(order["downloadUrl"].as_str().is_some_and(|url| url.starts_with("https://sync.example.com/api/v1/exports?ticket=")), "{order}");
        let until: chrono::DateTime<chrono::Utc> = order["expiresAt"].as_str().expect("an instant").parse().expect("an instant");
        assert!((until - at).abs() < chrono::Duration::minutes(4), "{order}");
    }
}

/// Records whose export is more than what the sockets of both ends hold.
pub async fn many_pages(server: &Server) {
    let page = "a page of an odd proxy ".repeat(690);
    let long = |number: i64| {
        failure(
            &number.to_string(),
            0,
            json!({ "code": null, "message": null, "fields": [], "raw": page }),
        )
    };
    for start in (0..MANY_PAGES).step_by(100) {
        server
            .record(json!((start..start + 100).map(long).collect::<Vec<_>>()))
            .await;
    }
}

pub const MANY_PAGES: i64 = 400;

/// A download that has begun and is not read on, by a client whose socket holds little.
pub struct Unread(TcpStream);

impl Unread {
    pub async fn begin(order: &Value) -> Self {
        let url = order["downloadUrl"].as_str().expect("an address");
        let (address, path) = url
            .trim_start_matches("http://")
            .split_once('/')
            .expect("a path");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .set_recv_buffer_size(8 * 1024)
            .expect("a small buffer");
        let mut stream = socket
            .connect(address.parse().expect("an address"))
            .await
            .expect("a connection");
        let request =
            format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut begins = [0; 12];
        stream.read_exact(&mut begins).await.expect("a status");
        assert_eq!(&begins, b"HTTP/1.1 200");
        Self(stream)
    }

    /// Reads on; answers whether the file came to its end.
    async fn ends_whole(mut self) -> bool {
        let mut rest = Vec::new();
        let read = self.0.read_to_end(&mut rest).await;
        read.is_ok() && rest.ends_with(b"\r\n0\r\n\r\n")
    }
}

/// Two clients begin and take no more: they are cut off, see that something is missing, and their places are free again.
async fn cut_off(server: &Server) {
    many_pages(server).await;
    let order = order(server, json!({})).await;
    let stalled = [Unread::begin(&order).await, Unread::begin(&order).await];
    let both_are_free = async || {
        let next = [
            download(server, &order).await,
            download(server, &order).await,
        ];
        next.iter().all(|next| next.status() == 200).then_some(())
    };
    eventually("both places", both_are_free).await;
    for stalled in stalled {
        assert!(!stalled.ends_whole().await);
    }
}

both! {
    configure = |config| config.live.export_stall = std::time::Duration::from_millis(200);
    /// Who takes nothing for too long is cut off; who goes on gets the whole.
    async fn stalled(server) {
        cut_off(server).await;
        let order = order(server, json!({})).await;
        let whole = eventually("a place", async || {
            let response = download(server, &order).await;
            (response.status() == 200).then_some(response)
        }).await;
        assert!(whole.bytes().await.expect("a file").len() > 15_000 * MANY_PAGES as usize);
        assert!(metric(server, "sync_health_exports_total{outcome=\"cut_off\"}").await >= Some(2.0));
        eventually("the end", async || metric(server, "sync_health_exports_total{outcome=\"whole\"}").await).await;
    }
}

both! {
    configure = |config| config.live.export_download = std::time::Duration::from_millis(200);
    /// However often a client takes something: a download ends in time.
    async fn too_slow(server) {
        cut_off(server).await;
    }
}

both! {
    /// Who may not read exports nothing; a filter that makes the address too long is refused, and a bad one too.
    async fn refused(server) {
        assert_eq!(server.error_code(&engine(), EXPORT, json!({ "input": { "hubId": "1001" } })).await, "FORBIDDEN");
        let other = server.data(&token(&["1002"], "sync-health:read"), EXPORT, json!({ "input": { "hubId": "1001" } })).await;
        assert_eq!(other["exportSyncErrors"]["userErrors"][0]["code"], "NOT_FOUND");
        let fields: Vec<String> = (0..100).map(|number| format!("{number}{}", "x".repeat(100))).collect();
        let long = order(server, json!({ "filter": { "fields": fields } })).await;
        assert_eq!((&long["userErrors"][0]["code"], &long["userErrors"][0]["field"]), (&json!("TOO_LONG"), &json!(["input", "filter"])));
        let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        assert_eq!(server.error_code(&reader(), EXPORT, json!({ "input": { "filter": { "codes": many } } })).await, "BAD_USER_INPUT");
    }
}
