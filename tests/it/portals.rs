//! Portals: settings, sync state, changes, the list, global ids.

use serde_json::{Value, json};

use crate::harness::{both, engine, failure, manager, minute, reader, token};

const CONFIGURE: &str = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) {
    portal { id hubId name timeZone locale hubspotAppUrl salesforceInstanceUrl } userErrors { field code message elementIndex } } }";
const STATE: &str =
    "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) {
    portal { syncState } userErrors { field code message } } }";

both! {
    /// A portal that the token names exists from the start, empty.
    async fn exists_from_the_start(server) {
        let portal = "{ portal { id hubId name timeZone locale hubspotAppUrl salesforceInstanceUrl salesforceUsername syncState suspension { reason since }
            categories { openErrorCount affectedRecordCount } syncErrors { totalCount nodes { id } } changes { totalCount nodes { id } } } }";
        let data = server.read(portal, json!({})).await;
        let portal = &data["portal"];
        assert_eq!((&portal["hubId"], &portal["name"], &portal["timeZone"], &portal["locale"]), (&json!("1001"), &Value::Null, &json!("UTC"), &json!("EN")));
        assert_eq!((&portal["syncState"], &portal["suspension"], &portal["salesforceUsername"]), (&json!("ACTIVE"), &Value::Null, &Value::Null));
        assert_eq!((&portal["hubspotAppUrl"], &portal["salesforceInstanceUrl"]), (&json!("https://app.hubspot.com"), &Value::Null));
        assert_eq!(portal["categories"].as_array().map(Vec::len), Some(8));
        assert_eq!((&portal["syncErrors"]["totalCount"], &portal["changes"]["totalCount"]), (&json!(0), &json!(0)));
        let node = server.read("query ($id: ID!) { node(id: $id) { id ... on Portal { hubId } } }", json!({ "id": portal["id"] })).await;
        assert_eq!(node["node"], json!({ "id": portal["id"], "hubId": "1001" }));
    }
}

both! {
    /// A key left out stays, null sets the default, and each change is told.
    async fn configure(server) {
        let set = |input: Value| async move { server.data(&manager(), CONFIGURE, json!({ "input": input })).await["configurePortal"].take() };
        let all = set(json!({ "hubId": 1001, "name": " Nordwind ", "timeZone": "Europe/Berlin", "locale": "DE", "hubspotAppUrl": "https://app-eu1.hubspot.com/", "salesforceInstanceUrl": "https://nordwind.my.salesforce.com" })).await;
        assert_eq!(all["userErrors"], json!([]), "{all:#}");
        assert_eq!((&all["portal"]["name"], &all["portal"]["timeZone"], &all["portal"]["locale"]), (&json!("Nordwind"), &json!("Europe/Berlin"), &json!("DE")));
        assert_eq!((&all["portal"]["hubspotAppUrl"], &all["portal"]["salesforceInstanceUrl"]), (&json!("https://app-eu1.hubspot.com"), &json!("https://nordwind.my.salesforce.com")));
        let some = set(json!({ "name": null, "timeZone": null })).await;
        assert_eq!((&some["portal"]["name"], &some["portal"]["timeZone"], &some["portal"]["locale"]), (&Value::Null, &json!("UTC"), &json!("DE")));
        set(json!({})).await;
        let query = "query ($first: Int, $after: String) { portal { changes(first: $first, after: $after) { totalCount totalCountPrecision edges { cursor node { id } } nodes { id at by setting from to } pageInfo { hasNextPage endCursor } } } }";
        let page = server.read(query, json!({ "first": 2 })).await;
        let changes = &page["portal"]["changes"];
        assert_eq!((&changes["totalCount"], &changes["totalCountPrecision"]), (&json!(7), &json!("EXACT")));
        let newest = &changes["nodes"][0];
        assert_eq!((&newest["setting"], &newest["from"], &newest["to"], &newest["by"]), (&json!("timeZone"), &json!("Europe/Berlin"), &json!("UTC"), &json!("test-user")));
        assert_eq!(newest["at"], "2026-03-02T11:00:00Z");
        let rest = server.read(query, json!({ "after": changes["pageInfo"]["endCursor"] })).await;
        let settings: Vec<_> = rest["portal"]["changes"]["nodes"].as_array().expect("a list").iter().map(|change| change["setting"].clone()).collect();
        assert_eq!(json!(settings), json!(["salesforceInstanceUrl", "hubspotAppUrl", "locale", "timeZone", "name"]));
        let node = server.read("query ($id: ID!) { node(id: $id) { ... on PortalChange { setting } } }", json!({ "id": newest["id"] })).await;
        assert_eq!(node["node"]["setting"], "timeZone");
    }
}

both! {
    /// Our own texts speak the portal's language unless asked otherwise; what is refused changes nothing.
    async fn refused_settings(server) {
        let long = "x".repeat(256);
        for (input, path, code) in [
            (json!({ "name": "  " }), "name", "INVALID"),
            (json!({ "name": long }), "name", "TOO_LONG"),
            (json!({ "timeZone": "Mars/Olympus" }), "timeZone", "INVALID"),
            (json!({ "hubspotAppUrl": "http://app.hubspot.com" }), "hubspotAppUrl", "INVALID"),
            (json!({ "hubspotAppUrl": "https://user:secret@app.hubspot.com" }), "hubspotAppUrl", "INVALID"),
            (json!({ "salesforceInstanceUrl": "nordwind" }), "salesforceInstanceUrl", "INVALID"),
            (json!({ "salesforceInstanceUrl": format!("https://{}.example", "x".repeat(500)) }), "salesforceInstanceUrl", "TOO_LONG"),
        ] {
            let mut input = input;
            input["locale"] = json!("DE");
            let data = server.data(&manager(), CONFIGURE, json!({ "input": input })).await;
            let payload = &data["configurePortal"];
            assert_eq!((&payload["userErrors"][0]["field"], &payload["userErrors"][0]["code"]), (&json!(["input", path]), &json!(code)), "{payload:#}");
            assert_eq!((&payload["portal"], &payload["userErrors"][0]["elementIndex"]), (&Value::Null, &Value::Null));
        }
        assert_eq!(server.read("{ portal { locale } }", json!({})).await["portal"]["locale"], "EN");
        server.data(&manager(), CONFIGURE, json!({ "input": { "locale": "DE" } })).await;
        server.record(json!([failure("1", 0, json!({}))])).await;
        let data = server.read("{ portal { category(name: OTHER) { title } syncErrors { nodes { title english: title(locale: EN) } } } }", json!({})).await;
        assert_eq!(data["portal"]["category"]["title"], "Sonstige");
        assert_eq!(data["portal"]["syncErrors"]["nodes"][0], json!({ "title": "Wert zu lang (Contact: Title)", "english": "Value too long (Contact: Title)" }));
    }
}

both! {
    /// Engines tell whether a portal syncs; an older report changes nothing.
    async fn sync_state(server) {
        let state = "{ portal { syncState suspension { reason since } salesforceUsername salesforceInstanceUrl } }";
        let report = |input: Value| async move { server.data(&engine(), STATE, json!({ "input": input })).await["reportPortalState"].take() };
        let told = report(json!({ "occurredAt": minute(5), "syncState": "SUSPENDED", "suspensionReason": "ORG_LIMIT_REACHED", "salesforceUsername": "hub@example.com", "salesforceInstanceUrl": "https://nordwind.my.salesforce.com" })).await;
        assert_eq!(told, json!({ "portal": null, "userErrors": [] }));
        let data = server.read(state, json!({})).await;
        assert_eq!(data["portal"]["suspension"], json!({ "reason": "ORG_LIMIT_REACHED", "since": minute(5) }));
        assert_eq!((&data["portal"]["syncState"], &data["portal"]["salesforceUsername"]), (&json!("SUSPENDED"), &json!("hub@example.com")));
        report(json!({ "occurredAt": minute(4), "syncState": "ACTIVE" })).await;
        assert_eq!(server.read(state, json!({})).await["portal"]["syncState"], "SUSPENDED");
        for reason in ["API_DISABLED", "OBJECT_PERMISSION_MISSING"] {
            report(json!({ "occurredAt": minute(6), "syncState": "SUSPENDED", "suspensionReason": reason })).await;
            assert_eq!(server.read(state, json!({})).await["portal"]["suspension"], json!({ "reason": reason, "since": minute(5) }));
        }
        report(json!({ "occurredAt": minute(7), "syncState": "ACTIVE", "salesforceUsername": null })).await;
        let data = server.read(state, json!({})).await;
        assert_eq!(data["portal"], json!({ "syncState": "ACTIVE", "suspension": null, "salesforceUsername": null, "salesforceInstanceUrl": "https://nordwind.my.salesforce.com" }));
        report(json!({ "occurredAt": minute(8), "syncState": "SUSPENDED" })).await;
        assert_eq!(server.read(state, json!({})).await["portal"]["suspension"]["reason"], "UNKNOWN");
        let refused = report(json!({ "suspensionReason": "UNKNOWN", "occurredAt": minute(90) })).await;
        assert_eq!(refused["userErrors"][0]["code"], "OUT_OF_RANGE");
        assert_eq!((&refused["userErrors"][1]["code"], &refused["userErrors"][1]["field"]), (&json!("INVALID"), &json!(["input", "suspensionReason"])));
        let both_rights = token(&["1001"], "sync-health:report sync-health:read");
        let seen = server.data(&both_rights, STATE, json!({ "input": { "syncState": "ACTIVE" } })).await;
        assert_eq!(seen["reportPortalState"]["portal"]["syncState"], "ACTIVE");
    }
}

const PORTALS: &str = "query ($first: Int, $after: String, $search: String, $syncStates: [SyncState!], $orderBy: PortalOrder) {
    portals(first: $first, after: $after, search: $search, syncStates: $syncStates, orderBy: $orderBy) {
        totalCount totalCountPrecision edges { cursor node { hubId } } nodes { hubId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

both! {
    /// All portals of a token, the worst first; search, state, order, pages.
    async fn list(server) {
        let all = ["1001", "1002", "1003", "1004"];
        let read = token(&all, "sync-health:read");
        let work = token(&all, "sync-health:manage sync-health:report");
        let ids = |data: &Value| data["portals"]["nodes"].as_array().expect("a list").iter().map(|portal| portal["hubId"].as_str().expect("an id").to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(&server.data(&read, PORTALS, json!({})).await).len(), 4);
        for (portal, count) in [("1003", 3), ("1002", 1)] {
            let failures: Vec<_> = (0..count).map(|n| failure("1", 0, json!({ "fields": [format!("F{n}__c")] }))).collect();
            server.data(&work, crate::harness::REPORT_FAILURES, json!({ "input": { "hubId": portal, "failures": failures } })).await;
        }
        server.data(&work, CONFIGURE, json!({ "input": { "hubId": "1004", "name": "Ärzte GmbH" } })).await;
        server.data(&work, STATE, json!({ "input": { "hubId": "1004", "syncState": "SUSPENDED" } })).await;
        let list = |variables: Value| { let read = read.clone(); async move { server.data(&read, PORTALS, variables).await } };
        assert_eq!(ids(&list(json!({})).await), ["1003", "1002", "1004", "1001"]);
        assert_eq!(ids(&list(json!({ "orderBy": { "field": "HUB_ID", "direction": "ASC" } })).await), all);
        assert_eq!(ids(&list(json!({ "search": "ärzte" })).await), ["1004"]);
        assert_eq!(ids(&list(json!({ "search": "1002" })).await), ["1002"]);
        assert_eq!(ids(&list(json!({ "syncStates": ["SUSPENDED"] })).await), ["1004"]);
        for order in [json!(null), json!({ "field": "HUB_ID" }), json!({ "field": "OPEN_ERRORS", "direction": "ASC" })] {
            let whole = ids(&list(json!({ "orderBy": order })).await);
            let first = list(json!({ "first": 3, "orderBy": order })).await;
            assert_eq!((&first["portals"]["totalCount"], &first["portals"]["pageInfo"]["hasNextPage"]), (&json!(4), &json!(true)));
            let rest = list(json!({ "first": 3, "orderBy": order, "after": first["portals"]["pageInfo"]["endCursor"] })).await;
            assert_eq!([ids(&first), ids(&rest)].concat(), whole);
        }
        // "*" sees all that exist and creates none.
        let star = token(&["*"], "sync-health:read");
        assert_eq!(server.data(&star, PORTALS, json!({})).await["portals"]["totalCount"], 4);
        assert_eq!(server.data(&star, "{ portal(hubId: 1005) { id } viewer { hubIds } }", json!({})).await, json!({ "portal": null, "viewer": { "hubIds": null } }));
    }
}

both! {
    /// Things by id, in the order asked for, null where there is none.
    async fn nodes(server) {
        let payload = server.record(json!([failure("1", 0, json!({}))])).await;
        let error = &payload["results"][0]["syncError"]["id"];
        let data = server.read("query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", json!({ "ids": ["x", error, "", error] })).await;
        let found = json!({ "__typename": "SyncError", "id": error });
        assert_eq!(data["nodes"], json!([null, found, null, found]));
        let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
        assert_eq!(server.error_code(&reader(), "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({ "ids": many })).await, "BAD_USER_INPUT");
    }
}

both! {
    /// Who the token is, and the limits in force.
    async fn viewer_and_service(server) {
        let data = server.data(&manager(), "{ viewer { subject scopes hubIds expiresAt } service { version limits { name value unit } } }", json!({})).await;
        assert_eq!((&data["viewer"]["subject"], &data["viewer"]["scopes"], &data["viewer"]["hubIds"]), (&json!("test-user"), &json!(["sync-health:manage"]), &json!(["1001"])));
        assert!(data["viewer"]["expiresAt"].as_str().is_some_and(|at| at.ends_with('Z')));
        assert_eq!(data["service"]["version"], env!("CARGO_PKG_VERSION"));
        let limits = data["service"]["limits"].as_array().expect("a list");
        assert!(limits.contains(&json!({ "name": "pageSize", "value": 100, "unit": "entries" })), "{limits:#?}");
    }
}
