//! The database works for nobody who has gone, it is paid for what it does, and one subject does not use up all
//! connections, however many portals it asks for.

use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::reports::{others, pause, report};
use super::slow::{Scene, beside, slow_to_read};
use crate::harness::metrics::value;
use crate::harness::{Backend, engine, eventually, reader, token_of};

const READ: &str =
    "query ($hubId: ID) { portal(hubId: $hubId) { syncErrors { nodes { title } } } }";
/// Far less than the statements would take, and more than a busy machine needs to notice.
const SOON: Duration = Duration::from_secs(10);

fn read(hub_id: i64) -> Value {
    json!({ "query": READ, "variables": { "hubId": hub_id.to_string() } })
}

/// Statements that the database works at.
async fn running(scene: &Scene) -> i64 {
    if scene.outsider.backend() == Backend::Postgres {
        let active = "SELECT count(*) AS number FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()";
        return scene.outsider.number(active).await;
    }
    let url = format!("{}/metrics", scene.server.url);
    let metrics = reqwest::get(url).await.expect("an answer").text().await;
    let used = "sync_health_database_connections{pool=\"read\",state=\"used\"}";
    value(&metrics.expect("a text"), used).expect("a number") as i64
}

/// Two that ask for portal 1001 and may go away.
fn clients(scene: &Scene, http: &reqwest::Client) -> [JoinHandle<reqwest::Result<Response>>; 2] {
    let url = format!("{}/graphql", scene.server.url);
    [(), ()].map(|()| {
        let request = http.post(&url).bearer_auth(reader()).json(&read(1001));
        tokio::spawn(request.send())
    })
}

/// Clients that go away in the middle of statements of a minute.
async fn clients_that_go_away(backend: Backend) {
    let scene = Scene::new(backend).await;
    slow_to_read(&scene.outsider, "1001", 60_000).await;
    let clients = clients(&scene, &reqwest::Client::new());
    eventually("statements", async || {
        (running(&scene).await == 2).then_some(())
    })
    .await;
    for client in &clients {
        client.abort();
    }
    let ended = eventually("their end", async || {
        (running(&scene).await == 0).then_some(())
    });
    let ended = tokio::time::timeout(SOON, ended).await;
    assert!(
        ended.is_ok(),
        "{} statements still run",
        running(&scene).await
    );
    // The connections are as good as before.
    for _ in 0..10 {
        let told = scene.server.send(&others().0, &read(1002)).await;
        assert!(told.expect("an answer").body.get("errors").is_none());
    }
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away_on_sqlite() {
    clients_that_go_away(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away_on_postgres() {
    clients_that_go_away(Backend::Postgres).await;
}

/// Clients that go away and ask again at once use no more connections than those that stay: PostgreSQL needs a while to
/// find out that one was left, and nobody else can use it until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away_and_come_back() {
    let scene = Scene::new(Backend::Postgres).await;
    slow_to_read(&scene.outsider, "1001", 60_000).await;
    let http = reqwest::Client::new();
    let sleeping = "SELECT count(*) AS number FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    for _ in 0..3 {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS number";
        let since = scene.outsider.number(now).await;
        let begun = format!("{sleeping} AND extract(epoch FROM query_start) * 1000000 > {since}");
        let clients = clients(&scene, &http);
        eventually("their statements", async || {
            (scene.outsider.number(&begun).await == 2).then_some(())
        })
        .await;
        let all = scene.outsider.number(sleeping).await;
        assert_eq!(all, 2, "those of before have ended");
        for client in &clients {
            client.abort();
        }
    }
    scene.server.stop().await;
}

/// What keeps the database busy costs more than its document tells; what the bucket does not hold is owed.
async fn work_is_paid(backend: Backend) {
    let narrow = [
        ("SYNC_HEALTH_POINTS", "2000"),
        ("SYNC_HEALTH_POINTS_PER_SECOND", "5"),
    ];
    let scene = Scene::with(backend, &narrow).await;
    let ask = async |token: String, hub_id| {
        let reply = scene.server.send(&token, &read(hub_id)).await;
        reply.expect("an answer")
    };
    let (other, _) = others();
    let before = ask(reader(), 1001).await.body["extensions"]["cost"].take();
    assert_eq!(
        before["actualQueryCost"], before["requestedQueryCost"],
        "{before}"
    );
    slow_to_read(&scene.outsider, "1001", 1_500).await;
    let slow = ask(reader(), 1001).await.body["extensions"]["cost"].take();
    assert_eq!(slow["requestedQueryCost"], before["requestedQueryCost"]);
    assert!(slow["actualQueryCost"].as_u64() > Some(2_500), "{slow}");
    assert_eq!(slow["throttleStatus"]["currentlyAvailable"], 0, "{slow}");
    let refused = ask(reader(), 1001).await;
    assert_eq!(refused.code(), Some("RATE_LIMITED"));
    // 2,000 points at most are owed, of which five a second come back.
    assert!(
        (20..=500).contains(&refused.retry_after.expect("seconds")),
        "{refused:?}"
    );
    assert_eq!(ask(other, 1002).await.code(), None);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_paid_on_sqlite() {
    work_is_paid(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_paid_on_postgres() {
    work_is_paid(Backend::Postgres).await;
}

/// Fields that wait for each other are not paid several times; nor is a turn that somebody else has.
async fn waiting_is_not_paid(backend: Backend) {
    let scene = Scene::new(backend).await;
    slow_to_read(&scene.outsider, "1001", 100).await;
    let field = |n| format!("p{n}: syncErrors(first: {}) {{ nodes {{ title }} }}", n + 1);
    let fields: Vec<String> = (0..20).map(field).collect();
    let query = format!("{{ portal {{ {} }} }}", fields.join(" "));
    let since = Instant::now();
    let reply = scene
        .server
        .ask(&reader(), &query, json!({}))
        .await
        .expect("an answer");
    let most = since.elapsed().as_millis() as u64 * 10;
    let cost = &reply.body["extensions"]["cost"];
    let points = |key: &str| cost[key].as_u64().expect("points");
    let more = points("actualQueryCost") - points("requestedQueryCost");
    assert!(more > 1_000 && more <= most, "{more} of {most}: {cost}");
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_is_not_paid_on_sqlite() {
    waiting_is_not_paid(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_is_not_paid_on_postgres() {
    waiting_is_not_paid(Backend::Postgres).await;
}

/// A report that waits for a lock of somebody else costs what it costs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_not_paid() {
    let scene = Scene::new(Backend::Postgres).await;
    scene.outsider.hold_portal(1001).await;
    let token = engine();
    let body = report("waits");
    let reported = scene.server.send(&token, &body);
    let freed = async {
        scene.outsider.waited_for().await;
        pause(1_000).await;
        scene.outsider.let_go().await;
    };
    let (told, ()) = tokio::join!(reported, freed);
    let cost = told.expect("an answer").body["extensions"]["cost"].take();
    assert_eq!(
        cost["actualQueryCost"], cost["requestedQueryCost"],
        "{cost}"
    );
    scene.server.stop().await;
}

/// A subject with many portals, all of them slow, asks again and again; another one's portal is served as ever.
async fn one_subject(backend: Backend) {
    let scene = Scene::new(backend).await;
    let own = ["2001", "2002", "2003", "2004"];
    let tenant = token_of("tenant", &own, "sync-health:read sync-health:report");
    for hub_id in own {
        let mut body = report(hub_id);
        body["variables"]["input"]["hubId"] = json!(hub_id);
        let told = scene.server.send(&tenant, &body).await.expect("an answer");
        assert!(told.body.get("errors").is_none(), "{told:?}");
    }
    slow_to_read(&scene.outsider, "2001, 2002, 2003, 2004", 500).await;
    let all = own
        .map(|id| format!("p{id}: portal(hubId: {id}) {{ syncErrors {{ nodes {{ title }} }} }}"));
    let all = json!({ "query": format!("{{ {} }}", all.join(" ")) });
    for slow in [all, read(2001)] {
        let innocent = vec![(others().0, read(1002)); 10];
        beside(&scene.server, (tenant.clone(), slow), innocent).await;
    }
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_subject_on_sqlite() {
    one_subject(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_subject_on_postgres() {
    one_subject(Backend::Postgres).await;
}
