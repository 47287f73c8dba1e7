//! What one request reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, FromQueryResult, QueryResult,
    Statement, StatementBuilder,
};
use tokio::sync::Mutex;

use super::Db;
use super::statements::{Statements, tell};
use crate::kernel::error::Result;

/// What one request reads: all of it as of one instant, from its first statement on.
#[derive(Debug)]
pub struct Snapshot {
    db: Db,
    reader: Reader,
    is_fixed: bool,
    begun: Mutex<Option<Arc<Begun>>>,
    statements: AtomicU32,
}

/// Who reads.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Whose connections it takes one of; absent for the server's own work.
    pub(super) hub_id: Option<i64>,
    /// How long it waits for an answer, where that is less than others do.
    pub(super) patience: Option<Duration>,
}

/// A transaction that reads.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) transaction: DatabaseTransaction,
    pub(super) statements: Statements,
}

impl Snapshot {
    pub(super) fn new(db: Db, is_fixed: bool) -> Self {
        Self {
            db,
            reader: Reader::default(),
            is_fixed,
            begun: Mutex::new(None),
            statements: AtomicU32::new(0),
        }
    }

    /// The same on behalf of a portal (0: of several), which at most a part of the connections serve at once.
    pub fn of_portal(mut self, hub_id: i64) -> Self {
        self.reader.hub_id = Some(hub_id);
        self
    }

    /// Who reads little, and again: a connection that does not answer for so long is given up for another one.
    pub fn within(mut self, patience: Duration) -> Self {
        self.reader.patience = Some(patience);
        self
    }

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
        self.begun.lock().await.take();
    }

    async fn begun(&self) -> Result<Arc<Begun>> {
        let mut begun = self.begun.lock().await;
        if let Some(begun) = &*begun {
            return Ok(begun.clone());
        }
        let new = Arc::new(self.db.begin_to_read(&self.reader).await?);
        if self.is_fixed {
            *begun = Some(new.clone());
        }
        Ok(new)
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
        tell(&statement);
        let rows = match self.is_fixed || self.db.needs_transactions() {
            true => {
                let begun = self.begun().await?;
                let rows = begun.transaction.query_all_raw(statement);
                let rows = begun.statements.read(rows).await?;
                self.db.was_read();
                rows
            }
            false => self.db.read_one(&self.reader, statement).await?,
        };
        Ok(rows
            .iter()
            .map(|row: &QueryResult| M::from_query_result(row, ""))
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
