//! GraphQL over HTTP: media types, statuses, codes, tokens; the log of it.

use chrono::{Duration, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Backend, Server, both, engine, failure, logs, reader, take_error_logs};

const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

both! {
    /// The media type follows Accept; with the new one the status tells whether the request was understood.
    async fn media_types(server) {
        for (accept, content_type, refused) in [
            ("application/json", "application/json; charset=utf-8", StatusCode::OK),
            ("*/*", "application/json; charset=utf-8", StatusCode::OK),
            (GRAPHQL_RESPONSE, "application/graphql-response+json; charset=utf-8", StatusCode::BAD_REQUEST),
            ("application/json, application/graphql-response+json", "application/graphql-response+json; charset=utf-8", StatusCode::BAD_REQUEST),
            ("application/json, application/graphql-response+json;q=0.5", "application/json; charset=utf-8", StatusCode::OK),
        ] {
            for (query, is_understood) in [("{ service { version } }", true), ("{ nonsense }", false), ("{ service", false)] {
                let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth(reader()).header("accept", accept).json(&json!({ "query": query }));
                let response = request.send().await.expect("an answer");
                assert_eq!(response.status(), if is_understood { StatusCode::OK } else { refused }, "{accept} {query}");
                assert_eq!(response.headers()["content-type"], content_type);
                let body: Value = response.json().await.expect("JSON");
                assert_eq!(body.get("data").is_some(), is_understood, "{body:#}");
            }
        }
    }
}

both! {
    /// Queries go by GET, mutations do not; bodies are JSON objects.
    async fn methods_and_bodies(server) {
        let url = format!("{}/graphql", server.url);
        let get = |parameters: Vec<(&'static str, &'static str)>| { let url = reqwest::Url::parse_with_params(&url, parameters).expect("a URL"); async move { server.http.get(url).bearer_auth(reader()).send().await.expect("an answer") } };
        let answer: Value = get(vec![("query", "query A { service { version } } query B($h: ID) { portal(hubId: $h) { hubId } }"), ("operationName", "B"), ("variables", "{\"h\":\"1001\"}")]).await.json().await.expect("JSON");
        assert_eq!(answer["data"]["portal"]["hubId"], "1001");
        assert_eq!(get(vec![("query", "mutation { configurePortal(input: {}) { userErrors { code } } }")]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(get(vec![("query", "{ service { version } }"), ("variables", "[")]).await.status(), StatusCode::BAD_REQUEST);
        assert_eq!(get(vec![]).await.status(), StatusCode::BAD_REQUEST);
        for (body, content_type, status) in [
            ("{\"query\":\"{ service { version } }\"}", "application/json", StatusCode::OK),
            ("{\"query\":\"{ service { version } }\"}", "application/json; charset=UTF-8", StatusCode::OK),
            ("{\"query\":\"{ service { version } }\"}", "application/json; charset=latin1", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ("{\"query\":\"{ service { version } }\"}", "text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ("[{\"query\":\"{ service { version } }\"}]", "application/json", StatusCode::BAD_REQUEST),
            ("{", "application/json", StatusCode::BAD_REQUEST),
            ("{\"query\":1}", "application/json", StatusCode::BAD_REQUEST),
        ] {
            let request = server.http.post(&url).bearer_auth(reader()).header("content-type", content_type).body(body);
            assert_eq!(request.send().await.expect("an answer").status(), status, "{body}");
        }
        let put = server.http.request(Method::PUT, &url).bearer_auth(reader()).send().await.expect("an answer");
        assert_eq!((put.status(), &put.headers()["allow"]), (StatusCode::METHOD_NOT_ALLOWED, &"GET, POST".parse().expect("a value")));
    }
}

both! {
    /// Each kind of mistake has its code.
    async fn codes(server) {
        for (query, code) in [
            ("{ service", "GRAPHQL_PARSE_FAILED"),
            ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
            ("query A { service { version } } query B { service { version } }", "GRAPHQL_VALIDATION_FAILED"),
            ("{ portal { trend(since: \"yesterday\") { at } } }", "BAD_USER_INPUT"),
            ("{ portal { syncErrors(first: 1000) { totalCount } } }", "BAD_USER_INPUT"),
            ("mutation { configurePortal(input: {}) { userErrors { code } } }", "FORBIDDEN"),
        ] {
            assert_eq!(server.error_code(&reader(), query, json!({})).await, code, "{query}");
        }
    }
}

fn signed(claims: Value, algorithm: Algorithm, key: &[u8]) -> String {
    encode(
        &Header::new(algorithm),
        &claims,
        &EncodingKey::from_secret(key),
    )
    .expect("a token")
}

both! {
    /// Without a good token nothing is answered.
    async fn tokens(server) {
        const KEY: &[u8] = b"a secret of the tests, 32 bytes or more";
        let hour = (Utc::now() + Duration::hours(1)).timestamp();
        let claims = json!({ "sub": "s", "exp": hour, "scope": "sync-health:read", "portals": ["1001"] });
        let with = |key: &str, value: Value| { let mut claims = claims.clone(); claims[key] = value; claims };
        let without = |key: &str| { let mut claims = claims.clone(); claims.as_object_mut().expect("an object").remove(key); claims };
        assert_eq!(server.post(&signed(with("portals", json!([1001])), Algorithm::HS256, KEY), "{ portal { hubId } }", json!({})).await.status(), StatusCode::OK);
        // A single one may stand alone, as issuers write it.
        for alone in [json!("*"), json!("1001"), json!(1001)] {
            let token = signed(with("portals", alone.clone()), Algorithm::HS256, KEY);
            let told = server.data(&token, "{ portal(hubId: 1001) { hubId } }", json!({})).await;
            assert_eq!(told["portal"]["hubId"], "1001", "{alone}");
        }
        for token in [
            "x".to_owned(),
            signed(claims.clone(), Algorithm::HS256, b"another secret of 32 bytes or more ....."),
            signed(claims.clone(), Algorithm::HS384, KEY),
            signed(with("exp", json!(hour - 7200)), Algorithm::HS256, KEY),
            signed(with("nbf", json!(hour)), Algorithm::HS256, KEY),
            signed(without("exp"), Algorithm::HS256, KEY),
            signed(without("sub"), Algorithm::HS256, KEY),
            signed(with("portals", json!(["eleven"])), Algorithm::HS256, KEY),
            signed(with("portals", json!((1..=1001).collect::<Vec<_>>())), Algorithm::HS256, KEY),
            signed(with("sub", json!("x".repeat(13_000))), Algorithm::HS256, KEY),
        ] {
            let response = server.post(&token, "{ service { version } }", json!({})).await;
            assert_eq!((response.status(), &response.headers()["www-authenticate"]), (StatusCode::UNAUTHORIZED, &"Bearer".parse().expect("a value")), "{token}");
            let body: Value = response.json().await.expect("JSON");
            assert_eq!((&body["errors"][0]["extensions"]["code"], body.get("data")), (&json!("UNAUTHENTICATED"), None));
        }
        let none = server.http.post(format!("{}/graphql", server.url)).json(&json!({ "query": "{ service { version } }" })).send().await.expect("an answer");
        assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    }
}

both! {
    /// One line a request: what happened, never a token or a record's value.
    async fn one_line_a_request(server) {
        let secret_value = "a value that no log may hold";
        server.record(json!([failure("31415", 0, json!({ "value": secret_value, "hubspotRecord": { "recordId": "31415", "name": "Ada Lovelace" } }))])).await;
        let response = server.post(&reader(), "{ portal { hubId } }", json!({})).await;
        let reference = response.headers()["x-request-id"].to_str().expect("a text").to_owned();
        let lines = logs();
        let line: Value = serde_json::from_str(lines.iter().find(|line| line.contains(&reference)).expect("a line")).expect("JSON");
        let fields = &line["fields"];
        assert_eq!((&fields["method"], &fields["path"], &fields["status"], &fields["operation"], &fields["outcome"], &fields["subject"]),
            (&json!("POST"), &json!("/graphql"), &json!(200), &json!("query"), &json!("ok"), &json!("test-user")));
        let all = lines.join("\n");
        for secret in [secret_value, "31415", "Ada Lovelace", &reader()[..40], &engine()[..40]] {
            assert!(!all.contains(secret), "{secret} stands in the log");
        }
    }
}

both! {
    /// The process is healthy and the database ready.
    async fn probes(server) {
        for path in ["healthz", "readyz"] {
            let response = server.http.get(format!("{}/{path}", server.url)).send().await.expect("an answer");
            assert_eq!(response.status(), StatusCode::OK, "{path}");
        }
    }
}

/// What is ours is logged once under a reference that the client sees, and nothing else of it leaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn internal_errors() {
    use sea_orm::ConnectionTrait;
    let server = Server::start(Backend::Sqlite).await;
    server.read("{ portal { hubId } }", json!({})).await;
    let db = sea_orm::Database::connect(&server.database_url)
        .await
        .expect("the database");
    db.execute_unprepared("UPDATE portals SET locale = 31415")
        .await
        .expect("a language that nobody speaks");
    let answer = server
        .ask(&reader(), "{ portal { hubId } }", json!({}))
        .await;
    let error = &answer["errors"][0];
    assert_eq!(
        error["extensions"],
        json!({ "code": "INTERNAL_SERVER_ERROR" })
    );
    let message = error["message"].as_str().expect("a text");
    assert!(!message.contains("31415"), "{message}");
    let reference = message
        .split("reference ")
        .nth(1)
        .and_then(|rest| rest.split(')').next())
        .expect("a reference");
    let lines = take_error_logs();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains(reference) && lines[0].contains("31415"),
        "{lines:#?}"
    );
    db.execute_unprepared("UPDATE portals SET locale = 0")
        .await
        .expect("English again");
    server.finish().await;
}

fn with_graphiql(config: &mut sync_health::kernel::config::Config) {
    config.graphiql = true;
    config.cors_origins = vec!["https://app.example.com".into()];
}

both! {
    configure = super::with_graphiql;
    /// GraphiQL comes whole from here, and its policy lets nothing else in.
    async fn graphiql(server) {
        let get = |path: String| async move { server.http.get(format!("{}{path}", server.url)).send().await.expect("an answer") };
        let page = get("/graphiql".into()).await;
        let policy = page.headers()["content-security-policy"].to_str().expect("a text").to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("http"), "{policy}");
        let page = page.text().await.expect("a text");
        let loaded: Vec<&str> = page.split(['"']).filter(|part| part.starts_with("/graphiql/")).collect();
        assert_eq!(loaded.len(), 6, "{page}");
        assert!(!page.contains("://"), "{page}");
        for path in loaded {
            let asset = get(path.to_owned()).await;
            assert_eq!(asset.status(), StatusCode::OK, "{path}");
            assert!(!asset.bytes().await.expect("a body").is_empty(), "{path}");
        }
    }
}

both! {
    /// Unless it is asked for, there is no GraphiQL, and no page of another origin may call.
    async fn closed_by_default(server) {
        let page = server.http.get(format!("{}/graphiql", server.url)).send().await.expect("an answer");
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        let asked = preflight(server, "https://app.example.com").await;
        assert!(asked.headers().get("access-control-allow-origin").is_none());
    }
}

async fn preflight(server: &Server, origin: &str) -> reqwest::Response {
    let url = format!("{}/graphql", server.url);
    let request = server
        .http
        .request(Method::OPTIONS, url)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        );
    request.send().await.expect("an answer")
}

both! {
    configure = super::with_graphiql;
    /// Pages of the configured origins may call, others not.
    async fn origins(server) {
        let allowed = preflight(server, "https://app.example.com").await;
        assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example.com");
        assert_eq!(allowed.headers()["access-control-allow-headers"], "authorization,content-type,last-event-id,traceparent");
        let other = preflight(server, "https://other.example.com").await;
        assert!(other.headers().get("access-control-allow-origin").is_none());
        let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth(reader()).header("origin", "https://app.example.com").json(&json!({ "query": "{ service { version } }" }));
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example.com");
        assert!(answer.headers()["access-control-expose-headers"].to_str().is_ok_and(|names| names.contains("x-request-id")));
    }
}

both! {
    /// Answers are compressed as the client accepts, and kept by nobody.
    async fn compression_and_caching(server) {
        let all = "{ service { limits { name value unit } } }";
        let ask = |accepts: &'static str| async move {
            let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth(reader()).header("accept-encoding", accepts).json(&json!({ "query": all }));
            request.send().await.expect("an answer")
        };
        let plain = ask("identity").await;
        assert!(plain.headers().get("content-encoding").is_none());
        assert_eq!((&plain.headers()["cache-control"], &plain.headers()["x-content-type-options"]), (&"private, no-store".parse().expect("a value"), &"nosniff".parse().expect("a value")));
        let length = plain.bytes().await.expect("a body").len();
        for encoding in ["gzip", "br"] {
            let packed = ask(encoding).await;
            assert_eq!(packed.headers()["content-encoding"], encoding);
            assert!(packed.bytes().await.expect("a body").len() * 2 < length, "{encoding}");
        }
    }
}

both! {
    /// A body that was packed is not read as if it were plain: every line of it would be refused, with a 200.
    async fn packed_bodies(server) {
        for (path, content_type) in [("graphql", "application/json"), ("v1/sync-failures", "application/x-ndjson")] {
            for (encoding, status) in [("gzip", StatusCode::UNSUPPORTED_MEDIA_TYPE), ("br", StatusCode::UNSUPPORTED_MEDIA_TYPE), ("identity", StatusCode::OK)] {
                let body = match path {
                    "graphql" => "{\"query\":\"{ __typename }\"}",
                    _ => "",
                };
                let request = server.http.post(format!("{}/{path}", server.url)).bearer_auth(engine());
                let request = request.header("content-type", content_type).header("content-encoding", encoding).body(body);
                let answer = request.send().await.expect("an answer");
                assert_eq!(answer.status(), status, "{path} {encoding}");
                if status != StatusCode::OK {
                    let told: Value = answer.json().await.expect("JSON");
                    assert_eq!(told["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
                }
            }
        }
    }
}
