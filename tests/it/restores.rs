//! `sync-health restore`: a copy takes the place of a database, whole or not at all, and begins another history.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::commands::text;
use crate::harness::outsider::Outsider;
use crate::harness::process::Process;
use crate::harness::{REPORT_FAILURES, engine, failure, postgres, reader};
use crate::upkeep::run;

const STATE: &str = "{ portal { categories { openErrorCount affectedRecordCount } syncErrors(first: 50) { totalCount nodes { id title lastSeenAt } } syncErrorEvents { totalCount nodes { kind affectedRecordCount } } } }";
const CURSOR: &str = "{ portal { eventCursor } }";
const EVENTS: &str = "query ($after: String) { portal { syncErrorEvents(after: $after, first: 100) { nodes { kind } } } }";

/// An SQLite database in a folder of its own.
struct Scene {
    folder: tempfile::TempDir,
    url: String,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("s.db").display());
        Self { folder, url }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn backup(&self, name: &str) -> PathBuf {
        let copy = self.path(name);
        let made = run(&["backup", name_of(&copy), "--database-url", &self.url]).await;
        assert!(made.status.success(), "{made:?}");
        copy
    }

    async fn restore(&self, copy: &Path) -> Output {
        run(&["restore", name_of(copy), "--database-url", &self.url]).await
    }

    /// The names of all files in the folder.
    fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).expect("a folder");
        let names = files.map(|file| file.expect("a file").file_name().into_string());
        let mut names: Vec<String> = names.map(|name| name.expect("a name")).collect();
        names.sort();
        names
    }

    /// The database and its log, byte by byte.
    fn bytes(&self) -> [Option<Vec<u8>>; 2] {
        ["s.db", "s.db-wal"].map(|name| std::fs::read(self.path(name)).ok())
    }

    /// A server was killed; what it wrote last is in the log alone. Answers a copy from before that, what it held, and a
    /// cursor of either time.
    async fn killed(&self) -> (PathBuf, Value, [Value; 2]) {
        let mut server = Process::start(&self.url, &[]).await;
        grow(&server, "before", 5).await;
        let (state, early) = (ask(&server, STATE, json!({})).await, cursor(&server).await);
        let copy = self.backup("copy.db").await;
        grow(&server, "after", 30).await;
        let late = cursor(&server).await;
        server.kill();
        let log = std::fs::metadata(self.path("s.db-wal")).expect("a log");
        assert!(log.len() > 0);
        (copy, state, [early, late])
    }
}

fn name_of(path: &Path) -> &str {
    path.to_str().expect("a path")
}

async fn ask(server: &Process, query: &str, variables: Value) -> Value {
    let reply = server.ask(&reader(), query, variables).await;
    let mut reply = reply.expect("an answer");
    assert_eq!(reply.code(), None, "{reply:#?}");
    reply.body["data"].take()
}

async fn cursor(server: &Process) -> Value {
    ask(server, CURSOR, json!({})).await["portal"]["eventCursor"].take()
}

/// So many errors, each of a field and a change of its own.
async fn grow(server: &Process, name: &str, count: usize) {
    for number in 0..count {
        let field = json!({ "fields": [format!("{name}{number}__c")] });
        let failures = json!([failure(&number.to_string(), 0, field)]);
        let input = json!({ "input": { "failures": failures } });
        let reply = server.ask(&engine(), REPORT_FAILURES, input).await;
        let told = reply.expect("an answer").body;
        assert_eq!(
            told["data"]["reportSyncFailures"]["recordedCount"], 1,
            "{told:#}"
        );
    }
}

/// What a copy held is there and nothing else; no cursor from before leads anywhere, and new ones do.
async fn holds(url: &str, state: &Value, cursors: &[Value]) {
    let sound = run(&["doctor", "--database-url", url]).await;
    assert_eq!(text(&sound.stdout), "everything adds up\n", "{sound:?}");
    let server = Process::start(url, &[]).await;
    assert_eq!(ask(&server, STATE, json!({})).await, *state);
    let fresh = cursor(&server).await;
    // As long a history as before, so that the old places exist.
    grow(&server, "new", 40).await;
    for after in cursors {
        let reply = server
            .ask(&reader(), EVENTS, json!({ "after": after }))
            .await;
        assert_eq!(reply.expect("an answer").code(), Some("CURSOR_EXPIRED"));
    }
    let told = ask(&server, EVENTS, json!({ "after": fresh })).await;
    let heard = told["portal"]["syncErrorEvents"]["nodes"].as_array();
    assert_eq!(heard.map(Vec::len), Some(40));
    server.stop().await;
}

fn restored(output: &Output) {
    let told = text(&output.stdout);
    assert!(
        output.status.success() && told.contains("restored: 1 portals"),
        "{output:?}"
    );
}

fn refused(output: &Output, why: &str) {
    let told = text(&output.stderr);
    assert!(
        !output.status.success() && told.contains(why),
        "{why}: {output:?}"
    );
}

/// After a crash: the log of the old database is played into nothing.
#[tokio::test]
async fn after_a_crash() {
    let scene = Scene::new();
    let (copy, state, cursors) = scene.killed().await;
    let before = std::fs::read(&copy).expect("the copy");
    restored(&scene.restore(&copy).await);
    assert_eq!(scene.files(), ["copy.db", "s.db"]);
    assert!(std::fs::read(&copy).expect("the copy") == before);
    holds(&scene.url, &state, &cursors).await;
}

/// The old database cannot be read any more, or is gone, or stands elsewhere behind a link.
#[tokio::test]
async fn in_any_place() {
    let scene = Scene::new();
    let (copy, state, cursors) = scene.killed().await;
    let mut damaged = std::fs::read(scene.path("s.db")).expect("the database");
    damaged[100..].fill(0x5a);
    std::fs::write(scene.path("s.db"), damaged).expect("the database");
    restored(&scene.restore(&copy).await);
    holds(&scene.url, &state, &cursors).await;

    std::fs::remove_file(scene.path("s.db")).expect("the database");
    restored(&scene.restore(&copy).await);
    holds(&scene.url, &state, &cursors).await;

    std::fs::rename(scene.path("s.db"), scene.path("elsewhere.db")).expect("a new name");
    std::os::unix::fs::symlink(scene.path("elsewhere.db"), scene.path("s.db")).expect("a link");
    restored(&scene.restore(&copy).await);
    holds(&scene.url, &state, &cursors).await;
    assert_eq!(scene.files(), ["copy.db", "elsewhere.db", "s.db"]);
    assert!(scene.path("s.db").is_symlink());
}

/// While anybody has the database open nothing is done; they go on.
#[tokio::test]
async fn not_while_in_use() {
    let scene = Scene::new();
    let server = Process::start(&scene.url, &[]).await;
    grow(&server, "one", 3).await;
    let copy = scene.backup("copy.db").await;
    grow(&server, "two", 3).await;
    let state = ask(&server, STATE, json!({})).await;
    refused(
        &scene.restore(&copy).await,
        "s.db is in use: stop the server",
    );
    grow(&server, "three", 1).await;
    server.stop().await;
    let reader = Outsider::at(&scene.url).await;
    reader
        .number("SELECT COUNT(*) AS number FROM sync_errors")
        .await;
    refused(
        &scene.restore(&copy).await,
        "s.db is in use: stop the server",
    );
    reader.close().await;
    let server = Process::start(&scene.url, &[]).await;
    let now = ask(&server, STATE, json!({})).await["portal"]["syncErrors"]["totalCount"].take();
    assert_eq!(
        (now, &state["portal"]["syncErrors"]["totalCount"]),
        (json!(7), &json!(6))
    );
    server.stop().await;
    restored(&scene.restore(&copy).await);
}

/// Files that are no copies, and why not.
async fn no_copies(scene: &Scene, copy: &Path) -> Vec<(PathBuf, &'static str)> {
    let whole = std::fs::read(copy).expect("the copy");
    let written = |name: &str, bytes: &[u8]| {
        std::fs::write(scene.path(name), bytes).expect("a file");
        scene.path(name)
    };
    let changed = async |name: &str, sql: &str| {
        let path = written(name, &whole);
        let other = Outsider::at(&format!("sqlite://{}", path.display())).await;
        other.run(sql).await;
        other.close().await;
        path
    };
    let mut zeroed = whole.clone();
    let (page, middle) = (4096, whole.len() / 4096 / 2);
    zeroed[middle * page..(middle + 1) * page].fill(0);
    written("logged.db-wal", b"what is not in the copy yet");
    let link = scene.path("link.db");
    std::os::unix::fs::symlink(scene.path("s.db"), &link).expect("a link");
    let other = written("other.db", b"");
    let db = Outsider::at(&format!("sqlite://{}", other.display())).await;
    db.run("CREATE TABLE songs (id INTEGER PRIMARY KEY)").await;
    db.close().await;
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_tomorrow', 1)";
    vec![
        (
            written("text.db", b"Dear database, ..."),
            "is no SQLite database",
        ),
        (written("half.db", &whole[..whole.len() / 2]), "half.db "),
        (written("zeroed.db", &zeroed), "zeroed.db is damaged"),
        (written("empty.db", b""), "is empty"),
        (written("logged.db", &whole), "lies beside the copy"),
        (scene.folder.path().to_path_buf(), "is no file"),
        (scene.path("nothing.db"), "nothing.db: No such file"),
        (scene.path("s.db"), "is the database itself"),
        (link, "is the database itself"),
        (other, "other.db is no database of Sync Health"),
        (changed("newer.db", newer).await, "made by a newer version"),
    ]
}

/// What is no copy is refused, and the old database is as it was, what is in its log alone too.
#[tokio::test]
async fn only_from_copies() {
    let scene = Scene::new();
    let (copy, ..) = scene.killed().await;
    let no_copies = no_copies(&scene, &copy).await;
    let (before, files) = (scene.bytes(), scene.files());
    for (path, why) in &no_copies {
        refused(&scene.restore(path).await, why);
        assert!(scene.bytes() == before, "{}", path.display());
        assert_eq!(scene.files(), files, "{}", path.display());
    }
    let server = Process::start(&scene.url, &[]).await;
    let state = ask(&server, STATE, json!({})).await;
    assert_eq!(state["portal"]["syncErrors"]["totalCount"], 35);
    server.stop().await;
}

/// SQLite needs a file and a place for it, PostgreSQL has tools of its own.
#[tokio::test]
async fn only_where_it_can_be_done() {
    let scene = Scene::new();
    let none = run(&["restore", "--database-url", &scene.url]).await;
    refused(&none, "name the copy");
    let server = Process::start(&scene.url, &[]).await;
    server.stop().await;
    let copy = scene.backup("copy.db").await;
    for (place, why) in [
        ("no/such/s.db", "there is no folder"),
        ("", "it is a folder"),
    ] {
        let url = format!("sqlite://{}", scene.path(place).display());
        refused(
            &run(&["restore", name_of(&copy), "--database-url", &url]).await,
            why,
        );
    }
    let url = postgres::new_database().await;
    let with_a_file = run(&["restore", name_of(&copy), "--database-url", &url]).await;
    refused(
        &with_a_file,
        "use pg_restore, then this command without a file",
    );
}

/// Behind pg_restore the command names the feeds anew.
#[tokio::test]
async fn behind_pg_restore() {
    let url = postgres::new_database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.dump").display().to_string();
    let shell = async |command: String| {
        let shell = move || {
            std::process::Command::new("sh")
                .args(["-c", &command])
                .output()
        };
        let done = tokio::task::spawn_blocking(shell).await.expect("a run");
        let done = done.expect("a shell");
        assert!(done.status.success(), "{done:?}");
    };
    let server = Process::start(&url, &[]).await;
    grow(&server, "before", 5).await;
    let (state, early) = (ask(&server, STATE, json!({})).await, cursor(&server).await);
    shell(format!("pg_dump --format=custom --file='{copy}' '{url}'")).await;
    grow(&server, "after", 10).await;
    let late = cursor(&server).await;
    server.stop().await;
    shell(format!(
        "pg_restore --clean --if-exists --no-owner --dbname='{url}' '{copy}'"
    ))
    .await;
    restored(&run(&["restore", "--database-url", &url]).await);
    holds(&url, &state, &[early, late]).await;
}
