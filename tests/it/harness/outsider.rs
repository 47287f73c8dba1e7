//! Somebody else on the database: what administrators, other programs and faults do there.

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};

use super::{Backend, eventually};

/// One connection to a database.
pub struct Outsider(DatabaseConnection);

impl Outsider {
    pub async fn at(database_url: &str) -> Self {
        let mut options = ConnectOptions::new(database_url);
        options.max_connections(1).sqlx_logging(false);
        Self(Database::connect(options).await.expect("the database"))
    }

    /// Which database it is.
    pub fn backend(&self) -> Backend {
        match self.0.get_database_backend() {
            sea_orm::DbBackend::Sqlite => Backend::Sqlite,
            _ => Backend::Postgres,
        }
    }

    /// Runs a text of statements.
    pub async fn run(&self, sql: &str) {
        let done = self.0.execute_unprepared(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The number that a statement answers as `number`.
    pub async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        let row = self.0.query_one_raw(statement).await;
        let row = row.unwrap_or_else(|error| panic!("{sql}: {error}"));
        row.expect("a row")
            .try_get("", "number")
            .expect("a number named so")
    }

    /// How PostgreSQL goes about a statement.
    pub async fn plan(&self, sql: &str) -> String {
        let explain = format!("EXPLAIN {sql}");
        let statement = Statement::from_string(self.0.get_database_backend(), explain);
        let rows = self.0.query_all_raw(statement).await.expect("a plan");
        let lines = rows
            .iter()
            .map(|row| row.try_get_by_index(0).expect("a line"));
        lines.collect::<Vec<String>>().join("\n")
    }

    /// Takes what every change of a portal begins with, until [`Outsider::let_go`]; on SQLite the whole file.
    pub async fn hold_portal(&self, hub_id: i64) {
        match self.0.get_database_backend() {
            sea_orm::DbBackend::Sqlite => self.run("BEGIN IMMEDIATE").await,
            _ => {
                self.run(&format!(
                    "BEGIN; SELECT 1 FROM feed_heads WHERE hub_id = {hub_id} FOR UPDATE"
                ))
                .await;
            }
        }
    }

    /// Somebody waits for what this one holds.
    pub async fn waited_for(&self) {
        let waiting = "SELECT count(*) AS number FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))";
        eventually("somebody who waits", async || {
            (self.number(waiting).await > 0).then_some(())
        })
        .await;
    }

    pub async fn let_go(&self) {
        self.run("ROLLBACK").await;
    }

    /// Ends all other connections to the database.
    pub async fn end_all_others(&self) {
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").await;
    }

    pub async fn close(self) {
        self.0.close().await.expect("a closed connection");
    }
}
