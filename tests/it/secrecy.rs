//! What customers told, and what lets somebody in, lies open nowhere.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::commands::{command, output, ran, text};
use crate::faults::reports::report;
use crate::harness::engine;
use crate::harness::process::Process;

/// Databases, logs, copies and exports are for the account alone that made them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let url = format!("sqlite://{}", path("s.db"));
    let server = Process::start(&url, &[]).await;
    let told = server.send(&engine(), &report("1")).await;
    assert_eq!(told.expect("an answer").code(), None);
    for file in ["s.db", "s.db-wal", "s.db-shm"] {
        assert_eq!(mode(&path(file)), 0o600, "{file}");
    }
    server.stop().await;
    let at = ["--database-url", &url];
    let copy = path("copy.db");
    let (csv, lines) = (path("all.csv"), path("all.ndjson"));
    let export = ["export", "--portal", "1001", "--format"];
    for arguments in [
        &["backup", &copy][..],
        &[&export[..], &["csv", "--output", &csv]].concat(),
        &[&export[..], &["ndjson", "--output", &lines]].concat(),
        &["restore", &copy],
    ] {
        let ran = output(&[arguments, &at].concat());
        assert!(ran.status.success(), "{}", text(&ran.stderr));
    }
    for file in ["s.db", "copy.db", "all.csv", "all.ndjson"] {
        assert_eq!(mode(&path(file)), 0o600, "{file}");
    }
}

fn mode(path: &str) -> u32 {
    let about = std::fs::metadata(path).expect("a file");
    about.permissions().mode() & 0o777
}

/// What a stranger writes where a path or a method stands is not copied into the log, and a subject is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_no_secret_of_an_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let server = Process::start(&url, &[]).await;
    let http = reqwest::Client::new();
    let secret = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2VjcmV0";
    for path in ["", "v1/exports/", "graphql/", "v1/exports?ticket="] {
        let address = format!("{}/{path}{secret}", server.url);
        http.get(address).send().await.expect("an answer");
    }
    let method = reqwest::Method::from_bytes(secret.replace('.', "").as_bytes());
    let request = http.request(method.expect("a method"), &server.url);
    request.send().await.expect("an answer");
    let subject = "s".repeat(5_000);
    let own = token_of(&subject);
    let asked = server.ask(&own, "{ viewer { subject } }", json!({})).await;
    assert_eq!(asked.expect("an answer").code(), None);
    let log = server.log();
    assert!(log.contains("\"path\":\"other\""), "{log}");
    assert!(
        !log.contains("c2VjcmV0") && !log.contains("eyJhbG"),
        "{log}"
    );
    assert!(!log.contains(&"s".repeat(300)) && log.contains(&"s".repeat(255)));
    server.stop().await;
}

/// Help is copied and shown around: it names the variables that hold secrets, and not what they hold.
#[test]
fn help_shows_no_secret() {
    let secret = "c2VjcmV0";
    let variables = [
        "SYNC_HEALTH_DATABASE_URL",
        "SYNC_HEALTH_DATABASE_LISTEN_URL",
        "SYNC_HEALTH_JWT_SECRET",
        "SYNC_HEALTH_SMTP_URL",
        "SYNC_HEALTH_TOKEN",
    ];
    let mut named = String::new();
    for subcommand in [
        "serve", "migrate", "token", "backup", "restore", "doctor", "forget", "export", "import",
    ] {
        let mut asked = command(&[subcommand, "--help"]);
        asked.envs(variables.map(|name| (name, secret)));
        let help = text(&ran(&mut asked).stdout);
        assert!(!help.contains(secret), "{help}");
        named += &help;
    }
    assert!(variables.iter().all(|name| named.contains(name)), "{named}");
}

fn token_of(subject: &str) -> String {
    sync_health::kernel::auth::sign(
        crate::harness::SECRET,
        subject,
        &["1001".to_owned()],
        "sync-health:read",
        chrono::Utc::now() + chrono::Duration::hours(1),
    )
    .expect("a token")
}
