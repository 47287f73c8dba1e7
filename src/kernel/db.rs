//! The two databases behind one face: pools, a consistent snapshot for reading, a transaction for writing.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use migration::{Migrator, MigratorTrait, SchemaManager};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, FromQueryResult, QueryResult, SqliteTransactionMode, Statement, StatementBuilder,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::Mutex;
use tracing::Instrument;

use crate::kernel::config::Config;
use crate::kernel::database_url;
use crate::kernel::error::{Error, Result};
use crate::kernel::sqlite_file::SqliteFile;

/// The connections of one server.
///
/// Reading and writing have pools of their own: SQLite has one writer and many readers, and on PostgreSQL the
/// readers' connections are read-only and see one snapshot per transaction.
#[derive(Debug, Clone)]
pub struct Db {
    read: DatabaseConnection,
    write: DatabaseConnection,
    /// The file of SQLite.
    file: Option<SqliteFile>,
}

/// How long a request waits for a connection before it is answered UNAVAILABLE.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
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
/// Key of the advisory lock under which PostgreSQL is migrated; any number that no other program uses.
const MIGRATION_LOCK: i64 = 0x53_59_4e_43_48_4c_54_48;

fn sqlite_options(options: SqliteConnectOptions, cache_kib: &'static str) -> SqliteConnectOptions {
    options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("mmap_size", MMAP_BYTES)
        .pragma("cache_size", cache_kib)
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", WAL_PAGES)
}

impl Db {
    /// Connects. A SQLite file is created where it is missing.
    pub async fn connect(config: &Config) -> Result<Self> {
        let url = &database_url::tried(&config.database_url).await?;
        let path = database_url::sqlite_path(url);
        let sqlite = path.is_some();
        let before = path.clone().and_then(SqliteFile::at);
        let mut write = ConnectOptions::new(url);
        write
            .sqlx_logging(false)
            .test_before_acquire(false)
            .acquire_timeout(ACQUIRE_TIMEOUT);
        write.map_sqlx_sqlite_opts(|options| sqlite_options(options, WRITER_CACHE_KIB));
        // A plan that was made while a table was empty must not serve when it is full.
        write.map_sqlx_postgres_opts(|options| {
            options.options([("plan_cache_mode", "force_custom_plan")])
        });
        let mut read = write.clone();
        write.max_connections(if sqlite {
            1
        } else {
            config.database_connections
        });
        read.max_connections(config.database_connections);
        read.map_sqlx_sqlite_opts(|options| sqlite_options(options, READER_CACHE_KIB));
        read.map_sqlx_postgres_opts(|options| {
            options.options([
                ("default_transaction_isolation", "repeatable read"),
                ("default_transaction_read_only", "on"),
            ])
        });
        let write = Database::connect(write).await?;
        let read = Database::connect(read).await?;
        let file = before.or_else(|| path.and_then(SqliteFile::at));
        Ok(Self { read, write, file })
    }

    /// Which dialect it speaks.
    pub fn backend(&self) -> DbBackend {
        self.read.get_database_backend()
    }

    /// Brings the tables up to date; on PostgreSQL one process at a time, under an advisory lock.
    pub async fn migrate(&self) -> Result<()> {
        if self.backend() == DbBackend::Postgres {
            let lock = self.begin().await?;
            let sql = "SELECT pg_advisory_xact_lock($1)";
            lock.query_one_raw(Statement::from_sql_and_values(
                DbBackend::Postgres,
                sql,
                [MIGRATION_LOCK.into()],
            ))
            .await?;
            self.migrate_alone().await?;
            lock.commit().await?;
        } else {
            self.migrate_alone().await?;
        }
        Ok(())
    }

    /// Nothing to do where all is there, also when a later version added more: the two run side by side.
    async fn migrate_alone(&self) -> Result<()> {
        if !self.is_ready().await? {
            Migrator::up(&self.write, None).await?;
        }
        Ok(())
    }

    /// UNAVAILABLE when the file of SQLite is not the one that was opened any more.
    pub fn check_file(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), SqliteFile::check)
    }

    /// Whether it answers, and has all that this version's migrations made; it may have more.
    pub async fn is_ready(&self) -> Result<bool> {
        self.check_file()?;
        if !SchemaManager::new(&self.read)
            .has_table("seaql_migrations")
            .await?
        {
            return Ok(false);
        }
        let sql = "SELECT version FROM seaql_migrations";
        let applied = Statement::from_string(self.backend(), sql);
        let applied = self.read.query_all_raw(applied).await?;
        let version = |row: &QueryResult| row.try_get::<String>("", "version");
        let applied: HashSet<String> = applied.iter().map(version).collect::<Result<_, DbErr>>()?;
        let migrations = Migrator::migrations();
        Ok(migrations
            .iter()
            .all(|migration| applied.contains(migration.name())))
    }

    /// A snapshot for one request; nothing happens before its first statement.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            db: self.clone(),
            is_fixed: true,
            transaction: Mutex::new(None),
            statements: AtomicU32::new(0),
        }
    }

    /// Reads each statement as of its own instant, for who can do without one snapshot and with fewer round trips.
    pub fn moving(&self) -> Snapshot {
        Snapshot {
            is_fixed: false,
            ..self.snapshot()
        }
    }

    /// Begins to write. On SQLite the write lock is taken at once: a transaction that reads first could not get it later.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        self.check_file()?;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let options = if self.backend() == DbBackend::Sqlite {
            options
        } else {
            TransactionOptions::default()
        };
        begin(&self.write, options).await
    }

    /// The connections of both pools.
    pub fn pools(&self) -> [Pool; 2] {
        [("read", &self.read), ("write", &self.write)].map(|(pool, connection)| {
            let (open, idle) = match self.backend() {
                DbBackend::Sqlite => {
                    let pool = connection.get_sqlite_connection_pool();
                    (pool.size(), pool.num_idle())
                }
                _ => {
                    let pool = connection.get_postgres_connection_pool();
                    (pool.size(), pool.num_idle())
                }
            };
            let idle = u32::try_from(idle).unwrap_or(u32::MAX);
            Pool { pool, open, idle }
        })
    }

    /// Copies a SQLite database into a new file, as of one instant (<https://www.sqlite.org/lang_vacuum.html#vacuuminto>).
    pub async fn copy_to(&self, file: &str) -> Result<()> {
        let sql = "VACUUM INTO $1";
        let statement = Statement::from_sql_and_values(self.backend(), sql, [file.into()]);
        self.read.execute_raw(statement).await?;
        Ok(())
    }

    /// Closes the pools.
    pub async fn close(self) -> Result<()> {
        self.read.close().await?;
        Ok(self.write.close().await?)
    }
}

/// Begins in a task of its own, which no client cuts off: sqlx does not know of a BEGIN that nobody waits for to the end,
/// and gives the connection back to the pool with its transaction open, so that whoever is next reads what was.
async fn begin(
    pool: &DatabaseConnection,
    options: TransactionOptions,
) -> Result<DatabaseTransaction> {
    let pool = pool.clone();
    let begun = async move { pool.begin_with_options(options).await };
    let begun = tokio::spawn(begun.in_current_span()).await;
    Ok(begun.map_err(|error| Error::Internal(error.to_string()))??)
}

/// The connections of a pool.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// "read" or "write".
    pub pool: &'static str,
    /// Connections that are open.
    pub open: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
}

/// What one request reads: all of it as of one instant, from its first statement on.
#[derive(Debug)]
pub struct Snapshot {
    db: Db,
    is_fixed: bool,
    transaction: Mutex<Option<Arc<DatabaseTransaction>>>,
    statements: AtomicU32,
}

impl Snapshot {
    /// Which dialect it speaks.
    pub fn backend(&self) -> DbBackend {
        self.db.backend()
    }

    /// Statements so far, for the request's log line.
    pub fn statement_count(&self) -> u32 {
        self.statements.load(Ordering::Relaxed)
    }

    /// What is read next is as of a new instant: after a mutation wrote something.
    pub async fn renew(&self) {
        self.transaction.lock().await.take();
    }

    async fn transaction(&self) -> Result<Arc<DatabaseTransaction>> {
        let mut transaction = self.transaction.lock().await;
        if let Some(begun) = &*transaction {
            return Ok(begun.clone());
        }
        let begun = Arc::new(begin(&self.db.read, TransactionOptions::default()).await?);
        *transaction = Some(begun.clone());
        Ok(begun)
    }

    /// All rows of a statement.
    pub async fn all<M: FromQueryResult>(
        &self,
        statement: &impl StatementBuilder,
    ) -> Result<Vec<M>> {
        self.all_raw(StatementBuilder::build(statement, &self.backend()))
            .await
    }

    /// All rows of a statement written by hand.
    pub async fn all_raw<M: FromQueryResult>(&self, statement: Statement) -> Result<Vec<M>> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let rows = match self.is_fixed {
            true => self.transaction().await?.query_all_raw(statement).await?,
            false => self.db.read.query_all_raw(statement).await?,
        };
        Ok(rows
            .iter()
            .map(|row| M::from_query_result(row, ""))
            .collect::<Result<_, DbErr>>()?)
    }

    /// The first row of a statement.
    pub async fn one<M: FromQueryResult>(
        &self,
        statement: &impl StatementBuilder,
    ) -> Result<Option<M>> {
        Ok(self.all(statement).await?.into_iter().next())
    }
}
