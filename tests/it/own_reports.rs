//! Who may only report reads what its own reports say, and nothing that others have told.

use serde_json::{Value, json};

use crate::harness::{Server, both, engine, failure, token};
use crate::resync::{claim, resync_matching};

/// What others have told of an error; each of these is refused by itself.
const OF_OTHERS: &[&str] = &[
    "causeCode",
    "causeMessage",
    "message",
    "details { __typename }",
    "sampleValues",
    "guide { explanation }",
    "latestFailure { raw value hubspotRecord { recordId name } }",
    "affectedRecords { nodes { value hubspotRecord { recordId } } }",
    "latestResync { status }",
    "retry { nextAt }",
    "portal { name salesforceUsername }",
];

/// What an error is, and its counts.
const OWN: &str = "id category type title status system direction hubspotObjectType salesforceObjectType code transient \
    firstSeenAt lastSeenAt resolvedAt occurrenceCount affectedRecordCount classification { rule overridden }";

/// The value that the other engine tells, which nobody else is to see.
const THEIRS: &str = "Confidential acquisition of Fabrikam";

fn reporting(selection: &str) -> String {
    format!(
        "mutation ($input: ReportSyncFailuresInput!) {{ reportSyncFailures(input: $input) {{ results {{ outcome syncError {{ {selection} }} }} }} }}"
    )
}

/// Another engine reports a failure of the cause that is guessed.
async fn report_theirs(server: &Server) {
    let more = json!({ "reportId": "theirs", "value": THEIRS, "raw": THEIRS, "message": format!("Title: data value too large: {THEIRS} (max length=20)"),
        "hubspotRecord": { "objectType": "contact", "recordId": "77", "name": THEIRS } });
    server.record(json!([failure("77", 5, more)])).await;
}

/// A cause that is guessed, told as of long ago; and the other engine's report by its id.
fn guesses() -> [Value; 2] {
    let old = json!({ "reportId": "old", "message": "x" });
    let same = json!({ "reportId": "theirs", "message": "x" });
    [failure("1", -1_000, old), failure("1", 5, same)]
}

both! {
    /// Neither an old failure of the same cause nor a repeated reportId shows what another engine has told.
    async fn what_others_told(server) {
        report_theirs(server).await;
        for guess in guesses() {
            let input = json!({ "input": { "failures": [guess] } });
            for selection in OF_OTHERS {
                let answer = server.ask(&engine(), &reporting(&format!("id {selection}")), input.clone()).await;
                let field = selection.split(' ').next().unwrap_or_default();
                let error = &answer["errors"][0];
                assert_eq!(error["extensions"]["code"], "FORBIDDEN", "{answer:#}");
                assert_eq!(error["path"], json!(["reportSyncFailures", "results", 0, "syncError", field]), "{answer:#}");
                assert!(!answer.to_string().contains("Confidential"), "{answer:#}");
            }
            let data = server.data(&engine(), &reporting(OWN), input.clone()).await;
            assert!(!data.to_string().contains("Confidential"), "{data:#}");
            let error = &data["reportSyncFailures"]["results"][0]["syncError"];
            assert_eq!(error["title"], "Value too long (Contact: Title)", "{data:#}");
            assert_eq!(error["code"], "STRING_TOO_LONG", "{data:#}");
            let both = token(&["1001"], "sync-health:report sync-health:read");
            let all = server.data(&both, &reporting(&format!("{OWN} {}", OF_OTHERS.join(" "))), input).await;
            assert_eq!(all["reportSyncFailures"]["results"][0]["syncError"]["sampleValues"][0], THEIRS, "{all:#}");
        }
    }
}

both! {
    /// The code, the title and the objects of the answer are those that were told, not the other engine's.
    async fn what_was_told_oneself(server) {
        let theirs = json!({ "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Check the budget", "fields": [], "salesforceRecord": { "objectType": "Contact" } });
        server.record(json!([failure("1", 5, theirs)])).await;
        let own = json!({ "code": "field_custom_validation_exception", "message": "Check the budget", "fields": [], "hubspotRecord": { "objectType": "2-55", "recordId": "9" } });
        let input = json!({ "input": { "failures": [failure("9", 0, own)] } });
        let data = server.data(&engine(), &reporting("hubspotObjectType occurrenceCount"), input).await;
        let error = &data["reportSyncFailures"]["results"][0]["syncError"];
        assert_eq!(error, &json!({ "hubspotObjectType": "2-55", "occurrenceCount": 2 }));
    }
}

both! {
    /// The same holds for what becomes of resync items.
    async fn outcomes(server) {
        report_theirs(server).await;
        resync_matching(server, json!({ "filter": {} })).await;
        let item = claim(server, json!({ "limit": 1 })).await["items"][0]["id"].take();
        let input = json!({ "input": { "outcomes": [{ "itemId": item, "status": "FAILED" }] } });
        let outcome = |selection: &str| format!("mutation ($input: ReportResyncOutcomesInput!) {{ reportResyncOutcomes(input: $input) {{ results {{ accepted syncError {{ {selection} }} }} }} }}");
        for selection in OF_OTHERS {
            let answer = server.ask(&engine(), &outcome(selection), input.clone()).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{answer:#}");
            assert!(!answer.to_string().contains("Confidential"), "{answer:#}");
        }
        let data = server.data(&engine(), &outcome(OWN), input.clone()).await;
        assert_eq!(data["reportResyncOutcomes"]["results"][0]["accepted"], true);
        assert!(!data.to_string().contains("Confidential"), "{data:#}");
        let both = token(&["1001"], "sync-health:report sync-health:read");
        let all = server.data(&both, &outcome("sampleValues"), input).await;
        assert_eq!(all["reportResyncOutcomes"]["results"][0]["syncError"]["sampleValues"][0], THEIRS);
    }
}

both! {
    /// What an answer to a report leads to is read, and paid for as any other reading; the answer itself as a report.
    async fn what_it_leads_to_costs_as_a_query(server) {
        let both = token(&["1001"], "sync-health:report sync-health:read");
        let input = json!({ "input": { "failures": [failure("1", 0, json!({}))] } });
        let paid = async |query: &str, input: &Value| {
            let answer = server.ask(&both, query, input.clone()).await;
            answer["extensions"]["cost"]["throttleStatus"]["maximumAvailable"].as_u64().unwrap_or_else(|| panic!("{answer:#}"))
        };
        assert_eq!(paid(&reporting(OWN), &input).await, 2_000_000);
        let reads = ["portal { hubId }", "latestFailure { raw }", "guide { explanation }", "affectedRecords { totalCount }", "... on Node { ... on SyncError { portal { syncErrors { nodes { id } } } } }"];
        for selection in reads {
            assert_eq!(paid(&reporting(selection), &input).await, 200_000, "{selection}");
        }
        let spread = format!("{} fragment more on SyncError {{ portal {{ hubId }} }}", reporting("...more"));
        assert_eq!(paid(&spread, &input).await, 200_000);
        let used = |selection: &str| format!("mutation ($input: ReportApiUsageInput!) {{ reportApiUsage(input: $input) {{ quota {{ {selection} }} }} }}");
        let calls = json!({ "input": { "reportId": "1", "calls": 1 } });
        assert_eq!(paid(&used("usedLast24Hours remaining state"), &calls).await, 2_000_000);
        assert_eq!(paid(&used("history(since: \"2026-03-02T10:00:00Z\") { usedCount }"), &calls).await, 200_000);
        let state = "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { portal { syncErrors { totalCount } } } }";
        assert_eq!(paid(state, &json!({ "input": {} })).await, 200_000);
    }
}
