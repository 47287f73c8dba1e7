//! Documents that are known here: automatic persisted queries, trusted documents.

use std::path::PathBuf;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sync_health::kernel::config::Config;

use crate::commands::{command, ran};
use crate::harness::process::Process;
use crate::harness::{Backend, Server, both, manager, reader};

fn hash(document: &str) -> String {
    let digest = Sha256::digest(document);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn persisted(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

async fn post(server: &Server, token: &str, body: Value) -> Value {
    let url = format!("{}/graphql", server.url);
    let request = server.http.post(url).bearer_auth(token).json(&body);
    let response = request.send().await.expect("an answer");
    response.json().await.expect("JSON")
}

async fn get(server: &Server, token: &str, parameters: &[(&str, &str)]) -> Response {
    let url = format!("{}/graphql", server.url);
    let url = reqwest::Url::parse_with_params(&url, parameters).expect("a URL");
    let request = server.http.get(url).bearer_auth(token);
    request.send().await.expect("an answer")
}

both! {
    /// A document is sent once with its hash, from then on the hash alone will do, by POST and by GET.
    async fn persisted_queries(server) {
        let document = "query ($hubId: ID) { portal(hubId: $hubId) { hubId } }";
        let hash = hash(document);
        let alone = json!({ "extensions": persisted(&hash), "variables": { "hubId": "1001" } });
        let unknown = post(server, &reader(), alone.clone()).await;
        assert_eq!(unknown["errors"][0], json!({ "message": "PersistedQueryNotFound", "extensions": { "code": "NOT_FOUND" } }));
        let both = json!({ "query": document, "extensions": persisted(&hash), "variables": { "hubId": "1001" } });
        assert_eq!(post(server, &reader(), both).await["data"]["portal"]["hubId"], "1001");
        assert_eq!(post(server, &reader(), alone).await["data"]["portal"]["hubId"], "1001");
        let by_id = json!({ "documentId": format!("sha256:{hash}"), "variables": { "hubId": "1001" } });
        assert_eq!(post(server, &reader(), by_id).await["data"]["portal"]["hubId"], "1001");
        let extensions = persisted(&hash).to_string();
        let answer: Value = get(server, &reader(), &[("extensions", &extensions)]).await.json().await.expect("JSON");
        assert_eq!(answer["data"]["portal"]["hubId"], "1001");
        let wrong = json!({ "query": "{ service { version } }", "extensions": persisted(&hash) });
        assert_eq!(post(server, &reader(), wrong).await["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    }
}

both! {
    /// A hash opens nothing that its document would not: token, scope, method and cost hold as always.
    async fn persisted_queries_are_guarded(server) {
        let mutation = "mutation { configurePortal(input: { name: \"Nordwind\" }) { portal { name } userErrors { code } } }";
        let hash = hash(mutation);
        let both = json!({ "query": mutation, "extensions": persisted(&hash) });
        assert_eq!(post(server, &manager(), both).await["data"]["configurePortal"]["portal"]["name"], "Nordwind");
        let extensions = persisted(&hash).to_string();
        assert_eq!(get(server, &manager(), &[("extensions", &extensions)]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
        let alone = json!({ "extensions": persisted(&hash) });
        assert_eq!(post(server, &reader(), alone.clone()).await["errors"][0]["extensions"]["code"], "FORBIDDEN");
        assert_eq!(post(server, "x", alone).await["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        let costly = "query ($n: Int) { portal { syncErrors(first: $n) { nodes { affectedRecords(first: $n) { nodes { syncError { affectedRecords(first: $n) { nodes { id } } } } } } } } }";
        for (n, code) in [(json!(1), Value::Null), (json!(100), json!("QUERY_TOO_COMPLEX"))] {
            let asked = json!({ "query": costly, "variables": { "n": n }, "extensions": persisted(&super::documents::hash(costly)) });
            assert_eq!(post(server, &reader(), asked).await["errors"][0]["extensions"]["code"], code);
        }
    }
}

const TRUSTED: &str = "query Portal($hubId: ID) { portal(hubId: $hubId) { hubId } }";

fn manifest(content: &Value) -> PathBuf {
    let path = std::env::temp_dir().join(format!("documents-{}.json", uuid::Uuid::now_v7()));
    std::fs::write(&path, content.to_string()).expect("a file");
    path
}

fn trusting(config: &mut Config) {
    config.trusted_documents = Some(manifest(&json!({ "portal-1": TRUSTED })));
}

both! {
    configure = super::trusting;
    /// With a manifest nothing runs but what it holds, by id or word for word.
    async fn trusted_documents(server) {
        let id = json!({ "documentId": "portal-1" });
        let text = json!({ "query": TRUSTED });
        for known in [id, text] {
            assert_eq!(post(server, &reader(), known).await["data"]["portal"]["hubId"], "1001");
        }
        let answer: Value = get(server, &reader(), &[("documentId", "portal-1")]).await.json().await.expect("JSON");
        assert_eq!(answer["data"]["portal"]["hubId"], "1001");
        let other = "{ service { version } }";
        for (unknown, code) in [
            (json!({ "query": other }), "FORBIDDEN"),
            (json!({ "query": "{ __schema { types { name } } }" }), "FORBIDDEN"),
            (json!({ "query": other, "extensions": persisted(&hash(other)) }), "FORBIDDEN"),
            (json!({ "documentId": "portal-2" }), "NOT_FOUND"),
            (json!({ "extensions": persisted(&hash(other)) }), "NOT_FOUND"),
            (json!({}), "BAD_USER_INPUT"),
        ] {
            assert_eq!(post(server, &reader(), unknown.clone()).await["errors"][0]["extensions"]["code"], code, "{unknown}");
        }
    }
}

/// Apollo's manifest holds the same; one with a document that is none keeps the server from starting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests() {
    let operations = json!([{ "id": "a1", "name": "Portal", "type": "query", "body": TRUSTED }]);
    let apollo = json!({ "format": "apollo-persisted-query-manifest", "version": 1, "operations": operations });
    let server = Server::start_with(Backend::Sqlite, |config| {
        config.trusted_documents = Some(manifest(&apollo));
    })
    .await;
    let answer = post(&server, &reader(), json!({ "extensions": persisted("a1") })).await;
    assert_eq!(answer["data"]["portal"]["hubId"], "1001");
    server.finish().await;
    for (content, why) in [
        (json!({ "one": "{ service" }), "one: Not a GraphQL document"),
        (json!([1]), "trusted documents"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = format!("sqlite://{}", folder.path().join("a.db").display());
        let arguments = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            &database,
            "--trusted-documents",
        ];
        let secret = "a secret of the tests, 32 bytes or more";
        let mut serve = command(&arguments);
        serve.env("SYNC_HEALTH_JWT_SECRET", secret);
        let output = ran(serve.arg(manifest(&content)));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(why), "{told}");
    }
}

both! {
    /// A document that was checked before is answered with the same bytes, and its variables are checked each time.
    async fn kept_documents(server) {
        let document = "query ($first: Int, $statuses: [SyncErrorStatus!]) { portal { syncErrors(first: $first, statuses: $statuses) { totalCount nodes { id } } } }";
        let ask = |variables: Value| async move { server.ask(&reader(), document, variables).await };
        let first = ask(json!({ "first": 1 })).await;
        let again = ask(json!({ "first": 1 })).await;
        assert_eq!(first["data"], again["data"]);
        for variables in [json!({ "first": "1" }), json!({ "statuses": ["LOST"] })] {
            let refused = ask(variables).await;
            assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{refused}");
            assert!(refused.get("data").is_none());
        }
        // What is not valid is refused however often it comes.
        for _ in 0..2 {
            assert_eq!(server.error_code(&reader(), "{ portal { nonsense } }", json!({})).await, "GRAPHQL_VALIDATION_FAILED");
        }
    }
}

/// Kept documents are weighed by the memory that they take: one of short tokens takes many times its text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_of_kept_documents() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let server = Process::start(&url, &[]).await;
    let ask = async |name: usize, fields: usize| {
        let fields = "version ".repeat(fields);
        let query = format!("query Q{name} {{ service {{ {fields} }} }}");
        let reply = server.ask(&reader(), &query, json!({})).await;
        let reply = reply.expect("an answer");
        assert_eq!(reply.code(), None, "{reply:?}");
    };
    ask(0, 4_900).await;
    let before = server.peak_memory();
    for name in 1..=100 {
        ask(name, 4_900).await;
    }
    let grown = (server.peak_memory() - before) / 1024 / 1024;
    assert!(grown < 100, "{grown} MiB");
    server.stop().await;
}
