//! What work is done with: passed as one value, cheap to clone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{DbBackend, FromQueryResult, Statement};

use crate::kernel::clock::{DatabaseClock, Micros};
use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::kernel::mail::Mailer;
use crate::kernel::metrics::Metrics;
use crate::kernel::turns::Workers;
use crate::kernel::wake::Wake;
use crate::kernel::webhook::WebhookSender;

/// The database, the clock, what is counted and who is told.
#[derive(Debug, Clone)]
pub struct Env {
    /// Where everything is kept.
    pub db: Db,
    /// Where "now" comes from.
    pub clock: DatabaseClock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who is told that something was committed.
    pub wake: Wake,
    /// Who works for long at a stretch.
    pub workers: Workers,
    /// How addresses of customers are called.
    pub webhooks: WebhookSender,
    /// How e-mail is sent.
    pub mailer: Mailer,
    /// How many errors a portal keeps.
    pub portal_errors: usize,
    /// Whether addresses are asked before they get news.
    pub confirms_emails: bool,
}

/// PostgreSQL's clock in microseconds, as of this moment of the transaction.
pub const DATABASE_NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

#[derive(FromQueryResult)]
struct Now {
    now: Micros,
}

impl Env {
    /// The same for a request of its own, of this subject.
    pub fn of_request(&self, subject: &str) -> Self {
        Self {
            db: self.db.of_request(subject),
            ..self.clone()
        }
    }

    /// Whether the database has the clock that counts.
    pub fn has_clock(&self) -> bool {
        self.clock.is_of_database() && self.db.backend() == DbBackend::Postgres
    }

    /// Reads the database's clock, where it has one.
    pub async fn read_clock(&self) -> Result<()> {
        if !self.has_clock() {
            return Ok(());
        }
        let sql = format!("SELECT {DATABASE_NOW} AS now");
        let statement = Statement::from_string(self.db.backend(), sql);
        let since = Instant::now();
        let rows: Vec<Now> = self.db.moving().all_raw(statement).await?;
        if let Some(row) = rows.first() {
            self.clock.was_read(since, row.now);
        }
        Ok(())
    }

    /// Reads it again and again, for ever: it may be set, and machines sleep.
    pub async fn follow_clock(&self) {
        const PAUSE: Duration = Duration::from_secs(10);
        loop {
            tokio::time::sleep(PAUSE).await;
            if let Err(error) = self.read_clock().await {
                // Logged where it is translated; until then time passes as it did.
                let _ = error.answer();
            }
        }
    }
}
