//! Tokens of an issuer: public keys from a file or an address, rotation, and what is never accepted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chrono::Utc;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sync_health::kernel::auth::{KeySource, VerifierConfig};
use sync_health::kernel::config::Config;

use crate::commands::{command, ran};
use crate::harness::live::{EventStream, Socket};
use crate::harness::{Backend, Server, both, reader};

/// The issuer's private keys: made for these tests, good for nothing else.
fn key(name: &str) -> (EncodingKey, Algorithm) {
    let made = match name {
        "rsa" => (
            EncodingKey::from_rsa_pem(include_bytes!("keys/rsa.pem")),
            Algorithm::RS256,
        ),
        "ec" => (
            EncodingKey::from_ec_pem(include_bytes!("keys/ec.pem")),
            Algorithm::ES256,
        ),
        "ed25519" => (
            EncodingKey::from_ed_pem(include_bytes!("keys/ed25519.pem")),
            Algorithm::EdDSA,
        ),
        _ => (
            EncodingKey::from_ed_pem(include_bytes!("keys/rotated.pem")),
            Algorithm::EdDSA,
        ),
    };
    (made.0.expect("a key"), made.1)
}

/// A JWK Set with the public halves of these keys.
fn key_set(names: &[&str]) -> String {
    let keys = names.iter().map(|name| {
        let (key, algorithm) = key(name);
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).expect("a JWK");
        jwk.common.key_id = Some((*name).to_owned());
        serde_json::to_value(jwk).expect("JSON")
    });
    json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

fn claims() -> Value {
    let hour = Utc::now().timestamp() + 3_600;
    json!({ "sub": "someone", "exp": hour, "scope": "sync-health:read", "portals": [1001],
        "iss": "https://issuer.example", "aud": ["sync-health", "another"] })
}

/// A token that names key `kid` and is signed by key `name`.
fn signed(name: &str, kid: Option<&str>, claims: &Value) -> String {
    let (key, algorithm) = key(name);
    let header = Header {
        kid: kid.map(str::to_owned),
        ..Header::new(algorithm)
    };
    encode(&header, claims, &key).expect("a token")
}

/// What a token with these claims is answered.
async fn status(server: &Server, token: &str) -> StatusCode {
    let response = server.post(token, "{ portal { hubId } }", json!({})).await;
    response.status()
}

fn configured(auth: &mut VerifierConfig, source: KeySource) {
    auth.keys = Some(source);
    auth.issuer = Some("https://issuer.example".into());
    auth.audience = Some("sync-health".into());
    auth.secret = None;
}

fn file_with(keys: &[&str]) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("keys-{}.json", uuid::Uuid::now_v7()));
    std::fs::write(&path, key_set(keys)).expect("a file");
    path
}

fn issuer_with_three_keys(config: &mut Config) {
    let keys = file_with(&["rsa", "ec", "ed25519"]);
    configured(&mut config.auth, KeySource::File(keys));
}

both! {
    configure = super::issuer_with_three_keys;
    /// Each kind of key verifies its tokens; everything else is refused, and says why.
    async fn keys_of_an_issuer(server) {
        for name in ["rsa", "ec", "ed25519"] {
            assert_eq!(status(server, &signed(name, Some(name), &claims())).await, StatusCode::OK, "{name}");
        }
        let with = |key: &str, value: Value| { let mut claims = claims(); claims[key] = value; claims };
        let without = |key: &str| { let mut claims = claims(); claims.as_object_mut().expect("an object").remove(key); claims };
        let public_key = key_set(&["rsa"]);
        let confused = encode(&Header { kid: Some("rsa".into()), ..Header::new(Algorithm::HS256) }, &claims(), &EncodingKey::from_secret(public_key.as_bytes())).expect("a token");
        // {"alg":"none"}, the claims of a good token, no signature.
        let good = signed("rsa", Some("rsa"), &claims());
        let none = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).expect("claims"));
        for (token, why) in [
            (signed("rsa", None, &claims()), "has no kid"),
            (signed("rsa", Some("foreign"), &claims()), "names no key"),
            (signed("rsa", Some("ec"), &claims()), "algorithm is not that of its key"),
            (signed("rotated", Some("ed25519"), &claims()), "signature does not match"),
            (signed("rsa", Some("rsa"), &without("exp")), "claims sub, exp"),
            (signed("rsa", Some("rsa"), &without("aud")), "needs the claim aud"),
            (signed("rsa", Some("rsa"), &without("iss")), "needs the claim iss"),
            (signed("rsa", Some("rsa"), &with("aud", json!("another"))), "aud does not name this service"),
            (signed("rsa", Some("rsa"), &with("iss", json!("https://other.example"))), "iss is not the expected one"),
            (signed("rsa", Some("rsa"), &with("exp", json!(Utc::now().timestamp() - 120))), "has expired"),
            (confused, "HS256 is not accepted here"),
            (reader(), "HS256 is not accepted here"),
            (none, "cannot be read"),
        ] {
            let response = server.post(&token, "{ portal { hubId } }", json!({})).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{why}");
            let body: Value = response.json().await.expect("JSON");
            assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
            assert!(body["errors"][0]["message"].as_str().is_some_and(|text| text.contains(why)), "{why}: {body}");
        }
        // Clocks may differ by a minute.
        assert_eq!(status(server, &signed("rsa", Some("rsa"), &with("exp", json!(Utc::now().timestamp() - 30)))).await, StatusCode::OK);
    }
}

/// An issuer whose keys can be changed, and how often they were asked for.
struct Issuer {
    keys: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    url: url::Url,
}

impl Issuer {
    async fn start(keys: &[&str]) -> Self {
        let keys = Arc::new(Mutex::new(key_set(keys)));
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = {
            let (keys, asked) = (keys.clone(), asked.clone());
            move || {
                asked.fetch_add(1, Ordering::SeqCst);
                let keys = keys.lock().expect("the keys").clone();
                async move { keys }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("its address");
        let router = Router::new().route("/keys", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            keys,
            asked,
            url: format!("http://{address}/keys").parse().expect("a URL"),
        }
    }

    fn set(&self, keys: String) {
        *self.keys.lock().expect("the keys") = keys;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A new key is found without a restart, a withdrawn one stops; a broken answer leaves the keys as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation() {
    let issuer = Issuer::start(&["rsa"]).await;
    let server = Server::start_with(Backend::Sqlite, |config| {
        configured(&mut config.auth, KeySource::Url(issuer.url.clone()));
        config.auth.key_refresh_pause = Duration::ZERO;
    })
    .await;
    let (old, new) = (
        signed("rsa", Some("rsa"), &claims()),
        signed("rotated", Some("rotated"), &claims()),
    );
    assert_eq!(status(&server, &old).await, StatusCode::OK);
    assert_eq!(status(&server, &new).await, StatusCode::UNAUTHORIZED);
    issuer.set("{ nonsense".into());
    assert_eq!(status(&server, &new).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&server, &old).await, StatusCode::OK);
    issuer.set(key_set(&["rotated"]));
    assert_eq!(status(&server, &new).await, StatusCode::OK);
    assert_eq!(status(&server, &old).await, StatusCode::UNAUTHORIZED);
    server.finish().await;
}

/// Keys have an age: one that the issuer withdrew stops, though nobody asks for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withdrawn() {
    let issuer = Issuer::start(&["rsa", "ec"]).await;
    let server = Server::start_with(Backend::Sqlite, |config| {
        configured(&mut config.auth, KeySource::Url(issuer.url.clone()));
        config.auth.key_max_age = Duration::ZERO;
    })
    .await;
    let token = signed("rsa", Some("rsa"), &claims());
    assert_eq!(status(&server, &token).await, StatusCode::OK);
    issuer.set(key_set(&["ec"]));
    assert_eq!(status(&server, &token).await, StatusCode::UNAUTHORIZED);
    server.finish().await;
}

/// However many unknown keys are named, the issuer is asked once in a while only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_is_not_flooded() {
    let issuer = Issuer::start(&["rsa"]).await;
    let server = Server::start_with(Backend::Sqlite, |config| {
        configured(&mut config.auth, KeySource::Url(issuer.url.clone()));
        config.auth.key_refresh_pause = Duration::from_secs(3_600);
    })
    .await;
    for kid in 0..20 {
        let token = signed("rotated", Some(&format!("unknown-{kid}")), &claims());
        assert_eq!(status(&server, &token).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(issuer.asked(), 1);
    server.finish().await;
}

/// A server that could verify nobody does not start, and says which file or address is wrong.
#[tokio::test]
async fn unusable_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite://{}", folder.path().join("a.db").display());
    let broken = folder.path().join("broken.json");
    std::fs::write(&broken, "{\"keys\":[]}").expect("a file");
    for (path, why) in [
        (broken, "no key with a kid"),
        (folder.path().join("missing.json"), "missing.json"),
    ] {
        let mut serve = command(&["serve", "--listen", "127.0.0.1:0", "--jwks-file"]);
        let output = ran(serve.arg(path).args(["--database-url", &database]));
        assert!(!output.status.success());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(why), "{told}");
    }
}

/// Secret and public keys may stand beside each other, while an issuer takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secret_beside_keys() {
    let server = Server::start_with(Backend::Sqlite, |config| {
        config.auth.keys = Some(KeySource::File(file_with(&["ec"])));
    })
    .await;
    for token in [reader(), signed("ec", Some("ec"), &claims())] {
        assert_eq!(status(&server, &token).await, StatusCode::OK);
    }
    server.finish().await;
}

/// With its key ends what a token had begun: sockets, streams, and the tickets that were made with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authority_ends_with_its_key() {
    let issuer = Issuer::start(&["rsa", "ec"]).await;
    let server = Server::start_with(Backend::Sqlite, |config| {
        configured(&mut config.auth, KeySource::Url(issuer.url.clone()));
        config.auth.key_max_age = Duration::ZERO;
        config.live.ping = Duration::from_millis(300);
    })
    .await;
    let token = signed("rsa", Some("rsa"), &claims());
    let subscription = "subscription { syncErrorEvents(hubId: 1001) { cursor } }";
    let make = "mutation ($query: String!) {
        createStreamTicket(input: { query: $query }) { ticket }
        exportSyncErrors(input: { hubId: 1001, format: CSV }) { downloadUrl } }";
    let made = server
        .data(&token, make, json!({ "query": subscription }))
        .await;
    let ticket = made["createStreamTicket"]["ticket"].as_str();
    let ticket = ticket.expect("a ticket");
    let stream = format!("{}/graphql?ticket={ticket}", server.url);
    let download = made["exportSyncErrors"]["downloadUrl"].as_str();
    let download = download.expect("an address");
    let open = async |url: &str| {
        let request = server.http.get(url).header("accept", "text/event-stream");
        request.send().await.expect("an answer").status()
    };
    assert_eq!(open(&stream).await, StatusCode::OK);
    assert_eq!(open(download).await, StatusCode::OK);
    let mut told = EventStream::with_ticket(&server, ticket, None).await;
    let mut idle = Socket::connect(&server, &token).await;
    let mut asking = Socket::connect(&server, &token).await;
    asking
        .subscribe("1", "{ service { version } }", json!({}))
        .await;
    assert_eq!(asking.next().await["type"], "next");
    issuer.set(key_set(&["ec"]));
    assert_eq!(open(&stream).await, StatusCode::UNAUTHORIZED);
    assert_eq!(open(download).await, StatusCode::UNAUTHORIZED);
    asking
        .subscribe("2", "{ service { version } }", json!({}))
        .await;
    assert_eq!(asking.closed().await, 4403);
    assert_eq!(idle.closed().await, 4403);
    assert_eq!(told.next().await, None);
    // The last key goes like any other; what is no set of keys takes none away.
    let remaining = signed("ec", Some("ec"), &claims());
    issuer.set("no keys".into());
    assert_eq!(status(&server, &remaining).await, StatusCode::OK);
    issuer.set(key_set(&[]));
    assert_eq!(status(&server, &remaining).await, StatusCode::UNAUTHORIZED);
    server.finish().await;
}

both! {
    configure = super::issuer_with_three_keys;
    /// What a claim has to be is read to the letter: RFC 7519 and RFC 8693.
    async fn claims_to_the_letter(server) {
        let with = |key: &str, value: Value| { let mut claims = claims(); claims[key] = value; signed("ec", Some("ec"), &claims) };
        let fraction = Utc::now().timestamp() as f64 + 3_600.5;
        for (good, why) in [
            (with("exp", json!(fraction)), "a date with a fraction"),
            (with("portals", json!(["*", 1001])), "all, and one of them"),
            (with("scope", json!("  sync-health:read ")), "several spaces"),
        ] {
            assert_eq!(status(server, &good).await, StatusCode::OK, "{why}");
        }
        for (bad, answered, why) in [
            (with("iss", json!(["https://issuer.example"])), StatusCode::UNAUTHORIZED, "a list of issuers"),
            (with("portals", json!(["*", {}])), StatusCode::UNAUTHORIZED, "all, and what is no portal"),
            (with("portals", json!(["*", "eleven"])), StatusCode::UNAUTHORIZED, "all, and what is no number"),
            (with("exp", json!("soon")), StatusCode::UNAUTHORIZED, "no date"),
            (with("sub", json!("a\u{0}b")), StatusCode::UNAUTHORIZED, "a name that no database keeps"),
        ] {
            assert_eq!(status(server, &bad).await, answered, "{why}");
        }
        let tabs = with("scope", json!("sync-health:manage\tsync-health:read"));
        assert_eq!(server.error_code(&tabs, "{ portal(hubId: 1001) { name } }", json!({})).await, "FORBIDDEN");
    }
}
