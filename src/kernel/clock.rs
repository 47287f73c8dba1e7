//! Time as a value. A database has one clock: PostgreSQL its own, whatever the clocks of its servers say; a SQLite file
//! that of its machine; in tests one that they move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use chrono::{DateTime, Utc};

/// Microseconds since 1970 (UTC): how instants are stored and compared.
pub type Micros = i64;

/// One minute.
pub const MINUTE: Micros = 60 * SECOND;
/// One second.
pub const SECOND: Micros = 1_000_000;
/// One day of 24 hours.
pub const DAY: Micros = 24 * 60 * MINUTE;

/// A machine's clock.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The system's.
    System,
    /// The system's, wrong by so many microseconds, for tests.
    Skewed(Arc<AtomicI64>),
    /// A clock that stands still until it is set, for tests; it goes before that of a database.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    fn now(&self) -> Micros {
        match self {
            Self::System => Utc::now().timestamp_micros(),
            Self::Skewed(by) => Utc::now().timestamp_micros() + by.load(Ordering::SeqCst),
            Self::Manual(micros) => micros.load(Ordering::SeqCst),
        }
    }
}

/// The clock of a database, as this process knows it: that of the database where it was read, and how much time has
/// passed since, which no step of the machine's clock changes.
#[derive(Debug, Clone)]
pub struct DatabaseClock {
    machine: Clock,
    read: Arc<RwLock<Option<(Instant, Micros)>>>,
}

impl DatabaseClock {
    /// The machine's, until that of the database is read.
    pub fn new(machine: Clock) -> Self {
        Self {
            machine,
            read: Arc::default(),
        }
    }

    /// Whether a database that has a clock goes by that.
    pub fn is_of_database(&self) -> bool {
        !matches!(self.machine, Clock::Manual(_))
    }

    /// The database's clock stood so, at some moment since an instant.
    pub fn was_read(&self, since: Instant, database: Micros) {
        let between = since + since.elapsed() / 2;
        if let Ok(mut read) = self.read.write() {
            *read = Some((between, database));
        }
    }

    /// The present instant, exact enough for what reads; what changes a portal has its own
    /// (`Change::now`).
    pub fn now(&self) -> Micros {
        let read = self.read.read().ok().and_then(|read| *read);
        let passed = |at: Instant| Micros::try_from(at.elapsed().as_micros()).unwrap_or(0);
        read.map_or_else(|| self.machine.now(), |(at, micros)| micros + passed(at))
    }
}

/// The instant as GraphQL shows it; one that no calendar has becomes 1970.
pub fn instant(micros: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
