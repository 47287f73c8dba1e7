//! What a start says when it comes to nothing, in words and at once; and how a server notices what happens to it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::commands::{Running, command, free_address, ran, text};
use crate::harness::process::Process;
use crate::harness::{
    Backend, REPORT_FAILURES, SECRET, Server, engine, eventually, failure, postgres, reader, token,
};
use crate::imports::import;

fn serve(listen: &str, database_url: &str) -> Command {
    let mut serve = command(&["serve"]);
    serve.envs([
        ("SYNC_HEALTH_LISTEN", listen),
        ("SYNC_HEALTH_DATABASE_URL", database_url),
        ("SYNC_HEALTH_JWT_SECRET", text(SECRET).as_str()),
    ]);
    serve
}

/// A server that cannot start says why, and never that it listens.
fn refused_by(serve: &mut Command, why: &str) {
    let output = ran(serve);
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains(&format!("sync-health: {why}")),
        "{why}: {said}"
    );
    assert!(!said.contains("listening"), "{said}");
    assert!(!said.contains("hunter2"), "a password is told: {said}");
}

fn refused(database_url: &str, why: &str) {
    refused_by(&mut serve("127.0.0.1:0", database_url), why);
}

/// Where nobody listens the host and the port are named, long before any pool gives up.
#[test]
fn nobody_listens() {
    let address = free_address();
    let start = Instant::now();
    refused(
        &format!("postgres://me:hunter2@{address}/sync_health"),
        &format!("cannot reach PostgreSQL at {address}: connection refused"),
    );
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// Answers what a client of PostgreSQL asks first, whether TLS is offered, and what it asks then; the address.
fn answering(answers: [Vec<u8>; 2]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let talk = move |mut client: TcpStream| -> std::io::Result<()> {
        for answer in &answers {
            let _ = client.read(&mut [0; 1000])?;
            client.write_all(answer)?;
        }
        while client.read(&mut [0; 1000])? > 0 {}
        Ok(())
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = talk(client);
        }
    });
    address
}

/// PostgreSQL's message of an error.
fn error(code: &str, message: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
    let length = u32::try_from(fields.len() + 4).expect("a short text");
    [&b"E"[..], &length.to_be_bytes(), fields.as_bytes()].concat()
}

/// A user who is refused, a database that is not there, TLS that is not offered, something else than PostgreSQL.
#[tokio::test]
async fn postgres_refuses() {
    let wrong = error("28P01", "password authentication failed for user \"me\"");
    let address = answering([b"N".to_vec(), wrong]);
    refused(
        &format!("postgres://me:hunter2@{address}/s"),
        &format!("PostgreSQL at {address} refuses the user me: password authentication failed"),
    );
    let address = answering([b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Vec::new()]);
    refused(
        &format!("postgres://me:hunter2@{address}/s"),
        &format!("what answers at {address} is no PostgreSQL"),
    );
    let url = postgres::empty_database().await;
    let place = url.split(['@', '/']).nth(3).expect("a host and a port");
    refused(
        &format!("{url}_gone"),
        &format!("PostgreSQL at {place}: database \"test_"),
    );
    refused(
        &format!("{url}?sslmode=require"),
        &format!("PostgreSQL at {place} offers no TLS as wanted"),
    );
}

/// Who accepts a connection and says nothing is named too.
#[test]
fn postgres_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    refused(
        &format!("postgres://me:hunter2@{address}/s"),
        &format!("PostgreSQL at {address} does not answer within 10 seconds"),
    );
}

/// The path of a file that cannot be opened, and why.
#[test]
fn sqlite_cannot_be_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("text.db"), "Dear database, ...").expect("a file");
    let (missing, inside) = (path("no/such/s.db"), path("text.db/s.db"));
    for (file, why) in [
        (
            &missing,
            format!(
                "cannot make the database {missing}: there is no folder {}",
                path("no/such")
            ),
        ),
        (
            &path(""),
            format!("cannot open the database {}: it is a folder", path("")),
        ),
        (
            &path("text.db"),
            format!(
                "cannot open the database {}: it is no SQLite database",
                path("text.db")
            ),
        ),
        (
            &inside,
            format!("cannot open the database {inside}: Not a directory"),
        ),
    ] {
        refused(&format!("sqlite://{file}"), &why);
    }
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// The program without what lets root write where others may not.
fn without_privileges(program: &Command) -> Command {
    let is_root = ran(Command::new("id").arg("-u")).stdout == b"0\n";
    let mut other = match is_root {
        true => Command::new("setpriv"),
        false => Command::new("env"),
    };
    if is_root {
        other.args(["--inh-caps=-all", "--bounding-set=-all"]);
    }
    other.arg(program.get_program()).args(program.get_args());
    let environment = program.get_envs();
    other.envs(environment.filter_map(|(name, value)| Some((name, value?))));
    other
}

/// What may not be written is told before anything is tried.
#[test]
fn sqlite_may_not_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mode = |path: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("another mode");
    };
    std::fs::write(path("s.db"), "").expect("a file");
    std::fs::create_dir(path("closed")).expect("a folder");
    mode(&path("s.db"), 0o400);
    mode(&path("closed"), 0o500);
    let (file, new) = (path("s.db"), path("closed/new.db"));
    for (file, why) in [
        (
            &file,
            format!("cannot open the database {file}: permission denied"),
        ),
        (
            &new,
            format!("cannot make the database {new}: permission denied"),
        ),
    ] {
        let serve = serve("127.0.0.1:0", &format!("sqlite://{file}"));
        refused_by(&mut without_privileges(&serve), &why);
    }
}

/// What is no address of a database is answered with the forms that are taken.
#[test]
fn no_address() {
    for url in [
        "mysql://me:hunter2@127.0.0.1/s",
        "sync-health.db",
        "sqlite::memory:",
        "sqlite://",
        "postgres://me:hunter2@127.0.0.1:port/s",
    ] {
        refused(
            url,
            "--database-url is sqlite://PATH, for example sqlite://sync-health.db, or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        );
    }
}

/// The port is somebody else's, or none.
#[test]
fn no_place_to_listen() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("its address").to_string();
    for (listen, why) in [
        (taken.as_str(), "the port is taken"),
        ("203.0.113.1:80", "this machine has no such address"),
        (
            "8080",
            "an address and a port are needed, for example 127.0.0.1:8080",
        ),
    ] {
        let why = format!("cannot listen on {listen} (--listen): {why}");
        refused_by(&mut serve(listen, &url), &why);
    }
}

/// `import --url` says who refused, and how: nobody listens, the token is none, it is another server, it is no address.
#[tokio::test]
async fn import_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = r#"{"code":"STRING_TOO_LONG","message":"Title: data value too large: x (max length=40)","fields":["Title"],"hubspotRecord":{"recordId":"1"}}"#;
    let server = Server::start(Backend::Sqlite).await;
    let (nowhere, wrong_scope) = (format!("http://{}", free_address()), reader());
    for (url, token, why) in [
        (
            nowhere.as_str(),
            engine(),
            format!("the server {nowhere} cannot be reached (--url): connection refused"),
        ),
        (
            &server.url,
            "no token".to_owned(),
            format!("the server {} answered 401 Unauthorized: ", server.url),
        ),
        (
            &server.url,
            wrong_scope,
            format!("the server {} answered 403 Forbidden: ", server.url),
        ),
        (
            &format!("{}/other", server.url),
            engine(),
            format!(
                "the server {} answered 404 Not Found: Nothing is here.",
                server.url
            ),
        ),
        (
            "127.0.0.1",
            engine(),
            "--url is the address of a server, for example http://127.0.0.1:8080".to_owned(),
        ),
    ] {
        let arguments = ["--url", url, "--token", &token];
        let output = import(folder.path(), "old.ndjson", &[line], &arguments).await;
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains(&why),
            "{why}: {said}"
        );
    }
    server.finish().await;
}

/// A server whose SQLite file was put aside: nothing is acknowledged that nobody would see, and the log says so once.
#[tokio::test]
async fn the_file_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let url = format!("sqlite://{}", path("s.db").display());
    let server = Process::start(&url, &[]).await;
    let report = json!({ "input": { "failures": [failure("1", 0, json!({}))] } });
    let reply = server.ask(&engine(), REPORT_FAILURES, report.clone()).await;
    assert_eq!(reply.expect("an answer").code(), None);
    for happened in ["removed", "replaced"] {
        let why = format!("The file of the database was {happened} while the server had it open.");
        match happened {
            "removed" => std::fs::rename(path("s.db"), path("old.db")).expect("a new name"),
            _ => std::fs::write(path("s.db"), "").expect("another file"),
        }
        for _ in 0..40 {
            eventually("not ready", async || {
                (server.readiness().await? == 503).then_some(())
            })
            .await;
            let reply = server.ask(&engine(), REPORT_FAILURES, report.clone()).await;
            let reply = reply.expect("an answer");
            let told = reply.body["errors"][0]["message"].to_string();
            assert_eq!(reply.is_not_for_later(), None);
            assert!(told.contains(&why), "{told}");
        }
    }
    eventually("a line", async || (said(&server) > 0).then_some(())).await;
    std::fs::rename(path("old.db"), path("s.db")).expect("the old name");
    server.is_ready().await;
    let reply = server.ask(&engine(), REPORT_FAILURES, report).await;
    assert_eq!(reply.expect("an answer").code(), None);
    assert_eq!(said(&server), 1, "{}", server.log());
    server.stop().await;
}

/// How many errors a server has logged about its file.
fn said(server: &Process) -> usize {
    let log = server.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("\"level\":\"ERROR\""));
    lines
        .filter(|line| line.contains("The file of the database was"))
        .count()
}

/// Starts a server whose SIGHUP is handled as told, whatever that of the tests is.
async fn started(hangup: &str, address: &str, database_url: &str) -> Running {
    let serve = serve(address, database_url);
    let mut program = Command::new("env");
    program
        .arg(format!("{hangup}=HUP"))
        .arg(serve.get_program())
        .args(serve.get_args());
    let environment = serve.get_envs();
    program.env_clear();
    program.envs(environment.filter_map(|(name, value)| Some((name, value?))));
    let running = Running::start(&mut program);
    let http = reqwest::Client::new();
    eventually("the server", async || {
        let sent = http.get(format!("http://{address}/readyz")).send().await;
        sent.ok().filter(|answer| answer.status().is_success())
    })
    .await;
    running
}

/// The terminal is closed: the server ends as by SIGTERM, its database closed and streams ended; not under nohup.
#[tokio::test]
async fn hangup() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("s.db").display());
    let address = free_address();
    sync_health::kernel::tls::choose_provider();
    let mut server = started("--default-signal", &address, &url).await;
    let stream = reqwest::Client::new()
        .post(format!("http://{address}/graphql"))
        .bearer_auth(token(&["1001"], "sync-health:read"))
        .header("Accept", "text/event-stream")
        .json(&json!({ "query": "subscription { syncErrorEvents { cursor } }" }));
    let stream = stream.send().await.expect("a stream");
    assert!(stream.status().is_success());
    server.signal("HUP");
    server.ended().await;
    stream.text().await.expect("a stream that ended well");
    assert!(!folder.path().join("s.db-wal").exists());

    let mut server = started("--ignore-signal", &address, &url).await;
    server.signal("HUP");
    let http = reqwest::Client::new();
    for _ in 0..20 {
        let asked = http.get(format!("http://{address}/readyz")).send().await;
        assert!(asked.expect("an answer").status().is_success() && server.goes_on());
    }
    server.stop().await;
}
