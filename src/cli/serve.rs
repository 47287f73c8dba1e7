//! `sync-health serve`: its arguments, and the configuration that they make.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use sync_health::kernel::auth::{KeySource, VerifierConfig};
use sync_health::kernel::config::{
    Config, ConnectionConfig, LiveConfig, Rate, RetentionConfig, Synchronous,
};
use sync_health::kernel::limits;
use sync_health::kernel::mail::MailConfig;
use sync_health::kernel::panics::Panics;
use sync_health::server;

use super::database::DatabaseUrl;
use super::listener::{bind, stop_signal};
use super::open_files;
use super::secret::{SECRET_HELP, Secret};
use super::terminal::text;

#[derive(Args)]
pub struct Serve {
    /// Address and port to listen on.
    #[arg(long, env = "SYNC_HEALTH_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    #[command(flatten)]
    database: DatabaseUrl,
    /// PostgreSQL itself where --database-url leads to a pooler: NOTIFY does not pass one that lends connections for a
    /// transaction at a time. Without, what other servers commit is seen within a second.
    #[arg(long, env = "SYNC_HEALTH_DATABASE_LISTEN_URL", hide_env_values = true)]
    database_listen_url: Option<String>,
    /// When SQLite says that a change is kept: when it is on the disk (full), or when the operating system has it
    /// (normal), which is faster, and a power cut may take the last changes back.
    #[arg(long, env = "SYNC_HEALTH_SQLITE_SYNCHRONOUS", value_enum, default_value_t = SqliteSynchronous::Full)]
    sqlite_synchronous: SqliteSynchronous,
    #[command(flatten)]
    secret: Secret,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    rates: Rates,
    /// An origin whose pages may call, for example https://app.example.com; * for all. Several separated by commas.
    #[arg(long, env = "SYNC_HEALTH_CORS_ORIGINS", value_delimiter = ',')]
    cors_origins: Vec<String>,
    /// Where clients reach the server, for example https://sync.example.com: addresses of downloads and links of
    /// confirmations begin with it. The address that it listens on when left out.
    #[arg(long, env = "SYNC_HEALTH_PUBLIC_URL", value_parser = parse_public_url)]
    public_url: Option<String>,
    /// Connections of this server, whatever is spoken on them; as many as it may open files for at most. 25000 when left
    /// out.
    #[arg(long, env = "SYNC_HEALTH_CONNECTIONS", value_parser = positive())]
    connections: Option<usize>,
    /// Connections from one address. Behind a proxy, whose address all have, as many as --connections.
    #[arg(long, env = "SYNC_HEALTH_PEER_CONNECTIONS", default_value_t = limits::PEER_CONNECTIONS.value, value_parser = positive())]
    peer_connections: usize,
    /// WebSockets and event streams of this server.
    #[arg(long, env = "SYNC_HEALTH_LIVE_CONNECTIONS", default_value_t = limits::LIVE_CONNECTIONS.value)]
    live_connections: usize,
    /// Subscriptions to one portal on this server.
    #[arg(long, env = "SYNC_HEALTH_PORTAL_SUBSCRIPTIONS", default_value_t = limits::PORTAL_SUBSCRIPTIONS.value)]
    portal_subscriptions: usize,
    /// Errors that a portal keeps, resolved ones too: failures that would open more are refused with PORTAL_FULL.
    #[arg(long, env = "SYNC_HEALTH_PORTAL_ERRORS", default_value_t = limits::PORTAL_ERRORS.value)]
    portal_errors: usize,
    /// A manifest of documents (of Relay's compiler or Apollo's tools): nothing else runs then.
    #[arg(long, env = "SYNC_HEALTH_TRUSTED_DOCUMENTS")]
    trusted_documents: Option<PathBuf>,
    /// Let webhooks go to private addresses, and by plain http.
    #[arg(long, env = "SYNC_HEALTH_ALLOW_PRIVATE_WEBHOOKS")]
    allow_private_webhooks: bool,
    #[command(flatten)]
    mail: Mail,
    #[command(flatten)]
    retention: Retention,
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

/// When SQLite says that a change is kept.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SqliteSynchronous {
    /// When it is on the disk.
    Full,
    /// When the operating system has it.
    Normal,
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
    /// Send news to addresses that have not confirmed that they want them: where whoever manages a portal knows them.
    #[arg(long, env = "SYNC_HEALTH_UNCONFIRMED_EMAILS")]
    unconfirmed_emails: bool,
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
struct Retention {
    /// For how many days resolved errors, cleared records, ended resyncs and delivered notifications are kept.
    #[arg(long, env = "SYNC_HEALTH_KEEP_RESOLVED_DAYS", default_value_t = 90,
        value_parser = clap::value_parser!(u32).range(1..=MOST_DAYS))]
    keep_resolved_days: u32,
    /// For how many days the feed is kept; at most as long as resolved errors.
    #[arg(long, env = "SYNC_HEALTH_KEEP_FEED_DAYS", default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(1..=MOST_DAYS))]
    keep_feed_days: u32,
    /// For how many days the trend and the use of API calls are kept.
    #[arg(long, env = "SYNC_HEALTH_KEEP_HISTORY_DAYS", default_value_t = 400,
        value_parser = clap::value_parser!(u32).range(1..=MOST_DAYS))]
    keep_history_days: u32,
}

/// A hundred years.
const MOST_DAYS: i64 = 36_525;

impl Retention {
    fn config(self) -> Result<RetentionConfig, String> {
        if self.keep_feed_days > self.keep_resolved_days {
            return Err(format!(
                "the feed tells of errors that are gone: keep it at most {} days, as long as resolved errors (--keep-feed-days, --keep-resolved-days)",
                self.keep_resolved_days
            ));
        }
        Ok(RetentionConfig {
            resolved_days: self.keep_resolved_days,
            feed_days: self.keep_feed_days,
            history_days: self.keep_history_days,
        })
    }
}

/// Serves until a signal stops it.
pub async fn run(serve: Serve, panics: Panics) -> Result<(), String> {
    let listen = serve.listen.clone();
    let config = Config {
        panics,
        ..serve.config()?
    };
    let listener = bind(&listen).await?;
    server::run(config, listener, stop_signal())
        .await
        .map_err(text)
}

impl Serve {
    /// The configuration of the server; in words what is missing.
    fn config(self) -> Result<Config, String> {
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
            database_listen_url: self.database_listen_url,
            sqlite_synchronous: match self.sqlite_synchronous {
                SqliteSynchronous::Full => Synchronous::Full,
                SqliteSynchronous::Normal => Synchronous::Normal,
            },
            points: Rate::new(rates.points, rates.points_per_second),
            report_points: Rate::new(rates.report_points, rates.report_points_per_second),
            connections: ConnectionConfig {
                most: open_files::connections(self.connections, self.database_connections),
                of_peer: self.peer_connections,
                ..ConnectionConfig::default()
            },
            live: LiveConfig {
                connections: self.live_connections,
                portal_subscriptions: self.portal_subscriptions,
                ..LiveConfig::default()
            },
            cors_origins: self.cors_origins,
            trusted_documents: self.trusted_documents,
            public_url: self.public_url,
            graphiql: self.graphiql,
            allows_private_webhooks: self.allow_private_webhooks,
            gathering: Duration::from_secs(self.mail.gathering_seconds),
            confirms_emails: !self.mail.unconfirmed_emails,
            mail: self.mail.config()?,
            retention: self.retention.config()?,
            portal_errors: self.portal_errors,
            ..Config::new(self.database.database_url, auth)
        })
    }
}

/// One at least: with none, nobody would be answered.
fn positive() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

fn parse_public_url(text: &str) -> Result<String, String> {
    let help = "scheme, host and port are needed, for example https://sync.example.com";
    let url = url::Url::parse(text).map_err(|_| help)?;
    let is_good = ["http", "https"].contains(&url.scheme())
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none();
    match is_good {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(help.to_owned()),
    }
}
