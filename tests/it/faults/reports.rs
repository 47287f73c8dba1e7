//! Reports that pour in while something fails, and what is there of them afterwards.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::process::Reply;
use crate::harness::remote::{Events, Remote};
use crate::harness::{REPORT_FAILURES, engine, eventually, failure, invariants, reader, token};

/// A short while, for who asks again or does something at any moment.
pub async fn pause(milliseconds: u64) {
    let pause = Duration::from_millis(milliseconds);
    let pause = tokio::time::timeout(pause, std::future::pending::<()>());
    pause.await.unwrap_err();
}

/// One failure of a record of its own; all of them have one cause.
pub fn report(name: &str) -> Value {
    json!({ "query": REPORT_FAILURES, "variables": { "input": { "failures": [failure(name, 0, json!({ "reportId": name }))] } } })
}

/// The same, without a word of when it happened.
fn undated(name: &str) -> Value {
    let failure = failure(name, 0, json!({ "reportId": name, "occurredAt": null }));
    json!({ "query": REPORT_FAILURES, "variables": { "input": { "failures": [failure] } } })
}

/// Reporters, each of which sends one report until it is acknowledged, and then the next.
pub struct Reports {
    http: reqwest::Client,
    urls: Mutex<Vec<String>>,
    acknowledged: Mutex<BTreeSet<String>>,
    refused: AtomicUsize,
    /// What was answered that tells no client to come back.
    wrong: Mutex<Vec<String>>,
    is_over: AtomicBool,
    /// It is over, and what was begun is acknowledged.
    is_poured: AtomicBool,
    is_undated: bool,
}

impl Reports {
    /// Reports to these servers of one database.
    pub fn to(urls: &[&str]) -> Self {
        sync_health::kernel::tls::choose_provider();
        // As clients do, it gives up a server that does not answer.
        let patience = Duration::from_secs(15);
        let client = reqwest::Client::builder().timeout(patience).build();
        Self {
            http: client.expect("a client"),
            urls: Mutex::new(urls.iter().map(|url| (*url).to_owned()).collect()),
            acknowledged: Mutex::default(),
            refused: AtomicUsize::new(0),
            wrong: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_poured: AtomicBool::new(false),
            is_undated: false,
        }
    }

    /// They say nothing of when it happened.
    pub fn undated(self) -> Self {
        Self {
            is_undated: true,
            ..self
        }
    }

    /// From now on there are other servers.
    pub fn move_to(&self, urls: &[&str]) {
        *self.urls.lock().expect("URLs") = urls.iter().map(|url| (*url).to_owned()).collect();
    }

    fn url(&self, at: usize) -> String {
        let urls = self.urls.lock().expect("URLs");
        urls[at % urls.len()].clone()
    }

    /// Reports until it is over; what was begun is sent until it is acknowledged.
    pub async fn pour(&self, reporter: usize) {
        for number in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("{reporter}-{number}");
            let body = match self.is_undated {
                true => undated(&name),
                false => report(&name),
            };
            let mut attempt = reporter;
            eventually("an acknowledgment", async || {
                attempt += 1;
                self.send(attempt, &name, &body).await.then_some(())
            })
            .await;
        }
    }

    /// Sends one report once; whether it was acknowledged.
    async fn send(&self, at: usize, name: &str, body: &Value) -> bool {
        let Some(reply) = Reply::to(&self.http, &self.url(at), &engine(), body).await else {
            return false;
        };
        let told = &reply.body["data"]["reportSyncFailures"];
        if told["refusedCount"] == 0 {
            let mut acknowledged = self.acknowledged.lock().expect("names");
            return acknowledged.insert(name.to_owned());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(why) = reply.is_not_for_later() {
            self.wrong.lock().expect("answers").push(why);
        }
        false
    }

    /// Reports by four until `fault` has ended.
    pub async fn pour_while(&self, fault: impl Future<Output = ()>) {
        let fault = async {
            fault.await;
            self.is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(
            fault,
            self.pour(0),
            self.pour(1),
            self.pour(2),
            self.pour(3)
        );
        self.is_poured.store(true, Ordering::Relaxed);
    }

    /// Reports by four until `due` has come; then `end` happens, with reports under way.
    pub async fn pour_until(&self, due: impl Future<Output = ()>, end: impl FnOnce()) {
        let pouring = async {
            tokio::join!(self.pour(0), self.pour(1), self.pour(2), self.pour(3));
        };
        tokio::select! {
            () = pouring => {}
            () = due => end(),
        }
    }

    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged.lock().expect("names").len()
    }

    pub fn refused_count(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until so many more are acknowledged.
    pub async fn more(&self, count: usize) {
        let due = self.acknowledged_count() + count;
        eventually("more acknowledgments", async || {
            (self.acknowledged_count() >= due).then_some(())
        })
        .await;
    }

    /// Waits until so many more are refused.
    pub async fn more_refused(&self, count: usize) {
        let (due, acknowledged) = (self.refused_count() + count, self.acknowledged_count());
        eventually("refusals", async || {
            let more = self.acknowledged_count() - acknowledged;
            assert!(more < 2_000, "{more} were acknowledged, though it fails");
            (self.refused_count() >= due).then_some(())
        })
        .await;
    }

    /// Each refusal said UNAVAILABLE and when to come back.
    pub fn were_refused_well(&self) {
        let wrong = self.wrong.lock().expect("answers");
        assert!(
            wrong.is_empty(),
            "{} of {} refusals are none to come back after, the first: {}",
            wrong.len(),
            self.refused_count(),
            wrong[0]
        );
    }

    /// What was acknowledged is what is there, and the feed told each of it once.
    pub async fn are_kept(&self, database_url: &str) {
        let kept = self.kept().await;
        let acknowledged = self.acknowledged.lock().expect("names").clone();
        let lost = acknowledged.difference(&kept).count();
        let unasked = kept.difference(&acknowledged).count();
        assert!(
            lost == 0 && unasked == 0,
            "{} were acknowledged, {} are kept: {lost} lost, {unasked} that were not acknowledged",
            acknowledged.len(),
            kept.len(),
        );
        assert_eq!(self.feed().await, counting(kept.len()), "the feed");
        invariants::check(database_url).await;
    }

    /// All that was acknowledged is there; what was under way may be.
    pub async fn are_kept_at_least(&self, database_url: &str) {
        let kept = self.kept().await;
        let acknowledged = self.acknowledged.lock().expect("names").clone();
        let lost = acknowledged.difference(&kept).count();
        assert!(lost == 0, "{lost} of {} are lost", acknowledged.len());
        assert_eq!(self.feed().await, counting(kept.len()), "the feed");
        invariants::check(database_url).await;
    }

    /// The names of all records that are there.
    async fn kept(&self) -> BTreeSet<String> {
        let (mut kept, mut after) = (BTreeSet::new(), Value::Null);
        loop {
            let query = "query ($after: String) { portal { syncErrors(statuses: [OPEN]) { nodes { affectedRecords(first: 100, after: $after) {
                pageInfo { endCursor hasNextPage } nodes { hubspotRecord { recordId } attemptCount } } } } } }";
            let data = self.read(query, json!({ "after": after })).await;
            let page = &data["portal"]["syncErrors"]["nodes"][0]["affectedRecords"];
            for record in page["nodes"].as_array().into_iter().flatten() {
                assert_eq!(record["attemptCount"], 1, "counted twice: {record}");
                let name = record["hubspotRecord"]["recordId"].as_str();
                kept.insert(name.expect("a name").to_owned());
            }
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] != true {
                return kept;
            }
        }
    }

    /// The count of records after each event.
    async fn feed(&self) -> Vec<u64> {
        let (mut told, mut after) = (Vec::new(), Value::Null);
        loop {
            let query = "query ($after: String) { portal { syncErrorEvents(first: 100, after: $after) { pageInfo { endCursor hasNextPage } nodes { affectedRecordCount } } } }";
            let data = self.read(query, json!({ "after": after })).await;
            let page = &data["portal"]["syncErrorEvents"];
            let nodes = page["nodes"].as_array().expect("events");
            told.extend(
                nodes
                    .iter()
                    .filter_map(|event| event["affectedRecordCount"].as_u64()),
            );
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] != true {
                return told;
            }
        }
    }

    async fn read(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        // Much is read: now and then there are too few points left for it.
        let mut reply = eventually("points", async || {
            let reply = Reply::to(&self.http, &self.url(0), &reader(), &body).await;
            let reply = reply.expect("an answer");
            (reply.code() != Some("RATE_LIMITED")).then_some(reply)
        })
        .await;
        assert!(reply.body.get("errors").is_none(), "{reply:#?}");
        reply.body["data"].take()
    }

    /// Hears the events of an empty portal from its first one on, until it is over and as many were told as acknowledged,
    /// or for a while longer; answers the count of records after each.
    pub async fn hear(&self, address: &str, database_url: &str) -> Vec<u64> {
        let servers = Remote::of(vec![address.to_owned()], database_url.to_owned());
        // A subscription without a cursor begins now: the first event is read.
        let start = json!({ "query": "{ portal { syncErrorEvents(first: 1) { nodes { cursor affectedRecordCount } } } }" });
        let first = eventually("the first event", async || {
            let reply = Reply::to(&self.http, &self.url(0), &reader(), &start).await?;
            let first = &reply.body["data"]["portal"]["syncErrorEvents"]["nodes"][0];
            first["cursor"].is_string().then(|| first.clone())
        })
        .await;
        let mut heard = vec![first["affectedRecordCount"].as_u64().expect("a count")];
        // Longer than a look at the feed waits for a connection that is silent, and than the next ones are tried.
        let (mut after, mut attempt, mut left) = (first["cursor"].clone(), 0, 8);
        while left > 0 {
            attempt += 1;
            let events = async {
                match attempt % 2 {
                    0 => Events::stream(&servers, 0, &after).await,
                    _ => Events::socket(&servers, 0, &after).await,
                }
            };
            // Whatever fails, a subscription is answered before it is given up.
            let events = tokio::time::timeout(Duration::from_secs(45), events);
            let mut events = events.await.expect("an answer to a subscription");
            loop {
                let next = tokio::time::timeout(Duration::from_secs(2), events.next()).await;
                let Ok(Some(event)) = next else { break };
                let Some(count) = event["affectedRecordCount"].as_u64() else {
                    break;
                };
                heard.push(count);
                after = event["cursor"].clone();
            }
            if self.is_poured.load(Ordering::Relaxed) {
                left = match heard.len() >= self.acknowledged_count() {
                    true => 0,
                    false => left - 1,
                };
            }
            // Not at once again where nobody listens.
            pause(20).await;
        }
        heard
    }

    /// A subscriber heard all that was acknowledged, in order.
    pub fn were_heard(&self, heard: &[u64]) {
        assert_eq!(heard, counting(self.acknowledged_count()), "a subscriber");
    }
}

fn counting(to: usize) -> Vec<u64> {
    (1..=to as u64).collect()
}

/// The reader and the engine of another portal.
pub fn others() -> (String, String) {
    (
        token(&["1002"], "sync-health:read"),
        token(&["1002"], "sync-health:report"),
    )
}

/// A change that is no report: of a setting.
pub const ALLOCATE: &str = "mutation ($input: SetHubspotAllocationInput!) { setHubspotAllocation(input: $input) { userErrors { message } } }";

pub fn allocation(calls: usize) -> Value {
    json!({ "input": { "calls": calls } })
}
