//! A database has one clock, and within a portal time never runs backwards: nothing that was accepted is lost where the
//! clocks of servers differ, or are set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use sync_health::kernel::clock::Clock;

use crate::harness::copies::Place;
use crate::harness::{Backend, Server, engine, failure, manager};

const STATE: &str = "{ portal { syncState syncErrors(statuses: []) { totalCount nodes { status occurrenceCount affectedRecordCount lastSeenAt } } } }";
const RESERVE: &str = "mutation ($input: ReserveApiCallsInput!) { reserveApiCalls(input: $input) { reservation { calls expiresAt } retryAt userErrors { message } } }";
const MATCHING: &str = "mutation ($input: ResyncMatchingSyncErrorsInput!) { resyncMatchingSyncErrors(input: $input) { batch { errorCount recordCount } userErrors { message } } }";
const CLAIM: &str = "mutation ($input: ClaimResyncItemsInput!) { claimResyncItems(input: $input) { items { id hubspotRecord { recordId } } userErrors { message } } }";
const OUTCOMES: &str = "mutation ($input: ReportResyncOutcomesInput!) { reportResyncOutcomes(input: $input) { results { accepted } userErrors { message } } }";

/// Two servers over one database, whose clocks differ.
struct Pair {
    fast: Server,
    slow: Server,
}

/// How the clocks are told to the servers.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Clocks that tests move, which go before that of the database: what is left is that time never runs backwards.
    Manual,
    /// Clocks that run, and are wrong.
    Skewed,
}

impl Pair {
    async fn start(place: &Place, kind: Kind, apart: Duration) -> Self {
        let apart = apart.num_microseconds().expect("a short time");
        let clock = |ahead: i64| {
            let by = |micros: i64| Arc::new(AtomicI64::new(micros));
            match kind {
                Kind::Manual => Clock::Manual(by(Utc::now().timestamp_micros() + ahead)),
                Kind::Skewed => Clock::Skewed(by(ahead)),
            }
        };
        let (ahead, behind) = (clock(apart - apart / 2), clock(-apart / 2));
        Self {
            fast: place.serve(|config| config.clock = ahead).await,
            slow: place.serve(|config| config.clock = behind).await,
        }
    }

    fn both(&self) -> [&Server; 2] {
        [&self.fast, &self.slow]
    }

    async fn finish(self) {
        self.fast.finish().await;
        self.slow.finish().await;
    }
}

/// A failure without an instant.
fn undated(record: &str) -> Value {
    failure(record, 0, json!({ "occurredAt": null }))
}

/// A success without an instant.
fn synced(record: &str) -> Value {
    json!({ "hubspotRecord": { "objectType": "contact", "recordId": record } })
}

async fn error(server: &Server) -> Value {
    server.read(STATE, json!({})).await["portal"]["syncErrors"]["nodes"][0].take()
}

/// Each report without an instant is counted, in the order that they were accepted in, whoever took it.
async fn reports(pair: &Pair) {
    for round in 0..6 {
        let [first, second] = match round % 2 {
            0 => [&pair.fast, &pair.slow],
            _ => [&pair.slow, &pair.fast],
        };
        first.record(json!([undated("1"), undated("2")])).await;
        second.record(json!([undated("1")])).await;
        let state = error(second).await;
        assert_eq!(state["occurrenceCount"], 3 * (round + 1), "{state}");
        let done = second.succeed(json!([synced("1"), synced("2")])).await;
        assert_eq!(done["clearedRecordCount"], 2, "{done}");
        assert_eq!(error(first).await["status"], "RESOLVED");
    }
}

/// Whether the portal syncs follows the last that was said.
async fn states(pair: &Pair) {
    let stops = json!({ "code": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded.", "occurredAt": null });
    for [first, second] in [[&pair.fast, &pair.slow], [&pair.slow, &pair.fast]] {
        first.record(json!([failure("9", 0, stops.clone())])).await;
        let state = async || second.read(STATE, json!({})).await["portal"]["syncState"].take();
        assert_eq!(state().await, "SUSPENDED");
        second.succeed(json!([synced("9")])).await;
        assert_eq!(state().await, "ACTIVE");
    }
}

/// Calls are set aside once, until the same instant for all.
async fn reservations(pair: &Pair) {
    let allocate = "mutation ($input: SetHubspotAllocationInput!) { setHubspotAllocation(input: $input) { userErrors { message } } }";
    let input = json!({ "input": { "calls": 100 } });
    pair.slow.data(&manager(), allocate, input).await;
    let mut granted = 0;
    for round in 0..10 {
        let input = json!({ "input": { "calls": 20, "purpose": "NEW_CHANGE" } });
        let server = pair.both()[round % 2];
        let mut told = server.data(&engine(), RESERVE, input).await;
        let calls = &told["reserveApiCalls"]["reservation"].take()["calls"];
        granted += calls.as_i64().unwrap_or(0);
    }
    assert_eq!(granted, 100);
}

/// What was just made is resynced, claimed once, and settled by whoever is told of it.
async fn resyncs(pair: &Pair) {
    let allocate = "mutation ($input: SetHubspotAllocationInput!) { setHubspotAllocation(input: $input) { userErrors { message } } }";
    pair.slow
        .data(&manager(), allocate, json!({ "input": { "calls": null } }))
        .await;
    for (round, [first, second]) in [[&pair.fast, &pair.slow], [&pair.slow, &pair.fast]]
        .into_iter()
        .enumerate()
    {
        let field = format!("Resynced_{round}__c");
        let of_field = |record: &str| {
            failure(
                record,
                0,
                json!({ "occurredAt": null, "fields": [field], "message": format!("{field}: data value too large: x (max length=40)") }),
            )
        };
        first.record(json!([of_field("11"), of_field("12")])).await;
        let input = json!({ "input": { "filter": { "search": field } } });
        let mut told = second.data(&manager(), MATCHING, input).await;
        let batch = told["resyncMatchingSyncErrors"]["batch"].take();
        assert_eq!(
            batch,
            json!({ "errorCount": 1, "recordCount": 2 }),
            "{told}"
        );
        let claim = async |server: &Server| {
            let input = json!({ "input": { "limit": 10 } });
            let mut told = server.data(&engine(), CLAIM, input).await;
            told["claimResyncItems"]["items"].take()
        };
        let items = claim(second).await;
        let items = items.as_array().expect("items");
        assert_eq!(items.len(), 2);
        assert_eq!(
            claim(first).await,
            json!([]),
            "a lease that is over at once"
        );
        assert_eq!(claim(second).await, json!([]));
        let outcomes: Vec<Value> = items
            .iter()
            .map(|item| json!({ "itemId": item["id"], "status": "SUCCEEDED" }))
            .collect();
        let input = json!({ "input": { "outcomes": outcomes } });
        let told = first.data(&engine(), OUTCOMES, input).await;
        assert_eq!(
            told["reportResyncOutcomes"]["userErrors"],
            json!([]),
            "{told}"
        );
        let query = "query ($search: String!) { portal { syncErrors(statuses: [], filter: { search: $search }) { nodes { status } } } }";
        let state = second.read(query, json!({ "search": field })).await;
        assert_eq!(
            state["portal"]["syncErrors"]["nodes"],
            json!([{ "status": "RESOLVED" }])
        );
    }
}

async fn nothing_is_lost(backend: Backend, kind: Kind, apart: Duration) {
    let place = Place::new(backend).await;
    let pair = Pair::start(&place, kind, apart).await;
    reports(&pair).await;
    states(&pair).await;
    reservations(&pair).await;
    resyncs(&pair).await;
    pair.finish().await;
}

macro_rules! apart {
    ($($name:ident: $backend:ident, $kind:ident, $apart:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            nothing_is_lost(Backend::$backend, Kind::$kind, $apart).await;
        })*
    };
}

apart! {
    a_moment_on_postgres: Postgres, Skewed, Duration::milliseconds(400);
    four_minutes_on_postgres: Postgres, Skewed, Duration::minutes(4);
    ten_minutes_on_postgres: Postgres, Skewed, Duration::minutes(20);
    four_minutes_on_postgres_by_hand: Postgres, Manual, Duration::minutes(4);
    ten_minutes_on_postgres_by_hand: Postgres, Manual, Duration::minutes(20);
    ten_minutes_on_sqlite: Sqlite, Manual, Duration::minutes(20);
}

/// Servers whose clocks are ten minutes wrong take what engines with a right clock say, and count it with what comes
/// without an instant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_are_right() {
    let place = Place::new(Backend::Postgres).await;
    let pair = Pair::start(&place, Kind::Skewed, Duration::minutes(20)).await;
    let now = || Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    for (round, server) in pair.both().into_iter().enumerate() {
        let other = pair.both()[1 - round];
        server.record(json!([undated("1")])).await;
        other
            .record(json!([failure("2", 0, json!({ "occurredAt": now() }))]))
            .await;
        let done = other.succeed(json!([{ "occurredAt": now(), "hubspotRecord": { "objectType": "contact", "recordId": "1" } }, synced("2")])).await;
        assert_eq!(done["clearedRecordCount"], 2, "{done}");
        let seen: DateTime<Utc> = error(server).await["lastSeenAt"]
            .as_str()
            .expect("an instant")
            .parse()
            .expect("an instant");
        assert!((Utc::now() - seen).num_minutes().abs() < 3, "{seen}");
    }
    pair.finish().await;
}

/// A clock that is set back: what comes without an instant is counted, nothing is given away twice, plots end where the
/// cards are; a clock that had been wrong by years leaves no portal in the future.
async fn set_back(backend: Backend, by: Duration) {
    let place = Place::new(backend).await;
    let server = place.serve(|_| {}).await;
    let right = server.clock().load(Ordering::SeqCst);
    server.pass(by);
    server
        .record(json!([undated("1"), undated("2"), undated("3")]))
        .await;
    server.succeed(json!([synced("3")])).await;
    server.clock().store(right, Ordering::SeqCst);
    server.record(json!([undated("1"), undated("3")])).await;
    let state = error(&server).await;
    assert_eq!(
        (&state["occurrenceCount"], &state["affectedRecordCount"]),
        (&json!(5), &json!(3))
    );
    let done = server
        .succeed(json!([synced("1"), synced("2"), synced("3")]))
        .await;
    assert_eq!(done["clearedRecordCount"], 3, "{done}");
    server.record(json!([undated("4")])).await;
    // From now on by the right clock.
    server.pass(Duration::hours(2));
    let told = server
        .record(json!([undated("4"), failure("5", 150, json!({}))]))
        .await;
    assert_eq!(
        told["results"][0]["syncError"]["occurrenceCount"], 8,
        "{told}"
    );
    let seen = error(&server).await["lastSeenAt"].take();
    assert_eq!(
        seen.as_str().map(|at| &at[..10]),
        Some("2026-03-02"),
        "{seen}"
    );
    server.finish().await;
}

macro_rules! set_back {
    ($($name:ident: $backend:ident, $by:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            set_back(Backend::$backend, $by).await;
        })*
    };
}

set_back! {
    set_back_by_a_moment_on_sqlite: Sqlite, Duration::milliseconds(400);
    set_back_by_a_moment_on_postgres: Postgres, Duration::milliseconds(400);
    set_back_by_minutes_on_sqlite: Sqlite, Duration::minutes(10);
    set_back_by_minutes_on_postgres: Postgres, Duration::minutes(10);
    set_back_by_years_on_sqlite: Sqlite, Duration::days(3650);
    set_back_by_years_on_postgres: Postgres, Duration::days(3650);
}
