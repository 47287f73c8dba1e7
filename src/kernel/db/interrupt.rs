//! Ends a statement of SQLite for which nobody waits any more: a client has gone, or its operation took too long.
//!
//! sqlx would let it run to its end, and its connection be of no use to others until then. SQLite asks from time to time
//! whether to go on (<https://www.sqlite.org/c3ref/progress_handler.html>). PostgreSQL finds out by itself that a
//! connection was closed ([`super::session`]), which takes a while: until then the connection counts as used by whoever
//! left it, so that those who leave many do not use up those of others.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::sqlite::SqliteConnection;
use tokio::runtime::Handle;

use super::connections::Places;

/// Instructions of SQLite's machine between two questions: less than a millisecond.
const INSTRUCTIONS: i32 = 10_000;

tokio::task_local! {
    /// Of whoever takes a connection out of the pool.
    static TAKER: Interrupt;
}

/// What the connection that was taken for it listens to.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// The connection that is taken meanwhile listens to this one.
    pub(super) async fn taking<T>(&self, taking: impl Future<Output = T>) -> T {
        TAKER.scope(self.clone(), taking).await
    }

    /// From now on a connection listens to whoever takes it.
    pub(super) async fn listen(connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let mut handle = connection.lock_handle().await?;
        match TAKER.try_with(Clone::clone) {
            Ok(Self(is_over)) => {
                // Once: what is told to the connection afterwards is for whoever takes it next.
                let goes_on = move || !is_over.swap(false, Ordering::Relaxed);
                handle.set_progress_handler(INSTRUCTIONS, goes_on);
            }
            Err(_) => handle.remove_progress_handler(),
        }
        Ok(())
    }
}

/// The statements of one transaction that are waited for. When it ends before they do, so do they: a single one that is
/// not waited for any more may be followed by others that are.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) interrupt: Interrupt,
    count: AtomicUsize,
    places: Places,
    /// How long the connection is of no use to others after it was left in the middle of a statement.
    recovery: Duration,
}

impl Running {
    pub(super) fn new(places: Places, recovery: Duration) -> Self {
        Self {
            interrupt: Interrupt::default(),
            count: AtomicUsize::new(0),
            places,
            recovery,
        }
    }

    pub(super) async fn run<T>(&self, statement: impl Future<Output = T>) -> T {
        self.count.fetch_add(1, Ordering::Relaxed);
        let done = statement.await;
        self.count.fetch_sub(1, Ordering::Relaxed);
        done
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if *self.count.get_mut() == 0 {
            return;
        }
        self.interrupt.0.store(true, Ordering::Relaxed);
        let (places, recovery) = (std::mem::take(&mut self.places), self.recovery);
        if let (false, Ok(runtime)) = (recovery.is_zero(), Handle::try_current()) {
            runtime.spawn(async move {
                tokio::time::sleep(recovery).await;
                drop(places);
            });
        }
    }
}
