//! A transaction that writes: all of it is kept, or nothing.

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};

use super::health::Health;
use super::statements::{Statements, tell};
use super::wal_sync::WalSync;
use crate::kernel::error::Result;

/// A transaction under way. Dropped without [`Transaction::commit`], it did not happen.
#[derive(Debug)]
pub struct Transaction {
    pub(super) inner: DatabaseTransaction,
    pub(super) statements: Statements,
    pub(super) health: Health,
    /// Has to be on the disk before a commit counts.
    pub(super) wal: Option<WalSync>,
}

impl Transaction {
    /// Keeps what was written. It is on the disk when this answers without an error (unless SQLite was told to do with
    /// less, [`crate::kernel::config::Synchronous`]).
    pub async fn commit(self) -> Result<()> {
        let Some(wal) = self.wal else {
            self.statements.run(self.inner.commit()).await?;
            self.health.committed();
            return Ok(());
        };
        let committing = wal.commit(self.inner.commit());
        let commit = self.statements.run(committing).await?;
        // Whoever is next may write while this one waits for the disk.
        drop(self.statements);
        wal.sync(commit).await?;
        self.health.committed();
        Ok(())
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        tell(&statement);
        self.statements.run(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.statements
            .run(self.inner.execute_unprepared(sql))
            .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        tell(&statement);
        self.statements
            .run(self.inner.query_one_raw(statement))
            .await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        tell(&statement);
        self.statements
            .run(self.inner.query_all_raw(statement))
            .await
    }
}
