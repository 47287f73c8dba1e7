//! Brings the tables up to date.

use std::collections::HashSet;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement};

use super::Db;
use super::failure::{self, Failure};
use crate::kernel::error::{Error, Result};

/// Key of the advisory lock under which PostgreSQL is migrated; any number that no other program uses.
const MIGRATION_LOCK: i64 = 0x53_59_4e_43_48_4c_54_48;

impl Db {
    /// Brings the tables up to date, one process at a time: whoever else wants to waits, and finds nothing to do. Each
    /// migration is kept as a whole or not at all, together with the word that it was made.
    pub async fn migrate(&self) -> Result<()> {
        let statements = self.write.statements(None, None).await?;
        let lock = self.write.begin(&statements).await?;
        if self.backend() == DbBackend::Postgres {
            // The lock is idle while migrations run, each in a transaction of its own.
            let unlimited = "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0";
            lock.execute_unprepared(unlimited).await?;
            let sql = "SELECT pg_advisory_xact_lock($1)";
            let values = [MIGRATION_LOCK.into()];
            let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
            lock.query_one_raw(statement).await?;
            if !self.is_migrated().await? {
                // Behind a pooler only our own transactions are safe from other sessions' prepared statements.
                match self.write.session.is_pooled {
                    true => Migrator::up(&lock, None).await?,
                    false => Migrator::up(&self.write.pool, None).await?,
                }
            }
        } else {
            let applied = applied(of_rows(lock.query_all_raw(self.versions()).await))?;
            if applied.is_empty() {
                refuse_others(&lock).await?;
            }
            if !is_migrated(&applied) {
                Migrator::up(&lock, None).await?;
            }
        }
        match &self.wal {
            Some(wal) => wal.sync(wal.commit(lock.commit()).await?).await?,
            None => lock.commit().await?,
        }
        Ok(())
    }

    fn versions(&self) -> Statement {
        Statement::from_string(self.backend(), "SELECT version FROM seaql_migrations")
    }

    /// Whether it answers, and has all that this version's migrations made; it may have more: a later version ran beside.
    pub async fn is_migrated(&self) -> Result<bool> {
        let rows = self.moving().all_raw(self.versions()).await;
        Ok(is_migrated(&applied(rows)?))
    }
}

/// A file of SQLite is one program's: tables in it that are not ours are a mistake in the address.
async fn refuse_others(lock: &impl ConnectionTrait) -> Result<()> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
        AND name <> 'seaql_migrations' LIMIT 1";
    let statement = Statement::from_string(DbBackend::Sqlite, sql);
    match lock.query_one_raw(statement).await? {
        None => Ok(()),
        Some(_) => Err(Error::Internal(
            "the database holds the tables of another program: name a file of its own (--database-url)".into(),
        )),
    }
}

/// A migration that was made.
#[derive(FromQueryResult)]
struct Applied {
    version: String,
}

fn of_rows(rows: Result<Vec<QueryResult>, DbErr>) -> Result<Vec<Applied>> {
    let rows = rows?;
    let rows = rows.iter().map(|row| Applied::from_query_result(row, ""));
    Ok(rows.collect::<Result<_, DbErr>>()?)
}

/// The names of the migrations that were made; none where there is no table of them.
fn applied(rows: Result<Vec<Applied>>) -> Result<HashSet<String>> {
    let rows = match rows {
        Err(Error::Database(error)) if failure::of(&error) == Failure::Unmigrated => Vec::new(),
        rows => rows?,
    };
    Ok(rows.into_iter().map(|row| row.version).collect())
}

fn is_migrated(applied: &HashSet<String>) -> bool {
    let migrations = Migrator::migrations();
    let mut names = migrations.iter().map(|migration| migration.name());
    names.all(|name| applied.contains(name))
}
