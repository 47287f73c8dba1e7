//! Affected records: pages, search, both sides, links.

use serde_json::{Value, json};

use crate::harness::{both, engine, failure, reader};

both! {
    /// Pages in the order of their first failure; search in name, id and value.
    async fn pages_and_search(server) {
        let names = ["Ada Albers", "Bruno Brandt", "Chloé Costa", "Ömer Ünal"];
        let failures: Vec<_> = (0..7).map(|n| failure(&format!("90{n}"), 0, json!({ "value": format!("VALUE {n}"), "hubspotRecord": { "objectType": "contact", "recordId": format!("90{n}"), "name": names[n % 4] } }))).collect();
        server.record(json!(failures)).await;
        let query = "query ($first: Int, $after: String, $search: String) { portal { syncErrors { nodes { affectedRecords(first: $first, after: $after, search: $search) {
            totalCount totalCountPrecision edges { cursor node { id } } nodes { id hubspotRecord { recordId } } pageInfo { hasNextPage endCursor } } } } } }";
        let page = |variables: Value| async move { server.read(query, variables).await["portal"]["syncErrors"]["nodes"][0]["affectedRecords"].take() };
        let first = page(json!({ "first": 4 })).await;
        assert_eq!((&first["totalCount"], &first["pageInfo"]["hasNextPage"]), (&json!(7), &json!(true)));
        let rest = page(json!({ "first": 4, "after": first["pageInfo"]["endCursor"] })).await;
        assert_eq!((rest["nodes"].as_array().map(Vec::len), &rest["pageInfo"]["hasNextPage"]), (Some(3), &json!(false)));
        let ids: Vec<_> = [first, rest].iter().flat_map(|page| page["nodes"].as_array().expect("a list").clone()).map(|node| node["hubspotRecord"]["recordId"].clone()).collect();
        assert_eq!(json!(ids), json!(["900", "901", "902", "903", "904", "905", "906"]));
        for (search, found) in [("ömer", 1), ("ALBERS", 2), ("905", 1), ("value 3", 1), ("nobody", 0), ("%", 0)] {
            let page = page(json!({ "search": search })).await;
            assert_eq!(page["totalCount"], found, "{search}");
            assert_eq!(page["totalCountPrecision"], "EXACT");
        }
    }
}

both! {
    /// Both sides, the other record, links into both systems, and the way back to the error.
    async fn sides_and_links(server) {
        let more = json!({
            "code": "DUPLICATE_VALUE", "fields": [], "value": "ada@example.com", "salesforceField": "Email", "hubspotProperty": "email",
            "message": "duplicate value found: Email duplicates value on record with id: 0035e000003GcMy",
            "hubspotRecord": { "objectType": "0-1", "recordId": "51", "name": "Ada" },
            "salesforceRecord": { "objectType": "Contact", "recordId": "0035e000003GcMx", "name": "Ada A." },
        });
        server.record(json!([failure("51", 0, more)])).await;
        let record = "{ portal { syncErrors { nodes { id affectedRecords { nodes { id message value syncError { id portal { hubId } }
            hubspotRecord { system objectType recordId name url externalId { field value } } salesforceRecord { system objectType recordId name url }
            existingRecord { system objectType recordId name url } } } } } } }";
        let before = server.read(record, json!({})).await;
        let node = &before["portal"]["syncErrors"]["nodes"][0]["affectedRecords"]["nodes"][0];
        assert_eq!(node["hubspotRecord"], json!({ "system": "HUBSPOT", "objectType": "contact", "recordId": "51", "name": "Ada", "url": "https://app.hubspot.com/contacts/1001/record/0-1/51", "externalId": null }));
        assert_eq!(node["salesforceRecord"], json!({ "system": "SALESFORCE", "objectType": "Contact", "recordId": "0035e000003GcMxAAK", "name": "Ada A.", "url": null }));
        assert_eq!(node["existingRecord"]["recordId"], "0035e000003GcMyAAK");
        assert_eq!((&node["value"], &node["syncError"]["portal"]["hubId"]), (&json!("ada@example.com"), &json!("1001")));
        assert_eq!(node["syncError"]["id"], before["portal"]["syncErrors"]["nodes"][0]["id"]);
        let report = "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { userErrors { message } } }";
        server.data(&engine(), report, json!({ "input": { "salesforceInstanceUrl": "https://example.my.salesforce.com/" } })).await;
        let after = server.read(record, json!({})).await;
        let node = &after["portal"]["syncErrors"]["nodes"][0]["affectedRecords"]["nodes"][0];
        assert_eq!(node["salesforceRecord"]["url"], "https://example.my.salesforce.com/lightning/r/Contact/0035e000003GcMxAAK/view");
        let again = server.read("query ($id: ID!) { node(id: $id) { id ... on AffectedRecord { attemptCount syncError { type } } } }", json!({ "id": node["id"] })).await;
        assert_eq!(again["node"], json!({ "id": node["id"], "attemptCount": 1, "syncError": { "type": "VALUE_ALREADY_IN_USE" } }));
        server.succeed(json!([{ "hubspotRecord": { "recordId": "51" } }])).await;
        let gone = server.read("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": node["id"] })).await;
        assert_eq!(gone["node"], Value::Null);
    }
}

both! {
    /// A custom HubSpot object has its own page; an id that could not be one makes no link.
    async fn links_of_odd_ids(server) {
        let of = |kind: &str, id: &str| failure(id, 0, json!({ "hubspotRecord": { "objectType": kind, "recordId": id } }));
        server.record(json!([of("2-345", "7"), of("wagon", "8"), of("contact", "9/../../evil")])).await;
        let data = server.data(&reader(), "{ portal { syncErrors { nodes { affectedRecords { nodes { hubspotRecord { url } } } } } } }", json!({})).await;
        let urls: Vec<_> = data["portal"]["syncErrors"]["nodes"][0]["affectedRecords"]["nodes"].as_array().expect("a list").iter().map(|node| node["hubspotRecord"]["url"].clone()).collect();
        assert_eq!(json!(urls), json!(["https://app.hubspot.com/contacts/1001/record/2-345/7", null, null]));
    }
}
