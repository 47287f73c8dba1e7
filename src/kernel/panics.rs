//! Panics: never normal. Each is logged and counted, and takes nothing with it but the task that it happens in.
//!
//! A hook belongs to the process, so the program sets it, not the library. What a panic says may hold a customer's data
//! (the text that could not be cut, the value that did not fit): only words that stand in the code are logged.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{AssertUnwindSafe, PanicHookInfo, set_hook};
use std::time::Duration;

use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;
use tokio::task::JoinError;

use crate::kernel::error::Error;

/// How many panics there were in this process.
#[derive(Debug, Clone, Default)]
pub struct Panics(Counter);

impl Panics {
    /// Hears of every panic of the process from now on, in place of the hook before.
    pub fn watch(&self) {
        let panics = self.clone();
        set_hook(Box::new(move |panic| panics.note(panic)));
    }

    /// Counts a panic and logs where it happened, for a hook.
    pub fn note(&self, panic: &PanicHookInfo<'_>) {
        self.0.inc();
        let place = panic.location().map(ToString::to_string);
        let words = panic.payload().downcast_ref::<&'static str>().copied();
        // Taken only where RUST_BACKTRACE asks for it.
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        tracing::error!(
            place = place.unwrap_or_default(),
            words = words.unwrap_or("withheld: they may hold data"),
            backtrace = backtrace.map(tracing::field::display),
            "panicked"
        );
    }

    /// What `/metrics` shows.
    pub(super) fn counter(&self) -> Counter {
        self.0.clone()
    }
}

/// A task that did not come to its end. What it says of a panic is left out.
impl From<JoinError> for Error {
    fn from(error: JoinError) -> Self {
        let why = match error.is_panic() {
            true => "a task panicked",
            false => "a task was cut off",
        };
        Self::Internal(why.into())
    }
}

/// Runs a future to its end; `None` when it panics.
pub async fn caught<F: Future>(future: F) -> Option<F::Output> {
    AssertUnwindSafe(future).catch_unwind().await.ok()
}

/// Runs what goes on for ever, and begins again where it panics.
pub async fn again<F: Future>(begin: impl Fn() -> F) -> F::Output {
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        if let Some(output) = caught(begin()).await {
            return output;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
