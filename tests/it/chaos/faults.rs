//! Faults that last: again and again, at any moment, under load. What was acknowledged is kept, once, and subscribers hear
//! all of it. `tests/chaos` says how many rounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;
use sync_health::kernel::clock::Clock;

use crate::faults::disk_full;
use crate::faults::reports::{Reports, pause};
use crate::harness::copies::Place;
use crate::harness::outsider::Outsider;
use crate::harness::pooler::{self, Pooler};
use crate::harness::process::Process;
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::stand_by::Pair;
use crate::harness::{Backend, postgres, reader};

fn rounds() -> usize {
    let told = std::env::var("SYNC_HEALTH_CHAOS_ROUNDS").ok();
    told.map_or(3, |text| text.parse().expect("a number"))
}

/// A number of milliseconds up to another, for moments that nobody chose.
fn random(most: u64) -> u64 {
    let elapsed = std::time::SystemTime::UNIX_EPOCH.elapsed();
    let nanoseconds = elapsed.expect("a time").subsec_nanos();
    u64::from(nanoseconds / 1_000) % most
}

/// All that was acknowledged is kept and was heard, and every refusal said UNAVAILABLE.
async fn nothing_is_lost(reports: &Reports, database_url: &str, heard: &[u64]) {
    reports.are_kept(database_url).await;
    reports.were_heard(heard);
    reports.were_refused_well();
    println!(
        "{} acknowledged and kept, {} refused",
        reports.acknowledged_count(),
        reports.refused_count()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/chaos runs it: it takes minutes"]
async fn a_full_disk() {
    disk_full::filled(rounds()).await;
}

/// One of two replicas stops at any moment, and goes on later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/chaos runs it: it takes minutes"]
async fn a_frozen_replica() {
    let url = postgres::new_database().await;
    let (first, second) = tokio::join!(Process::start(&url, &[]), Process::start(&url, &[]));
    let reports = Reports::to(&[&first.url, &second.url]);
    let fault = async {
        for round in 0..rounds() {
            let (stopped, other) = match round % 2 {
                0 => (&first, &second),
                _ => (&second, &first),
            };
            reports.more(20).await;
            pause(random(300)).await;
            stopped.signal("STOP");
            reports.move_to(&[&other.url]);
            reports.more(50).await;
            pause(random(12_000)).await;
            stopped.signal("CONT");
            stopped.is_ready().await;
            reports.move_to(&[&first.url, &second.url]);
        }
    };
    let (_, heard) = tokio::join!(
        reports.pour_while(fault),
        reports.hear(&second.address, &url)
    );
    nothing_is_lost(&reports, &url, &heard).await;
}

/// What one of two replicas and its database send each other is lost for a while, at any moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/chaos runs it: it takes minutes"]
async fn packets_that_are_lost() {
    let url = postgres::new_database().await;
    let (proxy, through) = Proxy::to(&url).await;
    let (silent, other) = tokio::join!(Process::start(&through, &[]), Process::start(&url, &[]));
    let reports = Reports::to(&[&silent.url, &other.url]);
    let fault = async {
        for round in 0..rounds() {
            reports.more(20).await;
            pause(random(300)).await;
            proxy.set(match round % 3 {
                2 => Mode::Cut,
                _ => Mode::Swallow,
            });
            pause(random(10_000)).await;
            proxy.set(Mode::Pass);
            silent.is_ready().await;
            reports.more(50).await;
        }
    };
    let (_, heard) = tokio::join!(
        reports.pour_while(fault),
        reports.hear(&silent.address, &url)
    );
    nothing_is_lost(&reports, &url, &heard).await;
}

async fn pooler_that_dies(mode: pooler::Mode) {
    let url = postgres::new_database().await;
    let mut pooler = Pooler::before(&url, mode).await;
    let server = Process::start(&pooler.url, &[]).await;
    let reports = Reports::to(&[&server.url]);
    let fault = async {
        for _ in 0..rounds() {
            reports.more(50).await;
            pause(random(300)).await;
            pooler.kill();
            reports.more_refused(10).await;
            pooler.start().await;
            server.is_ready().await;
        }
        reports.more(50).await;
    };
    let (_, heard) = tokio::join!(
        reports.pour_while(fault),
        reports.hear(&server.address, &url)
    );
    nothing_is_lost(&reports, &url, &heard).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/chaos runs it: it takes minutes"]
async fn a_pooler_that_dies_in_session_mode() {
    pooler_that_dies(pooler::Mode::Session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/chaos runs it: it takes minutes"]
async fn a_pooler_that_dies_in_transaction_mode() {
    pooler_that_dies(pooler::Mode::Transaction).await;
}

/// The clocks of two servers differ, and are set at any moment, while what is reported says nothing of its time.
async fn clocks_that_are_set(backend: Backend) {
    /// Seconds, in both directions.
    const MOST: i64 = 600;
    let place = Place::new(backend).await;
    let skews = [0, 0].map(|skew| Arc::new(AtomicI64::new(skew)));
    let [first, second] = [0, 1].map(|at| Clock::Skewed(skews[at].clone()));
    let first = place.serve(|config| config.clock = first).await;
    let second = place.serve(|config| config.clock = second).await;
    let reports = Reports::to(&[&first.url, &second.url]).undated();
    let fault = async {
        for _ in 0..rounds() * 10 {
            reports.more(10).await;
            for skew in &skews {
                let to = random(2 * MOST as u64) as i64 - MOST;
                skew.store(to * 1_000_000, Ordering::SeqCst);
                // The next one is another number.
                pause(1).await;
            }
        }
    };
    let address = first.url.trim_start_matches("http://");
    let (_, heard) = tokio::join!(reports.pour_while(fault), reports.hear(address, &place.url));
    nothing_is_lost(&reports, &place.url, &heard).await;
    first.finish().await;
    second.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/chaos runs it: it takes minutes"]
async fn clocks_that_are_set_on_sqlite() {
    clocks_that_are_set(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/chaos runs it: it takes minutes"]
async fn clocks_that_are_set_on_postgres() {
    clocks_that_are_set(Backend::Postgres).await;
}

/// A server before a PostgreSQL whose stand-by takes over under load.
struct Failover {
    pair: Pair,
    proxy: Proxy,
    server: Process,
}

impl Failover {
    async fn begin(is_synchronous: bool) -> Self {
        let pair = Pair::start(is_synchronous).await;
        let (proxy, through) = Proxy::to(&pair.primary_url()).await;
        let migrated = crate::commands::output(&["migrate", "--database-url", &through]);
        assert!(migrated.status.success(), "{migrated:?}");
        let server = Process::start(&through, &[]).await;
        Self {
            pair,
            proxy,
            server,
        }
    }

    /// The primary is gone, and the address leads to the other one.
    async fn fail_over(&self) {
        self.pair.end_primary();
        self.proxy.lead_to(self.pair.stand_by_address());
        self.pair.promote();
        self.server.is_ready().await;
    }
}

/// The stand-by has all that was acknowledged: nothing is lost, and nobody notices more than a few refusals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/chaos runs it: it starts two PostgreSQLs of its own"]
async fn a_stand_by_that_takes_over() {
    let scene = Failover::begin(true).await;
    let reports = Reports::to(&[&scene.server.url]);
    let fault = async {
        reports.more(200).await;
        scene.fail_over().await;
        reports.more(200).await;
    };
    let url = scene.pair.stand_by_url();
    let (_, heard) = tokio::join!(
        reports.pour_while(fault),
        reports.hear(&scene.server.address, &url)
    );
    nothing_is_lost(&reports, &url, &heard).await;
    scene.server.stop().await;
}

/// It had not all of it: the loss is PostgreSQL's (`synchronous_standby_names`), and nobody takes the other history for
/// theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/chaos runs it: it starts two PostgreSQLs of its own"]
async fn a_stand_by_that_takes_over_with_loss() {
    let scene = Failover::begin(false).await;
    let reports = Reports::to(&[&scene.server.url]);
    let cursor = "{ portal { eventCursor } }";
    let mut lost = json!(null);
    let fault = async {
        reports.more(100).await;
        scene.pair.cut_off_stand_by().await;
        reports.more(100).await;
        let told = scene.server.ask(&reader(), cursor, json!({})).await;
        lost = told.expect("an answer").body["data"]["portal"]["eventCursor"].take();
        scene.fail_over().await;
        reports.more(300).await;
    };
    reports.pour_while(fault).await;
    let outsider = Outsider::at(&scene.pair.stand_by_url()).await;
    let kept = outsider
        .number("SELECT count(*) AS number FROM affected_records")
        .await;
    let acknowledged = reports.acknowledged_count() as i64;
    assert!(kept < acknowledged, "{kept} of {acknowledged}");
    let after =
        "query ($after: String) { portal { syncErrorEvents(after: $after) { nodes { cursor } } } }";
    let told = scene
        .server
        .ask(&reader(), after, json!({ "after": lost }))
        .await;
    assert_eq!(told.expect("an answer").code(), Some("CURSOR_EXPIRED"));
    reports.were_refused_well();
    scene.server.stop().await;
}
