//! Values that no database keeps, or that nobody could read again, are refused where they come in; never answered as a
//! fault of the server.

use serde_json::{Value, json};

use crate::harness::{both, engine, failure, manager, reader};

const NUL: &str = "a\u{0}b";

/// Texts of the contract with U+0000, or longer than anything that has them.
fn requests(text: &str) -> Vec<(String, &'static str, Value)> {
    let list = "query ($filter: SyncErrorFilter) { portal { syncErrors(filter: $filter) { totalCount nodes { title } } } }";
    let events = "query ($filter: SyncErrorEventFilter) { portal { syncErrorEvents(filter: $filter) { totalCount } } }";
    let records = "query ($search: String) { portal { syncErrors { nodes { affectedRecords(search: $search) { totalCount } } } } }";
    let view = "mutation ($input: CreateRecordViewInput!) { createRecordView(input: $input) { recordView { name } userErrors { message } } }";
    let configure = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { userErrors { message } } }";
    let notify = "mutation ($input: ConfigureNotificationsInput!) { configureNotifications(input: $input) { userErrors { message } } }";
    let resync = "mutation ($input: ResyncMatchingSyncErrorsInput!) { resyncMatchingSyncErrors(input: $input) { userErrors { message } } }";
    let used = "mutation ($input: ReportApiUsageInput!) { reportApiUsage(input: $input) { userErrors { message } } }";
    let renew = "mutation ($input: RenewResyncItemsInput!) { renewResyncItems(input: $input) { userErrors { message } } }";
    let filter = |key: &str, value: Value| json!({ "filter": { key: value } });
    vec![
        (reader(), list, filter("search", json!(text))),
        (reader(), list, filter("codes", json!([text]))),
        (reader(), list, filter("fields", json!([text]))),
        (reader(), list, filter("hubspotObjectTypes", json!([text]))),
        (
            reader(),
            list,
            filter(
                "affecting",
                json!({ "system": "HUBSPOT", "recordId": text }),
            ),
        ),
        (reader(), events, filter("fields", json!([text]))),
        (
            reader(),
            events,
            filter("salesforceObjectTypes", json!([text])),
        ),
        (reader(), records, json!({ "search": text })),
        (
            reader(),
            "query ($after: String) { portal { syncErrors(after: $after) { totalCount } } }",
            json!({ "after": text }),
        ),
        (
            reader(),
            "query ($id: ID!) { node(id: $id) { id } }",
            json!({ "id": text }),
        ),
        (
            reader(),
            "query ($search: String) { portals(search: $search) { totalCount } }",
            json!({ "search": text }),
        ),
        (
            manager(),
            view,
            json!({ "input": { "name": text, "objectType": "contact", "system": "HUBSPOT" } }),
        ),
        (
            manager(),
            view,
            json!({ "input": { "name": "x", "filter": { "search": text } } }),
        ),
        (manager(), configure, json!({ "input": { "name": text } })),
        (
            manager(),
            notify,
            json!({ "input": { "emails": [text], "enabled": true } }),
        ),
        (
            manager(),
            resync,
            json!({ "input": { "filter": {}, "idempotencyKey": text } }),
        ),
        (
            engine(),
            used,
            json!({ "input": { "reportId": text, "calls": 1 } }),
        ),
        (engine(), renew, json!({ "input": { "itemIds": [text] } })),
    ]
}

both! {
    /// Wherever a text stands, one with U+0000 is refused with words for its sender.
    async fn texts_with_nul(server) {
        server.record(json!([failure("1", 0, json!({}))])).await;
        for (token, query, variables) in requests(NUL) {
            let answer = server.ask(&token, query, variables.clone()).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{variables} {answer:#}");
        }
        for escape in ["\\u0000", "\\u{0}", "\\u{0000}"] {
            let literal = format!("{{ portal {{ syncErrors(filter: {{ search: \"abc{escape}\" }}) {{ totalCount }} }} }}");
            assert_eq!(server.error_code(&reader(), &literal, json!({})).await, "GRAPHQL_VALIDATION_FAILED");
        }
        let kept = r#"{ portal { syncErrors(filter: { search: "abc\\u0000" }) { totalCount } } }"#;
        server.read(kept, json!({})).await;
        // Engines report what providers wrote: what cannot be kept of a text is left out of it.
        server.record(json!([failure("2", 1, json!({ "message": format!("Title: data value too large: {NUL} (max length=20)"), "value": NUL }))])).await;
    }
}

both! {
    /// However long a text is, it is no fault of the server.
    async fn long_texts(server) {
        server.record(json!([failure("1", 0, json!({}))])).await;
        for length in [256, 60_000] {
            for (token, query, variables) in requests(&"x".repeat(length)) {
                let answer = server.ask(&token, query, variables).await;
                assert_ne!(answer["errors"][0]["extensions"]["code"], "INTERNAL_SERVER_ERROR", "{query} {answer:#}");
            }
        }
    }
}

both! {
    /// A time beyond the last year of four digits is none, whatever its offset: nobody could read it again.
    async fn instants_beyond_the_calendar(server) {
        let list = "query ($since: DateTime) { portal { syncErrors(filter: { firstSeen: { since: $since } }) { totalCount } } }";
        for since in ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.9999999-00:01", "0000-01-01T00:00:00+23:59"] {
            let code = server.error_code(&reader(), list, json!({ "since": since })).await;
            assert_eq!(code, "BAD_USER_INPUT", "{since}");
        }
        server.read(list, json!({ "since": "9999-12-31T23:59:59Z" })).await;
    }
}

both! {
    /// Lists of enums have the limit of other lists.
    async fn long_lists_of_enums(server) {
        let list = "query ($statuses: [SyncErrorStatus!]) { portal { syncErrors(statuses: $statuses) { totalCount } } }";
        server.read(list, json!({ "statuses": vec!["OPEN"; 100] })).await;
        let refused = server.ask(&reader(), list, json!({ "statuses": vec!["OPEN"; 101] })).await;
        let message = refused["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains("filterValues"), "{refused:#}");
    }
}
