//! Runs the statements of one transaction, or of one reader.
//!
//! After a statement of a transaction has failed or was cut off, no other one runs in it and it does not commit: SQLite
//! may have ended the transaction by itself, and what came after would be kept bit by bit.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{DbErr, RuntimeErr, Statement};

use super::connect::BEGIN_TIMEOUT;
use super::failure::{self, Failure, SLOW};
use super::health::Health;
use super::interrupt::{Interrupt, Running};
use super::requester::Requester;
use super::session::Session;

/// Tells whoever listens (`SYNC_HEALTH_LOG=sync_health::sql=trace`) which statement is sent, without its values.
pub(super) fn tell(statement: &Statement) {
    tracing::trace!(target: "sync_health::sql", sql = statement.sql);
}

/// Who runs statements, and what became of them.
#[derive(Debug)]
pub(super) struct Statements {
    health: Health,
    patience: Option<Duration>,
    timeout: Option<Duration>,
    has_failed: AtomicBool,
    requester: Option<Requester>,
    running: Running,
}

impl Statements {
    pub(super) fn new(session: &Session, health: &Health) -> Self {
        Self {
            requester: None,
            running: Running::default(),
            health: health.clone(),
            patience: session.patience(),
            timeout: session.statement_timeout,
            has_failed: AtomicBool::new(false),
        }
    }

    /// The same on a connection that belongs to somebody, who pays for the time that they take.
    pub(super) fn on(self, running: Running, requester: Option<&Requester>) -> Self {
        Self {
            running,
            requester: requester.cloned(),
            ..self
        }
    }

    /// The same for who waits less for an answer.
    pub(super) fn within(self, patience: Option<Duration>) -> Self {
        Self {
            patience: patience.or(self.patience),
            ..self
        }
    }

    /// What the connection listens to that these statements run on.
    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.running.interrupt
    }

    /// Runs a statement of a transaction that writes.
    pub(super) async fn run<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        if self.has_failed.load(Ordering::Relaxed) {
            let text = "a statement of this transaction has failed before";
            return Err(DbErr::Query(RuntimeErr::Internal(text.into())));
        }
        let _failed = Failed(self);
        let result = self.read(statement).await;
        if result.is_ok() {
            std::mem::forget(_failed);
        }
        result
    }

    /// Remembers of an error what matters for connections to come.
    pub(super) fn noted<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        match &result {
            Err(error) if failure::is_lost(error) => self.health.lost(),
            Err(error) if failure::of(error) == Failure::ReadOnly => self.health.distrust(),
            _ => {}
        }
        result
    }

    /// Waits for the beginning of a transaction of PostgreSQL. Whoever gives up leaves a connection behind of which nobody
    /// knows whether it has begun: it is closed, and the others are asked whether they answer.
    pub(super) async fn begun<T>(
        &self,
        beginning: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let mut beginning = std::pin::pin!(beginning);
        tokio::select! {
            begun = &mut beginning => self.noted(begun),
            () = tokio::time::sleep(BEGIN_TIMEOUT) => {
                self.health.lost();
                self.health.distrust();
                Err(failure::silent())
            }
        }
    }

    /// Runs a statement that others do not depend on.
    pub(super) async fn read<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let started = Instant::now();
        let _runs = self.requester.as_ref().map(Requester::runs);
        let result = self.running.run(self.waited(statement)).await;
        match (result, self.timeout) {
            (Err(error), Some(timeout))
                if failure::is_cancelled(&error) && started.elapsed() >= timeout =>
            {
                Err(DbErr::Custom(SLOW.into()))
            }
            (result, _) => result,
        }
    }

    async fn waited<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let result = match self.patience {
            Some(patience) => match tokio::time::timeout(patience, statement).await {
                Ok(result) => result,
                // The connection is asked when it comes back, and the others before they are used.
                Err(_) => {
                    self.health.lost();
                    return Err(failure::silent());
                }
            },
            None => statement.await,
        };
        self.noted(result)
    }
}

/// Left behind unless a statement went well.
struct Failed<'a>(&'a Statements);

impl Drop for Failed<'_> {
    fn drop(&mut self) {
        self.0.has_failed.store(true, Ordering::Relaxed);
    }
}
