//! Saved views: the records of one object type that do not sync now.

use serde_json::{Value, json};

use crate::harness::{Server, both, engine, failure, manager, reader, success, token};

async fn create(server: &Server, input: Value) -> Value {
    let query = "mutation ($input: CreateRecordViewInput!) { createRecordView(input: $input) { recordView { id name createdBy createdAt system objectType syncErrorId affectedRecordCount } userErrors { code field message } } }";
    server
        .data(&manager(), query, json!({ "input": input }))
        .await["createRecordView"]
        .take()
}

fn of_field(record: &str, field: &str, more: Value) -> Value {
    let mut failure = failure(
        record,
        0,
        json!({ "fields": [field], "message": format!("{field}: data value too large: x (max length=40)") }),
    );
    if let (Some(failure), Some(more)) = (failure.as_object_mut(), more.as_object()) {
        failure.extend(more.clone());
    }
    failure
}

/// A company that fails for the same cause as contacts do.
fn company(record: &str) -> Value {
    json!({ "hubspotRecord": { "objectType": "company", "recordId": record }, "salesforceRecord": { "objectType": "Account" } })
}

both! {
    /// A view shows what is affected at the moment, by error and by filter, page by page.
    async fn lives(server) {
        server.record(json!([of_field("1", "Title", json!({})), of_field("2", "Title", json!({})), of_field("1", "Phone", json!({})), of_field("9", "Phone", company("9"))])).await;
        let errors = server.read("{ portal { syncErrors(orderBy: { field: AFFECTED_RECORD_COUNT }) { nodes { id } } } }", json!({})).await;
        let error = &errors["portal"]["syncErrors"]["nodes"][0]["id"];
        let of_error = create(server, json!({ "name": " Long titles ", "system": "HUBSPOT", "objectType": "Contact", "source": { "errorId": error } })).await["recordView"].take();
        assert_eq!((&of_error["name"], &of_error["createdBy"], &of_error["syncErrorId"], &of_error["affectedRecordCount"]), (&json!("Long titles"), &json!("test-user"), error, &json!(2)));
        let filter = json!({ "types": ["VALUE_TOO_LONG"] });
        let contacts = create(server, json!({ "hubId": "1001", "name": "Contacts", "system": "HUBSPOT", "objectType": "contact", "source": { "filter": filter } })).await["recordView"].take();
        let companies = create(server, json!({ "name": "Companies", "system": "HUBSPOT", "objectType": "company", "source": { "filter": {} } })).await["recordView"].take();
        assert_eq!((&contacts["affectedRecordCount"], &contacts["syncErrorId"], &companies["affectedRecordCount"]), (&json!(3), &Value::Null, &json!(1)));
        let list = "query ($first: Int, $after: String) { portal { recordViews(first: $first, after: $after) { totalCount totalCountPrecision nodes { name } edges { cursor node { id affectedRecordCount } } pageInfo { hasNextPage endCursor } } } }";
        let page = server.read(list, json!({ "first": 2 })).await["portal"]["recordViews"].take();
        assert_eq!((&page["totalCount"], &page["pageInfo"]["hasNextPage"], &page["edges"][0]["node"]), (&json!(3), &json!(true), &json!({ "id": companies["id"], "affectedRecordCount": 1 })));
        let rest = server.read(list, json!({ "after": page["pageInfo"]["endCursor"] })).await["portal"]["recordViews"].take();
        assert_eq!(rest["edges"].as_array().map(Vec::len), Some(1));
        let records = "query ($id: ID!, $first: Int, $after: String, $search: String) { node(id: $id) { ... on RecordView { affectedRecords(first: $first, after: $after, search: $search) { totalCount nodes { hubspotRecord { recordId } syncError { title portal { hubId } } } pageInfo { endCursor hasNextPage } } } } }";
        let mut seen = Vec::new();
        let mut after = Value::Null;
        loop {
            let page = server.read(records, json!({ "id": contacts["id"], "first": 2, "after": after })).await["node"]["affectedRecords"].take();
            assert_eq!(page["totalCount"], 3);
            seen.extend(page["nodes"].as_array().expect("records").clone());
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
        let mut ids: Vec<String> = seen.iter().map(|record| format!("{} {}", record["hubspotRecord"]["recordId"], record["syncError"]["title"])).collect();
        ids.sort();
        assert_eq!(ids, ["\"1\" \"Value too long (Contact: Phone)\"", "\"1\" \"Value too long (Contact: Title)\"", "\"2\" \"Value too long (Contact: Title)\""]);
        let found = server.read(records, json!({ "id": of_error["id"], "search": "2" })).await["node"]["affectedRecords"].take();
        assert_eq!((&found["totalCount"], &found["nodes"][0]["hubspotRecord"]["recordId"]), (&json!(1), &json!("2")));
        assert_eq!(server.error_code(&reader(), records, json!({ "id": contacts["id"], "after": "nonsense" })).await, "BAD_USER_INPUT");
        // It lives: what syncs again is gone from it.
        server.succeed(json!([success("1", 30)])).await;
        let count = "query ($id: ID!) { node(id: $id) { ... on RecordView { affectedRecordCount } } }";
        assert_eq!(server.read(count, json!({ "id": contacts["id"] })).await["node"]["affectedRecordCount"], 1);
    }
}

both! {
    /// What is refused, who may, and how a view goes.
    async fn refused_and_deleted(server) {
        let query = "mutation ($input: CreateRecordViewInput!) { createRecordView(input: $input) { recordView { id } userErrors { code field } } }";
        let delete = "mutation ($id: ID!) { deleteRecordView(input: { recordViewId: $id }) { deletedRecordViewId userErrors { code field } } }";
        let input = |more: Value| {
            let mut input = json!({ "name": "All", "system": "SALESFORCE", "objectType": "Contact", "source": { "filter": {} } });
            input.as_object_mut().expect("an input").extend(more.as_object().expect("keys").clone());
            input
        };
        for (more, code, field) in [
            (json!({ "name": " " }), "REQUIRED", json!(["input", "name"])), (json!({ "name": "x".repeat(256) }), "TOO_LONG", json!(["input", "name"])),
            (json!({ "objectType": "" }), "REQUIRED", json!(["input", "objectType"])), (json!({ "source": { "errorId": "x" } }), "NOT_FOUND", json!(["input", "source", "errorId"])),
            (json!({ "hubId": "1002" }), "NOT_FOUND", json!(["input", "hubId"])),
        ] {
            let refused = create(server, input(more.clone())).await;
            assert_eq!((&refused["recordView"], &refused["userErrors"][0]["code"], &refused["userErrors"][0]["field"]), (&Value::Null, &json!(code), &field), "{more}");
        }
        let both_sources = json!({ "input": input(json!({ "source": { "filter": {}, "errorId": "x" } })) });
        assert_eq!(server.error_code(&manager(), query, both_sources).await, "BAD_USER_INPUT");
        assert_eq!(server.error_code(&reader(), query, json!({ "input": input(json!({})) })).await, "FORBIDDEN");
        let mut ids = Vec::new();
        for _ in 0..100 {
            ids.push(create(server, input(json!({}))).await["recordView"]["id"].take());
        }
        assert_eq!(create(server, input(json!({}))).await["userErrors"][0]["code"], "TOO_MANY");
        let theirs = token(&["1002"], "sync-health:manage");
        let unknown = json!({ "deletedRecordViewId": null, "userErrors": [{ "code": "NOT_FOUND", "field": ["input", "recordViewId"] }] });
        assert_eq!(server.data(&theirs, delete, json!({ "id": ids[0] })).await["deleteRecordView"], unknown);
        assert_eq!(server.error_code(&engine(), delete, json!({ "id": ids[0] })).await, "FORBIDDEN");
        assert_eq!(server.data(&manager(), delete, json!({ "id": ids[0] })).await["deleteRecordView"], json!({ "deletedRecordViewId": ids[0], "userErrors": [] }));
        assert_eq!(server.data(&manager(), delete, json!({ "id": ids[0] })).await["deleteRecordView"], unknown);
        assert_eq!(server.read("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": ids[0] })).await["node"], Value::Null);
    }
}
