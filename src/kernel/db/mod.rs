//! The two databases behind one face: pools, a consistent snapshot for reading, a transaction for writing.
//!
//! Reading and writing have pools of their own: SQLite has one writer and many readers, and on PostgreSQL the readers'
//! transactions are read-only and see one snapshot each. Deliberately absent: a connection that anybody holds outside of
//! a [`Snapshot`] or a [`Transaction`].

mod connect;
mod connections;
pub mod failure;
mod health;
mod interrupt;
mod migrate;
mod readiness;
mod requester;
mod session;
mod share;
mod snapshot;
mod statements;
mod transaction;
mod wal_file;
mod wal_sync;

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

use crate::kernel::config::{Config, Synchronous};
use crate::kernel::database_url;
use crate::kernel::error::{Error, Result};
use crate::kernel::sqlite_file::{self, SqliteFile};
pub use connect::postgres_options;
use connections::Connections;
use readiness::Readiness;
use requester::Requester;
pub use snapshot::Snapshot;
use snapshot::{Begun, Reader};
use statements::Statements;
pub use transaction::Transaction;
use wal_sync::WalSync;

/// The connections of one server.
#[derive(Debug, Clone)]
pub struct Db {
    read: Connections,
    write: Connections,
    readiness: Readiness,
    /// The file of SQLite.
    file: Option<SqliteFile>,
    /// Its log, where what is acknowledged has to be on the disk.
    wal: Option<WalSync>,
    /// Absent for the server's own work and for commands.
    requester: Option<Requester>,
}

impl Db {
    /// Connects. A SQLite file is created where it is missing.
    pub async fn connect(config: &Config) -> Result<Self> {
        let url = database_url::tried(&config.database_url).await?;
        let path = database_url::sqlite_path(&url);
        if let Some(path) = &path {
            database_url::make_file(path).map_err(Error::Internal)?;
        }
        let config = &Config {
            database_url: url,
            ..config.clone()
        };
        let is_pooled = connect::is_pooled(config).await?;
        if is_pooled {
            tracing::info!(
                "the database is behind a pooler that lends connections for a transaction at a time: statements are not kept prepared"
            );
        }
        let write = Connections::open(config, true, is_pooled).await?;
        let is_full = config.sqlite_synchronous == Synchronous::Full;
        // SQLite writes its log beside the file that a link leads to.
        let file = path
            .as_ref()
            .map(|path| path.canonicalize().unwrap_or(path.clone()));
        let wal = file.as_deref().filter(|_| is_full).map(WalSync::of);
        Ok(Self {
            write,
            read: Connections::open(config, false, is_pooled).await?,
            readiness: Readiness::default(),
            file: path.and_then(SqliteFile::at),
            wal,
            requester: None,
        })
    }

    /// The same for a request of its own, of this subject: [`Self::settle`] then waits for what this one has read, and
    /// [`Self::taken`] tells how long its statements took.
    pub fn of_request(&self, subject: &str) -> Self {
        Self {
            wal: self.wal.as_ref().map(WalSync::of_request),
            requester: Some(Requester::new(subject)),
            ..self.clone()
        }
    }

    /// How long the statements of this request took since this was asked last; nothing for the server's own work.
    pub fn taken(&self) -> Duration {
        let requester = self.requester.as_ref();
        requester.map_or(Duration::ZERO, Requester::taken)
    }

    /// Waits until all that was read is on the disk: before anybody is told that something is kept already.
    pub async fn settle(&self) -> Result<()> {
        match &self.wal {
            Some(wal) => Ok(wal.settle().await?),
            None => Ok(()),
        }
    }

    fn was_read(&self) {
        if let Some(wal) = &self.wal {
            wal.was_read();
        }
    }

    /// UNAVAILABLE when a file of SQLite is not the one that was opened any more.
    pub fn check_file(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), SqliteFile::check)?;
        match self.wal.as_ref().is_none_or(WalSync::is_in_place) {
            true => Ok(()),
            false => Err(sqlite_file::taken_away("log of the database was removed")),
        }
    }

    /// Which dialect it speaks.
    pub fn backend(&self) -> DbBackend {
        self.read.pool.get_database_backend()
    }

    /// Whether NOTIFY arrives: not through a pooler that lends connections for a transaction at a time.
    pub fn hears_notifications(&self) -> bool {
        self.backend() == DbBackend::Postgres && !self.read.session.is_pooled
    }

    /// A snapshot for one request; nothing happens before its first statement.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.clone(), true)
    }

    /// Reads each statement as of its own instant, for who can do without one snapshot and with fewer round trips.
    pub fn moving(&self) -> Snapshot {
        Snapshot::new(self.clone(), false)
    }

    async fn statements_of(&self, reader: &Reader) -> Result<Statements> {
        let requester = self.requester.as_ref();
        let statements = self.read.statements(reader.hub_id, requester).await?;
        Ok(statements.within(reader.patience))
    }

    async fn begin_to_read(&self, reader: &Reader) -> Result<Begun> {
        let statements = self.statements_of(reader).await?;
        Ok(Begun {
            transaction: self.read.begin(&statements).await?,
            statements,
        })
    }

    /// Whether a statement outside of a transaction could meet another session's prepared statement.
    fn needs_transactions(&self) -> bool {
        self.read.session.is_pooled
    }

    async fn read_one(&self, reader: &Reader, statement: Statement) -> Result<Vec<QueryResult>> {
        let statements = self.statements_of(reader).await?;
        let rows = self.read.read(statement, &statements).await?;
        self.was_read();
        Ok(rows)
    }

    /// Begins to write what belongs to no one portal.
    pub async fn begin(&self) -> Result<Transaction> {
        self.begin_to_write(None).await
    }

    /// Begins to write for a portal; waits while others write for it. On SQLite the write lock is taken at once.
    pub async fn begin_for(&self, hub_id: i64) -> Result<Transaction> {
        self.begin_to_write(Some(hub_id)).await
    }

    async fn begin_to_write(&self, hub_id: Option<i64>) -> Result<Transaction> {
        self.check_file()?;
        let requester = self.requester.as_ref();
        let statements = self.write.statements(hub_id, requester).await?;
        self.write_back().await?;
        let inner = self.write.begin(&statements).await?;
        self.was_read();
        Ok(Transaction {
            inner,
            statements,
            health: self.write.health.clone(),
            wal: self.wal.clone(),
        })
    }

    /// Brings what SQLite's log holds into the file, where the log could not be synced; nothing is written before.
    async fn write_back(&self) -> Result<()> {
        let Some(wal) = self.wal.as_ref().filter(|wal| wal.has_failed()) else {
            return Ok(());
        };
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let checkpoint = Statement::from_string(self.backend(), sql);
        let done = self.write.pool.query_one_raw(checkpoint).await?;
        let is_busy = done.map_or(Ok(1), |row| row.try_get::<i64>("", "busy"))? != 0;
        if is_busy {
            return Err(failure::unsynced("readers are in the way").into());
        }
        wal.is_written_back();
        Ok(())
    }

    /// The connections of both pools.
    pub fn pools(&self) -> [Pool; 2] {
        [("read", &self.read.pool), ("write", &self.write.pool)].map(|(pool, connection)| {
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
        self.read.pool.execute_raw(statement).await?;
        Ok(())
    }

    /// Closes the pools.
    pub async fn close(self) -> Result<()> {
        self.read.close().await?;
        self.write.close().await
    }
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
