//! Sends the scenario: all of it at once, then a steady trickle of failures and successes.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use reqwest::Client;
use serde_json::{Value, json};

use super::scenario::{SCENES, small};
use super::{MAIL_TO, PORTALS, Tokens};

/// Small causes of the first portal; the second gets a quarter.
const SMALL_CAUSES: u32 = 240;
/// Failures in one call.
const CALL_SIZE: usize = 500;
/// Time between two steps of the trickle.
const PAUSE: Duration = Duration::from_millis(1_000);

/// Runs until it is aborted. What the API refuses is said on the log: then the demo itself is wrong.
pub async fn run(address: SocketAddr, tokens: Tokens) {
    let engine = Engine {
        client: Client::builder().no_proxy().build().unwrap_or_default(),
        url: format!("http://{address}/graphql"),
        tokens,
    };
    engine.configure().await;
    for (share, portal) in [(1, PORTALS[0]), (4, PORTALS[1])] {
        let mut failures: Vec<Value> = SCENES
            .iter()
            .flat_map(|scene| (0..scene.records / share).map(scene.failure))
            .collect();
        failures.extend((0..SMALL_CAUSES / share).map(small));
        for failures in failures.chunks(CALL_SIZE) {
            engine.fail(portal, failures).await;
        }
    }
    for step in 0.. {
        tokio::time::sleep(PAUSE).await;
        engine.trickle(step).await;
    }
}

pub(super) struct Engine {
    client: Client,
    url: String,
    pub(super) tokens: Tokens,
}

impl Engine {
    /// Sends an operation; answers what comes back.
    pub(super) async fn ask(&self, token: &str, query: &str, input: Value) -> Value {
        let body = json!({ "query": query, "variables": { "input": input } });
        let request = self.client.post(&self.url).bearer_auth(token).json(&body);
        match request.send().await {
            Ok(response) => response.json().await.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "the demo's engine does not reach its server");
                Value::Null
            }
        }
    }

    /// Sends a mutation; answers what comes back, and says on the log when it was refused.
    pub(super) async fn send(&self, token: &str, query: &str, input: Value) -> Value {
        let answer = self.ask(token, query, input).await;
        let refused = answer["data"]
            .as_object()
            .into_iter()
            .flatten()
            .any(|(_, payload)| payload["userErrors"] != json!([]));
        if refused || !answer["errors"].is_null() {
            tracing::warn!(%answer, "the demo's engine was refused");
        }
        answer
    }

    async fn configure(&self) {
        let configure = "mutation ($input: ConfigurePortalInput!) { configurePortal(input: $input) { userErrors { message } } }";
        let report = "mutation ($input: ReportPortalStateInput!) { reportPortalState(input: $input) { userErrors { message } } }";
        for (portal, name, zone) in [
            (PORTALS[0], "Nordwind Group", "Europe/Berlin"),
            (PORTALS[1], "Nordwind North America", "America/New_York"),
        ] {
            let input = json!({ "hubId": portal, "name": name, "timeZone": zone });
            self.send(&self.tokens.manage, configure, input).await;
            let input = json!({ "hubId": portal, "syncState": "ACTIVE", "salesforceInstanceUrl": "https://nordwind.my.salesforce.com", "salesforceUsername": "hubspot.integration@nordwind.example" });
            self.send(&self.tokens.report, report, input).await;
            self.begin_calls(portal).await;
            let notify = "mutation ($input: ConfigureNotificationsInput!) { configureNotifications(input: $input) { userErrors { message } } }";
            let input = json!({ "hubId": portal, "enabled": true, "frequency": "IMMEDIATELY", "emails": [MAIL_TO] });
            self.send(&self.tokens.manage, notify, input).await;
        }
    }

    async fn fail(&self, portal: i64, failures: &[Value]) {
        let query = "mutation ($input: ReportSyncFailuresInput!) { reportSyncFailures(input: $input) { recordedCount userErrors { message elementIndex } } }";
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let failures: Vec<Value> = failures
            .iter()
            .map(|failure| {
                let mut failure = failure.clone();
                failure["occurredAt"] = json!(now);
                failure
            })
            .collect();
        self.send(
            &self.tokens.report,
            query,
            json!({ "hubId": portal, "failures": failures }),
        )
        .await;
    }

    /// A record fails, another syncs again; now and then a new cause appears and an old one is gone.
    async fn trickle(&self, step: u32) {
        let portal = PORTALS[step as usize % PORTALS.len()];
        let scene = &SCENES[step as usize % SCENES.len()];
        let new = (scene.failure)(scene.records + step);
        self.spend_calls(portal, step).await;
        self.ask_again(portal, step).await;
        self.try_again(portal, step).await;
        self.fail(portal, &[new, small(SMALL_CAUSES + step % 600)])
            .await;
        let query = "mutation ($input: ReportSyncSuccessesInput!) { reportSyncSuccesses(input: $input) { clearedRecordCount userErrors { message } } }";
        let healed = [
            (scene.failure)(step % scene.records.max(1)),
            small(step % SMALL_CAUSES),
        ];
        let successes: Vec<Value> = healed
            .iter()
            .map(|failure| json!({ "direction": failure["direction"], "hubspotRecord": failure["hubspotRecord"], "salesforceRecord": failure["salesforceRecord"] }))
            .collect();
        self.send(
            &self.tokens.report,
            query,
            json!({ "hubId": portal, "successes": successes }),
        )
        .await;
    }
}
