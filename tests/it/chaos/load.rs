//! The load: reporters, operators, engines and subscribers, each of which goes on wherever a server answers.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::remote::{Events, Remote};
use crate::harness::{REPORT_FAILURES, REPORT_SUCCESSES, engine, eventually, manager};

pub const OPEN_BATCHES: &str =
    "{ portal { resyncBatches(statuses: [RUNNING, WAITING_FOR_QUOTA]) { totalCount } } }";
const ALLOCATED: i64 = 2_000;
const FIELDS: usize = 8;
const RECORDS: usize = 30;

/// What was accepted.
#[derive(Default)]
pub struct Facts {
    /// Failures of records of their own, of one cause.
    pub reports: usize,
    /// API calls.
    pub used: i64,
    pub batches: Vec<Value>,
    /// By item: the claim and the status that settled it.
    pub settled: HashMap<Vec<u8>, (Value, String)>,
    /// What must not be.
    pub broken: Vec<String>,
}

pub struct Load {
    pub remote: Remote,
    pub is_on_postgres: bool,
    pub answered: AtomicUsize,
    pub is_over: AtomicBool,
    /// How many events there are in the end.
    pub event_count: AtomicUsize,
    facts: Mutex<Facts>,
    state: AtomicU64,
}

impl Load {
    pub fn new(remote: Remote, database_url: &str) -> Self {
        let seed = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("a time")
            .as_nanos() as u64;
        println!("seed {seed}");
        Self {
            remote,
            is_on_postgres: database_url.starts_with("postgres"),
            answered: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            event_count: AtomicUsize::new(usize::MAX),
            facts: Mutex::default(),
            state: AtomicU64::new(seed | 1),
        }
    }

    pub fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().expect("facts")
    }

    /// A number below another (xorshift).
    pub fn random(&self, below: usize) -> usize {
        let next = |mut x: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        let last = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |x| Some(next(x)));
        (next(last.expect("a number")) % below as u64) as usize
    }

    /// Asks any server until one answers.
    pub async fn ask(&self, token: &str, query: &str, input: Value) -> Value {
        let body = json!({ "query": query, "variables": { "input": input } });
        let answer = eventually("an answer", async || {
            let sent = self.remote.post(self.random(8), token, &body).await;
            let mut answer: Value = sent.ok()?.json().await.ok()?;
            let code = &answer["errors"][0]["extensions"]["code"];
            let is_ours = ["UNAVAILABLE", "INTERNAL_SERVER_ERROR", "TIMEOUT"]
                .iter()
                .any(|ours| code == ours);
            assert!(
                is_ours || answer.get("errors").is_none(),
                "{query}\n{answer:#}"
            );
            answer
                .get("errors")
                .is_none()
                .then(|| answer["data"].take())
        })
        .await;
        self.answered.fetch_add(1, Ordering::Relaxed);
        answer
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    pub async fn begin(&self) {
        let allocate = "mutation ($input: SetHubspotAllocationInput!) { setHubspotAllocation(input: $input) { userErrors { message } } }";
        self.ask(&manager(), allocate, json!({ "calls": ALLOCATED }))
            .await;
    }

    pub async fn event_cursor(&self) -> Value {
        self.ask(&manager(), "{ portal { eventCursor } }", Value::Null)
            .await["portal"]["eventCursor"]
            .take()
    }

    /// Reports failures of records of their own.
    pub async fn report(&self, reporter: usize) {
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let name = format!("{reporter}-{number}");
            let failure = json!({ "reportId": name, "direction": "HUBSPOT_TO_SALESFORCE", "code": "STRING_TOO_LONG", "message": "Title: data value too large (max length=20)",
                "fields": ["Title"], "hubspotRecord": { "objectType": "contact", "recordId": name }, "salesforceRecord": { "objectType": "Contact" } });
            let told = self
                .ask(&engine(), REPORT_FAILURES, json!({ "failures": [failure] }))
                .await;
            assert_eq!(told["reportSyncFailures"]["refusedCount"], 0, "{told:#}");
            self.facts().reports += 1;
        }
    }

    fn picklist(&self, report_id: &str) -> Value {
        let (field, record) = (self.random(FIELDS), self.random(RECORDS));
        json!({ "reportId": report_id, "direction": "HUBSPOT_TO_SALESFORCE", "code": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "message": "bad value for restricted picklist field: x",
            "fields": [format!("Field{field}__c")], "hubspotRecord": { "objectType": "contact", "recordId": format!("p{record}") }, "salesforceRecord": { "objectType": "Contact" } })
    }

    /// Reports failures and successes of records that are also tried again.
    pub async fn fail_and_succeed(&self) {
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let failures: Vec<Value> = (0..5)
                .map(|n| self.picklist(&format!("p-{number}-{n}")))
                .collect();
            self.ask(&engine(), REPORT_FAILURES, json!({ "failures": failures }))
                .await;
            if self.random(3) == 0 {
                let record = json!({ "objectType": "contact", "recordId": format!("p{}", self.random(RECORDS)) });
                self.ask(
                    &engine(),
                    REPORT_SUCCESSES,
                    json!({ "successes": [{ "hubspotRecord": record }] }),
                )
                .await;
            }
        }
    }

    /// Asks for records to be tried again, and now and then not to be.
    pub async fn request(&self) {
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let key = format!("request-{number}");
            let batch = if self.random(4) == 0 {
                let query = "mutation ($input: ResyncMatchingSyncErrorsInput!) { resyncMatchingSyncErrors(input: $input) { batch { id } userErrors { message } } }";
                let filter = json!({ "categories": ["PICKLISTS"] });
                self.ask(
                    &manager(),
                    query,
                    json!({ "filter": filter, "idempotencyKey": key }),
                )
                .await["resyncMatchingSyncErrors"]["batch"]["id"]
                    .take()
            } else {
                let open = "{ portal { syncErrors(first: 3, statuses: [OPEN], filter: { categories: [PICKLISTS] }) { nodes { id } } } }";
                let open = self.ask(&manager(), open, Value::Null).await;
                let ids: Vec<&Value> = open["portal"]["syncErrors"]["nodes"]
                    .as_array()
                    .expect("errors")
                    .iter()
                    .map(|node| &node["id"])
                    .collect();
                if ids.is_empty() {
                    continue;
                }
                let per_error = (self.random(3) == 0).then_some(1);
                let query = "mutation ($input: ResyncSyncErrorsInput!) { resyncSyncErrors(input: $input) { batch { id } userErrors { message } } }";
                let input =
                    json!({ "errorIds": ids, "recordsPerError": per_error, "idempotencyKey": key });
                self.ask(&manager(), query, input).await["resyncSyncErrors"]["batch"]["id"].take()
            };
            if batch.is_null() {
                continue;
            }
            if self.random(6) == 0 {
                let query = "mutation ($input: CancelResyncBatchInput!) { cancelResyncBatch(input: $input) { userErrors { message } } }";
                self.ask(&manager(), query, json!({ "batchId": batch }))
                    .await;
            }
            self.facts().batches.push(batch);
        }
    }

    async fn claim(&self, limit: usize, lease_seconds: u32) -> Value {
        let query = "mutation ($input: ClaimResyncItemsInput!) { claimResyncItems(input: $input) { items { id } reservation { id calls } } }";
        let input = json!({ "limit": limit, "leaseSeconds": lease_seconds });
        self.ask(&engine(), query, input).await["claimResyncItems"].take()
    }

    async fn answer(&self, outcomes: Vec<Value>) {
        let query = "mutation ($input: ReportResyncOutcomesInput!) { reportResyncOutcomes(input: $input) { results { itemId accepted } userErrors { code } } }";
        let told = self
            .ask(&engine(), query, json!({ "outcomes": outcomes }))
            .await;
        let results = told["reportResyncOutcomes"]["results"]
            .as_array()
            .expect("results")
            .clone();
        let mut facts = self.facts();
        for (outcome, result) in outcomes.iter().zip(results) {
            let status = outcome["status"].as_str().expect("a status").to_owned();
            if result["accepted"] != true || status == "RETURNED" {
                continue;
            }
            let id = outcome["itemId"].as_str().expect("an id");
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(id).expect("base64");
            let (item, settled) = (bytes[10..26].to_vec(), (outcome["itemId"].clone(), status));
            let before = facts.settled.insert(item, settled.clone());
            if before.as_ref().is_some_and(|before| *before != settled) {
                facts
                    .broken
                    .push(format!("settled twice: {before:?}, {settled:?}"));
            }
        }
    }

    async fn used(&self, report_id: &Value, calls: i64, reservation: &Value) {
        let query = "mutation ($input: ReportApiUsageInput!) { reportApiUsage(input: $input) { quota { remaining } userErrors { message } } }";
        let input = json!({ "reportId": report_id, "calls": calls, "reservationId": reservation });
        let told = self.ask(&engine(), query, input).await;
        assert_eq!(told["reportApiUsage"]["userErrors"], json!([]), "{told:#}");
        self.facts().used += calls;
    }

    /// Claims and answers all of it in one way; answers how many.
    pub async fn claim_and_answer(&self, status: &str) -> usize {
        let claimed = self.claim(100, 60).await;
        let items = claimed["items"].as_array().expect("items").clone();
        let outcome = |item: &Value| json!({ "itemId": item["id"], "status": status });
        if !items.is_empty() {
            self.answer(items.iter().map(outcome).collect()).await;
        }
        items.len()
    }

    /// An engine: claims, answers in one way or another, or never; reports its calls.
    pub async fn work(&self, number: usize) {
        for round in 0.. {
            if !self.goes_on() {
                return;
            }
            let dies = self.random(10) == 0;
            let claimed = self
                .claim(1 + self.random(8), if dies { 10 } else { 60 })
                .await;
            let items = claimed["items"].as_array().expect("items").clone();
            if items.is_empty() || dies {
                continue;
            }
            let mut outcomes = Vec::new();
            for (place, item) in items.iter().enumerate() {
                outcomes.push(match self.random(6) {
                    0 => json!({ "itemId": item["id"], "status": "RETURNED" }),
                    1 => json!({ "itemId": item["id"], "status": "FAILED" }),
                    2 => {
                        let mut failure = self.picklist(&format!("o-{number}-{round}-{place}"));
                        failure["hubspotRecord"] = Value::Null;
                        json!({ "itemId": item["id"], "status": "FAILED", "failure": failure })
                    }
                    3 => json!({ "itemId": item["id"], "status": "RECORD_REMOVED" }),
                    _ => json!({ "itemId": item["id"], "status": "SUCCEEDED" }),
                });
            }
            self.answer(outcomes).await;
            let reservation = &claimed["reservation"];
            let calls = reservation["calls"].as_i64().expect("calls");
            self.used(&reservation["id"], calls.min(1), &reservation["id"])
                .await;
        }
    }

    /// Sets calls aside for changes, and uses them.
    pub async fn reserve(&self) {
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let query = "mutation ($input: ReserveApiCallsInput!) { reserveApiCalls(input: $input) { reservation { id } userErrors { message } } }";
            let calls = 1 + self.random(5) as i64;
            let input = json!({ "calls": calls, "idempotencyKey": format!("reserve-{number}") });
            let told = self.ask(&engine(), query, input).await;
            let id = &told["reserveApiCalls"]["reservation"]["id"];
            if id.is_string() {
                self.used(id, calls.min(1), id).await;
            }
        }
    }

    /// Sees that no more is used and set aside than is allocated.
    pub async fn watch(&self) {
        while self.goes_on() {
            let query = "{ portal { quota { usedLast24Hours reserved } } }";
            let data = self.ask(&manager(), query, Value::Null).await;
            let number = |name: &str| data["portal"]["quota"][name].as_i64().expect("a number");
            if number("usedLast24Hours") + number("reserved") > ALLOCATED {
                self.facts()
                    .broken
                    .push(format!("above the allocation: {data}"));
            }
        }
    }

    /// The cursors of all events behind one.
    pub async fn whole_feed(&self, start: &Value) -> Vec<Value> {
        let (mut cursors, mut after) = (Vec::new(), start.clone());
        loop {
            let query = "query ($input: String) { portal { syncErrorEvents(first: 100, after: $input) { pageInfo { hasNextPage } nodes { cursor } } } }";
            let data = self.ask(&manager(), query, after.clone()).await;
            let page = &data["portal"]["syncErrorEvents"];
            let nodes = page["nodes"].as_array().expect("events");
            cursors.extend(nodes.iter().map(|node| node["cursor"].clone()));
            after = cursors.last().cloned().unwrap_or(after);
            if page["pageInfo"]["hasNextPage"] == false {
                return cursors;
            }
        }
    }

    /// Hears all events, by one transport after another, and goes on behind what it heard.
    pub async fn hear(&self, subscriber: usize, start: &Value) -> Vec<Value> {
        let (mut heard, mut after, mut attempt) = (Vec::new(), start.clone(), subscriber);
        while heard.len() < self.event_count.load(Ordering::Relaxed) {
            attempt += 1;
            let mut events = match attempt % 2 {
                0 => Events::stream(&self.remote, attempt / 2, &after).await,
                _ => Events::socket(&self.remote, attempt / 2, &after).await,
            };
            loop {
                let next = tokio::time::timeout(Duration::from_secs(2), events.next()).await;
                let Ok(Some(event)) = next else { break };
                if event["cursor"].is_null() {
                    break;
                }
                after = event["cursor"].clone();
                heard.push(after.clone());
            }
            // Not at once again where nobody listens.
            let pause =
                tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>());
            pause.await.unwrap_err();
        }
        heard
    }
}
