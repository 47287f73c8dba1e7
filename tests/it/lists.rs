//! Lists of sync errors: cards, filters, orders, pages, counts, and what they cost.

use serde_json::{Value, json};

use crate::harness::{Server, both, failure, logs, minute, reader};

/// Ten errors: by field and object, some in the other direction, one automation, one transient.
async fn ten_errors(server: &Server) {
    let mut failures: Vec<Value> = (0..6)
        .map(|n| failure(&n.to_string(), n, json!({ "fields": [format!("Field_{n}__c")], "message": format!("Field {n}: data value too large: x (max length=20)") })))
        .collect();
    let hubspot = |record: &str, at, more: Value| {
        let base = json!({ "direction": "SALESFORCE_TO_HUBSPOT", "salesforceRecord": { "objectType": "Account", "recordId": record }, "hubspotRecord": { "objectType": "companies" }, "fields": [] });
        let mut made = failure("", at, base);
        made.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        made
    };
    failures.push(hubspot("0015e000003GcMx", 6, json!({ "code": "INVALID_OPTION", "message": "Gold was not one of the allowed options: [Silver]", "fields": ["tier"] })));
    failures.push(hubspot(
        "0015e000003GcMy",
        7,
        json!({ "code": "RATE_LIMITS", "message": "You have reached your secondly limit" }),
    ));
    failures.push(failure("8", 8, json!({ "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Stage 100% needs_a \\ reason", "fields": [] })));
    failures.push(failure("9", 9, json!({ "code": "INVALID_FIELD_FOR_INSERT_UPDATE", "message": "Unable to create/update fields: Margin__c. Please check the security settings", "fields": ["Margin__c"], "salesforceRecord": { "objectType": "Opportunity" }, "hubspotRecord": { "objectType": "deal", "recordId": "9" } })));
    server.record(json!(failures)).await;
    let more: Vec<_> = (20..23).map(|n| failure(&n.to_string(), 10, json!({ "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Stage 100% needs_a \\ reason", "fields": [] }))).collect();
    server.record(json!(more)).await;
}

async fn titles(server: &Server, filter: Value) -> Vec<String> {
    let query = "query ($filter: SyncErrorFilter) { portal { syncErrors(filter: $filter, orderBy: { field: FIRST_SEEN_AT, direction: ASC }) { totalCount totalCountPrecision nodes { type } } } }";
    let data = server.read(query, json!({ "filter": filter })).await;
    let list = &data["portal"]["syncErrors"];
    let nodes = list["nodes"].as_array().expect("a list");
    assert_eq!(list["totalCount"], nodes.len(), "{filter}");
    assert_eq!(list["totalCountPrecision"], "EXACT");
    nodes
        .iter()
        .map(|node| node["type"].as_str().expect("a type").to_owned())
        .collect()
}

both! {
    /// Each key of the filter narrows the list; [] and null mean any.
    async fn filters(server) {
        ten_errors(server).await;
        let count = |filter: Value| async move { titles(server, filter).await.len() };
        assert_eq!(count(json!({})).await, 10);
        assert_eq!(count(json!({ "categories": [], "types": null })).await, 10);
        assert_eq!(titles(server, json!({ "categories": ["PICKLISTS", "PERMISSIONS"] })).await, ["PICKLIST_VALUE_NOT_ALLOWED", "FIELD_PERMISSION"]);
        assert_eq!(titles(server, json!({ "types": ["LIMIT_EXCEEDED"] })).await, ["LIMIT_EXCEEDED"]);
        assert_eq!(count(json!({ "systems": ["HUBSPOT"] })).await, 2);
        assert_eq!(count(json!({ "directions": ["SALESFORCE_TO_HUBSPOT"], "systems": ["SALESFORCE"] })).await, 0);
        assert_eq!(count(json!({ "hubspotObjectTypes": ["Company"] })).await, 2);
        assert_eq!(count(json!({ "hubspotObjectTypes": ["0-3"] })).await, 1);
        assert_eq!(count(json!({ "salesforceObjectTypes": ["opportunity", "ACCOUNT"] })).await, 3);
        assert_eq!(count(json!({ "codes": ["string_too_long"] })).await, 6);
        assert_eq!(count(json!({ "fields": ["field_3__c", "margin__C"] })).await, 2);
        assert_eq!(titles(server, json!({ "transient": true })).await, ["LIMIT_EXCEEDED"]);
        assert_eq!(count(json!({ "search": "ALLOWED options" })).await, 1);
        assert_eq!(count(json!({ "search": "100% needs_a \\" })).await, 1);
        assert_eq!(count(json!({ "search": "100_ needs" })).await, 0);
        assert_eq!(count(json!({ "minAffectedRecordCount": 2 })).await, 1);
        assert_eq!(count(json!({ "firstSeen": { "since": minute(2), "until": minute(4) } })).await, 2);
        assert_eq!(count(json!({ "lastSeen": { "since": minute(10) } })).await, 1);
        assert_eq!(titles(server, json!({ "affecting": { "system": "HUBSPOT", "objectType": "contact", "recordId": "22" } })).await, ["VALIDATION_RULE"]);
        assert_eq!(count(json!({ "affecting": { "system": "SALESFORCE", "recordId": "0015e000003GcMxAAK" } })).await, 1);
        assert_eq!(count(json!({ "affecting": { "system": "HUBSPOT", "objectType": "deal", "recordId": "22" } })).await, 0);
    }
}

both! {
    /// Every order, both ways, from both ends: the pages put together are the list.
    async fn pages(server) {
        ten_errors(server).await;
        let query = "query ($first: Int, $after: String, $last: Int, $before: String, $orderBy: SyncErrorOrder) {
            portal { syncErrors(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
                edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }";
        for field in ["LAST_SEEN_AT", "FIRST_SEEN_AT", "AFFECTED_RECORD_COUNT", "OCCURRENCE_COUNT"] {
            for direction in ["ASC", "DESC"] {
                let order = json!({ "field": field, "direction": direction });
                let page = |variables: Value| async move { server.read(query, variables).await["portal"]["syncErrors"].take() };
                let all = page(json!({ "orderBy": order })).await;
                assert_eq!((&all["pageInfo"]["hasNextPage"], &all["pageInfo"]["hasPreviousPage"]), (&json!(false), &json!(false)));
                let (mut ids, mut after) = (Vec::new(), Value::Null);
                loop {
                    let mut part = page(json!({ "first": 3, "after": after, "orderBy": order })).await;
                    assert_eq!(part["pageInfo"]["endCursor"], part["edges"].as_array().expect("edges").last().expect("one")["cursor"]);
                    assert_eq!(part["pageInfo"]["hasPreviousPage"], !after.is_null());
                    ids.extend(part["nodes"].as_array().expect("nodes").clone());
                    after = part["pageInfo"]["endCursor"].take();
                    if part["pageInfo"]["hasNextPage"] == false { break; }
                }
                assert_eq!(json!(ids), all["nodes"], "{field} {direction}");
                let last = page(json!({ "last": 4, "orderBy": order })).await;
                assert_eq!(last["nodes"], json!(ids[6..]), "{field} {direction}");
                assert_eq!(last["pageInfo"]["hasPreviousPage"], true);
                let before = page(json!({ "last": 4, "before": last["pageInfo"]["startCursor"], "orderBy": order })).await;
                assert_eq!(before["nodes"], json!(ids[2..6]), "{field} {direction}");
            }
        }
    }
}

both! {
    /// What a page request may not say.
    async fn refused_pages(server) {
        for (arguments, text) in [
            ("first: 0", "first must be between 1 and 100"),
            ("first: 101", "first must be between 1 and 100"),
            ("last: 0", "last must be between 1 and 100"),
            ("first: 1, last: 1", "first and last together"),
            ("after: \"x\"", "after is not a cursor of this list"),
            ("filter: { search: \"\" lastSeen: { since: \"2026-03-02T10:00:00Z\" until: \"2026-03-02T10:00:00Z\" } }", "In a time range since comes before until"),
        ] {
            let answer = server.ask(&reader(), &format!("{{ portal {{ syncErrors({arguments}) {{ totalCount }} }} }}"), json!({})).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer:#}");
            assert!(answer["errors"][0]["message"].as_str().is_some_and(|message| message.starts_with(text)), "{answer:#}");
        }
        // A cursor belongs to the order it came from.
        ten_errors(server).await;
        let data = server.read("{ portal { syncErrors(first: 1) { pageInfo { endCursor } } } }", json!({})).await;
        let query = "query ($after: String) { portal { syncErrors(after: $after, orderBy: { field: FIRST_SEEN_AT, direction: ASC }) { totalCount } } }";
        let after = &data["portal"]["syncErrors"]["pageInfo"]["endCursor"];
        assert_eq!(server.error_code(&reader(), query, json!({ "after": after })).await, "BAD_USER_INPUT");
    }
}

both! {
    /// The cards count what their lists hold, in words of both languages.
    async fn cards(server) {
        ten_errors(server).await;
        let query = "{ portal { categories { name openErrorCount affectedRecordCount syncErrors { totalCount nodes { category } } }
            category(name: CUSTOM_CODE) { id title meaning german: title(locale: DE) bedeutung: meaning(locale: DE)
                syncErrors(first: 1, statuses: [OPEN, RESOLVED], filter: { types: [VALIDATION_RULE] }, orderBy: { field: LAST_SEEN_AT }) { totalCount pageInfo { endCursor } }
                none: syncErrors(filter: { categories: [OTHER] }) { totalCount } } } }";
        let data = server.read(query, json!({})).await;
        let cards = data["portal"]["categories"].as_array().expect("cards");
        let names: Vec<_> = cards.iter().map(|card| card["name"].as_str().expect("a name")).collect();
        assert_eq!(names, ["ASSOCIATIONS", "CUSTOM_CODE", "DUPLICATES", "PERMISSIONS", "PICKLISTS", "PROPERTY_MAPPINGS", "PROPERTY_VALUES", "OTHER"]);
        for card in cards {
            assert_eq!(card["openErrorCount"], card["syncErrors"]["totalCount"]);
            assert!(card["syncErrors"]["nodes"].as_array().expect("nodes").iter().all(|node| node["category"] == card["name"]));
        }
        assert_eq!((&cards[1]["affectedRecordCount"], &cards[6]["openErrorCount"]), (&json!(4), &json!(6)));
        let card = &data["portal"]["category"];
        assert_eq!((&card["title"], &card["german"]), (&json!("Custom code"), &json!("Eigener Code")));
        assert!(card["meaning"].as_str().is_some_and(|text| text.contains("validation rule")));
        assert!(card["bedeutung"].as_str().is_some_and(|text| text.contains("Validierungsregel")));
        assert_eq!((&card["syncErrors"]["totalCount"], &card["none"]["totalCount"]), (&json!(1), &json!(0)));
        let next = "query ($after: String) { portal { category(name: CUSTOM_CODE) { syncErrors(after: $after) { nodes { id } } } } }";
        let data = server.read(next, json!({ "after": card["syncErrors"]["pageInfo"]["endCursor"] })).await;
        assert_eq!(data["portal"]["category"]["syncErrors"]["nodes"], json!([]));
        let node = server.read("query ($id: ID!) { node(id: $id) { ... on CategorySummary { openErrorCount } } }", json!({ "id": card["id"] })).await;
        assert_eq!(node["node"]["openErrorCount"], 1);
    }
}

both! {
    /// A page with its records, count and portal is three statements, whatever its size.
    async fn statements_per_page(server) {
        ten_errors(server).await;
        let query = "{ portal { name eventCursor syncErrors(first: 100) { totalCount nodes { title details { __typename } portal { hubId }
            affectedRecords(first: 5) { totalCount nodes { message hubspotRecord { url } syncError { id } } pageInfo { hasNextPage } } } } } }";
        let page = server.post(&reader(), query, json!({})).await;
        let reference = page.headers()["x-request-id"].to_str().expect("a text").to_owned();
        let body: Value = page.json().await.expect("JSON");
        assert_eq!(body["data"]["portal"]["syncErrors"]["nodes"].as_array().map(Vec::len), Some(10), "{body:#}");
        let line = logs().into_iter().rfind(|line| line.contains(&reference)).expect("the request's line");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(line["fields"]["statements"], 3, "{line}");
    }
}

both! {
    /// Beyond 10,000 a count that no counter holds says that there are more.
    async fn capped_counts(server) {
        for round in 0..11 {
            let failures: Vec<_> = (0..1000).map(|n| failure(&format!("{n}"), round, json!({ "fields": [format!("F{round}_{n}__c")] }))).collect();
            server.record(json!(failures)).await;
        }
        let data = server.read("{ portal { counted: syncErrors { totalCount totalCountPrecision } capped: syncErrors(filter: { systems: [SALESFORCE] }) { totalCount totalCountPrecision } } }", json!({})).await;
        assert_eq!(data["portal"]["counted"], json!({ "totalCount": 11_000, "totalCountPrecision": "EXACT" }));
        assert_eq!(data["portal"]["capped"], json!({ "totalCount": 10_000, "totalCountPrecision": "AT_LEAST" }));
    }
}
