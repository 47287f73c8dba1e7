//! Where imported failures go: straight into a database, or to a server.

use std::sync::Arc;

use serde_json::Value;
use sync_health::kernel::auth::{Report, Scope, VerifierConfig};
use sync_health::kernel::clock::Clock;
use sync_health::kernel::config::Config;
use sync_health::kernel::db::Db;
use sync_health::kernel::env::Env;
use sync_health::kernel::metrics::Metrics;
use sync_health::kernel::wake::Wake;
use sync_health::kernel::webhook::WebhookSender;
use sync_health::sync_errors::report::{CheckedFailure, report_failures};

use crate::cli::Import;
use crate::text;

/// What became of a batch.
#[derive(Default)]
pub struct Taken {
    pub recorded: u64,
    /// Known before.
    pub repeated: u64,
    /// What a server refused that was good here: the places in the batch, and why.
    pub refused: Vec<(usize, String)>,
}

/// Where to.
pub enum Sink {
    /// A database, by the operator's own authority.
    Database { env: Box<Env>, scope: Scope<Report> },
    /// A server, by a token.
    Server {
        client: reqwest::Client,
        url: String,
        token: String,
    },
}

impl Sink {
    pub async fn open(options: &Import) -> Result<Self, String> {
        if let Some(url) = &options.url {
            let token = options.token.clone();
            let token = token.ok_or("a server needs a token with the scope sync-health:report: set --token or SYNC_HEALTH_TOKEN")?;
            let client = reqwest::Client::builder()
                .build()
                .map_err(|error| error.to_string())?;
            let url = format!(
                "{}/v1/sync-failures?hubId={}",
                url.trim_end_matches('/'),
                options.portal
            );
            return Ok(Self::Server { client, url, token });
        }
        let auth = VerifierConfig::of_secret(Vec::new());
        let config = Config::new(options.database.database_url.clone(), auth);
        let db = Db::connect(&config).await.map_err(text)?;
        if config.database_url.starts_with("sqlite:") {
            db.migrate().await.map_err(text)?;
        }
        let env = Env {
            db,
            clock: Clock::System,
            metrics: Arc::new(Metrics::default()),
            wake: Wake::default(),
            webhooks: WebhookSender::new(false).map_err(text)?,
        };
        Ok(Self::Database {
            env: Box::new(env),
            scope: Scope::of_operator(options.portal),
        })
    }

    /// Takes failures.
    pub async fn take(&mut self, batch: Vec<(Value, CheckedFailure)>) -> Result<Taken, String> {
        match self {
            Self::Database { env, scope } => {
                let failures: Vec<CheckedFailure> =
                    batch.into_iter().map(|(_, checked)| checked).collect();
                let answers = report_failures(env, scope, &failures).await.map_err(text)?;
                let answers = answers.ok_or("the portal does not exist")?;
                let recorded = answers.iter().filter(|answer| answer.recorded).count() as u64;
                Ok(Taken {
                    recorded,
                    repeated: answers.len() as u64 - recorded,
                    refused: Vec::new(),
                })
            }
            Self::Server { client, url, token } => {
                let lines: String = batch
                    .iter()
                    .map(|(value, _)| format!("{value}\n"))
                    .collect();
                let sent = client
                    .post(url.as_str())
                    .bearer_auth(token)
                    .body(lines)
                    .send();
                let answer = sent.await.map_err(|error| error.to_string())?;
                let status = answer.status();
                let told: Value = answer.json().await.map_err(|error| error.to_string())?;
                if !status.is_success() {
                    return Err(format!(
                        "the server answered {status}: {}",
                        told["errors"][0]["message"]
                    ));
                }
                let count = |key: &str| told[key].as_u64().unwrap_or(0);
                let refused = told["userErrors"].as_array().into_iter().flatten();
                let reason = |error: &Value| {
                    let place = error["line"].as_u64().unwrap_or(1) as usize - 1;
                    (
                        place,
                        error["message"].as_str().unwrap_or_default().to_owned(),
                    )
                };
                Ok(Taken {
                    recorded: count("recordedCount"),
                    repeated: count("repeatedCount"),
                    refused: refused.map(reason).collect(),
                })
            }
        }
    }

    pub async fn close(self) -> Result<(), String> {
        match self {
            Self::Database { env, .. } => env.db.clone().close().await.map_err(text),
            Self::Server { .. } => Ok(()),
        }
    }
}
