//! The command line.

mod export;
mod import;
mod open_files;
mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use sync_health::classify::{System, canonical_object_type, canonical_record_id};
use sync_health::kernel::config::MIN_SECRET_BYTES;
use sync_health::sync_errors::report::RecordKey;

pub use export::{Export, Format, Status};
pub use import::Import;
pub use serve::Serve;

/// The state of HubSpot-Salesforce integrations as a GraphQL API.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Serve the API.
    Serve(Box<Serve>),
    /// Serve a temporary database with two portals and a simulated engine, to look around.
    Demo(Demo),
    /// Bring the tables of the database up to date.
    Migrate(Database),
    /// Print the contract in GraphQL's schema language.
    Schema,
    /// Sign a token.
    Token(Token),
    /// Read failures, one JSON object a line with the keys of SyncFailureInput, and say what each is and what to do.
    Classify(Classify),
    /// Copy a SQLite database into a new file, beside servers that run.
    Backup(Backup),
    /// Put a copy in the place of a SQLite database, or finish what pg_restore did: cursors from before are refused then.
    Restore(Restore),
    /// Check the storage, recount counters and feed against the rows, and say what does not add up.
    Doctor(Database),
    /// Remove a portal with all that belongs to it, or what is known of one record.
    Forget(Forget),
    /// Write what does not sync into a file: CSV, XLSX, or NDJSON that import takes.
    Export(Box<Export>),
    /// Take old failures over from a file: NDJSON, or the CSV of Salesforce's tools.
    Import(Box<Import>),
}

#[derive(Args)]
pub struct Classify {
    /// The file; standard input when left out.
    pub file: Option<PathBuf>,
    /// The language of the advice.
    #[arg(long, value_enum, default_value_t = Locale::En)]
    pub locale: Locale,
    /// Print one JSON object a cause instead of words for people.
    #[arg(long)]
    pub json: bool,
}

/// A language of our own texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Locale {
    /// English.
    En,
    /// German.
    De,
}

#[derive(Args)]
pub struct Database {
    /// sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(
        long,
        env = "SYNC_HEALTH_DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://sync-health.db"
    )]
    pub database_url: String,
}

#[derive(Args)]
pub struct Secret {
    /// The secret that signs tokens (HS256), at least 32 bytes long.
    #[arg(long, env = "SYNC_HEALTH_JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
}

impl Secret {
    /// The secret, where there is one; refused when it is short.
    fn checked(self) -> Result<Option<Vec<u8>>, String> {
        match self.jwt_secret {
            Some(secret) if secret.len() < MIN_SECRET_BYTES => Err(format!(
                "the secret has only {} bytes: {SECRET_HELP}",
                secret.len()
            )),
            secret => Ok(secret.map(String::into_bytes)),
        }
    }

    /// The secret of a command that cannot do without.
    pub fn needed(self) -> Result<Vec<u8>, String> {
        self.checked()?
            .ok_or_else(|| format!("no secret to sign with: {SECRET_HELP}"))
    }
}

const SECRET_HELP: &str = "set --jwt-secret or SYNC_HEALTH_JWT_SECRET to a secret of at least 32 bytes, for example from: openssl rand -hex 32";

#[derive(Args)]
pub struct Backup {
    /// The copy; it must not exist.
    pub file: PathBuf,
    #[command(flatten)]
    pub database: Database,
}

#[derive(Args)]
pub struct Restore {
    /// The copy, as the command backup makes it; left out for PostgreSQL, which pg_restore has restored.
    pub copy: Option<PathBuf>,
    #[command(flatten)]
    pub database: Database,
}

#[derive(Args)]
pub struct Forget {
    /// The Hub ID of the portal.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub portal: i64,
    /// Only this record, for example HUBSPOT:contact:501 or SALESFORCE:Contact:0035e000003GcMxAAK: its rows, and what
    /// only it told of errors, resyncs and messages.
    #[arg(long, value_name = "SYSTEM:TYPE:ID", value_parser = parse_record)]
    pub record: Option<RecordKey>,
    #[command(flatten)]
    pub database: Database,
    /// Do it; without, it only says what would be removed.
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
pub struct Demo {
    /// Address and port to listen on.
    #[arg(long, env = "SYNC_HEALTH_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Stop after this many seconds instead of running until interrupted.
    #[arg(long)]
    pub seconds: Option<u64>,
}

#[derive(Args)]
pub struct Token {
    #[command(flatten)]
    pub secret: Secret,
    /// A Hub ID, or * for all portals; may be given several times.
    #[arg(long, required = true)]
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

fn parse_record(text: &str) -> Result<RecordKey, String> {
    let help = "system, object type and id, for example HUBSPOT:contact:501";
    let mut parts = text.splitn(3, ':');
    let mut part = || {
        let part = parts.next().map(str::trim);
        part.filter(|part| !part.is_empty()).ok_or(help)
    };
    let system = match part()?.to_ascii_uppercase().as_str() {
        "HUBSPOT" => System::Hubspot,
        "SALESFORCE" => System::Salesforce,
        _ => return Err(help.to_owned()),
    };
    Ok(RecordKey {
        system,
        object_type: Some(canonical_object_type(system, part()?)),
        id: canonical_record_id(system, part()?),
    })
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
