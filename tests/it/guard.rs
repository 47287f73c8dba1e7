//! What stands between a document and its execution: each limit with its test, and documents that mean harm.

use std::fmt::Write;

use reqwest::StatusCode;
use serde_json::{Value, json};
use sync_health::kernel::limits::{self, Limit};

use crate::harness::{Server, both, reader};

/// The code of the first error, or "ok"; whatever was asked, the answer is small.
async fn asked(server: &Server, query: &str) -> String {
    let response = server.post(&reader(), query, json!({})).await;
    assert_ne!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = response.text().await.expect("a text");
    assert!(text.len() < 64 * 1024, "{} bytes", text.len());
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let code = answer["errors"][0]["extensions"]["code"].as_str();
    if code == Some("QUERY_TOO_COMPLEX") {
        let message = answer["errors"][0]["message"].as_str().expect("a text");
        assert!(
            limits::ALL.iter().any(|limit| message.contains(limit.name)),
            "{message}"
        );
    }
    code.unwrap_or("ok").to_owned()
}

/// What a limit allows is answered, one more is refused.
async fn up_to(server: &Server, limit: Limit, document: impl Fn(usize) -> String) {
    assert_eq!(
        asked(server, &document(limit.value)).await,
        "ok",
        "{}",
        limit.name
    );
    assert_eq!(
        asked(server, &document(limit.value + 1)).await,
        "QUERY_TOO_COMPLEX",
        "{}",
        limit.name
    );
}

both! {
    async fn limits_of_documents(server) {
        up_to(server, limits::DOCUMENT_TOKENS, |n| format!("{{ service {{ {} }} }}", "version ".repeat(n - 5))).await;
        up_to(server, limits::ROOT_FIELDS, |n| format!("{{ {} }}", "service { version } ".repeat(n))).await;
        up_to(server, limits::ALIASES, |n| {
            let aliases = (0..n).fold(String::new(), |mut text, n| { let _ = write!(text, "a{n}: version "); text });
            format!("{{ service {{ {aliases} }} }}")
        }).await;
        up_to(server, limits::DIRECTIVES, |n| format!("{{ service {{ {} }} }}", "version @include(if: true) ".repeat(n))).await;
        up_to(server, limits::SELECTION_NESTING, |n| {
            let n = n - 2;
            let chain = (1..n).fold(String::new(), |mut text, n| { let _ = write!(text, "fragment f{n} on Service {{ ...f{} }} ", n + 1); text });
            format!("{{ service {{ ...f1 }} }} {chain} fragment f{n} on Service {{ version }}")
        }).await;
        // Two spreads of half of the fields each, and what is around them.
        up_to(server, limits::EXPANDED_SELECTIONS, |n| {
            let half = (n - 3) / 2;
            format!("{{ service {{ ...f ...f {} }} }} fragment f on Service {{ {} }}", "version ".repeat(n - 3 - 2 * half), "version ".repeat(half))
        }).await;
    }
}

both! {
    /// Objects inside objects: no deeper than the limit, but introspection as deep as tools send it.
    async fn depth(server) {
        // syncErrors, nodes and portal lead round in a circle of three; each has a leaf.
        let nested = |depth: usize| {
            let steps = [("syncErrors(first: 1)", "id"), ("nodes", "totalCount"), ("portal", "id")];
            let open: String = (0..depth - 2).map(|level| format!("{{ {} ", steps[level % 3].0)).collect();
            format!("{{ portal {open} {{ {} }} {} }}", steps[(depth - 2) % 3].1, "}".repeat(depth - 2))
        };
        assert_eq!(asked(server, &nested(15)).await, "ok");
        assert_eq!(asked(server, &nested(16)).await, "QUERY_TOO_COMPLEX");
        let of_type = |depth: usize| format!("{{ __schema {{ types {{ fields {{ type {} name {} }} }} }} }}", "{ ofType ".repeat(depth), "}".repeat(depth));
        assert_eq!(asked(server, &of_type(20)).await.replace("GRAPHQL_VALIDATION_FAILED", "ok"), "ok");
        up_to_brackets(server).await;
    }
}

/// Brackets inside brackets are counted before the document is parsed: the parser recurses.
async fn up_to_brackets(server: &Server) {
    let brackets = |n: usize| {
        format!(
            "{{ service {{ version @include(if: {}true{}) }} }}",
            "[".repeat(n - 3),
            "]".repeat(n - 3)
        )
    };
    let limit = limits::DOCUMENT_NESTING.value;
    assert_eq!(
        asked(server, &brackets(limit)).await,
        "GRAPHQL_VALIDATION_FAILED"
    );
    assert_eq!(
        asked(server, &brackets(limit + 1)).await,
        "QUERY_TOO_COMPLEX"
    );
    assert_eq!(
        asked(server, &"{a".repeat(30_000)).await,
        "QUERY_TOO_COMPLEX"
    );
}

both! {
    /// A page of 100 errors with 100 records each may be asked for; twice that may not.
    async fn cost(server) {
        let page = "syncErrors(first: 100) { edges { cursor node { id title affectedRecords(first: 100) { pageInfo { hasNextPage } edges { cursor node { id hubspotRecord { name } salesforceRecord { name } } } } } } }";
        assert_eq!(asked(server, &format!("{{ portal {{ {page} }} }}")).await, "ok");
        assert_eq!(asked(server, &format!("{{ portal {{ a: {page} b: {page} }} }}")).await, "QUERY_TOO_COMPLEX");
        // The default of a page counts as well as a variable and a fragment.
        let nested = "query ($n: Int) { portal { ...p } } fragment p on Portal { syncErrors(first: $n) { nodes { affectedRecords(first: $n) { nodes { ...r } } } } } fragment r on AffectedRecord { hubspotRecord { name } salesforceRecord { name } syncError { affectedRecords(first: $n) { nodes { id } } } }";
        for (n, code) in [(json!(2), None), (json!(100), Some("QUERY_TOO_COMPLEX")), (json!(1_000_000), Some("QUERY_TOO_COMPLEX"))] {
            let answer = server.ask(&reader(), nested, json!({ "n": n })).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"].as_str(), code, "{answer:#}");
        }
    }
}

/// Documents that a stock server dies of, or works on for seconds.
fn hostile() -> Vec<(&'static str, String)> {
    let chain = |n: usize| {
        let links: String = (0..n)
            .map(|n| format!("fragment f{n} on Service{{...f{}}}", n + 1))
            .collect();
        format!("{{service{{...f0}}}}{links}fragment f{n} on Service{{version}}")
    };
    let doubling = |root: &str, on: &str, leaf: &str| {
        let links: String = (0..24)
            .map(|n| format!("fragment f{n} on {on} {{ ...f{0} ...f{0} }} ", n + 1))
            .collect();
        format!("{root} {links} fragment f24 on {on} {{ {leaf} }}")
    };
    vec![
        ("a long chain of fragments", chain(2_000)),
        ("a chain of fragments below the limit of tokens", chain(500)),
        ("fragments that double", doubling("{ service { ...f0 } }", "Service", "version")),
        ("root fragments that double", doubling("{ ...f0 }", "Query", "service { version }")),
        ("root fragments that double and end nowhere", doubling("{ ...f0 }", "Query", "...missing")),
        ("inline fragments inside each other", format!("{{ {} service {{ version }} {} }}", "... { ".repeat(70), "}".repeat(70))),
        ("a circle", "{ service { ...a } } fragment a on Service { ...b } fragment b on Service { ...a }".into()),
        ("a circle at the root", "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a service { version } }".into()),
        ("a circle that nothing uses", "{ service { version } } fragment a on Service { ...a }".into()),
        ("unknown fields", format!("{{ {} }}", (0..4_000).map(|n| format!("x{n} ")).collect::<String>())),
        ("unknown fields below one root", format!("{{ service {{ {} }} }}", (0..4_000).map(|n| format!("x{n} ")).collect::<String>())),
        ("unused variables", format!("query ({}) {{ service {{ version }} }}", (0..1_000).map(|n| format!("$v{n}: Int ")).collect::<String>())),
        ("deep values", format!("{{ portal(hubId: {}1{}) {{ id }} }}", "[".repeat(30_000), "]".repeat(30_000))),
        ("a long name", format!("{{ {} }}", "x".repeat(60_000))),
        ("a long text", format!("{{ portal(hubId: \"{}\") {{ nonsense }} }}", "x".repeat(60_000))),
        ("a text without an end", format!("{{ portal(hubId: \"{}", "\\\"".repeat(30_000))),
        ("a block text without an end", format!("{{ portal(hubId: \"\"\"{}", "\\\"\"\"".repeat(15_000))),
        ("directives", format!("{{ service {} {{ version }} }}", "@x ".repeat(2_000))),
        ("many operations", (0..1_000).map(|n| format!("query q{n} {{ a }} ")).collect()),
        ("brackets that do not fit", "}{)(][".repeat(800)),
    ]
}

both! {
    /// Each is refused with a small answer, and the process goes on to answer innocent requests.
    async fn hostile_documents(server) {
        for (what, document) in hostile() {
            let (code, innocent) = tokio::join!(asked(server, &document), asked(server, "{ service { version } }"));
            assert!(["QUERY_TOO_COMPLEX", "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "PAYLOAD_TOO_LARGE"].contains(&code.as_str()), "{what}: {code}");
            assert_eq!(innocent, "ok", "beside {what}");
        }
    }
}

both! {
    /// What does not run is measured too; a value that is left to its default costs as much as one that is sent.
    async fn other_operations_and_defaults(server) {
        let links: String = (0..50).map(|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }} ", n + 1)).collect();
        let query = format!("query A {{ service {{ version }} }} query B {{ ...f0 }} {links} fragment f50 on Query {{ __typename }}");
        let body = json!({ "query": query, "operationName": "A" });
        let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth(reader()).json(&body);
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{answer:#}");
        let costs = "query ($n: Int = 100) { portal { syncErrors(first: $n) { nodes { id } } } }";
        let cost = |variables: Value| async move { server.ask(&reader(), costs, variables).await["extensions"]["cost"]["requestedQueryCost"].take() };
        assert_eq!(cost(json!({})).await, cost(json!({ "n": 100 })).await);
        assert_ne!(cost(json!({})).await, cost(json!({ "n": 10 })).await);
    }
}

both! {
    /// Of many mistakes the first are told.
    async fn many_mistakes(server) {
        let unknown: String = (0..100).map(|n| format!("x{n} ")).collect();
        let answer = server.ask(&reader(), &format!("{{ service {{ {unknown} }} }}"), json!({})).await;
        assert_eq!(answer["errors"].as_array().map(Vec::len), Some(limits::ANSWERED_ERRORS.value));
        let long = server.ask(&reader(), &format!("{{ {} }}", "x".repeat(60_000)), json!({})).await;
        assert_eq!(long["errors"][0]["message"].as_str().map(|text| text.chars().count()), Some(limits::ERROR_CHARACTERS.value));
    }
}
