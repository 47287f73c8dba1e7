//! Where imported failures go: straight into a database, or to a server.

use std::time::Duration;

use serde_json::Value;
use sync_health::kernel::auth::{Report, Scope};
use sync_health::kernel::env::Env;
use sync_health::portals;
use sync_health::sync_errors::report::{CheckedFailure, report_failures_until_kept};

use super::arguments::Arguments;
use crate::cli::database;
use crate::cli::terminal::text;

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
        /// Whether it has answered before: then being out of reach passes.
        has_answered: bool,
    },
}

impl Sink {
    pub async fn open(options: &Arguments) -> Result<Self, String> {
        if let Some(url) = &options.url {
            let token = options.token.clone();
            let token = token.ok_or("a server needs a token with the scope sync-health:report: set --token or SYNC_HEALTH_TOKEN")?;
            let client = reqwest::Client::builder()
                .timeout(ANSWER_TIMEOUT)
                .build()
                .map_err(|error| error.to_string())?;
            let url = format!(
                "{}/v1/sync-failures?hubId={}",
                url.trim_end_matches('/'),
                options.portal
            );
            return Ok(Self::Server {
                client,
                url,
                token,
                has_answered: false,
            });
        }
        let mut env = database::open(&options.database).await?;
        env.portal_errors = options.portal_errors;
        let scope = Scope::of_operator(options.portal);
        let is_known = portals::exists(&env.db.moving(), &scope).await;
        if !is_known.map_err(text)? {
            eprintln!("portal {} is new in this database", options.portal);
        }
        Ok(Self::Database {
            env: Box::new(env),
            scope,
        })
    }

    /// Takes failures.
    pub async fn take(&mut self, batch: Vec<(Value, CheckedFailure)>) -> Result<Taken, String> {
        match self {
            Self::Database { env, scope } => {
                let mut failures: Vec<CheckedFailure> =
                    batch.into_iter().map(|(_, checked)| checked).collect();
                let answers = report_failures_until_kept(env, scope, &mut failures)
                    .await
                    .map_err(text)?;
                let answers = answers.ok_or("the portal does not exist")?;
                let recorded = answers.iter().filter(|answer| answer.recorded).count() as u64;
                let known = answers.len() as u64 - recorded;
                let refused = answers.into_iter().enumerate();
                let refused: Vec<(usize, String)> = refused
                    .filter_map(|(place, answer)| Some((place, answer.refused?.message)))
                    .collect();
                Ok(Taken {
                    recorded,
                    repeated: known - refused.len() as u64,
                    refused,
                })
            }
            Self::Server {
                client,
                url,
                token,
                has_answered,
            } => {
                let lines: String = batch
                    .iter()
                    .map(|(value, _)| format!("{value}\n"))
                    .collect();
                let told = post(client, (url, token), lines, *has_answered).await?;
                *has_answered = true;
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

/// How long a server may take for a batch.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a batch is sent; nothing is counted twice.
const ATTEMPTS: u32 = 5;

/// Sends a batch, again where the server is busy or out of reach for a moment; answers what it tells.
async fn post(
    client: &reqwest::Client,
    (url, token): (&str, &str),
    lines: String,
    has_answered: bool,
) -> Result<Value, String> {
    let mut attempt = 1;
    loop {
        let request = client.post(url).bearer_auth(token).body(lines.clone());
        let (why, pause) = match request.send().await {
            Ok(answer) => {
                let (status, after) = (answer.status(), retry_after(&answer));
                let body = answer
                    .bytes()
                    .await
                    .map_err(|error| out_of_reach(url, &error))?;
                let told: Value = serde_json::from_slice(&body).unwrap_or_default();
                if status.is_success() && told["recordedCount"].is_number() {
                    return Ok(told);
                }
                let why = refusal(url, status, &told);
                if ![429, 502, 503, 504].contains(&status.as_u16()) {
                    return Err(why);
                }
                (why, after)
            }
            Err(error) if !has_answered && (error.is_connect() || error.is_builder()) => {
                return Err(out_of_reach(url, &error));
            }
            Err(error) => (out_of_reach(url, &error), None),
        };
        if attempt == ATTEMPTS {
            return Err(why);
        }
        let pause = pause.unwrap_or(Duration::from_secs(1 << attempt));
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

/// Scheme, host and port: what else an address has may be secret.
fn place(url: &str) -> String {
    let Ok(url) = reqwest::Url::parse(url) else {
        return url.to_owned();
    };
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}://{host}:{port}", url.scheme())
}

fn refusal(url: &str, status: reqwest::StatusCode, told: &Value) -> String {
    let place = place(url);
    match told["errors"][0]["message"].as_str() {
        Some(message) => format!("the server {place} answered {status}: {message}"),
        None => {
            format!("the server {place} answered {status}: is it a Sync Health server (--url)?")
        }
    }
}

/// The innermost cause says what happened, the others only where.
fn out_of_reach(url: &str, error: &reqwest::Error) -> String {
    if error.is_builder() {
        return "--url is the address of a server, for example http://127.0.0.1:8080".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let why = cause.to_string();
    let why = why
        .split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let place = place(url);
    match error.is_timeout() {
        true => format!("the server {place} does not answer in time"),
        false => format!("the server {place} cannot be reached (--url): {why}"),
    }
}

fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let seconds = answer.headers().get("retry-after")?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?).min(ANSWER_TIMEOUT))
}
