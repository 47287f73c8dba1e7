//! How connections are made, and which of them are used again.
//!
//! A connection goes back to its pool only when the database itself says that no transaction is open on it: SQLite ends
//! a transaction by itself when its disk is full or fails, sqlx goes on to count it, and what is "committed" inside of
//! it after that is kept by nobody. What a session has to know is told to it after it has begun, not in the start-up
//! packet: poolers like PgBouncer drop or refuse that.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sea_orm::sqlx::{self, Connection, Executor, Postgres};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use super::health::Health;
use super::interrupt::Interrupt;
use super::session::Session;
use crate::kernel::config::Config;
use crate::kernel::error::Result;

/// How long a request waits for a connection before it is answered UNAVAILABLE.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long SQLite waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a SQLite file is read through the page cache of the operating system.
const MMAP_BYTES: &str = "268435456";
/// The writer's page cache on SQLite, negative because KiB: a change's pages stay in memory until it commits.
const WRITER_CACHE_KIB: &str = "-65536";
/// A reader's page cache: most of what it reads comes through the mapping of the file.
const READER_CACHE_KIB: &str = "-2000";
/// Pages of 4 KiB in SQLite's log before it is written back: pages that many changes touch are written once.
const WAL_PAGES: &str = "8000";
/// A connection that was idle for longer is asked whether it still answers: firewalls forget, servers are replaced.
const IDLE: Duration = Duration::from_secs(30);
/// How long a connection may take to say that it still answers.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// How long PostgreSQL may take to begin a transaction, with the wait for a connection: no statement of ours runs in it
/// yet, so nothing else would end the wait for one whose packets vanish.
pub(super) const BEGIN_TIMEOUT: Duration = Duration::from_secs(7);

/// Makes a pool of connections; tries one at once.
pub(super) async fn pool(
    config: &Config,
    session: &Session,
    health: &Health,
) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(config.database_url.as_str());
    let is_sqlite = config.is_sqlite();
    let connections = match session.is_writer && is_sqlite {
        true => 1,
        false => config.database_connections,
    };
    options
        .sqlx_logging(false)
        .test_before_acquire_if_idle_for(IDLE)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_connections(connections);
    let is_writer = session.is_writer;
    options.map_sqlx_sqlite_opts(move |options| sqlite_options(options, is_writer));
    let of_sqlite = health.clone();
    options.map_sqlx_sqlite_pool_opts(move |options| {
        let health = of_sqlite.clone();
        options
            .after_release(move |connection, _| {
                let is_good = !health.is_distrusted();
                Box::pin(async move { Ok(is_good && is_out_of_transaction(connection).await?) })
            })
            .before_acquire(|connection, _| {
                Box::pin(async { Interrupt::listen(connection).await.map(|()| true) })
            })
            .after_connect(|connection, _| Box::pin(Interrupt::listen(connection)))
    });
    let is_pooled = session.is_pooled;
    options.map_sqlx_postgres_opts(move |options| with_statements(options, !is_pooled));
    let (session, health) = (session.clone(), health.clone());
    options.map_sqlx_postgres_pool_opts(move |options| {
        postgres_pool(options, session.clone(), health.clone())
    });
    Ok(Database::connect(options).await?)
}

fn sqlite_options(options: SqliteConnectOptions, is_writer: bool) -> SqliteConnectOptions {
    let cache_kib = match is_writer {
        true => WRITER_CACHE_KIB,
        false => READER_CACHE_KIB,
    };
    options
        // A connection that is opened later must not make an empty file where ours was removed.
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // Where more is wanted, commits wait for a sync that they share: `wal_sync`.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("mmap_size", MMAP_BYTES)
        .pragma("cache_size", cache_kib)
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", WAL_PAGES)
}

/// What sqlx would tell PostgreSQL in the start-up packet and no pooler passes on is left out; statements stay prepared
/// only where a connection is one session.
fn with_statements(options: PgConnectOptions, are_kept: bool) -> PgConnectOptions {
    let options = options.extra_float_digits(None);
    match are_kept {
        true => options,
        false => options.statement_cache_capacity(0),
    }
}

/// How PostgreSQL at this address is connected to for one session.
pub fn postgres_options(url: &str) -> sqlx::Result<PgConnectOptions> {
    Ok(with_statements(url.parse()?, true))
}

fn postgres_pool(
    options: PoolOptions<Postgres>,
    session: Session,
    health: Health,
) -> PoolOptions<Postgres> {
    let settings = session.settings();
    let lost = health.clone();
    let options = options
        .after_release(move |connection, _| match health.is_distrusted() {
            true => Box::pin(async { Ok(false) }),
            false => still_answers(connection),
        })
        .before_acquire(move |connection, about| match lost.may_be_lost(about.age) {
            true => still_answers(connection),
            false => Box::pin(async { Ok(true) }),
        });
    if session.is_pooled {
        return options;
    }
    options.after_connect(move |connection, _| {
        let settings = settings.clone();
        Box::pin(async move {
            connection
                .execute(sqlx::AssertSqlSafe(settings))
                .await
                .map(|_| ())
        })
    })
}

/// SQLite refuses BEGIN inside a transaction, whoever counts; what sqlx counts has to agree.
async fn is_out_of_transaction(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    connection.execute("BEGIN; ROLLBACK").await?;
    Ok(!connection.is_in_transaction())
}

/// sqlx asks a connection that comes back whether it answers, and waits without end: one whose packets vanish would never
/// leave its place. So it is asked here first, for a while: a round trip for which no request waits.
fn still_answers(connection: &mut PgConnection) -> BoxFuture<'_, sqlx::Result<bool>> {
    Box::pin(async {
        let answered = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
        Ok(matches!(answered, Ok(Ok(()))))
    })
}

/// How often backends are asked for before a connection is believed to have one of its own: where others take some and give
/// them back, it may be given the same one by chance.
const PROBES: usize = 32;

/// Two connections of a pooler that ends a session with each transaction share a backend, or one has several; those of
/// PostgreSQL itself never.
pub(super) async fn is_pooled(config: &Config) -> Result<bool> {
    if config.is_sqlite() {
        return Ok(false);
    }
    let options = postgres_options(&config.database_url).map_err(connection_error)?;
    let asked = tokio::time::timeout(ACQUIRE_TIMEOUT, shares_backends(&options)).await;
    asked
        .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
        .map_err(connection_error)
}

async fn shares_backends(options: &PgConnectOptions) -> sqlx::Result<bool> {
    let mut first = PgConnection::connect_with(options).await?;
    let mut second = PgConnection::connect_with(options).await?;
    let own = backend(&mut first).await?;
    let mut shares = false;
    for _ in 0..PROBES {
        // While the second one holds a backend, the first one is given another, where it has none of its own.
        second.execute("BEGIN").await?;
        shares = backend(&mut second).await? == own || backend(&mut first).await? != own;
        second.execute("ROLLBACK").await?;
        // Where backends are given out in turn, it may be this one's turn again: not twice.
        for _ in 0..2 {
            shares = shares || backend(&mut first).await? != own;
        }
        if shares {
            break;
        }
    }
    first.close().await?;
    second.close().await?;
    Ok(shares)
}

/// Asked in the simple protocol, which needs no prepared statement.
async fn backend(connection: &mut PgConnection) -> sqlx::Result<String> {
    let row = connection
        .fetch_one("SELECT pg_backend_pid()::text")
        .await?;
    sqlx::Row::try_get(&row, 0)
}

fn connection_error(error: sqlx::Error) -> crate::kernel::error::Error {
    sea_orm::DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into())).into()
}
