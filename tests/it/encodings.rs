//! What is answered is the same, however it is packed: every body as each kind of client asks for it.

use std::io::Read;

use calamine::{Reader, Xlsx};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::contract::INTROSPECTION;
use crate::exports::{download, order};
use crate::harness::{Server, both, engine, failure, reader};

/// What clients say that they accept; the last one is a browser's list.
const ACCEPTED: &[&str] = &[
    "identity",
    "gzip",
    "br",
    "zstd",
    "deflate",
    "gzip, deflate, br, zstd",
];

/// What the server packs.
const PACKED: &[&str] = &["gzip", "br"];

/// The whole body, unpacked by what its header says.
async fn unpacked(response: Response) -> (Option<String>, Vec<u8>) {
    let encoding = response.headers().get("content-encoding");
    let encoding = encoding.map(|value| value.to_str().expect("a text").to_owned());
    let bytes = response.bytes().await.expect("a whole body");
    let mut whole = Vec::new();
    match encoding.as_deref() {
        None => whole.extend_from_slice(&bytes),
        Some("gzip") => {
            let mut unpacked = flate2::read::MultiGzDecoder::new(&bytes[..]);
            unpacked.read_to_end(&mut whole).expect("gzip");
        }
        Some("br") => {
            let mut unpacked = brotli::Decompressor::new(&bytes[..], 4_096);
            unpacked.read_to_end(&mut whole).expect("brotli");
        }
        other => panic!("nobody asked for {other:?}"),
    }
    (encoding, whole)
}

/// Asks as each kind of client does, and answers what all of them read.
async fn read_by_all(
    what: &str,
    is_packed: bool,
    ask: impl AsyncFn(&'static str) -> Response,
    read: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Vec<u8> {
    let (encoding, plain) = unpacked(ask("identity").await).await;
    assert!(encoding.is_none() || !is_packed, "{what}: {encoding:?}");
    let plain = read(plain);
    assert!(!plain.is_empty(), "{what} is empty");
    for accepts in ACCEPTED {
        let (encoding, bytes) = unpacked(ask(accepts).await).await;
        assert!(read(bytes) == plain, "{what} differs for {accepts}");
        let packs = PACKED.iter().any(|packed| accepts.contains(packed));
        assert!(
            !is_packed || encoding.is_some() == packs,
            "{what}: {accepts}, {encoding:?}"
        );
    }
    plain
}

/// Errors with records of many parts: more than what is handed on at once.
async fn many_errors(server: &Server) {
    let long = "Kürzel: ".repeat(200);
    let fail = |number: usize| {
        let fields = json!({ "fields": [format!("Field_{}__c", number % 40)], "value": long });
        failure(&number.to_string(), 0, fields)
    };
    let failures: Vec<Value> = (0..300).map(fail).collect();
    server.record(json!(failures)).await;
}

/// What is told of a workbook: when it was written stands in it too.
fn cells(bytes: Vec<u8>) -> Vec<u8> {
    let mut book: Xlsx<_> = Xlsx::new(std::io::Cursor::new(bytes)).expect("a workbook");
    let sheet = book.worksheet_range("Sync errors").expect("a sheet");
    format!("{:?}", sheet.rows().collect::<Vec<_>>()).into_bytes()
}

both! {
    /// Each format of an export, as often as it is asked.
    async fn exports(server) {
        many_errors(server).await;
        for (format, is_packed) in [("CSV", true), ("NDJSON", true), ("XLSX", false)] {
            let order = order(server, json!({ "format": format })).await;
            let url = order["downloadUrl"].as_str().expect("an address");
            let ask = async |accepts: &'static str| {
                let asked = server.http.get(url).header("accept-encoding", accepts);
                let response = asked.send().await.expect("an answer");
                assert_eq!(response.status(), 200);
                response
            };
            let read = |bytes| if format == "XLSX" { cells(bytes) } else { bytes };
            let whole = read_by_all(format, is_packed, ask, read).await;
            assert!(whole.len() > 300 * 1_500, "{format} has {} bytes", whole.len());
        }
        let empty = order(server, json!({ "format": "NDJSON", "statuses": ["RESOLVED"] })).await;
        assert_eq!(download(server, &empty).await.bytes().await.expect("a file"), "");
    }
}

/// The answer without what each request uses up.
fn without_cost(bytes: Vec<u8>) -> Vec<u8> {
    let mut answer: Value = serde_json::from_slice(&bytes).expect("JSON");
    if let Some(answer) = answer.as_object_mut() {
        answer.remove("extensions");
    }
    answer.to_string().into_bytes()
}

/// Asks by each of these; answers have to be good.
async fn sent(request: RequestBuilder, accepts: &str) -> Response {
    let response = request.header("accept-encoding", accepts).send().await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), 200);
    response
}

both! {
    /// Answers to GraphQL by POST, by GET and as events, and the answer to NDJSON.
    async fn answers(server) {
        many_errors(server).await;
        let url = format!("{}/graphql", server.url);
        let page = "{ portal { syncErrors(first: 100) { nodes { id title message sampleValues } } } }";
        for query in [page, INTROSPECTION] {
            let post = async |accepts: &'static str| sent(server.http.post(&url).bearer_auth(reader()).json(&json!({ "query": query })), accepts).await;
            read_by_all("an answer", true, post, without_cost).await;
        }
        let by_get = reqwest::Url::parse_with_params(&url, [("query", page)]).expect("a URL");
        let get = async |accepts: &'static str| sent(server.http.get(by_get.clone()).bearer_auth(reader()), accepts).await;
        read_by_all("an answer by GET", true, get, without_cost).await;
        let events = async |accepts: &'static str| sent(server.http.post(&url).bearer_auth(reader()).header("accept", "text/event-stream").json(&json!({ "query": page })), accepts).await;
        let first_line = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("a text");
            assert!(text.ends_with("event: complete\ndata: \n\n"), "{text}");
            let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
            without_cost(data.as_bytes().to_vec())
        };
        read_by_all("an event", false, events, first_line).await;
        let lines = "nonsense\n".repeat(200);
        let report = async |accepts: &'static str| sent(server.http.post(format!("{}/v1/sync-failures", server.url)).bearer_auth(engine()).body(lines.clone()), accepts).await;
        read_by_all("an answer to NDJSON", true, report, |bytes| bytes).await;
    }
}

both! {
    configure = |config| config.graphiql = true;
    /// Pages, probes and figures.
    async fn pages(server) {
        let page = server.http.get(format!("{}/graphiql", server.url)).send().await.expect("an answer").text().await.expect("a text");
        let mut paths: Vec<&str> = page.split('"').filter(|part| part.starts_with("/graphiql/")).collect();
        assert!(paths.len() > 5, "{page}");
        paths.extend(["/graphiql", "/healthz", "/readyz", "/metrics"]);
        for path in paths {
            let get = async |accepts: &'static str| sent(server.http.get(format!("{}{path}", server.url)), accepts).await;
            // What is counted and measured changes from one look to the next: the names stay.
            let read = |bytes: Vec<u8>| match path {
                "/metrics" => {
                    assert!(bytes.ends_with(b"# EOF\n"));
                    b"whole".to_vec()
                }
                _ => bytes,
            };
            read_by_all(path, false, get, read).await;
        }
    }
}
