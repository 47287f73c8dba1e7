//! The command line, and the configuration that it makes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use sync_health::kernel::auth::{KeySource, VerifierConfig};
use sync_health::kernel::config::{Config, LiveConfig, MIN_SECRET_BYTES, Rate};
use sync_health::kernel::limits;
use sync_health::kernel::mail::MailConfig;

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
    /// Take old failures over from a file: NDJSON, or the CSV of Salesforce's tools.
    Import(Box<Import>),
}

#[derive(Args)]
pub struct Import {
    /// NDJSON with the keys of SyncFailureInput, or a .csv: failed results of the Bulk API, errors of Data Loader, or any other with --map.
    pub file: PathBuf,
    /// The Hub ID of the portal.
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    pub portal: i64,
    #[command(flatten)]
    pub database: Database,
    /// Send the failures to this server instead, for example http://127.0.0.1:8080.
    #[arg(long)]
    pub url: Option<String>,
    /// A token for that server, with the scope sync-health:report.
    #[arg(long, env = "SYNC_HEALTH_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// When the failures of rows that do not say happened (RFC 3339). The time of the file when left out: a copy with a
    /// new date counts as new failures.
    #[arg(long, value_name = "INSTANT")]
    pub occurred_at: Option<chrono::DateTime<chrono::Utc>>,
    /// What separates the columns of a CSV; found out by its first line when left out.
    #[arg(long, value_parser = parse_delimiter)]
    pub delimiter: Option<char>,
    /// What a column of a CSV is, for example Problem=message; may be given several times.
    #[arg(long, value_name = "COLUMN=KEY")]
    pub map: Vec<String>,
    /// The column of a CSV that holds the HubSpot record's id: inserts that failed have no id of Salesforce.
    #[arg(long, value_name = "COLUMN")]
    pub record_id_column: Option<String>,
    /// The Salesforce object of rows that do not say, for example Contact.
    #[arg(long)]
    pub object: Option<String>,
    /// The HubSpot object of rows that do not say, for example contact.
    #[arg(long)]
    pub hubspot_object: Option<String>,
    /// Which way the changes of rows that do not say were to go.
    #[arg(long, value_enum, default_value_t = Direction::HubspotToSalesforce)]
    pub direction: Direction,
    /// Show which errors the failures would become, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Which way a change was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Direction {
    /// To Salesforce.
    HubspotToSalesforce,
    /// To HubSpot.
    SalesforceToHubspot,
}

impl Direction {
    /// As the contract writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HubspotToSalesforce => "HUBSPOT_TO_SALESFORCE",
            Self::SalesforceToHubspot => "SALESFORCE_TO_HUBSPOT",
        }
    }
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
pub struct Serve {
    /// Address and port to listen on.
    #[arg(long, env = "SYNC_HEALTH_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    secret: Secret,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    rates: Rates,
    /// An origin whose pages may call, for example https://app.example.com; * for all. Several separated by commas.
    #[arg(long, env = "SYNC_HEALTH_CORS_ORIGINS", value_delimiter = ',')]
    cors_origins: Vec<String>,
    /// WebSockets and event streams of this server.
    #[arg(long, env = "SYNC_HEALTH_LIVE_CONNECTIONS", default_value_t = limits::LIVE_CONNECTIONS.value)]
    live_connections: usize,
    /// Subscriptions to one portal on this server.
    #[arg(long, env = "SYNC_HEALTH_PORTAL_SUBSCRIPTIONS", default_value_t = limits::PORTAL_SUBSCRIPTIONS.value)]
    portal_subscriptions: usize,
    /// A manifest of documents (of Relay's compiler or Apollo's tools): nothing else runs then.
    #[arg(long, env = "SYNC_HEALTH_TRUSTED_DOCUMENTS")]
    trusted_documents: Option<PathBuf>,
    /// Let webhooks go to private addresses, and by plain http.
    #[arg(long, env = "SYNC_HEALTH_ALLOW_PRIVATE_WEBHOOKS")]
    allow_private_webhooks: bool,
    #[command(flatten)]
    mail: Mail,
    /// Serve GraphiQL at /graphiql.
    #[arg(long, env = "SYNC_HEALTH_GRAPHIQL")]
    graphiql: bool,
    /// Connections that read, and on PostgreSQL as many that write.
    #[arg(long, env = "SYNC_HEALTH_DATABASE_CONNECTIONS", default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    database_connections: u32,
    /// Send traces to this OpenTelemetry collector (OTLP over HTTP), for example http://127.0.0.1:4318.
    #[arg(long, env = "SYNC_HEALTH_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
}

#[derive(Args)]
struct Mail {
    /// The mail server: smtps://USER:PASSWORD@HOST, or smtp://…?tls=required for STARTTLS. No e-mail without.
    #[arg(long, env = "SYNC_HEALTH_SMTP_URL", hide_env_values = true)]
    smtp_url: Option<String>,
    /// Who e-mail comes from, for example "Sync Health <sync-health@example.com>".
    #[arg(long, env = "SYNC_HEALTH_SMTP_FROM", requires = "smtp_url")]
    smtp_from: Option<String>,
    /// The certificate (PEM) of an authority of your own that signed the mail server's.
    #[arg(long, env = "SYNC_HEALTH_SMTP_ROOT_CERTIFICATE", requires = "smtp_url")]
    smtp_root_certificate: Option<PathBuf>,
    /// For how many seconds news that are told at once are gathered into one message.
    #[arg(long, env = "SYNC_HEALTH_GATHERING_SECONDS", default_value_t = 60)]
    gathering_seconds: u64,
}

impl Mail {
    fn config(self) -> Result<MailConfig, String> {
        match (self.smtp_url, self.smtp_from) {
            (Some(url), Some(from)) => Ok(MailConfig::Smtp {
                url,
                from,
                root_certificate: self.smtp_root_certificate,
            }),
            (Some(_), None) => Err(
                "e-mail needs a sender: set --smtp-from, for example \"Sync Health <sync-health@example.com>\"".into(),
            ),
            (None, _) => Ok(MailConfig::None),
        }
    }
}

#[derive(Args)]
struct Keys {
    /// A file with the issuer's public keys (JWK Set), for RS256, ES256 and EdDSA tokens.
    #[arg(long, env = "SYNC_HEALTH_JWKS_FILE", conflicts_with = "jwks_url")]
    jwks_file: Option<PathBuf>,
    /// The address of the issuer's public keys (JWK Set).
    #[arg(long, env = "SYNC_HEALTH_JWKS_URL")]
    jwks_url: Option<url::Url>,
    /// What a token's iss has to be.
    #[arg(long, env = "SYNC_HEALTH_JWT_ISSUER")]
    jwt_issuer: Option<String>,
    /// What a token's aud has to hold.
    #[arg(long, env = "SYNC_HEALTH_JWT_AUDIENCE")]
    jwt_audience: Option<String>,
    /// By how many seconds the issuer's clock may differ.
    #[arg(long, env = "SYNC_HEALTH_JWT_LEEWAY_SECONDS", default_value_t = 60)]
    jwt_leeway_seconds: u64,
}

const DEFAULT_POINTS: u32 = limits::BUCKET_POINTS.value as u32;
const DEFAULT_RESTORED: u32 = limits::RESTORED_POINTS.value as u32;
const DEFAULT_REPORT_POINTS: u32 = limits::REPORT_BUCKET_POINTS.value as u32;
const DEFAULT_RESTORED_REPORT: u32 = limits::RESTORED_REPORT_POINTS.value as u32;

#[derive(Args)]
struct Rates {
    /// Points that a subject can spend on one portal at once.
    #[arg(long, env = "SYNC_HEALTH_POINTS", default_value_t = DEFAULT_POINTS,
        value_parser = clap::value_parser!(u32).range(1..))]
    points: u32,
    /// Points that come back each second.
    #[arg(long, env = "SYNC_HEALTH_POINTS_PER_SECOND", default_value_t = DEFAULT_RESTORED,
        value_parser = clap::value_parser!(u32).range(1..))]
    points_per_second: u32,
    /// Points that an engine can spend on reports to one portal at once.
    #[arg(long, env = "SYNC_HEALTH_REPORT_POINTS", default_value_t = DEFAULT_REPORT_POINTS,
        value_parser = clap::value_parser!(u32).range(1..))]
    report_points: u32,
    /// Points for reports that come back each second.
    #[arg(long, env = "SYNC_HEALTH_REPORT_POINTS_PER_SECOND", default_value_t = DEFAULT_RESTORED_REPORT,
        value_parser = clap::value_parser!(u32).range(1..))]
    report_points_per_second: u32,
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

impl Serve {
    /// The configuration of the server; in words what is missing.
    pub fn config(self) -> Result<Config, String> {
        let secret = self.secret.checked()?;
        let keys = match (self.keys.jwks_file, self.keys.jwks_url) {
            (Some(path), _) => Some(KeySource::File(path)),
            (None, Some(url)) => Some(KeySource::Url(url)),
            (None, None) => None,
        };
        if secret.is_none() && keys.is_none() {
            return Err(format!(
                "no key to check tokens with: {SECRET_HELP}; or set --jwks-url or --jwks-file to the public keys of your issuer"
            ));
        }
        let auth = VerifierConfig {
            secret,
            keys,
            issuer: self.keys.jwt_issuer,
            audience: self.keys.jwt_audience,
            leeway: Duration::from_secs(self.keys.jwt_leeway_seconds),
            ..VerifierConfig::of_secret(Vec::new())
        };
        let rates = self.rates;
        Ok(Config {
            database_connections: self.database_connections,
            points: Rate::new(rates.points, rates.points_per_second),
            report_points: Rate::new(rates.report_points, rates.report_points_per_second),
            live: LiveConfig {
                connections: self.live_connections,
                portal_subscriptions: self.portal_subscriptions,
                ..LiveConfig::default()
            },
            cors_origins: self.cors_origins,
            trusted_documents: self.trusted_documents,
            graphiql: self.graphiql,
            allows_private_webhooks: self.allow_private_webhooks,
            gathering: Duration::from_secs(self.mail.gathering_seconds),
            mail: self.mail.config()?,
            ..Config::new(self.database.database_url, auth)
        })
    }
}

fn parse_delimiter(text: &str) -> Result<char, String> {
    let text = if text == "\\t" { "\t" } else { text };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) if one.is_ascii() && one != '"' => Ok(one),
        _ => Err("one character is needed, for example ; or \\t".to_owned()),
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
