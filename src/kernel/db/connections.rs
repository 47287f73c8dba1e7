//! The connections of one pool: who gets one, and how a transaction begins on it.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use tracing::Instrument;

use super::connect::{self, PING_TIMEOUT};
use super::failure;
use super::health::Health;
use super::interrupt::{Interrupt, Running};
use super::requester::Requester;
use super::session::{CHECK_INTERVAL, Session};
use super::share::{Place, Shares, Taker};
use super::statements::Statements;
use crate::kernel::config::Config;
use crate::kernel::error::Result;
use crate::kernel::limits;

/// What it takes to close a connection, and PostgreSQL to end its statement, beside the time in which both are noticed.
const CLOSING: Duration = Duration::from_millis(500);

/// The places of one who uses a connection.
#[derive(Debug, Default)]
pub(super) struct Places {
    _subject: Option<Place>,
    _portal: Option<Place>,
}

/// The connections of one pool.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pub(super) pool: DatabaseConnection,
    pub(super) session: Session,
    portals: Shares,
    subjects: Shares,
    pub(super) health: Health,
}

impl Connections {
    pub(super) async fn open(config: &Config, is_writer: bool, is_pooled: bool) -> Result<Self> {
        let session = Session::new(config, is_writer, is_pooled);
        let health = Health::new();
        let (of_portal, of_subject) = match is_writer {
            true => (limits::PORTAL_WRITE_PERCENT, limits::SUBJECT_WRITE_PERCENT),
            false => (limits::PORTAL_READ_PERCENT, limits::SUBJECT_READ_PERCENT),
        };
        let shares = |percent| Shares::new(config.database_connections, percent);
        Ok(Self {
            pool: connect::pool(config, &session, &health).await?,
            portals: shares(of_portal),
            subjects: shares(of_subject),
            session,
            health,
        })
    }

    /// One of PostgreSQL whose packets vanish is not waited for without end: it is gone with the process.
    pub(super) async fn close(self) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let is_sqlite = self.pool.get_database_backend() == DbBackend::Sqlite;
        let closing = self.pool.close();
        if is_sqlite {
            return Ok(closing.await?);
        }
        match tokio::time::timeout(PATIENCE, closing).await {
            Ok(closed) => Ok(closed?),
            Err(_) => {
                tracing::warn!("a connection to PostgreSQL that does not answer was left");
                Ok(())
            }
        }
    }

    /// Waits for the portal's turn, then for the subject's, which has places in more than one portal: whoever waits for a
    /// slow portal takes none of them from its others.
    async fn places(&self, hub_id: Option<i64>, requester: Option<&Requester>) -> Result<Places> {
        let mut places = Places::default();
        // Requests about several portals hold up none of them.
        if let Some(hub_id) = hub_id.filter(|hub_id| *hub_id != 0) {
            places._portal = Some(self.portals.take(Taker::Portal(hub_id)).await?);
        }
        if let Some(requester) = requester.filter(|_| hub_id.is_some()) {
            let subject = Taker::Subject(requester.subject.clone());
            places._subject = Some(self.subjects.take(subject).await?);
        }
        Ok(places)
    }

    /// Runs statements on a place of the portal's and of the requester's, who pays for reads. Writes are not paid: they wait
    /// for others', and are as many as the request tells.
    pub(super) async fn statements(
        &self,
        hub_id: Option<i64>,
        requester: Option<&Requester>,
    ) -> Result<Statements> {
        let places = self.places(hub_id, requester).await?;
        let recovery = match self.pool.get_database_backend() {
            DbBackend::Sqlite => Duration::ZERO,
            _ => PING_TIMEOUT + CHECK_INTERVAL + CLOSING,
        };
        let payer = requester.filter(|_| !self.session.is_writer);
        let statements = Statements::new(&self.session, &self.health);
        Ok(statements.on(Running::new(places, recovery), payer))
    }

    /// Begins in a task of its own, which no client cuts off: sqlx does not know of a BEGIN that nobody waits for to the
    /// end, and gives the connection back to the pool with its transaction open, so that whoever is next reads what was.
    async fn try_to_begin(&self, interrupt: Interrupt) -> Result<DatabaseTransaction, DbErr> {
        let (pool, session) = (self.pool.clone(), self.session.clone());
        let statements = Statements::new(&self.session, &self.health);
        let begun = async move {
            let is_sqlite = pool.get_database_backend() == DbBackend::Sqlite;
            // A transaction that reads first could not get the write lock later.
            let immediate =
                (is_sqlite && session.is_writer).then_some(SqliteTransactionMode::Immediate);
            let options = TransactionOptions {
                sqlite_transaction_mode: immediate,
                ..Default::default()
            };
            let beginning = interrupt.taking(pool.begin_with_options(options));
            let transaction = match is_sqlite {
                true => statements.noted(beginning.await)?,
                false => statements.begun(beginning).await?,
            };
            if !is_sqlite {
                let settings = session.transaction_settings();
                statements
                    .read(transaction.execute_unprepared(&settings))
                    .await?;
            }
            Ok(transaction)
        };
        let begun = tokio::spawn(begun.in_current_span()).await;
        begun.unwrap_or_else(|panic| Err(DbErr::Custom(panic.to_string())))
    }

    /// Begins; once more where the connection turned out to be gone, as all are when PostgreSQL was started anew: the
    /// others of its age are asked from then on before they are used.
    pub(super) async fn begin(&self, statements: &Statements) -> Result<DatabaseTransaction> {
        let interrupt = || statements.interrupt().clone();
        match self.try_to_begin(interrupt()).await {
            Err(error) if failure::is_lost(&error) => Ok(self.try_to_begin(interrupt()).await?),
            begun => Ok(begun?),
        }
    }

    /// Runs a statement that reads by itself; once more, in the same way.
    pub(super) async fn read(
        &self,
        statement: Statement,
        statements: &Statements,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let rows = || {
            let rows = self.pool.query_all_raw(statement.clone());
            statements.read(statements.interrupt().taking(rows))
        };
        match rows().await {
            Err(error) if failure::is_lost(&error) => rows().await,
            rows => rows,
        }
    }
}
