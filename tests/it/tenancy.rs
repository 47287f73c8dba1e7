//! Another tenant's portal answers as one that does not exist: every root field and every id.

use serde_json::{Value, json};

use crate::harness::{REPORT_FAILURES, REPORT_SUCCESSES, Server, both, failure, token};

/// Every root field that takes a portal, and what it answers for one that the token does not name.
const ROOT_FIELDS: &[(&str, &str, &str)] = &[
    (
        "portal",
        "query ($hubId: ID) { portal(hubId: $hubId) { hubId } }",
        "null",
    ),
    ("node", "query ($id: ID!) { node(id: $id) { id } }", "null"),
    (
        "nodes",
        "query ($id: ID!) { nodes(ids: [$id]) { id } }",
        "[null]",
    ),
    (
        "configurePortal",
        "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "createRecordView",
        "mutation ($input: CreateRecordViewInput!) { createRecordView(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "exportSyncErrors",
        "mutation ($input: ExportSyncErrorsInput!) { exportSyncErrors(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "exportRecordView",
        "mutation ($input: ExportRecordViewInput!) { exportRecordView(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "deleteRecordView",
        "mutation ($input: DeleteRecordViewInput!) { deleteRecordView(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "configureNotifications",
        "mutation ($input: ConfigureNotificationsInput!) { configureNotifications(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "sendTestNotification",
        "mutation ($input: SendTestNotificationInput!) { sendTestNotification(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "reportPortalState",
        "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "setHubspotAllocation",
        "mutation ($input: SetHubspotAllocationInput!) { setHubspotAllocation(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "reportApiUsage",
        "mutation ($input: ReportApiUsageInput!) { reportApiUsage(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "reserveApiCalls",
        "mutation ($input: ReserveApiCallsInput!) { reserveApiCalls(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "createStreamTicket",
        "mutation ($input: CreateStreamTicketInput!) { createStreamTicket(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    ("reportSyncFailures", REPORT_FAILURES, "NOT_FOUND"),
    ("reportSyncSuccesses", REPORT_SUCCESSES, "NOT_FOUND"),
    (
        "resyncBatch",
        "query ($batchId: ID!) { resyncBatch(id: $batchId) { id } }",
        "null",
    ),
    (
        "resyncSyncErrors",
        "mutation ($input: ResyncSyncErrorsInput!) { resyncSyncErrors(input: $input) { results { outcome } } }",
        "{\"results\":[{\"outcome\":\"NOT_FOUND\"}]}",
    ),
    (
        "resyncMatchingSyncErrors",
        "mutation ($input: ResyncMatchingSyncErrorsInput!) { resyncMatchingSyncErrors(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "cancelResyncBatch",
        "mutation ($input: CancelResyncBatchInput!) { cancelResyncBatch(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "claimResyncItems",
        "mutation ($input: ClaimResyncItemsInput!) { claimResyncItems(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "renewResyncItems",
        "mutation ($input: RenewResyncItemsInput!) { renewResyncItems(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
    (
        "reportResyncOutcomes",
        "mutation ($input: ReportResyncOutcomesInput!) { reportResyncOutcomes(input: $input) { userErrors { code } } }",
        "NOT_FOUND",
    ),
];

/// Those that take none.
const WITHOUT_PORTAL: &[&str] = &["viewer", "service", "portals"];

#[test]
fn the_table_is_complete() {
    let contract =
        apollo_compiler::Schema::parse(include_str!("../../schema.graphql"), "schema.graphql")
            .expect("a schema");
    // Those of Subscription have a table of their own, which goes by other transports.
    let live = contract.get_object("Subscription").expect("a root");
    let live: Vec<&str> = live.fields.keys().map(|name| name.as_str()).collect();
    let told: Vec<&str> = crate::live::ROOT_FIELDS
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(live, told);
    let roots = ["Query", "Mutation"]
        .into_iter()
        .filter_map(|root| contract.get_object(root));
    let fields: Vec<String> = roots
        .flat_map(|root| root.fields.keys().map(|name| name.to_string()))
        .collect();
    let known = |name: &str| {
        WITHOUT_PORTAL.contains(&name) || ROOT_FIELDS.iter().any(|(known, _, _)| *known == name)
    };
    let missing: Vec<_> = fields.iter().filter(|name| !known(name)).collect();
    assert!(missing.is_empty(), "rows are missing for {missing:?}");
    assert_eq!(fields.len(), ROOT_FIELDS.len() + WITHOUT_PORTAL.len());
}

both! {
    /// With another tenant's ids and with ids of nothing, every root field answers alike.
    async fn foreign_is_unknown(server) {
        let scopes = "sync-health:manage sync-health:report";
        let (theirs, ours) = (token(&["1002"], scopes), token(&["1001"], scopes));
        let report = json!({ "input": { "failures": [failure("1", 0, json!({}))] } });
        server.data(&theirs, REPORT_FAILURES, report).await;
        let ids = "{ portal { id quota { id } categories { id } syncErrors { nodes { id affectedRecords { nodes { id } } } } syncErrorEvents { nodes { id } } } }";
        server.data(&theirs, "mutation { configurePortal(input: { name: \"theirs\" }) { userErrors { code } } }", json!({})).await;
        let changes = server.data(&theirs, "{ portal { changes { nodes { id } } } }", json!({})).await;
        let foreign = Things::of(server, "1002").await;
        let portal = server.data(&theirs, ids, json!({})).await["portal"].take();
        let error = &portal["syncErrors"]["nodes"][0];
        let foreign_ids = [&portal["id"], &portal["quota"]["id"], &portal["categories"][0]["id"], &error["id"], &error["affectedRecords"]["nodes"][0]["id"], &portal["syncErrorEvents"]["nodes"][0]["id"], &changes["portal"]["changes"]["nodes"][0]["id"], &foreign.batch, &foreign.result];
        for id in foreign_ids {
            let seen = server.data(&theirs, "query ($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
            assert_eq!(seen["node"]["id"], *id);
        }
        for (name, query, expected) in ROOT_FIELDS {
            let mut answers = Vec::new();
            for hub_id in ["1002", "999999", "0", "-1", "x"] {
                let named = if hub_id == "1002" { foreign.clone() } else { Things::nothing() };
                let mut variables = asking_for(name, hub_id, &named);
                variables["id"] = json!("x");
                answers.push(server.data(&ours, query, variables).await[name].take());
            }
            for id in foreign_ids.into_iter().filter(|_| query.contains("$id")) {
                answers.push(server.data(&ours, query, json!({ "id": id })).await[name].take());
            }
            for answer in answers {
                let told = match *expected {
                    "NOT_FOUND" => answer["userErrors"][0]["code"].clone(),
                    text => { assert_eq!(answer.to_string(), text, "{name}"); Value::from(text) }
                };
                assert_eq!(told, *expected, "{name}");
            }
        }
        assert_eq!(server.data(&ours, "{ portals { totalCount nodes { hubId } } }", json!({})).await["portals"], json!({ "totalCount": 1, "nodes": [{ "hubId": "1001" }] }));
    }
}

/// Which scopes open a root field.
fn opened_by(field: &str) -> &'static [&'static str] {
    match field {
        "portal" | "node" | "nodes" | "portals" | "createStreamTicket" | "exportSyncErrors"
        | "exportRecordView" => &["sync-health:read", "sync-health:manage"],
        "resyncBatch" => &["sync-health:read", "sync-health:manage"],
        "configurePortal"
        | "configureNotifications"
        | "createRecordView"
        | "deleteRecordView"
        | "sendTestNotification"
        | "setHubspotAllocation"
        | "resyncSyncErrors"
        | "resyncMatchingSyncErrors"
        | "cancelResyncBatch" => &["sync-health:manage"],
        "reportPortalState"
        | "reportSyncFailures"
        | "reportSyncSuccesses"
        | "reportApiUsage"
        | "reserveApiCalls"
        | "claimResyncItems"
        | "renewResyncItems"
        | "reportResyncOutcomes" => &["sync-health:report"],
        "viewer" | "service" => SCOPES,
        unknown => panic!("{unknown} has no row"),
    }
}

const SCOPES: &[&str] = &[
    "sync-health:read",
    "sync-health:manage",
    "sync-health:report",
    "",
];

/// Things of a portal, by their global ids.
#[derive(Clone)]
struct Things {
    error: Value,
    batch: Value,
    result: Value,
    item: Value,
    view: Value,
}

impl Things {
    /// Makes them: an error whose records are tried again, one of them claimed.
    async fn of(server: &Server, hub_id: &str) -> Self {
        let all = token(&[hub_id], "sync-health:manage sync-health:report");
        let failures = json!([failure("1", 0, json!({})), failure("2", 0, json!({}))]);
        let report = json!({ "input": { "failures": failures } });
        server.data(&all, REPORT_FAILURES, report).await;
        let query = "mutation { resyncMatchingSyncErrors(input: { filter: {} }) { batch { id results { nodes { id syncError { id } } } } } }";
        let mut asked = server.data(&all, query, json!({})).await;
        let mut batch = asked["resyncMatchingSyncErrors"]["batch"].take();
        let mut result = batch["results"]["nodes"][0].take();
        let query = "mutation { claimResyncItems(input: { limit: 1 }) { items { id } } }";
        let view = "mutation { createRecordView(input: { name: \"All\", system: HUBSPOT, objectType: \"contact\", source: { filter: {} } }) { recordView { id } } }";
        let mut saved = server.data(&all, view, json!({})).await;
        let mut claimed = server.data(&all, query, json!({})).await;
        Self {
            error: result["syncError"]["id"].take(),
            batch: batch["id"].take(),
            result: result["id"].take(),
            item: claimed["claimResyncItems"]["items"][0]["id"].take(),
            view: saved["createRecordView"]["recordView"]["id"].take(),
        }
    }

    /// Ids of nothing.
    fn nothing() -> Self {
        let none = || json!("x");
        Self {
            error: none(),
            batch: none(),
            result: none(),
            item: none(),
            view: none(),
        }
    }
}

/// The variables that make a root field ask for a portal, or for things of it.
fn asking_for(field: &str, hub_id: &str, things: &Things) -> Value {
    let input = match field {
        "reportSyncFailures" => {
            json!({ "hubId": hub_id, "failures": [failure("1", 0, json!({}))] })
        }
        "reportSyncSuccesses" => {
            json!({ "hubId": hub_id, "successes": [{ "hubspotRecord": { "recordId": "1" } }] })
        }
        "createRecordView" => {
            json!({ "hubId": hub_id, "name": "All", "system": "HUBSPOT", "objectType": "contact", "source": { "filter": {} } })
        }
        "deleteRecordView" | "exportRecordView" => json!({ "recordViewId": things.view }),
        "createStreamTicket" => ticketed(hub_id),
        "reportApiUsage" => json!({ "hubId": hub_id, "reportId": "1", "calls": 1 }),
        "reserveApiCalls" => json!({ "hubId": hub_id, "calls": 1 }),
        "resyncSyncErrors" => json!({ "errorIds": [things.error] }),
        "resyncMatchingSyncErrors" => json!({ "hubId": hub_id, "filter": {} }),
        "cancelResyncBatch" => json!({ "batchId": things.batch }),
        "renewResyncItems" => json!({ "itemIds": [things.item] }),
        "reportResyncOutcomes" => {
            json!({ "outcomes": [{ "itemId": things.item, "status": "RETURNED" }] })
        }
        _ => json!({ "hubId": hub_id }),
    };
    let id = if hub_id == "1001" {
        ids::OWN
    } else {
        ids::FOREIGN
    };
    json!({ "hubId": hub_id, "id": id, "batchId": things.batch, "input": input })
}

/// A subscription to a portal.
fn ticketed(hub_id: &str) -> Value {
    json!({ "query": format!("subscription {{ categoriesUpdated(hubId: {}) {{ name }} }}", json!(hub_id)) })
}

/// Global ids of portals: version, kind, and the number in eight bytes.
mod ids {
    pub const OWN: &str = "AQEAAAAAAAAD6Q";
    pub const FOREIGN: &str = "AQEAAAAAAAAD6g";
}

both! {
    /// Every root field × scope × own, foreign and unknown portal: FORBIDDEN without the right, whatever the portal;
    /// with it, what is not the token's answers as what does not exist.
    async fn every_root_field(server) {
        let theirs = token(&["1002"], "sync-health:report sync-health:read");
        server.data(&theirs, REPORT_FAILURES, json!({ "input": { "failures": [failure("1", 0, json!({}))] } })).await;
        let (own, foreign) = (Things::of(server, "1001").await, Things::of(server, "1002").await);
        let listing = [("portals", "{ portals { totalCount } }", "1"), ("viewer", "{ viewer { subject } }", ""), ("service", "{ service { version } }", "")];
        for (name, query, absent) in ROOT_FIELDS.iter().chain(&listing) {
            for scope in SCOPES {
                for hub_id in ["1001", "1002", "999999"] {
                    let case = format!("{name} with {scope:?} for {hub_id}");
                    let things = match hub_id {
                        "1001" => own.clone(),
                        "1002" => foreign.clone(),
                        _ => Things::nothing(),
                    };
                    let answer = server.ask(&token(&["1001"], scope), query, asking_for(name, hub_id, &things)).await;
                    let code = &answer["errors"][0]["extensions"]["code"];
                    if !opened_by(name).contains(scope) {
                        assert_eq!(code, "FORBIDDEN", "{case}: {answer:#}");
                        continue;
                    }
                    assert_eq!(*code, Value::Null, "{case}: {answer:#}");
                    let told = &answer["data"][name];
                    if WITHOUT_PORTAL.contains(name) {
                        assert!(*name != "portals" || told["totalCount"] == 1, "{case}: {answer:#}");
                        continue;
                    }
                    let is_absent = *told == serde_json::from_str(absent).unwrap_or(Value::Bool(false)) || told["userErrors"][0]["code"] == *absent;
                    assert_eq!(is_absent, hub_id != "1001", "{case}: {answer:#}");
                }
            }
        }
    }
}
