//! What the demo's operator asks to be tried again, and what its engine does with it.

use serde_json::{Value, json};

use super::calls::counted_briefly;
use super::engine::Engine;

/// Steps between two requests.
const ASKED_STEPS: u32 = 15;
/// How many errors a request names, and how many records of each it tries.
const ASKED_ERRORS: u32 = 3;
const RECORDS_PER_ERROR: u32 = 25;
/// Records that the engine tries in a step; one of so many fails again.
const TRIED: u32 = 8;
const ONE_FAILS_OF: usize = 5;

impl Engine {
    /// Asks for small errors to be tried again, and for some records of large ones.
    pub(super) async fn ask_again(&self, portal: i64, step: u32) {
        if step % ASKED_STEPS != ASKED_STEPS - 1 {
            return;
        }
        let direction = match (step / ASKED_STEPS) % 3 {
            2 => "DESC",
            _ => "ASC",
        };
        let query = "query ($input: ID) { portal(hubId: $input) { asc: syncErrors(first: 3, statuses: [OPEN], orderBy: { field: AFFECTED_RECORD_COUNT, direction: ASC }) { nodes { id } } desc: syncErrors(first: 3, statuses: [OPEN], orderBy: { field: AFFECTED_RECORD_COUNT }) { nodes { id } } } }";
        let open = self
            .ask(&self.tokens.manage, query, json!(portal.to_string()))
            .await;
        let nodes = &open["data"]["portal"][direction.to_lowercase()]["nodes"];
        let nodes = nodes.as_array().into_iter().flatten();
        let ids: Vec<&Value> = nodes
            .map(|node| &node["id"])
            .take(ASKED_ERRORS as usize)
            .collect();
        if ids.is_empty() {
            return;
        }
        let query = "mutation ($input: ResyncSyncErrorsInput!) { resyncSyncErrors(input: $input) { batch { id } userErrors { message } } }";
        let input = json!({ "errorIds": ids, "recordsPerError": RECORDS_PER_ERROR });
        self.send(&self.tokens.manage, query, input).await;
    }

    /// Claims what waits, tries it, and says what became of it.
    pub(super) async fn try_again(&self, portal: i64, step: u32) {
        let query = "mutation ($input: ClaimResyncItemsInput!) { claimResyncItems(input: $input) { items { id } reservation { id } userErrors { message } } }";
        let input = json!({ "hubId": portal.to_string(), "limit": TRIED });
        let claimed = self.send(&self.tokens.report, query, input).await;
        let claimed = &claimed["data"]["claimResyncItems"];
        let items = claimed["items"].as_array().into_iter().flatten();
        let outcome = |(place, item): (usize, &Value)| {
            let fails = (place + step as usize).is_multiple_of(ONE_FAILS_OF);
            json!({ "itemId": item["id"], "status": if fails { "FAILED" } else { "SUCCEEDED" } })
        };
        let outcomes: Vec<Value> = items.enumerate().map(outcome).collect();
        if outcomes.is_empty() {
            return;
        }
        let mut used = counted_briefly(portal, &format!("retry-{step}"), outcomes.len() as i64);
        used["reservationId"] = claimed["reservation"]["id"].clone();
        let query = "mutation ($input: ReportResyncOutcomesInput!) { reportResyncOutcomes(input: $input) { results { accepted } userErrors { message } } }";
        self.send(&self.tokens.report, query, json!({ "outcomes": outcomes }))
            .await;
        self.report_usage(used).await;
    }
}
