//! Time as a value: the system's clock, or one that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// Microseconds since 1970 (UTC): how instants are stored and compared.
pub type Micros = i64;

/// One minute.
pub const MINUTE: Micros = 60 * SECOND;
/// One second.
pub const SECOND: Micros = 1_000_000;
/// One day of 24 hours.
pub const DAY: Micros = 24 * 60 * MINUTE;

/// Where "now" comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is set, for tests.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The present instant.
    pub fn now(&self) -> Micros {
        match self {
            Self::System => Utc::now().timestamp_micros(),
            Self::Manual(micros) => micros.load(Ordering::SeqCst),
        }
    }
}

/// The instant as GraphQL shows it; one that no calendar has becomes 1970.
pub fn instant(micros: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
