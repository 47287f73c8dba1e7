//! What the demo's engine does with API calls. Time is compressed: what it spends counts for two minutes, because it
//! says that it was spent almost a day ago; so the allocation runs out and recovers while somebody looks on.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::engine::Engine;

const ALLOCATED: i64 = 9_000;
const ORG_LIMIT: i64 = 100_000;
/// Calls of each hour of the day before.
const HOURLY: i64 = 200;
/// Calls that a step sets aside, and those that it makes.
const RESERVED: i64 = 80;
const USED: i64 = 60;
/// Steps of work and, together with them, of rest: so that every state is seen.
const WORK_STEPS: u32 = 180;
const WAVE_STEPS: u32 = 300;
/// For how long a step's calls count.
const COUNTED_MINUTES: i64 = 2;

const REPORT: &str = "mutation ($input: ReportApiUsageInput!) { reportApiUsage(input: $input) { userErrors { message } } }";

impl Engine {
    /// Sets the allocation and tells of the day before.
    pub(super) async fn begin_calls(&self, portal: i64) {
        let query = "mutation ($input: SetHubspotAllocationInput!) { setHubspotAllocation(input: $input) { userErrors { message } } }";
        let input = json!({ "hubId": portal, "calls": ALLOCATED });
        self.send(&self.tokens.manage, query, input).await;
        for hour in 1..24 {
            let at = Utc::now() - Duration::hours(hour);
            let calls = HOURLY + (hour * 37) % 90;
            let input = usage(portal, &format!("day-{hour}"), calls, at);
            self.send(&self.tokens.report, REPORT, input).await;
        }
    }

    /// Sets calls aside, makes most of them and tells so; waits where none are left.
    pub(super) async fn spend_calls(&self, portal: i64, step: u32) {
        if step % WAVE_STEPS >= WORK_STEPS {
            return;
        }
        let query = "mutation ($input: ReserveApiCallsInput!) { reserveApiCalls(input: $input) { reservation { id } retryAt userErrors { message } } }";
        let input =
            json!({ "hubId": portal, "calls": RESERVED, "idempotencyKey": format!("step-{step}") });
        let answer = self.send(&self.tokens.report, query, input).await;
        let id = &answer["data"]["reserveApiCalls"]["reservation"]["id"];
        if id.is_null() {
            return;
        }
        let mut input = counted_briefly(portal, &format!("step-{step}"), USED);
        input["reservationId"] = id.clone();
        let org = ORG_LIMIT / 5 + i64::from(step) % 1_000;
        input["sforceLimitInfo"] = json!(format!("api-usage={org}/{ORG_LIMIT}"));
        self.report_usage(input).await;
    }

    pub(super) async fn report_usage(&self, input: Value) {
        self.send(&self.tokens.report, REPORT, input).await;
    }
}

/// Calls that soon stop to count.
pub(super) fn counted_briefly(portal: i64, report: &str, calls: i64) -> Value {
    let at = Utc::now() - Duration::days(1) + Duration::minutes(COUNTED_MINUTES);
    usage(portal, report, calls, at)
}

fn usage(portal: i64, report: &str, calls: i64, at: DateTime<Utc>) -> Value {
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({ "hubId": portal, "reportId": report, "calls": calls, "occurredAt": at })
}
