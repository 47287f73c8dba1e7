//! `sync-health token`.

use chrono::Utc;
use clap::Args;
use sync_health::kernel::auth;

use super::secret::Secret;
use super::terminal::{show, text};

#[derive(Args)]
pub struct Token {
    #[command(flatten)]
    pub secret: Secret,
    /// A Hub ID, or * for all portals; may be given several times.
    #[arg(long, required = true, value_parser = parse_portal)]
    pub portal: Vec<String>,
    /// Scopes, separated by spaces: sync-health:read, sync-health:manage, sync-health:report.
    #[arg(long, default_value = "sync-health:read")]
    pub scope: String,
    /// Who the token is for.
    #[arg(long, default_value = "cli")]
    pub subject: String,
    /// How long it is valid, for example 15m, 1h or 30d.
    #[arg(long, default_value = "1h", value_parser = parse_ttl)]
    pub ttl: chrono::Duration,
}

/// Signs a token and prints it.
pub fn run(token: Token) -> Result<(), String> {
    let expires_at = Utc::now() + token.ttl;
    refuse_unknown_scopes(&token.scope)?;
    let secret = token.secret.needed()?;
    let signed = auth::sign(
        &secret,
        &token.subject,
        &token.portal,
        &token.scope,
        expires_at,
    )
    .map_err(text)?;
    show(&format!("{signed}\n"));
    Ok(())
}

fn parse_portal(text: &str) -> Result<String, String> {
    match text == "*" || auth::parse_hub_id(text).is_some() {
        true => Ok(text.to_owned()),
        false => Err("a Hub ID is needed, a number like 1001, or * for all portals".to_owned()),
    }
}

fn refuse_unknown_scopes(scopes: &str) -> Result<(), String> {
    let unknown = scopes
        .split(' ')
        .find(|scope| !auth::SCOPES.contains(scope));
    match unknown {
        None => Ok(()),
        Some(scope) => Err(format!(
            "there is no scope {scope:?}; separated by a space: {}",
            auth::SCOPES.join(", ")
        )),
    }
}

fn parse_ttl(text: &str) -> Result<chrono::Duration, String> {
    let help = "a number with s, m, h or d, for example 1h";
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or(help)?;
    let number: i64 = number.parse().map_err(|_| help)?;
    let duration = match unit {
        "s" => chrono::Duration::try_seconds(number),
        "m" => chrono::Duration::try_minutes(number),
        "h" => chrono::Duration::try_hours(number),
        "d" => chrono::Duration::try_days(number),
        _ => None,
    };
    duration
        .filter(|duration| *duration > chrono::Duration::zero())
        .ok_or_else(|| help.to_owned())
}
