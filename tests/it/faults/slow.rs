//! One portal is slow and much asked for: all others are served as ever, because it has but a part of the connections
//! (`portalReadPercent`, `portalWritePercent`) and they take turns.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::reports::{others, report};
use crate::harness::outsider::Outsider;
use crate::harness::process::Process;
use crate::harness::{Backend, engine, eventually, postgres, reader};

const CLIENTS: usize = 60;
const READ: &str = "{ portal { syncErrors { nodes { title } } } }";
/// Far less than all who wait for the slow portal need together, and more than a busy machine does for one.
const LATE: Duration = Duration::from_secs(4);

/// What takes about so many milliseconds, once in a statement, on an idle machine.
async fn make_slow(outsider: &Outsider, backend: Backend, milliseconds: u32) {
    let slow = match backend {
        Backend::Sqlite => {
            let most = milliseconds * 4_000;
            format!(
                "CREATE VIEW made_slow AS WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {most}) SELECT count(*) AS n FROM numbers"
            )
        }
        Backend::Postgres => format!(
            "CREATE FUNCTION made_slow() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001 * {milliseconds}); RETURN true; END $$"
        ),
    };
    outsider.run(&slow).await;
}

/// From now on it takes so long to read the errors of these portals.
pub async fn slow_to_read(outsider: &Outsider, portals: &str, milliseconds: u32) {
    let backend = outsider.backend();
    make_slow(outsider, backend, milliseconds).await;
    outsider
        .run("ALTER TABLE sync_errors RENAME TO sync_errors_themselves")
        .await;
    let condition = match backend {
        Backend::Sqlite => format!("hub_id NOT IN ({portals}) OR (SELECT n FROM made_slow) > 0"),
        Backend::Postgres => {
            format!("CASE WHEN hub_id IN ({portals}) THEN made_slow() ELSE true END")
        }
    };
    outsider
        .run(&format!(
            "CREATE VIEW sync_errors AS SELECT * FROM sync_errors_themselves WHERE {condition}"
        ))
        .await;
}

/// From now on it takes long to change portal 1001.
async fn slow_to_change(outsider: &Outsider, backend: Backend) {
    make_slow(outsider, backend, 120).await;
    let trigger = match backend {
        Backend::Sqlite => {
            "CREATE TRIGGER slows BEFORE UPDATE ON feed_heads WHEN NEW.hub_id = 1001 BEGIN SELECT n FROM made_slow; END"
        }
        Backend::Postgres => {
            "CREATE FUNCTION slows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM made_slow(); RETURN NEW; END $$;
            CREATE TRIGGER slows BEFORE UPDATE ON feed_heads FOR EACH ROW WHEN (NEW.hub_id = 1001) EXECUTE FUNCTION slows()"
        }
    };
    outsider.run(trigger).await;
}

/// Many ask for the slow portal at once, again and again; meanwhile `innocent` requests are sent one after another.
pub async fn beside(server: &Process, slow: (String, Value), innocent: Vec<(String, Value)>) {
    let (answered, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let crowd = join_all((0..CLIENTS).map(async |_| {
        while !is_over.load(Ordering::Relaxed) {
            let reply = server.send(&slow.0, &slow.1).await.expect("an answer");
            let is_refused = reply.body.get("errors").is_some();
            // Who keeps the database busy pays for it.
            let is_for_later =
                reply.code() == Some("RATE_LIMITED") || reply.is_not_for_later().is_none();
            assert!(!is_refused || is_for_later, "{reply:#?}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let others = async {
        eventually("answers of the slow portal", async || {
            (answered.load(Ordering::Relaxed) > 2).then_some(())
        })
        .await;
        let mut wrong = Vec::new();
        for (token, body) in &innocent {
            let start = Instant::now();
            let reply = server.send(token, body).await.expect("an answer");
            let took = start.elapsed();
            if reply.body.get("errors").is_some() || took > LATE {
                wrong.push(format!("{took:?} {body} {reply:?}"));
            }
        }
        is_over.store(true, Ordering::Relaxed);
        wrong
    };
    let (_, wrong) = tokio::join!(crowd, others);
    let count = innocent.len();
    assert!(wrong.is_empty(), "{} of {count}: {}", wrong.len(), wrong[0]);
}

/// A server with few connections, and both portals.
pub struct Scene {
    pub server: Process,
    pub outsider: Outsider,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub async fn new(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    pub async fn with(backend: Backend, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("s.db").display()),
            Backend::Postgres => postgres::new_database().await,
        };
        let few = ("SYNC_HEALTH_DATABASE_CONNECTIONS", "4");
        let server = Process::start(&url, &[&[few], environment].concat()).await;
        for token in [engine(), others().1] {
            let reply = server.send(&token, &report("before")).await;
            assert!(reply.expect("an answer").body.get("errors").is_none());
        }
        Self {
            server,
            outsider: Outsider::at(&url).await,
            _folder: folder,
        }
    }
}

async fn reads(backend: Backend) {
    let scene = Scene::new(backend).await;
    slow_to_read(&scene.outsider, "1001", 500).await;
    let read = json!({ "query": READ });
    let innocent = vec![(others().0, read.clone()); 10];
    beside(&scene.server, (reader(), read), innocent).await;
    scene.server.stop().await;
}

async fn changes(backend: Backend) {
    let scene = Scene::new(backend).await;
    slow_to_change(&scene.outsider, backend).await;
    let innocent = (0..5).map(|n| (others().1, report(&n.to_string())));
    let slow = (engine(), report("slow"));
    beside(&scene.server, slow, innocent.collect()).await;
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_on_sqlite() {
    reads(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_on_postgres() {
    reads(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_on_sqlite() {
    changes(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_on_postgres() {
    changes(Backend::Postgres).await;
}
