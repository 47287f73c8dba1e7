//! What a server is started with. A value: nothing below reads the environment.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::kernel::auth::VerifierConfig;
use crate::kernel::clock::Clock;
use crate::kernel::limits::{self, Limit};
use crate::kernel::mail::MailConfig;
use crate::kernel::panics::Panics;

/// The settings of one server.
#[derive(Debug, Clone)]
pub struct Config {
    /// `sqlite://PATH` or `postgres://…`.
    pub database_url: String,
    /// PostgreSQL past a pooler, for LISTEN; absent: the same address.
    pub database_listen_url: Option<String>,
    /// Whose tokens are accepted.
    pub auth: VerifierConfig,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Connections that read, and on PostgreSQL as many that write.
    pub database_connections: u32,
    /// When SQLite says that a change is kept.
    pub sqlite_synchronous: Synchronous,
    /// How long one GraphQL operation may take.
    pub operation_timeout: Duration,
    /// How long PostgreSQL may take for one statement; absent for commands, which take the time that they need.
    pub statement_timeout: Option<Duration>,
    /// How long a stopping server waits for the requests in flight.
    pub shutdown_timeout: Duration,
    /// What a subject can spend on a portal by queries and mutations.
    pub points: Rate,
    /// What an engine can spend on a portal by reports.
    pub report_points: Rate,
    /// The origins whose pages may call, `*` for all; empty: none.
    pub cors_origins: Vec<String>,
    /// A manifest of documents; when set, nothing else runs.
    pub trusted_documents: Option<PathBuf>,
    /// How many connections there may be, and for how long they may be silent.
    pub connections: ConnectionConfig,
    /// How much goes on live, and for how long who is slow is waited for.
    pub live: LiveConfig,
    /// Whether rings of other servers on the same PostgreSQL are heard; without, changes are seen a second later.
    pub hears_others: bool,
    /// Whether webhooks may go to private addresses, and by plain http.
    pub allows_private_webhooks: bool,
    /// For how long what is over is kept.
    pub retention: RetentionConfig,
    /// How many errors a portal keeps.
    pub portal_errors: usize,
    /// How e-mail is sent.
    pub mail: MailConfig,
    /// Whether addresses are asked before they get news; without, whoever manages a portal answers for them.
    pub confirms_emails: bool,
    /// For how long news that are told at once are gathered into one message.
    pub gathering: Duration,
    /// Where clients reach the server, without a slash at the end; absent: at the address that it listens on.
    pub public_url: Option<String>,
    /// Whether `GET /graphiql` serves GraphiQL.
    pub graphiql: bool,
    /// The panics of the process, as its program counts them.
    pub panics: Panics,
}

/// When SQLite says that a change is kept (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// When it is on the disk.
    #[default]
    Full,
    /// When the operating system has it: a power cut may take the last changes back.
    Normal,
}

/// For how many days what is over is kept.
#[derive(Debug, Clone, Copy)]
pub struct RetentionConfig {
    /// Resolved errors, cleared records, ended resyncs, delivered notifications.
    pub resolved_days: u32,
    /// The feed; never longer than resolved errors.
    pub feed_days: u32,
    /// What plots show: trend and use of API calls.
    pub history_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            resolved_days: 90,
            feed_days: 30,
            history_days: 400,
        }
    }
}

/// The limits of connections, whatever is spoken on them.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionConfig {
    /// In all.
    pub most: usize,
    /// From one address.
    pub of_peer: usize,
    /// Without a verified token.
    pub unauthenticated: usize,
    /// The time to bring a token.
    pub introduction: Duration,
    /// The time to ask for something, on a connection that has asked before.
    pub idle: Duration,
    /// How long a body or an answer may stand still.
    pub stall: Duration,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            most: limits::CONNECTIONS.value,
            of_peer: limits::PEER_CONNECTIONS.value,
            unauthenticated: limits::UNAUTHENTICATED_CONNECTIONS.value,
            introduction: seconds(limits::CONNECTION_INIT_SECONDS),
            idle: seconds(limits::IDLE_SECONDS),
            stall: seconds(limits::STALL_SECONDS),
        }
    }
}

fn seconds(limit: Limit) -> Duration {
    Duration::from_secs(limit.value as u64)
}

/// The limits of sockets and streams.
#[derive(Debug, Clone, Copy)]
pub struct LiveConfig {
    /// Sockets and streams of the server.
    pub connections: usize,
    /// Subscriptions to one portal.
    pub portal_subscriptions: usize,
    /// The time between two signs of life.
    pub ping: Duration,
    /// How long a client may take to take a message.
    pub send: Duration,
    /// How long a client may take to take a part of an export.
    pub export_stall: Duration,
    /// How long a client may take to download an export.
    pub export_download: Duration,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            connections: limits::LIVE_CONNECTIONS.value,
            portal_subscriptions: limits::PORTAL_SUBSCRIPTIONS.value,
            ping: seconds(limits::PING_SECONDS),
            send: seconds(limits::SEND_SECONDS),
            export_stall: seconds(limits::EXPORT_STALL_SECONDS),
            export_download: seconds(limits::EXPORT_DOWNLOAD_SECONDS),
        }
    }
}

/// A bucket of points that fills up again.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// How many it holds.
    pub bucket: NonZeroU32,
    /// How many come back each second.
    pub per_second: NonZeroU32,
}

impl Rate {
    /// A bucket of these sizes; at least one point each.
    pub fn new(bucket: u32, per_second: u32) -> Self {
        let positive = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            bucket: positive(bucket),
            per_second: positive(per_second),
        }
    }

    fn of(bucket: Limit, per_second: Limit) -> Self {
        let number = |limit: Limit| u32::try_from(limit.value).unwrap_or(u32::MAX);
        Self::new(number(bucket), number(per_second))
    }
}

/// The shortest secret for HS256: as long as its hash (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

impl Config {
    /// Whether the database is a SQLite file.
    pub fn is_sqlite(&self) -> bool {
        self.database_url.starts_with("sqlite:")
    }

    /// The defaults beside the two values that have none.
    pub fn new(database_url: String, auth: VerifierConfig) -> Self {
        Self {
            database_url,
            database_listen_url: None,
            auth,
            clock: Clock::System,
            database_connections: 8,
            sqlite_synchronous: Synchronous::default(),
            operation_timeout: seconds(limits::OPERATION_SECONDS),
            statement_timeout: Some(seconds(limits::STATEMENT_SECONDS)),
            shutdown_timeout: Duration::from_secs(10),
            points: Rate::of(limits::BUCKET_POINTS, limits::RESTORED_POINTS),
            report_points: Rate::of(limits::REPORT_BUCKET_POINTS, limits::RESTORED_REPORT_POINTS),
            cors_origins: Vec::new(),
            trusted_documents: None,
            connections: ConnectionConfig::default(),
            live: LiveConfig::default(),
            hears_others: true,
            allows_private_webhooks: false,
            retention: RetentionConfig::default(),
            portal_errors: limits::PORTAL_ERRORS.value,
            mail: MailConfig::None,
            confirms_emails: true,
            gathering: Duration::from_secs(60),
            public_url: None,
            graphiql: false,
            panics: Panics::default(),
        }
    }
}
