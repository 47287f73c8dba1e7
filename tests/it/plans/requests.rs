//! What front ends and engines ask for, and what servers do by themselves.

use chrono::Duration;
use serde_json::{Value, json};

use crate::exports::exported;
use crate::harness::live::EventStream;
use crate::harness::{
    Server, engine, eventually, failure, logs, manager, minute, reader, success, token,
};
use crate::notifications::configure;
use crate::resync::{answer, batch, claim, items, other, resync_matching};
use crate::upkeep;

/// Errors of the one portal, records of each error of the other.
const MANY: i64 = 400;

fn transient(number: i64) -> Value {
    let object = json!({ "objectType": format!("Thing{number}__c") });
    failure(
        &format!("t{number}"),
        0,
        json!({ "code": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access", "fields": [], "salesforceRecord": object }),
    )
}

pub async fn fill(server: &Server) {
    let errors: Vec<Value> = (0..MANY)
        .map(|number| other(number, &number.to_string()))
        .collect();
    server.record(json!(errors)).await;
    server
        .record((0..20).map(transient).collect::<Value>())
        .await;
    report_records(server, "1002", (3, 3 * MANY)).await;
}

/// Reports records to a portal, spread over errors.
pub async fn report_records(server: &Server, portal: &str, (errors, records): (i64, i64)) {
    let lines: String = (0..records)
        .map(|number| other(number % errors, &number.to_string()).to_string() + "\n")
        .collect();
    let sent = server
        .http
        .post(format!("{}/v1/sync-failures?hubId={portal}", server.url))
        .bearer_auth(token(&[portal], "sync-health:report"))
        .body(lines)
        .send();
    let taken = sent.await.expect("an answer").json().await;
    let taken: Value = taken.expect("JSON");
    assert_eq!(taken["recordedCount"], records, "{taken:#}");
}

pub async fn report(server: &Server) {
    let mut known = [other(0, "0"), other(1, "another"), transient(3)];
    for failure in &mut known {
        failure["occurredAt"] = minute(1).into();
    }
    server.record(json!(known)).await;
    server
        .succeed(json!([success("7", 2), success("8", 2)]))
        .await;
    let pair = json!({ "salesforceRecord": { "objectType": "Contact", "recordId": "0035e000003GcMxAAK" } });
    server.record(json!([failure("77", 3, pair.clone())])).await;
    let by_salesforce = json!([{ "occurredAt": minute(4), "salesforceRecord": { "objectType": "Contact", "recordId": "0035e000003GcMxAAK" } }]);
    server.succeed(by_salesforce).await;
    for mutation in [
        "reportApiUsage(input: { reportId: \"1\", calls: 900, sforceLimitInfo: \"api-usage=18/5000\" })",
        "reserveApiCalls(input: { calls: 2 })",
        "reportPortalState(input: { syncState: ACTIVE })",
    ] {
        let query = format!("mutation {{ {mutation} {{ userErrors {{ message }} }} }}");
        server.data(&engine(), &query, json!({})).await;
    }
}

const LIST: &str = "query ($first: Int, $last: Int, $after: String, $statuses: [SyncErrorStatus!], $filter: SyncErrorFilter, $orderBy: SyncErrorOrder) {
    portal { syncErrors(first: $first, last: $last, after: $after, statuses: $statuses, filter: $filter, orderBy: $orderBy) {
        totalCount pageInfo { endCursor } nodes { id title latestFailure { raw } latestResync { id } retry { nextAt } affectedRecords(first: 5) { totalCount nodes { message } } } } } }";

/// Pages of every list in every order, filtered and not.
pub async fn read(server: &Server) {
    for field in [
        "LAST_SEEN_AT",
        "FIRST_SEEN_AT",
        "AFFECTED_RECORD_COUNT",
        "OCCURRENCE_COUNT",
    ] {
        for direction in ["ASC", "DESC"] {
            let order = json!({ "field": field, "direction": direction });
            let page = json!({ "first": 50, "statuses": ["OPEN", "RESYNCING"], "orderBy": order });
            let mut page = server.read(LIST, page).await;
            let list = page["portal"]["syncErrors"].take();
            let after = &list["pageInfo"]["endCursor"];
            let next = json!({ "first": 10, "after": after, "statuses": ["OPEN", "RESYNCING"], "orderBy": order });
            server.read(LIST, next).await;
            let last = json!({ "last": 10, "statuses": ["OPEN"], "orderBy": order });
            server.read(LIST, last).await;
        }
    }
    let statuses = json!(["OPEN", "RESYNCING"]);
    let last = json!({ "field": "LAST_SEEN_AT", "direction": "DESC" });
    for filter in [
        json!({ "categories": ["PICKLISTS"] }),
        json!({ "categories": ["PICKLISTS", "DUPLICATES"], "search": "restricted" }),
        json!({ "search": "restricted picklist" }),
        json!({ "types": ["PICKLIST_VALUE_NOT_ALLOWED"], "transient": false, "codes": ["A"] }),
        json!({ "affecting": { "system": "HUBSPOT", "objectType": "contact", "recordId": "22" } }),
        json!({ "affecting": { "system": "SALESFORCE", "recordId": "0035e000003GcMxAAK" } }),
        json!({ "minAffectedRecordCount": 2, "lastSeen": { "since": minute(-100) }, "firstSeen": { "since": minute(-100) } }),
    ] {
        let page = json!({ "first": 50, "statuses": statuses, "filter": filter, "orderBy": last });
        server.read(LIST, page).await;
    }
    for search in ["restricted", "restricted picklist field: x7"] {
        let page =
            json!({ "first": 50, "statuses": [], "filter": { "search": search }, "orderBy": last });
        server.read(LIST, page).await;
    }
    let resolved = json!({ "first": 50, "statuses": [], "orderBy": { "field": "FIRST_SEEN_AT", "direction": "DESC" } });
    server.read(LIST, resolved).await;
    read_portal(server).await;
}

async fn read_portal(server: &Server) {
    let both = token(&["1001", "1002"], "sync-health:read");
    let portals = "{ portals(search: \"1\", orderBy: { field: OPEN_ERRORS, direction: DESC }) { totalCount nodes { name categories { openErrorCount } quota { state } } } }";
    server.data(&both, portals, json!({})).await;
    let tab = "query ($hubId: ID, $since: DateTime!) { portal(hubId: $hubId) { eventCursor categories { openErrorCount } suspension { reason }
        quota { usedLast24Hours resumesAt exhaustionForecastAt history(since: $since) { usedCount } } trend(since: $since, interval: HOUR) { openErrorCount } changes { totalCount nodes { by } }
        events { totalCount nodes { kind } }
        category(name: PICKLISTS) { syncErrors { totalCount nodes { id affectedRecords(first: 100) { nodes { id } pageInfo { endCursor } } } } } } }";
    let variables = json!({ "hubId": "1002", "since": minute(-600) });
    let mut data = server.data(&both, tab, variables).await;
    let errors = data["portal"]["category"]["syncErrors"]["nodes"].take();
    let error = &errors[0];
    let records = "query ($id: ID!, $after: String, $search: String, $record: ID!) {
        node(id: $id) { ... on SyncError { latestFailure { raw } affectedRecords(after: $after, search: $search) { totalCount nodes { id } } } }
        record: node(id: $record) { id } nodes(ids: [$id]) { id } }";
    let (after, record) = (
        &error["affectedRecords"]["pageInfo"]["endCursor"],
        &error["affectedRecords"]["nodes"][0]["id"],
    );
    for (after, search) in [(after, Value::Null), (&Value::Null, json!("person 1"))] {
        let variables =
            json!({ "id": error["id"], "after": after, "search": search, "record": record });
        server.data(&both, records, variables).await;
    }
}

const FEED: &str = "query ($after: String, $kinds: [SyncErrorEventKind!], $filter: SyncErrorEventFilter) { portal { eventCursor syncErrorEvents(after: $after, kinds: $kinds, filter: $filter) {
    totalCount nodes { cursor kind syncError { title affectedRecords(first: 2) { nodes { id } } } } } } }";

/// The feed, live and replayed, and who is told by mail or webhook.
pub async fn follow(server: &Server, webhook: &str) {
    let mut data = server.read(FEED, json!({})).await;
    let after = data["portal"]["syncErrorEvents"]["nodes"][3]["cursor"].take();
    server.read(FEED, json!({ "after": after, "kinds": ["OPENED", "UPDATED"], "filter": { "categories": ["PICKLISTS"] } })).await;
    let subscription = "subscription ($after: String) { syncErrorEvents(after: $after, filter: { categories: [PROPERTY_VALUES] }) { cursor syncError { title } } }";
    let mut stream = EventStream::open(
        server,
        &reader(),
        subscription,
        json!({ "after": after }),
        None,
    )
    .await;
    for least in [1, 5] {
        let settings = json!({ "enabled": true, "frequency": "IMMEDIATELY", "webhookUrls": [webhook], "minAffectedRecordCount": least });
        configure(server, settings).await;
        let name = format!("New{least}__c");
        let new: Vec<Value> = (0..6).map(|record| failure(&format!("{name}{record}"), 0, json!({ "occurredAt": null, "fields": [name], "message": format!("{name}: data value too large: x (max length=40)") }))).collect();
        let before = upkeep::count(&server.database_url, "notifications").await;
        server.record(json!(new)).await;
        server.pass(Duration::seconds(61));
        eventually("a notification", async || {
            (upkeep::count(&server.database_url, "notifications").await > before).then_some(())
        })
        .await;
    }
    stream.next().await;
    let deliveries = "{ portal { notificationSettings { deliveries { totalCount nodes { subject attempts { at } } } } } }";
    server.data(&manager(), deliveries, json!({})).await;
}

/// Exports in each format, and what views show.
pub async fn export(server: &Server) {
    for format in ["CSV", "NDJSON"] {
        exported(server, json!({ "format": format })).await;
        exported(
            server,
            json!({ "format": format, "filter": { "search": "restricted", "categories": ["PICKLISTS"] } }),
        )
        .await;
    }
    let first = server
        .read(
            "{ portal { syncErrors(first: 1) { nodes { id } } } }",
            json!({}),
        )
        .await;
    let error = &first["portal"]["syncErrors"]["nodes"][0]["id"];
    let create = "mutation ($input: CreateRecordViewInput!) { createRecordView(input: $input) { recordView { id } userErrors { message } } }";
    for source in [json!({ "filter": {} }), json!({ "errorId": error })] {
        let input = json!({ "name": "of contacts", "system": "HUBSPOT", "objectType": "contact", "source": source });
        server
            .data(&manager(), create, json!({ "input": input }))
            .await;
    }
    let views = "query ($search: String, $after: String) { portal { recordViews { totalCount nodes { id affectedRecordCount affectedRecords(first: 3, search: $search, after: $after) { totalCount pageInfo { endCursor } nodes { id } } } } } }";
    server.read(views, json!({})).await;
    server.read(views, json!({ "search": "person" })).await;
}

/// What is tried again, from the request to what became of it; what servers look after by themselves.
pub async fn resync(server: &Server) {
    let asked = resync_matching(
        server,
        json!({ "filter": { "categories": ["PICKLISTS"] }, "recordsPerError": 1 }),
    )
    .await;
    claim(server, json!({ "limit": 3 })).await;
    server.pass(Duration::minutes(30));
    let claimed = claim(server, json!({ "limit": 20 })).await;
    let outcomes: Vec<Value> = items(&claimed)
        .iter()
        .map(|item| json!({ "itemId": item["id"], "status": "SUCCEEDED" }))
        .collect();
    answer(server, json!(outcomes)).await;
    batch(server, &asked["batch"]["id"]).await;
    let list = "{ portal { resyncBatches(statuses: [RUNNING]) { totalCount nodes { id results(first: 5) { nodes { syncError { id } } } } } } }";
    server.read(list, json!({})).await;
    let cancel = "mutation ($id: ID!) { cancelResyncBatch(input: { batchId: $id }) { userErrors { message } } }";
    server
        .data(&manager(), cancel, json!({ "id": asked["batch"]["id"] }))
        .await;
    let swept = logs().len();
    server.pass(Duration::days(100));
    eventually("what is old is swept", async || {
        let is_swept = upkeep::count(&server.database_url, "report_ids").await == 0
            && upkeep::count(&server.database_url, "sync_error_events").await == 0;
        is_swept.then_some(())
    })
    .await;
    assert!(logs().len() >= swept);
}
