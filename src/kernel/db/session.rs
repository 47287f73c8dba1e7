//! What PostgreSQL has to know of a session: isolation, and for how long it waits for whom.
//!
//! A server that stops, or whose packets vanish, inside a transaction would hold its locks for hours; so PostgreSQL
//! itself ends what is idle in a transaction, waits for a lock, runs for too long, or for a client that has gone. It is told so for each session and
//! again for each transaction: behind a pooler a session's settings belong to somebody else.

use std::time::Duration;

use crate::kernel::config::Config;
use crate::kernel::limits::{IDLE_TRANSACTION_SECONDS, LOCK_SECONDS};

/// The longest that a transaction that writes may wait for its own server: it holds its portal's lock meanwhile.
const WRITER_IDLE: Duration = Duration::from_secs(IDLE_TRANSACTION_SECONDS.value as u64);
/// The same for one that reads, which holds nobody up.
const READER_IDLE: Duration = Duration::from_secs(60);
/// The longest wait for a lock; longer than `WRITER_IDLE`, so that who waits for a stopped server outlasts it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(LOCK_SECONDS.value as u64);
/// How much longer than PostgreSQL's own end of a statement is waited for the word of it.
const SILENCE: Duration = Duration::from_secs(2);
/// How often PostgreSQL looks whether the client of a statement is still there.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The sessions of one pool.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Whether they write.
    pub(super) is_writer: bool,
    /// Whether a pooler lends them for a transaction at a time.
    pub(super) is_pooled: bool,
    /// The longest that one statement may take; absent for commands, which take the time that they need.
    pub(super) statement_timeout: Option<Duration>,
    lock_timeout: Duration,
}

impl Session {
    pub(super) fn new(config: &Config, is_writer: bool, is_pooled: bool) -> Self {
        Self {
            is_writer,
            is_pooled,
            statement_timeout: config.statement_timeout,
            lock_timeout: LOCK_TIMEOUT.min(config.operation_timeout / 3),
        }
    }

    /// The longest that an answer is waited for.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.statement_timeout.map(|timeout| timeout + SILENCE)
    }

    /// For a session.
    pub(super) fn settings(&self) -> String {
        let network = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; \
            SET tcp_keepalives_count = 3; SET tcp_user_timeout = 30000";
        let isolation = format!(
            "SET SESSION CHARACTERISTICS AS TRANSACTION {}",
            self.isolation()
        );
        // Since PostgreSQL 14; a pooler between closes its own connection, which is looked at all the same.
        let lost = format!(
            "SELECT set_config(name, '{}', false) FROM pg_settings WHERE name = 'client_connection_check_interval'",
            CHECK_INTERVAL.as_millis()
        );
        format!(
            "{network}; {isolation}; {}; {lost}",
            self.timeouts("SESSION")
        )
    }

    /// For a transaction that has just begun. Statements that another session prepared on a shared backend go.
    pub(super) fn transaction_settings(&self) -> String {
        let isolation = format!("SET TRANSACTION {}", self.isolation());
        let forget = match self.is_pooled {
            true => "; DEALLOCATE ALL",
            false => "",
        };
        format!("{isolation}; {}{forget}", self.timeouts("LOCAL"))
    }

    /// Whether a transaction may write is left to the database where it does: an operator may have closed it.
    fn isolation(&self) -> &'static str {
        match self.is_writer {
            true => "ISOLATION LEVEL READ COMMITTED",
            false => "ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        }
    }

    /// A plan that was made while a table was empty must not serve when it is full.
    fn timeouts(&self, whose: &str) -> String {
        let idle = match self.is_writer {
            true => WRITER_IDLE,
            false => READER_IDLE,
        };
        let set = |name: &str, value: u128| format!("SET {whose} {name} = {value}");
        let statement = self.statement_timeout.unwrap_or_default().as_millis();
        let idle = match self.statement_timeout {
            Some(_) => idle.as_millis(),
            None => 0,
        };
        [
            format!("SET {whose} plan_cache_mode = force_custom_plan"),
            set("idle_in_transaction_session_timeout", idle),
            set("lock_timeout", self.lock_timeout.as_millis()),
            set("statement_timeout", statement),
        ]
        .join("; ")
    }
}
