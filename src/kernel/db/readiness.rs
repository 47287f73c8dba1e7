//! Whether the database can be used: its tables are there, and what is written is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, Statement};
use tokio::sync::Mutex;

use super::Db;
use crate::kernel::error::Result;

/// For how long an answer holds: who asks often does not write often.
const HOLDS: Duration = Duration::from_secs(1);

/// When it was asked last whether something can be written, and went well.
#[derive(Debug, Clone, Default)]
pub(super) struct Readiness(Arc<Mutex<Option<Instant>>>);

/// One row, written over and over.
const PROBE: &str = "INSERT INTO write_probes (id, written_at) VALUES (1, $1) \
    ON CONFLICT (id) DO UPDATE SET written_at = excluded.written_at";

impl Db {
    /// Whether the tables of this version are there; an error where nothing can be read, or nothing written.
    pub async fn is_ready(&self) -> Result<bool> {
        self.check_file()?;
        if !self.is_migrated().await? {
            return Ok(false);
        }
        let mut written = self.readiness.0.lock().await;
        let is_recent = written.is_some_and(|at| at.elapsed() < HOLDS);
        if !is_recent && !self.write.health.has_committed_within(HOLDS) {
            *written = None;
            self.probe().await?;
            *written = Some(Instant::now());
        }
        Ok(true)
    }

    async fn probe(&self) -> Result<()> {
        let transaction = self.begin().await?;
        let now = chrono::Utc::now().timestamp_micros();
        let statement = Statement::from_sql_and_values(self.backend(), PROBE, [now.into()]);
        transaction.execute_raw(statement).await?;
        transaction.commit().await
    }
}
